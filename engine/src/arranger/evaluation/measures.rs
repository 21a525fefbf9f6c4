//! Measures of a separation.

use crate::arranger::piece::PieceNote;

/// Counts over a set of pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Notes by their true part (row) and the part they were given (column), shape `[parts, parts]`.
    pub confusion: Vec<Vec<u64>>,
    /// Pairs of neighbours in a true part, and those of them that are neighbours in a given part too.
    true_pairs: [u64; 2],
    /// Pairs of neighbours in a given part, and those of them that are neighbours in a true part too.
    given_pairs: [u64; 2],
    /// Pieces counted.
    pub pieces: usize,
}

/// Measures of a set. Shares are 0 to 1; `None` where nothing can be counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Notes.
    pub notes: u64,
    /// Notes given to their own part.
    pub correct: u64,
    /// Correct of all notes: every note counts the same, long pieces more (micro).
    pub accuracy: Option<f64>,
    /// Mean over parts of the share of a part's notes that it was given (recall, macro); parts without notes are left out.
    pub balanced: Option<f64>,
    /// Share of the pairs of notes that follow each other within one *given* part which follow each other within one
    /// *true* part. Low where parts are mixed up. As soundness in voice separation (Kirlin and Utgoff, ISMIR 2005).
    pub soundness: Option<f64>,
    /// Share of the pairs of notes that follow each other within one *true* part which follow each other within one
    /// *given* part. Low where parts are torn. As completeness there.
    pub completeness: Option<f64>,
}

impl Tally {
    /// Nothing, of so many parts.
    pub fn new(parts: usize) -> Self {
        Self { confusion: vec![vec![0; parts]; parts], true_pairs: [0; 2], given_pairs: [0; 2], pieces: 0 }
    }

    /// Counts a piece: `notes` in order, the true and the given part of each.
    pub fn count(&mut self, notes: &[PieceNote], true_parts: &[usize], given: &[usize]) {
        self.pieces += 1;
        for (&part, &given) in true_parts.iter().zip(given) {
            self.confusion[part][given] += 1;
        }
        let parts = self.confusion.len();
        let (follows, given_follows) = (followers(notes, true_parts, parts), followers(notes, given, parts));
        for (pairs, one, other) in
            [(&mut self.true_pairs, &follows, &given_follows), (&mut self.given_pairs, &given_follows, &follows)]
        {
            for (next, other) in one.iter().zip(other).filter(|(next, _)| next.is_some()) {
                pairs[0] += 1;
                pairs[1] += u64::from(next == other);
            }
        }
    }

    /// What was counted, as measures.
    pub fn measures(&self) -> Measures {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let notes = self.confusion.iter().flatten().sum();
        let correct = (0..self.confusion.len()).map(|part| self.confusion[part][part]).sum();
        let recalls: Vec<f64> =
            self.confusion.iter().enumerate().filter_map(|(part, row)| share(row[part], row.iter().sum())).collect();
        Measures {
            notes,
            correct,
            accuracy: share(correct, notes),
            balanced: (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64),
            soundness: share(self.given_pairs[1], self.given_pairs[0]),
            completeness: share(self.true_pairs[1], self.true_pairs[0]),
        }
    }
}

/// For every note the next one of its part, if it begins later than the note itself. Of notes of a part that begin
/// together the first in order stands for the chord's successor, and each of them for the one before.
fn followers(notes: &[PieceNote], parts: &[usize], count: usize) -> Vec<Option<usize>> {
    let mut next: Vec<Option<usize>> = vec![None; notes.len()];
    // The latest chord of each part seen from the end: its first note, and the one after it.
    let mut first: Vec<Option<usize>> = vec![None; count];
    let mut after: Vec<Option<usize>> = vec![None; count];
    for (i, &part) in parts.iter().enumerate().rev() {
        match first[part] {
            Some(chord) if notes[chord].onset == notes[i].onset => next[i] = after[part],
            chord => {
                next[i] = chord;
                after[part] = chord;
            }
        }
        first[part] = Some(i);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(onset: i64, pitch: u8) -> PieceNote {
        PieceNote { onset, end: onset + 24, pitch, velocity: 64 }
    }

    #[test]
    fn measures_of_a_small_piece_are_those_counted_by_hand() {
        // Two parts of three notes each; the given parts cross over at the last chord.
        let notes = [note(0, 48), note(0, 72), note(24, 50), note(24, 74), note(48, 52), note(48, 76)];
        let mut tally = Tally::new(3);
        tally.count(&notes, &[1, 0, 1, 0, 1, 0], &[1, 0, 1, 0, 0, 1]);
        let measures = tally.measures();
        assert_eq!((measures.notes, measures.correct), (6, 4));
        assert_eq!(measures.balanced, Some(2.0 / 3.0));
        // True pairs: 0-2, 2-4, 1-3, 3-5. Given: 0-2, 2-5, 1-3, 3-4. Two are in both.
        assert_eq!((measures.soundness, measures.completeness), (Some(0.5), Some(0.5)));
        assert_eq!(tally.confusion, [[2, 1, 0], [1, 2, 0], [0, 0, 0]]);
    }

    #[test]
    fn everything_in_one_part_is_all_mixed_up() {
        let notes = [note(0, 48), note(0, 72), note(24, 50), note(24, 74)];
        let mut tally = Tally::new(2);
        tally.count(&notes, &[1, 0, 1, 0], &[0, 0, 0, 0]);
        // Given: 0-2 and 1-2, where 2 stands for the second chord. True: 0-2 and 1-3.
        assert_eq!((tally.measures().soundness, tally.measures().completeness), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn nothing_has_no_measures() {
        let measures = Tally::new(2).measures();
        assert_eq!((measures.accuracy, measures.balanced, measures.soundness), (None, None, None));
    }
}
