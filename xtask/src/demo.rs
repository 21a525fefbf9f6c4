//! `cargo xtask demo`: from a bare machine to a piece that was played through the real plug-in.
//!
//! A host process loads the bundled CLAP and plays `assets/demo.mid` into it as a keyboardist would, in real time. What
//! comes out is written to `target/demo`, transcribed, and compared with the notes that went in.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bundle;
use crate::layout;
use crate::progress::Progress;
use crate::setup;
use crate::shell;

/// Who plays the demo piece. `assets/demo_truth.ogg` is the data renderer's audio of the same piece and performance.
const PERFORMANCE: &str = "string-quartet-hall";
const ENSEMBLE: &str = "string-quartet";

/// The share of the transcriber's success on true audio that the demo must reach.
pub const LEAST_F1_RATIO: f64 = 0.8;
/// The share of real time that the synth worker may take.
const MOST_REAL_TIME_FACTOR: f64 = 0.4;
/// Seconds from the plug-in's activation to the first sound.
const LATEST_FIRST_SOUND: f64 = 3.0;

/// `cargo xtask demo`.
pub fn run() -> Result<()> {
    let mut progress = Progress::new(4);
    setup::for_demo(&mut progress)?;
    bundle::build(&mut progress, &["--package", "ripieno-tests", "--bin", "demo-host"])?;
    let report = play(&mut progress)?;
    let missed = shortcomings(&report);
    let folder = layout::demo();
    println!("\nIn {}:", folder.display());
    let mut files: Vec<String> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    files.sort();
    println!("    {}", files.join("  "));
    println!("\n{}", for_a_musician(&report));
    for sentence in missed {
        println!("Short of the aim: {sentence}");
    }
    Ok(())
}

/// Plays, listens and draws; the plug-ins and `demo-host` are built. Returns the report.
pub fn play(progress: &mut Progress) -> Result<Value> {
    let folder = layout::demo();
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let midi = layout::root().join("assets/demo.mid");
    progress.step("Playing the demo piece through the plug-in, in real time");
    let host = layout::cargo_target().join("bundle").join(format!("demo-host{}", std::env::consts::EXE_SUFFIX));
    shell::show(
        shell::program(host)
            .arg(layout::bundled().join("Ripieno.clap"))
            .arg(&midi)
            .arg(&folder)
            .args(["--performance", PERFORMANCE, "--ensemble", ENSEMBLE, "--written"])
            .arg(layout::root().join("assets/demo_parts.mid"))
            .env("RIPIENO_TELEMETRY", layout::target().join("demo-telemetry.json")),
    )?;
    progress.step("Listening: which notes does a transcriber hear?");
    let report = folder.join("report.json");
    shell::quiet(
        shell::python()
            .arg(layout::root().join("tests/demo/listen.py"))
            .arg(&report)
            .arg(&midi)
            .arg(layout::root().join("assets/demo_truth.ogg")),
    )?;
    let text = fs::read_to_string(&report).with_context(|| format!("{} was not written", report.display()))?;
    let report: Value = serde_json::from_str(&text).context("the demo's report is not JSON")?;
    if report["note_f1"].as_f64().is_none() {
        bail!("the demo's report has no note_f1");
    }
    Ok(report)
}

fn number(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or(f64::NAN)
}

/// What this run did not reach, as sentences. Time depends on the machine, so only the notes decide a test.
fn shortcomings(report: &Value) -> Vec<String> {
    let mut sentences = Vec::new();
    let ratio = number(report, "note_f1_ratio");
    if ratio < LEAST_F1_RATIO {
        sentences.push(format!("the notes are heard {ratio:.2} times as well as in true audio, not {LEAST_F1_RATIO}"));
    }
    let factor = number(report, "real_time_factor");
    if factor > MOST_REAL_TIME_FACTOR {
        sentences.push(format!(
            "the synthesizer took {factor:.2} of real time on this machine; close other programs, or lower the quality"
        ));
    }
    let underruns = number(report, "underruns");
    if underruns > 0.0 {
        sentences.push(format!("{underruns:.0} segments came too late on this machine"));
    }
    let first = number(report, "first_sound_s");
    if first > LATEST_FIRST_SOUND {
        sentences.push(format!("the first sound came {first:.1} s after the plug-in was activated"));
    }
    sentences
}

/// The one line.
fn for_a_musician(report: &Value) -> String {
    format!(
        "{} played {} notes from one keyboard in {} voices: {:.0} % of the notes that can be heard in a true recording are \
         heard, first sound after {:.1} s, {} dropouts, {:.0} % of the processor time there was.",
        report["ensemble_name"].as_str().unwrap_or("The ensemble"),
        number(report, "notes"),
        report["parts"].as_array().map_or(0, Vec::len),
        100.0 * number(report, "note_f1_ratio").min(1.0),
        number(report, "first_sound_s"),
        number(report, "underruns"),
        100.0 * number(report, "real_time_factor"),
    )
}
