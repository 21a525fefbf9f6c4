//! Voices: what sounds at once in a track, taken apart for writing it down.

use super::{TickNote, Track};

/// Voices of a track: notes that sound at once but do not begin and end together.
const MOST_VOICES: usize = 256;

/// Notes of one voice that begin and end together.
pub struct Chord {
    /// First tick.
    pub start: u64,
    /// First tick after it.
    pub end: u64,
    /// Pitches and velocities.
    pub notes: Vec<(u8, u8)>,
}

/// The notes of a track in as few voices as they need; nothing where those are too many.
pub fn voices(track: &Track) -> Option<Vec<Vec<Chord>>> {
    // A note of no length is written a tick long.
    let mut notes: Vec<(u64, u64, &TickNote)> =
        track.notes.iter().map(|note| (note.onset, note.end().max(note.onset + 1), note)).collect();
    notes.sort_by_key(|&(start, end, note)| (start, std::cmp::Reverse(end), note.pitch));
    let mut voices: Vec<Vec<Chord>> = Vec::new();
    for (start, end, note) in notes {
        let joins =
            |chord: &Chord| (chord.start, chord.end) == (start, end) && !chord.notes.iter().any(|n| n.0 == note.pitch);
        let ends = |voice: &Vec<Chord>| voice.last().is_none_or(|chord| chord.end <= start);
        let sounds = (note.pitch, note.velocity);
        if let Some(chord) = voices.iter_mut().filter_map(|voice| voice.last_mut()).find(|chord| joins(chord)) {
            chord.notes.push(sounds);
            continue;
        }
        let chord = Chord { start, end, notes: vec![sounds] };
        match voices.iter().position(ends) {
            Some(voice) => voices[voice].push(chord),
            None if voices.len() < MOST_VOICES => voices.push(vec![chord]),
            None => return None,
        }
    }
    Some(voices)
}
