//! The composer in the engine, with the shipped network; offline, so that nothing depends on how fast this machine is.

use super::*;
use crate::composer::live::{LiveMode, LiveSettings};

const RATE: f64 = 48_000.0;
const BLOCK: usize = 4_096;
/// Beats of a block at 120 quarter notes a minute.
const BEATS: f64 = BLOCK as f64 / RATE * 2.0;

/// Offline engines wait for the composer: what it plays depends on the notes alone.
fn composing(settings: LiveSettings) -> Engine {
    composing_with(settings, Faults::default())
}

fn composing_with(settings: LiveSettings, faults: Faults) -> Engine {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    let models = Models::load(Runtime::load(None).unwrap(), folder).unwrap();
    let loader: Loader = Box::new(move || {
        Ok(Loaded {
            catalogue: catalogue(),
            models: Some(Arc::clone(&models)),
            provider: "impulses".into(),
            cache: None,
            faults,
            renderer: Box::new(|| Ok(Box::new(Impulses(Arc::default())))),
        })
    });
    let mut engine = Engine::start_with(loader);
    engine.control.set_mode(Mode::Sync);
    engine.control.set_offline(true);
    engine.control.set_composer(settings);
    engine.audio.configure(RATE, BLOCK);
    engine
}

/// A song that moves, and what it sent.
struct Song {
    engine: Engine,
    playing: bool,
    beat: f64,
    /// Notes that the host believes to sound, and those that began: part and key.
    down: std::collections::BTreeSet<(u8, u8)>,
    begun: Vec<(u8, u8)>,
    /// Samples at which notes began.
    times: Vec<u64>,
    samples: u64,
}

impl Song {
    fn new(settings: LiveSettings) -> Self {
        Self::with(composing(settings))
    }

    fn with(engine: Engine) -> Self {
        Self {
            engine,
            playing: true,
            beat: 0.0,
            down: Default::default(),
            begun: Vec::new(),
            times: Vec::new(),
            samples: 0,
        }
    }

    fn block(&mut self, events: &[EventKind]) {
        let audio = &mut self.engine.audio;
        events.iter().for_each(|&kind| audio.event(Event { offset: 0, kind }));
        audio.transport(Transport { tempo_bpm: 120.0, beat: self.beat, playing: self.playing, bar: 4.0 });
        assert_eq!(audio.process(BLOCK), BLOCK);
        for note in audio.midi_out() {
            let place = (note.part, note.key);
            if note.on {
                self.down.insert(place);
                self.begun.push(place);
                self.times.push(self.samples + u64::from(note.offset));
            } else {
                assert!(self.down.remove(&place), "{place:?} ends and never began");
            }
        }
        self.beat += BEATS;
        self.samples += BLOCK as u64;
    }

    fn to(&mut self, beat: f64) {
        while self.beat < beat {
            self.block(&[]);
        }
    }

    fn phrase(&mut self) {
        for key in [60, 64, 67] {
            self.block(&[EventKind::NoteOn { key, velocity: 90 }]);
            self.to(self.beat + 0.5);
            self.block(&[EventKind::NoteOff { key }]);
        }
    }

    /// Everything is released, and its sound is over.
    fn end(&mut self) {
        self.block(&[EventKind::AllOff]);
        self.engine.control.set_composer(LiveSettings::default());
        self.to(self.beat + 6.0);
        assert!(self.down.is_empty(), "{:?} sound for ever", self.down);
        assert_eq!(self.engine.telemetry.lost_events(), 0);
    }
}

fn settings(mode: LiveMode) -> LiveSettings {
    LiveSettings { mode, per_beat: 2, ..LiveSettings::default() }
}

#[test]
fn when_the_keys_are_up_the_ensemble_goes_on_and_plans_are_shown() {
    let mut song = Song::new(settings(LiveMode::Continue));
    song.phrase();
    let played = song.begun.len();
    song.to(12.0);
    assert!(song.begun.len() > played.max(3), "{:?}", song.begun);
    assert!(!song.engine.telemetry.planned().is_empty());
    song.end();
}

#[test]
fn the_musician_plays_one_part_and_the_others_are_composed() {
    let mut song = Song::new(LiveSettings { own_part: 1, ..settings(LiveMode::Accompany) });
    for _ in 0..6 {
        song.phrase();
    }
    song.to(song.beat + 4.0);
    let own: Vec<u8> = song.begun.iter().filter(|&&(part, _)| part == 1).map(|&(_, key)| key).collect();
    assert_eq!(own, [60, 64, 67].repeat(6));
    assert!(song.begun.len() > own.len() + 3, "{:?}", song.begun);
    song.end();
}

