//! Reading MusicXML files: the parts' measures, played in their order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use roxmltree::{Document, Node};

use super::container::{self, MOST_TEXT, NoTree};
use super::instruments::{self, PartInfo};
use super::marks;
use super::measure::{Beats, Fifths, Measure, MeasureNote, PartReader};
use super::values::{child, number, text};
use crate::score::limits::{self, MOST_BEATS, MOST_SIGNS, Played};
use crate::score::order::{self, MOST_MEASURES, Marks};
use crate::score::{Control, Format, Key, Meter, Score, ScoreError, Tempo, TickNote, Track};

/// Ticks per quarter note where the divisions of the file have no small common multiple.
const FINE: u32 = 26_880; // 256 * 3 * 5 * 7
/// The finest resolution that a file gets by itself.
const FINEST: u32 = 1 << 20;
/// Notes of one pitch that go on at one time: more voices than any score has.
const MOST_TIED: usize = 16;
/// Measures of all parts.
const MOST_OF_PARTS: usize = 20 * MOST_MEASURES;
/// Grace notes need an eighth of a quarter note.
const GRACES: u32 = 8;

/// Reads a MusicXML file, compressed or not.
pub fn read(path: &Path) -> Result<Score, ScoreError> {
    read_bytes(&limits::load(path, MOST_TEXT)?, path)
}

/// Reads the bytes of a MusicXML file, compressed or not; `path` only names it in errors.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Score, ScoreError> {
    let malformed = |reason: String| ScoreError::malformed(path, Format::MusicXml, reason);
    let text = container::text(bytes, path)?;
    let document = container::parsed(&text).map_err(|error| match error {
        NoTree::TooLarge(reason) => ScoreError::too_large(path, reason),
        NoTree::Malformed(reason) => malformed(reason),
    })?;
    let root = document.root_element();
    let written = match root.tag_name().name() {
        "score-partwise" => partwise(root),
        "score-timewise" => timewise(root).ok_or_else(|| malformed("a measure lacks one of its parts".into()))?,
        other => return Err(malformed(format!("it begins with <{}>", other.chars().take(40).collect::<String>()))),
    };
    let mut score = Score { title: title(root), resolution: resolution(&document), ..Score::default() };
    let list = instruments::parts(root);
    let unlisted = PartInfo::default();
    let too_long =
        || ScoreError::too_large(path, format!("with its repeats it has more than {MOST_MEASURES} measures"));
    // A measure takes memory, and every part time in every measure, with or without notes.
    let many = || ScoreError::too_large(path, "it has millions of measures");
    if written.iter().any(|(_, nodes)| nodes.len() > MOST_MEASURES) {
        return Err(too_long());
    }
    if written.iter().map(|(_, nodes)| nodes.len()).sum::<usize>() > MOST_OF_PARTS {
        return Err(many());
    }
    let mut marks: Vec<Marks> = Vec::new();
    let mut parts: Vec<(&PartInfo, Vec<Measure>)> = Vec::new();
    for (id, nodes) in written {
        for (i, measure) in marks::marks(&nodes).into_iter().enumerate() {
            match marks.get_mut(i) {
                Some(known) => known.merge(measure),
                None => marks.push(measure),
            }
        }
        let info = id.and_then(|id| list.get(id)).unwrap_or(&unlisted);
        let mut reader = PartReader::new(info, score.resolution);
        let measures =
            nodes.into_iter().map(|node| reader.measure(node)).collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        parts.push((info, measures));
    }
    let order = order::order(&marks).ok_or_else(too_long)?;
    if order.len().saturating_mul(parts.len()) > MOST_OF_PARTS {
        return Err(many());
    }
    play(&parts, &order, &mut score).map_err(|reason| ScoreError::too_large(path, reason))?;
    limits::checked(score, path)
}

