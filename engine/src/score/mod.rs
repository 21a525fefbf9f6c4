//! Scores: notes in time.

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
