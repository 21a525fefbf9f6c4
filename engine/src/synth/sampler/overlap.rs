//! x0-overlap: what is predicted to be clean is drawn to what was committed before (MODELS.md section 4).

use crate::synth::rates::{CONTEXT_FRAMES, MEL, OVERLAP_FRAMES};

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

/// The predicted clean residual is drawn to the one that gives the committed mel.
pub fn draw_to_committed(x0: &mut [f32], prior: &[f32], committed: &[f32], weights: &[f32], std: &[f32]) {
    let rows = x0.chunks_exact_mut(MEL).zip(prior.chunks_exact(MEL)).zip(committed.chunks_exact(MEL)).zip(weights);
    for (((x0, prior), committed), weight) in rows {
        for (((x0, prior), committed), std) in x0.iter_mut().zip(prior).zip(committed).zip(std) {
            *x0 += weight * ((committed - prior) / std - *x0);
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
}
