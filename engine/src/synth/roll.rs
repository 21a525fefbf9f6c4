//! The note roll: what the networks are told of one part's notes.

use crate::score::Note;

use super::rates::{FRAMES_PER_SECOND, KEYS, LOW_KEY};

/// Planes of a roll: onset, held, age, release.
pub const PLANES: usize = 4;
/// Frames in which age and release fall to half: 0.5 s.
const HALF_LIFE: f64 = 50.0;
/// Frames after which a release counts as 0: 2^-8.
const RELEASE_END: f64 = 8.0 * HALF_LIFE;

const ONSET: usize = 0;
const HELD: usize = 1;
const AGE: usize = 2;
const RELEASE: usize = 3;

/// Note roll of one part, shape `[frames, PLANES, KEYS]`, values 0 to 1 (velocity / 127 at most):
///
/// * onset: a triangle one frame wide at the onset, so that timing below a frame survives;
/// * held: the share of the frame the key is down;
/// * age: held, halving every 0.5 s since the onset (a live player's note has no known length, so none is given);
/// * release: halving every 0.5 s since the end, which carries the room's tail.
#[derive(Debug, Clone, Default)]
pub struct NoteRoll {
    /// Row-major values.
    pub values: Vec<f32>,
    order: Vec<usize>,
}

/// Key 0 to 87 of a MIDI pitch; pitches beyond the piano are folded by octaves.
pub fn fold_pitch(pitch: u8) -> usize {
    let mut pitch = i32::from(pitch);
    while pitch < i32::from(LOW_KEY) {
        pitch += 12;
    }
    while pitch >= i32::from(LOW_KEY) + KEYS as i32 {
        pitch -= 12;
    }
    (pitch - i32::from(LOW_KEY)) as usize
}

impl NoteRoll {
    /// Fills the roll with the frames from `first_frame` (absolute) on; keeps its allocation.
    pub fn fill(&mut self, notes: &[Note], first_frame: i64, frames: usize) {
        self.values.clear();
        self.values.resize(frames * PLANES * KEYS, 0.0);
        self.order.clear();
        self.order.extend(0..notes.len());
        // The latest note on a key owns the key's state, so notes are laid down in time order.
        self.order.sort_by(|&a, &b| {
            let (a, b) = (&notes[a], &notes[b]);
            (a.onset, a.end, a.pitch, a.velocity)
                .partial_cmp(&(b.onset, b.end, b.pitch, b.velocity))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        for index in 0..self.order.len() {
            self.add(&notes[self.order[index]], first_frame, frames);
        }
    }

    /// Frames it was filled with.
    pub fn frames(&self) -> usize {
        self.values.len() / (PLANES * KEYS)
    }

    /// The rows of some frames, `[frames, PLANES, KEYS]`.
    pub fn rows(&self, frames: std::ops::Range<usize>) -> &[f32] {
        &self.values[frames.start * PLANES * KEYS..frames.end * PLANES * KEYS]
    }

    /// Whether nothing sounds or rings in it.
    pub fn is_silent(&self) -> bool {
        self.values.iter().all(|&value| value == 0.0)
    }

    /// Whether a key is down or goes down in a frame.
    pub fn is_played(&self, frame: usize) -> bool {
        let planes = &self.values[frame * PLANES * KEYS..(frame + 1) * PLANES * KEYS];
        [ONSET, HELD].iter().any(|plane| planes[plane * KEYS..(plane + 1) * KEYS].iter().any(|&value| value > 0.0))
    }

    /// Amplitude of a key in a frame: held plus release, what excites the harmonics.
    pub fn amplitude(&self, frame: usize, key: usize) -> f32 {
        let row = frame * PLANES * KEYS;
        self.values[row + HELD * KEYS + key] + self.values[row + RELEASE * KEYS + key]
    }

    fn add(&mut self, note: &Note, first_frame: i64, frames: usize) {
        let (on, off) = (note.onset * FRAMES_PER_SECOND, note.end * FRAMES_PER_SECOND);
        let velocity = f64::from(note.velocity) / 127.0;
        let key = fold_pitch(note.pitch);
        let last = first_frame + frames as i64 - 1;
        if on > last as f64 + 1.0 || off + RELEASE_END < first_frame as f64 {
            return;
        }
        // Nothing changes before the frame that hears the onset.
        let begin = ((on - 1.0).floor() as i64).max(first_frame);
        for frame in begin..=last {
            let i = frame as f64;
            let row = (frame - first_frame) as usize * PLANES * KEYS + key;
            let triangle = velocity * (1.0 - (on - i).abs()).max(0.0);
            let onset = &mut self.values[row + ONSET * KEYS];
            *onset = onset.max(triangle as f32);
            if i + 0.5 <= on {
                continue;
            }
            let cover = (off.min(i + 0.5) - on.max(i - 0.5)).clamp(0.0, 1.0);
            let since = i - off;
            let held = &mut self.values[row + HELD * KEYS];
            *held = ((velocity * cover) as f32).max((f64::from(*held) * (1.0 - cover)) as f32);
            self.values[row + AGE * KEYS] = (velocity * cover * (-(i - on).max(0.0) / HALF_LIFE).exp2()) as f32;
            let ringing = since > -0.5 && since < RELEASE_END;
            let release = velocity * (1.0 - cover) * (-since.max(0.0) / HALF_LIFE).exp2();
            self.values[row + RELEASE * KEYS] = if ringing { release as f32 } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::mel::golden;

    #[test]
    fn a_roll_is_the_one_python_builds() {
        let golden = golden();
        let mut roll = NoteRoll::default();
        roll.fill(&golden.notes(), golden.first_frame, golden.frames);
        let mut expected = vec![0.0f32; roll.values.len()];
        for &(frame, plane, key, value) in &golden.roll {
            expected[(frame * PLANES + plane) * KEYS + key] = value;
        }
        for (i, (ours, theirs)) in roll.values.iter().zip(&expected).enumerate() {
            assert!((ours - theirs).abs() < 1e-5, "element {i}: {ours} and {theirs}");
        }
    }

    #[test]
    fn a_note_that_is_still_held_has_no_end() {
        let mut roll = NoteRoll::default();
        roll.fill(&[Note { onset: 0.0, end: f64::INFINITY, pitch: 60, velocity: 127 }], 1000, 2);
        assert_eq!(roll.amplitude(0, 39), 1.0);
        assert!(roll.values.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn pitches_beyond_the_piano_are_folded_by_octaves() {
        assert_eq!((fold_pitch(0), fold_pitch(21), fold_pitch(108), fold_pitch(127)), (3, 0, 87, 82));
    }
}
