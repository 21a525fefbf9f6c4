//! What the engine shows: figures that the audio thread stores and the editor reads without a lock, and
//! sentences and notes that the workers leave under a lock which the audio thread never touches.

use super::MAX_PARTS;
use super::synth_worker::HOP_SECONDS;
use crate::composer::live::Foresight;
use atomic_float::AtomicF32;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How grave a [`Status`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    /// Something is being loaded or rendered; the musician waits.
    Busy,
    /// All is well.
    Ready,
    /// It plays, but not as asked (an unknown performance, a worker that was restarted).
    Warning,
    /// Nothing can sound until the musician acts (no models, no ONNX Runtime).
    Failed,
}

/// One sentence for the musician.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How grave it is.
    pub kind: StatusKind,
    /// The sentence.
    pub sentence: String,
}

/// A note that the conductor gave to a part, for the piano roll.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollEvent {
    /// Stream time in seconds; comparable to [`Telemetry::stream_seconds`].
    pub seconds: f64,
    /// The part, 0 is the highest.
    pub part: u8,
    /// MIDI key.
    pub key: u8,
    /// MIDI velocity; 0 ends the note.
    pub velocity: u8,
}

/// Most steps that are told apart, and one.
const STEPS: usize = 65;
/// Seconds of a bucket of [`Telemetry::in_context_within`].
const BUCKET: f64 = 0.01;
const BUCKETS: usize = 101;

/// A note that the composer is going to play, for the piano roll.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedRoll {
    /// Stream time in seconds at which it begins, at the tempo of now.
    pub begins: f64,
    /// Stream time in seconds at which it ends.
    pub ends: f64,
    /// The part, 0 is the highest.
    pub part: u8,
    /// MIDI key.
    pub key: u8,
}

/// Notes kept for an editor that is closed; older ones are forgotten.
const ROLL_EVENTS: usize = 1024;

/// Everything the editor draws from. Shared; every method may be called from any thread but the audio thread.
#[derive(Debug)]
pub struct Telemetry {
    status: Mutex<Status>,
    provider: Mutex<String>,
    roll: Mutex<VecDeque<RollEvent>>,
    planned: Mutex<Vec<PlannedRoll>>,
    foresight: Mutex<Option<Foresight>>,
    pub(super) ready: AtomicBool,
    pub(super) progress: AtomicF32,
    pub(super) load: AtomicF32,
    pub(super) underruns: AtomicU64,
    pub(super) lost_events: AtomicU64,
    pub(super) latency: AtomicU32,
    pub(super) segments: AtomicU64,
    pub(super) steps: AtomicU32,
    pub(super) short_segments: AtomicU64,
    /// Segments with sound, the time they took, and the time of the slowest.
    sounding_segments: AtomicU64,
    busy_nanos: AtomicU64,
    slowest_nanos: AtomicU64,
    /// Live: passages that arrived, came after their time, did not know of a release, and ended with nothing after them.
    pub(super) live_passages: AtomicU64,
    pub(super) live_late: AtomicU64,
    pub(super) live_overtaken: AtomicU64,
    pub(super) live_missing: AtomicU64,
    /// Live: by steps, how many passages were given them.
    live_steps: [AtomicU64; STEPS],
    /// Live: notes by the time from key to context, in buckets of [`BUCKET`] seconds; the last is all that is longer.
    in_context: [AtomicU64; BUCKETS],
    /// The rate by which that time is told, in Hz.
    pub(super) rate: AtomicU32,
    pub(super) voices: AtomicU32,
    pub(super) seconds_bits: AtomicU64,
    pub(super) peaks: [AtomicF32; MAX_PARTS],
}

