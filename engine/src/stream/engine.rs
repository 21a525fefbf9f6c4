//! Starting the engine, and what its threads share.

use super::audio::AudioSide;
use super::clock::{Mode, StreamClock};
use super::control::{Control, Settings};
use super::telemetry::Telemetry;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Where the engine finds its models, and how many threads they may use.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Folder with `manifest.toml`; `None` looks where [`Locations`](crate::inference::Locations) does.
    pub models_dir: Option<PathBuf>,
    /// Path of the ONNX Runtime library; `None` looks where [`Locations`](crate::inference::Locations) does.
    pub runtime_library: Option<PathBuf>,
    /// Threads of the synth worker's sessions (at least 1). The bytes of a render depend on it.
    pub threads: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { models_dir: None, runtime_library: None, threads: 1 }
    }
}

/// A running engine: one value per thread, to be taken apart by whoever starts it.
pub struct Engine {
    /// For the audio thread.
    pub audio: AudioSide,
    /// For the main thread.
    pub control: Control,
    /// For the editor.
    pub telemetry: Arc<Telemetry>,
    /// The threads behind: keep it as long as the instrument lives, drop it to end them.
    pub workers: Workers,
}

/// What the threads of one engine share. The audio thread touches its atomics alone.
pub(super) struct Shared {
    pub config: EngineConfig,
    pub settings: Mutex<Settings>,
    pub settings_generation: AtomicU64,
    pub mode: AtomicU8,
    pub offline: AtomicBool,
    pub clock: StreamClock,
    /// Host rate of the running stream, written before its epoch shows on the clock.
    pub rate: AtomicU32,
    /// Mode of the running stream, written before its epoch shows on the clock.
    pub stream_mode: AtomicU8,
    pub stop: AtomicBool,
    pub telemetry: Arc<Telemetry>,
}

/// Owns the conductor and the synth worker. Dropping it ends both and waits for them: at most
/// for the model run that is under way.
pub struct Workers {
    shared: Arc<Shared>,
}

impl Engine {
    /// Starts the engine and returns at once. Models are loaded by the synth worker, and not before
    /// [`AudioSide::configure`] is first called: a host that scans plug-ins loads nothing.
    /// Failures show in [`Telemetry::status`].
    #[must_use]
    pub fn start(config: EngineConfig) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let shared = Arc::new(Shared {
            config,
            settings: Mutex::new(Settings::default()),
            settings_generation: AtomicU64::new(0),
            mode: AtomicU8::new(Mode::default().bits()),
            offline: AtomicBool::new(false),
            clock: StreamClock::default(),
            rate: AtomicU32::new(48_000),
            stream_mode: AtomicU8::new(Mode::default().bits()),
            stop: AtomicBool::new(false),
            telemetry: Arc::clone(&telemetry),
        });
        Self {
            audio: AudioSide::new(Arc::clone(&shared)),
            control: Control::new(Arc::clone(&shared)),
            telemetry,
            workers: Workers { shared },
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}
