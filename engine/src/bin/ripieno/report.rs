//! `--json`: what was rendered, in numbers.

use ebur128::{EbuR128, Mode};
use ripieno_engine::render::Rendering;
use ripieno_engine::synth::StereoBuffer;
use serde_json::{Value, json};

use crate::Failure;

/// The report of a rendering.
pub fn of(rendering: &Rendering) -> Result<Value, Failure> {
    let mix = &rendering.mix;
    let parts: Vec<Value> = rendering
        .stems
        .iter()
        .map(|stem| json!({ "name": stem.name, "instrument": stem.instrument, "notes": stem.notes.len() }))
        .collect();
    Ok(json!({
        "seconds": mix.left.len() as f64 / f64::from(rendering.rate),
        "sample_rate": rendering.rate,
        "real_time_factor": rendering.real_time_factor,
        "segments": rendering.segments,
        "peak_dbfs": peak_dbfs(mix),
        "loudness_lufs": loudness_lufs(mix, rendering.rate)?,
        "parts": parts,
        "notices": rendering.notices,
    }))
}

/// Largest sample of either channel, dB relative to full scale; null in silence.
fn peak_dbfs(audio: &StereoBuffer) -> Option<f64> {
    let peak = audio.left.iter().chain(&audio.right).fold(0.0f32, |peak, s| peak.max(s.abs()));
    (peak > 0.0).then(|| 20.0 * f64::from(peak).log10())
}

/// Integrated loudness (EBU R 128); null where there is too little sound to measure.
fn loudness_lufs(audio: &StereoBuffer, rate: u32) -> Result<Option<f64>, Failure> {
    let mut meter = EbuR128::new(2, rate, Mode::I)?;
    meter.add_frames_planar_f32(&[&audio.left, &audio.right])?;
    Ok(Some(meter.loudness_global()?).filter(|loudness| loudness.is_finite()))
}
