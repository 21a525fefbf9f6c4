//! The synthesizer with its real, trained models.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

use std::f64::consts::TAU;

use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::synth::{
    Guidance, HELD_FRAMES, HOP, HOP_FRAMES, Occasion, PartAudio, PartInput, SAMPLE_RATE, SamplerKind, Sampling,
    SegmentRequest, Start, SynthState, Synthesizer, mel::mel_frames,
};

/// Channels of a mel frame; the first half are mid.
const MEL: usize = 256;

fn synthesizer() -> Synthesizer {
    let locations = Locations::find().expect("`cargo xtask setup` has put ONNX Runtime in place");
    let runtime = Runtime::load(Some(&locations.runtime)).unwrap();
    Synthesizer::new(&Models::load(runtime, &locations.models).unwrap(), 1, Occasion::Live).unwrap()
}

fn request<'a>(synth: &Synthesizer, performance: &str, parts: &'a [PartInput<'a>]) -> SegmentRequest<'a> {
    SegmentRequest {
        index: 0,
        performance: synth.catalogue().find(performance).unwrap(),
        steps: 0,
        guidance: Guidance::NONE,
        seed: 7,
        parts,
    }
}

/// Renders `segments` segments of every part, one after the other, from the first frame on.
fn render(synth: &mut Synthesizer, request: SegmentRequest<'_>, segments: i64) -> Vec<PartAudio> {
    let (mut state, mut out) = (SynthState::default(), Vec::new());
    let mut whole = vec![PartAudio::default(); request.parts.len()];
    for index in 0..segments {
        synth.render_segment(&SegmentRequest { index, ..request }, &mut state, &mut out).unwrap();
        for (whole, part) in whole.iter_mut().zip(&out) {
            whole.left.extend_from_slice(&part.left);
            whole.right.extend_from_slice(&part.right);
        }
    }
    for part in &mut whole {
        part.left.drain(..HELD_FRAMES * HOP);
        part.right.drain(..HELD_FRAMES * HOP);
    }
    whole
}

fn note(onset: f64, end: f64, pitch: u8) -> Note {
    Note { onset, end, pitch, velocity: 90 }
}

fn instrument(synth: &Synthesizer, id: &str) -> usize {
    synth.catalogue().instruments().iter().position(|instrument| instrument.id == id).unwrap()
}

fn rms(samples: &[f32]) -> f64 {
    (samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// Amplitude of one frequency in a Hann window over the samples.
fn partial(samples: &[f32], hz: f64) -> f64 {
    let n = samples.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * i as f64 / n).cos();
        let phase = TAU * hz * i as f64 / f64::from(SAMPLE_RATE);
        re += f64::from(sample) * window * phase.cos();
        im += f64::from(sample) * window * phase.sin();
    }
    (re * re + im * im).sqrt() * 4.0 / n
}

fn hz(pitch: u8) -> f64 {
    440.0 * ((f64::from(pitch) - 69.0) / 12.0).exp2()
}

#[test]
fn a_note_sounds_at_its_pitch_from_its_onset_on_and_not_before() {
    let mut synth = synthesizer();
    for (performance, player, pitch) in
        [("concert-grand", "piano", 60), ("string-quartet-hall", "violin", 69), ("woodwinds-hall", "clarinet", 62)]
    {
        let notes = [note(0.5, 1.5, pitch)];
        let parts = [PartInput { instrument: instrument(&synth, player), notes: &notes }];
        let request = request(&synth, performance, &parts);
        let audio = render(&mut synth, request, 4).remove(0);
        let at = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)) as usize;
        let (before, during) = (rms(&audio.left[..at(0.4)]), rms(&audio.left[at(0.6)..at(1.2)]));
        assert!(during > 1e-3, "{player}: {during}");
        assert!(before < during * 0.03, "{player}: {before} before, {during} during");
        let sounding = &audio.left[at(0.65)..at(1.25)];
        let level = |pitch: u8| partial(sounding, hz(pitch)) + partial(sounding, 2.0 * hz(pitch));
        for semitones in [1, 2, 5, 6] {
            for other in [pitch + semitones, pitch - semitones] {
                let (own, theirs) = (level(pitch), level(other));
                assert!(own > 3.0 * theirs, "{player}: pitch {pitch} has level {own}, pitch {other} has {theirs}");
            }
        }
        let peak = audio.left.iter().chain(&audio.right).fold(0.0f32, |peak, s| peak.max(s.abs()));
        assert!(peak < 1.0, "{player}: peak {peak}");
    }
}

#[test]
fn silence_in_is_silence_out() {
    let mut synth = synthesizer();
    let parts = [PartInput { instrument: 0, notes: &[] }; 4];
    let request = request(&synth, "concert-grand", &parts);
    for part in render(&mut synth, request, 2) {
        assert!(part.left.iter().chain(&part.right).all(|&sample| sample == 0.0));
    }
}

#[test]
fn the_same_requests_give_the_same_bytes() {
    let notes = [note(0.1, 1.0, 67), note(0.7, 1.9, 72)];
    let again = || {
        let mut synth = synthesizer();
        let parts = [PartInput { instrument: instrument(&synth, "flute"), notes: &notes }];
        let request = request(&synth, "woodwinds-hall", &parts);
        render(&mut synth, request, 3)
    };
    assert_eq!(again(), again());
}

