//! `ripieno evaluate`, and of it `arranger`: how well parts are told apart, on files whose parts are known.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use ripieno_engine::arranger::evaluation::{self, Given, Grid, Measures, PartedPiece, Separation, Tally};
use ripieno_engine::arranger::{Ensemble, PieceNote};
use ripieno_engine::draw::{self, DrawnPart};
use ripieno_engine::score::{Format, Note};
use serde_json::{Value, json};

use crate::output::{note, say};
use crate::{Failure, ensembles, evaluate_composer, evaluate_synth, list};

#[derive(Subcommand)]
pub enum Evaluation {
    /// Note accuracy of a way to give out notes, on multitrack files.
    Arranger(Box<Arguments>),
    /// How near composed music is to real music, and how well it is foreseen.
    Composer(Box<evaluate_composer::Arguments>),
    /// How near the synthesizer is to true renderings, whether it has seams, and what it costs.
    Synth(Box<evaluate_synth::Arguments>),
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of multitrack files, read with all its folders.
    #[arg(long)]
    data: PathBuf,
    /// Whose parts the tracks are, by name or program: see `ripieno ensembles`; or a .toml file.
    #[arg(long)]
    ensemble: String,
    /// zone, zone-oracle, closest, closest-mono, most-common, mlp, mlp-oracle, or a model of the manifest; by default
    /// the ensemble's.
    #[arg(long)]
    model: Option<String>,
    /// For zone: the lowest key of every part but the last, as 69,63,57; by default the ensemble's.
    #[arg(long, value_delimiter = ',')]
    zones: Option<Vec<u8>>,
    /// For zone and most-common: what gives most notes of this set of --split to their own parts; in train is
    /// also what the table does not name. Without it most-common counts the pieces that it is measured on.
    #[arg(long, requires = "split", conflicts_with = "zones")]
    fit: Option<String>,
    /// What a network is told of the true parts.
    #[arg(long, value_enum, default_value_t = Hints::None)]
    hints: Hints,
    /// Tell a network no velocities, as if every note were struck alike.
    #[arg(long)]
    even: bool,
    /// Give out chords together within the ensemble's limits, as when played, not by the network's own answers.
    #[arg(long)]
    as_played: bool,
    /// The mean of a network's answers to the piece in five transpositions: five times as long.
    #[arg(long)]
    vote: bool,
    /// Only the files that a table (CSV with the columns file and split) puts in --set.
    #[arg(long)]
    split: Option<PathBuf>,
    /// Which set of --split.
    #[arg(long, default_value = "test")]
    set: String,
    /// Read as game music of NES-MDB is: hundredths of a second, notes of no length kept.
    #[arg(long)]
    game: bool,
    /// At most this many notes of a piece, its first.
    #[arg(long)]
    longest: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Folder for pictures of the pieces: mixture, true and given parts.
    #[arg(long)]
    png: Option<PathBuf>,
    /// At most this many pictures.
    #[arg(long, default_value_t = 10)]
    pictures: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Hints {
    None,
    Entry,
    Pitch,
    Both,
}

pub fn run(evaluation: &Evaluation) -> Result<(), Failure> {
    match evaluation {
        Evaluation::Arranger(arguments) => arranger(arguments),
        Evaluation::Composer(arguments) => evaluate_composer::run(arguments),
        Evaluation::Synth(arguments) => evaluate_synth::run(arguments),
    }
}

fn arranger(arguments: &Arguments) -> Result<(), Failure> {
    let ensemble = ensembles::named(&arguments.ensemble)?;
    let (mut pieces, left_out) = pieces(arguments, &ensemble, &arguments.set)?;
    let longest = arguments.longest.unwrap_or(usize::MAX);
    for piece in &mut pieces {
        piece.notes.truncate(longest);
        piece.parts.truncate(longest);
    }
    let model = arguments.model.clone().or_else(|| ensemble.models.first().cloned()).unwrap_or("zone".into());
    let mut separation = separation(arguments, &ensemble, &model, &pieces)?;
    let (entry, pitch) = match arguments.hints {
        Hints::None => (false, false),
        Hints::Entry => (true, false),
        Hints::Pitch => (false, true),
        Hints::Both => (true, true),
    };
    let mut tally = Tally::new(ensemble.parts.len());
    for (i, piece) in pieces.iter().enumerate() {
        let told = Given { entry, pitch, even: arguments.even, vote: arguments.vote };
        let given = separation.separate(piece, ensemble.parts.len(), told)?;
        tally.count(&piece.notes, &piece.parts, &given);
        if let Some(folder) = arguments.png.as_ref().filter(|_| i < arguments.pictures) {
            draw(folder, piece, &given, &ensemble)?;
        }
    }
    let measures = tally.measures();
    if arguments.json {
        let mut report = report(&model, &ensemble, &tally, &measures, left_out);
        if let Separation::Zones(zones) = &separation {
            report["zones"] = json!(zones);
        }
        say!("{report:#}");
    } else {
        print(&model, &ensemble, &tally, &measures, left_out);
        if let Separation::Zones(zones) = &separation {
            say!("\nzones: {}", zones.iter().map(u8::to_string).collect::<Vec<_>>().join(","));
        }
    }
    Ok(())
}

/// The pieces of the folder that are in a set, and how many files were left out.
fn pieces(arguments: &Arguments, ensemble: &Ensemble, set: &str) -> Result<(Vec<PartedPiece>, usize), Failure> {
    let files = files(&arguments.data, arguments.split.as_deref(), set)?;
    let grid = if arguments.game { Grid::Game } else { Grid::Quarters };
    let (mut pieces, mut left_out) = (Vec::new(), 0);
    for file in &files {
        match evaluation::read(file, ensemble, grid) {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                note!("{error}");
                left_out += 1;
            }
        }
    }
    if pieces.is_empty() {
        let what = format!("{} has no piece whose tracks are the parts of {}", arguments.data.display(), ensemble.name);
        return Err(format!("{what}. Name another folder or ensemble.").into());
    }
    Ok((pieces, left_out))
}

