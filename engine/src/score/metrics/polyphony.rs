//! How many pitches sound at once. Drums are left out; a pitch that sounds twice counts once.

use super::{Score, length, pitched, share};

/// Ticks in which each number of pitches sounds, from 1 on: (pitches, ticks), one entry for every stretch of time.
fn stretches(score: &Score) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u8, u64, u64)> = pitched(score).map(|note| (note.pitch, note.onset, note.end())).collect();
    spans.sort_unstable();
    // What overlaps at one pitch is one.
    let mut merged: Vec<(u8, u64, u64)> = Vec::with_capacity(spans.len());
    for (pitch, from, to) in spans {
        match merged.last_mut().filter(|last| last.0 == pitch && from <= last.2) {
            Some(last) => last.2 = last.2.max(to),
            None => merged.push((pitch, from, to)),
        }
    }
    let mut changes: Vec<(u64, i64)> = merged.iter().flat_map(|&(_, from, to)| [(from, 1), (to, -1)]).collect();
    changes.sort_unstable();
    let (mut sounding, mut since) = (0, 0);
    let mut stretches = Vec::new();
    for (tick, change) in changes {
        if sounding > 0 && tick > since {
            stretches.push((sounding as u64, tick - since));
        }
        (sounding, since) = (sounding + change, tick);
    }
    stretches
}

/// Mean number of pitches that sound, over the ticks in which any does.
pub fn polyphony(score: &Score) -> Option<f64> {
    let stretches = stretches(score);
    share(
        stretches.iter().map(|(pitches, ticks)| pitches * ticks).sum(),
        stretches.iter().map(|(_, ticks)| ticks).sum(),
    )
}

/// Share of all ticks in which more than `threshold` pitches sound; MusPy takes 2.
pub fn polyphony_rate(score: &Score, threshold: u64) -> Option<f64> {
    let dense = stretches(score).iter().filter(|(pitches, _)| *pitches > threshold).map(|(_, ticks)| ticks).sum();
    share(dense, length(score))
}
