//! Faults that tests ask for: a machine that is too slow, segments that are lost, workers that panic.
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
    /// The arranger panics whenever this MIDI key goes down.
    pub arranger_panics_at: Option<u8>,
    /// The composer panics whenever it hears of this MIDI key.
    pub composer_panics_at: Option<u8>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { slowness: 1.0, lose_every: 0, arranger_panics_at: None, composer_panics_at: None }
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
                "arranger_panics_at" => faults.arranger_panics_at = value.trim().parse().ok(),
                "composer_panics_at" => faults.composer_panics_at = value.trim().parse().ok(),
                other => log::warn!("RIPIENO_FAULTS knows no {other}."),
            }
        }
        faults.slowness = if faults.slowness.is_finite() { faults.slowness.clamp(1.0, 1_000.0) } else { 1.0 };
        faults
    }

    /// Panics, if a test asked for it at this key.
    pub(super) fn panic_at(asked: Option<u8>, key: u8) {
        assert!(asked != Some(key), "as the test asked");
    }

    pub(super) fn loses(self, index: i64) -> bool {
        self.lose_every > 0 && (index + 1).unsigned_abs().is_multiple_of(self.lose_every)
    }
}

/// Makes a run of the networks take as long as it should, step by step.
pub(super) struct Slowness {
    faults: Faults,
    since: Instant,
}

impl Slowness {
    /// A run begins.
    pub fn new(faults: Faults) -> Self {
        Self { faults, since: Instant::now() }
    }

    /// A part of it is done. Always true.
    pub fn down(&mut self) -> bool {
        let more = self.since.elapsed().as_secs_f64() * (self.faults.slowness - 1.0);
        if more > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(more));
        }
        self.since = Instant::now();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood_and_nonsense_is_none() {
        let asked = Faults { slowness: 20.0, lose_every: 7, composer_panics_at: Some(21), ..Faults::default() };
        assert_eq!(Faults::parse("slowness=20, lose_every=7, composer_panics_at=21"), asked);
        for nonsense in ["", "slowness", "slowness=NaN", "lose_every=-1", "other=3", "slowness=0.1"] {
            assert_eq!(Faults::parse(nonsense), Faults::default(), "{nonsense}");
        }
        let lost: Vec<i64> =
            (0..10).filter(|&index| Faults { lose_every: 4, ..Faults::default() }.loses(index)).collect();
        assert_eq!(lost, [3, 7]);
    }
}
