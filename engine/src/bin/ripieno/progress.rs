//! How far a command is, and Ctrl-C.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;

/// A bar on the error output, gone when it is dropped; Ctrl-C is noticed from now on and no longer ends the program.
pub struct Progress {
    bar: ProgressBar,
    cancelled: Arc<AtomicBool>,
}

impl Progress {
    /// Begins; `doing` is what the bar says. One per run of the program.
    pub fn begin(doing: &str) -> Result<Self, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let hears = Arc::clone(&cancelled);
        ctrlc::set_handler(move || hears.store(true, Ordering::Relaxed))?;
        let bar = ProgressBar::new(1000);
        bar.set_style(ProgressStyle::with_template(&format!(
            "{doing} [{{bar:40}}] {{percent}}% · {{eta}} left · {{msg}}"
        ))?);
        Ok(Self { bar, cancelled })
    }

    /// Shows a share, 0 to 1; breaks after Ctrl-C.
    pub fn show(&self, share: f64) -> ControlFlow<()> {
        self.bar.set_position((share * 1000.0) as u64);
        if self.cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Says something behind the bar.
    pub fn say(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Writes lines without the bar in their way.
    pub fn aside<R>(&self, lines: impl FnOnce() -> R) -> R {
        self.bar.suspend(lines)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
