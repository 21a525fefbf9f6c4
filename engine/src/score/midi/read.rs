//! Reading MIDI files.

use std::collections::BTreeMap;
use std::path::Path;

use midly::{Format as Kind, Fps, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::DRUMS;
use super::keyboard::Keyboard;
use crate::score::limits::{self, MOST_BYTES, MOST_NOTES};
use crate::score::{Control, Format, Key, Meter, Score, ScoreError, Tempo, Track};

/// Controllers that end every note.
const SOUND_OFF: u8 = 120;
const NOTES_OFF: u8 = 123;
/// Denominators beyond 2 to this power (256) are slips.
const FINEST_BEAT: u8 = 8;

/// Reads a MIDI file.
pub fn read(path: &Path) -> Result<Score, ScoreError> {
    read_bytes(&limits::load(path, MOST_BYTES)?, path)
}

/// Reads the bytes of a MIDI file; `path` only names it in errors.
///
/// Every track of the file is a track; one that writes on channels of several programs, or on the drums' channel too, is
/// a track for each of them. All of a type 0 file is in one track, so there its channels are the tracks.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Score, ScoreError> {
    let malformed = |reason: String| ScoreError::malformed(path, Format::Midi, reason);
    if bytes.is_empty() {
        return Err(ScoreError::Empty { path: path.into() });
    }
    if has_impossible_frames(bytes) {
        return Err(malformed("it has 128 frames a second".into()));
    }
    let smf = Smf::parse(bytes).map_err(|error| malformed(error.to_string()))?;
    if is_truncated(bytes) {
        return Err(ScoreError::Truncated { path: path.into() });
    }
    let mut score = Score::default();
    let clock = clock(smf.header.timing).map_err(malformed)?;
    score.resolution = clock.resolution;
    let single = smf.header.format == Kind::SingleTrack;
    let (mut notes, mut unended) = (0, 0);
    for (number, events) in smf.tracks.iter().enumerate() {
        let mut reader = TrackReader::default();
        reader.follow(events, &mut score);
        unended += reader.channels.values().map(|channel| channel.keyboard.unended).sum::<usize>();
        let tracks = reader.tracks(single);
        // The first track names the piece, unless it is a part by itself.
        let nothing_played = tracks.iter().all(|track| track.notes.is_empty());
        if number == 0 && (single || nothing_played) {
            score.title = limits::name(&given_name(events));
        }
        notes += tracks.iter().map(|track| track.notes.len()).sum::<usize>();
        if notes > MOST_NOTES {
            return Err(ScoreError::too_large(path, format!("more than {MOST_NOTES} notes")));
        }
        score.tracks.extend(tracks);
    }
    if let Some(per_minute) = clock.fixed {
        // With SMPTE time, ticks are seconds and tempo has no say.
        score.tempi = vec![Tempo { tick: 0, per_minute }];
    }
    if unended > 0 {
        score.notices.push(format!("{unended} notes were never ended; they end with their track."));
    }
    if smf.header.format == Kind::Sequential && smf.tracks.len() > 1 {
        let patterns = smf.tracks.len();
        score.notices.push(format!("The file is a list of {patterns} patterns (type 2); they play at once."));
    }
    limits::checked(score, path)
}

/// Whether a header counts 128 frames a second: `midly` negates them in a byte, and panics where overflow is checked.
fn has_impossible_frames(bytes: &[u8]) -> bool {
    bytes.windows(13).any(|header| header.starts_with(b"MThd") && header[12] == 0x80)
}

/// Whether the last chunk of a file claims more bytes than there are. `midly` reads what is left, and so would play half
/// a piece as if it were whole.
fn is_truncated(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((&[a, b, c, d, e, f, g, h], body)) = rest.split_first_chunk() {
        // After the last track programs leave padding and chunks of their own; a RIFF file is checked by its wrapper.
        if ![*b"MThd", *b"MTrk"].contains(&[a, b, c, d]) {
            return false;
        }
        match body.get(u32::from_be_bytes([e, f, g, h]) as usize..) {
            Some(after) => rest = after,
            None => return true,
        }
    }
    false
}

/// What a tick is.
struct Clock {
    /// Ticks per quarter note.
    resolution: u32,
    /// Quarter notes a minute, where the file counts seconds.
    fixed: Option<f64>,
}

fn clock(timing: Timing) -> Result<Clock, String> {
    match timing {
        Timing::Metrical(ticks) if ticks.as_int() == 0 => Err("it has 0 ticks per quarter note".into()),
        Timing::Metrical(ticks) => Ok(Clock { resolution: u32::from(ticks.as_int()), fixed: None }),
        Timing::Timecode(_, 0) => Err("it has 0 ticks per frame".into()),
        Timing::Timecode(rate, subframes) => {
            // A second is a quarter note; at 29.97 frames a second, 30 frames are one, so that every tick is whole.
            let frames = if rate == Fps::Fps29 { 30 } else { rate.as_int() };
            let fixed = 60.0 * f64::from(rate.as_f32()) / f64::from(frames);
            Ok(Clock { resolution: u32::from(frames) * u32::from(subframes), fixed: Some(fixed) })
        }
    }
}

