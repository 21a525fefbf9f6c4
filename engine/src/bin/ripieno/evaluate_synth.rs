//! `ripieno evaluate synth`: how near the synthesizer is to true renderings, whether its segments join without a seam, and
//! what it costs, each way that it can be asked to play.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::processor::processor_time;
use ripieno_engine::score::{Note, Playback};
use ripieno_engine::synth::evaluation::{
    Apart, Clip, Groups, Heard, Musicnn, Performed, SHIFTS, Seams, Subject, loudness_distance, stft_distance,
};
use ripieno_engine::synth::{
    FRAMES_PER_SECOND, Guidance, HOP, SamplerKind, Sampling, SegmentCost, Start, StereoBuffer, Synthesizer,
};

use crate::output::{note, say};
use crate::progress::Progress;
use crate::{Failure, evaluate, evaluate_synth_report as report, general_midi, render};

/// Samples cut at both ends of what is compared: there a single call's inverse transforms are incomplete.
const EDGE: usize = 2048;
/// The networks halve their frames up to three times.
const MULTIPLE: usize = 8;

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of clips of the data renderer: true sound and its notes.
    #[arg(long, required_unless_present = "data", conflicts_with = "data")]
    clips: Option<PathBuf>,
    /// Folder of scores, read with all its folders: without a true sound only seams and speed are measured.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Who plays the scores of --data.
    #[arg(long, default_value = "string-quartet-hall")]
    performance: String,
    /// At most this many clips, or parts of scores.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    n: u32,
    /// Seconds of each, its first.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Denoisers, separated by commas; by default the manifest's for offline.
    #[arg(long, value_delimiter = ',')]
    denoiser: Vec<String>,
    /// Samplers; by default each denoiser's own.
    #[arg(long, value_delimiter = ',')]
    sampler: Vec<SamplerKind>,
    /// Numbers of steps; by default each denoiser's own.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=250))]
    steps: Vec<u32>,
    /// Where sampling begins: noise, prior, or prior with a time.
    #[arg(long, value_delimiter = ',', default_value = "noise")]
    from: Vec<Start>,
    /// Fresh noise of ddim, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = render::share)]
    eta: f32,
    /// Guidance weight of the notes.
    #[arg(long, default_value_t = 1.0, value_parser = render::weight)]
    guidance_notes: f32,
    /// Guidance weight of the performance.
    #[arg(long, default_value_t = 1.0, value_parser = render::weight)]
    guidance_performance: f32,
    /// Every way once more with the performance untold.
    #[arg(long)]
    untold: bool,
    /// Without the two later renderings that seams are measured with: a third of the time.
    #[arg(long)]
    no_seams: bool,
    /// Network for the Frechet distance: musicnn's ONNX file.
    #[arg(long, requires = "clips")]
    embedding: Option<PathBuf>,
    /// Folder of other clips, as those of training works: Frechet distances are to the true sound of these, the true sound of
    /// the measured ones is measured as well, and performances are classified by the nearest.
    #[arg(long, requires = "embedding")]
    known: Option<PathBuf>,
    /// At most so many of them are of one performance.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    known_n: u32,
    /// Measure fluidsynth with this General MIDI SoundFont as well.
    #[arg(long, requires = "clips")]
    soundfont: Option<PathBuf>,
    /// The same seed gives the same sounds.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Processor threads of the networks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A part to be performed, with its true sound if there is one.
struct Piece {
    name: String,
    performance: usize,
    instrument: usize,
    notes: Vec<Note>,
    frames: usize,
    truth: Option<StereoBuffer>,
}

impl Piece {
    fn subject(&self) -> Subject<'_> {
        let Self { performance, instrument, notes, frames, .. } = self;
        Subject { performance: *performance, instrument: *instrument, notes, frames: *frames }
    }
}

/// One way of playing.
#[derive(Debug, Clone)]
pub enum Way {
    /// The true sound itself.
    Truth,
    /// fluidsynth.
    GeneralMidi,
    /// The true mel through the vocoder: its own ceiling.
    TrueMel,
    /// No denoiser.
    Prior {
        /// Whether the performance is told.
        told: bool,
    },
    /// With one.
    Denoised {
        /// Its name.
        denoiser: String,
        /// How it is sampled.
        sampling: Sampling,
        /// In how many steps.
        steps: usize,
        /// Whether the performance is told.
        told: bool,
    },
}

