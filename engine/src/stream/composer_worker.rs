//! The composer's worker: hears what is played, plans ahead of the beat, and sends notes a little before they are due.
//!
//! It never holds up the conductor, which tells it what was played through a channel without end, nor the audio thread,
//! which takes what is there. A network that fails is told in the status, and what is played sounds as ever. Nothing is
//! loaded before the musician turns it on.
//!
//! In real time it plans when it gets to run. Offline it plans at fixed points of stream time, [`compose_samples`] apart,
//! from what was played before each: the same song and the same playing give the same notes, whatever the block size.

use super::cells::StreamTime;
use super::composed::Composed;
use super::engine::{LoadState, Shared, Worker};
use super::faults::Faults;
use super::telemetry::{PlannedRoll, StatusKind};
use crate::arranger::Ensemble;
use crate::composer::live::{Due, LiveMode, LivePart, LiveSettings, Planner, Pulse};
use crate::composer::{Network, Vocabulary};
use crate::inference::{InferenceError, Models};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use ringbuf::HeapProd;
use ringbuf::traits::Producer;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often the clock is looked at, and how often while there is nothing to do.
const POLL: Duration = Duration::from_millis(4);
const IDLE_POLL: Duration = Duration::from_millis(50);
/// Steps of the network between two looks at what was played: about 10 ms.
const SLICE: Duration = Duration::from_millis(10);
/// Seconds that notes are sent ahead of the audio thread: in real time its largest block besides, offline this alone.
const AHEAD: f64 = 0.03;
/// How much of an onset's distance from the beat moves the beat where there is no transport, and up to which distance: what
/// is further is between two beats.
const FOLLOW: f64 = 0.5;
const NEAR: f64 = 0.25;
/// Beats are counted in steps of this, so that what adds up to the same beat in different ways is the same beat.
const FINEST: f64 = 1.0 / (1u32 << 20) as f64;

/// Samples between the points of stream time at which it plans offline: less than is sent ahead.
pub(super) fn compose_samples(rate: u32) -> u64 {
    u64::from(rate / 50).max(1)
}

/// Conductor to composer: what was played, at host samples of the running stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Told {
    /// A new stream, at a rate in Hz.
    Begin { epoch: u32, rate: u32 },
    /// The song is at a beat, at a tempo a minute, and moves or not; the rest as in `Transport`.
    Song { sample: u64, beat: f64, tempo: f64, playing: bool, bar: (f64, f64), cycle: Option<(f64, f64)> },
    /// The song jumped to where the last `Song` says.
    Jump { sample: u64 },
    /// A key was given to a part.
    On { sample: u64, part: u8, key: u8, velocity: u8 },
    /// A key went up.
    Off { sample: u64, key: u8 },
    /// All of them did.
    AllOff { sample: u64 },
}

impl Told {
    /// When it happened; a stream begins before all else in it.
    fn sample(&self) -> u64 {
        match *self {
            Self::Begin { .. } => 0,
            Self::Song { sample, .. }
            | Self::Jump { sample }
            | Self::On { sample, .. }
            | Self::Off { sample, .. }
            | Self::AllOff { sample } => sample,
        }
    }
}

/// Where the song is, as the audio thread counts, and where the planner is.
#[derive(Debug, Clone, Copy)]
struct SongClock {
    sample: u64,
    beat: f64,
    tempo: f64,
    playing: bool,
    rate: f64,
    /// Without a transport: the planner's beat at a beat of the song, and its own tempo, tapped or guessed.
    here: (f64, f64),
    own_tempo: Option<f64>,
}

impl SongClock {
    fn begin(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        Self { sample: 0, beat: 0.0, tempo: 120.0, playing: false, rate, here: (0.0, 0.0), own_tempo: None }
    }

    /// How many of the planner's beats one of the song is.
    fn ratio(&self) -> f64 {
        self.own_tempo.map_or(1.0, |tempo| tempo / self.tempo)
    }

