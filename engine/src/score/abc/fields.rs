//! The fields of a tune: key, meter, unit length, tempo.

use super::TICKS;
use crate::score::spelling::STEPS;

/// A key: its signature and what it does to each step from C to B, semitones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyField {
    /// Sharps, or flats below 0.
    pub fifths: i8,
    /// Whether it is minor.
    pub minor: bool,
    /// Semitones of each step; more than the signature says where the field adds accidentals.
    pub alters: [i32; 7],
}

/// Fifths that a mode lies from the major key on its tonic.
const MODES: [(&str, i32); 8] =
    [("maj", 0), ("ion", 0), ("mix", -1), ("dor", -2), ("aeo", -3), ("min", -3), ("phr", -4), ("loc", -5)];

/// What a key signature does to a step, semitones.
pub fn signature(step: usize, fifths: i8) -> i32 {
    // Place of the step on the line of fifths: F -1, C 0, G 1, D 2, A 3, E 4, B 5.
    let place = [0, 2, 4, -1, 1, 3, 5][step % 7];
    (i32::from(fifths) + 5 - place).div_euclid(7)
}

/// The step of a letter, from C.
pub fn step(letter: char) -> Option<usize> {
    STEPS.iter().position(|step| *step == letter.to_ascii_uppercase())
}

/// The key of "Gm", "D dorian", "A exp ^c", "none"; nothing where the field only names a clef.
pub fn key(text: &str) -> Option<KeyField> {
    let text = text.trim();
    let signed = |fifths: i32, minor: bool| {
        let fifths = fifths.clamp(-7, 7) as i8;
        KeyField { fifths, minor, alters: std::array::from_fn(|step| signature(step, fifths)) }
    };
    let mut letters = text.chars();
    let tonic = letters.next()?;
    let rest = letters.as_str();
    if text.starts_with("none") || text.starts_with("perc") {
        return Some(signed(0, false));
    }
    if tonic == 'H' {
        // Highland pipes: two sharps, written or not.
        return Some(signed(2, false));
    }
    let tonic = tonic.is_ascii_uppercase().then(|| step(tonic)).flatten()?;
    let (sign, rest) = match rest.chars().next() {
        Some('#') => (7, &rest[1..]),
        Some('b') => (-7, &rest[1..]),
        _ => (0, rest),
    };
    let mut words = rest.split_whitespace().peekable();
    let mode = words.peek().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let known = MODES.iter().find(|(name, _)| mode.starts_with(name)).map(|(name, fifths)| (*name, *fifths));
    let lydian = mode.starts_with("lyd").then_some(("lyd", 1));
    let (name, away) = known.or(lydian).unwrap_or(if mode == "m" { ("min", -3) } else { ("maj", 0) });
    let mut key = signed([0, 2, 4, -1, 1, 3, 5][tonic] + sign + away, ["min", "aeo"].contains(&name));
    if words.clone().any(|word| word == "exp") {
        key.alters = [0; 7];
    }
    for word in words {
        let alter = word.chars().take_while(|c| "^=_".contains(*c));
        let alter = alter.map(|c| {
            if c == '^' {
                1
            } else if c == '_' {
                -1
            } else {
                0
            }
        });
        let (count, sum) = alter.fold((0, 0), |(count, sum), one| (count + 1, sum + one));
        if let (true, Some(step)) = (count > 0, word.chars().nth(count).and_then(step)) {
            key.alters[step] = sum;
        }
    }
    Some(key)
}

/// Numerator and denominator of a meter: "3/4", "C", "2+3/8"; nothing for "none".
pub fn meter(text: &str) -> Option<(u32, u32)> {
    match text.trim() {
        "C" => Some((4, 4)),
        "C|" => Some((2, 2)),
        text => {
            let (numerator, denominator) = text.split_once('/')?;
            let numerator = numerator.trim_matches(['(', ')', ' ']);
            let sum = numerator.split('+').map(|n| n.trim().parse::<u32>().ok()).sum::<Option<u32>>()?;
            let denominator = denominator.trim().parse().ok()?;
            ((1..=1000).contains(&sum) && (1..=256).contains(&denominator)).then_some((sum, denominator))
        }
    }
}

/// Ticks of a length as "1/8".
pub fn length(text: &str) -> Option<i64> {
    let (numerator, denominator) = text.trim().split_once('/').unwrap_or((text.trim(), "1"));
    let (n, d): (i64, i64) = (numerator.trim().parse().ok()?, denominator.trim().parse().ok()?);
    ((1..=1000).contains(&n) && (1..=1024).contains(&d)).then(|| 4 * TICKS * n / d)
}

/// The unit of lengths that a meter implies: a sixteenth below 3/4, else an eighth.
pub fn implied_length(meter: Option<(u32, u32)>) -> i64 {
    let small = meter.is_some_and(|(n, d)| 4 * n < 3 * d);
    if small { TICKS / 4 } else { TICKS / 2 }
}

/// Quarter notes a minute of "1/4=120", "3/8=60 \"slow\"", or the old "120" that counts units of `unit` ticks.
pub fn tempo(text: &str, unit: i64) -> Option<f64> {
    // Words between quotes are for people.
    let said: String = text.split('"').step_by(2).collect();
    let (beats, count) = said.split_once('=').unwrap_or(("", said.as_str()));
    let ticks: i64 = beats.split_whitespace().filter_map(length).sum();
    let ticks = if ticks == 0 { unit } else { ticks };
    let count: f64 = count.split_whitespace().next()?.parse().ok()?;
    let tempo = count * ticks as f64 / TICKS as f64;
    (tempo.is_finite() && (1.0..=10_000.0).contains(&tempo)).then_some(tempo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_tonics_with_modes() {
        let fifths = |text: &str| key(text).map(|key| key.fifths);
        for (text, expected) in
            [("C", 0), ("G", 1), ("Bb", -2), ("F#m", 3), ("Gm", -2), ("Ddor", 0), ("D Mixolydian", 1), ("E phr", 0)]
        {
            assert_eq!(fifths(text), Some(expected), "{text}");
        }
        assert_eq!((fifths("HP"), fifths("clef=bass"), fifths("F lydian")), (Some(2), None, Some(0)));
        assert_eq!(key("D exp ^c _b").unwrap().alters, [1, 0, 0, 0, 0, 0, -1]);
        assert_eq!(key("A =g").unwrap().alters, [1, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn signatures_raise_and_lower_steps() {
        // D major: F and C sharp; E flat major: B, E and A flat.
        let of = |fifths| (0..7).map(|step| signature(step, fifths)).collect::<Vec<_>>();
        assert_eq!(of(2), [1, 0, 0, 1, 0, 0, 0]);
        assert_eq!(of(-3), [0, 0, -1, 0, 0, -1, -1]);
        assert_eq!([of(7), of(-7), of(0)], [vec![1; 7], vec![-1; 7], vec![0; 7]]);
    }

    #[test]
    fn meters_lengths_and_tempi_are_numbers() {
        assert_eq!(
            [meter("6/8"), meter("C|"), meter("2+3/8"), meter("none")],
            [Some((6, 8)), Some((2, 2)), Some((5, 8)), None]
        );
        assert_eq!((length("1/8"), implied_length(Some((2, 4)))), (Some(TICKS / 2), TICKS / 4));
        assert_eq!(tempo("\"Fast\" 3/8=60", TICKS), Some(90.0));
        assert_eq!(tempo("120", TICKS / 2), Some(60.0));
    }
}
