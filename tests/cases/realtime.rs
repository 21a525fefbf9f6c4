//! The engine with its real models, as a host drives it: what the audio thread may do, and when things sound.

use std::time::{Duration, Instant};

use ripieno_engine::composer::live::{LiveMode, LiveSettings};
use ripieno_engine::stream::{
    AudioSide, Engine, EngineConfig, Event, EventKind, MAX_PARTS, Mode, StatusKind, Transport,
};
use ripieno_tests::allocations::{Counting, watch};
use ripieno_tests::key_to_sound::{KEYS, key_to_sound};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RATE: f64 = 44_100.0;
const BLOCK: usize = 512;

fn engine(mode: Mode, offline: bool, steps: usize) -> Engine {
    let engine = Engine::start(EngineConfig::default());
    engine.control.set_mode(mode);
    engine.control.set_offline(offline);
    engine.control.set_steps(steps);
    engine
}

/// Plays silence in real time until the engine is ready. Panics with its sentence if it cannot be.
fn until_ready(engine: &mut Engine, block: usize) {
    let begun = Instant::now();
    while !engine.telemetry.ready() {
        let status = engine.telemetry.status();
        assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
        assert!(begun.elapsed() < Duration::from_secs(60), "{status:?}");
        engine.audio.process(block);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn note_on(offset: u32, key: u8, velocity: u8) -> Event {
    Event { offset, kind: EventKind::NoteOn { key, velocity } }
}

fn mix(audio: &AudioSide, into: &mut Vec<f32>) {
    let begun = into.len();
    into.resize(begun + audio.part(0).0.len(), 0.0);
    for part in 0..MAX_PARTS {
        let (left, right) = audio.part(part);
        for ((mix, l), r) in into[begun..].iter_mut().zip(left).zip(right) {
            *mix += l + r;
        }
    }
}

#[test]
fn the_audio_thread_neither_allocates_nor_frees() {
    for mode in [Mode::Live, Mode::Sync] {
        let mut engine = engine(mode, false, 0);
        engine.audio.configure(RATE, BLOCK);
        until_ready(&mut engine, BLOCK);
        engine.audio.reset();
        let mut touched = 0;
        let mut notes = 0;
        let mut peak = 0.0f32;
        for block in 0..450u32 {
            let ((), seen) = watch(|| {
                if block % 20 == 0 {
                    for i in 0..(if block == 200 { 300 } else { 6 }) {
                        engine.audio.event(note_on(i, 40 + ((block + 7 * i) % 50) as u8, 100));
                    }
                }
                match block % 20 {
                    5 => engine.audio.event(Event { offset: 3, kind: EventKind::Sustain(true) }),
                    15 => {
                        for key in 40..90 {
                            engine.audio.event(Event { offset: 9, kind: EventKind::NoteOff { key } });
                        }
                        engine.audio.event(Event { offset: 10, kind: EventKind::Sustain(false) });
                    }
                    _ => {}
                }
                if block % 100 == 99 {
                    engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
                }
                let beat = if block < 100 { f64::from(block) * 0.02 } else { 64.0 };
                engine.audio.transport(Transport {
                    tempo_bpm: 110.0,
                    beat,
                    playing: block % 3 != 0,
                    ..Transport::default()
                });
                engine.audio.process(BLOCK);
                notes += engine.audio.midi_out().filter(|note| note.on).count();
                for part in 0..MAX_PARTS {
                    peak = engine.audio.part(part).0.iter().fold(peak, |peak, x| peak.max(x.abs()));
                }
                if block == 300 {
                    engine.audio.reset();
                }
            });
            touched += seen.allocations;
            std::thread::sleep(Duration::from_secs_f64(BLOCK as f64 / RATE));
        }
        assert_eq!(touched, 0, "{mode:?}: the audio thread touched the heap {touched} times");
        assert!(notes > 0 && peak > 0.0, "{mode:?}: {notes} notes, peak {peak}: nothing was tested");
    }
}

#[test]
fn with_the_composer_on_the_audio_thread_neither_allocates_nor_frees() {
    for (mode, composer) in [(Mode::Live, LiveMode::Continue), (Mode::Sync, LiveMode::Accompany)] {
        let mut engine = engine(mode, false, 0);
        let settings = LiveSettings { mode: composer, own_part: 1, per_beat: 2, ..LiveSettings::default() };
        engine.control.set_composer(settings);
        engine.audio.configure(RATE, BLOCK);
        until_ready(&mut engine, BLOCK);
        engine.audio.reset();
        let mut touched = 0;
        let (mut struck, mut begun) = (0, 0);
        let beats = BLOCK as f64 / RATE * 2.0;
        for block in 0..700u32 {
            let ((), seen) = watch(|| {
                // Two beats of playing, four of rest, a pedal; the song jumps back twice, and the composer is turned off and on.
                let key = 60 + (block % 264 / 44 * 2) as u8;
                match (block % 264, block % 44) {
                    (0..88, 0) => {
                        struck += 1;
                        engine.audio.event(note_on(7, key, 90));
                    }
                    (_, 30) => engine.audio.event(Event { offset: 3, kind: EventKind::NoteOff { key } }),
                    (_, 20) => engine.audio.event(Event { offset: 0, kind: EventKind::Sustain(true) }),
                    (_, 40) => engine.audio.event(Event { offset: 9, kind: EventKind::Sustain(false) }),
                    _ => {}
                }
                let beat = f64::from(block % 300) * beats;
                engine.audio.transport(Transport { tempo_bpm: 120.0, beat, playing: true, ..Transport::default() });
                engine.audio.process(BLOCK);
                begun += engine.audio.midi_out().filter(|note| note.on).count();
            });
            touched += seen.allocations;
            if [450, 480].contains(&block) {
                let mode = if block == 450 { LiveMode::Off } else { composer };
                engine.control.set_composer(LiveSettings { mode, ..settings });
            }
            std::thread::sleep(Duration::from_secs_f64(BLOCK as f64 / RATE));
        }
        assert_eq!(touched, 0, "{composer:?}: the audio thread touched the heap {touched} times");
        assert!(begun > struck, "{composer:?}: {begun} notes of which {struck} were played: nothing was composed");
    }
}

#[test]
fn offline_two_renders_with_other_blocks_are_the_same_bytes() {
    let render = |block: usize| {
        let mut engine = engine(Mode::Sync, true, 1);
        engine.audio.configure(RATE, block);
        let mut heard = Vec::new();
        let mut first = true;
        while heard.len() < 150_000 {
            if std::mem::take(&mut first) {
                for key in [48, 55, 64, 72] {
                    engine.audio.event(note_on(0, key, 90));
                }
            }
            engine.audio.process(block);
            mix(&engine.audio, &mut heard);
        }
        heard.truncate(150_000);
        assert_eq!(engine.telemetry.underruns(), 0);
        heard
    };
    let (small, large) = (render(333), render(8_192));
    assert!(small.iter().any(|x| x.abs() > 1e-3), "nothing sounds");
    assert!(small.iter().map(|x| x.to_bits()).eq(large.iter().map(|x| x.to_bits())));
}

#[test]
fn in_sync_the_first_note_after_activation_sounds_on_time_and_within_three_seconds() {
    let begun = Instant::now();
    let mut engine = engine(Mode::Sync, false, 1);
    engine.audio.configure(48_000.0, BLOCK);
    let latency = engine.control.latency_samples(48_000.0) as usize;
    let (mut heard, mut first_sound) = (Vec::new(), None);
    // Half a second in, so that loading the models is over.
    let key_at = 24_000 / BLOCK * BLOCK;
    while heard.len() < key_at + latency + 24_000 {
        if heard.len() == key_at {
            engine.audio.event(note_on(0, 67, 110));
        }
        let from = heard.len();
        engine.audio.process(BLOCK);
        mix(&engine.audio, &mut heard);
        if first_sound.is_none() && heard[from..].iter().any(|x| x.abs() > 1e-3) {
            first_sound = Some(begun.elapsed());
        }
        let due = Duration::from_secs_f64(heard.len() as f64 / 48_000.0);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let first_sound = first_sound.expect("something sounds");
    assert!(first_sound < Duration::from_secs(3), "the first sound came after {first_sound:?}");
    let due = key_at + latency;
    let energy = |from: usize, to: usize| heard[from..to].iter().map(|x| x * x).sum::<f32>() / (to - from) as f32;
    let before = energy(due - 4_800, due - 960);
    let after = energy(due + 1_920, due + 19_200);
    assert!(after > 100.0 * before, "before {before:e}, after {after:e}");
}

#[test]
fn in_live_every_key_sounds_at_its_own_sample() {
    let mut engine = engine(Mode::Live, false, 0);
    for (rate, block) in [(44_100, BLOCK), (48_000, 64)] {
        engine.audio.configure(f64::from(rate), block);
        until_ready(&mut engine, block);
        let delays = key_to_sound(&mut engine, block, rate as usize);
        assert!(delays.len() > KEYS / 2, "of {KEYS} keys {} were pressed in silence", delays.len());
        assert_eq!(delays, vec![0; delays.len()], "samples from key to sound at {rate} Hz in blocks of {block}");
    }
}
