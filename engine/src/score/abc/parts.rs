//! The order of a tune's parts: `P:A2(BC)2` in the header, `P:B` where one begins.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::score::order::{self, MOST_MEASURES, Marks};

/// Parts within brackets within brackets.
const DEEPEST: usize = 32;

/// Why an order cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
    /// It names a part that the tune does not have, or its brackets do not match.
    Unknown,
    /// It is longer than any tune.
    TooLong,
}

/// The measures in the order in which they are played, from what the header says and where parts begin (names and
/// measures). What comes before the first part comes first; each part has its own repeats.
pub fn order(written: &str, begins: &[(char, usize)], marks: &[Marks]) -> Result<Vec<usize>, Unclear> {
    let first = begins.first().map_or(marks.len(), |&(_, measure)| measure.min(marks.len()));
    let within = |from: usize, to: usize| -> Result<Vec<usize>, Unclear> {
        let order = order::order(&marks[from..to]).ok_or(Unclear::TooLong)?;
        Ok(order.into_iter().map(|measure| from + measure).collect())
    };
    let mut all = within(0, first)?;
    // A part costs as much as it is long, also where none of its measures are played: its order is found once.
    let mut known: BTreeMap<char, Vec<usize>> = BTreeMap::new();
    for name in names(written)? {
        let part = match known.entry(name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let at = begins.iter().position(|&(part, _)| part == name).ok_or(Unclear::Unknown)?;
                let from = begins[at].1.min(marks.len());
                let to = begins.get(at + 1).map_or(marks.len(), |&(_, next)| next.clamp(from, marks.len()));
                new.insert(within(from, to)?)
            }
        };
        all.extend_from_slice(part);
        if all.len() > MOST_MEASURES {
            return Err(Unclear::TooLong);
        }
    }
    Ok(all)
}

/// The names that an order says, one after another.
fn names(written: &str) -> Result<Vec<char>, Unclear> {
    let mut open: Vec<Vec<char>> = vec![Vec::new()];
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        // What a number repeats: a name, or what is in a bracket.
        let last = match c {
            'A'..='Z' | 'a'..='z' => vec![c],
            '(' if open.len() < DEEPEST => {
                open.push(Vec::new());
                continue;
            }
            ')' if open.len() > 1 => open.pop().unwrap_or_default(),
            '(' | ')' => return Err(Unclear::Unknown),
            _ => continue,
        };
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let times = match &rest[..rest.len() - after.len()] {
            "" => 1,
            number => number.parse::<usize>().ok().filter(|times| *times <= MOST_MEASURES).ok_or(Unclear::TooLong)?,
        };
        rest = after;
        let group = open.last_mut().ok_or(Unclear::Unknown)?;
        if group.len() + last.len() * times > MOST_MEASURES {
            return Err(Unclear::TooLong);
        }
        (0..times).for_each(|_| group.extend(&last));
    }
    // A bracket that is not closed ends with the line.
    Ok(open.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(written: &str) -> Result<String, Unclear> {
        names(written).map(|names| names.into_iter().collect())
    }

    #[test]
    fn numbers_repeat_names_and_brackets() {
        assert_eq!(said("AABB").unwrap(), "AABB");
        assert_eq!(said("A2.B (CD2)2").unwrap(), "AABCDDCDD");
        assert_eq!(said("((AB)2C)2").unwrap(), "ABABCABABC");
        assert_eq!((said("A)"), said("A99999999999")), (Err(Unclear::Unknown), Err(Unclear::TooLong)));
        assert_eq!(said(&"(".repeat(99)), Err(Unclear::Unknown));
        assert_eq!(said("(((A999)999)999)"), Err(Unclear::TooLong));
    }

    #[test]
    fn parts_have_their_own_repeats_and_what_is_before_them_comes_first() {
        let mut marks = vec![Marks::default(); 4];
        marks[2].backward = Some(2);
        let begins = [('A', 1), ('B', 3)];
        assert_eq!(order("BA", &begins, &marks).unwrap(), [0, 3, 1, 2, 1, 2]);
        assert_eq!(order("AC", &begins, &marks), Err(Unclear::Unknown));
        assert_eq!(order(&"A".repeat(60_000), &begins, &marks), Err(Unclear::TooLong));
    }
}
