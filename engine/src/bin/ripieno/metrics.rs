//! `ripieno metrics`.

use std::path::{Path, PathBuf};

use ripieno_engine::score::{Score, metrics};
use serde_json::{Map, Value, json};

use crate::Failure;

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
        println!("{:#}", Value::from(all));
        return Ok(());
    }
    for figures in all {
        for (name, value) in figures {
            match value {
                Value::Null => println!("{name:<28}-"),
                Value::String(text) => println!("{name:<28}{text}"),
                Value::Number(number) if number.is_f64() => println!("{name:<28}{:.6}", number.as_f64().unwrap_or(0.0)),
                number => println!("{name:<28}{number}"),
            }
        }
        println!();
    }
    Ok(())
}

/// The figures of a file, by the names that MusPy gives them; groove in measures of four quarter notes.
fn of(path: &Path) -> Result<Map<String, Value>, Failure> {
    let score = Score::read(path)?;
    let notes: usize = score.tracks.iter().map(|track| track.notes.len()).sum();
    let figures = json!({
        "file": path.display().to_string(),
        "tracks": score.tracks.iter().filter(|track| !track.notes.is_empty()).count(),
        "notes": notes,
        "seconds": score.seconds(),
        "n_pitches_used": metrics::pitches_used(&score),
        "n_pitch_classes_used": metrics::pitch_classes_used(&score),
        "pitch_range": metrics::pitch_range(&score),
        "polyphony": metrics::polyphony(&score),
        "polyphony_rate": metrics::polyphony_rate(&score, 2),
        "scale_consistency": metrics::scale_consistency(&score),
        "pitch_entropy": metrics::pitch_entropy(&score),
        "pitch_class_entropy": metrics::pitch_class_entropy(&score),
        "empty_beat_rate": metrics::empty_beat_rate(&score),
        "groove_consistency": metrics::groove_consistency(&score, 4 * u64::from(score.resolution)),
        "drum_pattern_consistency": metrics::drum_pattern_consistency(&score),
    });
    match figures {
        Value::Object(figures) => Ok(figures),
        _ => Err("figures are no object".into()),
    }
}
