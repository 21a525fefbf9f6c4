//! A denoiser that was opened, and how it is sampled.

use super::{Denoiser, DenoiserInfo};
use crate::synth::SynthError;
use crate::synth::sampler::{self, Sampler, SamplerKind, Sampling};

/// One that can play.
pub struct Opened {
    pub info: DenoiserInfo,
    pub network: Box<dyn Denoiser>,
    pub sampler: Box<dyn Sampler>,
    pub sampling: Sampling,
}

impl Opened {
    /// Sampled as it measured best.
    pub fn new(info: DenoiserInfo, network: Box<dyn Denoiser>) -> Self {
        Self { network, sampler: sampler::of(info.sampling, &info.times), sampling: info.sampling, info }
    }

    /// Samples in another way from now on.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<(), SynthError> {
        if sampling.sampler == SamplerKind::Distilled && self.info.times.is_empty() {
            return Err(SynthError::NotDistilled { name: self.info.name.clone() });
        }
        self.sampler = sampler::of(sampling, &self.info.times);
        self.sampling = sampling;
        Ok(())
    }

    /// Whether so many steps are more to it than fewer: one that was distilled has no use for others.
    pub fn reaches(&self, steps: usize) -> bool {
        self.sampling.sampler != SamplerKind::Distilled || steps <= self.info.times.len()
    }
}
