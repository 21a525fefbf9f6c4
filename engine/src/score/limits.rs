//! What no file may exceed, so that none costs more time or memory than a piece of music can.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Score, ScoreError};

/// Notes: an hour of the densest orchestra is a tenth of it.
pub const MOST_NOTES: usize = 1_000_000;
/// Tempi and controllers, repeats included: pedals moved a hundred times a second for three hours.
pub const MOST_SIGNS: usize = 1_000_000;
/// Bytes of a file: five million MIDI events, which take 200 MB while they are read.
pub const MOST_BYTES: u64 = 16 << 20;
/// Seconds: what a broken delta time claims is days.
pub const MOST_SECONDS: f64 = 6.0 * 3600.0;
/// Quarter notes: two days at 360 a minute.
pub const MOST_BEATS: f64 = 1e6;
/// Largest number in a meter.
const MOST_IN_METER: u32 = 1024;
/// Letters of a name that are kept.
pub const LONGEST_NAME: usize = 80;

/// Quarter notes after the end of the last note up to which controllers are moved.
const LONGEST_TAIL: u64 = 64;

/// The bytes of a file that has at most so many. What is no file (a device, a pipe) says nothing of its length and may
/// have no end, so it is refused.
pub fn load(path: &Path, most: u64) -> Result<Vec<u8>, ScoreError> {
    let unreadable = |error: std::io::Error| ScoreError::unreadable(path, &error);
    let too_large =
        |size: u64| ScoreError::too_large(path, format!("{} MB, and {} MB is the most", size >> 20, most >> 20));
    let said = std::fs::metadata(path).map_err(unreadable)?;
    if !said.is_file() {
        return Err(unreadable(std::io::Error::other("it is a folder, a device or a pipe")));
    }
    if said.len() > most {
        return Err(too_large(said.len()));
    }
    let mut bytes = Vec::with_capacity(said.len() as usize);
    // It may have grown since, and some systems' files say that they are empty.
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > most { Err(too_large(most + 1)) } else { Ok(bytes) }
}

/// What was played so far of a piece with repeats: counted before it takes memory.
#[derive(Default)]
pub struct Played {
    notes: usize,
    signs: usize,
}

impl Played {
    /// Counts the notes and the signs (tempi, controllers) of one more measure, or says which are too many.
    pub fn count(&mut self, notes: usize, signs: usize) -> Result<(), String> {
        self.notes += notes;
        self.signs += signs;
        if self.notes > MOST_NOTES {
            return Err(format!("with its repeats it has more than {MOST_NOTES} notes"));
        }
        if self.signs > MOST_SIGNS {
            return Err(format!("with its repeats it has more than {MOST_SIGNS} tempi and controllers"));
        }
        Ok(())
    }
}

/// What every reader ends with: notes in order, few and early enough, and signs that mean something.
pub fn checked(mut score: Score, path: &Path) -> Result<Score, ScoreError> {
    score.tempi.retain(|tempo| tempo.per_minute.is_finite() && tempo.per_minute > 0.0);
    let sane = |number: u32| (1..=MOST_IN_METER).contains(&number);
    score.meters.retain(|meter| sane(meter.numerator) && sane(meter.denominator));
    score.keys.retain(|key| (-7..=7).contains(&key.fifths));
    score.sort();
    let notes: usize = score.tracks.iter().map(|track| track.notes.len()).sum();
    if notes == 0 {
        return Err(ScoreError::NoNotes { path: path.into(), but: "" });
    }
    if notes > MOST_NOTES {
        return Err(ScoreError::too_large(path, format!("more than {MOST_NOTES} notes")));
    }
    if score.beats(score.end()) > MOST_BEATS {
        return Err(ScoreError::too_large(path, format!("longer than {MOST_BEATS} quarter notes")));
    }
    // A pedal would hold the last notes until then.
    let last = score.end().saturating_add(LONGEST_TAIL * u64::from(score.resolution));
    score.tracks.iter_mut().for_each(|track| track.controls.retain(|control| control.tick <= last));
    let hours = score.seconds() / 3600.0;
    if hours > MOST_SECONDS / 3600.0 {
        let reason = format!("{hours:.0} hours long, and {:.0} is the most", MOST_SECONDS / 3600.0);
        return Err(ScoreError::too_large(path, reason));
    }
    Ok(score)
}

/// A name without surrounding blanks, cut where it is too long to be one.
pub fn name(text: &str) -> String {
    text.trim().chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_end_or_refused_for_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(load(&path, 100).unwrap(), [7; 100]);
        assert!(matches!(load(&path, 99), Err(ScoreError::TooLarge { .. })));
        assert!(matches!(load(folder.path(), 100), Err(ScoreError::Unreadable { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_says_it_is_empty_is_read_no_further_than_its_limit() {
        let path = Path::new("/proc/self/environ");
        assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
        assert!(matches!(load(path, 1), Err(ScoreError::TooLarge { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [Path::new("/dev/zero"), &pipe] {
            let (said, answer) = std::sync::mpsc::channel();
            let asked = path.to_owned();
            // A pipe without a writer keeps whoever opens it waiting: a failure must not.
            std::thread::spawn(move || said.send(load(&asked, 100)));
            let answer = answer.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
            assert!(answer.unwrap_err().to_string().contains("a device or a pipe"), "{path:?}");
        }
    }
}
