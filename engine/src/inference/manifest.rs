//! `models/manifest.toml`: what every model is, and the numbers Rust and Python share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::InferenceError;

/// The manifest of one models folder.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Sample rate, hop, mel bands: the one place that knows them.
    pub rates: Rates,
    /// What the sampler needs to know of the trained synthesizer; absent until one is exported.
    pub synth: Option<SynthEntry>,
    /// The composer's vocabulary; absent where there is no composer.
    pub composer: Option<ComposerEntry>,
    /// Every model file.
    #[serde(rename = "model", default)]
    pub models: Vec<ModelEntry>,
    /// The folder the manifest was read from.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Rates and sizes of the synthesizer's features.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Rates {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples between frames.
    pub hop: usize,
    /// Samples in an analysis window.
    pub window: usize,
    /// Mel bands of one channel (mid; side has as many).
    pub mel_bands: usize,
    /// Lower edge of the lowest band, Hz.
    pub mel_fmin: f64,
    /// Upper edge of the highest band, Hz.
    pub mel_fmax: f64,
    /// Smallest magnitude before the logarithm.
    pub log_floor: f64,
}

/// What belongs to the trained synthesizer as a whole.
#[derive(Debug, Clone, Deserialize)]
pub struct SynthEntry {
    /// What turns the network's residual into mel per band, natural-log units: mid bands, then side bands. It is the
    /// standard deviation of (mel - prior) times the share of the residual that measured best (`residual_share`).
    pub residual_std: Vec<f32>,
    /// Denoiser steps that measured best on held-out pieces.
    pub default_steps: usize,
    /// Guidance weight of the notes that measured best.
    pub default_guidance_notes: f32,
    /// Guidance weight of the performance that measured best.
    pub default_guidance_performance: f32,
    /// Name of the denoiser that renderings without a deadline take; without it, the first.
    pub offline: Option<String>,
    /// Name of the denoiser that plays in real time; without it, the first.
    pub live: Option<String>,
    /// What predicts v; see [`SynthEntry::denoisers`].
    #[serde(rename = "denoiser", default)]
    listed: Vec<DenoiserEntry>,
    /// Everything else the training writes down, for readers.
    #[serde(flatten)]
    pub more: BTreeMap<String, toml::Value>,
}

/// A network, or a pair of them, that predicts v.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DenoiserEntry {
    /// How people call it, e.g. `unet`.
    pub name: String,
    /// The model that predicts v.
    pub model: String,
    /// The model that reads the notes once per segment, where they are two.
    pub encoder: Option<String>,
    /// Steps that measured best; those of the synthesizer where it says nothing.
    #[serde(default)]
    pub steps: usize,
    /// Its sampler: `ddim`, `dpm++2m` or `distilled`.
    #[serde(default = "ddim")]
    pub sampler: String,
    /// The denoiser that it was distilled from, if that is listed too.
    #[serde(default)]
    pub teacher: Option<String>,
    /// Falling diffusion times it was distilled for; empty where it was not.
    #[serde(default)]
    pub times: Vec<usize>,
}

fn ddim() -> String {
    "ddim".to_owned()
}

impl SynthEntry {
    /// The denoisers in the manifest's order. A manifest that lists none has the model `denoiser`, named `unet`.
    pub fn denoisers(&self) -> Vec<DenoiserEntry> {
        let unet = || DenoiserEntry {
            name: "unet".to_owned(),
            model: "denoiser".to_owned(),
            encoder: None,
            steps: 0,
            sampler: ddim(),
            times: Vec::new(),
            teacher: None,
        };
        let mut all = if self.listed.is_empty() { vec![unet()] } else { self.listed.clone() };
        all.iter_mut().filter(|entry| entry.steps == 0).for_each(|entry| entry.steps = self.default_steps);
        all
    }
}

/// The composer's vocabulary (`composer::Vocabulary` makes codes of it).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ComposerEntry {
    /// Ticks per quarter.
    pub resolution: u32,
    /// Beats (quarters) of the longest song.
    pub beats: u32,
    /// Durations there are, ticks, rising.
    pub durations: Vec<u32>,
    /// Instruments there are.
    pub instruments: Vec<InstrumentEntry>,
    /// The model that composes unless another is asked for; the first of them where it says nothing.
    pub network: Option<String>,
}

/// An instrument of the composer's vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstrumentEntry {
    /// How the command line calls it, e.g. `violin`.
    pub name: String,
    /// The General MIDI program that it is written as, 0-based.
    pub program: u8,
    /// The programs that are read as it.
    pub programs: Vec<u8>,
}

/// One model file.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelEntry {
    /// How the code calls it, e.g. `prior`.
    pub name: String,
    /// Path relative to the manifest.
    pub file: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// SPDX licence of the weights.
    pub licence: String,
    /// Number of trained parameters.
    #[serde(default)]
    pub parameters: u64,
    /// The command that made it.
    #[serde(default)]
    pub made_by: String,
    /// Inputs in the graph's order.
    #[serde(rename = "input", default)]
    pub inputs: Vec<TensorEntry>,
    /// Outputs in the graph's order.
    #[serde(rename = "output", default)]
    pub outputs: Vec<TensorEntry>,
    /// Of an arranger: another whose answers count as much when it hears a whole piece.
    pub beside: Option<String>,
    /// Of an arranger: what is counted of a piece while its notes are given out, and how much it weighs, 0 to 1
    /// (`arranger/habits.rs`).
    #[serde(default)]
    pub habits: BTreeMap<String, f64>,
    /// Measured figures, for readers.
    #[serde(default)]
    pub figures: BTreeMap<String, toml::Value>,
}

/// One input or output.
#[derive(Debug, Clone, Deserialize)]
pub struct TensorEntry {
    /// Its name in the graph.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<Dimension>,
    /// Element type: `f32`, `i32` or `i64`.
    #[serde(rename = "type")]
    pub element: String,
    /// What the numbers mean.
    #[serde(default)]
    pub unit: String,
}

/// A dimension: fixed, or named and free.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    /// Always this size.
    Fixed(i64),
    /// Free, e.g. `batch` or `frames`.
    Named(String),
}

impl TensorEntry {
    /// The shape of a tensor whose every size is given, as that of a network's memory.
    pub fn fixed_shape(&self) -> Result<Vec<usize>, String> {
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => usize::try_from(*size).ok(),
            Dimension::Named(_) => None,
        };
        let shape: Option<Vec<usize>> = self.shape.iter().map(size).collect();
        shape.ok_or_else(|| format!("its memory \"{}\" has no fixed size", self.name))
    }
}

impl Manifest {
    /// Reads `manifest.toml` of a models folder.
    pub fn load(folder: &Path) -> Result<Self, InferenceError> {
        let path = folder.join("manifest.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| InferenceError::Unreadable { path: path.clone(), reason: error.to_string() })?;
        let mut manifest: Manifest = toml::from_str(&text).map_err(|error| InferenceError::BadManifest {
            path,
            reason: error.to_string().trim().replace('\n', " "),
        })?;
        manifest.folder = folder.to_path_buf();
        Ok(manifest)
    }

    /// The entry of a model.
    pub fn model(&self, name: &str) -> Result<&ModelEntry, InferenceError> {
        self.models
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| InferenceError::UnknownModel { name: name.to_owned() })
    }
}
