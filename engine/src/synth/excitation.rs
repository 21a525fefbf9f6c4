//! The harmonic excitation: what a score-informed vocoder knows before it hears anything.
//!
//! Harmonics that all begin at their crest add up to a pulse per period, which buzzes like nothing in a room does. So
//! harmonic `h` begins where `h^2` times the golden ratio puts it: phases that spread over the whole period (Schroeder,
//! *Synthesis of low-peak-factor signals*, 1970, with the ratio instead of the number of harmonics, so that the phases of
//! the lower ones do not depend on how many there are).

use std::f64::consts::TAU;
use std::ops::Range;

use num_complex::{Complex32, Complex64};

use super::rates::{BINS, FRAMES_PER_SECOND, KEYS, LOW_KEY, MEL_FMAX, SAMPLE_RATE, WINDOW};
use super::roll::{NoteRoll, fold_pitch};
use crate::score::Note;

/// Bins of the Hann window's main lobe around a partial.
const LOBE: usize = 4;
/// Harmonics whose phases turn together.
const LANES: usize = 8;
/// Cycles by which the first harmonic begins ahead of its crest.
const SPREAD: f64 = 0.618_033_988_749_894_9;
const BIN_HZ: f64 = SAMPLE_RATE as f64 / WINDOW as f64; // 23.4375

/// Spectra of the sounding notes' harmonics with gain 1/h up to [`MEL_FMAX`], their phases counted from absolute time 0,
/// so that a pitch is steady and neighbouring segments agree where they cross.
pub struct Excitation {
    keys: Vec<Partials>,
}

/// Where the phases of each key's harmonics are counted from: absolute time 0, or each note's own beginning.
///
/// By absolute time segments agree that know nothing of each other. By its own beginning a note has the phases of every
/// other rendering of it, wherever in time that was: the single notes of the instant voice and the segments around them.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Key, first frame that the note may sound in, and its beginning in seconds; in order of time.
    notes: Vec<(usize, i64, f64)>,
}

impl Origins {
    /// Every note from its own onset on; notes in any order.
    pub fn of_notes(notes: &[Note]) -> Self {
        let frame = |onset: f64| (onset * FRAMES_PER_SECOND - 1.0).floor() as i64;
        let mut notes: Vec<_> =
            notes.iter().map(|note| (fold_pitch(note.pitch), frame(note.onset), note.onset)).collect();
        notes.sort_by(|a, b| a.2.total_cmp(&b.2));
        Self { notes }
    }

    fn seconds(&self, key: usize, frame: i64) -> f64 {
        let begun = self.notes.iter().rev().find(|&&(of, first, _)| of == key && first <= frame);
        begun.map_or(0.0, |&(_, _, onset)| onset)
    }
}

struct Partials {
    f0: f64,
    /// First bin of each harmonic's lobe; the lowest key's is bin 0, the highest ends well under [`BINS`].
    first: Vec<u16>,
    /// Lobe times 1/h.
    weights: Vec<[f32; LOBE]>,
    /// Where each harmonic begins.
    spread: Vec<Complex32>,
}

impl Default for Excitation {
    fn default() -> Self {
        Self::new()
    }
}

impl Excitation {
    /// Tables for all keys: about 12,000 harmonics, 200 kB.
    pub fn new() -> Self {
        Self { keys: (0..KEYS).map(partials).collect() }
    }

    /// Spectrum of the frames `frames` of a roll, the first of which is absolute frame `first_frame`; shape
    /// `[frames, BINS]`, centre-referenced, a partial of amplitude 1 peaking at 1.
    pub fn fill(
        &self,
        roll: &NoteRoll,
        origins: &Origins,
        frames: Range<usize>,
        first_frame: i64,
        out: &mut Vec<Complex32>,
    ) {
        out.clear();
        out.resize(frames.len() * BINS, Complex32::new(0.0, 0.0));
        for ((frame, absolute), row) in frames.zip(first_frame..).zip(out.chunks_exact_mut(BINS)) {
            for (key, partials) in self.keys.iter().enumerate() {
                let amplitude = roll.amplitude(frame, key);
                if amplitude > 0.0 {
                    let seconds = absolute as f64 / FRAMES_PER_SECOND - origins.seconds(key, absolute);
                    partials.add(amplitude, seconds, row);
                }
            }
        }
    }
}

