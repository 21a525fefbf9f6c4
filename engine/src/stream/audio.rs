//! The audio thread's side: events in, per-part audio and separated notes out.

use super::MAX_PARTS;
use super::cells::{StreamClock, StreamTime};
use super::clock::{Mode, gather_samples, host_rate, latency_samples, segments_known};
use super::composed::Intake;
use super::composer_worker::compose_samples;
use super::engine::{LoadState, Shared};
use super::held::Held;
use super::instant::{Parts, Voices};
use super::live::{Layers, grid_samples};
use super::message::{BankMessage, Decision, Played, PlayedKind};
use super::pace::Pace;
use super::player::{Rendered, StreamPlayer};
use super::tail::Tail;
use super::understudy::Understudy;
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Events of one block that are kept.
const BLOCK_EVENTS: usize = 4096;
/// Separated notes of one block; what is more waits for the next.
const BLOCK_MIDI: usize = 4096;
/// How far into its sound a held key goes on when the mode changes, in seconds: past its attack.
const PAST_ATTACK: f64 = 0.3;
/// Seconds after a note's sound has begun in which its room may still be heard.
const ECHO: f64 = 4.0;
/// How long offline blocks of a stream wait in vain, loading included, before they wait no more: a host must end.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(120);

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

/// An event as the engine handles it, in order of offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimedEvent {
    pub offset: u32,
    pub kind: EventKind,
    /// The part of a composed note; nothing is the musician's.
    pub part: Option<u8>,
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
    /// Quarter notes of a bar.
    pub bar: f64,
    /// Where a bar of this length begins, quarter notes: 0 where the host does not say.
    pub bar_start: f64,
    /// Where the host's loop begins and ends, quarter notes, where it has one and says so.
    pub cycle: Option<(f64, f64)>,
}

impl Transport {
    /// The first beat from 0 on at which a bar would begin: the same in every bar of a meter, so that not each of them is
    /// told.
    fn first_bar(&self) -> f64 {
        let first = self.bar_start.rem_euclid(self.bar);
        if first.is_finite() { first } else { 0.0 }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self { tempo_bpm: 120.0, beat: 0.0, playing: false, bar: 4.0, bar_start: 0.0, cycle: None }
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
    links: AudioLinks,
    player: StreamPlayer,
    voices: Voices,
    layers: Layers,
    /// Plays the voices where the stream of Sync has a gap.
    understudy: Understudy,
    /// What of the last mode still sounds.
    tail: Tail,
    held: Held,
    /// Stereo audio of every part, `max_block` samples each; allocated by `configure`.
    parts: [[Vec<f32>; 2]; MAX_PARTS],
    /// Samples of `parts` that the last block filled.
    frames: usize,
    /// Events of the next block, capacity [`BLOCK_EVENTS`].
    events: Vec<TimedEvent>,
    /// Separated notes of the last block, capacity [`BLOCK_MIDI`].
    midi: Vec<MidiOut>,
    /// Separated notes that the host believes to sound, a bit per key.
    sounding: [u128; MAX_PARTS],
    /// A reset left notes in `sounding` that are to be ended in the next block.
    end_sounding: bool,
    /// The ring to the conductor was full: everything must be released before anything else is said.
    overflowed: bool,
    rate: u32,
    mode: Mode,
    /// Host samples between a note and its sound.
    latency: u64,
    time: StreamTime,
    /// How long an offline block may wait; nothing once one has waited in vain.
    patience: Duration,
    /// Stream time of the last event, if there was one.
    last_event: Option<u64>,
    song: Song,
    pace: Pace,
    intake: Intake,
    /// Jumps of the song in the running stream.
    jumps: u32,
}

/// The rings of the audio thread.
pub(super) struct AudioLinks {
    pub played: HeapProd<Played>,
    pub decisions: HeapCons<Decision>,
    pub bank: HeapCons<BankMessage>,
    /// Woken when an offline block waits; never touched otherwise.
    pub conductor: Thread,
}

/// The song position at the next block, told by the host or, when it is not, counted on at the last tempo.
#[derive(Debug, Clone, Copy)]
struct Song {
    beat: f64,
    tempo_bpm: f64,
    told: Option<Transport>,
    /// What the workers were told last, and at which host sample: they count on from it.
    said: Option<(u64, Transport)>,
}

/// Beats after which a composed note begins no more.
const LATE_BEATS: f64 = 0.25;
/// Beats by which the song may be elsewhere than the workers count before they are told.
const SONG_TOLERANCE: f64 = 0.002;

impl AudioSide {
    pub(super) fn new(
        shared: Arc<Shared>,
        links: AudioLinks,
        player: StreamPlayer,
        layers: Layers,
        intake: Intake,
    ) -> Self {
        Self {
            shared,
            links,
            player,
            voices: Voices::new(),
            layers,
            understudy: Understudy::new(),
            tail: Tail::new(),
            held: Held::default(),
            parts: std::array::from_fn(|_| [Vec::new(), Vec::new()]),
            frames: 0,
            events: Vec::with_capacity(BLOCK_EVENTS),
            midi: Vec::with_capacity(BLOCK_MIDI),
            sounding: [0; MAX_PARTS],
            end_sounding: false,
            overflowed: false,
            rate: 48_000,
            mode: Mode::default(),
            latency: 0,
            time: StreamTime::default(),
            patience: OFFLINE_PATIENCE,
            last_event: None,
            song: Song { beat: 0.0, tempo_bpm: 120.0, told: None, said: None },
            pace: Pace::new(),
            intake,
            jumps: 0,
        }
    }