impl Telemetry {
    pub(super) fn new() -> Self {
        Self {
            status: Mutex::new(Status {
                kind: StatusKind::Busy,
                sentence: "Waiting for the host to activate the instrument.".into(),
            }),
            provider: Mutex::new(String::new()),
            roll: Mutex::new(VecDeque::with_capacity(ROLL_EVENTS)),
            planned: Mutex::new(Vec::new()),
            foresight: Mutex::new(None),
            ready: AtomicBool::new(false),
            progress: AtomicF32::new(0.0),
            load: AtomicF32::new(0.0),
            underruns: AtomicU64::new(0),
            lost_events: AtomicU64::new(0),
            latency: AtomicU32::new(0),
            segments: AtomicU64::new(0),
            steps: AtomicU32::new(0),
            short_segments: AtomicU64::new(0),
            sounding_segments: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            slowest_nanos: AtomicU64::new(0),
            live_passages: AtomicU64::new(0),
            live_late: AtomicU64::new(0),
            live_overtaken: AtomicU64::new(0),
            live_missing: AtomicU64::new(0),
            live_steps: std::array::from_fn(|_| AtomicU64::new(0)),
            in_context: std::array::from_fn(|_| AtomicU64::new(0)),
            rate: AtomicU32::new(48_000),
            voices: AtomicU32::new(0),
            seconds_bits: AtomicU64::new(0),
            peaks: std::array::from_fn(|_| AtomicF32::new(0.0)),
        }
    }

