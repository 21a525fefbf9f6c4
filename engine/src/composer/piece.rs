//! Whole passages: so many beats composed, and put behind a score.

use std::ops::ControlFlow;

use super::composition::{Composition, Step};
use super::encoding::{SongNote, VELOCITY};
use super::limits::Limits;
use super::network::Predictor;
use super::vocabulary::Vocabulary;
use crate::inference::InferenceError;
use crate::score::{Score, TickNote, Track};

/// A score is given a finer resolution up to this one, which every kind of file can hold.
const FINEST: u32 = 15_360;

/// Why there is no passage.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ComposeError {
    /// Who asked for it did not want to wait any longer.
    #[error("stopped")]
    Cancelled,
    /// No network, or a broken one.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The limits leave no note.
    #[error("nothing can be played within these limits. Widen the register or name other instruments.")]
    NothingToPlay,
}

impl<P: Predictor> Composition<P> {
    /// The notes of the song that begin before tick `until`, from where it is on. Where it may end it ends by itself, or,
    /// if it has not by then, where in the last quarter the network thought most that it had. `progress` hears the onset of
    /// each, in ticks, and may break off.
    pub fn passage(
        &mut self,
        limits: &Limits,
        until: u64,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<SongNote>, ComposeError> {
        let mut notes: Vec<SongNote> = Vec::new();
        let late = until - until.saturating_sub(limits.from) / 4;
        // The likeliest end so far: its log probability and how many notes are before it.
        let mut best: Option<(f64, usize)> = None;
        loop {
            let step = self.step(limits)?;
            if let Some(likely) = self.could_have_ended()
                && notes.last().is_some_and(|last| last.onset >= late)
                && best.is_none_or(|(before, _)| likely > before)
            {
                best = Some((likely, notes.len()));
            }
            match step {
                Step::Note(note) if note.onset < until => {
                    notes.push(note);
                    if progress(note.onset).is_break() {
                        return Err(ComposeError::Cancelled);
                    }
                }
                Step::Sign => {}
                Step::Note(_) | Step::End if notes.is_empty() => return Err(ComposeError::NothingToPlay),
                Step::End => return Ok(notes),
                Step::Note(_) => {
                    notes.truncate(best.map_or(notes.len(), |(_, count)| count));
                    return Ok(notes);
                }
            }
        }
    }
}

/// A score without what begins at or after a time in ticks; notes that reach over it end there.
pub fn until(mut score: Score, tick: u64) -> Score {
    score.tempi.retain(|tempo| tempo.tick < tick);
    score.meters.retain(|meter| meter.tick < tick);
    score.keys.retain(|key| key.tick < tick);
    for track in &mut score.tracks {
        track.controls.retain(|control| control.tick < tick);
        track.notes.retain(|note| note.onset < tick);
        track.notes.iter_mut().for_each(|note| note.duration = note.duration.min(tick - note.onset));
    }
    score
}

/// A score with composed notes in it: on the first track that is read as their instrument and no drums, as loud as that
/// track, or on a track of its own.
pub fn with(score: &Score, notes: &[SongNote], vocabulary: &Vocabulary) -> Score {
    let resolution = vocabulary.resolution() as u32;
    let finer = |by: u32| score.resolution.checked_mul(by).filter(|&finer| finer <= FINEST && finer % resolution == 0);
    let common = (1..=resolution).find_map(finer);
    let mut score = score.clone().at_resolution(common.unwrap_or(40 * resolution));
    let scale = u64::from(score.resolution) / u64::from(resolution);
    let all = mean_velocity(score.tracks.iter().filter(|track| !track.drums).flat_map(|track| &track.notes));
    for (code, instrument) in (1..).zip(vocabulary.instruments()) {
        let own: Vec<&SongNote> = notes.iter().filter(|note| note.instrument == code).collect();
        if own.is_empty() {
            continue;
        }
        let plays = |track: &Track| !track.drums && vocabulary.instrument_code(track.program) == code;
        let at = score.tracks.iter().position(|track| plays(track) && !track.notes.is_empty()).unwrap_or_else(|| {
            let (name, program) = (instrument.name.clone(), instrument.program);
            score.tracks.push(Track { name, program, ..Track::default() });
            score.tracks.len() - 1
        });
        let track = &mut score.tracks[at].notes;
        let velocity = mean_velocity(track.iter()).or(all).unwrap_or(VELOCITY);
        track.extend(own.iter().map(|note| TickNote {
            onset: note.onset * scale,
            pitch: note.pitch,
            duration: note.duration * scale,
            velocity,
        }));
    }
    score.sort();
    score
}

fn mean_velocity<'a>(notes: impl Iterator<Item = &'a TickNote>) -> Option<u8> {
    let (count, sum) = notes.fold((0u64, 0u64), |(count, sum), note| (count + 1, sum + u64::from(note.velocity)));
    sum.checked_div(count).map(|mean| mean.clamp(1, 127) as u8)
}

#[cfg(test)]
mod tests {
    use super::super::tests::vocabulary;
    use super::*;

    #[test]
    fn composed_notes_join_the_track_of_their_instrument() {
        let vocabulary = vocabulary();
        let (violin, flute) = (vocabulary.named("violin").unwrap(), vocabulary.named("flute").unwrap());
        let note = |onset, pitch, duration, velocity| TickNote { onset, pitch, duration, velocity };
        let notes = vec![note(0, 60, 100, 90), note(101, 62, 90, 100)];
        let drums = Track { drums: true, program: 40, notes: vec![note(3, 36, 5, 1)], ..Track::default() };
        let fiddle = Track { name: "Fiddle".into(), program: 110, notes, ..Track::default() };
        let score = Score { resolution: 100, tracks: vec![drums.clone(), fiddle], ..Score::default() };
        let composed = |instrument| SongNote { onset: 25, pitch: 65, duration: 6, instrument };
        let whole = with(&until(score, 150), &[composed(violin), composed(flute)], &vocabulary);
        assert_eq!(whole.resolution, 300);
        assert_eq!(whole.tracks[1].notes, [note(0, 60, 300, 90), note(303, 62, 147, 100), note(625, 65, 150, 95)]);
        let names: Vec<&str> = whole.tracks.iter().map(|track| track.name.as_str()).collect();
        assert_eq!((names, whole.tracks[2].notes[0].velocity), (vec!["", "Fiddle", "flute"], 95));
    }
}
