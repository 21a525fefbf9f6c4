//! `ripieno metrics`.

use std::path::{Path, PathBuf};

use ripieno_engine::score::Score;
use ripieno_engine::score::metrics::{self, Pulse};
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::output::say;

#[derive(clap::Args)]
pub struct Arguments {
    /// Scores of any kind that `ripieno convert` reads.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// As JSON, a list of one object per file; null where a figure has no meaning.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let all = arguments.inputs.iter().map(|path| of(path)).collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        let object = |figures: Vec<Figure>| figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        say!("{:#}", all.into_iter().map(object).collect::<Vec<Map<String, Value>>>().into_iter().collect::<Value>());
        return Ok(());
    }
    for figures in all {
        for (name, value) in figures {
            match value {
                Value::Null => say!("{name:<28}-"),
                Value::String(text) => say!("{name:<28}{text}"),
                Value::Number(number) if number.is_f64() => say!("{name:<28}{:.6}", number.as_f64().unwrap_or(0.0)),
                number => say!("{name:<28}{number}"),
            }
        }
        say!("");
    }
    Ok(())
}

/// A name and a number, or null where it has no meaning.
type Figure = (&'static str, Value);

/// The figures of a file, by the names that MusPy gives them: groove in measures of four quarter notes, pitches in the
/// scale of the first key signature, or where there is none in the one that holds most of them.
fn of(path: &Path) -> Result<Vec<Figure>, Failure> {
    let score = Score::read(path)?;
    let notes: usize = score.tracks.iter().map(|track| track.notes.len()).sum();
    let tracks = score.tracks.iter().filter(|track| !track.notes.is_empty()).count();
    let signed = score.keys.first().copied();
    let scale = signed.or_else(|| metrics::best_scale(&score));
    let in_scale = scale.and_then(|key| metrics::pitch_in_scale_rate(&score, key.tonic().into(), key.minor));
    let scale_from = scale.map(|_| if signed.is_some() { "key signature" } else { "most pitches" });
    Ok(vec![
        ("file", json!(path.display().to_string())),
        ("tracks", json!(tracks)),
        ("notes", json!(notes)),
        ("seconds", json!(score.seconds())),
        ("n_pitches_used", json!(metrics::pitches_used(&score))),
        ("n_pitch_classes_used", json!(metrics::pitch_classes_used(&score))),
        ("pitch_range", json!(metrics::pitch_range(&score))),
        ("polyphony", json!(metrics::polyphony(&score))),
        ("polyphony_rate", json!(metrics::polyphony_rate(&score, 2))),
        ("scale", json!(scale.map(|key| key.to_string()))),
        ("scale_from", json!(scale_from)),
        ("pitch_in_scale_rate", json!(in_scale)),
        ("scale_consistency", json!(metrics::scale_consistency(&score))),
        ("pitch_entropy", json!(metrics::pitch_entropy(&score))),
        ("pitch_class_entropy", json!(metrics::pitch_class_entropy(&score))),
        ("empty_beat_rate", json!(metrics::empty_beat_rate(&score))),
        ("groove_consistency", json!(metrics::groove_consistency(&score, 4 * u64::from(score.resolution)))),
        ("drum_in_pattern_rate_duple", json!(metrics::drum_in_pattern_rate(&score, Pulse::Duple))),
        ("drum_in_pattern_rate_triple", json!(metrics::drum_in_pattern_rate(&score, Pulse::Triple))),
        ("drum_pattern_consistency", json!(metrics::drum_pattern_consistency(&score))),
    ])
}
