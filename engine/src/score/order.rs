//! The order in which measures are played: repeats, endings, da capo, dal segno, coda.

/// Measures that are played, repeats included.
pub const MOST_MEASURES: usize = 100_000;

/// Times that a section with endings is played.
const MOST_PASSES: usize = 100;
/// Measures that are played or passed over on the way.
const MOST_STEPS: usize = 100 * MOST_MEASURES;

/// What a measure says about the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// A repeated section begins here.
    pub forward: bool,
    /// A repeated section ends here, and is played this many times.
    pub backward: Option<u32>,
    /// It is repeated also after a jump.
    pub after_jump: bool,
    /// Passes in which this measure is played; empty: in all.
    pub ending: Vec<u32>,
    /// The sign that dal segno returns to.
    pub segno: bool,
    /// The coda begins here.
    pub coda: bool,
    /// After a jump, the coda follows.
    pub to_coda: bool,
    /// Then all over from the beginning.
    pub da_capo: bool,
    /// Then again from the sign.
    pub dal_segno: bool,
    /// After a jump, the end.
    pub fine: bool,
}

impl Marks {
    /// What two parts say about the same measure: repeats are often written in one of them alone.
    pub fn merge(&mut self, other: Self) {
        self.forward |= other.forward;
        self.backward = self.backward.or(other.backward);
        self.after_jump |= other.after_jump;
        if self.ending.is_empty() {
            self.ending = other.ending;
        }
        self.segno |= other.segno;
        self.coda |= other.coda;
        self.to_coda |= other.to_coda;
        self.da_capo |= other.da_capo;
        self.dal_segno |= other.dal_segno;
        self.fine |= other.fine;
    }
}

/// The passes that "1, 2" or "1-3" names.
pub fn passes(text: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for item in text.split([',', ' ']).filter(|item| !item.is_empty()) {
        let mut ends = item.split('-').filter_map(|number| number.trim_matches('.').parse::<u32>().ok());
        if let Some(first) = ends.next() {
            // No section is played a hundred times, and a list may not cost more than it says.
            all.extend((first..=ends.next().unwrap_or(first)).take(MOST_PASSES - all.len()));
        }
    }
    all
}

/// Indices of the measures in the order they are played, or nothing where there is no end to them.
pub fn order(marks: &[Marks]) -> Option<Vec<usize>> {
    let mut played = Vec::with_capacity(marks.len());
    // Where the repeated section begins, and the how manieth time it is played.
    let (mut start, mut pass) = (0, 1);
    let (mut jumped, mut to_coda) = (false, false);
    let has_coda = marks.iter().any(|measure| measure.coda);
    let last_ending = last_endings(marks);
    let (mut i, mut steps) = (0, 0);
    while let Some(measure) = marks.get(i) {
        steps += 1;
        if played.len() > MOST_MEASURES || steps > MOST_STEPS {
            return None;
        }
        let follows = |of: usize| marks.get(of + 1).is_some_and(|next| !next.ending.is_empty());
        if to_coda && !measure.coda {
            i += 1;
            continue;
        }
        to_coda = false;
        if measure.forward && i != start {
            (start, pass) = (i, 1);
        }
        if measure.ending.is_empty() && i > 0 && !marks[i - 1].ending.is_empty() && i != start {
            // After the last ending a new section begins.
            (start, pass) = (i, 1);
        }
        // After a jump the last ending is taken at once.
        let skipped = if measure.ending.is_empty() {
            false
        } else if jumped {
            !last_ending[i]
        } else {
            !measure.ending.contains(&pass)
        };
        if skipped {
            i += 1;
            continue;
        }
        played.push(i);
        if let Some(times) = measure.backward
            && (!jumped || measure.after_jump)
        {
            let again = if measure.ending.is_empty() {
                pass < times
            } else if follows(i) {
                measure.ending.contains(&(pass + 1)) || marks[i + 1].ending.contains(&(pass + 1))
            } else {
                // One ending alone is left out the last time.
                measure.ending.contains(&1) || measure.ending.contains(&(pass + 1))
            };
            if again {
                pass += 1;
                i = start;
                continue;
            }
            (start, pass) = (i + 1, 1);
        }
        if jumped && measure.fine {
            break;
        }
        if jumped && measure.to_coda && has_coda {
            to_coda = true;
        } else if !jumped && (measure.da_capo || measure.dal_segno) {
            let sign = marks.iter().position(|m| m.segno).unwrap_or(0);
            jumped = true;
            i = if measure.dal_segno { sign } else { 0 };
            (start, pass) = (i, 1);
            continue;
        }
        i += 1;
    }
    Some(played)
}

