//! MusPy's JSON, as `muspy` 0.5.0 saves and loads it (.json).
//!
//! What a score has no place for (lyrics, texts, beats, barlines) is passed over in reading; controllers are annotations
//! of the group "control_change", as MusPy itself keeps them. Nothing is kept of what is passed over, and of no list more
//! than its limit, so that a file takes a few times its own length of memory.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::limits::{self, MOST_NOTES, MOST_SIGNS};
use super::{Control, Format, Key, Meter, Score, ScoreError, Tempo, TickNote, Track};

/// Bytes of a file: a million notes take 70 each.
const MOST_BYTES: u64 = 128 << 20;
/// Ticks per quarter note.
const FINEST: u32 = 1 << 24;
/// The version of the layout, as MusPy writes it.
const SCHEMA: &str = "0.2";
/// Tracks: as many as a MIDI file can have.
const MOST_TRACKS: usize = 65_535;
const CONTROLS: &str = "control_change";
/// Velocity of a note that has none.
const DEFAULT_VELOCITY: u8 = 64;

#[derive(Serialize, Deserialize)]
struct Music {
    #[serde(default)]
    metadata: Metadata,
    resolution: u32,
    #[serde(default, deserialize_with = "few::<_, _, MOST_SIGNS>")]
    tempos: Vec<MusicTempo>,
    #[serde(default, deserialize_with = "few::<_, _, MOST_SIGNS>")]
    key_signatures: Vec<MusicKey>,
    #[serde(default, deserialize_with = "few::<_, _, MOST_SIGNS>")]
    time_signatures: Vec<MusicMeter>,
    #[serde(default, deserialize_with = "few::<_, _, MOST_TRACKS>")]
    tracks: Vec<MusicTrack>,
}

#[derive(Default, Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    schema_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct MusicTempo {
    time: u64,
    qpm: f64,
}

#[derive(Serialize, Deserialize)]
struct MusicKey {
    time: u64,
    #[serde(default)]
    root: Option<u8>,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    fifths: Option<i8>,
}

#[derive(Serialize, Deserialize)]
struct MusicMeter {
    time: u64,
    numerator: u32,
    denominator: u32,
}

#[derive(Serialize, Deserialize)]
struct MusicTrack {
    #[serde(default)]
    program: u8,
    #[serde(default)]
    is_drum: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, deserialize_with = "few::<_, _, MOST_NOTES>")]
    notes: Vec<MusicNote>,
    #[serde(default, skip_serializing, deserialize_with = "few::<_, _, MOST_NOTES>")]
    chords: Vec<MusicChord>,
    #[serde(default, deserialize_with = "few::<_, _, MOST_SIGNS>")]
    annotations: Vec<Annotation>,
}

#[derive(Serialize, Deserialize)]
struct MusicNote {
    time: u64,
    pitch: u8,
    duration: u64,
    #[serde(default)]
    velocity: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct MusicChord {
    time: u64,
    #[serde(deserialize_with = "few::<_, _, MOST_NOTES>")]
    pitches: Vec<u8>,
    duration: u64,
    #[serde(default)]
    velocity: Option<u8>,
}

#[derive(Serialize, Deserialize)]
struct Annotation {
    time: u64,
    annotation: Moved,
    #[serde(default)]
    group: Option<String>,
}

/// The number and the value of a controller that is moved, where an annotation says them.
#[derive(Default, Serialize)]
struct Moved {
    /// What it is by itself, if that is a number of MIDI's: 0 to 127.
    #[serde(skip)]
    itself: Option<u8>,
    number: Option<u8>,
    value: Option<u8>,
}

impl<'de> Deserialize<'de> for Moved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MovedVisitor)
    }
}

/// Looks for a number and a value in anything, and keeps nothing else of it.
struct MovedVisitor;

