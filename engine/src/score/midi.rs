//! MIDI files, by `midly`: types 0 and 1, tempo changes, sustain pedal, SMPTE time; drums are left out.
//!
//! Time and memory are bounded by the size of the file, which is bounded too: no bytes make reading hang or panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::pedal::{Keyboard, Pedal};
use super::{Note, Score, ScoreNote, TempoMap, Track};

/// General MIDI's percussion channel, 0-based.
const DRUMS: u8 = 9;
/// Controllers.
const SUSTAIN: u8 = 64;
const SOUND_OFF: u8 = 120;
const RESET_CONTROLLERS: u8 = 121;
const NOTES_OFF: u8 = 123;
/// Letters of a track's name that are kept.
const LONGEST_NAME: usize = 80;
/// A file may have this many notes: an hour of the densest orchestra is a tenth of it.
const MOST_NOTES: usize = 1_000_000;
/// A file may be this large, in bytes: five million events, which take 200 MB while they are read.
const MOST_BYTES: u64 = 16 << 20;
/// A piece may be this long: what a broken delta time claims is days.
const MOST_SECONDS: f64 = 6.0 * 3600.0;
/// Resolution of files we write, ticks per quarter note.
const TICKS: u16 = 480;

/// Why a file is no score.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScoreError {
    /// The file cannot be opened or read.
    #[error("{path} cannot be read: {reason}. Check the name and that you may read it.")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The file is empty.
    #[error("{path} is empty. Export it again from the program that made it.")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not a MIDI file: {reason}. Give a standard MIDI file (.mid).")]
    NotMidi {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The end is missing.
    #[error("{path} ends in the middle of a track: it was not copied or saved to its end. Copy or export it again.")]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to play.
    #[error("{path} has no notes{but}. Give a file with at least one note.")]
    NoNotes {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        but: &'static str,
    },
    /// Beyond what can be meant seriously.
    #[error("{path} is too large: {reason}. Split it into shorter pieces.")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which limit it breaks.
        reason: String,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {reason}. Choose a folder you may write to.")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
}

/// Reads a MIDI file.
pub fn read(path: &Path) -> Result<Score, ScoreError> {
    let unreadable = |error: std::io::Error| ScoreError::Unreadable { path: path.into(), reason: error.to_string() };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MOST_BYTES {
        let reason = format!("{} MB, and {} MB is the most", size >> 20, MOST_BYTES >> 20);
        return Err(ScoreError::TooLarge { path: path.into(), reason });
    }
    read_bytes(&std::fs::read(path).map_err(unreadable)?, path)
}

