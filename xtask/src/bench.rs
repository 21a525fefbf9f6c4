//! `cargo xtask bench`: what notes and segments cost on this machine.

use anyhow::Result;

use crate::progress::Progress;
use crate::setup;
use crate::shell;

/// `cargo xtask bench`.
pub fn run() -> Result<()> {
    let mut progress = Progress::new(2);
    setup::for_bundle(&mut progress)?;
    progress.step("Measuring notes, segments and blocks (the plug-in need not be built)");
    shell::show(shell::cargo().args(["bench", "--workspace", "--bench", "*"]).env("ORT_DISABLE_TELEMETRY", "1"))
}
