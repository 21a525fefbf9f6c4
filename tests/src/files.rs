//! Where the tests find what was built, and sound files.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::performer::Stereo;

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A plug-in of the bundle: `Ripieno.clap` or `Ripieno.vst3`.
pub fn bundled(name: &str) -> Result<PathBuf> {
    let folder = env::var_os("RIPIENO_BUNDLED").map_or_else(|| root().join("target/bundled"), PathBuf::from);
    built(folder.join(name), "cargo xtask bundle")
}

/// The Python of the tests.
pub fn python() -> Result<PathBuf> {
    let python = env::var_os("RIPIENO_PYTHON").map_or_else(|| root().join("target/venv/bin/python"), PathBuf::from);
    built(python, "cargo xtask setup")
}

/// The `ripieno` command, built with the profile that this test was built with.
pub fn command_line() -> Result<PathBuf> {
    let test = env::current_exe()?;
    // target/debug/deps/test-0123456789abcdef
    let folder = test.parent().and_then(Path::parent).context("this test lies outside a target folder")?;
    built(folder.join(format!("ripieno{}", env::consts::EXE_SUFFIX)), "cargo build --package ripieno-engine")
}

fn built(path: PathBuf, command: &str) -> Result<PathBuf> {
    if path.exists() { Ok(path) } else { bail!("{} is missing; make it with: {command}", path.display()) }
}

/// An empty folder below `target/tests` for what one test writes; kept afterwards, to be listened to.
pub fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/tests").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Writes 32-bit float stereo.
pub fn write_wav(file: &Path, sample_rate: u32, audio: &Stereo) -> Result<()> {
    let spec =
        hound::WavSpec { channels: 2, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let failed = || format!("cannot write {}", file.display());
    let mut writer = hound::WavWriter::create(file, spec).with_context(failed)?;
    for (&left, &right) in audio.left.iter().zip(&audio.right) {
        writer.write_sample(left).with_context(failed)?;
        writer.write_sample(right).with_context(failed)?;
    }
    writer.finalize().with_context(failed)
}

/// Reads mono or stereo, integer or float; mono is heard on both sides. Returns the sample rate, too.
pub fn read_wav(file: &Path) -> Result<(u32, Stereo)> {
    let failed = || format!("cannot read {}", file.display());
    let mut reader = hound::WavReader::open(file).with_context(failed)?;
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().with_context(failed)?,
        hound::SampleFormat::Int => {
            let full = (1_i64 << (spec.bits_per_sample - 1)) as f32;
            let samples: Result<Vec<i32>, _> = reader.samples::<i32>().collect();
            samples.with_context(failed)?.into_iter().map(|sample| sample as f32 / full).collect()
        }
    };
    let channels = usize::from(spec.channels);
    let side = |channel: usize| samples.iter().skip(channel.min(channels - 1)).step_by(channels).copied().collect();
    Ok((spec.sample_rate, Stereo { left: side(0), right: side(1) }))
}
