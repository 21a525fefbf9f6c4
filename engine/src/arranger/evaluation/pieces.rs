//! Pieces whose parts are known: multitrack files, each track the part of an ensemble that its name or program says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::arranger::ensemble::{Ensemble, EnsemblePart};
use crate::arranger::network::TICKS;
use crate::arranger::piece::PieceNote;
use crate::arranger::voices::FAMILIES;
use crate::score::{Score, ScoreError};

/// A file counts if at least two of its parts have more notes than this, as in the paper.
const FEWEST_NOTES: usize = 10;

/// The grid that a piece is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// 24 ticks a quarter; notes that have no length on it are left out.
    Quarters,
    /// Hundredths of a second of NES-MDB's files, whose quarter is half a second; notes of no length stay, and velocities,
    /// which mean something else there, do not count.
    Game,
}

/// A piece and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartedPiece {
    /// The file's name without its ending.
    pub name: String,
    /// Its notes, sorted by (time, pitch, duration, velocity).
    pub notes: Vec<PieceNote>,
    /// The part of each in the ensemble.
    pub parts: Vec<usize>,
}

/// Why a file is no piece of an ensemble.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PieceError {
    /// It cannot be read.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Its tracks are not the ensemble's.
    #[error("{path} is left out: fewer than two parts of the ensemble have more than {FEWEST_NOTES} notes")]
    Unfit {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a multitrack file. Tracks that belong to no part of the ensemble, and drums, are left out.
pub fn read(path: &Path, ensemble: &Ensemble, grid: Grid) -> Result<PartedPiece, PieceError> {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    of_score(&Score::read(path)?, name, ensemble, grid).ok_or_else(|| PieceError::Unfit { path: path.into() })
}

fn of_score(score: &Score, name: String, ensemble: &Ensemble, grid: Grid) -> Option<PartedPiece> {
    let ticks = if grid == Grid::Game { 50.0 } else { TICKS as f64 };
    let unit = ticks / f64::from(score.resolution.max(1));
    let on_grid = |tick: u64| (tick as f64 * unit).round_ties_even() as i64;
    // What one part has twice counts once.
    let mut notes: BTreeMap<(i64, u8, i64, usize), u8> = BTreeMap::new();
    for (track, part) in score.tracks.iter().zip(parts_of(score, &ensemble.parts)) {
        let Some(part) = part else { continue };
        for note in &track.notes {
            let (onset, length) = (on_grid(note.onset), on_grid(note.duration));
            if length > 0 || grid == Grid::Game {
                let velocity = if grid == Grid::Game { 64 } else { note.velocity };
                notes.insert((onset, note.pitch, length, part), velocity);
            }
        }
    }
    let mut rows: Vec<(PieceNote, usize)> = notes
        .into_iter()
        .map(|((onset, pitch, length, part), velocity)| {
            (PieceNote { onset, end: onset + length, pitch, velocity }, part)
        })
        .collect();
    rows.sort_by_key(|(note, _)| note.order());
    let mut counts = vec![0; ensemble.parts.len()];
    rows.iter().for_each(|&(_, part)| counts[part] += 1);
    if counts.iter().filter(|&&count| count > FEWEST_NOTES).count() < counts.len().min(2) {
        return None;
    }
    let (notes, parts) = rows.into_iter().unzip();
    Some(PartedPiece { name, notes, parts })
}

/// The part that each track is.
///
/// Where every part of the ensemble is a family of instruments: the track of that family with most notes. Else by name; in a file in which no name
/// says anything the n-th track of a program is the n-th part of that program.
fn parts_of(score: &Score, parts: &[EnsemblePart]) -> Vec<Option<usize>> {
    let families: Option<Vec<_>> = parts
        .iter()
        .map(|part| FAMILIES.iter().find(|(family, _)| Some(*family) == part.voice.as_deref()).map(|(_, of)| *of))
        .collect();
    let playing = |track: &crate::score::Track| !track.drums && !track.notes.is_empty();
    if let Some(families) = families {
        let of = |program: u8| families.iter().position(|of| of.iter().any(|range| range.contains(&program)));
        let part = |track: &crate::score::Track| of(track.program).filter(|_| playing(track));
        // One instrument a part, the one with most notes, as the networks were trained.
        let alone = |i: usize, part: usize| {
            let notes = score.tracks[i].notes.len();
            let rivals = score.tracks.iter().enumerate().filter(|(other, _)| *other != i);
            !rivals
                .filter(|(_, track)| of(track.program) == Some(part) && playing(track))
                .any(|(other, track)| track.notes.len() > notes || (track.notes.len() == notes && other < i))
        };
        let tracks = score.tracks.iter().enumerate();
        return tracks.map(|(i, track)| part(track).filter(|&part| alone(i, part))).collect();
    }
    let names: Vec<[String; 2]> =
        parts.iter().map(|part| [plain(&part.name), plain(part.voice.as_deref().unwrap_or(&part.name))]).collect();
    let of = |name: &str| names.iter().position(|names| !name.is_empty() && names.iter().any(|own| own == name));
    let named: Vec<Option<usize>> =
        score.tracks.iter().map(|track| of(&plain(&track.name)).filter(|_| playing(track))).collect();
    if named.iter().any(Option::is_some) {
        return named;
    }
    let mut met = [0usize; 128];
    let by_program = |track: &crate::score::Track| {
        let of_program: Vec<usize> =
            (0..parts.len()).filter(|&part| playing(track) && parts[part].program == track.program).collect();
        let before = &mut met[usize::from(track.program & 0x7f)];
        let part = of_program.get(*before).or(of_program.last()).copied();
        *before += usize::from(playing(track));
        part
    };
    score.tracks.iter().map(by_program).collect()
}

/// A part's name as letters, then numbers: "Violino II.", "2nd Violin" and "violin2" are `violin2`.
fn plain(name: &str) -> String {
    let mut words = vec![String::new()];
    for letter in name.to_lowercase().chars() {
        let last = words.last().and_then(|word| word.chars().last());
        let goes_on = last.is_none_or(|last| last.is_ascii_digit() == letter.is_ascii_digit());
        // "2nd" is one word: a number takes letters, letters take no number.
        let ordinal = last.is_some_and(|last| last.is_ascii_digit()) && letter.is_alphabetic();
        if !letter.is_alphanumeric() || !(goes_on || ordinal) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.push(letter);
        }
    }
    let (mut letters, mut numbers) = (String::new(), String::new());
    for word in words.iter().filter(|word| !word.is_empty()) {
        match word.as_str() {
            "i" | "1st" | "first" => numbers.push('1'),
            "ii" | "2nd" | "second" => numbers.push('2'),
            "violino" | "violine" | "violins" => letters.push_str("violin"),
            _ if word.contains("cell") => letters.push_str("cello"),
            _ if word.bytes().all(|byte| byte.is_ascii_digit()) => numbers.push_str(word),
            _ => letters.push_str(word),
        }
    }
    letters + &numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{TickNote, Track};

    fn track(name: &str, program: u8) -> Track {
        let note = |i: u64| TickNote { onset: i * 480, pitch: 60, duration: 480, velocity: 64 };
        Track { name: name.into(), program, notes: (0..12).map(note).collect(), ..Track::default() }
    }

    fn found(id: &str, tracks: Vec<Track>) -> Vec<Option<usize>> {
        let score = Score { tracks, ..Score::default() };
        parts_of(&score, &Ensemble::find(id).unwrap().parts)
    }

    #[test]
    fn names_are_plain_letters_and_numbers() {
        for (name, plainly) in [
            ("Violino II.", "violin2"),
            ("2nd Violin", "violin2"),
            ("violin1", "violin1"),
            ("Violoncello", "cello"),
            ("Viola", "viola"),
            ("p1", "p1"),
            ("", ""),
        ] {
            assert_eq!(plain(name), plainly, "{name}");
        }
    }

    #[test]
    fn tracks_are_known_by_name() {
        let tracks = vec![track("Cello", 0), track("Violin II", 0), track("Timpani", 0), track("violino i", 0)];
        assert_eq!(found("string-quartet", tracks), [Some(3), Some(1), None, Some(0)]);
    }

    #[test]
    fn tracks_without_names_are_known_by_program_in_order() {
        let tracks = [40, 40, 41, 42, 0, 40].map(|program| track("", program)).to_vec();
        assert_eq!(found("string-quartet", tracks), [Some(0), Some(1), Some(2), Some(3), None, Some(1)]);
    }

    #[test]
    fn families_are_known_by_program_whatever_their_names() {
        let tracks = vec![track("Lead", 30), track("Piano", 33), track("", 4), track("", 90), track("", 31)];
        assert_eq!(found("rock-band", tracks), [Some(1), Some(4), Some(0), None, None]);
    }

    #[test]
    fn notes_come_in_order_on_the_grid_and_once() {
        let choir = Ensemble::find("satb-choir").unwrap();
        let mut tracks = vec![track("Soprano", 0), track("Bass", 0)];
        let more = TickNote { onset: 0, pitch: 40, duration: 5, velocity: 1 };
        // Too short for the grid; twice; below what sounds at its time.
        tracks[1].notes.extend([more, TickNote { duration: 240, ..more }, TickNote { duration: 240, ..more }]);
        let score = Score { tracks, ..Score::default() };
        let piece = of_score(&score, String::new(), choir, Grid::Quarters).unwrap();
        assert_eq!(piece.notes.len(), 25);
        assert_eq!((piece.notes[0], piece.parts[0]), (PieceNote { onset: 0, end: 12, pitch: 40, velocity: 1 }, 3));
        assert_eq!(of_score(&score, String::new(), choir, Grid::Game).unwrap().notes.len(), 26);
        let few = Score { tracks: score.tracks[..1].to_vec(), ..Score::default() };
        assert!(of_score(&few, String::new(), choir, Grid::Quarters).is_none());
    }
}
