//! What sounds in every tick.

use ndarray::Array2;

use super::{MOST, Score, TooLong, sorted};

/// No note sounds.
pub const REST: u8 = 128;
/// The note goes on.
pub const HOLD: u8 = 129;

/// The pitch of every tick of a melody, shape `[ticks]`; of notes that overlap, the one that began last.
///
/// With holds, ticks without a note are [`REST`] and those after a note's first are [`HOLD`]. Without, ticks without a
/// note are 0, as in MusPy 0.5.0, though its documentation says 128.
pub fn pitches(score: &Score, holds: bool) -> Result<Vec<u8>, TooLong> {
    let notes = sorted(score);
    let length = notes.iter().map(|note| note.end()).max().unwrap_or(0);
    if length > MOST {
        return Err(TooLong);
    }
    let mut pitches = vec![if holds { REST } else { 0 }; length as usize];
    for note in notes {
        let (from, to) = (note.onset as usize, note.end() as usize);
        if holds {
            // Also a note of no length is heard to begin, if anything comes after it.
            if let Some(first) = pitches.get_mut(from) {
                *first = note.pitch;
            }
            pitches[to.min(from + 1)..to].fill(HOLD);
        } else {
            pitches[from..to].fill(note.pitch);
        }
    }
    Ok(pitches)
}

/// The velocity of every pitch in every tick, shape [ticks + 1, 128]; 0 where it does not sound.
pub fn piano_roll(score: &Score) -> Result<Array2<u8>, TooLong> {
    let notes = sorted(score);
    let length = notes.iter().map(|note| note.end()).max().unwrap_or(0) + 1;
    if length > MOST / 128 {
        return Err(TooLong);
    }
    let mut roll = Array2::zeros((length as usize, 128));
    for note in notes {
        for tick in note.onset..note.end() {
            roll[[tick as usize, usize::from(note.pitch)]] = note.velocity;
        }
    }
    Ok(roll)
}
