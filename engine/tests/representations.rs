//! Representations of a piece as numbers: what is decoded is what was encoded, as far as the encoding holds it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scores;

use proptest::prelude::*;
use ripieno_engine::score::representation::{
    self, EventOptions, REST, from_events, from_notes, from_piano_roll, from_pitches,
};
use ripieno_engine::score::{Score, TickNote, Track};

/// One track whose notes do not overlap at their own pitch, and are `apart` ticks or more.
fn score(apart: u64) -> impl Strategy<Value = Score> {
    scores::score(vec![1, 4, 24, 480], 0..1, scores::track("[a-z]", 0..128, 1..128)).prop_map(move |mut score| {
        score.tracks.truncate(1);
        for note in &mut score.tracks[0].notes {
            note.onset *= 1 + apart;
            note.duration = note.duration * (1 + apart) - apart;
        }
        score
    })
}

/// One note after another, of two ticks or more.
fn melody() -> impl Strategy<Value = Score> {
    prop::collection::vec((0u64..9, 2u64..30, 0u8..128), 1..40).prop_map(|notes| {
        let mut now = 0;
        let notes = notes.into_iter().map(|(wait, duration, pitch)| {
            let onset = now + wait;
            now = onset + duration;
            TickNote { onset, pitch, duration, velocity: 64 }
        });
        Score { resolution: 24, tracks: vec![Track { notes: notes.collect(), ..Track::default() }], ..Score::default() }
    })
}

/// What every encoding has of a piece at least.
fn same(decoded: &Score, score: &Score) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded.resolution, score.resolution);
    prop_assert_eq!(&decoded.tracks[0].notes, &score.tracks[0].notes);
    Ok(())
}

proptest! {
    #[test]
    fn rows_of_notes_come_back_in_any_order(score in score(0), turned in any::<bool>()) {
        let mut rows = representation::notes(&score);
        if turned {
            rows.reverse();
        }
        same(&from_notes(&rows, score.resolution).unwrap(), &score)?;
    }

    #[test]
    fn what_is_no_row_of_a_note_is_told(row in 0usize..3, wrong in 0usize..3) {
        let mut rows = [[0, 60, 1, 64]; 3];
        rows[row] = [[0, 128, 1, 64], [0, 60, 1, 128], [u64::MAX, 60, 1, 64]][wrong];
        prop_assert_eq!(from_notes(&rows, 24).unwrap_err().row, row);
    }

    #[test]
    fn events_come_back_with_the_velocities_of_their_steps(
        score in score(0), end_of_sequence in any::<bool>(), every_velocity in any::<bool>(), power in 0u32..8,
        longest_shift in 1u32..200,
    ) {
        let velocity_bins = 1 << power;
        let options = EventOptions { single_note_off: false, end_of_sequence, velocities: true, every_velocity, longest_shift, velocity_bins };
        let codes = representation::events(&score, &options).unwrap();
        let mut expected = score.clone();
        let step = 128 / velocity_bins as u8;
        expected.tracks[0].notes.iter_mut().for_each(|note| note.velocity = (note.velocity / step * step).max(1));
        same(&from_events(&codes, &options, score.resolution), &expected)?;
    }

    #[test]
    fn one_note_off_for_all_is_enough_for_a_melody(melody in melody()) {
        let options = EventOptions { single_note_off: true, ..EventOptions::default() };
        same(&from_events(&representation::events(&melody, &options).unwrap(), &options, 24), &melody)?;
    }

    #[test]
    fn a_melody_with_holds_comes_back(melody in melody()) {
        same(&from_pitches(&representation::pitches(&melody, true).unwrap(), true, 24), &melody)?;
    }

    #[test]
    fn pitches_of_ticks_are_the_same_when_decoded_and_encoded_again(
        mut pitches in prop::collection::vec(0u8..REST + 1, 1..60), score in score(0), last in 0u8..128,
    ) {
        // Rests at the end are no longer there, and those before are 0, as MusPy encodes them.
        pitches.push(last);
        let again = representation::pitches(&from_pitches(&pitches, false, 24), false).unwrap();
        let zeros: Vec<u8> = pitches.iter().map(|&pitch| if pitch == REST { 0 } else { pitch }).collect();
        prop_assert_eq!(again, zeros);
        let encoded = representation::pitches(&score, false).unwrap();
        prop_assert_eq!(&representation::pitches(&from_pitches(&encoded, false, 24), false).unwrap(), &encoded);
    }

    #[test]
    fn a_piano_roll_comes_back(score in score(1)) {
        let roll = representation::piano_roll(&score).unwrap();
        same(&from_piano_roll(roll.view(), score.resolution), &score)?;
    }
}
