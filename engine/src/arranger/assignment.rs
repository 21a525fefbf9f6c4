//! From scores to parts: the notes of a chord given out together.
//!
//! The network answers note by note, though a chord is struck at once. Here the sum of log probabilities is maximised,
//! exactly, by dynamic programming over the notes and the set of parts already taken; ties go to the higher part.
//! On the 32 test chorales this takes the network's answers from 93.5 to 95.5 % (models/arranger/README.md); the same
//! rule in Python is `ripieno_training/arranger/assignment.py`.

use super::ensemble::EnsemblePart;
use crate::stream::MAX_PARTS;

/// Cost in nats of a second note of the chord for a part that takes one at a time: more than any preference of the
/// network, less than leaving a note without a part.
const AGAIN: f64 = 20.0;
/// Cost in nats of a part that takes one note at a time and still holds an earlier one. A legato player lets go after
/// the next note has begun, so it is unlikely and not impossible. On the validation chorales 2 is worth 0.7 % of the
/// notes when they are played as written, and costs nothing when every note is held on for a tenth of a quarter.
const BUSY: f64 = 2.0;

const SETS: usize = 1 << MAX_PARTS;

/// Gives out chords; keeps its memory between them.
pub(super) struct Assignment {
    /// One bit per part that takes one note at a time.
    mono: u8,
    /// Per key, one bit per part that may take it: those whose range it lies in, else the nearest.
    reach: [u8; 128],
    /// The way to each set of parts, per note: the set before and the part taken. Grows to the largest chord.
    ways: Vec<[(u8, u8); SETS]>,
}

impl Assignment {
    pub fn new(parts: &[EnsemblePart]) -> Self {
        let mut reach = [0; 128];
        for (key, mask) in (0u8..).zip(&mut reach) {
            let nearest = parts.iter().map(|part| part.distance(key)).min().unwrap_or(0);
            *mask = bits(parts, |part| part.distance(key) == nearest);
        }
        Self { mono: bits(parts, |part| part.mono), reach, ways: Vec::new() }
    }

    /// The part of every key of a chord, appended to `out`.
    ///
    /// `score(i, part)`: natural log probability that key i belongs to a part, a number that is not NaN counts.
    /// `busy`: one bit per part that holds a note.
    pub fn assign(&mut self, keys: &[u8], score: impl Fn(usize, usize) -> f64, busy: u8, out: &mut Vec<usize>) {
        let mut best = [f64::NEG_INFINITY; SETS];
        best[0] = 0.0;
        self.ways.resize(self.ways.len().max(keys.len()), [(0, 0); SETS]);
        for (i, &key) in keys.iter().enumerate() {
            let mut after = [f64::NEG_INFINITY; SETS];
            for (before, &so_far) in best.iter().enumerate() {
                if so_far == f64::NEG_INFINITY {
                    continue;
                }
                for part in set_bits(self.reach[usize::from(key & 0x7f)]) {
                    let bit = 1u8 << part & self.mono;
                    let mut total = so_far + finite(score(i, part));
                    if bit & busy != 0 {
                        total -= BUSY;
                    }
                    if bit & before as u8 != 0 {
                        total -= AGAIN;
                    }
                    let set = before | usize::from(bit);
                    if total > after[set] {
                        after[set] = total;
                        self.ways[i][set] = (before as u8, part as u8);
                    }
                }
            }
            best = after;
        }
        let mut set = (0..SETS).fold(0, |top, set| if best[set] > best[top] { set } else { top });
        let first = out.len();
        out.resize(first + keys.len(), 0);
        for i in (0..keys.len()).rev() {
            let (before, part) = self.ways[i][set];
            out[first + i] = usize::from(part);
            set = usize::from(before);
        }
    }
}

/// One bit per part that passes.
fn bits(parts: &[EnsemblePart], passes: impl Fn(&EnsemblePart) -> bool) -> u8 {
    parts.iter().take(MAX_PARTS).enumerate().fold(0, |mask, (i, part)| mask | u8::from(passes(part)) << i)
}

