//! Which single notes are rendered, and in which order.

/// Seconds that a rendered note is held. A key held longer plays a loop of it.
pub const HELD_SECONDS: f64 = 1.9;
/// Seconds of each note that are rendered: four segments. What follows the note-off is played when a key is released.
pub const NOTE_SECONDS: f64 = 2.55;
/// Semitones between rendered notes: others are at most one away.
const SPACING: usize = 3;
/// MIDI velocities that are rendered, the first for every pitch before the second for any.
const DYNAMICS: [u8; 2] = [96, 48];

/// A note to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotePlan {
    /// Which slot of the cast it belongs to.
    pub slot: u8,
    /// MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity.
    pub velocity: u8,
    /// Without denoising, to be playable sooner; replaced later.
    pub draft: bool,
}

/// What to render for slots with these ranges, most useful first: every octave of each range, then what lies between,
/// the middle before the ends, slots in turn; with `drafts` the first dynamic of everything as a draft before that.
pub fn plan(ranges: &[(u8, u8)], drafts: bool) -> Vec<NotePlan> {
    let mut notes = Vec::new();
    let drafts = drafts.then_some((DYNAMICS[0], true));
    for (velocity, draft) in drafts.into_iter().chain(DYNAMICS.map(|velocity| (velocity, false))) {
        let mut queues: Vec<Vec<u8>> = ranges.iter().map(|&(lo, hi)| pitches(lo, hi)).collect();
        let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for (slot, queue) in queues.iter_mut().enumerate() {
                if let Some(&pitch) = queue.get(turn) {
                    notes.push(NotePlan { slot: slot as u8, pitch, velocity, draft });
                }
            }
        }
    }
    notes
}

/// Pitches of a range: an octave apart from the middle outwards, then half an octave, then all, so that every key soon has
/// a note near it. The outermost lie within a semitone of the range's ends.
fn pitches(lo: u8, hi: u8) -> Vec<u8> {
    let (lo, hi) = (lo.min(hi), lo.max(hi));
    let middle = (i32::from(lo) + i32::from(hi)) / 2;
    let reach = SPACING as i32 / 2;
    let mut found = vec![(0, middle as u8)];
    for ring in 1i32.. {
        let (below, above) = (middle - ring * SPACING as i32, middle + ring * SPACING as i32);
        // A pitch beyond the end is moved to it, if the end is not already within reach of the last one.
        let low = (below + SPACING as i32 > i32::from(lo) + reach).then(|| below.max(i32::from(lo)));
        let high = (above - (SPACING as i32) < i32::from(hi) - reach).then(|| above.min(i32::from(hi)));
        found.extend([low, high].into_iter().flatten().map(|pitch| (ring, pitch as u8)));
        if low.is_none() && high.is_none() {
            break;
        }
    }
    // Four rings are an octave. The order of the rings stays within each turn.
    found.sort_by_key(|&(ring, _)| 2 - ring.trailing_zeros().min(2));
    found.into_iter().map(|(_, pitch)| pitch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pitch_of_a_range_has_a_note_within_a_semitone() {
        for (lo, hi) in [(21, 108), (55, 103), (60, 60), (40, 43), (0, 127)] {
            let found = pitches(lo, hi);
            for key in lo..=hi {
                let nearest = found.iter().map(|&p| p.abs_diff(key)).min();
                assert!(nearest <= Some(1), "{lo}..{hi}: {key} is {nearest:?} away in {found:?}");
            }
            assert!(found.iter().all(|p| (lo..=hi).contains(p)), "{found:?}");
            let mut unique = found.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), found.len(), "{found:?}");
        }
    }

    #[test]
    fn after_a_third_of_the_notes_every_key_has_one_within_an_octave() {
        for (lo, hi) in [(21u8, 108u8), (55, 103), (36, 96)] {
            let all = pitches(lo, hi);
            let first = &all[..all.len().div_ceil(3)];
            let farthest = (lo..=hi).filter_map(|key| first.iter().map(|&pitch| pitch.abs_diff(key)).min()).max();
            assert!(farthest < Some(12), "{lo}..{hi}: {farthest:?} with {first:?}");
        }
    }

    #[test]
    fn the_middle_of_every_slot_comes_first_and_the_second_dynamic_last() {
        let notes = plan(&[(48, 72), (36, 60)], false);
        assert_eq!((notes[0].slot, notes[0].pitch), (0, 60));
        assert_eq!((notes[1].slot, notes[1].pitch), (1, 48));
        let soft = notes.iter().position(|n| n.velocity == DYNAMICS[1]).unwrap();
        assert_eq!(soft * 2, notes.len());
        let drafted = plan(&[(48, 72), (36, 60)], true);
        assert_eq!(drafted.len(), soft + notes.len());
        assert!(drafted.iter().enumerate().all(|(i, note)| note.draft == (i < soft)));
    }
}
