//! MusicXML: scores partwise or timewise, plain (.musicxml, .xml) or compressed (.mxl).
//!
//! Reading gives what sounds: ties joined, repeats and jumps played out, transposing instruments at their sounding
//! pitch, dynamics as velocities, pedals as controllers, every voice and staff of a part in its track. Bytes, nodes,
//! attributes, measures, notes, tempi and pedals are bounded, with their repeats, and nothing recurses, so that no file
//! makes reading hang, panic or fill the memory.

mod container;
mod duration;
mod grace;
mod instruments;
mod marks;
mod measure;
mod pedals;
mod read;
mod values;
mod write;

pub use read::{read, read_bytes};
pub use write::{write, write_bytes};
