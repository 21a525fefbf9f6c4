//! From the vocoder network's gains to audio: Y = H * E + N * Z for mid and side, inverse transforms, overlap-add.
//!
//! E and Z are functions of absolute time, so any two renderings of the same frames agree sample by sample. Keeps its
//! buffers from call to call: nothing is allocated once a part of the same length has been rendered.

use std::ops::Range;

use num_complex::Complex32;

use super::excitation::{Excitation, Origins};
use super::noise::Noise;
use super::rates::{BINS, HOP, WINDOW};
use super::roll::NoteRoll;
use super::segment::StereoBuffer;
use super::stft::Stft;

/// Gains of a frame: harmonic and noise of mid, harmonic and noise of side.
pub const GAINS: usize = 4;
/// Frames beside a sample whose windows reach it.
pub(super) const REACH: usize = WINDOW.div_ceil(2 * HOP); // 3
/// Noise streams of the two channels.
const NOISE_MID: u64 = 0;
const NOISE_SIDE: u64 = 1;

/// The frames of so many whose windows reach into `audible`: those just outside, too. Beyond all there are none.
pub(super) fn reaching(audible: &Range<usize>, frames: usize) -> Range<usize> {
    audible.start.saturating_sub(REACH)..(audible.end + REACH).min(frames)
}

/// Excitation, noise and inverse transforms, with the buffers of one part at a time (1.5 MB for a segment).
pub struct Resynthesis {
    excitation: Excitation,
    stft: Stft,
    /// Excitation of the rendered frames, `[frames, BINS]`.
    harmonics: Vec<Complex32>,
    noise_spectrum: Vec<Complex32>,
    frame: Vec<Complex32>,
    /// Noise under the rendered frames, `(frames - 1) * HOP + WINDOW` samples; mid and side sums are as long.
    noise: Vec<f32>,
    mid: Vec<f32>,
    side: Vec<f32>,
    /// What overlap-add divides by, for as many frames as were rendered last.
    power: Vec<f32>,
}

impl Default for Resynthesis {
    fn default() -> Self {
        Self::new()
    }
}

impl Resynthesis {
    /// Tables and transforms; about 10 ms.
    pub fn new() -> Self {
        Self {
            excitation: Excitation::new(),
            stft: Stft::new(),
            harmonics: Vec::new(),
            noise_spectrum: vec![Complex32::default(); BINS],
            frame: vec![Complex32::default(); BINS],
            noise: Vec::new(),
            mid: Vec::new(),
            side: Vec::new(),
            power: Vec::new(),
        }
    }

