//! The synthesizer with its real, trained models.

use std::f64::consts::TAU;

use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::Note;
use ripieno_engine::synth::{
    Guidance, HOP, HOP_FRAMES, PartAudio, PartInput, SAMPLE_RATE, SegmentRequest, SynthState, Synthesizer,
};

const SEGMENT_S: f64 = (HOP_FRAMES * HOP) as f64 / SAMPLE_RATE as f64;

fn synthesizer() -> Synthesizer {
    let locations = Locations::find().expect("`cargo xtask setup` has put ONNX Runtime in place");
    let runtime = Runtime::load(Some(&locations.runtime)).unwrap();
    Synthesizer::new(&Models::load(runtime, &locations.models).unwrap(), 1).unwrap()
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

/// Renders `segments` segments of every part, one after the other.
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
            assert!(level(pitch) > 3.0 * level(pitch + semitones), "{player}: {semitones} semitones above");
            assert!(level(pitch) > 3.0 * level(pitch - semitones), "{player}: {semitones} semitones below");
        }
        assert!(audio.left.iter().chain(&audio.right).all(|s| s.is_finite() && s.abs() < 1.0));
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
    let notes = [note(0.1, 9.0, 64)];
    let parts = [PartInput { instrument: instrument(&synth, "organ"), notes: &notes }];
    let request = request(&synth, "organ-maeshowe", &parts);
    let audio = render(&mut synth, request, 12).remove(0);
    // Level of the fundamental per 20 ms: its change from one to the next, at joins and elsewhere.
    let window = SAMPLE_RATE as usize / 50;
    let levels: Vec<f64> = audio.left.chunks_exact(window).map(|chunk| rms(chunk).ln()).collect();
    let (mut at_joins, mut elsewhere) = (0.0f64, 0.0f64);
    for i in 75..425 {
        let change = (levels[i + 1] - levels[i]).abs();
        let since_join = (i as f64 * 0.02).rem_euclid(SEGMENT_S);
        let worst = if since_join < 0.34 { &mut at_joins } else { &mut elsewhere };
        *worst = worst.max(change);
    }
    assert!(at_joins < 2.0 * elsewhere + 0.05, "{at_joins} at joins, {elsewhere} elsewhere");
    // No click: the second difference of a held organ note stays small.
    let bend = |i: usize| (audio.left[i - 1] - 2.0 * audio.left[i] + audio.left[i + 1]).abs();
    let join = |k: usize| (k * HOP_FRAMES * HOP - 2..k * HOP_FRAMES * HOP + 2).map(bend).fold(0.0, f32::max);
    let usual = (100_000..400_000).map(bend).fold(0.0, f32::max);
    assert!((3..11).all(|k| join(k) <= usual));
}
