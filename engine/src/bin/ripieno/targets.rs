//! The files of a rendering: which they are, for one score or for each of a folder, and writing them whole.

use std::path::{Path, PathBuf};

use ripieno_engine::draw::{self, DrawnPart};
use ripieno_engine::render::Rendering;
use ripieno_engine::score::{Format, PartNotes, Playback, Score, midi};
use ripieno_engine::synth::StereoBuffer;

use crate::output::say;
use crate::render::Arguments;
use crate::{Failure, report, wav, whole};

/// One score and where everything made of it goes.
pub struct Job {
    /// The score.
    pub input: PathBuf,
    mix: PathBuf,
    /// A folder.
    stems: Option<PathBuf>,
    png: Option<PathBuf>,
    roll: Option<PathBuf>,
    midi: Option<PathBuf>,
    json: Option<PathBuf>,
}

/// The scores to be performed, by name.
pub fn jobs(arguments: &Arguments) -> Result<Vec<Job>, Failure> {
    if !arguments.input.is_dir() {
        let Arguments { input, output, stems, png, roll, midi, json, .. } = arguments;
        let (mix, input) = (output.clone(), input.clone());
        let [stems, png, roll, midi, json] = [stems, png, roll, midi, json].map(Clone::clone);
        return Ok(vec![Job { input, mix, stems, png, roll, midi, json }]);
    }
    let folder = &arguments.input;
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}.", folder.display());
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut scores = entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<Vec<_>, String>>()?;
    scores.retain(|path| path.is_file() && Format::of(path).is_some());
    scores.sort();
    if scores.is_empty() {
        return Err(format!("{} has no scores. Name another folder.", folder.display()).into());
    }
    scores.iter().map(|score| in_folders(arguments, score, &scores)).collect()
}

/// Of a folder's scores every one has its own files, by its name, in the folders asked for.
fn in_folders(arguments: &Arguments, score: &Path, all: &[PathBuf]) -> Result<Job, Failure> {
    // Two kinds of one piece would write the same files: then the ending tells them apart.
    let alone = all.iter().filter(|other| other.file_stem() == score.file_stem()).count() == 1;
    let name = if alone { score.file_stem() } else { score.file_name() };
    let name = name.unwrap_or_default().to_string_lossy().into_owned();
    let inside = |folder: &Path, ending: &str| -> Result<PathBuf, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| no_folder(folder, &error))?;
        Ok(folder.join(format!("{name}{ending}")))
    };
    let each = |folder: &Option<PathBuf>, ending: &str| folder.as_deref().map(|f| inside(f, ending)).transpose();
    Ok(Job {
        input: score.to_path_buf(),
        mix: inside(&arguments.output, ".wav")?,
        stems: each(&arguments.stems, "")?,
        png: each(&arguments.png, ".png")?,
        roll: each(&arguments.roll, ".png")?,
        midi: each(&arguments.midi, ".mid")?,
        json: each(&arguments.json, ".json")?,
    })
}

fn no_folder(folder: &Path, error: &std::io::Error) -> Failure {
    format!("the folder {} cannot be made: {error}. Choose another.", folder.display()).into()
}

/// Every file that was asked for can be written, and none is the one to be read.
pub fn check(job: &Job) -> Result<(), Failure> {
    let beside = [&job.png, &job.roll, &job.midi, &job.json];
    for path in beside.into_iter().flatten().chain([&job.mix]) {
        if let (Ok(output), Ok(input)) = (path.canonicalize(), job.input.canonicalize())
            && output == input
        {
            return Err(format!("{} is the file to be read. Give another name.", path.display()).into());
        }
        whole::check(path)?;
    }
    if let Some(folder) = &job.stems {
        std::fs::create_dir_all(folder).map_err(|error| no_folder(folder, &error))?;
        whole::check(&folder.join("stem"))?;
    }
    Ok(())
}

/// Writes everything that was asked for.
pub fn write(job: &Job, score: &Playback, rendering: &Rendering) -> Result<(), Failure> {
    let rate = rendering.rate;
    wav::write(&job.mix, &rendering.mix, rate)?;
    say!("{}", job.mix.display());
    for (i, stem) in rendering.stems.iter().enumerate() {
        if let Some(folder) = &job.stems {
            let path = folder.join(format!("{}-{}.wav", i + 1, plain(&stem.name)));
            wav::write(&path, &stem.audio, rate)?;
            say!("{}", path.display());
        }
    }
    if let Some(path) = &job.midi {
        let stems = rendering.stems.iter();
        let parts: Vec<PartNotes<'_>> =
            stems.map(|stem| PartNotes { name: &stem.name, program: stem.program, notes: &stem.notes }).collect();
        put(path, |part| Ok(midi::write(part, &Score::of_parts(&parts, &score.tempo))?))?;
    }
    let stems = rendering.stems.iter();
    let drawn: Vec<DrawnPart<'_>> =
        stems.map(|stem| DrawnPart { name: &stem.name, colour: stem.colour, notes: &stem.notes }).collect();
    if let Some(path) = &job.png {
        let StereoBuffer { left, right } = &rendering.mix;
        put(path, |part| Ok(draw::spectrogram(left, right, rate, &drawn, part)?))?;
    }
    if let Some(path) = &job.roll {
        put(path, |part| Ok(draw::piano_roll(&drawn, score.seconds(), part)?))?;
    }
    if let Some(path) = &job.json {
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
