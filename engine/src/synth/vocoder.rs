//! From the vocoder network's gains to audio: Y = H * E + N * Z for mid and side, inverse transforms, overlap-add; then
//! once more, with each band of each frame at its mel's level.
//!
//! E and Z are functions of absolute time, so any two renderings of the same frames agree sample by sample. Keeps its
//! buffers from call to call: nothing is allocated once a part of the same length has been rendered.

use std::ops::Range;

use num_complex::Complex32;

use super::excitation::{Excitation, Origins};
use super::levels::Levels;
use super::noise::Noise;
use super::rates::{BINS, HOP, MEL, MEL_BANDS, WINDOW};
use super::roll::NoteRoll;
use super::segment::StereoBuffer;
use super::stft::Stft;

/// Gains of a frame: harmonic and noise of mid, harmonic and noise of side.
pub const GAINS: usize = 4;
/// Frames beside a sample whose windows reach it.
const REACH: usize = WINDOW.div_ceil(2 * HOP); // 3
/// Frames beside one whose windows meet its own.
const NEIGHBOURS: usize = (WINDOW - 1) / HOP; // 4
/// Frames beside a sample whose gains it depends on: its level is measured in windows that reach it, and what these hold was
/// added from all that meet them.
pub(super) const DEPENDS: usize = REACH + NEIGHBOURS; // 7
/// Noise streams of the two channels.
const NOISE_MID: u64 = 0;
const NOISE_SIDE: u64 = 1;

/// Frames of one part to be heard.
#[derive(Debug, Clone, Copy)]
pub struct Voiced<'a> {
    /// Absolute number of the first frame.
    pub first: i64,
    /// `[frames, MEL]`.
    pub mel: &'a [f32],
    /// As many frames.
    pub roll: &'a NoteRoll,
    /// Where phases count from.
    pub origins: &'a Origins,
    /// Seed and part that name the noise.
    pub noise: (u64, usize),
}

/// The frames of so many whose gains `audible` depends on: some just outside, too. Beyond all there are none.
pub(super) fn needed(audible: &Range<usize>, frames: usize) -> Range<usize> {
    widened(audible, DEPENDS, frames)
}

fn widened(range: &Range<usize>, by: usize, frames: usize) -> Range<usize> {
    range.start.saturating_sub(by)..(range.end + by).min(frames)
}

/// Samples under the windows of so many frames.
fn length(frames: &Range<usize>) -> usize {
    frames.len().saturating_sub(1) * HOP + WINDOW
}

/// Excitation, noise and transforms, with the buffers of one part at a time (2 MB for a segment).
pub struct Resynthesis {
    excitation: Excitation,
    stft: Stft,
    levels: Levels,
    /// Excitation of the rendered frames, `[frames, BINS]`.
    harmonics: Vec<Complex32>,
    noise_spectrum: Vec<Complex32>,
    frame: Vec<Complex32>,
    /// Noise under the rendered frames, and the sound of one channel as its gains have it.
    noise: Vec<f32>,
    made: Vec<f32>,
    /// Mid and side at their levels, before they are divided by the windows' power.
    mid: Vec<f32>,
    side: Vec<f32>,
    made_power: Power,
    levelled_power: Power,
}

/// What overlap-add divides by, for as many frames as were rendered last.
#[derive(Default)]
struct Power(Vec<f32>);

