//! What can be missing or broken: each time a sentence that a musician understands, and nothing crashes.
//!
//! Needs the `ripieno` command and the bundle, and is run by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ripieno_tests::clap_host::Library;
use ripieno_tests::performer::{Pace, play};
use ripieno_tests::{files, pieces};

/// `ripieno render` of a MIDI file.
fn render(midi: &Path, out: &Path) -> Command {
    let mut command = Command::new(files::command_line().unwrap());
    command.arg("render").arg(midi).args(["--performance", "string-quartet-hall", "--ensemble", "string-quartet"]);
    command.arg("-o").arg(out).args(["--steps", "1"]);
    command
}

fn demo() -> PathBuf {
    files::root().join("assets/demo.mid")
}

/// The command said no: with an exit code of its own choosing, in a sentence that holds each of `words`, and without a
/// panic's trace.
fn says_no(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1..=100)), "{}: {said}", output.status);
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "\"{word}\" is not in: {said}");
    }
}

/// A copy of the models in which one byte of one file is another.
fn corrupt_models(folder: &Path) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() { copy(&entry.path(), &target) } else { drop(fs::copy(entry.path(), target)) }
        }
    }
    let models = folder.join("models");
    copy(&files::bundled("ripieno-data/models").unwrap(), &models);
    let file = models.join("synth/prior.onnx");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    models
}

#[test]
#[ignore = "needs the command line: cargo xtask test"]
fn the_command_line_names_a_missing_onnx_runtime() {
    let folder = files::fresh_folder("no-runtime").unwrap();
    let missing = folder.join("libonnxruntime.so");
    let output = render(&demo(), &folder.join("out.wav")).env("RIPIENO_ONNXRUNTIME", &missing).output().unwrap();
    says_no(&output, &["ONNX Runtime"]);
}

#[test]
#[ignore = "needs the command line: cargo xtask test"]
fn the_command_line_names_a_corrupt_model() {
    let folder = files::fresh_folder("corrupt-model").unwrap();
    let models = corrupt_models(&folder);
    let output = render(&demo(), &folder.join("out.wav")).env("RIPIENO_MODELS", models).output().unwrap();
    says_no(&output, &["prior.onnx"]);
}

#[test]
#[ignore = "needs the command line: cargo xtask test"]
fn the_command_line_names_a_missing_performance() {
    let folder = files::fresh_folder("no-performance").unwrap();
    let output = Command::new(files::command_line().unwrap())
        .arg("render")
        .arg(demo())
        .args(["--performance", "cave-of-bears", "--ensemble", "string-quartet", "-o"])
        .arg(folder.join("out.wav"))
        .output()
        .unwrap();
    says_no(&output, &["cave-of-bears"]);
}

#[test]
#[ignore = "needs the command line: cargo xtask test"]
fn the_command_line_names_a_midi_file_that_is_none() {
    let folder = files::fresh_folder("no-midi").unwrap();
    let cases: [(&str, &[u8]); 3] = [
        ("empty.mid", b""),
        ("text.mid", b"Dear diary, today I played the cello.\n"),
        // A whole file of type 0 with one track that ends at once.
        ("silent.mid", b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x04\0\xff\x2f\0"),
    ];
    for (name, bytes) in cases {
        let midi = folder.join(name);
        fs::write(&midi, bytes).unwrap();
        let output = render(&midi, &folder.join("out.wav")).output().unwrap();
        says_no(&output, &[name]);
    }
}

/// Started by the tests below, in a process whose environment names what is missing: the plug-in's own folders cannot
/// be taken from it otherwise.
#[test]
#[ignore = "started by other tests"]
fn the_plugin_goes_on_in_silence() {
    let Some(status) = std::env::var_os("RIPIENO_TELEMETRY") else { return };
    let library = Library::open(&files::bundled("Ripieno.clap").unwrap()).unwrap();
    let mut plugin = library.instantiate("Ripieno").unwrap();
    let mut task = pieces::task("Ripieno", pieces::melody(), 48_000);
    task.seconds = 2.0;
    plugin.activate(48_000.0, task.block).unwrap();
    play(&mut plugin, &task, Pace::RealTime, &mut |_, block, frames| {
        let silent = block.iter().flatten().all(|channel| channel[..frames].iter().all(|&sample| sample == 0.0));
        assert!(silent, "the plug-in sounds");
    })
    .unwrap();
    drop(plugin);
    assert!(Path::new(&status).is_file(), "the plug-in's workers left no figures");
}

/// What the plug-in's status line says at the end of a process of its own with this variable set.
fn status_with(folder: &Path, variable: &str, value: &Path) -> String {
    let file = folder.join("telemetry.json");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_plugin_goes_on_in_silence", "--ignored", "--nocapture"])
        .env("RIPIENO_TELEMETRY", &file)
        .env(variable, value)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let figures: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    figures["status"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn the_plugin_says_that_onnx_runtime_is_missing() {
    let folder = files::fresh_folder("plugin-no-runtime").unwrap();
    let status = status_with(&folder, "RIPIENO_ONNXRUNTIME", &folder.join("libonnxruntime.so"));
    assert!(status.contains("ONNX Runtime"), "{status}");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn the_plugin_says_that_a_model_is_corrupt() {
    let folder = files::fresh_folder("plugin-corrupt-model").unwrap();
    let models = corrupt_models(&folder);
    let status = status_with(&folder, "RIPIENO_MODELS", &models);
    assert!(status.contains("prior.onnx"), "{status}");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn the_plugin_keeps_a_performance_that_is_missing() {
    let library = Library::open(&files::bundled("Ripieno.clap").unwrap()).unwrap();
    let mut plugin = library.instantiate("Ripieno").unwrap();
    plugin.set("Performance", "Brass in the hall").unwrap();
    // Bytes, not text: a length stands before the JSON.
    let mut state = plugin.save().unwrap();
    let at = state.windows(10).position(|bytes| bytes == b"brass-hall").unwrap();
    state[at..at + 10].copy_from_slice(b"cave-bear!");
    let mut again = library.instantiate("Ripieno").unwrap();
    again.load(&state).unwrap();
    let task = pieces::task("Ripieno", pieces::melody()[..1].to_vec(), 48_000);
    again.set_offline(true).unwrap();
    again.activate(48_000.0, 512).unwrap();
    let mut finite = true;
    play(&mut again, &task, Pace::Bounce, &mut |_, block, frames| {
        finite &= block.iter().flatten().all(|channel| channel[..frames].iter().all(|sample| sample.is_finite()));
    })
    .unwrap();
    assert!(finite);
    let kept = String::from_utf8_lossy(&again.save().unwrap()).contains("cave-bear!");
    assert!(kept, "the performance's name is lost from the state");
}
