//! How much of their own time blocks take: quantiles.

/// Shares of a block's duration, in steps of 0.01 %: counted, so that ten minutes take no more memory than one.
pub struct Shares {
    counts: Vec<u32>,
    most: f64,
}

const BUCKETS: usize = 20_001;

impl Default for Shares {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], most: 0.0 }
    }
}

impl Shares {
    /// Counts one block.
    pub fn count(&mut self, share: f64) {
        self.counts[((share * 1e4) as usize).min(BUCKETS - 1)] += 1;
        self.most = self.most.max(share);
    }

    /// Blocks counted.
    pub fn blocks(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The share that this part of the blocks stays within.
    pub fn within(&self, part: f64) -> f64 {
        let wanted = (part * self.blocks() as f64).ceil() as u64;
        let mut sum = 0;
        let bucket = self.counts.iter().position(|count| {
            sum += u64::from(*count);
            sum >= wanted
        });
        bucket.filter(|bucket| bucket + 1 < BUCKETS).map_or(self.most, |bucket| (bucket + 1) as f64 / 1e4)
    }

    /// The largest share.
    pub fn most(&self) -> f64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_by_their_quantiles() {
        let mut shares = Shares::default();
        (0..1_000).for_each(|i| shares.count(f64::from(i) / 1e3));
        shares.count(7.0);
        assert!((shares.within(0.5) - 0.5).abs() < 2e-3);
        assert!((shares.within(0.998) - 0.998).abs() < 2e-3);
        assert_eq!((shares.within(1.0), shares.most()), (7.0, 7.0));
    }
}
