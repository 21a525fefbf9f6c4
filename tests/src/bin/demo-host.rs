//! The host of `cargo xtask demo`: plays a MIDI file into the bundled plug-in as a keyboardist would, in blocks of 512
//! samples that follow each other in real time, and writes what is heard.
//!
//! Started by `cargo xtask demo`, which sets `RIPIENO_TELEMETRY`: the file in which the plug-in's workers leave their
//! figures when the instance ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ripieno_engine::arranger::{Ensemble, EnsemblePart};
use ripieno_engine::draw::{self, DrawnPart};
use ripieno_engine::score;
use ripieno_engine::score::{PartNotes, Playback, Score, midi};
use ripieno_engine::synth::Catalogue;
use ripieno_tests::clap_host::{Library, Sent};
use ripieno_tests::performer::{Note, Pace, Stereo, Task, play};
use ripieno_tests::{files, listen};
use serde::{Deserialize, Serialize};

const SAMPLE_RATE: u32 = 48_000;
const BLOCK: u32 = 512;
/// Between activation and the first key: about what a person takes.
const LEAD_IN_S: f64 = 0.5;
/// After the last key, latency not counted: the room's reverberation.
const TAIL_S: f64 = 3.0;
/// How far from a written note its separated copy may lie.
const SAME_NOTE_S: f64 = 0.03;

/// Plays a MIDI file through the plug-in in real time.
#[derive(Parser)]
struct Arguments {
    /// Ripieno.clap
    plugin: PathBuf,
    /// What is played, all on one keyboard.
    midi: PathBuf,
    /// Where to write; made if it is missing.
    folder: PathBuf,
    /// Id of the performance.
    #[arg(long)]
    performance: String,
    /// Id of the ensemble.
    #[arg(long)]
    ensemble: String,
    /// The same notes with a track per part, to count how many were given to the part that they are written for.
    #[arg(long)]
    written: Option<PathBuf>,
}

/// What the plug-in's workers say.
#[derive(Deserialize)]
struct Telemetry {
    /// Seconds of synthesis per second of music, over the whole run.
    real_time_factor: f64,
    /// Times that audio was missing when it was due.
    underruns: u64,
    /// Segments rendered.
    segments: u64,
    /// What runs the models.
    provider: String,
    /// What the editor's status line said last.
    status: String,
}

#[derive(Serialize)]
struct Part {
    name: String,
    file: String,
    notes: usize,
    peak: f32,
    loudness_lufs: Option<f64>,
}

#[derive(Serialize)]
struct Report {
    performance: String,
    ensemble: String,
    ensemble_name: String,
    notes: usize,
    parts: Vec<Part>,
    notes_in_their_written_part: Option<f64>,
    sample_rate: u32,
    block: u32,
    lead_in_s: f64,
    seconds: f64,
    real_time_factor: f64,
    segments: u64,
    provider: String,
    underruns: u64,
    slowest_block_ms: f64,
    latency_reported_samples: u32,
    latency_reported_s: f64,
    latency_measured_s: Option<f64>,
    first_sound_s: Option<f64>,
    peak: f32,
    loudness_lufs: Option<f64>,
    not_finite: usize,
    clipped: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = &arguments.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let notes = read_notes(&arguments.midi, LEAD_IN_S)?;
    let ensemble = Ensemble::find(&arguments.ensemble)
        .with_context(|| format!("there is no ensemble \"{}\"", arguments.ensemble))?;

    let library = Library::open(&arguments.plugin)?;
    let mut plugin = library.instantiate("Ripieno Multi")?;
    let performance = performance_name(&arguments.performance)?;
    for (name, value) in [("Performance", performance.as_str()), ("Ensemble", &ensemble.name), ("Mode", "Sync")] {
        plugin.set(name, value)?;
    }
    let activation = Instant::now();
    plugin.activate(f64::from(SAMPLE_RATE), BLOCK)?;
    let latency = plugin.latency();
    let late = f64::from(latency) / f64::from(SAMPLE_RATE);
    let last = notes.iter().map(|note| note.end).fold(0.0, f64::max);
    let task = Task {
        class: "Ripieno Multi".to_owned(),
        parameters: Vec::new(),
        notes,
        sample_rate: SAMPLE_RATE,
        block: BLOCK,
        seconds: last + late + TAIL_S,
    };

