//! Scores: music as it is written, read from and written to files, played, and measured.
//!
//! Pure values: nothing here knows of audio, models or threads. A file that cannot be read gives a [`ScoreError`] whose
//! text is a sentence with a way on; what had to be left out or mended is listed in [`Score::notices`].

pub mod abc;
mod bars;
mod error;
mod format;
mod limits;
pub mod metrics;
pub mod midi;
pub mod musicxml;
pub mod muspy;
mod order;
mod pedal;
mod piece;
mod playback;
pub mod representation;
mod spelling;
mod tempo;
mod voices;

pub use error::ScoreError;
pub use format::Format;
pub use pedal::ControlsOf;
pub use piece::{Control, Key, Meter, Score, Tempo, TickNote, Track};
pub use playback::{Note, PartNotes, Playback, PlayedNote, PlayedTrack};
pub use tempo::TempoMap;