    /// Renders the frames `audible` of a roll that begins at absolute frame `first_frame`: `audible.len() * HOP`
    /// samples from the centre of the first on. `gains`, `[.., GAINS, BINS]`, are those of the frames whose windows reach
    /// into them; `seed` and `part` name the noise; `origins` are where phases count from.
    pub fn render(
        &mut self,
        (roll, gains): (&NoteRoll, &[f32]),
        origins: &Origins,
        (seed, part): (u64, usize),
        first_frame: i64,
        audible: Range<usize>,
        out: &mut StereoBuffer,
    ) {
        let frames = reaching(&audible, roll.frames());
        let length = frames.len().saturating_sub(1) * HOP + WINDOW;
        let first_frame = first_frame + frames.start as i64;
        let start = first_frame * HOP as i64 - (WINDOW / 2) as i64;
        self.excitation.fill(roll, origins, frames.clone(), first_frame, &mut self.harmonics);
        if self.power.len() != length {
            self.power = self.stft.window_power(frames.len());
        }
        for (channel, stream) in [(0, NOISE_MID), (1, NOISE_SIDE)] {
            let noise = Noise::new(seed, part, stream);
            self.noise.clear();
            self.noise.extend((start..start + length as i64).map(|n| noise.sample(n)));
            let sum = if channel == 0 { &mut self.mid } else { &mut self.side };
            sum.clear();
            sum.resize(length, 0.0);
            let rows = gains.chunks_exact(GAINS * BINS);
            for ((i, harmonics), gains) in self.harmonics.chunks_exact(BINS).enumerate().zip(rows) {
                let (harmonic, noisy) = gains[2 * channel * BINS..(2 * channel + 2) * BINS].split_at(BINS);
                let at = i * HOP..i * HOP + WINDOW;
                self.stft.analyse(&self.noise[at.clone()], &mut self.noise_spectrum);
                let given = harmonics.iter().zip(&self.noise_spectrum).zip(harmonic.iter().zip(noisy));
                for (value, ((excitation, noise), (&harmonic, &noisy))) in self.frame.iter_mut().zip(given) {
                    *value = excitation * harmonic + noise * noisy;
                }
                self.stft.add_inverse(&self.frame, &mut sum[at]);
            }
        }
        let from = (audible.start - frames.start) * HOP + WINDOW / 2;
        let samples = (self.mid.iter().zip(&self.side).zip(&self.power)).skip(from);
        out.left.clear();
        out.right.clear();
        for ((mid, side), power) in samples.take(audible.len() * HOP) {
            out.left.push((mid + side) / power);
            out.right.push((mid - side) / power);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Note;
    use crate::synth::rates::{CONTEXT_FRAMES, HOP_FRAMES, SEGMENT_FRAMES};

    /// Gains that differ from frame to frame and bin to bin, as functions of the absolute frame.
    fn gains(first_frame: i64, frames: usize) -> Vec<f32> {
        let mut gains = Vec::with_capacity(frames * GAINS * BINS);
        for frame in first_frame..first_frame + frames as i64 {
            for gain in 0..GAINS {
                let at = |bin: usize| 0.3 + 0.2 * (0.05 * frame as f64 + 0.01 * bin as f64 + gain as f64).sin();
                gains.extend((0..BINS).map(|bin| at(bin) as f32));
            }
        }
        gains
    }

    fn render(notes: &[Note], first_frame: i64, frames: usize, audible: Range<usize>) -> StereoBuffer {
        let (mut roll, mut out) = (NoteRoll::default(), StereoBuffer::default());
        roll.fill(notes, first_frame, frames);
        let near = reaching(&audible, frames);
        let gains = gains(first_frame + near.start as i64, near.len());
        Resynthesis::new().render((&roll, &gains), &Origins::default(), (5, 1), first_frame, audible, &mut out);
        out
    }

    #[test]
    fn rendering_in_segments_is_rendering_whole() {
        let notes = [
            Note { onset: 1200.1, end: 1201.9, pitch: 40, velocity: 100 },
            Note { onset: 1200.7, end: f64::INFINITY, pitch: 79, velocity: 60 },
        ];
        // Twenty minutes into a stream, where a phase in single precision would be lost.
        let first = 120_000;
        let whole = render(&notes, first, 400, 0..400);
        let level = whole.left.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!(level > 0.1);
        for k in 0..4 {
            let offset = k * HOP_FRAMES;
            let audible = CONTEXT_FRAMES..CONTEXT_FRAMES + HOP_FRAMES;
            let part = render(&notes, first + offset as i64, SEGMENT_FRAMES, audible);
            let from = (offset + CONTEXT_FRAMES) * HOP;
            for channel in [(&part.left, &whole.left), (&part.right, &whole.right)] {
                for n in 0..HOP_FRAMES * HOP {
                    let error = (channel.0[n] - channel.1[from + n]).abs();
                    assert!(error < 1e-4 * level, "segment {k}, sample {n}: off by {error}");
                }
            }
        }
    }

    #[test]
    fn gains_of_zero_are_silence() {
        let mut roll = NoteRoll::default();
        roll.fill(&[Note { onset: 0.0, end: 1.0, pitch: 60, velocity: 100 }], 0, 20);
        let mut out = StereoBuffer::default();
        let gains = vec![0.0; 20 * GAINS * BINS];
        Resynthesis::new().render((&roll, &gains), &Origins::default(), (1, 0), 0, 4..16, &mut out);
        assert_eq!((out.left.len(), out.right.len()), (12 * HOP, 12 * HOP));
        assert!(out.left.iter().chain(&out.right).all(|&sample| sample == 0.0));
    }
}
