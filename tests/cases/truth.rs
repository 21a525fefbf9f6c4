//! What the plug-in says of itself is so, to the sample and to the byte, in five hosts.
//!
//! A latency is measured against the same notes as `ripieno render` makes them, which starts at the first sample of the
//! piece: the lag of their largest cross-correlation. In Ardour, whose song rolls before its first bar while it makes up for
//! latencies, it is measured by the notes that leave the plug-in when their sound does, and by the sound: it is, to the byte,
//! that of a host which rolls for as long. In Live, where it is 0, a key's first sample that is not 0 has to be the key's own. A slow machine and lost segments
//! are asked for by `RIPIENO_FAULTS`, in a process of its own. Needs the bundle and the `ripieno` command, and is run by
//! `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use ripieno_engine::score::{Score, TickNote, Track, midi};
use ripieno_tests::clap_host::Library;
use ripieno_tests::clicks::clicks;
use ripieno_tests::performer::{Note, Pace, Stereo, Take, Task, perform, play};
use ripieno_tests::{alone, files, listen, pieces, recorder};

const RATES: [u32; 3] = [44_100, 48_000, 96_000];
const BLOCKS: [u32; 4] = [1, 64, 1_000, 8_192];

/// The task's notes as the command line renders them.
fn rendered(task: &Task) -> Stereo {
    let folder = files::fresh_folder(&format!("rendered-{}", task.sample_rate)).unwrap();
    let (piece, wav) = (folder.join("strokes.mid"), folder.join("strokes.wav"));
    let score = Score::default();
    // A score's tempo is 120 unless it says another.
    let ticks = |seconds: f64| (seconds * 2.0 * f64::from(score.resolution)).round() as u64;
    let note = |note: &Note| TickNote {
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
    for mut task in [pieces::strokes(48_000), chords_in_live()] {
        let first = clack(&task, Pace::Bounce);
        assert!(listen::peak(&first.buses[0]) > 0.01, "nothing sounds");
        for block in BLOCKS {
            task.block = block;
            let differs = difference(&first, &clack(&task, Pace::Bounce));
            assert_eq!(differs, None, "in blocks of {block}: {:?}", task.parameters);
        }
    }
}

/// The piano again, in Live: chords whose keys go down at odd samples, some for so long that they are heard in context.
fn chords_in_live() -> Task {
    let mut task = pieces::key(48_000);
    let note = |onset, end, key| Note { onset, end, key, velocity: 90 };
    task.notes.extend([note(1.000_7, 1.9, 52), note(1.3, 2.2, 67), note(1.513, 2.4, 71), note(1.513, 1.6, 48)]);
    task.seconds = 3.0;
    task
}

/// The first sample that is not 0, on either side; and by how much it is later than the task's note and the latency.
fn late_key(task: &Task, take: &Take) -> Option<i64> {
    let Stereo { left, right } = &take.buses[0];
    let first = left.iter().zip(right).position(|(left, right)| *left != 0.0 || *right != 0.0)?;
    let due = (task.notes[0].onset * f64::from(task.sample_rate)).round() as i64 + i64::from(take.latency);
    Some(first as i64 - due)
}

/// In Live the latency that is told is 0, and a key sounds at its own sample.
fn a_key_sounds_at_its_sample_in(mut record: impl FnMut(&Task) -> Take) {
    let told = RATES.map(|rate| {
        let task = pieces::key(rate);
        let take = record(&task);
        (take.latency, late_key(&task, &take))
    });
    assert_eq!(told, [(0, Some(0)); 3], "latency, and samples from key to sound, at {RATES:?} Hz");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn in_live_a_key_sounds_at_its_sample_in_clack() {
    a_key_sounds_at_its_sample_in(|task| clack(task, Pace::Bounce));
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn in_live_a_key_sounds_at_its_sample_in_minihost() {
    a_key_sounds_at_its_sample_in(|task| live_in("minihost", task));
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn in_live_a_key_sounds_at_its_sample_in_dawdreamer() {
    a_key_sounds_at_its_sample_in(|task| live_in("dawdreamer", task));
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn in_live_a_key_sounds_at_its_sample_in_pedalboard() {
    a_key_sounds_at_its_sample_in(|task| live_in("pedalboard", task));
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn in_live_a_key_sounds_at_its_sample_in_ardour() {
    a_key_sounds_at_its_sample_in(|task| live_in("ardour", task));
}

fn live_in(host: &str, task: &Task) -> Take {
    recorder::record(host, &format!("live-{}", task.sample_rate), task).unwrap()
}

/// A folder of the next two tests, in the process that another starts.
const FOLDER: &str = "RIPIENO_TEST_FOLDER";

/// Two strokes, and few enough steps that a machine 20 times slower is not waited for long.
fn two_strokes() -> Task {
    let mut task = pieces::strokes(48_000);
    task.notes.truncate(2);
    task.seconds = 3.5;
    task.parameters.push(("Quality".to_owned(), "1".to_owned()));
    task
}

/// The engine's figures as it left them at its end.
fn figures(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("telemetry.json")).unwrap()).unwrap()
}

/// Runs a test of this program with a folder and with faults; returns what it heard and the engine's figures.
fn with_faults(name: &str, folder: &str, faults: &str) -> (Stereo, serde_json::Value) {
    let folder = files::fresh_folder(folder).unwrap();
    let (telemetry, faults) = (folder.join("telemetry.json"), Path::new(faults));
    let variables = [(FOLDER, folder.as_path()), ("RIPIENO_TELEMETRY", &telemetry), ("RIPIENO_FAULTS", faults)];
    alone::run(name, &variables).unwrap();
    (files::read_wav(&folder.join("take.wav")).unwrap().1, figures(&folder))
}

#[test]
#[ignore = "started by other tests"]
fn bounces() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let take = clack(&two_strokes(), Pace::Bounce);
    files::write_wav(&Path::new(&folder).join("take.wav"), take.sample_rate, &take.buses[0]).unwrap();
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_bounce_waits_for_a_machine_20_times_slower_and_loses_nothing() {
    let (quick, _) = with_faults("bounces", "clack-quick", "");
    // Segments are lost in real time alone.
    let (slow, figures) = with_faults("bounces", "clack-slow", "slowness=20,lose_every=2");
    assert!(listen::peak(&quick) > 0.01, "nothing sounds");
    assert!(quick == slow, "the slow machine's bytes are others");
    let counted = ["underruns", "short_segments", "lost_events"].map(|name| figures[name].as_u64());
    assert_eq!(counted, [Some(0); 3], "{figures}");
}

/// A bounce in a host is the same bytes on a machine that is 20 times slower, and in each of these block sizes. DawDreamer
/// and Ardour never say that they bounce: there it is their haste that says it.
fn a_bounce_is_the_same_bytes_in(host: &str, blocks: &[u32]) {
    let task = two_strokes();
    let takes = recorder::record_in_blocks(host, "blocks", &task, blocks).unwrap();
    let first = &takes[0];
    assert!(listen::peak(&first.buses[0]) > 0.01, "nothing sounds in {host}");
    for (block, take) in blocks.iter().zip(&takes[1..]) {
        assert_eq!(difference(first, take), None, "sample at which a bounce in {host} in blocks of {block} differs");
    }
    let faults = [("RIPIENO_FAULTS", Path::new("slowness=20,lose_every=2"))];
    let slow = recorder::record_with(host, "slow", &task, &faults).unwrap();
    assert_eq!(difference(first, &slow), None, "sample at which the slow machine's bounce in {host} differs");
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_bounce_in_minihost_is_the_same_bytes_whatever_the_block_and_however_slow_the_machine() {
    a_bounce_is_the_same_bytes_in("minihost", &BLOCKS);
}

/// Without blocks of 1: then DawDreamer itself needs more than a quarter of the time that it renders, and what does not say
/// that it bounces and is no faster than that may be played to someone.
#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_bounce_in_dawdreamer_is_the_same_bytes_whatever_the_block_and_however_slow_the_machine() {
    a_bounce_is_the_same_bytes_in("dawdreamer", &BLOCKS[1..]);
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn a_bounce_in_pedalboard_is_the_same_bytes_whatever_the_block_and_however_slow_the_machine() {
    a_bounce_is_the_same_bytes_in("pedalboard", &BLOCKS);
}

/// Its exports have the block size of its audio engine, here of a sound card that is none: no export chooses another.
#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn an_export_of_ardour_is_the_same_bytes_however_slow_the_machine() {
    a_bounce_is_the_same_bytes_in("ardour", &[]);
}

/// A bounce lets the models load and does not lose segments; what follows in real time does.
#[test]
#[ignore = "started by other tests"]
fn plays_an_organ_in_real_time() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let library = Library::open(&files::bundled("Ripieno.clap").unwrap()).unwrap();
    let mut instance = library.instantiate("Ripieno").unwrap();
    let mut task = two_strokes();
    task.parameters[0].1 = "Organ in Maeshowe".to_owned();
    task.seconds = 0.1;
    perform(&mut instance, &task, Pace::Bounce).unwrap();
    // Held until after what is recorded: whatever is lost, it sounds on.
    task.notes = vec![Note { onset: 0.0, end: 60.0, key: 60, velocity: 100 }];
    task.seconds = 6.3;
    let mut heard = Stereo::default();
    instance.set_offline(false).unwrap();
    instance.activate(48_000.0, 512).unwrap();
    play(&mut instance, &task, Pace::RealTime, &mut |_, block, frames| {
        heard.left.extend_from_slice(&block[0][0][..frames]);
        heard.right.extend_from_slice(&block[0][1][..frames]);
    })
    .unwrap();
    files::write_wav(&Path::new(&folder).join("take.wav"), 48_000, &heard).unwrap();
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn the_dropout_meter_counts_exactly_the_segments_that_are_lost() {
    for (faults, lost) in [("", 0), ("lose_every=3", 2)] {
        let (heard, figures) = with_faults("plays_an_organ_in_real_time", &format!("dropouts-{lost}"), faults);
        // Segments 2 and 5 of 0.64 s, 0.25 s before and one latency of 1.61 s later: the next, segment 8, would be heard from
        // 6.5 s on.
        assert_eq!(figures["underruns"].as_u64(), Some(lost), "{figures}");
        let first = heard.left.iter().position(|&sample| sample != 0.0).expect("nothing sounds");
        // The instant voice carries on; after a tenth of a second the organ is there.
        let heard = listen::mono(&heard);
        let silent = heard[first + 4_800..].chunks(480).position(|chunk| listen::level(chunk) < -60.0);
        assert_eq!(silent, None, "silence in a held note, hundredths of a second after its beginning");
        let found = clicks(&heard, 48_000);
        assert!(found.is_empty(), "clicks at {found:?} with {lost} segments lost");
    }
}

/// At each rate the latency.
fn the_truth_in(host: &str) {
    let late = RATES.map(|rate| {
        let task = pieces::strokes(rate);
        let take = recorder::record(host, &format!("truth-{rate}"), &task).unwrap();
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

/// Samples of a block of Ardour's audio engine without a sound card.
const ARDOURS_BLOCK: u32 = 1_024;

/// The left of the task in clack, where the song rolls for as long before its beginning as in Ardour: for the latency, in
/// whole blocks. What the plug-in plays depends on when the song began to roll; were a note a sample off, it would be other
/// bytes.
fn as_if_rolled(task: &Task, latency: u32) -> Vec<f32> {
    let before = latency.next_multiple_of(ARDOURS_BLOCK);
    let seconds = f64::from(before) / f64::from(task.sample_rate);
    let mut rolled = Task { seconds: task.seconds + seconds, ..task.clone() };
    rolled.notes.iter_mut().for_each(|note| (note.onset, note.end) = (note.onset + seconds, note.end + seconds));
    clack(&rolled, Pace::Bounce).buses.remove(0).left.split_off(before as usize)
}

#[test]
#[ignore = "needs the bundle: cargo xtask test"]
fn ardour_tells_the_truth() {
    for rate in RATES {
        let task = pieces::strokes(rate);
        let take = recorder::record("ardour", &format!("truth-{rate}"), &task).unwrap();
        let played = |note: &Note| (note.key, (note.onset * f64::from(rate)).round() as u64 + u64::from(take.latency));
        let heard: Vec<(u8, u64)> = take.sent.iter().map(|note| (note.key, note.sample)).collect();
        assert_eq!(heard, task.notes.iter().map(played).collect::<Vec<_>>(), "keys and samples at {rate} Hz");
        let (ours, theirs) = (as_if_rolled(&task, take.latency), &take.buses[0].left);
        let differs = ours.iter().zip(theirs).position(|(one, other)| one.to_bits() != other.to_bits());
        assert!(listen::peak(&take.buses[0]) > 0.01 && ours.len() + 1 >= theirs.len(), "nothing sounds at {rate} Hz");
        assert_eq!(differs, None, "sample at which the sound is another than clack's at {rate} Hz");
    }
}
