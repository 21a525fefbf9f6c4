//! One measure of one part: its notes, relative to where it begins.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::grace::Graces;
use super::instruments::{Instrument, PartInfo};
use super::pedals::{self, DAMPER, PEDALS};
use super::values::{child, number, quarters, semitones, text, velocity, velocity_of_share};

/// Velocity until a dynamic mark says otherwise.
const DEFAULT_VELOCITY: u8 = 64;
/// Durations beyond this many quarter notes are slips.
const LONGEST: f64 = 1e5;

/// A note, with ticks from the start of its measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureNote {
    /// Ticks; below 0 for grace notes of the first beat.
    pub onset: i64,
    /// Ticks.
    pub duration: i64,
    /// Sounding MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity; 0 until the dynamics of its measure are known.
    pub velocity: u8,
    /// Number of its voice in the part.
    pub voice: usize,
    /// What plays it; drums by note, for a part may have both.
    pub instrument: Instrument,
    /// Whether it goes on the note before.
    pub tied_from: bool,
    /// Whether it goes on in the note after.
    pub tied_to: bool,
}

/// A meter as it is written.
pub type Beats = (u32, u32);
/// Sharps, or flats below 0, and whether it is minor.
pub type Fifths = (i8, bool);

/// What a measure of a part holds.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// Its notes by onset.
    pub notes: Vec<MeasureNote>,
    /// How far its voices reach, ticks.
    pub reach: i64,
    /// Whether anything sounds. Rests alone say nothing about its length: many files write them as whole notes.
    pub sounds: bool,
    /// The meter in force, if any was written so far.
    pub meter: Option<Beats>,
    /// The sounding key in force at its start.
    pub key: Option<Fifths>,
    /// Tempo changes in it: ticks and quarter notes a minute.
    pub tempi: Vec<(i64, f64)>,
    /// Pedals: ticks, MIDI controller and its value.
    pub controls: Vec<(u64, u8, u8)>,
}

/// Follows a part from measure to measure, in the order of the file.
pub struct PartReader<'a> {
    info: &'a PartInfo,
    /// Ticks per quarter note of the score, and of the file here.
    resolution: i64,
    divisions: f64,
    /// Semitones from written to sounding, for all staves or one.
    transpositions: BTreeMap<Option<u32>, i32>,
    velocity: u8,
    meter: Option<Beats>,
    key: Option<Fifths>,
    voices: BTreeMap<String, usize>,
}

/// What is being read of a measure.
#[derive(Default)]
struct Open {
    measure: Measure,
    cursor: i64,
    /// Onset and length of the last note, for the other notes of its chord.
    last: (i64, i64),
    last_is_grace: bool,
    /// By voice: grace notes that wait, and the length of the note before.
    graces: BTreeMap<usize, (Graces, i64)>,
    /// Ticks and velocities.
    dynamics: Vec<(i64, u8)>,
}

impl<'a> PartReader<'a> {
    /// A reader that gives ticks of `resolution` per quarter note.
    pub fn new(info: &'a PartInfo, resolution: u32) -> Self {
        Self {
            info,
            resolution: resolution.into(),
            divisions: 1.0,
            transpositions: BTreeMap::new(),
            velocity: DEFAULT_VELOCITY,
            meter: None,
            key: None,
            voices: BTreeMap::new(),
        }
    }

    /// Reads the next measure.
    pub fn measure(&mut self, node: Node<'_, '_>) -> Result<Measure, String> {
        let mut open = Open::default();
        for element in node.children().filter(Node::is_element) {
            match element.tag_name().name() {
                "attributes" => self.attributes(element)?,
                "note" => self.note(element, &mut open)?,
                "backup" => open.cursor = (open.cursor - self.duration(element)).max(0),
                "forward" => open.cursor += self.duration(element),
                "direction" => self.direction(element, &mut open),
                "sound" => self.sound(element, open.cursor, &mut open),
                _ => {}
            }
            open.measure.reach = open.measure.reach.max(open.cursor);
        }
        Ok(self.close(open))
    }

    fn close(&mut self, mut open: Open) -> Measure {
        let end = open.measure.reach;
        for (graces, before) in open.graces.values_mut() {
            graces.resolve(end, *before, self.resolution / 8, &mut open.measure.notes);
        }
        // Dynamics hold from their time on, also for voices that are written after them.
        open.dynamics.sort_by_key(|&(tick, _)| tick);
        for note in open.measure.notes.iter_mut().filter(|note| note.velocity == 0) {
            let past = open.dynamics.partition_point(|&(tick, _)| tick <= note.onset);
            note.velocity = past.checked_sub(1).map_or(self.velocity, |last| open.dynamics[last].1);
        }
        self.velocity = open.dynamics.last().map_or(self.velocity, |&(_, velocity)| velocity);
        open.measure.notes.sort_by_key(|note| note.onset);
        open.measure.controls.sort_by_key(|&(tick, ..)| tick);
        open.measure.sounds = !open.measure.notes.is_empty();
        open.measure.meter = self.meter;
        open.measure.key = self.key;
        open.measure
    }

