//! The whole engine around a renderer that writes one impulse per note: time, order and failure without models.

use super::loading::{Loaded, Loader, Renderer, SEGMENT_SAMPLES, SingleNote};
use super::message::SegmentJob;
use super::*;
use crate::inference::{Models, Runtime};
use crate::score::Note;
use crate::synth::{Catalogue, PartAudio, PassageAudio, PassageRequest, SegmentCost};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

mod composer;
mod faults;
mod live;

/// What a test wants its renderer to do besides.
#[derive(Default)]
struct Behaviour {
    /// Wall time of a segment, in milliseconds.
    takes_ms: AtomicU32,
    /// Wall time of a single note, in milliseconds.
    note_takes_ms: AtomicU32,
    /// How many of the next segments or passages panic.
    panics: AtomicU32,
    /// How many of the next segments or passages fail.
    errors: AtomicU32,
    /// Wall time of each step of a segment, in milliseconds.
    step_takes_ms: AtomicU32,
    /// See [`Faults`].
    lose_every: AtomicU64,
    arranger_panics: AtomicBool,
    /// Segments are the sines of passages in place of impulses.
    sines: AtomicBool,
    /// Single notes are silence, of which there is no table.
    mute_notes: AtomicBool,
    /// How much louder than the instant voice a passage is: bits of a float, less 1.
    passage_level: AtomicU32,
}

/// The key at which a worker panics that a test wants to.
const PANICS: u8 = 21;

struct Impulses(Arc<Behaviour>);

impl Impulses {
    /// Panics or fails, if the test asks for it.
    fn go_wrong(&self) -> Result<(), String> {
        if self.0.panics.load(Ordering::Relaxed) > 0 {
            self.0.panics.fetch_sub(1, Ordering::Relaxed);
            panic!("as the test asked");
        }
        if self.0.errors.load(Ordering::Relaxed) > 0 {
            self.0.errors.fetch_sub(1, Ordering::Relaxed);
            return Err("The prior model failed, as the test asked.".into());
        }
        Ok(())
    }
}

impl Renderer for Impulses {
    fn begin(&mut self) {}

