//! What an instance's threads share: the engine's handles for the main thread, and whether we failed.
//!
//! The audio thread touches the atomics alone, except offline, where it may wait.

use crate::parameters::Parameters;
use parking_lot::{Mutex, RwLock};
use ripieno_engine::stream::{Control, StatusKind, Telemetry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What is said after one of our panics.
const FAILED: &str = "Ripieno stopped after an error of its own and is silent; switch the instrument off and on again.";

/// The main thread's handles of a running engine.
struct Handles {
    control: Control,
    telemetry: Arc<Telemetry>,
}

/// See the module.
pub struct Shared {
    handles: RwLock<Handles>,
    /// Held while settings go to the engine, so that whoever waits for it finds them there.
    applying: Mutex<()>,
    failed: AtomicBool,
    sample_rate: AtomicU32,
}

impl Shared {
    /// Holds on to an engine's handles.
    pub fn new(control: Control, telemetry: Arc<Telemetry>) -> Self {
        Self {
            handles: RwLock::new(Handles { control, telemetry }),
            applying: Mutex::new(()),
            failed: AtomicBool::new(false),
            sample_rate: AtomicU32::new(48_000),
        }
    }

    /// Takes a new engine in place of one that failed.
    pub fn replace(&self, control: Control, telemetry: Arc<Telemetry>) {
        *self.handles.write() = Handles { control, telemetry };
        self.failed.store(false, Ordering::Release);
    }

    /// What the editor reads.
    pub fn telemetry(&self) -> Arc<Telemetry> {
        Arc::clone(&self.handles.read().telemetry)
    }

    /// Marks the instance as failed: silent until the host activates it anew. Wait-free.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether the instance failed. Wait-free.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The host's sample rate in Hz.
    pub fn sample_rate(&self) -> f64 {
        f64::from(self.sample_rate.load(Ordering::Relaxed))
    }

    /// Remembers the host's sample rate.
    pub fn set_sample_rate(&self, rate: f32) {
        self.sample_rate.store(rate.round() as u32, Ordering::Relaxed);
    }

    /// The one sentence to show, the gravest there is: a failure of ours, one of the engine, what there is
    /// to say about the loaded project, then how the engine is.
    pub fn sentence(&self, parameters: &Parameters) -> (StatusKind, String) {
        if self.failed() {
            return (StatusKind::Failed, FAILED.into());
        }
        let status = self.telemetry().status();
        match parameters.notice() {
            Some(notice) if status.kind != StatusKind::Failed => (StatusKind::Warning, notice),
            _ => (status.kind, status.sentence),
        }
    }

    /// Brings the parameters to the engine, each only if it differs: a performance loads for seconds, and a new
    /// ensemble ends the notes. May wait for another thread that does the same; not for the audio thread in real time.
    pub fn apply(&self, parameters: &Parameters) {
        let _applying = self.applying.lock();
        let control = self.handles.read().control.clone();
        let now = control.settings();
        let performance = parameters.performance_id();
        if performance != now.performance {
            control.set_performance(&performance);
        }
        let ensemble = parameters.ensemble_id();
        if ensemble != now.ensemble {
            control.set_ensemble(&ensemble);
        }
        let method = parameters.method();
        if method != now.method {
            control.set_method(method);
        }
        let hints = parameters.hints();
        if hints != now.hints {
            control.set_hints(hints);
        }
        let zones = parameters.zones();
        if zones != now.zones {
            control.set_zones(zones);
        }
        let controls = &parameters.controls;
        let composer = controls.composer.settings();
        if composer != now.composer {
            control.set_composer(composer);
        }
        let steps = usize::try_from(controls.quality.value()).unwrap_or(0);
        if steps != now.steps {
            control.set_steps(steps);
        }
        let guidance = [controls.guidance_notes.value(), controls.guidance_performance.value()];
        if guidance != [now.guidance_notes, now.guidance_performance] {
            control.set_guidance(guidance[0], guidance[1]);
        }
    }
}