/// What a way came to over all pieces.
#[derive(Debug, Default)]
pub struct Row {
    /// Of each piece that has a true sound.
    pub stft: Vec<f64>,
    /// Likewise, LU.
    pub loudness: Vec<f64>,
    /// Over pieces long enough; empty for the true mel, which is one call.
    pub seams: Option<Seams>,
    /// Sum of all segments.
    pub cost: SegmentCost,
    /// Seconds of music made.
    pub seconds: f64,
    /// Processor seconds that this process spent on it, of all threads; `None` where the system does not say.
    pub processor: Option<f64>,
    embeddings: Heard,
    /// How far its sounds are from the true ones.
    pub apart: Apart,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !(1.0..=3600.0).contains(&arguments.seconds) {
        return Err("--seconds is a number from 1 to 3600".into());
    }
    let locations = Locations::find()?;
    let runtime = Runtime::load(Some(&locations.runtime))?;
    let models = Models::load(runtime, &locations.models)?;
    let threads = arguments.threads as usize;
    let asked: Vec<Option<&str>> = match arguments.denoiser.len() {
        0 => vec![None],
        _ => arguments.denoiser.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut synths =
        asked.into_iter().map(|name| render::named(&models, threads, name)).collect::<Result<Vec<_>, _>>()?;
    let pieces = pieces(arguments, &synths[0])?;
    let mut listener = arguments.embedding.as_deref().map(|file| Musicnn::open(runtime, file)).transpose()?;
    let ways = ways(arguments, &mut synths, pieces.iter().any(|piece| piece.truth.is_some()))?;
    let progress = Progress::begin("measuring")?;
    let all = (ways.len() * pieces.len()) as f64;
    let groups = Groups::of(&heard_in_truth(arguments, &pieces, &synths[0], listener.as_mut())?);
    let mut rows = Vec::new();
    for (number, (synth, way)) in ways.iter().enumerate() {
        progress.say(report::name(way));
        let mut row = Row::default();
        for (i, piece) in pieces.iter().enumerate() {
            measure(arguments, &mut synths[*synth], way, piece, listener.as_mut(), &mut row)?;
            if progress.show((number * pieces.len() + i + 1) as f64 / all).is_break() {
                return Err("stopped".into());
            }
        }
        row.apart = groups.apart(&row.embeddings);
        rows.push((way.clone(), row));
    }
    drop(progress);
    let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
    let guidance = guidance(arguments);
    if arguments.json {
        say!("{:#}", report::json(&names, arguments.seconds, guidance, &rows));
    } else {
        report::print(&names, arguments.seconds, guidance, &rows);
    }
    Ok(())
}

fn guidance(arguments: &Arguments) -> Guidance {
    Guidance { notes: arguments.guidance_notes, performance: arguments.guidance_performance }
}

/// What is to be performed.
fn pieces(arguments: &Arguments, synth: &Synthesizer) -> Result<Vec<Piece>, Failure> {
    let most = arguments.n as usize;
    let (mut pieces, mut left_out) = (Vec::new(), 0);
    let mut skip = |error: Failure| {
        note!("{error}");
        left_out += 1;
    };
    let folder = match (&arguments.clips, &arguments.data) {
        (Some(folder), _) => {
            for file in Clip::find(folder)? {
                if pieces.len() < most {
                    of_clip(&file, arguments.seconds, synth).map_or_else(&mut skip, |piece| pieces.push(piece));
                }
            }
            folder
        }
        (None, Some(folder)) => {
            let performance = render::performance(synth, &arguments.performance)?;
            for file in evaluate::files(folder, None, "")? {
                let name = file.display().to_string();
                match Playback::read(&file) {
                    _ if pieces.len() >= most => break,
                    Ok(score) => pieces.extend(of_score(&name, &score, performance, arguments.seconds, synth)),
                    Err(error) => skip(error.into()),
                }
            }
            folder
        }
        (None, None) => return Err("name a folder with --clips or --data".into()),
    };
    pieces.truncate(most);
    if pieces.is_empty() {
        let of = format!("{} has nothing that can be measured", folder.display());
        return Err(format!("{of} ({left_out} files were left out). Name another folder.").into());
    }
    Ok(pieces)
}

fn of_clip(file: &std::path::Path, seconds: f64, synth: &Synthesizer) -> Result<Piece, Failure> {
    let mut clip = Clip::read(file, seconds)?;
    let catalogue = synth.catalogue();
    let unknown = |what: &str, id: &str| format!("{}: there is no {what} \"{id}\" in these models", file.display());
    let performance = catalogue.find(&clip.performance).ok_or_else(|| unknown("performance", &clip.performance))?;
    let instruments = catalogue.instruments();
    let instrument = instruments.iter().position(|instrument| instrument.id == clip.instrument);
    let frames = clip.audio.left.len() / HOP / MULTIPLE * MULTIPLE;
    if frames * HOP <= 4 * EDGE {
        return Err(format!("{} is too short to be measured", file.display()).into());
    }
    clip.audio.left.truncate(frames * HOP);
    clip.audio.right.truncate(frames * HOP);
    Ok(Piece {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        performance,
        instrument: instrument.ok_or_else(|| unknown("instrument", &clip.instrument))?,
        notes: clip.notes,
        frames,
        truth: Some(clip.audio),
    })
}

/// Every track is a part.
fn of_score<'a>(
    name: &'a str,
    score: &'a Playback,
    performance: usize,
    seconds: f64,
    synth: &'a Synthesizer,
) -> impl Iterator<Item = Piece> + 'a {
    let frames = (score.seconds().min(seconds) * FRAMES_PER_SECOND) as usize / MULTIPLE * MULTIPLE;
    let tracks = score.tracks.iter().enumerate();
    tracks.map(move |(track, of)| Piece {
        name: format!("{name}, track {}", track + 1),
        performance,
        instrument: synth.catalogue().player_for(performance, of.program, track, score.tracks.len()),
        notes: score.notes.iter().filter(|note| note.track == track).map(|note| note.note).collect(),
        frames,
        truth: None,
    })
}

