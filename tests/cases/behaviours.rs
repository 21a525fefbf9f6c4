//! What every CLAP host must find, whether the plug-in comes from a bundle or is linked into the test.

use ripieno_engine::stream::{Mode, latency_samples};
use ripieno_tests::clap_host::Library;
use ripieno_tests::listen;
use ripieno_tests::performer::{Pace, perform};
use ripieno_tests::pieces;

/// The sample rate of the behaviours that do not ask for others.
const RATE: u32 = 48_000;

/// Both classes are there.
pub fn there_are_two_classes(library: &Library) {
    let names: Vec<String> = library.classes().unwrap().into_iter().map(|class| class.name).collect();
    assert_eq!(names, ["Ripieno", "Ripieno Multi"]);
}

/// The stereo class plays a melody: silence before it, each pitch at its time, nothing clips, nothing is NaN.
pub fn a_melody_is_heard_at_its_pitches_and_times(library: &Library) {
    let task = pieces::task("Ripieno", pieces::melody(), RATE);
    let mut plugin = library.instantiate("Ripieno").unwrap();
    let take = perform(&mut plugin, &task, Pace::Bounce).unwrap();
    assert_eq!(take.buses.len(), 1);
    let complaints = listen::complaints(&take, &[task.notes]);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The multi class plays four voices: the MIDI output gives each note to one part, and the part's own bus sounds it.
pub fn each_part_is_heard_on_its_own_output(library: &Library) {
    let task = pieces::task("Ripieno Multi", pieces::cadence(), RATE);
    let mut plugin = library.instantiate("Ripieno Multi").unwrap();
    let take = perform(&mut plugin, &task, Pace::Bounce).unwrap();
    assert_eq!(take.buses.len(), 9, "the mix and eight parts");
    let voices = pieces::voices(&task.notes, &take.sent, 4).unwrap();
    assert!(voices.iter().all(|voice| !voice.is_empty()), "a part has nothing to play: {voices:?}");
    let complaints = listen::complaints(&take, &listen::behind_the_mix(voices));
    assert!(complaints.is_empty(), "{complaints:#?}");
    for (index, bus) in take.buses.iter().enumerate().skip(5) {
        assert_eq!(listen::peak(bus), 0.0, "bus {index} has no part and yet sounds");
    }
}

/// What was saved comes back in a new instance, and plays on while it does.
pub fn saved_state_comes_back(library: &Library) {
    let mut plugin = library.instantiate("Ripieno").unwrap();
    let wanted = [
        ("Performance", "Brass in the hall"),
        ("Ensemble", "Brass quartet"),
        ("Mode", "Sync"),
        ("Output gain", "-6.0 dB"),
    ];
    for (name, value) in wanted {
        plugin.set(name, value).unwrap();
    }
    let before: Vec<String> = wanted.iter().map(|(name, _)| plugin.get(name).unwrap()).collect();
    let state = plugin.save().unwrap();
    let mut again = library.instantiate("Ripieno").unwrap();
    again.activate(f64::from(RATE), 512).unwrap();
    again.load(&state).unwrap();
    again.process(512, &[]).unwrap();
    let after: Vec<String> = wanted.iter().map(|(name, _)| again.get(name).unwrap()).collect();
    assert_eq!(after, before);
    assert_eq!(again.save().unwrap(), state, "a state that was loaded is saved as it was");
}

/// A plug-in that asks for a restart while it is being activated stalls a bounce in at least one DAW. In Sync another
/// sample rate is another number of samples of latency, which the host hears in time all the same.
pub fn activation_asks_for_no_restart(library: &Library) {
    use std::sync::atomic::Ordering;
    for class in ["Ripieno", "Ripieno Multi"] {
        for (mode, engines) in [("Live", Mode::Live), ("Sync", Mode::Sync)] {
            let mut plugin = library.instantiate(class).unwrap();
            plugin.set("Mode", mode).unwrap();
            for rate in [RATE, 96_000, 44_100, 44_100, RATE] {
                plugin.deactivate();
                plugin.activate(f64::from(rate), 512).unwrap();
                assert_eq!(plugin.latency(), latency_samples(engines, f64::from(rate)), "{class}, {mode}, {rate} Hz");
                for _ in 0..20 {
                    plugin.process(512, &[]).unwrap();
                    plugin.idle();
                }
                let restarts = plugin.requests().restarts.load(Ordering::Relaxed);
                assert_eq!(restarts, 0, "{class}, {mode}, {rate} Hz");
            }
        }
    }
}
