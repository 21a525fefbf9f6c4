//! The tempo map: beats to seconds and back.

/// Tempo changes of a piece. Without any it is 120 quarter notes a minute.
#[derive(Debug, Clone, PartialEq)]
pub struct TempoMap {
    /// (beat, second, seconds per beat) of each change, in order; the first is at 0.
    changes: Vec<(f64, f64, f64)>,
}

impl Default for TempoMap {
    fn default() -> Self {
        Self { changes: vec![(0.0, 0.0, 0.5)] }
    }
}

impl TempoMap {
    /// From (beat, seconds per beat) pairs in any order; of two at one beat the later given one holds.
    pub fn new(mut changes: Vec<(f64, f64)>) -> Self {
        changes.retain(|&(beat, length)| beat.is_finite() && beat >= 0.0 && length.is_finite() && length > 0.0);
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut map = Self::default();
        for (beat, length) in changes {
            let second = map.seconds_at(beat);
            if map.changes.last().is_some_and(|last| last.0 == beat) {
                map.changes.pop();
            }
            map.changes.push((beat, second, length));
        }
        map
    }

    /// Seconds at a beat.
    pub fn seconds_at(&self, beat: f64) -> f64 {
        let (from, second, length) = self.last(|change| change.0 <= beat);
        second + (beat - from) * length
    }

    /// Beat at a second.
    pub fn beat_at(&self, seconds: f64) -> f64 {
        let (beat, from, length) = self.last(|change| change.1 <= seconds);
        beat + (seconds - from) / length
    }

    /// Beat and quarter notes a minute of each change.
    pub fn changes(&self) -> impl Iterator<Item = (f64, f64)> {
        self.changes.iter().map(|&(beat, _, length)| (beat, 60.0 / length))
    }

    fn last(&self, reached: impl Fn(&(f64, f64, f64)) -> bool) -> (f64, f64, f64) {
        let after = self.changes.partition_point(reached);
        self.changes[after.saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_beats_are_inverse_across_changes() {
        let map = TempoMap::new(vec![(4.0, 1.0), (0.0, 0.25), (6.0, 0.5)]);
        // 4 beats at 240, 2 beats at 60, then 120.
        assert_eq!([0.0, 4.0, 6.0, 8.0].map(|beat| map.seconds_at(beat)), [0.0, 1.0, 3.0, 4.0]);
        for seconds in [0.0, 0.3, 1.0, 2.9, 3.0, 17.5] {
            assert!((map.seconds_at(map.beat_at(seconds)) - seconds).abs() < 1e-12);
        }
    }

    #[test]
    fn without_changes_it_is_120() {
        assert_eq!(TempoMap::default().seconds_at(2.0), 1.0);
    }
}
