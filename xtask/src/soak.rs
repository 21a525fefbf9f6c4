//! `cargo xtask soak`: dense playing in real time while the machine is busy, and what came of it.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::layout;
use crate::progress::Progress;
use crate::setup;
use crate::shell;

/// How long, and beside how much else.
#[derive(Args)]
pub struct Arguments {
    /// How long to play.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Processes that do nothing but take processor time meanwhile.
    #[arg(long, default_value_t = 1)]
    load: usize,
}

/// `cargo xtask soak`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut progress = Progress::new(4);
    setup::for_bundle(&mut progress)?;
    progress.step("Building");
    shell::show(shell::cargo().args(["build", "--release", "--package", "ripieno-tests", "--bin", "soak"]))?;
    progress.step(&format!("Playing for {:.0} seconds", arguments.seconds));
    let [report, picture, clicks] = ["soak.json", "soak.png", "soak-clicks"].map(|name| layout::target().join(name));
    let program = layout::cargo_target().join("release").join(format!("soak{}", std::env::consts::EXE_SUFFIX));
    shell::show(
        shell::program(program)
            .args(["--seconds", &arguments.seconds.to_string(), "--load", &arguments.load.to_string(), "--out"])
            .arg(&report)
            .arg("--png")
            .arg(&picture)
            .arg("--clicks")
            .arg(&clicks)
            .env("ORT_DISABLE_TELEMETRY", "1"),
    )?;
    let text = fs::read_to_string(&report).with_context(|| format!("{} was not written", report.display()))?;
    let told: Value = serde_json::from_str(&text).context("the soak's report is not JSON")?;
    println!("\n{}\nAll of it is in {}, drawn in {}.", for_a_musician(&told), report.display(), picture.display());
    let failures: Vec<&str> = told["failures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("; ")) }
}

/// The lines that matter.
fn for_a_musician(told: &Value) -> String {
    let figure = |key: &str| told[key].as_f64().unwrap_or(f64::NAN);
    let mut lines = vec![format!(
        "{:.0} notes in {:.0} s on {} processors, {} of them taken by others ({:.1} processes wanted to run).",
        figure("notes"),
        figure("seconds"),
        told["processors"],
        told["load_processes"],
        figure("load_average"),
    )];
    if told["real_time_priority"] == false {
        lines.push("The system gave the audio thread no real-time priority; a host may get it.".into());
    }
    let context = &told["note_to_context"];
    let held = |key: &str| context["held_250_ms"][key].as_f64().unwrap_or(f64::NAN);
    // Above a second there is no number.
    let time =
        |key: &str| context[key].as_f64().map_or("over a second".into(), |seconds| format!("{:.0} ms", 1e3 * seconds));
    lines.push(format!(
        "In context {} after the key (half of the notes), {} (19 of 20), {} (99 of 100), {} (all). Of the keys that were \
         held for 250 ms or longer {:.1} % came into context, {:.2} % within 250 ms; 99 of 100 within {:.0} ms, all within {:.0} ms.",
        time("median_s"),
        time("p95_s"),
        time("p99_s"),
        time("max_s"),
        100.0 * held("share"),
        100.0 * held("share_within"),
        1e3 * held("p99_s"),
        1e3 * held("max_s"),
    ));
    let keys = &told["key_to_sound"];
    lines.push(format!("{} to {} samples from key to sound.", keys["least"], keys["most"]));
    for cost in told["audio_cost"].as_array().into_iter().flatten() {
        let percent = |key: &str| 100.0 * cost[key].as_f64().unwrap_or(f64::NAN);
        lines.push(format!(
            "Blocks of {:>4}, {:>2} voices: median {:.1} %, 99.9 % within {:.1} %, longest {:.0} % of a block ({:.1}, {:.1}, {:.0} % for a \
             program that never changes).",
            cost["block"],
            cost["voices"],
            percent("median"),
            percent("p999"),
            percent("max"),
            percent("reference_median"),
            percent("reference_p999"),
            percent("reference_max"),
        ));
    }
    lines.push(format!(
        "{} dropouts, {} clicks, {} allocations and {} waits on the audio thread; memory grows by {:.2} MiB a minute.",
        told["underruns"],
        told["clicks"].as_array().map_or(0, Vec::len),
        told["allocations"],
        told["waits"],
        figure("mib_per_minute"),
    ));
    lines.join("\n")
}
