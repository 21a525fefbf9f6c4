//! The instant voice: single notes that the models rendered beforehand, played in the same block as the key.
//!
//! [`cache`] keeps them on disk, [`table`] prepares the notes on the synth worker; [`voices`] plays them on the audio thread, where nothing is
//! allocated or freed: the worker keeps a reference to every note for as long as a voice may hold one.

mod cache;
mod table;
mod voices;

pub(super) use cache::{CachedNote, NoteCache};
pub(super) use table::{HELD_SECONDS, NOTE_SECONDS, NotePlan, TableNote, plan};
pub(super) use voices::{Parts, Sounding, Voices};
