//! What sounds in every tick.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::{DEFAULT_VELOCITY, MOST, Score, TooLong, of, sorted};
use crate::score::TickNote;

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

/// The piece of a melody as [`pitches`] gives it, with or without holds. A pitch that comes again in the next tick goes on,
/// so that notes of one pitch that touch are one, unless a hold is between them; what is no pitch is a rest. Without holds
/// the ticks of no note, which MusPy 0.5.0 encodes as 0, come back as notes of pitch 0, as in MusPy.
pub fn from_pitches(pitches: &[u8], holds: bool, resolution: u32) -> Score {
    let mut notes: Vec<TickNote> = Vec::new();
    // Whether a hold would lengthen the last note.
    let mut sounds = false;
    for run in runs(pitches) {
        let duration = run.len() as u64;
        match pitches[run.start] {
            pitch @ 0..=127 => {
                notes.push(TickNote { onset: run.start as u64, pitch, duration, velocity: DEFAULT_VELOCITY });
                sounds = true;
            }
            HOLD if holds && sounds => {
                notes.last_mut().into_iter().for_each(|note| note.duration += duration);
                sounds = false;
            }
            _ => sounds = false,
        }
    }
    of(notes, resolution)
}

/// The piece of velocities as [`piano_roll`] gives them, shape [ticks, 128]; what is beyond 128 pitches is left out. Notes
/// of one pitch that touch are one, with the velocity of the first.
pub fn from_piano_roll(roll: ArrayView2<'_, u8>, resolution: u32) -> Score {
    let mut notes = Vec::new();
    for (pitch, velocities) in (0..128u8).zip(roll.columns()) {
        let sounds: Vec<bool> = velocities.iter().map(|velocity| *velocity > 0).collect();
        for run in runs(&sounds).filter(|run| sounds[run.start]) {
            let velocity = velocities[run.start].min(127);
            notes.push(TickNote { onset: run.start as u64, pitch, duration: run.len() as u64, velocity });
        }
    }
    of(notes, resolution)
}

/// Stretches of equal values.
fn runs<T: PartialEq>(values: &[T]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    values.chunk_by(PartialEq::eq).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(score: &Score) -> Vec<(u64, u64, u8)> {
        score.tracks[0].notes.iter().map(|note| (note.onset, note.end(), note.pitch)).collect()
    }

    #[test]
    fn holds_lengthen_the_note_before_them_and_nothing_else() {
        let melody = [HOLD, 60, HOLD, HOLD, REST, HOLD, 62, 62, 60, HOLD, 200];
        assert_eq!(spans(&from_pitches(&melody, true, 24)), [(1, 4, 60), (6, 8, 62), (8, 10, 60)]);
        assert_eq!(
            spans(&from_pitches(&[0, 60, 60, REST, 60, 61], false, 24)),
            [(0, 1, 0), (1, 3, 60), (4, 5, 60), (5, 6, 61)]
        );
    }

    #[test]
    fn notes_of_a_roll_that_touch_are_one() {
        let mut roll = Array2::zeros((5, 128));
        for (tick, pitch, velocity) in [(1, 60, 90), (2, 60, 30), (4, 60, 200), (0, 127, 1)] {
            roll[[tick, pitch]] = velocity;
        }
        let score = from_piano_roll(roll.view(), 24);
        assert_eq!(spans(&score), [(0, 1, 127), (1, 3, 60), (4, 5, 60)]);
        assert_eq!(score.tracks[0].notes.iter().map(|note| note.velocity).collect::<Vec<_>>(), [1, 90, 127]);
    }
}
