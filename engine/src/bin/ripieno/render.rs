//! `ripieno render`.

use std::path::{Path, PathBuf};

use ripieno_engine::arranger::Ensemble;
use ripieno_engine::draw::{self, DrawnPart};
use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::render::{Parts, RATES, RenderOptions, Rendering, render};
use ripieno_engine::score::{PartNotes, Playback, Score, midi};
use ripieno_engine::synth::{Guidance, MAX_PARTS, SAMPLE_RATE, StereoBuffer, Synthesizer};

use crate::output::{note, say};
use crate::progress::Progress;
use crate::{Failure, list, report, wav, whole};

#[derive(clap::Args)]
pub struct Arguments {
    /// MIDI file.
    input: PathBuf,
    /// Who plays, and where: see `ripieno performances`.
    #[arg(long, default_value = "string-quartet-hall")]
    performance: String,
    /// Who the notes are given out to: see `ripieno ensembles`. Without it, the file's own tracks are the parts.
    #[arg(long)]
    ensemble: Option<String>,
    /// The mix, a 24-bit WAV file.
    #[arg(short, long)]
    output: PathBuf,
    /// Folder for one WAV file per part.
    #[arg(long)]
    stems: Option<PathBuf>,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Denoiser steps per segment, 0 (the prior alone) to 250; without it, the number that measured best.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=250))]
    steps: Option<u32>,
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
    png: Option<PathBuf>,
    /// Picture of the parts: a piano roll.
    #[arg(long)]
    roll: Option<PathBuf>,
    /// The separated parts as a MIDI file.
    #[arg(long)]
    midi: Option<PathBuf>,
    /// What was rendered, in numbers, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn weight(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=10.0).contains(&value) { Ok(value) } else { Err("it is a number from 0 to 10".into()) }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let score = Playback::read(&arguments.input)?;
    let ensemble = chosen_ensemble(arguments.ensemble.as_deref(), &score)?;
    check_outputs(arguments)?;
    let locations = Locations::find()?;
    let models = Models::load(Runtime::load(Some(&locations.runtime))?, &locations.models)?;
    let mut synth = Synthesizer::new(&models, arguments.threads as usize)?;
    let Some(performance) = synth.catalogue().find(&arguments.performance) else {
        let ids: Vec<&str> = synth.catalogue().performances().iter().map(|p| p.id.as_str()).collect();
        let known = list::known(&arguments.performance, &ids);
        return Err(format!("there is no performance \"{}\": {known}", arguments.performance).into());
    };
    let defaults = models.manifest().synth.as_ref();
    let or = |given: Option<f32>, default: Option<f32>| given.or(default).unwrap_or(1.0);
    let options = RenderOptions {
        performance,
        parts: ensemble.map_or(Parts::Tracks, Parts::Ensemble),
        seed: arguments.seed,
        steps: arguments.steps.map_or_else(|| defaults.map_or(0, |d| d.default_steps), |steps| steps as usize),
        guidance: Guidance {
            notes: or(arguments.guidance_notes, defaults.map(|d| d.default_guidance_notes)),
            performance: or(arguments.guidance_performance, defaults.map(|d| d.default_guidance_performance)),
        },
        rate: arguments.rate,
    };
    let rendering = perform(&score, &models, &mut synth, &options)?;
    for notice in &rendering.notices {
        note!("{notice}");
    }
    write(arguments, &score, &rendering)
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

/// Every file that was asked for can be written, and none is the one to be read.
fn check_outputs(arguments: &Arguments) -> Result<(), Failure> {
    let pictures = [&arguments.png, &arguments.roll, &arguments.midi, &arguments.json];
    for path in pictures.into_iter().flatten().chain([&arguments.output]) {
        if let (Ok(output), Ok(input)) = (path.canonicalize(), arguments.input.canonicalize())
            && output == input
        {
            return Err(format!("{} is the file to be read. Give another name.", path.display()).into());
        }
        whole::check(path)?;
    }
    if let Some(folder) = &arguments.stems {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("the folder {} cannot be made: {error}. Choose another.", folder.display()))?;
        whole::check(&folder.join("stem"))?;
    }
    Ok(())
}

fn perform(
    score: &Playback,
    models: &Models,
    synth: &mut Synthesizer,
    options: &RenderOptions<'_>,
) -> Result<Rendering, Failure> {
    let progress = Progress::begin("performing")?;
    let (started, seconds) = (std::time::Instant::now(), score.seconds());
    let rendering = render(score, models, synth, options, &mut |share| {
        let factor = started.elapsed().as_secs_f64() / (f64::from(share) * seconds).max(0.1);
        progress.say(format!("{factor:.2} of real time"));
        progress.show(f64::from(share))
    });
    Ok(rendering?)
}

fn write(arguments: &Arguments, score: &Playback, rendering: &Rendering) -> Result<(), Failure> {
    let rate = rendering.rate;
    wav::write(&arguments.output, &rendering.mix, rate)?;
    say!("{}", arguments.output.display());
    for (i, stem) in rendering.stems.iter().enumerate() {
        if let Some(folder) = &arguments.stems {
            let path = folder.join(format!("{}-{}.wav", i + 1, plain(&stem.name)));
            wav::write(&path, &stem.audio, rate)?;
            say!("{}", path.display());
        }
    }
    if let Some(path) = &arguments.midi {
        let stems = rendering.stems.iter();
        let parts: Vec<PartNotes<'_>> =
            stems.map(|stem| PartNotes { name: &stem.name, program: stem.program, notes: &stem.notes }).collect();
        put(path, |part| Ok(midi::write(part, &Score::of_parts(&parts, &score.tempo))?))?;
    }
    let stems = rendering.stems.iter();
    let drawn: Vec<DrawnPart<'_>> =
        stems.map(|stem| DrawnPart { name: &stem.name, colour: stem.colour, notes: &stem.notes }).collect();
    if let Some(path) = &arguments.png {
        let StereoBuffer { left, right } = &rendering.mix;
        put(path, |part| Ok(draw::spectrogram(left, right, rate, &drawn, part)?))?;
    }
    if let Some(path) = &arguments.roll {
        put(path, |part| Ok(draw::piano_roll(&drawn, score.seconds(), part)?))?;
    }
    if let Some(path) = &arguments.json {
        let report = format!("{:#}\n", report::of(rendering)?);
        put(path, |part| std::fs::write(part, report).map_err(|error| whole::unwritable(path, &error)))?;
    }
    Ok(())
}

/// Writes one file and says so.
fn put(path: &Path, content: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    whole::write(path, content)?;
    say!("{}", path.display());
    Ok(())
}

/// A part's name as a file's.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
