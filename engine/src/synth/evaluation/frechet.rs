//! The Frechet distance of two sets of embeddings.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Added to the variances: a few clips say nothing of most directions.
const FLOOR: f64 = 1e-3;

/// Mean and covariance of a set of vectors.
#[derive(Debug, Clone)]
pub struct Moments {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Moments {
    /// Of the rows `[n, width]`, with 0.001 added to every variance; `None` of fewer than two rows.
    pub fn of(rows: &[f32], width: usize) -> Option<Self> {
        let count = rows.len() / width.max(1);
        if count < 2 {
            return None;
        }
        let values = DMatrix::from_row_iterator(count, width, rows.iter().map(|&value| f64::from(value)));
        let mean = values.row_mean().transpose();
        let centred = DMatrix::from_fn(count, width, |row, column| values[(row, column)] - mean[column]);
        let covariance = centred.transpose() * &centred / (count - 1) as f64 + DMatrix::identity(width, width) * FLOOR;
        Some(Self { mean, covariance })
    }

    /// Given ones; the covariance is row by row, and symmetric.
    #[cfg(test)]
    pub fn new(mean: &[f64], covariance: &[f64]) -> Self {
        let width = mean.len();
        let covariance = DMatrix::from_row_slice(width, width, covariance);
        Self { mean: DVector::from_column_slice(mean), covariance }
    }
}

/// |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, eq. 6).
pub fn frechet(a: &Moments, b: &Moments) -> f64 {
    frechet_to_each(a, std::iter::once(b))[0]
}

/// The same to each of several, in less time.
pub fn frechet_to_each<'a>(a: &Moments, others: impl IntoIterator<Item = &'a Moments>) -> Vec<f64> {
    // S1 S2 has the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric: its root's trace is the sum of their roots.
    let of_a = SymmetricEigen::new(a.covariance.clone());
    let roots = DMatrix::from_diagonal(&of_a.eigenvalues.map(|value| value.max(0.0).sqrt()));
    let root = &of_a.eigenvectors * roots * of_a.eigenvectors.transpose();
    let distance = |b: &Moments| {
        let product = &root * &b.covariance * &root;
        let shared: f64 = product.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        (&a.mean - &b.mean).norm_squared() + a.covariance.trace() + b.covariance.trace() - 2.0 * shared
    };
    others.into_iter().map(distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_has_the_published_value_of_the_toy_example() {
        // MODELS.md section 4: mu (0,0), (1,2), S1 [[2,.5],[.5,1]], S2 [[1,.2],[.2,3]].
        let a = Moments::new(&[0.0, 0.0], &[2.0, 0.5, 0.5, 1.0]);
        let b = Moments::new(&[1.0, 2.0], &[1.0, 0.2, 0.2, 3.0]);
        assert!((frechet(&a, &b) - 5.754386284536507).abs() < 1e-9, "{}", frechet(&a, &b));
        assert!((frechet(&b, &a) - 5.754386284536507).abs() < 1e-9 && frechet(&a, &a).abs() < 1e-9);
    }

    #[test]
    fn moments_are_those_of_the_rows() {
        let moments = Moments::of(&[0.0, 1.0, 2.0, 1.0, 4.0, 4.0], 2).unwrap();
        assert_eq!(moments.mean.as_slice(), [2.0, 2.0]);
        let expected = [4.0 + FLOOR, 3.0, 3.0, 3.0 + FLOOR];
        assert!(moments.covariance.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{moments:?}");
        assert!(Moments::of(&[0.0, 1.0], 2).is_none());
    }
}
