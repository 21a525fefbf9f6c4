//! Beats, measures, grooves and drum patterns.

use super::{Score, length};

/// Share of beats (quarter notes) in which no note sounds; a note that ends on a beat touches it.
pub fn empty_beat_rate(score: &Score) -> Option<f64> {
    empty_rate(score, u64::from(score.resolution))
}

/// Share of measures of so many ticks in which no note sounds; a note that ends on a barline touches the measure after.
pub fn empty_measure_rate(score: &Score, measure: u64) -> Option<f64> {
    empty_rate(score, measure)
}

fn empty_rate(score: &Score, unit: u64) -> Option<f64> {
    let length = length(score);
    if length < 1 || unit < 1 {
        return None;
    }
    let notes = score.tracks.iter().flat_map(|track| &track.notes);
    let mut spans: Vec<(u64, u64)> = notes.map(|note| (note.onset / unit, note.end() / unit)).collect();
    spans.sort_unstable();
    let (mut filled, mut next) = (0, 0);
    for (first, last) in spans {
        // Those before `next` are counted.
        filled += (last + 1).saturating_sub(first.max(next));
        next = next.max(last + 1);
    }
    Some(1.0 - filled as f64 / (length / unit + 1) as f64)
}

/// How alike the onsets of neighbouring measures of so many ticks are: 1 less the mean Hamming distance of their binary
/// onset vectors. Nothing under two measures.
pub fn groove_consistency(score: &Score, measure: u64) -> Option<f64> {
    let measures = length(score).checked_div(measure)? + 1;
    if measures < 2 {
        return None;
    }
    let mut onsets: Vec<u64> = score.tracks.iter().flat_map(|track| &track.notes).map(|note| note.onset).collect();
    onsets.sort_unstable();
    onsets.dedup();
    let missing = |tick: Option<u64>| tick.is_some_and(|tick| onsets.binary_search(&tick).is_err());
    let differences: usize = onsets
        .iter()
        .map(|onset| {
            let after = Some(onset + measure).filter(|tick| tick / measure < measures);
            usize::from(missing(onset.checked_sub(measure))) + usize::from(missing(after))
        })
        .sum();
    Some(1.0 - differences as f64 / (measure as f64 * (measures - 1) as f64))
}

/// How a beat is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// In halves and quarters.
    Duple,
    /// In thirds.
    Triple,
}

/// Share of drum notes on the divisions of the beat; divisions that are no whole ticks do not count.
pub fn drum_in_pattern_rate(score: &Score, pulse: Pulse) -> Option<f64> {
    let resolution = u64::from(score.resolution);
    let parts: &[u64] = match pulse {
        Pulse::Duple => &[4, 2, 1],
        Pulse::Triple => &[3, 1],
    };
    let finest = parts.iter().find(|parts| resolution.is_multiple_of(**parts)).unwrap_or(&1);
    let notes = || score.tracks.iter().filter(|track| track.drums).flat_map(|track| &track.notes);
    let inside = notes().filter(|note| (note.onset % resolution).is_multiple_of(resolution / finest)).count();
    super::share(inside as u64, notes().count() as u64)
}

/// The larger of both [`drum_in_pattern_rate`]s.
pub fn drum_pattern_consistency(score: &Score) -> Option<f64> {
    Some(drum_in_pattern_rate(score, Pulse::Duple)?.max(drum_in_pattern_rate(score, Pulse::Triple)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{TickNote, Track};

    fn score(notes: &[(u64, u64)]) -> Score {
        let note = |&(onset, duration): &(u64, u64)| TickNote { onset, pitch: 36, duration, velocity: 64 };
        let track = Track { drums: true, notes: notes.iter().map(note).collect(), ..Track::default() };
        Score { resolution: 4, tracks: vec![track], ..Score::default() }
    }

    #[test]
    fn a_note_that_ends_on_a_beat_touches_the_next() {
        // Five beats begin by tick 16; the note touches two of them.
        assert_eq!(empty_beat_rate(&score(&[(0, 4), (16, 0)])), Some(1.0 - 3.0 / 5.0));
        assert_eq!(empty_beat_rate(&score(&[])), None);
    }

    #[test]
    fn grooves_compare_onsets_of_neighbouring_measures() {
        // Onsets 0 and 2 against 0 and 3: two of four places differ.
        assert_eq!(groove_consistency(&score(&[(0, 1), (2, 1), (4, 1), (7, 0)]), 4), Some(0.5));
        assert_eq!(groove_consistency(&score(&[(0, 1)]), 4), None);
        assert_eq!(groove_consistency(&score(&[(0, 1)]), 0), None);
    }

    #[test]
    fn drums_are_on_the_divisions_of_the_beat_or_not() {
        let drums = score(&[(0, 1), (1, 1), (2, 1), (3, 1)]);
        // Four ticks have no thirds.
        assert_eq!(drum_in_pattern_rate(&drums, Pulse::Duple), Some(1.0));
        assert_eq!(drum_in_pattern_rate(&drums, Pulse::Triple), Some(0.25));
        assert_eq!(drum_pattern_consistency(&drums), Some(1.0));
    }
}
