//! The notes that segments still need, per part, in stream seconds.

use super::MAX_PARTS;
use crate::score::Note;

/// A note that has not ended.
#[derive(Debug, Clone, Copy)]
struct Held {
    part: usize,
    /// Its index in the part's list.
    at: usize,
    /// The key is up and the pedal holds it.
    pedalled: bool,
}

/// The end of a note, for whoever must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub part: u8,
    pub key: u8,
}

/// Notes of all parts, each in order of onset. A note that is held has an infinite end.
pub(super) struct ScoreWindow {
    parts: [Vec<Note>; MAX_PARTS],
    /// By MIDI key: at most one note of a key is held at a time.
    held: [Option<Held>; 128],
    pedal: bool,
}

impl ScoreWindow {
    pub fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Vec::new()), held: [None; 128], pedal: false }
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Begins a note. One of the same key that still sounds ends here, and is returned.
    pub fn note_on(&mut self, part: usize, key: u8, velocity: u8, seconds: f64) -> Option<Ended> {
        let ended = self.end(key, seconds);
        let part = part.min(MAX_PARTS - 1);
        let notes = &mut self.parts[part];
        // A chord's notes are decided together: one may begin a little before its predecessor in the list.
        let at = notes.partition_point(|note| note.onset <= seconds);
        notes.insert(at, Note { onset: seconds, end: f64::INFINITY, pitch: key, velocity });
        for held in self.held.iter_mut().flatten().filter(|held| held.part == part && held.at >= at) {
            held.at += 1;
        }
        self.held[usize::from(key & 127)] = Some(Held { part, at, pedalled: false });
        ended
    }

    /// Whether a key sounds because it is down, and not by the pedal alone.
    pub fn is_down(&self, key: u8) -> bool {
        self.held[usize::from(key & 127)].is_some_and(|held| !held.pedalled)
    }

    /// A key goes up; returns its note if that ends it.
    pub fn note_off(&mut self, key: u8, seconds: f64) -> Option<Ended> {
        if self.pedal {
            if let Some(held) = &mut self.held[usize::from(key & 127)] {
                held.pedalled = true;
            }
            return None;
        }
        self.end(key, seconds)
    }

    /// The pedal moves; calls `ended` for every note it lets go.
    pub fn sustain(&mut self, down: bool, seconds: f64, mut ended: impl FnMut(Ended)) {
        self.pedal = down;
        if !down {
            for key in 0..128u8 {
                if self.held[usize::from(key)].is_some_and(|held| held.pedalled)
                    && let Some(end) = self.end(key, seconds)
                {
                    ended(end);
                }
            }
        }
    }

    /// Ends everything; calls `ended` for every note.
    pub fn all_off(&mut self, seconds: f64, mut ended: impl FnMut(Ended)) {
        self.pedal = false;
        for key in 0..128u8 {
            if let Some(end) = self.end(key, seconds) {
                ended(end);
            }
        }
    }

    /// Ends a key's note, whether it is held or not.
    pub fn end(&mut self, key: u8, seconds: f64) -> Option<Ended> {
        let held = self.held[usize::from(key & 127)].take()?;
        if let Some(note) = self.parts[held.part].get_mut(held.at) {
            note.end = seconds.max(note.onset);
        }
        Some(Ended { part: held.part as u8, key })
    }

    /// What a segment may know at `horizon`: notes that began before it, with the ends that came before it.
    pub fn known(&self, part: usize, horizon: f64) -> Vec<Note> {
        self.parts[part]
            .iter()
            .filter(|note| note.onset < horizon)
            .map(|note| Note { end: if note.end < horizon { note.end } else { f64::INFINITY }, ..*note })
            .collect()
    }

    /// Whether a part has a note that is held or ended after `seconds`.
    pub fn sounds(&self, part: usize, seconds: f64) -> bool {
        self.parts[part].iter().any(|note| note.end > seconds)
    }

    /// Forgets notes that ended before `seconds`.
    pub fn prune(&mut self, seconds: f64) {
        for part in 0..MAX_PARTS {
            let mut kept = 0;
            let held = &mut self.held;
            let mut at = 0;
            self.parts[part].retain(|note| {
                let keep = note.end >= seconds;
                if keep {
                    if kept != at
                        && let Some(held) =
                            held.iter_mut().flatten().find(|h| h.part == part && h.at == at && note.end.is_infinite())
                    {
                        held.at = kept;
                    }
                    kept += 1;
                }
                at += 1;
                keep
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_knows_nothing_of_what_comes_after_its_horizon() {
        let mut window = ScoreWindow::new();
        window.note_on(0, 60, 100, 1.0);
        window.note_on(0, 64, 100, 2.0);
        window.note_off(60, 1.5);
        assert_eq!(window.known(0, 1.0).len(), 0);
        assert_eq!(window.known(0, 1.2)[0].end, f64::INFINITY);
        assert_eq!(window.known(0, 1.6)[0].end, 1.5);
        assert_eq!(window.known(0, 2.1).len(), 2);
    }

    #[test]
    fn a_key_struck_again_ends_its_first_note() {
        let mut window = ScoreWindow::new();
        assert_eq!(window.note_on(1, 60, 100, 1.0), None);
        assert_eq!(window.note_on(2, 60, 100, 2.0), Some(Ended { part: 1, key: 60 }));
        assert_eq!(window.known(1, 9.0)[0].end, 2.0);
        assert_eq!(window.note_off(60, 3.0), Some(Ended { part: 2, key: 60 }));
        assert_eq!(window.note_off(60, 4.0), None);
    }

    #[test]
    fn the_pedal_extends_notes_to_its_release() {
        let mut window = ScoreWindow::new();
        window.sustain(true, 0.0, |_| panic!("nothing sounds"));
        window.note_on(0, 60, 100, 1.0);
        window.note_on(0, 62, 100, 1.0);
        assert_eq!(window.note_off(60, 2.0), None);
        let mut ended = Vec::new();
        window.sustain(false, 3.0, |end| ended.push(end));
        assert_eq!(ended, [Ended { part: 0, key: 60 }]);
        assert_eq!(window.known(0, 9.0).iter().map(|n| n.end).collect::<Vec<_>>(), [3.0, f64::INFINITY]);
    }

    #[test]
    fn pruning_keeps_what_is_held_and_can_still_end_it() {
        let mut window = ScoreWindow::new();
        for i in 0..100u8 {
            window.note_on(0, i, 100, f64::from(i));
            if i % 10 != 0 {
                window.note_off(i, f64::from(i) + 0.5);
            }
        }
        window.prune(95.0);
        assert_eq!(window.known(0, 1e9).len(), 10 + 5);
        for i in (0..100u8).step_by(10) {
            assert_eq!(window.note_off(i, 200.0), Some(Ended { part: 0, key: i }));
        }
        assert!(window.known(0, 1e9).iter().all(|note| note.end <= 200.0));
        window.prune(300.0);
        assert!(window.known(0, 1e9).is_empty());
    }
}
