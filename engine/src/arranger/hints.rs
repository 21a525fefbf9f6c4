//! What the musician says about the parts: who plays, and how high.

use crate::stream::MAX_PARTS;

/// Hints for the parts of an ensemble, from high to low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// Whether a part plays; one that is off is given nothing, and one that comes on is expected to enter.
    pub on: [bool; MAX_PARTS],
    /// About which MIDI pitch a part plays on average, where the musician says so.
    pub pitch: [Option<u8>; MAX_PARTS],
}

impl Default for Hints {
    fn default() -> Self {
        Self { on: [true; MAX_PARTS], pitch: [None; MAX_PARTS] }
    }
}

impl Hints {
    /// One bit per part that plays.
    pub(super) fn open(&self) -> u8 {
        self.on.iter().enumerate().fold(0, |mask, (part, &on)| mask | u8::from(on) << part)
    }
}
