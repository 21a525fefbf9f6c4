//! Short-time spectra, centre-referenced: frame m is centred on sample m * HOP, and a partial's phase is its phase there.

use std::f64::consts::TAU;
use std::sync::Arc;

use num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::rates::{BINS, HOP, WINDOW};

/// Both directions, with their buffers: allocated once, 60 kB.
pub struct Stft {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    grain: Vec<f32>,
    bins: Vec<Complex32>,
    scratch: Vec<Complex32>,
}

impl Default for Stft {
    fn default() -> Self {
        Self::new()
    }
}

impl Stft {
    /// Plans the transforms.
    pub fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        // Periodic Hann: its sum is WINDOW / 2.
        let window = (0..WINDOW).map(|n| (0.5 - 0.5 * (TAU * n as f64 / WINDOW as f64).cos()) as f32).collect();
        Self {
            forward,
            inverse,
            window,
            grain: vec![0.0; WINDOW],
            bins: vec![Complex32::default(); BINS],
            scratch: vec![Complex32::default(); scratch],
        }
    }

    /// Spectrum of `samples` (WINDOW of them) into `out` (BINS); a full-scale sine peaks at 1.
    pub fn analyse(&mut self, samples: &[f32], out: &mut [Complex32]) {
        for ((grain, &sample), &window) in self.grain.iter_mut().zip(samples).zip(&self.window) {
            *grain = sample * window;
        }
        // The lengths are the planned ones, so neither transform can fail.
        let _ = self.forward.process_with_scratch(&mut self.grain, out, &mut self.scratch);
        let scale = 4.0 / WINDOW as f32;
        for (bin, value) in out.iter_mut().enumerate() {
            *value *= if bin % 2 == 0 { scale } else { -scale };
        }
    }

    /// Adds the windowed inverse of a spectrum (BINS) to `out` (WINDOW samples around the frame's centre).
    pub fn add_inverse(&mut self, spectrum: &[Complex32], out: &mut [f32]) {
        // realfft's inverse is unnormalised; the analysis scale 4 / WINDOW is undone here.
        for (bin, (value, &given)) in self.bins.iter_mut().zip(spectrum).enumerate() {
            *value = if bin % 2 == 0 { given * 0.25 } else { given * -0.25 };
        }
        self.bins[0].im = 0.0;
        self.bins[BINS - 1].im = 0.0;
        let _ = self.inverse.process_with_scratch(&mut self.bins, &mut self.grain, &mut self.scratch);
        for ((out, &grain), &window) in out.iter_mut().zip(&self.grain).zip(&self.window) {
            *out += grain * window;
        }
    }

    /// Sum of the squared windows of `frames` frames: what overlap-add divides by, `(frames - 1) * HOP + WINDOW` samples.
    pub fn window_power(&self, frames: usize) -> Vec<f32> {
        let mut power = vec![0.0; (frames - 1) * HOP + WINDOW];
        for frame in 0..frames {
            for (sum, &window) in power[frame * HOP..].iter_mut().zip(&self.window) {
                *sum += window * window;
            }
        }
        power.iter_mut().for_each(|sum| *sum = sum.max(1e-3));
        power
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::mel::golden;

    #[test]
    fn overlap_add_is_the_one_python_does() {
        let mut stft = Stft::new();
        let mut audio = vec![0.0f32; 7 * HOP + WINDOW];
        for frame in 0..8 {
            let spectrum: Vec<Complex32> = (0..BINS)
                .map(|k| {
                    let (k, m) = (k as f64, frame as f64);
                    let re = (0.37 * k + m).cos() / (1.0 + k);
                    Complex32::new(re as f32, ((0.11 * k * (m + 1.0)).sin() / (1.0 + k)) as f32)
                })
                .collect();
            stft.add_inverse(&spectrum, &mut audio[frame * HOP..frame * HOP + WINDOW]);
        }
        for (sample, power) in audio.iter_mut().zip(stft.window_power(8)) {
            *sample /= power;
        }
        for (ours, &theirs) in audio.iter().step_by(37).zip(&golden().istft) {
            assert!((ours - theirs).abs() < 1e-3 * (1.0 + theirs.abs()), "{ours} and {theirs}");
        }
    }

    #[test]
    fn analysis_then_overlap_add_gives_the_signal_back() {
        let mut stft = Stft::new();
        let signal: Vec<f32> = (0..HOP * 40 + WINDOW).map(|n| (n as f32 * 0.05).sin()).collect();
        let mut spectrum = vec![Complex32::default(); BINS];
        let mut out = vec![0.0f32; signal.len()];
        for frame in 0..=40 {
            stft.analyse(&signal[frame * HOP..frame * HOP + WINDOW], &mut spectrum);
            stft.add_inverse(&spectrum, &mut out[frame * HOP..frame * HOP + WINDOW]);
        }
        for (n, power) in stft.window_power(41).iter().enumerate().skip(WINDOW).take(HOP * 30) {
            assert!((out[n] / power - signal[n]).abs() < 1e-4);
        }
    }
}
