//! Which denoisers there are, and which of them can be used.

use super::encoded::{self, Encoded};
use super::single::{self, Single};
use super::{Denoiser, Opened};
use crate::inference::{DenoiserEntry, InferenceError, Models};
use crate::synth::SynthError;
use crate::synth::sampler::{SamplerKind, Sampling};
use crate::synth::schedule::NOISIEST;

/// What is to be played: each has its own denoiser by the manifest's `[synth]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A rendering that may take its time: the manifest's `offline`.
    Offline,
    /// An instrument under a host, also while it bounces, so that a bounce is what was heard: the manifest's `live`.
    Live,
}

impl Occasion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Offline, Self::Live];

    /// As the manifest has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Live => "live",
        }
    }
}

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
    /// Whom it was distilled from: who plays in its place where more steps are asked for.
    pub teacher: Option<String>,
    /// Why it cannot be used, if it cannot.
    pub fault: Option<SynthError>,
}

impl DenoiserInfo {
    /// The denoisers of a manifest in its order; none is opened for this.
    pub fn all(models: &Models) -> Vec<Self> {
        let entries = models.manifest().synth.as_ref().map(|synth| synth.denoisers()).unwrap_or_default();
        entries.iter().map(|entry| Self::of(models, entry)).collect()
    }

    /// The same in the order in which they are tried for an occasion: the one that the manifest names for it, then the
    /// others. An error if there is none of that name.
    pub fn for_occasion(models: &Models, occasion: Occasion) -> Result<Vec<Self>, SynthError> {
        let mut all = Self::all(models);
        let named = models.manifest().synth.as_ref().and_then(|synth| match occasion {
            Occasion::Offline => synth.offline.as_ref(),
            Occasion::Live => synth.live.as_ref(),
        });
        if let Some(named) = named {
            let Some(at) = all.iter().position(|info| info.name == *named) else {
                let known = all.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(SynthError::NotListed { occasion: occasion.name(), name: named.clone(), known });
            };
            all[..=at].rotate_right(1);
        }
        Ok(all)
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
            teacher: entry.teacher.clone(),
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
pub(in crate::synth) fn open(models: &Models, name: &str, threads: usize) -> Result<Opened, SynthError> {
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
    Ok(Opened::new(info, open()?))
}

/// Opens the first denoiser for an occasion that can be used, and its teacher, if it has one that can be used as well.
/// Where none can, the error is the first one's.
pub(in crate::synth) fn whole(models: &Models, threads: usize, occasion: Occasion) -> Result<Vec<Opened>, SynthError> {
    let mut first = None;
    for info in DenoiserInfo::for_occasion(models, occasion)? {
        match open(models, &info.name, threads) {
            Ok(opened) => {
                let teacher = info.teacher.and_then(|teacher| open(models, &teacher, threads).ok());
                return Ok(std::iter::once(opened).chain(teacher).collect());
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(SynthError::NoResidual))
}
