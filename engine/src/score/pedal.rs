//! The sustain pedal: when each note really ends.

use std::collections::BTreeMap;

use super::{Control, Score, TickNote};

/// Controllers.
const SUSTAIN: u8 = 64;
const RESET_CONTROLLERS: u8 = 121;

/// Where a controller puts the pedal, if it does: values from 64 on are down.
pub fn position(control: &Control) -> Option<u8> {
    match control.number {
        SUSTAIN => Some(control.value),
        RESET_CONTROLLERS => Some(0),
        _ => None,
    }
}

/// Whose controllers a track has: those of its MIDI channel, which tracks share (the left hand of a piano often has no
/// pedal in its own track), or its own, by its place in the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlsOf {
    /// Of a channel, 0 to 15.
    Channel(u8),
    /// Of the track alone.
    Track(usize),
}

impl Score {
    /// Whose controllers the track at a place in the score has.
    pub fn controls_of(&self, track: usize) -> ControlsOf {
        let channel = self.tracks.get(track).and_then(|track| track.channel);
        channel.map_or(ControlsOf::Track(track), ControlsOf::Channel)
    }

    /// All controllers, in order of time.
    pub fn controls(&self) -> BTreeMap<ControlsOf, Vec<Control>> {
        let mut all: BTreeMap<ControlsOf, Vec<Control>> = BTreeMap::new();
        for (i, track) in self.tracks.iter().enumerate().filter(|(_, track)| !track.controls.is_empty()) {
            all.entry(self.controls_of(i)).or_default().extend(&track.controls);
        }
        all.values_mut().for_each(|controls| controls.sort_by_key(|control| control.tick));
        all
    }
}

/// The sustain pedal of a track or of a whole channel.
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

/// Every note, prolonged by the pedal to where it is lifted or the key is struck again; sorted by pitch.
pub fn sustained(notes: &[TickNote], pedal: &Pedal) -> Vec<TickNote> {
    let mut notes = notes.to_vec();
    notes.sort_by_key(|note| (note.pitch, note.onset, note.duration));
    let onsets: Vec<(u8, u64)> = notes.iter().map(|note| (note.pitch, note.onset)).collect();
    for note in &mut notes {
        let lifted = pedal.lifted(note.end());
        if lifted > note.end() {
            let next = onsets.partition_point(|&onset| onset < (note.pitch, note.end()));
            let struck = onsets.get(next).filter(|(key, _)| *key == note.pitch).map_or(u64::MAX, |&(_, onset)| onset);
            note.duration = lifted.min(struck).max(note.end()) - note.onset;
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note((onset, end): (u64, u64)) -> TickNote {
        TickNote { onset, pitch: 60, duration: end - onset, velocity: 90 }
    }

    /// From and to of the notes of one key, without and with a pedal.
    fn held<const N: usize>(keys: [(u64, u64); N], pedal: &Pedal) -> Vec<(u64, u64)> {
        sustained(&keys.map(note), pedal).iter().map(|note| (note.onset, note.end())).collect()
    }

    #[test]
    fn the_pedal_holds_notes_until_it_is_lifted_or_the_key_is_struck_again() {
        let pedal = Pedal::new(vec![(0, 127), (100, 0)], 200);
        assert_eq!(held([(0, 10), (30, 40), (90, 120)], &pedal), [(0, 30), (30, 90), (90, 120)]);
        assert_eq!(held([(5, 10), (20, 30)], &pedal), [(5, 20), (20, 100)]);
    }

    #[test]
    fn a_pedal_changed_with_the_chord_does_not_blur_it() {
        let pedal = Pedal::new(vec![(0, 127), (50, 0), (50, 127), (90, 0)], 200);
        assert_eq!(held([(0, 50)], &pedal), [(0, 50)]);
        assert_eq!(held([(50, 60)], &pedal), [(50, 90)]);
    }

    #[test]
    fn a_pedal_that_is_never_lifted_is_lifted_at_the_end() {
        let pedal = Pedal::new(vec![(10, 64)], 200);
        assert_eq!(held([(0, 20)], &pedal), [(0, 200)]);
    }
}
