//! ABC: the common subset of version 2.1, one tune a file.
//!
//! Reads header and inline fields, keys with modes and accidentals, lengths, broken rhythm, tuplets, ties, chords,
//! repeats and endings and the order of parts (P:, played out), grace notes, voices and overlays. Left out, with a notice:
//! further tunes. Nothing recurses, and measures, notes and tempi are bounded with their repeats, so that
//! no file makes reading hang or fill the memory.

mod fields;
mod parts;
mod read;
mod tune;
mod write;

pub use read::{read, read_bytes};
pub use write::{write, write_text};

/// Ticks per quarter note while a tune is read: what 64th notes, triplets, quintuplets and septuplets divide.
const TICKS: i64 = 256 * 3 * 3 * 5 * 7; // 80640
