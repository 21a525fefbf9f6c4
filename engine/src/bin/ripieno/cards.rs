//! `ripieno performances --pictures`: the same phrase by every performance, as the picture of its card.

use std::path::Path;

use ripieno_engine::draw;
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::render::{Parts, RenderOptions, render};
use ripieno_engine::score::{Note, Playback, PlayedNote, PlayedTrack};
use ripieno_engine::synth::{Catalogue, Guidance, Instrument, MAX_PARTS, Occasion, SAMPLE_RATE, Synthesizer};

use crate::Failure;
use crate::progress::Progress;

/// A chord of D: pitch classes from the lowest player up.
const CHORD: [u8; 3] = [2, 9, 6];
/// Seconds: the first entry, from one to the next, the end of all, and the short last note, after which the room is heard.
const FIRST: f64 = 0.1;
const APART: f64 = 0.4;
const END: f64 = 3.6;
const LAST: (f64, f64) = (4.1, 4.3);
const VELOCITY: u8 = 80;

/// Writes a picture for each performance, named as its card says, into `folder`.
pub fn draw(folder: &Path, threads: usize) -> Result<(), Failure> {
    let locations = Locations::find()?;
    let models = Models::load(Runtime::load(Some(&locations.runtime))?, &locations.models)?;
    let mut synth = Synthesizer::new(&models, threads, Occasion::Offline)?;
    let cards = synth.catalogue().performances().to_vec();
    let progress = Progress::begin("performing")?;
    for (number, card) in cards.iter().enumerate() {
        progress.say(card.name.clone());
        let options = RenderOptions {
            performance: card.index,
            parts: Parts::Tracks,
            seed: 0,
            steps: synth.denoiser().steps,
            guidance: Guidance::NONE,
            rate: SAMPLE_RATE,
        };
        let phrase = phrase(synth.catalogue(), &card.players);
        let rendering = render(&phrase, &models, &mut synth, &options, &mut |share| {
            progress.show((number as f64 + f64::from(share)) / cards.len() as f64)
        })?;
        let path = folder.join(&card.picture);
        if let Some(inner) = path.parent() {
            std::fs::create_dir_all(inner).map_err(|error| format!("{} cannot be made: {error}.", inner.display()))?;
        }
        draw::card(&rendering.mix.left, &rendering.mix.right, rendering.rate, &path)?;
    }
    Ok(())
}

/// Players enter one after the other from the lowest up and hold a chord, then all strike one short note; one player alone
/// plays the chord's notes one by one.
fn phrase(catalogue: &Catalogue, players: &[String]) -> Playback {
    let known = |id: &String| catalogue.instruments().iter().find(|instrument| instrument.id == *id);
    let mut seated: Vec<&Instrument> = players.iter().filter_map(known).take(MAX_PARTS).collect();
    seated.sort_by_key(|instrument| u16::from(instrument.lo) + u16::from(instrument.hi));
    let mut played = Playback::default();
    for (track, instrument) in seated.iter().enumerate() {
        played.tracks.push(PlayedTrack { name: instrument.name.clone(), program: instrument.program });
        let mut play = |onset: f64, end: f64, pitch: u8| {
            let note = Note { onset, end, pitch, velocity: VELOCITY };
            played.notes.push(PlayedNote { note, beat: 2.0 * onset, track });
        };
        let tone = |number: usize| near_the_middle(instrument, CHORD[number % CHORD.len()]);
        if seated.len() == 1 {
            let length = (END - FIRST) / 4.0;
            for (number, pitch) in [tone(0), tone(2), tone(1), tone(0)].into_iter().enumerate() {
                let onset = FIRST + number as f64 * length;
                play(onset, onset + length, pitch);
            }
        } else {
            play(FIRST + APART * track as f64, END, tone(track));
        }
        play(LAST.0, LAST.1, tone(track));
    }
    played.notes.sort_by(|a, b| a.note.onset.total_cmp(&b.note.onset).then(a.note.pitch.cmp(&b.note.pitch)));
    played
}

/// The pitch of a class that is nearest to the middle of what an instrument plays.
fn near_the_middle(instrument: &Instrument, class: u8) -> u8 {
    let middle = instrument.lo / 2 + instrument.hi / 2;
    let near = (instrument.lo..=instrument.hi).filter(|pitch| pitch % 12 == class);
    near.min_by_key(|pitch| pitch.abs_diff(middle)).unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_plays_the_phrase_in_their_own_range() {
        let catalogue = Catalogue::parse(include_str!("../../../../models/synth/performances.toml")).unwrap();
        for card in catalogue.performances() {
            let phrase = phrase(&catalogue, &card.players);
            assert_eq!(phrase.tracks.len(), card.players.len().min(MAX_PARTS), "{}", card.id);
            for (index, track) in phrase.tracks.iter().enumerate() {
                let instrument = catalogue.instruments().iter().find(|i| i.name == track.name).unwrap();
                let notes: Vec<&Note> = phrase.notes.iter().filter(|n| n.track == index).map(|n| &n.note).collect();
                assert!(notes.len() >= 2 && notes.iter().all(|n| (instrument.lo..=instrument.hi).contains(&n.pitch)));
                assert!(notes.iter().all(|n| n.onset < n.end), "{}: {notes:?}", card.id);
            }
        }
    }
}
