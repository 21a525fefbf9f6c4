//! From scores to parts: the notes of a chord given out together.
//!
//! The network answers note by note, though a chord is struck at once. Here the sum of log probabilities is maximised
//! exactly, where a part costs more for every note beyond what it can take. Costs per part only grow with its notes, so
//! giving out one note after the other along the cheapest chain of exchanges (successive shortest paths) is optimal;
//! among equals the higher part wins. On the 32 test chorales this takes the network's answers from 93.5 to 95.5 %
//! (models/arranger/README.md); the same rule in Python is `ripieno_training/arranger/assignment.py`.

use super::ensemble::EnsemblePart;
use crate::stream::MAX_PARTS;

/// Cost in nats of a note of the chord beyond a part's limit: more than any preference of the network, less than leaving
/// a note without a part.
const AGAIN: f64 = 20.0;
/// Cost in nats of a part that would go beyond its limit with what it still holds from earlier. A legato player lets go
/// after the next note has begun, so it is unlikely and not impossible. On the validation chorales 2 is worth 0.7 % of
/// the notes when they are played as written, and costs nothing when every note is held on for a tenth of a quarter.
const BUSY: f64 = 2.0;

/// Which of an ensemble's limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// As the ensemble says: ranges, and the most notes a part takes at once.
    Ensemble,
    /// Ranges alone.
    Ranges,
    /// Ranges, and one note at a time for every part.
    Mono,
    /// None.
    Free,
}

/// Gives out chords; keeps its memory between them.
pub(super) struct Assignment {
    parts: usize,
    /// Notes a part takes at once; `u32::MAX` is any number.
    limit: [u32; MAX_PARTS],
    /// Semitones from every key to every part's range.
    distance: Vec<[u8; MAX_PARTS]>,
    /// Scores, shape [notes, MAX_PARTS]; grows to the largest chord.
    scores: Vec<[f64; MAX_PARTS]>,
    /// Per part, the indices of the chord's notes it is given.
    given: [Vec<usize>; MAX_PARTS],
}

impl Assignment {
    pub fn new(parts: &[EnsemblePart], limits: Limits) -> Self {
        let mut limit = [u32::MAX; MAX_PARTS];
        for (limit, part) in limit.iter_mut().zip(parts) {
            *limit = match limits {
                Limits::Ensemble => part.limit().unwrap_or(u32::MAX),
                Limits::Ranges | Limits::Free => u32::MAX,
                Limits::Mono => 1,
            };
        }
        let distances = |key: u8| {
            let mut of = [u8::MAX; MAX_PARTS];
            for (of, part) in of.iter_mut().zip(parts) {
                *of = if limits == Limits::Free { 0 } else { part.distance(key) };
            }
            of
        };
        Self {
            parts: parts.len().min(MAX_PARTS),
            limit,
            distance: (0..128).map(distances).collect(),
            scores: Vec::new(),
            given: Default::default(),
        }
    }

    /// One bit per part that may take a key: of those in `open` the ones whose range it lies in, else the nearest.
    fn reach(&self, key: u8, open: u8) -> u8 {
        let distance = &self.distance[usize::from(key & 0x7f)];
        let nearest = set_bits(open, self.parts).map(|part| distance[part]).min();
        set_bits(open, self.parts)
            .filter(|&part| Some(distance[part]) == nearest)
            .fold(0, |mask, part| mask | 1 << part)
    }

