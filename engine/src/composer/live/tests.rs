//! Planners that hear a predictor of random logits: what must hold whatever it says.

use super::*;
use crate::composer::tests::{Babble, vocabulary};
use crate::composer::{Predictor, Vocabulary};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Beats of a block.
const BLOCK: f64 = 0.02;
/// Beats that notes are sent ahead.
const AHEAD: f64 = 0.05;

struct Stage {
    planner: Planner<Babble>,
    now: f64,
    /// Keys that sound, and everything that began: beat, part, key.
    down: BTreeSet<u8>,
    begun: Vec<(f64, usize, u8)>,
}

fn parts(vocabulary: &Vocabulary) -> Vec<LivePart> {
    let part = |program, lowest, highest| LivePart {
        instrument: vocabulary.instrument_code(program),
        lowest,
        highest,
        at_once: 1,
        on: true,
    };
    vec![part(40, 55, 103), part(40, 55, 98), part(41, 48, 91), part(42, 36, 81)]
}

impl Stage {
    fn new(settings: LiveSettings) -> Self {
        let vocabulary: Arc<Vocabulary> = vocabulary();
        let babble = Babble::eager(&vocabulary, 256, 7);
        let mut planner = Planner::new(babble, &vocabulary, 1).unwrap();
        planner.set(settings, &parts(&vocabulary));
        Self { planner, now: 0.0, down: BTreeSet::new(), begun: Vec::new() }
    }

    /// Plays on to a beat; a few steps of the network a block.
    fn to(&mut self, beat: f64) {
        let mut due = Vec::new();
        while self.now < beat {
            for _ in 0..4 {
                self.planner.work().unwrap();
            }
            due.clear();
            self.planner.give_way(&mut due);
            self.planner.advance(self.now, self.now + AHEAD, &mut due);
            for event in &due {
                assert!(event.beat < self.now + AHEAD + 1.0 / 12.0, "{event:?} at {}", self.now);
                if event.velocity == 0 {
                    assert!(self.down.remove(&event.key), "{event:?} ends what does not sound");
                } else {
                    assert!(self.down.insert(event.key), "{event:?} begins what sounds");
                    self.begun.push((event.beat, event.part, event.key));
                }
            }
            self.now += BLOCK;
        }
    }

    fn on(&mut self, key: u8) {
        self.planner.note_on(self.now, 0, key, 90);
    }

    fn off(&mut self, key: u8) {
        self.planner.note_off(self.now, key);
    }

    fn phrase(&mut self) {
        for key in [60, 64, 67, 72] {
            self.on(key);
            self.to(self.now + 0.5);
            self.off(key);
        }
    }
}

fn settings(mode: LiveMode) -> LiveSettings {
    LiveSettings { mode, per_beat: 3, ..LiveSettings::default() }
}

#[test]
fn it_goes_on_from_the_next_beat_when_you_stop_and_gives_way_when_you_play() {
    for from_bar in [false, true] {
        let mut stage = Stage::new(LiveSettings { from_bar, ..settings(LiveMode::Continue) });
        stage.to(4.0);
        stage.phrase();
        assert!(stage.begun.is_empty(), "it plays while you do");
        let stopped = stage.now;
        stage.to(stopped + 40.0);
        let first = stage.begun.first().expect("it goes on").0;
        let unit = if from_bar { 4.0 } else { 1.0 };
        assert!(first >= (stopped / unit).ceil() * unit - 1e-9, "{first} after {stopped}");
        stage.on(60);
        let begun = stage.begun.len();
        stage.to(stage.now + 8.0);
        assert_eq!((stage.begun.len(), stage.down.len()), (begun, 0), "it plays on against you");
    }
}

#[test]
fn the_other_parts_answer_and_never_yours() {
    let mut stage = Stage::new(settings(LiveMode::Accompany));
    stage.to(1.0);
    for _ in 0..100 {
        stage.phrase();
    }
    let parts: BTreeSet<usize> = stage.begun.iter().map(|&(_, part, _)| part).collect();
    assert!(!parts.is_empty() && !parts.contains(&0), "{parts:?}");
    let ranges = [(55, 103), (55, 98), (48, 91), (36, 81)];
    assert!(stage.begun.iter().all(|&(_, part, key)| (ranges[part].0..=ranges[part].1).contains(&key)));
}

#[test]
fn only_chord_tones_within_the_register_are_played_where_that_is_asked_for() {
    let mut stage =
        Stage::new(LiveSettings { chord_tones: true, lowest: 50, highest: 76, ..settings(LiveMode::Accompany) });
    for key in [48, 52, 55] {
        stage.on(key);
    }
    stage.to(60.0);
    assert!(!stage.begun.is_empty());
    for &(_, _, key) in &stage.begun {
        assert!([0, 4, 7].contains(&(key % 12)) && (50..=76).contains(&key), "{key}");
    }
    // Another chord: nothing of the old one is left to come.
    [48, 52, 55].into_iter().for_each(|key| stage.off(key));
    [50, 53, 57].into_iter().for_each(|key| stage.on(key));
    stage.to(stage.now + 0.5);
    let begun = stage.begun.len();
    stage.to(stage.now + 60.0);
    assert!(stage.begun.len() > begun);
    assert!(stage.begun[begun..].iter().all(|&(_, _, key)| [2, 5, 9].contains(&(key % 12))));
}

