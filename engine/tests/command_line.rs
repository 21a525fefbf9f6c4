//! The program `ripieno` as a musician runs it: what it writes, and what it says when it cannot.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ripieno_engine::score::{Note, PartNotes, Playback, Score, midi};

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
