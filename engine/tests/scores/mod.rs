//! Random scores, for what must hold for all of them.

use std::ops::Range;

use proptest::prelude::*;
use ripieno_engine::score::{Key, Meter, Score, Tempo, TickNote, Track};

/// Up to 40 notes that may overlap, but not at their own pitch; the first may wait for up to 40 ticks.
fn notes(pitches: Range<u8>, velocities: Range<u8>) -> impl Strategy<Value = Vec<TickNote>> {
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
fn meter() -> impl Strategy<Value = Meter> {
    (0u64..100, 1u32..13, 0u32..4).prop_map(|(tick, numerator, power)| Meter {
        tick,
        numerator,
        denominator: 1 << power,
    })
}

/// A track whose name is made of words from `names`, a regular expression.
pub fn track(names: &'static str, pitches: Range<u8>, velocities: Range<u8>) -> impl Strategy<Value = Track> {
    (names, 0u8..128, any::<bool>(), notes(pitches, velocities)).prop_map(|(name, program, drums, notes)| Track {
        name: name.split_whitespace().collect::<Vec<_>>().join(" "),
        program,
        drums,
        notes,
        ..Track::default()
    })
}

/// Up to three tracks in one key, with up to two meters and fewer tempi than `tempi` ends at.
pub fn score(
    resolutions: Vec<u32>,
    tempi: Range<usize>,
    track: impl Strategy<Value = Track>,
) -> impl Strategy<Value = Score> {
    let tempo = (0u64..30, 20.0f64..300.0).prop_map(|(tick, per_minute)| Tempo { tick, per_minute });
    let signs = (prop::collection::vec(meter(), 0..3), prop::collection::vec(tempo, tempi), -7i8..8, any::<bool>());
    (prop::sample::select(resolutions), signs, prop::collection::vec(track, 1..4)).prop_map(
        |(resolution, (meters, tempi, fifths, minor), tracks)| {
            let keys = vec![Key { tick: 0, fifths, minor }];
            let mut score = Score { resolution, meters, tempi, keys, tracks, ..Score::default() };
            score.sort();
            score
        },
    )
}