/// The set of the files that a table does not name.
const TRAIN: &str = "train";

/// Scores of a folder, by name; with a table only those that it puts in a set.
pub fn files(data: &Path, split: Option<&Path>, set: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    find(data, &mut files)?;
    files.sort();
    if let Some(table) = split {
        let sets = sets_of(table)?;
        // A name may hold folders: of the names that a file ends with, the one with most of them says its set.
        files.retain(|file| tails(file).find_map(|end| sets.get(&end)).map_or(TRAIN, String::as_str) == set);
    }
    Ok(files)
}

/// Every file of a known kind in a folder and the folders in it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}.", folder.display());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if Format::of(&path).is_some() {
            files.push(path);
        }
    }
    Ok(())
}

/// What a path ends with, the longest first: itself, without its first folder, and so on to the file's name.
fn tails(path: &Path) -> impl Iterator<Item = PathBuf> {
    let components: Vec<_> = path.components().collect();
    (0..components.len()).map(move |from| components[from..].iter().collect())
}

/// The set of every name in a table; a name may hold folders.
fn sets_of(table: &Path) -> Result<HashMap<PathBuf, String>, Failure> {
    let text =
        std::fs::read_to_string(table).map_err(|error| format!("{} cannot be read: {error}.", table.display()))?;
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| columns.iter().position(|&column| column.trim() == name);
    let (Some(file), Some(split)) = (column("file"), column("split")) else {
        return Err(format!("{} has no columns file and split.", table.display()).into());
    };
    // A file's name may hold commas; then it is the first column and its set the last.
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        if cells.len() == columns.len() {
            return Some((cells[file].to_owned(), cells[split].to_owned()));
        }
        let (name, set) = line.rsplit_once(',')?;
        Some((name.trim_matches('"').to_owned(), set.to_owned()))
    };
    Ok(lines.filter_map(row).map(|(name, set)| (PathBuf::from(name), set.trim().to_owned())).collect())
}

