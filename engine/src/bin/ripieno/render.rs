//! `ripieno render`: one score, or every score of a folder.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use ripieno_engine::arranger::Ensemble;
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::render::{Parts, RATES, RenderError, RenderOptions, Rendering, render};
use ripieno_engine::score::Playback;
use ripieno_engine::synth::{
    DenoiserInfo, Guidance, MAX_PARTS, Occasion, SAMPLE_RATE, SamplerKind, Sampling, Start, Synthesizer,
};

use crate::output::note;
use crate::progress::Progress;
use crate::targets::{self, Job};
use crate::{Failure, list};

#[derive(clap::Args)]
pub struct Arguments {
    /// Score, or a folder: every score in it is performed, and the files named below are folders too.
    pub input: PathBuf,
    /// Who plays, and where: see `ripieno performances`.
    #[arg(long, default_value = "string-quartet-hall")]
    performance: String,
    /// Who the notes are given out to: see `ripieno ensembles`. Without it, the file's own tracks are the parts.
    #[arg(long)]
    ensemble: Option<String>,
    /// The mix, a 24-bit WAV file.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Folder for one WAV file per part.
    #[arg(long)]
    pub stems: Option<PathBuf>,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What predicts the sound, one of the manifest's; by default the one it has for offline.
    #[arg(long)]
    denoiser: Option<String>,
    /// Denoiser steps per segment, 0 (the prior alone) to 250; without it, the number that measured best.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=250))]
    steps: Option<u32>,
    /// How steps are taken: ddim, dpm++2m or distilled; by default as the denoiser measured best.
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Fresh noise in every step of ddim, 0 (none) to 1 (as the published synthesizer).
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    eta: f32,
    /// Where steps begin: in noise, or at the prior under the noise of a time, as prior or prior:300.
    #[arg(long, default_value = "noise")]
    from: Start,
    /// Guidance weight of the notes.
    #[arg(long, value_parser = weight)]
    guidance_notes: Option<f32>,
    /// Guidance weight of the performance.
    #[arg(long, value_parser = weight)]
    guidance_performance: Option<f32>,
    /// Sample rate of the WAV files in Hz, 8000 to 192000.
    #[arg(long, default_value_t = SAMPLE_RATE, value_parser = clap::value_parser!(u32)
        .range(i64::from(*RATES.start())..=i64::from(*RATES.end())))]
    rate: u32,
    /// Processor threads of the networks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Picture of the sound: a spectrogram with the notes drawn over it.
    #[arg(long)]
    pub png: Option<PathBuf>,
    /// Picture of the parts: a piano roll.
    #[arg(long)]
    pub roll: Option<PathBuf>,
    /// The separated parts as a MIDI file.
    #[arg(long)]
    pub midi: Option<PathBuf>,
    /// What was rendered, in numbers, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// A weight of guidance.
pub fn weight(text: &str) -> Result<f32, String> {
    number(text, 10.0)
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f32, String> {
    number(text, 1.0)
}

/// A number from 0 to `most`.
fn number(text: &str, most: f32) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=most).contains(&value) { Ok(value) } else { Err(format!("it is a number from 0 to {most}")) }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // One score that cannot be read ends the command before anything is loaded; of a folder, the others are performed.
    let jobs = targets::jobs(arguments)?;
    let (mut pieces, mut failed) = (Vec::new(), 0);
    for job in &jobs {
        match prepare(arguments, job) {
            Ok(piece) => pieces.push((job, piece)),
            Err(error) if jobs.len() == 1 => return Err(error),
            Err(error) => {
                note!("{error}");
                failed += 1;
            }
        }
    }
    if pieces.is_empty() {
        return Err(not_performed(failed, jobs.len()));
    }
    let mut stage = Stage::set(arguments)?;
    let progress = Progress::begin("performing")?;
    let all: f64 = pieces.iter().map(|(_, (score, _))| score.seconds()).sum();
    let mut done = 0.0;
    for (number, (job, (score, ensemble))) in pieces.iter().enumerate() {
        let place = match pieces.len() {
            1 => String::new(),
            all => format!("{} of {all}, ", number + 1),
        };
        let (began, seconds) = (std::time::Instant::now(), score.seconds());
        let rendering = stage.perform(score, *ensemble, &mut |share| {
            let share = f64::from(share);
            let factor = began.elapsed().as_secs_f64() / (share * seconds).max(0.1);
            progress.say(format!("{place}{factor:.2} of real time"));
            progress.show((done + share * seconds) / all)
        });
        done += seconds;
        match rendering {
            Ok(rendering) => {
                progress.aside(|| {
                    rendering.notices.iter().for_each(|notice| note!("{notice}"));
                    targets::write(job, score, &rendering)
                })?;
            }
            Err(error @ RenderError::Cancelled) => return Err(error.into()),
            Err(error) if pieces.len() == 1 => return Err(error.into()),
            Err(error) => {
                progress.aside(|| note!("{}: {error}", job.input.display()));
                failed += 1;
            }
        }
    }
    drop(progress);
    if failed == 0 { Ok(()) } else { Err(not_performed(failed, jobs.len())) }
}

fn not_performed(failed: usize, all: usize) -> Failure {
    format!("{failed} of {all} scores were not performed").into()
}

