//! Reading ABC files: the first tune, its voices played in the order of its repeats.

use std::collections::BTreeMap;
use std::path::Path;

use super::TICKS;
use super::fields;
use super::parts;
use super::tune::{AbcMeasure, State, Voice, transposition};
use crate::score::limits::{self, MOST_BEATS, Played};
use crate::score::order::{self, MOST_MEASURES, Marks};
use crate::score::{Format, Key, Meter, Score, ScoreError, Tempo, TickNote, Track};

/// Bytes of a file: two million measures, which take 500 MB while they are read.
const MOST_BYTES: u64 = 4 << 20;
/// Velocity of every note: ABC has none.
const VELOCITY: u8 = 64;
/// Measures of all voices as they are written; five bytes are a thousand of them, and each takes up to 500.
const MOST_WRITTEN: usize = 500_000;
/// Voices of a tune.
const MOST_VOICES: usize = 256;
/// General MIDI's percussion channel, 1-based as in ABC.
const DRUMS: &str = "10";

/// Reads an ABC file.
pub fn read(path: &Path) -> Result<Score, ScoreError> {
    read_bytes(&limits::load(path, MOST_BYTES)?, path)
}

/// Reads the bytes of an ABC file; `path` only names it in errors.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Score, ScoreError> {
    if bytes.is_empty() {
        return Err(ScoreError::Empty { path: path.into() });
    }
    let malformed = |reason: String| ScoreError::malformed(path, Format::Abc, reason);
    // Old files are in Latin-1, whose bytes are their own code points.
    let text = String::from_utf8(bytes.into()).unwrap_or_else(|_| bytes.iter().map(|&b| char::from(b)).collect());
    let mut tune = Tune::default();
    for line in text.lines() {
        if !tune.line(line).map_err(malformed)? {
            break;
        }
    }
    let Some(mut voices) = tune.voices else {
        return Err(malformed("it has no key (K:), where the music begins".into()));
    };
    voices.iter_mut().for_each(Voice::close);
    let mut score = Score { title: limits::name(&tune.title), resolution: TICKS as u32, ..Score::default() };
    if tune.further {
        score.notices.push("Only the first tune of the file was read.".into());
    }
    play(&voices, tune.parts.as_deref(), &mut score).map_err(|reason| ScoreError::too_large(path, reason))?;
    limits::checked(score.reduced(), path)
}

/// A tune while its lines are read.
#[derive(Default)]
struct Tune {
    title: String,
    meter: Option<(u32, u32)>,
    unit: Option<i64>,
    tempo: Option<String>,
    /// Whether a number (X:) began it.
    begun: bool,
    /// Its voices; nothing before the key ends the header.
    voices: Option<Vec<Voice>>,
    current: usize,
    /// Voice fields of the header.
    declared: Vec<String>,
    directives: Vec<String>,
    further: bool,
    /// The order of its parts, from the header.
    parts: Option<String>,
}

impl Tune {
    /// Reads a line; gives whether the tune goes on.
    fn line(&mut self, line: &str) -> Result<bool, String> {
        let line = line.trim_end();
        if let Some(directive) = line.strip_prefix("%%") {
            self.directive(directive);
            return Ok(true);
        }
        let line = line.split('%').next().unwrap_or_default().trim_end();
        let mut letters = line.chars();
        if let (Some(kind @ 'A'..='Z' | kind @ ('w' | 's' | 'm' | 'r' | '+')), Some(':')) =
            (letters.next(), letters.next())
        {
            let text = line[2..].trim();
            // `A:|` is music.
            if !text.starts_with(['|', ':']) {
                return self.field(kind, text);
            }
        }
        if let Some(voices) = &mut self.voices {
            Self::music(voices, &mut self.current, line)?;
        }
        Ok(true)
    }

    fn field(&mut self, kind: char, text: &str) -> Result<bool, String> {
        match (kind, &mut self.voices) {
            ('X', _) if self.begun => {
                self.further = true;
                return Ok(false);
            }
            ('X', _) => self.begun = true,
            ('P', None) => self.parts = Some(text.to_owned()),
            ('T', None) if self.title.is_empty() => text.clone_into(&mut self.title),
            ('M', None) => self.meter = fields::meter(text),
            ('L', None) => self.unit = fields::length(text),
            ('Q', None) => self.tempo = Some(text.to_owned()),
            ('V', None) => self.declared.push(text.to_owned()),
            ('K', None) => self.begin(text)?,
            ('V', Some(voices)) => self.current = voice(voices, text)?,
            ('M' | 'L' | 'K' | 'Q' | 'P', Some(voices)) => voices[self.current].field(kind, text),
            _ => {}
        }
        Ok(true)
    }

