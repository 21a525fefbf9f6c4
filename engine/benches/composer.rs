//! What a step of the composer costs: `cargo bench -p ripieno-engine --bench composer`, on one thread.
//!
//! Wanted: at least 120 notes a second at cache length 512, that is 8.3 ms a note. "without a cache" hears the whole song
//! again for the same note, in the same run.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ripieno_engine::arranger::Ensemble;
use ripieno_engine::composer::live::{LiveMode, LivePart, LiveSettings, Planner};
use ripieno_engine::composer::{
    Course, Event, Kind, Limits, Network, Predictor, Sampler, Vocabulary, encoding, sample,
};
use ripieno_engine::inference::{Locations, Models, Runtime};

/// A song of four voices in quarters, so many events long.
fn song(vocabulary: &Vocabulary, length: usize) -> Vec<Event> {
    let instruments = [40, 41, 42, 43].map(|program| vocabulary.instrument_code(program));
    let mut song = encoding::head(instruments);
    let note = |i: usize| {
        let (pitch, instrument) = (72 - 9 * (i % 4) as u8 + (i * 5 % 7) as u8, instruments[i % 4]);
        encoding::SongNote { onset: 6 * (i / 4) as u64, pitch, duration: 6, instrument }
    };
    let notes: Vec<_> = (0..length).map(note).collect();
    let events = encoding::events(&notes, vocabulary);
    song.extend(&events[..length - song.len()]);
    song
}

fn step(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the manifest can be read");
    let vocabulary = Vocabulary::of(models.manifest()).expect("it has a vocabulary");
    for name in Network::names(&models) {
        let mut network = Network::open(&models, &name, 1).expect("the network opens");
        let mut group = criterion.benchmark_group(format!("a note of {name}"));
        group.sample_size(20);
        let mut sampler = Sampler::new(1);
        for length in [64, 512, 1000] {
            let song = song(&vocabulary, length);
            let mut course = Course::new(&vocabulary);
            song.iter().for_each(|event| course.push(event));
            network.rewind(0);
            network.hear(&song).expect("the network runs");
            let limits = Limits::default();
            group.bench_function(BenchmarkId::new("with a cache", length), |bencher| {
                bencher.iter(|| {
                    let event = sample(&mut network, &course, &limits, &mut sampler).expect("the network runs");
                    assert!(event.is(Kind::Note));
                    network.hear(&[event]).expect("the network runs");
                    network.rewind(length);
                });
            });
            if length != 512 {
                continue;
            }
            group.bench_function(BenchmarkId::new("without a cache", length), |bencher| {
                bencher.iter(|| {
                    network.rewind(0);
                    network.hear(&song).expect("the network runs");
                    sample(&mut network, &course, &limits, &mut sampler).expect("the network runs")
                });
            });
        }
        group.finish();
    }
}

/// What a new plan takes until the next two beats are planned, after a note that contradicts the last one. At 180 quarter
/// notes a minute a beat is 333 ms, and a plan that takes less is ready a beat before it sounds.
fn plan(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the manifest can be read");
    let vocabulary = Vocabulary::of(models.manifest()).expect("it has a vocabulary");
    let Some(name) = Network::names(&models).into_iter().next() else { return };
    let network = Network::open(&models, &name, 1).expect("the network opens");
    let mut planner = Planner::new(network, &vocabulary, 1).expect("the network runs");
    let quartet = Ensemble::find("string-quartet").expect("it is compiled in");
    let settings = LiveSettings { mode: LiveMode::Accompany, chord_tones: true, ..LiveSettings::default() };
    planner.set(settings, &LivePart::of(quartet, &vocabulary));
    let (mut beat, mut i, mut due) = (0.0, 0u8, Vec::new());
    let mut group = criterion.benchmark_group("a new plan of two beats");
    group.sample_size(20);
    group.bench_function(BenchmarkId::from_parameter(&name), |bencher| {
        bencher.iter(|| {
            // Another chord at every half beat: nothing of the last plan fits.
            let key = |i: u8| 60 + i * 7 % 12;
            planner.note_off(beat, key(i));
            (beat, i) = (beat + 0.5, (i + 1) % 12);
            planner.advance(beat, beat + 0.05, &mut due);
            planner.note_on(beat, 0, key(i), 90);
            while planner.ahead().is_some_and(|ahead| ahead < 2.0) {
                planner.work().expect("the network runs");
            }
            due.clear();
        });
    });
    group.finish();
}

criterion_group!(benches, step, plan);
criterion_main!(benches);
