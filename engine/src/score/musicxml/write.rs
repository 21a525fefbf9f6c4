//! Writing MusicXML files: one part a track, measures as the meters say, notes tied over barlines.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::container;
use super::duration::{Figure, figures};
use super::pedals::Pedals;
use crate::score::bars::{self, Bar};
use crate::score::spelling::{STEPS, spelled};
use crate::score::voices::{self, Chord};
use crate::score::{Key, Score, ScoreError, Track};

/// Figures, which are notes of a voice in a measure: each takes about 300 bytes.
const MOST_FIGURES: usize = 1_000_000;

/// Writes a partwise MusicXML file, compressed if its name ends in .mxl. Of its controllers the
/// pedals are kept.
pub fn write(path: &Path, score: &Score) -> Result<(), ScoreError> {
    let text = write_bytes(score, path)?;
    let packed = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mxl"));
    let bytes = if packed { container::packed(&text) } else { Ok(text.into_bytes()) };
    bytes.and_then(|bytes| std::fs::write(path, bytes)).map_err(|error| ScoreError::unwritable(path, &error))
}

/// The text of a partwise MusicXML file; `path` only names it in errors.
pub fn write_bytes(score: &Score, path: &Path) -> Result<String, ScoreError> {
    let score = bars::with_whole_beats(score.clone());
    let too_large = |reason: &str| ScoreError::too_large(path, reason);
    let bars = bars::bars(&score).ok_or_else(|| too_large("it has more than 100000 measures"))?;
    if bars.len().saturating_mul(score.tracks.len()) > MOST_FIGURES {
        return Err(too_large("it has a million measures"));
    }
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE score-partwise PUBLIC \"-//Recordare//DTD MusicXML 4.0 \
         Partwise//EN\" \"http://www.musicxml.org/dtds/partwise.dtd\">\n<score-partwise version=\"4.0\">\n",
    );
    if !score.title.is_empty() {
        let _ = writeln!(out, "<work><work-title>{}</work-title></work>", escaped(&score.title));
    }
    out.push_str("<part-list>\n");
    for (i, track) in score.tracks.iter().enumerate() {
        list(i + 1, track, &mut out);
    }
    out.push_str("</part-list>\n");
    let (mut figures, controls) = (0, score.controls());
    for (i, track) in score.tracks.iter().enumerate() {
        let voices = voices::voices(track).ok_or_else(|| too_large("more than 256 notes of a track overlap"))?;
        let controls = controls.get(&score.controls_of(i)).map_or(&[][..], Vec::as_slice);
        let pedals = Pedals::new(controls);
        let mut part =
            Part { number: i + 1, score: &score, track, pedals, voices, figures: &mut figures, out: &mut out };
        part.write(&bars).ok_or_else(|| too_large("it has a million notes and rests"))?;
    }
    out.push_str("</score-partwise>\n");
    Ok(out)
}

/// Text between tags: what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A part of the list of parts. A drum is an instrument without pitch of its own.
fn list(number: usize, track: &Track, out: &mut String) {
    let name = if track.name.is_empty() { format!("Track {number}") } else { escaped(&track.name) };
    let _ = writeln!(out, "<score-part id=\"P{number}\"><part-name>{name}</part-name>");
    let drums: BTreeSet<u8> =
        if track.drums { track.notes.iter().map(|note| note.pitch).collect() } else { BTreeSet::new() };
    let ids: Vec<(String, Option<u8>)> = match drums.is_empty() {
        true => vec![(format!("P{number}-I1"), None)],
        false => drums.iter().map(|&pitch| (drum(number, pitch), Some(pitch))).collect(),
    };
    for (id, _) in &ids {
        let _ =
            writeln!(out, "<score-instrument id=\"{id}\"><instrument-name>{name}</instrument-name></score-instrument>");
    }
    let melodic = (number - 1) % 15;
    let channel = if track.drums { 10 } else { melodic + 1 + usize::from(melodic >= 9) };
    for (id, pitch) in &ids {
        let _ = write!(out, "<midi-instrument id=\"{id}\"><midi-channel>{channel}</midi-channel>");
        let _ = write!(out, "<midi-program>{}</midi-program>", track.program + 1);
        if let Some(pitch) = pitch {
            let _ = write!(out, "<midi-unpitched>{}</midi-unpitched>", pitch + 1);
        }
        out.push_str("</midi-instrument>\n");
    }
    out.push_str("</score-part>\n");
}

fn drum(number: usize, pitch: u8) -> String {
    format!("P{number}-D{pitch}")
}

struct Part<'a> {
    number: usize,
    score: &'a Score,
    track: &'a Track,
    /// Its own, or those of its channel.
    pedals: Pedals<'a>,
    voices: Vec<Vec<Chord>>,
    figures: &'a mut usize,
    out: &'a mut String,
}

