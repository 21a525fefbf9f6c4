//! Parts by fluidsynth and a General MIDI SoundFont, the synthesizer that everybody has, to measure ours beside it.

use std::path::Path;
use std::process::{Command, Stdio};

use ripieno_engine::score::{Note, PartNotes, Score, TempoMap, midi};
use ripieno_engine::synth::{SAMPLE_RATE, StereoBuffer};

use crate::Failure;

/// Notes by a program, as fluidsynth plays them with its own reverberation at half its gain: so many samples at 48 kHz.
pub fn play(soundfont: &Path, program: u8, notes: &[Note], samples: usize) -> Result<StereoBuffer, Failure> {
    let folder = std::env::temp_dir().join(format!("ripieno-general-midi-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (piece, sound) = (folder.join("piece.mid"), folder.join("piece.wav"));
    let played = write_and_play(soundfont, (program, notes), (&piece, &sound)).and_then(|()| read(&sound, samples));
    // What is left in the folder for temporary files is the system's to remove.
    let _ = std::fs::remove_dir_all(&folder);
    played
}

fn write_and_play(font: &Path, (program, notes): (u8, &[Note]), (piece, sound): (&Path, &Path)) -> Result<(), Failure> {
    midi::write(piece, &Score::of_parts(&[PartNotes { name: "part", program, notes }], &TempoMap::default()))?;
    let status = Command::new("fluidsynth")
        .args(["-ni", "-q", "-g", "0.5", "-r", &SAMPLE_RATE.to_string(), "-F"])
        .args([sound, font, piece])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("fluidsynth cannot be run: {error}. Install it (Debian: fluidsynth)."))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("fluidsynth does not play {}: {status}.", font.display()).into())
    }
}

fn read(sound: &Path, samples: usize) -> Result<StereoBuffer, Failure> {
    let mut reader = hound::WavReader::open(sound)?;
    let values = reader.samples::<i16>().take(2 * samples).collect::<Result<Vec<i16>, _>>()?;
    let side = |side: usize| {
        let mut out: Vec<f32> = values.iter().skip(side).step_by(2).map(|&value| f32::from(value) / 32_768.0).collect();
        out.resize(samples, 0.0);
        out
    };
    Ok(StereoBuffer { left: side(0), right: side(1) })
}
