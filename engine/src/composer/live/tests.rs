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
    /// What is to come after the song has gone back.
    coming: Vec<Due>,
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
        Self { planner, now: 0.0, down: BTreeSet::new(), begun: Vec::new(), coming: Vec::new() }
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
                match event.after {
                    Some(_) => self.coming.push(*event),
                    None => self.sounds(event),
                }
            }
            self.now += BLOCK;
        }
    }

    fn sounds(&mut self, event: &Due) {
        if event.velocity == 0 {
            assert!(self.down.remove(&event.key), "{event:?} ends what does not sound");
        } else {
            assert!(self.down.insert(event.key), "{event:?} begins what sounds");
            self.begun.push((event.beat, event.part, event.key));
        }
    }

    /// The song jumps, which ends everything.
    fn jump(&mut self, to: f64) {
        for event in self.planner.jump(to) {
            assert!(self.down.remove(&event.key), "{event:?} ends what does not sound");
        }
        self.down.clear();
        self.now = to;
        std::mem::take(&mut self.coming).iter().for_each(|event| self.sounds(event));
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
fn the_next_bar_is_counted_from_where_the_host_says_that_one_begins() {
    // Quarter notes of a bar, where one begins, where the keys go up, and the bar from which it goes on.
    let cases = [
        (3.0, 0.0, 4.2, 6.0),
        (3.0, 0.0, 5.9, 9.0),
        // 4/4, and 3/4 from beat 16 on: before it, after it, and in a loop that goes back before it.
        (4.0, 12.0, 15.5, 16.0),
        (3.0, 16.0, 17.0, 19.0),
        (4.0, 8.0, 9.0, 12.0),
        // A bar long ago, before the song's beginning, or still to come.
        (3.0, 16.0, 41.0, 43.0),
        (3.0, -2.0, 17.0, 19.0),
        (3.0, 100.0, 17.0, 19.0),
        // 7/8 after a pickup of an eighth, and what is no bar.
        (3.5, 0.5, 3.0, 4.0),
        (0.0, f64::NAN, 17.0, 18.0),
    ];
    for (bar, start, stopped, wanted) in cases {
        let mut stage = Stage::new(LiveSettings { from_bar: true, ..settings(LiveMode::Continue) });
        let planner = &mut stage.planner;
        planner.set_bar(3.5, 0.5);
        planner.set_bar(3.0, 0.0);
        planner.set_bar(bar, start);
        planner.place(stopped);
        planner.note_on(stopped, 0, 60, 90);
        planner.note_off(stopped, 60);
        let from = stopped + planner.ahead().unwrap();
        assert!((from - wanted).abs() < 1e-9, "bars of {bar} from {start}: {from} after {stopped}");
    }
}

#[test]
fn a_meter_that_changes_before_the_next_bar_moves_it() {
    let mut stage = Stage::new(LiveSettings { from_bar: true, ..settings(LiveMode::Continue) });
    let planner = &mut stage.planner;
    planner.place(15.9);
    planner.note_on(15.9, 0, 60, 90);
    planner.note_off(15.9, 60);
    assert!((15.9 + planner.ahead().unwrap() - 20.0).abs() < 1e-9, "the next bar of 4/4 that can be planned for");
    planner.place(16.0);
    planner.set_bar(3.0, 16.0);
    assert!((16.0 + planner.ahead().unwrap() - 19.0).abs() < 1e-9, "{:?}", planner.ahead());
    // What has begun goes on.
    stage.now = 16.0;
    stage.to(24.0);
    let planned: Vec<f64> = stage.planner.planned().map(|note| note.onset).collect();
    stage.planner.set_bar(4.0, 24.0);
    assert!(!planned.is_empty() && stage.begun[0].0 >= 19.0);
    assert_eq!(stage.planner.planned().map(|note| note.onset).collect::<Vec<_>>(), planned);
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
    // Other chords, also where something of the old one is just about to come: nothing of it is left.
    for chord in [[50, 53, 57], [48, 52, 55]].into_iter().cycle().take(8) {
        let about_to_come = |stage: &Stage| {
            let mut notes = stage.planner.planned();
            notes.any(|note| (AHEAD + 0.02..0.2).contains(&(note.onset - stage.now)))
        };
        while !about_to_come(&stage) {
            stage.to(stage.now + BLOCK / 2.0);
            assert!(stage.now < 500.0, "it never is");
        }
        stage.planner.all_off(stage.now);
        chord.into_iter().for_each(|key| stage.on(key));
        let begun = stage.begun.len();
        stage.to(stage.now + 30.0);
        assert!(stage.begun.len() > begun);
        let classes = chord.map(|key| key % 12);
        let wrong: Vec<_> = stage.begun[begun..].iter().filter(|(_, _, key)| !classes.contains(&(key % 12))).collect();
        assert!(wrong.is_empty(), "{wrong:?} with {chord:?}");
    }
}

#[test]
fn nothing_that_is_planned_clashes_with_a_note_that_is_played() {
    // Twelfths of a beat before it is to sound: it is near, within a beat, and after a beat but before what a new plan can
    // have ready a beat ahead.
    for (look_ahead, ticks) in
        [(1.0, 1.0..2.9), (1.0, 3.1..12.0), (4.0, 3.1..12.0), (1.0, 12.5..14.9), (4.0, 12.5..14.9)]
    {
        let mut stage = Stage::new(LiveSettings { look_ahead, ..settings(LiveMode::Accompany) });
        stage.on(60);
        stage.to(4.0);
        let mut found = 0;
        while found < 20 {
            stage.to(stage.now + BLOCK / 2.0);
            assert!(stage.now < 2_000.0, "{look_ahead}, {ticks:?}: {found}");
            // What is sent ahead cannot be taken back.
            let to_come = |stage: &Stage| -> Vec<PlannedNote> {
                stage.planner.planned().filter(|note| note.onset > stage.now + AHEAD).collect()
            };
            let clash = |note: &PlannedNote, key: u8| matches!(note.key.abs_diff(key) % 12, 1 | 11);
            let now = stage.now - BLOCK;
            let near = |note: &&PlannedNote| ticks.contains(&((note.onset - now) * 12.0));
            let before = to_come(&stage);
            let Some(key) = before.iter().find(near).map(|note| note.key + 1) else { continue };
            // Nothing else gives it away.
            if before.iter().any(|note| clash(note, key) && !near(&note)) {
                continue;
            }
            stage.planner.note_on(now, 0, key, 90);
            let left: Vec<PlannedNote> = to_come(&stage).into_iter().filter(|note| clash(note, key)).collect();
            assert!(left.is_empty(), "{look_ahead}, {ticks:?}: {left:?} with {key} at {now}");
            stage.planner.note_off(now, key);
            found += 1;
        }
    }
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
    let cases = [
        (LiveMode::Continue, 4.0, false),
        (LiveMode::Continue, 4.0, true),
        (LiveMode::Accompany, 4.0, false),
        (LiveMode::Accompany, 4.0, true),
        (LiveMode::Accompany, 3.5, true),
    ];
    for (mode, bar, told) in cases {
        let mut stage = Stage::new(settings(mode));
        stage.planner.set_bar(bar, 0.0);
        stage.planner.set_loop(told.then_some((0.0, 4.0 * bar)));
        let mut most = 0;
        for _ in 0..100 {
            stage.to(2.0);
            stage.phrase();
            stage.to(4.0 * bar);
            stage.jump(0.0);
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
fn what_comes_after_a_loops_end_is_planned_before_it_and_sounds_after_its_start() {
    let mut stage = Stage::new(settings(LiveMode::Accompany));
    stage.planner.set_loop(Some((8.0, 16.0)));
    stage.on(60);
    let mut most = 0;
    for _ in 0..40 {
        stage.to(16.0 - 2.0 * AHEAD);
        let to_come = stage.planner.planned().filter(|note| (16.0..20.0).contains(&note.onset));
        let planned: Vec<PlannedNote> = to_come.collect();
        stage.to(16.0);
        let begun = stage.begun.len();
        stage.jump(8.0);
        stage.to(12.0);
        // A key that is held is not struck.
        for wanted in planned.iter().filter(|note| note.key != 60) {
            let same = |found: &&(f64, usize, u8)| found.2 == wanted.key && (found.0 - wanted.onset + 8.0).abs() < 1e-9;
            assert!(stage.begun[begun..].iter().any(|found| same(&found)), "{wanted:?}: {:?}", &stage.begun[begun..]);
        }
        most = most.max(planned.len());
    }
    assert!(most > 3);
    let found = stage.planner.foresight();
    assert_eq!((found.late, found.forced[Cause::Jump as usize]), (0, 0), "{found:?}");
    // A loop that is not foreseen: the song goes back from elsewhere.
    stage.to(14.0);
    stage.jump(8.0);
    stage.to(10.0);
    assert!(stage.planner.foresight().forced[Cause::Jump as usize] > 0);
}

#[test]
fn the_next_bar_may_begin_after_the_song_has_gone_back() {
    // A loop from beat 2 to 16 in bars of 4: after its end comes beat 2, and the next bar begins at 4.
    for (stopped, wanted) in [(9.0, 12.0), (13.0, 18.0), (15.9, 18.0)] {
        let mut stage = Stage::new(LiveSettings { from_bar: true, ..settings(LiveMode::Continue) });
        stage.planner.set_loop(Some((2.0, 16.0)));
        stage.planner.place(stopped);
        stage.planner.note_on(stopped, 0, 60, 90);
        stage.planner.note_off(stopped, 60);
        let from = stopped + stage.planner.ahead().unwrap();
        assert!((from - wanted).abs() < 1e-9, "{from} after {stopped}");
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
