//! The end of a stream that is left for another: what it would have played next, faded out under the new one.

use super::MAX_PARTS;
use super::fade::smooth;

/// Seconds of the fade.
const SECONDS: f64 = 0.01;

/// On the audio thread; memory of [`SECONDS`] for every part, allocated when the host activates.
pub(super) struct Tail {
    pub parts: [[Vec<f32>; 2]; MAX_PARTS],
    /// Samples that were added already; all of them: nothing is left.
    at: usize,
}

impl Tail {
    pub fn new() -> Self {
        Self { parts: std::array::from_fn(|_| [Vec::new(), Vec::new()]), at: 0 }
    }

    /// Makes room for a rate in Hz. May allocate.
    pub fn configure(&mut self, rate: u32) {
        let frames = (SECONDS * f64::from(rate)) as usize;
        for channel in self.parts.iter_mut().flatten() {
            channel.clear();
            channel.resize(frames, 0.0);
        }
        self.at = frames;
    }

    /// Samples of the fade.
    pub fn frames(&self) -> usize {
        self.parts[0][0].len()
    }

    /// Begins anew: lets `render` add [`Self::frames`] samples to what is left of an earlier tail, and fades all of it out.
    pub fn begin(&mut self, render: impl FnOnce(&mut [[Vec<f32>; 2]; MAX_PARTS])) {
        let frames = self.frames();
        for channel in self.parts.iter_mut().flatten() {
            channel.copy_within(self.at.., 0);
            channel[frames - self.at..].fill(0.0);
        }
        self.at = 0;
        render(&mut self.parts);
        for channel in self.parts.iter_mut().flatten() {
            for (i, sample) in channel.iter_mut().enumerate() {
                *sample *= smooth(1.0 - (i + 1) as f32 / frames as f32);
            }
        }
    }

    /// Adds the next samples to the first `frames` of the block.
    pub fn add(&mut self, frames: usize, parts: &mut [[Vec<f32>; 2]; MAX_PARTS]) {
        let count = frames.min(self.frames() - self.at);
        if count == 0 {
            return;
        }
        for (part, tail) in parts.iter_mut().flatten().zip(self.parts.iter().flatten()) {
            for (sample, tail) in part[..count].iter_mut().zip(&tail[self.at..self.at + count]) {
                *sample += tail;
            }
        }
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers(frames: usize) -> [[Vec<f32>; 2]; MAX_PARTS] {
        std::array::from_fn(|_| [vec![0.0; frames], vec![0.0; frames]])
    }

    #[test]
    fn a_tail_falls_to_nothing_whatever_the_block_size() {
        for block in [1, 7, 64, 1_000] {
            let mut tail = Tail::new();
            tail.configure(48_000);
            tail.begin(|parts| parts[2][1].fill(1.0));
            let mut heard = Vec::new();
            while heard.len() < 1_000 {
                let mut parts = buffers(block);
                tail.add(block, &mut parts);
                assert!(parts[0][0].iter().all(|x| *x == 0.0));
                heard.extend_from_slice(&parts[2][1]);
            }
            assert!(heard[0] > 0.99 && heard.windows(2).all(|w| w[0] - w[1] >= 0.0 && w[0] - w[1] < 0.0032));
            assert!(heard[480..].iter().all(|x| *x == 0.0));
        }
    }
}