    /// Prepares for a sample rate in Hz and a longest block, and begins a new stream. May allocate: call it
    /// when the host activates the plug-in. The first call lets the models load.
    pub fn configure(&mut self, sample_rate: f64, max_block: usize) {
        self.rate = host_rate(sample_rate);
        self.shared.max_block.store(max_block as u64, Ordering::Relaxed);
        for channel in self.parts.iter_mut().flatten() {
            channel.clear();
            channel.resize(max_block, 0.0);
        }
        self.tail.configure(self.rate);
        self.player.configure(max_block.max(self.tail.frames()));
        self.reset();
        self.shared.settings_generation.fetch_add(1, Ordering::Release);
        self.shared.activations.fetch_add(1, Ordering::Release);
    }

    /// Forgets every note and all audio under way, and begins a new stream at time 0. Wait-free.
    pub fn reset(&mut self) {
        self.begin();
        self.events.clear();
        self.midi.clear();
        self.frames = 0;
        self.held.all_off();
        self.intake.reset();
    }

    /// Begins a new stream at time 0 in the mode that is asked for.
    fn begin(&mut self) {
        let mode = self.shared.mode.load(Ordering::Acquire);
        self.mode = Mode::from_bits(mode);
        self.latency = u64::from(latency_samples(self.mode, f64::from(self.rate)));
        self.time = StreamTime { epoch: (self.time.epoch + 1) % StreamClock::EPOCHS, samples: 0 };
        self.shared.rate.store(self.rate, Ordering::Release);
        self.shared.stream_mode.store(mode, Ordering::Release);
        self.shared.telemetry.latency.store(self.latency as u32, Ordering::Relaxed);
        self.shared.telemetry.rate.store(self.rate, Ordering::Relaxed);
        self.shared.clock.set(self.time);
        self.player.begin(self.rate);
        self.voices.begin(self.rate);
        self.understudy.begin(self.rate);
        self.layers.begin(self.rate);
        self.intake.begin();
        (self.jumps, self.song.said) = (0, None);
        self.last_event = None;
        self.pace = Pace::new();
        self.shared.hurried.store(false, Ordering::Release);
        self.end_sounding = true;
        self.overflowed = false;
        self.patience = OFFLINE_PATIENCE;
    }

