//! Sums of lanes that run beside each other in registers.

use std::arch::x86_64::{
    __m256, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_extractf128_ps,
};

use super::LANES;

/// Numbers that a register holds.
pub const WIDE: usize = 8;

/// The sum of all lanes, halves onto halves: as `total` of the module above, to the last bit.
#[target_feature(enable = "avx")]
#[inline]
pub fn total(sums: [__m256; LANES / WIDE]) -> f32 {
    let [a, b, c, d] = sums;
    let eight = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
