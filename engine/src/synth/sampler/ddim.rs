//! DDIM, the reference's sampler, and the same at the times a network was distilled for.

use super::{Clean, Sampler};
use crate::synth::schedule::{Level, Schedule};

/// Song et al. 2021, eq. 12, at times that are evenly spaced; of first order where `eta` is 0.
#[derive(Debug, Clone, Copy)]
pub struct Ddim {
    /// Share of fresh noise in every step: 0 none, 1 as much as DDPM; the paper's is 1.
    pub eta: f64,
}

impl Sampler for Ddim {
    fn levels(&self, schedule: &Schedule, start: usize, steps: usize) -> Vec<Level> {
        schedule.evenly(start, steps)
    }

    fn step(&self, (from, to): (Level, Level), clean: Clean<'_>, x: &mut [f32], noise: &mut dyn FnMut(usize) -> f32) {
        let fresh = from.fresh_noise(to, self.eta);
        let direction = (to.spread * to.spread - fresh * fresh).max(0.0).sqrt() as f32;
        let (signal, spread, keep) = (from.signal as f32, from.spread as f32, to.signal as f32);
        for (i, (x, &x0)) in x.iter_mut().zip(clean.now).enumerate() {
            // The noise that, with the constrained x0, explains where we were.
            let eps = (*x - signal * x0) / spread;
            *x = keep * x0 + direction * eps;
            if fresh > 0.0 {
                *x += fresh as f32 * noise(i);
            }
        }
    }
}

/// DDIM without fresh noise at exactly the times that a network was distilled for; fewer steps are the first of them.
#[derive(Debug, Clone)]
pub struct Distilled {
    /// Falling times.
    pub times: Vec<usize>,
}

impl Sampler for Distilled {
    fn levels(&self, schedule: &Schedule, start: usize, steps: usize) -> Vec<Level> {
        let mut times: Vec<usize> = self.times.iter().copied().filter(|&t| t <= start).take(steps).collect();
        if times.is_empty() && steps > 0 {
            times.push(start);
        }
        times.into_iter().map(|t| schedule.at(t)).collect()
    }

    fn step(&self, levels: (Level, Level), clean: Clean<'_>, x: &mut [f32], noise: &mut dyn FnMut(usize) -> f32) {
        Ddim { eta: 0.0 }.step(levels, clean, x, noise);
    }
}