    fn song_beat(&self, sample: u64) -> f64 {
        self.beat + (sample as f64 - self.sample as f64) / self.rate * self.tempo / 60.0
    }

    /// The planner's beat at a host sample.
    fn planner_beat(&self, sample: u64) -> f64 {
        let beat = self.song_beat(sample);
        let beat = if self.playing { beat } else { self.here.1 + (beat - self.here.0) * self.ratio() };
        (beat / FINEST).round() * FINEST
    }

    /// The song's beat of a planner's beat.
    fn of_planner(&self, beat: f64) -> f64 {
        if self.playing { beat } else { self.here.0 + (beat - self.here.1) / self.ratio() }
    }

    /// Without a transport: the planner goes on from here at a tempo, or at the song's.
    fn go_on_at(&mut self, sample: u64, tempo: Option<f64>) {
        self.here = (self.song_beat(sample), self.planner_beat(sample));
        self.own_tempo = tempo;
    }

    /// A note begins, where there is no transport: the beat comes nearer to it.
    fn follow(&mut self, sample: u64) {
        let now = self.planner_beat(sample);
        let off = now - now.round();
        let moved = if off.abs() <= NEAR { FOLLOW * off } else { 0.0 };
        self.here = (self.song_beat(sample), now - moved);
    }

    /// A tap: here is a beat.
    fn tap(&mut self, sample: u64) {
        self.here = (self.song_beat(sample), self.planner_beat(sample).round());
    }
}

pub(super) struct ComposerLinks {
    pub told: Receiver<Told>,
    pub composed: HeapProd<Composed>,
}

pub(super) struct ComposerWorker {
    shared: Arc<Shared>,
    links: ComposerLinks,
    planner: Option<Planner<Network>>,
    /// The models it was made of, and that it could not be.
    models: Option<Arc<Models>>,
    failed: bool,
    /// What a test wants to go wrong.
    faults: Faults,
    settings_seen: Option<u64>,
    settings: LiveSettings,
    parts: Vec<LivePart>,
    ensemble: String,
    pulse: Pulse,
    clock: SongClock,
    /// The planner's beat where the clock was last set: from there the song jumps, if it does.
    left: f64,
    epoch: u32,
    jumps: u32,
    /// What was told and belongs after the point at which is planned next.
    waiting: VecDeque<Told>,
    /// Offline: that point, in samples.
    point: u64,
    /// What the ring had no room for.
    outbox: VecDeque<Composed>,
    due: Vec<Due>,
    shown: bool,
}

impl ComposerWorker {
    pub fn new(shared: Arc<Shared>, links: ComposerLinks) -> Self {
        Self {
            shared,
            links,
            planner: None,
            models: None,
            failed: false,
            faults: Faults::default(),
            settings_seen: None,
            settings: LiveSettings::default(),
            parts: Vec::new(),
            ensemble: String::new(),
            pulse: Pulse::default(),
            clock: SongClock::begin(48_000),
            left: 0.0,
            epoch: 0,
            jumps: 0,
            waiting: VecDeque::new(),
            point: 0,
            outbox: VecDeque::new(),
            due: Vec::new(),
            shown: false,
        }
    }