/// Reads the bytes of a MIDI file; `path` only names it in errors.
pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Score, ScoreError> {
    let path = path.to_path_buf();
    if bytes.is_empty() {
        return Err(ScoreError::Empty { path });
    }
    let smf = match Smf::parse(bytes) {
        Ok(smf) => smf,
        Err(error) => return Err(ScoreError::NotMidi { path, reason: error.to_string() }),
    };
    if is_truncated(bytes) {
        return Err(ScoreError::Truncated { path });
    }
    let clock = match Clock::new(&smf) {
        Ok(clock) => clock,
        Err(reason) => return Err(ScoreError::NotMidi { path, reason }),
    };
    let pedals = Pedals::of(&smf);
    let mut score = Score { tempo: clock.tempo.clone(), ..Score::default() };
    let (mut drums, mut unended) = (0usize, 0usize);
    for events in &smf.tracks {
        let mut part = Part::default();
        part.follow(events);
        drums += part.drums;
        unended += part.keyboards.values().map(|keyboard| keyboard.unended).sum::<usize>();
        // All of a type 0 file is in one track; its parts are its channels.
        let by_channel = smf.header.format == Format::SingleTrack;
        for (track, channels) in part.tracks(by_channel) {
            let number = score.tracks.len();
            let before = score.notes.len();
            for (channel, keyboard) in channels {
                score.notes.extend(keyboard.sustained(pedals.of_channel(channel)).iter().map(|played| {
                    let (onset, beat) = clock.at(played.onset);
                    let end = clock.at(played.end).0;
                    let note = Note { onset, end, pitch: played.key, velocity: played.velocity };
                    ScoreNote { note, beat, track: number, channel }
                }));
            }
            if score.notes.len() > before {
                score.tracks.push(track);
            }
            if score.notes.len() > MOST_NOTES {
                return Err(ScoreError::TooLarge { path, reason: format!("more than {MOST_NOTES} notes") });
            }
        }
    }
    if score.notes.is_empty() {
        let but = if drums > 0 { ", only drums" } else { "" };
        return Err(ScoreError::NoNotes { path, but });
    }
    if score.seconds() > MOST_SECONDS {
        let reason =
            format!("{:.0} hours long, and {:.0} is the most", score.seconds() / 3600.0, MOST_SECONDS / 3600.0);
        return Err(ScoreError::TooLarge { path, reason });
    }
    score.notes.sort_by(|a, b| (a.note.onset.total_cmp(&b.note.onset)).then(a.note.pitch.cmp(&b.note.pitch)));
    if drums > 0 {
        score
            .notices
            .push(format!("{drums} drum notes (channel 10) were left out: Ripieno plays pitched instruments."));
    }
    if unended > 0 {
        score.notices.push(format!("{unended} notes were never ended; they end with their track."));
    }
    if smf.header.format == Format::Sequential && score.tracks.len() > 1 {
        score
            .notices
            .push(format!("The file is a list of {} patterns (type 2); they play at once.", score.tracks.len()));
    }
    Ok(score)
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

/// The sustain pedals of a file. Tracks that share a channel share its pedal: the left hand of a piano often has none
/// in its own track.
struct Pedals {
    channels: BTreeMap<u8, Pedal>,
    none: Pedal,
}

impl Pedals {
    fn of(smf: &Smf<'_>) -> Self {
        let mut moves: BTreeMap<u8, Vec<(u64, u8)>> = BTreeMap::new();
        let mut end = 0;
        for track in &smf.tracks {
            let mut tick = 0u64;
            for event in track {
                tick += u64::from(event.delta.as_int());
                if let TrackEventKind::Midi { channel, message: MidiMessage::Controller { controller, value } } =
                    event.kind
                {
                    let channel = moves.entry(channel.as_int()).or_default();
                    match controller.as_int() {
                        SUSTAIN => channel.push((tick, value.as_int())),
                        RESET_CONTROLLERS => channel.push((tick, 0)),
                        _ => {}
                    }
                }
            }
            end = end.max(tick);
        }
        let channels = moves.into_iter().map(|(channel, moves)| (channel, Pedal::new(moves, end))).collect();
        Self { channels, none: Pedal::default() }
    }

    fn of_channel(&self, channel: u8) -> &Pedal {
        self.channels.get(&channel).unwrap_or(&self.none)
    }
}

/// Ticks to seconds and beats.
struct Clock {
    tempo: TempoMap,
    ticks_per_beat: f64,
    /// With SMPTE time, ticks are seconds and tempo has no say.
    seconds_per_tick: Option<f64>,
}

impl Clock {
    fn new(smf: &Smf<'_>) -> Result<Self, String> {
        match smf.header.timing {
            Timing::Metrical(ticks) if ticks.as_int() == 0 => Err("it has 0 ticks per quarter note".into()),
            Timing::Metrical(ticks) => {
                let ticks_per_beat = f64::from(ticks.as_int());
                let mut changes = Vec::new();
                for track in &smf.tracks {
                    let mut tick = 0u64;
                    for event in track {
                        tick += u64::from(event.delta.as_int());
                        if let TrackEventKind::Meta(MetaMessage::Tempo(microseconds)) = event.kind {
                            let length = f64::from(microseconds.as_int()) / 1e6;
                            changes.push((tick as f64 / ticks_per_beat, length));
                        }
                    }
                }
                Ok(Self { tempo: TempoMap::new(changes), ticks_per_beat, seconds_per_tick: None })
            }
            Timing::Timecode(_, 0) => Err("it has 0 ticks per frame".into()),
            Timing::Timecode(rate, subframes) => {
                let tick = 1.0 / (f64::from(rate.as_f32()) * f64::from(subframes));
                Ok(Self { tempo: TempoMap::default(), ticks_per_beat: 1.0, seconds_per_tick: Some(tick) })
            }
        }
    }

    /// Seconds and beat of a tick.
    fn at(&self, tick: u64) -> (f64, f64) {
        match self.seconds_per_tick {
            Some(length) => (tick as f64 * length, self.tempo.beat_at(tick as f64 * length)),
            None => {
                let beat = tick as f64 / self.ticks_per_beat;
                (self.tempo.seconds_at(beat), beat)
            }
        }
    }
}

/// One track as it is read.
#[derive(Default)]
struct Part {
    name: String,
    /// First program change of any channel, and of each.
    program: Option<u8>,
    programs: BTreeMap<u8, u8>,
    keyboards: BTreeMap<u8, Keyboard>,
    drums: usize,
}

impl Part {
    fn follow(&mut self, events: &[TrackEvent<'_>]) {
        let mut tick = 0u64;
        for event in events {
            tick += u64::from(event.delta.as_int());
            match event.kind {
                TrackEventKind::Meta(MetaMessage::TrackName(name)) if self.name.is_empty() => {
                    self.name = String::from_utf8_lossy(name).trim().chars().take(LONGEST_NAME).collect();
                }
                TrackEventKind::Midi { channel, message } => self.hear(tick, channel.as_int(), message),
                _ => {}
            }
        }
        for keyboard in self.keyboards.values_mut() {
            keyboard.close(tick);
        }
    }

    fn hear(&mut self, tick: u64, channel: u8, message: MidiMessage) {
        if channel == DRUMS {
            let struck = matches!(message, MidiMessage::NoteOn { vel, .. } if vel > 0);
            self.drums += usize::from(struck);
            return;
        }
        match message {
            MidiMessage::NoteOn { key, vel } if vel > 0 => {
                self.keyboards.entry(channel).or_default().note_on(tick, key.as_int(), vel.as_int());
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                self.keyboards.entry(channel).or_default().note_off(tick, key.as_int());
            }
            MidiMessage::Controller { controller, .. } if [SOUND_OFF, NOTES_OFF].contains(&controller.as_int()) => {
                self.keyboards.entry(channel).or_default().all_off(tick);
            }
            MidiMessage::ProgramChange { program } => {
                self.program.get_or_insert(program.as_int());
                self.programs.entry(channel).or_insert(program.as_int());
            }
            _ => {}
        }
    }

    /// The tracks this one counts as, each with its channels.
    fn tracks(self, by_channel: bool) -> Vec<(Track, Vec<(u8, Keyboard)>)> {
        let several = self.keyboards.len() > 1;
        if !by_channel || !several {
            let track = Track { name: self.name, program: self.program.unwrap_or(0) };
            return vec![(track, self.keyboards.into_iter().collect())];
        }
        let split = self.keyboards.into_iter().map(|(channel, keyboard)| {
            let name = format!("Channel {}", channel + 1);
            let program = self.programs.get(&channel).copied().unwrap_or(0);
            (Track { name, program }, vec![(channel, keyboard)])
        });
        split.collect()
    }
}

/// One part to be written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenPart<'a> {
    /// Track name.
    pub name: &'a str,
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Its notes.
    pub notes: &'a [Note],
}

/// Writes a type 1 file: a tempo track, then one named track a part, on channels 1, 2, 3, ... without the drums' one.
pub fn write_parts(path: &Path, parts: &[WrittenPart<'_>], tempo: &TempoMap) -> Result<(), ScoreError> {
    let tick_of = |seconds: f64| (tempo.beat_at(seconds) * f64::from(TICKS)).round().max(0.0) as u64;
    let mut tempi: Vec<(u64, TrackEventKind<'_>)> = tempo
        .changes()
        .map(|(beat, per_minute)| {
            let microseconds = (60e6 / per_minute).round().clamp(1.0, 16_777_215.0) as u32;
            let tick = (beat * f64::from(TICKS)).round() as u64;
            (tick, TrackEventKind::Meta(MetaMessage::Tempo(u24::new(microseconds))))
        })
        .collect();
    let mut tracks = vec![delta_coded(&mut tempi)];
    for (i, part) in parts.iter().enumerate() {
        let number = (i % 15) as u8;
        let channel = u4::new(if number >= DRUMS { number + 1 } else { number });
        let midi = |message| TrackEventKind::Midi { channel, message };
        let mut events = vec![
            (0, TrackEventKind::Meta(MetaMessage::TrackName(part.name.as_bytes()))),
            (0, midi(MidiMessage::ProgramChange { program: u7::new(part.program.min(127)) })),
        ];
        for note in part.notes.iter().filter(|note| note.end.is_finite()) {
            let (key, vel) = (u7::new(note.pitch.min(127)), u7::new(note.velocity.clamp(1, 127)));
            let on = tick_of(note.onset);
            events.push((on, midi(MidiMessage::NoteOn { key, vel })));
            events.push((tick_of(note.end).max(on + 1), midi(MidiMessage::NoteOff { key, vel: u7::new(64) })));
        }
        tracks.push(delta_coded(&mut events));
    }
    let smf = Smf { header: Header::new(Format::Parallel, Timing::Metrical(u15::new(TICKS))), tracks };
    let unwritable = |error: std::io::Error| ScoreError::Unwritable { path: path.into(), reason: error.to_string() };
    let mut bytes = Vec::new();
    smf.write_std(&mut bytes).map_err(unwritable)?;
    std::fs::write(path, bytes).map_err(unwritable)
}

/// Absolute ticks to delta times; at one tick a note ends before the next begins.
fn delta_coded<'a>(events: &mut [(u64, TrackEventKind<'a>)]) -> Vec<TrackEvent<'a>> {
    let order = |kind: &TrackEventKind<'_>| match kind {
        TrackEventKind::Midi { message: MidiMessage::NoteOff { .. }, .. } => 1,
        TrackEventKind::Midi { message: MidiMessage::NoteOn { .. }, .. } => 2,
        _ => 0,
    };
    events.sort_by_key(|(tick, kind)| (*tick, order(kind)));
    let mut last = 0;
    let mut track: Vec<TrackEvent<'a>> = events
        .iter()
        .map(|&(tick, kind)| {
            let delta = u28::new((tick - last).min(u64::from(u28::max_value().as_int())) as u32);
            last = tick;
            TrackEvent { delta, kind }
        })
        .collect();
    track.push(TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
    track
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> &'static Path {
        Path::new("a.mid")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = std::env::temp_dir().join(format!("ripieno-{}.mid", std::process::id()));
        let tempo = TempoMap::new(vec![(0.0, 0.5), (2.0, 1.0)]);
        let note = |onset, end, pitch| Note { onset, end, pitch, velocity: 70 };
        let (high, low) = ([note(0.0, 0.5, 72), note(0.5, 2.0, 72)], [note(1.0, 3.0, 48)]);
        let parts = [
            WrittenPart { name: "Violin", program: 40, notes: &high },
            WrittenPart { name: "Cello", program: 42, notes: &low },
        ];
        write_parts(&file, &parts, &tempo).unwrap();
        let score = read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(score.tracks[1], Track { name: "Cello".into(), program: 42 });
        let of = |track| score.notes.iter().filter(move |n| n.track == track).map(|n| n.note).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (high.to_vec(), low.to_vec()));
        assert_eq!(score.notes[2].beat, 2.0);
    }

    #[test]
    fn every_bad_file_gets_its_own_sentence() {
        assert!(matches!(read_bytes(b"", name()), Err(ScoreError::Empty { .. })));
        assert!(matches!(read_bytes(b"Dear diary, today", name()), Err(ScoreError::NotMidi { .. })));
        let empty = b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x04\0\xff\x2f\0";
        assert!(matches!(read_bytes(empty, name()), Err(ScoreError::NoNotes { .. })));
        assert!(matches!(read(Path::new("/nowhere.mid")), Err(ScoreError::Unreadable { .. })));
    }

    #[test]
    fn drums_are_left_out_with_a_notice() {
        let bytes = b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x14\
            \0\x99\x24\x64\0\x90\x3c\x64\x60\x89\x24\x40\0\x80\x3c\x40\0\xff\x2f\0";
        let score = read_bytes(bytes, name()).unwrap();
        assert_eq!((score.notes.len(), score.notes[0].note.pitch), (1, 60));
        assert!(score.notices[0].contains("drum"));
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
