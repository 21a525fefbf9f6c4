//! Which pitches a piece uses. Drums are left out.

use super::{Score, pitched, share};

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
    let classes = pitch_classes(score);
    let scales = (0..12).flat_map(|root| [(root, false), (root, true)]);
    scales.filter_map(|(root, minor)| in_scale(&classes, root, minor)).reduce(f64::max)
}