fn separation(
    arguments: &Arguments,
    ensemble: &Ensemble,
    model: &str,
    pieces: &[PartedPiece],
) -> Result<Separation, Failure> {
    let parts = ensemble.parts.len();
    if let Some(set) = &arguments.fit {
        let fitted: fn(&[PartedPiece], usize) -> Separation = match model {
            "zone" => Separation::best_zones,
            "most-common" => Separation::most_common,
            _ => return Err(format!("{model} is not fitted to pieces: --fit is for zone and most-common.").into()),
        };
        return Ok(fitted(&self::pieces(arguments, ensemble, set)?.0, parts));
    }
    Ok(match model {
        "zone" => {
            let zones = arguments.zones.as_ref().unwrap_or(&ensemble.zones);
            if zones.len() + 1 != parts || zones.windows(2).any(|pair| pair[0] < pair[1]) {
                return Err(format!("{parts} parts need {} zones that fall, as 69,63,57.", parts - 1).into());
            }
            Separation::Zones(zones.clone())
        }
        "zone-oracle" => Separation::ZoneOracle,
        "closest" => Separation::Closest,
        "closest-mono" => Separation::ClosestMono,
        "most-common" => Separation::most_common(pieces, parts),
        _ => {
            let models = ensembles::models()?;
            // The MLP of the music that the ensemble's first model was trained on.
            let kind = ensemble.models.first().and_then(|first| first.strip_suffix("_online"));
            let (model, true_history) = match (model, kind) {
                ("mlp" | "mlp-oracle", Some(kind)) => (&*format!("{kind}_mlp"), Some(model == "mlp-oracle")),
                _ => (model, None),
            };
            let names: Vec<&str> = models.manifest().models.iter().map(|entry| entry.name.as_str()).collect();
            if !names.contains(&model) {
                let rules = ["zone", "zone-oracle", "closest", "closest-mono", "most-common", "mlp", "mlp-oracle"];
                let known = list::known(model, &[&rules[..], &names[..]].concat());
                return Err(format!("there is no model \"{model}\": {known}").into());
            }
            match true_history {
                Some(true_history) => Separation::mlp(ensemble, &models, model, true_history)?,
                None => Separation::network(ensemble, &models, model, arguments.as_played)?,
            }
        }
    })
}

/// A share in per cent, or null.
fn per_cent(share: Option<f64>) -> Value {
    share.map_or(Value::Null, |share| json!((share * 1e4).round() / 1e2))
}

fn report(model: &str, ensemble: &Ensemble, tally: &Tally, measures: &Measures, left_out: usize) -> Value {
    json!({
        "model": model,
        "ensemble": ensemble.id,
        "parts": ensemble.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        "pieces": tally.pieces,
        "files_left_out": left_out,
        "notes": measures.notes,
        "correct": measures.correct,
        "accuracy": per_cent(measures.accuracy),
        "balanced_accuracy": per_cent(measures.balanced),
        "soundness": per_cent(measures.soundness),
        "completeness": per_cent(measures.completeness),
        "confusion": tally.confusion,
    })
}

fn print(model: &str, ensemble: &Ensemble, tally: &Tally, measures: &Measures, left_out: usize) {
    let shown = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    say!("{model} on {} pieces of {} ({left_out} files left out)", tally.pieces, ensemble.name);
    say!("accuracy           {} ({} of {} notes)", shown(measures.accuracy), measures.correct, measures.notes);
    say!("balanced accuracy  {}", shown(measures.balanced));
    say!("soundness          {}", shown(measures.soundness));
    say!("completeness       {}", shown(measures.completeness));
    say!("\nnotes of each part (row) by the part they were given (column)");
    for (part, row) in ensemble.parts.iter().zip(&tally.confusion) {
        let cells: String = row.iter().map(|count| format!("{count:>9}")).collect();
        say!("{:<16}{cells}", part.name);
    }
}

/// Mixture, true parts and given parts under each other. Without a tempo, a quarter lasts half a second.
fn draw(folder: &Path, piece: &PartedPiece, given: &[usize], ensemble: &Ensemble) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}.", folder.display()))?;
    let sounding = |note: &PieceNote| Note {
        onset: note.onset as f64 / 48.0,
        end: note.end.max(note.onset + 1) as f64 / 48.0,
        pitch: note.pitch,
        velocity: 127,
    };
    let all: Vec<Note> = piece.notes.iter().map(sounding).collect();
    let split = |parts: &[usize]| -> Vec<Vec<Note>> {
        let of = |part: usize| all.iter().zip(parts).filter(move |(_, own)| **own == part).map(|(note, _)| *note);
        (0..ensemble.parts.len()).map(|part| of(part).collect()).collect()
    };
    let (true_notes, given_notes) = (split(&piece.parts), split(given));
    let mixture = [DrawnPart { name: &piece.name, colour: [0xc9, 0xd1, 0xd9], notes: &all }];
    let rows = [
        ("Mixture", &mixture[..]),
        ("Truth", &drawn(ensemble, &true_notes)),
        ("Given", &drawn(ensemble, &given_notes)),
    ];
    let seconds = all.iter().map(|note| note.end).fold(0.0, f64::max);
    draw::piano_rolls(&rows, seconds, &folder.join(format!("{}.png", piece.name)))?;
    Ok(())
}

fn drawn<'a>(ensemble: &'a Ensemble, notes: &'a [Vec<Note>]) -> Vec<DrawnPart<'a>> {
    let parts = ensemble.parts.iter().zip(notes);
    parts.map(|(part, notes)| DrawnPart { name: &part.name, colour: part.colour, notes }).collect()
}
