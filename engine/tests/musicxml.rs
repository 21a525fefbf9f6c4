//! MusicXML files: what they say is what sounds, what is written is read again, and no file hangs or fills the memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scores;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ripieno_engine::score::{Control, Meter, Playback, Score, ScoreError, Tempo, TickNote, Track, musicxml};

fn read(text: &str) -> Result<Score, ScoreError> {
    musicxml::read_bytes(text.as_bytes(), Path::new("a.musicxml"))
}

/// A score of one part, with two divisions of the quarter note, from the inside of its measures.
fn part(measures: &[&str]) -> String {
    let mut out = String::from(
        "<?xml version='1.0'?><!DOCTYPE score-partwise PUBLIC '-//Recordare//DTD MusicXML 4.0 Partwise//EN' 'x.dtd'>\
         <score-partwise><part-list><score-part id='P'><part-name>Horn</part-name><midi-instrument id='I'>\
         <midi-program>61</midi-program></midi-instrument></score-part></part-list><part id='P'>",
    );
    for (i, measure) in measures.iter().enumerate() {
        let divisions = if i == 0 { "<attributes><divisions>2</divisions></attributes>" } else { "" };
        let _ = write!(out, "<measure number='{i}'>{divisions}{measure}</measure>");
    }
    out + "</part></score-partwise>"
}

/// A note: step and octave as "C4", duration in eighths, and more elements before and after the duration.
fn note(name: &str, duration: u32, before: &str, after: &str) -> String {
    let (step, octave) = name.split_at(1);
    format!(
        "<note>{before}<pitch><step>{step}</step><octave>{octave}</octave></pitch><duration>{duration}</duration>{after}</note>"
    )
}

fn plain(name: &str, duration: u32) -> String {
    note(name, duration, "", "")
}

/// (onset, duration, pitch) of the notes of the first track, in eighths.
fn notes(measures: &[&str]) -> Vec<(f64, f64, u8)> {
    let score = read(&part(measures)).unwrap();
    let eighths = |ticks: u64| ticks as f64 * 2.0 / f64::from(score.resolution);
    score.tracks[0].notes.iter().map(|note| (eighths(note.onset), eighths(note.duration), note.pitch)).collect()
}

#[test]
fn names_programs_and_titles_are_read() {
    let score = read(&part(&[&plain("C4", 2)])).unwrap();
    assert_eq!((score.tracks[0].name.as_str(), score.tracks[0].program), ("Horn", 60));
}

#[test]
fn chords_voices_and_rests_take_their_time() {
    let chord = plain("C4", 2) + &note("E4", 2, "<chord/>", "");
    let measure = chord
        + "<note><rest/><duration>2</duration></note>"
        + "<backup><duration>4</duration></backup>"
        + "<forward><duration>1</duration></forward>"
        + &plain("C3", 3);
    assert_eq!(notes(&[&measure, &plain("D4", 4)]), [(0.0, 2.0, 60), (0.0, 2.0, 64), (1.0, 3.0, 48), (4.0, 4.0, 62)]);
}

#[test]
fn ties_join_notes_over_barlines_and_in_chords() {
    let start = note("C4", 4, "", "<tie type='start'/>");
    let both = note("C4", 4, "", "<tie type='stop'/><tie type='start'/>") + &note("G4", 4, "<chord/>", "");
    let stop = note("C4", 2, "", "<notations><tied type='stop'/></notations>");
    assert_eq!(notes(&[&start, &both, &(stop + &plain("C4", 2))]), [(0.0, 10.0, 60), (4.0, 4.0, 67), (10.0, 2.0, 60)]);
}

#[test]
fn repeats_are_played_with_their_endings() {
    let ending = |number: u32, name: &str, back: &str| {
        format!(
            "<barline location='left'><ending number='{number}' type='start'/></barline>{}<barline location='right'>\
             <ending number='{number}' type='stop'/>{back}</barline>",
            plain(name, 2)
        )
    };
    let pitches: Vec<u8> =
        notes(&[&plain("C4", 2), &ending(1, "D4", "<repeat direction='backward'/>"), &ending(2, "E4", "")])
            .iter()
            .map(|note| note.2)
            .collect();
    assert_eq!(pitches, [60, 62, 60, 64]);
}

