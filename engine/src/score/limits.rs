//! What no file may exceed, so that none costs more time or memory than a piece of music can.

use std::path::Path;

use super::{Score, ScoreError};

/// Notes: an hour of the densest orchestra is a tenth of it.
pub const MOST_NOTES: usize = 1_000_000;
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

/// The bytes of a file that has at most so many.
pub fn load(path: &Path, most: u64) -> Result<Vec<u8>, ScoreError> {
    let unreadable = |error: std::io::Error| ScoreError::unreadable(path, &error);
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > most {
        return Err(ScoreError::too_large(path, format!("{} MB, and {} MB is the most", size >> 20, most >> 20)));
    }
    std::fs::read(path).map_err(unreadable)
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