#[test]
fn a_part_that_is_switched_off_begins_nothing_more_not_even_what_was_planned() {
    for mode in [LiveMode::Accompany, LiveMode::Continue] {
        let mut stage = Stage::new(settings(mode));
        let mut all = parts(&vocabulary());
        stage.phrase();
        stage.to(80.0);
        let violas = |stage: &Stage, from: usize| stage.begun[from..].iter().filter(|&&(_, part, _)| part == 2).count();
        assert!(violas(&stage, 0) > 0, "{mode:?}");
        // A moment at which the part has a note to come that nothing new could be ready in the place of.
        let near = |stage: &Stage| stage.planner.planned().any(|note| note.part == 2 && note.onset < stage.now + 0.2);
        while !near(&stage) {
            stage.to(stage.now + BLOCK / 2.0);
            assert!(stage.now < 500.0, "{mode:?}: it never has");
        }
        all[2].on = false;
        stage.planner.set(settings(mode), &all);
        let begun = stage.begun.len();
        stage.to(stage.now + 60.0);
        let sent = stage.begun[begun..].iter().filter(|&&(_, part, _)| part == 2).count();
        assert!(stage.begun.len() > begun + 5 && sent == 0, "{mode:?}: {sent} of {}", stage.begun.len() - begun);
        all[2].on = true;
        stage.planner.set(settings(mode), &all);
        stage.to(stage.now + 80.0);
        assert!(violas(&stage, begun) > 0, "{mode:?}: it never comes back");
        // All of them: silence.
        all.iter_mut().for_each(|part| part.on = false);
        stage.planner.set(settings(mode), &all);
        let begun = stage.begun.len();
        stage.to(stage.now + 1.0);
        assert_eq!((stage.begun.len(), stage.down.len()), (begun, 0), "{mode:?}: what sounds is not ended");
        stage.to(stage.now + 19.0);
        assert_eq!((stage.begun.len(), stage.down.len()), (begun, 0), "{mode:?}");
    }
}

#[test]
fn no_beat_has_more_notes_than_the_musician_allows() {
    for most in [1, 2, 3] {
        let mut stage = Stage::new(LiveSettings { per_beat: most, ..settings(LiveMode::Accompany) });
        stage.on(60);
        stage.to(200.0);
        let mut beats: std::collections::BTreeMap<i64, u32> = Default::default();
        stage.begun.iter().for_each(|&(beat, ..)| *beats.entry(beat.floor() as i64).or_default() += 1);
        assert!(beats.len() > 20 && beats.values().all(|&count| count <= most), "{most}: {beats:?}");
        assert!(beats.values().any(|&count| count == most), "{most}: {beats:?}");
    }
}

#[test]
fn a_loop_of_four_bars_played_a_hundred_times_leaks_nothing_and_hangs_nothing() {
    for mode in [LiveMode::Continue, LiveMode::Accompany] {
        let mut stage = Stage::new(settings(mode));
        let mut most = 0;
        for _ in 0..100 {
            stage.to(2.0);
            stage.phrase();
            stage.to(16.0);
            for event in stage.planner.jump(0.0) {
                assert!(stage.down.remove(&event.key));
            }
            stage.now = 0.0;
            most = most.max(stage.planner.remembered());
        }
        assert!(most <= 1024 + 256 + 8, "{most}");
        assert!(!stage.begun.is_empty());
        let due = stage.planner.forget();
        due.iter().for_each(|event| assert!(stage.down.remove(&event.key)));
        assert!(stage.down.is_empty());
    }
}

#[test]
fn a_planned_note_is_shown_before_it_sounds() {
    let mut stage = Stage::new(settings(LiveMode::Accompany));
    stage.on(60);
    let mut shown: BTreeSet<(u64, u8)> = BTreeSet::new();
    for _ in 0..2_000 {
        let begun = stage.begun.len();
        stage.to(stage.now + BLOCK / 2.0);
        for &(beat, _, key) in &stage.begun[begun..] {
            assert!(shown.contains(&(beat.to_bits(), key)), "{key} at {beat} came from nowhere");
        }
        shown.extend(stage.planner.planned().map(|note| (note.onset.to_bits(), note.key)));
    }
    assert!(stage.begun.len() > 3);
}

#[test]
fn plans_reach_a_beat_ahead_and_the_network_never_hears_more_than_its_window() {
    let mut stage = Stage::new(settings(LiveMode::Accompany));
    stage.on(60);
    stage.to(1.0);
    for _ in 0..200 {
        stage.to(stage.now + 0.5);
        assert!(stage.planner.ahead().unwrap() >= 1.0);
    }
    assert!(stage.planner.network().heard() <= stage.planner.network().window());
}

#[test]
fn the_pulse_of_steady_notes_is_found() {
    for tempo in [92.0, 100.0, 120.0, 140.0] {
        let mut pulse = Pulse::default();
        let mut found = None;
        // Quarters and eighths, a little early and late.
        for (i, at) in [0.0, 1.0, 1.5, 2.0, 3.0, 3.5, 4.0, 5.0, 6.0, 6.5, 7.0].into_iter().enumerate() {
            let late = f64::from(i as u32 * 7 % 5) * 0.004 - 0.008;
            found = pulse.onset(10.0 + at * 60.0 / tempo + late);
        }
        let found = found.unwrap();
        assert!((found - tempo).abs() < 0.04 * tempo, "{found} for {tempo}");
    }
    let mut pulse = Pulse::default();
    assert_eq!([0.0, 0.01, 0.5, 1.0].map(|at| pulse.onset(at)), [None; 4], "three onsets are no pulse");
}

#[test]
fn a_plan_that_has_fallen_behind_goes_on_from_now() {
    let mut stage = Stage::new(settings(LiveMode::Accompany));
    stage.on(60);
    stage.to(2.0);
    // Nobody had time for it.
    stage.planner.place(30.0);
    (0..8).for_each(|_| stage.planner.work().unwrap());
    let new: Vec<f64> = stage.planner.planned().map(|note| note.onset).filter(|&onset| onset > 15.0).collect();
    assert!(!new.is_empty() && new.iter().all(|&onset| onset >= 30.0), "{new:?}");
}
