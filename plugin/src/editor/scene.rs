//! What one picture of the editor shows of the engine, as plain values.

use crate::parameters::Parameters;
use crate::shared::Shared;
use ripieno_engine::stream::{MAX_PARTS, PlannedRoll, RollEvent, StatusKind, latency_samples};

/// The engine as it is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// How grave the sentence is.
    pub kind: StatusKind,
    /// One sentence for the musician.
    pub sentence: String,
    /// How much of what is being loaded is there, 0 to 1.
    pub progress: f32,
    /// What runs the models; empty until they are loaded.
    pub provider: String,
    /// Seconds the synth worker needs per second of music.
    pub load: f32,
    /// How often audio was missing when it was due.
    pub underruns: u64,
    /// Latency of the chosen mode in host samples; what the host is told as soon as it asks for audio.
    pub latency: u32,
    /// Host rate in Hz.
    pub sample_rate: f64,
    /// Stream time in seconds.
    pub now: f64,
    /// Highest sample of each part since the last scene, linear.
    pub peaks: [f32; MAX_PARTS],
    /// Notes separated since the last scene, oldest first.
    pub notes: Vec<RollEvent>,
    /// What the composer is going to play.
    pub planned: Vec<PlannedRoll>,
}

impl Scene {
    /// Reads the telemetry. Peaks and notes are taken out of it: one reader at a time.
    pub fn read(shared: &Shared, parameters: &Parameters) -> Self {
        let telemetry = shared.telemetry();
        let sample_rate = shared.sample_rate();
        let (kind, sentence) = shared.sentence(parameters);
        let mut notes = Vec::new();
        telemetry.drain_roll(&mut notes);
        Self {
            kind,
            sentence,
            progress: telemetry.progress(),
            provider: telemetry.provider(),
            load: telemetry.load(),
            underruns: telemetry.underruns(),
            latency: latency_samples(parameters.controls.mode.value().into(), sample_rate),
            sample_rate,
            now: telemetry.stream_seconds(),
            peaks: std::array::from_fn(|part| telemetry.take_peak(part)),
            notes,
            planned: telemetry.planned(),
        }
    }

    /// Latency in seconds.
    pub fn latency_seconds(&self) -> f64 {
        f64::from(self.latency) / self.sample_rate.max(1.0)
    }
}
