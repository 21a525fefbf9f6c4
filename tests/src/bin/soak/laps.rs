//! What is played through: block sizes, and the first use of every path that a musician can take while it sounds.

use ripieno_engine::stream::Mode;

use crate::player::{FEW, MANY};

/// A stretch with one block size. All are equally long.
pub struct Lap {
    pub name: &'static str,
    /// Samples per block.
    pub block: usize,
    /// Host rate in Hz.
    pub rate: u32,
    /// How many keys are played at once.
    pub voices: usize,
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
    Lap { name, block, rate, voices: FEW, change }
}

const fn chords(name: &'static str, block: usize, change: Option<Change>) -> Lap {
    Lap { name, block, rate: 48_000, voices: MANY, change }
}

/// Every path once, then a third of the time nothing new: that is when memory must stand still. Each block size is played in
/// each third, in the second with sixteen voices: what these take for the first time is not growth, and what comes and goes
/// with them would hide it.
pub const LAPS: [Lap; 18] = [
    lap("Live", 64, 48_000, None),
    lap("another performance", 128, 48_000, Some(Change::Performance("string-quartet-church"))),
    lap("another ensemble", 32, 48_000, Some(Change::Ensemble("woodwind-quartet"))),
    lap("Sync", 256, 48_000, Some(Change::Mode(Mode::Sync))),
    lap("Live again", 512, 48_000, Some(Change::Mode(Mode::Live))),
    lap("another sample rate", 1_024, 44_100, Some(Change::Rate)),
    chords("sixteen voices at the first sample rate", 32, Some(Change::Rate)),
    chords("the first ensemble", 64, Some(Change::Ensemble("string-quartet"))),
    chords("the first performance", 128, Some(Change::Performance("string-quartet-hall"))),
    chords("sixteen voices", 256, None),
    chords("sixteen voices", 512, None),
    chords("sixteen voices", 1_024, None),
    lap("nothing new", 32, 48_000, None),
    lap("nothing new", 64, 48_000, None),
    lap("nothing new", 128, 48_000, None),
    lap("nothing new", 256, 48_000, None),
    lap("nothing new", 512, 48_000, None),
    lap("nothing new", 1_024, 48_000, None),
];

/// The share of the whole after which nothing is used for the first time, a little later.
pub const SETTLED: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_the_settled_one() {
        let first = LAPS.iter().position(|lap| lap.name == "nothing new").unwrap();
        assert!(LAPS[first..].iter().all(|lap| lap.change.is_none() && lap.voices == FEW));
        let begins = first as f64 / LAPS.len() as f64;
        assert!(SETTLED > begins && SETTLED < begins + 0.05, "{begins}");
    }

    #[test]
    fn every_block_size_is_played_for_as_long_and_with_sixteen_voices() {
        for block in [32, 64, 128, 256, 512, 1_024] {
            let laps = || LAPS.iter().filter(|lap| lap.block == block);
            assert_eq!(laps().count() * 6, LAPS.len(), "blocks of {block}");
            assert!(laps().any(|lap| lap.voices == MANY) && laps().any(|lap| lap.voices == FEW), "blocks of {block}");
        }
    }
}