    /// Adds an event to the next block. Events come in order; one that comes earlier than its
    /// predecessor is moved to it. At most 4096 a block are kept.
    pub fn event(&mut self, mut event: Event) {
        if self.events.len() == BLOCK_EVENTS {
            self.shared.telemetry.lost_events.fetch_add(1, Ordering::Relaxed);
            // Were the lost one a note-off, its note would hang: the last place is given to the end of all notes.
            let last = &mut self.events[BLOCK_EVENTS - 1];
            *last = TimedEvent { kind: EventKind::AllOff, part: None, ..*last };
            return;
        }
        if let Some(last) = self.events.last() {
            event.offset = event.offset.max(last.offset);
        }
        if let EventKind::NoteOn { key, velocity: 0 } = event.kind {
            event.kind = EventKind::NoteOff { key };
        }
        self.events.push(TimedEvent { offset: event.offset, kind: event.kind, part: None });
    }

    /// Says where the host's song is when the next block begins. A jump makes the arranger forget what it heard.
    pub fn transport(&mut self, transport: Transport) {
        self.song.told = Some(transport);
    }

    /// Renders the next block: `frames` samples, at most the `max_block` of [`configure`](Self::configure).
    /// Returns how many were rendered; a longer block must be split by the caller.
    ///
    /// Never allocates, locks or logs, and waits only while [`Control::set_offline`](super::Control::set_offline) or
    /// the host's own haste says that it is not playing in real time.
    pub fn process(&mut self, frames: usize) -> usize {
        if self.shared.mode.load(Ordering::Acquire) != self.mode.bits() {
            self.change_mode();
        } else if self.song_starts() && self.is_silent() {
            // Hosts like Ardour neither reset nor reactivate before an export. Segments, and with them all noise, are
            // counted from the song's start: what an export sounds like does not depend on how long the instrument was open.
            self.begin();
        }
        let frames = frames.min(self.parts[0][0].len());
        self.frames = frames;
        self.midi.clear();
        if frames == 0 {
            return 0;
        }
        for channel in self.parts.iter_mut().flatten() {
            channel[..frames].fill(0.0);
        }
        self.shared.hurried.store(self.pace.block(frames, self.rate), Ordering::Release);
        let block_start = self.time.samples;
        let block_end = block_start + frames as u64;
        let last = frames as u32 - 1;
        self.events.iter_mut().for_each(|event| event.offset = event.offset.min(last));
        let composing = self.shared.composing.load(Ordering::Relaxed);
        let jumps = self.follow_song(frames);
        self.intake.block(jumps || !composing, &mut self.events);
        if jumps {
            self.tell(block_start, PlayedKind::Jump);
        }
        if composing {
            self.compose(block_start, frames);
        } else {
            self.intake.follow(&self.events, frames as u32);
            self.tell_conductor(block_start, 0..frames as u32);
            self.time.samples = block_end;
            self.shared.clock.set(self.time);
        }

        let offline = self.shared.bouncing();
        if offline {
            self.wait_for(block_start, block_end);
        }
        self.receive_bank();
        if self.end_sounding {
            self.end_sounding_notes();
        }
        match self.mode {
            Mode::Live => self.play_live(block_start, frames),
            Mode::Sync => {
                self.deliver_decisions(block_start, block_end);
                self.play_stream(block_start, frames, offline);
            }
        }
        self.tail.add(frames, &mut self.parts);
        self.follow_held();
        self.events.clear();
        self.song.beat += frames as f64 / f64::from(self.rate) * self.song.tempo_bpm / 60.0;
        self.show(block_end);
        frames
    }

    /// Whether the host's song stood still so far and moves in the next block.
    fn song_starts(&self) -> bool {
        let moved = self.song.said.is_some_and(|(_, said)| said.playing);
        !moved && self.time.samples > 0 && self.song.told.is_some_and(|told| told.playing)
    }

    /// Whether nothing is held, nothing sounds, and nothing that was played has yet to sound.
    fn is_silent(&self) -> bool {
        let echo = self.latency + (ECHO * f64::from(self.rate)) as u64;
        let rings = self.last_event.is_some_and(|last| self.time.samples < last + echo);
        let holds = self.held.pedal() || self.held.keys().next().is_some();
        !rings && !holds && !self.shared.composing.load(Ordering::Relaxed)
    }

