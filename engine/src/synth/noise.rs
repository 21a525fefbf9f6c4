//! Noise as a function of place, not of history: whoever asks for the same sample hears the same noise.

/// SplitMix64's output function (Steele, Lea & Flood 2014): a well-mixed 64-bit hash.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of noise, named by seed, part and purpose.
#[derive(Debug, Clone, Copy)]
pub struct Noise(u64);

impl Noise {
    /// The stream of a seed, a part and a channel (or another purpose).
    pub fn new(seed: u64, part: usize, channel: u64) -> Self {
        Self(mix(mix(seed ^ 0x5261_7069_656e_6f31).wrapping_add(part as u64 + 1)).wrapping_add(mix(channel + 17)))
    }

    /// Unit-variance noise at an index: the sum of four 16-bit uniforms, near enough to Gaussian for a spectrum, which
    /// sums thousands of them, and a tenth of the cost of a logarithm and a cosine.
    pub fn sample(self, index: i64) -> f32 {
        let bits = mix(self.0.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        // Variance of the sum of four uniforms on 0..=65535: (2^32 - 1) / 3.
        (sum as f32 - 131_070.0) * (3.0f32.sqrt() / 65_536.0)
    }

    /// Uniform from 0 to below 1 at an index.
    pub fn uniform(self, index: i64) -> f64 {
        let bits = mix(self.0.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard Gaussian at an index (Box & Muller 1958), for the sampler's starting point.
    pub fn gaussian(self, index: i64) -> f32 {
        let bits = mix(self.0.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let radius = (((bits >> 40) as f32 + 1.0) / 16_777_217.0).ln() * -2.0;
        let angle = (bits & 0xff_ffff) as f32 / 16_777_216.0 * std::f32::consts::TAU;
        radius.sqrt() * angle.cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(i64) -> f32) -> (f64, f64) {
        let values: Vec<f64> = (-50_000..50_000).map(|i| f64::from(draw(i))).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e5)
    }

    #[test]
    fn noise_has_zero_mean_and_unit_variance() {
        let noise = Noise::new(3, 1, 0);
        for (mean, variance) in [moments(|i| noise.sample(i)), moments(|i| noise.gaussian(i))] {
            assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        }
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        let noise = Noise::new(5, 0, 2);
        let (mean, variance) = moments(|i| noise.uniform(i) as f32);
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.01, "{mean} {variance}");
        assert!((0..100_000).all(|i| (0.0..1.0).contains(&noise.uniform(i))));
    }

    #[test]
    fn parts_and_channels_and_seeds_are_independent() {
        let base = Noise::new(3, 1, 0);
        for other in [Noise::new(4, 1, 0), Noise::new(3, 2, 0), Noise::new(3, 1, 1)] {
            let correlation: f64 =
                (0..100_000).map(|i| f64::from(base.sample(i)) * f64::from(other.sample(i))).sum::<f64>() / 1e5;
            assert!(correlation.abs() < 0.02, "{correlation}");
        }
    }
}