impl Part<'_> {
    /// Writes every measure; nothing where it is too much.
    fn write(&mut self, bars: &[Bar]) -> Option<()> {
        let _ = writeln!(self.out, "<part id=\"P{}\">", self.number);
        // By voice: the first chord that has not ended.
        let mut next = vec![0; self.voices.len()];
        for (i, bar) in bars.iter().enumerate() {
            let _ = writeln!(self.out, "<measure number=\"{}\">", i + 1);
            let before = i.checked_sub(1).map(|before| &bars[before]);
            let fifths = self.attributes(bar, before);
            if self.number == 1 {
                self.tempi(bar);
            }
            let mut at = bar.start;
            for (voice, next) in next.iter_mut().enumerate() {
                self.voice(voice, next, bar, &mut at, fifths)?;
            }
            if at == bar.start {
                // Nothing sounds: a rest of the whole measure.
                let length = bar.end - bar.start;
                *self.figures += self.pedals.write(bar.start + 1, bar.start, self.out);
                let _ = writeln!(
                    self.out,
                    "<note><rest measure=\"yes\"/><duration>{length}</duration><voice>1</voice></note>"
                );
                *self.figures += self.pedals.write(bar.end, bar.end, self.out);
            }
            if i + 1 == bars.len() {
                // The pedal is often lifted after the last note.
                *self.figures += self.pedals.write(u64::MAX, bar.end, self.out);
            }
            self.out.push_str("</measure>\n");
            if *self.figures > MOST_FIGURES {
                return None;
            }
        }
        self.out.push_str("</part>\n");
        Some(())
    }

    /// Divisions, key and meter where they change; gives the key in force.
    fn attributes(&mut self, bar: &Bar, before: Option<&Bar>) -> i8 {
        let keys = &self.score.keys;
        let in_force = |tick: u64| Some(keys[keys.partition_point(|key| key.tick <= tick).checked_sub(1)?]);
        let key = in_force(bar.end - 1);
        let changes = before.is_none_or(|before| {
            in_force(before.end - 1).map(|key: Key| (key.fifths, key.minor)) != key.map(|key| (key.fifths, key.minor))
        });
        let meter = before
            .is_none_or(|b| (b.meter.numerator, b.meter.denominator) != (bar.meter.numerator, bar.meter.denominator));
        let fifths = key.map_or(0, |key| key.fifths);
        if before.is_none() || changes || meter {
            self.out.push_str("<attributes>");
            if before.is_none() {
                let _ = write!(self.out, "<divisions>{}</divisions>", self.score.resolution);
            }
            if let Some(key) = key.filter(|_| changes && !self.track.drums) {
                let mode = if key.minor { "minor" } else { "major" };
                let _ = write!(self.out, "<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>");
            }
            if meter {
                let (beats, kind) = (bar.meter.numerator, bar.meter.denominator);
                let _ = write!(self.out, "<time><beats>{beats}</beats><beat-type>{kind}</beat-type></time>");
            }
            if before.is_none() {
                self.out.push_str(&clef(self.track));
            }
            self.out.push_str("</attributes>\n");
        }
        fifths
    }

    fn tempi(&mut self, bar: &Bar) {
        let tempi = &self.score.tempi;
        let before = |tick: u64| tempi.partition_point(|tempo| tempo.tick < tick);
        for tempo in &tempi[before(bar.start)..before(bar.end)] {
            let (at, per_minute) = (tempo.tick - bar.start, tempo.per_minute);
            let _ = write!(
                self.out,
                "<direction placement=\"above\"><direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>{}\
                 </per-minute></metronome></direction-type>",
                (per_minute * 100.0).round() / 100.0
            );
            if at > 0 {
                let _ = write!(self.out, "<offset sound=\"yes\">{at}</offset>");
            }
            let _ = writeln!(self.out, "<sound tempo=\"{per_minute}\"/></direction>");
        }
    }

    /// One voice of a measure. `at` is where the last one stopped.
    fn voice(&mut self, voice: usize, next: &mut usize, bar: &Bar, at: &mut u64, fifths: i8) -> Option<()> {
        let chords = &self.voices[voice];
        let sounds = chords.get(*next).is_some_and(|chord| chord.start < bar.end);
        if !sounds {
            return Some(());
        }
        if *at > bar.start {
            let _ = writeln!(self.out, "<backup><duration>{}</duration></backup>", *at - bar.start);
        }
        // The first voice has the pedals: before what they are moved with, after what they are moved in.
        let mut pedals = (*at == bar.start).then_some(&mut self.pedals);
        let mut pedalled = |until: u64, now: u64, lines: &mut String| match &mut pedals {
            Some(pedals) => pedals.write(until, now, lines),
            None => 0,
        };
        let mut now = bar.start;
        let mut lines = String::new();
        while let Some(chord) = chords.get(*next).filter(|chord| chord.start < bar.end) {
            let (start, end) = (chord.start.max(bar.start), chord.end.min(bar.end));
            *self.figures += pedalled((now + 1).min(start), now, &mut lines);
            rest(now, start, voice, self.score.resolution, self.figures, &mut lines);
            *self.figures += pedalled(start, start, &mut lines);
            let mut from = start;
            for figure in figures(end - start, self.score.resolution) {
                let ties = (from > chord.start, from + figure.ticks < chord.end);
                let written = Written { part: self.number, drums: self.track.drums, voice, fifths };
                *self.figures += pedalled(from + 1, from, &mut lines);
                for (i, &(pitch, velocity)) in chord.notes.iter().enumerate() {
                    written.note(pitch, velocity, i > 0, &figure, ties, &mut lines);
                }
                from += figure.ticks;
                *self.figures += chord.notes.len() + pedalled(from, from, &mut lines);
            }
            now = end;
            if *self.figures > MOST_FIGURES {
                return None;
            }
            if chord.end > bar.end {
                break;
            }
            *next += 1;
        }
        *self.figures += pedalled((now + 1).min(bar.end), now, &mut lines);
        rest(now, bar.end, voice, self.score.resolution, self.figures, &mut lines);
        *self.figures += pedalled(bar.end, bar.end, &mut lines);
        self.out.push_str(&lines);
        *at = bar.end;
        Some(())
    }
}

