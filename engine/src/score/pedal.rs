//! Keys and pedal: when each note really ends. Time and memory grow with the number of events alone, whatever they say.

use std::collections::{BTreeMap, VecDeque};

/// A note in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickNote {
    /// Key down.
    pub onset: u64,
    /// Key up, or later where the pedal holds it; after `onset`.
    pub end: u64,
    /// MIDI key.
    pub key: u8,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
}

/// The sustain pedal of one channel, which all tracks of a file share.
#[derive(Debug, Clone, Default)]
pub struct Pedal {
    /// From pressed to lifted, in order, apart from each other.
    held: Vec<(u64, u64)>,
}

impl Pedal {
    /// From (tick, controller value) in the file's order; MIDI values from 64 on are down. A pedal that is never lifted
    /// is lifted at `end`.
    pub fn new(mut moves: Vec<(u64, u8)>, end: u64) -> Self {
        moves.sort_by_key(|&(tick, _)| tick);
        let mut held = Vec::new();
        let mut since = None;
        for (tick, value) in moves {
            match (value >= 64, since) {
                (true, None) => since = Some(tick),
                (false, Some(pressed)) => {
                    held.push((pressed, tick));
                    since = None;
                }
                _ => {}
            }
        }
        held.extend(since.map(|pressed| (pressed, end.max(pressed))));
        Self { held }
    }

    /// When a key that goes up at `tick` falls silent. A pedal pressed at the very tick comes too late: files that
    /// change the pedal with the chord mean the new one.
    fn lifted(&self, tick: u64) -> u64 {
        let after = self.held.partition_point(|&(pressed, _)| pressed < tick);
        after.checked_sub(1).map_or(tick, |last| self.held[last].1.max(tick))
    }
}

/// Follows the keys of one channel of one track.
#[derive(Debug, Default)]
pub struct Keyboard {
    /// (onset, velocity) of what is down on each key, oldest first.
    down: BTreeMap<u8, VecDeque<(u64, u8)>>,
    notes: Vec<TickNote>,
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
            // A note of no length would never sound; one tick is the shortest a file can say.
            self.notes.push(TickNote { onset, end: tick.max(onset + 1), key, velocity });
        }
    }

    /// Every key goes up.
    pub fn all_off(&mut self, tick: u64) {
        let keys: Vec<(u8, usize)> = self.down.iter().map(|(&key, notes)| (key, notes.len())).collect();
        for (key, count) in keys {
            (0..count).for_each(|_| self.note_off(tick, key));
        }
    }

    /// The track ends: what is still down ends with it. Without the pedal's part, see [`Keyboard::sustained`].
    pub fn close(&mut self, tick: u64) {
        self.unended += self.down.values().map(VecDeque::len).sum::<usize>();
        self.all_off(tick);
    }

    /// Every note, prolonged by the pedal to where it is lifted or the key is struck again.
    pub fn sustained(mut self, pedal: &Pedal) -> Vec<TickNote> {
        self.notes.sort_by_key(|note| (note.key, note.onset, note.end));
        let onsets: Vec<(u8, u64)> = self.notes.iter().map(|note| (note.key, note.onset)).collect();
        for note in &mut self.notes {
            let lifted = pedal.lifted(note.end);
            if lifted > note.end {
                let next = onsets.partition_point(|&onset| onset < (note.key, note.end));
                let struck = onsets.get(next).filter(|(key, _)| *key == note.key).map_or(u64::MAX, |&(_, onset)| onset);
                note.end = lifted.min(struck);
            }
        }
        self.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(onset: u64, end: u64) -> TickNote {
        TickNote { onset, end, key: 60, velocity: 90 }
    }

    /// Strikes key 60 from tick to tick.
    fn played(notes: &[(u64, u64)]) -> Keyboard {
        let mut keyboard = Keyboard::default();
        for &(on, off) in notes {
            keyboard.note_on(on, 60, 90);
            keyboard.note_off(off, 60);
        }
        keyboard
    }

    #[test]
    fn the_pedal_holds_notes_until_it_is_lifted_or_the_key_is_struck_again() {
        let pedal = Pedal::new(vec![(0, 127), (100, 0)], 200);
        assert_eq!(
            played(&[(0, 10), (30, 40), (90, 120)]).sustained(&pedal),
            [note(0, 30), note(30, 90), note(90, 120)]
        );
        assert_eq!(played(&[(5, 10), (20, 30)]).sustained(&pedal), [note(5, 20), note(20, 100)]);
    }

    #[test]
    fn a_pedal_changed_with_the_chord_does_not_blur_it() {
        let pedal = Pedal::new(vec![(0, 127), (50, 0), (50, 127), (90, 0)], 200);
        assert_eq!(played(&[(0, 50)]).sustained(&pedal), [note(0, 50)]);
        assert_eq!(played(&[(50, 60)]).sustained(&pedal), [note(50, 90)]);
    }

    #[test]
    fn a_pedal_that_is_never_lifted_is_lifted_at_the_end() {
        let pedal = Pedal::new(vec![(10, 64)], 200);
        assert_eq!(played(&[(0, 20)]).sustained(&pedal), [note(0, 200)]);
    }

    #[test]
    fn a_note_that_never_ends_ends_with_the_track() {
        let mut keyboard = Keyboard::default();
        keyboard.note_on(5, 60, 90);
        keyboard.close(50);
        assert_eq!((keyboard.unended, keyboard.sustained(&Pedal::default())), (1, vec![note(5, 50)]));
    }

    #[test]
    fn notes_of_no_length_last_a_tick_and_unisons_end_one_by_one() {
        assert_eq!(played(&[(7, 7)]).sustained(&Pedal::default()), [note(7, 8)]);
        let mut keyboard = Keyboard::default();
        [0, 10].into_iter().for_each(|tick| keyboard.note_on(tick, 60, 90));
        [20, 30].into_iter().for_each(|tick| keyboard.note_off(tick, 60));
        assert_eq!(keyboard.sustained(&Pedal::default()), [note(0, 20), note(10, 30)]);
    }
}