    fn follow_settings(&mut self) {
        let generation = self.shared.settings_generation.load(Ordering::Acquire);
        let loaded = self.shared.load_state() == LoadState::Ready;
        if self.settings_seen == Some(generation) && (self.planner.is_some() || self.failed || !loaded) {
            return;
        }
        self.settings_seen = Some(generation);
        let settings = self.shared.settings.lock();
        let before = std::mem::replace(&mut self.settings, settings.composer);
        let (ensemble, plays) = (settings.ensemble.clone(), settings.hints.on);
        drop(settings);
        self.follow_taps(&before);
        if self.settings.mode == LiveMode::Off && self.planner.is_none() {
            return;
        }
        let from = self.shared.loaded.lock().clone();
        self.faults = from.as_ref().map(|loaded| loaded.faults).unwrap_or_default();
        let models = from.and_then(|loaded| loaded.models.clone());
        let other = match (&models, &self.models) {
            (Some(a), Some(b)) => !Arc::ptr_eq(a, b),
            (a, b) => a.is_some() != b.is_some(),
        };
        if other {
            (self.planner, self.failed) = (None, false);
        }
        if self.planner.is_none() && !self.failed && loaded {
            self.models = models;
            match self.open() {
                Ok(planner) => (self.failed, self.planner) = (planner.is_none(), planner),
                Err(error) => {
                    self.failed = true;
                    let sentence = format!("Nothing is composed: {error}");
                    self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                }
            }
            self.ensemble.clear();
        }
        let (Some(planner), Some(models)) = (&mut self.planner, &self.models) else { return };
        if self.ensemble != ensemble
            && let (Some(found), Ok(vocabulary)) = (Ensemble::find(&ensemble), Vocabulary::of(models.manifest()))
        {
            self.parts = LivePart::of(found, &vocabulary);
            self.ensemble = ensemble;
        }
        for (part, plays) in self.parts.iter_mut().zip(plays) {
            part.on = plays;
        }
        planner.set(self.settings, &self.parts);
    }

    /// The tempo for where there is no transport, and the beat that was tapped.
    fn follow_taps(&mut self, before: &LiveSettings) {
        let now = self.shared.clock.get();
        let sample = if now.epoch == self.epoch { now.samples } else { 0 };
        if before.tempo != self.settings.tempo {
            self.clock.go_on_at(sample, self.settings.tempo);
            self.pulse.forget();
        }
        if before.taps != self.settings.taps {
            self.clock.tap(sample);
        }
    }