    fn segment(
        &mut self,
        job: &SegmentJob,
        steps: usize,
        out: &mut Vec<PartAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String> {
        std::thread::sleep(Duration::from_millis(self.0.takes_ms.load(Ordering::Relaxed).into()));
        self.go_wrong()?;
        let (step, begun) =
            (Duration::from_millis(self.0.step_takes_ms.load(Ordering::Relaxed).into()), Instant::now());
        let mut taken = 0;
        while taken < steps && (taken == 0 || more(taken)) {
            std::thread::sleep(step);
            taken += 1;
        }
        let denoiser = begun.elapsed().as_secs_f64();
        out.clear();
        let sines = self.0.sines.load(Ordering::Relaxed);
        let first = clock::segment_start(job.index);
        for (_, notes) in &job.parts {
            let mut wave = vec![0.0; SEGMENT_SAMPLES];
            for note in notes {
                if sines {
                    for (sample, at) in wave.iter_mut().zip(first..) {
                        *sample += note_at(note, at as f64 / 48e3);
                    }
                    continue;
                }
                let at = (note.onset * 48_000.0).round() as i64 - first;
                if let Some(sample) = usize::try_from(at).ok().and_then(|at| wave.get_mut(at)) {
                    *sample += f32::from(note.velocity) / 127.0;
                }
            }
            out.push(PartAudio { left: wave.clone(), right: wave });
        }
        let spent =
            SegmentCost { active_parts: out.len(), frames: 128, steps: taken, denoiser, ..SegmentCost::default() };
        Ok(spent)
    }

    /// Sines that begin with their notes, as those of the instant voice do.
    fn passage(
        &mut self,
        request: &PassageRequest<'_>,
        out: &mut Vec<PassageAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String> {
        std::thread::sleep(Duration::from_millis(self.0.takes_ms.load(Ordering::Relaxed).into()));
        self.go_wrong()?;
        let begin = (request.first - request.lead_in as i64) * 480;
        let level = f32::from_bits(self.0.passage_level.load(Ordering::Relaxed)) + 1.0;
        out.clear();
        for part in request.parts {
            let mut audio = PassageAudio::default();
            audio.audio.left = vec![0.0; (request.lead_in + request.frames) * 480];
            for note in part.notes {
                for (i, sample) in audio.audio.left.iter_mut().enumerate() {
                    let seconds = (begin + i as i64) as f64 / 48e3;
                    *sample += level * note_at(note, seconds);
                }
            }
            audio.audio.right = audio.audio.left.clone();
            out.push(audio);
        }
        let steps = (0..request.steps).take_while(|&step| step == 0 || more(step)).count();
        Ok(SegmentCost { active_parts: out.len(), frames: 128, steps, ..SegmentCost::default() })
    }

    fn note(&mut self, note: SingleNote, more: &mut dyn FnMut() -> bool) -> Result<Option<PartAudio>, String> {
        let takes = self.0.note_takes_ms.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(takes.into()));
        if takes > 0 && !more() {
            return Ok(None);
        }
        let played = Note { onset: 0.0, end: note.held, pitch: note.pitch, velocity: note.velocity };
        let frames = (note.seconds * 48_000.0) as usize;
        let level = if self.0.mute_notes.load(Ordering::Relaxed) { 0.0 } else { 1.0 };
        let wave: Vec<f32> = (0..frames).map(|i| level * note_at(&played, i as f64 / 48e3)).collect();
        Ok(Some(PartAudio { left: wave.clone(), right: wave }))
    }
}

/// A sine from its onset on, which dies away by 60 dB in 0.4 s after its end; the loudness of the instant voice's law.
fn note_at(note: &Note, seconds: f64) -> f32 {
    let hz = 440.0 * 2f64.powf((f64::from(note.pitch) - 69.0) / 12.0);
    let since = seconds - note.onset;
    if since < 0.0 {
        return 0.0;
    }
    let release = 0.001f64.powf((seconds - note.end).max(0.0) / 0.4);
    let level = 0.1 * (f64::from(note.velocity) / 96.0).powi(2);
    (level * release * (std::f64::consts::TAU * (hz * since).rem_euclid(1.0)).sin()) as f32
}

fn engine(behaviour: Arc<Behaviour>) -> Engine {
    let loader: Loader = Box::new(move || {
        let behaviour = Arc::clone(&behaviour);
        Ok(Loaded {
            catalogue: catalogue(),
            models: None,
            cache: None,
            faults: Faults {
                lose_every: behaviour.lose_every.load(Ordering::Relaxed),
                arranger_panics_at: Some(PANICS).filter(|_| behaviour.arranger_panics.load(Ordering::Relaxed)),
                ..Faults::default()
            },
            provider: "impulses".into(),
            renderer: Box::new(move || Ok(Box::new(Impulses(Arc::clone(&behaviour))))),
        })
    });
    Engine::start_with(loader)
}

fn sync_engine(behaviour: Arc<Behaviour>, offline: bool) -> Engine {
    let engine = engine(behaviour);
    engine.control.set_mode(Mode::Sync);
    engine.control.set_offline(offline);
    engine
}

fn on(offset: u32, key: u8) -> Event {
    Event { offset, kind: EventKind::NoteOn { key, velocity: 127 } }
}

fn off(offset: u32, key: u8) -> Event {
    Event { offset, kind: EventKind::NoteOff { key } }
}

/// Both channels of all parts summed, and the separated notes with their absolute time.
#[derive(Default, PartialEq, Debug)]
struct Heard {
    parts: Vec<Vec<f32>>,
    midi: Vec<(u64, u8, u8, u8)>,
}

impl Heard {
    fn mix(&self) -> Vec<f32> {
        (0..self.parts[0].len()).map(|i| self.parts.iter().map(|part| part[i]).sum()).collect()
    }
}

/// Plays events at absolute samples through blocks of one size.
/// Between blocks of 480 samples at 48 kHz: twice as fast as time, which is not yet a bounce.
const QUICK: Duration = Duration::from_millis(5);
const _: () = assert!(super::pace::HURRY < 0.5);

fn play(audio: &mut AudioSide, events: &[(u64, EventKind)], samples: u64, block: usize, pace: Duration) -> Heard {
    let mut heard = Heard { parts: vec![Vec::new(); MAX_PARTS], midi: Vec::new() };
    let mut at = 0u64;
    let mut events = events.iter().peekable();
    while at < samples {
        let frames = block.min((samples - at) as usize);
        while let Some((when, kind)) = events.next_if(|(when, _)| *when < at + frames as u64) {
            audio.event(Event { offset: (when - at) as u32, kind: *kind });
        }
        assert_eq!(audio.process(frames), frames);
        for part in 0..MAX_PARTS {
            heard.parts[part].extend_from_slice(audio.part(part).0);
        }
        heard.midi.extend(audio.midi_out().map(|m| (at + u64::from(m.offset), m.part, m.key, m.velocity)));
        at += frames as u64;
        if !pace.is_zero() {
            std::thread::sleep(pace);
        }
    }
    heard
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn in_sync_a_note_sounds_exactly_one_latency_after_its_key_at_every_rate() {
    for rate in [8_000.0, 22_050.0, 44_100.0, 48_000.0, 96_000.0, 192_000.0] {
        let mut engine = sync_engine(Arc::default(), true);
        engine.audio.configure(rate, 512);
        let latency = u64::from(engine.control.latency_samples(rate));
        let times = [0u64, 1, 777, rate as u64 / 2, rate as u64];
        let mut events = Vec::new();
        for (i, &at) in times.iter().enumerate() {
            events.push((at, on(0, 60 + i as u8).kind));
        }
        let heard = play(&mut engine.audio, &events, latency + rate as u64 + 2_000, 512, Duration::ZERO);
        let mix = heard.mix();
        for &at in &times[2..] {
            let due = (at + latency) as usize;
            let window = &mix[due - 300..due + 300];
            let peak = window.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap().0 as i64 - 300;
            // The renderer writes its impulses to whole samples of 48 kHz.
            let allowed = if rate == 48_000.0 { 0 } else { 1 + (rate / 96_000.0) as i64 };
            assert!(peak.abs() <= allowed, "{rate} Hz: a note at {at} sounds {peak} samples off");
        }
        let told: Vec<u64> = heard.midi.iter().filter(|m| m.3 > 0).map(|m| m.0).collect();
        let due: Vec<u64> = times.iter().map(|at| at + latency).collect();
        assert_eq!(told, due, "{rate} Hz: MIDI out does not line up with the audio");
        assert_eq!(engine.telemetry.underruns(), 0);
    }
}

/// A small piece: chords, a pedal, repeated keys, 4 s.
fn piece() -> Vec<(u64, EventKind)> {
    let mut events = Vec::new();
    for step in 0..20u64 {
        let at = step * 9_001;
        for key in [50, 57, 62, 66 + (step % 3) as u8] {
            events.push((at + u64::from(key % 5), on(0, key).kind));
            events.push((at + 7_000 + u64::from(key), off(0, key).kind));
        }
        if step % 5 == 0 {
            events.push((at + 100, EventKind::Sustain(true)));
            events.push((at + 12_000, EventKind::Sustain(false)));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

#[test]
fn offline_every_block_size_gives_the_same_bytes_in_both_modes() {
    for (mode, samples) in [(Mode::Sync, 150_000), (Mode::Live, 30_000)] {
        let mut first: Option<Heard> = None;
        for block in [8_192, 1, 64, 1_000] {
            let mut engine = engine(Arc::default());
            engine.control.set_mode(mode);
            engine.control.set_offline(true);
            engine.audio.configure(44_100.0, 8_192);
            let heard = play(&mut engine.audio, &piece(), samples, block, Duration::ZERO);
            assert!(heard.mix().iter().any(|x| x.abs() > 0.05), "{mode:?}: nothing sounds");
            assert!(!heard.midi.is_empty());
            let first = first.get_or_insert_with(|| Heard { parts: heard.parts.clone(), midi: heard.midi.clone() });
            assert_eq!(first.midi, heard.midi, "{mode:?}, blocks of {block}");
            let same =
                first.parts.iter().flatten().map(|x| x.to_bits()).eq(heard.parts.iter().flatten().map(|x| x.to_bits()));
            assert!(same, "{mode:?}: blocks of {block} differ from blocks of 8192");
        }
    }
}

#[test]
fn in_live_a_key_sounds_in_its_own_block_at_its_offset() {
    let mut engine = engine(Arc::default());
    engine.audio.configure(48_000.0, 256);
    wait_until("the instant voices", || {
        engine.audio.process(1);
        engine.telemetry.ready()
    });
    engine.audio.process(256);
    engine.audio.event(on(100, 62));
    engine.audio.process(256);
    let mix: Vec<f32> = (0..256).map(|i| (0..MAX_PARTS).map(|part| engine.audio.part(part).0[i]).sum()).collect();
    assert!(mix[..100].iter().all(|x| *x == 0.0));
    assert!(mix[100..160].iter().any(|x| x.abs() > 0.01), "{:?}", &mix[100..160]);
    assert_eq!(engine.audio.latency_samples(), 0);
}

#[test]
fn a_worker_too_slow_for_real_time_is_counted_and_its_audio_never_slips() {
    let behaviour = Arc::new(Behaviour::default());
    // Nothing stands in for what is late.
    behaviour.mute_notes.store(true, Ordering::Relaxed);
    let mut engine = sync_engine(Arc::clone(&behaviour), false);
    engine.audio.configure(48_000.0, 480);
    engine.audio.process(1);
    wait_until("loading", || engine.telemetry.ready());
    engine.audio.reset();
    // Twice as fast as time, a segment that takes 600 ms is a hop late, and the next one two.
    behaviour.takes_ms.store(600, Ordering::Relaxed);
    let events: Vec<_> = (0..40u64).map(|i| (i * 9_600, on(0, 40 + (i % 40) as u8).kind)).collect();
    let mut heard = play(&mut engine.audio, &events, 384_000, 480, QUICK);
    behaviour.takes_ms.store(0, Ordering::Relaxed);
    assert!(engine.telemetry.underruns() > 0);
    std::thread::sleep(Duration::from_millis(700));
    let more: Vec<_> = (0..10u64).map(|i| (i * 9_600, on(0, 80 + i as u8).kind)).collect();
    let begun = heard.parts[0].len() as u64;
    let tail = play(&mut engine.audio, &more, 200_000, 480, QUICK);
    for (all, tail) in heard.parts.iter_mut().zip(tail.parts) {
        all.extend(tail);
    }
    // Whatever is heard is at a note's own time.
    let due: Vec<u64> =
        (0..40).map(|i| i * 9_600).chain((0..10).map(|i| begun + i * 9_600)).map(|t| t + 77_280).collect();
    let sounds: Vec<u64> =
        heard.mix().iter().enumerate().filter(|(_, x)| x.abs() > 0.01).map(|(at, _)| at as u64).collect();
    assert!(sounds.iter().all(|at| due.contains(at)), "something sounds at another time: {sounds:?}");
    let after = sounds.iter().filter(|at| **at >= begun + 77_280).count();
    assert!(after >= 5, "it did not come back: {after}");
}

#[test]
fn a_worker_that_panics_is_restarted_and_an_offline_render_goes_on() {
    let behaviour = Arc::new(Behaviour::default());
    behaviour.panics.store(2, Ordering::Relaxed);
    let mut engine = sync_engine(Arc::clone(&behaviour), true);
    engine.audio.configure(48_000.0, 1_024);
    let events: Vec<_> = (0..20u64).map(|i| (i * 9_600, on(0, 40 + i as u8).kind)).collect();
    let heard = play(&mut engine.audio, &events, 192_000 + 77_280, 1_024, Duration::ZERO);
    let count = heard.mix().iter().filter(|x| x.abs() > 0.5).count();
    // Two of 0.64 s are lost, the first of them shorter by what lies before the stream; the rest is heard.
    assert!((12..20).contains(&count), "{count} notes");
    assert_eq!(engine.telemetry.underruns(), 2);
    assert_eq!(engine.telemetry.status().kind, StatusKind::Warning);
}

#[test]
fn the_pedal_and_all_off_end_separated_notes_when_their_sound_ends() {
    let mut engine = sync_engine(Arc::default(), true);
    engine.audio.configure(48_000.0, 512);
    let latency = u64::from(engine.audio.latency_samples());
    let events = [
        (0, EventKind::Sustain(true)),
        (1_000, on(0, 60).kind),
        (2_000, off(0, 60).kind),
        (9_000, EventKind::Sustain(false)),
        (20_000, on(0, 62).kind),
        (20_000, on(0, 65).kind),
        (30_000, EventKind::AllOff),
    ];
    let heard = play(&mut engine.audio, &events, 40_000 + latency, 512, Duration::ZERO);
    let mut ends: Vec<_> = heard.midi.iter().filter(|m| m.3 == 0).map(|m| (m.0 - latency, m.2)).collect();
    ends.sort_unstable();
    assert_eq!(ends, [(9_000, 60), (30_000, 62), (30_000, 65)]);
}

#[test]
fn while_another_performance_loads_the_old_one_still_sounds() {
    let mut engine = engine(Arc::default());
    engine.audio.configure(48_000.0, 256);
    wait_until("the instant voices", || {
        engine.audio.process(256);
        engine.telemetry.ready()
    });
    engine.control.set_performance("concert-grand");
    for _ in 0..200 {
        engine.audio.event(on(0, 62));
        engine.audio.process(256);
        let peak = (0..MAX_PARTS).flat_map(|part| engine.audio.part(part).0).fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!(peak > 0.0);
        engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
        engine.audio.process(256);
        engine.audio.process(256);
    }
}

#[test]
fn a_reset_ends_the_separated_notes_and_begins_the_same_stream_again() {
    let mut engine = sync_engine(Arc::default(), true);
    engine.audio.configure(48_000.0, 512);
    let events = [(100, on(0, 60).kind), (200, on(0, 64).kind)];
    let first = play(&mut engine.audio, &events, 90_000, 512, Duration::ZERO);
    engine.audio.reset();
    let second = play(&mut engine.audio, &events, 90_000, 512, Duration::ZERO);
    assert_eq!(first.parts, second.parts);
    let ended: Vec<_> = second.midi.iter().filter(|m| m.0 == 0).map(|m| (m.2, m.3)).collect();
    assert_eq!(ended.len(), 2);
    assert!(ended.contains(&(60, 0)) && ended.contains(&(64, 0)));
}

#[test]
fn a_song_that_starts_in_silence_begins_a_stream_of_its_own() {
    let rolling = |beat| Transport { beat, playing: true, ..Transport::default() };
    let bounce = |idle: u64| {
        let mut engine = sync_engine(Arc::default(), true);
        engine.audio.configure(44_100.0, 512);
        engine.audio.transport(Transport::default());
        play(&mut engine.audio, &[], idle, 512, Duration::ZERO);
        engine.audio.transport(rolling(0.0));
        let heard =
            play(&mut engine.audio, &[(1_000, on(0, 60).kind), (30_000, off(0, 60).kind)], 90_000, 512, Duration::ZERO);
        assert_eq!(engine.telemetry.stream_seconds(), 90_000.0 / 44_100.0, "seconds since the song started");
        heard
    };
    let first = bounce(0);
    assert!(first.mix().iter().any(|x| x.abs() > 0.1));
    assert_eq!(first, bounce(12_345));

    // What was played before it is heard all the same.
    let mut engine = sync_engine(Arc::default(), true);
    engine.audio.configure(48_000.0, 512);
    engine.audio.transport(Transport::default());
    let notes = [(100, on(0, 60).kind), (200, off(0, 60).kind)];
    let before = play(&mut engine.audio, &notes, 40_000, 512, Duration::ZERO);
    engine.audio.transport(rolling(0.0));
    let after = play(&mut engine.audio, &[], 40_000, 512, Duration::ZERO);
    assert!(before.mix().iter().all(|x| *x == 0.0));
    assert!(after.mix()[37_380].abs() > 0.1, "a note was lost when the song started");
}

#[test]
fn a_storm_of_resets_and_three_hundred_notes_leave_the_engine_playing() {
    for mode in [Mode::Live, Mode::Sync] {
        let mut engine = engine(Arc::default());
        engine.control.set_mode(mode);
        engine.audio.configure(48_000.0, 512);
        for storm in 0..2_000u32 {
            for key in 0..(storm % 4) * 100 {
                engine.audio.event(on(key % 64, (key % 128) as u8));
            }
            engine.audio.process(64);
            if storm % 3 == 0 {
                engine.audio.reset();
            }
        }
        engine.audio.reset();
        engine.control.set_offline(true);
        let events: Vec<_> = (0..300u32).map(|i| (10, on(0, (i % 128) as u8).kind)).collect();
        let heard = play(&mut engine.audio, &events, 160_000, 512, Duration::ZERO);
        assert!(heard.mix().iter().any(|x| x.abs() > 0.1), "{mode:?}");
        let sounding = heard.midi.iter().fold([0i32; 128], |mut count, m| {
            count[usize::from(m.2)] += if m.3 > 0 { 1 } else { -1 };
            count
        });
        assert!(sounding.iter().all(|count| (0..=1).contains(count)), "{mode:?}: {sounding:?}");
    }
}

#[test]
fn without_a_runtime_it_runs_silent_and_says_so_and_ends_at_once() {
    let begun = Instant::now();
    let mut engine = Engine::start(EngineConfig {
        runtime_library: Some("/nowhere/libonnxruntime.so".into()),
        ..EngineConfig::default()
    });
    // It takes a tenth of this; the machine may be busy.
    assert!(begun.elapsed() < Duration::from_millis(20), "starting took {:?}", begun.elapsed());
    assert_ne!(engine.telemetry.status().kind, StatusKind::Failed, "nothing loads before activation");
    engine.control.set_mode(Mode::Sync);
    engine.audio.configure(48_000.0, 512);
    wait_until("the failure", || engine.telemetry.status().kind == StatusKind::Failed);
    assert!(engine.telemetry.status().sentence.contains("xtask setup"), "{:?}", engine.telemetry.status());
    for offline in [false, true] {
        engine.control.set_offline(offline);
        let heard = play(&mut engine.audio, &[(10, on(0, 60).kind)], 100_000, 512, Duration::ZERO);
        assert!(heard.mix().iter().all(|x| *x == 0.0));
    }
    assert_eq!(engine.telemetry.underruns(), 0);
    let begun = Instant::now();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_millis(300), "dropping took {:?}", begun.elapsed());
}

/// Who plays, from the repository's own performances.
fn catalogue() -> Catalogue {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/synth/performances.toml");
        std::fs::read_to_string(path).unwrap()
    });
    Catalogue::parse(&TEXT).unwrap()
}

#[test]
fn that_an_ensembles_model_is_missing_stays_in_the_status_while_others_play() {
    let folder = tempfile::tempdir().unwrap();
    let models = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    std::fs::copy(models.join("manifest.toml"), folder.path().join("manifest.toml")).unwrap();
    std::fs::create_dir(folder.path().join("arranger")).unwrap();
    let quartet = "arranger/quartet_online.onnx";
    std::fs::copy(models.join(quartet), folder.path().join(quartet)).unwrap();
    let models = Models::load(Runtime::load(None).unwrap(), folder.path()).unwrap();
    let mut engine = Engine::start_with(Box::new(move || {
        Ok(Loaded {
            catalogue: catalogue(),
            models: Some(Arc::clone(&models)),
            cache: None,
            faults: Faults::default(),
            provider: "impulses".into(),
            renderer: Box::new(|| Ok(Box::new(Impulses(Arc::default())))),
        })
    }));
    engine.control.set_ensemble("chip-trio");
    engine.audio.configure(48_000.0, 256);
    let block = |engine: &mut Engine| {
        engine.audio.process(1);
        engine.telemetry.ready()
    };
    wait_until("the instant voices", || block(&mut engine));
    let shown = |engine: &Engine| engine.telemetry.status();
    let told = |status: &Status| status.kind == StatusKind::Warning && status.sentence.contains("by range alone");
    wait_until("the warning", || told(&shown(&engine)));
    // Time enough for whoever would say something else.
    std::thread::sleep(Duration::from_millis(50));
    assert!(told(&shown(&engine)) && shown(&engine).sentence.contains("game_research_online.onnx"));
    engine.control.set_ensemble("string-quartet");
    wait_until("another ensemble", || {
        block(&mut engine);
        shown(&engine).kind == StatusKind::Ready
    });
}
