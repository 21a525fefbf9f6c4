//! ONNX Runtime: finding and loading the library, verifying models against their manifest, running sessions.
//!
//! Promises that a model which runs is byte for byte the one its manifest describes, with the inputs and outputs it
//! lists; when it cannot, it returns an [`InferenceError`] whose text is a sentence for the musician.
//! Everything here runs on our own workers: a `run` allocates hundreds of times and must never meet the audio thread.

mod cached;
mod error;
pub mod locations;
mod manifest;
mod models;
mod runtime;
mod session;

pub use cached::CachedSession;
pub use error::InferenceError;
pub use locations::Locations;
pub use manifest::{
    ComposerEntry, DenoiserEntry, Dimension, InstrumentEntry, Manifest, ModelEntry, Rates, SynthEntry, TensorEntry,
};
pub use models::Models;
pub use runtime::Runtime;
pub use session::{Session, TensorView};
