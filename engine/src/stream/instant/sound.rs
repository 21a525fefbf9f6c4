//! Frames that last for as long as one likes, and where a voice is in them.

use wide::f32x4;

/// Steps of a cursor between two frames.
const UNIT: f64 = 4_294_967_296.0;
/// Bits of them.
const FINE: u32 = 32;

/// Stereo sound at the host rate, the end of which is a loop.
#[derive(Debug)]
pub struct Sound {
    /// Left and right: the first one twice, and four more than `loop_end`.
    frames: Vec<[f32; 2]>,
    /// First frame of the loop.
    loop_start: usize,
    /// Playing goes back from here to `loop_start`; both sound the same but for `loop_gain`.
    loop_end: usize,
    /// Level of a pass of the loop relative to the pass before: below 1 for what dies away.
    loop_gain: f32,
    /// The largest sample of the loop's first pass.
    loop_peak: f32,
}

impl Sound {
    /// Bakes a crossfaded loop into the end of `frames` at `rate` Hz, an eighth of a second of them or more. `pass_gain` says
    /// how much a pass of so many frames is quieter than the pass before; it is given the sound in mono.
    pub fn looped(mut frames: Vec<[f32; 2]>, rate: usize, pass_gain: impl FnOnce(&[f32], f32) -> f32) -> Self {
        let loop_end = frames.len() - 4;
        let fade = (rate * 3 / 10).min(loop_end / 4);
        let window = (rate / 20).min(loop_end / 4);
        // About half of the sound is looped; the exact length is where the waveform fits best, within 25 ms.
        let about = loop_end / 2;
        let mono: Vec<f32> = frames.iter().map(|f| f[0] + f[1]).collect();
        let tail = &mono[loop_end - window..loop_end];
        let loop_start = (about.saturating_sub(rate / 40).max(window + fade)..about + rate / 40)
            .step_by(2)
            .max_by(|&a, &b| fit(&mono, a, window, tail).total_cmp(&fit(&mono, b, window, tail)))
            .unwrap_or(about);
        let loop_gain = pass_gain(&mono[..loop_end], (loop_end - loop_start) as f32);
        for i in 0..fade {
            let weight = (i + 1) as f32 / fade as f32;
            let source = frames[loop_start - fade + i];
            let target = &mut frames[loop_end - fade + i];
            for channel in 0..2 {
                target[channel] = (1.0 - weight) * target[channel] + weight * loop_gain * source[channel];
            }
        }
        // The interpolation of the last frames reads on into the next pass.
        for i in 0..4 {
            frames[loop_end + i] = frames[loop_start + i].map(|x| x * loop_gain);
        }
        let loop_peak = frames[loop_start..loop_end].iter().flatten().fold(0.0f32, |peak, x| x.abs().max(peak));
        // That of the first frames reads one before them.
        frames.insert(0, frames[0]);
        Self { frames, loop_start, loop_end, loop_gain, loop_peak }
    }

    /// The largest sample of all that comes, once it is in the loop; before, it is not known.
    pub fn rest(&self, cursor: &Cursor) -> Option<f32> {
        (cursor.at >= position(self.loop_start)).then_some(cursor.level * self.loop_peak)
    }

    /// Adds the sound from a cursor on to left and right, each sample times what `gain` says of it, and moves the cursor on:
    /// no more samples than it is [steady](Cursor::steady) for.
    pub fn add(&self, cursor: &mut Cursor, gain: impl Fn(usize) -> f32, left: &mut [f32], right: &mut [f32]) {
        let mut at = cursor.at;
        for (i, (left, right)) in left.iter_mut().zip(right.iter_mut()).enumerate() {
            let index = (at >> FINE) as usize;
            let Some(&[a, b, c, d]) = self.frames.get(index..index + 4).and_then(|near| near.first_chunk()) else {
                break;
            };
            let weights = weights(at) * f32x4::splat(cursor.level * gain(i));
            // Of the first two frames, and of the last two: left and right of each.
            let first = f32x4::new([a[0], a[1], b[0], b[1]]) * weights.unpack_lo(weights);
            let last = f32x4::new([c[0], c[1], d[0], d[1]]) * weights.unpack_hi(weights);
            let sums = (first + last).to_array();
            *left += sums[0] + sums[2];
            *right += sums[1] + sums[3];
            at += cursor.step;
        }
        cursor.advance(self, left.len().min(right.len()));
    }
}

