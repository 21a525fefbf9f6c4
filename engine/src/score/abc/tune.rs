//! The music of a tune: from letters to measures, voice by voice.

use super::TICKS;
use super::fields::{self, KeyField, step};
use crate::score::order::{MOST_MEASURES, Marks, passes};

/// Ticks of one note or rest: a hundred whole notes.
const LONGEST: i64 = 400 * TICKS;
/// Measures that one rest may last.
const MOST_RESTS: u32 = 1000;

/// A note of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbcNote {
    /// Ticks from the start of its measure; below 0 for grace notes of its first note.
    pub onset: i64,
    /// Ticks.
    pub length: i64,
    /// MIDI pitch.
    pub pitch: u8,
    /// Whether it goes on in the next note of its pitch.
    pub tied: bool,
}

/// A measure of one voice.
#[derive(Debug, Clone, Default)]
pub struct AbcMeasure {
    /// Its notes.
    pub notes: Vec<AbcNote>,
    /// How long it is, ticks.
    pub length: i64,
    /// Repeats and endings.
    pub marks: Marks,
    /// Meter in force.
    pub meter: Option<(u32, u32)>,
    /// Key in force at its end.
    pub key: Option<(i8, bool)>,
    /// Tempo changes: ticks and quarter notes a minute.
    pub tempi: Vec<(i64, f64)>,
}

/// What fields say, for the tune and then for each voice.
#[derive(Debug, Clone)]
pub struct State {
    pub key: KeyField,
    pub meter: Option<(u32, u32)>,
    /// Unit of lengths, ticks.
    pub unit: i64,
    /// Semitones that everything sounds higher.
    pub transposition: i32,
    /// The tempo given before the music.
    pub tempo: Option<f64>,
}

/// A voice while it is read.
#[derive(Debug, Clone)]
pub struct Voice {
    pub id: String,
    pub name: String,
    pub program: u8,
    pub drums: bool,
    pub state: State,
    pub measures: Vec<AbcMeasure>,
    measure: AbcMeasure,
    cursor: i64,
    /// Where in the measure the last note or chord is: its first note's index, onset and length.
    last: Option<(usize, i64, i64)>,
    /// Accidentals of this measure by step.
    accidentals: [Option<i32>; 7],
    /// Accidentals that a tie carries over the barline: step, octave, semitones.
    carried: Vec<(usize, i32, i32)>,
    tied_names: Vec<(usize, i32, i32)>,
    /// What broken rhythm does to the next note.
    next_scale: (i64, i64),
    /// Tuplet: q, p, and notes left in it.
    tuplet: (i64, i64, u32),
    ending: Vec<u32>,
    forward: bool,
    /// Grace notes that wait for the note they lead to, and the length of the note before it.
    graces: Vec<(usize, i32, i32)>,
    before: i64,
    /// Where its parts begin (P:), by measure.
    pub parts: Vec<(char, usize)>,
}

impl Voice {
    /// A voice that begins with the tune's fields.
    pub fn new(id: &str, state: &State) -> Self {
        let mut measure = AbcMeasure::default();
        measure.tempi.extend(state.tempo.map(|tempo| (0, tempo)));
        Self {
            id: id.to_owned(),
            name: String::new(),
            program: 0,
            drums: false,
            state: state.clone(),
            measures: Vec::new(),
            measure,
            cursor: 0,
            last: None,
            accidentals: [None; 7],
            carried: Vec::new(),
            tied_names: Vec::new(),
            next_scale: (1, 1),
            tuplet: (1, 1, 0),
            ending: Vec::new(),
            forward: false,
            graces: Vec::new(),
            before: 0,
            parts: Vec::new(),
        }
    }

    /// A field inside the music or between its lines.
    pub fn field(&mut self, kind: char, text: &str) {
        match kind {
            'K' => {
                if let Some(key) = fields::key(text) {
                    self.state.key = key;
                }
                if let Some(transposition) = transposition(text) {
                    self.state.transposition = transposition;
                }
            }
            'M' => self.state.meter = fields::meter(text),
            'L' => self.state.unit = fields::length(text).unwrap_or(self.state.unit),
            'Q' => {
                let tempo = fields::tempo(text, self.state.unit);
                self.measure.tempi.extend(tempo.map(|tempo| (self.cursor, tempo)));
            }
            // A part begins with a measure, whether a barline is before it or not.
            'P' if self.parts.len() < MOST_MEASURES => {
                self.bar();
                let measure = self.measures.len();
                self.parts.extend(text.chars().find(char::is_ascii_alphabetic).map(|name| (name, measure)));
            }
            _ => {}
        }
    }