impl<'de> Visitor<'de> for MovedVisitor {
    type Value = Moved;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an annotation")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Moved, E> {
        Ok(Moved { itself: u8::try_from(number).ok().filter(|number| *number < 128), ..Moved::default() })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Moved, E> {
        Ok(Moved::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Moved, E> {
        Ok(Moved::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Moved, E> {
        Ok(Moved::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Moved, E> {
        Ok(Moved::default())
    }

    fn visit_unit<E>(self) -> Result<Moved, E> {
        Ok(Moved::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Moved, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Moved::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Moved, A::Error> {
        let mut moved = Moved::default();
        while let Some(name) = map.next_key::<Said>()? {
            match name {
                Said::Number => moved.number = map.next_value::<Moved>()?.itself,
                Said::Value => moved.value = map.next_value::<Moved>()?.itself,
                Said::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(moved)
    }
}

/// What an annotation says of a controller.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Said {
    Number,
    Value,
    #[serde(other)]
    Other,
}

/// A list, of which no more is kept than one entry beyond `MOST`: enough to tell that it is too long.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() <= MOST {
                match list.next_element()? {
                    Some(entry) => kept.push(entry),
                    None => return Ok(kept),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }

    deserializer.deserialize_seq(Few::<T, MOST>(PhantomData))
}

/// Reads a MusPy file.
pub fn read(path: &Path) -> Result<Score, ScoreError> {
    read_bytes(&limits::load(path, MOST_BYTES)?, path)
}

/// Reads the bytes of a MusPy file; `path` only names it in errors.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Score, ScoreError> {
    if bytes.is_empty() {
        return Err(ScoreError::Empty { path: path.into() });
    }
    let malformed = |reason: String| ScoreError::malformed(path, Format::MusPy, reason);
    let music: Music = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if !(1..=FINEST).contains(&music.resolution) {
        return Err(malformed(format!("its resolution is {}", music.resolution)));
    }
    let too_many = |most: usize, what: &str| Err(ScoreError::too_large(path, format!("more than {most} {what}")));
    if music.tracks.len() > MOST_TRACKS {
        return too_many(MOST_TRACKS, "tracks");
    }
    let mut signs = music.tempos.len() + music.key_signatures.len() + music.time_signatures.len();
    let mut score = Score {
        title: limits::name(&music.metadata.title.unwrap_or_default()),
        resolution: music.resolution,
        tempi: music.tempos.iter().map(|tempo| Tempo { tick: tempo.time, per_minute: tempo.qpm }).collect(),
        keys: music.key_signatures.iter().filter_map(key).collect(),
        meters: music.time_signatures.iter().map(meter).collect(),
        ..Score::default()
    };
    let mut notes = 0;
    for track in music.tracks {
        notes += track.notes.len() + track.chords.iter().map(|chord| chord.pitches.len()).sum::<usize>();
        if notes > MOST_NOTES {
            return too_many(MOST_NOTES, "notes");
        }
        signs += track.annotations.len();
        if signs > MOST_SIGNS {
            return too_many(MOST_SIGNS, "signs and annotations");
        }
        score.tracks.push(self::track(track).map_err(malformed)?);
    }
    limits::checked(score, path)
}

fn meter(meter: &MusicMeter) -> Meter {
    Meter { tick: meter.time, numerator: meter.numerator, denominator: meter.denominator }
}

/// By its fifths, or else by its root: the signature with fewer signs.
fn key(key: &MusicKey) -> Option<Key> {
    let minor = key.mode.as_deref() == Some("minor");
    let by_root = |root: u8| Key::on(root, minor).fifths;
    Some(Key { tick: key.time, fifths: key.fifths.or_else(|| key.root.map(by_root))?, minor })
}

fn track(track: MusicTrack) -> Result<Track, String> {
    let mut notes = Vec::with_capacity(track.notes.len());
    let mut push = |onset: u64, pitch: u8, duration: u64, velocity: Option<u8>| {
        let velocity = velocity.unwrap_or(DEFAULT_VELOCITY);
        if pitch > 127 || velocity > 127 {
            return Err(format!("a note has pitch {pitch} and velocity {velocity}; both are at most 127"));
        }
        if onset.checked_add(duration).is_none_or(|end| end > i64::MAX as u64) {
            return Err("a note never ends".to_owned());
        }
        notes.push(TickNote { onset, pitch, duration, velocity });
        Ok(())
    };
    for note in track.notes {
        push(note.time, note.pitch, note.duration, note.velocity)?;
    }
    for chord in track.chords {
        for pitch in chord.pitches {
            push(chord.time, pitch, chord.duration, chord.velocity)?;
        }
    }
    Ok(Track {
        name: limits::name(&track.name.unwrap_or_default()),
        program: track.program.min(127),
        drums: track.is_drum,
        channel: None,
        notes,
        controls: track.annotations.iter().filter_map(control).collect(),
    })
}

fn control(annotation: &Annotation) -> Option<Control> {
    annotation.group.as_deref().filter(|group| *group == CONTROLS)?;
    Some(Control { tick: annotation.time, number: annotation.annotation.number?, value: annotation.annotation.value? })
}

/// Writes a MusPy file.
pub fn write(path: &Path, score: &Score) -> Result<(), ScoreError> {
    std::fs::write(path, write_bytes(score)).map_err(|error| ScoreError::unwritable(path, &error))
}

/// The text of a MusPy file.
pub fn write_bytes(score: &Score) -> String {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let music = Music {
        metadata: Metadata { schema_version: SCHEMA.into(), title: some(&score.title) },
        resolution: score.resolution,
        tempos: score.tempi.iter().map(|tempo| MusicTempo { time: tempo.tick, qpm: tempo.per_minute }).collect(),
        key_signatures: score.keys.iter().map(written_key).collect(),
        time_signatures: score
            .meters
            .iter()
            .map(|m| MusicMeter { time: m.tick, numerator: m.numerator, denominator: m.denominator })
            .collect(),
        tracks: score
            .tracks
            .iter()
            .map(|track| MusicTrack {
                program: track.program,
                is_drum: track.drums,
                name: some(&track.name),
                notes: track.notes.iter().map(written_note).collect(),
                chords: Vec::new(),
                annotations: track.controls.iter().map(written_control).collect(),
            })
            .collect(),
    };
    // Only maps whose keys are no text cannot be written, and there are none here.
    serde_json::to_string(&music).unwrap_or_default()
}

fn written_key(key: &Key) -> MusicKey {
    let mode = if key.minor { "minor" } else { "major" };
    MusicKey { time: key.tick, root: Some(key.tonic()), mode: Some(mode.into()), fifths: Some(key.fifths) }
}

fn written_note(note: &TickNote) -> MusicNote {
    MusicNote { time: note.onset, pitch: note.pitch, duration: note.duration, velocity: Some(note.velocity) }
}

fn written_control(control: &Control) -> Annotation {
    let annotation = Moved { number: Some(control.number), value: Some(control.value), ..Moved::default() };
    Annotation { time: control.tick, annotation, group: Some(CONTROLS.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Score, ScoreError> {
        read_bytes(text.as_bytes(), Path::new("a.json"))
    }

    #[test]
    fn roots_are_the_signatures_with_fewer_signs() {
        let fifths = |root, mode: &str| {
            let key_ = MusicKey { time: 0, root: Some(root), mode: Some(mode.into()), fifths: None };
            key(&key_).map(|key| key.fifths)
        };
        assert_eq!(
            [fifths(0, "major"), fifths(9, "minor"), fifths(10, "major"), fifths(6, "major")],
            [Some(0), Some(0), Some(-2), Some(6)]
        );
        for fifths in -5..=6 {
            for minor in [false, true] {
                let expected = Key { tick: 3, fifths, minor };
                let written = MusicKey { fifths: None, ..written_key(&expected) };
                assert_eq!(key(&written), Some(expected));
            }
        }
    }

    #[test]
    fn chords_are_notes_and_what_has_no_place_is_passed_over() {
        let score = read(
            r#"{"metadata": {"schema_version": "0.2"}, "resolution": 24, "beats": [{"time": 0}], "tracks": [{"program": 0,
            "is_drum": false, "notes": [], "lyrics": [{"time": 0, "lyric": "la"}],
            "chords": [{"time": 1, "pitches": [60, 64], "duration": 2, "velocity": 9}],
            "annotations": [{"time": 5, "annotation": "dolce"},
            {"time": 6, "annotation": {"number": 64, "value": 127}, "group": "control_change"}]}]}"#,
        )
        .unwrap();
        let track = &score.tracks[0];
        assert_eq!(
            track.notes.iter().map(|n| (n.onset, n.pitch, n.velocity)).collect::<Vec<_>>(),
            [(1, 60, 9), (1, 64, 9)]
        );
        assert_eq!(track.controls, [Control { tick: 6, number: 64, value: 127 }]);
    }

    #[test]
    fn an_annotation_may_be_anything_and_moves_a_controller_where_it_says_which_and_where_to() {
        let controls = |annotation: &str| {
            let text = format!(
                r#"{{"resolution": 24, "tracks": [{{"notes": [{{"time": 0, "pitch": 60, "duration": 24}}], "annotations": [
                {{"time": 3, "annotation": {annotation}, "group": "control_change"}}]}}]}}"#
            );
            read(&text).unwrap().tracks[0].controls.clone()
        };
        let moved = [Control { tick: 3, number: 64, value: 5 }];
        for said in [
            r#"{"number": 64, "value": 5}"#,
            r#"{"value": 5, "more": [[{"number": 1}], null, "a", 1.5], "number": 64}"#,
            r#"{"number": 1, "number": 64, "value": 5}"#,
        ] {
            assert_eq!(controls(said), moved, "{said}");
        }
        for said in [
            "null",
            "true",
            "7",
            "-7",
            "0.5",
            "\"dolce\"",
            "[64, 5]",
            "{}",
            r#"{"number": 64}"#,
            r#"{"number": 128, "value": 5}"#,
            r#"{"number": -1, "value": 5}"#,
            r#"{"number": "64", "value": [5]}"#,
        ] {
            assert_eq!(controls(said), [], "{said}");
        }
    }

