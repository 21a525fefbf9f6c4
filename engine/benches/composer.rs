//! What a step of the composer costs: `cargo bench -p ripieno-engine --bench composer`, on one thread.
//!
//! Wanted: at least 120 notes a second at cache length 512, that is 8.3 ms a note, and no more than the network of the paper
//! costs at the same size. All networks of the manifest compose in turn, so that whatever else the machine does slows them
//! alike, and what counts is processor time, where the system tells it; the medians of all rounds come last. To have the
//! paper's among them, in 32 bits and in 8, with weights drawn by lot, which do not change the work: into a copy of the
//! models folder that `RIPIENO_MODELS` names, `python -m ripieno_training.composer untrained --model mmt_small --models
//! COPY`. "without a cache" hears the whole song again for the same note.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use ripieno_engine::arranger::Ensemble;
use ripieno_engine::composer::live::{LiveMode, LivePart, LiveSettings, Planner};
use ripieno_engine::composer::{
    Course, Event, Kind, Limits, Network, Predictor, Sampler, Vocabulary, encoding, sample,
};
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::processor::processor_time;

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

/// A network that has heard a song and composes the next note, again and again.
struct Composing {
    name: String,
    network: Network,
    course: Course,
    song: Vec<Event>,
    sampler: Sampler,
}

impl Composing {
    /// After a song of so many events.
    fn new(models: &Models, name: String, vocabulary: &Arc<Vocabulary>, length: usize) -> Self {
        let mut network = Network::open(models, &name, 1).expect("the network opens");
        let (mut course, song) = (Course::new(vocabulary), song(vocabulary, length));
        song.iter().for_each(|event| course.push(event));
        network.hear(&song).expect("the network runs");
        Self { name, network, course, song, sampler: Sampler::new(1) }
    }

    fn note(&mut self) {
        let event = sample(&mut self.network, &self.course, &Limits::default(), &mut self.sampler);
        let event = event.expect("the network runs");
        assert!(event.is(Kind::Note));
        self.network.hear(&[event]).expect("the network runs");
        self.network.rewind(self.song.len());
    }

    fn note_without_a_cache(&mut self) {
        self.network.rewind(0);
        self.network.hear(&self.song).expect("the network runs");
        sample(&mut self.network, &self.course, &Limits::default(), &mut self.sampler).expect("the network runs");
    }
}

/// What `work` takes of the processor, or of time.
fn spent(work: impl FnOnce()) -> Duration {
    let (before, start) = (processor_time(), Instant::now());
    work();
    match (before, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed(),
    }
}

/// All of them compose in turn, as often as each is to be measured. Prints the medians of all rounds.
fn in_turn(group: &mut BenchmarkGroup<WallTime>, all: &mut [Composing], how: &str, note: fn(&mut Composing)) {
    let mut rounds: Vec<Vec<Duration>> = Vec::new();
    for i in 0..all.len() {
        group.bench_function(BenchmarkId::new(how, all[i].name.clone()), |bencher| {
            bencher.iter_custom(|times| {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let took: Vec<Duration> = all.iter_mut().map(|one| spent(|| note(one))).collect();
                    total += took[i];
                    rounds.push(took);
                }
                total
            });
        });
    }
    for (i, composing) in all.iter().enumerate() {
        let mut times: Vec<Duration> = rounds.iter().map(|took| took[i]).collect();
        times.sort_unstable();
        if let Some(median) = times.get(times.len() / 2) {
            let (name, after) = (&composing.name, composing.song.len());
            println!("{name} {how}: {median:?} after {after} events, median of all {} rounds", times.len());
        }
    }
}

fn step(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the manifest can be read");
    let vocabulary = Vocabulary::of(models.manifest()).expect("it has a vocabulary");
    for length in [64, 512, 1000] {
        let open = |name| Composing::new(&models, name, &vocabulary, length);
        let mut all: Vec<Composing> = Network::names(&models).into_iter().map(open).collect();
        let mut group = criterion.benchmark_group(format!("a note after {length} events"));
        group.sample_size(20);
        in_turn(&mut group, &mut all, "with a cache", Composing::note);
        if length == 512 {
            in_turn(&mut group, &mut all, "without a cache", Composing::note_without_a_cache);
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
