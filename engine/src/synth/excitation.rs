//! The harmonic excitation: what a score-informed vocoder knows before it hears anything.

use num_complex::Complex32;

use super::rates::{BINS, FRAMES_PER_SECOND, HOP, KEYS, LOW_KEY, MEL_FMAX, SAMPLE_RATE, WINDOW};
use super::roll::NoteRoll;

/// Bins of the Hann window's main lobe around a partial.
const LOBE: usize = 4;
const BIN_HZ: f64 = SAMPLE_RATE as f64 / WINDOW as f64; // 23.4375

/// Spectra of the sounding notes' harmonics with gain 1/h up to [`MEL_FMAX`], their phases counted from absolute time 0,
/// so that a pitch is steady and neighbouring segments agree where they cross.
pub struct Excitation {
    keys: Vec<Partials>,
}

struct Partials {
    f0: f64,
    /// First bin of each harmonic's lobe, which may lie below 0 and is then mirrored.
    first: Vec<i32>,
    /// Lobe times 1/h.
    weights: Vec<[f32; LOBE]>,
}

impl Excitation {
    /// Tables for all keys: about 13,000 harmonics, 300 kB.
    pub fn new() -> Self {
        Self { keys: (0..KEYS).map(partials).collect() }
    }

    /// Spectrum of each frame of a roll that begins at absolute frame `first_frame`, shape `[frames, BINS]`,
    /// centre-referenced, a partial of amplitude 1 peaking at 1.
    pub fn fill(&self, roll: &NoteRoll, first_frame: i64, frames: usize, out: &mut Vec<Complex32>) {
        out.clear();
        out.resize(frames * BINS, Complex32::new(0.0, 0.0));
        for (key, partials) in self.keys.iter().enumerate() {
            for frame in 0..frames {
                let amplitude = roll.amplitude(frame, key);
                if amplitude > 0.0 {
                    let row = &mut out[frame * BINS..(frame + 1) * BINS];
                    partials.add(amplitude, first_frame + frame as i64, row);
                }
            }
        }
    }
}

fn partials(key: usize) -> Partials {
    let f0 = 440.0 * ((key as f64 + f64::from(LOW_KEY) - 69.0) / 12.0).exp2();
    let (mut first, mut weights) = (Vec::new(), Vec::new());
    for h in 1..=(MEL_FMAX / f0) as usize {
        let position = h as f64 * f0 / BIN_HZ;
        let lowest = position.floor() as i32 - 1;
        first.push(lowest);
        weights.push(std::array::from_fn(|i| (main_lobe(f64::from(lowest + i as i32) - position) / h as f64) as f32));
    }
    Partials { f0, first, weights }
}

/// Transform of the Hann window at a distance in bins: 1 at 0, sinc(d) / (1 - d^2), cut at its first zeros.
fn main_lobe(distance: f64) -> f64 {
    let d = distance.abs();
    if d >= 2.0 {
        return 0.0;
    }
    let d = if (d - 1.0).abs() < 1e-6 { 1.0 + 1e-6 } else { d };
    let x = std::f64::consts::PI * d;
    let sinc = if x < 1e-9 { 1.0 } else { x.sin() / x };
    sinc / (1.0 - d * d)
}

impl Partials {
    fn add(&self, amplitude: f32, frame: i64, row: &mut [Complex32]) {
        debug_assert_eq!(HOP as f64 * FRAMES_PER_SECOND, f64::from(SAMPLE_RATE));
        // Hours into a stream the cycles are millions: only their fraction, taken in f64, is a phase.
        let cycles = (self.f0 * (frame as f64 / FRAMES_PER_SECOND)).rem_euclid(1.0);
        let (sin, cos) = (std::f64::consts::TAU * cycles).sin_cos();
        let (mut re, mut im) = (cos, sin);
        for (&first, weights) in self.first.iter().zip(&self.weights) {
            let wave = Complex32::new(re as f32 * amplitude, im as f32 * amplitude);
            for (i, &weight) in weights.iter().enumerate() {
                let bin = (first + i as i32).unsigned_abs() as usize;
                if let Some(value) = row.get_mut(bin) {
                    *value += wave * weight;
                }
            }
            (re, im) = (re * cos - im * sin, re * sin + im * cos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Note;
    use crate::synth::mel::golden;

    fn assert_like_python(notes: &[Note], first_frame: i64, expected: &[Vec<[f32; 2]>]) {
        let golden = golden();
        let (mut roll, mut spectrum) = (NoteRoll::default(), Vec::new());
        roll.fill(notes, first_frame, golden.frames);
        Excitation::new().fill(&roll, first_frame, golden.frames, &mut spectrum);
        for (row, frame) in expected.iter().zip((0..golden.frames).step_by(6)) {
            for (&[re, im], &bin) in row.iter().zip(&golden.excitation_bins) {
                let ours = spectrum[frame * BINS + bin];
                let error = (ours - Complex32::new(re, im)).norm();
                assert!(error < 1e-4, "frame {frame} bin {bin}: {ours} and {re}+{im}i");
            }
        }
    }

    #[test]
    fn an_excitation_is_the_one_python_builds() {
        let golden = golden();
        assert_like_python(&golden.notes(), golden.first_frame, &golden.excitation);
    }

    #[test]
    fn ten_minutes_later_its_phase_is_still_exact() {
        let golden = golden();
        let mut notes = golden.notes();
        for note in &mut notes {
            note.onset += 600.0;
            note.end += 600.0;
        }
        assert_like_python(&notes, 60_000 + golden.first_frame, &golden.excitation_after_600_s);
    }
}