    /// Reads a line of music; gives the voice and the fields that it changes to in the middle.
    pub fn line(&mut self, line: &str) -> Result<(), String> {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '"' => after.split_once('"').map_or("", |(_, after)| after),
                '!' | '+' => decoration(after, c),
                '{' => {
                    let (graces, after) = after.split_once('}').unwrap_or((after, ""));
                    self.grace(graces);
                    after
                }
                '(' => self.tuplet(after),
                '[' if after.starts_with(|c: char| c.is_ascii_alphabetic()) && after[1..].starts_with(':') => {
                    let (field, after) = after.split_once(']').unwrap_or((after, ""));
                    self.field(field.chars().next().unwrap_or(' '), &field[2..]);
                    after
                }
                '[' if after.starts_with(|c: char| c.is_ascii_digit()) => self.begin_ending(after),
                '[' if after.starts_with('|') => rest_of_bar(self, rest),
                '[' => self.chord(after)?,
                '|' | ':' => rest_of_bar(self, rest),
                '&' => {
                    self.measure.length = self.measure.length.max(self.cursor);
                    (self.cursor, self.last) = (0, None);
                    after
                }
                '>' | '<' => self.broken(rest),
                '-' => {
                    self.tie();
                    after
                }
                'z' | 'x' => {
                    let (length, after) = self.length(after);
                    self.place(&[], length)?;
                    after
                }
                'Z' | 'X' => self.long_rest(after)?,
                '^' | '_' | '=' | 'A'..='G' | 'a'..='g' => match self.note(rest) {
                    Some((name, after)) => {
                        let (length, after) = self.length(after);
                        self.place(&[name], length)?;
                        after
                    }
                    None => after,
                },
                // Decorations, slurs, blanks, spacers: nothing to be heard.
                _ => after,
            };
        }
        Ok(())
    }

    /// The tune ends.
    pub fn close(&mut self) {
        self.lead();
        self.bar();
    }

    /// The grace notes between two braces; their lengths say nothing of when they sound.
    fn grace(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if ("^_=".contains(c) || step(c).is_some())
                && let Some((name, after)) = self.note(&text[text.len() - rest.len() - c.len_utf8()..])
            {
                self.graces.push(name);
                rest = after;
            }
        }
    }

    /// Grace notes sound just before what they lead to, which is here: a 32nd each, and no more than half of the note before.
    fn lead(&mut self) {
        let count = self.graces.len() as i64;
        let room = if self.before > 0 { self.before / 2 } else { i64::MAX };
        let each = (TICKS / 8).min(room / count.max(1)).max(1);
        for (place, name) in (0..).zip(std::mem::take(&mut self.graces)) {
            let onset = self.cursor - each * (count - place);
            let pitch = self.pitch(name);
            self.measure.notes.extend(pitch.map(|pitch| AbcNote { onset, length: each, pitch, tied: false }));
        }
    }

    /// MIDI pitch of a step, an octave and semitones, if it has one.
    fn pitch(&self, (step, octave, alter): (usize, i32, i32)) -> Option<u8> {
        let natural = [0, 2, 4, 5, 7, 9, 11][step];
        let pitch = 12 * (octave + 1) + natural + alter + self.state.transposition;
        u8::try_from(pitch).ok().filter(|pitch| *pitch < 128)
    }

    /// A pitch name: step, octave and semitones.
    fn note<'a>(&mut self, text: &'a str) -> Option<((usize, i32, i32), &'a str)> {
        let body = text.trim_start_matches(['^', '_', '=']);
        let signs = &text[..text.len() - body.len()];
        let letter = body.chars().next()?;
        let step = step(letter)?;
        let mut octave = if letter.is_ascii_lowercase() { 5 } else { 4 };
        let after = body[1..].trim_start_matches([',', '\'']);
        let marks = &body[1..body.len() - after.len()];
        octave += marks.chars().map(|mark| if mark == '\'' { 1 } else { -1 }).sum::<i32>().clamp(-20, 20);
        let alter = if signs.is_empty() {
            let carried = self.carried.iter().find(|(s, o, _)| (*s, *o) == (step, octave)).map(|(.., alter)| *alter);
            carried.or(self.accidentals[step]).unwrap_or(self.state.key.alters[step])
        } else {
            let alter =
                signs.chars().map(|sign| i32::from(sign == '^') - i32::from(sign == '_')).sum::<i32>().clamp(-2, 2);
            self.accidentals[step] = Some(alter);
            alter
        };
        Some(((step, octave, alter), after))
    }

    /// A length after a note, in ticks: "3/2", "/", "//", or the unit.
    fn length<'a>(&self, text: &'a str) -> (i64, &'a str) {
        let (numerator, rest) = digits(text);
        let slashes = rest.len() - rest.trim_start_matches('/').len();
        let (denominator, after) = digits(&rest[slashes..]);
        let (denominator, after) = match (slashes, denominator) {
            (0, _) => (1, rest),
            (1, Some(denominator)) => (denominator.max(1), after),
            _ => (1 << slashes.min(20), after),
        };
        let ticks = self.state.unit.saturating_mul(numerator.unwrap_or(1)) / denominator;
        // What is too long is told where it is placed.
        (ticks.min(LONGEST + 1), after)
    }

    /// Puts notes of these names here, or a rest without any.
    fn place(&mut self, names: &[(usize, i32, i32)], length: i64) -> Result<(), String> {
        if length > LONGEST {
            return Err("a note is longer than a hundred measures".into());
        }
        let mut length = length * self.next_scale.0 / self.next_scale.1;
        self.next_scale = (1, 1);
        if self.tuplet.2 > 0 {
            length = length * self.tuplet.0 / self.tuplet.1;
            self.tuplet.2 -= 1;
        }
        self.lead();
        self.before = length;
        self.last = Some((self.measure.notes.len(), self.cursor, length));
        self.carried.clear();
        for &name in names {
            let note = |pitch| AbcNote { onset: self.cursor, length: length.max(1), pitch, tied: false };
            let note = self.pitch(name).map(note);
            self.measure.notes.extend(note);
        }
        self.tied_names = names.to_vec();
        self.cursor += length;
        Ok(())
    }

    /// The notes of a chord, up to its bracket; its length is its first note's times the one after it.
    fn chord<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let (inside, after) = text.split_once(']').ok_or("a chord has no end")?;
        let mut names = Vec::new();
        let mut first = None;
        let mut ties = Vec::new();
        let mut rest = inside;
        while let Some(c) = rest.chars().next() {
            match self.note(rest).filter(|_| "^_=".contains(c) || step(c).is_some()) {
                Some((name, after)) => {
                    let (length, after) = self.length(after);
                    first.get_or_insert(length);
                    names.push(name);
                    ties.push(after.starts_with('-'));
                    rest = after;
                }
                None => rest = &rest[c.len_utf8()..],
            }
        }
        let (outer, after) = self.length(after);
        let length = (first.unwrap_or(self.state.unit) as i128 * outer as i128 / self.state.unit.max(1) as i128)
            .min(LONGEST as i128 + 1) as i64;
        let from = self.measure.notes.len();
        self.place(&names, length)?;
        if self.measure.notes.len() - from == ties.len() {
            for (note, tied) in self.measure.notes[from..].iter_mut().zip(&ties) {
                note.tied = *tied;
            }
        }
        if ties.contains(&true) {
            self.carried.clone_from(&names);
        }
        Ok(after)
    }

    /// The last note or chord goes on in the next, with its accidentals.
    fn tie(&mut self) {
        if let Some((first, ..)) = self.last {
            self.measure.notes[first..].iter_mut().for_each(|note| note.tied = true);
            self.carried.clone_from(&self.tied_names);
        }
    }

    /// Broken rhythm: the last note takes from the next, or gives to it.
    fn broken<'a>(&mut self, text: &'a str) -> &'a str {
        let sign = if text.starts_with('>') { '>' } else { '<' };
        let after = text.trim_start_matches(sign);
        let parts = 1i64 << (text.len() - after.len()).min(8);
        let (long, short) = ((2 * parts - 1, parts), (1, parts));
        let (this, next) = if sign == '>' { (long, short) } else { (short, long) };
        if let Some((first, onset, length)) = self.last {
            let length = length * this.0 / this.1;
            self.measure.notes[first..].iter_mut().for_each(|note| note.length = length.max(1));
            self.cursor = onset + length;
            self.last = Some((first, onset, length));
            self.next_scale = next;
        }
        after
    }

    /// A tuplet "(p:q:r", or a slur.
    fn tuplet<'a>(&mut self, text: &'a str) -> &'a str {
        let (Some(p), mut rest) = digits(text) else { return text };
        let mut given = [None, None];
        for slot in &mut given {
            let Some(after) = rest.strip_prefix(':') else { break };
            (*slot, rest) = digits(after);
        }
        let compound = self.state.meter.is_some_and(|(n, _)| n % 3 == 0 && n > 3);
        let usual = match p {
            2 | 4 | 8 => 3,
            3 | 6 => 2,
            _ if compound => 3,
            _ => 2,
        };
        if (2..=99).contains(&p) {
            let q = given[0].unwrap_or(usual).clamp(1, 99);
            self.tuplet = (q, p, given[1].unwrap_or(p).clamp(1, 999) as u32);
        }
        rest
    }

    fn long_rest<'a>(&mut self, text: &'a str) -> Result<&'a str, String> {
        let (count, after) = digits(text);
        let count = u32::try_from(count.unwrap_or(1)).unwrap_or(u32::MAX);
        if count > MOST_RESTS {
            return Err(format!("a rest lasts {count} measures"));
        }
        let (n, d) = self.state.meter.unwrap_or((4, 4));
        for i in 0..count {
            self.cursor += 4 * TICKS * i64::from(n) / i64::from(d);
            if i + 1 < count {
                self.bar();
            }
        }
        Ok(after)
    }

    fn begin_ending<'a>(&mut self, text: &'a str) -> &'a str {
        let after = text.trim_start_matches(|c: char| c.is_ascii_digit() || ",-".contains(c));
        self.ending = passes(&text[..text.len() - after.len()]);
        after
    }

    /// Ends the measure, if it has begun.
    fn bar(&mut self) {
        self.accidentals = [None; 7];
        self.last = None;
        let length = self.measure.length.max(self.cursor);
        self.cursor = 0;
        if length == 0 || self.measures.len() > MOST_MEASURES {
            return;
        }
        let mut measure = std::mem::take(&mut self.measure);
        measure.length = length;
        measure.marks.forward = std::mem::take(&mut self.forward);
        measure.marks.ending.clone_from(&self.ending);
        measure.meter = self.state.meter;
        measure.key = Some((self.state.key.fifths, self.state.key.minor));
        self.measures.push(measure);
    }
}

