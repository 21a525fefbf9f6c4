//! What a part has done it does again: how loud, how long and where in the beat each part plays, counted as it goes.
//!
//! A network learns how parts differ in general, and forgets a piece's beginning; this counts what is so in the piece at
//! hand. To the logits of a note is added, for each property of it that has a weight in the manifest,
//!
//! > weight · log((count\[value, part\] + share\[part\]) / ((count\[value\] + 1) · share\[part\]))
//!
//! where the count is how many notes with this value each part probably had (the sum of the probabilities, not of
//! decisions) and the share is the part's share of all notes: naive Bayes with a prior of one note. Live, the notes so
//! far are counted, older ones less, as in a cache language model (Kuhn and De Mori 1990); of a whole piece all others,
//! four times over, the probabilities new each time. What says nothing, as the velocity where all are alike, adds next
//! to nothing.
//!
//! Training computes the same (`ripieno_training/arranger/habits.py`); the golden values of the models that have habits
//! hold both to it.

use std::collections::BTreeMap;

use super::network::{Features, TICKS, log_sum};

/// Times that the notes of a whole piece are counted.
const ROUNDS: usize = 4;
/// Notes that each part has at least had, so that none has a share of zero.
const LEAST: f64 = 1e-3;
/// What is kept of the counts at each further note while somebody plays: of a thousand notes ago a third. Over pieces of
/// 2,000 notes it costs 0.06 % of them at most (pop, validation), and a long evening's first song does not rule its last.
const KEPT: f64 = 0.999;

/// What of a note is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    Velocity,
    Position,
    Duration,
    End,
}

impl Property {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "velocity" => Self::Velocity,
            "position" => Self::Position,
            "duration" => Self::Duration,
            "end" => Self::End,
            _ => return None,
        })
    }

    /// How many values there are.
    fn values(self) -> usize {
        match self {
            Self::Velocity => 128,
            Self::Position | Self::End => TICKS as usize,
            Self::Duration => 32,
        }
    }

    /// The value of a note, below [`Property::values`].
    fn of(self, notes: &Features, i: usize) -> usize {
        let value = match self {
            Self::Velocity => notes.velocity(i),
            Self::Position => notes.position(i),
            // Classes, four to an octave: 0 to 30.
            Self::Duration => (4.0 * (notes.duration(i) as f64 + 1.0).log2() + 0.5).floor() as i64,
            Self::End => (notes.position(i) + notes.duration(i)) % TICKS,
        };
        usize::try_from(value).unwrap_or(0).min(self.values() - 1)
    }
}

/// How often each part had each value of a property.
#[derive(Debug, Clone)]
struct Tally {
    property: Property,
    weight: f64,
    /// Shape [values, parts].
    counts: Vec<f64>,
}

/// What the parts of a network have been playing.
#[derive(Debug, Clone)]
pub(super) struct Habits {
    tallies: Vec<Tally>,
    /// Notes each part has had.
    had: Vec<f64>,
    /// Of the note at hand, per part: what is added to its logits, and its probabilities.
    added: Vec<f64>,
    likely: Vec<f64>,
}

impl Habits {
    /// Habits by the manifest's weights; `None` if it has none. `online`: a note's length is not known.
    ///
    /// # Errors
    /// A property that is not known here or not while somebody plays, and a weight that is no number from 0 to 1.
    pub fn new(weights: &BTreeMap<String, f64>, parts: usize, online: bool) -> Result<Option<Self>, String> {
        let tally = |(name, &weight): (&String, &f64)| {
            let property =
                Property::named(name).ok_or_else(|| format!("it counts \"{name}\", which is not known here"))?;
            if online && matches!(property, Property::Duration | Property::End) {
                return Err(format!("it counts \"{name}\", which nobody knows while a note sounds"));
            }
            if !(0.0..=1.0).contains(&weight) {
                return Err(format!("its habit \"{name}\" weighs {weight}, not 0 to 1"));
            }
            Ok(Tally { property, weight, counts: vec![0.0; property.values() * parts] })
        };
        let tallies = weights.iter().map(tally).collect::<Result<Vec<_>, _>>()?;
        let (had, nothing) = (vec![LEAST; parts], vec![0.0; parts]);
        Ok((!tallies.is_empty()).then(|| Self { tallies, had, added: nothing.clone(), likely: nothing }))
    }

