//! What the main thread asks of the engine. Every call returns at once; the workers read the result.

use super::MAX_PARTS;
use super::clock::{self, Mode};
use super::engine::Shared;
use crate::arranger::{Hints, Method};
use crate::composer::live::{LiveMode, LiveSettings};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the workers play with. Changed through [`Control`], read by the workers once per segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Id of the performance, as in `performances.toml`. An unknown id is kept, and said in the status.
    pub performance: String,
    /// Id of the ensemble, as in `assets/ensembles`.
    pub ensemble: String,
    /// How notes are given out; `None` is as the ensemble says.
    pub method: Option<Method>,
    /// Which parts play, and about how high.
    pub hints: Hints,
    /// For [`Method::Split`]: the lowest MIDI key of every part but the last; `None` is as the ensemble says.
    pub zones: [Option<u8>; MAX_PARTS - 1],
    /// Seed of all noise; the same seed and notes give the same audio.
    pub seed: u64,
    /// Denoising steps per segment, 0..=64; 0 is the prior alone. Fewer are taken when time is short.
    pub steps: usize,
    /// Guidance weight towards the notes; 1 is no guidance.
    pub guidance_notes: f32,
    /// Guidance weight towards the performance; 1 is no guidance.
    pub guidance_performance: f32,
    /// Whether and how the composer plays with you.
    pub composer: LiveSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            performance: "string-quartet-hall".into(),
            ensemble: "string-quartet".into(),
            method: None,
            hints: Hints::default(),
            zones: [None; MAX_PARTS - 1],
            seed: 0,
            steps: 4,
            guidance_notes: 1.0,
            guidance_performance: 1.0,
            composer: LiveSettings::default(),
        }
    }
}

/// Handle of the main thread: cheap to clone, callable from any thread but the audio thread (it locks).
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.settings.lock().clone()
    }

    /// Chooses the performance by id. An unknown id keeps the last one sounding and is said in the status.
    pub fn set_performance(&self, id: &str) {
        self.change(|s| s.performance = id.to_owned());
    }

    /// Chooses the ensemble by id: how many parts there are and who takes which note. Ends held notes.
    pub fn set_ensemble(&self, id: &str) {
        self.change(|s| s.ensemble = id.to_owned());
    }

    /// Chooses how notes are given out; `None` is as the ensemble says. Ends held notes.
    pub fn set_method(&self, method: Option<Method>) {
        self.change(|s| s.method = method);
    }

    /// Says which parts play and about how high, from the next chord on; notes that are held are held on.
    pub fn set_hints(&self, hints: Hints) {
        self.change(|s| s.hints = hints);
    }

    /// Draws the zones of [`Method::Split`], from the next chord on.
    pub fn set_zones(&self, zones: [Option<u8>; MAX_PARTS - 1]) {
        self.change(|s| s.zones = zones);
    }

    /// Says whether and how the composer goes on or accompanies. A tempo that is out of range is none.
    pub fn set_composer(&self, mut composer: LiveSettings) {
        composer.tempo = composer.tempo.filter(|tempo| (20.0..=400.0).contains(tempo));
        self.shared.composing.store(composer.mode != LiveMode::Off, Ordering::Relaxed);
        self.change(|s| s.composer = composer);
    }

    /// Sets the seed of all noise.
    pub fn set_seed(&self, seed: u64) {
        self.change(|s| s.seed = seed);
    }

    /// Sets the guidance weights towards notes and performance (clamped to 0..=8; 1 is no guidance).
    pub fn set_guidance(&self, notes: f32, performance: f32) {
        let clean = |w: f32| if w.is_finite() { w.clamp(0.0, 8.0) } else { 1.0 };
        self.change(|s| {
            s.guidance_notes = clean(notes);
            s.guidance_performance = clean(performance);
        });
    }

    /// Sets the denoising steps per segment (at most 64; 0 is the prior alone).
    pub fn set_steps(&self, steps: usize) {
        self.change(|s| s.steps = steps.min(64));
    }

    /// Sets the mode. The audio thread takes it up at its next block and begins a new stream;
    /// tell the host the new [`latency_samples`](Self::latency_samples).
    pub fn set_mode(&self, mode: Mode) {
        if self.shared.mode.swap(mode.bits(), Ordering::AcqRel) != mode.bits() {
            self.shared.settings_generation.fetch_add(1, Ordering::Release);
        }
    }

    /// The mode that was set last.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::from_bits(self.shared.mode.load(Ordering::Acquire))
    }

    /// Says whether the host renders faster or slower than time (a bounce). Offline, `process` waits for its audio.
    pub fn set_offline(&self, offline: bool) {
        self.shared.offline.store(offline, Ordering::Release);
    }

    /// The latency to tell the host for the current mode, in host samples.
    #[must_use]
    pub fn latency_samples(&self, sample_rate: f64) -> u32 {
        clock::latency_samples(self.mode(), sample_rate)
    }

    fn change(&self, f: impl FnOnce(&mut Settings)) {
        f(&mut self.shared.settings.lock());
        self.shared.settings_generation.fetch_add(1, Ordering::Release);
    }
}
