//! What the audio thread spends per block of 32 to 1024 samples at 48 kHz, and the same for a program that never changes:
//! `cargo bench -p ripieno-engine --bench audio`.
//!
//! Blocks come in real time, as from a host; only `process` is timed. Divide by the block's duration (a block of 64 is
//! 1.33 ms); after each size its median, 99.9th percentile and maximum are printed as shares of that. The reference is
//! 16 partials of a tone by `f32::sin`, timed in the same run around the same blocks.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, Mode, StatusKind};

const RATE: f64 = 48_000.0;

/// Times of `work` and of the reference over so many blocks, one in each block's time.
fn blocks(block: usize, count: u64, mut work: impl FnMut()) -> [Vec<Duration>; 2] {
    let mut times = [const { Vec::new() }; 2];
    let mut phase = 0.0f32;
    let begun = Instant::now();
    for index in 1..=count {
        let before = Instant::now();
        work();
        times[0].push(before.elapsed());
        let before = Instant::now();
        black_box(reference(block, &mut phase));
        times[1].push(before.elapsed());
        let due = Duration::from_secs_f64(index as f64 * block as f64 / RATE);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    times
}

fn reference(block: usize, phase: &mut f32) -> f32 {
    (0..block).fold(0.0, |sum, _| {
        *phase += 0.01;
        sum + (1..=16).map(|partial| (*phase * partial as f32).sin()).sum::<f32>()
    })
}

/// Median, 99.9th percentile and maximum as percent of a block.
fn shares(block: usize, mut times: Vec<Duration>) -> [f64; 3] {
    times.sort();
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)].as_secs_f64();
    [0.5, 0.999, 1.0].map(|share| 100.0 * at(share) * RATE / block as f64)
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
        blocks(block, 1, || {
            engine.audio.process(block);
        });
    }
    for key in 0..keys {
        let kind = EventKind::NoteOn { key: 40 + key * 40 / keys, velocity: 90 };
        engine.audio.event(Event { offset: 0, kind });
    }
    blocks(1024, 100, || {
        engine.audio.process(1024);
    });
    engine
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    for (name, mode, keys) in [("Live, 16 voices", Mode::Live, 16), ("Sync, 16 notes", Mode::Sync, 16)] {
        for block in [32, 64, 128, 256, 512, 1024] {
            let mut engine = engine(mode, keys, block);
            let mut seen = [const { Vec::new() }; 2];
            group.bench_function(format!("{name}, blocks of {block}"), |bencher| {
                bencher.iter_custom(|count| {
                    let times = blocks(block, count, || {
                        engine.audio.process(block);
                    });
                    let spent = times[0].iter().sum();
                    seen.iter_mut().zip(times).for_each(|(seen, times)| seen.extend(times));
                    spent
                });
            });
            let [ours, fixed] = seen.map(|times| shares(block, times));
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
