//! ABC files: what they say is what sounds, what is written is read again, and no file hangs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scores;

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ripieno_engine::score::{Key, Meter, Score, ScoreError, Tempo, Track, abc};

fn read(text: &str) -> Result<Score, ScoreError> {
    abc::read_bytes(text.as_bytes(), Path::new("a.abc"))
}

/// (onset, duration, pitch) of the first track in eighths, of music in C.
fn notes(music: &str) -> Vec<(f64, f64, u8)> {
    let score = read(&format!("X:1\nT:A\nM:4/4\nL:1/8\nK:C\n{music}\n")).unwrap();
    let eighths = |tick| score.beats(tick) * 2.0;
    score.tracks[0].notes.iter().map(|note| (eighths(note.onset), eighths(note.duration), note.pitch)).collect()
}

fn pitches(music: &str) -> Vec<u8> {
    notes(music).iter().map(|note| note.2).collect()
}

fn lengths(music: &str) -> Vec<f64> {
    notes(music).iter().map(|note| note.1).collect()
}

#[test]
fn letters_are_pitches() {
    assert_eq!(pitches("C,Ccc'"), [48, 60, 72, 84]);
    assert_eq!(pitches("^F_B=f"), [66, 70, 77]);
    assert_eq!(pitches("^FF|F"), [66, 66, 65], "an accidental lasts for the measure");
    assert_eq!(pitches("^F8-|FF"), [66, 65], "and over the barline with its tie");
}

#[test]
fn numbers_are_lengths() {
    assert_eq!(lengths("C2D/E//F3/2G"), [2.0, 0.5, 0.25, 1.5, 1.0]);
    assert_eq!(lengths("C>D E<F G>>A"), [1.5, 0.5, 0.5, 1.5, 1.75, 0.25], "broken rhythm");
    assert_eq!(lengths("(3CDE F"), [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 1.0], "a tuplet");
    assert_eq!(lengths("(3:2:2C2D F"), [4.0 / 3.0, 2.0 / 3.0, 1.0]);
    assert_eq!(lengths("C4-|C2 (DE)"), [6.0, 1.0, 1.0], "ties join, slurs do not");
}

#[test]
fn chords_rests_and_overlays_take_their_time() {
    assert_eq!(notes("[CE]2z2D4"), [(0.0, 2.0, 60), (0.0, 2.0, 64), (4.0, 4.0, 62)]);
    assert_eq!(notes("[C2E2]2|D"), [(0.0, 4.0, 60), (0.0, 4.0, 64), (4.0, 1.0, 62)]);
    assert_eq!(notes("C4D4&E8|F"), [(0.0, 4.0, 60), (0.0, 8.0, 64), (4.0, 4.0, 62), (8.0, 1.0, 65)]);
    assert_eq!(notes("Z2|C"), [(16.0, 1.0, 60)]);
}

#[test]
fn repeats_are_played_with_their_endings() {
    assert_eq!(pitches("C|:D|E:|F"), [60, 62, 64, 62, 64, 65]);
    assert_eq!(pitches("|:C|1D:|2E||F"), [60, 62, 60, 64, 65]);
    assert_eq!(pitches("|:C|[1 D:|[2 E|]"), [60, 62, 60, 64]);
    assert_eq!(pitches("C::D:|"), [60, 60, 62, 62]);
}

#[test]
fn fields_decorations_and_words_are_no_notes() {
    assert_eq!(pitches("\"Am\"C !trill!D ~E F .G % CDE\nw: dear diary\nA"), [60, 62, 64, 65, 67, 69]);
    assert_eq!(pitches("C[K:D]F[M:3/4][L:1/4]G"), [60, 66, 67]);
}

#[test]
fn grace_notes_sound_before_the_note_they_lead_to() {
    // A 32nd each.
    assert_eq!(notes("C2 {/fg}D"), [(0.0, 2.0, 60), (1.5, 0.25, 77), (1.75, 0.25, 79), (2.0, 1.0, 62)]);
    // Of a short note no more than half, also over the barline, and a chord is led to as a note is.
    let graces = "C/2|{^fg}[CE]";
    assert_eq!(notes(graces), [(0.0, 0.5, 60), (0.25, 0.125, 78), (0.375, 0.125, 79), (0.5, 1.0, 60), (0.5, 1.0, 64)]);
    // Before the first there is no time.
    assert_eq!(notes("{g}C"), [(0.0, 1.0, 60), (0.0, 0.25, 79)]);
}

