//! Numbers in 16 bits, which the processor widens as it reads them (F16C: x86 since 2012).

use std::arch::x86_64::{
    __m128i, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128, _mm256_add_ps,
    _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_mul_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::lanes::{WIDE, total};
use super::{AHEAD, LANES};

/// The same numbers in 16 bits; nothing where one would change, or where the processor does not read them so.
pub fn of(numbers: &[f32]) -> Option<Vec<u16>> {
    let reads_them = is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c");
    if !reads_them || !numbers.len().is_multiple_of(WIDE) {
        return None;
    }
    // SAFETY: the processor has both.
    unsafe { narrowed(numbers) }
}

#[target_feature(enable = "avx,f16c")]
fn narrowed(numbers: &[f32]) -> Option<Vec<u16>> {
    let mut all = Vec::with_capacity(numbers.len());
    for eight in numbers.chunks_exact(WIDE) {
        let (mut narrow, mut again) = ([0u16; WIDE], [0.0f32; WIDE]);
        // SAFETY: each pointer is to eight numbers.
        unsafe {
            let half = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(eight.as_ptr()));
            _mm_storeu_si128(narrow.as_mut_ptr().cast::<__m128i>(), half);
            _mm256_storeu_ps(again.as_mut_ptr(), _mm256_cvtph_ps(half));
        }
        if again != eight {
            return None;
        }
        all.extend(narrow);
    }
    Some(all)
}

/// The scalar products of rows as long as x with it. `rows` are from [`of`]; x has a multiple of [`LANES`] numbers.
pub fn times(rows: &[u16], x: &[f32], out: &mut Vec<f32>) {
    // SAFETY: without both features `of` had made nothing.
    unsafe { widened(rows, x, out) }
}

#[target_feature(enable = "avx,f16c")]
fn widened(rows: &[u16], x: &[f32], out: &mut Vec<f32>) {
    for row in rows.chunks_exact(x.len()) {
        let mut sums = [_mm256_setzero_ps(); LANES / WIDE];
        for (a, b) in row.chunks_exact(LANES).zip(x.chunks_exact(LANES)) {
            _mm_prefetch::<_MM_HINT_T0>(a.as_ptr().cast::<i8>().wrapping_add(AHEAD));
            let eights = a.chunks_exact(WIDE).zip(b.chunks_exact(WIDE));
            for (sum, (a, b)) in sums.iter_mut().zip(eights) {
                // SAFETY: each pointer is to eight numbers.
                let (a, b) = unsafe { (_mm_loadu_si128(a.as_ptr().cast::<__m128i>()), _mm256_loadu_ps(b.as_ptr())) };
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(_mm256_cvtph_ps(a), b));
            }
        }
        out.push(total(sums));
    }
}
