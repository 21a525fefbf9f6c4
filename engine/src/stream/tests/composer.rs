//! The composer in the engine, with the shipped network; offline, so that nothing depends on how fast this machine is.

use super::*;
use crate::composer::live::{LiveMode, LiveSettings};

const RATE: f64 = 48_000.0;
const BLOCK: usize = 4_096;
/// Beats of a block at 120 quarter notes a minute.
const BEATS: f64 = BLOCK as f64 / RATE * 2.0;

/// Offline engines wait for the composer: what it plays depends on the notes alone.
fn composing(settings: LiveSettings) -> Engine {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    let models = Models::load(Runtime::load(None).unwrap(), folder).unwrap();
    let loader: Loader = Box::new(move || {
        Ok(Loaded {
            catalogue: catalogue(),
            models: Some(Arc::clone(&models)),
            provider: "impulses".into(),
            cache: None,
            faults: Faults::default(),
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
    beat: f64,
    /// Notes that the host believes to sound, and those that began: part and key.
    down: std::collections::BTreeSet<(u8, u8)>,
    begun: Vec<(u8, u8)>,
}

impl Song {
    fn new(settings: LiveSettings) -> Self {
        Self { engine: composing(settings), beat: 0.0, down: Default::default(), begun: Vec::new() }
    }

    fn block(&mut self, events: &[EventKind]) {
        let audio = &mut self.engine.audio;
        events.iter().for_each(|&kind| audio.event(Event { offset: 0, kind }));
        audio.transport(Transport { tempo_bpm: 120.0, beat: self.beat, playing: true, bar: 4.0 });
        assert_eq!(audio.process(BLOCK), BLOCK);
        for note in audio.midi_out() {
            let place = (note.part, note.key);
            if note.on {
                self.down.insert(place);
                self.begun.push(place);
            } else {
                assert!(self.down.remove(&place), "{place:?} ends and never began");
            }
        }
        self.beat += BEATS;
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
