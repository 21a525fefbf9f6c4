//! Embeddings by musicnn (Pons & Serra 2019), a tagger of music, given as an ONNX file.

use std::f64::consts::TAU;
use std::path::Path;

use num_complex::Complex32;
use realfft::RealFftPlanner;

use crate::inference::{InferenceError, Runtime, Session, TensorView};
use crate::stream::resample::resample;
use crate::synth::StereoBuffer;

/// What it listens at.
const RATE: u32 = 16_000;
const WINDOW: usize = 512;
const HOP: usize = 256;
const BANDS: usize = 96;
/// Frames it hears at once: 3 s; one starts every second.
const FRAMES: usize = 187;
const STEP: usize = 62;
/// It hears level: every clip is brought to this root mean square first.
const LEVEL: f32 = 0.1;
const INPUT: &str = "x:0";
const OUTPUT: &str = "penultimate:0";

/// The network and what prepares sound for it.
pub struct Musicnn {
    session: Session,
    filters: Vec<(usize, Vec<f32>)>,
}

impl Musicnn {
    /// Numbers of an embedding.
    pub const WIDTH: usize = 200;

    /// Opens the file.
    pub fn open(runtime: &'static Runtime, file: &Path) -> Result<Self, InferenceError> {
        Ok(Self { session: Session::open_file(runtime, file, 1)?, filters: filters() })
    }

    /// Embeddings of a sound at 48 kHz, `[windows, WIDTH]`, one a second while 3 s are left; the error is a sentence.
    pub fn embed(&mut self, audio: &StereoBuffer) -> Result<Vec<f32>, String> {
        let mid: Vec<f32> = audio.left.iter().zip(&audio.right).map(|(left, right)| (left + right) / 2.0).collect();
        let mut mono = resample(StereoBuffer { left: mid.clone(), right: mid }, RATE)?.left;
        let power = mono.iter().map(|x| f64::from(x * x)).sum::<f64>() / mono.len().max(1) as f64;
        let gain = LEVEL / (power.sqrt() as f32 + 1e-9);
        mono.iter_mut().for_each(|sample| *sample *= gain);
        let mel = features(&mono, &self.filters);
        let frames = mel.len() / BANDS;
        let starts = (0..(frames + 1).saturating_sub(FRAMES)).step_by(STEP);
        let windows: Vec<f32> = starts.flat_map(|at| mel[at * BANDS..(at + FRAMES) * BANDS].iter().copied()).collect();
        let count = windows.len() / (FRAMES * BANDS);
        let mut out = Vec::new();
        if count > 0 {
            let input = TensorView::F32(&[count, FRAMES, BANDS], &windows);
            self.session.run(&[(INPUT, input)], &mut [(OUTPUT, &mut out)]).map_err(|error| error.to_string())?;
            if out.len() != count * Self::WIDTH {
                return Err(format!("the embedding has {} numbers for {count} windows", out.len()));
            }
        }
        Ok(out)
    }
}

/// log10(10000 power + 1) of 96 mel bands, `[frames, BANDS]`; frames are centred and the sound is silent outside itself.
fn features(mono: &[f32], filters: &[(usize, Vec<f32>)]) -> Vec<f32> {
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let window: Vec<f32> = (0..WINDOW).map(|n| (0.5 - 0.5 * (TAU * n as f64 / WINDOW as f64).cos()) as f32).collect();
    let (mut grain, mut bins) = (vec![0.0; WINDOW], vec![Complex32::default(); WINDOW / 2 + 1]);
    let mut out = Vec::new();
    for centre in (0..=mono.len()).step_by(HOP) {
        for (n, (grain, window)) in grain.iter_mut().zip(&window).enumerate() {
            let sample = (centre + n).checked_sub(WINDOW / 2).and_then(|at| mono.get(at));
            *grain = sample.copied().unwrap_or(0.0) * window;
        }
        // The lengths are the planned ones, so it cannot fail.
        let _ = transform.process(&mut grain, &mut bins);
        out.extend(filters.iter().map(|(first, weights)| {
            let power: f32 = weights.iter().zip(&bins[*first..]).map(|(weight, bin)| weight * bin.norm_sqr()).sum();
            (10_000.0 * power + 1.0).log10()
        }));
    }
    out
}

/// First bin and weights of each band: Slaney's mel scale, triangles of equal area.
fn filters() -> Vec<(usize, Vec<f32>)> {
    // Linear up to 1 kHz, 15 mel; above, 27 mel for every factor of 6.4.
    let (bend, linear, step) = (15.0, 200.0 / 3.0, 6.4f64.ln() / 27.0);
    let to_mel = |hz: f64| if hz < 1000.0 { hz / linear } else { bend + (hz / 1000.0).ln() / step };
    let to_hz = |mel: f64| if mel < bend { mel * linear } else { 1000.0 * ((mel - bend) * step).exp() };
    let top = to_mel(f64::from(RATE) / 2.0);
    let edge = |i: usize| to_hz(top * i as f64 / (BANDS + 1) as f64);
    let hz = |bin: usize| bin as f64 * f64::from(RATE) / WINDOW as f64;
    let band = |i: usize| {
        let (left, centre, right) = (edge(i), edge(i + 1), edge(i + 2));
        let weight = |bin: usize| {
            let slope = ((hz(bin) - left) / (centre - left)).min((right - hz(bin)) / (right - centre));
            (slope.max(0.0) * 2.0 / (right - left)) as f32
        };
        let first = (0..=WINDOW / 2).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        (first, (first..=WINDOW / 2).map(weight).take_while(|&weight| weight > 0.0).collect())
    };
    (0..BANDS).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_the_ones_librosa_computes() {
        let wave = |n: usize| 0.3 * (0.05 * n as f64).sin() + 0.1 * (0.9 * n as f64).cos();
        let mono: Vec<f32> = (0..4_000).map(|n| wave(n) as f32).collect();
        let features = features(&mono, &filters());
        assert_eq!(features.len() % BANDS, 0);
        // log10(10000 * librosa.feature.melspectrogram(y, sr=16000, hop_length=256, n_fft=512, n_mels=96) + 1) of librosa
        // 0.11.0: frame, band, value.
        for (frame, band, value) in LIBROSA {
            let found = features[frame * BANDS + band];
            assert!((found - value).abs() < 2e-3, "frame {frame}, band {band}: {found} and {value}");
        }
    }

    const LIBROSA: [(usize, usize, f32); 16] = [
        (0, 0, 4.1231),
        (0, 3, 5.07671),
        (0, 5, 4.27486),
        (0, 40, 0.61128),
        (0, 63, 1.42202),
        (0, 64, 1.2876),
        (0, 80, 0.39345),
        (0, 95, 0.22719),
        (1, 0, 0.55093),
        (1, 3, 5.66561),
        (1, 40, 0.0),
        (8, 5, 3.56898),
        (15, 0, 1.5386),
        (15, 40, 1.04284),
        (15, 64, 0.18372),
        (15, 95, 0.099),
    ];
}
