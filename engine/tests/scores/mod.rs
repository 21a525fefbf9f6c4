//! Random scores, for what must hold for all of them.

use std::ops::Range;

use proptest::prelude::*;
use ripieno_engine::score::{Meter, TickNote};

/// Up to 40 notes that may overlap, but not at their own pitch; the first may wait for up to 40 ticks.
pub fn notes(pitches: Range<u8>, velocities: Range<u8>) -> impl Strategy<Value = Vec<TickNote>> {
    prop::collection::vec((0u64..40, 1u64..60, pitches, velocities), 1..40).prop_map(|notes| {
        let mut free = [0u64; 128];
        let mut track: Vec<TickNote> = notes
            .into_iter()
            .map(|(wait, duration, pitch, velocity)| {
                let onset = free[usize::from(pitch)] + wait;
                free[usize::from(pitch)] = onset + duration;
                TickNote { onset, pitch, duration, velocity }
            })
            .collect();
        track.sort();
        track
    })
}

/// A meter of up to twelve of any unit from whole notes to eighths.
pub fn meter() -> impl Strategy<Value = Meter> {
    (0u64..100, 1u32..13, 0u32..4).prop_map(|(tick, numerator, power)| Meter {
        tick,
        numerator,
        denominator: 1 << power,
    })
}
