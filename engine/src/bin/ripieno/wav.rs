//! 24-bit WAV files that exist whole or not at all.

use std::path::{Path, PathBuf};

use ripieno_engine::synth::{SAMPLE_RATE, StereoBuffer};

use crate::Failure;

/// Full scale of 24 bits.
const FULL_SCALE: f32 = 8_388_607.0;

/// Where a file is written until it is whole.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    path.with_file_name(name)
}

/// Writes stereo audio at 48 kHz; a failure leaves no file.
pub fn write(path: &Path, audio: &StereoBuffer) -> Result<(), Failure> {
    let part = unfinished(path);
    let written = write_to(&part, audio).and_then(|()| std::fs::rename(&part, path).map_err(Into::into));
    written.map_err(|error| {
        // It may not exist; the sentence about the first failure is the one that helps.
        let _ = std::fs::remove_file(&part);
        format!("{} cannot be written: {error}. Choose a folder you may write to.", path.display()).into()
    })
}

fn write_to(path: &Path, audio: &StereoBuffer) -> Result<(), Failure> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 24,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for (&left, &right) in audio.left.iter().zip(&audio.right) {
        for sample in [left, right] {
            writer.write_sample((sample.clamp(-1.0, 1.0) * FULL_SCALE).round() as i32)?;
        }
    }
    writer.finalize()?;
    Ok(())
}
