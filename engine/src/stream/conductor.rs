//! The conductor: gives every note to a part, keeps the score window, and says what each segment is made from.
//!
//! It works in stream time alone: whatever it decides depends on when notes were played and never on when it got
//! to run, so that the same notes give the same parts and the same segments. It never waits for the synth worker.

use super::MAX_PARTS;
use super::audio::Transport;
use super::cells::{StreamClock, StreamTime};
use super::clock::{self, FRAME, HOP_FRAMES, MODEL_RATE, Mode, OVERLAP_FRAMES};
use super::composer_worker::Told;
use super::engine::{LoadState, Shared, Worker};
use super::faults::Faults;
use super::live::{LiveChange, grid_samples};
use super::loading::{Cast, Loaded, cast};
use super::message::{Decision, Job, Played, PlayedKind, SegmentJob};
use super::telemetry::{RollEvent, StatusKind};
use super::window::{Ended, ScoreWindow};
use crate::arranger::{Arranger, Method};
use crate::composer::live::LiveMode;
use crossbeam_channel::Sender;
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the clock is looked at. The audio thread must not wake us: that is a system call.
const POLL: Duration = Duration::from_millis(2);
/// How often it is looked at when it has stood still for a second.
const IDLE_POLL: Duration = Duration::from_millis(20);
const IDLE_AFTER: u32 = 500;
/// A note is needed until its release has left the frames that a segment sees before itself: 32 of context and 400 of
/// release (the note roll's floor of 2^-8 at a half-life of 50 frames), in seconds.
const MEMORY: f64 = 4.4;

/// Offline, a part of which nothing changes is rendered on after so many points of the grid: 0.8 s of the 1.09 that a
/// passage is heard.
const CONTINUED: u64 = 10;
/// Seconds for which a part is rendered on after its last note.
const RINGING: f64 = 2.0;

pub(super) struct ConductorLinks {
    pub played: HeapCons<Played>,
    pub decisions: HeapProd<Decision>,
    pub jobs: Sender<Job>,
    /// What was played, for the composer; unbounded, and nobody waits for it.
    pub told: Sender<Told>,
}

/// A note of the chord that is being gathered.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    key: u8,
    velocity: u8,
    sample: u64,
    beat: f64,
}

pub(super) struct Conductor {
    shared: Arc<Shared>,
    links: ConductorLinks,
    /// Events taken from the ring that belong to a stream the clock has not shown yet.
    waiting: VecDeque<Played>,
    /// Decisions by time; those that nothing earlier can come before go to the ring.
    outbox: VecDeque<Decision>,
    stream: Stream,
    loaded: Option<Arc<Loaded>>,
    settings_seen: Option<u64>,
    load_seen: LoadState,
    cast: Option<Cast>,
    arranger: Option<Arranger>,
    /// The musician's choice that the arranger was made for.
    method: Option<Method>,
    /// The part of who is accompanied by the composer.
    own_part: Option<usize>,
    window: ScoreWindow,
    chord: Vec<Gathered>,
    next_segment: i64,
    /// Live: when the first thing changed in each part that the synth worker has not heard of, in host samples.
    changed: [Option<u64>; MAX_PARTS],
    /// Live, offline: the next point of the grid at which changes are sent, and when each part was sent last.
    grid: u64,
    sent: [Option<u64>; MAX_PARTS],
    still: u32,
}

/// The running stream as the audio thread announced it.
#[derive(Debug, Clone, Copy)]
struct Stream {
    time: StreamTime,
    rate: u32,
    mode: Mode,
    latency: u64,
    gather: u64,
}

impl Stream {
    fn seconds(&self, sample: u64) -> f64 {
        sample as f64 / f64::from(self.rate)
    }
}

impl Conductor {
    pub fn new(shared: Arc<Shared>, links: ConductorLinks) -> Self {
        let stream = Stream { time: StreamTime::default(), rate: 48_000, mode: Mode::Live, latency: 0, gather: 480 };
        Self {
            shared,
            links,
            waiting: VecDeque::new(),
            outbox: VecDeque::new(),
            stream,
            loaded: None,
            settings_seen: None,
            load_seen: LoadState::Waiting,
            cast: None,
            arranger: None,
            method: None,
            own_part: None,
            window: ScoreWindow::new(),
            chord: Vec::new(),
            next_segment: 0,
            changed: [None; MAX_PARTS],
            grid: 0,
            sent: [None; MAX_PARTS],
            still: 0,
        }
    }

