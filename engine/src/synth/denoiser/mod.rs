//! Denoisers: networks that predict v of the residual, by the manifest's `[[synth.denoiser]]`.
//!
//! All have one interface: told once per segment what does not change from step to step, then asked at one level after the
//! other. Which of them plays is told by `offline` and `live` of the manifest's `[synth]`. One whose files are missing,
//! damaged or of the wrong shape is not offered, and says why when it is asked for. Where a student plays that was distilled
//! for a few steps, the teacher is there for those who ask for more.

mod encoded;
mod offered;
mod opened;
mod rows;
mod shape;
mod single;

pub use offered::{DenoiserInfo, Occasion};
pub(super) use offered::{open, whole};
pub(super) use opened::Opened;
pub(super) use rows::{Parts, Rows};

use super::SynthError;

/// What predicts v.
pub(super) trait Denoiser: Send {
    /// Hears what all steps of a segment share.
    fn begin(&mut self, rows: &Rows) -> Result<(), SynthError>;

    /// v of every row, `[rows, frames, MEL]`, where x, as long, is at a diffusion time. The rows are those it began with.
    fn predict(&mut self, rows: &Rows, x: &[f32], time: f32, v: &mut Vec<f32>) -> Result<(), SynthError>;
}