    /// Leaves the stream for one of another mode: what sounds is faded out, and what is held goes on in the new stream, in
    /// Live at once and in Sync one latency later.
    fn change_mode(&mut self) {
        let (now, telemetry) = (self.time.samples, &self.shared.telemetry);
        let frames = self.tail.frames();
        let (voices, layers, player) = (&mut self.voices, &mut self.layers, &mut self.player);
        let understudy = &self.understudy;
        match self.mode {
            Mode::Live => self.tail.begin(|parts| {
                let mut at = 0;
                while at < frames {
                    let run = layers.steady(now + at as u64, frames - at);
                    layers.render(now + at as u64, (at, run), &voices.sounding(), parts, telemetry);
                    voices.render((at, at + run), parts, now + at as u64, &layers.cover, telemetry);
                    at += run;
                }
            }),
            Mode::Sync => self.tail.begin(|parts| {
                if let Some(start) = now.checked_sub(self.latency) {
                    player.render(start, 0, frames, true, parts);
                    understudy.go_on(&player.rest()[..frames], voices, parts);
                }
            }),
        }
        self.begin();
        if self.held.pedal() {
            self.tell(0, PlayedKind::Sustain(true));
        }
        let beat = self.song.beat.max(0.0);
        for (key, velocity, _) in self.held.keys() {
            self.tell(0, PlayedKind::NoteOn { key, velocity, beat });
            if self.mode == Mode::Live {
                self.voices.resume(key, velocity, PAST_ATTACK * f64::from(self.rate));
            }
        }
        self.voices.sustain(self.held.pedal());
        for (key, _, _) in self.held.keys().filter(|(_, _, pedalled)| *pedalled) {
            self.tell(0, PlayedKind::NoteOff { key });
            self.voices.note_off(key);
        }
    }

    fn follow_held(&mut self) {
        for event in self.events.iter().filter(|event| event.part.is_none()) {
            match event.kind {
                EventKind::NoteOn { key, velocity } => self.held.note_on(key, velocity),
                EventKind::NoteOff { key } => self.held.note_off(key),
                EventKind::Sustain(down) => self.held.sustain(down),
                EventKind::AllOff => self.held.all_off(),
            }
        }
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
        self.latency as u32
    }

    /// Takes up the host's song position; whether it jumped, which the conductor is to hear before this block's events.
    fn follow_song(&mut self, frames: usize) -> bool {
        let told = self.song.told.take();
        if let Some(tempo) = told.map(|told| told.tempo_bpm).filter(|tempo| tempo.is_finite() && *tempo > 0.0) {
            self.song.tempo_bpm = tempo.clamp(1.0, 1_000.0);
        }
        let here = told.filter(|told| told.playing && told.beat.is_finite()).map(|told| told.beat);
        // Hosts round the position; a tempo ramp moves it by a little of a block.
        let block = frames as f64 / f64::from(self.rate) * self.song.tempo_bpm / 60.0;
        let jumps = here.is_some_and(|beat| (beat - self.song.beat).abs() > 0.125 + block);
        self.song.beat = here.unwrap_or(self.song.beat);
        if jumps {
            self.jumps = self.jumps.wrapping_add(1);
        }
        self.say_song(told);
        jumps
    }

    /// Tells the workers where the song is, where it is not where they count on from what they were told.
    fn say_song(&mut self, told: Option<Transport>) {
        let sample = self.time.samples;
        let before = self.song.said.map(|(_, said)| said).unwrap_or_default();
        let now = Transport {
            tempo_bpm: self.song.tempo_bpm,
            beat: self.song.beat,
            playing: told.map_or(before.playing, |told| told.playing),
            bar: told.map_or(before.bar, |told| told.bar),
            bar_start: told.map_or(before.bar_start, |told| told.first_bar()),
            cycle: told.map_or(before.cycle, |told| told.cycle.filter(|(start, end)| start < end)),
        };
        let counted = |(from, said): (u64, Transport)| {
            let beat = said.beat + (sample - from) as f64 / f64::from(self.rate) * said.tempo_bpm / 60.0;
            (beat - now.beat).abs() < SONG_TOLERANCE && Transport { beat: now.beat, ..said } == now
        };
        if !self.song.said.is_some_and(counted) {
            self.song.said = Some((sample, now));
            self.tell(sample, PlayedKind::Song(now));
        }
    }