#[test]
fn transposing_instruments_sound_where_they_sound() {
    // A horn in F: written C4 in D major sounds F3 in G major.
    let attributes = "<attributes><key><fifths>2</fifths></key><transpose><diatonic>-4</diatonic><chromatic>-7</chromatic>\
        </transpose></attributes>";
    let text = part(&[&(attributes.to_owned() + &plain("C4", 2))]);
    let score = read(&text).unwrap();
    assert_eq!(score.tracks[0].notes[0].pitch, 53);
    assert_eq!(score.keys[0].fifths, 1);
}

#[test]
fn grace_notes_sound_before_the_note_they_lead_to() {
    let grace = "<note><grace/><pitch><step>B</step><octave>3</octave></pitch></note>";
    assert_eq!(
        notes(&[&(plain("C4", 2) + grace + &plain("D4", 2))]),
        [(0.0, 2.0, 60), (1.75, 0.25, 59), (2.0, 2.0, 62)]
    );
}

#[test]
fn tempo_dynamics_meter_and_upbeat_are_read() {
    let time = "<attributes><time><beats>3</beats><beat-type>4</beat-type></time></attributes>";
    let metronome = "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>c. 40\
        </per-minute></metronome></direction-type></direction>";
    let loud = "<direction><direction-type><dynamics><ff/></dynamics></direction-type></direction>";
    let bar = metronome.to_owned() + &plain("C4", 4) + loud + &plain("C4", 2);
    let score = read(&part(&[&(time.to_owned() + &plain("G3", 2)), &bar])).unwrap();
    assert_eq!(score.tracks[0].notes.iter().map(|note| note.velocity).collect::<Vec<_>>(), [64, 64, 112]);
    let meter = |tick| Meter { tick, numerator: 3, denominator: 4 };
    assert_eq!(score.meters, [meter(0), meter(2)], "the meter begins again after the upbeat");
    assert_eq!(score.tempi, [Tempo { tick: 2, per_minute: 60.0 }]);
}

#[test]
fn a_timewise_score_is_the_partwise_one_turned_round() {
    let (first, second) = (plain("C4", 8), plain("D4", 8) + "<barline><repeat direction='backward'/></barline>");
    let divisions = "<attributes><divisions>2</divisions></attributes>";
    let measure =
        |horn: &str, flute: &str| format!("<measure><part id='P'>{horn}</part><part id='Q'>{flute}</part></measure>");
    let timewise = format!(
        "<score-timewise><part-list><score-part id='P'><part-name>Horn</part-name></score-part><score-part id='Q'>\
         <part-name>Flute</part-name></score-part></part-list>{}{}</score-timewise>",
        measure(&format!("{divisions}{first}"), &format!("{divisions}{}", plain("G5", 8))),
        measure(&second, &plain("A5", 8)),
    );
    let score = read(&timewise).unwrap();
    let names: Vec<&str> = score.tracks.iter().map(|track| track.name.as_str()).collect();
    assert_eq!(names, ["Horn", "Flute"]);
    let pitches = |track: usize| score.tracks[track].notes.iter().map(|note| note.pitch).collect::<Vec<_>>();
    assert_eq!([pitches(0), pitches(1)], [[60, 62, 60, 62], [79, 81, 79, 81]]);
}

#[test]
fn pedals_are_controllers_and_repeated_with_their_measures() {
    let sign = |kind: &str| format!("<direction><direction-type><pedal type='{kind}'/></direction-type></direction>");
    let heard =
        "<direction><direction-type><pedal type='start'/></direction-type><sound damper-pedal='50'/></direction>";
    let soft = "<sound soft-pedal='yes'/>";
    let first = [sign("start"), plain("C4", 4), sign("change"), plain("D4", 4), sign("stop")];
    let second = format!("{heard}{soft}{}<barline><repeat direction='backward'/></barline>", plain("E4", 8));
    let score = read(&part(&[&first.concat(), &second])).unwrap();
    let eighths = |tick: u64| tick * 2 / u64::from(score.resolution);
    let found: Vec<_> = score.tracks[0].controls.iter().map(|c| (eighths(c.tick), c.number, c.value)).collect();
    let once = [(0, 64, 127), (4, 64, 0), (4, 64, 127), (8, 64, 0), (8, 64, 64), (8, 67, 127)];
    let twice = once.map(|(tick, number, value)| (tick + 16, number, value));
    assert_eq!(found, [once, twice].concat());
}

