//! The bundled CLAP, as a musician gets it, loaded from its file by a CLAP host.
//!
//! Needs `cargo xtask bundle`, and is run by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use ripieno_tests::clap_host::Library;
use ripieno_tests::files;

mod behaviours;

fn library() -> Library {
    let file = files::bundled("Ripieno.clap").expect("the plug-in is bundled");
    Library::open(&file).expect("the bundle is a CLAP plug-in")
}

macro_rules! from_the_bundle {
    ($($behaviour:ident),* $(,)?) => {
        $(#[test] #[ignore = "needs the bundle: cargo xtask test"] fn $behaviour() {
            behaviours::$behaviour(&library());
        })*
    };
}

from_the_bundle!(
    there_are_two_classes,
    a_melody_is_heard_at_its_pitches_and_times,
    each_part_is_heard_on_its_own_output,
    saved_state_comes_back,
    activation_asks_for_no_restart,
);

/// The fastest of five: what the plug-in takes, not what else the machine does.
fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    (0..5)
        .map(|_| {
            let began = Instant::now();
            let value = work();
            let time = began.elapsed();
            drop(value);
            time
        })
        .min()
        .unwrap_or_default()
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_scan_takes_less_than_100_ms() {
    let time = fastest(|| {
        let library = library();
        library.classes().unwrap();
        library
    });
    assert!(time < Duration::from_millis(100), "{time:?}");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn an_instance_is_made_in_less_than_50_ms() {
    let library = library();
    for class in ["Ripieno", "Ripieno Multi"] {
        let time = fastest(|| library.instantiate(class).unwrap());
        assert!(time < Duration::from_millis(50), "{class}: {time:?}");
    }
}