    #[test]
    fn lists_without_measure_are_refused() {
        let refused = |text: &str| matches!(read(text), Err(ScoreError::TooLarge { .. }));
        let list = |entry: &str, count: usize| vec![entry; count].join(",");
        let tracks = |inside: &str| format!(r#"{{"resolution": 24, "tracks": [{inside}]}}"#);
        assert!(refused(&tracks(&list("{}", MOST_TRACKS + 1))));
        // A chord is as many notes as it has pitches.
        let chord = format!(r#"{{"chords": [{{"time": 0, "duration": 1, "pitches": [{}]}}]}}"#, list("60", 300_000));
        assert!(refused(&tracks(&list(&chord, 4))));
        let signs = list(r#"{"time":0,"qpm":60}"#, MOST_SIGNS + 1);
        let note = r#"{"notes": [{"time": 0, "pitch": 60, "duration": 24}]}"#;
        assert!(refused(&format!(r#"{{"resolution": 24, "tempos": [{signs}], "tracks": [{note}]}}"#)));
    }

    #[test]
    fn a_pedal_that_is_never_lifted_or_after_a_million_years_holds_no_note_for_ever() {
        for (number, value) in [(64, 0), (1, 0)] {
            let score = read(&format!(
                r#"{{"resolution": 24, "tracks": [{{"notes": [{{"time": 0, "pitch": 60, "duration": 24}}], "annotations": [
                {{"time": 0, "annotation": {{"number": 64, "value": 127}}, "group": "control_change"}},
                {{"time": 1152921504606846976, "annotation": {{"number": {number}, "value": {value}}},
                "group": "control_change"}}]}}]}}"#
            ));
            assert_eq!(crate::score::Playback::of(&score.unwrap()).seconds(), 0.5);
        }
    }

    #[test]
    fn what_is_no_music_is_told() {
        for text in [
            "{}",
            "[]",
            "{\"resolution\": 0}",
            "{\"resolution\": 24}",
            "{\"resolution\": 24, \"tracks\": [{\"notes\":
            [{\"time\": 0, \"pitch\": 128, \"duration\": 1}]}]}",
            "{\"resolution\": 24, \"tracks\": [{\"notes\":
            [{\"time\": 18446744073709551615, \"pitch\": 12, \"duration\": 1}]}]}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        // Deeper than any music, and than a stack.
        assert!(read(&"[".repeat(1_000_000)).is_err());
    }
}