#[test]
fn a_part_that_is_off_is_given_nothing_also_when_it_is_switched_off_in_the_middle_of_a_plan() {
    for mode in [LiveMode::Continue, LiveMode::Accompany] {
        let mut song = Song::new(LiveSettings { per_beat: 4, ..settings(mode) });
        let switch = |song: &Song, part: usize, on: bool| {
            let mut hints = crate::arranger::Hints::default();
            hints.on[part] = on;
            song.engine.control.set_hints(hints);
        };
        let of = |song: &Song, from: usize, part: u8| song.begun[from..].iter().filter(|note| note.0 == part).count();
        switch(&song, 3, false);
        song.phrase();
        song.to(16.0);
        assert!(song.begun.len() > 10 && of(&song, 0, 3) == 0, "{mode:?}: {:?}", song.begun);
        // The part that plays most, while it has notes to come; what is sent ahead is sent, and MIDI is as late as sound.
        let most = (1..3).max_by_key(|&part| of(&song, 0, part)).unwrap();
        let planned = |song: &Song| song.engine.telemetry.planned().iter().any(|note| note.part == most);
        while !planned(&song) {
            song.block(&[]);
        }
        switch(&song, usize::from(most), false);
        let sent = f64::from(song.engine.control.latency_samples(RATE)) / RATE * 2.0 + 0.25;
        song.to(song.beat + sent);
        assert!(!planned(&song), "{mode:?}: what is not to be played is shown");
        let begun = song.begun.len();
        song.to(song.beat + 16.0);
        assert!(song.begun.len() > begun + 5 && of(&song, begun, most) == 0, "{mode:?}: {:?}", &song.begun[begun..]);
        assert!(of(&song, begun, 3) > 0, "{mode:?}: the part that was off is on again, and is given nothing");
        song.end();
    }
}

#[test]
fn a_musicians_register_density_and_chord_hold_in_what_sounds() {
    let limits =
        LiveSettings { lowest: 50, highest: 76, per_beat: 2, chord_tones: true, ..settings(LiveMode::Accompany) };
    let mut song = Song::new(limits);
    let chord = [48, 52, 55];
    song.block(&chord.map(|key| EventKind::NoteOn { key, velocity: 90 }));
    song.to(40.0);
    let latency = u64::from(song.engine.control.latency_samples(RATE));
    let mut beats: std::collections::BTreeMap<u64, u32> = Default::default();
    for (&(part, key), &at) in song.begun.iter().zip(&song.times).filter(|((part, _), _)| *part > 0) {
        assert!([0, 4, 7].contains(&(key % 12)) && (50..=76).contains(&key), "part {part} plays {key}");
        // At 120 quarter notes a minute; a sample early is on time.
        *beats.entry((at + 2 - latency) / 24_000).or_default() += 1;
    }
    assert!(beats.len() > 8 && beats.values().all(|&count| count <= 2), "{beats:?}");
    song.block(&chord.map(|key| EventKind::NoteOff { key }));
    song.end();
}

#[test]
fn a_loop_of_four_bars_played_again_and_again_hangs_no_note() {
    for mode in [LiveMode::Continue, LiveMode::Accompany] {
        let mut song = Song::new(LiveSettings { per_beat: 1, ..settings(mode) });
        for _ in 0..10 {
            song.beat = 0.0;
            song.phrase();
            song.to(16.0);
        }
        assert!(song.begun.len() > 60, "{}", song.begun.len());
        song.end();
    }
}

#[test]
fn the_musicians_pedal_holds_nothing_of_what_is_composed() {
    let mut song = Song::new(LiveSettings { own_part: 1, ..settings(LiveMode::Accompany) });
    song.block(&[EventKind::Sustain(true)]);
    for _ in 0..4 {
        song.phrase();
    }
    assert!(song.begun.len() > 14, "{:?}", song.begun);
    song.engine.control.set_composer(LiveSettings::default());
    song.to(song.beat + 6.0);
    assert_eq!(song.down, [(1, 60), (1, 64), (1, 67)].into());
    song.block(&[EventKind::Sustain(false)]);
    song.end();
}

#[test]
fn without_a_transport_notes_come_at_the_tempo_that_was_set() {
    let mut song = Song::new(LiveSettings { tempo: Some(90.0), ..settings(LiveMode::Continue) });
    song.playing = false;
    song.phrase();
    song.to(24.0);
    let times = &song.times[3..];
    assert!(times.len() > 10, "{times:?}");
    // A twelfth of a beat.
    let tick = RATE * 60.0 / 90.0 / 12.0;
    let ticks = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / tick);
    let off: Vec<f64> = ticks.filter(|ticks| (ticks - ticks.round()).abs() * tick > 1.5).collect();
    assert!(off.is_empty(), "{off:?} ticks apart");
    song.end();
}

