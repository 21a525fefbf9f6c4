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

/// Measures the host's own time between blocks, without what our waiting adds to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    begun: Instant,
    waited: Duration,
    samples: u64,
    bouncing: bool,
}

impl Pace {
    pub fn new() -> Self {
        Self { begun: Instant::now(), waited: Duration::ZERO, samples: 0, bouncing: false }
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
        let played = self.samples as f64 / f64::from(rate);
        if played >= WINDOW_SECONDS {
            let took = now.saturating_duration_since(self.begun).saturating_sub(self.waited).as_secs_f64();
            let bouncing = took < if self.bouncing { PLAYS } else { HURRY } * played;
            *self = Self { begun: now, waited: Duration::ZERO, samples: 0, bouncing };
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
        let mut now = pace.begun;
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
        let mut now = pace.begun;
        for _ in 0..100 {
            pace.block_at(now, 512, 48_000);
        }
        for _ in 0..400 {
            now += Duration::from_secs_f64(0.6 * 512.0 / 48_000.0);
            assert!(pace.block_at(now, 512, 48_000));
        }
    }

    #[test]
    fn a_bounce_ends_when_the_host_plays_again() {
        let mut pace = Pace::new();
        let mut now = pace.begun;
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
        let mut now = pace.begun;
        for burst in 0..40 {
            now += Duration::from_secs_f64(8.0 * 512.0 / 48_000.0);
            for _ in 0..8 {
                assert!(!pace.block_at(now, 512, 48_000), "burst {burst}");
            }
        }
    }
}
