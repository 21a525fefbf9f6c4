//! Pictures of music, a part-coloured piano roll and a spectrogram with the notes drawn over it, of a
//! performance's card, and of how a long run went, as PNG files; and such files read back.
//!
//! Promises a picture for any notes and any sound, also for none; a file that cannot be written gives a [`DrawError`]
//! whose text is a sentence. Runs wherever it is called, for tens of milliseconds; never on the audio thread.

mod bars;
mod canvas;
mod card;
mod picture;
mod roll;
mod spectrogram;

pub use bars::{Bars, bars};
pub use canvas::DrawError;
pub use card::card;
pub use picture::Picture;
pub use roll::{piano_roll, piano_rolls};
pub use spectrogram::spectrogram;

use crate::score::Note;

/// What has no colour of its own.
const GREY: [u8; 3] = [0x8a, 0x93, 0x9e];

/// One part as it is drawn.
#[derive(Debug, Clone, Copy)]
pub struct DrawnPart<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Red, green, blue of its notes.
    pub colour: [u8; 3],
    /// Its notes; one that never ends is drawn to the end of the picture.
    pub notes: &'a [Note],
}