/// Weights of the four frames around a position between the second and the third: Catmull-Rom interpolation.
#[inline]
fn weights(at: u64) -> f32x4 {
    const CUBE: f32x4 = f32x4::new([-0.5, 1.5, -1.5, 0.5]);
    const SQUARE: f32x4 = f32x4::new([1.0, -2.5, 2.0, -0.5]);
    const LINE: f32x4 = f32x4::new([-0.5, 0.0, 0.5, 0.0]);
    const POINT: f32x4 = f32x4::new([0.0, 1.0, 0.0, 0.0]);
    // As many bits as the fraction of a number in 32 has.
    let x = f32x4::splat((at as u32 >> 8) as i32 as f32 * (1.0 / 16_777_216.0));
    ((CUBE * x + SQUARE) * x + LINE) * x + POINT
}

/// A frame as a cursor counts.
fn position(frame: usize) -> u64 {
    (frame as u64) << FINE
}

/// A place in a sound. It counts in whole numbers, so that many samples at once are as many one by one, to the bit.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    at: u64,
    /// Its advance per sample.
    step: u64,
    /// Level, passes of the loop included.
    pub level: f32,
}

impl Cursor {
    /// At a frame, going on by so many frames a sample: none that are negative, and more than none.
    pub fn new(at: f64, step: f64, level: f32) -> Self {
        Self { at: (at * UNIT) as u64, step: ((step * UNIT) as u64).max(1), level }
    }

    /// The frame that it is at.
    pub fn at(&self) -> f64 {
        self.at as f64 / UNIT
    }

    /// The samples that it takes from the first frame to where it is.
    pub fn samples(&self) -> f64 {
        self.at as f64 / self.step as f64
    }

    /// The same at another frame and level.
    pub fn moved(&self, at: f64, level: f32) -> Self {
        Self { at: (at * UNIT) as u64, level, ..*self }
    }

    /// So many samples on.
    #[inline]
    pub fn advance(&mut self, sound: &Sound, samples: usize) {
        self.at += self.step * samples as u64;
        while self.at >= position(sound.loop_end) {
            self.at -= position(sound.loop_end - sound.loop_start);
            self.level *= sound.loop_gain;
        }
    }

    /// Samples that lie before the loop, or before its end where it is in it: one at least.
    pub fn steady(&self, sound: &Sound) -> usize {
        let before = self.at < position(sound.loop_start);
        let next = position(if before { sound.loop_start } else { sound.loop_end });
        next.saturating_sub(self.at).div_ceil(self.step) as usize
    }

    /// Many samples on at once.
    pub fn skip(&mut self, sound: &Sound, samples: f64) {
        let (end, pass) = (sound.loop_end as f64, (sound.loop_end - sound.loop_start) as f64);
        let mut at = self.at() + samples * self.step as f64 / UNIT;
        if at >= end {
            let passes = ((at - end) / pass).floor() + 1.0;
            at -= passes * pass;
            self.level *= sound.loop_gain.powf(passes as f32);
        }
        self.at = (at * UNIT) as u64;
    }
}

#[cfg(test)]
impl Sound {
    /// Left and right where a cursor is, which goes on by a sample.
    pub fn next(&self, cursor: &mut Cursor) -> [f32; 2] {
        let (mut left, mut right) = ([0.0], [0.0]);
        self.add(cursor, |_| 1.0, &mut left, &mut right);
        [left[0], right[0]]
    }
}