    fn ticks(&self, duration: f64) -> i64 {
        let quarters = (duration / self.divisions).clamp(-LONGEST, LONGEST);
        (quarters * self.resolution as f64).round() as i64
    }

    fn duration(&self, node: Node<'_, '_>) -> i64 {
        self.ticks(number::<f64>(node, "duration").filter(|d| *d >= 0.0).unwrap_or(0.0))
    }

    fn attributes(&mut self, node: Node<'_, '_>) -> Result<(), String> {
        if let Some(divisions) = number::<f64>(node, "divisions") {
            if !(divisions > 0.0 && divisions.is_finite()) {
                return Err("it has no divisions of the quarter note".into());
            }
            self.divisions = divisions;
        }
        for transpose in node.children().filter(|node| node.has_tag_name("transpose")) {
            let chromatic: f64 = number(transpose, "chromatic").unwrap_or(0.0);
            let octaves: i32 = number(transpose, "octave-change").unwrap_or(0);
            let staff = transpose.attribute("number").and_then(|staff| staff.parse().ok());
            let semitones = (chromatic.round() as i32).clamp(-127, 127) + 12 * octaves.clamp(-10, 10);
            self.transpositions.insert(staff, semitones);
        }
        if let Some(beats) = child(node, "time").and_then(beats) {
            self.meter = Some(beats);
        }
        if let Some(key) = child(node, "key")
            && let Some(fifths) = number::<i32>(key, "fifths")
        {
            // A semitone up is seven fifths up, less whole octaves of twelve.
            let sounding = fifths.clamp(-24, 24) + 7 * self.transposition(None);
            let fifths = if (-7..=7).contains(&sounding) { sounding } else { (sounding + 5).rem_euclid(12) - 5 };
            self.key = Some((fifths as i8, text(key, "mode") == Some("minor")));
        }
        Ok(())
    }

    fn transposition(&self, staff: Option<u32>) -> i32 {
        let of = |staff: Option<u32>| self.transpositions.get(&staff).copied();
        // Without a number it is that of every staff; keys go by the first.
        of(staff).or_else(|| of(None)).or_else(|| of(Some(1)).filter(|_| staff.is_none())).unwrap_or(0)
    }

    fn note(&mut self, node: Node<'_, '_>, open: &mut Open) -> Result<(), String> {
        let has = |name: &str| child(node, name).is_some();
        let (grace, in_chord) = (has("grace"), has("chord"));
        let length = if grace { 0 } else { self.duration(node) };
        let onset = if in_chord { open.last.0 } else { open.cursor };
        let number = self.voices.len();
        let voice = *self.voices.entry(text(node, "voice").unwrap_or("1").to_owned()).or_insert(number);
        let sounds = !has("rest") && !has("cue");
        if !grace && !in_chord {
            open.cursor += length;
            open.last = (onset, length);
        }
        let pitch = if sounds { self.pitch(node)? } else { None };
        let (waiting, before) = open.graces.entry(voice).or_default();
        if !grace && !in_chord {
            if !waiting.is_empty() {
                waiting.resolve(onset, *before, self.resolution / 8, &mut open.measure.notes);
            }
            *before = length;
        }
        if let Some((pitch, instrument)) = pitch {
            let ties = |kind: &str| tie(node, kind);
            let velocity = node.attribute("dynamics").and_then(|share| share.parse::<f64>().ok());
            let note = MeasureNote {
                onset,
                duration: if in_chord && !grace { length.max(1) } else { length },
                pitch,
                velocity: velocity.map_or(0, velocity_of_share),
                voice,
                instrument,
                tied_from: !grace && ties("stop"),
                tied_to: !grace && ties("start"),
            };
            if grace {
                waiting.push(note, in_chord && open.last_is_grace);
            } else {
                open.measure.notes.push(note);
            }
        }
        open.last_is_grace = grace;
        Ok(())
    }

    /// Sounding pitch and instrument of a note; nothing where it is out of MIDI's range.
    fn pitch(&self, node: Node<'_, '_>) -> Result<Option<(u8, Instrument)>, String> {
        let named = child(node, "instrument").and_then(|node| node.attribute("id"));
        let mut instrument = named.and_then(|id| self.info.instruments.get(id)).copied().unwrap_or(self.info.default);
        let pitch = if let Some(pitch) = child(node, "pitch") {
            let staff = number(node, "staff");
            written(pitch, "step", "octave")? + self.transposition(staff)
        } else if let Some(place) = child(node, "unpitched") {
            instrument.drums = true;
            match instrument.unpitched {
                Some(pitch) => pitch.into(),
                // It may say nowhere what it is.
                None => written(place, "display-step", "display-octave").unwrap_or(60),
            }
        } else {
            return Err("a note has no pitch".into());
        };
        instrument.unpitched = None;
        Ok(u8::try_from(pitch).ok().filter(|pitch| *pitch < 128).map(|pitch| (pitch, instrument)))
    }