    /// The key ends the header.
    fn begin(&mut self, key: &str) -> Result<(), String> {
        let unit = self.unit.unwrap_or_else(|| fields::implied_length(self.meter));
        let plain = fields::key("none").ok_or("no key")?;
        let state = State {
            key: fields::key(key).unwrap_or(plain),
            meter: self.meter,
            unit,
            transposition: transposition(key).unwrap_or(0),
            tempo: self.tempo.as_deref().and_then(|tempo| fields::tempo(tempo, unit)),
        };
        let mut voices = vec![Voice::new("", &state)];
        for text in std::mem::take(&mut self.declared) {
            voice(&mut voices, &text)?;
        }
        self.voices = Some(voices);
        for text in std::mem::take(&mut self.directives) {
            self.directive(&text);
        }
        Ok(())
    }

    /// "%%MIDI program 40" and "%%MIDI channel 10" of the voice they follow.
    fn directive(&mut self, text: &str) {
        let Some(voices) = &mut self.voices else {
            if self.directives.len() < MOST_VOICES {
                self.directives.push(text.to_owned());
            }
            return;
        };
        let voice = &mut voices[self.current];
        let words: Vec<&str> = text.split_whitespace().take(5).collect();
        match words.as_slice() {
            ["MIDI", "program", .., program] => {
                voice.program = program.parse().ok().filter(|program| *program < 128).unwrap_or(0);
            }
            ["MIDI", "channel", channel] => voice.drums = *channel == DRUMS,
            _ => {}
        }
    }

    /// A line of music, in which `[V:2]` goes to another voice.
    fn music(voices: &mut Vec<Voice>, current: &mut usize, line: &str) -> Result<(), String> {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("[V:") {
            voices[*current].line(before)?;
            let (text, after) = after.split_once(']').unwrap_or((after, ""));
            *current = voice(voices, text)?;
            rest = after;
            few(voices)?;
        }
        voices[*current].line(rest)?;
        few(voices)
    }
}

/// That all voices together have not too many measures.
fn few(voices: &[Voice]) -> Result<(), String> {
    let written: usize = voices.iter().map(|voice| voice.measures.len()).sum();
    if written > MOST_WRITTEN {
        return Err(format!("its voices have more than {MOST_WRITTEN} measures"));
    }
    Ok(())
}

/// The index of the voice that a field names, a new one if need be.
fn voice(voices: &mut Vec<Voice>, text: &str) -> Result<usize, String> {
    let id = text.split_whitespace().next().unwrap_or_default();
    let known = voices.iter().position(|voice| voice.id == id);
    let unnamed = (voices.len() == 1 && voices[0].id.is_empty() && voices[0].measures.is_empty()).then_some(0);
    let index = match known.or(unnamed) {
        Some(index) => index,
        None if voices.len() < MOST_VOICES => {
            let mut state = voices[0].state.clone();
            // The tempo is the tune's, and its first voice has it.
            state.tempo = None;
            voices.push(Voice::new(id, &state));
            voices.len() - 1
        }
        None => return Err(format!("it has more than {MOST_VOICES} voices")),
    };
    let voice = &mut voices[index];
    id.clone_into(&mut voice.id);
    for name in ["name=\"", "nm=\""] {
        if let Some((name, _)) = text.split_once(name).and_then(|(_, rest)| rest.split_once('"')) {
            voice.name = limits::name(name);
        }
    }
    if let Some(semitones) = transposition(text) {
        voice.state.transposition = semitones;
    }
    Ok(index)
}