/// A barline of any form: `|`, `||`, `|]`, `|:`, `:|2`, `::`, `[|`.
fn rest_of_bar<'a>(voice: &mut Voice, text: &'a str) -> &'a str {
    let after = text.trim_start_matches(['|', ':', '[', ']']);
    let mut sign = &text[..text.len() - after.len()];
    // A bracket at the end begins an ending, a chord or a field, unless it is of the barline itself.
    if sign.ends_with('[') && sign.len() > 1 {
        sign = &sign[..sign.len() - 1];
    }
    let after = &text[sign.len()..];
    if !sign.contains('|') && sign.len() < 2 {
        // A colon alone.
        return after;
    }
    voice.bar();
    let ends = sign.starts_with(':');
    let begins = sign.ends_with(':');
    if ends && let Some(last) = voice.measures.last_mut() {
        last.marks.backward = Some(sign.chars().take_while(|c| *c == ':').count() as u32 + 1);
        if sign.chars().all(|c| c == ':') {
            last.marks.backward = Some(2);
        }
    }
    if ends || begins || sign.contains("||") || sign.contains(']') || sign.contains("[|") {
        voice.ending.clear();
    }
    voice.forward |= begins;
    match after.chars().next() {
        Some(c) if c.is_ascii_digit() => voice.begin_ending(after),
        _ => after,
    }
}

/// What follows a decoration as `!trill!`; a mark without its other half only breaks the line, as in old files.
fn decoration(text: &str, mark: char) -> &str {
    let name = |c: char| c.is_ascii_alphanumeric() || "().<>".contains(c);
    let after = text.trim_start_matches(name);
    after.strip_prefix(mark).unwrap_or(text)
}

/// A number at the start of a text, at most nine digits of it, and what follows.
fn digits(text: &str) -> (Option<i64>, &str) {
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &text[..text.len() - after.len()];
    (number.get(..number.len().min(9)).and_then(|number| number.parse().ok()), after)
}

/// Semitones of "transpose=-2 octave=1" in a key or voice field.
pub fn transposition(text: &str) -> Option<i32> {
    let value = |name: &str| {
        text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse::<i32>().ok())
    };
    let (semitones, octaves) = (value("transpose"), value("octave"));
    (semitones.is_some() || octaves.is_some())
        .then(|| semitones.unwrap_or(0).clamp(-127, 127) + 12 * octaves.unwrap_or(0).clamp(-10, 10))
}