/// Silence of a voice: rests in the first, nothing to be seen in the others.
fn rest(from: u64, to: u64, voice: usize, resolution: u32, written: &mut usize, out: &mut String) {
    if to <= from {
        return;
    }
    if voice > 0 {
        let _ = writeln!(out, "<forward><duration>{}</duration></forward>", to - from);
        return;
    }
    for figure in figures(to - from, resolution) {
        let _ = write!(out, "<note><rest/><duration>{}</duration><voice>1</voice>", figure.ticks);
        kind(&figure, out);
        out.push_str("</note>\n");
        *written += 1;
    }
}

/// Type, dots and tuplet.
fn kind(figure: &Figure, out: &mut String) {
    let Some((name, dots)) = figure.kind else { return };
    let _ = write!(out, "<type>{name}</type>{}", "<dot/>".repeat(dots));
    if let Some((actual, normal)) = figure.tuplet {
        let _ = write!(
            out,
            "<time-modification><actual-notes>{actual}</actual-notes><normal-notes>{normal}</normal-notes></time-modification>"
        );
    }
}

/// What the notes of a voice have in common.
struct Written {
    part: usize,
    drums: bool,
    voice: usize,
    fifths: i8,
}

impl Written {
    fn note(
        &self,
        pitch: u8,
        velocity: u8,
        in_chord: bool,
        figure: &Figure,
        (from, to): (bool, bool),
        out: &mut String,
    ) {
        // Per cent of forte, which is 90.
        let _ = write!(out, "<note dynamics=\"{:.2}\">", f64::from(velocity) / 0.9);
        if in_chord {
            out.push_str("<chord/>");
        }
        let name = spelled(pitch, if self.drums { 0 } else { self.fifths });
        let (step, octave) = (STEPS[name.step], name.octave);
        if self.drums {
            let _ = write!(out, "<unpitched><display-step>{step}</display-step>");
            let _ = write!(out, "<display-octave>{}</display-octave></unpitched>", octave.max(0));
        } else {
            let _ = write!(out, "<pitch><step>{step}</step>");
            if name.alter != 0 {
                let _ = write!(out, "<alter>{}</alter>", name.alter);
            }
            let _ = write!(out, "<octave>{octave}</octave></pitch>");
        }
        let _ = write!(out, "<duration>{}</duration>", figure.ticks);
        for (tied, kind) in [(from, "stop"), (to, "start")] {
            if tied {
                let _ = write!(out, "<tie type=\"{kind}\"/>");
            }
        }
        if self.drums {
            let _ = write!(out, "<instrument id=\"{}\"/>", drum(self.part, pitch));
        }
        let _ = write!(out, "<voice>{}</voice>", self.voice + 1);
        kind(figure, out);
        if from || to {
            out.push_str("<notations>");
            for (tied, kind) in [(from, "stop"), (to, "start")] {
                if tied {
                    let _ = write!(out, "<tied type=\"{kind}\"/>");
                }
            }
            out.push_str("</notations>");
        }
        out.push_str("</note>\n");
    }
}

/// The clef that most of a track fits on.
fn clef(track: &Track) -> String {
    if track.drums {
        return "<clef><sign>percussion</sign></clef>".into();
    }
    let sum: u64 = track.notes.iter().map(|note| u64::from(note.pitch)).sum();
    let low = sum < 57 * track.notes.len() as u64;
    let (sign, line) = if low { ("F", 4) } else { ("G", 2) };
    format!("<clef><sign>{sign}</sign><line>{line}</line></clef>")
}
