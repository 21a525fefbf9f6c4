//! What a host does to its song and to the instrument while keys are held: nothing sticks, clicks or slips in time.
//!
//! Mostly in bounces, where the same notes are the same bytes. A host that moves its song must hear, to the sample, what
//! one hears that leaves it alone, and one that puts the instrument to sleep and wakes it hears what a new one plays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use ripieno_tests::allocations::{Counting, Seen};
use ripieno_tests::clap_host::{Input, Instance, Library, Sent, Song};
use ripieno_tests::clicks::clicks;
use ripieno_tests::performer::{Note, Task, events};
use ripieno_tests::{listen, pieces};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RATE: u32 = 48_000;
/// A block is a hundredth of a second, so that a host can act at any of them.
const BLOCK: u32 = 480;

/// What a host does with its song.
type Deed = fn(&mut Song);

/// Each while at least one key is held: seconds, and what is done before the block that begins then.
const DEEDS: [(f64, Deed); 9] = [
    // The song stands still while the musician begins,
    (0.0, |song| song.playing = false),
    // starts,
    (0.5, |song| song.playing = true),
    // goes round a loop of a bar, twice,
    (0.8, |song| song.beat -= 4.0),
    (1.0, |song| song.beat -= 4.0),
    // jumps,
    (1.2, |song| song.beat = 1_000.5),
    // becomes slower and then much faster,
    (1.4, |song| song.tempo = 93.7),
    (1.8, |song| song.tempo = 311.0),
    // stops, and goes on somewhere else.
    (2.2, |song| song.playing = false),
    (2.6, |song| *song = Song { beat: 64.0, tempo: 60.0, playing: true }),
];

