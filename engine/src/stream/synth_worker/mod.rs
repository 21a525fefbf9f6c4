//! The synth worker: loads the models, renders segments in time, and fills the table of the instant voice.
//!
//! Segments and live passages come first; single notes are rendered between them, one at a time, and given up when
//! something is played. Only the first note of each part, and a quarter of the time while the table is not whole, come before
//! passages. In Sync, where single notes are heard only in gaps, one is begun if it is over before the next segment comes
//! (while nothing sounds, half a segment later: what a note costs is learnt from what sounds), and in a bounce none is. In
//! real time a segment gets the denoising steps that fit before it is due (measured, not guessed), down to none, and takes
//! fewer still if the machine becomes slower meanwhile; one whose time has passed is not rendered. Offline every segment
//! gets all its steps. A segment that cannot be rendered is a gap for the audio thread, which counts it, and the status says
//! why.

mod live;
mod table;

use super::clock::{self, HOP_FRAMES, Mode};
use super::conductor::is_newer;
use super::engine::{LoadState, Shared, Worker};
use super::instant::NOTE_SECONDS;
use super::live::{CONTEXT_FRAMES, Costs, Desk, LEAD_IN, LENGTHS, OVERHEAD, Passage};
use super::loading::{Cast, Loaded, Loader, Renderer, cast};
use super::message::{BankMessage, Job, Packet, SegmentJob};
use super::resample::HostResampler;
use super::telemetry::StatusKind;
use crate::score::Note;
use crate::synth::{Guidance, PartAudio, PassageAudio, PassagePart, PassageRequest};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use table::Table;

/// How long the worker waits for a segment before it looks at its settings.
const POLL: Duration = Duration::from_millis(10);
/// Seconds of music in a segment.
pub(super) const HOP_SECONDS: f64 = HOP_FRAMES as f64 / 100.0;
/// Frames of the network call of a segment.
const SEGMENT_FRAMES: usize = crate::synth::CONTEXT_FRAMES + crate::synth::HOP_FRAMES + crate::synth::OVERLAP_FRAMES;
/// The share of the time until it is due in which a segment's networks must be done; the rest is for handing it over, and
/// for hosts whose blocks are long.
const LAST_MOMENT: f64 = 0.9;
/// Frames of the network call of a single note.
const NOTE_FRAMES: usize = (NOTE_SECONDS * 100.0) as usize + OVERHEAD;
/// How much dearer the first segments are taken to be than what was measured before anything played.
const CAUTION: f64 = 2.0;

