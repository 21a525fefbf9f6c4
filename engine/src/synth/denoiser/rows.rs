//! The batch of a segment's network calls: every part under every condition that guidance asks for.

use crate::synth::guidance::{Condition, Guidance};

/// What all steps of a segment share, row by row: all parts under the first condition, then under the next.
#[derive(Debug, Clone, Default)]
pub(in crate::synth) struct Rows {
    /// How many.
    pub count: usize,
    /// Frames of each.
    pub frames: usize,
    /// Mel of the prior, `[rows, frames, MEL]`.
    pub prior: Vec<f32>,
    /// Note roll, `[rows, frames, PLANES, KEYS]`.
    pub roll: Vec<f32>,
    /// Index of the instrument.
    pub instrument: Vec<i64>,
    /// Index of the performance, or their number: the null performance.
    pub performance: Vec<i64>,
    /// 1, or 0 where the notes are not told.
    pub notes_on: Vec<f32>,
}

/// The same of the parts alone, as the prior hears them.
#[derive(Debug, Clone, Copy)]
pub(in crate::synth) struct Parts<'a> {
    pub frames: usize,
    pub prior: &'a [f32],
    pub roll: &'a [f32],
    pub instrument: &'a [i64],
    pub performance: &'a [i64],
}

impl Rows {
    /// Lays out the parts under each condition of a guidance; `null` is the null performance.
    pub fn lay_out(&mut self, parts: Parts<'_>, guidance: Guidance, null: i64) {
        let Self { count, frames, prior, roll, instrument, performance, notes_on } = self;
        for values in [&mut *prior, roll, notes_on] {
            values.clear();
        }
        for indices in [&mut *instrument, performance] {
            indices.clear();
        }
        (*count, *frames) = (0, parts.frames);
        for condition in guidance.conditions() {
            *count += parts.instrument.len();
            prior.extend_from_slice(parts.prior);
            roll.extend_from_slice(parts.roll);
            instrument.extend_from_slice(parts.instrument);
            match condition {
                Condition::NoPerformance => performance.resize(*count, null),
                _ => performance.extend_from_slice(parts.performance),
            }
            notes_on.resize(*count, if condition == Condition::NoNotes { 0.0 } else { 1.0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_weight_that_is_not_one_adds_the_parts_without_its_condition() {
        let parts = Parts { frames: 1, prior: &[0.5, 0.6], roll: &[], instrument: &[3, 4], performance: &[7, 7] };
        let mut rows = Rows::default();
        rows.lay_out(parts, Guidance { notes: 1.25, performance: 1.25 }, 9);
        assert_eq!((rows.count, &rows.instrument[..]), (6, &[3, 4, 3, 4, 3, 4][..]));
        assert_eq!(rows.performance, [7, 7, 7, 7, 9, 9]);
        assert_eq!(rows.notes_on, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        rows.lay_out(parts, Guidance { notes: 1.0, performance: 2.0 }, 9);
        assert_eq!((rows.count, &rows.performance[..]), (4, &[7, 7, 9, 9][..]));
        rows.lay_out(parts, Guidance::NONE, 9);
        assert_eq!((rows.count, &rows.prior[..]), (2, &[0.5, 0.6][..]));
    }
}