/// A part's id and its measures.
type Written<'a, 'input> = (Option<&'a str>, Vec<Node<'a, 'input>>);

/// Measures inside their parts.
fn partwise<'a, 'input>(root: Node<'a, 'input>) -> Vec<Written<'a, 'input>> {
    let measures = |part: Node<'a, 'input>| part.children().filter(|node| node.has_tag_name("measure")).collect();
    let parts = root.children().filter(|node| node.has_tag_name("part"));
    parts.map(|part| (part.attribute("id"), measures(part))).collect()
}

/// Parts inside their measures, turned round; nothing where a measure lacks a part that another has.
fn timewise<'a, 'input>(root: Node<'a, 'input>) -> Option<Vec<Written<'a, 'input>>> {
    let mut parts: Vec<Written<'a, 'input>> = Vec::new();
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    for (i, measure) in root.children().filter(|node| node.has_tag_name("measure")).enumerate() {
        let mut found = 0;
        for part in measure.children().filter(|node| node.has_tag_name("part")) {
            let id = part.attribute("id");
            let place = *places.entry(id).or_insert(parts.len());
            if place == parts.len() {
                parts.push((id, Vec::new()));
            }
            let measures = &mut parts[place].1;
            if measures.len() != i {
                return None;
            }
            measures.push(part);
            found += 1;
        }
        if found != parts.len() {
            return None;
        }
    }
    Some(parts)
}

fn title(root: Node<'_, '_>) -> String {
    let work = child(root, "work").and_then(|work| text(work, "work-title"));
    let title = text(root, "movement-title").or(work).unwrap_or_default();
    limits::name(&title.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The least common multiple of all divisions, fine enough for grace notes if there are any.
fn resolution(document: &Document<'_>) -> u32 {
    let mut multiple = 1u32;
    let mut graces = 1;
    for node in document.descendants() {
        match node.tag_name().name() {
            "attributes" => {
                // Fractions of a division have no place on any grid of ours.
                let divisions = number::<f64>(node, "divisions").filter(|d| (1.0..=1e6).contains(d));
                match divisions.and_then(|d| least_common_multiple(multiple, d.round() as u32)) {
                    Some(both) => multiple = both,
                    None if divisions.is_some() => return FINE,
                    None => {}
                }
            }
            "grace" => graces = GRACES,
            _ => {}
        }
    }
    least_common_multiple(multiple, graces).unwrap_or(FINE)
}

fn least_common_multiple(a: u32, b: u32) -> Option<u32> {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).checked_mul(b).filter(|multiple| *multiple <= FINEST)
}

/// Plays the measures in their order. All parts are together at every barline.
fn play(parts: &[(&PartInfo, Vec<Measure>)], order: &[usize], score: &mut Score) -> Result<(), String> {
    let mut players: Vec<Player> = parts.iter().map(|_| Player::default()).collect();
    let mut signs = Signs::default();
    let mut at = 0u64;
    let mut played = Played::default();
    for &i in order {
        let measures = || parts.iter().filter_map(|(_, measures)| measures.get(i));
        // Also signs that change nothing: they cost time.
        let moved = |measure: &Measure| measure.tempi.len() + measure.controls.len();
        measures().try_for_each(|measure| played.count(measure.notes.len(), moved(measure)))?;
        let meter = measures().find_map(|measure| measure.meter);
        let full = meter.map(|(n, d)| u64::from(score.resolution) * 4 * u64::from(n) / u64::from(d));
        let reach = |heard: bool| measures().filter(|m| m.sounds || !heard).map(|m| m.reach.max(0) as u64).max();
        let silent = || match (reach(false).filter(|reach| *reach > 0), full) {
            (Some(reach), Some(full)) => reach.min(full),
            (reach, full) => reach.or(full).unwrap_or(0),
        };
        let length = reach(true).unwrap_or_else(silent);
        signs.measure(at, length, full, meter, measures().find_map(|measure| measure.key), score);
        let mut tempi: Vec<(i64, f64)> = measures().flat_map(|measure| measure.tempi.iter().copied()).collect();
        tempi.sort_by_key(|&(tick, _)| tick);
        for (tick, per_minute) in tempi {
            signs.tempo(at + tick.max(0) as u64, per_minute, score);
        }
        for (player, (_, measures)) in players.iter_mut().zip(parts) {
            if let Some(measure) = measures.get(i) {
                player.play(measure, at);
            }
        }
        at += length;
        if score.beats(at) > MOST_BEATS {
            return Err(format!("it is longer than {MOST_BEATS} quarter notes"));
        }
    }
    // Every track of a part has its controls.
    let copies = |player: &Player| player.controls.len() * player.tracks.len();
    if players.iter().map(copies).sum::<usize>() > MOST_SIGNS {
        return Err(format!("its instruments have more than {MOST_SIGNS} pedals"));
    }
    for (player, (info, _)) in players.into_iter().zip(parts) {
        let Player { tracks, mut controls, .. } = player;
        // A measure's are in order, and grace notes alone reach over its barline.
        controls.sort_by_key(|control| control.tick);
        score.tracks.extend(tracks.into_iter().map(|((program, drums), notes)| Track {
            name: info.name.clone(),
            program,
            drums,
            notes,
            // Whoever plays the part has its pedals.
            controls: controls.clone(),
            ..Track::default()
        }));
    }
    Ok(())
}

/// Meter, key and tempo in force, so that only changes are written down, also after a jump.
#[derive(Default)]
struct Signs {
    meter: Option<Beats>,
    key: Option<Fifths>,
    tempo: Option<f64>,
    /// Where the meter was written down last.
    since: u64,
}

impl Signs {
    fn measure(
        &mut self,
        at: u64,
        length: u64,
        full: Option<u64>,
        meter: Option<Beats>,
        key: Option<Fifths>,
        score: &mut Score,
    ) {
        if let (Some((numerator, denominator)), Some(full)) = (meter, full) {
            // After an upbeat barlines are elsewhere than the meter alone would say: it is written down again.
            let shifted = length == full && full > 0 && !(at - self.since).is_multiple_of(full);
            if self.meter != meter || shifted {
                score.meters.push(Meter { tick: at, numerator, denominator });
                (self.meter, self.since) = (meter, at);
            }
        }
        if let Some((fifths, minor)) = key.filter(|_| self.key != key) {
            score.keys.push(Key { tick: at, fifths, minor });
            self.key = key;
        }
    }

    fn tempo(&mut self, tick: u64, per_minute: f64, score: &mut Score) {
        if self.tempo != Some(per_minute) {
            score.tempi.push(Tempo { tick, per_minute });
            self.tempo = Some(per_minute);
        }
    }
}

/// Plays one part.
#[derive(Default)]
struct Player {
    /// Notes by program and whether they are drums.
    tracks: BTreeMap<(u8, bool), Vec<TickNote>>,
    /// Notes that go on where the next of their pitch begins, by pitch and end.
    tied: BTreeMap<(u8, u64), Vec<Tied>>,
    controls: Vec<Control>,
}

/// A note that goes on.
struct Tied {
    track: (u8, bool),
    index: usize,
    voice: usize,
}

impl Player {
    fn play(&mut self, measure: &Measure, at: u64) {
        for note in &measure.notes {
            self.note(note, (at as i64).saturating_add(note.onset).max(0) as u64);
        }
        let moved = measure.controls.iter().map(|&(tick, number, value)| (at.saturating_add(tick), number, value));
        self.controls.extend(moved.map(|(tick, number, value)| Control { tick, number, value }));
    }

    fn note(&mut self, note: &MeasureNote, onset: u64) {
        let key = (note.instrument.program, note.instrument.drums);
        let duration = note.duration.max(0) as u64;
        let end = onset + duration;
        let goes_on = self.tied_into(note, key, onset);
        let notes = self.tracks.entry(key).or_default();
        let index = match goes_on {
            Some(index) => {
                notes[index].duration += duration;
                index
            }
            None => {
                notes.push(TickNote { onset, pitch: note.pitch, duration, velocity: note.velocity });
                notes.len() - 1
            }
        };
        if note.tied_to {
            let others = self.tied.entry((note.pitch, end)).or_default();
            if others.len() < MOST_TIED {
                others.push(Tied { track: key, index, voice: note.voice });
            }
        }
    }

    /// The note that this one goes on: its own voice's, even where it does not say so, for many files write only where
    /// a tie begins; or another voice's, where it does.
    fn tied_into(&mut self, note: &MeasureNote, track: (u8, bool), onset: u64) -> Option<usize> {
        let tied = self.tied.get_mut(&(note.pitch, onset))?;
        let own = tied.iter().position(|tied| tied.track == track && tied.voice == note.voice);
        let found = own.or_else(|| tied.iter().position(|tied| tied.track == track && note.tied_from))?;
        Some(tied.swap_remove(found).index)
    }
}
