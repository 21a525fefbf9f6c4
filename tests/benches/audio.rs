//! What the audio thread spends per block of 32 to 1024 samples at 48 kHz, and the same for a program that never changes:
//! `cargo bench -p ripieno-tests --bench audio`.
//!
//! Blocks come in real time, on a thread with the priority that hosts give it if the system allows; only `process` is
//! timed. Divide by the block's duration (a block of 64 is 1.33 ms); after each size its median, 99.9th percentile and
//! maximum are printed as shares of that. The reference is a tone of 16 partials, timed in the same run around the same
//! blocks. All of it is in `target/audio-bench.json`, too.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, MAX_PARTS, Mode, StatusKind};
use ripieno_tests::cost::Cost;
use ripieno_tests::reference::Reference;
use ripieno_tests::shares::Shares;
use ripieno_tests::{audio_thread, files};
use serde::Serialize;

const RATE: f64 = 48_000.0;
const BLOCKS: [usize; 6] = [32, 64, 128, 256, 512, 1024];
/// Keys that are held: four for each of four parts.
const KEYS: u8 = 16;
const PARTS: usize = 4;

/// One line of `target/audio-bench.json`.
#[derive(Serialize)]
struct Line {
    mode: &'static str,
    parts: usize,
    #[serde(flatten)]
    cost: Cost,
}

#[derive(Serialize)]
struct Report {
    sample_rate: f64,
    processors: usize,
    /// Whether the system gave the audio thread the priority that hosts ask for.
    real_time_priority: bool,
    audio_cost: Vec<Line>,
}

/// What was measured: shares of a block's duration, ours and the reference's.
#[derive(Default)]
struct Seen {
    shares: [Shares; 2],
    real_time_priority: bool,
}

/// Lets so many blocks go by, one in each block's time, on a thread of their own. Returns what ours took in all.
fn blocks(engine: &mut Engine, block: usize, count: u64, seen: &mut Seen) -> Duration {
    let duration = block as f64 / RATE;
    let mut spent = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            seen.real_time_priority = audio_thread::ask_for_priority();
            let mut reference = Reference::default();
            let begun = Instant::now();
            for index in 1..=count {
                let before = Instant::now();
                engine.audio.process(block);
                let ours = before.elapsed();
                spent += ours;
                seen.shares[0].count(ours.as_secs_f64() / duration);
                seen.shares[1].count(reference.time(block) / duration);
                let due = Duration::from_secs_f64(index as f64 * duration);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        });
    });
    spent
}

/// How many parts sound, at the latest after ten seconds.
fn sounding(engine: &mut Engine, block: usize) -> usize {
    let mut sounding = [false; MAX_PARTS];
    for _ in 0..10 * RATE as usize / block {
        blocks(engine, block, 1, &mut Seen::default());
        for (part, sounds) in sounding.iter_mut().enumerate() {
            *sounds |= engine.audio.part(part).0.iter().any(|sample| *sample != 0.0);
        }
        if sounding.iter().filter(|sounds| **sounds).count() == PARTS {
            break;
        }
    }
    sounding.iter().filter(|sounds| **sounds).count()
}

/// An engine whose table of single notes is whole.
fn engine(mode: Mode) -> Engine {
    let mut engine = Engine::start(EngineConfig::default());
    engine.control.set_mode(mode);
    engine.control.set_steps(0);
    engine.audio.configure(RATE, 1024);
    while !engine.telemetry.ready() || engine.telemetry.progress() < 1.0 {
        let status = engine.telemetry.status();
        assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
        blocks(&mut engine, 1024, 1, &mut Seen::default());
    }
    engine
}

/// Four parts with four voices each; in Sync past its latency.
fn press_keys(engine: &mut Engine, mode: Mode) {
    engine.audio.reset();
    for key in 0..KEYS {
        let kind = EventKind::NoteOn { key: 40 + key * 5 / 2, velocity: 90 };
        engine.audio.event(Event { offset: 0, kind });
    }
    blocks(engine, 1024, 100, &mut Seen::default());
    let parts = sounding(engine, 1024);
    assert_eq!(parts, PARTS, "parts that sound in {mode:?}");
    if mode == Mode::Live {
        assert_eq!(engine.telemetry.voices(), u32::from(KEYS), "voices");
    }
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report { sample_rate: RATE, processors, real_time_priority: true, audio_cost: Vec::new() };
    for (name, mode) in [("Live", Mode::Live), ("Sync", Mode::Sync)] {
        let mut engine = engine(mode);
        for block in BLOCKS {
            press_keys(&mut engine, mode);
            let mut seen = Seen::default();
            group.bench_function(format!("{name}, {KEYS} voices, blocks of {block}"), |bencher| {
                bencher.iter_custom(|count| blocks(&mut engine, block, count, &mut seen));
            });
            let cost = Cost::of(block, usize::from(KEYS), &seen.shares);
            let ours = [cost.median, cost.p999, cost.max].map(|share| 100.0 * share);
            let fixed = [cost.reference_median, cost.reference_p999, cost.reference_max].map(|share| 100.0 * share);
            println!(
                "{name}, blocks of {block}: median {:.2} %, p99.9 {:.2} %, max {:.2} %; reference {:.2}, {:.2}, {:.2} %",
                ours[0], ours[1], ours[2], fixed[0], fixed[1], fixed[2]
            );
            report.real_time_priority &= seen.real_time_priority;
            report.audio_cost.push(Line { mode: name, parts: PARTS, cost });
        }
    }
    group.finish();
    let file = files::root().join("target/audio-bench.json");
    let text = serde_json::to_string_pretty(&report).expect("figures are JSON");
    std::fs::write(&file, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    println!("All of it is in {}.", file.display());
}

criterion_group!(benches, process);
criterion_main!(benches);