/// A line whose notes overlap: from the first deed to the last a key is down.
fn task(mode: &str) -> Task {
    let note = |onset, end, key| Note { onset, end, key, velocity: 90 };
    let notes = vec![note(0.2, 1.3, 67), note(0.9, 2.0, 72), note(1.9, 3.0, 64)];
    let mut task = pieces::task("Ripieno", notes, RATE);
    task.parameters =
        [("Performance", pieces::PERFORMANCE), ("Ensemble", "Solo"), ("Mode", mode), ("Quality", "0 steps")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    task.block = BLOCK;
    // The room's last echo, and Sync's latency.
    task.seconds = 7.0;
    task
}

#[derive(Default)]
struct Heard {
    left: Vec<f32>,
    sent: Vec<Sent>,
}

impl Heard {
    /// Everything that was begun and not ended, by channel and key.
    fn stuck(&self) -> Vec<(u8, u8)> {
        let mut open = Vec::new();
        for event in &self.sent {
            let note = (event.channel, event.key);
            open.retain(|other| *other != note);
            if event.on {
                open.push(note);
            }
        }
        open
    }
}

fn instance(task: &Task, offline: bool) -> Instance {
    // SAFETY: the framework's macro exports a whole entry.
    let library = unsafe { Library::from_entry(&ripieno::clap_entry) }.unwrap();
    let mut instance = library.instantiate("Ripieno").unwrap();
    for (name, value) in &task.parameters {
        instance.set(name, value).unwrap();
    }
    instance.set_offline(offline).unwrap();
    instance.activate(f64::from(RATE), BLOCK).unwrap();
    instance
}

/// Plays the task from its beginning, with the host's deeds between its blocks.
fn listen_to(instance: &mut Instance, task: &Task, deeds: &[(f64, Deed)]) -> Heard {
    let mut heard = Heard::default();
    let (events, begun) = (events(&task.notes, f64::from(RATE)), instance.sent().len());
    for start in (0..(task.seconds * f64::from(RATE)) as u64).step_by(BLOCK as usize) {
        for (_, deed) in deeds.iter().filter(|(at, _)| (at * f64::from(RATE)).round() as u64 == start) {
            deed(instance.audio().unwrap().song());
        }
        let due = events.iter().filter(|(at, _)| (start..start + u64::from(BLOCK)).contains(at));
        let inputs: Vec<Input> = due.map(|(at, event)| Input { offset: (at - start) as u32, ..*event }).collect();
        heard.left.extend_from_slice(&instance.process(BLOCK as usize, &inputs).unwrap()[0][0][..BLOCK as usize]);
        instance.idle();
    }
    heard.sent = instance.sent()[begun..].to_vec();
    expect_no_allocations(instance);
    heard
}

/// A bounce waits, but that is all it may do.
fn expect_no_allocations(instance: &Instance) {
    assert_eq!(instance.seen().allocations, 0, "allocations of process()");
}

fn expect_a_clean_end(heard: &Heard, what: &str) {
    assert!(heard.left.iter().all(|sample| sample.is_finite()), "{what}: not a number");
    assert!(listen::level(&heard.left) > -50.0, "{what}: nothing sounds");
    let end = listen::level(&heard.left[heard.left.len() - RATE as usize / 4..]);
    assert!(end < -70.0, "{what}: {end} dB at the end: a note is stuck");
    assert_eq!(heard.stuck(), [], "{what}: notes that the host believes to sound");
}

#[test]
fn a_song_that_starts_stops_loops_jumps_and_changes_its_tempo_is_heard_as_if_it_had_not() {
    for mode in ["Live", "Sync"] {
        let task = task(mode);
        let still = listen_to(&mut instance(&task, true), &task, &[]);
        expect_a_clean_end(&still, mode);
        let mut instance = instance(&task, true);
        let latency = instance.latency();
        let moved = listen_to(&mut instance, &task, &DEEDS);
        let differs = still.left.iter().zip(&moved.left).position(|(one, other)| one != other);
        assert_eq!(differs, None, "{mode}: sample at which the song's movement is heard");
        assert_eq!(still.sent, moved.sent, "{mode}: notes that leave the plug-in");
        assert_eq!(instance.latency(), latency, "{mode}");
    }
}

/// The composer answers a melody over a loop of four bars, which is played for less than half of each round.
#[test]
fn what_is_composed_over_a_hosts_loop_sounds_and_leaves_no_note_behind() {
    /// Seconds of 16 beats at 240 a minute.
    const LOOP: f64 = 4.0;
    let back: Deed = |song| song.beat -= 16.0;
    let deeds: [(f64, Deed); 4] =
        [(0.0, |song| song.tempo = 240.0), (LOOP, back), (2.0 * LOOP, back), (3.0 * LOOP, |song| song.playing = false)];
    let mut task = task("Sync");
    task.parameters.extend(
        [("Ensemble", "String quartet"), ("Composer", "Accompany")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let phrase = |round: f64| {
        let note = move |(at, key)| Note { onset: round * LOOP + at, end: round * LOOP + at + 0.4, key, velocity: 90 };
        [(0.1, 67), (0.6, 72), (1.1, 64)].map(note)
    };
    task.notes = [0.0, 1.0, 2.0].into_iter().flat_map(phrase).collect();
    task.seconds = 3.0 * LOOP + 6.0;
    let mut instance = instance(&task, true);
    let heard = listen_to(&mut instance, &task, &deeds);
    expect_a_clean_end(&heard, "a loop");
    // The musician's part is the first; the melody has died away, and the next round has not begun.
    let begun = |from: u64, to: u64| {
        heard.sent.iter().filter(move |sent| sent.on && sent.channel > 0 && (from..to).contains(&sent.sample)).count()
    };
    let (rate, latency) = (f64::from(RATE), u64::from(instance.latency()));
    for round in [0.0, 1.0, 2.0] {
        let at = |seconds: f64| latency + ((round * LOOP + seconds) * rate) as u64;
        assert!(begun(at(0.0), at(LOOP)) > 3, "round {round}: nothing is composed");
        let (from, to) = (at(3.0), at(LOOP));
        let level = listen::level(&heard.left[from as usize..to as usize]);
        assert!(begun(at(2.5), to) > 0 && level > -55.0, "round {round}: what is composed is {level} dB loud");
    }
}

/// A way to put the instrument to sleep and to wake it.
type Wake = fn(&mut Instance);

const WAKES: [(&str, Wake); 3] = [
    ("reset", |instance| instance.audio().unwrap().reset()),
    ("stop and start", |instance| instance.audio().unwrap().stop_and_start().unwrap()),
    ("deactivate and activate", |instance| {
        instance.deactivate();
        instance.activate(f64::from(RATE), BLOCK).unwrap();
    }),
];

#[test]
fn an_instrument_that_was_put_to_sleep_with_keys_held_wakes_as_a_new_one() {
    for mode in ["Live", "Sync"] {
        let task = task(mode);
        let new = listen_to(&mut instance(&task, true), &task, &[]);
        for (name, wake) in WAKES {
            let what = format!("{mode}, {name}");
            let mut instance = instance(&task, true);
            let latency = instance.latency();
            // Two keys are down, and in Sync the first is heard.
            let mut held = task.clone();
            held.notes.iter_mut().for_each(|note| note.end = 60.0);
            held.seconds = 2.5;
            let before = listen_to(&mut instance, &held, &[]);
            assert!(!before.stuck().is_empty(), "{what}: nothing is held");
            wake(&mut instance);
            let mut woken = listen_to(&mut instance, &task, &[]);
            let differs = new.left.iter().zip(&woken.left).position(|(one, other)| one != other);
            assert_eq!(differs, None, "{what}: sample at which it differs from a new instance");
            assert_eq!(instance.latency(), latency, "{what}");
            woken.sent.splice(0..0, before.sent);
            assert_eq!(woken.stuck(), [], "{what}: notes that the host believes to sound");
        }
    }
}

/// In real time: the host asks for nothing for a while, with a key held that sounds, and then for more.
#[test]
fn a_bypassed_instrument_goes_on_where_it_was() {
    for mode in ["Live", "Sync"] {
        let task = task(mode);
        let mut instance = instance(&task, true);
        // A bounce waits until everything is loaded.
        instance.process(BLOCK as usize, &[]).unwrap();
        instance.deactivate();
        instance.set_offline(false).unwrap();
        instance.activate(f64::from(RATE), BLOCK).unwrap();
        let latency = instance.latency();
        // Blocks that go by before what is played is heard.
        let late = latency.div_ceil(BLOCK) as usize;
        let mut heard = Vec::new();
        let mut blocks = |instance: &mut Instance, count: usize, event: &[Input]| {
            let begun = Instant::now();
            for block in 0..count {
                let events = if block == 0 { event } else { &[] };
                let sound = instance.process(BLOCK as usize, events).unwrap();
                heard.extend_from_slice(&sound[0][0][..BLOCK as usize]);
                let due = Duration::from_millis(10 * (block as u64 + 1));
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        };
        blocks(&mut instance, late + 80, &[Input { offset: 7, key: 67, velocity: 90 }]);
        std::thread::sleep(Duration::from_millis(700));
        blocks(&mut instance, 60, &[]);
        blocks(&mut instance, late + 350, &[Input { offset: 0, key: 67, velocity: 0 }]);
        let samples = |blocks: std::ops::Range<usize>| {
            &heard[(late + blocks.start) * BLOCK as usize..(late + blocks.end) * BLOCK as usize]
        };
        // Where the blocks went on after the pause.
        let found = clicks(samples(70..90), RATE);
        assert!(found.is_empty(), "{mode}: clicks at {found:?}");
        let held = samples(20..140).chunks(RATE as usize / 20).map(listen::level);
        let quietest = held.fold(f64::INFINITY, f64::min);
        assert!(quietest > -60.0, "{mode}: {quietest} dB while the key is held");
        let end = listen::level(&heard[heard.len() - RATE as usize / 4..]);
        assert!(end < -70.0, "{mode}: {end} dB at the end: a note is stuck");
        assert_eq!(instance.latency(), latency, "{mode}");
        assert_eq!(instance.seen(), Seen::default(), "{mode}");
    }
}
