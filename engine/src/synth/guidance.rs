//! Guidance by two conditions.

/// How strongly the sound leans on the notes and on the performance; 1 is no guidance and costs nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// Weight of the notes.
    pub notes: f32,
    /// Weight of the performance.
    pub performance: f32,
}

impl Guidance {
    /// No guidance.
    pub const NONE: Self = Self { notes: 1.0, performance: 1.0 };

    /// Which network calls a step needs: always both conditions, and one without a condition for each weight that is not 1.
    pub(super) fn conditions(self) -> impl Iterator<Item = Condition> + Clone {
        [
            Some(Condition::Both),
            (self.notes != 1.0).then_some(Condition::NoNotes),
            (self.performance != 1.0).then_some(Condition::NoPerformance),
        ]
        .into_iter()
        .flatten()
    }

    /// e(n,p) + (wn - 1)(e(n,p) - e(0,p)) + (wp - 1)(e(n,p) - e(n,0)), from the outputs of [`Guidance::conditions`].
    pub(super) fn combine(self, condition: Condition) -> f32 {
        match condition {
            Condition::Both => 1.0 + (self.notes - 1.0) + (self.performance - 1.0),
            Condition::NoNotes => 1.0 - self.notes,
            Condition::NoPerformance => 1.0 - self.performance,
        }
    }
}

/// What one network call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Notes and performance.
    Both,
    /// The performance alone.
    NoNotes,
    /// The notes alone.
    NoPerformance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_has_the_published_value() {
        let guidance = Guidance { notes: 1.25, performance: 1.25 };
        let output = |condition| match condition {
            Condition::Both => 3.0,
            Condition::NoNotes => 1.0,
            Condition::NoPerformance => 2.0,
        };
        let sum: f32 = guidance.conditions().map(|c| guidance.combine(c) * output(c)).sum();
        assert_eq!(sum, 3.75);
    }

    #[test]
    fn a_weight_of_one_costs_no_call() {
        assert_eq!(Guidance::NONE.conditions().collect::<Vec<_>>(), [Condition::Both]);
    }
}
