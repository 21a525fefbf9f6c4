//! Matrices that vectors are multiplied with.
//!
//! Such a product costs what it costs to fetch the matrix: between two notes the processor's caches have held a network
//! several times their size. So numbers that are 8 bits times a scale, or fit into 16, as the shipped ones do, are kept so
//! where the processor widens them as it reads. What comes out is the same to the last bit whatever they are kept in, and
//! on every processor.

#[cfg(target_arch = "x86_64")]
mod bytes;
#[cfg(target_arch = "x86_64")]
mod halves;
#[cfg(target_arch = "x86_64")]
mod lanes;

/// Sums that run beside each other, for the compiler to make vectors of.
const LANES: usize = 32;
/// Bytes ahead of what it reads that it asks for what comes next: by itself a processor stops at every page of 4,096
/// bytes.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 8192;

/// Rows of numbers.
pub(super) struct Matrix {
    numbers: Numbers,
    width: usize,
}

enum Numbers {
    Single(Vec<f32>),
    #[cfg(target_arch = "x86_64")]
    Half(Vec<u16>),
    #[cfg(target_arch = "x86_64")]
    Byte(bytes::Bytes),
}

impl Matrix {
    /// Of so many numbers a row.
    pub fn new(numbers: Vec<f32>, width: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if width.is_multiple_of(LANES) {
            if let Some(bytes) = bytes::of(&numbers) {
                return Self { numbers: Numbers::Byte(bytes), width };
            }
            if let Some(halves) = halves::of(&numbers) {
                return Self { numbers: Numbers::Half(halves), width };
            }
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
            #[cfg(target_arch = "x86_64")]
            Numbers::Byte(numbers) => bytes::times(numbers, x, out),
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

/// The sum of what is made of numbers.
pub(super) fn sum_of(numbers: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let chunks = numbers.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| of(x)).sum();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += of(chunk[i]);
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

    /// Whole numbers up to 127, 32 of them times one scale of 11 significant bits; the last 32 are zeros.
    fn codes_times_scales(count: usize) -> Vec<f32> {
        let (noise, scales) = (Noise::new(4, 5, 6), numbers(count / 32));
        let code = |i: usize| if i % 32 == 7 { 127.0 } else { (noise.uniform(i as i64) * 254.99).floor() - 127.0 };
        let mut all: Vec<f32> = (0..count).map(|i| code(i) as f32 * scales[i / 32] / 128.0).collect();
        all[count - 32..].fill(0.0);
        all
    }

    /// How many bits a matrix keeps a number in.
    fn bits(matrix: &Matrix) -> usize {
        match matrix.numbers {
            Numbers::Single(_) => 32,
            #[cfg(target_arch = "x86_64")]
            Numbers::Half(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Numbers::Byte(_) => 8,
        }
    }

    /// As many, where the processor can.
    fn narrowest(bits: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
            return bits;
        }
        let _ = bits;
        32
    }

    fn products_are_the_same_as_in_32(rows: Vec<f32>, narrow: usize) {
        let x = numbers(64);
        let (mut kept, mut single) = (Vec::new(), Vec::new());
        let matrix = Matrix::new(rows.clone(), 64);
        assert_eq!(bits(&matrix), narrowest(narrow));
        matrix.times(&x, &mut kept);
        Matrix { numbers: Numbers::Single(rows.clone()), width: 64 }.times(&x, &mut single);
        assert_eq!((kept.len(), &kept), (40, &single));
        for (row, found) in rows.chunks_exact(64).zip(single) {
            let exact: f64 = row.iter().zip(&x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(found) - exact).abs() < 1e-6, "{found} and not {exact}");
        }
    }

    #[test]
    fn in_16_bits_the_products_are_the_same_to_the_last_bit() {
        products_are_the_same_as_in_32(numbers(64 * 40), 16);
    }

    #[test]
    fn in_8_bits_the_products_are_the_same_to_the_last_bit() {
        products_are_the_same_as_in_32(codes_times_scales(64 * 40), 8);
        // A number that is no code times the scale of its 32.
        let mut rows = codes_times_scales(64 * 40);
        rows[100] = rows[103] * 0.3;
        assert!(bits(&Matrix::new(rows, 64)) > 8);
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