    /// Composed notes that are due in this block join the events, and the conductor hears of all. Offline in runs up to
    /// the composer's points of time, each of which waits for what the composer says there: what it has heard by then, and
    /// so what it says, is the same whatever the block size.
    fn compose(&mut self, block_start: u64, frames: usize) {
        let samples_per_beat = f64::from(self.rate) * 60.0 / self.song.tempo_bpm;
        let beat = self.song.beat;
        // To the nearest sample; not by a half, which a tick is at many a tempo, but by what none is.
        let offset = |of: f64| ((of - beat) * samples_per_beat + 0.5 - 1.0 / 64.0).floor() as i64;
        let late = (LATE_BEATS * samples_per_beat) as i64;
        let point = compose_samples(self.rate);
        let mut at = 0;
        while at < frames {
            let (mut to, now) = (frames, block_start + at as u64);
            if self.shared.bouncing() {
                let last = now / point * point;
                self.wait_for_composer(last);
                to = frames.min((last + point - block_start) as usize);
            }
            let run = at as u32..to as u32;
            self.intake.receive((self.time.epoch, self.jumps), run.clone(), late, offset, &mut self.events);
            self.tell_conductor(block_start, run);
            self.time.samples = block_start + to as u64;
            self.shared.clock.set(self.time);
            at = to;
        }
    }

    /// The block's events at these offsets.
    fn tell_conductor(&mut self, block_start: u64, at: std::ops::Range<u32>) {
        let beats_per_sample = self.song.tempo_bpm / 60.0 / f64::from(self.rate);
        let [first, end] = [at.start, at.end].map(|to| self.events.partition_point(|event| event.offset < to));
        for i in first..end {
            let offset = self.events[i].offset;
            let sample = block_start + u64::from(offset);
            self.last_event = Some(sample);
            let what = match (self.events[i].kind, self.events[i].part) {
                (EventKind::NoteOn { key, velocity }, Some(part)) => PlayedKind::Composed { part, key, velocity },
                (EventKind::NoteOff { key }, Some(part)) => PlayedKind::Composed { part, key, velocity: 0 },
                (EventKind::NoteOn { key, velocity }, None) => {
                    let beat = self.song.beat + f64::from(offset) * beats_per_sample;
                    PlayedKind::NoteOn { key: key.min(127), velocity: velocity.min(127), beat }
                }
                (EventKind::NoteOff { key }, None) => PlayedKind::NoteOff { key: key.min(127) },
                (EventKind::Sustain(down), _) => PlayedKind::Sustain(down),
                (EventKind::AllOff, _) => PlayedKind::AllOff,
            };
            self.tell(sample, what);
        }
    }

    fn tell(&mut self, sample: u64, what: PlayedKind) {
        let epoch = self.time.epoch;
        // The lost event may have been a note-off: nothing is said before everything is released.
        let release = Played { epoch, sample, what: PlayedKind::AllOff };
        if (self.overflowed && !self.push(release)) || !self.push(Played { epoch, sample, what }) {
            self.overflowed = true;
            self.shared.telemetry.lost_events.fetch_add(1, Ordering::Relaxed);
        } else {
            self.overflowed = false;
        }
    }

    /// Whether the ring to the conductor took it. Offline a full ring is waited for.
    fn push(&mut self, played: Played) -> bool {
        if self.links.played.try_push(played).is_ok() {
            return true;
        }
        let begun = Instant::now();
        while self.shared.bouncing() && !self.shared.stopping() && begun.elapsed() < self.patience {
            self.links.conductor.unpark();
            std::thread::park_timeout(Duration::from_micros(200));
            if self.links.played.try_push(played).is_ok() {
                return true;
            }
        }
        false
    }

