//! What the audio thread spends on blocks, as the soak and the benchmark tell it.

use serde::Serialize;

use crate::shares::Shares;

/// Time of `process` as a share of the block's own duration.
#[derive(Debug, Default, Serialize)]
pub struct Cost {
    /// Samples of a block.
    pub block: usize,
    /// Keys that are played at once.
    pub voices: usize,
    /// Blocks that were timed.
    pub blocks: u64,
    /// Half of them took no more.
    pub median: f64,
    /// 999 of 1,000 took no more.
    pub p999: f64,
    /// The longest.
    pub max: f64,
    /// The same work done by a fixed program around each block: what the machine itself adds.
    pub reference_median: f64,
    /// See [`Self::reference_median`].
    pub reference_p999: f64,
    /// See [`Self::reference_median`].
    pub reference_max: f64,
}

impl Cost {
    /// Of blocks of so many samples with so many keys down: what ours took, and what the reference took beside it.
    pub fn of(block: usize, voices: usize, [ours, reference]: &[Shares; 2]) -> Self {
        Self {
            block,
            voices,
            blocks: ours.blocks(),
            median: ours.within(0.5),
            p999: ours.within(0.999),
            max: ours.most(),
            reference_median: reference.within(0.5),
            reference_p999: reference.within(0.999),
            reference_max: reference.most(),
        }
    }
}
