//! What is known of a chord while somebody plays: twelve numbers per note, none of which looks at a later chord or
//! changes when the music is transposed.
//!
//! K is the chord, the keys struck together, lowest first; H is the set of keys that still sound from earlier chords. A
//! key of H equal to the note counts neither below nor above it. Training computes the same
//! (`ripieno_training/arranger/context.py`); `tests/golden/arranger_context.json` holds both to it.

/// Numbers per note.
pub(super) const WIDTH: usize = 12;
/// Where counts and distances in semitones are clipped, and what they are divided by.
const COUNT: usize = 8;
const NEAR: u8 = 24;
const FAR: u8 = 48;
/// Ticks since the previous onset that count as a whole pause.
const PAUSE: f64 = 384.0;

/// Appends the numbers of every key of a chord, shape [keys, WIDTH].
///
/// `chord`: lowest first, equal keys allowed. `held`: lowest first, every key once. `since`: ticks from the previous
/// onset (24 a quarter), `None` at the first chord.
pub(super) fn describe(chord: &[u8], held: &[u8], since: Option<i64>, out: &mut Vec<f32>) {
    let (Some(&first), Some(&last)) = (chord.first(), chord.last()) else { return };
    let lowest = held.first().map_or(first, |&key| key.min(first));
    let highest = held.last().map_or(last, |&key| key.max(last));
    let count = |n: usize| n.min(COUNT) as f32 / COUNT as f32;
    let near = |distance: Option<u8>| f32::from(distance.unwrap_or(NEAR).min(NEAR)) / f32::from(NEAR);
    let far = |distance: u8| f32::from(distance.min(FAR)) / f32::from(FAR);
    let pause = since.map_or(1.0, |ticks| ((ticks.max(0) as f64).ln_1p() / PAUSE.ln_1p()).min(1.0)) as f32;
    for (i, &key) in chord.iter().enumerate() {
        let below = held.partition_point(|&other| other < key);
        let above = &held[held.partition_point(|&other| other <= key)..];
        out.extend_from_slice(&[
            count(i),
            count(chord.len() - 1 - i),
            count(chord.len()),
            near(i.checked_sub(1).map(|i| key - chord[i])),
            near(chord.get(i + 1).map(|next| next - key)),
            far(key - lowest),
            far(highest - key),
            count(below),
            count(above.len()),
            near(below.checked_sub(1).map(|i| key - held[i])),
            near(above.first().map(|next| next - key)),
            pause,
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arranger::piece::{self, PieceNote};

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        time: Vec<i64>,
        pitch: Vec<u8>,
        end: Vec<i64>,
        context: Vec<[f32; WIDTH]>,
    }

    #[test]
    fn a_key_alone_has_no_neighbours() {
        let mut out = Vec::new();
        describe(&[60], &[], None, &mut out);
        assert_eq!(out, [0.0, 0.0, 0.125, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_held_key_counts_on_its_own_side_and_an_equal_one_on_neither() {
        let mut out = Vec::new();
        describe(&[60, 60, 72], &[48, 60, 84], Some(0), &mut out);
        let lower = [0.0, 0.25, 0.375, 1.0, 0.0, 0.25, 0.5, 0.125, 0.125, 0.5, 1.0, 0.0];
        let top = [0.25, 0.0, 0.375, 0.5, 1.0, 0.5, 0.25, 0.25, 0.125, 0.5, 0.5, 0.0];
        assert_eq!(out[..WIDTH], lower);
        assert_eq!(out[2 * WIDTH..], top);
    }

    #[test]
    fn context_in_rust_is_what_it_is_in_python() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/arranger_context.json");
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for case in golden.cases {
            let note =
                |i: usize| PieceNote { onset: case.time[i], end: case.end[i], pitch: case.pitch[i], velocity: 64 };
            let notes: Vec<PieceNote> = (0..case.time.len()).map(note).collect();
            let ours = piece::context(&notes);
            for (ours, python) in ours.chunks(WIDTH).zip(&case.context) {
                let apart = ours.iter().zip(python).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 2e-6, "{ours:?} and {python:?}");
            }
        }
    }
}
