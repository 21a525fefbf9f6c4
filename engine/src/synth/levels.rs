//! Brings a spectrum's mel bands to the levels that a mel frame has for them.
//!
//! Grains that overlap seldom add up to the levels each was made for, so what the vocoder made is measured where it has
//! been added and brought to its mel once more: one step of the projections of Griffin & Lim (1984), whose target is the
//! mel. `ripieno_training/synthesis.py` does the same.

use num_complex::Complex32;

use super::mel::MelFilters;
use super::rates::{BINS, LOG_FLOOR, MEL_BANDS};

/// Nepers that a band is brought up or down at most.
const LARGEST_STEP: f32 = 3.0;

/// The filters, with buffers for one spectrum.
pub(super) struct Levels {
    filters: MelFilters,
    magnitudes: Vec<f32>,
    /// Nepers by which each band is to rise, and each bin.
    bands: Vec<f32>,
    bins: Vec<f32>,
}

impl Levels {
    pub fn new() -> Self {
        Self {
            filters: MelFilters::new(),
            magnitudes: vec![0.0; BINS],
            bands: vec![0.0; MEL_BANDS],
            bins: vec![0.0; BINS],
        }
    }

    /// Multiplies `spectrum` (BINS) so that its bands are at the levels `target` (MEL_BANDS natural logs), or
    /// [`LARGEST_STEP`] nearer to them. Bins between two bands rise by the mean of theirs.
    pub fn bring(&mut self, spectrum: &mut [Complex32], target: impl Iterator<Item = f32>) {
        for (magnitude, bin) in self.magnitudes.iter_mut().zip(spectrum.iter()) {
            *magnitude = bin.norm_sqr().sqrt();
        }
        let have = self.filters.apply(&self.magnitudes).map(|level| level.max(LOG_FLOOR as f32).ln());
        for ((step, have), target) in self.bands.iter_mut().zip(have).zip(target) {
            *step = (target - have).clamp(-LARGEST_STEP, LARGEST_STEP);
        }
        self.filters.spread(&self.bands, &mut self.bins);
        for (value, step) in spectrum.iter_mut().zip(&self.bins) {
            *value *= step.exp();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::mel::golden;

    #[test]
    fn a_spectrum_is_brought_to_the_levels_that_python_brings_it_to() {
        let mut spectrum: Vec<Complex32> = (0..BINS)
            .map(|k| {
                let k = k as f64;
                Complex32::new(((0.37 * k).cos() / (1.0 + k)) as f32, ((0.11 * k).sin() / (1.0 + k)) as f32)
            })
            .collect();
        let mut levels = Levels::new();
        levels.bring(&mut spectrum, (0..MEL_BANDS).map(|band| -6.0 + 2.0 * (0.2 * band as f32).sin()));
        let golden = golden();
        assert!(golden.levelled.len() > 100);
        for (i, (ours, theirs)) in spectrum.iter().step_by(7).zip(&golden.levelled).enumerate() {
            let theirs = Complex32::new(theirs[0], theirs[1]);
            assert!((ours - theirs).norm() < 1e-4 * theirs.norm() + 1e-7, "bin {}: {ours} and {theirs}", 7 * i);
        }
    }

    #[test]
    fn silence_stays_silent() {
        let mut spectrum = vec![Complex32::default(); BINS];
        Levels::new().bring(&mut spectrum, (0..MEL_BANDS).map(|_| 0.0));
        assert!(spectrum.iter().all(|bin| bin.norm() == 0.0));
    }
}