impl Power {
    fn of(&mut self, frames: &Range<usize>, stft: &Stft) -> &[f32] {
        if self.0.len() != length(frames) {
            self.0 = stft.window_power(frames.len());
        }
        &self.0
    }
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
            levels: Levels::new(),
            harmonics: Vec::new(),
            noise_spectrum: vec![Complex32::default(); BINS],
            frame: vec![Complex32::default(); BINS],
            noise: Vec::new(),
            made: Vec::new(),
            mid: Vec::new(),
            side: Vec::new(),
            made_power: Power::default(),
            levelled_power: Power::default(),
        }
    }

    /// Renders the frames `audible` of those given: `audible.len() * HOP` samples from the centre of the first on. `gains`,
    /// `[.., GAINS, BINS]`, are those of the frames that it depends on.
    pub fn render(&mut self, given: Voiced<'_>, gains: &[f32], audible: Range<usize>, out: &mut StereoBuffer) {
        let Voiced { first, roll, origins, noise: (seed, part), .. } = given;
        let frames = needed(&audible, roll.frames());
        let levelled = widened(&audible, REACH, roll.frames());
        let start = first + frames.start as i64;
        self.excitation.fill(roll, origins, frames.clone(), start, &mut self.harmonics);
        for (channel, stream) in [(0, NOISE_MID), (1, NOISE_SIDE)] {
            let (noise, start) = (Noise::new(seed, part, stream), start * HOP as i64 - (WINDOW / 2) as i64);
            self.noise.clear();
            self.noise.extend((start..start + length(&frames) as i64).map(|n| noise.sample(n)));
            self.make(&frames, &gains[2 * channel * BINS..]);
            self.level(given.mel, channel, &frames, &levelled);
        }
        let power = self.levelled_power.of(&levelled, &self.stft);
        let from = (audible.start - levelled.start) * HOP + WINDOW / 2;
        let samples = self.mid.iter().zip(&self.side).zip(power).skip(from);
        out.left.clear();
        out.right.clear();
        for ((mid, side), power) in samples.take(audible.len() * HOP) {
            out.left.push((mid + side) / power);
            out.right.push((mid - side) / power);
        }
    }

    /// The sound of one channel as its gains, the first of every row of `gains`, have it.
    fn make(&mut self, frames: &Range<usize>, gains: &[f32]) {
        self.made.clear();
        self.made.resize(length(frames), 0.0);
        // The last row ends with its channel.
        let rows = gains.chunks(GAINS * BINS);
        for ((i, harmonics), gains) in self.harmonics.chunks_exact(BINS).enumerate().zip(rows) {
            let (harmonic, noisy) = gains[..2 * BINS].split_at(BINS);
            let at = i * HOP..i * HOP + WINDOW;
            self.stft.analyse(&self.noise[at.clone()], &mut self.noise_spectrum);
            let given = harmonics.iter().zip(&self.noise_spectrum).zip(harmonic.iter().zip(noisy));
            for (value, ((excitation, noise), (&harmonic, &noisy))) in self.frame.iter_mut().zip(given) {
                *value = excitation * harmonic + noise * noisy;
            }
            self.stft.add_inverse(&self.frame, &mut self.made[at]);
        }
        let power = self.made_power.of(frames, &self.stft);
        self.made.iter_mut().zip(power).for_each(|(sample, power)| *sample /= power);
    }

    /// Makes `mid` or `side` of what was made: the frames `levelled`, at the levels of a mel `[frames, MEL]`.
    fn level(&mut self, mel: &[f32], channel: usize, frames: &Range<usize>, levelled: &Range<usize>) {
        let sum = if channel == 0 { &mut self.mid } else { &mut self.side };
        sum.clear();
        sum.resize(length(levelled), 0.0);
        for frame in levelled.clone() {
            let made = (frame - frames.start) * HOP;
            self.stft.analyse(&self.made[made..made + WINDOW], &mut self.frame);
            let (mid, side) = mel[frame * MEL..(frame + 1) * MEL].split_at(MEL_BANDS);
            // A frame has the side's levels above the mid's.
            let target = mid.iter().zip(side).map(|(mid, side)| if channel == 0 { *mid } else { mid + side });
            self.levels.bring(&mut self.frame, target);
            let at = (frame - levelled.start) * HOP;
            self.stft.add_inverse(&self.frame, &mut sum[at..at + WINDOW]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Note;
    use crate::synth::mel::mel_frames;
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

    /// The same of a mel `[frames, MEL]`.
    fn mel(first_frame: i64, frames: usize) -> Vec<f32> {
        let row = |frame: i64| {
            let wave = move |band: usize, slow: f64| (0.11 * frame as f64 + slow * band as f64).sin() as f32;
            let mid = (0..MEL_BANDS).map(move |band| -5.0 + wave(band, 0.1));
            mid.chain((0..MEL_BANDS).map(move |band| -1.0 + 0.5 * wave(band, 0.2)))
        };
        (first_frame..first_frame + frames as i64).flat_map(row).collect()
    }

    fn render(notes: &[Note], first_frame: i64, frames: usize, audible: Range<usize>) -> StereoBuffer {
        let (mut roll, mut out) = (NoteRoll::default(), StereoBuffer::default());
        roll.fill(notes, first_frame, frames);
        let near = needed(&audible, frames);
        let gains = gains(first_frame + near.start as i64, near.len());
        let mel = mel(first_frame, frames);
        let given = Voiced { first: first_frame, mel: &mel, roll: &roll, origins: &Origins::default(), noise: (5, 1) };
        Resynthesis::new().render(given, &gains, audible, &mut out);
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
    fn what_is_heard_has_the_levels_of_its_mel() {
        let (first, frames) = (0, 100);
        let notes = [Note { onset: 0.0, end: f64::INFINITY, pitch: 50, velocity: 100 }];
        let heard = render(&notes, first, frames, 0..frames);
        let asked = mel(first, frames);
        let found = mel_frames(&heard.left, &heard.right, 10, 80);
        let mut apart: Vec<f32> = asked[10 * MEL..].iter().zip(&found).map(|(a, b)| (a - b).abs()).collect();
        apart.sort_by(f32::total_cmp);
        // Neighbouring frames may ask for what no sound has, but most bands are where they should be.
        assert!(apart[apart.len() / 2] < 0.2, "{}", apart[apart.len() / 2]);
        assert!(apart[apart.len() * 9 / 10] < 0.6, "{}", apart[apart.len() * 9 / 10]);
    }

    #[test]
    fn gains_of_zero_are_silence() {
        let mut roll = NoteRoll::default();
        roll.fill(&[Note { onset: 0.0, end: 1.0, pitch: 60, velocity: 100 }], 0, 20);
        let mut out = StereoBuffer::default();
        let gains = vec![0.0; 20 * GAINS * BINS];
        let mel = mel(0, 20);
        let given = Voiced { first: 0, mel: &mel, roll: &roll, origins: &Origins::default(), noise: (1, 0) };
        Resynthesis::new().render(given, &gains, 4..16, &mut out);
        assert_eq!((out.left.len(), out.right.len()), (12 * HOP, 12 * HOP));
        assert!(out.left.iter().chain(&out.right).all(|&sample| sample == 0.0));
    }
}
