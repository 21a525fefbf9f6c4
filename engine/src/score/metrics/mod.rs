//! Figures of a piece as MusPy 0.5.0 defines them, to 1e-9: pitches, polyphony, scales, beats, grooves and drums.
//!
//! Each is a function of a [`Score`] and nothing where MusPy says NaN. Times count in the score's own ticks, so a piece at
//! another resolution may have other figures. Memory and time grow with the number of notes alone.

mod pitch;
mod polyphony;
mod rhythm;

use super::{Key, Score, TickNote};

pub use pitch::{
    best_scale, pitch_class_entropy, pitch_classes_used, pitch_entropy, pitch_in_scale_rate, pitch_range, pitches_used,
    scale_consistency,
};
pub use polyphony::{polyphony, polyphony_rate};
pub use rhythm::{
    Pulse, drum_in_pattern_rate, drum_pattern_consistency, empty_beat_rate, empty_measure_rate, groove_consistency,
};

/// When the last thing happens, in ticks: MusPy counts controllers too.
fn length(score: &Score) -> u64 {
    let controls = score.tracks.iter().flat_map(|track| &track.controls).map(|control| control.tick).max();
    score.end().max(controls.unwrap_or(0))
}

fn pitched(score: &Score) -> impl Iterator<Item = &TickNote> {
    score.tracks.iter().filter(|track| !track.drums).flat_map(|track| &track.notes)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
