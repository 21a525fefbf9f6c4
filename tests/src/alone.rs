//! One test of a program in a process of its own, for what only an environment or a whole process can show: variables that
//! the plug-in reads, folders that are not there.
//!
//! The test that is started is `#[ignore]`d, so that it runs only where another starts it.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs the test of this program that is called `name`, with these variables. An error is all that it said.
pub fn run<V: AsRef<OsStr>>(name: &str, variables: &[(&str, V)]) -> Result<()> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--ignored", "--nocapture"])
        .envs(variables.iter().map(|(variable, value)| (variable, value)))
        .output()
        .with_context(|| format!("\"{name}\" cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}: {said}", output.status);
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    ensure!(ran, "no test of this program is called \"{name}\"");
    Ok(())
}
