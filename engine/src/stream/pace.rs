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

    const RATE: u32 = 48_000;

    /// A host with a clock of its own.
    struct Host {
        pace: Pace,
        now: Instant,
        frames: usize,
    }

    impl Host {
        fn new(frames: usize) -> Self {
            let pace = Pace::new();
            Self { pace, now: pace.last, frames }
        }

        /// One that has bounced for a second or more.
        fn bouncing(frames: usize) -> Self {
            let mut host = Self::new(frames);
            let seen = (0..RATE as usize / frames + 20).fold(false, |_, _| host.block(0.0));
            assert!(seen, "a host that asks at once bounces");
            host
        }

        /// A block comes, so many times its own length after the one before. Returns whether that is a bounce.
        fn block(&mut self, gap: f64) -> bool {
            self.after(gap * self.frames as f64 / f64::from(RATE))
        }

        /// A block comes, so many seconds after the one before.
        fn after(&mut self, seconds: f64) -> bool {
            self.now += Duration::from_secs_f64(seconds);
            self.pace.block_at(self.now, self.frames, RATE)
        }
    }

    #[test]
    fn blocks_at_the_pace_of_a_sound_card_are_no_bounce() {
        let mut host = Host::new(512);
        assert!((0..188).all(|_| !host.block(1.0)));
    }

    #[test]
    fn a_bounce_that_waits_for_us_is_still_a_bounce() {
        let mut host = Host::new(512);
        let seen = (0..188).fold(false, |_, _| {
            host.pace.waited(Duration::from_millis(20));
            host.after(0.0201)
        });
        assert!(seen);
    }

    #[test]
    fn a_bounce_that_dawdles_is_still_a_bounce() {
        let mut host = Host::bouncing(512);
        assert!((0..400).all(|_| host.block(0.6)));
    }

    #[test]
    fn a_bounce_that_stands_still_for_two_seconds_is_still_a_bounce() {
        let mut host = Host::bouncing(512);
        assert!((0..400).all(|block| host.after(if block % 100 == 50 { 2.0 } else { 0.001 })));
    }

    /// Of blocks longer than what counts of a standstill, too.
    #[test]
    fn a_bounce_ends_when_the_host_plays_again() {
        for (frames, blocks) in [(512, 100), (32_768, 4)] {
            let mut host = Host::bouncing(frames);
            let seen = (0..blocks).fold(true, |_, _| host.block(1.0));
            assert!(!seen, "blocks of {frames}");
        }
    }

    #[test]
    fn a_sound_card_that_asks_for_several_blocks_at_once_is_no_bounce() {
        let mut host = Host::new(512);
        assert!((0..320).all(|block| !host.block(if block % 8 == 0 { 8.0 } else { 0.0 })));
    }
}