    let mut buses = vec![Stereo::default(); plugin.outputs().len()];
    for bus in &mut buses {
        let samples = (task.seconds * f64::from(SAMPLE_RATE)) as usize;
        bus.left.reserve(samples);
        bus.right.reserve(samples);
    }
    let mut shown = 0;
    let start = activation.elapsed().as_secs_f64();
    play(&mut plugin, &task, Pace::RealTime, &mut |now, block, frames| {
        for (bus, port) in buses.iter_mut().zip(block) {
            if let [left, right] = &port[..] {
                bus.left.extend_from_slice(&left[..frames]);
                bus.right.extend_from_slice(&right[..frames]);
            }
        }
        let second = now / u64::from(SAMPLE_RATE);
        if second >= shown + 5 {
            shown = second;
            println!("    {second:>3} of {:.0} s", task.seconds);
        }
    })?;
    let sent = plugin.sent().to_vec();
    let slowest_block_ms = plugin.slowest_block().as_secs_f64() * 1e3;
    drop(plugin);
    let telemetry = telemetry()?;
    if telemetry.segments == 0 {
        bail!("the plug-in stayed silent and says: {}", telemetry.status);
    }

    let [mix, part_buses @ ..] = &buses[..] else { bail!("the plug-in has no output") };
    files::write_wav(&folder.join("mix.wav"), SAMPLE_RATE, mix)?;
    let mut parts = Vec::new();
    for (index, (part, bus)) in ensemble.parts.iter().zip(part_buses).enumerate() {
        let file = format!("part-{}-{}.wav", index + 1, part.name.to_lowercase().replace(' ', "-"));
        files::write_wav(&folder.join(&file), SAMPLE_RATE, bus)?;
        parts.push(Part {
            name: part.name.clone(),
            file,
            notes: sent.iter().filter(|event| event.on && usize::from(event.channel) == index).count(),
            peak: listen::peak(bus),
            loudness_lufs: finite(listen::loudness(bus, SAMPLE_RATE)?),
        });
    }
    let written =
        arguments.written.as_deref().map(|file| in_written_part(file, &task.notes, &sent, late)).transpose()?;
    let separated = write_parts(&folder.join("parts.mid"), &arguments.midi, ensemble, &task.notes, &sent, late)?;
    draw_pictures(folder, ensemble, &separated, mix, late)?;

    let report = Report {
        performance: arguments.performance,
        ensemble: arguments.ensemble,
        ensemble_name: ensemble.name.clone(),
        notes: task.notes.len(),
        parts,
        notes_in_their_written_part: written,
        sample_rate: SAMPLE_RATE,
        block: BLOCK,
        lead_in_s: LEAD_IN_S,
        seconds: task.seconds,
        real_time_factor: telemetry.real_time_factor,
        segments: telemetry.segments,
        provider: telemetry.provider,
        underruns: telemetry.underruns,
        slowest_block_ms,
        latency_reported_samples: latency,
        latency_reported_s: late,
        latency_measured_s: measured_latency(part_buses, &task.notes, &sent, late),
        first_sound_s: listen::first_sound(mix, SAMPLE_RATE)
            .map(|sample| start + (sample + BLOCK as usize) as f64 / f64::from(SAMPLE_RATE)),
        peak: listen::peak(mix),
        loudness_lufs: finite(listen::loudness(mix, SAMPLE_RATE)?),
        not_finite: listen::not_finite(mix),
        clipped: listen::clipped(mix),
    };
    let file = folder.join("report.json");
    fs::write(&file, serde_json::to_string_pretty(&report)?).with_context(|| format!("cannot write {}", file.display()))
}

/// What people, and the plug-in's parameter, call the performance with this id.
fn performance_name(id: &str) -> Result<String> {
    let catalogue = Catalogue::load(&files::root().join("models"))?;
    let index = catalogue.find(id).with_context(|| format!("there is no performance \"{id}\""))?;
    Ok(catalogue.performances()[index].name.clone())
}

/// The notes as the plug-in gave them to parts, as a MIDI file in the tempo of the one that was played.
fn write_parts(
    file: &Path,
    midi: &Path,
    ensemble: &Ensemble,
    notes: &[Note],
    sent: &[Sent],
    late: f64,
) -> Result<Vec<Vec<score::Note>>> {
    let mut parts = vec![Vec::new(); ensemble.parts.len()];
    for event in sent.iter().filter(|event| event.on) {
        if let (Some(note), Some(part)) = (played(notes, event, late), parts.get_mut(usize::from(event.channel))) {
            let (onset, end) = (note.onset - LEAD_IN_S, note.end - LEAD_IN_S);
            part.push(score::Note { onset, end, pitch: note.key, velocity: note.velocity });
        }
    }
    let written: Vec<PartNotes> = ensemble
        .parts
        .iter()
        .zip(&parts)
        .map(|(part, notes)| PartNotes { name: &part.name, program: part.program, notes })
        .collect();
    midi::write(file, &Score::of_parts(&written, &Playback::read(midi)?.tempo))?;
    Ok(parts)
}

