//! The program `ripieno` as a musician runs it: what it writes, and what it says when it cannot.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ripieno_engine::score::{
    Control, Key, Meter, Note, PartNotes, Playback, Score, Tempo, TickNote, Track, midi, musicxml,
};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets").join(name)
}

fn ripieno(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripieno"));
    command.args(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// What it said, having failed with one line on the error output.
fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("ripieno: ") && text.trim_end().lines().count() == 1, "{text}");
    text
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_unusable_input_gets_one_sentence_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = tempfile::tempdir().unwrap();
    let matrix: [(&str, &[u8], &str); 4] = [
        ("empty.mid", b"", "is empty"),
        ("text.mid", b"Dear diary, today I practised.", "is not a MIDI file"),
        ("cut.mid", b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x40\0\x90\x3c\x64", "ends in the middle"),
        ("silent.mid", b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x04\0\xff\x2f\0", "has no notes"),
    ];
    for (name, bytes, sentence) in matrix {
        let input = inputs.path().join(name);
        std::fs::write(&input, bytes).unwrap();
        let output = folder.path().join("out.wav");
        let said = refusal(&ripieno(&["render", input.to_str().unwrap(), "-o", output.to_str().unwrap()], &[]));
        assert!(said.contains(sentence), "{name}: {said}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_missing_file_folder_or_ensemble_is_named_before_anything_is_loaded() {
    let demo = asset("demo.mid");
    let demo = demo.to_str().unwrap();
    let nowhere = [("RIPIENO_MODELS", "/nowhere"), ("RIPIENO_ONNXRUNTIME", "/nowhere/libonnxruntime.so")];
    let matrix: [(&[&str], &str); 5] = [
        (&["render", "/nowhere/a.mid", "-o", "/tmp/a.wav"], "/nowhere/a.mid cannot be read"),
        (&["render", demo, "-o", "/nowhere/a.wav"], "/nowhere/a.wav cannot be written"),
        (&["render", demo, "-o", "/tmp"], "/tmp is a folder"),
        (&["render", demo, "-o", demo], "is the file to be read"),
        (&["render", demo, "-o", "/tmp/a.wav", "--ensemble", "string-quartett"], "Did you mean \"string-quartet\"?"),
    ];
    for (arguments, sentence) in matrix {
        let said = refusal(&ripieno(arguments, &nowhere));
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_missing_onnx_runtime_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("a.wav");
    let environment = [("RIPIENO_ONNXRUNTIME", "/nowhere/libonnxruntime.so")];
    let demo = asset("demo.mid");
    let said = refusal(&ripieno(&["render", demo.to_str().unwrap(), "-o", output.to_str().unwrap()], &environment));
    assert!(said.contains("/nowhere/libonnxruntime.so"), "{said}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn the_list_of_performances_says_what_they_were_made_from() {
    let told = String::from_utf8(ripieno(&["performances"], &[]).stdout).unwrap();
    assert!(
        told.contains("General MIDI: 41, 42, 43, 44; made from: SoundFont FluidR3_GM, samples cello_bigcat"),
        "{told}"
    );
    assert_eq!(told.matches("made from: ").count(), told.matches("players: ").count());
}

#[test]
fn the_doctor_lists_every_fault() {
    let environment = [("RIPIENO_MODELS", "/nowhere"), ("RIPIENO_ONNXRUNTIME", "/nowhere/libonnxruntime.so")];
    let output = ripieno(&["doctor"], &environment);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("WRONG"));
    assert!(ripieno(&["doctor"], &[]).status.success());
}

/// Copies a folder with the folders in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, target).unwrap();
        }
    }
}

#[test]
fn with_a_damaged_model_the_doctor_names_it_and_the_others_arrange() {
    let folder = tempfile::tempdir().unwrap();
    copy(&asset("../models"), folder.path());
    for damaged in ["game_research_online", "pop_research_online"] {
        std::fs::write(folder.path().join(format!("arranger/{damaged}.onnx")), b"no model").unwrap();
    }
    let environment = [("RIPIENO_MODELS", folder.path().to_str().unwrap())];
    let doctor = ripieno(&["doctor"], &environment);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(!doctor.status.success());
    let wrong = |words: &str| said.lines().filter(|line| line.contains("WRONG") && line.contains(words)).count();
    // Each file, and each ensemble that asks for it: the chip trio; the rock band, and piano and strings.
    assert_eq!((wrong("game_research_online.onnx"), wrong("pop_research_online.onnx"), wrong("")), (2, 3, 5), "{said}");
    let demo = asset("demo.mid");
    for (ensemble, by_range) in [("string-quartet", false), ("chip-trio", true)] {
        let output = folder.path().join("out.mid");
        let arguments = ["arrange", demo.to_str().unwrap(), "--ensemble", ensemble, "-o", output.to_str().unwrap()];
        let arranged = ripieno(&arguments, &environment);
        let said = String::from_utf8(arranged.stderr).unwrap();
        assert!(arranged.status.success() && output.is_file(), "{said}");
        assert_eq!(said.contains("by range alone") && said.contains("game_research_online.onnx"), by_range, "{said}");
    }
}

/// A keyboard's piece of four voices in thirty-two chords, with drums, signs and a pedal.
fn keyboard_piece() -> Score {
    let note = |onset, pitch| TickNote { onset, pitch, duration: 20, velocity: 80 };
    let chords = (0..32u64).flat_map(|i| [48, 55, 64, 88].map(|key| note(24 * i, key + (i % 5) as u8)));
    let pedal = [(24, 127), (48, 0)].map(|(tick, value)| Control { tick, number: 64, value });
    let keys = Track {
        name: "Keys".into(),
        channel: Some(0),
        notes: chords.collect(),
        controls: pedal.to_vec(),
        ..Track::default()
    };
    let beats = (0..32).map(|i| note(24 * i, 36)).collect();
    let drums = Track { name: "Kit".into(), drums: true, channel: Some(9), notes: beats, ..Track::default() };
    let mut piece = Score {
        title: "Air".into(),
        resolution: 24,
        tempi: vec![Tempo { tick: 0, per_minute: 90.0 }, Tempo { tick: 240, per_minute: 60.0 }],
        meters: vec![Meter { tick: 0, numerator: 3, denominator: 4 }],
        keys: vec![Key { tick: 0, fifths: 2, minor: false }],
        tracks: vec![keys, drums],
        notices: Vec::new(),
    };
    piece.sort();
    piece
}

/// Pitches, onsets and durations in quarter notes.
fn music(track: &Track, score: &Score) -> Vec<(u8, f64, f64)> {
    track.notes.iter().map(|n| (n.pitch, score.beats(n.onset), score.beats(n.duration))).collect()
}

#[test]
fn scores_of_every_kind_are_arranged_with_their_signs_and_their_drums() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let piece = keyboard_piece();
    piece.write(Path::new(&at("in.mid"))).unwrap();
    piece.write(Path::new(&at("in.musicxml"))).unwrap();
    for (input, output) in
        [("in.mid", "a.mid"), ("in.mid", "a.musicxml"), ("in.musicxml", "b.mxl"), ("in.musicxml", "b.mid")]
    {
        let arguments =
            ["arrange", &at(input), "--ensemble", "string-quartet", "--method", "closest-mono", "-o", &at(output)];
        let done = ripieno(&arguments, &[("RIPIENO_MODELS", "/nowhere")]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let arranged = Score::read(Path::new(&at(output))).unwrap();
        let tracks: Vec<(&str, u8)> = arranged.tracks.iter().map(|t| (t.name.as_str(), t.program)).collect();
        let names = [("Violin 1", 40), ("Violin 2", 40), ("Viola", 41), ("Cello", 42), ("Kit", 0)];
        assert_eq!(tracks, names, "{input} to {output}");
        let mut given: Vec<_> = arranged.tracks[..4].iter().flat_map(|track| music(track, &arranged)).collect();
        given.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        assert_eq!(given, music(&piece.tracks[0], &piece), "{input} to {output}");
        assert_eq!(music(&arranged.tracks[4], &arranged), music(&piece.tracks[1], &piece));
        assert!(arranged.tracks[4].drums);
        let tempi: Vec<_> = arranged.tempi.iter().map(|t| (arranged.beats(t.tick), t.per_minute.round())).collect();
        assert_eq!(tempi, [(0.0, 90.0), (10.0, 60.0)], "{input} to {output}");
        assert_eq!((arranged.meters[0].numerator, arranged.keys[0].fifths), (3, 2), "{input} to {output}");
        let pedal: Vec<(f64, u8)> =
            arranged.tracks[0].controls.iter().map(|c| (arranged.beats(c.tick), c.value)).collect();
        assert_eq!(pedal, [(1.0, 127), (2.0, 0)], "{input} to {output}");
    }
}

/// Four parts with names of their own, each in its own octave.
fn parted_piece() -> Score {
    let piece = keyboard_piece();
    let of = |part: usize, name: &str, program| Track {
        name: name.into(),
        program,
        notes: piece.tracks[0].notes.iter().skip(3 - part).step_by(4).copied().collect(),
        ..Track::default()
    };
    let parts = [("1st Violin", 40), ("Violino II", 40), ("Viola", 41), ("Violoncello", 42)];
    let tracks = (0..4).map(|part| of(part, parts[part].0, parts[part].1)).collect();
    Score { tracks, ..piece }
}

#[test]
fn every_kind_of_score_is_evaluated_alike() {
    let piece = parted_piece();
    for ending in ["mid", "musicxml", "xml", "mxl", "abc", "json"] {
        let folder = tempfile::tempdir().unwrap();
        piece.write(&folder.path().join(format!("piece.{ending}"))).unwrap();
        let data = folder.path().to_str().unwrap();
        let arguments = ["evaluate", "arranger", "--data", data, "--ensemble", "string-quartet", "--json", "--model"];
        let done = ripieno(&[&arguments[..], &["zone", "--zones", "80,62,54"]].concat(), &[]);
        assert!(done.status.success(), "{ending}: {}", String::from_utf8_lossy(&done.stderr));
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((report["pieces"].as_u64(), report["notes"].as_u64()), (Some(1), Some(128)), "{ending}");
        // Every chord stays in its zones: 88 to 92, 64 to 68, 55 to 59, 48 to 52.
        assert_eq!(report["correct"], report["notes"], "{ending}: {report:#}");
    }
}

/// Zones learnt from a piece that trains are that piece's best, and not those of the piece they are measured on.
#[test]
fn zones_are_fitted_to_the_pieces_that_train() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (trains, test) = (parted_piece(), transposed(parted_piece(), 12));
    std::fs::create_dir(at("haydn")).unwrap();
    trains.write(&at("haydn/trains.mid")).unwrap();
    test.write(&at("haydn/tested.mid")).unwrap();
    std::fs::write(at("split.csv"), "file,split\nhaydn/tested.mid,test\n").unwrap();
    let measured = |more: &[&str]| {
        let (data, split) = (folder.path().to_str().unwrap(), at("split.csv"));
        let arguments = ["evaluate", "arranger", "--data", data, "--ensemble", "string-quartet", "--json"];
        ripieno(&[&arguments[..], &["--split", split.to_str().unwrap()], more].concat(), &[])
    };
    let report = |more: &[&str]| -> serde_json::Value {
        let done = measured(more);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    // Parts lie at 88 to 92, 64 to 68, 55 to 59 and 48 to 52, in the tested piece an octave higher.
    let own = report(&["--model", "zone", "--fit", "train", "--set", "train"]);
    assert_eq!(own["correct"], own["notes"], "{own:#}");
    let other = report(&["--model", "zone", "--fit", "train"]);
    assert_eq!(other["zones"], own["zones"]);
    assert!(other["correct"].as_u64() < other["notes"].as_u64(), "{other:#}");
    assert_eq!(report(&["--model", "zone-oracle"])["correct"], other["notes"]);
    let refused = measured(&["--model", "closest", "--fit", "train"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--fit is for zone"));
}

fn transposed(mut score: Score, semitones: u8) -> Score {
    score.tracks.iter_mut().flat_map(|track| &mut track.notes).for_each(|note| note.pitch += semitones);
    score
}

#[test]
fn muspys_ten_measures_are_told_as_text_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let note = |onset, pitch| TickNote { onset, pitch, duration: 6, velocity: 64 };
    // Five notes of D major and one that is not, four of A minor; drums on eighths, of which one is late.
    let notes = (0..6).zip([62, 66, 67, 69, 73, 65]).map(|(i, pitch)| note(24 * i, pitch)).collect();
    let melody = Track { notes, ..Track::default() };
    let drums = Track { drums: true, notes: [0, 12, 24, 41].map(|onset| note(onset, 36)).to_vec(), ..Track::default() };
    let unsigned = Score { resolution: 24, tracks: vec![melody, drums], ..Score::default() };
    let signed = Score { keys: vec![Key { tick: 0, fifths: 0, minor: true }], ..unsigned.clone() };
    let expected =
        [(&signed, "A minor", "key signature", 4.0 / 6.0), (&unsigned, "D major", "most pitches", 5.0 / 6.0)];
    for (score, scale, from, rate) in expected {
        let path = folder.path().join("a.mid");
        score.write(&path).unwrap();
        let said = ripieno(&["metrics", path.to_str().unwrap(), "--json"], &[]);
        let all: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let figures = all[0].as_object().unwrap();
        for name in [
            "polyphony",
            "polyphony_rate",
            "pitch_in_scale_rate",
            "scale_consistency",
            "pitch_entropy",
            "pitch_class_entropy",
            "empty_beat_rate",
            "drum_in_pattern_rate_duple",
            "drum_in_pattern_rate_triple",
            "drum_pattern_consistency",
            "groove_consistency",
        ] {
            assert!(figures.contains_key(name), "{name}: {all}");
        }
        assert_eq!((figures["scale"].as_str(), figures["scale_from"].as_str()), (Some(scale), Some(from)));
        assert_eq!(figures["pitch_in_scale_rate"].as_f64(), Some(rate));
        assert_eq!(figures["drum_in_pattern_rate_duple"].as_f64(), Some(0.75));
        assert_eq!(figures["drum_in_pattern_rate_triple"].as_f64(), Some(0.5));
        let text = String::from_utf8(ripieno(&["metrics", path.to_str().unwrap()], &[]).stdout).unwrap();
        let line = |name: &str, value: &str| {
            text.lines().any(|line| line.split_once(' ').is_some_and(|(n, v)| n == name && v.trim() == value))
        };
        assert!(line("scale", scale) && line("scale_from", from), "{text}");
        assert!(line("drum_in_pattern_rate_duple", "0.750000"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_no_command_in_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("piece.mid");
    midi::write(&input, &parted_piece()).unwrap();
    let (input, data) = (input.to_str().unwrap(), folder.path().to_str().unwrap());
    let output = folder.path().join("again.musicxml");
    let matrix: [&[&str]; 5] = [
        &["evaluate", "arranger", "--data", data, "--ensemble", "string-quartet", "--model", "zone"],
        &["arrange", input, "--ensemble", "string-quartet", "--method", "split", "-o", output.to_str().unwrap()],
        &["metrics", input],
        &["ensembles"],
        &["doctor"],
    ];
    for arguments in matrix {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ripieno"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(musicxml::read(&folder.path().join("again.musicxml")).is_ok());
}

/// The first seconds of the demonstration piece, written to a folder.
fn excerpt(folder: &Path, seconds: f64) -> PathBuf {
    let score = Playback::read(&asset("demo.mid")).unwrap();
    let notes: Vec<Note> = score.notes.iter().map(|n| n.note).filter(|n| n.onset < seconds).collect();
    assert!(notes.len() >= 4);
    let path = folder.join("excerpt.mid");
    let parts = [PartNotes { name: "Keys", program: 0, notes: &notes }];
    midi::write(&path, &Score::of_parts(&parts, &score.tempo)).unwrap();
    path
}

fn render(input: &Path, to: &Path, more: &[&str]) {
    let wav = to.join("mix.wav");
    let mut arguments =
        vec!["render", input.to_str().unwrap(), "-o", wav.to_str().unwrap(), "--ensemble", "string-quartet"];
    arguments.extend(more);
    let output = ripieno(&arguments, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Left channel and rate of a WAV file.
fn left(path: &Path) -> (Vec<f64>, f64) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let rate = f64::from(reader.spec().sample_rate);
    assert_eq!((reader.spec().channels, reader.spec().bits_per_sample), (2, 24));
    (reader.samples::<i32>().step_by(2).map(|s| f64::from(s.unwrap()) / 8_388_608.0).collect(), rate)
}

/// Strength of the first two partials of a pitch (Hann window).
fn strength(samples: &[f64], rate: f64, pitch: f64) -> f64 {
    let hz = 440.0 * ((pitch - 69.0) / 12.0).exp2();
    let partial = |hz: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in samples.iter().enumerate() {
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / samples.len() as f64).cos();
            let phase = std::f64::consts::TAU * hz * i as f64 / rate;
            re += sample * window * phase.cos();
            im += sample * window * phase.sin();
        }
        re.hypot(im)
    };
    partial(hz) + partial(2.0 * hz)
}

#[test]
fn the_demonstration_piece_sounds_its_notes_in_every_part() {
    let folder = tempfile::tempdir().unwrap();
    let input = excerpt(folder.path(), 5.0);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (stems, parts, json) = (at("stems"), at("parts.mid"), at("report.json"));
    let (png, roll) = (at("sound.png"), at("roll.png"));
    let more = ["--steps", "0", "--rate", "44100", "--stems", &stems, "--midi", &parts, "--json", &json];
    render(&input, folder.path(), &[&more[..], &["--png", &png, "--roll", &roll]].concat());

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(report["peak_dbfs"].as_f64().unwrap() < 0.0 && report["loudness_lufs"].as_f64().unwrap() < 0.0);
    assert_eq!((report["sample_rate"].as_u64(), report["parts"].as_array().unwrap().len()), (Some(44_100), 4));
    for picture in [&png, &roll] {
        assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
    }
    assert!(files(folder.path()).iter().all(|name| !name.ends_with(".part")));

    let score = Playback::read(Path::new(&parts)).unwrap();
    let mut written = files(Path::new(&stems));
    written.sort();
    let (mut heard, mut asked) = (0, 0);
    for (track, name) in score.tracks.iter().map(|track| track.name.to_lowercase().replace(' ', "-")).enumerate() {
        let file = written.iter().find(|file| file.ends_with(&format!("-{name}.wav"))).unwrap();
        let (samples, rate) = left(&Path::new(&stems).join(file));
        let notes: Vec<Note> = score.notes.iter().filter(|n| n.track == track).map(|n| n.note).collect();
        for note in notes.iter().filter(|n| n.end - n.onset > 0.2) {
            let sounding = &samples[((note.onset + 0.08) * rate) as usize..((note.end - 0.02) * rate) as usize];
            let level = |offset: f64| strength(sounding, rate, f64::from(note.pitch) + offset);
            asked += 1;
            heard += usize::from([-6.0, -1.0, 1.0, 6.0].iter().all(|&away| level(0.0) > 2.0 * level(away)));
        }
        let first = notes.first().map_or(0.0, |note| note.onset);
        let before = &samples[..((first - 0.1).max(0.0) * rate) as usize];
        assert!(before.iter().all(|sample| sample.abs() < 0.01), "{name} sounds before its first note");
    }
    assert!(asked >= 4 && heard * 10 >= asked * 9, "{heard} of {asked} notes sound at their pitch");
}

#[test]
fn two_renders_are_the_same_bytes_and_another_seed_is_another_take() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let bytes: Vec<Vec<u8>> = folders
        .iter()
        .zip(["7", "7", "8"])
        .map(|(folder, seed)| {
            let input = excerpt(folder.path(), 2.5);
            render(&input, folder.path(), &["--steps", "1", "--seed", seed]);
            std::fs::read(folder.path().join("mix.wav")).unwrap()
        })
        .collect();
    assert_eq!(bytes[0], bytes[1]);
    assert_ne!(bytes[0], bytes[2]);
}

#[test]
fn a_folder_is_performed_score_by_score_as_each_would_be_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("in")).unwrap();
    let short = excerpt(&folder.path().join("in"), 2.0);
    let alone = Score::read(&short).unwrap();
    alone.write(Path::new(&at("in/air.mid"))).unwrap();
    alone.write(Path::new(&at("in/air.musicxml"))).unwrap();
    std::fs::write(at("in/notes.txt"), "no score").unwrap();
    std::fs::write(at("in/torn.mid"), "MThd").unwrap();
    let (input, out, stems, json) = (at("in"), at("out"), at("stems"), at("reports"));
    let to = ["-o", &out, "--stems", &stems, "--json", &json, "--ensemble", "string-quartet", "--steps", "0"];
    let done = ripieno(&[&["render", &input][..], &to].concat(), &[]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(!done.status.success() && said.contains("1 of 4 scores were not performed"), "{said}");
    assert!(said.contains("torn.mid"), "{said}");
    let sorted = |folder: &str| {
        let mut names = files(Path::new(folder));
        names.sort();
        names
    };
    assert_eq!(sorted(&out), ["air.mid.wav", "air.musicxml.wav", "excerpt.wav"]);
    assert_eq!(sorted(&json), ["air.mid.json", "air.musicxml.json", "excerpt.json"]);
    assert_eq!(sorted(&at("stems/excerpt")).len(), 4);
    render(&short, folder.path(), &["--steps", "0"]);
    let mix = std::fs::read(at("mix.wav")).unwrap();
    assert_eq!(mix, std::fs::read(at("out/excerpt.wav")).unwrap());
    std::fs::create_dir(at("empty")).unwrap();
    let refused = ripieno(&["render", &at("empty"), "-o", &out], &[("RIPIENO_MODELS", "/nowhere")]);
    assert!(refusal(&refused).contains("has no scores"));
}

#[test]
fn the_synthesizer_is_measured_on_clips_and_on_scores() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let clips = asset("../tests/fixtures/clips");
    // Two hundredths of a second can be read and not be measured.
    let refused = ripieno(&["evaluate", "synth", "--clips", clips.to_str().unwrap()], &[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("too short") && said.contains("Name another folder"), "{said}");
    std::fs::create_dir(at("clips")).unwrap();
    clip(Path::new(&at("clips/viola-0000.npz")));
    let json = |arguments: &[&str]| -> serde_json::Value {
        let done = ripieno(&[&["evaluate", "synth", "--json", "--seconds", "4"], arguments].concat(), &[]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap()
    };
    let ways = ["--sampler", "ddim,dpm++2m", "--steps", "1", "--from", "noise,prior", "--untold"];
    let report = json(&[&["--clips", &at("clips")], &ways[..]].concat());
    let of = |name: &str, value: &str| {
        let ways = report["ways"].as_array().unwrap();
        let way = ways.iter().find(|way| way["name"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"));
        way.pointer(value).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("{name}{value}: {way:#}"))
    };
    // The true mel, prior and four ways, each of the latter with and without the performance.
    assert_eq!(report["ways"].as_array().unwrap().len(), 1 + 2 * 5);
    for name in ["prior alone", "unet, ddim 1", "unet, dpm++2m 1 from the prior at 499, performance untold"] {
        assert!(of("true mel", "/stft_distance") < of(name, "/stft_distance"), "{name}: {report:#}");
        assert!(of(name, "/loudness_distance_lu") > 0.0 && of(name, "/real_time_factor/whole") > 0.0);
        assert!(of(name, "/flux/at_joins/mean") > 0.0 && of(name, "/loudness_change_db/elsewhere/mean") > 0.0);
    }
    assert_ne!(of("unet, ddim 1", "/stft_distance"), of("unet, ddim 1, performance untold", "/stft_distance"));
    std::fs::create_dir(at("scores")).unwrap();
    excerpt(&folder.path().join("scores"), 3.0);
    let report = json(&["--data", &at("scores"), "--steps", "1"]);
    assert_eq!((report["pieces"].as_array().unwrap().len(), report["ways"].as_array().unwrap().len()), (1, 2));
    assert!(report["ways"][1]["stft_distance"].is_null() && report["ways"][1]["flux"].is_object(), "{report:#}");
}

/// Four seconds of a viola as the data renderer writes them: a note every second, of sawtooth-like sound.
fn clip(path: &Path) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let mut put = |name: &str, kind: &str, shape: &str, bytes: Vec<u8>| {
        archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        // NumPy's format 1.0: the header ends with a newline at a multiple of 64 bytes.
        let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
        header.extend(std::iter::repeat_n(' ', length - header.len() - 1));
        let begin = [&b"\x93NUMPY\x01\x00"[..], &(length as u16).to_le_bytes(), header.as_bytes(), b"\n"].concat();
        std::io::Write::write_all(&mut archive, &[begin, bytes].concat()).unwrap();
    };
    let sample = |n: usize| {
        let seconds = n as f64 / 48e3;
        let fading = 0.5f64.powf(seconds.fract() * 2.0);
        let partials = (1..8).map(|h| (std::f64::consts::TAU * 261.6256 * f64::from(h) * seconds).sin() / f64::from(h));
        (3_000.0 * fading * partials.sum::<f64>()) as i16
    };
    let side: Vec<u8> = (0..4 * 48_000).flat_map(|n| sample(n).to_le_bytes()).collect();
    put("audio", "<i2", "(2, 192000)", [side.clone(), side].concat());
    let notes = (0..4).flat_map(|i| [f64::from(i), f64::from(i) + 0.9, 60.0, 80.0]);
    put("notes", "<f8", "(4, 4)", notes.flat_map(f64::to_le_bytes).collect());
    let text = |word: &str| word.chars().flat_map(|letter| (letter as u32).to_le_bytes()).collect::<Vec<u8>>();
    put("instrument", "<U5", "()", text("viola"));
    put("performance", "<U19", "()", text("string-quartet-hall"));
    archive.finish().unwrap();
}

/// A terminal of 120 columns: what a program writes into its end can be read from the other.
#[cfg(unix)]
fn terminal() -> (std::fs::File, std::fs::File) {
    use std::os::fd::FromRawFd;
    let (mut ours, mut theirs) = (0, 0);
    let mut size = libc::winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: all pointers are to live values, or null where nothing is asked for.
    let made = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null_mut(), &raw mut size)
    };
    assert_eq!(made, 0);
    // SAFETY: both were just opened and belong to nobody else.
    unsafe { (std::fs::File::from_raw_fd(ours), std::fs::File::from_raw_fd(theirs)) }
}

#[cfg(unix)]
#[test]
fn a_rendering_tells_the_time_that_is_left_and_ctrl_c_leaves_no_file() {
    use std::io::Read;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (mut screen, error_output) = terminal();
    let demo = asset("demo.mid");
    let (wav, stems) = (at("mix.wav"), at("stems"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ripieno"))
        .args(["render", demo.to_str().unwrap(), "--ensemble", "string-quartet", "--steps", "2"])
        .args(["-o", &wav, "--stems", &stems])
        .env("TERM", "xterm")
        .stderr(error_output)
        .spawn()
        .unwrap();
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    // The other end closes with the program, which a terminal reports as an error.
    while let Ok(read @ 1..) = screen.read(&mut bytes) {
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        if seen.contains("s left") && seen.contains("of real time") {
            // SAFETY: a signal to a child that has not been waited for, so the number is still its own.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(seen.contains("s left") && seen.contains("cancelled; nothing was written"), "{seen}");
    assert_eq!((files(folder.path()), files(Path::new(&stems))), (vec!["stems".to_owned()], Vec::new()));
}

#[test]
fn a_score_goes_on_in_the_instruments_asked_for_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let piece = keyboard_piece();
    let end = piece.end().div_ceil(u64::from(piece.resolution)) as f64;
    piece.write(Path::new(&at("in.mid"))).unwrap();
    piece.write(Path::new(&at("in.musicxml"))).unwrap();
    for (input, output) in [("in.mid", "a.mid"), ("in.mid", "again.mid"), ("in.musicxml", "a.musicxml")] {
        let arguments = ["--instruments", "viola,cello", "--beats", "8", "--seed", "5", "--highest", "70"];
        let (input, written) = (at(input), at(output));
        let arguments = [&["continue", &input, "-o", &written], &arguments[..]].concat();
        let done = ripieno(&arguments, &[]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let whole = Score::read(Path::new(&at(output))).unwrap();
        assert_eq!(music(&whole.tracks[0], &whole), music(&piece.tracks[0], &piece), "{output}");
        let composed: Vec<&Track> = whole.tracks.iter().filter(|t| t.name == "viola" || t.name == "cello").collect();
        assert_eq!(whole.tracks.len(), piece.tracks.len() + composed.len());
        let notes: Vec<_> = composed.iter().flat_map(|track| music(track, &whole)).collect();
        assert!(notes.len() >= 4, "{output}: {notes:?}");
        for (pitch, onset, _) in notes {
            assert!(pitch <= 70 && (end..end + 8.0).contains(&onset), "{output}: {pitch} at {onset}");
        }
    }
    assert_eq!(std::fs::read(at("a.mid")).unwrap(), std::fs::read(at("again.mid")).unwrap());
}

#[test]
fn music_is_composed_for_the_instruments_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["compose", "--instruments", "violin,cello", "--beats", "16", "--density", "3", "-o", &at("a.mid")];
    let done = ripieno(&arguments, &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let score = Score::read(Path::new(&at("a.mid"))).unwrap();
    let mut begun = [0; 16];
    for track in &score.tracks {
        assert!(["violin", "cello"].contains(&track.name.as_str()));
        music(track, &score).iter().for_each(|&(_, onset, _)| begun[onset as usize] += 1);
    }
    assert!(begun.iter().all(|&notes| notes <= 3) && begun.iter().sum::<i32>() > 8, "{begun:?}");
    // Without names the network chooses.
    assert!(ripieno(&["compose", "--beats", "4", "-o", &at("b.mid")], &[]).status.success());
}

#[test]
fn what_cannot_be_composed_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("a.mid");
    let output = output.to_str().unwrap();
    let demo = asset("demo.mid");
    let demo = demo.to_str().unwrap();
    let matrix: [(&[&str], &str); 5] = [
        (&["compose", "--instruments", "violine", "-o", output], "Did you mean \"violin\"?"),
        (&["compose", "-o", "a.wav"], "a.wav"),
        (&["compose", "--lowest", "70", "--highest", "60", "-o", output], "Widen the register"),
        (&["continue", "/nowhere/a.mid", "-o", output], "/nowhere/a.mid cannot be read"),
        (&["continue", demo, "--model", "composer_smal", "-o", output], "Did you mean \"composer_small\"?"),
    ];
    for (arguments, sentence) in matrix {
        let said = refusal(&ripieno(arguments, &[]));
        assert!(said.contains(sentence), "{said}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn the_composer_is_measured_on_a_folder_of_scores() {
    let folder = tempfile::tempdir().unwrap();
    let demo = asset("demo.mid");
    std::fs::copy(&demo, folder.path().join("demo.mid")).unwrap();
    let arguments =
        ["evaluate", "composer", "--data", folder.path().to_str().unwrap(), "--n", "1", "--mode", "beats4", "--json"];
    let done = ripieno(&arguments, &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let truth = ripieno_engine::score::metrics::scale_consistency(&Score::read(&demo).unwrap()).unwrap();
    assert!((report["truth"]["scale_consistency"].as_f64().unwrap() - 100.0 * truth).abs() < 1e-3, "{report}");
    for name in ["nll_per_note", "notes_per_second", "mean_seconds"] {
        assert!(report[name].as_f64().unwrap() > 0.0, "{name}: {report}");
    }
    let (real, composed) = (&report["truth"], &report["composed"]);
    for name in ["pitch_class_entropy", "groove_consistency"] {
        let distance = (real[name].as_f64().unwrap() - composed[name].as_f64().unwrap()).abs();
        assert!((report["distance"][name].as_f64().unwrap() - distance).abs() < 2e-4, "{name}: {report}");
    }
}