/// Whether a measure is in the last of the endings that follow one another.
fn last_endings(marks: &[Marks]) -> Vec<bool> {
    let mut last = vec![true; marks.len()];
    for i in (1..marks.len()).rev() {
        let (this, next) = (&marks[i - 1].ending, &marks[i].ending);
        last[i - 1] = next.is_empty() || (this == next && last[i]);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measures as letters of a text: `[` and `]` around a repeated section, digits for endings, S sign, O coda, > to
    /// the coda, C da capo, D dal segno, F fine.
    fn played(measures: &[&str]) -> Vec<usize> {
        let all: Vec<Marks> = measures
            .iter()
            .map(|text| Marks {
                forward: text.contains('['),
                backward: text.contains(']').then_some(2),
                ending: text.chars().filter_map(|c| c.to_digit(10)).collect(),
                segno: text.contains('S'),
                coda: text.contains('O'),
                to_coda: text.contains('>'),
                da_capo: text.contains('C'),
                dal_segno: text.contains('D'),
                fine: text.contains('F'),
                after_jump: false,
            })
            .collect();
        order(&all).unwrap()
    }

    #[test]
    fn measures_are_played_in_the_order_a_player_takes() {
        assert_eq!(played(&["", "[", "]", ""]), [0, 1, 2, 1, 2, 3]);
        assert_eq!(played(&["", "]", "", "]"]), [0, 1, 0, 1, 2, 3, 2, 3], "a section begins where the last one ended");
        assert_eq!(played(&["[", "1]", "2", ""]), [0, 1, 0, 2, 3], "endings");
        assert_eq!(played(&["[", "12]", "3", ""]), [0, 1, 0, 1, 0, 2, 3], "an ending of two passes");
        assert_eq!(played(&["[", "1]", "2]", "3"]), [0, 1, 0, 2, 0, 3], "three endings");
        assert_eq!(played(&["[", "1]", ""]), [0, 1, 0, 2], "one ending alone");
        assert_eq!(played(&["[", "1]", "2", "", "]"]), [0, 1, 0, 2, 3, 4, 3, 4], "a section after endings");
        assert_eq!(played(&["", "F", "C"]), [0, 1, 2, 0, 1], "da capo al fine");
        assert_eq!(played(&["", "S", "F", "D"]), [0, 1, 2, 3, 1, 2], "dal segno al fine");
        assert_eq!(played(&["", "S>", "", "D", "O"]), [0, 1, 2, 3, 1, 4], "dal segno al coda");
        assert_eq!(played(&["[", "]", "C"]), [0, 1, 0, 1, 2, 0, 1, 2], "after a jump nothing is repeated");
        assert_eq!(played(&["[", "1]", "2", "C"]), [0, 1, 0, 2, 3, 0, 2, 3], "after a jump the last ending is taken");
    }

    #[test]
    fn endings_are_numbered_in_several_ways() {
        assert_eq!(
            [passes("1"), passes("1, 2"), passes("1-3"), passes("2."), passes("x")],
            [vec![1], vec![1, 2], vec![1, 2, 3], vec![2], vec![]]
        );
    }

    #[test]
    fn a_billion_repeats_are_refused() {
        let endless = Marks { backward: Some(1_000_000_000), ..Marks::default() };
        assert_eq!(order(&[endless]), None);
    }
}