pub(super) struct SynthLinks {
    pub jobs: Receiver<Job>,
    pub packets: HeapProd<Box<Packet>>,
    pub returned: HeapCons<Box<Packet>>,
    pub passages: HeapProd<Box<Passage>>,
    pub returned_passages: HeapCons<Box<Passage>>,
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
    /// The last segment had no notes.
    silent: bool,
    /// The segment under way, for a packet in its place should rendering it panic.
    under_way: Option<SegmentJob>,
    costs: Costs,
    desk: Desk,
    /// Passages of the run under way, and the part of a job that counts as answered should it panic.
    passages: Vec<PassageAudio>,
    answering: bool,
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
            silent: true,
            under_way: None,
            costs: Costs::default(),
            desk: Desk::default(),
            passages: Vec::new(),
            answering: false,
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
        // A bounce in Sync has no use for single notes.
        if self.live || !self.shared.bouncing() {
            self.table.follow(cast, loaded, rate);
        }
        if self.live && self.table.complete() {
            self.shared.table_complete_for.store(generation, Ordering::Release);
        }
        let warning = cast.warning.clone().or_else(|| self.shared.arranged_instead.lock().clone());
        let kept = || loaded.cache.as_ref().and_then(|cache| cache.lock().fault().map(str::to_owned));
        let warning = warning.or_else(kept);
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
        if !self.costs.known() && !self.shared.offline.load(Ordering::Acquire) {
            self.warm_up();
        }
    }

    /// Whether a single note may be begun now.
    fn has_time_for_a_note(&self) -> bool {
        if self.table.complete() || self.live {
            return !self.table.complete() && !self.shared.gathering.load(Ordering::Acquire);
        }
        let (now, rate) = (self.shared.clock.get().samples, self.shared.rate.load(Ordering::Acquire));
        let work = (1, NOTE_FRAMES, self.table.next_steps());
        let time = clock::until_segment_known(now, rate) + if self.silent { HOP_SECONDS / 2.0 } else { 0.0 };
        !self.shared.bouncing() && (self.costs.fits(work, time) || self.next_note_is_kept())
    }

    /// Renders one note into nothing, to know what a segment costs before the first is due; it also lets ONNX Runtime
    /// make its memory plans, which it does for every length anew.
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
            match renderer.segment(&job, steps, &mut audio, &mut |_| true) {
                Ok(spent) => self.costs.learn(&spent, begun.elapsed().as_secs_f64(), CAUTION),
                Err(sentence) => {
                    self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                    self.costs = Costs::hopeless();
                    return;
                }
            }
        }
        let part = PassagePart { number: 0, instrument: cast.instruments[0], notes: &[note], before: None, changed: 0 };
        for frames in LENGTHS.into_iter().filter(|_| self.live) {
            let request = PassageRequest {
                first: 20,
                context: CONTEXT_FRAMES,
                frames,
                lead_in: LEAD_IN,
                performance: cast.performance,
                steps: 1,
                guidance: Guidance { notes: settings.guidance_notes, performance: settings.guidance_performance },
                seed: 0,
                parts: &[part],
            };
            let begun = Instant::now();
            // Segments were rendered: what fails now fails again when it is wanted, and is said then.
            if let Ok(spent) = renderer.passage(&request, &mut self.passages, &mut |_| true) {
                self.costs.learn(&spent, begun.elapsed().as_secs_f64(), CAUTION);
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
        let sounding = sounding_parts(&job);
        self.silent = sounding == 0;
        // More than a hop must never be planned, however much time there is: the next segment is due a hop later.
        let time = slack.min(HOP_SECONDS);
        let steps = if offline { job.steps } else { self.costs.steps(job.steps, sounding, SEGMENT_FRAMES, time) };
        let begun = Instant::now();
        self.under_way = Some(job);
        let Some(job) = self.under_way.as_ref() else { return };
        let Some(renderer) = &mut self.renderer else { return };
        let continues = self.next == Some((job.epoch, job.index));
        if !continues {
            renderer.begin();
        }
        if !continues || self.resampler.as_ref().is_none_or(|resampler| resampler.rate() != job.rate) {
            self.resampler = match HostResampler::new(job.rate, clock::segment_start(job.index)) {
                Ok(resampler) => Some(resampler),
                Err(error) => {
                    self.shared.telemetry.set_status(StatusKind::Failed, format!("Resampling failed: {error}."));
                    None
                }
            };
        }
        let until = if offline { f64::INFINITY } else { LAST_MOMENT * slack };
        let (costs, mut last) = (&self.costs, None);
        let mut more = |_: usize| {
            let now = begun.elapsed().as_secs_f64();
            let before = last.replace(now).map_or(0.0, |last| now - last);
            now + costs.last_step_after(sounding, SEGMENT_FRAMES, before) < until
        };
        let result = renderer.segment(job, steps, &mut self.audio, &mut more);
        let seconds = begun.elapsed().as_secs_f64();
        if let Err(sentence) = &result {
            self.audio.clear();
            self.shared.telemetry.set_status(StatusKind::Warning, sentence.clone());
        }
        self.next = Some((job.epoch, job.index + 1));
        let (asked, epoch) = (job.steps, job.epoch);
        let faults = self.loaded.as_ref().map(|loaded| loaded.faults).unwrap_or_default();
        let lost = !offline && faults.loses(job.index);
        // Packed all the same: it keeps the resampler's place in time.
        if let Some(packet) = self.pack(epoch, result.is_err() && sounding > 0).filter(|_| !lost) {
            self.send(packet);
        }
        self.under_way = None;

        let telemetry = &self.shared.telemetry;
        telemetry.segments.fetch_add(1, Ordering::Relaxed);
        if let Ok(spent) = result
            && spent.active_parts > 0
        {
            self.costs.learn(&spent, seconds, 1.0);
            telemetry.count_segment(seconds);
            telemetry.steps.store(spent.steps as u32, Ordering::Relaxed);
            telemetry.short_segments.fetch_add(u64::from(spent.steps < asked), Ordering::Relaxed);
        }
        let load = telemetry.load.load(Ordering::Relaxed);
        telemetry.load.store(load + 0.25 * ((seconds / HOP_SECONDS) as f32 - load), Ordering::Relaxed);
    }

    /// Resamples `self.audio`; nothing of it is to be heard, if it is `missing`.
    fn pack(&mut self, epoch: u32, missing: bool) -> Option<Box<Packet>> {
        let resampler = self.resampler.as_mut()?;
        let mut packet = self.links.returned.try_pop().unwrap_or_default();
        packet.epoch = epoch;
        if let Err(error) = resampler.fill(&self.audio, &mut packet) {
            self.shared.telemetry.set_status(StatusKind::Failed, format!("Resampling failed: {error}."));
            return None;
        }
        packet.missing = missing;
        Some(packet)
    }

    fn send(&mut self, packet: Box<Packet>) {
        let epoch = packet.epoch;
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
}

/// Parts of a segment that have notes.
fn sounding_parts(job: &SegmentJob) -> usize {
    job.parts.iter().filter(|(_, notes)| !notes.is_empty()).count()
}

/// Seconds until a segment's first sample is due, when the clock shows `now`.
fn slack_seconds(job: &SegmentJob, now: u64) -> f64 {
    let rate = f64::from(job.rate);
    let start = clock::segment_start(job.index) as f64 / clock::MODEL_RATE as f64;
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
            if (self.live && self.table.comes_first() && self.render_note()) || self.play_live() {
                continue;
            }
            let idle = !self.has_time_for_a_note();
            match self.links.jobs.recv_timeout(if idle { POLL } else { Duration::ZERO }) {
                Ok(job) => self.answer(job),
                Err(RecvTimeoutError::Timeout) if idle => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.render_note();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn recover(&mut self) {
        // Sessions may be in any state after a panic; new ones are opened from the bytes in memory.
        self.renderer = None;
        self.table.give_up();
        self.desk.clear();
        self.passages.clear();
        if std::mem::take(&mut self.answering) {
            self.shared.changes.answer();
        }
        if let Some(job) = self.under_way.take() {
            self.audio.clear();
            self.resampler = HostResampler::new(job.rate, clock::segment_start(job.index)).ok();
            if let Some(packet) = self.pack(job.epoch, sounding_parts(&job) > 0) {
                self.send(packet);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!((slack_seconds(&job, known) - 0.39).abs() < 1e-9);
    }
}
