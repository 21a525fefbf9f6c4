//! What the networks cost on this machine, now: learnt from every run, per row of a batch and frame.

use crate::synth::SegmentCost;

/// The share of the time there is that may be planned for; the rest is for what else the computer does.
const PLANNED: f64 = 0.8;

/// Seconds per row and frame of each network; 0 until measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Costs {
    prior: f64,
    step: f64,
    vocoder: f64,
    /// Excitation, inverse transforms, resampling, and handing over.
    rest: f64,
}

impl Costs {
    /// Whether the prior alone and a step have been measured.
    pub fn known(&self) -> bool {
        self.vocoder > 0.0 && self.step > 0.0
    }

    /// Learns from a run that took `seconds` in all; `caution` above 1 takes it for dearer.
    pub fn learn(&mut self, spent: &SegmentCost, seconds: f64, caution: f64) {
        let size = (spent.active_parts * spent.frames) as f64;
        if size == 0.0 {
            return;
        }
        let before = self.prior + self.vocoder;
        let blend = |old: &mut f64, seconds: f64| *old = blend(*old, (caution * seconds / size).max(1e-9));
        blend(&mut self.prior, spent.prior);
        blend(&mut self.vocoder, spent.vocoder);
        blend(&mut self.rest, seconds - spent.prior - spent.denoiser - spent.vocoder);
        if spent.steps > 0 {
            blend(&mut self.step, spent.denoiser / spent.steps as f64);
        } else {
            // No step was taken: the load that the other networks tell of is the denoiser's too. Forgetting its cost until
            // one is tried would try it when there is no time for it.
            if before > 0.0 {
                self.step *= (self.prior + self.vocoder) / before;
            }
        }
    }

    /// Seconds that so many rows of so many frames take with so many steps.
    pub fn seconds(&self, rows: usize, frames: usize, steps: usize) -> f64 {
        (rows * frames) as f64 * (self.prior + self.vocoder + self.rest + steps as f64 * self.step)
    }

    /// Costs at which no step is ever taken: of networks that cannot be measured because they fail.
    pub fn hopeless() -> Self {
        Self { prior: 1.0, step: 1.0, vocoder: 1.0, rest: 0.0 }
    }

    /// Seconds from before a step until the end, if that step is the last.
    pub fn last_step(&self, rows: usize, frames: usize) -> f64 {
        (rows * frames) as f64 * (self.step + self.vocoder + self.rest)
    }

    /// The same if the step before took `before` seconds: what has become slower is so to its end.
    pub fn last_step_after(&self, rows: usize, frames: usize, before: f64) -> f64 {
        let step = (rows * frames) as f64 * self.step;
        let slower = if step > 0.0 { (before / step).max(1.0) } else { 1.0 };
        (slower * self.last_step(rows, frames)).max(before)
    }

    /// Whether this much work may be planned for within `seconds`.
    pub fn fits(&self, (rows, frames, steps): (usize, usize, usize), seconds: f64) -> bool {
        self.seconds(rows, frames, steps) <= PLANNED * seconds
    }

    /// As many of the `asked` steps as may be planned for within `seconds`. What was never measured is tried.
    pub fn steps(&self, asked: usize, rows: usize, frames: usize, seconds: f64) -> usize {
        let step = (rows * frames) as f64 * self.step;
        if step <= 0.0 {
            return asked;
        }
        let left = PLANNED * seconds - self.seconds(rows, frames, 0);
        asked.min((left / step).max(0.0) as usize)
    }
}

/// Quickly up, slowly down: a step too many is a passage too late, one too few is hardly heard.
fn blend(old: f64, new: f64) -> f64 {
    match old {
        0.0 => new,
        old if new > old => old + 0.7 * (new - old),
        old => old + 0.15 * (new - old),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run on a machine whose networks take these seconds per row and frame; everything else is free.
    pub fn run(rows: usize, frames: usize, steps: usize, (base, step): (f64, f64)) -> (SegmentCost, f64) {
        let size = (rows * frames) as f64;
        let (prior, denoiser, vocoder) = (0.5 * base * size, step * size * steps as f64, 0.5 * base * size);
        let seconds = prior + denoiser + vocoder;
        (SegmentCost { seconds, active_parts: rows, frames, steps, prior, denoiser, vocoder }, seconds)
    }

    #[test]
    fn each_network_is_measured_by_itself() {
        let mut costs = Costs::default();
        let (spent, seconds) = run(3, 64, 5, (0.002, 0.001));
        costs.learn(&spent, seconds + 3.0 * 64.0 * 0.0005, 1.0);
        assert!(costs.known());
        let expected = 2.0 * 128.0 * (0.002 + 0.0005 + 2.0 * 0.001);
        assert!((costs.seconds(2, 128, 2) - expected).abs() < 1e-9);
    }

    #[test]
    fn steps_shrink_with_the_time_there_is_and_grow_back() {
        let mut costs = Costs::default();
        assert_eq!(costs.steps(8, 4, 128, 0.64), 8, "what was never measured is tried");
        let machine = (0.02 / 128.0, 0.02 / 128.0);
        let (spent, seconds) = run(4, 128, 8, machine);
        costs.learn(&spent, seconds, 1.0);
        assert_eq!(costs.steps(8, 1, 128, 0.64), 8);
        assert_eq!(costs.steps(8, 4, 128, 0.64), 5);
        assert_eq!(costs.steps(8, 4, 128, 0.1), 0);
        assert_eq!(costs.steps(8, 4, 128, -1.0), 0);
        assert_eq!(costs.steps(8, 0, 128, -1.0), 8, "silence costs nothing");
        for _ in 0..100 {
            let (spent, seconds) = run(4, 128, 0, (machine.0 / 2.0, machine.1 / 2.0));
            costs.learn(&spent, seconds, 1.0);
        }
        assert!(costs.steps(8, 4, 128, 0.64) > 5);
    }

    #[test]
    fn what_is_left_is_as_slow_as_the_step_before_and_never_quicker_than_learnt() {
        let mut costs = Costs::default();
        assert_eq!(costs.last_step_after(2, 128, 0.1), 0.1, "what was never measured takes as long as the step before");
        let (spent, seconds) = run(2, 128, 4, (1e-4, 2e-4));
        costs.learn(&spent, seconds, 1.0);
        let (step, last) = (2.0 * 128.0 * 2e-4, costs.last_step(2, 128));
        for (before, slower) in [(0.0, 1.0), (0.5 * step, 1.0), (3.0 * step, 3.0)] {
            assert!((costs.last_step_after(2, 128, before) - slower * last).abs() < 1e-9, "{before}");
        }
    }

    #[test]
    fn a_machine_that_becomes_busy_is_believed_at_once_and_one_that_calms_down_slowly() {
        let mut costs = Costs::default();
        let mut after = |slow: f64| {
            let (spent, seconds) = run(1, 128, 4, (slow * 1e-4, slow * 1e-4));
            costs.learn(&spent, seconds, 1.0);
            costs.seconds(1, 128, 4) / (128.0 * 5e-4)
        };
        assert!((after(1.0) - 1.0).abs() < 1e-3);
        assert!(after(4.0) > 3.0);
        assert!(after(1.0) > 2.5);
        let calm = (0..30).map(|_| after(1.0)).last();
        assert!(calm < Some(1.1), "{calm:?}");
    }
}