/// Every way that was asked for, and which of the synthesizers plays it.
fn ways(arguments: &Arguments, synths: &mut [Synthesizer], truth: bool) -> Result<Vec<(usize, Way)>, Failure> {
    let told: &[bool] = if arguments.untold { &[true, false] } else { &[true] };
    let first = [(arguments.known.is_some(), Way::Truth), (arguments.soundfont.is_some(), Way::GeneralMidi)];
    let first = first.into_iter().chain([(true, Way::TrueMel)]).filter(|(wanted, _)| truth && *wanted);
    let mut ways: Vec<(usize, Way)> = first.map(|(_, way)| (0, way)).collect();
    ways.extend(told.iter().map(|&told| (0, Way::Prior { told })));
    for (number, synth) in synths.iter_mut().enumerate() {
        let info = synth.denoiser().clone();
        let samplers =
            if arguments.sampler.is_empty() { vec![info.sampling.sampler] } else { arguments.sampler.clone() };
        let steps: Vec<usize> = match arguments.steps.len() {
            0 => vec![info.steps],
            _ => arguments.steps.iter().map(|&steps| steps as usize).collect(),
        };
        for sampler in samplers {
            let eta = if sampler == SamplerKind::Ddim { arguments.eta } else { 0.0 };
            for &start in &arguments.from {
                let sampling = Sampling { sampler, eta, start };
                // A sampler that this denoiser does not have is told before anything is measured.
                synth.set_sampling(sampling)?;
                for &steps in &steps {
                    if sampler == SamplerKind::Distilled && steps > info.times.len() {
                        note!("{} was distilled for {} steps; {steps} are left out.", info.name, info.times.len());
                        continue;
                    }
                    let denoiser = || info.name.clone();
                    ways.extend(
                        told.iter()
                            .map(|&told| (number, Way::Denoised { denoiser: denoiser(), sampling, steps, told })),
                    );
                }
            }
        }
    }
    Ok(ways)
}

