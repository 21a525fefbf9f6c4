//! The composer: a multitrack transformer that goes on from what was played, event by event.
//!
//! A song is a sequence of [`Event`]s (Dong et al., Multitrack Music Transformer, ICASSP 2023): its instruments, then its
//! notes in order. [`Vocabulary`] says what their codes mean, [`encoding`] turns notes into events and back, [`Network`]
//! says what may come next, [`Course`] what is allowed to, within the [`Limits`] a musician sets, and [`Sampler`] chooses.
//! [`Composition`] puts them together. The same seed and the same notes give the same music.
//!
//! Everything here runs on a worker: a step allocates and takes about a millisecond.

mod composition;
mod course;
pub mod encoding;
pub mod evaluation;
mod event;
mod heads;
mod limits;
pub mod live;
mod mask;
mod matrix;
mod network;
pub mod piece;
mod sampler;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use composition::{Composition, Step};
pub use course::Course;
pub use event::{Event, FIELDS, Field, Kind};
pub use limits::{Limits, PartLimit};
pub use mask::Mask;
pub use network::{Network, Predictor, log_probability};
pub use piece::ComposeError;
pub use sampler::{Sampler, sample};
pub use vocabulary::{Instrument, Vocabulary};
