//! Steps as they go by: `[2/7  0:41] Building the plug-ins`.

use std::time::{Duration, Instant};

/// Counts the steps of one command and the time since it began.
pub struct Progress {
    began: Instant,
    step: usize,
    steps: usize,
}

impl Progress {
    /// A command of `steps` steps, beginning now.
    pub fn new(steps: usize) -> Self {
        Self { began: Instant::now(), step: 0, steps }
    }

    /// The next step begins.
    pub fn step(&mut self, what: &str) {
        self.step += 1;
        // A step that was not foreseen is still a step: never `[8/7]`.
        self.steps = self.steps.max(self.step);
        println!("[{}/{} {:>5}] {what}", self.step, self.steps, clock(self.began.elapsed()));
    }

    /// Since the command began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Minutes and seconds.
pub fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_reads_as_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_secs(125)), "2:05");
    }
}
