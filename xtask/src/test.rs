//! `cargo xtask test`: every check there is, on one screen at the end.
//!
//! A check that fails does not stop those that do not stand on it, so that one run shows all there is to mend.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bundle;
use crate::demo;
use crate::layout;
use crate::progress::{Progress, clock};
use crate::setup;
use crate::shell;

/// The outcome of one check.
enum Outcome {
    Passed(String),
    Failed(String),
    /// What it stands on failed.
    NotRun,
}

/// One line of the table.
struct Line {
    name: &'static str,
    outcome: Outcome,
    time: Duration,
}

/// Runs checks and keeps their outcomes.
struct Checks {
    progress: Progress,
    lines: Vec<Line>,
}

impl Checks {
    /// Runs one check, unless what it stands on failed; true if it passed.
    fn check(
        &mut self,
        stands_on: bool,
        name: &'static str,
        run: impl FnOnce(&mut Progress) -> Result<String>,
    ) -> bool {
        let began = Instant::now();
        let outcome = if stands_on {
            match run(&mut self.progress) {
                Ok(note) => Outcome::Passed(note),
                Err(error) => {
                    eprintln!("{name}: {error:#}");
                    Outcome::Failed(format!("{error:#}"))
                }
            }
        } else {
            Outcome::NotRun
        };
        let passed = matches!(outcome, Outcome::Passed(_));
        self.lines.push(Line { name, outcome, time: began.elapsed() });
        passed
    }

    /// A check that is one run of Rust tests.
    fn tests(&mut self, stands_on: bool, name: &'static str, command: &mut Command) -> bool {
        self.check(stands_on, name, |progress| {
            progress.step(name);
            shell::show_tests(command)?;
            Ok(String::new())
        })
    }

    /// A check that is one command.
    fn command(&mut self, stands_on: bool, name: &'static str, command: &mut Command) -> bool {
        self.check(stands_on, name, |progress| {
            progress.step(name);
            shell::show(command)?;
            Ok(String::new())
        })
    }
}

/// `cargo xtask test`.
pub fn run() -> Result<()> {
    let mut checks = Checks { progress: Progress::new(14), lines: Vec::new() };
    let ready = checks.check(true, "set-up", |progress| {
        setup::everything(progress)?;
        Ok(String::new())
    });

    checks.command(true, "format", shell::cargo().args(["fmt", "--all", "--check"]));
    let python = ["models/training", "tests"];
    checks.command(ready, "Python lints", shell::python().args(["-m", "ruff", "check"]).args(python));
    checks.command(ready, "Python format", shell::python().args(["-m", "ruff", "format", "--check"]).args(python));
    checks.command(
        true,
        "lints",
        shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    );
    checks.command(
        true,
        "documentation",
        shell::cargo().args(["doc", "--workspace", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings"),
    );
    checks.tests(
        ready,
        "the rooms, each by itself",
        shell::cargo().args(["test", "--workspace", "--no-fail-fast"]).env("ORT_DISABLE_TELEMETRY", "1"),
    );
    checks.check(ready, "model training", |progress| {
        progress.step("model training");
        let status = shell::python().args(["-m", "pytest", "-q", "models/training"]).status()?;
        match status.code() {
            Some(0) => Ok(String::new()),
            // 5: every test needs PyTorch, which this environment does not have.
            Some(5) => Ok("all skipped".to_owned()),
            _ => bail!("pytest failed ({status})"),
        }
    });

    let bundled = checks.check(ready, "bundle", |progress| {
        bundle::build(progress, &["--package", "ripieno-tests", "--bin", "demo-host"])?;
        shell::show(shell::cargo().args(["build", "--workspace", "--bins"]))?;
        Ok(String::new())
    });
    // One test at a time: each is an instance with its own workers, and some of them watch the clock.
    let whole = |name: &str| {
        let mut command = shell::cargo();
        command.args(["test", "--workspace", "--test", name, "--", "--ignored", "--test-threads", "1"]);
        command.env("ORT_DISABLE_TELEMETRY", "1").env("RIPIENO_BUNDLED", layout::bundled());
        command.env("RIPIENO_PYTHON", layout::python());
        command
    };
    checks.tests(bundled, "faults", &mut whole("faults"));
    checks.tests(bundled, "CLAP, from the bundle", &mut whole("bundle"));
    checks.tests(bundled, "VST3, in four hosts", &mut whole("hosts"));
    checks.tests(bundled, "latency and bounces, to the sample", &mut whole("truth"));
    checks.check(bundled, "the demo", |progress| {
        let report = demo::play(progress)?;
        let figure = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
        if figure("note_f1_ratio").is_nan() || figure("note_f1_ratio") < demo::LEAST_F1_RATIO {
            bail!(
                "note F1 is {:.2} and {:.2} on true audio: their ratio is below {}",
                figure("note_f1"),
                figure("note_f1_truth"),
                demo::LEAST_F1_RATIO
            );
        }
        if figure("not_finite") != 0.0 || figure("clipped") != 0.0 {
            bail!("{} samples are not finite and {} clip", figure("not_finite"), figure("clipped"));
        }
        Ok(format!(
            "note F1 {:.2} of {:.2}, real-time factor {:.2}, {} underruns, first sound {:.1} s",
            figure("note_f1"),
            figure("note_f1_truth"),
            figure("real_time_factor"),
            figure("underruns"),
            figure("first_sound_s"),
        ))
    });
    table(&checks)
}

/// Prints the table; an error if anything failed.
fn table(checks: &Checks) -> Result<()> {
    println!();
    let mut failed = Vec::new();
    for line in &checks.lines {
        let (word, note) = match &line.outcome {
            Outcome::Passed(note) => ("passed", note.as_str()),
            Outcome::Failed(cause) => ("FAILED", cause.lines().next().unwrap_or_default()),
            Outcome::NotRun => ("not run", "what it stands on failed"),
        };
        if !matches!(line.outcome, Outcome::Passed(_)) {
            failed.push(line.name);
        }
        println!("{word:>8}  {:>5}  {}{}{note}", clock(line.time), line.name, if note.is_empty() { "" } else { ": " });
    }
    println!("\n{} passed, {} failed", checks.lines.len() - failed.len(), failed.len());
    println!("in {}", clock(checks.progress.elapsed()));
    for line in &checks.lines {
        if let Outcome::Failed(cause) = &line.outcome
            && cause.lines().nth(1).is_some()
        {
            println!("\n{}: {cause}", line.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join(", ")) }
}
