//! The synth worker: loads the models, renders segments in time, and fills the table of the instant voice.
//!
//! Segments come first; single notes are rendered between them, one at a time. In real time a segment gets the denoising
//! steps that fit before it is due (measured, not guessed), down to none; one whose time has passed is not rendered.
//! Offline every segment gets all its steps. A segment that cannot be rendered is silent, and the status says why.

use super::MAX_PARTS;
use super::clock::{self, HOP_FRAMES, Mode};
use super::conductor::is_newer;
use super::engine::{LoadState, Shared, Worker};
use super::instant::{HELD_SECONDS, NOTE_SECONDS, NotePlan, TableNote, plan};
use super::loading::{Cast, Loaded, Loader, Renderer, SingleNote, cast};
use super::message::{self, BankMessage, Packet, SegmentJob};
use super::resample::{HostResampler, resample};
use super::telemetry::StatusKind;
use crate::score::Note;
use crate::synth::PartAudio;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::Mutex;
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

/// How long the worker waits for a segment before it looks at its settings.
const POLL: Duration = Duration::from_millis(10);
/// Seconds of music in a segment.
pub(super) const HOP_SECONDS: f64 = HOP_FRAMES as f64 / 100.0;
/// The part of the time there is that may be planned for; the rest is for what else the computer does.
const PLANNED: f64 = 0.8;

/// How much dearer the first segments are taken to be than what was measured before anything played.
const CAUTION: f64 = 2.0;

pub(super) struct SynthLinks {
    pub jobs: Receiver<SegmentJob>,
    pub packets: HeapProd<Box<Packet>>,
    pub returned: HeapCons<Box<Packet>>,
    pub bank: HeapProd<BankMessage>,
}

pub(super) struct SynthWorker {
    shared: Arc<Shared>,
    links: SynthLinks,
    loader: Loader,
    loaded: Option<Arc<Loaded>>,
    renderer: Option<Box<dyn Renderer>>,
    activations_tried: u64,
    settings_seen: Option<u64>,
    /// Whether it was ready when the status was said last, and the warning that stood.
    said: Option<(bool, Option<String>)>,
    live: bool,
    cast: Option<Cast>,
    /// Epoch and index that continue the stream as it is.
    next: Option<(u32, i64)>,
    resampler: Option<HostResampler>,
    /// Audio of the segment under way at 48 kHz, one hop per part.
    audio: Vec<PartAudio>,
    /// The segment under way, for a silent packet should rendering it panic.
    under_way: Option<SegmentJob>,
    cost: Cost,
    table: Table,
}

impl SynthWorker {
    pub fn new(shared: Arc<Shared>, links: SynthLinks, loader: Loader) -> Self {
        Self {
            shared,
            links,
            loader,
            loaded: None,
            renderer: None,
            activations_tried: 0,
            settings_seen: None,
            said: None,
            live: false,
            cast: None,
            next: None,
            resampler: None,
            audio: Vec::new(),
            under_way: None,
            cost: Cost::default(),
            table: Table::default(),
        }
    }

    /// Loads once the host has activated the instrument, and tries again at each activation after a failure.
    fn load(&mut self) {
        let activations = self.shared.activations.load(Ordering::Acquire);
        if activations == self.activations_tried {
            std::thread::park_timeout(POLL);
            return;
        }
        self.activations_tried = activations;
        let telemetry = Arc::clone(&self.shared.telemetry);
        self.shared.set_load_state(LoadState::Waiting);
        telemetry.set_status(StatusKind::Busy, "Loading the models.");
        let begun = Instant::now();
        let loaded = match &self.loaded {
            Some(loaded) => Ok(Arc::clone(loaded)),
            None => (self.loader)().map(Arc::new),
        };
        if let Ok(loaded) = &loaded {
            // Without a synthesizer the arranger's networks still give out notes, to the host as MIDI.
            *self.shared.loaded.lock() = Some(Arc::clone(loaded));
        }
        match loaded.and_then(|loaded| (loaded.renderer)().map(|renderer| (loaded, renderer))) {
            Ok((loaded, renderer)) => {
                log::debug!("Models loaded in {:.2} s.", begun.elapsed().as_secs_f64());
                telemetry.set_provider(&loaded.provider);
                self.loaded = Some(loaded);
                self.renderer = Some(renderer);
                self.settings_seen = None;
                self.shared.set_load_state(LoadState::Ready);
            }
            Err(sentence) => {
                telemetry.set_status(StatusKind::Failed, sentence);
                self.shared.set_load_state(LoadState::Failed);
            }
        }
    }

