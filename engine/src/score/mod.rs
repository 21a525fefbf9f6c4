//! Scores: notes in time, read from and written to MIDI files.
//!
//! Pure values: nothing here knows of audio, models or threads. A file that cannot be read gives a [`ScoreError`] whose
//! text is a sentence with a way on; what had to be left out or mended is listed in [`Score::notices`].

pub mod midi;
mod pedal;
mod tempo;

pub use midi::ScoreError;
pub use tempo::TempoMap;

/// One note of one part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Seconds from the start of the stream.
    pub onset: f64,
    /// Seconds; the sustain pedal included; infinite while a live key is down.
    pub end: f64,
    /// MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
}

/// A note of a file, with its place in the music.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreNote {
    /// When and what.
    pub note: Note,
    /// Onset in quarter notes.
    pub beat: f64,
    /// Index into [`Score::tracks`].
    pub track: usize,
    /// MIDI channel, 0 to 15.
    pub channel: u8,
}

/// One track of a file that has notes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// Its name, or empty.
    pub name: String,
    /// General MIDI program, 0-based, of its first program change; 0 without one.
    pub program: u8,
}

/// A piece.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// Every note but drums, sorted by onset, then pitch.
    pub notes: Vec<ScoreNote>,
    /// Tracks with notes, in the file's order; the channels of a type 0 file.
    pub tracks: Vec<Track>,
    /// Seconds and beats.
    pub tempo: TempoMap,
    /// What was left out or mended, as sentences.
    pub notices: Vec<String>,
}

impl Score {
    /// When the last note ends, in seconds; 0 without notes.
    pub fn seconds(&self) -> f64 {
        self.notes.iter().map(|note| note.note.end).fold(0.0, f64::max)
    }
}
