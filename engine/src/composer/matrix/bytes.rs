//! Numbers in 8 bits, a scale for each 32 of them, which the processor widens as it reads them (AVX2: x86 since 2013).

use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _mm_loadl_epi64, _mm_prefetch, _mm256_add_ps, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
    _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps,
};

use super::lanes::{WIDE, total};
use super::{AHEAD, LANES};

/// The largest code; the smallest is its opposite.
const STEPS: f32 = 127.0;

/// Numbers, each a code times the scale of its [`LANES`].
pub struct Bytes {
    codes: Vec<i8>,
    scales: Vec<f32>,
}

/// The same numbers in 8 bits; nothing where one would change, or where the processor does not read them so.
pub fn of(numbers: &[f32]) -> Option<Bytes> {
    if !is_x86_feature_detected!("avx2") || !numbers.len().is_multiple_of(LANES) {
        return None;
    }
    let mut bytes = Bytes { codes: Vec::with_capacity(numbers.len()), scales: Vec::new() };
    for some in numbers.chunks_exact(LANES) {
        // Scales are chosen so that the number furthest from zero has the largest code.
        let scale = some.iter().fold(0.0f32, |most, number| most.max(number.abs())) / STEPS;
        for &number in some {
            let code = if scale > 0.0 { (number / scale).round() } else { 0.0 };
            if code * scale != number || code.abs() > STEPS {
                return None;
            }
            bytes.codes.push(code as i8);
        }
        bytes.scales.push(scale);
    }
    Some(bytes)
}

/// The scalar products of rows as long as x with it; x has a multiple of [`LANES`] numbers.
pub fn times(rows: &Bytes, x: &[f32], out: &mut Vec<f32>) {
    // SAFETY: without AVX2 `of` had made nothing.
    unsafe { widened(rows, x, out) }
}

#[target_feature(enable = "avx2")]
fn widened(rows: &Bytes, x: &[f32], out: &mut Vec<f32>) {
    let scales = rows.scales.chunks_exact(x.len() / LANES);
    for (row, scales) in rows.codes.chunks_exact(x.len()).zip(scales) {
        let mut sums = [_mm256_setzero_ps(); LANES / WIDE];
        for ((a, scale), b) in row.chunks_exact(LANES).zip(scales).zip(x.chunks_exact(LANES)) {
            _mm_prefetch::<_MM_HINT_T0>(a.as_ptr().wrapping_add(AHEAD));
            let scale = _mm256_set1_ps(*scale);
            let eights = a.chunks_exact(WIDE).zip(b.chunks_exact(WIDE));
            for (sum, (a, b)) in sums.iter_mut().zip(eights) {
                // SAFETY: each pointer is to eight numbers.
                let (a, b) = unsafe { (_mm_loadl_epi64(a.as_ptr().cast::<__m128i>()), _mm256_loadu_ps(b.as_ptr())) };
                // Exact: a scale has 11 bits, a code 7.
                let a = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(a)), scale);
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(a, b));
            }
        }
        out.push(total(sums));
    }
}
