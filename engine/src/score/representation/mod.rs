//! A piece as numbers, as MusPy 0.5.0 encodes it: by note, by event, by pitch, and as a piano roll.
//!
//! All tracks are one, drums included, with notes sorted by onset, pitch, duration and velocity. A piece so long that its
//! encoding would not fit in memory is an error. Each is also decoded as MusPy does, to one track: what an encoding does
//! not hold (tracks, tempi, and of a melody velocities) does not come back.

mod event;
mod roll;

pub use event::{EventOptions, events, from_events};
pub use roll::{HOLD, REST, from_piano_roll, from_pitches, piano_roll, pitches};

use super::{Score, TickNote, Track};

/// Numbers of an encoding.
const MOST: u64 = 1 << 28;

/// A piece has no such encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the piece is too long for this encoding. Choose fewer ticks per quarter note, or a part of it.")]
pub struct TooLong;

/// Velocity of a note from an encoding without velocities.
const DEFAULT_VELOCITY: u8 = 64;
/// Ticks in which a note may end.
const LAST: u64 = i64::MAX as u64;

/// A row is no note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("row {row} is no note. Its pitch and its velocity are at most 127, and it ends within 2^63 ticks.")]
pub struct NoNote {
    /// Which, from 0.
    pub row: usize,
}

/// Every note as (onset, pitch, duration, velocity), shape [notes, 4]; times in ticks.
pub fn notes(score: &Score) -> Vec<[u64; 4]> {
    let row = |note: &TickNote| [note.onset, note.pitch.into(), note.duration, note.velocity.into()];
    sorted(score).iter().map(row).collect()
}

/// The piece of rows as [`notes`] gives them, in any order.
pub fn from_notes(rows: &[[u64; 4]], resolution: u32) -> Result<Score, NoNote> {
    let key = |number: u64| u8::try_from(number).ok().filter(|number| *number < 128);
    let note = |&[onset, pitch, duration, velocity]: &[u64; 4]| {
        onset.checked_add(duration).filter(|end| *end <= LAST)?;
        Some(TickNote { onset, pitch: key(pitch)?, duration, velocity: key(velocity)? })
    };
    let notes = rows.iter().enumerate().map(|(row, numbers)| note(numbers).ok_or(NoNote { row }));
    Ok(of(notes.collect::<Result<_, _>>()?, resolution))
}

/// A piece of one track.
fn of(notes: Vec<TickNote>, resolution: u32) -> Score {
    let tracks = vec![Track { notes, ..Track::default() }];
    let mut score = Score { resolution: resolution.max(1), tracks, ..Score::default() };
    score.sort();
    score
}

fn sorted(score: &Score) -> Vec<TickNote> {
    let mut notes: Vec<TickNote> = score.tracks.iter().flat_map(|track| &track.notes).copied().collect();
    notes.sort_unstable();
    notes
}
