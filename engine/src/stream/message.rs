//! What travels between the threads. Everything the audio thread receives is sized and freed elsewhere.

use super::MAX_PARTS;
use super::audio::Transport;
use super::instant::TableNote;
use super::live::LiveChange;
use crate::score::Note;
use std::sync::Arc;

/// Audio thread to conductor: what was played, in stream time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Played {
    pub epoch: u32,
    /// Host samples since the stream began.
    pub sample: u64,
    pub what: PlayedKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PlayedKind {
    /// `beat` is the song position in quarter notes.
    NoteOn {
        key: u8,
        velocity: u8,
        beat: f64,
    },
    NoteOff {
        key: u8,
    },
    Sustain(bool),
    AllOff,
    /// The song position jumped to where the last [`PlayedKind::Song`] says.
    Jump,
    /// Where the song is; it goes on from there.
    Song(Transport),
    /// A composed note of a part begins, or at velocity 0 ends.
    Composed {
        part: u8,
        key: u8,
        velocity: u8,
    },
}

/// Conductor to audio thread: which part a note went to, or that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub epoch: u32,
    /// Stream time at which the host is told, in host samples.
    pub due: u64,
    /// Stream time at which the key went down (or up), in host samples.
    pub played: u64,
    pub part: u8,
    pub key: u8,
    /// 0 ends the note.
    pub velocity: u8,
}

/// Conductor to synth worker.
#[derive(Debug)]
pub(super) enum Job {
    /// Sync: the next segment.
    Segment(SegmentJob),
    /// Live: what a part plays now.
    Change(LiveChange),
}

/// Conductor to synth worker: everything a segment is made from.
#[derive(Debug, Clone)]
pub(super) struct SegmentJob {
    pub epoch: u32,
    /// Host rate of the stream in Hz.
    pub rate: u32,
    /// The segment's number: its notes are those from frame `index * HOP_FRAMES` on, its sound begins a little earlier.
    pub index: i64,
    pub performance: usize,
    pub steps: usize,
    pub guidance: (f32, f32),
    pub seed: u64,
    /// Instrument and notes of every part.
    pub parts: Vec<(usize, Vec<Note>)>,
}

/// Synth worker to audio thread: finished audio of all parts at the host rate. Goes back to be filled again.
#[derive(Debug, Default)]
pub(super) struct Packet {
    pub epoch: u32,
    /// Stream time of the first sample, in host samples.
    pub start: u64,
    /// Samples per channel.
    pub frames: usize,
    /// Left, then right, of every part that sounds: `2 * frames` samples each.
    pub samples: Vec<f32>,
    /// Where a part's left channel begins in `samples`; `None` is silence.
    pub offsets: [Option<usize>; MAX_PARTS],
    /// It had sound and could not be rendered: a gap, though nothing more will come for it.
    pub missing: bool,
}

impl Packet {
    pub fn end(&self) -> u64 {
        self.start + self.frames as u64
    }

    /// Left and right of a part, `None` when it is silent.
    pub fn part(&self, part: usize) -> Option<(&[f32], &[f32])> {
        let offset = self.offsets[part]?;
        let (left, rest) = self.samples[offset..].split_at(self.frames);
        Some((left, &rest[..self.frames]))
    }
}

/// Synth worker to audio thread: who plays, and the single notes of the instant voice.
#[derive(Debug, Clone)]
pub(super) enum BankMessage {
    /// Another ensemble or performance. The old notes sound until the first new one of their slot arrives.
    Cast(Cast),
    /// A note of a slot; replaces one of the same pitch and dynamic.
    Note { slot: u8, note: Arc<TableNote> },
}

/// The parts as the instant voice sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cast {
    /// Parts of the ensemble, 1..=8.
    pub parts: usize,
    /// Lowest and highest key of each part.
    pub range: [(u8, u8); MAX_PARTS],
    /// Which slot of single notes a part plays from: parts with the same instrument share one.
    pub slot: [u8; MAX_PARTS],
}

impl Default for Cast {
    fn default() -> Self {
        Self { parts: 1, range: [(0, 127); MAX_PARTS], slot: [0; MAX_PARTS] }
    }
}
