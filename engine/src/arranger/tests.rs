//! The arranger against random performances, and with the shipped network against what Python says of it.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::inference::{Models, Runtime};

/// `tests/golden/arranger.json`: the exported network on a hymn written for it.
#[derive(Deserialize)]
struct Golden {
    /// Onset and end of each note, 24ths of a quarter.
    time: Vec<u32>,
    end: Vec<u32>,
    pitch: Vec<u8>,
    part: Vec<usize>,
    logits: Vec<Vec<f32>>,
    accuracy: f64,
    played: Vec<usize>,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn golden() -> Golden {
    serde_json::from_str(&std::fs::read_to_string(repository().join("tests/golden/arranger.json")).unwrap()).unwrap()
}

/// The shipped models, never those of the environment: the golden values belong to them.
fn models() -> Arc<Models> {
    let runtime = Runtime::load(None).unwrap_or_else(|error| panic!("{error}"));
    Models::load(runtime, &repository().join("models")).unwrap_or_else(|error| panic!("{error}"))
}

fn ensemble(id: &str) -> &'static Ensemble {
    Ensemble::find(id).unwrap()
}

fn share(ours: &[usize], true_parts: &[usize]) -> f64 {
    ours.iter().zip(true_parts).filter(|(a, b)| a == b).count() as f64 / ours.len() as f64
}

