//! The cosine noise schedule and v-prediction.

use std::f64::consts::FRAC_PI_2;

/// Diffusion times the networks were trained with.
pub const TIMES: usize = 1000;
const OFFSET: f64 = 0.008;
const LARGEST_BETA: f64 = 0.999;

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
        self.alpha_bar[t.min(TIMES - 1)]
    }

    /// `steps` falling times, evenly spaced, from the noisiest on; the sampler ends on x0.
    pub fn times(steps: usize) -> impl Iterator<Item = usize> {
        let last = (TIMES - 1) as f64;
        (0..steps).map(move |i| (last * (steps - i) as f64 / steps as f64).round() as usize)
    }

    /// Standard deviation of DDIM's fresh noise from `t` to `next` (Song et al. 2021, eq. 16).
    pub fn sigma(&self, t: usize, next: usize, eta: f64) -> f64 {
        let (bar, before) = (self.alpha_bar(next), self.alpha_bar(t));
        eta * ((1.0 - bar) / (1.0 - before) * (1.0 - before / bar)).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!((schedule.sigma(t, next, 1.0) - value).abs() < 1e-6, "{}", schedule.sigma(t, next, 1.0));
        }
    }

    #[test]
    fn steps_start_at_the_noisiest_time_and_fall() {
        assert_eq!(Schedule::times(4).collect::<Vec<_>>(), [999, 749, 500, 250]);
        assert_eq!(Schedule::times(1).collect::<Vec<_>>(), [999]);
    }
}
