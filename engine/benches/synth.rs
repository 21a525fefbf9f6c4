//! What a segment costs: `cargo bench -p ripieno-engine --bench synth`. Divide by the 0.64 s of music a segment makes.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::synth::{Guidance, PartInput, SegmentRequest, SynthState, Synthesizer};

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

criterion_group!(benches, segment);
criterion_main!(benches);
