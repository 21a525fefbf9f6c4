//! Streaming: from the host's notes to the host's buffers, without ever making the host wait.
//!
//! [`Engine::start`] returns at once with one value per thread: [`AudioSide`] for the audio thread,
//! [`Control`] for the main thread, [`Telemetry`] for the editor, and [`Workers`], which owns the three
//! threads behind them (conductor, composer and synth) and ends them when it is dropped.
//!
//! What it promises:
//! * [`AudioSide::process`] never allocates, locks, logs, panics, or (unless the host bounces) waits.
//! * In [`Mode::Sync`] a note at host sample `t` sounds at `t + latency_samples(..)`, always: audio that is
//!   late is dropped and counted, never delayed, and what is held sounds on without it, if its part has single notes by
//!   then. In [`Mode::Live`] it sounds in the same block, at its offset.
//! * Offline, the same notes give the same bytes, whatever the block size, and the composer the same notes.
//! * Without ONNX Runtime or without models the engine runs, silent, and [`Telemetry::status`] says what to do.
//!
//! Live plays the *instant voice* at once (single notes that the same models rendered when the performance was loaded) and
//! fades each note into a short passage that knows its context, as soon as that is rendered. Sync plays segments, and the
//! instant voice only where one is late or could not be rendered.

mod audio;
mod cells;
mod clock;
mod composed;
mod composer_worker;
mod conductor;
mod control;
mod engine;
mod fade;
mod faults;
mod held;
mod instant;
mod live;
mod loading;
mod message;
mod pace;
mod player;
mod pool;
mod report;
pub(crate) mod resample;
mod synth_worker;
mod tail;
mod telemetry;
#[cfg(test)]
mod tests;
mod understudy;
mod window;

/// What `cells` is made of; its test under loom has loom's here.
mod atomic {
    pub use std::sync::atomic::{AtomicU64, Ordering};
}

pub use crate::synth::MAX_PARTS;
pub use audio::{AudioSide, Event, EventKind, MidiOut, Transport};
pub use clock::{Mode, latency_samples};
pub use control::{Control, Settings};
pub use engine::{Engine, EngineConfig, Workers};
pub use fade::smooth;
pub use faults::Faults;
pub use telemetry::{PlannedRoll, RollEvent, Status, StatusKind, Telemetry};
