//! What the plug-in says of itself is so, to the sample and to the byte, in four hosts.
//!
//! A latency is measured against the same notes as `ripieno render` makes them, which starts at the first sample of the
//! piece: the lag of their largest cross-correlation. Needs the bundle and the `ripieno` command, and is run by
//! `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use ripieno_engine::score::{Score, TickNote, Track, midi};
use ripieno_tests::clap_host::Library;
use ripieno_tests::performer::{Pace, Stereo, Take, Task, perform};
use ripieno_tests::{files, listen, pieces, recorder};

const RATES: [u32; 3] = [44_100, 48_000, 96_000];

/// The task's notes as the command line renders them.
fn rendered(task: &Task) -> Stereo {
    let folder = files::fresh_folder(&format!("rendered-{}", task.sample_rate)).unwrap();
    let (piece, wav) = (folder.join("strokes.mid"), folder.join("strokes.wav"));
    let score = Score::default();
    // A score's tempo is 120 unless it says another.
    let ticks = |seconds: f64| (seconds * 2.0 * f64::from(score.resolution)).round() as u64;
    let note = |note: &ripieno_tests::performer::Note| TickNote {
        onset: ticks(note.onset),
        pitch: note.key,
        duration: ticks(note.end - note.onset),
        velocity: note.velocity,
    };
    let track = Track { notes: task.notes.iter().map(note).collect(), ..Track::default() };
    midi::write(&piece, &Score { tracks: vec![track], ..score.clone() }).unwrap();
    let output = Command::new(files::command_line().unwrap())
        .args(["render", "--performance", "concert-grand", "--ensemble", "solo"])
        .args(["--rate", &task.sample_rate.to_string(), "-o"])
        .args([&wav, &piece])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    files::read_wav(&wav).unwrap().1
}

/// By how many samples the take is later than the plug-in says.
fn too_late(task: &Task, take: &Take) -> i64 {
    let (reference, heard) = (listen::mono(&rendered(task)), listen::mono(&take.buses[0]));
    let reach = take.latency as usize + task.sample_rate as usize;
    listen::lag(&reference, &heard, reach) as i64 - i64::from(take.latency)
}

/// The sample at which two takes differ.
fn difference(one: &Take, other: &Take) -> Option<usize> {
    let (one, other) = (&one.buses[0], &other.buses[0]);
    let same = one.left.len() == other.left.len();
    let at = |a: &[f32], b: &[f32]| a.iter().zip(b).position(|(x, y)| x.to_bits() != y.to_bits());
    let sides = [at(&one.left, &other.left), at(&one.right, &other.right)];
    sides.into_iter().flatten().min().or((!same).then_some(one.left.len()))
}

/// The bundle's CLAP in a host that is a library.
fn clack(task: &Task, pace: Pace) -> Take {
    let library = Library::open(&files::bundled("Ripieno.clap").unwrap()).unwrap();
    let mut instance = library.instantiate("Ripieno").unwrap();
    let take = perform(&mut instance, task, pace).unwrap();
    let restarts = instance.requests().restarts.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(restarts, 0, "restarts that the plug-in asked for");
    take
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn the_latency_in_clack_is_what_it_says() {
    let late = RATES.map(|rate| {
        let task = pieces::strokes(rate);
        too_late(&task, &clack(&task, Pace::Bounce))
    });
    assert_eq!(late, [0; 3], "samples later than it says at {RATES:?} Hz");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_bounce_in_clack_is_the_same_bytes_whatever_the_block() {
    let mut task = pieces::strokes(48_000);
    let first = clack(&task, Pace::Bounce);
    for block in [1, 64, 1_000, 8_192] {
        task.block = block;
        assert_eq!(difference(&first, &clack(&task, Pace::Bounce)), None, "in blocks of {block}");
    }
}

/// At each rate the latency, and at one of them a second take that is the same bytes.
fn the_truth_in(host: &str) {
    let late = RATES.map(|rate| {
        let task = pieces::strokes(rate);
        let take = recorder::record(host, &format!("truth-{rate}"), &task).unwrap();
        if rate == 48_000 {
            let again = recorder::record(host, "truth-again", &task).unwrap();
            assert_eq!(difference(&take, &again), None, "sample at which two bounces in {host} differ");
        }
        too_late(&task, &take)
    });
    assert_eq!(late, [0; 3], "samples later than {host} is told at {RATES:?} Hz");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn minihost_tells_the_truth() {
    the_truth_in("minihost");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn dawdreamer_tells_the_truth() {
    the_truth_in("dawdreamer");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn pedalboard_tells_the_truth() {
    the_truth_in("pedalboard");
}
