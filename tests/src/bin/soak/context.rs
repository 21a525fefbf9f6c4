//! Which of the keys that were held for a while were heard in context.
//!
//! The engine tells how old notes are that come into context, not which notes they are. Steps are further apart than its
//! figures are coarse, so the age tells the step; and the keys of a step are held equally long, as far as is asked here.

use std::collections::VecDeque;

use serde::Serialize;

use crate::player::{STEPS_PER_SECOND, Struck};

/// Seconds that a key must be held to be asked for: below, no context is promised.
const LONG: f64 = 0.25;
/// Seconds of one of the engine's ages.
pub const AGE: f64 = 0.01;
/// Seconds after which a note is given up, and at the end of a lap in which notes are left out: what the next lap changes is no
/// fault.
const PATIENCE: f64 = 1.0;

/// What became of the keys that were held for at least [`LONG`] seconds.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Held {
    pub notes: u64,
    /// Heard in context within a second.
    pub in_context: u64,
    pub share: f64,
    /// Heard in context within [`LONG`], and how long most of them took, seconds.
    pub within_250_ms: u64,
    pub share_within: f64,
    pub p99_s: f64,
    pub max_s: f64,
}

/// A step under way.
struct Step {
    at: f64,
    struck: Struck,
    arrived: u64,
    /// Of these within [`LONG`].
    within: u64,
}

#[derive(Default)]
pub struct InContext {
    /// Notes by age at the block before.
    before: Vec<u64>,
    steps: VecDeque<Step>,
    held: Held,
    /// Of the notes that were asked for, by age.
    ages: Vec<u64>,
}

impl InContext {
    /// A step in Live, at so many seconds of sound; the lap goes on until `end`. Not for the first of a lap: what the lap
    /// before left behind would be taken for it.
    pub fn struck(&mut self, at: f64, end: f64, struck: Struck) {
        if struck.held as f64 / STEPS_PER_SECOND >= LONG && at + PATIENCE < end {
            self.steps.push_back(Step { at, struck, arrived: 0, within: 0 });
        }
    }

    /// A block is over: `counts` are notes by age so far, the last of them all that are older. The block ended at
    /// `now` seconds of sound and was `duration` seconds long.
    pub fn block(&mut self, now: f64, duration: f64, counts: &[u64]) {
        self.before.resize(counts.len(), 0);
        for (age, (count, before)) in counts.iter().zip(&mut self.before).enumerate() {
            let arrived = count - std::mem::replace(before, *count);
            if arrived == 0 || age + 1 == counts.len() {
                continue;
            }
            let at = now - 0.5 * duration - (age as f64 + 0.5) * AGE;
            let near = |step: &&mut Step| (step.at - at).abs() < 0.5 / STEPS_PER_SECOND;
            if let Some(step) = self.steps.iter_mut().find(near) {
                let arrived = arrived.min(step.struck.notes - step.arrived);
                step.arrived += arrived;
                step.within += if (age + 1) as f64 * AGE <= LONG + 0.5 * AGE { arrived } else { 0 };
                self.ages.resize(counts.len(), 0);
                self.ages[age] += arrived;
            }
        }
        while let Some(step) = self.steps.front().filter(|step| step.at + PATIENCE + duration < now) {
            self.held.notes += step.struck.notes;
            self.held.in_context += step.arrived;
            self.held.within_250_ms += step.within;
            self.steps.pop_front();
        }
    }

    pub fn held(&self) -> Held {
        let of_all = |notes: u64| notes as f64 / self.held.notes.max(1) as f64;
        let total: u64 = self.ages.iter().sum();
        // The age up to which a share of them came.
        let age_of = |share: f64| {
            let wanted = (total as f64 * share).ceil() as u64;
            let mut so_far = 0;
            self.ages.iter().position(|notes| {
                so_far += notes;
                so_far >= wanted
            })
        };
        let seconds = |share: f64| age_of(share).map_or(0.0, |age| (age + 1) as f64 * AGE);
        Held {
            share: of_all(self.held.in_context),
            share_within: of_all(self.held.within_250_ms),
            p99_s: seconds(0.99),
            max_s: seconds(1.0),
            ..self.held
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of `duration` seconds up to `end`; `ages` are seconds at which notes come into context, and how old they are.
    fn held(duration: f64, end: f64, steps: &[(f64, Struck)], ages: &[(f64, f64)]) -> Held {
        let (mut context, mut counts) = (InContext::default(), vec![0; 101]);
        for block in 1..=(end / duration) as u32 {
            let now = f64::from(block) * duration;
            let this = |at: f64| at > now - duration && at <= now;
            steps.iter().filter(|(at, _)| this(*at)).for_each(|(at, struck)| context.struck(*at, end, *struck));
            for (_, age) in ages.iter().filter(|(at, _)| this(*at)) {
                counts[((age / AGE) as usize).min(100)] += 1;
            }
            context.block(now, duration, &counts);
        }
        context.held()
    }

    #[test]
    fn long_notes_are_counted_by_the_step_that_they_were_struck_in() {
        let struck = |notes, held| Struck { notes, held };
        // A short step between two long ones, and a long one too near to the end.
        let steps = [(0.125, struck(2, 2)), (0.25, struck(3, 1)), (0.375, struck(2, 3)), (2.5, struck(4, 4))];
        for duration in [0.001, 0.0232] {
            // Of the first step both, though one would be there a second time; of the short one all; of the third one in time.
            let ages =
                [(0.2, 0.075), (0.33, 0.205), (0.34, 0.215), (0.4, 0.15), (0.41, 0.16), (0.48, 0.23), (1.2, 0.825)];
            let found = held(duration, 3.0, &steps, &[&ages[..], &[(1.9, 1.525)]].concat());
            assert_eq!((found.notes, found.in_context, found.share), (4, 3, 0.75), "blocks of {duration} s");
            assert_eq!((found.within_250_ms, found.share_within), (2, 0.5));
            assert!((found.p99_s - 0.83).abs() < 1e-9 && found.max_s == found.p99_s, "{found:?}");
        }
    }
}
