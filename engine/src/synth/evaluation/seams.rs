//! Whether the places where segments join can be heard: change of the spectrum and of loudness there and elsewhere.

use crate::synth::mel::mel_frames;
use crate::synth::{HOP_FRAMES, OVERLAP_FRAMES, StereoBuffer};

/// Channels of a mel frame; the first half are mid.
const MEL: usize = 256;
const BANDS: usize = MEL / 2;
/// Frames beside a join that its windows reach.
const BESIDE: usize = 1;
/// Frames that are not counted at either end: nothing joins there yet.
const ENDS: usize = HOP_FRAMES;
/// How far under the loudest band of all a band still counts, nepers: what lies below is not heard beside it.
const RANGE: f32 = 7.0;

/// Whether a frame is where a segment begins or its overlap ends.
fn is_join(frame: usize) -> bool {
    let into = |period: usize| frame % period;
    let near = |at: usize| at <= BESIDE || at + BESIDE >= HOP_FRAMES;
    near(into(HOP_FRAMES)) || near((frame + HOP_FRAMES - OVERLAP_FRAMES) % HOP_FRAMES)
}

/// A mean, and its standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Take {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the mean.
    pub error: f64,
}

impl Take {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, error: (squares / (count - 1.0).max(1.0) / count.max(1.0)).sqrt() }
    }
}

/// Frames by which the same music is rendered later, so that segments join elsewhere in it: the two of a small shift, and
/// as far from all joins of the first rendering as can be.
pub const SHIFTS: [usize; 2] = [2, OVERLAP_FRAMES / 2];

/// Changes from frame to frame of renderings of the same music whose segments join at different places in it.
#[derive(Debug, Clone, Default)]
pub struct Seams {
    /// Mean rise of the mel bands, nepers.
    flux: Measure,
    /// Change of the frame's power, dB.
    loudness: Measure,
}

/// One measure of change, over everything counted.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// At joins and elsewhere, of the first rendering and of the one two frames later.
    at_joins: [Vec<f64>; 2],
    elsewhere: [Vec<f64>; 2],
    /// At joins of one rendering, less what the music does there in another that has no join there.
    added: Vec<f64>,
}

impl Measure {
    /// At joins of the first rendering, or of the one two frames later.
    pub fn at_joins(&self, shifted: bool) -> Take {
        Take::of(&self.at_joins[usize::from(shifted)])
    }

    /// Where nothing joins in it.
    pub fn elsewhere(&self, shifted: bool) -> Take {
        Take::of(&self.elsewhere[usize::from(shifted)])
    }

    /// By how much a join changes more than the same music without one.
    pub fn added(&self) -> Take {
        Take::of(&self.added)
    }

    /// `changes` are of the first rendering and of those [`SHIFTS`] later.
    fn count(&mut self, changes: [&[f64]; 3]) {
        let inner = |of: &[f64]| ENDS..of.len().saturating_sub(ENDS);
        for (shifted, changes) in changes[..2].iter().enumerate() {
            for frame in inner(changes) {
                let values = if is_join(frame) { &mut self.at_joins } else { &mut self.elsewhere };
                values[shifted].push(changes[frame]);
            }
        }
        let [first, _, last] = changes;
        let later = SHIFTS[1];
        for frame in inner(first) {
            let Some(other) = last.get(frame + later) else { continue };
            match (is_join(frame), is_join(frame + later)) {
                (true, false) => self.added.push(first[frame] - other),
                (false, true) => self.added.push(other - first[frame]),
                _ => {}
            }
        }
    }
}

impl Seams {
    /// Counts three renderings of the same music, each longer than three segments: the first, and those [`SHIFTS`] later.
    pub fn count(&mut self, renderings: [&StereoBuffer; 3]) {
        let [first, two, far] = renderings.map(Changes::of);
        self.flux.count([&first.flux, &two.flux, &far.flux]);
        self.loudness.count([&first.loudness, &two.loudness, &far.loudness]);
    }

    /// Spectral flux: mean rise of the mel bands, nepers.
    pub fn flux(&self) -> &Measure {
        &self.flux
    }

    /// Change of loudness: of the frame's power, dB.
    pub fn loudness(&self) -> &Measure {
        &self.loudness
    }
}

/// From each frame to the next.
struct Changes {
    flux: Vec<f64>,
    loudness: Vec<f64>,
}

impl Changes {
    fn of(audio: &StereoBuffer) -> Self {
        let frames = audio.left.len() / crate::synth::HOP;
        let mel = mel_frames(&audio.left, &audio.right, 0, frames);
        let mids: Vec<&[f32]> = mel.chunks_exact(MEL).map(|frame| &frame[..BANDS]).collect();
        let loudest = mids.iter().flat_map(|mid| mid.iter()).copied().fold(f32::MIN, f32::max);
        let heard = |level: f32| level.max(loudest - RANGE);
        let power = |mid: &[f32]| mid.iter().map(|&level| f64::from(2.0 * heard(level)).exp()).sum::<f64>();
        let pairs = || mids.windows(2).map(|pair| (pair[0], pair[1]));
        let rise = |(a, b): (&[f32], &[f32])| {
            let rises = a.iter().zip(b).map(|(&a, &b)| f64::from((heard(b) - heard(a)).max(0.0)));
            rises.sum::<f64>() / BANDS as f64
        };
        let flux = pairs().map(rise).collect();
        let loudness = pairs().map(|(a, b)| 10.0 * (power(b) / power(a)).log10().abs()).collect();
        Self { flux, loudness }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::HOP;
    use crate::synth::noise::Noise;

    /// Twenty segments of a steady noise, `later` frames later, lowered to `dip` for a window at every join.
    fn sound(later: usize, dip: f32) -> StereoBuffer {
        let noise = Noise::new(1, 0, 0);
        let sample = |n: usize| {
            let into = (n / HOP) % OVERLAP_FRAMES;
            let gain = if into <= 1 || into + 2 >= OVERLAP_FRAMES { dip } else { 1.0 };
            0.1 * gain * noise.sample(n as i64 - (later * HOP) as i64)
        };
        let left: Vec<f32> = (0..20 * HOP_FRAMES * HOP).map(sample).collect();
        StereoBuffer { right: left.clone(), left }
    }

    #[test]
    fn a_dip_at_every_join_is_found_and_steady_sound_has_none() {
        let count = |dip| {
            let mut seams = Seams::default();
            seams.count([&sound(0, dip), &sound(SHIFTS[0], dip), &sound(SHIFTS[1], dip)]);
            seams
        };
        let (even, dipped) = (count(1.0), count(0.3));
        for measure in [even.flux(), even.loudness()] {
            let added = measure.added();
            assert!(added.mean.abs() <= 3.0 * added.error, "{added:?}");
        }
        for measure in [dipped.flux(), dipped.loudness()] {
            let added = measure.added();
            assert!(added.mean > 5.0 * added.error, "{added:?}");
            for shifted in [false, true] {
                let (joins, elsewhere) = (measure.at_joins(shifted), measure.elsewhere(shifted));
                assert!(joins.mean > 1.2 * elsewhere.mean, "{joins:?} {elsewhere:?}");
            }
        }
    }

    #[test]
    fn joins_are_where_segments_begin_and_overlaps_end() {
        let joins: Vec<usize> = (64..128).filter(|&frame| is_join(frame)).collect();
        assert_eq!(joins, [64, 65, 95, 96, 97, 127]);
    }
}
