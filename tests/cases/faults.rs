//! What can be missing or broken: each time a sentence that a musician understands, and nothing crashes.
//!
//! Needs the `ripieno` command and the bundle, and is run by `cargo xtask test`. Faults that a whole host cannot cause are
//! tested where they happen; this is all of them:
//!
//! | fault | sentence | test |
//! |---|---|---|
//! | no ONNX Runtime, or not ours | names it, and what to do | here; `stream::tests::without_a_runtime_..` |
//! | a model missing or damaged | names the file | here; `stream::tests::that_an_ensembles_model_is_missing_..` |
//! | models removed or damaged while loaded | none, it plays on; the next start names the file | `engine/tests/faults.rs` |
//! | a performance or an ensemble that is not installed | names it, and keeps it | here; `plugin`: `saved::tests`, `editor::view::tests` |
//! | a worker that panics | "stopped unexpectedly and was started again" | `stream::tests::a_worker_that_panics_..`, in Live and Sync |
//! | a run of a network fails, once or from now on (a provider that went away) | what ONNX Runtime says | `stream::tests::faults` |
//! | a machine that is too slow, segments that are lost | none; counted and shown | `stream::tests::faults`, `truth.rs` |
//! | a panic in `process()` | "switch the instrument off and on again", and that helps | `plugin`: `instrument::tests` |
//! | a disk that is full, or a folder that is closed | "cannot be kept .. plays on .. free some space" | `stream::instant::cache::tests` |
//! | a state of random bytes, of another plug-in, or of a newer version | says so | `plugin`: `saved::tests`, `in_process.rs`, `storm.rs` |
//! | two builds of the plug-in in one process | none; each plays as alone | here |
//! | 32 instances | none; at most 60 MB each | `engine/tests/faults.rs` |
//! | a host that sleeps, resets, or moves its song | none | `transport.rs`, `stream::tests::faults` |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ripieno_tests::clap_host::{Input, Instance, Library};
use ripieno_tests::performer::{Pace, Task, events, play};
use ripieno_tests::{alone, files, pieces};

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
    alone::run("the_plugin_goes_on_in_silence", &[("RIPIENO_TELEMETRY", file.as_path()), (variable, value)]).unwrap();
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

/// Sets the task's parameters and makes the instance ready to bounce.
fn ready_to_bounce(library: &Library, task: &Task) -> Instance {
    let mut instance = library.instantiate(&task.class).unwrap();
    for (name, value) in &task.parameters {
        instance.set(name, value).unwrap();
    }
    instance.set_offline(true).unwrap();
    instance.activate(f64::from(task.sample_rate), task.block).unwrap();
    instance
}

/// The left of the mixes of instances that a host plays in turn, block by block.
fn bounce_together(instances: &mut [Instance], task: &Task) -> Vec<Vec<f32>> {
    let mut heard = vec![Vec::new(); instances.len()];
    let events = events(&task.notes, f64::from(task.sample_rate));
    let block = u64::from(task.block);
    for start in (0..(task.seconds * f64::from(task.sample_rate)) as u64).step_by(task.block as usize) {
        let due = events.iter().filter(|(at, _)| (start..start + block).contains(at));
        let inputs: Vec<Input> = due.map(|(at, event)| Input { offset: (at - start) as u32, ..*event }).collect();
        for (instance, heard) in instances.iter_mut().zip(&mut heard) {
            let audio = instance.process(task.block as usize, &inputs).unwrap();
            heard.extend_from_slice(&audio[0][0][..task.block as usize]);
        }
    }
    heard
}

/// The bundle's library, and the one that is linked into this program: other code, other globals, another copy of ONNX
/// Runtime, the same process.
#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn two_builds_in_one_process_play_side_by_side_as_alone_and_read_each_others_states() {
    let bundled = Library::open(&files::bundled("Ripieno.clap").unwrap()).unwrap();
    // SAFETY: the framework's macro exports a whole entry.
    let linked = unsafe { Library::from_entry(&ripieno::clap_entry) }.unwrap();
    let mut task = pieces::strokes(48_000);
    task.notes.truncate(2);
    task.seconds = 3.5;
    task.parameters.push(("Quality".to_owned(), "1".to_owned()));
    let alone = [&bundled, &linked]
        .map(|library| bounce_together(std::slice::from_mut(&mut ready_to_bounce(library, &task)), &task).remove(0));
    let mut both = [&bundled, &linked].map(|library| ready_to_bounce(library, &task));
    let together = bounce_together(&mut both, &task);
    for (alone, together) in alone.iter().zip(&together) {
        assert!(alone.iter().any(|sample| sample.abs() > 0.01), "nothing sounds");
        assert!(alone == together, "it sounds otherwise beside the other");
    }
    let [mut one, mut other] = both;
    let state = one.save().unwrap();
    other.set("Performance", pieces::PERFORMANCE).unwrap();
    other.load(&state).unwrap();
    assert_eq!(other.save().unwrap(), state);
}