    /// One look at the clock and all that follows from it. Returns whether the clock had moved.
    fn step(&mut self) -> bool {
        // The clock first: every event before it is then in the ring.
        let now = self.shared.clock.get();
        while let Some(played) = self.links.played.try_pop() {
            self.waiting.push_back(played);
        }
        let load = self.shared.load_state();
        if load == LoadState::Waiting {
            // Notes wait for the arranger's model: loading is shorter than the latency of Sync.
            return false;
        }
        self.follow_settings(load);
        if now.epoch != self.stream.time.epoch {
            self.begin(now.epoch);
        }
        let moved = now != self.stream.time;
        self.stream.time = now;
        let exact = self.stream.mode == Mode::Live && load == LoadState::Ready && self.shared.bouncing();
        while let Some(played) = self.waiting.front().copied() {
            if played.epoch == now.epoch {
                if played.sample >= now.samples {
                    break;
                }
                if exact {
                    self.send_changes_exactly(played.sample);
                }
                self.take(played);
            } else if is_newer(played.epoch, now.epoch) {
                break;
            }
            self.waiting.pop_front();
        }
        if exact {
            self.send_changes_exactly(now.samples);
        } else {
            // Should the host begin to bounce now, the grid goes on from here and not from the beginning of the stream.
            self.grid = (now.samples / grid_samples(self.stream.rate) + 1) * grid_samples(self.stream.rate);
        }
        self.flush_if_gathered(now.samples);
        let live = self.stream.mode == Mode::Live && load == LoadState::Ready && !exact;
        if live {
            self.send_changes(now.samples);
        }
        self.shared.gathering.store(live && !self.chord.is_empty(), Ordering::Release);
        if self.stream.mode == Mode::Sync && load == LoadState::Ready {
            self.send_segments(now.samples);
        }
        let past = self.stream.seconds(now.samples) - self.stream.seconds(self.stream.latency) - MEMORY;
        self.window.prune(past - 1.0);
        self.send_decisions(now.samples);
        self.shared.decided.set(now);
        moved
    }

    fn begin(&mut self, epoch: u32) {
        let rate = self.shared.rate.load(Ordering::Acquire);
        let mode = Mode::from_bits(self.shared.stream_mode.load(Ordering::Acquire));
        self.stream = Stream {
            time: StreamTime { epoch, samples: 0 },
            rate,
            mode,
            latency: u64::from(clock::latency_samples(mode, f64::from(rate))),
            gather: clock::gather_samples(rate),
        };
        self.tell(Told::Begin { epoch, rate });
        self.window.clear();
        self.chord.clear();
        self.outbox.clear();
        self.next_segment = 0;
        self.changed = [None; MAX_PARTS];
        self.grid = grid_samples(rate);
        self.sent = [None; MAX_PARTS];
        if let Some(arranger) = &mut self.arranger {
            arranger.reset();
            arranger.all_off(&mut Vec::new());
        }
    }

