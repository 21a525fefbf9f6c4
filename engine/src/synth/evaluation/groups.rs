//! Performances by what they sound like: how far another sound of one is from them, and from which it is the least far.

use super::frechet::{Moments, frechet, frechet_to_each};
use super::musicnn::Musicnn;

/// Embeddings of sounds, each sound's with its performance.
pub type Heard = Vec<(usize, Vec<f32>)>;

/// The embeddings of a performance, or of all, as moments; `None` of fewer than two embeddings.
fn moments(heard: &Heard, of: Option<usize>) -> Option<Moments> {
    let chosen = heard.iter().filter(|(performance, _)| of.is_none_or(|of| of == *performance));
    let rows: Vec<f32> = chosen.flat_map(|(_, rows)| rows.iter().copied()).collect();
    Moments::of(&rows, Musicnn::WIDTH)
}

/// Every performance with its moments, in rising order.
fn by_performance(heard: &Heard) -> Vec<(usize, Moments)> {
    let mut performances: Vec<usize> = heard.iter().map(|(performance, _)| *performance).collect();
    performances.sort_unstable();
    performances.dedup();
    performances.into_iter().filter_map(|of| Some((of, moments(heard, Some(of))?))).collect()
}

/// What all performances sound like, and each.
pub struct Groups {
    all: Option<Moments>,
    each: Vec<(usize, Moments)>,
}

/// How far sounds are from the performances that they are of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apart {
    /// Frechet distance of all to all.
    pub all: Option<f64>,
    /// Mean distance of those of a performance to that performance.
    pub group: Option<f64>,
    /// Share of performances whose sounds are nearest to it of all, and to it and two others.
    pub top_1: Option<f64>,
    /// See `top_1`.
    pub top_3: Option<f64>,
}

impl Groups {
    /// Of true sounds.
    pub fn of(heard: &Heard) -> Self {
        Self { all: moments(heard, None), each: by_performance(heard) }
    }

    /// How far other sounds are from these. A performance is classified by all of its sounds together (Maman et al. 2024).
    pub fn apart(&self, heard: &Heard) -> Apart {
        let all = moments(heard, None).zip(self.all.as_ref()).map(|(ours, all)| frechet(&ours, all));
        let (mut own, mut places) = (Vec::new(), Vec::new());
        for (performance, ours) in by_performance(heard) {
            let distances = frechet_to_each(&ours, self.each.iter().map(|(_, group)| group));
            let Some(at) = self.each.iter().position(|(of, _)| *of == performance) else { continue };
            own.push(distances[at]);
            places.push(distances.iter().filter(|&&other| other < distances[at]).count());
        }
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let within = |most: usize| {
            let nearest = places.iter().filter(|&&place| place < most).count();
            (!places.is_empty()).then(|| nearest as f64 / places.len() as f64)
        };
        Apart { all, group: mean(&own), top_1: within(1), top_3: within(3) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three embeddings around a place on the first axis.
    fn around(performance: usize, place: f32) -> (usize, Vec<f32>) {
        let rows = [-0.1, 0.0, 0.1].map(|off| {
            let mut row = vec![0.0; Musicnn::WIDTH];
            (row[0], row[1]) = (place + off, off);
            row
        });
        (performance, rows.concat())
    }

    #[test]
    fn sounds_are_of_the_performance_that_they_are_nearest_to() {
        let groups = Groups::of(&vec![around(0, 0.0), around(1, 4.0), around(2, 8.0), around(3, 20.0)]);
        let same = groups.apart(&vec![around(0, 0.0), around(3, 20.0)]);
        assert!(same.group.unwrap().abs() < 1e-6 && same.top_1 == Some(1.0), "{same:?}");
        // The one lies by itself; of the other, two are nearer than its own.
        let off = groups.apart(&vec![around(3, 19.0), around(0, 7.0)]);
        assert_eq!((off.top_1, off.top_3), (Some(0.5), Some(1.0)));
        assert!((off.group.unwrap() - (1.0 + 49.0) / 2.0).abs() < 1e-3, "{off:?}");
        let none = groups.apart(&Vec::new());
        assert!(none.all.is_none() && none.group.is_none() && none.top_1.is_none());
    }
}
