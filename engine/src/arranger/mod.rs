//! Who plays what: the notes of one keyboard given out among the parts of an ensemble, while they are played.
//!
//! Promises that every note gets a part at once, from what was heard so far and never from the future; that a note-off
//! goes where its note-on went; and that the same notes at the same beats always go to the same parts. When the network
//! cannot run, notes are given out by range and the fault is kept for whoever asks.
//! Runs on the conductor thread, or on the one thread of an offline render; allocates, so never on the audio thread.

mod assignment;
mod ensemble;
mod held;
mod lstm;
mod separator;

pub use ensemble::{Ensemble, EnsembleError, EnsemblePart, Separation};
pub use separator::{Arranger, ArrangerError};
