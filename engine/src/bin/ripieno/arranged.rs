//! The score that `ripieno arrange` writes: the piece's own notes, given to the parts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ripieno_engine::arranger::Ensemble;
use ripieno_engine::score::{Control, ControlsOf, Playback, Score, TickNote, Track};

/// From here on a controller is a command to the channel; but one of them, which lifts the pedals, is a position too.
const CHANNEL_MODE: u8 = 120;
const RESET_CONTROLLERS: u8 = 121;

/// The piece with its own title, tempi, meters, keys and drums, and one track a part instead of its others.
///
/// `given`: the part of each of the notes of `played`, which is `score` as it is played. Notes keep their written length
/// where all of a part come from one channel, or one track without a channel, and its controllers, as its sustain pedal,
/// come with them. Where they come from several, one pedal would hold the others' notes: there they are as long as they
/// sound.
pub fn arranged(score: &Score, played: &Playback, given: &[Option<usize>], ensemble: &Ensemble) -> Score {
    let is_pitched = |&(_, track): &(usize, &Track)| !track.drums && !track.notes.is_empty();
    let (places, pitched): (Vec<usize>, Vec<&Track>) = score.tracks.iter().enumerate().filter(is_pitched).unzip();
    let mut written = Written::of(&pitched);
    let mut controls = score.controls();
    let moved = |control: &Control| control.number < CHANNEL_MODE || control.number == RESET_CONTROLLERS;
    controls.values_mut().for_each(|controls| controls.retain(moved));
    // Source track, as written, as it sounds.
    let mut parts: Vec<Vec<(usize, TickNote, TickNote)>> = vec![Vec::new(); ensemble.parts.len()];
    for (note, part) in played.notes.iter().zip(given) {
        let Some(source) = written.take(score, note.track, note.beat, note.note.pitch) else { continue };
        let end = (played.tempo.beat_at(note.note.end) * f64::from(score.resolution)).round() as u64;
        let sounding = TickNote { duration: end.saturating_sub(source.onset).max(source.duration), ..source };
        if let Some(part) = part {
            parts[*part].push((note.track, source, sounding));
        }
    }
    let tracks = ensemble.parts.iter().zip(parts).map(|(part, notes)| {
        let sources: BTreeSet<ControlsOf> = notes.iter().map(|&(track, ..)| score.controls_of(places[track])).collect();
        let source = sources.first().copied().filter(|_| sources.len() == 1);
        let controls = source.and_then(|source| controls.get(&source)).cloned().unwrap_or_default();
        let as_written = source.is_some();
        let notes = notes.into_iter().map(|(_, written, sounding)| if as_written { written } else { sounding });
        let (name, program) = (part.name.clone(), part.program);
        Track { name, program, notes: notes.collect(), controls, ..Track::default() }
    });
    let mut all = Score { tracks: tracks.collect(), notices: Vec::new(), ..score.clone() };
    let drums = score.tracks.iter().filter(|track| track.drums).cloned();
    all.tracks.extend(
        drums.map(|track| Track { name: if track.name.is_empty() { "Drums".into() } else { track.name }, ..track }),
    );
    all.sort();
    all
}

/// The notes of a piece by what playing leaves of them: track, onset in ticks, pitch. Of several the shorter is first,
/// as it is when they are played.
struct Written(BTreeMap<(usize, u64, u8), VecDeque<TickNote>>);

impl Written {
    fn of(pitched: &[&Track]) -> Self {
        let mut notes: BTreeMap<_, VecDeque<TickNote>> = BTreeMap::new();
        for (i, track) in pitched.iter().enumerate() {
            for note in &track.notes {
                notes.entry((i, note.onset, note.pitch)).or_default().push_back(*note);
            }
        }
        Self(notes)
    }

    fn take(&mut self, score: &Score, track: usize, beat: f64, pitch: u8) -> Option<TickNote> {
        let onset = (beat * f64::from(score.resolution)).round() as u64;
        self.0.get_mut(&(track, onset, pitch))?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use ripieno_engine::score::{Key, Meter, Tempo};

    use super::*;

    fn note(onset: u64, pitch: u8, duration: u64) -> TickNote {
        TickNote { onset, pitch, duration, velocity: 80 }
    }

    fn track(channel: u8, notes: &[TickNote], pedal: &[(u64, u8)]) -> Track {
        let controls = pedal.iter().map(|&(tick, value)| Control { tick, number: 64, value }).collect();
        Track { channel: Some(channel), notes: notes.to_vec(), controls, ..Track::default() }
    }

    fn piece(tracks: Vec<Track>) -> Score {
        Score {
            title: "Air".into(),
            resolution: 96,
            tempi: vec![Tempo { tick: 0, per_minute: 90.0 }, Tempo { tick: 100, per_minute: 31.0 }],
            meters: vec![Meter { tick: 0, numerator: 3, denominator: 4 }],
            keys: vec![Key { tick: 0, fifths: -3, minor: true }],
            tracks,
            notices: Vec::new(),
        }
    }

    /// Everything above middle C to the first part, the rest to the last.
    fn given_by_height(score: &Score) -> Score {
        let (quartet, played) = (Ensemble::find("string-quartet").unwrap(), Playback::of(score));
        let given: Vec<_> = played.notes.iter().map(|n| Some(if n.note.pitch >= 60 { 0 } else { 3 })).collect();
        arranged(score, &played, &given, quartet)
    }

    #[test]
    fn a_keyboards_notes_keep_their_ticks_and_its_pedal_goes_with_them() {
        let one = [note(5, 72, 40), note(5, 72, 90), note(103, 40, 7)];
        let mut drums = track(9, &[note(0, 36, 10)], &[(3, 1)]);
        drums.drums = true;
        let score = piece(vec![track(0, &one, &[(1, 127), (200, 0)]), drums.clone()]);
        let arranged = given_by_height(&score);
        assert_eq!(Score { tracks: score.tracks.clone(), ..arranged.clone() }, score);
        let names: Vec<&str> = arranged.tracks.iter().map(|track| track.name.as_str()).collect();
        assert_eq!(names, ["Violin 1", "Violin 2", "Viola", "Cello", "Drums"]);
        assert_eq!((&arranged.tracks[0].notes[..], &arranged.tracks[3].notes[..]), (&one[..2], &one[2..]));
        assert_eq!(arranged.tracks[0].controls, score.tracks[0].controls);
        assert_eq!(arranged.tracks[3].controls, score.tracks[0].controls);
        assert_eq!(arranged.tracks[4], Track { name: "Drums".into(), ..drums });
    }

    #[test]
    fn of_several_channels_the_notes_are_as_long_as_they_sound() {
        let held = track(0, &[note(10, 50, 20)], &[(0, 127), (96, 0)]);
        let score = piece(vec![held, track(1, &[note(40, 48, 10)], &[])]);
        let cello = given_by_height(&score).tracks[3].clone();
        assert_eq!((cello.notes, cello.controls), (vec![note(10, 50, 86), note(40, 48, 10)], Vec::new()));
    }
}