    /// Offline alone: parks until this block's audio and decisions are there, or can never come.
    fn wait_for(&mut self, block_start: u64, block_end: u64) {
        let (from, to) = (block_start.saturating_sub(self.latency), block_end.saturating_sub(self.latency));
        // What the conductor must have come to: a segment takes its settings from the block that completes its notes,
        // and a note of Live its part from the block in which it is decided.
        let needed = match self.mode {
            Mode::Sync => {
                let completes = segments_known(block_end, self.rate) > segments_known(block_start, self.rate);
                if completes { block_end } else { 0 }
            }
            Mode::Live => {
                let grid = grid_samples(self.rate);
                let sends = block_end / grid > block_start / grid;
                // A note is decided once its chord is gathered.
                let last = self.last_event.unwrap_or(0) + gather_samples(self.rate);
                if sends { block_end } else { block_end.min(last) }
            }
        };
        self.wait_until(|this| {
            let decided = this.shared.decided.get();
            let decided = needed == 0 || (decided.epoch == this.time.epoch && decided.samples >= needed);
            match (this.shared.load_state(), this.mode) {
                (LoadState::Failed, _) => true,
                (LoadState::Waiting, _) => false,
                (LoadState::Ready, Mode::Sync) => {
                    this.player.receive(this.time.epoch, from);
                    decided && (to == 0 || this.player.has(from, to))
                }
                (LoadState::Ready, Mode::Live) => {
                    this.layers.receive(this.time.epoch, &this.shared.telemetry);
                    decided && this.shared.table_complete() && this.shared.changes.all()
                }
            }
        });
    }

    /// Offline alone: parks until the composer has come to `from`, or never will.
    fn wait_for_composer(&mut self, from: u64) {
        self.wait_until(|this| {
            let composed = this.shared.composed.get();
            let there = composed.epoch == this.time.epoch && composed.samples >= from;
            there || this.shared.load_state() == LoadState::Failed
        });
    }

    fn wait_until(&mut self, mut there: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !there(self) && !self.shared.stopping() {
            if begun.elapsed() > self.patience {
                self.patience = Duration::ZERO;
                break;
            }
            self.links.conductor.unpark();
            std::thread::park_timeout(Duration::from_micros(200));
        }
        self.pace.waited(begun.elapsed());
    }

    fn receive_bank(&mut self) {
        while let Some(message) = self.links.bank.try_pop() {
            self.voices.bank(message);
        }
    }

    fn play_stream(&mut self, block_start: u64, frames: usize, offline: bool) {
        // Before the first latency has passed there is nothing to hear yet.
        let quiet = (self.latency.saturating_sub(block_start)).min(frames as u64) as usize;
        let start = (block_start + quiet as u64).saturating_sub(self.latency);
        self.player.receive(self.time.epoch, start);
        let mut rendered = Rendered::default();
        if quiet < frames {
            rendered = self.player.render(start, quiet, frames - quiet, offline, &mut self.parts);
            // While models load, and without them, silence is not an underrun: the status says why.
            if rendered.gaps > 0 && self.shared.load_state() == LoadState::Ready {
                self.shared.telemetry.underruns.fetch_add(rendered.gaps, Ordering::Relaxed);
            }
        }
        // Offline nothing is late; what cannot be rendered must be the same silence every time, and how far the table is
        // depends on time. What plays already when the host begins to hurry fades out first.
        let plays = !offline || self.understudy.is_on();
        let rest = Some(&self.player.rest()[..frames]).filter(|_| rendered.lacks && plays);
        self.understudy.play(block_start, &self.midi, rest, &mut self.voices, &mut self.parts);
    }

    /// Live: keys sound at their own offset; decisions of the conductor move voices as they come, and passages cover them.
    fn play_live(&mut self, block_start: u64, frames: usize) {
        self.layers.receive(self.time.epoch, &self.shared.telemetry);
        let mut at = 0;
        let mut next_event = 0;
        while at < frames {
            let now = block_start + at as u64;
            while let Some(event) = self.events.get(next_event).filter(|e| e.offset as usize <= at) {
                let (event, played) = (*event, block_start + u64::from(event.offset));
                self.play_event(event.kind, event.part, played);
                if let (EventKind::NoteOn { key, .. }, Some(part)) = (event.kind, event.part) {
                    self.voices.decided(key, part, played);
                }
                next_event += 1;
            }
            while let Some(decision) = self.next_decision(now) {
                self.deliver(decision, at as u32);
                if decision.velocity > 0 {
                    self.voices.decided(decision.key, decision.part, decision.played);
                }
            }
            let event_at = self.events.get(next_event).map_or(frames, |e| e.offset as usize);
            let decision_at = self.peek_due().map_or(frames, |due| due.saturating_sub(block_start) as usize);
            // A full block of MIDI leaves due decisions waiting: they must not stop time.
            let to = event_at.min(decision_at.max(at + 1)).min(frames);
            let to = at + self.layers.steady(now, to - at);
            let (run, telemetry) = ((at, to - at), &self.shared.telemetry);
            self.layers.render(now, run, &self.voices.sounding(), &mut self.parts, telemetry);
            self.voices.render((at, to), &mut self.parts, now, &self.layers.cover, telemetry);
            self.layers.remember(now, run, &self.parts);
            at = to;
        }
    }

