//! The cosine noise schedule and v-prediction.

use std::f64::consts::FRAC_PI_2;

/// Diffusion times the networks were trained with.
pub const TIMES: usize = 1000;
/// The noisiest time.
pub const NOISIEST: usize = TIMES - 1; // 999
const OFFSET: f64 = 0.008;
const LARGEST_BETA: f64 = 0.999;

/// A place between noise and clean: x = signal * x0 + spread * noise, signal^2 + spread^2 = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Diffusion time, 0 to [`NOISIEST`]; fractions lie between the trained times.
    pub time: f64,
    /// What is left of x0.
    pub signal: f64,
    /// Standard deviation of the noise.
    pub spread: f64,
}

impl Level {
    /// No noise at all: x is x0.
    pub const CLEAN: Self = Self { time: 0.0, signal: 1.0, spread: 0.0 };

    /// ln(signal / spread), half the logarithm of the signal-to-noise ratio; infinite where it is clean.
    pub fn log_snr(self) -> f64 {
        (self.signal / self.spread).ln()
    }

    /// Standard deviation of DDIM's fresh noise from here to a cleaner level (Song et al. 2021, eq. 16).
    pub fn fresh_noise(self, to: Self, eta: f64) -> f64 {
        let kept = (self.signal / to.signal).powi(2);
        eta * to.spread / self.spread * (1.0 - kept).max(0.0).sqrt()
    }
}

/// Cumulative signal power per time (Nichol & Dhariwal 2021, eq. 17, betas clipped).
#[derive(Debug, Clone)]
pub struct Schedule {
    alpha_bar: Vec<f64>,
}

impl Default for Schedule {
    fn default() -> Self {
        let f = |t: f64| ((t / TIMES as f64 + OFFSET) / (1.0 + OFFSET) * FRAC_PI_2).cos().powi(2);
        let mut product = 1.0;
        let alpha_bar = (0..TIMES)
            .map(|t| {
                let beta = (1.0 - f(t as f64 + 1.0) / f(t as f64)).min(LARGEST_BETA);
                product *= 1.0 - beta;
                product
            })
            .collect();
        Self { alpha_bar }
    }
}

impl Schedule {
    /// Signal power at a time, clamped to the last.
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar[t.min(NOISIEST)]
    }

    /// The level of a trained time, clamped to the last.
    pub fn at(&self, t: usize) -> Level {
        let bar = self.alpha_bar(t);
        Level { time: t.min(NOISIEST) as f64, signal: bar.sqrt(), spread: (1.0 - bar).sqrt() }
    }

    /// The level with this [`Level::log_snr`], its time interpolated between trained ones and clamped to them.
    pub fn at_log_snr(&self, log_snr: f64) -> Level {
        // Rises with falling time: the first time that is as noisy or noisier.
        let (mut cleaner, mut noisier) = (0, NOISIEST);
        if log_snr >= self.at(cleaner).log_snr() {
            return self.at(cleaner);
        }
        if log_snr <= self.at(noisier).log_snr() {
            return self.at(noisier);
        }
        while noisier - cleaner > 1 {
            let middle = cleaner.midpoint(noisier);
            if self.at(middle).log_snr() > log_snr { cleaner = middle } else { noisier = middle }
        }
        let (above, below) = (self.at(cleaner).log_snr(), self.at(noisier).log_snr());
        let time = cleaner as f64 + (above - log_snr) / (above - below);
        let spread = (1.0 / (1.0 + (2.0 * log_snr).exp())).sqrt();
        Level { time, signal: (1.0 - spread * spread).sqrt(), spread }
    }

    /// `steps` falling levels, evenly spaced in time from `start` on; the sampler ends on x0. 250 from the noisiest are
    /// the reference's 999, 995, ..., 3.
    pub fn evenly(&self, start: usize, steps: usize) -> Vec<Level> {
        (0..steps).map(|i| self.at(start * (steps - i) / steps)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(levels: &[Level]) -> Vec<f64> {
        levels.iter().map(|level| level.time).collect()
    }

    #[test]
    fn alpha_bar_has_the_published_values() {
        let schedule = Schedule::default();
        let expected =
            [(0, 0.999958716), (250, 0.845887986), (499, 0.49384359), (750, 0.143178646), (999, 2.42876691e-9)];
        for (t, value) in expected {
            assert!((schedule.alpha_bar(t) / value - 1.0).abs() < 1e-6, "{t}: {}", schedule.alpha_bar(t));
        }
    }

    #[test]
    fn ddim_noise_has_the_published_values() {
        let schedule = Schedule::default();
        for (t, next, value) in [(999, 995, 0.99994932), (503, 499, 0.11166101), (7, 3, 0.01064605)] {
            let noise = schedule.at(t).fresh_noise(schedule.at(next), 1.0);
            assert!((noise - value).abs() < 1e-6, "{noise}");
        }
        assert_eq!(schedule.at(3).fresh_noise(Level::CLEAN, 1.0), 0.0);
    }

    #[test]
    fn steps_start_at_the_noisiest_time_and_fall() {
        let schedule = Schedule::default();
        assert_eq!(times(&schedule.evenly(NOISIEST, 4)), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(times(&schedule.evenly(500, 2)), [500.0, 250.0]);
        let published: Vec<f64> = (0..250).map(|i| f64::from(999 - 4 * i)).collect();
        assert_eq!(times(&schedule.evenly(NOISIEST, 250)), published);
        for (steps, taught) in crate::synth::mel::golden().ddim_times {
            let taught: Vec<f64> = taught.into_iter().map(|time| time as f64).collect();
            assert_eq!(
                times(&schedule.evenly(NOISIEST, steps)),
                taught,
                "{steps} steps, as the networks are distilled"
            );
        }
    }

    #[test]
    fn a_signal_to_noise_ratio_has_the_time_it_was_taken_from() {
        let schedule = Schedule::default();
        for t in [0, 1, 250, 499, 998, 999] {
            let (given, found) = (schedule.at(t), schedule.at_log_snr(schedule.at(t).log_snr()));
            assert!((found.time - given.time).abs() < 1e-6 && (found.signal - given.signal).abs() < 1e-9, "{found:?}");
        }
        let between = schedule.at_log_snr((schedule.at(300).log_snr() + schedule.at(301).log_snr()) / 2.0);
        assert!((between.time - 300.5).abs() < 1e-9 && between.spread > schedule.at(300).spread);
    }
}
