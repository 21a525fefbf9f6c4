//! Writing ABC files: a voice a track, chords and overlays for what sounds at once, notes tied over barlines.

use std::fmt::Write as _;
use std::path::Path;

use super::fields::signature;
use crate::score::bars::{self, Bar};
use crate::score::spelling::{STEPS, Spelled, spelled};
use crate::score::voices::{self, Chord};
use crate::score::{Key, Score, ScoreError};

/// Notes and rests that are written, each in about ten letters.
const MOST_WRITTEN: usize = 4_000_000;
/// Measures a line.
const BARS_A_LINE: usize = 4;

/// Writes an ABC file. Velocities and controllers are left out.
pub fn write(path: &Path, score: &Score) -> Result<(), ScoreError> {
    std::fs::write(path, write_text(score, path)?).map_err(|error| ScoreError::unwritable(path, &error))
}

/// The text of an ABC file; `path` only names it in errors.
pub fn write_text(score: &Score, path: &Path) -> Result<String, ScoreError> {
    let score = bars::with_whole_beats(score.clone());
    let too_large = |reason: &str| ScoreError::too_large(path, reason);
    let bars = bars::bars(&score).ok_or_else(|| too_large("it has more than 100000 measures"))?;
    if bars.len().saturating_mul(score.tracks.len()) > MOST_WRITTEN {
        return Err(too_large("it has millions of measures"));
    }
    let title = if score.title.is_empty() { "Untitled" } else { &score.title };
    let mut out = format!("%abc-2.1\nX:1\nT:{}\n", plain(title));
    let first = bars.first().map_or((4, 4), |bar| (bar.meter.numerator, bar.meter.denominator));
    let _ = write!(out, "M:{}/{}\nL:1/4\n", first.0, first.1);
    for (i, track) in score.tracks.iter().enumerate() {
        let _ = writeln!(out, "V:{} name=\"{}\"", i + 1, plain(&track.name).replace('"', "'"));
    }
    let _ = writeln!(out, "K:{}", key_name(key_at(&score, bars.first().map_or(0, |bar| bar.end - 1))));
    let mut written = 0;
    for (i, track) in score.tracks.iter().enumerate() {
        let _ = write!(out, "V:{}\n%%MIDI program {}\n", i + 1, track.program);
        if track.drums {
            out.push_str("%%MIDI channel 10\n");
        }
        let voices = voices::voices(track).ok_or_else(|| too_large("more than 256 notes of a track overlap"))?;
        let mut part =
            Part { score: &score, voices, tempi: i == 0, tied: [false; 7], written: &mut written, out: &mut out };
        part.write(&bars).ok_or_else(|| too_large("it has millions of notes and rests"))?;
    }
    Ok(out)
}

/// A text on one line, without what ABC takes for a comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '%' { ' ' } else { c }).collect()
}

fn key_at(score: &Score, tick: u64) -> Option<Key> {
    let after = score.keys.partition_point(|key| key.tick <= tick);
    Some(score.keys[after.checked_sub(1)?])
}

/// "Eb" or "F#m".
fn key_name(key: Option<Key>) -> String {
    let Some(key) = key else { return "C".into() };
    // The tonic's place on the line of fifths, from C.
    let tonic = i32::from(key.fifths) + if key.minor { 3 } else { 0 };
    let step = STEPS[(4 * tonic).rem_euclid(7) as usize];
    let sign = match (tonic + 1).div_euclid(7) {
        1 => "#",
        -1 => "b",
        _ => "",
    };
    format!("{step}{sign}{}", if key.minor { "m" } else { "" })
}

struct Part<'a> {
    score: &'a Score,
    voices: Vec<Vec<Chord>>,
    /// Whether this one says the tempi.
    tempi: bool,
    /// Steps of notes that go on in the next measure.
    tied: [bool; 7],
    written: &'a mut usize,
    out: &'a mut String,
}