/// The piano roll, and the mix's spectrogram with the same notes over it where they are heard.
fn draw_pictures(
    folder: &Path,
    ensemble: &Ensemble,
    separated: &[Vec<score::Note>],
    mix: &Stereo,
    late: f64,
) -> Result<()> {
    let shift = LEAD_IN_S + late;
    let heard: Vec<Vec<score::Note>> = separated
        .iter()
        .map(|notes| {
            notes.iter().map(|note| score::Note { onset: note.onset + shift, end: note.end + shift, ..*note }).collect()
        })
        .collect();
    let seconds = separated.iter().flatten().map(|note| note.end).fold(0.0, f64::max);
    draw::piano_roll(&drawn(ensemble, separated), seconds, &folder.join("roll.png"))?;
    let picture = folder.join("spectrogram.png");
    draw::spectrogram(&mix.left, &mix.right, SAMPLE_RATE, &drawn(ensemble, &heard), &picture)?;
    Ok(())
}

/// An ensemble's parts with these notes.
fn drawn<'a>(ensemble: &'a Ensemble, notes: &'a [Vec<score::Note>]) -> Vec<DrawnPart<'a>> {
    let part = |(part, notes): (&'a EnsemblePart, &'a Vec<score::Note>)| DrawnPart {
        name: &part.name,
        colour: part.colour,
        notes,
    };
    ensemble.parts.iter().zip(notes).map(part).collect()
}

/// JSON has no infinity; silence has no loudness.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The notes of a MIDI file, `late` seconds later.
fn read_notes(file: &Path, late: f64) -> Result<Vec<Note>> {
    let score = Playback::read(file)?;
    if score.notes.is_empty() {
        bail!("{} has no notes", file.display());
    }
    Ok(score
        .notes
        .iter()
        .map(|written| Note {
            onset: written.note.onset + late,
            end: written.note.end + late,
            key: written.note.pitch,
            velocity: written.note.velocity,
        })
        .collect())
}

/// The figures that the plug-in's workers left.
fn telemetry() -> Result<Telemetry> {
    let file = std::env::var_os("RIPIENO_TELEMETRY").context("RIPIENO_TELEMETRY names no file")?;
    let text = fs::read_to_string(&file).context("the plug-in's workers left no figures")?;
    serde_json::from_str(&text).context("the plug-in's figures are not JSON")
}

/// When the note that was sent was played: notes are sent with the audio they belong to or at once, so the key decides.
fn played<'a>(notes: &'a [Note], event: &Sent, late: f64) -> Option<&'a Note> {
    let time = event.sample as f64 / f64::from(SAMPLE_RATE);
    let distance = |note: &Note| (time - note.onset).abs().min((time - late - note.onset).abs());
    notes
        .iter()
        .filter(|note| note.key == event.key)
        .min_by(|one, other| distance(one).total_cmp(&distance(other)))
        .filter(|note| distance(note) < SAME_NOTE_S)
}

/// The median of (onset heard in the part's audio) - (onset played), in seconds, over notes that begin after a rest of
/// their part or a leap: there an onset is plain.
fn measured_latency(buses: &[Stereo], notes: &[Note], sent: &[Sent], late: f64) -> Option<f64> {
    let signals: Vec<Vec<f32>> = buses.iter().map(listen::mono).collect();
    let mut found: Vec<f64> = sent
        .iter()
        .filter(|event| event.on)
        .filter_map(|event| {
            let note = played(notes, event, late)?;
            let signal = signals.get(usize::from(event.channel))?;
            let expected = note.onset + late;
            let heard = listen::onset_of(signal, SAMPLE_RATE, note.key, expected - 0.2..expected + 0.2)?;
            Some(heard - note.onset)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

/// The share of notes that were given to the part whose track they are written in; tracks and parts go from high to low.
fn in_written_part(file: &Path, notes: &[Note], sent: &[Sent], late: f64) -> Result<f64> {
    let score = Playback::read(file)?;
    let mut tracks: Vec<usize> = score.notes.iter().map(|note| note.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let given: Vec<(&Note, usize)> = sent
        .iter()
        .filter(|event| event.on)
        .filter_map(|event| Some((played(notes, event, late)?, usize::from(event.channel))))
        .collect();
    let right = score
        .notes
        .iter()
        .filter(|written| {
            let onset = written.note.onset + LEAD_IN_S;
            given.iter().any(|(note, part)| {
                note.key == written.note.pitch
                    && (note.onset - onset).abs() < SAME_NOTE_S
                    && tracks.get(*part) == Some(&written.track)
            })
        })
        .count();
    Ok(right as f64 / score.notes.len().max(1) as f64)
}
