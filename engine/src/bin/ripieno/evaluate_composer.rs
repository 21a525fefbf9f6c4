//! `ripieno evaluate composer`: how near composed music is to real music, and how well real music is foreseen.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use ripieno_engine::composer::encoding::{self, SongNote};
use ripieno_engine::composer::evaluation::{BEATS, Figures, Likelihood, first_window};
use ripieno_engine::composer::{Composition, Event, FIELDS, Field, Kind, Limits, Network, PartLimit, Predictor, Step};
use ripieno_engine::score::Score;
use serde_json::{Value, json};

use crate::compose::Composer;
use crate::output::{note, say};
use crate::progress::Progress;
use crate::{Failure, ensembles, evaluate};

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of scores, read with all its folders.
    #[arg(long)]
    data: PathBuf,
    /// Songs to compose, and real ones to measure at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
    /// What a composed song is given of a real one.
    #[arg(long, value_enum, default_value_t = Mode::Unconditioned)]
    mode: Mode,
    /// Only the files that a table (CSV with the columns file and split) puts in --set.
    #[arg(long)]
    split: Option<PathBuf>,
    /// Which set of --split.
    #[arg(long, default_value = "test")]
    set: String,
    /// A composer of the manifest; by default its first.
    #[arg(long)]
    model: Option<String>,
    /// The same seed gives the same songs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Below 1 the likely becomes likelier, above 1 less likely.
    #[arg(long, default_value_t = 1.0, value_parser = crate::compose::temperature)]
    temperature: f32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Nothing.
    Unconditioned,
    /// Its instruments.
    Instruments,
    /// Its first 4 beats.
    Beats4,
    /// Its first 16 beats.
    Beats16,
}

impl Mode {
    fn beats(self) -> u64 {
        match self {
            Self::Unconditioned | Self::Instruments => 0,
            Self::Beats4 => 4,
            Self::Beats16 => 16,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unconditioned => "unconditioned",
            Self::Instruments => "instrument-informed",
            Self::Beats4 => "4-beat continuation",
            Self::Beats16 => "16-beat continuation",
        }
    }
}

/// Sums over what was composed.
#[derive(Default)]
struct Composed {
    figures: Vec<Figures>,
    notes: usize,
    seconds: f64,
    took: Duration,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut composer = Composer::named(&*ensembles::models()?, arguments.model.as_deref())?;
    let songs = songs(arguments, &composer)?;
    let progress = Progress::begin("measuring")?;
    let all = (songs.len() + arguments.n as usize) as f64;
    let mut likelihood = Likelihood::default();
    for (i, song) in songs.iter().enumerate() {
        likelihood.add(&mut composer.network, song)?;
        stopped(&progress, i as f64 / all)?;
    }
    let truth: Vec<Figures> = songs.iter().map(|song| Figures::of(song, &composer.vocabulary)).collect();
    let mut composed = Composed::default();
    let (vocabulary, name) = (composer.vocabulary, composer.name);
    let mut network = composer.network;
    for i in 0..arguments.n as usize {
        let mut song = Composition::new(network, &vocabulary, arguments.seed.wrapping_add(i as u64))?;
        song.set_temperature(arguments.temperature);
        let given = &songs[i % songs.len()];
        compose(&mut song, arguments.mode, given, &mut composed, &vocabulary)?;
        network = song.into_network();
        progress.say(format!("song {}", i + 1));
        stopped(&progress, (songs.len() + i) as f64 / all)?;
    }
    drop(progress);
    let report = report(arguments, &name, &songs, &likelihood, &truth, &composed);
    if arguments.json {
        say!("{report:#}");
    } else {
        print(&report);
    }
    Ok(())
}

fn stopped(progress: &Progress, share: f64) -> Result<(), Failure> {
    if progress.show(share).is_break() { Err("stopped".into()) } else { Ok(()) }
}

/// The first windows of the folder's scores.
fn songs(arguments: &Arguments, composer: &Composer) -> Result<Vec<Vec<Event>>, Failure> {
    let mut songs = Vec::new();
    for file in evaluate::files(&arguments.data, arguments.split.as_deref(), &arguments.set)? {
        if songs.len() >= arguments.n as usize {
            break;
        }
        match Score::read(&file) {
            Ok(score) => {
                let song = first_window(&score, &composer.vocabulary, composer.network.window());
                songs.extend(song.iter().any(|event| event.is(Kind::Note)).then_some(song));
            }
            Err(error) => note!("{error}"),
        }
    }
    if songs.is_empty() {
        return Err(format!("{} has no score with notes. Name another folder.", arguments.data.display()).into());
    }
    Ok(songs)
}