/// Indices of the notes of each chord.
fn chords(golden: &Golden) -> Vec<std::ops::Range<usize>> {
    let starts: Vec<usize> =
        (0..golden.time.len()).filter(|&i| i == 0 || golden.time[i] != golden.time[i - 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([golden.time.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Plays the hymn as written, note-offs included.
fn play(arranger: &mut Arranger, golden: &Golden) -> Vec<usize> {
    let mut parts = Vec::new();
    let mut given = Vec::new();
    let mut down: Vec<usize> = Vec::new();
    for chord in chords(golden) {
        let now = golden.time[chord.start];
        down.retain(|&i| {
            let sounds = golden.end[i] > now;
            if !sounds {
                assert!(arranger.note_off(golden.pitch[i]).is_some());
            }
            sounds
        });
        let notes: Vec<(u8, u8)> = chord.clone().map(|i| (golden.pitch[i], 80)).collect();
        arranger.chord(&notes, f64::from(now) / 24.0, &mut given);
        parts.extend_from_slice(&given);
        down.extend(chord);
    }
    parts
}

#[test]
fn the_network_answers_in_rust_what_it_answers_in_python() {
    let golden = golden();
    let mut network = BachLstm::open(&models()).unwrap();
    let mut likeliest = Vec::new();
    for i in 0..golden.pitch.len() {
        let scores = network.hear(&golden.pitch[i..=i], f64::from(golden.time[i]) / 24.0).unwrap();
        for (ours, python) in scores.logits(0).iter().zip(&golden.logits[i]) {
            assert!((ours - python).abs() < 1e-3, "note {i}: {ours} and {python}");
        }
        likeliest.push(scores.likeliest(0));
    }
    assert!((share(&likeliest, &golden.part) - golden.accuracy).abs() < 1e-9);
}

#[test]
fn note_by_note_is_chord_by_chord() {
    let golden = golden();
    let models = models();
    let (mut single, mut chordal) = (BachLstm::open(&models).unwrap(), BachLstm::open(&models).unwrap());
    for chord in chords(&golden) {
        let beat = f64::from(golden.time[chord.start]) / 24.0;
        let together = chordal.hear(&golden.pitch[chord.clone()], beat).unwrap();
        for (place, i) in chord.enumerate() {
            let alone = single.hear(&golden.pitch[i..=i], beat).unwrap();
            for (a, b) in alone.logits(0).iter().zip(together.logits(place)) {
                assert!((a - b).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_hymn_is_given_out_as_python_gives_it_out() {
    let golden = golden();
    let mut arranger = Arranger::new(ensemble("satb-choir"), Some(&models())).unwrap();
    let ours = play(&mut arranger, &golden);
    // The choir's ranges forbid nothing that this hymn asks.
    assert_eq!(ours, golden.played);
    assert!(arranger.take_fault().is_none());
    assert!(share(&ours, &golden.part) >= golden.accuracy);
}

#[test]
fn the_same_notes_always_go_to_the_same_parts() {
    let golden = golden();
    let models = models();
    let mut first = Arranger::new(ensemble("string-quartet"), Some(&models)).unwrap();
    let once = play(&mut first, &golden);
    first.all_off(&mut Vec::new());
    first.reset();
    let again = play(&mut first, &golden);
    let mut second = Arranger::new(ensemble("string-quartet"), Some(&models)).unwrap();
    assert_eq!(once, again);
    assert_eq!(once, play(&mut second, &golden));
}

#[test]
fn a_beat_that_is_no_beat_loses_no_note() {
    let mut arranger = Arranger::new(ensemble("brass-quartet"), Some(&models())).unwrap();
    let mut given = Vec::new();
    for beat in [-3.25, 1e9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        arranger.chord(&[(60, 1), (72, 1)], beat, &mut given);
        assert_eq!(given.len(), 2);
        assert!(arranger.take_fault().is_none(), "{beat}");
    }
}

#[test]
fn a_chord_is_given_out_within_the_time_it_is_gathered_in() {
    let mut arranger = Arranger::new(ensemble("string-quartet"), Some(&models())).unwrap();
    let mut given = Vec::new();
    let mut times: Vec<std::time::Duration> = (0..200)
        .map(|i| {
            let began = std::time::Instant::now();
            arranger.chord(&[(48, 80), (55, 80), (64, 80), (72, 80)], f64::from(i), &mut given);
            arranger.all_off(&mut Vec::new());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("a chord of four notes: {median:?} (median of {})", times.len());
    // 10 ms is what a chord is gathered for; a hundred times what an idle machine needs.
    assert!(median.as_millis() < 10);
}

#[test]
fn an_ensemble_that_needs_a_network_says_so_without_one() {
    let error = Arranger::new(ensemble("keyboard"), None).err().unwrap();
    assert!(error.to_string().contains("Keyboard in four voices"));
}

#[test]
fn by_range_the_high_note_goes_to_the_high_part() {
    let mut arranger = Arranger::by_range(ensemble("string-quartet"));
    let mut given = Vec::new();
    arranger.chord(&[(84, 90), (40, 90)], 0.0, &mut given);
    assert_eq!(given, [0, 3]);
}

/// What a keyboard and a host may do.
#[derive(Debug, Clone)]
enum Act {
    Chord(Vec<u8>),
    Off(u8),
    AllOff,
    Reset,
}

fn act() -> impl Strategy<Value = Act> {
    // Few keys, so that the same one is struck again and again.
    prop_oneof![
        4 => prop::collection::vec(58u8..66, 1..7).prop_map(Act::Chord),
        1 => prop::collection::vec(any::<u8>().prop_map(|key| key & 0x7f), 1..40).prop_map(Act::Chord),
        12 => (58u8..66).prop_map(Act::Off),
        1 => Just(Act::AllOff),
        1 => Just(Act::Reset),
    ]
}

proptest! {
    #[test]
    fn no_note_is_ever_stuck(acts in prop::collection::vec(act(), 0..80), which in 0usize..7) {
        let mut arranger = Arranger::by_range(&Ensemble::all()[which]);
        let mut sounding: Vec<(u8, usize)> = Vec::new();
        let (mut given, mut released) = (Vec::new(), Vec::new());
        for (beat, act) in acts.into_iter().enumerate() {
            match act {
                Act::Chord(keys) => {
                    let notes: Vec<(u8, u8)> = keys.iter().map(|&key| (key, 64)).collect();
                    arranger.chord(&notes, beat as f64, &mut given);
                    prop_assert_eq!(given.len(), keys.len());
                    sounding.extend(keys.into_iter().zip(given.iter().copied()));
                }
                Act::Off(key) => {
                    let part = arranger.note_off(key);
                    let place = sounding.iter().position(|&(down, _)| down == key);
                    // A key that is down always finds a part that plays it; a key that is not, none.
                    prop_assert_eq!(part.is_some(), place.is_some());
                    if let Some(part) = part {
                        let place = sounding.iter().position(|&note| note == (key, part));
                        prop_assert!(place.is_some());
                        sounding.remove(place.unwrap_or(0));
                    }
                }
                Act::AllOff => {
                    arranger.all_off(&mut released);
                    sounding.sort_unstable();
                    released.sort_unstable();
                    prop_assert_eq!(&sounding, &released);
                    sounding.clear();
                }
                Act::Reset => arranger.reset(),
            }
        }
        arranger.all_off(&mut released);
        sounding.sort_unstable();
        released.sort_unstable();
        prop_assert_eq!(sounding, released);
    }
}
