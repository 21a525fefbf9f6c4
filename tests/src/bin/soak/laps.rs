//! What is played through: block sizes, and the first use of every path that a musician can take while it sounds.

use ripieno_engine::stream::Mode;

/// A stretch with one block size.
pub struct Lap {
    pub name: &'static str,
    /// Its share of the whole, before all shares are made to sum to 1.
    pub share: f64,
    /// Samples per block.
    pub block: usize,
    /// Host rate in Hz.
    pub rate: u32,
    /// What happens as it begins, while keys are down.
    pub change: Option<Change>,
}

/// What a musician or host does.
#[derive(Clone, Copy)]
pub enum Change {
    Performance(&'static str),
    Ensemble(&'static str),
    Mode(Mode),
    /// The host activates the instrument anew at the lap's rate: what sounded is cut off.
    Rate,
}

const fn lap(name: &'static str, block: usize, rate: u32, change: Option<Change>) -> Lap {
    Lap { name, share: 1.0, block, rate, change }
}

/// Every path once, then more than a third of the time nothing new: that is when memory must stand still.
pub const LAPS: &[Lap] = &[
    lap("Live", 64, 48_000, None),
    lap("another performance", 64, 48_000, Some(Change::Performance("string-quartet-church"))),
    lap("another ensemble", 128, 48_000, Some(Change::Ensemble("woodwind-quartet"))),
    lap("Sync", 256, 48_000, Some(Change::Mode(Mode::Sync))),
    lap("Live again", 32, 48_000, Some(Change::Mode(Mode::Live))),
    lap("another sample rate", 512, 44_100, Some(Change::Rate)),
    lap("the first sample rate", 1_024, 48_000, Some(Change::Rate)),
    lap("the first ensemble", 64, 48_000, Some(Change::Ensemble("string-quartet"))),
    lap("the first performance", 64, 48_000, Some(Change::Performance("string-quartet-hall"))),
    Lap { name: "nothing new", share: 6.0, block: 64, rate: 48_000, change: None },
];

/// The share of the whole after which nothing is used for the first time, a little later.
pub const SETTLED: f64 = 10.0 / 15.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lap_is_the_settled_one() {
        let sum: f64 = LAPS.iter().map(|lap| lap.share).sum();
        let last = LAPS.last().map(|lap| 1.0 - lap.share / sum).unwrap();
        assert!(SETTLED > last && SETTLED < last + 0.1, "{last}");
    }
}
