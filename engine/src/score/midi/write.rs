//! Writing MIDI files: a track of tempi, meters and keys, then one track a track.

use std::path::Path;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::DRUMS;
use crate::score::{Score, ScoreError, Track};

/// The finest resolution a file can say, ticks per quarter note.
const FINEST: u32 = 0x7fff;
/// A finer piece is written at this one, which thirds, fifths and sevenths of a 64th note fit.
const FINE: u32 = 256 * 3 * 5 * 7; // 26880

/// An event at its absolute tick, with its place among those of that tick.
type Placed<'a> = (u64, u8, TrackEventKind<'a>);
/// Places: a note ends before the next of its key begins, but a note of no length after it began.
const FIRST: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;
const AT_ONCE_OFF: u8 = 3;

/// Writes a type 1 file. Tracks keep their channels; others get 1, 2, 3, ... without the drums' one.
pub fn write(path: &Path, score: &Score) -> Result<(), ScoreError> {
    let bytes = write_bytes(score).map_err(|error| ScoreError::unwritable(path, &error))?;
    std::fs::write(path, bytes).map_err(|error| ScoreError::unwritable(path, &error))
}

/// The bytes of a type 1 file.
pub fn write_bytes(score: &Score) -> std::io::Result<Vec<u8>> {
    let coarse;
    let score = if score.resolution > FINEST {
        coarse = score.clone().at_resolution(FINE);
        &coarse
    } else {
        score
    };
    let mut tracks = vec![delta_coded(signs(score))];
    tracks.extend(score.tracks.iter().enumerate().map(|(i, track)| delta_coded(events(track, channel(track, i)))));
    let resolution = u15::new(score.resolution.max(1) as u16);
    let smf = Smf { header: Header::new(Format::Parallel, Timing::Metrical(resolution)), tracks };
    let mut bytes = Vec::new();
    smf.write_std(&mut bytes)?;
    Ok(bytes)
}

/// Title, tempi, meters and keys.
fn signs(score: &Score) -> Vec<Placed<'_>> {
    let mut events = Vec::new();
    let mut sign = |tick: u64, meta| events.push((tick, FIRST, TrackEventKind::Meta(meta)));
    if !score.title.is_empty() {
        sign(0, MetaMessage::TrackName(score.title.as_bytes()));
    }
    for tempo in &score.tempi {
        let microseconds = (60e6 / tempo.per_minute).round().clamp(1.0, 16_777_215.0) as u32;
        sign(tempo.tick, MetaMessage::Tempo(u24::new(microseconds)));
    }
    // What is no power of two, or beyond a byte, a file cannot say.
    for meter in score.meters.iter().filter(|meter| meter.denominator.is_power_of_two()) {
        if let Ok(numerator) = u8::try_from(meter.numerator) {
            sign(meter.tick, MetaMessage::TimeSignature(numerator, meter.denominator.trailing_zeros() as u8, 24, 8));
        }
    }
    for key in &score.keys {
        sign(key.tick, MetaMessage::KeySignature(key.fifths.clamp(-7, 7), key.minor));
    }
    events
}

fn channel(track: &Track, number: usize) -> u4 {
    let melodic = (number % 15) as u8;
    let free = if melodic >= DRUMS { melodic + 1 } else { melodic };
    u4::new(if track.drums { DRUMS } else { track.channel.filter(|&c| c < 16 && c != DRUMS).unwrap_or(free) })
}

fn events(track: &Track, channel: u4) -> Vec<Placed<'_>> {
    let midi = |message| TrackEventKind::Midi { channel, message };
    let mut events = Vec::with_capacity(2 + track.controls.len() + 2 * track.notes.len());
    if !track.name.is_empty() {
        events.push((0, FIRST, TrackEventKind::Meta(MetaMessage::TrackName(track.name.as_bytes()))));
    }
    events.push((0, FIRST, midi(MidiMessage::ProgramChange { program: u7::new(track.program.min(127)) })));
    for control in &track.controls {
        let (controller, value) = (u7::new(control.number.min(127)), u7::new(control.value.min(127)));
        events.push((control.tick, FIRST, midi(MidiMessage::Controller { controller, value })));
    }
    for note in &track.notes {
        let (key, vel) = (u7::new(note.pitch.min(127)), u7::new(note.velocity.clamp(1, 127)));
        let off = if note.duration == 0 { AT_ONCE_OFF } else { OFF };
        events.push((note.onset, ON, midi(MidiMessage::NoteOn { key, vel })));
        events.push((note.end(), off, midi(MidiMessage::NoteOff { key, vel: u7::new(64) })));
    }
    events
}

/// Absolute ticks to delta times.
fn delta_coded(mut events: Vec<Placed<'_>>) -> Vec<TrackEvent<'_>> {
    events.sort_by_key(|&(tick, place, _)| (tick, place));
    let mut last = 0;
    let mut track: Vec<TrackEvent<'_>> = Vec::with_capacity(events.len() + 1);
    for (tick, _, kind) in events {
        let delta = u28::new((tick - last).min(u64::from(u28::max_value().as_int())) as u32);
        last = tick;
        track.push(TrackEvent { delta, kind });
    }
    track.push(TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
    track
}