#[test]
fn a_pedal_is_heard_as_long_when_written_and_read_again() {
    let of = |channel, notes: &[(u64, u8)], controls: &[(u64, u8)]| Track {
        channel: Some(channel),
        notes: notes.iter().map(|&(onset, pitch)| TickNote { onset, pitch, duration: 1, velocity: 90 }).collect(),
        controls: controls.iter().map(|&(tick, value)| Control { tick, number: 64, value }).collect(),
        ..Track::default()
    };
    // The right hand has the pedal, also of the left: down, changed with the third beat, lifted two beats after the end.
    let right = of(0, &[(0, 72), (4, 74)], &[(0, 127), (4, 0), (4, 100), (7, 20)]);
    let tracks = vec![right, of(0, &[(2, 48)], &[]), of(1, &[(0, 60)], &[])];
    let score = Score { resolution: 2, tracks, ..Score::default() };
    let heard = |score: &Score| -> Vec<(u8, f64)> {
        Playback::of(score).notes.iter().map(|played| (played.note.pitch, played.note.end)).collect()
    };
    assert_eq!(heard(&score), [(60, 0.25), (72, 1.0), (48, 1.0), (74, 1.75)]);
    let read = read(&musicxml::write_bytes(&score, Path::new("a.musicxml")).unwrap()).unwrap();
    assert_eq!(heard(&read), heard(&score));
}

#[test]
fn every_bad_file_gets_its_own_sentence() {
    let whole = part(&[&plain("C4", 2)]);
    assert!(matches!(read(""), Err(ScoreError::Empty { .. })));
    for cut in [10, whole.len() / 2, whole.len() - 1] {
        assert!(matches!(read(&whole[..cut]), Err(ScoreError::Malformed { .. })), "{cut} bytes");
    }
    assert!(matches!(read("<score-timewise/>"), Err(ScoreError::NoNotes { .. })));
    let lacks = "<score-timewise><measure><part id='P'/></measure><measure><part id='Q'/></measure></score-timewise>";
    assert!(read(lacks).unwrap_err().to_string().contains("lacks one of its parts"));
    assert!(matches!(read("<score-partwise/>"), Err(ScoreError::NoNotes { .. })));
    let wrong = part(&[&note("X4", 2, "", "")]);
    assert!(read(&wrong).unwrap_err().to_string().contains("step"), "{wrong}");
    let long = part(&[&plain("C4", 99_999_999), &plain("C4", 4_000_000_000)]);
    assert!(matches!(read(&long), Err(ScoreError::TooLarge { .. })));
}