    /// Forgets what was played.
    pub fn forget(&mut self) {
        self.tallies.iter_mut().for_each(|tally| tally.counts.fill(0.0));
        self.had.fill(LEAST);
    }

    /// Adds to the logits of notes that are being played, shape [notes, parts + 1], the habits of those before each.
    pub fn so_far(&mut self, notes: &Features, logits: &mut [f32]) {
        let parts = self.had.len();
        for (i, row) in logits.chunks_exact_mut(parts + 1).enumerate() {
            let row = &mut row[1..];
            self.weigh(notes, i, None);
            row.iter_mut().zip(&self.added).for_each(|(logit, added)| *logit += *added as f32);
            probabilities(row, &mut self.likely);
            self.fade();
            self.count(notes, i);
        }
    }

    /// Adds to the logits of a whole piece, shape [notes, parts + 1], the habits of all its other notes.
    pub fn throughout(&mut self, notes: &Features, logits: &mut [f32]) {
        let parts = self.had.len();
        let alone = logits.to_vec();
        let mut likely = vec![0.0; notes.notes() * parts];
        for _ in 0..ROUNDS {
            self.forget();
            for (i, row) in logits.chunks_exact(parts + 1).enumerate() {
                probabilities(&row[1..], &mut self.likely);
                likely[i * parts..][..parts].copy_from_slice(&self.likely);
                self.count(notes, i);
            }
            for (i, (row, alone)) in logits.chunks_exact_mut(parts + 1).zip(alone.chunks_exact(parts + 1)).enumerate() {
                self.weigh(notes, i, Some(&likely[i * parts..][..parts]));
                for ((logit, alone), added) in row[1..].iter_mut().zip(&alone[1..]).zip(&self.added) {
                    *logit = *alone + *added as f32;
                }
            }
        }
        self.forget();
    }

    /// What the habits say of a note; `itself`: what it has itself been counted as.
    fn weigh(&mut self, notes: &Features, i: usize, itself: Option<&[f64]>) {
        let (parts, all) = (self.had.len(), self.had.iter().sum::<f64>());
        self.added.fill(0.0);
        for Tally { property, weight, counts } in &self.tallies {
            let counts = &counts[property.of(notes, i) * parts..][..parts];
            let others = |part: usize| (counts[part] - itself.map_or(0.0, |itself| itself[part])).max(0.0);
            let of_all = (0..parts).map(others).sum::<f64>() + 1.0;
            for (part, (added, had)) in self.added.iter_mut().zip(&self.had).enumerate() {
                let share = had / all;
                *added += weight * ((others(part) + share) / (of_all * share)).ln();
            }
        }
    }

    /// Lets what was counted weigh a little less. No part's share becomes zero, however long it is silent.
    fn fade(&mut self) {
        self.tallies.iter_mut().flat_map(|tally| &mut tally.counts).for_each(|count| *count *= KEPT);
        self.had.iter_mut().for_each(|had| *had = (*had * KEPT).max(LEAST));
    }

    /// Counts a note as what it probably is.
    fn count(&mut self, notes: &Features, i: usize) {
        let parts = self.had.len();
        for Tally { property, counts, .. } in &mut self.tallies {
            let counts = &mut counts[property.of(notes, i) * parts..][..parts];
            counts.iter_mut().zip(&self.likely).for_each(|(count, likely)| *count += likely);
        }
        self.had.iter_mut().zip(&self.likely).for_each(|(had, likely)| *had += likely);
    }
}

