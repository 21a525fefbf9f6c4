//! Lets a host that others wrote play a task, by its script in `hosts/`, and reads what it recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::performer::{Take, Task};

/// Plays the task in a host, in a folder of its own below `target/tests` that `name` tells from others.
pub fn record(host: &str, name: &str, task: &Task) -> Result<Take> {
    run(host, name, task, &[], &[]).and_then(|folder| Take::read(&folder))
}

/// The same in a host whose environment has these variables besides.
pub fn record_with(host: &str, name: &str, task: &Task, variables: &[(&str, &Path)]) -> Result<Take> {
    run(host, name, task, &[], variables).and_then(|folder| Take::read(&folder))
}

/// A take in the task's own blocks and then one in each of these, in one process. Not in Ardour, which has one block size.
pub fn record_in_blocks(host: &str, name: &str, task: &Task, blocks: &[u32]) -> Result<Vec<Take>> {
    let folder = run(host, name, task, blocks, &[])?;
    let others = blocks.iter().map(|block| folder.join(format!("block-{block}")));
    std::iter::once(folder.clone()).chain(others).map(|folder| Take::read(&folder)).collect()
}

/// Returns the folder that the host's script wrote to.
fn run(host: &str, name: &str, task: &Task, blocks: &[u32], variables: &[(&str, &Path)]) -> Result<PathBuf> {
    let folder = files::fresh_folder(&format!("{host}-{name}"))?;
    let mut text = serde_json::to_value(task)?;
    text["also_blocks"] = serde_json::to_value(blocks)?;
    fs::write(folder.join("task.json"), serde_json::to_string_pretty(&text)?)?;
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
    Ok(folder)
}
