//! What a segment costs: `cargo bench -p ripieno-engine --bench synth`. Divide by the 0.64 s of music a segment makes.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::synth::{
    BINS, CONTEXT_FRAMES, GAINS, Guidance, HOP_FRAMES, NoteRoll, OVERLAP_FRAMES, Origins, PartInput, Resynthesis,
    SegmentRequest, StereoBuffer, SynthState, Synthesizer,
};

fn segment(criterion: &mut Criterion) {
    let locations = Locations::find().expect("run `cargo xtask setup` first");
    let runtime = Runtime::load(Some(&locations.runtime)).expect("ONNX Runtime loads");
    let models = Models::load(runtime, &locations.models).expect("the models are whole");
    let mut group = criterion.benchmark_group("segment of 4 parts, 2 threads");
    group.sample_size(10);
    let mut synth = Synthesizer::new(&models, 2).expect("the models open");
    let notes: Vec<Vec<Note>> = [76u8, 69, 60, 45]
        .iter()
        .map(|&pitch| vec![Note { onset: 0.0, end: f64::INFINITY, pitch, velocity: 80 }])
        .collect();
    let parts: Vec<_> = notes.iter().enumerate().map(|(i, notes)| PartInput { instrument: i + 1, notes }).collect();
    let guided = Guidance { notes: 1.25, performance: 1.25 };
    for (name, steps, guidance) in [
        ("prior alone", 0, Guidance::NONE),
        ("1 step", 1, Guidance::NONE),
        ("4 steps", 4, Guidance::NONE),
        ("4 steps guided", 4, guided),
    ] {
        let (mut state, mut out) = (SynthState::default(), Vec::new());
        let mut index = 0;
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let request = SegmentRequest { index, performance: 2, steps, guidance, seed: 1, parts: &parts };
                index += 1;
                synth.render_segment(&request, &mut state, &mut out).expect("a segment renders")
            });
        });
    }
    group.finish();
}

/// Everything of a segment that is not a network: excitation, noise, inverse transforms.
fn resynthesis(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resynthesis of 4 parts, 1 thread");
    let frames = CONTEXT_FRAMES + HOP_FRAMES + OVERLAP_FRAMES;
    let gains = vec![0.1; frames * GAINS * BINS];
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
                    resynthesis.render(
                        (roll, &gains),
                        &Origins::default(),
                        (1, part),
                        1000,
                        CONTEXT_FRAMES..frames,
                        &mut out,
                    );
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, resynthesis, segment);
criterion_main!(benches);