/// Reads a score, chooses who plays, and sees that everything asked for can be written.
fn prepare(arguments: &Arguments, job: &Job) -> Result<(Playback, Option<&'static Ensemble>), Failure> {
    let score = Playback::read(&job.input)?;
    let ensemble = chosen_ensemble(arguments.ensemble.as_deref(), &score)?;
    targets::check(job)?;
    Ok((score, ensemble))
}

/// The opened models and what they are asked for.
struct Stage {
    models: Arc<Models>,
    synth: Synthesizer,
    options: RenderOptions<'static>,
}

impl Stage {
    fn set(arguments: &Arguments) -> Result<Self, Failure> {
        let locations = Locations::find()?;
        let models = Models::load(Runtime::load(Some(&locations.runtime))?, &locations.models)?;
        let synth = open(&models, arguments)?;
        let performance = performance(&synth, &arguments.performance)?;
        let steps = arguments.steps.map_or(synth.denoiser().steps, |steps| steps as usize);
        let defaults = models.manifest().synth.as_ref();
        let or = |given: Option<f32>, default: Option<f32>| given.or(default).unwrap_or(1.0);
        let options = RenderOptions {
            performance,
            parts: Parts::Tracks,
            seed: arguments.seed,
            steps,
            guidance: Guidance {
                notes: or(arguments.guidance_notes, defaults.map(|d| d.default_guidance_notes)),
                performance: or(arguments.guidance_performance, defaults.map(|d| d.default_guidance_performance)),
            },
            rate: arguments.rate,
        };
        Ok(Self { models, synth, options })
    }

    fn perform(
        &mut self,
        score: &Playback,
        ensemble: Option<&Ensemble>,
        progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Rendering, RenderError> {
        let options = RenderOptions { parts: ensemble.map_or(Parts::Tracks, Parts::Ensemble), ..self.options };
        render(score, &self.models, &mut self.synth, &options, progress)
    }
}

/// Index of the performance of a name.
pub fn performance(synth: &Synthesizer, id: &str) -> Result<usize, Failure> {
    synth.catalogue().find(id).ok_or_else(|| {
        let ids: Vec<&str> = synth.catalogue().performances().iter().map(|p| p.id.as_str()).collect();
        format!("there is no performance \"{id}\": {}", list::known(id, &ids)).into()
    })
}

/// The synthesizer with the denoiser and the sampler that were asked for.
fn open(models: &Models, arguments: &Arguments) -> Result<Synthesizer, Failure> {
    let threads = arguments.threads as usize;
    let mut synth = named(models, threads, arguments.denoiser.as_deref())?;
    let DenoiserInfo { name, sampling, times, .. } = synth.denoiser();
    let sampler = arguments.sampler.unwrap_or(sampling.sampler);
    if let (SamplerKind::Distilled, Some(steps)) = (sampler, arguments.steps)
        && !times.is_empty()
        && steps as usize > times.len()
    {
        let most = times.len();
        return Err(format!("{name} was distilled for {most} steps and {steps} were asked for. Ask for fewer.").into());
    }
    if arguments.eta > 0.0 && sampler != SamplerKind::Ddim {
        return Err(format!("{} draws no fresh noise: --eta goes with --sampler ddim.", sampler.name()).into());
    }
    synth.set_sampling(Sampling { sampler, eta: arguments.eta, start: arguments.from })?;
    Ok(synth)
}

/// The synthesizer with the denoiser of a name, or with the manifest's for renderings without a deadline. What is not as it
/// should be is told.
pub fn named(models: &Models, threads: usize, asked: Option<&str>) -> Result<Synthesizer, Failure> {
    let Some(name) = asked else {
        let synth = Synthesizer::new(models, threads, Occasion::Offline)?;
        let offered = DenoiserInfo::for_occasion(models, Occasion::Offline)?;
        let missed = offered.into_iter().take_while(|info| info.name != synth.denoiser().name);
        missed.filter_map(|info| info.fault).for_each(|fault| note!("{fault} {} plays.", synth.denoiser().name));
        return Ok(synth);
    };
    let all = DenoiserInfo::all(models);
    let names: Vec<&str> = all.iter().filter(|info| info.fault.is_none()).map(|info| info.name.as_str()).collect();
    if !all.iter().any(|info| info.name == name) {
        return Err(format!("there is no denoiser \"{name}\": {}", list::known(name, &names)).into());
    }
    Ok(Synthesizer::with_denoiser(models, threads, name)?)
}

/// The ensemble asked for, or none where the file's tracks are the parts.
fn chosen_ensemble(asked: Option<&str>, score: &Playback) -> Result<Option<&'static Ensemble>, Failure> {
    match asked {
        Some("tracks") => Ok(None),
        Some(id) => match Ensemble::find(id) {
            Some(ensemble) => Ok(Some(ensemble)),
            None => {
                let ids: Vec<&str> = ["tracks"].into_iter().chain(Ensemble::all().iter().map(|e| e.id.as_str())).collect();
                Err(format!("there is no ensemble \"{id}\": {}", list::known(id, &ids)).into())
            }
        },
        None if score.tracks.len() <= MAX_PARTS => Ok(None),
        None => Err(format!(
            "the file has {} tracks with notes and at most {MAX_PARTS} parts can play. Name an ensemble with --ensemble.",
            score.tracks.len()
        )
        .into()),
    }
}
