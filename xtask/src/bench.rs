//! `cargo xtask bench`: what notes and segments cost on this machine.

use anyhow::Result;

use crate::progress::Progress;
use crate::setup;
use crate::shell;

/// `cargo xtask bench`.
pub fn run() -> Result<()> {
    let mut progress = Progress::new(2);
    setup::for_bundle(&mut progress)?;
    progress.step("Measuring segments, single notes and the arranger");
    shell::show(
        shell::cargo()
            .args(["run", "--quiet", "--profile", "bundle", "--package", "ripieno-tests", "--bin", "bench"])
            .env("ORT_DISABLE_TELEMETRY", "1"),
    )
}
