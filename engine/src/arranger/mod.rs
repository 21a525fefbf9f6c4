//! Who plays what: the notes of one keyboard given out among the parts of an ensemble.
//!
//! Promises that every note gets one part at once, from what was heard so far and never from the future, or none while
//! every part is off; that a note-off goes where its note-on went; and that the same notes at the same beats always go
//! to the same parts. When a network is missing or cannot run, the ensemble's next one
//! or the ranges give out the notes, and whoever asks is told.
//! Runs on the conductor thread, or on the one thread of an offline render; allocates, so never on the audio thread.
//!
//! [`Arranger`] follows somebody who plays; [`WholePiece`] hears a piece to its end first; [`evaluation`] measures both.

mod assignment;
mod context;
mod ensemble;
pub mod evaluation;
mod habits;
mod held;
mod hints;
mod history;
mod library;
mod method;
mod network;
pub mod performance;
mod piece;
mod rules;
mod separator;
mod voices;
mod whole;

pub use ensemble::{Ensemble, EnsembleError, EnsemblePart};
pub use hints::Hints;
pub use library::user_folder;
pub use method::Method;
pub use piece::PieceNote;
pub use separator::{Arranger, ArrangerError, Instead};
pub use whole::WholePiece;
