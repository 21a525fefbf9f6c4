//! Notes to events and back.

use std::collections::BTreeSet;

use super::event::{Event, Field, Kind};
use super::vocabulary::Vocabulary;
use crate::score::{Score, TickNote, Track};

/// Velocity of notes that nobody played: events have none.
pub const VELOCITY: u8 = 64;

/// A note of a song, at the vocabulary's resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SongNote {
    /// Ticks.
    pub onset: u64,
    /// MIDI pitch.
    pub pitch: u8,
    /// Ticks.
    pub duration: u64,
    /// Code of the instrument.
    pub instrument: u16,
}

/// The pitched notes of a score, sorted; those of programs that have no instrument are left out.
pub fn notes(score: &Score, vocabulary: &Vocabulary) -> Vec<SongNote> {
    let (from, to) = (u64::from(score.resolution.max(1)), vocabulary.resolution());
    // Onset and length are rounded each for itself, as in training.
    let scaled = |ticks: u64| ticks.saturating_mul(to).saturating_add(from / 2) / from;
    let mut notes: Vec<SongNote> = Vec::new();
    for track in score.tracks.iter().filter(|track| !track.drums) {
        let instrument = vocabulary.instrument_code(track.program);
        if instrument > 0 {
            notes.extend(track.notes.iter().map(|note| SongNote {
                onset: scaled(note.onset),
                pitch: note.pitch & 0x7f,
                duration: scaled(note.duration),
                instrument,
            }));
        }
    }
    notes.sort_unstable();
    notes
}

/// The event of a note that begins within the longest song.
pub fn event(note: &SongNote, vocabulary: &Vocabulary) -> Option<Event> {
    let (beat, position) = (note.onset / vocabulary.resolution(), note.onset % vocabulary.resolution());
    let codes = [
        Kind::Note.code(),
        beat as u16 + 1,
        position as u16 + 1,
        u16::from(note.pitch) + 1,
        vocabulary.duration_code(note.duration),
        note.instrument,
    ];
    (beat < vocabulary.beats() && note.instrument > 0).then_some(Event(codes))
}

/// The note of a note's event.
pub fn note(event: &Event, vocabulary: &Vocabulary) -> Option<SongNote> {
    let [kind, beat, position, pitch, duration, instrument] = event.0;
    let defined = beat > 0 && position > 0 && (1..=128).contains(&pitch) && duration > 0 && instrument > 0;
    (kind == Kind::Note.code() && defined).then(|| SongNote {
        onset: u64::from(beat - 1) * vocabulary.resolution() + u64::from(position - 1),
        pitch: (pitch - 1) as u8,
        duration: vocabulary.duration(duration),
        instrument,
    })
}

/// Events of notes, sorted, each once; notes after the longest song are left out.
pub fn events(notes: &[SongNote], vocabulary: &Vocabulary) -> Vec<Event> {
    let all: BTreeSet<Event> = notes.iter().filter_map(|note| event(note, vocabulary)).collect();
    all.into_iter().collect()
}

/// What comes before the notes of a song: its start, its instruments sorted by code, the start of its notes.
pub fn head(instruments: impl IntoIterator<Item = u16>) -> Vec<Event> {
    let instruments: BTreeSet<u16> = instruments.into_iter().collect();
    let mut head = vec![Event::sign(Kind::Song)];
    head.extend(instruments.into_iter().map(Event::instrument));
    head.push(Event::sign(Kind::Notes));
    head
}

/// A whole song: head, notes and, if it has `ended`, its end.
pub fn song(notes: &[Event], ended: bool) -> Vec<Event> {
    let mut song = head(notes.iter().map(|event| event.get(Field::Instrument)));
    song.extend_from_slice(notes);
    song.extend(ended.then(|| Event::sign(Kind::End)));
    song
}

/// A score of the notes among events, one track an instrument, by code.
pub fn score(events: &[Event], vocabulary: &Vocabulary) -> Score {
    let notes: Vec<SongNote> = events.iter().filter_map(|event| note(event, vocabulary)).collect();
    let mut score = Score { resolution: vocabulary.resolution() as u32, ..Score::default() };
    for (code, instrument) in (1..).zip(vocabulary.instruments()) {
        let own = notes.iter().filter(|note| note.instrument == code);
        let written = |note: &SongNote| TickNote {
            onset: note.onset,
            pitch: note.pitch,
            duration: note.duration,
            velocity: VELOCITY,
        };
        let (name, program) = (instrument.name.clone(), instrument.program);
        let track = Track { name, program, notes: own.map(written).collect(), ..Track::default() };
        score.tracks.extend((!track.notes.is_empty()).then_some(track));
    }
    score.sort();
    score
}