impl Part<'_> {
    /// Writes every measure; nothing where it is too much.
    fn write(&mut self, bars: &[Bar]) -> Option<()> {
        let mut next = vec![0; self.voices.len()];
        for (i, bar) in bars.iter().enumerate() {
            let fifths = self.signs(bar, i.checked_sub(1).map(|before| &bars[before]));
            let mut any = false;
            // Steps that were altered in this measure: their accidental is always written from then on.
            // Steps that are tied over the barline too: their old accidental may be taken to last.
            let mut altered = std::mem::take(&mut self.tied);
            for (voice, next) in next.iter_mut().enumerate() {
                let sounds = self.voices[voice].get(*next).is_some_and(|chord| chord.start < bar.end);
                if sounds {
                    if any {
                        self.out.push_str(" & ");
                    }
                    self.voice(voice, next, bar, (fifths, &mut altered))?;
                    any = true;
                }
            }
            if !any {
                self.rest(bar.end - bar.start);
            }
            self.out.push_str(if (i + 1) % BARS_A_LINE == 0 || i + 1 == bars.len() { "|\n" } else { "| " });
        }
        Some(())
    }

    /// Meter, key and tempo where they change; gives the key in force.
    fn signs(&mut self, bar: &Bar, before: Option<&Bar>) -> i8 {
        let key = key_at(self.score, bar.end - 1);
        if let Some(before) = before {
            let meter = |bar: &Bar| (bar.meter.numerator, bar.meter.denominator);
            if meter(before) != meter(bar) {
                let _ = write!(self.out, "[M:{}/{}]", bar.meter.numerator, bar.meter.denominator);
            }
            let signature = |key: Option<Key>| key.map(|key| (key.fifths, key.minor));
            if signature(key_at(self.score, before.end - 1)) != signature(key) {
                let _ = write!(self.out, "[K:{}]", key_name(key));
            }
        }
        let tempi = &self.score.tempi;
        let until = |tick: u64| tempi.partition_point(|tempo| tempo.tick < tick);
        if let Some(tempo) = tempi[until(bar.start)..until(bar.end)].last().filter(|_| self.tempi) {
            let _ = write!(self.out, "[Q:1/4={}]", tempo.per_minute);
        }
        key.map_or(0, |key| key.fifths)
    }

    /// One voice of a measure.
    fn voice(
        &mut self,
        voice: usize,
        next: &mut usize,
        bar: &Bar,
        (fifths, altered): (i8, &mut [bool; 7]),
    ) -> Option<()> {
        let mut now = bar.start;
        while let Some(chord) = self.voices[voice].get(*next).filter(|chord| chord.start < bar.end) {
            let (start, end) = (chord.start.max(bar.start), chord.end.min(bar.end));
            let (goes_on, several) = (chord.end > bar.end, chord.notes.len() > 1);
            let names: String =
                chord.notes.iter().map(|&(pitch, _)| name(spelled(pitch, fifths), fifths, altered)).collect();
            let ends = chord.end <= bar.end;
            if goes_on {
                chord.notes.iter().for_each(|&(pitch, _)| self.tied[spelled(pitch, fifths).step] = true);
            }
            self.rest(start - now);
            let length = self.length(end - start);
            let tie = if goes_on { "-" } else { "" };
            let _ = if several {
                write!(self.out, "[{names}]{length}{tie} ")
            } else {
                write!(self.out, "{names}{length}{tie} ")
            };
            *self.written += 1;
            now = end;
            if *self.written > MOST_WRITTEN {
                return None;
            }
            if !ends {
                break;
            }
            *next += 1;
        }
        self.rest(bar.end - now);
        Some(())
    }

    fn rest(&mut self, ticks: u64) {
        if ticks > 0 {
            let length = self.length(ticks);
            let _ = write!(self.out, "z{length} ");
            *self.written += 1;
        }
    }

    /// A length in quarter notes, as "3/2".
    fn length(&self, ticks: u64) -> String {
        let (mut a, mut b) = (ticks, u64::from(self.score.resolution));
        while b != 0 {
            (a, b) = (b, a % b);
        }
        match (ticks / a, u64::from(self.score.resolution) / a) {
            (1, 1) => String::new(),
            (n, 1) => n.to_string(),
            (n, d) => format!("{n}/{d}"),
        }
    }
}

/// A pitch as "^c'".
fn name(name: Spelled, fifths: i8, altered: &mut [bool; 7]) -> String {
    let Spelled { step, alter, octave } = name;
    let mut out = String::new();
    if altered[step] || alter != signature(step, fifths) {
        altered[step] = true;
        out.push_str(match alter {
            ..=-2 => "__",
            -1 => "_",
            0 => "=",
            1 => "^",
            _ => "^^",
        });
    }
    let letter = STEPS[step];
    if octave >= 5 {
        out.push(letter.to_ascii_lowercase());
        out.extend((5..octave).map(|_| '\''));
    } else {
        out.push(letter);
        out.extend((octave..4).map(|_| ','));
    }
    out
}
