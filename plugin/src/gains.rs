//! Gains that never click: decibels from the parameters, linear factors with a short ramp for the samples.

use ripieno_engine::stream::smooth;

/// Seconds from one gain to the next: short enough to feel immediate, long enough not to click.
const RAMP_SECONDS: f32 = 0.02;
/// The bottom of every gain parameter, in dB. It means silence.
pub const SILENCE_DB: f32 = -60.0;
/// The top of every gain parameter, in dB.
pub const MAX_DB: f32 = 12.0;

/// The linear factor of a gain in dB; [`SILENCE_DB`] and below, and anything not a number, is 0.
pub fn linear(db: f32) -> f32 {
    if db > SILENCE_DB { 10f32.powf(db.min(MAX_DB) / 20.0) } else { 0.0 }
}

/// A gain that moves to its target sample by sample, so that block sizes do not change it, and without corners.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    from: f32,
    target: f32,
    /// How far it is, 0 to 1, and its change per sample.
    share: f32,
    step: f32,
}

impl Ramp {
    /// A gain at rest.
    pub const fn new(gain: f32) -> Self {
        Self { from: gain, target: gain, share: 1.0, step: 0.0 }
    }

    /// Moves towards `gain` (linear) from the next sample on.
    pub fn aim(&mut self, gain: f32, sample_rate: f32) {
        if gain == self.target {
            return;
        }
        *self = Self { from: self.now(), target: gain, share: 0.0, step: 1.0 / (sample_rate * RAMP_SECONDS).max(1.0) };
    }

    /// The gain of the next sample.
    #[inline]
    pub fn advance(&mut self) -> f32 {
        if self.share < 1.0 {
            self.share = (self.share + self.step).min(1.0);
        }
        self.now()
    }

    #[inline]
    fn now(&self) -> f32 {
        if self.share < 1.0 { self.from + (self.target - self.from) * smooth(self.share) } else { self.target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_is_silence_and_zero_is_one() {
        assert_eq!(linear(SILENCE_DB), 0.0);
        assert_eq!(linear(f32::NAN), 0.0);
        assert_eq!(linear(0.0), 1.0);
        assert!((linear(-20.0) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn a_ramp_arrives_exactly_and_takes_no_large_step() {
        let mut ramp = Ramp::new(0.0);
        ramp.aim(1.0, 48_000.0);
        let mut last = 0.0;
        for _ in 0..961 {
            let next = ramp.advance();
            assert!((0.0..0.0016).contains(&(next - last)), "{last} to {next}");
            last = next;
        }
        assert_eq!(last, 1.0);
    }

    #[test]
    fn a_new_target_starts_from_where_the_ramp_is() {
        let mut ramp = Ramp::new(1.0);
        ramp.aim(0.0, 48_000.0);
        let half = (0..480).map(|_| ramp.advance()).last().unwrap_or(1.0);
        ramp.aim(1.0, 48_000.0);
        assert!((ramp.advance() - half).abs() < 0.002);
    }
}
