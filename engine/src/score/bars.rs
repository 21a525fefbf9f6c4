//! Measures: where a score's meters put the barlines, for writing music down.

use super::{Meter, Score};

/// Measures of a piece that can be written down.
const MOST_BARS: usize = 100_000;

/// One measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// First tick.
    pub start: u64,
    /// First tick after it; nearer than its meter says before a change of meter.
    pub end: u64,
    /// Its meter.
    pub meter: Meter,
}

/// The measures from the beginning to the end of the last note, at least one; nothing where there are too many. Every
/// meter begins a measure. A beat must be whole ticks, see [`with_whole_beats`].
pub fn bars(score: &Score) -> Option<Vec<Bar>> {
    let end = score.end().max(1);
    let mut meters = score.meters.clone();
    if meters.first().is_none_or(|meter| meter.tick > 0) {
        meters.insert(0, Meter { tick: 0, numerator: 4, denominator: 4 });
    }
    let mut bars = Vec::new();
    for (i, meter) in meters.iter().enumerate() {
        let until = meters.get(i + 1).map_or(u64::MAX, |next| next.tick);
        let length = length(score.resolution, meter).max(1);
        let mut start = meter.tick;
        while start < until.min(end) {
            bars.push(Bar { start, end: (start + length).min(until), meter: *meter });
            start += length;
            if bars.len() > MOST_BARS {
                return None;
            }
        }
    }
    Some(bars)
}

/// Ticks of a whole measure.
fn length(resolution: u32, meter: &Meter) -> u64 {
    u64::from(resolution) * 4 * u64::from(meter.numerator) / u64::from(meter.denominator.max(1))
}

/// The score at a resolution where the beats of all its meters are whole ticks.
pub fn with_whole_beats(score: Score) -> Score {
    let whole = |resolution: u32, meter: &Meter| u64::from(resolution) * 4 % u64::from(meter.denominator.max(1)) == 0;
    let mut resolution = score.resolution;
    for meter in &score.meters {
        if !whole(resolution, meter) {
            resolution = resolution.checked_mul(meter.denominator).unwrap_or(resolution);
        }
    }
    score.at_resolution(resolution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{TickNote, Track};

    #[test]
    fn every_meter_begins_a_measure() {
        let notes = vec![TickNote { onset: 0, pitch: 60, duration: 13, velocity: 64 }];
        let meter = |tick, numerator| Meter { tick, numerator, denominator: 4 };
        let tracks = vec![Track { notes, ..Track::default() }];
        // An upbeat of a quarter note, two measures of 2/4, then 3/4.
        let meters = vec![meter(0, 2), meter(2, 2), meter(10, 3)];
        let score = Score { resolution: 2, meters, tracks, ..Score::default() };
        let spans: Vec<(u64, u64)> = bars(&score).unwrap().iter().map(|bar| (bar.start, bar.end)).collect();
        assert_eq!(spans, [(0, 2), (2, 6), (6, 10), (10, 16)]);
    }
}
