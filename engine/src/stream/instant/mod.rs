//! The instant voice: single notes that the models rendered beforehand, played in the same block as the key.
//!
//! [`table`] says which, [`cache`] keeps them on disk, [`note`] prepares them on the synth worker, each as two endless
//! [`sound`]s; [`voices`] plays them on the audio thread, where nothing is allocated or freed: the worker keeps a reference to
//! every note for as long as a voice may hold one.

mod cache;
mod note;
mod sound;
mod table;
mod voices;

pub(super) use cache::{CachedNote, NoteCache, as_kept};
pub(super) use note::TableNote;
pub(super) use table::{HELD_SECONDS, NOTE_SECONDS, NotePlan, plan};
pub(super) use voices::{Parts, Sounding, Voices};
