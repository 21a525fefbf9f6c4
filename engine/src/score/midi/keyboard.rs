//! Keys: from note-ons and note-offs to notes. Time and memory grow with the number of events alone, whatever they say.

use std::collections::{BTreeMap, VecDeque};

use crate::score::TickNote;

/// Follows the keys of one channel of one track.
#[derive(Debug, Default)]
pub struct Keyboard {
    /// (onset, velocity) of what is down on each key, oldest first.
    down: BTreeMap<u8, VecDeque<(u64, u8)>>,
    /// What was played, without the pedal; in order of note-offs.
    pub notes: Vec<TickNote>,
    /// Notes that the file never ended.
    pub unended: usize,
}

impl Keyboard {
    /// A key goes down. One whose key is down already (two voices in unison) goes on beside it.
    pub fn note_on(&mut self, tick: u64, key: u8, velocity: u8) {
        self.down.entry(key).or_default().push_back((tick, velocity));
    }

    /// A key goes up: the oldest note on it ends.
    pub fn note_off(&mut self, tick: u64, key: u8) {
        if let Some((onset, velocity)) = self.down.get_mut(&key).and_then(VecDeque::pop_front) {
            self.notes.push(TickNote { onset, pitch: key, duration: tick - onset, velocity });
        }
    }

    /// Every key goes up.
    pub fn all_off(&mut self, tick: u64) {
        let keys: Vec<(u8, usize)> = self.down.iter().map(|(&key, notes)| (key, notes.len())).collect();
        for (key, count) in keys {
            (0..count).for_each(|_| self.note_off(tick, key));
        }
    }

    /// The track ends: what is still down ends with it.
    pub fn close(&mut self, tick: u64) {
        self.unended += self.down.values().map(VecDeque::len).sum::<usize>();
        self.all_off(tick);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_never_ends_ends_with_the_track() {
        let mut keyboard = Keyboard::default();
        keyboard.note_on(5, 60, 90);
        keyboard.close(50);
        let note = TickNote { onset: 5, pitch: 60, duration: 45, velocity: 90 };
        assert_eq!((keyboard.unended, keyboard.notes), (1, vec![note]));
    }

    #[test]
    fn unisons_end_one_by_one() {
        let mut keyboard = Keyboard::default();
        [0, 10].into_iter().for_each(|tick| keyboard.note_on(tick, 60, 90));
        [20, 30].into_iter().for_each(|tick| keyboard.note_off(tick, 60));
        let played: Vec<(u64, u64)> = keyboard.notes.iter().map(|note| (note.onset, note.end())).collect();
        assert_eq!(played, [(0, 20), (10, 30)]);
    }
}
