//! DPM-Solver++(2M): a multistep solver of the diffusion ODE in the logarithm of the signal-to-noise ratio.

use super::{Clean, Sampler};
use crate::synth::schedule::{Level, Schedule};

/// Where the cosine schedule is first worth a step (Lu et al. 2022 begin it at 0.9946 of its time): before, x is noise to
/// 0.6 %, and evenly spaced steps would be spent on nothing.
const FIRST_LOG_SNR: f64 = -5.1;

/// Lu et al. 2022, algorithm 2, x0-prediction: each step leans on the prediction before it, which makes it of second
/// order at one network call. The first step and the last, to x0, are of first order.
#[derive(Debug, Clone, Copy)]
pub struct DpmPlusPlus2M;

impl Sampler for DpmPlusPlus2M {
    fn levels(&self, schedule: &Schedule, start: usize, steps: usize) -> Vec<Level> {
        let first = schedule.at(start).log_snr().max(FIRST_LOG_SNR);
        let last = schedule.at(0).log_snr();
        let even = |i: usize| schedule.at_log_snr(first + (last - first) * i as f64 / steps as f64);
        // The networks know trained times alone, and work with those below where they are asked in between.
        let mut levels: Vec<Level> = (0..steps).map(|i| schedule.at(even(i).time.round() as usize)).collect();
        levels.dedup();
        levels
    }

    fn step(&self, (from, to): (Level, Level), clean: Clean<'_>, x: &mut [f32], _: &mut dyn FnMut(usize) -> f32) {
        // An infinite step forgets x, and extrapolates nothing.
        if to.spread == 0.0 {
            x.copy_from_slice(clean.now);
            return;
        }
        let step = to.log_snr() - from.log_snr();
        let (keep, gain) = ((to.spread / from.spread) as f32, (-to.signal * (-step).exp_m1()) as f32);
        let ahead = clean.before.map(|(before, values)| {
            let last_step = from.log_snr() - before.log_snr();
            ((step / (2.0 * last_step)) as f32, values)
        });
        match ahead {
            None => x.iter_mut().zip(clean.now).for_each(|(x, now)| *x = keep * *x + gain * now),
            Some((ahead, before)) => {
                for ((x, now), before) in x.iter_mut().zip(clean.now).zip(before) {
                    *x = keep * *x + gain * (now + ahead * (now - before));
                }
            }
        }
    }
}