    fn open(&self) -> Result<Option<Planner<Network>>, InferenceError> {
        let Some(models) = &self.models else { return Ok(None) };
        let Some(name) = Network::names(models).into_iter().next() else {
            let sentence = "Nothing is composed: no composer is installed. Reinstall Ripieno's models.";
            self.shared.telemetry.set_status(StatusKind::Warning, sentence);
            return Ok(None);
        };
        let seed = self.shared.settings.lock().seed;
        let vocabulary = Vocabulary::of(models.manifest())?;
        Planner::new(Network::open(models, &name, 1)?, &vocabulary, seed).map(Some)
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Begin { epoch, rate } => {
                (self.epoch, self.jumps) = (epoch, 0);
                self.clock = SongClock { own_tempo: self.settings.tempo, ..SongClock::begin(rate) };
                self.pulse.forget();
                self.outbox.clear();
                self.point = 0;
                // The audio thread has ended everything.
                self.planner.as_mut().map(Planner::forget);
            }
            Told::Song { sample, beat, tempo, playing, bar: (bar, bar_start), cycle } => {
                let was_playing = self.clock.playing;
                let was = self.clock.planner_beat(sample);
                self.left = if playing && !was_playing { beat } else { was };
                self.clock = SongClock { sample, beat, tempo: tempo.max(1.0), playing, ..self.clock };
                if !playing {
                    // The planner goes on from where it was.
                    self.clock.here = (beat, was);
                    self.clock.own_tempo = self.settings.tempo.or(self.clock.own_tempo.filter(|_| !was_playing));
                }
                if let Some(planner) = &mut self.planner {
                    // Without a transport the planner's beats are its own, and the host's bars are not among them.
                    planner.set_bar(bar, if playing { bar_start } else { 0.0 });
                    planner.set_loop(cycle.filter(|_| playing));
                    let ended = match (was_playing, playing) {
                        (true, false) => planner.forget(),
                        (false, true) => planner.jump(beat),
                        _ => Vec::new(),
                    };
                    self.send(ended);
                }
            }
            Told::Jump { .. } => {
                self.jumps = self.jumps.wrapping_add(1);
                let jumps = self.jumps;
                self.outbox.retain(|composed| composed.jumps == jumps);
                let beat = self.clock.planner_beat(self.clock.sample);
                if let Some(planner) = &mut self.planner {
                    planner.place(self.left);
                    let ended = planner.jump(beat);
                    self.send(ended);
                }
            }
            Told::On { sample, part, key, velocity } => {
                Faults::panic_at(self.faults.composer_panics_at, key);
                if !self.clock.playing {
                    let guess = self.pulse.onset(sample as f64 / self.clock.rate);
                    if let Some(tempo) = guess.filter(|_| self.settings.tempo.is_none()) {
                        self.clock.go_on_at(sample, Some(tempo));
                    }
                    if self.clock.own_tempo.is_some() {
                        self.clock.follow(sample);
                    }
                }
                let beat = self.clock.planner_beat(sample);
                if let Some(planner) = &mut self.planner {
                    planner.note_on(beat, usize::from(part), key, velocity);
                }
            }
            Told::Off { sample, key } => {
                let beat = self.clock.planner_beat(sample);
                if let Some(planner) = &mut self.planner {
                    planner.note_off(beat, key);
                }
            }
            Told::AllOff { sample } => {
                let beat = self.clock.planner_beat(sample);
                if let Some(planner) = &mut self.planner {
                    planner.all_off(beat);
                    let ended = planner.forget();
                    self.send(ended);
                }
            }
        }
    }

    fn send(&mut self, due: impl IntoIterator<Item = Due>) {
        let (epoch, jumps, clock) = (self.epoch, self.jumps, self.clock);
        self.outbox.extend(due.into_iter().map(|due| Composed {
            epoch,
            jumps: jumps.wrapping_add(u32::from(due.after.is_some())),
            beat: clock.of_planner(due.beat),
            part: due.part as u8,
            key: due.key,
            velocity: due.velocity,
            after: due.after,
        }));
        while let Some(composed) = self.outbox.front().copied() {
            if self.links.composed.try_push(composed).is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }

    /// One look at the clock and all that follows from it; whether there is more to do at once.
    fn step(&mut self) -> bool {
        self.follow_settings();
        // The clock first: what happened before it is then in the channel, or will be handled as late.
        let now = self.shared.decided.get();
        self.waiting.extend(self.links.told.try_iter());
        let exact = self.shared.bouncing();
        self.hear_before(if exact { self.point } else { u64::MAX });
        if now.epoch != self.epoch {
            return false;
        }
        let step = compose_samples(self.clock.rate as u32);
        if !exact || self.planner.is_none() {
            self.hear_before(u64::MAX);
            let more = self.plan(now.samples, false);
            self.shared.composed.set(now);
            // Should the host begin to bounce now, or the composer be turned on, it goes on from here.
            self.point = (now.samples / step + 1) * step;
            return more;
        }
        while self.point <= now.samples && !self.shared.stopping() {
            self.hear_before(self.point);
            self.plan(self.point, true);
            self.shared.composed.set(StreamTime { samples: self.point, ..now });
            self.point += step;
        }
        false
    }

    /// Hears what happened before a sample, and that streams begin.
    fn hear_before(&mut self, sample: u64) {
        while let Some(told) =
            self.waiting.pop_front_if(|told| matches!(told, Told::Begin { .. }) || told.sample() < sample)
        {
            self.hear(told);
        }
    }

    /// Plans at a sample and sends what is due; whether there is more to do at once. Exactly: until there is nothing.
    fn plan(&mut self, sample: u64, exact: bool) -> bool {
        let (rate, epoch) = (self.clock.rate, self.epoch);
        let here = self.clock.planner_beat(sample);
        let block = if exact { 0.0 } else { self.shared.max_block.load(Ordering::Relaxed) as f64 / rate };
        let until = self.clock.planner_beat(sample + ((AHEAD + block) * rate) as u64);
        let Some(planner) = &mut self.planner else { return false };
        planner.place(here);
        let begun = Instant::now();
        let mut busy = false;
        while planner.has_work() && (exact || begun.elapsed() <= SLICE) {
            busy = true;
            if let Err(error) = planner.work() {
                self.failed = true;
                let sentence = format!("Composing has stopped: {error}");
                self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                break;
            }
            let now = self.shared.clock.get();
            if !exact && now.epoch == epoch {
                planner.place(self.clock.planner_beat(now.samples));
            }
        }
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        planner.give_way(&mut due);
        planner.advance(here, until, &mut due);
        self.shared.telemetry.set_foresight(planner.foresight());
        let more = planner.has_work() && !self.failed;
        self.send(due.drain(..));
        self.due = due;
        if self.failed {
            let ended = self.planner.as_mut().map(Planner::forget).unwrap_or_default();
            self.send(ended);
            self.planner = None;
        }
        self.show(sample, busy);
        more
    }

    /// What is planned, for the editor.
    fn show(&mut self, sample: u64, changed: bool) {
        let clock = self.clock;
        let seconds = |beat: f64| {
            let beats = clock.of_planner(beat) - clock.song_beat(sample);
            sample as f64 / clock.rate + beats * 60.0 / clock.tempo
        };
        let planned = self.planner.iter().flat_map(Planner::planned).map(|note| PlannedRoll {
            begins: seconds(note.onset),
            ends: seconds(note.end),
            part: note.part as u8,
            key: note.key,
        });
        let planned: Vec<PlannedRoll> = planned.collect();
        if changed || self.shown || !planned.is_empty() {
            self.shown = !planned.is_empty();
            self.shared.telemetry.set_planned(planned);
        }
    }
}

