//! Seeded sheet music as text, which no code of ours has written: for readers that another program is asked about too.

use std::fmt::Write as _;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Ticks per quarter note of a MusicXML sheet.
const QUARTER: u64 = 24;
/// What fills a measure: ticks, type, dots.
const FIGURES: [(u64, &str, usize); 7] = [
    (72, "half", 1),
    (48, "half", 0),
    (36, "quarter", 1),
    (24, "quarter", 0),
    (18, "eighth", 1),
    (12, "eighth", 0),
    (6, "16th", 0),
];
/// Semitones from written to sounding and their diatonic steps: at pitch, clarinet in B flat, horn in F, saxophone in E flat.
const TRANSPOSED: [(i32, i32); 4] = [(0, 0), (-2, -1), (-7, -4), (-9, -5)];

/// A repeated section, from and to measures, and whether its last measure is a first ending.
struct Repeat {
    from: u64,
    to: u64,
    endings: bool,
}

impl Repeat {
    fn of(random: &mut Random, measures: u64) -> Option<Self> {
        if measures < 4 || random.below(2) == 0 {
            return None;
        }
        let from = random.below(measures - 3);
        Some(Self { from, to: from + 1 + random.below(2), endings: random.below(2) == 0 })
    }
}

/// A partwise MusicXML sheet: up to three parts of two voices, transposing instruments, chords, triplets, ties over
/// barlines, rests, a repeat with or without endings.
pub fn musicxml(seed: u64) -> String {
    let random = &mut Random(seed);
    let (parts, measures) = (1 + random.below(3), 3 + random.below(5));
    let (beats, unit) = [(4, 4), (3, 4), (6, 8), (2, 2)][random.below(4) as usize];
    let repeat = Repeat::of(random, measures);
    let mut out = String::from("<?xml version=\"1.0\"?>\n<score-partwise version=\"4.0\"><part-list>");
    for part in 1..=parts {
        let _ = write!(out, "<score-part id=\"P{part}\"><part-name>Part {part}</part-name></score-part>");
    }
    out.push_str("</part-list>\n");
    for part in 1..=parts {
        let (chromatic, diatonic) = TRANSPOSED[random.below(4) as usize];
        let _ = write!(out, "<part id=\"P{part}\">");
        // Voices that a tie leads on in: its pitches.
        let mut tied: [Vec<u8>; 2] = Default::default();
        for measure in 0..measures {
            let _ = write!(out, "<measure number=\"{}\">", measure + 1);
            if measure == 0 {
                let fifths = random.below(9) as i32 - 4;
                let _ = write!(
                    out,
                    "<attributes><divisions>{QUARTER}</divisions><key><fifths>{fifths}</fifths></key><time><beats>{beats}\
                     </beats><beat-type>{unit}</beat-type></time><transpose><diatonic>{diatonic}</diatonic><chromatic>\
                     {chromatic}</chromatic></transpose></attributes>"
                );
            }
            out.push_str(&left(measure, repeat.as_ref()));
            // A section that is played twice is tied to nothing.
            let at_edge =
                repeat.as_ref().is_some_and(|r| measure + 1 == r.from || (r.from..=r.to + 1).contains(&measure));
            let length = beats * QUARTER * 4 / unit;
            let voices = 1 + usize::from(random.below(3) == 0);
            for (voice, tied) in tied.iter_mut().enumerate() {
                if voice >= voices && tied.is_empty() {
                    continue;
                }
                if voice > 0 {
                    let _ = write!(out, "<backup><duration>{length}</duration></backup>");
                }
                let leads_on = !at_edge && measure + 1 < measures && random.below(3) == 0;
                fill(random, voice, length, tied, leads_on, &mut out);
            }
            out.push_str(&right(measure, repeat.as_ref()));
            out.push_str("</measure>\n");
        }
        out.push_str("</part>\n");
    }
    out + "</score-partwise>\n"
}

fn left(measure: u64, repeat: Option<&Repeat>) -> String {
    let Some(repeat) = repeat else { return String::new() };
    let mut inside = String::new();
    if repeat.endings && (measure == repeat.to || measure == repeat.to + 1) {
        let _ = write!(inside, "<ending number=\"{}\" type=\"start\"/>", 1 + measure - repeat.to);
    }
    if measure == repeat.from {
        inside.push_str("<repeat direction=\"forward\"/>");
    }
    if inside.is_empty() { inside } else { format!("<barline location=\"left\">{inside}</barline>") }
}

fn right(measure: u64, repeat: Option<&Repeat>) -> String {
    let Some(repeat) = repeat else { return String::new() };
    let mut inside = String::new();
    if repeat.endings && (measure == repeat.to || measure == repeat.to + 1) {
        let kind = if measure == repeat.to { "stop" } else { "discontinue" };
        let _ = write!(inside, "<ending number=\"{}\" type=\"{kind}\"/>", 1 + measure - repeat.to);
    }
    if measure == repeat.to {
        inside.push_str("<repeat direction=\"backward\"/>");
    }
    if inside.is_empty() { inside } else { format!("<barline location=\"right\">{inside}</barline>") }
}

