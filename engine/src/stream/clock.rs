//! Stream time: modes, and the one latency figure.

/// How the engine runs. The latency that the host is told changes only with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// A keyboardist plays: no latency, the instant voice sounds in the same block.
    #[default]
    Live,
    /// A track plays back: diffusion segments, later by one fixed latency that the host compensates.
    Sync,
}

impl Mode {
    pub(super) fn from_bits(bits: u8) -> Self {
        if bits == 1 { Self::Sync } else { Self::Live }
    }

    pub(super) fn bits(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Sync => 1,
        }
    }
}

/// Samples of one frame at [`MODEL_RATE`].
pub(super) const FRAME: u64 = 480;
/// The rate of the models, in Hz.
pub(super) const MODEL_RATE: u64 = 48_000;
/// New frames per segment.
pub(super) const HOP_FRAMES: u64 = 64;
/// Frames in which two segments overlap.
pub(super) const OVERLAP_FRAMES: u64 = 32;
/// Frames that the conductor may gather one chord for: 10 ms.
pub(super) const GATHER_FRAMES: u64 = 1;
/// Frames by which a segment's sound begins before its own: those that the vocoder held until it knew what follows.
pub(super) const HELD_FRAMES: u64 = crate::synth::HELD_FRAMES as u64;
/// What a segment may take from the moment its last note is known until its first sample is due, in frames. Four parts of
/// four steps take 0.20 s on two virtual cores (README.md, "Figures"); a whole hop would be 0.25 s more of latency.
pub(super) const COMPUTE_FRAMES: u64 = 39;

/// The latency of a mode at a host rate, in host samples, rounded up. A pure function.
///
/// Sync is 1.61 s: the 0.96 s of notes that a segment needs (hop and overlap), 10 ms in which a chord is
/// gathered, 0.25 s by which sound lags behind mel, and 0.39 s to compute it. Live is 0. A rate that is not a positive
/// number counts as 48 kHz.
///
/// ```
/// use ripieno_engine::stream::{latency_samples, Mode};
/// assert_eq!(latency_samples(Mode::Sync, 48_000.0), 77_280);
/// assert_eq!(latency_samples(Mode::Live, 44_100.0), 0);
/// ```
#[must_use]
pub fn latency_samples(mode: Mode, sample_rate: f64) -> u32 {
    match mode {
        Mode::Live => 0,
        Mode::Sync => {
            let frames = HOP_FRAMES + OVERLAP_FRAMES + GATHER_FRAMES + HELD_FRAMES + COMPUTE_FRAMES;
            (u64::from(host_rate(sample_rate)) * frames * FRAME).div_ceil(MODEL_RATE) as u32
        }
    }
}

/// Stream sample at [`MODEL_RATE`] with which the sound of a segment begins; below 0 it is before the stream.
pub(super) fn segment_start(index: i64) -> i64 {
    (index * HOP_FRAMES as i64 - HELD_FRAMES as i64) * FRAME as i64
}

/// Host samples that a chord is gathered for, rounded up.
pub(super) fn gather_samples(rate: u32) -> u64 {
    (GATHER_FRAMES * FRAME * u64::from(rate)).div_ceil(MODEL_RATE)
}

/// How many segments of a stream have all their notes known when the clock shows `now` host samples.
pub(super) fn segments_known(now: u64, rate: u32) -> u64 {
    let frames = u128::from(now) * u128::from(MODEL_RATE) / (u128::from(rate) * u128::from(FRAME));
    let first = HOP_FRAMES + OVERLAP_FRAMES + GATHER_FRAMES;
    (frames as u64).checked_sub(first).map_or(0, |more| more / HOP_FRAMES + 1)
}

/// Seconds from `now` host samples on until the next segment of the stream has all its notes known.
pub(super) fn until_segment_known(now: u64, rate: u32) -> f64 {
    let next = HOP_FRAMES + OVERLAP_FRAMES + GATHER_FRAMES + segments_known(now, rate) * HOP_FRAMES;
    (next * FRAME) as f64 / MODEL_RATE as f64 - now as f64 / f64::from(rate)
}

/// A host's sample rate as a whole number of Hz within what the engine can resample to (1 kHz to 1 MHz).
pub(super) fn host_rate(sample_rate: f64) -> u32 {
    if sample_rate.is_finite() && sample_rate >= 1.0 {
        (sample_rate.round() as u32).clamp(1_000, 1_000_000)
    } else {
        MODEL_RATE as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_one_figure_per_rate_and_covers_hop_overlap_and_gathering() {
        for rate in [8_000.0, 22_050.0, 44_100.0, 48_000.0, 88_200.0, 96_000.0, 192_000.0] {
            let seconds = f64::from(latency_samples(Mode::Sync, rate)) / rate;
            assert!((1.61..1.61 + 1.0 / rate).contains(&seconds), "{rate}: {seconds}");
            assert_eq!(latency_samples(Mode::Live, rate), 0);
        }
    }

    #[test]
    fn a_segment_is_known_when_its_overlap_and_the_gathering_of_its_last_chord_are_over() {
        assert_eq!(segments_known(97 * 480 - 1, 48_000), 0);
        assert_eq!(segments_known(97 * 480, 48_000), 1);
        assert_eq!(segments_known((97 + 64) * 480 - 1, 48_000), 1);
        assert_eq!(segments_known((97 + 64) * 480, 48_000), 2);
        assert_eq!(segments_known(97 * 441, 44_100), 1);
        assert_eq!(segments_known(97 * 441 - 1, 44_100), 0);
    }

    #[test]
    fn the_next_segment_is_known_when_what_is_left_is_over() {
        for (now, rate) in [(0, 48_000), (1, 8_000), (97 * 480, 48_000), (97 * 480 - 1, 48_000), (1_234_567, 44_100)] {
            let left = until_segment_known(now, rate);
            assert!(left > 0.0 && left <= 0.97, "{now}: {left}");
            let then = now + (left * f64::from(rate)).round() as u64;
            assert_eq!(segments_known(then, rate), segments_known(now, rate) + 1, "{now} at {rate} Hz");
        }
    }

    #[test]
    fn a_nonsense_rate_counts_as_48_khz() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(latency_samples(Mode::Sync, rate), 77_280);
        }
    }
}