fn partials(key: usize) -> Partials {
    let f0 = 440.0 * ((key as f64 + f64::from(LOW_KEY) - 69.0) / 12.0).exp2();
    let (mut first, mut weights, mut spread) = (Vec::new(), Vec::new(), Vec::new());
    for h in 1..=(MEL_FMAX / f0) as usize {
        let position = h as f64 * f0 / BIN_HZ;
        let lowest = position.floor() - 1.0;
        first.push(lowest as u16);
        weights.push(std::array::from_fn(|i| (main_lobe(lowest + i as f64 - position) / h as f64) as f32));
        let (sin, cos) = (TAU * (SPREAD * (h * h) as f64).fract()).sin_cos();
        spread.push(Complex32::new(cos as f32, sin as f32));
    }
    Partials { f0, first, weights, spread }
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
    fn add(&self, amplitude: f32, seconds: f64, row: &mut [Complex32]) {
        // Hours into a stream the cycles are millions: only their fraction, taken in f64, is a phase.
        let cycles = (self.f0 * seconds).rem_euclid(1.0);
        let (sin, cos) = (TAU * cycles).sin_cos();
        let step = Complex64::new(cos, sin);
        // Harmonics 1 to LANES exactly, then all lanes turn together: one harmonic after the other, each waiting for
        // the last, took three times as long. At most 91 turns in f32 leave a phase right to 1e-5.
        let mut exact = Complex64::new(f64::from(amplitude), 0.0);
        let mut waves = [Complex32::default(); LANES];
        for wave in &mut waves {
            exact *= step;
            *wave = Complex32::new(exact.re as f32, exact.im as f32);
        }
        let turn = step.powu(LANES as u32);
        let turn = Complex32::new(turn.re as f32, turn.im as f32);
        let lanes = self.first.chunks(LANES).zip(self.weights.chunks(LANES)).zip(self.spread.chunks(LANES));
        for ((firsts, weights), spread) in lanes {
            for (((&first, weights), &spread), &wave) in firsts.iter().zip(weights).zip(spread).zip(&waves) {
                let wave = wave * spread;
                if let Some(lobe) = row.get_mut(usize::from(first)..usize::from(first) + LOBE) {
                    for (bin, &weight) in lobe.iter_mut().zip(weights) {
                        *bin += wave * weight;
                    }
                }
            }
            for wave in &mut waves {
                *wave *= turn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::mel::golden;

    fn assert_like_python(notes: &[Note], first_frame: i64, expected: &[Vec<[f32; 2]>]) {
        let golden = golden();
        let (mut roll, mut spectrum) = (NoteRoll::default(), Vec::new());
        roll.fill(notes, first_frame, golden.frames);
        Excitation::new().fill(&roll, &Origins::default(), 0..golden.frames, first_frame, &mut spectrum);
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
    fn counted_from_their_own_beginnings_notes_have_the_same_phases_at_any_time() {
        let spectrum = |onset: f64| {
            let note = Note { onset, end: f64::INFINITY, pitch: 57, velocity: 90 };
            let (mut roll, mut spectrum) = (NoteRoll::default(), Vec::new());
            let first = (onset * FRAMES_PER_SECOND).round() as i64;
            roll.fill(&[note], first, 20);
            Excitation::new().fill(&roll, &Origins::of_notes(&[note]), 5..20, first + 5, &mut spectrum);
            spectrum
        };
        let (here, there) = (spectrum(0.0), spectrum(1234.57));
        assert!(here.iter().any(|value| value.norm() > 0.1));
        assert!(here.iter().zip(&there).all(|(one, other)| (one - other).norm() < 1e-3));
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
