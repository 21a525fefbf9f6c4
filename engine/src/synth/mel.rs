//! Mel frames of stereo audio: what the networks were trained on, for measuring and drawing.

use num_complex::Complex32;

use super::rates::{BINS, HOP, LOG_FLOOR, MEL, MEL_BANDS, MEL_FMAX, MEL_FMIN, SAMPLE_RATE, WINDOW};
use super::stft::Stft;

/// Triangular HTK mel filters, each summing to 1, so that a band is a mean magnitude.
pub struct MelFilters {
    /// First bin and weights of each band.
    bands: Vec<(usize, Vec<f32>)>,
    /// Sum of all bands' weights for each bin.
    totals: Vec<f32>,
}

impl Default for MelFilters {
    fn default() -> Self {
        Self::new()
    }
}

impl MelFilters {
    /// The filters of the networks.
    pub fn new() -> Self {
        let to_mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
        let (low, high) = (to_mel(MEL_FMIN), to_mel(MEL_FMAX));
        let edge = |i: usize| {
            let mel = low + (high - low) * i as f64 / (MEL_BANDS + 1) as f64;
            700.0 * (10f64.powf(mel / 2595.0) - 1.0)
        };
        let bin_hz = f64::from(SAMPLE_RATE) / WINDOW as f64;
        let bands: Vec<(usize, Vec<f32>)> = (0..MEL_BANDS)
            .map(|band| {
                let (left, centre, right) = (edge(band), edge(band + 1), edge(band + 2));
                let weight = |bin: usize| {
                    let hz = bin as f64 * bin_hz;
                    ((hz - left) / (centre - left)).min((right - hz) / (right - centre)).max(0.0)
                };
                let weights: Vec<(usize, f64)> =
                    (0..BINS).map(|bin| (bin, weight(bin))).filter(|&(_, w)| w > 0.0).collect();
                let sum: f64 = weights.iter().map(|&(_, w)| w).sum();
                match weights.first() {
                    Some(&(first, _)) => (first, weights.iter().map(|&(_, w)| (w / sum) as f32).collect()),
                    // A band narrower than a bin hears the bin nearest to its centre.
                    None => ((centre / bin_hz).round() as usize, vec![1.0]),
                }
            })
            .collect();
        let mut totals = vec![0.0; BINS];
        for (first, weights) in &bands {
            totals[*first..].iter_mut().zip(weights).for_each(|(total, weight)| *total += weight);
        }
        Self { bands, totals }
    }

    /// Mean magnitude of each band of a spectrum.
    pub fn apply(&self, magnitudes: &[f32]) -> impl Iterator<Item = f32> {
        self.bands.iter().map(|(first, weights)| {
            weights.iter().zip(&magnitudes[*first..]).map(|(weight, magnitude)| weight * magnitude).sum()
        })
    }

    /// What values of bands (MEL_BANDS) mean for `bins` (BINS): each has the mean of its bands', by their weights. Below the
    /// lowest band it is that band's, and above the highest 0.
    pub fn spread(&self, values: &[f32], bins: &mut [f32]) {
        bins.fill(0.0);
        for ((first, weights), value) in self.bands.iter().zip(values) {
            bins[*first..].iter_mut().zip(weights).for_each(|(bin, weight)| *bin += weight * value);
        }
        for (bin, total) in bins.iter_mut().zip(&self.totals) {
            *bin /= total.max(1e-8);
        }
        let below = self.totals.iter().take_while(|&&total| total == 0.0).count();
        bins[..below].fill(values[0]);
    }
}

/// Log-mel frames of stereo audio at 48 kHz, shape `[frames, 2 * MEL_BANDS]`: natural log of mid, then of side minus
/// mid; frame i is centred on sample `(first_frame + i) * HOP` of the audio, which is silent outside itself.
pub fn mel_frames(left: &[f32], right: &[f32], first_frame: usize, frames: usize) -> Vec<f32> {
    let (filters, mut stft) = (MelFilters::new(), Stft::new());
    let mut spectrum = vec![Complex32::default(); BINS];
    let (mut grain, mut magnitudes) = (vec![0.0f32; WINDOW], vec![0.0f32; BINS]);
    let mut out = Vec::with_capacity(frames * MEL);
    for frame in first_frame..first_frame + frames {
        for sign in [1.0, -1.0] {
            let start = (frame * HOP) as i64 - (WINDOW / 2) as i64;
            for (n, sample) in grain.iter_mut().enumerate() {
                let at = usize::try_from(start + n as i64).unwrap_or(usize::MAX);
                let get = |channel: &[f32]| channel.get(at).copied().unwrap_or(0.0);
                *sample = (get(left) + sign * get(right)) * 0.5;
            }
            stft.analyse(&grain, &mut spectrum);
            for (magnitude, bin) in magnitudes.iter_mut().zip(&spectrum) {
                *magnitude = bin.norm();
            }
            let logs = filters.apply(&magnitudes).map(|level| level.max(LOG_FLOOR as f32).ln());
            if sign > 0.0 {
                out.extend(logs);
            } else {
                let mid = out.len() - MEL_BANDS;
                let logs: Vec<f32> = logs.collect();
                out.extend_from_within(mid..);
                for (value, side) in out[mid + MEL_BANDS..].iter_mut().zip(logs) {
                    *value = side - *value;
                }
            }
        }
    }
    out
}

/// The values Python wrote down, for the tests of this folder.
#[cfg(test)]
pub(super) fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/features.json")).unwrap()
}

/// `tests/golden/features.json`.
#[cfg(test)]
#[derive(serde::Deserialize)]
pub(super) struct Golden {
    notes: Vec<(f64, f64, u8, u8)>,
    pub first_frame: i64,
    pub frames: usize,
    pub roll: Vec<(usize, usize, usize, f32)>,
    pub excitation_bins: Vec<usize>,
    pub excitation: Vec<Vec<[f32; 2]>>,
    pub excitation_after_600_s: Vec<Vec<[f32; 2]>>,
    mel_first_frame: usize,
    mel: Vec<Vec<f32>>,
    pub istft: Vec<f32>,
    /// Real and imaginary part of every seventh bin.
    pub levelled: Vec<[f32; 2]>,
    /// Steps of DDIM, and the times of each.
    pub ddim_times: std::collections::BTreeMap<usize, Vec<usize>>,
}

#[cfg(test)]
impl Golden {
    pub fn notes(&self) -> Vec<crate::score::Note> {
        let note = |&(onset, end, pitch, velocity): &_| crate::score::Note { onset, end, pitch, velocity };
        self.notes.iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mel_frames_are_the_ones_python_computes() {
        let golden = golden();
        let rate = f64::from(SAMPLE_RATE);
        let (left, right): (Vec<f32>, Vec<f32>) = (0..(1.3 * rate) as usize)
            .map(|n| {
                let turn = std::f64::consts::TAU * n as f64 / rate;
                let (low, high) = (0.5 * (441.0 * turn).sin(), 0.25 * (3000.5 * turn).cos());
                ((low + 0.2 * high) as f32, (0.3 * low + high) as f32)
            })
            .unzip();
        let ours = mel_frames(&left, &right, golden.mel_first_frame, golden.mel.len());
        for (i, (ours, theirs)) in ours.iter().zip(golden.mel.iter().flatten()).enumerate() {
            // Near the floor single precision shows: the comparison is of magnitudes, the logarithm's argument.
            assert!((ours - theirs).abs() < 2e-2, "value {i}: {ours} and {theirs}");
        }
    }
}