    /// Takes up changed settings; the cast decides what the table must hold.
    fn follow_settings(&mut self) {
        let generation = self.shared.settings_generation.load(Ordering::Acquire);
        let rate = self.shared.rate.load(Ordering::Acquire);
        self.live = self.shared.mode.load(Ordering::Acquire) == Mode::Live.bits();
        if self.settings_seen != Some(generation) {
            self.settings_seen = Some(generation);
            let settings = self.shared.settings.lock().clone();
            let next = cast(self.loaded.as_deref(), &settings, self.cast.as_ref());
            self.said = None;
            self.table.steps = settings.steps;
            self.cast = Some(next);
        }
        let (Some(cast), Some(loaded)) = (&self.cast, &self.loaded) else { return };
        if self.live {
            // In Sync the table stays as far as it is: back in Live its voices are there at once.
            self.table.follow(cast, loaded, rate);
        }
        if self.live && self.table.complete() {
            self.shared.table_complete_for.store(generation, Ordering::Release);
        }
        let warning = cast.warning.clone().or_else(|| self.shared.arranged_instead.lock().clone());
        let ready = !self.live || self.table.playable();
        let telemetry = &self.shared.telemetry;
        telemetry.ready.store(ready, Ordering::Release);
        telemetry.progress.store(if self.live { self.table.progress() } else { 1.0 }, Ordering::Relaxed);
        // Said once per change: a warning of something that happened since must stay readable.
        let say = Some((ready, warning.clone()));
        if self.said != say {
            self.said = say;
            match warning {
                Some(sentence) => telemetry.set_status(StatusKind::Warning, sentence),
                None if ready => telemetry.set_status(StatusKind::Ready, "Ready."),
                None => telemetry.set_status(StatusKind::Busy, "Rendering the first notes of the instant voice."),
            }
        }
        if !self.live && !self.cost.known() && !self.shared.offline.load(Ordering::Acquire) {
            self.warm_up();
        }
    }

    /// Renders one note into nothing, to know what a segment costs before the first is due; it also lets ONNX Runtime
    /// make its memory plans.
    fn warm_up(&mut self) {
        let (Some(cast), Some(renderer)) = (&self.cast, &mut self.renderer) else { return };
        let settings = self.shared.settings.lock().clone();
        let note = Note { onset: 0.1, end: f64::INFINITY, pitch: 60, velocity: 90 };
        let mut audio = Vec::new();
        for steps in [0, 0, 1] {
            let job = SegmentJob {
                epoch: 0,
                rate: clock::MODEL_RATE as u32,
                index: 0,
                performance: cast.performance,
                steps,
                guidance: (settings.guidance_notes, settings.guidance_performance),
                seed: 0,
                parts: vec![(cast.instruments[0], vec![note])],
            };
            renderer.begin();
            let begun = Instant::now();
            match renderer.segment(&job, steps, &mut audio) {
                Ok(computed) => self.cost.learn(steps, computed.max(1), CAUTION * begun.elapsed().as_secs_f64()),
                Err(sentence) => {
                    self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                    self.cost.learn(steps, 1, CAUTION * begun.elapsed().as_secs_f64());
                }
            }
        }
        self.next = None;
    }

    fn render(&mut self, job: SegmentJob) {
        let clock = self.shared.clock.get();
        if clock.epoch != job.epoch {
            if is_newer(clock.epoch, job.epoch) {
                return;
            }
            log::debug!("A segment came before its stream.");
        }
        let offline = self.shared.bouncing();
        let slack = slack_seconds(&job, clock.samples);
        if !offline && slack < -HOP_SECONDS {
            self.next = None;
            return;
        }
        let sounding = job.parts.iter().filter(|(_, notes)| !notes.is_empty()).count();
        let steps = if offline { job.steps } else { self.cost.steps(job.steps, sounding, slack) };
        let begun = Instant::now();
        self.under_way = Some(job);
        let Some(job) = self.under_way.as_ref() else { return };
        let Some(renderer) = &mut self.renderer else { return };
        let continues = self.next == Some((job.epoch, job.index));
        if !continues {
            renderer.begin();
        }
        if !continues || self.resampler.as_ref().is_none_or(|resampler| resampler.rate() != job.rate) {
            self.resampler = match HostResampler::new(job.rate, job.index) {
                Ok(resampler) => Some(resampler),
                Err(error) => {
                    self.shared.telemetry.set_status(StatusKind::Failed, format!("Resampling failed: {error}."));
                    None
                }
            };
        }
        let result = renderer.segment(job, steps, &mut self.audio);
        let seconds = begun.elapsed().as_secs_f64();
        if let Err(sentence) = &result {
            self.audio.clear();
            self.shared.telemetry.set_status(StatusKind::Warning, sentence.clone());
        }
        self.next = Some((job.epoch, job.index + 1));
        let (asked, epoch) = (job.steps, job.epoch);
        self.send(epoch);
        self.under_way = None;

        let telemetry = &self.shared.telemetry;
        telemetry.segments.fetch_add(1, Ordering::Relaxed);
        if let Ok(computed @ 1..) = result {
            self.cost.learn(steps, computed, seconds);
            telemetry.count_segment(seconds);
            telemetry.steps.store(steps as u32, Ordering::Relaxed);
            telemetry.short_segments.fetch_add(u64::from(steps < asked), Ordering::Relaxed);
        }
        let load = telemetry.load.load(Ordering::Relaxed);
        telemetry.load.store(load + 0.25 * ((seconds / HOP_SECONDS) as f32 - load), Ordering::Relaxed);
    }

