//! What a segment costs: `cargo bench -p ripieno-engine --bench synth`. A segment makes 0.64 s of music, 30,720 samples of
//! every part: divide its time by 0.64 s for the real-time factor, or 48 kelem/s by the throughput.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::synth::{
    BINS, DenoiserInfo, GAINS, Guidance, HELD_FRAMES, HOP, HOP_FRAMES, MEL, NoteRoll, Occasion, Origins, PartInput,
    Resynthesis, SegmentCost, SegmentRequest, StereoBuffer, SynthState, Synthesizer, Voiced,
};

const GUIDED: Guidance = Guidance { notes: 1.25, performance: 1.25 };

/// A synthesizer and the notes of its parts, segment after segment.
struct Bench {
    synth: Synthesizer,
    notes: Vec<Vec<Note>>,
    state: SynthState,
    out: Vec<StereoBuffer>,
    index: i64,
}

impl Bench {
    fn of(synth: Synthesizer, parts: usize) -> Self {
        let held = |pitch| vec![Note { onset: 0.0, end: f64::INFINITY, pitch, velocity: 80 }];
        let notes = [76u8, 69, 60, 45].into_iter().take(parts).map(held).collect();
        Self { synth, notes, state: SynthState::default(), out: Vec::new(), index: 0 }
    }

    fn segment(&mut self, steps: usize, guidance: Guidance) -> SegmentCost {
        let parts: Vec<_> =
            self.notes.iter().enumerate().map(|(i, notes)| PartInput { instrument: i + 1, notes }).collect();
        let request = SegmentRequest { index: self.index, performance: 2, steps, guidance, seed: 1, parts: &parts };
        self.index += 1;
        self.synth.render_segment(&request, &mut self.state, &mut self.out).expect("a segment renders")
    }
}

fn segment(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the models are whole");
    for parts in [1, 4] {
        let mut group = criterion.benchmark_group(format!("segment of {parts} parts, 2 threads"));
        group.sample_size(10).throughput(Throughput::Elements((HOP_FRAMES * HOP) as u64));
        let mut bench = Bench::of(Synthesizer::new(&models, 2, Occasion::Live).expect("the models open"), parts);
        for (name, steps, guidance) in [
            ("prior and vocoder", 0, Guidance::NONE),
            ("1 step", 1, Guidance::NONE),
            ("4 steps", 4, Guidance::NONE),
            ("4 steps guided", 4, GUIDED),
            ("12 steps guided", 12, GUIDED),
        ] {
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| bench.segment(steps, guidance));
            });
        }
        // The networks by themselves, as they are met in a segment.
        for (name, stage) in
            [("prior alone", (|cost| cost.prior) as fn(SegmentCost) -> f64), ("vocoder alone", |cost| cost.vocoder)]
        {
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|times| {
                    let spent = (0..times).map(|_| stage(bench.segment(0, Guidance::NONE)));
                    Duration::from_secs_f64(spent.sum())
                });
            });
        }
        // Every other denoiser of the manifest, as it is played: T5, a distilled one.
        let live = bench.synth.denoiser().name.clone();
        for other in DenoiserInfo::all(&models).into_iter().filter(|info| info.fault.is_none() && info.name != live) {
            let synth = Synthesizer::with_denoiser(&models, 2, &other.name).expect("it was offered");
            let mut bench = Bench::of(synth, parts);
            group.bench_function(BenchmarkId::new(&other.name, format!("{} steps", other.steps)), |bencher| {
                bencher.iter(|| bench.segment(other.steps, Guidance::NONE));
            });
        }
        group.finish();
    }
}

/// Everything of a segment that is not a network: excitation, noise, inverse transforms.
fn resynthesis(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resynthesis of 4 parts, 1 thread");
    let frames = 2 * HELD_FRAMES + HOP_FRAMES;
    let (gains, mel) = (vec![0.1; frames * GAINS * BINS], vec![-5.0; frames * MEL]);
    let (mut resynthesis, mut out) = (Resynthesis::new(), StereoBuffer::default());
    for (name, keys) in [("a note each", 1), ("20 low notes each", 20)] {
        let mut rolls = vec![NoteRoll::default(); 4];
        for (part, roll) in rolls.iter_mut().enumerate() {
            let note = |i| Note { onset: 0.0, end: f64::INFINITY, pitch: 30 + 9 * part as u8 + i, velocity: 80 };
            roll.fill(&(0..keys).map(note).collect::<Vec<_>>(), 1000, frames);
        }
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                for (part, roll) in rolls.iter().enumerate() {
                    let origins = &Origins::default();
                    let given = Voiced { first: 1000, mel: &mel, roll, origins, noise: (1, part) };
                    resynthesis.render(given, &gains, HELD_FRAMES..HELD_FRAMES + HOP_FRAMES, &mut out);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, resynthesis, segment);
criterion_main!(benches);
