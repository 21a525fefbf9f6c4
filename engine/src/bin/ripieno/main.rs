//! `ripieno`: the command line.

mod arrange;
mod arranged;
mod cards;
mod compose;
mod convert;
mod doctor;
mod ensembles;
mod evaluate;
mod evaluate_composer;
mod evaluate_synth;
mod evaluate_synth_report;
mod general_midi;
mod hints;
mod list;
mod metrics;
mod output;
mod progress;
mod render;
mod report;
mod targets;
mod wav;
mod whole;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An ensemble answers: arrange, perform and render music with Ripieno's models.
#[derive(Parser)]
#[command(name = "ripieno", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Perform a score, or a folder of them: separate it into parts and render them.
    Render(Box<render::Arguments>),
    /// Turn a score into another kind of file: MIDI, MusicXML, ABC, MusPy's JSON.
    Convert(convert::Arguments),
    /// Measure scores: polyphony, entropy, scale and groove consistency and more, as MusPy defines them.
    Metrics(metrics::Arguments),
    /// Separate a score into the parts of an ensemble, one named track each.
    Arrange(Box<arrange::Arguments>),
    /// Compose music from nothing but the names of its instruments.
    Compose(Box<compose::Compose>),
    /// Go on from where a score ends, in its instruments or others.
    Continue(Box<compose::Continue>),
    /// Measure a model on files whose answer is known.
    #[command(subcommand)]
    Evaluate(evaluate::Evaluation),
    /// List the performances: these players in this room.
    Performances {
        /// Instead of listing them, perform the same phrase with each, and draw the pictures of their cards in this folder.
        #[arg(long)]
        pictures: Option<PathBuf>,
        /// Processor threads of the networks.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
        threads: u32,
    },
    /// List the ensembles notes can be given out to.
    Ensembles,
    /// Look for ONNX Runtime and the models, and say what is wrong.
    Doctor,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Render(arguments) => render::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Metrics(arguments) => metrics::run(&arguments),
        Command::Arrange(arguments) => arrange::run(&arguments),
        Command::Compose(arguments) => compose::compose(&arguments),
        Command::Continue(arguments) => compose::go_on(&arguments),
        Command::Evaluate(evaluation) => evaluate::run(&evaluation),
        Command::Performances { pictures: None, .. } => list::performances(),
        Command::Performances { pictures: Some(folder), threads } => cards::draw(&folder, threads as usize),
        Command::Ensembles => list::ensembles(),
        Command::Doctor => doctor::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(format_args!("ripieno: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Everything that ends a command: its text is what the user reads.
type Failure = Box<dyn std::error::Error>;
