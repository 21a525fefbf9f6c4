//! Running other programs: what they print is shown when they fail, and their absence has a sentence.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::layout;

/// A program to be run in the checkout.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(layout::root());
    command
}

/// `cargo`, the one that runs us.
pub fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The Python of the tests.
pub fn python() -> Command {
    let mut command = program(layout::python());
    // A host must not find our process's settings, and basic-pitch must not talk about back ends that it lacks.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("ORT_DISABLE_TELEMETRY", "1");
    command
}

/// Runs it with its output on ours.
pub fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| absent(command))?;
    if !status.success() {
        bail!("`{}` failed ({status}); what it says above is the cause", describe(command));
    }
    Ok(())
}

/// Runs it in silence; what it printed is shown if it fails.
pub fn quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| absent(command))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{}` failed ({}):\n{text}{}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(text)
}

fn absent(command: &Command) -> String {
    format!("`{}` cannot be started: is it installed, and on PATH?", command.get_program().to_string_lossy())
}

/// The command as one would type it, paths below the checkout shortened.
pub fn describe(command: &Command) -> String {
    let root = layout::root();
    let short = |word: &OsStr| {
        let path = Path::new(word);
        path.strip_prefix(&root).unwrap_or(path).display().to_string()
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(short).collect::<Vec<_>>().join(" ")
}