#[test]
fn a_part_sounds_the_same_alone_and_among_others() {
    let mut synth = synthesizer();
    let (high, low) = ([note(0.1, 1.0, 72)], [note(0.1, 1.0, 48)]);
    let player = instrument(&synth, "organ");
    let both = [PartInput { instrument: player, notes: &high }, PartInput { instrument: player, notes: &low }];
    let together = request(&synth, "organ-maeshowe", &both);
    let together = render(&mut synth, together, 2).remove(0);
    let alone = request(&synth, "organ-maeshowe", &both[..1]);
    let alone = render(&mut synth, alone, 2).remove(0);
    let difference: Vec<f32> = together.left.iter().zip(&alone.left).map(|(a, b)| a - b).collect();
    assert!(rms(&difference) < 1e-4 * rms(&alone.left));
}

#[test]
fn a_held_note_has_no_seam_where_segments_join() {
    let mut synth = synthesizer();
    let (ddim, dpm) = (Sampling::with(SamplerKind::Ddim), Sampling::with(SamplerKind::DpmPlusPlus2M));
    let noisy = Sampling { eta: 1.0, ..ddim };
    for (performance, player, pitch, steps, sampling) in [
        ("organ-maeshowe", "organ", 64, 0, ddim),
        ("organ-maeshowe", "organ", 64, 2, ddim),
        ("string-quartet-hall", "violin", 74, 2, ddim),
        ("brass-hall", "trombone", 52, 2, ddim),
        ("brass-hall", "trombone", 52, 4, dpm),
        ("organ-maeshowe", "organ", 64, 4, Sampling { start: Start::PRIOR, ..dpm }),
        ("organ-maeshowe", "organ", 64, 4, noisy),
    ] {
        synth.set_sampling(sampling).unwrap();
        let notes = [note(0.1, 20.0, pitch)];
        let parts = [PartInput { instrument: instrument(&synth, player), notes: &notes }];
        let request = SegmentRequest { steps, ..request(&synth, performance, &parts) };
        let audio = render(&mut synth, request, 14).remove(0);
        let (first, last) = (2 * HOP_FRAMES, 13 * HOP_FRAMES);
        let mel = mel_frames(&audio.left, &audio.right, first, last - first);
        // Mean change of the bands in which the note sounds, from a frame to the one two later (a window's length),
        // where a segment begins or its overlap ends, and everywhere else.
        let loudest = mel.chunks(MEL).flat_map(|frame| &frame[..MEL / 2]).copied().fold(f32::MIN, f32::max);
        let change = |i: usize| {
            let (from, to) = (&mel[i * MEL..i * MEL + MEL / 2], &mel[(i + 2) * MEL..(i + 2) * MEL + MEL / 2]);
            let sounding: Vec<f32> =
                from.iter().zip(to).filter(|&(&a, &b)| a.max(b) > loudest - 5.0).map(|(a, b)| b - a).collect();
            sounding.iter().map(|change| change.abs()).sum::<f32>() / sounding.len().max(1) as f32
        };
        let (mut at_joins, mut elsewhere) = (0.0f32, 0.0f32);
        for i in 0..last - first - 2 {
            let into = (i + 1) % (HOP_FRAMES / 2);
            let worst = if (2..HOP_FRAMES / 2 - 2).contains(&into) { &mut elsewhere } else { &mut at_joins };
            *worst = worst.max(change(i));
        }
        println!(
            "{player}, {steps} steps, {sampling:?}: largest change {at_joins:.3} at joins, {elsewhere:.3} elsewhere"
        );
        assert!(
            at_joins <= 1.2 * elsewhere,
            "{player}, {steps} steps, {sampling:?}: {at_joins} at joins, {elsewhere} elsewhere"
        );
        // No click: the second difference at a join is no larger than the largest elsewhere.
        let bend = |i: usize| (audio.left[i - 1] - 2.0 * audio.left[i] + audio.left[i + 1]).abs();
        let join = |k: usize| (k * HOP_FRAMES * HOP - 2..k * HOP_FRAMES * HOP + 2).map(bend).fold(0.0, f32::max);
        let usual = (100_000..400_000).map(bend).fold(0.0, f32::max);
        assert!((3..13).all(|k| join(k) <= usual), "{player}, {steps} steps: a click where segments join");
    }
}

#[test]
fn a_segment_out_of_order_begins_as_if_it_were_the_first() {
    let mut synth = synthesizer();
    let notes = [note(0.1, 9.0, 64)];
    let parts = [PartInput { instrument: instrument(&synth, "oboe"), notes: &notes }];
    let request = request(&synth, "woodwinds-hall", &parts);
    let (mut state, mut out, mut fresh) = (SynthState::default(), Vec::new(), Vec::new());
    synth.render_segment(&request, &mut state, &mut out).unwrap();
    let jump = SegmentRequest { index: 5, ..request };
    synth.render_segment(&jump, &mut state, &mut out).unwrap();
    synth.render_segment(&jump, &mut SynthState::default(), &mut fresh).unwrap();
    assert_eq!(out, fresh);
}

#[test]
fn unheard_of_requests_are_answered() {
    let mut synth = synthesizer();
    let (mut state, mut out) = (SynthState::default(), Vec::new());
    let cluster: Vec<Note> = (0..300).map(|i| note(f64::from(i) * 1e-3, 0.5, (i % 128) as u8)).collect();
    let parts = [PartInput { instrument: 999, notes: &cluster }];
    let request = SegmentRequest { performance: 999, index: -1, ..request(&synth, "choir-church", &parts) };
    for index in -1..2 {
        synth.render_segment(&SegmentRequest { index, ..request }, &mut state, &mut out).unwrap();
        assert!(out[0].left.iter().chain(&out[0].right).all(|sample| sample.is_finite()));
    }
    let nine = [parts[0]; 9];
    let error = synth.render_segment(&SegmentRequest { parts: &nine, ..request }, &mut state, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "an ensemble has at most 8 parts; 9 were asked for");
}