/// Probabilities of the parts from their logits.
fn probabilities(logits: &[f32], out: &mut [f64]) {
    let all = log_sum(logits);
    out.iter_mut().zip(logits).for_each(|(out, &logit)| *out = (f64::from(logit) - all).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(of: &[(&str, f64)]) -> BTreeMap<String, f64> {
        of.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect()
    }

    fn notes(of: &[(u8, i64, i64)]) -> Features {
        let mut notes = Features::default();
        of.iter().for_each(|&(velocity, tick, duration)| notes.push(60, velocity, tick, duration));
        notes
    }

    #[test]
    fn a_velocity_that_was_one_parts_is_more_likely_its_again() {
        let mut habits = Habits::new(&weights(&[("velocity", 0.5)]), 2, true).unwrap().unwrap();
        // Two notes that are surely of one part each, then one of each velocity that might be of either.
        let mut logits = vec![0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        habits.so_far(&notes(&[(90, 0, 6), (50, 6, 6), (90, 12, 6), (50, 18, 6)]), &mut logits);
        assert!(logits[7] > logits[8] + 0.2, "{logits:?}");
        assert!(logits[11] > logits[10] + 0.2, "{logits:?}");
        assert!(logits.chunks(3).all(|row| row[0] == 0.0), "the padding is no part");
        // The same twice where both were alike says nothing.
        habits.forget();
        let mut logits = vec![0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0];
        habits.so_far(&notes(&[(64, 0, 6), (64, 6, 6), (64, 12, 6)]), &mut logits);
        assert!((logits[7] - logits[8]).abs() < 1e-3, "{logits:?}");
    }

    #[test]
    fn what_was_long_ago_weighs_less_than_what_is_now() {
        let mut habits = Habits::new(&weights(&[("velocity", 0.5)]), 2, true).unwrap().unwrap();
        // The same velocity, for 2,000 notes one part's and then for 700 the other's.
        for i in 0..2700 {
            let (mine, yours) = if i < 2000 { (9.0, 0.0) } else { (0.0, 9.0) };
            habits.so_far(&notes(&[(90, i, 6)]), &mut [0.0, mine, yours]);
            habits.so_far(&notes(&[(40, i, 6)]), &mut [0.0, yours, mine]);
        }
        let mut logits = vec![0.0; 3];
        habits.so_far(&notes(&[(90, 2700, 6)]), &mut logits);
        assert!(logits[2] > logits[1] + 0.1, "{logits:?}");
    }

    #[test]
    fn a_whole_piece_counts_what_comes_later_and_not_the_note_itself() {
        let lengths = weights(&[("duration", 0.5), ("end", 0.0)]);
        let mut habits = Habits::new(&lengths, 2, false).unwrap().unwrap();
        let piece = notes(&[(64, 0, 6), (64, 6, 48), (64, 54, 48), (64, 102, 6)]);
        let mut logits = vec![0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0];
        habits.throughout(&piece, &mut logits);
        assert!(logits[1] > logits[2] + 0.2, "{logits:?}");
        assert!(logits[8] > logits[7] + 0.2, "{logits:?}");
        // One note alone has nobody to be like.
        let mut one = vec![0.0, 1.0, 3.0];
        habits.throughout(&notes(&[(64, 0, 6)]), &mut one);
        assert!((one[2] - one[1] - 2.0).abs() < 1e-5, "{one:?}");
    }

    #[test]
    fn note_by_note_is_as_all_at_once() {
        let both = weights(&[("velocity", 0.6), ("position", 0.6)]);
        let mut habits = Habits::new(&both, 3, true).unwrap().unwrap();
        let played: Vec<_> = (0..40u8).map(|i| (30 + 7 * (i % 5), i64::from(i) * 5, 3)).collect();
        let logits: Vec<f32> = (0..160).map(|i| ((i * 37) % 11) as f32 / 4.0).collect();
        let mut whole = logits.clone();
        habits.so_far(&notes(&played), &mut whole);
        habits.forget();
        for (i, played) in played.iter().enumerate() {
            let mut row = logits[4 * i..][..4].to_vec();
            habits.so_far(&notes(&[*played]), &mut row);
            assert_eq!(row, whole[4 * i..][..4]);
        }
    }

    #[test]
    fn what_cannot_be_counted_is_said() {
        let said = |of: &[(&str, f64)], online| Habits::new(&weights(of), 2, online).unwrap_err();
        assert!(said(&[("colour", 0.5)], false).contains("\"colour\", which is not known here"));
        assert!(said(&[("duration", 0.5)], true).contains("nobody knows while a note sounds"));
        assert!(said(&[("velocity", f64::NAN)], true).contains("not 0 to 1"));
        assert!(Habits::new(&BTreeMap::new(), 2, true).unwrap().is_none());
    }
}
