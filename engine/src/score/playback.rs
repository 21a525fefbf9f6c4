//! A piece as it is played: seconds instead of ticks, the sustain pedal held, one list of notes.

use std::collections::BTreeMap;
use std::path::Path;

use super::pedal::{self, ControlsOf, Pedal};
use super::{Control, Score, ScoreError, Tempo, TempoMap, TickNote, Track};

/// One note of one part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Note {
    /// Seconds from the start of the stream.
    pub onset: f64,
    /// Seconds; the sustain pedal included; infinite while a live key is down.
    pub end: f64,
    /// MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
}

/// A note of a piece, with its place in the music.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlayedNote {
    /// When and what.
    pub note: Note,
    /// Onset in quarter notes.
    pub beat: f64,
    /// Index into [`Playback::tracks`].
    pub track: usize,
}

/// One track that has notes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlayedTrack {
    /// Its name, or empty.
    pub name: String,
    /// General MIDI program, 0-based.
    pub program: u8,
}

/// What sounds when a piece is played.
#[derive(Debug, Clone, Default)]
pub struct Playback {
    /// Every note but drums, sorted by onset, then pitch.
    pub notes: Vec<PlayedNote>,
    /// Tracks with pitched notes, in the piece's order.
    pub tracks: Vec<PlayedTrack>,
    /// Seconds and beats.
    pub tempo: TempoMap,
    /// What was left out or mended, as sentences.
    pub notices: Vec<String>,
}

impl Playback {
    /// Reads a file of any known kind; one with nothing to play is an error.
    pub fn read(path: &Path) -> Result<Self, ScoreError> {
        let playback = Self::of(&Score::read(path)?);
        if playback.notes.is_empty() {
            return Err(ScoreError::NoNotes { path: path.into(), but: ", only drums" });
        }
        Ok(playback)
    }

    /// How a piece is played.
    pub fn of(score: &Score) -> Self {
        let tempo = score.tempo_map();
        let pedals = pedals(score);
        let mut played = Self { tempo, notices: score.notices.clone(), ..Self::default() };
        let drums: usize = score.tracks.iter().filter(|track| track.drums).map(|track| track.notes.len()).sum();
        if drums > 0 {
            let notice = format!("{drums} drum notes (channel 10) were left out: Ripieno plays pitched instruments.");
            played.notices.push(notice);
        }
        let pitched = score.tracks.iter().enumerate().filter(|(_, track)| !track.drums && !track.notes.is_empty());
        for (i, track) in pitched {
            let number = played.tracks.len();
            played.tracks.push(PlayedTrack { name: track.name.clone(), program: track.program });
            let notes = match pedals.get(&score.controls_of(i)) {
                Some(pedal) => pedal::sustained(&track.notes, pedal),
                None => track.notes.clone(),
            };
            let tempo = &played.tempo;
            played.notes.extend(notes.iter().map(|note| {
                let beat = score.beats(note.onset);
                // A note of no length would never sound; one tick is the shortest a file can say.
                let end = tempo.seconds_at(score.beats(note.end().max(note.onset + 1)));
                let (pitch, velocity) = (note.pitch, note.velocity);
                PlayedNote { note: Note { onset: tempo.seconds_at(beat), end, pitch, velocity }, beat, track: number }
            }));
        }
        played.notes.sort_by(|a, b| (a.note.onset.total_cmp(&b.note.onset)).then(a.note.pitch.cmp(&b.note.pitch)));
        played
    }

    /// When the last note ends, in seconds; 0 without notes.
    pub fn seconds(&self) -> f64 {
        self.notes.iter().map(|note| note.note.end).fold(0.0, f64::max)
    }
}

/// The pedal of every channel that has one, and of every track without a channel.
fn pedals(score: &Score) -> BTreeMap<ControlsOf, Pedal> {
    let controls = score.controls();
    let end = controls.values().flatten().map(|control| control.tick).fold(score.end(), u64::max);
    let moves = |controls: Vec<Control>| -> Vec<(u64, u8)> {
        controls.iter().filter_map(|control| Some((control.tick, pedal::position(control)?))).collect()
    };
    controls.into_iter().map(|(of, controls)| (of, Pedal::new(moves(controls), end))).collect()
}

/// One part's notes in seconds, to be written down.
#[derive(Debug, Clone, Copy)]
pub struct PartNotes<'a> {
    /// Track name.
    pub name: &'a str,
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Its notes; those without an end are left out.
    pub notes: &'a [Note],
}

impl Score {
    /// Writes down what was played, one track a part, to the nearest of 480 ticks per quarter note.
    pub fn of_parts(parts: &[PartNotes<'_>], tempo: &TempoMap) -> Self {
        let mut score = Self::default();
        let resolution = f64::from(score.resolution);
        let tick_of = |beat: f64| (beat * resolution).round().max(0.0) as u64;
        score.tempi = tempo.changes().map(|(beat, per_minute)| Tempo { tick: tick_of(beat), per_minute }).collect();
        score.tracks = parts
            .iter()
            .map(|part| {
                let notes = part.notes.iter().filter(|note| note.end.is_finite()).map(|note| {
                    let onset = tick_of(tempo.beat_at(note.onset));
                    let duration = tick_of(tempo.beat_at(note.end)).saturating_sub(onset).max(1);
                    TickNote { onset, pitch: note.pitch.min(127), duration, velocity: note.velocity.clamp(1, 127) }
                });
                let notes = notes.collect();
                Track { name: part.name.into(), program: part.program.min(127), notes, ..Track::default() }
            })
            .collect();
        score.sort();
        score
    }
}
