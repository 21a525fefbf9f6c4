//! The plug-in linked into this program and played by a CLAP host, with a counting allocator around its `process()`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ripieno_tests::allocations::{Counting, Seen};
use ripieno_tests::clap_host::Library;
use ripieno_tests::listen;
use ripieno_tests::performer::{Pace, perform};
use ripieno_tests::pieces;

mod behaviours;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The sample rate of the behaviours that do not ask for others.
const RATE: u32 = 48_000;

/// The plug-in of this program.
fn library() -> Library {
    // SAFETY: the framework's macro exports a whole entry.
    unsafe { Library::from_entry(&ripieno::clap_entry) }.expect("the plug-in's entry works")
}

macro_rules! in_process {
    ($($behaviour:ident),* $(,)?) => {
        $(#[test] fn $behaviour() { behaviours::$behaviour(&library()); })*
    };
}

in_process!(
    there_are_two_classes,
    a_melody_is_heard_at_its_pitches_and_times,
    each_part_is_heard_on_its_own_output,
    saved_state_comes_back,
    activation_asks_for_no_restart,
);

/// The real engine runs beside it: models load, segments are rendered, the instant voice sounds.
#[test]
fn process_allocates_nothing_and_waits_for_nothing() {
    for mode in ["Live", "Sync"] {
        let mut task = pieces::task("Ripieno Multi", pieces::cadence(), RATE);
        task.parameters.retain(|(name, _)| name != "Mode");
        let mut plugin = library().instantiate("Ripieno Multi").unwrap();
        plugin.set("Mode", mode).unwrap();
        for (name, value) in &task.parameters {
            plugin.set(name, value).unwrap();
        }
        plugin.activate(f64::from(RATE), task.block).unwrap();
        ripieno_tests::performer::play(&mut plugin, &task, Pace::RealTime, &mut |_, _, _| {}).unwrap();
        assert_eq!(plugin.seen(), Seen::default(), "{mode}");
    }
}

/// Until its models are loaded the plug-in is silent, and `activate` does not wait for them.
#[test]
fn activation_does_not_wait_for_the_models() {
    let mut plugin = library().instantiate("Ripieno").unwrap();
    let began = std::time::Instant::now();
    plugin.activate(f64::from(RATE), 512).unwrap();
    let block = plugin.process(512, &[]).unwrap();
    assert!(block.iter().flatten().flatten().all(|&sample| sample == 0.0));
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
}

/// Two bounces of the same notes are the same bytes, whatever the block size.
#[test]
fn two_bounces_are_identical() {
    let library = library();
    let mut task = pieces::task("Ripieno", pieces::melody(), RATE);
    let mut take = |block: u32| {
        task.block = block;
        perform(&mut library.instantiate("Ripieno").unwrap(), &task, Pace::Bounce).unwrap()
    };
    let (one, other) = (take(512), take(301));
    let first = one.buses[0].left.iter().zip(&other.buses[0].left).position(|(one, other)| one != other);
    assert_eq!(first, None, "sample at which two bounces differ");
}

/// Bytes that are no state are refused, which the host is told; the instance goes on as it was.
#[test]
fn random_state_changes_nothing() {
    let library = library();
    let mut plugin = library.instantiate("Ripieno").unwrap();
    plugin.set("Ensemble", "Brass quartet").unwrap();
    plugin.activate(f64::from(RATE), 512).unwrap();
    let before = plugin.get("Ensemble").unwrap();
    let whole = plugin.save().unwrap();
    let mut seed = 1_u32;
    let mut random = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect()
    };
    let states = [Vec::new(), random(1), random(64), random(100_000), whole[..whole.len() / 2].to_vec()];
    for state in states {
        assert!(plugin.load(&state).is_err(), "{} random bytes are taken for a state", state.len());
        plugin.process(512, &[]).unwrap();
        assert_eq!(plugin.get("Ensemble").unwrap(), before, "after {} random bytes", state.len());
    }
}

/// Odd rates and block sizes play the same pitches at the same times.
#[test]
fn every_sample_rate_and_block_size_plays() {
    let library = library();
    for (sample_rate, block) in [(44_100, 441), (96_000, 8_192), (22_050, 1)] {
        let mut task = pieces::task("Ripieno", pieces::melody()[..1].to_vec(), sample_rate);
        task.block = block;
        let take = perform(&mut library.instantiate("Ripieno").unwrap(), &task, Pace::Bounce).unwrap();
        let complaints = listen::complaints(&take, &[task.notes]);
        assert!(complaints.is_empty(), "{sample_rate} Hz in blocks of {block}: {complaints:#?}");
    }
}