/// One way of playing one piece, added to its row.
fn measure(
    arguments: &Arguments,
    synth: &mut Synthesizer,
    way: &Way,
    piece: &Piece,
    listener: Option<&mut Musicnn>,
    row: &mut Row,
) -> Result<(), Failure> {
    let subject = piece.subject();
    let (steps, told) = match way {
        Way::Truth | Way::GeneralMidi | Way::TrueMel => (0, true),
        Way::Prior { told } => (0, *told),
        Way::Denoised { sampling, steps, told, .. } => {
            synth.set_sampling(*sampling)?;
            (*steps, *told)
        }
    };
    synth.tell_performance(told);
    let how = (steps, guidance(arguments));
    let before = processor_time();
    let played = matches!(way, Way::Prior { .. } | Way::Denoised { .. });
    let given = |audio: StereoBuffer| Performed { audio, ..Performed::default() };
    let made = match (way, &piece.truth, &arguments.soundfont) {
        (Way::Truth, Some(truth), _) => given(truth.clone()),
        (Way::GeneralMidi, _, Some(font)) => {
            let program = synth.catalogue().instruments()[piece.instrument].program;
            given(general_midi::play(font, program, &piece.notes, piece.frames * HOP)?)
        }
        (Way::TrueMel, Some(truth), _) => synth.vocode(&subject, truth, arguments.seed)?,
        _ if played => synth.perform_part(&subject, how, arguments.seed, 0)?,
        _ => Performed::default(),
    };
    if let (Some(before), Some(after)) = (before, processor_time()) {
        *row.processor.get_or_insert_default() += (after - before).as_secs_f64();
    }
    if !arguments.no_seams && played {
        let mut later = |frames| synth.perform_part(&subject, how, arguments.seed, frames);
        let [two, far] = SHIFTS.map(&mut later);
        row.seams.get_or_insert_default().count([&made.audio, &two?.audio, &far?.audio]);
    }
    let (cost, of) = (&mut row.cost, made.cost);
    for (sum, value) in [
        (&mut cost.seconds, of.seconds),
        (&mut cost.prior, of.prior),
        (&mut cost.denoiser, of.denoiser),
        (&mut cost.vocoder, of.vocoder),
    ] {
        *sum += value;
    }
    row.seconds += made.seconds;
    if let Some(truth) = &piece.truth {
        let (ours, truth) = (inner(&made.audio), inner(truth));
        row.stft.push(stft_distance(&ours, &truth));
        row.loudness.extend(loudness_distance(&ours, &truth)?);
        if let Some(listener) = listener {
            row.embeddings.push((piece.performance, listener.embed(&ours)?));
        }
    }
    Ok(())
}

/// Sound without its edges.
fn inner(audio: &StereoBuffer) -> StereoBuffer {
    let cut = |side: &[f32]| side.get(EDGE..side.len().saturating_sub(EDGE)).unwrap_or_default().to_vec();
    StereoBuffer { left: cut(&audio.left), right: cut(&audio.right) }
}

/// What the listener hears in the true sound of the pieces, or, where others are known by name, of those.
fn heard_in_truth(
    arguments: &Arguments,
    pieces: &[Piece],
    synth: &Synthesizer,
    listener: Option<&mut Musicnn>,
) -> Result<Heard, Failure> {
    let Some(listener) = listener else { return Ok(Heard::new()) };
    let mut heard = Heard::new();
    if let Some(folder) = &arguments.known {
        for file in spread(Clip::find(folder)?, arguments.known_n as usize) {
            match of_clip(&file, arguments.seconds, synth) {
                Ok(Piece { performance, truth: Some(truth), .. }) => {
                    heard.push((performance, listener.embed(&inner(&truth))?));
                }
                Ok(_) => {}
                Err(error) => note!("{error}"),
            }
        }
    } else {
        for (performance, truth) in pieces.iter().filter_map(|piece| Some((piece.performance, piece.truth.as_ref()?))) {
            heard.push((performance, listener.embed(&inner(truth))?));
        }
    }
    if heard.iter().all(|(_, rows)| rows.is_empty()) {
        note!("musicnn hears 3 s at once, and nothing here is as long.");
    }
    Ok(heard)
}

/// At most so many files of each folder, evenly from its first to its last by name, so that all instruments are among them.
fn spread(files: Vec<PathBuf>, most: usize) -> Vec<PathBuf> {
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        folders.entry(file.parent().map(PathBuf::from).unwrap_or_default()).or_default().push(file);
    }
    let chosen = folders.into_values().flat_map(|mut files| {
        files.sort();
        let (count, kept) = (files.len(), files.len().min(most));
        (0..kept).map(move |i| files[i * count / kept].clone())
    });
    chosen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_files_are_of_all_instruments_of_their_folder() {
        let files = ["a/1", "b/1", "a/2", "a/3", "a/4", "a/5"].map(PathBuf::from).to_vec();
        assert_eq!(spread(files, 2), ["a/1", "a/3", "b/1"].map(PathBuf::from));
    }
}
