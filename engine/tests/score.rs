//! MIDI files: what is written is read again, and no file hangs or panics the reader.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ripieno_engine::score::midi::{self, WrittenPart};
use ripieno_engine::score::{Note, Score, ScoreError, TempoMap};

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
    score.notes.iter().map(|n| (n.note.onset * 960.0, n.note.end * 960.0, n.note.pitch)).collect()
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
    let track = b"\0\xc0\x28\0\xc1\x2a\0\x90\x48\x64\0\x91\x30\x64\x60\x80\x48\x40\0\x81\x30\x40";
    let score = read(&file(0, &[track])).unwrap();
    let parts: Vec<(&str, u8)> = score.tracks.iter().map(|t| (t.name.as_str(), t.program)).collect();
    assert_eq!(parts, [("Channel 1", 0x28), ("Channel 2", 0x2a)]);
    // In a type 1 file a track is a part, whatever channels it writes on.
    assert_eq!(read(&file(1, &[track])).unwrap().tracks.len(), 1);
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
    let note = read(&bytes).unwrap().notes[0].note;
    assert!((note.onset - 0.1).abs() < 1e-9 && (note.end - 0.2).abs() < 1e-9);
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
        assert_eq!(score.notes.len(), 900_001);
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

proptest! {
    #[test]
    fn what_is_written_is_read_again(parts in prop::collection::vec(part(), 1..8), program in 0u8..128) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mid");
        let names: Vec<String> = (0..parts.len()).map(|i| format!("Part {i}")).collect();
        let written: Vec<WrittenPart<'_>> =
            parts.iter().zip(&names).map(|(notes, name)| WrittenPart { name, program, notes }).collect();
        midi::write_parts(&path, &written, &TempoMap::default()).unwrap();
        let score = midi::read(&path).unwrap();
        prop_assert!(score.notices.is_empty());
        for (i, notes) in parts.iter().enumerate() {
            prop_assert_eq!((&score.tracks[i].name, score.tracks[i].program), (&names[i], program));
            let read: Vec<Note> = score.notes.iter().filter(|n| n.track == i).map(|n| n.note).collect();
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
            prop_assert!(score.notes.iter().all(|n| n.note.end > n.note.onset && n.note.onset >= 0.0));
            prop_assert!(score.notes.is_sorted_by(|a, b| a.note.onset <= b.note.onset));
        }
    }
}
