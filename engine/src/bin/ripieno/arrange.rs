//! `ripieno arrange`: a file separated into the parts of an ensemble.

use std::path::PathBuf;

use ripieno_engine::arranger::{Arranger, Ensemble, Hints, Instead, Method, PieceNote, WholePiece, performance};
use ripieno_engine::draw::{self, DrawnPart};
use ripieno_engine::inference::Models;
use ripieno_engine::score::{Note, Playback, Score, ScoreError};
use ripieno_engine::stream::MAX_PARTS;

use crate::arranged::arranged;
use crate::hints::EntryHints;
use crate::output::{note, say};
use crate::{Failure, ensembles};

#[derive(clap::Args)]
pub struct Arguments {
    /// Score: MIDI, MusicXML, ABC or MusPy's JSON, by the ending of its name.
    input: PathBuf,
    /// Who the notes are given out to: see `ripieno ensembles`; or a .toml file.
    #[arg(long)]
    ensemble: String,
    /// learned, split, closest, closest-mono or by-range; by default as the ensemble says.
    #[arg(long, value_parser = method)]
    method: Option<Method>,
    /// A .toml file that says when each part enters and how high it plays.
    #[arg(long)]
    hints: Option<PathBuf>,
    /// Hear the whole piece before giving out its notes, with the network trained for that where there is one.
    #[arg(long)]
    offline: bool,
    /// With --offline: the network hears the piece in five transpositions, and the mean of its answers counts.
    #[arg(long, requires = "offline")]
    vote: bool,
    /// The separated parts, one named track or staff a part, as the ending of its name says; drums stay as they are.
    #[arg(short, long)]
    output: PathBuf,
    /// Picture of the parts: a piano roll.
    #[arg(long)]
    png: Option<PathBuf>,
}

fn method(text: &str) -> Result<Method, String> {
    let ids: Vec<&str> = Method::ALL.iter().map(|method| method.id()).collect();
    Method::find(text).ok_or_else(|| format!("it is one of {}", ids.join(", ")))
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let ensemble = ensembles::named(&arguments.ensemble)?;
    let score = Score::read(&arguments.input)?;
    for notice in &score.notices {
        note!("{notice}");
    }
    let piece = Playback::of(&score);
    if piece.notes.is_empty() {
        return Err(ScoreError::NoNotes { path: arguments.input.clone(), but: ", only drums" }.into());
    }
    let hints = match &arguments.hints {
        Some(file) => EntryHints::read(file, &ensemble)?,
        None => EntryHints::default(),
    };
    let learned = arguments.method.unwrap_or(ensemble.method) == Method::Learned;
    // A method without a network works on a machine without models.
    let models = if learned { Some(ensembles::models()?) } else { None };
    let given = match &models {
        Some(models) if arguments.offline => whole(&piece, &ensemble, models, &hints, arguments.vote)?,
        models => as_played(&piece, &ensemble, arguments.method, models.as_deref(), &hints),
    };
    let parts: Vec<Vec<Note>> = (0..ensemble.parts.len())
        .map(|part| piece.notes.iter().zip(&given).filter(|(_, to)| **to == Some(part)).map(|(n, _)| n.note).collect())
        .collect();
    let lost = given.iter().filter(|part| part.is_none()).count();
    if lost > 0 {
        note!("{lost} notes were given to nobody: every part that could play them had yet to enter.");
    }
    arranged(&score, &piece, &given, &ensemble).write(&arguments.output)?;
    say!("{}", arguments.output.display());
    if let Some(path) = &arguments.png {
        let drawn = |(part, notes)| {
            let part: &ripieno_engine::arranger::EnsemblePart = part;
            DrawnPart { name: &part.name, colour: part.colour, notes }
        };
        let drawn: Vec<DrawnPart<'_>> = ensemble.parts.iter().zip(parts.iter().map(Vec::as_slice)).map(drawn).collect();
        draw::piano_roll(&drawn, piece.seconds(), path)?;
        say!("{}", path.display());
    }
    Ok(())
}

/// Chord by chord, nothing heard before its time.
fn as_played(
    piece: &Playback,
    ensemble: &Ensemble,
    method: Option<Method>,
    models: Option<&Models>,
    hints: &EntryHints,
) -> Vec<Option<usize>> {
    let (mut arranger, instead) = Arranger::or_by_range(ensemble, method, models);
    if let Some(instead) = instead {
        note!("{instead}");
    }
    let given = performance::give_out(piece, &mut arranger, |arranger, beat| arranger.set_hints(&hints.at(beat)));
    if let Some(fault) = arranger.take_fault() {
        note!("the arranger's network failed and notes were given out by range: {fault}");
    }
    given
}

/// After hearing it all.
fn whole(
    piece: &Playback,
    ensemble: &Ensemble,
    models: &Models,
    hints: &EntryHints,
    vote: bool,
) -> Result<Vec<Option<usize>>, Failure> {
    let mut arranger = match WholePiece::new(ensemble, models) {
        Ok(arranger) => arranger,
        Err(error) => {
            note!("{}", Instead::ByRange(error));
            return Ok(as_played(piece, ensemble, Some(Method::ByRange), None, hints));
        }
    };
    arranger.set_vote(vote);
    if let Some(instead) = arranger.stands_in() {
        note!("{instead}");
    }
    let beat = |seconds: f64| piece.tempo.beat_at(seconds);
    let notes: Vec<PieceNote> = piece
        .notes
        .iter()
        .map(|n| PieceNote::of_beats(n.beat, beat(n.note.end), n.note.pitch, n.note.velocity))
        .collect();
    let mut order: Vec<usize> = (0..notes.len()).collect();
    order.sort_by_key(|&i| notes[i].order());
    let sorted: Vec<PieceNote> = order.iter().map(|&i| notes[i]).collect();
    let enters: [Option<i64>; MAX_PARTS] =
        std::array::from_fn(|part| hints.enters[part].map(|beat| (beat * 24.0).round() as i64));
    let all = Hints { pitch: hints.pitch, ..Hints::default() };
    let parts = arranger.arrange(&sorted, &all, &enters)?;
    let mut given = vec![None; notes.len()];
    order.into_iter().zip(parts).for_each(|(i, part)| given[i] = part);
    Ok(given)
}