    fn play_event(&mut self, kind: EventKind, composed: Option<u8>, played: u64) {
        let released: Parts = match kind {
            EventKind::NoteOn { key, velocity } => self.voices.note_on(key.min(127), velocity.min(127), played),
            EventKind::NoteOff { key } if composed.is_some() => self.voices.end(key.min(127)),
            EventKind::NoteOff { key } => self.voices.note_off(key.min(127)),
            EventKind::Sustain(down) => self.voices.sustain(down),
            EventKind::AllOff => {
                self.voices.all_off();
                self.layers.all_off(played);
                0
            }
        };
        for part in (0..MAX_PARTS).filter(|part| released >> part & 1 == 1) {
            self.layers.released(part, played);
        }
    }

    fn deliver_decisions(&mut self, block_start: u64, block_end: u64) {
        while let Some(decision) = self.next_decision(block_end - 1) {
            self.deliver(decision, decision.due.saturating_sub(block_start) as u32);
        }
    }

    fn peek_due(&mut self) -> Option<u64> {
        loop {
            let decision = self.links.decisions.first()?;
            if decision.epoch == self.time.epoch {
                return Some(decision.due);
            }
            self.links.decisions.try_pop();
        }
    }

    /// The next decision that is due at `now` or earlier, if the block's MIDI has room for it.
    fn next_decision(&mut self, now: u64) -> Option<Decision> {
        let due = self.peek_due()?;
        if due <= now && self.midi.len() < BLOCK_MIDI { self.links.decisions.try_pop() } else { None }
    }

    fn deliver(&mut self, decision: Decision, offset: u32) {
        let Decision { part, key, velocity, .. } = decision;
        let Some(keys) = self.sounding.get_mut(usize::from(part)) else { return };
        let bit = 1u128 << (key & 127);
        let on = velocity > 0;
        if on {
            *keys |= bit;
        } else if *keys & bit == 0 {
            return;
        } else {
            *keys &= !bit;
        }
        self.midi.push(MidiOut { offset, part, key, velocity, on });
    }

    /// After a reset the host is told the end of every note it was told the beginning of.
    fn end_sounding_notes(&mut self) {
        for part in 0..MAX_PARTS {
            while self.sounding[part] != 0 && self.midi.len() < BLOCK_MIDI {
                let key = self.sounding[part].trailing_zeros() as u8;
                self.sounding[part] &= self.sounding[part] - 1;
                self.midi.push(MidiOut { offset: 0, part: part as u8, key, velocity: 0, on: false });
            }
        }
        self.end_sounding = false;
    }

    fn show(&mut self, block_end: u64) {
        let telemetry = &self.shared.telemetry;
        let seconds = block_end as f64 / f64::from(self.rate);
        telemetry.seconds_bits.store(seconds.to_bits(), Ordering::Relaxed);
        telemetry.voices.store(self.voices.count() as u32, Ordering::Relaxed);
        for ([left, right], shown) in self.parts.iter().zip(&telemetry.peaks) {
            let samples = left[..self.frames].iter().chain(&right[..self.frames]);
            let peak = samples.fold(0.0f32, |peak, x| peak.max(x.abs()));
            // Only this thread raises it; the editor's taking it between the two costs one block of one meter.
            if peak > shown.load(Ordering::Relaxed) {
                shown.store(peak, Ordering::Relaxed);
            }
        }
    }
}