    fn follow_settings(&mut self, load: LoadState) {
        let generation = self.shared.settings_generation.load(Ordering::Acquire);
        if self.settings_seen == Some(generation) && self.load_seen == load {
            return;
        }
        let reloaded = self.load_seen != load;
        self.settings_seen = Some(generation);
        self.load_seen = load;
        self.loaded = self.shared.loaded.lock().clone();
        let settings = self.shared.settings.lock().clone();
        self.own_part =
            Some(settings.composer).filter(|c| c.mode == LiveMode::Accompany).map(|composer| composer.own_part);
        let before = self.cast.take();
        let before_performance = before.as_ref().map(|cast| (cast.performance, cast.instruments));
        let next = cast(self.loaded.as_deref(), &settings, before.as_ref());
        if let Some(sentence) = &next.warning {
            self.shared.telemetry.set_status(StatusKind::Warning, sentence.clone());
        }
        let same_ensemble = before.is_some_and(|cast| cast.ensemble.id == next.ensemble.id);
        let same_method = std::mem::replace(&mut self.method, settings.method) == settings.method;
        if !same_ensemble || !same_method || reloaded || self.arranger.is_none() {
            self.release_all(self.stream.time.samples);
            let models = self.loaded.as_ref().and_then(|loaded| loaded.models.as_deref());
            let (arranger, instead) = Arranger::or_by_range(next.ensemble, settings.method, models);
            // Without models the loader has said what is missing, and nothing sounds that this could be said of.
            let instead = instead.filter(|_| load == LoadState::Ready && models.is_some());
            let sentence = instead.map(|instead| instead.to_string());
            if let Some(sentence) = &sentence {
                self.shared.telemetry.set_status(StatusKind::Warning, sentence.clone());
            }
            *self.shared.arranged_instead.lock() = sentence;
            self.arranger = Some(arranger);
        }
        if let Some(arranger) = &mut self.arranger {
            arranger.set_hints(&settings.hints);
            let zones = arranger.ensemble().zones_drawn(&settings.zones);
            arranger.set_zones(&zones);
        }
        let other = before_performance != Some((next.performance, next.instruments));
        self.cast = Some(next);
        if other {
            // What sounds is heard from the new players as soon as they can be.
            self.changed = [Some(self.stream.time.samples); MAX_PARTS];
        }
    }

    /// Tells the composer, if there is one.
    fn tell(&self, told: Told) {
        if self.shared.composing.load(Ordering::Relaxed) || matches!(told, Told::Begin { .. } | Told::Song { .. }) {
            // The composer has ended only where the engine does.
            let _ = self.links.told.send(told);
        }
    }

    fn take(&mut self, played: Played) {
        self.flush_if_gathered(played.sample);
        let seconds = self.stream.seconds(played.sample);
        match played.what {
            PlayedKind::NoteOn { key, velocity, beat } => {
                Faults::panic_at(self.loaded.as_ref().and_then(|loaded| loaded.faults.arranger_panics_at), key);
                if self.chord.iter().any(|note| note.key == key) {
                    self.flush(played.sample);
                }
                self.chord.push(Gathered { key, velocity, sample: played.sample, beat: beat.max(0.0) });
            }
            PlayedKind::NoteOff { key } => {
                if self.chord.iter().any(|note| note.key == key) {
                    self.flush(played.sample);
                }
                self.tell(Told::Off { sample: played.sample, key });
                if let Some(arranger) = &mut self.arranger {
                    arranger.note_off(key);
                }
                if let Some(ended) = self.window.note_off(key, seconds) {
                    self.decide_end(ended, played.sample);
                }
            }
            PlayedKind::Sustain(down) => {
                let mut ended = Vec::new();
                self.window.sustain(down, seconds, |end| ended.push(end));
                ended.into_iter().for_each(|end| self.decide_end(end, played.sample));
            }
            PlayedKind::AllOff => {
                self.flush(played.sample);
                self.release_all(played.sample);
                self.tell(Told::AllOff { sample: played.sample });
            }
            PlayedKind::Song(Transport { tempo_bpm: tempo, beat, playing, bar, bar_start, cycle }) => {
                let bar = (bar, bar_start);
                self.tell(Told::Song { sample: played.sample, beat, tempo, playing, bar, cycle });
            }
            PlayedKind::Composed { part, key, velocity } => {
                if self.chord.iter().any(|note| note.key == key) {
                    self.flush(played.sample);
                }
                self.compose(part, key, velocity, played.sample);
            }
            PlayedKind::Jump => {
                self.flush(played.sample);
                self.tell(Told::Jump { sample: played.sample });
                if let Some(arranger) = &mut self.arranger {
                    arranger.reset();
                }
            }
        }
    }

    /// A composed note has its part already.
    fn compose(&mut self, part: u8, key: u8, velocity: u8, sample: u64) {
        let seconds = self.stream.seconds(sample);
        let part = part.min(self.cast.as_ref().map_or(1, Cast::parts) as u8 - 1);
        if velocity == 0 {
            // The pedal is the musician's.
            if let Some(ended) = self.window.end(key, seconds) {
                self.decide_end(ended, sample);
            }
            return;
        }
        if let Some(ended) = self.window.note_on(usize::from(part), key, velocity, seconds) {
            self.decide_end(ended, sample);
        }
        self.decide(part, key, velocity, sample, sample);
    }