fn in_bounded_time(bytes: &[u8]) {
    let started = Instant::now();
    assert!(musicxml::read_bytes(bytes, Path::new("a.mxl")).is_err());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn depth_entities_and_repeats_without_end_are_refused_in_time() {
    in_bounded_time(("<a>".repeat(1_000_000) + &"</a>".repeat(1_000_000)).as_bytes());
    in_bounded_time("<a>".repeat(3_000_000).as_bytes());
    let laughs = "<!DOCTYPE score-partwise [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>\
        <!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>\
        <!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>]><score-partwise>&e;&e;</score-partwise>";
    in_bounded_time(laughs.as_bytes());
    let back = "<barline location='right'><repeat direction='backward' times='4000000000'/></barline>";
    in_bounded_time(part(&[&(plain("C4", 2) + back)]).as_bytes());
    let notes =
        plain("C4", 1).repeat(30_000) + "<barline location='right'><repeat direction='backward' times='99'/></barline>";
    in_bounded_time(part(&[&notes]).as_bytes());
}

#[test]
fn five_notes_in_the_time_of_four_take_a_fifth_each() {
    let fifth = "<time-modification><actual-notes>5</actual-notes><normal-notes>4</normal-notes></time-modification>";
    // Divisions of ten: a quarter note is ten, five sixteenths in its time are two each.
    let ten = "<attributes><divisions>10</divisions></attributes>";
    let quintuplet: String =
        ["C4", "D4", "E4", "F4", "G4"].map(|name| note(name, 2, "", &format!("<type>16th</type>{fifth}"))).concat();
    let score = read(&part(&[&format!("{ten}{quintuplet}{}", plain("A4", 10))])).unwrap();
    let beats: Vec<(f64, f64)> =
        score.tracks[0].notes.iter().map(|n| (score.beats(n.onset), score.beats(n.duration))).collect();
    assert_eq!(beats, [(0.0, 0.2), (0.2, 0.2), (0.4, 0.2), (0.6, 0.2), (0.8, 0.2), (1.0, 1.0)]);
}

#[test]
fn da_capo_dal_segno_and_coda_are_played_as_sound_or_as_words_say() {
    let pitches = |measures: [&str; 4]| -> Vec<u8> { notes(&measures).iter().map(|note| note.2).collect() };
    let [c, d, e, f] = ["C4", "D4", "E4", "F4"].map(|name| plain(name, 8));
    let said = |what: &str| format!("<direction><sound {what}/></direction>");
    let words = |what: &str| format!("<direction><direction-type><words>{what}</words></direction-type></direction>");
    let sign = |what: &str| format!("<direction><direction-type><{what}/></direction-type></direction>");
    for (fine, da_capo) in [(said("fine='yes'"), said("dacapo='yes'")), (words("Fine"), words("D.C. al Fine"))] {
        assert_eq!(pitches([&c, &(d.clone() + &fine), &e, &(f.clone() + &da_capo)]), [60, 62, 64, 65, 60, 62]);
    }
    for (segno, dal_segno, to_coda, coda) in [
        (said("segno='s'"), said("dalsegno='s'"), said("tocoda='c'"), said("coda='c'")),
        (sign("segno"), words("D.S. al Coda"), words("To Coda"), sign("coda")),
    ] {
        let measures = [&c, &(segno + &d + &to_coda), &(e.clone() + &dal_segno), &(coda + &f)];
        assert_eq!(pitches(measures.map(String::as_str)), [60, 62, 64, 62, 65]);
    }
}

#[test]
fn an_archive_says_which_of_its_files_is_the_score() {
    let files = |contents: &str| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let (other, score) = (part(&[&plain("C4", 2)]), part(&[&plain("D4", 2)]));
        for (name, text) in [("META-INF/container.xml", contents), ("a.xml", &other), ("scores/b.musicxml", &score)] {
            archive.start_file(name, stored).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        let bytes = archive.finish().unwrap().into_inner();
        musicxml::read_bytes(&bytes, Path::new("a.mxl")).unwrap().tracks[0].notes[0].pitch
    };
    let contents = "<container><rootfiles><rootfile full-path='scores/b.musicxml'/></rootfiles></container>";
    assert_eq!([files(contents), files("nothing")], [62, 60]);
}

/// An archive with one file of that many equal bytes.
fn bomb(size: usize) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("score.xml", deflated).unwrap();
    let block = vec![b' '; 1 << 20];
    for _ in 0..size >> 20 {
        archive.write_all(&block).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_zip_bomb_is_refused_before_it_fills_the_memory() {
    let bytes = bomb(1 << 30);
    assert!(bytes.len() < 2 << 20);
    let started = Instant::now();
    assert!(matches!(musicxml::read_bytes(&bytes, Path::new("a.mxl")), Err(ScoreError::TooLarge { .. })));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_damaged_archive_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mxl");
    read(&part(&[&plain("C4", 2)])).unwrap().write(&path).unwrap();
    assert_eq!(Score::read(&path).unwrap().tracks[0].notes.len(), 1);
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        assert!(musicxml::read_bytes(&bytes[..cut], &path).is_err(), "{cut} bytes");
    }
    for flip in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[flip] ^= 0xff;
        let _ = musicxml::read_bytes(&bytes, &path);
    }
}

