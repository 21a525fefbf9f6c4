//! Which pitches a piece uses. Drums are left out.

use super::{Key, Score, pitched, share};

/// Semitones of the scales above their root.
const MAJOR: [usize; 7] = [0, 2, 4, 5, 7, 9, 11];
const NATURAL_MINOR: [usize; 7] = [0, 2, 3, 5, 7, 8, 10];

/// Notes of each pitch.
fn pitches(score: &Score) -> [u64; 128] {
    let mut counts = [0; 128];
    pitched(score).for_each(|note| counts[usize::from(note.pitch.min(127))] += 1);
    counts
}

/// Notes of each pitch class, from C.
fn pitch_classes(score: &Score) -> [u64; 12] {
    let mut counts = [0; 12];
    pitched(score).for_each(|note| counts[usize::from(note.pitch % 12)] += 1);
    counts
}

/// Different pitches.
pub fn pitches_used(score: &Score) -> usize {
    pitches(score).iter().filter(|count| **count > 0).count()
}

/// Different pitch classes.
pub fn pitch_classes_used(score: &Score) -> usize {
    pitch_classes(score).iter().filter(|count| **count > 0).count()
}

/// Semitones from the lowest to the highest pitch; 0 without notes. Where all notes are drums MusPy says -127, this 0.
pub fn pitch_range(score: &Score) -> u8 {
    let pitches = || pitched(score).map(|note| note.pitch);
    pitches().max().unwrap_or(0) - pitches().min().unwrap_or(0)
}

/// Entropy of the notes' pitches, bits.
pub fn pitch_entropy(score: &Score) -> Option<f64> {
    entropy(&pitches(score))
}

/// Entropy of the notes' pitch classes, bits.
pub fn pitch_class_entropy(score: &Score) -> Option<f64> {
    entropy(&pitch_classes(score))
}

fn entropy(counts: &[u64]) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let bits = |&count: &u64| share(count, total).filter(|p| *p > 0.0).map_or(0.0, |p| -p * p.log2());
    (total > 0).then(|| counts.iter().map(bits).sum())
}

/// Share of notes in the major or natural minor scale on a root (0 is C).
pub fn pitch_in_scale_rate(score: &Score, root: usize, minor: bool) -> Option<f64> {
    in_scale(&pitch_classes(score), root, minor)
}

fn in_scale(classes: &[u64; 12], root: usize, minor: bool) -> Option<f64> {
    let scale = if minor { NATURAL_MINOR } else { MAJOR };
    let inside = scale.iter().map(|step| classes[(root + step) % 12]).sum();
    share(inside, classes.iter().sum())
}

/// Share of notes in the scale that holds most of them.
pub fn scale_consistency(score: &Score) -> Option<f64> {
    best(score).map(|(_, rate)| rate)
}

/// The scale that holds most notes, as a major key: a natural minor scale is its relative major's. Of several the lowest.
pub fn best_scale(score: &Score) -> Option<Key> {
    best(score).map(|(key, _)| key)
}

fn best(score: &Score) -> Option<(Key, f64)> {
    let classes = pitch_classes(score);
    let scales = (0..12).filter_map(|root| Some((root, in_scale(&classes, usize::from(root), false)?)));
    let (root, rate) = scales.reduce(|best, other| if other.1 > best.1 { other } else { best })?;
    Some((Key::on(root, false), rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{TickNote, Track};

    #[test]
    fn the_best_scale_holds_what_scale_consistency_counts() {
        // D major's notes and one of none of its.
        let pitches = [62, 64, 66, 67, 69, 71, 73, 65];
        let notes = pitches.map(|pitch| TickNote { onset: 0, pitch, duration: 1, velocity: 64 }).to_vec();
        let score = Score { tracks: vec![Track { notes, ..Track::default() }], ..Score::default() };
        let key = best_scale(&score).unwrap();
        assert_eq!(key.to_string(), "D major");
        assert_eq!(scale_consistency(&score), Some(7.0 / 8.0));
        // Its relative minor has the same notes.
        for (root, minor) in [(usize::from(key.tonic()), false), (11, true)] {
            assert_eq!(pitch_in_scale_rate(&score, root, minor), Some(7.0 / 8.0));
        }
        assert_eq!(best_scale(&Score::default()), None);
    }
}
