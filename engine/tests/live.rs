//! Live playing with the real, trained models: a note of the instant voice and the passage that contains it.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

use std::time::{Duration, Instant};

use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, MAX_PARTS, StatusKind};
use ripieno_engine::synth::{Guidance, Occasion, PassagePart, PassageRequest, Synthesizer};

const RATE: f64 = 48_000.0;

fn request<'a>(performance: usize, steps: usize, parts: &'a [PassagePart<'a>]) -> PassageRequest<'a> {
    let guidance = Guidance::NONE;
    PassageRequest { first: 0, context: 16, frames: 109, lead_in: 8, performance, steps, guidance, seed: 3, parts }
}

/// Normalised correlation of two signals.
fn correlation(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

/// A note that was rendered alone and the same note in a passage much later have the same phases: at no other lag do they
/// agree better, and so one fades into the other without a dip.
#[test]
fn an_instant_note_and_its_context_agree_in_phase_at_lag_zero() {
    let locations = Locations::find().expect("`cargo xtask setup` has put ONNX Runtime in place");
    let runtime = Runtime::load(Some(&locations.runtime)).unwrap();
    let mut synth = Synthesizer::new(&Models::load(runtime, &locations.models).unwrap(), 1, Occasion::Live).unwrap();
    for (performance, player, pitch) in
        [("string-quartet-hall", "violin", 67), ("string-quartet-hall", "cello", 48), ("concert-grand", "piano", 60)]
    {
        let index = synth.catalogue().find(performance).unwrap();
        let instrument = synth.catalogue().instruments().iter().position(|i| i.id.contains(player)).unwrap();
        let note = Note { onset: 0.0, end: f64::INFINITY, pitch, velocity: 96 };
        let alone = synth.render_note(&request(index, 2, &[]), instrument, note, 1.2, || true).unwrap().unwrap().left;
        let key = 20 * 48_000 + 4_217;
        let notes = [
            Note { onset: key as f64 / RATE - 3.0, end: key as f64 / RATE - 0.2, pitch: pitch + 4, velocity: 80 },
            Note { onset: key as f64 / RATE, ..note },
        ];
        let parts = [PassagePart { number: 1, instrument, notes: &notes, before: None, changed: i64::MAX }];
        let first = (key / 480) as i64 + 5;
        let mut out = Vec::new();
        synth.render_passage(&PassageRequest { first, ..request(index, 2, &parts) }, &mut out, |_| true).unwrap();
        let passage = &out[0].audio.left;
        let begin = ((first - 8) * 480) as usize;
        let (from, length) = (0.15, 0.2);
        let at = (from * RATE) as usize;
        let frames = (length * RATE) as usize;
        let context = &passage[key + at - begin..key + at - begin + frames];
        // Beyond half a period the next period agrees as well.
        let half = (RATE / 440.0 / ((f64::from(pitch) - 69.0) / 12.0).exp2() / 2.0) as i64;
        let best = (-half..=half)
            .max_by(|&a, &b| {
                let shifted = |lag: i64| &alone[(at as i64 + lag) as usize..][..frames];
                correlation(shifted(a), context).total_cmp(&correlation(shifted(b), context))
            })
            .unwrap();
        let agreement = correlation(&alone[at..at + frames], context);
        assert!(agreement > 0.8 && best.abs() <= 2, "{performance}, {player}: {agreement:.3}, best at lag {best}");
    }
}

#[test]
fn every_note_is_heard_in_context_and_none_leaves_a_gap() {
    const BLOCK: usize = 64;
    let mut engine = Engine::start(EngineConfig::default());
    engine.audio.configure(RATE, BLOCK);
    let begun = Instant::now();
    while engine.telemetry.progress() < 1.0 || !engine.telemetry.ready() {
        let status = engine.telemetry.status();
        assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
        assert!(begun.elapsed() < Duration::from_secs(120), "{status:?}");
        engine.audio.process(BLOCK);
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.audio.reset();
    let begun = Instant::now();
    let (mut levels, blocks) = (Vec::new(), 8 * RATE as usize / BLOCK);
    for block in 0..blocks {
        // A chord every second, each voice a little apart; the last is left.
        let second = block * BLOCK / RATE as usize;
        if block % (RATE as usize / BLOCK) == 0 && second < 6 {
            for (i, key) in [48u8, 55, 64, 72].into_iter().enumerate() {
                if second > 0 {
                    let kind = EventKind::NoteOff { key: key + (second as u8 - 1) % 3 };
                    engine.audio.event(Event { offset: 0, kind });
                }
                let kind = EventKind::NoteOn { key: key + second as u8 % 3, velocity: 90 };
                engine.audio.event(Event { offset: 7 * i as u32, kind });
            }
        }
        engine.audio.process(BLOCK);
        let sum = (0..MAX_PARTS).flat_map(|part| engine.audio.part(part).0).map(|x| x * x).sum::<f32>();
        levels.push(sum);
        let due = Duration::from_secs_f64((block * BLOCK) as f64 / RATE);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let telemetry = &engine.telemetry;
    let (notes, _) = telemetry.in_context_within(1.0);
    assert!(notes >= 20, "{notes} of 24 notes were heard in context");
    // No gap while keys are down.
    let window = RATE as usize / BLOCK / 20;
    let held = &levels[window..6 * RATE as usize / BLOCK];
    assert!(held.chunks(window).all(|chunk| chunk.iter().sum::<f32>() > 1e-6), "a gap");
}
