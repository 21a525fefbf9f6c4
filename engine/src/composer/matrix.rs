//! Matrices that vectors are multiplied with.
//!
//! Such a product costs what it costs to fetch the matrix: between two notes the processor's caches have held a network
//! several times their size. So numbers that fit into 16 bits, as the shipped ones do, are kept in 16 where the processor
//! widens them as it reads (F16C: x86 since 2012). What comes out is the same to the last bit either way.

/// Sums that run beside each other, for the compiler to make vectors of.
const LANES: usize = 32;

/// Rows of numbers.
pub(super) struct Matrix {
    numbers: Numbers,
    width: usize,
}

enum Numbers {
    Single(Vec<f32>),
    #[cfg(target_arch = "x86_64")]
    Half(Vec<u16>),
}

impl Matrix {
    /// Of so many numbers a row.
    pub fn new(numbers: Vec<f32>, width: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(halves) = halves::of(&numbers).filter(|_| width.is_multiple_of(LANES)) {
            return Self { numbers: Numbers::Half(halves), width };
        }
        Self { numbers: Numbers::Single(numbers), width }
    }

    /// The scalar products of the rows with a vector.
    pub fn times(&self, x: &[f32], out: &mut Vec<f32>) {
        out.clear();
        if x.is_empty() || x.len() != self.width {
            return;
        }
        match &self.numbers {
            Numbers::Single(numbers) => out.extend(numbers.chunks_exact(x.len()).map(|row| dot(row, x))),
            #[cfg(target_arch = "x86_64")]
            Numbers::Half(numbers) => halves::times(numbers, x, out),
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    total(lanes) + rest
}

#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(target_arch = "x86_64")]
mod halves {
    use std::arch::x86_64::{
        __m128i, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128,
        _mm256_add_ps, _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_mul_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use super::{LANES, total};

    /// Numbers that an instruction takes.
    const WIDE: usize = 8;
    /// How far ahead of what it reads it asks for what comes next: by itself a processor stops at every page of 4,096 bytes.
    const AHEAD: usize = 2048;

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
                _mm_prefetch::<_MM_HINT_T0>(a.as_ptr().wrapping_add(AHEAD).cast::<i8>());
                let eights = a.chunks_exact(WIDE).zip(b.chunks_exact(WIDE));
                for (sum, (a, b)) in sums.iter_mut().zip(eights) {
                    // SAFETY: each pointer is to eight numbers.
                    let (a, b) =
                        unsafe { (_mm_loadu_si128(a.as_ptr().cast::<__m128i>()), _mm256_loadu_ps(b.as_ptr())) };
                    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(_mm256_cvtph_ps(a), b));
                }
            }
            let mut lanes = [0.0; LANES];
            for (eight, sum) in lanes.chunks_exact_mut(WIDE).zip(sums) {
                // SAFETY: the pointer is to eight numbers.
                unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), sum) };
            }
            out.push(total(lanes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::noise::Noise;

    /// Numbers of 11 significant bits, as 16 bits hold them, some of them subnormal there.
    fn numbers(count: usize) -> Vec<f32> {
        let noise = Noise::new(1, 2, 3);
        let number = |i| {
            let (mantissa, exponent) = ((noise.uniform(2 * i) * 4095.0).floor() - 2047.0, noise.uniform(2 * i + 1));
            mantissa as f32 * 2.0f32.powi(-24 + (exponent * 14.0) as i32)
        };
        (0..count as i64).map(number).collect()
    }

    #[test]
    fn in_16_bits_the_products_are_the_same_to_the_last_bit() {
        let (rows, x) = (numbers(64 * 40), numbers(64));
        let (mut kept, mut single) = (Vec::new(), Vec::new());
        let matrix = Matrix::new(rows.clone(), 64);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
            assert!(matches!(matrix.numbers, Numbers::Half(_)));
        }
        matrix.times(&x, &mut kept);
        Matrix { numbers: Numbers::Single(rows.clone()), width: 64 }.times(&x, &mut single);
        assert_eq!((kept.len(), &kept), (40, &single));
        for (row, found) in rows.chunks_exact(64).zip(single) {
            let exact: f64 = row.iter().zip(&x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(found) - exact).abs() < 1e-6, "{found} and not {exact}");
        }
    }

    #[test]
    fn what_16_bits_do_not_hold_stays_in_32() {
        for odd in [1.0 + 2.0f32.powi(-11), 1e9, 1e-9] {
            let mut rows = numbers(64);
            rows[9] = odd;
            let mut found = Vec::new();
            let mut unit = vec![0.0; 32];
            unit[9] = 1.0;
            Matrix::new(rows.clone(), 32).times(&unit, &mut found);
            assert_eq!(found, [odd, rows[41]]);
        }
        // Rows of any length.
        let (rows, mut found) = (numbers(3 * 41), Vec::new());
        Matrix::new(rows.clone(), 41).times(&[1.0; 41], &mut found);
        let sums: Vec<f32> = rows.chunks_exact(41).map(|row| row.iter().sum()).collect();
        assert!(found.len() == 3 && found.iter().zip(sums).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}
