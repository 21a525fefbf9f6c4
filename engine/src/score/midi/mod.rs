//! MIDI files, by `midly`: types 0, 1 and 2, SMPTE time; what is written is type 1.
//!
//! Time and memory are bounded by the size of the file, which is bounded too: no bytes make reading hang or panic.

mod keyboard;
mod read;
mod write;

pub use read::{read, read_bytes};
pub use write::{write, write_bytes};

/// General MIDI's percussion channel, 0-based.
const DRUMS: u8 = 9;
