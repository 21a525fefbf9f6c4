//! `ripieno compose` and `ripieno continue`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ripieno_engine::composer::encoding::{self, SongNote};
use ripieno_engine::composer::{Composition, Limits, Network, PartLimit, Vocabulary, piece};
use ripieno_engine::inference::Models;
use ripieno_engine::score::{Format, Score, ScoreError};

use crate::output::{note, say};
use crate::progress::Progress;
use crate::{Failure, ensembles, list, whole};

/// What both commands take.
#[derive(clap::Args)]
pub struct Choices {
    /// Who plays, as violin,viola,cello.
    #[arg(long, value_delimiter = ',')]
    instruments: Vec<String>,
    /// The same seed gives the same notes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Below 1 the likely becomes likelier, above 1 less likely.
    #[arg(long, default_value_t = 1.0, value_parser = temperature)]
    temperature: f32,
    /// Most notes that begin in a beat.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    density: Option<u32>,
    /// Lowest MIDI pitch.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=127))]
    lowest: u8,
    /// Highest MIDI pitch.
    #[arg(long, default_value_t = 127, value_parser = clap::value_parser!(u8).range(0..=127))]
    highest: u8,
    /// A composer of the manifest; by default its first.
    #[arg(long)]
    model: Option<String>,
    /// MIDI, MusicXML, ABC or MusPy's JSON, as the ending of its name says.
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(clap::Args)]
pub struct Compose {
    /// Beats (quarters); by default until the song ends by itself, at most 256: then where it
    /// would best have ended in the last quarter.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    beats: Option<u64>,
    #[command(flatten)]
    choices: Choices,
}

#[derive(clap::Args)]
pub struct Continue {
    /// Score: MIDI, MusicXML, ABC or MusPy's JSON, by the ending of its name.
    input: PathBuf,
    /// Beats (quarters) to go on for.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    beats: u64,
    /// Go on from this beat and forget what follows; by default from the beat after the last note's end.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    from: Option<u64>,
    #[command(flatten)]
    choices: Choices,
}

/// Parses a temperature.
pub fn temperature(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=10.0).contains(&value) { Ok(value) } else { Err("it is a number from 0 to 10".into()) }
}

/// `ripieno compose`.
pub fn compose(arguments: &Compose) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let composer = Composer::open(choices)?;
    let instruments = composer.instruments(&choices.instruments)?;
    let vocabulary = Arc::clone(&composer.vocabulary);
    let notes = composer.passage(choices, &instruments, &[], 0, arguments.beats)?;
    let empty = Score { resolution: vocabulary.resolution() as u32, ..Score::default() };
    write(&piece::with(&empty, &notes, &vocabulary), &choices.output)
}

/// `ripieno continue`.
pub fn go_on(arguments: &Continue) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let mut score = Score::read(&arguments.input)?;
    for notice in &score.notices {
        note!("{notice}");
    }
    let composer = Composer::open(choices)?;
    let vocabulary = Arc::clone(&composer.vocabulary);
    let end = score.end().div_ceil(u64::from(score.resolution));
    let from = arguments.from.unwrap_or(end);
    score = piece::until(score.clone(), from.saturating_mul(u64::from(score.resolution)));
    let played = encoding::notes(&score, &vocabulary);
    if played.is_empty() {
        let but = " of an instrument that the composer knows before the beat where it goes on";
        return Err(ScoreError::NoNotes { path: arguments.input.clone(), but }.into());
    }
    let mut instruments = composer.instruments(&choices.instruments)?;
    if instruments.is_empty() {
        instruments = played.iter().map(|note| note.instrument).collect();
        instruments.sort_unstable();
        instruments.dedup();
    }
    let notes =
        composer.passage(choices, &instruments, &played, from * vocabulary.resolution(), Some(arguments.beats))?;
    write(&piece::with(&score, &notes, &vocabulary), &choices.output)
}

fn write(score: &Score, path: &Path) -> Result<(), Failure> {
    score.write(path)?;
    say!("{}", path.display());
    Ok(())
}

/// A network and what its codes mean.
pub struct Composer {
    pub network: Network,
    pub vocabulary: Arc<Vocabulary>,
    pub name: String,
}

impl Composer {
    fn open(choices: &Choices) -> Result<Self, Failure> {
        if Format::of(&choices.output).is_none() {
            return Err(ScoreError::UnknownFormat { path: choices.output.clone() }.into());
        }
        whole::check(&choices.output)?;
        Self::named(&*ensembles::models()?, choices.model.as_deref())
    }

    /// A composer of the manifest, or its first.
    pub fn named(models: &Models, asked: Option<&str>) -> Result<Self, Failure> {
        let names = Network::names(models);
        let name = match asked {
            Some(asked) if !names.iter().any(|name| name == asked) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(format!("there is no composer \"{asked}\": {}", list::known(asked, &names)).into());
            }
            Some(asked) => asked.to_owned(),
            None => names.first().cloned().ok_or("no composer is installed. Reinstall Ripieno's models.")?,
        };
        let vocabulary = Vocabulary::of(models.manifest())?;
        Ok(Self { network: Network::open(models, &name, 1)?, vocabulary, name })
    }

    /// Codes of instruments by their names.
    fn instruments(&self, names: &[String]) -> Result<Vec<u16>, Failure> {
        let code = |name: &String| {
            self.vocabulary.named(name.trim()).ok_or_else(|| {
                let known: Vec<&str> = self.vocabulary.instruments().iter().map(|own| own.name.as_str()).collect();
                format!("there is no instrument \"{name}\": {}", list::known(name, &known)).into()
            })
        };
        names.iter().map(code).collect()
    }

    /// So many beats from tick `from` on, after what was played, or until the song ends; without instruments the network
    /// chooses them.
    fn passage(
        self,
        choices: &Choices,
        instruments: &[u16],
        played: &[SongNote],
        from: u64,
        beats: Option<u64>,
    ) -> Result<Vec<SongNote>, Failure> {
        let length = beats.unwrap_or(self.vocabulary.beats()) * self.vocabulary.resolution();
        let limits = Limits {
            parts: instruments.iter().map(|&code| PartLimit::free(code)).collect(),
            lowest: choices.lowest,
            highest: choices.highest,
            per_beat: choices.density,
            from,
            may_end: beats.is_none(),
            ..Limits::default()
        };
        let mut song = Composition::new(self.network, &self.vocabulary, choices.seed)?;
        song.set_temperature(choices.temperature);
        if !instruments.is_empty() {
            song.begin(instruments, played, from)?;
        }
        let progress = Progress::begin("composing")?;
        let notes = song.passage(&limits, from + length, &mut |onset| {
            progress.say(format!("beat {}", onset / self.vocabulary.resolution() + 1));
            progress.show((onset - from) as f64 / length as f64)
        })?;
        Ok(notes)
    }
}
