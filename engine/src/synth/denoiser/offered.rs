//! Which denoisers there are, and which of them can be used.

use super::Denoiser;
use super::encoded::{self, Encoded};
use super::single::{self, Single};
use crate::inference::{DenoiserEntry, InferenceError, Models};
use crate::synth::SynthError;
use crate::synth::sampler::{SamplerKind, Sampling};
use crate::synth::schedule::NOISIEST;

/// A denoiser of the manifest.
#[derive(Debug, Clone)]
pub struct DenoiserInfo {
    /// How people call it.
    pub name: String,
    /// Steps that measured best.
    pub steps: usize,
    /// How it is sampled unless something else is asked for.
    pub sampling: Sampling,
    /// Falling times that it was distilled for; empty where it was not.
    pub times: Vec<usize>,
    /// Why it cannot be used, if it cannot.
    pub fault: Option<SynthError>,
}

impl DenoiserInfo {
    /// The denoisers of a manifest in its order, the first whole one being the default; none is opened for this.
    pub fn all(models: &Models) -> Vec<Self> {
        let entries = models.manifest().synth.as_ref().map(|synth| synth.denoisers()).unwrap_or_default();
        entries.iter().map(|entry| Self::of(models, entry)).collect()
    }

    fn of(models: &Models, entry: &DenoiserEntry) -> Self {
        let sampler = entry.sampler.parse();
        let fault = match &sampler {
            Err(reason) => Some(SynthError::Denoiser { name: entry.name.clone(), reason: String::clone(reason) }),
            Ok(sampler) => check(models, entry, *sampler).err(),
        };
        Self {
            name: entry.name.clone(),
            steps: entry.steps,
            sampling: Sampling::with(sampler.unwrap_or(SamplerKind::Ddim)),
            times: entry.times.clone(),
            fault,
        }
    }
}

/// What can be known without opening it.
fn check(models: &Models, entry: &DenoiserEntry, sampler: SamplerKind) -> Result<(), SynthError> {
    let differs = |reason: &str| Err(SynthError::Denoiser { name: entry.name.clone(), reason: reason.to_owned() });
    let falls = entry.times.windows(2).all(|pair| pair[0] > pair[1]);
    if !falls || entry.times.iter().any(|time| !(1..=NOISIEST).contains(time)) {
        return differs("the times it was distilled for do not fall from 999 at most to 1 at least");
    }
    if sampler == SamplerKind::Distilled && entry.times.is_empty() {
        return differs("it is distilled and the times it was distilled for are missing");
    }
    for model in [Some(&entry.model), entry.encoder.as_ref()].into_iter().flatten() {
        if let Some(fault) = models.fault(model) {
            return Err(fault.clone().into());
        }
    }
    match &entry.encoder {
        Some(encoder) => encoded::check(models, (encoder, &entry.model)).map(drop)?,
        None => single::check(models, &entry.model)?,
    }
    Ok(())
}

/// Opens the denoiser of a name.
pub(in crate::synth) fn open(
    models: &Models,
    name: &str,
    threads: usize,
) -> Result<(DenoiserInfo, Box<dyn Denoiser>), SynthError> {
    let entries = models.manifest().synth.as_ref().map(|synth| synth.denoisers()).unwrap_or_default();
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else {
        let known = entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(SynthError::NoDenoiser { name: name.to_owned(), known });
    };
    let info = DenoiserInfo::of(models, entry);
    if let Some(fault) = info.fault {
        return Err(fault);
    }
    let open = || -> Result<Box<dyn Denoiser>, InferenceError> {
        Ok(match &entry.encoder {
            Some(encoder) => Box::new(Encoded::open(models, (encoder, &entry.model), threads)?),
            None => Box::new(Single::open(models, &entry.model, threads)?),
        })
    };
    Ok((info, open()?))
}

/// Opens the first denoiser that can be used. Where none can, the error is the first one's.
pub(in crate::synth) fn first_whole(
    models: &Models,
    threads: usize,
) -> Result<(DenoiserInfo, Box<dyn Denoiser>), SynthError> {
    let mut first = None;
    for info in DenoiserInfo::all(models) {
        match open(models, &info.name, threads) {
            Ok(opened) => return Ok(opened),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(SynthError::NoResidual))
}
