//! Lets a host that others wrote play a task, by its script in `hosts/`, and reads what it recorded.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::performer::{Take, Task};

/// Plays the task in a host, in a folder of its own below `target/tests` that `name` tells from others.
pub fn record(host: &str, name: &str, task: &Task) -> Result<Take> {
    record_with(host, name, task, &[])
}

/// The same in a host whose environment has these variables besides.
pub fn record_with(host: &str, name: &str, task: &Task, variables: &[(&str, &Path)]) -> Result<Take> {
    let folder = files::fresh_folder(&format!("{host}-{name}"))?;
    fs::write(folder.join("task.json"), serde_json::to_string_pretty(task)?)?;
    let output = Command::new("timeout")
        .arg("300")
        .arg(files::root().join("tests/hosts/on-a-screen.sh"))
        .arg(files::python()?)
        .arg(files::root().join(format!("tests/hosts/play_{host}.py")))
        .arg(files::bundled("Ripieno.vst3")?)
        .arg(&folder)
        .envs(variables.iter().copied())
        .output()
        .context("`timeout` is one of Debian's essential programs")?;
    ensure!(
        output.status.success(),
        "{host} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Take::read(&folder)
}
