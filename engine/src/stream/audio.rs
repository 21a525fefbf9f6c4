//! The audio thread's side: events in, per-part audio and separated notes out.

use super::MAX_PARTS;
use super::clock::{Mode, StreamClock, StreamTime, host_rate, latency_samples};
use super::engine::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the host's musician did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventKind {
    /// A key goes down; velocity 1..=127 (0 is a note-off).
    NoteOn {
        /// MIDI key.
        key: u8,
        /// MIDI velocity.
        velocity: u8,
    },
    /// A key goes up.
    NoteOff {
        /// MIDI key.
        key: u8,
    },
    /// The sustain pedal goes down or up.
    Sustain(bool),
    /// Everything is released: all notes off, all sound off.
    AllOff,
}

/// An event of the next block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Host samples after the block's beginning. Beyond the block it counts as its last sample.
    pub offset: u32,
    /// What happens.
    pub kind: EventKind,
}

/// Where the host's song is at the beginning of the next block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transport {
    /// Beats (quarter notes) per minute.
    pub tempo_bpm: f64,
    /// Song position in quarter notes.
    pub beat: f64,
    /// Whether the song moves.
    pub playing: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Self { tempo_bpm: 120.0, beat: 0.0, playing: false }
    }
}

/// A note of a separated part, for the host. In Sync it leaves when its audio does; in Live as soon as it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MidiOut {
    /// Host samples after the block's beginning.
    pub offset: u32,
    /// The part, 0 is the highest.
    pub part: u8,
    /// MIDI key.
    pub key: u8,
    /// MIDI velocity; 0 when `on` is false.
    pub velocity: u8,
    /// Whether the note begins or ends.
    pub on: bool,
}

/// The audio thread's side. `Send`, not shared: it belongs to whichever thread calls the host's `process`.
///
/// Per block: [`event`](Self::event) for each event, [`transport`](Self::transport) if known,
/// [`process`](Self::process), then [`part`](Self::part) and [`midi_out`](Self::midi_out).
pub struct AudioSide {
    shared: Arc<Shared>,
    /// Stereo audio of every part, `max_block` samples each; allocated by `configure`.
    parts: [[Vec<f32>; 2]; MAX_PARTS],
    /// Samples of `parts` that the last block filled.
    frames: usize,
    midi: Vec<MidiOut>,
    rate: u32,
    time: StreamTime,
    transport: Transport,
}

impl AudioSide {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            parts: std::array::from_fn(|_| [Vec::new(), Vec::new()]),
            frames: 0,
            midi: Vec::with_capacity(4096),
            rate: 48_000,
            time: StreamTime::default(),
            transport: Transport::default(),
        }
    }

    /// Prepares for a sample rate in Hz and a longest block, and begins a new stream. May allocate: call it
    /// when the host activates the plug-in. The first call lets the models load.
    pub fn configure(&mut self, sample_rate: f64, max_block: usize) {
        self.rate = host_rate(sample_rate);
        for channel in self.parts.iter_mut().flatten() {
            channel.clear();
            channel.resize(max_block, 0.0);
        }
        self.reset();
    }

    /// Forgets every note and all audio under way, and begins a new stream at time 0. Wait-free.
    pub fn reset(&mut self) {
        let mode = self.shared.mode.load(Ordering::Acquire);
        self.time = StreamTime { epoch: (self.time.epoch + 1) % StreamClock::EPOCHS, samples: 0 };
        self.shared.rate.store(self.rate, Ordering::Release);
        self.shared.stream_mode.store(mode, Ordering::Release);
        self.shared
            .telemetry
            .latency
            .store(latency_samples(Mode::from_bits(mode), f64::from(self.rate)), Ordering::Relaxed);
        self.shared.clock.set(self.time);
        self.frames = 0;
        self.midi.clear();
    }

    /// Adds an event to the next block. Events come in order; one that comes earlier than its
    /// predecessor is moved to it. At most 4096 a block are kept.
    pub fn event(&mut self, event: Event) {
        let _ = event;
    }

    /// Says where the host's song is when the next block begins. A jump makes the arranger forget what it heard.
    pub fn transport(&mut self, transport: Transport) {
        self.transport = transport;
    }

    /// Renders the next block: `frames` samples, at most the `max_block` of [`configure`](Self::configure).
    /// Returns how many were rendered; a longer block must be split by the caller.
    pub fn process(&mut self, frames: usize) -> usize {
        self.frames = frames.min(self.parts[0][0].len());
        self.time.samples += self.frames as u64;
        self.shared.clock.set(self.time);
        self.frames
    }

    /// Left and right of a part (0..[`MAX_PARTS`]) in the last block, each as long as `process` returned.
    /// Parts that the ensemble lacks are silent.
    #[must_use]
    pub fn part(&self, part: usize) -> (&[f32], &[f32]) {
        self.parts.get(part).map_or((&[], &[]), |[l, r]| (&l[..self.frames], &r[..self.frames]))
    }

    /// The separated notes of the last block, in order of offset.
    pub fn midi_out(&self) -> impl Iterator<Item = MidiOut> + '_ {
        self.midi.iter().copied()
    }

    /// The latency of the running stream in host samples.
    #[must_use]
    pub fn latency_samples(&self) -> u32 {
        self.shared.telemetry.latency.load(Ordering::Relaxed)
    }
}
