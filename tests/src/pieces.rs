//! What the tests play.

use crate::clap_host::Sent;
use crate::performer::{Note, Task};

/// Seconds before the first key: here silence is expected.
pub const LEAD_IN_S: f64 = 1.0;
/// The performance and ensemble of the tests, as the plug-in names them.
pub const PERFORMANCE: &str = "Strings in the hall";
/// See [`PERFORMANCE`].
pub const ENSEMBLE: &str = "String quartet";

/// Seconds from one key press to the next.
const BEAT_S: f64 = 1.2;
/// Keys are let go a little before the next are pressed.
const HELD_S: f64 = 1.1;

/// Keys that are pressed together, one beat after the other.
fn chords(chords: &[&[u8]]) -> Vec<Note> {
    let mut notes = Vec::new();
    for (index, keys) in chords.iter().enumerate() {
        let onset = LEAD_IN_S + BEAT_S * index as f64;
        notes.extend(keys.iter().map(|&key| Note { onset, end: onset + HELD_S, key, velocity: 100 }));
    }
    notes
}

/// One voice that a violin can play: leaps, so that no pitch can be taken for another.
pub fn melody() -> Vec<Note> {
    chords(&[&[67], &[72], &[64], &[76]])
}

/// Four voices, from high to low; no two share a key at any time.
pub fn cadence() -> Vec<Note> {
    chords(&[&[72, 67, 64, 48], &[72, 65, 57, 53], &[71, 67, 62, 55], &[72, 67, 64, 48]])
}

/// `notes`, played in Sync mode by [`PERFORMANCE`], with time for any latency and for the room to fall silent.
pub fn task(class: &str, notes: Vec<Note>, sample_rate: u32) -> Task {
    let last = notes.iter().map(|note| note.end).fold(0.0, f64::max);
    let parameters = [("Performance", PERFORMANCE), ("Ensemble", ENSEMBLE), ("Mode", "Sync")];
    Task {
        class: class.to_owned(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        notes,
        sample_rate,
        block: 512,
        seconds: last + 4.0,
    }
}

/// One piano, struck at times that are whole samples at every usual rate, played in Sync mode.
pub fn strokes(sample_rate: u32) -> Task {
    let note = |index: usize, key| {
        let onset = 0.5 + 0.5 * index as f64;
        Note { onset, end: onset + 0.25, key, velocity: 100 }
    };
    let notes = [60, 67, 64, 72, 55].into_iter().enumerate().map(|(index, key)| note(index, key)).collect();
    let parameters = [("Performance", "Concert grand"), ("Ensemble", "Solo"), ("Mode", "Sync")];
    Task {
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..task("Ripieno", notes, sample_rate)
    }
}

/// One note of the same piano, played in Live mode, with few enough steps that a table of single notes is soon there.
pub fn key(sample_rate: u32) -> Task {
    let notes = vec![Note { onset: 1.0, end: 1.4, key: 64, velocity: 100 }];
    let parameters = [("Performance", "Concert grand"), ("Ensemble", "Solo"), ("Mode", "Live"), ("Quality", "1")];
    Task {
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        seconds: 2.0,
        ..task("Ripieno", notes, sample_rate)
    }
}

/// The notes of each part, as the plug-in's MIDI output says: channel 0 is the first part.
///
/// An error says which note was given to no part, or to two.
pub fn voices(notes: &[Note], sent: &[Sent], parts: usize) -> Result<Vec<Vec<Note>>, String> {
    let mut voices = vec![Vec::new(); parts];
    let mut open: Vec<&Note> = notes.iter().collect();
    open.sort_by(|one, other| one.onset.total_cmp(&other.onset));
    for event in sent.iter().filter(|event| event.on) {
        let Some(index) = open.iter().position(|note| note.key == event.key) else {
            return Err(format!("key {} was sent on channel {} but was not played", event.key, event.channel + 1));
        };
        let Some(voice) = voices.get_mut(usize::from(event.channel)) else {
            return Err(format!(
                "key {} was sent on channel {}; there are {parts} parts",
                event.key,
                event.channel + 1
            ));
        };
        voice.push(*open.remove(index));
    }
    match open.first() {
        Some(note) => Err(format!("key {} at {:.2} s was given to no part", note.key, note.onset)),
        None => Ok(voices),
    }
}