/// Plays the measures in their order. All voices are together at every barline.
fn play(voices: &[Voice], parts: Option<&str>, score: &mut Score) -> Result<(), String> {
    let count = voices.iter().map(|voice| voice.measures.len()).max().unwrap_or(0);
    let measures = |i: usize| voices.iter().filter_map(move |voice| voice.measures.get(i));
    if count > MOST_MEASURES {
        return Err(format!("it has more than {MOST_MEASURES} measures"));
    }
    let mut marks = vec![Marks::default(); count];
    for (i, mark) in marks.iter_mut().enumerate() {
        measures(i).for_each(|measure| mark.merge(measure.marks.clone()));
    }
    let begins = voices.iter().map(|voice| &voice.parts).find(|parts| !parts.is_empty());
    let named = parts.map(|written| parts::order(written, begins.map_or(&[], Vec::as_slice), &marks));
    if named == Some(Err(parts::Unclear::Unknown)) {
        score.notices.push("The order of its parts (P:) names one that it does not have, and was not followed.".into());
    }
    let order = match named {
        Some(Ok(order)) => Some(order),
        Some(Err(parts::Unclear::TooLong)) => None,
        Some(Err(parts::Unclear::Unknown)) | None => order::order(&marks),
    };
    let order = order.ok_or_else(|| format!("with its repeats it has more than {MOST_MEASURES} measures"))?;
    let mut players: Vec<Player> = voices.iter().map(|_| Player::default()).collect();
    let mut at = 0i64;
    let mut signs = Signs::default();
    let mut played = Played::default();
    for i in order {
        measures(i).try_for_each(|measure| played.count(measure.notes.len(), measure.tempi.len()))?;
        let length = measures(i).map(|measure| measure.length).max().unwrap_or(0);
        if let Some(measure) = measures(i).next() {
            signs.write(measure, at, length, score);
        }
        let tempi = measures(i).flat_map(|measure| &measure.tempi);
        let first = score.tempi.len();
        score.tempi.extend(tempi.map(|&(tick, per_minute)| Tempo { tick: (at + tick) as u64, per_minute }));
        score.tempi[first..].sort_by_key(|tempo| tempo.tick);
        for (player, voice) in players.iter_mut().zip(voices) {
            if let Some(measure) = voice.measures.get(i) {
                player.play(measure, at);
            }
        }
        at += length;
        if score.beats(at as u64) > MOST_BEATS {
            return Err(format!("it is longer than {MOST_BEATS} quarter notes"));
        }
    }
    score.tracks = players
        .into_iter()
        .zip(voices)
        .filter(|(player, _)| !player.notes.is_empty())
        .map(|(player, voice)| Track {
            name: voice.name.clone(),
            program: voice.program,
            drums: voice.drums,
            notes: player.notes,
            ..Track::default()
        })
        .collect();
    Ok(())
}

/// Meter and key in force, so that only changes are written down.
#[derive(Default)]
struct Signs {
    meter: Option<(u32, u32)>,
    key: Option<(i8, bool)>,
    since: i64,
}

impl Signs {
    fn write(&mut self, measure: &AbcMeasure, at: i64, length: i64, score: &mut Score) {
        if let Some((numerator, denominator)) = measure.meter {
            let full = 4 * TICKS * i64::from(numerator) / i64::from(denominator);
            // After an upbeat barlines are elsewhere than the meter alone would say: it is written down again.
            let shifted = length == full && (at - self.since) % full.max(1) != 0;
            if self.meter != measure.meter || shifted {
                score.meters.push(Meter { tick: at as u64, numerator, denominator });
                (self.meter, self.since) = (measure.meter, at);
            }
        }
        if let Some((fifths, minor)) = measure.key.filter(|_| self.key != measure.key) {
            score.keys.push(Key { tick: at as u64, fifths, minor });
            self.key = measure.key;
        }
    }
}

/// Plays one voice.
#[derive(Default)]
struct Player {
    notes: Vec<TickNote>,
    /// Notes that go on, by pitch and end.
    tied: BTreeMap<(u8, u64), usize>,
}

impl Player {
    fn play(&mut self, measure: &AbcMeasure, at: i64) {
        for note in &measure.notes {
            let (onset, duration) = ((at + note.onset).max(0) as u64, note.length as u64);
            let index = match self.tied.remove(&(note.pitch, onset)) {
                Some(index) => {
                    self.notes[index].duration += duration;
                    index
                }
                None => {
                    self.notes.push(TickNote { onset, pitch: note.pitch, duration, velocity: VELOCITY });
                    self.notes.len() - 1
                }
            };
            if note.tied {
                self.tied.insert((note.pitch, onset + duration), index);
            }
        }
    }
}
