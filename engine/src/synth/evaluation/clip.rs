//! Clips of the data renderer: a part's true sound and the notes it was rendered from, as NumPy's .npz.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use npyz::{Deserialize, NpyFile, Order};
use zip::ZipArchive;

use crate::score::Note;
use crate::synth::{HOP, SAMPLE_RATE, StereoBuffer};

/// One part of one performance.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Its file.
    pub path: PathBuf,
    /// Its sound at 48 kHz.
    pub audio: StereoBuffer,
    /// Its notes; time 0 is the first sample.
    pub notes: Vec<Note>,
    /// Stable name of the instrument.
    pub instrument: String,
    /// Stable name of the performance.
    pub performance: String,
}

/// Why a clip cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the clip {path} cannot be read: {reason}. Render it again with `python -m ripieno_training.render`.")]
pub struct ClipError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl Clip {
    /// Reads a clip, at most its first `seconds`, a whole number of frames.
    pub fn read(path: &Path, seconds: f64) -> Result<Self, ClipError> {
        Self::read_from(path, seconds).map_err(|reason| ClipError { path: path.to_path_buf(), reason })
    }

    fn read_from(path: &Path, seconds: f64) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
        let (samples, shape) = array::<i16>(&mut archive, "audio")?;
        let &[2, length] = &shape[..] else { return Err(format!("its audio has the shape {shape:?}")) };
        let most = (seconds * f64::from(SAMPLE_RATE)) as usize;
        let kept = (length as usize).min(most) / HOP * HOP;
        let [left, right] = [0, length as usize]
            .map(|from| samples[from..from + kept].iter().map(|&sample| f32::from(sample) / 32_768.0).collect());
        let (values, shape) = array::<f64>(&mut archive, "notes")?;
        if !matches!(shape[..], [_, 4]) {
            return Err(format!("its notes have the shape {shape:?}"));
        }
        let end = kept as f64 / f64::from(SAMPLE_RATE);
        let whole = |value: f64| (0.0..128.0).contains(&value).then_some(value as u8);
        let notes = values.chunks_exact(4).filter(|row| row[0] < end).map(|row| {
            let sound = row[0].is_finite() && row[1] > row[0];
            let (pitch, velocity) = (whole(row[2])?, whole(row[3])?);
            sound.then_some(Note { onset: row[0], end: row[1], pitch, velocity })
        });
        let notes = notes.collect::<Option<Vec<Note>>>().ok_or("one of its notes is none")?;
        let mut word = |name: &str| -> Result<String, String> {
            array::<String>(&mut archive, name)?.0.pop().ok_or_else(|| format!("its {name} is missing"))
        };
        let (instrument, performance) = (word("instrument")?, word("performance")?);
        let audio = StereoBuffer { left, right };
        Ok(Self { path: path.to_path_buf(), audio, notes, instrument, performance })
    }

    /// The clips below a folder, in it or in folders of it: the first of each folder, then the second of each, and so on,
    /// so that a few are of all performances.
    pub fn find(folder: &Path) -> Result<Vec<PathBuf>, ClipError> {
        let unreadable = |error: std::io::Error| ClipError { path: folder.to_path_buf(), reason: error.to_string() };
        let list = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
            let mut paths: Vec<PathBuf> =
                std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
            paths.sort();
            Ok(paths)
        };
        let is_clip = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "npz");
        let here = list(folder).map_err(unreadable)?;
        let mut folders = vec![here.iter().filter(|path| is_clip(path)).cloned().collect::<Vec<_>>()];
        for inner in here.iter().filter(|path| path.is_dir()) {
            folders.push(list(inner).map_err(unreadable)?.into_iter().filter(is_clip).collect());
        }
        let longest = folders.iter().map(Vec::len).max().unwrap_or(0);
        Ok((0..longest).flat_map(|i| folders.iter().filter_map(move |of| of.get(i)).cloned()).collect())
    }
}

/// A named array of an archive, row by row, and its shape.
fn array<T: Deserialize>(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<(Vec<T>, Vec<u64>), String> {
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|error| format!("{name}: {error}"))?;
    let array = NpyFile::new(entry).map_err(|error| format!("{name}: {error}"))?;
    let shape = array.shape().to_vec();
    if array.order() == Order::Fortran && shape.len() > 1 {
        return Err(format!("its {name} is stored column by column"));
    }
    Ok((array.into_vec().map_err(|error| format!("{name}: {error}"))?, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `numpy.savez`: 960 samples, left rising by 10, right falling by 10; two notes, the second at 15 ms.
    const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/clips/one/viola-0000.npz");

    #[test]
    fn a_clip_of_numpy_is_read_and_cut_to_whole_frames() {
        let clip = Clip::read(Path::new(CLIP), 10.0).unwrap();
        assert_eq!((clip.instrument.as_str(), clip.performance.as_str()), ("viola", "string-quartet-hall"));
        assert_eq!(
            (clip.audio.left.len(), clip.audio.left[3], clip.audio.right[3]),
            (960, 30.0 / 32_768.0, -30.0 / 32_768.0)
        );
        assert_eq!(clip.notes[0], Note { onset: 0.0, end: 0.5, pitch: 60, velocity: 90 });
        let short = Clip::read(Path::new(CLIP), 0.0149).unwrap();
        assert_eq!((short.audio.right.len(), short.notes.len(), clip.notes.len()), (480, 1, 2));
    }

    #[test]
    fn what_is_no_clip_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        std::fs::write(&path, b"no archive").unwrap();
        let said = Clip::read(&path, 1.0).unwrap_err().to_string();
        assert!(said.contains("a.npz cannot be read"), "{said}");
    }

    #[test]
    fn a_few_clips_are_of_all_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/1.npz", "a/2.npz", "b/1.npz", "b/1.features"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = Clip::find(folder.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/1.npz", "b/1.npz", "a/2.npz"]);
    }
}
