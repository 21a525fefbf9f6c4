//! MIDI files and MusPy's JSON: what is written is read again, and no file hangs or panics the reader.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ripieno_engine::score::{
    Control, Key, Meter, Note, PartNotes, Playback, Score, ScoreError, Tempo, TempoMap, TickNote, Track, midi, muspy,
};

/// A type 0 or 1 file at 480 ticks per quarter note.
fn file(format: u8, tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [b"MThd\0\0\0\x06\0".as_slice(), &[format, 0, tracks.len() as u8, 0x01, 0xe0]].concat();
    for track in tracks {
        let body = [track, b"\0\xff\x2f\0".as_slice()].concat();
        bytes.extend_from_slice(b"MTrk");
        bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Score, ScoreError> {
    midi::read_bytes(bytes, Path::new("a.mid"))
}

/// (onset, end, pitch) in ticks at the default tempo.
fn ticks(score: &Score) -> Vec<(f64, f64, u8)> {
    Playback::of(score).notes.iter().map(|n| (n.note.onset * 960.0, n.note.end * 960.0, n.note.pitch)).collect()
}

#[test]
fn a_pedal_in_one_track_holds_the_notes_of_every_track_on_its_channel() {
    let right = b"\0\xb0\x40\x7f\0\x90\x48\x64\x60\x80\x48\x40\x60\xb0\x40\0";
    let left = b"\0\x90\x30\x64\x30\x80\x30\x40";
    let other = b"\0\x91\x3c\x64\x30\x81\x3c\x40";
    let score = read(&file(1, &[right, left, other])).unwrap();
    assert_eq!(ticks(&score), [(0.0, 192.0, 48), (0.0, 48.0, 60), (0.0, 192.0, 72)]);
}

#[test]
fn running_status_and_note_ons_of_no_velocity_are_understood() {
    let score = read(&file(0, &[b"\0\x90\x3c\x64\x60\x3c\0\0\x3e\x64\x60\x3e\0"])).unwrap();
    assert_eq!(ticks(&score), [(0.0, 96.0, 60), (96.0, 192.0, 62)]);
}

#[test]
fn the_channels_of_a_type_0_file_are_its_parts() {
    let track = b"\0\xc0\x28\0\xc1\x28\0\x90\x48\x64\0\x91\x30\x64\x60\x80\x48\x40\0\x81\x30\x40";
    let parts: Vec<(String, u8)> =
        read(&file(0, &[track])).unwrap().tracks.into_iter().map(|t| (t.name, t.program)).collect();
    assert_eq!(parts, [("Channel 1".into(), 0x28), ("Channel 2".into(), 0x28)]);
}

#[test]
fn in_a_type_1_file_channels_of_a_track_are_one_part_unless_their_programs_differ() {
    // A guitar that gives each string a channel is one guitar.
    let strings = b"\0\xc0\x18\0\xc1\x18\0\x90\x48\x64\0\x91\x30\x64\x60\x80\x48\x40\0\x81\x30\x40";
    assert_eq!(read(&file(1, &[strings])).unwrap().tracks.len(), 1);
    let duo = b"\0\xc0\x28\0\xc1\x2a\0\x90\x48\x64\0\x91\x30\x64\x60\x80\x48\x40\0\x81\x30\x40";
    let programs: Vec<u8> = read(&file(1, &[duo])).unwrap().tracks.iter().map(|t| t.program).collect();
    assert_eq!(programs, [0x28, 0x2a]);
}

#[test]
fn drums_are_a_track_of_their_own_that_is_not_played() {
    let both = b"\0\x99\x24\x64\0\x90\x3c\x64\x60\x89\x24\x40\0\x80\x3c\x40";
    let score = read(&file(1, &[both])).unwrap();
    assert_eq!(score.tracks.iter().map(|t| (t.drums, t.notes[0].pitch)).collect::<Vec<_>>(), [(false, 60), (true, 36)]);
    let played = Playback::of(&score);
    assert_eq!(ticks(&score), [(0.0, 96.0, 60)]);
    assert!(played.notices[0].contains("drum"), "{:?}", played.notices);
}

#[test]
fn tempi_meters_keys_and_names_are_read() {
    let signs = b"\0\xff\x03\x05Waltz\0\xff\x51\x03\x0f\x42\x40\0\xff\x58\x04\x03\x02\x18\x08\x60\xff\x59\x02\xfd\x01";
    let notes = b"\0\xff\x03\x05Flute\0\x90\x3c\x64\x60\x80\x3c\x40";
    let score = read(&file(1, &[signs, notes])).unwrap();
    assert_eq!((score.title.as_str(), score.tracks[0].name.as_str()), ("Waltz", "Flute"));
    assert_eq!(score.tempi, [Tempo { tick: 0, per_minute: 60.0 }]);
    assert_eq!(score.meters, [Meter { tick: 0, numerator: 3, denominator: 4 }]);
    assert_eq!(score.keys, [Key { tick: 96, fifths: -3, minor: true }]);
}

#[test]
fn a_note_that_is_never_ended_is_closed_with_a_notice() {
    let score = read(&file(0, &[b"\0\x90\x3c\x64\0\x90\x40\x64\x60\x80\x40\x40"])).unwrap();
    assert_eq!(ticks(&score), [(0.0, 96.0, 60), (0.0, 96.0, 64)]);
    assert!(score.notices[0].starts_with("1 notes were never ended"), "{:?}", score.notices);
}

#[test]
fn smpte_time_is_seconds_and_ignores_tempo() {
    // 25 frames of 40 ticks a second are milliseconds.
    let mut bytes = file(0, &[b"\0\xff\x51\x03\x01\0\0\x64\x90\x3c\x64\x64\x80\x3c\x40"]);
    (bytes[12], bytes[13]) = (0xe7, 40);
    let note = Playback::of(&read(&bytes).unwrap()).notes[0].note;
    assert!((note.onset - 0.1).abs() < 1e-9 && (note.end - 0.2).abs() < 1e-9);
}

#[test]
fn no_number_of_frames_a_second_makes_the_reader_panic() {
    let mut bytes = file(0, &[b"\0\x90\x3c\x64\x64\x80\x3c\x40"]);
    let known: Vec<u8> = (0x80..=0xff)
        .filter(|&frames| {
            (bytes[12], bytes[13]) = (frames, 40);
            read(&bytes).is_ok()
        })
        .collect();
    // 30, 29.97, 25 and 24, negated.
    assert_eq!(known, [0xe2, 0xe3, 0xe7, 0xe8]);
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_and_never_half_a_piece() {
    let whole = file(1, &[b"\0\x90\x3c\x64\x60\x80\x3c\x40", b"\0\x91\x3c\x64\x60\x81\x3c\x40"]);
    assert!(read(&whole).is_ok());
    let second = whole.windows(4).rposition(|name| name == b"MTrk").unwrap();
    for length in 0..whole.len() {
        // Cut exactly between tracks the rest is a whole file by itself.
        if !(second..second + 8).contains(&length) {
            assert!(read(&whole[..length]).is_err(), "{length} bytes");
        }
    }
    assert!(matches!(read(&whole[..whole.len() - 3]), Err(ScoreError::Truncated { .. })));
}

#[test]
fn padding_after_the_last_track_is_no_fault() {
    let mut bytes = file(0, &[b"\0\x90\x3c\x64\x60\x80\x3c\x40"]);
    bytes.extend([0; 100]);
    assert!(read(&bytes).is_ok());
}

#[test]
fn a_million_keys_that_never_go_up_are_read_in_seconds() {
    for (event, tail) in [([0u8, 0x3c, 0x64], &b""[..]), ([0, 0x3c, 0x64], b"\0\xb0\x40\x7f")] {
        let mut track = b"\0\x90\x3c\x64".to_vec();
        track.extend(event.iter().copied().cycle().take(3 * 900_000));
        track.extend(tail);
        let started = Instant::now();
        let score = read(&file(0, &[&track])).unwrap();
        assert_eq!(Playback::of(&score).notes.len(), 900_001);
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}

#[test]
fn more_notes_than_anybody_means_are_refused() {
    let mut track = b"\0\x90\x3c\x64".to_vec();
    track.extend([0u8, 0x3c, 0x64].into_iter().cycle().take(3 * 1_000_001));
    assert!(matches!(read(&file(0, &[&track])), Err(ScoreError::TooLarge { .. })));
}

fn part() -> impl Strategy<Value = Vec<Note>> {
    // Ticks of 1/960 s at 120, each key free again before its next note.
    prop::collection::vec((1u32..2_000, 1u32..2_000, 0u8..128, 1u8..128), 1..40).prop_map(|notes| {
        let mut free = [0u32; 128];
        let mut part: Vec<Note> = notes
            .into_iter()
            .map(|(wait, length, pitch, velocity)| {
                let onset = free[usize::from(pitch)] + wait - 1;
                free[usize::from(pitch)] = onset + length;
                Note { onset: f64::from(onset) / 960.0, end: f64::from(onset + length) / 960.0, pitch, velocity }
            })
            .collect();
        part.sort_by(|a, b| a.onset.total_cmp(&b.onset).then(a.pitch.cmp(&b.pitch)));
        part
    })
}

/// Notes of one track, each key free again before its next note.
fn ticked() -> impl Strategy<Value = Vec<TickNote>> {
    prop::collection::vec((0u64..2_000, 0u64..2_000, 0u8..128, 1u8..128), 0..40).prop_map(|notes| {
        let mut free = [0u64; 128];
        let mut track: Vec<TickNote> = notes
            .into_iter()
            .map(|(wait, duration, pitch, velocity)| {
                let onset = free[usize::from(pitch)] + wait;
                // The note after one of no length is a tick later: at one tick their ends could not be told apart.
                free[usize::from(pitch)] = onset + duration.max(1);
                TickNote { onset, pitch, duration, velocity }
            })
            .collect();
        track.sort();
        track
    })
}

fn track() -> impl Strategy<Value = Track> {
    let control = (0u64..5_000, 0u8..120, 0u8..128).prop_map(|(tick, number, value)| Control { tick, number, value });
    ("[a-zA-Z]{1,12}", 0u8..128, any::<bool>(), ticked(), prop::collection::vec(control, 1..9)).prop_map(
        |(name, program, drums, notes, mut controls)| {
            controls.sort_by_key(|control| control.tick);
            Track { name, program, drums, channel: None, notes, controls }
        },
    )
}

fn score() -> impl Strategy<Value = Score> {
    let tempo = (0u64..5_000, 4u32..16_000_000).prop_map(|(tick, us)| Tempo { tick, per_minute: 60e6 / f64::from(us) });
    let meter = (0u64..5_000, 1u32..20, 0u32..6).prop_map(|(tick, numerator, power)| Meter {
        tick,
        numerator,
        denominator: 1 << power,
    });
    let key = (0u64..5_000, -7i8..8, any::<bool>()).prop_map(|(tick, fifths, minor)| Key { tick, fifths, minor });
    let signs =
        (prop::collection::vec(tempo, 0..4), prop::collection::vec(meter, 0..4), prop::collection::vec(key, 0..4));
    ("[a-z]{0,9}", 1u32..0x8000, signs, prop::collection::vec(track(), 1..6)).prop_map(
        |(title, resolution, (tempi, meters, keys), tracks)| {
            let mut score = Score { title, resolution, tempi, meters, keys, tracks, notices: Vec::new() };
            score.sort();
            // Controllers long after the last note are let go.
            let last = score.end() + 64 * u64::from(resolution);
            score.tracks.iter_mut().for_each(|track| track.controls.retain(|control| control.tick <= last));
            score
        },
    )
}

proptest! {
    #[test]
    fn a_score_that_is_written_as_midi_is_read_again(score in score()) {
        let notes: usize = score.tracks.iter().map(|track| track.notes.len()).sum();
        match read(&midi::write_bytes(&score).unwrap()) {
            Ok(mut read) => {
                for (i, track) in read.tracks.iter_mut().enumerate() {
                    let melodic = (i % 15) as u8;
                    let expected = if score.tracks[i].drums { 9 } else { melodic + u8::from(melodic >= 9) };
                    prop_assert_eq!(track.channel.take(), Some(expected));
                }
                for (read, written) in read.tempi.iter_mut().zip(&score.tempi) {
                    prop_assert!((read.per_minute / written.per_minute - 1.0).abs() < 1e-12);
                    read.per_minute = written.per_minute;
                }
                prop_assert_eq!(read, score);
            }
            Err(ScoreError::NoNotes { .. }) => prop_assert_eq!(notes, 0),
            Err(ScoreError::TooLarge { .. }) => prop_assert!(score.seconds() > 6.0 * 3600.0),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn a_score_that_is_written_as_muspys_json_is_read_again(score in score()) {
        match muspy::read_bytes(muspy::write_bytes(&score).as_bytes(), Path::new("a.json")) {
            Ok(mut read) => {
                for (read, written) in read.tempi.iter_mut().zip(&score.tempi) {
                    prop_assert!((read.per_minute / written.per_minute - 1.0).abs() < 1e-12);
                    read.per_minute = written.per_minute;
                }
                prop_assert_eq!(read, score);
            }
            Err(ScoreError::NoNotes { .. }) => prop_assert!(score.tracks.iter().all(|track| track.notes.is_empty())),
            Err(ScoreError::TooLarge { .. }) => prop_assert!(score.seconds() > 6.0 * 3600.0),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn what_was_played_is_written_down_and_played_again(parts in prop::collection::vec(part(), 1..8), program in 0u8..128) {
        let names: Vec<String> = (0..parts.len()).map(|i| format!("Part {i}")).collect();
        let written: Vec<PartNotes<'_>> =
            parts.iter().zip(&names).map(|(notes, name)| PartNotes { name, program, notes }).collect();
        let bytes = midi::write_bytes(&Score::of_parts(&written, &TempoMap::default())).unwrap();
        let played = Playback::of(&read(&bytes).unwrap());
        prop_assert!(played.notices.is_empty());
        for (i, notes) in parts.iter().enumerate() {
            prop_assert_eq!((&played.tracks[i].name, played.tracks[i].program), (&names[i], program));
            let read: Vec<Note> = played.notes.iter().filter(|n| n.track == i).map(|n| n.note).collect();
            prop_assert_eq!(read.len(), notes.len());
            for (read, note) in read.iter().zip(notes) {
                prop_assert_eq!((read.pitch, read.velocity), (note.pitch, note.velocity));
                prop_assert!((read.onset - note.onset).abs() < 1e-9 && (read.end - note.end).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn seconds_and_beats_are_inverse_for_any_tempi(
        changes in prop::collection::vec((0.0f64..500.0, 0.05f64..4.0), 0..30),
        beat in 0.0f64..1000.0,
    ) {
        let map = TempoMap::new(changes);
        prop_assert!((map.beat_at(map.seconds_at(beat)) - beat).abs() < 1e-6);
        prop_assert!(map.seconds_at(beat) <= map.seconds_at(beat + 0.001));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), format in 0u8..4) {
        let _ = read(&bytes);
        let _ = read(&file(format, &[&bytes]));
        if let Ok(score) = read(&file(format, &[&bytes, &bytes])) {
            let played = Playback::of(&score);
            prop_assert!(played.notes.iter().all(|n| n.note.end > n.note.onset && n.note.onset >= 0.0));
            prop_assert!(played.notes.is_sorted_by(|a, b| a.note.onset <= b.note.onset));
        }
    }
}
