//! What the audio thread spends per block of 32 to 1024 samples at 48 kHz, and the same for a program that never changes:
//! `cargo bench -p ripieno-tests --bench audio`.
//!
//! Blocks come in real time, on a thread with the priority that hosts give it if the system allows; only `process` is
//! timed. Divide by the block's duration (a block of 64 is 1.33 ms); after each size its median, 99.9th percentile and
//! maximum are printed as shares of that. The reference is a tone of 16 partials, timed in the same run around the same
//! blocks.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, Mode, StatusKind};
use ripieno_tests::audio_thread;
use ripieno_tests::reference::Reference;
use ripieno_tests::shares::Shares;

const RATE: f64 = 48_000.0;

/// Lets so many blocks go by, one in each block's time, on a thread of their own. Shares of a block's duration, ours and the
/// reference's, go into `seen`; returns what ours took in all.
fn blocks(engine: &mut Engine, block: usize, count: u64, seen: &mut [Shares; 2]) -> Duration {
    let duration = block as f64 / RATE;
    let mut spent = Duration::ZERO;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            audio_thread::ask_for_priority();
            let mut reference = Reference::default();
            let begun = Instant::now();
            for index in 1..=count {
                let before = Instant::now();
                engine.audio.process(block);
                let ours = before.elapsed();
                spent += ours;
                seen[0].count(ours.as_secs_f64() / duration);
                seen[1].count(reference.time(block) / duration);
                let due = Duration::from_secs_f64(index as f64 * duration);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        });
    });
    spent
}

/// Four parts with four voices each, or as many as there are keys; in Sync past its latency.
fn engine(mode: Mode, keys: u8, block: usize) -> Engine {
    let mut engine = Engine::start(EngineConfig::default());
    engine.control.set_mode(mode);
    engine.control.set_steps(0);
    engine.audio.configure(RATE, 1024);
    while !engine.telemetry.ready() || engine.telemetry.progress() < 1.0 {
        let status = engine.telemetry.status();
        assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
        blocks(&mut engine, block, 1, &mut Default::default());
    }
    for key in 0..keys {
        let kind = EventKind::NoteOn { key: 40 + key * 40 / keys, velocity: 90 };
        engine.audio.event(Event { offset: 0, kind });
    }
    blocks(&mut engine, 1024, 100, &mut Default::default());
    engine
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    for (name, mode, keys) in [("Live, 16 voices", Mode::Live, 16), ("Sync, 16 notes", Mode::Sync, 16)] {
        for block in [32, 64, 128, 256, 512, 1024] {
            let mut engine = engine(mode, keys, block);
            let mut seen = <[Shares; 2]>::default();
            group.bench_function(format!("{name}, blocks of {block}"), |bencher| {
                bencher.iter_custom(|count| blocks(&mut engine, block, count, &mut seen));
            });
            let [ours, fixed] =
                seen.map(|shares| [shares.within(0.5), shares.within(0.999), shares.most()].map(|share| 100.0 * share));
            println!(
                "{name}, blocks of {block}: median {:.2} %, p99.9 {:.2} %, max {:.2} %; reference {:.2}, {:.2}, {:.2} %",
                ours[0], ours[1], ours[2], fixed[0], fixed[1], fixed[2]
            );
        }
    }
    group.finish();
}

criterion_group!(benches, process);
criterion_main!(benches);