/// One song, to its end or as many events as the network's window has.
fn compose(
    song: &mut Composition<Network>,
    mode: Mode,
    given: &[Event],
    composed: &mut Composed,
    vocabulary: &ripieno_engine::composer::Vocabulary,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut limits = Limits { may_end: true, ..Limits::default() };
    let mut notes: Vec<SongNote> = Vec::new();
    let mut events = 1;
    if mode != Mode::Unconditioned {
        let until = mode.beats() * vocabulary.resolution();
        let played = given.iter().filter_map(|event| encoding::note(event, vocabulary));
        notes = played.filter(|note| note.onset < until).collect();
        let mut instruments: Vec<u16> = given.iter().map(|event| event.get(Field::Instrument)).collect();
        instruments.sort_unstable();
        instruments.dedup();
        instruments.retain(|&code| code > 0);
        song.begin(&instruments, &notes, until)?;
        events = 2 + instruments.len() + notes.len();
        limits.parts = instruments.into_iter().map(PartLimit::free).collect();
        limits.from = until;
    }
    let before = notes.len();
    for _ in events..song.window() {
        match song.step(&limits)? {
            Step::Note(note) => notes.push(note),
            Step::Sign => {}
            Step::End => break,
        }
    }
    composed.took += began.elapsed();
    composed.notes += notes.len() - before;
    let events = encoding::events(&notes, vocabulary);
    composed.seconds += encoding::score(&events, vocabulary).seconds();
    composed.figures.push(Figures::of(&events, vocabulary));
    Ok(())
}

/// Bits, and per cent.
fn figures(of: &Figures) -> [Option<f64>; 3] {
    let per_cent = |share: Option<f64>| share.map(|share| share * 100.0);
    [of.pitch_class_entropy, per_cent(of.scale_consistency), per_cent(of.groove_consistency)]
}

const NAMES: [&str; 3] = ["pitch_class_entropy", "scale_consistency", "groove_consistency"];

fn report(
    arguments: &Arguments,
    name: &str,
    songs: &[Vec<Event>],
    likelihood: &Likelihood,
    truth: &[Figures],
    composed: &Composed,
) -> Value {
    let rounded = |value: Option<f64>| value.map(|value| (value * 1e4).round() / 1e4);
    let (real, made) = (figures(&Figures::mean(truth)), figures(&Figures::mean(&composed.figures)));
    let object = |values: [Option<f64>; 3]| -> Value {
        NAMES.into_iter().zip(values).map(|(name, value)| (name.to_owned(), json!(rounded(value)))).collect()
    };
    let distance: [Option<f64>; 3] = std::array::from_fn(|i| Some((real[i]? - made[i]?).abs()));
    let fields: Value = FIELDS
        .into_iter()
        .map(|field| {
            let nats = likelihood.fields[field as usize] / likelihood.events.max(1) as f64;
            (field.name().to_owned(), json!(rounded(Some(nats))))
        })
        .collect();
    json!({
        "model": name,
        "mode": arguments.mode.name(),
        "songs": songs.len(),
        "composed_songs": composed.figures.len(),
        "beats": BEATS,
        "truth": object(real),
        "composed": object(made),
        "distance": object(distance),
        "notes_per_second": rounded(Some(composed.notes as f64 / composed.took.as_secs_f64().max(1e-9))),
        "mean_seconds": rounded(Some(composed.seconds / composed.figures.len().max(1) as f64)),
        "mean_notes": rounded(Some(composed.notes as f64 / composed.figures.len().max(1) as f64)),
        "nll_per_note": rounded(likelihood.per_note()),
        "nll_per_event": rounded(likelihood.per_event()),
        "nll_per_event_of_fields": fields,
    })
}

fn print(report: &Value) {
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |value| format!("{value:.3}"));
    let of = |what: &str, name: &str| number(&report[what][name]);
    say!(
        "{}, {}: {} songs composed, {} real ones, first {} beats",
        report["model"].as_str().unwrap_or_default(),
        report["mode"].as_str().unwrap_or_default(),
        report["composed_songs"],
        report["songs"],
        report["beats"]
    );
    say!("{:<24}{:>10}{:>10}{:>10}", "", "real", "composed", "distance");
    for name in NAMES {
        say!("{name:<24}{:>10}{:>10}{:>10}", of("truth", name), of("composed", name), of("distance", name));
    }
    for name in ["notes_per_second", "mean_seconds", "mean_notes", "nll_per_note", "nll_per_event"] {
        say!("{name:<24}{:>10}", number(&report[name]));
    }
}
