//! Whether the host asks for audio as fast as it can get it: a bounce, said or not.
//!
//! Ardour exports, and DawDreamer renders, without ever telling a VST3 plug-in that nobody listens. Blocks that come much
//! faster than they could be played say it as clearly. Runs on the audio thread; reads a clock and does arithmetic.

use std::time::{Duration, Instant};

/// The host's pace is judged over this much audio, in seconds. Shorter, and a sound card that asks for several blocks at
/// once would look like a bounce; longer, and the first notes of a bounce would be missed.
const WINDOW_SECONDS: f64 = 0.5;
/// A window that takes the host less than this share of its own length is not being listened to.
pub(super) const HURRY: f64 = 0.4;
/// A bounce is over when a window takes at least this share: a host that bounces on a busy machine may dawdle, and one that
/// plays cannot be early by so much for so long.
const PLAYS: f64 = 0.75;
/// While it bounces, no gap between two blocks counts for more than this, in seconds, or than the audio that it was for: a
/// host that writes to a slow disk, on a machine that others use too, may stand still for long, once. One that plays is
/// slow at every block.
const LONGEST_STALL: f64 = 0.25;

/// Measures the host's own time between blocks, without what our waiting adds to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When the block before came.
    last: Instant,
    /// What we kept the host waiting since.
    waited: Duration,
    /// The host's own time in this window, in seconds.
    took: f64,
    /// Samples in this window, and of the block before.
    samples: u64,
    block: usize,
    bouncing: bool,
}

impl Pace {
    pub fn new() -> Self {
        let last = Instant::now();
        Self { last, waited: Duration::ZERO, took: 0.0, samples: 0, block: 0, bouncing: false }
    }

    /// A block of `frames` samples at `rate` Hz is about to be rendered. Returns whether the host bounces.
    pub fn block(&mut self, frames: usize, rate: u32) -> bool {
        self.block_at(Instant::now(), frames, rate)
    }

    /// We kept the host waiting.
    pub fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    fn block_at(&mut self, now: Instant, frames: usize, rate: u32) -> bool {
        let seconds = |samples: u64| samples as f64 / f64::from(rate);
        let gap = now.saturating_duration_since(self.last).saturating_sub(self.waited).as_secs_f64();
        let longest = if self.bouncing { seconds(self.block as u64).max(LONGEST_STALL) } else { f64::INFINITY };
        (self.last, self.waited, self.block) = (now, Duration::ZERO, frames);
        self.took += gap.min(longest);
        let played = seconds(self.samples);
        if played >= WINDOW_SECONDS {
            self.bouncing = self.took < if self.bouncing { PLAYS } else { HURRY } * played;
            (self.took, self.samples) = (0.0, 0);
        }
        self.samples += frames as u64;
        self.bouncing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether 2 s of blocks look like a bounce, when each comes `gap` seconds after the one before.
    fn bounces(gap: f64, waited: f64) -> bool {
        let mut pace = Pace::new();
        let mut now = pace.last;
        (0..188).fold(false, |_, _| {
            now += Duration::from_secs_f64(gap + waited);
            pace.waited(Duration::from_secs_f64(waited));
            pace.block_at(now, 512, 48_000)
        })
    }

    #[test]
    fn blocks_at_the_pace_of_a_sound_card_are_no_bounce() {
        assert!(!bounces(512.0 / 48_000.0, 0.0));
    }

    #[test]
    fn blocks_that_come_at_once_are_a_bounce() {
        assert!(bounces(0.0001, 0.0));
    }

    #[test]
    fn a_bounce_that_waits_for_us_is_still_a_bounce() {
        assert!(bounces(0.0001, 0.02));
    }

    #[test]
    fn a_bounce_that_dawdles_is_still_a_bounce() {
        let mut pace = Pace::new();
        let mut now = pace.last;
        for _ in 0..100 {
            pace.block_at(now, 512, 48_000);
        }
        for _ in 0..400 {
            now += Duration::from_secs_f64(0.6 * 512.0 / 48_000.0);
            assert!(pace.block_at(now, 512, 48_000));
        }
    }

    #[test]
    fn a_bounce_that_stands_still_for_two_seconds_is_still_a_bounce() {
        let mut pace = Pace::new();
        let mut now = pace.last;
        for _ in 0..100 {
            pace.block_at(now, 512, 48_000);
        }
        for block in 0..400 {
            now += if block % 100 == 50 { Duration::from_secs(2) } else { Duration::from_millis(1) };
            assert!(pace.block_at(now, 512, 48_000), "block {block}");
        }
    }

    #[test]
    fn blocks_longer_than_a_stall_end_a_bounce_too() {
        let mut pace = Pace::new();
        let mut now = pace.last;
        for _ in 0..20 {
            pace.block_at(now, 32_768, 48_000);
        }
        assert!(pace.bouncing);
        for _ in 0..4 {
            now += Duration::from_secs_f64(32_768.0 / 48_000.0);
            pace.block_at(now, 32_768, 48_000);
        }
        assert!(!pace.bouncing);
    }

    #[test]
    fn a_bounce_ends_when_the_host_plays_again() {
        let mut pace = Pace::new();
        let mut now = pace.last;
        for _ in 0..100 {
            pace.block_at(now, 512, 48_000);
        }
        assert!(pace.bouncing);
        for _ in 0..100 {
            now += Duration::from_secs_f64(512.0 / 48_000.0);
            pace.block_at(now, 512, 48_000);
        }
        assert!(!pace.bouncing);
    }

    #[test]
    fn a_sound_card_that_asks_for_several_blocks_at_once_is_no_bounce() {
        let mut pace = Pace::new();
        let mut now = pace.last;
        for burst in 0..40 {
            now += Duration::from_secs_f64(8.0 * 512.0 / 48_000.0);
            for _ in 0..8 {
                assert!(!pace.block_at(now, 512, 48_000), "burst {burst}");
            }
        }
    }
}
