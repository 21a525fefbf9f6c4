//! Frames that last for as long as one likes, and where a voice is in them.

/// Stereo sound at the host rate, the end of which is a loop.
#[derive(Debug)]
pub struct Sound {
    /// Left and right; four more than `loop_end`.
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
        Self { frames, loop_start, loop_end, loop_gain, loop_peak }
    }

    /// The largest sample of all that comes, once it is in the loop; before, it is not known.
    pub fn rest(&self, cursor: &Cursor) -> Option<f32> {
        (cursor.at >= self.loop_start as f64).then_some(cursor.level * self.loop_peak)
    }

    /// Left and right at a position.
    #[inline]
    pub fn read(&self, at: f64) -> [f32; 2] {
        let index = at as usize;
        let x = (at - index as f64) as f32;
        let before = self.frames[index.saturating_sub(1)];
        let [here, next, after] = [self.frames[index], self.frames[index + 1], self.frames[index + 2]];
        [0, 1].map(|side| hermite(before[side], here[side], next[side], after[side], x))
    }
}

/// A position in a sound.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    pub at: f64,
    /// Its advance per sample.
    pub step: f64,
    /// Level, passes of the loop included.
    pub level: f32,
}

impl Cursor {
    /// One sample on.
    #[inline]
    pub fn advance(&mut self, sound: &Sound) {
        self.at += self.step;
        if self.at >= sound.loop_end as f64 {
            self.at -= (sound.loop_end - sound.loop_start) as f64;
            self.level *= sound.loop_gain;
        }
    }

    /// Samples before it comes to the loop, or to its end, at least.
    pub fn steady(&self, sound: &Sound) -> usize {
        let next = if self.at < sound.loop_start as f64 { sound.loop_start } else { sound.loop_end };
        ((next as f64 - self.at) / self.step) as usize
    }

    /// Many samples on at once.
    pub fn skip(&mut self, sound: &Sound, samples: f64) {
        let (end, pass) = (sound.loop_end as f64, (sound.loop_end - sound.loop_start) as f64);
        self.at += samples * self.step;
        if self.at >= end {
            let passes = ((self.at - end) / pass).floor() + 1.0;
            self.at -= passes * pass;
            self.level *= sound.loop_gain.powf(passes as f32);
        }
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

/// Catmull-Rom interpolation between `b` and `c`.
#[inline]
fn hermite(a: f32, b: f32, c: f32, d: f32, x: f32) -> f32 {
    let c1 = 0.5 * (c - a);
    let c2 = a - 2.5 * b + 2.0 * c - 0.5 * d;
    let c3 = 0.5 * (d - a) + 1.5 * (b - c);
    ((c3 * x + c2) * x + c1) * x + b
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
            let last = sound.frames[sound.loop_end - 1][0];
            let next = sound.frames[sound.loop_start][0] * sound.loop_gain;
            assert!((next - last).abs() <= largest, "decay {decay}: {last} to {next}");
        }
    }

    #[test]
    fn skipping_is_advancing() {
        let frames = (0..9_000).map(|i| [(i as f32 * 0.01).sin(); 2]).collect();
        let sound = Sound::looped(frames, 8_000, |_, _| 0.5);
        let begin = Cursor { at: 3.5, step: 1.25, level: 1.0 };
        for samples in [1u32, 5_000, 20_000] {
            let (mut one, mut other) = (begin, begin);
            (0..samples).for_each(|_| one.advance(&sound));
            other.skip(&sound, f64::from(samples));
            assert!((one.at - other.at).abs() < 1e-6 && (one.level - other.level).abs() < 1e-6, "{one:?}, {other:?}");
        }
    }
}
