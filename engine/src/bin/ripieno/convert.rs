//! `ripieno convert`.

use std::path::PathBuf;

use ripieno_engine::score::Score;

use crate::Failure;

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
        eprintln!("note: {notice}");
    }
    score.write(&arguments.output)?;
    println!("{}", arguments.output.display());
    Ok(())
}
