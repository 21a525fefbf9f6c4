//! Faults that tests ask for: a machine that is too slow, segments that are lost.
//!
//! A test of a whole host can only set a variable (`RIPIENO_FAULTS=slowness=20,lose_every=7`; read, never set by us); one
//! in this process gives them in [`EngineConfig`](super::EngineConfig). A musician has none.

use std::time::{Duration, Instant};

/// What is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// Every run of the networks takes so many times as long; 1 is as fast as it is.
    pub slowness: f64,
    /// Sync, in real time: every segment whose number is one less than a multiple of this is lost; 0 is none.
    pub lose_every: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self { slowness: 1.0, lose_every: 0 }
    }
}

impl Faults {
    /// What the variable asks for; these where it is not set.
    pub(super) fn or_from_environment(self) -> Self {
        std::env::var("RIPIENO_FAULTS").map_or(self, |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut faults = Self::default();
        for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "slowness" => faults.slowness = value.trim().parse().unwrap_or(1.0),
                "lose_every" => faults.lose_every = value.trim().parse().unwrap_or(0),
                other => log::warn!("RIPIENO_FAULTS knows no {other}."),
            }
        }
        faults.slowness = if faults.slowness.is_finite() { faults.slowness.clamp(1.0, 1_000.0) } else { 1.0 };
        faults
    }

    /// Makes what began at `begun` take as long as it should.
    pub(super) fn slow_down(self, begun: Instant) {
        let more = begun.elapsed().as_secs_f64() * (self.slowness - 1.0);
        if more > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(more));
        }
    }

    pub(super) fn loses(self, index: i64) -> bool {
        self.lose_every > 0 && (index + 1).unsigned_abs().is_multiple_of(self.lose_every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_and_nonsense_is_none() {
        assert_eq!(Faults::parse("slowness=20, lose_every=7"), Faults { slowness: 20.0, lose_every: 7 });
        for nonsense in ["", "slowness", "slowness=NaN", "lose_every=-1", "other=3", "slowness=0.1"] {
            assert_eq!(Faults::parse(nonsense), Faults::default(), "{nonsense}");
        }
        let lost: Vec<i64> =
            (0..10).filter(|&index| Faults { lose_every: 4, ..Faults::default() }.loses(index)).collect();
        assert_eq!(lost, [3, 7]);
    }
}