pub fn energy(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum()
}

/// Normalised correlation of the window that ends at `at` with `tail`.
fn fit(mono: &[f32], at: usize, window: usize, tail: &[f32]) -> f32 {
    let head = &mono[at - window..at];
    let dot: f32 = head.iter().zip(tail).map(|(a, b)| a * b).sum();
    dot / energy(head).sqrt().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    #[test]
    fn a_loop_joins_without_a_step() {
        for decay in [1e9, 1.0] {
            let tone = |i: i32| (TAU * 220.3 * i as f32 / 48e3).sin() * (-(i as f32) / 48e3 / decay).exp();
            let frames = (0..120_000).map(|i| [tone(i); 2]).collect();
            let sound = Sound::looped(frames, 48_000, |_, pass| (-pass / 48e3 / decay).exp());
            let largest = sound.frames.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
            let last = sound.frames[sound.loop_end][0];
            let next = sound.frames[sound.loop_start + 1][0] * sound.loop_gain;
            assert!((next - last).abs() <= largest, "decay {decay}: {last} to {next}");
        }
    }

    #[test]
    fn skipping_is_advancing() {
        let frames = (0..9_000).map(|i| [(i as f32 * 0.01).sin(); 2]).collect();
        let sound = Sound::looped(frames, 8_000, |_, _| 0.5);
        let begin = Cursor::new(3.5, 1.25, 1.0);
        for samples in [1usize, 5_000, 20_000] {
            let (mut one, mut all, mut other) = (begin, begin, begin);
            (0..samples).for_each(|_| one.advance(&sound, 1));
            all.advance(&sound, samples);
            other.skip(&sound, samples as f64);
            assert_eq!((one.at, one.level), (all.at, all.level), "{samples}");
            assert!(
                (one.at() - other.at()).abs() < 1e-6 && (one.level - other.level).abs() < 1e-6,
                "{one:?}, {other:?}"
            );
        }
    }

    #[test]
    fn what_lies_between_frames_is_on_a_cubic_through_them() {
        // A parabola and a line are such; the first and the last frame stand for those beyond.
        let curve = |at: f64| [at * (10.0 - at), 3.0 - at];
        let frames = (0..1_000).map(|i| curve(f64::from(i) / 100.0).map(|x| x as f32)).collect();
        let sound = Sound::looped(frames, 8_000, |_, _| 1.0);
        for at in [1.0, 1.25, 17.875, 300.0, 333.4] {
            let found = sound.next(&mut Cursor::new(at, 1.0, 0.5));
            for (found, wanted) in found.into_iter().zip(curve(at / 100.0)) {
                assert!((f64::from(found) - 0.5 * wanted).abs() < 1e-5, "{at}: {found} and not {}", 0.5 * wanted);
            }
        }
    }

    #[test]
    fn however_it_is_cut_it_is_the_same_to_the_bit() {
        let frames = (0..1_000).map(|i| [(i as f32 * 0.01).sin(), (i as f32 * 0.03).cos()]).collect();
        let sound = Sound::looped(frames, 8_000, |_, _| 0.75);
        let heard = |piece: usize| {
            let (mut cursor, mut left, mut right) = (Cursor::new(450.3, 1.3, 1.0), [0.0f32; 2_000], [0.0f32; 2_000]);
            let mut at = 0;
            while at < left.len() {
                // No further than it is steady, whatever is asked for.
                let to = left.len().min(at + piece.min(cursor.steady(&sound)));
                sound.add(&mut cursor, |_| 0.5, &mut left[at..to], &mut right[at..to]);
                at = to;
            }
            [left, right].concat()
        };
        let one = heard(1);
        assert!(one[1_900..2_000].iter().any(|x| x.abs() > 0.01));
        for piece in [7, 64, 2_000] {
            assert!(heard(piece).iter().zip(&one).all(|(a, b)| a.to_bits() == b.to_bits()), "pieces of {piece}");
        }
    }
}
