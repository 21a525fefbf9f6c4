//! Gains that never click: decibels from the parameters, linear factors with a short ramp for the samples.

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

/// A gain that moves to its target in a straight line, sample by sample, so that block sizes do not change it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    current: f32,
    target: f32,
    step: f32,
    left: u32,
}

impl Ramp {
    /// A gain at rest.
    pub const fn new(gain: f32) -> Self {
        Self { current: gain, target: gain, step: 0.0, left: 0 }
    }

    /// Moves towards `gain` (linear) from the next sample on.
    pub fn aim(&mut self, gain: f32, sample_rate: f32) {
        if gain == self.target {
            return;
        }
        let samples = ((sample_rate * RAMP_SECONDS) as u32).max(1);
        self.target = gain;
        self.step = (gain - self.current) / samples as f32;
        self.left = samples;
    }

    /// The gain of the next sample.
    #[inline]
    pub fn advance(&mut self) -> f32 {
        if self.left > 0 {
            self.left -= 1;
            self.current = if self.left == 0 { self.target } else { self.current + self.step };
        }
        self.current
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
        for _ in 0..960 {
            let next = ramp.advance();
            assert!((0.0..0.0011).contains(&(next - last)), "{last} to {next}");
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
