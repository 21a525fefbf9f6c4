//! The bundled VST3 in four hosts that others wrote: minihost, DawDreamer and pedalboard (JUCE), and Ardour.
//!
//! A script of `hosts/` plays the task in its host and checks that saved state comes back; what it recorded is judged
//! here, by the same ears for all. Needs `cargo xtask bundle` and `cargo xtask setup`, and is run by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ripieno_tests::performer::{Note, Take, Task};
use ripieno_tests::{listen, pieces, recorder};

/// Lets a host play the task.
fn record(host: &str, task: &Task) -> Take {
    recorder::record(host, &task.class.to_lowercase().replace(' ', "-"), task).unwrap()
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
