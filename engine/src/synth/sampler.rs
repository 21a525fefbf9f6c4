//! From noise to a clean residual: DDIM on v-prediction, with the overlap blended at every step.

use super::rates::{CONTEXT_FRAMES, MEL, OVERLAP_FRAMES};
use super::schedule::Schedule;

/// Weight of the committed frame in a segment's frame: 1 in the left context, falling linearly from 1 to 0 over the
/// overlap, 0 after it.
pub fn committed_weight(frame: usize) -> f32 {
    match frame.checked_sub(CONTEXT_FRAMES) {
        None => 1.0,
        Some(into) if into < OVERLAP_FRAMES => 1.0 - into as f32 / (OVERLAP_FRAMES - 1) as f32,
        Some(_) => 0.0,
    }
}

/// Draws `new` towards `committed`, both `[frames, MEL]`, by a weight per frame.
pub fn blend(new: &mut [f32], committed: &[f32], weights: &[f32]) {
    for ((new, committed), &weight) in new.chunks_exact_mut(MEL).zip(committed.chunks_exact(MEL)).zip(weights) {
        for (new, &committed) in new.iter_mut().zip(committed) {
            *new += weight * (committed - *new);
        }
    }
}

/// One DDIM step (Song et al. 2021, eq. 12) from time `t` to `next` (None: to x0). `v` is the network's output for `x`;
/// `constrain` sees and may change the predicted x0; `noise` is drawn only where `eta` asks for it.
pub fn ddim_step(
    schedule: &Schedule,
    (t, next): (usize, Option<usize>),
    eta: f64,
    (x, v): (&mut [f32], &[f32]),
    constrain: impl FnOnce(&mut [f32]),
    mut noise: impl FnMut(usize) -> f32,
) {
    let bar = schedule.alpha_bar(t);
    let (signal, spread) = (bar.sqrt() as f32, (1.0 - bar).sqrt() as f32);
    let before: Vec<f32> = x.to_vec();
    for (x, &v) in x.iter_mut().zip(v) {
        *x = signal * *x - spread * v;
    }
    constrain(x);
    let Some(next) = next else { return };
    let sigma = schedule.sigma(t, next, eta);
    let next_bar = schedule.alpha_bar(next);
    let keep = (next_bar.sqrt()) as f32;
    let direction = (1.0 - next_bar - sigma * sigma).max(0.0).sqrt() as f32;
    for (i, (x, before)) in x.iter_mut().zip(before).enumerate() {
        // The noise that, with the constrained x0, explains where we were.
        let eps = (before - signal * *x) / spread;
        *x = keep * *x + direction * eps;
        if sigma > 0.0 {
            *x += sigma as f32 * noise(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::rates::SEGMENT_FRAMES;

    #[test]
    fn two_constant_segments_0_and_1_meet_in_k_over_31() {
        let mut new = vec![1.0; SEGMENT_FRAMES * MEL];
        let weights: Vec<f32> = (0..SEGMENT_FRAMES).map(committed_weight).collect();
        blend(&mut new, &vec![0.0; SEGMENT_FRAMES * MEL], &weights);
        for k in 0..OVERLAP_FRAMES {
            assert!((new[(CONTEXT_FRAMES + k) * MEL] - k as f32 / 31.0).abs() < 1e-6);
        }
        assert!(new[..CONTEXT_FRAMES * MEL].iter().all(|&value| value == 0.0));
        assert!(new[(CONTEXT_FRAMES + OVERLAP_FRAMES) * MEL..].iter().all(|&value| value == 1.0));
    }

    #[test]
    fn with_a_perfect_network_any_number_of_steps_finds_x0() {
        let schedule = Schedule::default();
        for steps in [1, 2, 5] {
            let x0 = 0.7f32;
            let times: Vec<usize> = Schedule::times(steps).collect();
            let mut x = vec![-1.3f32];
            for (i, &t) in times.iter().enumerate() {
                let bar = schedule.alpha_bar(t);
                let (signal, spread) = (bar.sqrt() as f32, (1.0 - bar).sqrt() as f32);
                let eps = (x[0] - signal * x0) / spread;
                let v = [signal * eps - spread * x0];
                ddim_step(&schedule, (t, times.get(i + 1).copied()), 0.0, (&mut x, &v), |_| {}, |_| 0.0);
            }
            assert!((x[0] - x0).abs() < 1e-3, "{steps} steps: {}", x[0]);
        }
    }
}
