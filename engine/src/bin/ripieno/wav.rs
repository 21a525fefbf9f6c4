//! 24-bit WAV files.

use std::path::Path;

use ripieno_engine::synth::StereoBuffer;

use crate::{Failure, whole};

/// Full scale of 24 bits.
const FULL_SCALE: f32 = 8_388_607.0;

/// Writes stereo audio at `rate` Hz; a failure leaves no file.
pub fn write(path: &Path, audio: &StereoBuffer, rate: u32) -> Result<(), Failure> {
    whole::write(path, |part| write_to(part, audio, rate).map_err(|error| whole::unwritable(path, &error)))
}

fn write_to(path: &Path, audio: &StereoBuffer, rate: u32) -> Result<(), hound::Error> {
    let spec =
        hound::WavSpec { channels: 2, sample_rate: rate, bits_per_sample: 24, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for (&left, &right) in audio.left.iter().zip(&audio.right) {
        for sample in [left, right] {
            writer.write_sample((sample.clamp(-1.0, 1.0) * FULL_SCALE).round() as i32)?;
        }
    }
    writer.finalize()
}
