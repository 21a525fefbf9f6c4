//! A piece as numbers, as MusPy 0.5.0 encodes it: by note, by event, by pitch, and as a piano roll.
//!
//! All tracks are one, drums included, with notes sorted by onset, pitch, duration and velocity. A piece so long that its
//! encoding would not fit in memory is an error.

mod event;
mod roll;

pub use event::{EventOptions, events};
pub use roll::{HOLD, REST, piano_roll, pitches};

use super::{Score, TickNote};

/// Numbers of an encoding.
const MOST: u64 = 1 << 28;

/// A piece has no such encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the piece is too long for this encoding. Choose fewer ticks per quarter note, or a part of it.")]
pub struct TooLong;

/// Every note as (onset, pitch, duration, velocity), shape [notes, 4]; times in ticks.
pub fn notes(score: &Score) -> Vec<[u64; 4]> {
    let row = |note: &TickNote| [note.onset, note.pitch.into(), note.duration, note.velocity.into()];
    sorted(score).iter().map(row).collect()
}

fn sorted(score: &Score) -> Vec<TickNote> {
    let mut notes: Vec<TickNote> = score.tracks.iter().flat_map(|track| &track.notes).copied().collect();
    notes.sort_unstable();
    notes
}