    fn release_all(&mut self, sample: u64) {
        let mut ended = Vec::new();
        self.window.all_off(self.stream.seconds(sample), |end| ended.push(end));
        if let Some(arranger) = &mut self.arranger {
            arranger.all_off(&mut Vec::new());
        }
        ended.into_iter().for_each(|end| self.decide_end(end, sample));
    }

    fn flush_if_gathered(&mut self, now: u64) {
        if let Some(first) = self.chord.first().map(|note| note.sample)
            && now >= first + self.stream.gather
        {
            self.flush(first + self.stream.gather);
        }
    }

    /// Decides the gathered chord at stream time `at`.
    fn flush(&mut self, at: u64) {
        if self.chord.is_empty() {
            return;
        }
        let chord = std::mem::take(&mut self.chord);
        let keys: Vec<(u8, u8)> = chord.iter().map(|note| (note.key, note.velocity)).collect();
        let mut parts = Vec::with_capacity(chord.len());
        if let Some(arranger) = &mut self.arranger {
            // A key struck again without having been up: its first note ends here.
            keys.iter().filter(|(key, _)| self.window.is_down(*key)).for_each(|(key, _)| {
                arranger.note_off(*key);
            });
            arranger.chord(&keys, chord[0].beat, &mut parts);
            if let Some(fault) = arranger.take_fault() {
                let sentence = format!("Some notes were given out by range alone: {fault}");
                self.shared.telemetry.set_status(StatusKind::Warning, sentence);
            }
        }
        let count = self.cast.as_ref().map_or(1, Cast::parts);
        if let Some(own) = self.own_part {
            // Who is accompanied plays one part.
            parts.clear();
            parts.resize(chord.len(), Some(own));
        }
        for (i, note) in chord.into_iter().enumerate() {
            // While no arranger is there, which no stream begins with, the first part plays.
            let Some(part) = parts.get(i).copied().unwrap_or(Some(0)).map(|part| part.min(count - 1)) else { continue };
            let seconds = self.stream.seconds(note.sample);
            if let Some(ended) = self.window.note_on(part, note.key, note.velocity, seconds) {
                self.decide(ended.part, ended.key, 0, note.sample, at);
            }
            self.decide(part as u8, note.key, note.velocity, note.sample, at);
            self.tell(Told::On { sample: note.sample, part: part as u8, key: note.key, velocity: note.velocity });
        }
    }

    fn decide_end(&mut self, ended: Ended, sample: u64) {
        self.decide(ended.part, ended.key, 0, sample, sample);
    }

    /// Tells editor and host. `decided` is when, in stream time, this could be known.
    fn decide(&mut self, part: u8, key: u8, velocity: u8, played: u64, decided: u64) {
        let seconds = self.stream.seconds(played);
        self.shared.telemetry.push_roll(RollEvent { seconds, part, key, velocity });
        if let Some(changed) = self.changed.get_mut(usize::from(part)) {
            *changed = Some(changed.map_or(played, |before| before.min(played)));
        }
        let due = match self.stream.mode {
            Mode::Live => decided,
            Mode::Sync => played + self.stream.latency,
        };
        let decision = Decision { epoch: self.stream.time.epoch, due, played, part, key, velocity };
        let at = self.outbox.partition_point(|other| other.due <= due);
        self.outbox.insert(at, decision);
    }