    fn direction(&mut self, node: Node<'_, '_>, open: &mut Open) {
        let at = open.cursor + number::<f64>(node, "offset").map_or(0, |offset| self.ticks(offset));
        let at = at.max(0);
        // Looked for once: a direction may have a million marks.
        let sound = child(node, "sound");
        if let Some(sound) = sound {
            self.sound(sound, at, open);
        }
        let says = |name: &str| sound.is_some_and(|sound| sound.attribute(name).is_some());
        for kind in node.children().filter(|node| node.has_tag_name("direction-type")) {
            for mark in child(kind, "dynamics").into_iter().flat_map(|node| node.children()) {
                if let Some(velocity) = velocity(mark.tag_name().name()).filter(|_| !says("dynamics")) {
                    open.dynamics.push((at, velocity));
                }
            }
            for pedal in kind.children().filter(|node| node.has_tag_name("pedal")) {
                // What is heard goes before what is drawn.
                if !says("damper-pedal") {
                    let moved = pedals::moved_by_sign(pedal.attribute("type").unwrap_or_default());
                    open.measure.controls.extend(moved.iter().map(|&value| (at as u64, DAMPER, value)));
                }
            }
            if let Some(tempo) = child(kind, "metronome").and_then(metronome).filter(|_| !says("tempo")) {
                open.measure.tempi.push((at, tempo));
            }
        }
    }

    fn sound(&self, node: Node<'_, '_>, at: i64, open: &mut Open) {
        let value = |name: &str| node.attribute(name)?.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        if let Some(tempo) = value("tempo").filter(|tempo| *tempo > 0.0) {
            open.measure.tempi.push((at, tempo));
        }
        if let Some(share) = value("dynamics") {
            open.dynamics.push((at, velocity_of_share(share)));
        }
        for (name, number) in PEDALS {
            let moved = node.attribute(name).and_then(pedals::value);
            open.measure.controls.extend(moved.map(|value| (at.max(0) as u64, number, value)));
        }
    }
}

/// Written MIDI pitch of a step, an alteration and an octave.
fn written(node: Node<'_, '_>, step: &str, octave: &str) -> Result<i32, String> {
    let semitones = text(node, step).and_then(semitones).ok_or("a note has no step from A to G")?;
    let octave: i32 = number(node, octave).filter(|o| (-2..=12).contains(o)).ok_or("a note has no octave")?;
    // Quarter tones go to the nearest key.
    let alter: f64 = number(node, "alter").unwrap_or(0.0);
    Ok(12 * (octave + 1) + semitones + alter.clamp(-12.0, 12.0).round() as i32)
}

/// Whether a note has a tie of a kind, "start" or "stop", as sound or, where it has none at all, as drawn.
fn tie(node: Node<'_, '_>, kind: &str) -> bool {
    let mut heard = node.children().filter(|node| node.has_tag_name("tie")).peekable();
    if heard.peek().is_some() {
        return heard.any(|tie| tie.attribute("type") == Some(kind));
    }
    let drawn = node.children().filter(|node| node.has_tag_name("notations")).flat_map(|node| node.children());
    drawn.filter(|node| node.has_tag_name("tied")).any(|tied| tied.attribute("type") == Some(kind))
}

/// The meter of a time element: sums as 3+2 are added, and several meters one after another make one.
fn beats(time: Node<'_, '_>) -> Option<Beats> {
    let of = |name: &'static str| time.children().filter(move |node| node.has_tag_name(name));
    let mut meter: Option<Beats> = None;
    for (beats, kind) in of("beats").zip(of("beat-type")) {
        let numerator = beats.text()?.split('+').map(|n| n.trim().parse::<u32>().ok()).sum::<Option<u32>>()?;
        let denominator: u32 = kind.text()?.trim().parse().ok()?;
        if !(1..=1000).contains(&numerator) || !(1..=256).contains(&denominator) {
            return None;
        }
        meter = Some(match meter {
            None => (numerator, denominator),
            Some((n, d)) => {
                let common = d.max(denominator);
                if common % d != 0 || common % denominator != 0 {
                    return None;
                }
                (n * (common / d) + numerator * (common / denominator), common)
            }
        });
    }
    meter
}

/// Quarter notes a minute of a metronome mark, as a dotted quarter = 60.
fn metronome(node: Node<'_, '_>) -> Option<f64> {
    let unit = quarters(text(node, "beat-unit")?)?;
    let dots = node.children().take_while(|node| !node.has_tag_name("per-minute"));
    let dots = dots.filter(|node| node.has_tag_name("beat-unit-dot")).count().min(4) as i32;
    let said: String = text(node, "per-minute")?
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let tempo = unit * (2.0 - 0.5f64.powi(dots)) * said.parse::<f64>().ok()?;
    (tempo > 0.0 && tempo.is_finite()).then_some(tempo)
}