#[test]
fn when_the_tempo_changes_what_is_composed_stays_on_the_beats_of_the_song() {
    const BLOCK: usize = 500;
    let mut engine = composing(settings(LiveMode::Continue));
    let latency = f64::from(engine.control.latency_samples(RATE));
    let (mut at, mut beat, mut begun) = (0.0, 0.0, Vec::new());
    // Where each tempo begins, samples and beats.
    let mut tempi = Vec::new();
    engine.audio.event(Event { offset: 0, kind: EventKind::NoteOn { key: 60, velocity: 90 } });
    for (tempo, until) in [(120.0, 6.0), (73.0, 12.0), (171.0, 24.0)] {
        tempi.push((at, beat, tempo));
        while beat < until {
            if at == 6_000.0 {
                engine.audio.event(Event { offset: 0, kind: EventKind::NoteOff { key: 60 } });
            }
            engine.audio.transport(Transport { tempo_bpm: tempo, beat, playing: true, bar: 4.0 });
            engine.audio.process(BLOCK);
            begun.extend(engine.audio.midi_out().filter(|n| n.on).map(|n| at + f64::from(n.offset) - latency));
            at += BLOCK as f64;
            beat += BLOCK as f64 / RATE * tempo / 60.0;
        }
    }
    let mut heard = [0; 3];
    // The first is the musician's.
    for sample in &begun[1..] {
        let last = tempi.partition_point(|(from, ..)| from <= sample) - 1;
        let (from, beat, tempo) = tempi[last];
        let tick = RATE * 60.0 / tempo / 12.0;
        let ticks = beat * 12.0 + (sample - from) / tick;
        assert!((ticks - ticks.round()).abs() * tick < 1.5, "at {tempo} a note begins on tick {ticks}");
        heard[last] += 1;
    }
    assert!(heard.iter().all(|&count| count > 3), "{heard:?}");
}

/// A piece for the keyboard: chords on the beat and beside it, a pedal, pauses that the composer fills; 7 s.
fn keyboard() -> Vec<(u64, EventKind)> {
    let mut events = Vec::new();
    for step in 0..5u64 {
        let at = step * 72_000 + step % 3 * 1_000;
        for (i, key) in [48, 55, 64, 72 + (step % 2) as u8].into_iter().enumerate() {
            events.push((at + 7 * i as u64, on(0, key).kind));
            events.push((at + 20_000 + 1_111 * i as u64, off(0, key).kind));
        }
        events.push((at + 25_001, EventKind::Sustain(true)));
        events.push((at + 30_001, on(0, 67).kind));
        events.push((at + 31_777, off(0, 67).kind));
        events.push((at + 33_333, EventKind::Sustain(false)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

#[test]
fn offline_the_same_is_composed_whatever_the_block_size() {
    for mode in [LiveMode::Continue, LiveMode::Accompany] {
        let mut first: Option<Vec<(u64, u8, u8, u8)>> = None;
        for block in [1_000, 64] {
            let mut engine = composing(LiveSettings { own_part: 3, chord_tones: true, ..settings(mode) });
            let mut sent = Vec::new();
            let (mut at, mut events) = (0u64, keyboard().into_iter().peekable());
            while at < 370_000 {
                while let Some((when, kind)) = events.next_if(|(when, _)| *when < at + block as u64) {
                    engine.audio.event(Event { offset: (when - at) as u32, kind });
                }
                let beat = at as f64 / RATE * 100.0 / 60.0;
                engine.audio.transport(Transport { tempo_bpm: 100.0, beat, playing: true, bar: 4.0 });
                engine.audio.process(block);
                sent.extend(engine.audio.midi_out().map(|m| (at + u64::from(m.offset), m.part, m.key, m.velocity)));
                at += block as u64;
            }
            sent.retain(|note| note.0 < 360_000);
            // At one sample ends and beginnings of several parts may come in another order.
            sent.sort_unstable();
            let ours = sent.iter().filter(|note| note.3 > 0 && (note.1 != 3 || mode == LiveMode::Continue)).count();
            assert!(ours > 10, "{mode:?}: {ours} notes");
            let first = first.get_or_insert_with(|| sent.clone());
            let differs = first.iter().zip(&sent).find(|(a, b)| a != b);
            assert_eq!(*first, sent, "{mode:?}, blocks of {block}: from {differs:?} on");
        }
    }
}

#[test]
fn a_composer_that_panics_is_started_again_and_nothing_hangs() {
    let faults = Faults { composer_panics_at: Some(PANICS), ..Faults::default() };
    let mut song = Song::with(composing_with(settings(LiveMode::Continue), faults));
    song.phrase();
    while song.down.is_empty() || song.beat < 10.0 {
        song.block(&[]);
        assert!(song.beat < 60.0, "nothing is composed");
    }
    song.block(&[EventKind::NoteOn { key: PANICS, velocity: 90 }]);
    // The latency is 3.2 beats; while a key is held nothing new is composed.
    song.to(song.beat + 5.0);
    assert!(song.down.iter().all(|&(_, key)| key == PANICS), "{:?} hang", song.down);
    let status = song.engine.telemetry.status();
    assert!(status.sentence.contains("composer stopped unexpectedly"), "{}", status.sentence);
    song.block(&[EventKind::NoteOff { key: PANICS }]);
    let begun = song.begun.len();
    song.phrase();
    song.to(song.beat + 16.0);
    assert!(song.begun.len() > begun + 4, "it composes no more: {:?}", &song.begun[begun..]);
    song.end();
}