    /// The sentence for the musician.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    pub(super) fn set_status(&self, kind: StatusKind, sentence: impl Into<String>) {
        let status = Status { kind, sentence: sentence.into() };
        let mut shown = self.status.lock();
        if *shown != status {
            match kind {
                StatusKind::Busy | StatusKind::Ready => log::info!("{}", status.sentence),
                StatusKind::Warning => log::warn!("{}", status.sentence),
                StatusKind::Failed => log::error!("{}", status.sentence),
            }
            *shown = status;
        }
    }

    /// What the composer is going to play, by onset; what has begun is in the roll.
    #[must_use]
    pub fn planned(&self) -> Vec<PlannedRoll> {
        self.planned.lock().clone()
    }

    pub(super) fn set_planned(&self, planned: Vec<PlannedRoll>) {
        *self.planned.lock() = planned;
    }

    /// How long before they sound composed notes were planned, since the composer was loaded; nothing before that.
    #[must_use]
    pub fn foresight(&self) -> Option<Foresight> {
        *self.foresight.lock()
    }

    pub(super) fn set_foresight(&self, foresight: Foresight) {
        *self.foresight.lock() = Some(foresight);
    }

    /// What runs the models, for instance "CPU"; empty until they are loaded.
    #[must_use]
    pub fn provider(&self) -> String {
        self.provider.lock().clone()
    }

    pub(super) fn set_provider(&self, name: &str) {
        *self.provider.lock() = name.to_owned();
    }

    /// Whether notes played now will sound: models loaded, and in Live the first instant voices rendered.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How much of what is being loaded is there, 0 to 1. In Live it counts the instant voices.
    #[must_use]
    pub fn progress(&self) -> f32 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Seconds the synth worker needs per second of music (smoothed); above 1 it cannot keep up.
    #[must_use]
    pub fn load(&self) -> f32 {
        self.load.load(Ordering::Relaxed)
    }

    /// Seconds the synth worker needed per second of music, over all segments with sound since the start.
    #[must_use]
    pub fn real_time_factor(&self) -> f64 {
        let seconds = self.busy_nanos.load(Ordering::Relaxed) as f64 * 1e-9;
        seconds / (self.sounding_segments.load(Ordering::Relaxed).max(1) as f64 * HOP_SECONDS)
    }

    /// The same of the slowest segment.
    #[must_use]
    pub fn slowest_segment(&self) -> f64 {
        self.slowest_nanos.load(Ordering::Relaxed) as f64 * 1e-9 / HOP_SECONDS
    }

    /// A segment with sound took `seconds`.
    pub(super) fn count_segment(&self, seconds: f64) {
        let nanos = (seconds * 1e9) as u64;
        self.sounding_segments.fetch_add(1, Ordering::Relaxed);
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.slowest_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Live: passages in context that reached the audio thread.
    #[must_use]
    pub fn live_passages(&self) -> u64 {
        self.live_passages.load(Ordering::Relaxed)
    }

    /// Live: passages that came when most of their time was over, and were not heard.
    #[must_use]
    pub fn live_late(&self) -> u64 {
        self.live_late.load(Ordering::Relaxed)
    }

    /// Live: passages that were not heard because a key was released while they were rendered.
    #[must_use]
    pub fn live_overtaken(&self) -> u64 {
        self.live_overtaken.load(Ordering::Relaxed)
    }

    /// Live: how often a passage ended while its notes were held and no other was there; the instant voice carried on.
    #[must_use]
    pub fn live_missing(&self) -> u64 {
        self.live_missing.load(Ordering::Relaxed)
    }

    /// Live: how many passages were given so many steps, by steps (0..=64).
    #[must_use]
    pub fn live_steps(&self) -> Vec<u64> {
        self.live_steps.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub(super) fn count_live_steps(&self, steps: usize) {
        self.live_steps[steps.min(STEPS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// A voice was faded into its context so many host samples after its key. Wait-free.
    pub(super) fn count_in_context(&self, samples: u64) {
        let seconds = samples as f64 / f64::from(self.rate.load(Ordering::Relaxed).max(1));
        self.in_context[((seconds / BUCKET) as usize).min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Live: notes that were heard in context so far, and the seconds after its key within which this share of them (0 to
    /// 1) was; in steps of 10 ms, infinite beyond a second.
    #[must_use]
    pub fn in_context_within(&self, share: f64) -> (u64, f64) {
        let counts = self.in_context_counts();
        let total: u64 = counts.iter().sum();
        let mut sum = 0;
        let wanted = (share * total as f64).ceil() as u64;
        let bucket = counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        let seconds = bucket.filter(|&at| at + 1 < BUCKETS).map_or(f64::INFINITY, |at| (at + 1) as f64 * BUCKET);
        (total, seconds)
    }

    /// Live: notes that were heard in context so far, by the time after the key in steps of 10 ms; the last of the 101 are
    /// all that took a second or longer.
    #[must_use]
    pub fn in_context_counts(&self) -> Vec<u64> {
        self.in_context.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// How often audio was missing when it was due.
    #[must_use]
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::Relaxed)
    }

    /// Events that found their ring full. All notes are ended when that happens, so that none hangs.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.lost_events.load(Ordering::Relaxed)
    }

    /// The latency of the running stream in host samples.
    #[must_use]
    pub fn latency_samples(&self) -> u32 {
        self.latency.load(Ordering::Relaxed)
    }

    /// Segments rendered since the start.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }

    /// Denoising steps the last segment was given.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Segments that were given fewer steps than asked, because time was short.
    #[must_use]
    pub fn short_segments(&self) -> u64 {
        self.short_segments.load(Ordering::Relaxed)
    }

    /// Instant voices that sound now.
    #[must_use]
    pub fn voices(&self) -> u32 {
        self.voices.load(Ordering::Relaxed)
    }

    /// Stream time of the last block's end in seconds; begins at 0 with every reset.
    /// What is heard now was played `latency_samples` earlier.
    #[must_use]
    pub fn stream_seconds(&self) -> f64 {
        f64::from_bits(self.seconds_bits.load(Ordering::Relaxed))
    }

    /// The highest sample of a part since the last call (linear, 1 is full scale), and clears it.
    #[must_use]
    pub fn take_peak(&self, part: usize) -> f32 {
        self.peaks.get(part).map_or(0.0, |peak| peak.swap(0.0, Ordering::Relaxed))
    }

    /// Moves the notes separated since the last call to `out`, oldest first.
    pub fn drain_roll(&self, out: &mut Vec<RollEvent>) {
        out.extend(self.roll.lock().drain(..));
    }

    pub(super) fn push_roll(&self, event: RollEvent) {
        let mut roll = self.roll.lock();
        if roll.len() == ROLL_EVENTS {
            roll.pop_front();
        }
        roll.push_back(event);
    }
}
