//! The synthesizer: notes and a performance in, the sound of its players in its room out, segment by segment.
//!
//! Promises that the same requests in the same order give the same bytes, and that consecutive segments join without
//! a seam: the overlap is blended in the predicted clean mel at every step, and the mel is vocoded as if whole. When a model fails
//! it returns a [`SynthError`] and its state stays usable. Runs on the synth worker, never on the audio thread.

mod catalogue;
mod decay;
mod denoiser;
pub mod evaluation;
mod excitation;
mod guidance;
mod levels;
pub mod mel;
pub(crate) mod noise;
mod passage;
mod rates;
mod roll;
mod sampler;
mod sampling;
mod schedule;
mod segment;
mod stft;
mod vocoder;
mod vocoding;

pub use catalogue::{Catalogue, Instrument, Performance};
pub use denoiser::{DenoiserInfo, Occasion};
pub use excitation::Origins;
pub use guidance::Guidance;
pub use passage::{PassageAudio, PassagePart, PassageRequest};
pub use rates::{
    BINS, CONTEXT_FRAMES, FRAMES_PER_SECOND, HOP, HOP_FRAMES, KEYS, LOW_KEY, MAX_PARTS, MEL, OVERLAP_FRAMES,
    SAMPLE_RATE, WINDOW,
};
pub use roll::{NoteRoll, PLANES, fold_pitch};
pub use sampler::{SamplerKind, Sampling, Start};
pub use segment::{
    PartAudio, PartInput, SegmentCost, SegmentRequest, StereoBuffer, SynthError, SynthState, Synthesizer,
};
pub use vocoder::{GAINS, Resynthesis, Voiced};
pub use vocoding::HELD_FRAMES;
