//! The inputs of the paper's MLP: numbers of a note, its chord and the last note of every part (Dong et al. 2021,
//! section 5.2). They look at the next chord and at how long notes last, so this is for measuring and not for playing.
//!
//! Nine numbers of the note: pitch; duration; whether it lasts at most a quarter of a beat; its place in its chord from
//! 0; semitones to the chord's next note below and above, 0 without one; notes in the chord; position within the beat;
//! notes in the next chord, 0 without one. Then four lists of a number per part, -1 before the part's first note:
//! semitones from its last note, ticks since that began, ticks between its end and now, and whether it still sounds.
//! Training computes the same (`ripieno_training/arranger/history.py`); `tests/golden/arranger_history.json` holds both
//! to it.

use super::network::{LONGEST, TICKS};
use super::piece::{PieceNote, chords};

/// Numbers of a note, and of each part.
pub(super) const NOTE: usize = 9;
pub(super) const PER_PART: usize = 4;
/// Ticks that an ornament lasts at most.
const ORNAMENT: i64 = 6;

/// How long a note counts.
fn duration(note: &PieceNote) -> i64 {
    (note.end - note.onset).clamp(0, LONGEST)
}

/// The numbers of every note, shape [notes, NOTE]. `notes` are in order.
pub(super) fn of_notes(notes: &[PieceNote]) -> Vec<[f32; NOTE]> {
    let mut out = Vec::with_capacity(notes.len());
    let all: Vec<_> = chords(notes).collect();
    for (i, chord) in all.iter().enumerate() {
        let next = all.get(i + 1).map_or(0, ExactSizeIterator::len);
        for place in chord.clone() {
            let (note, key) = (&notes[place], f32::from(notes[place].pitch));
            let below = if place > chord.start { key - f32::from(notes[place - 1].pitch) } else { 0.0 };
            let above = if place + 1 < chord.end { f32::from(notes[place + 1].pitch) - key } else { 0.0 };
            out.push([
                key,
                duration(note) as f32,
                f32::from(u8::from(duration(note) <= ORNAMENT)),
                (place - chord.start) as f32,
                below,
                above,
                chord.len() as f32,
                note.onset.rem_euclid(TICKS) as f32,
                next as f32,
            ]);
        }
    }
    out
}

/// The last note of every part.
pub(super) struct History {
    last: Vec<Option<PieceNote>>,
}

impl History {
    /// Of so many parts, none of which has begun.
    pub fn new(parts: usize) -> Self {
        Self { last: vec![None; parts] }
    }

    /// Appends the numbers of the parts as a note sees them, PER_PART lists.
    pub fn describe(&self, note: &PieceNote, out: &mut Vec<f32>) {
        let numbers: [fn(&PieceNote, &PieceNote) -> i64; PER_PART] = [
            |last, note| i64::from(last.pitch.abs_diff(note.pitch)),
            |last, note| (last.onset - note.onset).abs(),
            |last, note| (last.onset + duration(last) - note.onset).abs(),
            |last, note| i64::from(note.onset < last.onset + duration(last)),
        ];
        for number in numbers {
            out.extend(self.last.iter().map(|last| last.as_ref().map_or(-1.0, |last| number(last, note) as f32)));
        }
    }

    /// A part plays a note.
    pub fn play(&mut self, part: usize, note: &PieceNote) {
        self.last[part] = Some(*note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        parts: usize,
        time: Vec<i64>,
        pitch: Vec<u8>,
        end: Vec<i64>,
        part: Vec<usize>,
        history: Vec<Vec<f32>>,
    }

    #[test]
    fn history_in_rust_is_what_it_is_in_python() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/arranger_history.json");
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for case in golden.cases {
            let note =
                |i: usize| PieceNote { onset: case.time[i], end: case.end[i], pitch: case.pitch[i], velocity: 64 };
            let notes: Vec<PieceNote> = (0..case.time.len()).map(note).collect();
            let mut history = History::new(case.parts);
            for (i, (numbers, note)) in of_notes(&notes).iter().zip(&notes).enumerate() {
                let mut ours = numbers.to_vec();
                history.describe(note, &mut ours);
                assert_eq!(ours, case.history[i], "note {i}");
                history.play(case.part[i], note);
            }
        }
    }
}
