//! What the audio thread spends per block of 512 at 48 kHz (10.7 ms): `cargo bench -p ripieno-engine --bench audio`.
//!
//! Blocks come in real time, as from a host; only `process` is timed.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, Mode, StatusKind};

const RATE: f64 = 48_000.0;
const BLOCK: usize = 512;

/// Time within `process` over so many blocks, one every 10.7 ms.
fn blocks(engine: &mut Engine, count: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let begun = Instant::now();
    for block in 1..=count {
        let before = Instant::now();
        engine.audio.process(BLOCK);
        spent += before.elapsed();
        let due = Duration::from_secs_f64(block as f64 * BLOCK as f64 / RATE);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    spent
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process 512 samples");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for (name, mode, keys) in [
        ("Live, silent", Mode::Live, 0),
        ("Live, 10 voices", Mode::Live, 10),
        ("Live, 64 voices", Mode::Live, 64),
        ("Sync, silent", Mode::Sync, 0),
        ("Sync, 4 parts", Mode::Sync, 4),
    ] {
        let mut engine = Engine::start(EngineConfig::default());
        engine.control.set_mode(mode);
        engine.control.set_steps(0);
        engine.audio.configure(RATE, BLOCK);
        while !engine.telemetry.ready() {
            let status = engine.telemetry.status();
            assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
            blocks(&mut engine, 1);
        }
        for key in 0..keys {
            let kind = EventKind::NoteOn { key: 36 + key * 60 / keys, velocity: 90 };
            engine.audio.event(Event { offset: 0, kind });
        }
        // Past the latency of Sync: 1.61 s.
        blocks(&mut engine, 200);
        group.bench_function(name, |bencher| bencher.iter_custom(|count| blocks(&mut engine, count)));
    }
    group.finish();
}

criterion_group!(benches, process);
criterion_main!(benches);
