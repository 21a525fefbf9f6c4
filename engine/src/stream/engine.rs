//! Starting the engine, and what its threads share.

use super::audio::{AudioLinks, AudioSide};
use super::cells::{Answers, StreamClock};
use super::clock::Mode;
use super::composed::Intake;
use super::composer_worker::{ComposerLinks, ComposerWorker};
use super::conductor::{Conductor, ConductorLinks};
use super::control::{Control, Settings};
use super::faults::Faults;
use super::instant::TableNote;
use super::live::{ALL_PASSAGES, Layers, PASSAGES};
use super::loading::{Loaded, Loader};
use super::player::{PACKETS, StreamPlayer};
use super::synth_worker::{SynthLinks, SynthWorker};
use super::telemetry::{StatusKind, Telemetry};
use parking_lot::Mutex;
use ringbuf::HeapRb;
use ringbuf::traits::Split;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Events from the audio thread: seconds of the densest playing, should the conductor be held up.
const PLAYED_RING: usize = 16_384;
/// Decisions to the audio thread; what does not fit waits with the conductor.
const DECISION_RING: usize = 8_192;
/// Composed notes that are due within the next blocks; what does not fit waits with the composer.
const COMPOSED_RING: usize = 1_024;
/// Notes of the instant voice; what does not fit waits with the synth worker.
const BANK_RING: usize = 1_024;

/// Where the engine finds its models, and how many threads they may use.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Folder with `manifest.toml`; `None` looks where [`Locations`](crate::inference::Locations) does.
    pub models_dir: Option<PathBuf>,
    /// Path of the ONNX Runtime library; `None` looks where [`Locations`](crate::inference::Locations) does.
    pub runtime_library: Option<PathBuf>,
    /// Folder for rendered notes; `None` is the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// What a test wants to go wrong.
    pub faults: Faults,
    /// Threads of the synth worker's sessions (at least 1). The bytes of a render depend on it.
    pub threads: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { models_dir: None, runtime_library: None, cache_dir: None, faults: Faults::default(), threads: 1 }
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

/// How far the models are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum LoadState {
    /// Not asked for yet, or under way.
    Waiting = 0,
    Ready = 1,
    Failed = 2,
}

/// What the threads of one engine share. The audio thread touches its atomics alone.
pub(super) struct Shared {
    pub settings: Mutex<Settings>,
    /// Counted up by every change of settings, mode or host rate.
    pub settings_generation: AtomicU64,
    pub mode: AtomicU8,
    /// Whether the host says that it bounces.
    pub offline: AtomicBool,
    /// Whether it bounces without saying so; written by the audio thread.
    pub hurried: AtomicBool,
    /// Where the audio thread is: the end of the block under way.
    pub clock: StreamClock,
    /// Up to where the conductor has decided everything.
    pub decided: StreamClock,
    /// Host rate of the running stream, written before its epoch shows on the clock.
    pub rate: AtomicU32,
    /// Mode of the running stream, written before its epoch shows on the clock.
    pub stream_mode: AtomicU8,
    /// Up to where the composer has planned and sent; whether it is turned on; and samples of the longest block.
    pub composed: StreamClock,
    pub composing: AtomicBool,
    pub max_block: AtomicU64,
    /// How often the host has activated the instrument; models load at the first, and again after a failure.
    pub activations: AtomicU64,
    /// Live: changes that the conductor has sent to the synth worker. Offline blocks wait for its answers.
    pub changes: Answers,
    /// Live, in real time: a chord is being gathered, so that the synth worker is about to be told of changes.
    pub gathering: AtomicBool,
    pub stop: AtomicBool,
    load_state: AtomicU8,
    /// What the models gave, once they are loaded.
    pub loaded: Mutex<Option<Arc<Loaded>>>,
    /// That notes are not given out as asked, a sentence; written by the conductor.
    pub arranged_instead: Mutex<Option<String>>,
    /// The generation of settings for which the table of single notes was last complete.
    pub table_complete_for: AtomicU64,
    /// Every single note that the audio thread may hold, so that it never drops the last reference.
    pub table_notes: Mutex<Vec<Arc<TableNote>>>,
    pub telemetry: Arc<Telemetry>,
}

