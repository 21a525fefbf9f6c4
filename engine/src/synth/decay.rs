//! What rings out does not swell.
//!
//! Seconds after the last key went up the networks see next to nothing, which they saw seldom when they learnt, and at the
//! end of what they are shown may let a sound rise that nobody plays. From a player whose keys are all up no band comes
//! louder than it was just before: an instrument and a room only lose energy.

use super::rates::MEL;
use super::roll::NoteRoll;

/// Frames after the last key went up in which releases (dampers, an organ's valves) may still be heard.
const RELEASES: usize = 10;
/// Frames before the next key in which the windows of analysis already see its beginning.
const EARLY: usize = 3;
/// Frames over which "just before" reaches: a decaying band of noise comes and goes.
const BEFORE: usize = 30;

/// Holds the log mel `[frames, MEL]` of one part to it. What lies before the first frame is not known here.
pub(super) fn settle(mel: &mut [f32], roll: &NoteRoll) {
    let frames = roll.frames().min(mel.len() / MEL);
    let mut since = 0;
    for frame in 0..frames {
        since = if roll.is_played(frame) { 0 } else { since + 1 };
        let soon = (frame + 1..(frame + 1 + EARLY).min(frames)).any(|next| roll.is_played(next));
        if since <= RELEASES || soon {
            continue;
        }
        let (before, now) = mel.split_at_mut(frame * MEL);
        let before = &before[frame.saturating_sub(BEFORE) * MEL..];
        for (band, value) in now[..MEL].iter_mut().enumerate() {
            let loudest = before.chunks_exact(MEL).fold(f32::NEG_INFINITY, |loudest, row| loudest.max(row[band]));
            *value = value.min(loudest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Note;

    const FRAMES: usize = 128;

    fn roll(notes: &[(f64, f64)]) -> NoteRoll {
        let note = |&(onset, end): &(f64, f64)| Note { onset, end, pitch: 60, velocity: 90 };
        let mut roll = NoteRoll::default();
        roll.fill(&notes.iter().map(note).collect::<Vec<_>>(), 0, FRAMES);
        roll
    }

    /// A level that falls by 0.05 a frame from the frame 20 on, with a swell in the frames 100 to 119.
    fn swelling() -> Vec<f32> {
        let level = |frame: usize| if (100..120).contains(&frame) { 0.0 } else { -0.05 * frame.max(20) as f32 };
        (0..FRAMES).flat_map(|frame| vec![level(frame); MEL]).collect()
    }

    #[test]
    fn after_the_last_key_nothing_swells_and_what_falls_is_left_alone() {
        let (mut mel, before) = (swelling(), swelling());
        settle(&mut mel, &roll(&[(0.0, 0.2)]));
        assert_eq!(mel[..100 * MEL], before[..100 * MEL]);
        assert!(mel[100 * MEL..120 * MEL].iter().all(|value| *value <= before[70 * MEL]));
    }

    #[test]
    fn what_is_played_is_as_loud_as_it_is_and_so_are_its_beginning_and_its_release() {
        for notes in [vec![(0.0, 0.2), (1.0, 1.3)], vec![(0.0, 1.3)], vec![(0.0, 0.2), (1.03, 1.3)], vec![(0.0, 1.1)]] {
            let mut mel = swelling();
            settle(&mut mel, &roll(&notes));
            assert_eq!(mel, swelling(), "{notes:?}");
        }
    }
}