fn set_bits(mask: u8) -> impl Iterator<Item = usize> {
    (0..MAX_PARTS).filter(move |part| mask >> part & 1 == 1)
}

/// A network that answers NaN or infinity must not lose the note.
fn finite(score: f64) -> f64 {
    if score.is_nan() { -1e6 } else { score.clamp(-1e6, 1e6) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arranger::Ensemble;

    fn part(lo: u8, hi: u8, mono: bool) -> EnsemblePart {
        EnsemblePart { name: String::new(), program: 0, lo, hi, mono, colour: [0; 3] }
    }

    fn assigned(parts: &[EnsemblePart], keys: &[u8], scores: &[f64], busy: u8) -> Vec<usize> {
        let mut out = Vec::new();
        let score = |i: usize, part: usize| scores[i * parts.len() + part];
        Assignment::new(parts).assign(keys, score, busy, &mut out);
        out
    }

    /// What the rule says a choice is worth.
    fn worth(chosen: &[usize], parts: &[EnsemblePart], scores: &[f64], busy: u8) -> f64 {
        let mut taken = 0u8;
        let mut total = 0.0;
        for (i, &part) in chosen.iter().enumerate() {
            let bit = u8::from(parts[part].mono) << part;
            total += scores[i * parts.len() + part];
            total -= if bit & busy != 0 { BUSY } else { 0.0 } + if bit & taken != 0 { AGAIN } else { 0.0 };
            taken |= bit;
        }
        total
    }

    proptest! {
        #[test]
        fn no_other_choice_is_worth_more(
            scores in prop::collection::vec(-12.0f64..0.0, 16), notes in 1usize..=4, busy in 0u8..16, mono in 0u8..16,
        ) {
            let parts: Vec<_> = (0..4).map(|i| part(0, 127, mono >> i & 1 == 1)).collect();
            let keys = vec![60; notes];
            let ours = worth(&assigned(&parts, &keys, &scores, busy), &parts, &scores, busy);
            for code in 0..4usize.pow(notes as u32) {
                let other: Vec<usize> = (0..notes).map(|i| code / 4usize.pow(i as u32) % 4).collect();
                prop_assert!(worth(&other, &parts, &scores, busy) <= ours + 1e-9);
            }
        }

        #[test]
        fn a_key_goes_to_a_part_in_whose_range_it_lies_if_there_is_one(
            key in 0u8..128, scores in prop::collection::vec(-12.0f64..0.0, 4), busy in 0u8..16, which in 0usize..6,
        ) {
            let parts = &Ensemble::all()[which].parts;
            let given = assigned(parts, &[key], &scores, busy)[0];
            let nearest = parts.iter().map(|part| part.distance(key)).min();
            prop_assert_eq!(Some(parts[given].distance(key)), nearest);
        }
    }

    #[test]
    fn a_chord_larger_than_the_ensemble_loses_no_note() {
        let parts = &Ensemble::all()[0].parts;
        let keys: Vec<u8> = (0..300).map(|i| (i % 128) as u8).collect();
        let given = assigned(parts, &keys, &vec![-1.0; 300 * 4], 0);
        assert!(given.len() == 300 && given.iter().all(|&part| part < 4));
    }

    #[test]
    fn a_score_that_is_no_number_loses_no_note() {
        let parts = [part(0, 127, true), part(0, 127, true)];
        assert_eq!(assigned(&parts, &[60, 64], &[f64::NAN, f64::NEG_INFINITY, f64::NAN, f64::INFINITY], 0), [0, 1]);
    }

    #[test]
    fn equal_scores_go_to_the_higher_part() {
        assert_eq!(assigned(&[part(0, 127, true), part(0, 127, true)], &[60], &[-1.0, -1.0], 0), [0]);
    }
}