impl Worker for ComposerWorker {
    fn name(&self) -> &'static str {
        "composer"
    }

    fn run(&mut self) {
        while !self.shared.stopping() {
            if self.step() {
                continue;
            }
            let wait = if self.planner.is_some() && self.settings.mode != LiveMode::Off { POLL } else { IDLE_POLL };
            let wait = if self.shared.bouncing() { wait.min(Duration::from_micros(500)) } else { wait };
            match self.links.told.recv_timeout(wait) {
                Ok(told) => self.waiting.push_back(told),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::park_timeout(wait),
            }
        }
    }

    fn recover(&mut self) {
        // In any state after a panic; nobody else knows what it let sound. What was told and not heard is heard yet: the
        // audio thread says no second time that a stream has begun or where the song is.
        self.planner = None;
        self.settings_seen = None;
        self.outbox.clear();
        let beat = self.clock.planner_beat(self.clock.sample);
        self.send((0..128).map(|key| Due { beat, part: 0, key, velocity: 0, after: None }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-5
    }

    #[test]
    fn without_a_transport_a_tap_is_a_beat_and_its_tempo_is_the_planners() {
        let mut clock = SongClock::begin(48_000);
        clock.go_on_at(12_000, Some(90.0));
        assert!(near(clock.planner_beat(12_000), 0.5), "nothing jumps");
        clock.tap(12_000 + 16_000);
        assert!(near(clock.planner_beat(28_000), 1.0), "half a beat later, at the next");
        assert!(near(clock.planner_beat(28_000 + 3 * 32_000), 4.0));
        // A song's beat is where the audio thread, which counts at 120, finds it.
        assert!(near(clock.of_planner(4.0), clock.song_beat(28_000 + 96_000)));
        // A transport has its own beats.
        clock = SongClock { sample: 0, beat: 8.0, tempo: 60.0, playing: true, ..clock };
        assert!(near(clock.planner_beat(48_000), 9.0) && near(clock.of_planner(9.0), 9.0));
    }

    #[test]
    fn a_note_near_a_beat_moves_it_and_one_between_two_does_not() {
        let mut clock = SongClock::begin(48_000);
        clock.go_on_at(0, Some(60.0));
        clock.follow(48_000 + 4_800);
        assert!(near(clock.planner_beat(48_000 + 4_800), 1.05));
        let off_beat = 48_000 + 2_400 + 24_000;
        clock.follow(off_beat);
        assert!(near(clock.planner_beat(off_beat), 1.5));
    }
}
