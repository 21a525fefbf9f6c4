//! `ripieno convert`.

use std::path::PathBuf;

use ripieno_engine::score::Score;

use crate::Failure;
use crate::output::{note, say};

#[derive(clap::Args)]
pub struct Arguments {
    /// Score: MIDI, MusicXML, ABC or MusPy's JSON, by the ending of its name.
    input: PathBuf,
    /// The same music as another kind of file, by the ending of its name.
    #[arg(short, long)]
    output: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let score = Score::read(&arguments.input)?;
    for notice in &score.notices {
        note!("{notice}");
    }
    score.write(&arguments.output)?;
    say!("{}", arguments.output.display());
    Ok(())
}