fn pedals() -> impl Strategy<Value = Vec<Control>> {
    let control = (0u64..3_000, prop::sample::select(vec![64, 66, 67]), 0u8..128);
    prop::collection::vec(control.prop_map(|(tick, number, value)| Control { tick, number, value }), 0..6)
}

fn score() -> impl Strategy<Value = Score> {
    let track = scores::track("[A-Z&<>\"' ]{0,9}[a-z]", 0..128, 1..128);
    let track = (track, pedals()).prop_map(|(track, controls)| Track { controls, ..track });
    scores::score(vec![1, 2, 12, 24, 60, 480], 0..4, track)
}

/// Beats and quarter notes a minute of the changes of tempo before a beat, without those that change nothing.
fn tempi(score: &Score, end: f64) -> Vec<(f64, f64)> {
    let mut tempi: Vec<(f64, f64)> = score.tempi.iter().map(|t| (score.beats(t.tick), t.per_minute)).collect();
    tempi.dedup_by_key(|tempo| tempo.1);
    tempi.retain(|tempo| tempo.0 < end);
    tempi
}

/// The meter in force at a beat; 4/4 before any.
fn meter_at(score: &Score, beat: f64) -> (u32, u32) {
    let last = score.meters.iter().rfind(|meter| score.beats(meter.tick) <= beat);
    last.map_or((4, 4), |meter| (meter.numerator, meter.denominator))
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(score in score()) {
        let text = musicxml::write_bytes(&score, Path::new("a.musicxml")).unwrap();
        let read = read(&text).unwrap();
        prop_assert_eq!(read.tracks.len(), score.tracks.len());
        let beats = |of: &Score, tick: u64| of.beats(tick);
        // Controllers long after the last note are let go.
        let last = score.end() + 64 * u64::from(score.resolution);
        for (after, before) in read.tracks.iter().zip(&score.tracks) {
            prop_assert_eq!((&after.name, after.program, after.drums), (&before.name, before.program, before.drums));
            let moves = |of: &Score, track: &Track| -> Vec<(f64, u8, u8)> {
                track.controls.iter().map(|c| (of.beats(c.tick), c.number, c.value)).collect()
            };
            let mut kept = before.clone();
            kept.controls.retain(|control| control.tick <= last);
            prop_assert_eq!(moves(&read, after), moves(&score, &kept));
            prop_assert_eq!(after.notes.len(), before.notes.len());
            for (a, b) in after.notes.iter().zip(&before.notes) {
                prop_assert_eq!((a.pitch, a.velocity), (b.pitch, b.velocity));
                prop_assert!((beats(&read, a.onset) - beats(&score, b.onset)).abs() < 1e-9);
                prop_assert!((beats(&read, a.end()) - beats(&score, b.end())).abs() < 1e-9);
            }
        }
        if score.tracks.iter().any(|track| !track.drums) {
            prop_assert_eq!((read.keys[0].fifths, read.keys[0].minor), (score.keys[0].fifths, score.keys[0].minor));
        }
        let end = score.beats(score.end());
        prop_assert_eq!(tempi(&read, end), tempi(&score, end));
        // Every meter begins a measure, and is in force wherever it was; it may be said again.
        let changes = [&read, &score].map(|of| of.meters.iter().map(|meter| of.beats(meter.tick)).collect::<Vec<_>>());
        for beat in changes.concat().into_iter().chain([0.0]).filter(|beat| *beat < end) {
            prop_assert_eq!(meter_at(&read, beat), meter_at(&score, beat), "at beat {}", beat);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(inside in "(<(note|chord/|grace/|rest/|pitch|/note|/pitch|step|/step|backup|/backup)>|[0-9A-G-]{1,3}){0,60}") {
        let _ = read(&inside);
        let _ = read(&part(&[&inside]));
    }
}