    /// The part of every key of a chord, appended to `out`; nobody's where no part is `open` (one bit each).
    ///
    /// `score(i, part)`: natural log probability that key i belongs to a part, a number that is not NaN counts.
    /// `held`: notes each part still holds.
    pub fn assign(
        &mut self,
        keys: &[u8],
        score: impl Fn(usize, usize) -> f64,
        held: &[u32; MAX_PARTS],
        open: u8,
        out: &mut Vec<Option<usize>>,
    ) {
        if set_bits(open, self.parts).next().is_none() {
            out.extend(keys.iter().map(|_| None));
            return;
        }
        self.scores.clear();
        self.given.iter_mut().for_each(Vec::clear);
        for (i, &key) in keys.iter().enumerate() {
            let mut row = [f64::NEG_INFINITY; MAX_PARTS];
            set_bits(self.reach(key, open), self.parts).for_each(|part| row[part] = finite(score(i, part)));
            self.scores.push(row);
            self.give(i, held);
        }
        let first = out.len();
        out.resize(first + keys.len(), None);
        for (part, notes) in self.given.iter().enumerate() {
            notes.iter().for_each(|&i| out[first + i] = Some(part));
        }
    }

    /// Gives out one more note along the cheapest chain: it goes to a part, which may hand one of its own on, and so on.
    fn give(&mut self, note: usize, held: &[u32; MAX_PARTS]) {
        let parts = self.parts;
        let mut cost = [f64::INFINITY; MAX_PARTS];
        // Who hands which note to a part on the way to it.
        let mut from: [Option<(usize, usize)>; MAX_PARTS] = [None; MAX_PARTS];
        cost.iter_mut().zip(&self.scores[note][..parts]).for_each(|(cost, score)| *cost = -score);
        // Bellman-Ford: after n rounds chains of n exchanges are right, and no chain passes a part twice.
        for _ in 1..parts {
            let mut changed = false;
            for giver in (0..parts).filter(|&part| !self.given[part].is_empty()) {
                for taker in (0..parts).filter(|&taker| taker != giver) {
                    for &handed in &self.given[giver] {
                        let row = &self.scores[handed];
                        let total = cost[giver] + row[giver] - row[taker];
                        // The margin keeps rounding from turning a chain in circles.
                        if total < cost[taker] - 1e-9 {
                            (cost[taker], from[taker]) = (total, Some((giver, handed)));
                            changed = true;
                        }
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let full = |part: usize| cost[part] + self.crowding(part, held[part]);
        let mut part = (1..parts).fold(0, |best, part| if full(part) < full(best) { part } else { best });
        for _ in 0..parts {
            let Some((giver, handed)) = from[part] else { break };
            self.given[giver].retain(|&i| i != handed);
            self.given[part].push(handed);
            part = giver;
        }
        self.given[part].push(note);
    }

    /// What the next note of the chord costs a part for being one more.
    fn crowding(&self, part: usize, held: u32) -> f64 {
        let (limit, now) = (self.limit[part], self.given[part].len() as u32);
        let busy = if now.saturating_add(held) >= limit { BUSY } else { 0.0 };
        busy + if now >= limit { AGAIN } else { 0.0 }
    }
}

fn set_bits(mask: u8, parts: usize) -> impl Iterator<Item = usize> {
    (0..parts).filter(move |part| mask >> part & 1 == 1)
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

    fn part(lo: u8, hi: u8, most: u8) -> EnsemblePart {
        EnsemblePart { name: String::new(), program: 0, lo, hi, mono: most == 1, most, colour: [0; 3], voice: None }
    }

    fn assigned(parts: &[EnsemblePart], keys: &[u8], scores: &[f64], held: &[u32; MAX_PARTS]) -> Vec<usize> {
        let mut out = Vec::new();
        let score = |i: usize, part: usize| scores[i * parts.len() + part];
        Assignment::new(parts, Limits::Ensemble).assign(keys, score, held, u8::MAX, &mut out);
        out.into_iter().map(Option::unwrap).collect()
    }

    /// What the rule says a choice is worth.
    fn worth(chosen: &[usize], parts: &[EnsemblePart], scores: &[f64], held: &[u32; MAX_PARTS]) -> f64 {
        let mut taken = [0u32; MAX_PARTS];
        let mut total = 0.0;
        for (i, &part) in chosen.iter().enumerate() {
            let limit = parts[part].limit().unwrap_or(u32::MAX);
            total += scores[i * parts.len() + part];
            total -= if taken[part] + held[part] >= limit { BUSY } else { 0.0 };
            total -= if taken[part] >= limit { AGAIN } else { 0.0 };
            taken[part] += 1;
        }
        total
    }

    const NOTHING: [u32; MAX_PARTS] = [0; MAX_PARTS];

    proptest! {
        #[test]
        fn no_other_choice_is_worth_more(
            scores in prop::collection::vec(-12.0f64..0.0, 20), notes in 1usize..=5,
            held in prop::array::uniform8(0u32..3), most in prop::array::uniform4(0u8..4),
        ) {
            let parts: Vec<_> = most.iter().map(|&most| part(0, 127, most)).collect();
            let keys = vec![60; notes];
            let ours = worth(&assigned(&parts, &keys, &scores, &held), &parts, &scores, &held);
            for code in 0..4usize.pow(notes as u32) {
                let other: Vec<usize> = (0..notes).map(|i| code / 4usize.pow(i as u32) % 4).collect();
                prop_assert!(worth(&other, &parts, &scores, &held) <= ours + 1e-6);
            }
        }

        #[test]
        fn a_key_goes_to_a_part_in_whose_range_it_lies_if_there_is_one(
            key in 0u8..128, scores in prop::collection::vec(-12.0f64..0.0, 8), which in 0usize..64,
        ) {
            let ensembles = Ensemble::built_in();
            let parts = &ensembles[which % ensembles.len()].parts;
            let given = assigned(parts, &[key], &scores, &NOTHING)[0];
            let nearest = parts.iter().map(|part| part.distance(key)).min();
            prop_assert_eq!(Some(parts[given].distance(key)), nearest);
        }

        #[test]
        fn a_part_that_is_off_gets_nothing(
            keys in prop::collection::vec(0u8..128, 1..12), open in 0u8..16, scores in prop::collection::vec(-9.0f64..0.0, 48),
        ) {
            let mut out = Vec::new();
            let parts = &Ensemble::built_in()[0].parts;
            Assignment::new(parts, Limits::Ensemble)
                .assign(&keys, |i, part| scores[i * 4 + part], &NOTHING, open, &mut out);
            prop_assert_eq!(out.len(), keys.len());
            for part in out {
                prop_assert_eq!(part.is_none(), open == 0);
                prop_assert!(part.is_none_or(|part| open >> part & 1 == 1));
            }
        }
    }

    #[test]
    fn a_part_of_two_takes_two_and_no_third() {
        let parts = [part(0, 127, 2), part(0, 127, 0)];
        let scores = [-0.1, -5.0, -0.1, -4.0, -0.1, -6.0];
        assert_eq!(assigned(&parts, &[60, 64, 67], &scores, &NOTHING), [0, 1, 0]);
    }

    #[test]
    fn a_chord_larger_than_the_ensemble_loses_no_note() {
        let parts = &Ensemble::built_in()[0].parts;
        let keys: Vec<u8> = (0..300).map(|i| (i % 128) as u8).collect();
        let given = assigned(parts, &keys, &vec![-1.0; 300 * 4], &NOTHING);
        assert!(given.len() == 300 && given.iter().all(|&part| part < 4));
    }

    #[test]
    fn a_score_that_is_no_number_loses_no_note() {
        let parts = [part(0, 127, 1), part(0, 127, 1)];
        let scores = [f64::NAN, f64::NEG_INFINITY, f64::NAN, f64::INFINITY];
        assert_eq!(assigned(&parts, &[60, 64], &scores, &NOTHING), [0, 1]);
    }

    #[test]
    fn equal_scores_go_to_the_higher_part() {
        assert_eq!(assigned(&[part(0, 127, 1), part(0, 127, 1)], &[60], &[-1.0, -1.0], &NOTHING), [0]);
    }
}
