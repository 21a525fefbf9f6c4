//! What a note costs to give out: `cargo bench -p ripieno-engine --bench arranger`, on one core.
//!
//! Wanted: half of all single notes within 0.2 ms, all but one in a hundred within 1 ms, at any place of a performance of
//! half an hour. The quantiles are printed, of the first and the last minutes apart: nothing may grow.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ripieno_engine::arranger::{Arranger, Ensemble, Hints};
use ripieno_engine::inference::{Locations, Models, Runtime};

/// Notes of half an hour at eight a second.
const NOTES: usize = 30 * 60 * 8;
/// Notes of the first and the last two minutes.
const ENDS: usize = 2 * 60 * 8;

/// A key that wanders over the middle of the keyboard and is held over the next three.
fn key(i: usize) -> u8 {
    (48 + (i * 7 + i / 5) % 36) as u8
}

fn play(arranger: &mut Arranger, i: usize, given: &mut Vec<Option<usize>>) -> Duration {
    let began = Instant::now();
    arranger.chord(&[(key(i), 80)], i as f64 / 4.0, given);
    let taken = began.elapsed();
    if i >= 3 {
        arranger.note_off(key(i - 3));
    }
    taken
}

fn quantiles(times: &[Duration]) -> [f64; 2] {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    [0.50, 0.99].map(|q| sorted[((sorted.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3)
}

fn note(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the models are whole");
    let mut group = criterion.benchmark_group("one note");
    group.sample_size(20);
    let mut hints = Hints::default();
    hints.on[1] = false;
    hints.pitch[0] = Some(76);
    for id in ["satb-choir", "string-quartet", "rock-band", "chip-trio", "brass-quintet"] {
        let ensemble = Ensemble::find(id).expect("it is compiled in");
        // A research model may be left out of an installation.
        let Ok(mut arranger) = Arranger::new(ensemble, Some(&models)) else { continue };
        arranger.set_hints(&hints);
        let mut given = Vec::new();
        let times: Vec<Duration> = (0..NOTES).map(|i| play(&mut arranger, i, &mut given)).collect();
        for (what, some) in [("half an hour", &times[..]), ("begin", &times[..ENDS]), ("end", &times[NOTES - ENDS..])] {
            let [p50, p99] = quantiles(some);
            println!("{id}, {what}: p50 {p50:.3} ms, p99 {p99:.3} ms");
        }
        let mut i = NOTES;
        group.bench_function(BenchmarkId::from_parameter(id), |bencher| {
            bencher.iter(|| {
                i += 1;
                play(&mut arranger, i, &mut given)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, note);
criterion_main!(benches);