#[test]
fn parts_are_played_in_the_order_of_the_header() {
    let tune = |order: &str| read(&format!("X:1\nM:4/4\nL:1/8\n{order}K:C\nP:A\nC|:D:|\nP:B\nE|[P:C]F|\n")).unwrap();
    let pitches = |score: &Score| score.tracks[0].notes.iter().map(|note| note.pitch).collect::<Vec<_>>();
    assert_eq!(pitches(&tune("")), [60, 62, 62, 64, 65]);
    assert_eq!(pitches(&tune("P:A(CB)2\n")), [60, 62, 62, 65, 64, 65, 64]);
    let unknown = tune("P:AX\n");
    assert_eq!(pitches(&unknown), [60, 62, 62, 64, 65]);
    assert!(unknown.notices[0].contains("P:"), "{:?}", unknown.notices);
}

#[test]
fn headers_are_signs_and_voices_are_tracks() {
    let score = read(
        "X:1\nT:Air\nM:6/8\nQ:3/8=60\nV:1 name=\"Flute\"\nV:2 name=\"Bass\" octave=-1\nK:Em\nV:1\n%%MIDI program 73\n|:E2F G3:|\n\
         V:2\nE6|\nX:2\nK:C\nC\n",
    )
    .unwrap();
    assert_eq!(score.title, "Air");
    let parts: Vec<(&str, u8, u8)> =
        score.tracks.iter().map(|track| (track.name.as_str(), track.program, track.notes[0].pitch)).collect();
    assert_eq!(parts, [("Flute", 73, 64), ("Bass", 0, 52)]);
    assert_eq!(
        score.tempi,
        [Tempo { tick: 0, per_minute: 90.0 }, Tempo { tick: score.tempi[1].tick, per_minute: 90.0 }]
    );
    assert_eq!(score.meters, [Meter { tick: 0, numerator: 6, denominator: 8 }]);
    assert_eq!(score.keys, [Key { tick: 0, fifths: 1, minor: true }]);
    assert!(score.notices[0].contains("first tune"), "{:?}", score.notices);
}

#[test]
fn what_is_no_tune_is_told_in_time() {
    let started = Instant::now();
    let bars = format!("K:C\n{}", "z|".repeat(1_900_000));
    let graces = format!("K:C\n{}", "{".repeat(3_000_000));
    let notes = format!("K:C\n{}", "C".repeat(3_000_000));
    let ties = format!("K:C\nC{}", "-".repeat(3_000_000));
    for text in ["", "Dear diary", "K:C\n", "K:C\nZ99999999", "K:C\nC999999999", "K:C\n[CE", &bars, &graces, &notes] {
        assert!(read(text).is_err(), "{}", text.chars().take(20).collect::<String>());
    }
    assert!(read(&ties).is_ok());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

fn score() -> impl Strategy<Value = Score> {
    scores::score(vec![1, 2, 4, 12, 24, 480], 0..1, scores::track("[A-Z]{0,9}", 12..120, 64..65))
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(score in score()) {
        let text = abc::write_text(&score, Path::new("a.abc")).unwrap();
        let read = read(&text).unwrap();
        prop_assert_eq!(read.tracks.len(), score.tracks.len());
        for (after, before) in read.tracks.iter().zip(&score.tracks) {
            prop_assert_eq!((&after.name, after.program, after.drums), (&before.name, before.program, before.drums));
            let times = |of: &Score, track: &Track| -> Vec<(i64, i64, u8)> {
                let grid = |tick| (of.beats(tick) * 1000.0).round() as i64;
                track.notes.iter().map(|note| (grid(note.onset), grid(note.end()), note.pitch)).collect()
            };
            prop_assert_eq!(times(&read, after), times(&score, before), "{}", text);
        }
        prop_assert_eq!(read.keys[0], score.keys[0]);
    }

    #[test]
    fn no_text_makes_the_reader_panic(music in "([A-Ga-gzxZ|:\\[\\]()<>{}^_=,'/&!\"+ -]|[0-9]{1,3}|\\[K:|\\[V:|\\n|\u{e9}){0,80}") {
        let _ = read(&format!("K:C\n{music}"));
        let _ = read(&music);
    }
}