impl Shared {
    fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            settings: Mutex::new(Settings::default()),
            settings_generation: AtomicU64::new(0),
            mode: AtomicU8::new(Mode::default().bits()),
            offline: AtomicBool::new(false),
            hurried: AtomicBool::new(false),
            clock: StreamClock::default(),
            decided: StreamClock::default(),
            rate: AtomicU32::new(48_000),
            stream_mode: AtomicU8::new(Mode::default().bits()),
            composed: StreamClock::default(),
            composing: AtomicBool::new(false),
            max_block: AtomicU64::new(0),
            activations: AtomicU64::new(0),
            changes: Answers::default(),
            gathering: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            load_state: AtomicU8::new(LoadState::Waiting as u8),
            loaded: Mutex::new(None),
            arranged_instead: Mutex::new(None),
            table_complete_for: AtomicU64::new(u64::MAX),
            table_notes: Mutex::new(Vec::new()),
            telemetry,
        }
    }

    pub fn load_state(&self) -> LoadState {
        match self.load_state.load(Ordering::Acquire) {
            1 => LoadState::Ready,
            2 => LoadState::Failed,
            _ => LoadState::Waiting,
        }
    }

    pub fn set_load_state(&self, state: LoadState) {
        self.load_state.store(state as u8, Ordering::Release);
    }

    pub fn table_complete(&self) -> bool {
        let generation = self.settings_generation.load(Ordering::Acquire);
        self.table_complete_for.load(Ordering::Acquire) == generation
    }

    /// Whether nobody listens while blocks are rendered.
    pub fn bouncing(&self) -> bool {
        self.offline.load(Ordering::Acquire) || self.hurried.load(Ordering::Acquire)
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Owns the conductor, the composer and the synth worker. Dropping it ends them and waits for them: at most
/// for the model run that is under way.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine and returns at once. Models are loaded by the synth worker, and not before
    /// [`AudioSide::configure`] is first called: a host that scans plug-ins loads nothing.
    /// Failures show in [`Telemetry::status`].
    #[must_use]
    pub fn start(config: EngineConfig) -> Self {
        Self::start_with(super::loading::from_disk(config))
    }

    /// As [`Engine::start`], with whatever provides casts and audio.
    pub(super) fn start_with(loader: Loader) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let shared = Arc::new(Shared::new(Arc::clone(&telemetry)));
        let (played_in, played) = HeapRb::new(PLAYED_RING).split();
        let (decisions_in, decisions) = HeapRb::new(DECISION_RING).split();
        let (packets_in, packets) = HeapRb::new(PACKETS).split();
        let (returned_in, returned) = HeapRb::new(2 * PACKETS).split();
        let (passages_in, passages) = HeapRb::new(PASSAGES).split();
        let (returned_passages_in, returned_passages) = HeapRb::new(ALL_PASSAGES + PASSAGES).split();
        let (bank_in, bank) = HeapRb::new(BANK_RING).split();
        let (jobs_in, jobs) = crossbeam_channel::unbounded();

        let (composed_in, composed) = HeapRb::new(COMPOSED_RING).split();
        let (told_in, told) = crossbeam_channel::unbounded();

        let conductor = Conductor::new(
            Arc::clone(&shared),
            ConductorLinks { played, decisions: decisions_in, jobs: jobs_in, told: told_in },
        );
        let composer = ComposerWorker::new(Arc::clone(&shared), ComposerLinks { told, composed: composed_in });
        let synth = SynthWorker::new(
            Arc::clone(&shared),
            SynthLinks { jobs, packets: packets_in, returned, passages: passages_in, returned_passages, bank: bank_in },
            loader,
        );
        let mut threads = Vec::new();
        let mut spawn = |name: &str, worker: Box<dyn Worker>| {
            let shared = Arc::clone(&shared);
            match std::thread::Builder::new().name(name.into()).spawn(move || keep_running(&shared, worker)) {
                Ok(thread) => threads.push(thread),
                Err(error) => telemetry.set_status(
                    StatusKind::Failed,
                    format!("The system would not start a thread ({error}). Close other programs and reload Ripieno."),
                ),
            }
        };
        spawn("ripieno-conductor", Box::new(conductor));
        spawn("ripieno-synth", Box::new(synth));
        spawn("ripieno-composer", Box::new(composer));
        let conductor = threads.first().map_or_else(std::thread::current, |t| t.thread().clone());
        if threads.len() < 3 {
            shared.set_load_state(LoadState::Failed);
        }
        let links = AudioLinks { played: played_in, decisions, bank, conductor };
        Self {
            audio: AudioSide::new(
                Arc::clone(&shared),
                links,
                StreamPlayer::new(packets, returned_in),
                Layers::new(passages, returned_passages_in),
                Intake::new(composed),
            ),
            control: Control::new(Arc::clone(&shared)),
            telemetry,
            workers: Workers { shared, threads },
        }
    }
}

/// A thread of ours.
pub(super) trait Worker: Send {
    /// What the musician knows it by.
    fn name(&self) -> &'static str;
    /// Runs until the engine stops.
    fn run(&mut self);
    /// After a panic: makes itself fit to run again.
    fn recover(&mut self);
}

fn keep_running(shared: &Shared, mut worker: Box<dyn Worker>) {
    while !shared.stopping() {
        if catch_unwind(AssertUnwindSafe(|| worker.run())).is_ok() {
            continue;
        }
        shared.telemetry.set_status(
            StatusKind::Warning,
            format!("The {} stopped unexpectedly and was started again; notes may be missing.", worker.name()),
        );
        // A worker that fails at once, every time, must not take a whole processor with it.
        std::thread::sleep(Duration::from_millis(50));
        if catch_unwind(AssertUnwindSafe(|| worker.recover())).is_err() {
            shared.set_load_state(LoadState::Failed);
            return;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.thread().unpark();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("A worker of the engine could not be joined.");
            }
        }
        super::report::leave(&self.shared.telemetry);
    }
}