/// A voice of a measure. `tied`: the pitches it begins with, and then those that the next one does.
fn fill(random: &mut Random, voice: usize, length: u64, tied: &mut Vec<u8>, leads_on: bool, out: &mut String) {
    let mut left = length;
    while left > 0 {
        let triplet = left >= QUARTER && left.is_multiple_of(QUARTER) && random.below(6) == 0;
        let fitting: Vec<_> = FIGURES.iter().copied().filter(|figure| figure.0 <= left).collect();
        let figure = fitting[random.below(fitting.len() as u64) as usize];
        let count = if triplet { 3 } else { 1 };
        for _ in 0..count {
            let (ticks, kind, dots) = if triplet { (QUARTER / 3, "eighth", 0) } else { figure };
            left -= ticks;
            let from = std::mem::take(tied);
            if from.is_empty() && random.below(6) == 0 {
                let _ = write!(out, "<note><rest/><duration>{ticks}</duration><voice>{}</voice></note>", voice + 1);
                continue;
            }
            let chord = 1 + random.below(3).saturating_sub(1) * random.below(3);
            // The second voice is below the first: music21 cannot tell their unisons apart.
            let lowest = [60, 36][voice] + random.below(12);
            let new = (0..chord).map(|i| (lowest + 4 * i) as u8).collect();
            let pitches: Vec<u8> = if from.is_empty() { new } else { from.clone() };
            let to = leads_on && left == 0;
            for (i, &pitch) in pitches.iter().enumerate() {
                out.push_str(if i > 0 { "<note><chord/>" } else { "<note>" });
                let (step, alter) = [
                    ("C", 0),
                    ("C", 1),
                    ("D", 0),
                    ("E", -1),
                    ("E", 0),
                    ("F", 0),
                    ("F", 1),
                    ("G", 0),
                    ("A", -1),
                    ("A", 0),
                    ("B", -1),
                    ("B", 0),
                ][usize::from(pitch % 12)];
                let octave = pitch / 12 - 1;
                let _ =
                    write!(out, "<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>");
                let _ = write!(out, "<duration>{ticks}</duration>");
                out.push_str(if from.is_empty() { "" } else { "<tie type=\"stop\"/>" });
                out.push_str(if to { "<tie type=\"start\"/>" } else { "" });
                let _ = write!(out, "<voice>{}</voice><type>{kind}</type>{}", voice + 1, "<dot/>".repeat(dots));
                if triplet {
                    out.push_str(
                        "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>",
                    );
                }
                out.push_str("</note>");
            }
            if to {
                tied.clone_from(&pitches);
            }
        }
    }
}

/// An ABC tune of one voice: a key and its accidentals, which last for the measure, lengths, chords, rests, ties, triplets,
/// broken rhythms, a repeat with or without endings.
pub fn abc(seed: u64) -> String {
    let random = &mut Random(seed);
    let measures = 4 + random.below(5);
    let key = ["C", "G", "D", "A", "F", "Bb", "Eb", "Am", "Em", "Dm", "Gm", "Ddor", "Gmix"][random.below(13) as usize];
    let (meter, eighths) = [("4/4", 8), ("3/4", 6), ("6/8", 6), ("2/4", 4)][random.below(4) as usize];
    let repeat = Repeat::of(random, measures);
    let mut out = format!("X:1\nT:Seed {seed}\nM:{meter}\nL:1/8\nK:{key}\n");
    for measure in 0..measures {
        if repeat.as_ref().is_some_and(|repeat| repeat.endings && measure == repeat.to) {
            out.push_str("[1 ");
        }
        let (mut left, begins) = (eighths, out.len());
        while left > 0 {
            // In chords music21 forgets the accidentals of the measure before them.
            let altered = out[begins..].contains(['^', '_', '=']);
            match random.below(8) {
                0 if left >= 2 => {
                    let _ = write!(out, "(3{}{}{} ", pitch(random), pitch(random), pitch(random));
                    left -= 2;
                }
                1 if left >= 2 => {
                    let _ = write!(out, "{}{}{} ", pitch(random), [">", "<"][random.below(2) as usize], pitch(random));
                    left -= 2;
                }
                2 if !altered => {
                    let length = 1 + random.below(left.min(3));
                    let (low, high) = ([["C", "E", "G"], ["D", "F", "A"]][random.below(2) as usize], random.below(2));
                    let _ = write!(out, "[{}{}{}]{length} ", low[0], low[1], if high > 0 { low[2] } else { "" });
                    left -= length;
                }
                3 => {
                    let length = 1 + random.below(left.min(2));
                    let _ = write!(out, "z{length} ");
                    left -= length;
                }
                4 if left >= 2 => {
                    let pitch = pitch(random);
                    // Halves of an eighth, and a tie.
                    let _ = write!(out, "{pitch}/-{}3/2 ", pitch.trim_start_matches(['^', '_', '=']));
                    left -= 2;
                }
                _ => {
                    let length = 1 + random.below(left.min(4));
                    let _ = write!(out, "{}{length} ", pitch(random));
                    left -= length;
                }
            }
        }
        match &repeat {
            Some(repeat) if measure == repeat.to => out.push_str(if repeat.endings { ":|[2 " } else { ":|" }),
            Some(repeat) if measure + 1 == repeat.from => out.push_str("|:"),
            _ => out.push('|'),
        }
        if measure % 4 == 3 {
            out.push('\n');
        }
    }
    out + "]\n"
}

fn pitch(random: &mut Random) -> String {
    let accidental = ["^", "_", "="].get(random.below(12) as usize).copied().unwrap_or_default();
    let letter = b"CDEFGAB"[random.below(7) as usize] as char;
    match random.below(4) {
        0 => format!("{accidental}{letter},"),
        1 => format!("{accidental}{letter}"),
        2 => format!("{accidental}{}", letter.to_ascii_lowercase()),
        _ => format!("{accidental}{}'", letter.to_ascii_lowercase()),
    }
}
