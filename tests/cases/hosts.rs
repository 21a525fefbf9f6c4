//! The bundled VST3 in four hosts that others wrote: minihost, DawDreamer and pedalboard (JUCE), and Ardour.
//!
//! A script of `hosts/` plays the task in its host and checks that saved state comes back; what it recorded is judged
//! here, by the same ears for all. Needs `cargo xtask bundle` and `cargo xtask setup`, and is run by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use ripieno_tests::performer::{Note, Take, Task};
use ripieno_tests::{files, listen, pieces};

/// Lets the script of a host play the task, and reads what it recorded.
fn record(host: &str, task: &Task) -> Take {
    let folder = files::fresh_folder(&format!("{host}-{}", task.class.to_lowercase().replace(' ', "-"))).unwrap();
    fs::write(folder.join("task.json"), serde_json::to_string_pretty(task).unwrap()).unwrap();
    let output = Command::new("timeout")
        .arg("300")
        .arg(files::root().join("tests/hosts/on-a-screen.sh"))
        .arg(files::python().unwrap())
        .arg(files::root().join(format!("tests/hosts/play_{host}.py")))
        .arg(files::bundled("Ripieno.vst3").unwrap())
        .arg(&folder)
        .output()
        .expect("`timeout` is there: it is one of Debian's essential programs");
    assert!(
        output.status.success(),
        "{host} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Take::read(&folder).unwrap()
}

fn expect_to_hear(take: &Take, voices: &[Vec<Note>]) {
    let complaints = listen::complaints(take, voices);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

fn the_melody_is_heard_in(host: &str) {
    let task = pieces::task("Ripieno", pieces::melody(), 48_000);
    let take = record(host, &task);
    assert_eq!(take.buses.len(), 1, "buses");
    expect_to_hear(&take, &[task.notes]);
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn minihost_hears_the_melody() {
    the_melody_is_heard_in("minihost");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn minihost_hears_each_part_on_its_own_bus_and_receives_its_notes() {
    let task = pieces::task("Ripieno Multi", pieces::cadence(), 48_000);
    let take = record("minihost", &task);
    let voices = pieces::voices(&task.notes, &take.sent, 4).unwrap();
    expect_to_hear(&take, &listen::behind_the_mix(voices));
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn dawdreamer_hears_the_melody() {
    the_melody_is_heard_in("dawdreamer");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn pedalboard_hears_the_melody() {
    the_melody_is_heard_in("pedalboard");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn ardour_exports_the_melody() {
    the_melody_is_heard_in("ardour");
}