    /// Passes on the decisions that nothing still undecided can come before.
    fn send_decisions(&mut self, now: u64) {
        let settled = match self.stream.mode {
            Mode::Live => u64::MAX,
            Mode::Sync => (now + self.stream.latency).saturating_sub(self.stream.gather),
        };
        while let Some(decision) = self.outbox.front().copied().filter(|d| d.due < settled) {
            if self.links.decisions.try_push(decision).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }

    /// Sends every segment whose notes are all known at host sample `now`.
    fn send_segments(&mut self, now: u64) {
        let Some(cast) = &self.cast else { return };
        let known = clock::segments_known(now, self.stream.rate) as i64;
        while self.next_segment < known {
            let horizon_frames = self.next_segment as u64 * HOP_FRAMES + HOP_FRAMES + OVERLAP_FRAMES;
            let horizon = (horizon_frames * FRAME) as f64 / MODEL_RATE as f64;
            let settings = self.shared.settings.lock();
            let job = SegmentJob {
                epoch: self.stream.time.epoch,
                rate: self.stream.rate,
                index: self.next_segment,
                performance: cast.performance,
                steps: settings.steps,
                guidance: (settings.guidance_notes, settings.guidance_performance),
                seed: settings.seed,
                parts: (0..cast.parts().min(MAX_PARTS))
                    .map(|part| (cast.instruments[part], self.window.known(part, horizon)))
                    .collect(),
            };
            drop(settings);
            self.next_segment += 1;
            if self.links.jobs.send(Job::Segment(job)).is_err() {
                return;
            }
        }
    }

    /// Live, in real time: tells the synth worker what changed, once the chord that is being gathered is decided.
    fn send_changes(&mut self, now: u64) {
        if !self.chord.is_empty() {
            return;
        }
        for part in 0..MAX_PARTS {
            if let Some(changed) = self.changed[part].take() {
                self.send_change(part, changed, now, None);
            }
        }
    }

    /// Live, offline: tells it at fixed points of stream time before host sample `until`, and from which sample on it is
    /// to be heard, so that the same notes give the same audio whatever the block size. A part of which nothing changes is
    /// continued in time.
    fn send_changes_exactly(&mut self, until: u64) {
        let step = grid_samples(self.stream.rate);
        let again = CONTINUED * step;
        while self.grid <= until {
            let at = self.grid;
            self.grid += step;
            self.flush_if_gathered(at);
            if !self.chord.is_empty() {
                continue;
            }
            for part in 0..self.cast.as_ref().map_or(0, Cast::parts).min(MAX_PARTS) {
                let continued = self.sent[part].filter(|sent| at >= sent + again);
                let still = || self.window.sounds(part, self.stream.seconds(at) - RINGING);
                let due = self.changed[part].take().or_else(|| continued.filter(|_| still()).map(|_| at));
                if let Some(changed) = due {
                    self.sent[part] = Some(at);
                    self.send_change(part, changed, at, Some(at + step));
                }
            }
        }
    }

    fn send_change(&mut self, part: usize, changed: u64, known: u64, enter: Option<u64>) {
        let Some(cast) = self.cast.as_ref().filter(|cast| part < cast.parts()) else { return };
        let notes = self.window.known(part, f64::INFINITY);
        if notes.is_empty() {
            return;
        }
        let settings = self.shared.settings.lock();
        let change = LiveChange {
            epoch: self.stream.time.epoch,
            rate: self.stream.rate,
            part,
            instrument: cast.instruments[part],
            performance: cast.performance,
            steps: settings.steps,
            guidance: (settings.guidance_notes, settings.guidance_performance),
            seed: settings.seed,
            notes,
            known,
            changed,
            enter,
        };
        drop(settings);
        self.shared.changes.ask();
        // Without a synth worker the engine is ending.
        let _ = self.links.jobs.send(Job::Change(change));
    }
}

/// Whether an epoch comes after another; they wrap.
pub(super) fn is_newer(epoch: u32, than: u32) -> bool {
    let ahead = epoch.wrapping_sub(than) % StreamClock::EPOCHS;
    ahead != 0 && ahead < StreamClock::EPOCHS / 2
}

impl Worker for Conductor {
    fn name(&self) -> &'static str {
        "arranger"
    }

    fn run(&mut self) {
        while !self.shared.stopping() {
            self.still = if self.step() { 0 } else { self.still.saturating_add(1) };
            std::thread::park_timeout(if self.still < IDLE_AFTER { POLL } else { IDLE_POLL });
        }
    }

    fn recover(&mut self) {
        // It may be what the arranger cannot stand; what came after it is still to be heard.
        self.waiting.pop_front();
        self.chord.clear();
        // In any state after a panic. The host is told the end of what it was told the beginning of.
        self.arranger = None;
        self.release_all(self.stream.time.samples);
        self.window.clear();
        self.settings_seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_ordered_across_their_wrap() {
        assert!(is_newer(2, 1) && !is_newer(1, 2) && !is_newer(1, 1));
        assert!(is_newer(0, StreamClock::EPOCHS - 1) && !is_newer(StreamClock::EPOCHS - 1, 0));
    }
}
