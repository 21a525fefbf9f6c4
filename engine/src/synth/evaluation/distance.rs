//! How far a sound is from the true one, frame by frame.

use std::f64::consts::TAU;

use ebur128::{EbuR128, Mode};
use num_complex::Complex32;
use realfft::RealFftPlanner;

use crate::synth::{SAMPLE_RATE, StereoBuffer};

/// Windows, in samples.
const RESOLUTIONS: [usize; 4] = [512, 1024, 2048, 4096];
const FLOOR: f64 = 1e-5;
/// Of the spectral convergence beside the logarithm's distance.
const CONVERGENCE: f64 = 0.5;
/// Samples between values of a loudness curve: 0.1 s, as EBU Tech 3341 has it for momentary loudness.
const STEP: usize = SAMPLE_RATE as usize / 10;
/// Loudness below which nothing is heard, LUFS.
const SILENCE: f64 = -60.0;

/// Multi-resolution STFT distance of left, right, mid and side (Yamamoto et al. 2020: L1 of log magnitudes plus half the
/// spectral convergence, mean of the windows 512 to 4096): what `ripieno_training.listening` computes. Both are as long.
pub fn stft_distance(ours: &StereoBuffer, truth: &StereoBuffer) -> f64 {
    let mut total = 0.0;
    for size in RESOLUTIONS {
        let (mut logs, mut values, mut apart, mut whole) = (0.0, 0usize, 0.0, 0.0);
        for (ours, truth) in channels(ours).iter().zip(&channels(truth)) {
            let (ours, truth) = (magnitudes(ours, size), magnitudes(truth, size));
            values += truth.len();
            for (a, b) in ours.into_iter().zip(truth) {
                logs += ((a + FLOOR).ln() - (b + FLOOR).ln()).abs();
                apart += (a - b) * (a - b);
                whole += b * b;
            }
        }
        total += logs / values.max(1) as f64 + CONVERGENCE * apart.sqrt() / (whole.sqrt() + 1e-3);
    }
    total / RESOLUTIONS.len() as f64
}

fn channels(audio: &StereoBuffer) -> [Vec<f32>; 4] {
    let both = |sign: f32| audio.left.iter().zip(&audio.right).map(|(l, r)| (l + sign * r) / 2.0).collect();
    [audio.left.clone(), audio.right.clone(), both(1.0), both(-1.0)]
}

/// Magnitudes of all frames, a full-scale sine at 1; frames a quarter window apart, the sound mirrored at its ends.
fn magnitudes(signal: &[f32], size: usize) -> Vec<f64> {
    if signal.len() <= size / 2 {
        return Vec::new();
    }
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(size);
    let window: Vec<f32> = (0..size).map(|n| (0.5 - 0.5 * (TAU * n as f64 / size as f64).cos()) as f32).collect();
    let (mut grain, mut bins) = (vec![0.0; size], vec![Complex32::default(); size / 2 + 1]);
    let last = signal.len() as i64 - 1;
    let mirrored = |at: i64| signal[if at < 0 { -at } else { last - (last - at).abs() } as usize];
    let mut out = Vec::new();
    for centre in (0..=signal.len()).step_by(size / 4) {
        let start = centre as i64 - (size / 2) as i64;
        for (n, (grain, window)) in grain.iter_mut().zip(&window).enumerate() {
            *grain = mirrored(start + n as i64) * window;
        }
        // The lengths are the planned ones, so it cannot fail.
        let _ = transform.process(&mut grain, &mut bins);
        let scale = 2.0 / (size as f64 / 2.0);
        out.extend(bins.iter().map(|bin| (f64::from(bin.norm_sqr()) + 1e-10).sqrt() * scale));
    }
    out
}

/// Mean difference of two loudness curves in LU: momentary loudness (EBU R 128, 0.4 s) every 0.1 s, where either is louder
/// than -60 LUFS; `None` where neither ever is.
pub fn loudness_distance(ours: &StereoBuffer, truth: &StereoBuffer) -> Result<Option<f64>, ebur128::Error> {
    let curves = loudness(ours)?.into_iter().zip(loudness(truth)?);
    let apart: Vec<f64> = curves.filter(|(a, b)| a.max(*b) > SILENCE).map(|(a, b)| (a - b).abs()).collect();
    Ok((!apart.is_empty()).then(|| apart.iter().sum::<f64>() / apart.len() as f64))
}

fn loudness(audio: &StereoBuffer) -> Result<Vec<f64>, ebur128::Error> {
    let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::M)?;
    let steps = audio.left.chunks_exact(STEP).zip(audio.right.chunks_exact(STEP));
    steps
        .map(|(left, right)| {
            meter.add_frames_planar_f32(&[left, right])?;
            Ok(meter.loudness_momentary()?.max(SILENCE))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a second of partials that neither channel shares.
    fn sound(gain: f64, hz: f64) -> StereoBuffer {
        let wave = |hz: f64, gain: f64| {
            let sample = |n: usize| gain * (TAU * hz * n as f64 / 48e3).sin() + 0.01 * (0.7 * n as f64).cos();
            (0..24_000).map(|n| sample(n) as f32).collect()
        };
        StereoBuffer { left: wave(hz, gain), right: wave(1.5 * hz, 0.5 * gain) }
    }

    #[test]
    fn the_stft_distance_is_the_one_python_computes() {
        // ripieno_training.listening.stft_distance of the same formulas.
        for [gain, frequency, true_gain, true_frequency, expected] in STFT_GOLDEN {
            let found = stft_distance(&sound(gain, frequency), &sound(true_gain, true_frequency));
            assert!((found - expected).abs() < 2e-3 * (1.0 + expected), "{found} and {expected}");
        }
    }

    /// Gain and frequency of ours, of the true, and their distance.
    const STFT_GOLDEN: [[f64; 5]; 3] =
        [[0.5, 440.0, 0.5, 440.0, 0.0], [0.25, 440.0, 0.5, 440.0, 0.31291771], [0.5, 440.0, 0.4, 466.0, 0.53522480]];

    #[test]
    fn half_the_amplitude_is_six_units_of_loudness() {
        let (loud, soft) = (sound(0.5, 997.0), sound(0.25, 997.0));
        assert_eq!(loudness_distance(&loud, &loud).unwrap(), Some(0.0));
        let apart = loudness_distance(&soft, &loud).unwrap().unwrap();
        assert!((apart - 20.0 * 2f64.log10()).abs() < 0.05, "{apart}");
        let silence = StereoBuffer { left: vec![0.0; 48_000], right: vec![0.0; 48_000] };
        assert_eq!(loudness_distance(&silence, &silence).unwrap(), None);
    }
}