/// One channel of one track as it is read.
#[derive(Default)]
struct Channel {
    /// First program change.
    program: Option<u8>,
    keyboard: Keyboard,
    controls: Vec<Control>,
}

/// One track as it is read.
#[derive(Default)]
struct TrackReader {
    name: String,
    channels: BTreeMap<u8, Channel>,
}

/// The name a track gives itself first, or nothing.
fn given_name(events: &[TrackEvent<'_>]) -> String {
    let name = events.iter().find_map(|event| match event.kind {
        TrackEventKind::Meta(MetaMessage::TrackName(name)) => Some(String::from_utf8_lossy(name).into_owned()),
        _ => None,
    });
    name.unwrap_or_default()
}

impl TrackReader {
    /// Hears every event; tempi, meters and keys are the piece's, whatever track they are in.
    fn follow(&mut self, events: &[TrackEvent<'_>], score: &mut Score) {
        self.name = limits::name(&given_name(events));
        let mut tick = 0u64;
        for event in events {
            tick += u64::from(event.delta.as_int());
            match event.kind {
                TrackEventKind::Meta(MetaMessage::Tempo(microseconds)) if microseconds.as_int() > 0 => {
                    let per_minute = 60e6 / f64::from(microseconds.as_int());
                    score.tempi.push(Tempo { tick, per_minute });
                }
                TrackEventKind::Meta(MetaMessage::TimeSignature(numerator @ 1.., power @ ..=FINEST_BEAT, ..)) => {
                    score.meters.push(Meter { tick, numerator: numerator.into(), denominator: 1 << power });
                }
                TrackEventKind::Meta(MetaMessage::KeySignature(fifths @ -7..=7, minor)) => {
                    score.keys.push(Key { tick, fifths, minor });
                }
                TrackEventKind::Midi { channel, message } => {
                    self.channels.entry(channel.as_int()).or_default().hear(tick, message);
                }
                _ => {}
            }
        }
        for channel in self.channels.values_mut() {
            channel.keyboard.close(tick);
        }
    }

    /// The tracks this one counts as: those channels together that are one instrument, or every channel by itself.
    fn tracks(self, by_channel: bool) -> Vec<Track> {
        let sounding: Vec<u8> =
            self.channels.iter().filter(|(_, channel)| channel.is_heard()).map(|(&number, _)| number).collect();
        let mut tracks: Vec<Track> = Vec::new();
        for (number, channel) in self.channels.into_iter().filter(|(number, _)| sounding.contains(number)) {
            let (program, drums) = (channel.program.unwrap_or(0), number == DRUMS);
            let same = |track: &&mut Track| !by_channel && (track.program, track.drums) == (program, drums);
            match tracks.iter_mut().find(same) {
                Some(track) => {
                    track.notes.extend(channel.keyboard.notes);
                    track.controls.extend(channel.controls);
                }
                None => {
                    let split = by_channel && sounding.len() > 1;
                    let name = if split { format!("Channel {}", number + 1) } else { self.name.clone() };
                    let (notes, controls) = (channel.keyboard.notes, channel.controls);
                    tracks.push(Track { name, program, drums, channel: Some(number), notes, controls });
                }
            }
        }
        tracks
    }
}

impl Channel {
    fn hear(&mut self, tick: u64, message: MidiMessage) {
        match message {
            MidiMessage::NoteOn { key, vel } if vel > 0 => self.keyboard.note_on(tick, key.as_int(), vel.as_int()),
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                self.keyboard.note_off(tick, key.as_int());
            }
            MidiMessage::Controller { controller, value } => {
                let (number, value) = (controller.as_int(), value.as_int());
                if [SOUND_OFF, NOTES_OFF].contains(&number) {
                    self.keyboard.all_off(tick);
                }
                self.controls.push(Control { tick, number, value });
            }
            MidiMessage::ProgramChange { program } => {
                self.program.get_or_insert(program.as_int());
            }
            _ => {}
        }
    }

    fn is_heard(&self) -> bool {
        !self.keyboard.notes.is_empty() || !self.controls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> &'static Path {
        Path::new("a.mid")
    }

    #[test]
    fn every_bad_file_gets_its_own_sentence() {
        assert!(matches!(read_bytes(b"", name()), Err(ScoreError::Empty { .. })));
        assert!(matches!(read_bytes(b"Dear diary, today", name()), Err(ScoreError::Malformed { .. })));
        let empty = b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x04\0\xff\x2f\0";
        assert!(matches!(read_bytes(empty, name()), Err(ScoreError::NoNotes { .. })));
        assert!(matches!(read(Path::new("/nowhere.mid")), Err(ScoreError::Unreadable { .. })));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        // A real file with every byte flipped in turn, and cut at every length.
        let whole = b"MThd\0\0\0\x06\0\x01\0\x01\x01\xe0MTrk\0\0\0\x1a\0\xff\x51\x03\x07\xa1\x20\0\xb0\x40\x7f\
            \0\x90\x3c\x64\x60\x3c\0\x60\xb0\x40\0\0\xff\x2f\0";
        assert!(read_bytes(whole, name()).is_ok());
        for i in 0..whole.len() {
            let _ = read_bytes(&whole[..i], name());
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[i] ^= flip;
                let _ = read_bytes(&bytes, name());
            }
        }
    }
}