    /// Resamples `self.audio` and hands it to the audio thread.
    fn send(&mut self, epoch: u32) {
        let Some(resampler) = &mut self.resampler else { return };
        let mut packet = self.links.returned.try_pop().unwrap_or_default();
        packet.epoch = epoch;
        if let Err(error) = resampler.fill(&self.audio, &mut packet) {
            self.shared.telemetry.set_status(StatusKind::Failed, format!("Resampling failed: {error}."));
            return;
        }
        let mut waiting = Some(packet);
        while let Some(packet) = waiting.take() {
            if self.shared.stopping() || self.shared.clock.get().epoch != epoch {
                return;
            }
            if let Err(packet) = self.links.packets.try_push(packet) {
                waiting = Some(packet);
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    /// Renders and sends one single note, if one is missing.
    fn render_note(&mut self) {
        self.table.send(&mut self.links.bank);
        // Notes that only this list still holds are of a table that is gone.
        self.shared.table_notes.lock().retain(|note| Arc::strong_count(note) > 1);
        let (Some(plan), Some(cast), Some(loaded)) = (self.table.queue.front().copied(), &self.cast, &self.loaded)
        else {
            return;
        };
        let instrument = self.table.instruments.get(usize::from(plan.slot)).copied().unwrap_or(0);
        let key = NoteKey {
            models: loaded.models.as_ref().map_or(0, |models| Arc::as_ptr(models) as usize),
            performance: cast.performance,
            instrument,
            pitch: plan.pitch,
            velocity: plan.velocity,
            steps: if plan.draft { 0 } else { self.table.steps },
            rate: self.table.rate,
        };
        let known = NOTES.lock().get(&key).and_then(Weak::upgrade);
        let note = match known {
            Some(note) => Some(note),
            None => self.make_note(key),
        };
        self.table.queue.pop_front();
        if let Some(note) = note {
            self.shared.table_notes.lock().push(Arc::clone(&note));
            self.table.made(plan.slot, note);
        }
        self.table.send(&mut self.links.bank);
    }

    fn make_note(&mut self, key: NoteKey) -> Option<Arc<TableNote>> {
        let single = SingleNote {
            performance: key.performance,
            instrument: key.instrument,
            pitch: key.pitch,
            velocity: key.velocity,
            held: HELD_SECONDS,
            seconds: NOTE_SECONDS,
            steps: key.steps,
        };
        // What began before and panics or fails is not tried again: its neighbours play for it.
        let audio = self.renderer.as_mut()?.note(single).and_then(|audio| resample(audio, key.rate));
        match audio {
            Ok(audio) => {
                let note =
                    TableNote::prepare(key.pitch, key.velocity, &audio.left, &audio.right, key.rate, HELD_SECONDS)?;
                let note = Arc::new(note);
                if key.models != 0 {
                    let mut notes = NOTES.lock();
                    notes.retain(|_, note| note.strong_count() > 0);
                    notes.insert(key, Arc::downgrade(&note));
                }
                Some(note)
            }
            Err(sentence) => {
                self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                None
            }
        }
    }
}

/// Seconds until a segment's first sample is due, when the clock shows `now`.
fn slack_seconds(job: &SegmentJob, now: u64) -> f64 {
    let rate = f64::from(job.rate);
    let start = job.index as f64 * HOP_SECONDS;
    start + f64::from(clock::latency_samples(Mode::Sync, rate)) / rate - now as f64 / rate
}

impl Worker for SynthWorker {
    fn name(&self) -> &'static str {
        "synthesizer"
    }

    fn run(&mut self) {
        while !self.shared.stopping() {
            if self.renderer.is_none() {
                self.load();
                continue;
            }
            self.follow_settings();
            let idle = !self.live || self.table.complete();
            match self.links.jobs.recv_timeout(if idle { POLL } else { Duration::ZERO }) {
                Ok(job) => self.render(job),
                Err(RecvTimeoutError::Timeout) if idle => {}
                Err(RecvTimeoutError::Timeout) => self.render_note(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn recover(&mut self) {
        // Sessions may be in any state after a panic; new ones are opened from the bytes in memory.
        self.renderer = None;
        self.table.queue.pop_front();
        if let Some(job) = self.under_way.take() {
            self.audio.clear();
            self.resampler = HostResampler::new(job.rate, job.index).ok();
            self.send(job.epoch);
        }
        self.next = None;
        self.activations_tried = 0;
        if let Some(loaded) = &self.loaded {
            match (loaded.renderer)() {
                Ok(renderer) => self.renderer = Some(renderer),
                Err(sentence) => {
                    self.shared.telemetry.set_status(StatusKind::Failed, sentence);
                    self.shared.set_load_state(LoadState::Failed);
                }
            }
        }
    }
}

/// What rendering costs, learnt from what it has cost.
#[derive(Debug, Default)]
struct Cost {
    /// Seconds per sounding part without any step, and per part and step; 0 until measured.
    base: f64,
    step: f64,
}

impl Cost {
    fn known(&self) -> bool {
        self.base > 0.0 && self.step > 0.0
    }

    /// As many of the `asked` steps as fit into `slack` seconds with so many sounding parts.
    fn steps(&self, asked: usize, sounding: usize, slack: f64) -> usize {
        if sounding == 0 || self.step <= 0.0 {
            return asked;
        }
        // More than a hop must never be planned, however much time there is: the next segment is due a hop later.
        let time = slack.min(HOP_SECONDS) * PLANNED / sounding as f64;
        asked.min(((time - self.base) / self.step).max(0.0) as usize)
    }

    fn learn(&mut self, steps: usize, sounding: usize, seconds: f64) {
        let each = seconds / sounding as f64;
        // Quickly up, slowly down: a step too many is an underrun, one too few is hardly heard.
        let blend = |old: f64, new: f64| match old {
            0.0 => new,
            old if new > old => old + 0.7 * (new - old),
            old => old + 0.15 * (new - old),
        };
        if steps == 0 {
            self.base = blend(self.base, each);
            // Time may have become ample again: what a step costs is forgotten slowly, until one is tried.
            self.step *= 0.95;
        } else {
            if self.base == 0.0 {
                // Never measured alone; a step is taken to cost what everything around it costs.
                self.base = each / (steps + 1) as f64;
            }
            self.step = blend(self.step, ((each - self.base) / steps as f64).max(1e-4));
        }
    }
}

/// Single notes of this process: instances that play the same performance share them.
static NOTES: LazyLock<Mutex<HashMap<NoteKey, Weak<TableNote>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct NoteKey {
    /// Address of the models, which outlive their notes' use; 0 is not shared.
    models: usize,
    performance: usize,
    instrument: usize,
    pitch: u8,
    velocity: u8,
    steps: usize,
    rate: u32,
}

/// What the table of the instant voice still lacks.
#[derive(Default)]
struct Table {
    /// What it is made for; `None` in Sync, where nothing plays it.
    made_for: Option<MadeFor>,
    steps: usize,
    rate: u32,
    /// The instrument of each slot.
    instruments: Vec<usize>,
    queue: VecDeque<NotePlan>,
    total: usize,
    /// Which slots have a note.
    filled: [bool; MAX_PARTS],
    /// Messages that found the ring full.
    unsent: VecDeque<BankMessage>,
}

#[derive(Debug, Clone, PartialEq)]
struct MadeFor {
    performance: usize,
    cast: message::Cast,
    instruments: Vec<usize>,
    steps: usize,
    rate: u32,
}

impl Table {
    /// Plans the table anew if what it is for has changed.
    fn follow(&mut self, cast: &Cast, loaded: &Loaded, rate: u32) {
        let (message, instruments, ranges) = slots(cast, loaded);
        let wanted = MadeFor {
            performance: cast.performance,
            cast: message,
            instruments: instruments.clone(),
            steps: self.steps,
            rate,
        };
        if self.made_for.as_ref() == Some(&wanted) {
            return;
        }
        // Other steps replace the notes one by one; anything else is another bank.
        let same_bank =
            self.made_for.as_ref().is_some_and(|old| MadeFor { steps: self.steps, ..old.clone() } == wanted);
        if !same_bank {
            self.unsent.clear();
            self.unsent.push_back(BankMessage::Cast(message));
            self.filled = [false; MAX_PARTS];
        }
        self.rate = rate;
        self.instruments = instruments;
        self.queue = plan(&ranges, self.steps > 0).into();
        self.total = self.queue.len();
        self.made_for = Some(wanted);
    }

    fn made(&mut self, slot: u8, note: Arc<TableNote>) {
        self.filled[usize::from(slot).min(MAX_PARTS - 1)] = true;
        self.unsent.push_back(BankMessage::Note { slot, note });
    }

    fn send(&mut self, bank: &mut HeapProd<BankMessage>) {
        while let Some(message) = self.unsent.pop_front() {
            if let Err(message) = bank.try_push(message) {
                self.unsent.push_front(message);
                return;
            }
        }
    }

    fn complete(&self) -> bool {
        self.queue.is_empty() && self.unsent.is_empty()
    }

    /// Every slot has a note.
    fn playable(&self) -> bool {
        !self.instruments.is_empty()
            && self.filled[..self.instruments.len().min(MAX_PARTS)].iter().all(|filled| *filled)
    }

    fn progress(&self) -> f32 {
        if self.total == 0 { 1.0 } else { 1.0 - self.queue.len() as f32 / self.total as f32 }
    }
}

/// Parts that share an instrument share its notes: the slots' instruments and ranges, and the cast that maps to them.
fn slots(cast: &Cast, loaded: &Loaded) -> (message::Cast, Vec<usize>, Vec<(u8, u8)>) {
    let mut message = message::Cast { parts: cast.parts(), ..message::Cast::default() };
    let mut instruments: Vec<usize> = Vec::new();
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for (part, member) in cast.ensemble.parts.iter().enumerate().take(MAX_PARTS) {
        let instrument = cast.instruments[part];
        message.range[part] = (member.lo, member.hi);
        let slot = instruments.iter().position(|known| *known == instrument).unwrap_or_else(|| {
            instruments.push(instrument);
            ranges.push((127, 0));
            instruments.len() - 1
        });
        message.slot[part] = slot as u8;
        ranges[slot] = (ranges[slot].0.min(member.lo), ranges[slot].1.max(member.hi));
    }
    // What an instrument cannot play is not rendered with it: its outermost notes are shifted.
    for (range, instrument) in ranges.iter_mut().zip(&instruments) {
        if let Some(instrument) = loaded.catalogue.instruments().get(*instrument) {
            let clipped = (range.0.max(instrument.lo), range.1.min(instrument.hi));
            if clipped.0 <= clipped.1 {
                *range = clipped;
            }
        }
    }
    (message, instruments, ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_shrink_with_the_time_there_is_and_grow_back() {
        let mut cost = Cost::default();
        assert_eq!(cost.steps(8, 4, 0.64), 8, "what was never measured is tried");
        cost.learn(0, 1, 0.02);
        cost.learn(8, 4, 4.0 * (0.02 + 8.0 * 0.02));
        assert_eq!(cost.steps(8, 1, 0.64), 8);
        assert_eq!(cost.steps(8, 4, 0.64), 5);
        assert_eq!(cost.steps(8, 4, 0.1), 0);
        assert_eq!(cost.steps(8, 4, -1.0), 0);
        assert_eq!(cost.steps(8, 0, -1.0), 8, "silence costs nothing");
        for _ in 0..100 {
            cost.learn(0, 4, 0.04);
        }
        assert!(cost.steps(8, 4, 0.64) > 5);
    }

    #[test]
    fn a_segment_is_due_a_compute_allowance_after_its_notes_are_known() {
        let job = SegmentJob {
            epoch: 1,
            rate: 48_000,
            index: 3,
            performance: 0,
            steps: 0,
            guidance: (1.0, 1.0),
            seed: 0,
            parts: Vec::new(),
        };
        let known = (3 * 64 + 96 + 1) * 480;
        assert!((slack_seconds(&job, known) - 0.64).abs() < 1e-9);
    }
}
