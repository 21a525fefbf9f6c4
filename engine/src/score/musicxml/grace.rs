//! When grace notes sound: just before the note they lead to, so that every other note stays where it is written.

use super::measure::MeasureNote;

/// Grace notes of one voice that wait for the note they lead to.
#[derive(Debug, Default)]
pub struct Graces {
    /// Each with the place of its chord in the group.
    waiting: Vec<(i64, MeasureNote)>,
    chords: i64,
}

impl Graces {
    /// Adds a note, to the chord before it or as a chord of its own.
    pub fn push(&mut self, note: MeasureNote, in_chord: bool) {
        if !in_chord || self.chords == 0 {
            self.chords += 1;
        }
        self.waiting.push((self.chords - 1, note));
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// They lead to a note at `onset`; `before` is the length of the voice's note before it, of which they take no more
    /// than half. Each lasts a 32nd note, a `longest`, or less.
    pub fn resolve(&mut self, onset: i64, before: i64, longest: i64, notes: &mut Vec<MeasureNote>) {
        let room = if before > 0 { before / 2 } else { i64::MAX };
        let each = longest.min(room / self.chords.max(1)).max(1);
        let chords = self.chords;
        notes.extend(self.waiting.drain(..).map(|(place, note)| MeasureNote {
            onset: onset - each * (chords - place),
            duration: each,
            ..note
        }));
        self.chords = 0;
    }
}
