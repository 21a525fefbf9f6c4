//! A host gone wild: random blocks, rates, notes, parameters, states, modes and threads, for a while and by a seed.
//!
//! What must hold all the time: nothing panics, every sample is a number, what is held makes no click that the host did not
//! make itself, `process()` allocates nothing, and what is taken is given back. `RIPIENO_STORM_SECONDS` and
//! `RIPIENO_STORM_SEED` ask for another storm than the one of `cargo xtask test`; a storm says its figures at its end, and
//! leaves the sound around each click in the folder `RIPIENO_STORM_CLICKS`, if it is given one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ripieno_tests::allocations::{Counting, held};
use ripieno_tests::clap_host::{AudioThread, Input, Instance, Library};
use ripieno_tests::clicks::clicks;
use ripieno_tests::files;
use ripieno_tests::memory::{in_use_mib, resident_mib};
use ripieno_tests::performer::Stereo;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of a storm that nobody asked for.
const SECONDS: f64 = 25.0;
const SEED: u64 = 20_261_121;

const RATES: [f64; 8] = [8_000.0, 22_050.0, 44_100.0, 48_000.0, 48_000.0, 88_200.0, 96_000.0, 192_000.0];
const LONGEST_BLOCK: usize = 8_192;
/// Seconds of sound between two deeds of a host, but for a longest block.
const LONGEST_PLAY_S: f64 = 0.5;
/// The plug-in's ceiling per part, and the most that its gains add.
const LOUDEST: f32 = 2.0 * 8.0 * 16.0;
/// Full scale of a part is cut off there, which is a corner and no click of ours.
const CEILING: f32 = 1.9;
/// The share of the sound that must have been listened to for clicks, or the storm has shown nothing of them.
const LEAST_JUDGED: f64 = 0.1;
/// What the denoiser is asked for at most, where nobody waits for it.
const MOST_STEPS: usize = 4;
/// What a host may do to a sound whose end is not ours to fade: seconds around it are not listened to.
const SPAN_EDGE_S: f64 = 0.02;

/// Panics of any thread of this process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Numerical Recipes' 64-bit generator: the same storm on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// 1 to `longest` samples; short ones are as likely as long ones.
    fn block(&mut self, longest: usize) -> usize {
        ((longest as f64).powf(self.share()).round() as usize).clamp(1, longest)
    }

    /// Some notes of a block, in order of time; now and then 300 at once.
    fn events(&mut self, frames: usize) -> Vec<Input> {
        let count = if self.chance(60) { 300 } else { self.below(4) };
        let mut events: Vec<Input> = (0..count)
            .map(|_| {
                let velocity = if self.chance(2) { 0 } else { 1 + self.below(127) as u8 };
                Input { offset: self.below(frames) as u32, key: self.below(128) as u8, velocity }
            })
            .collect();
        events.sort_by_key(|event| event.offset);
        events
    }
}

/// How fast the host asks for its blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pace {
    RealTime,
    AsFastAsItGoes,
}

/// What is counted over a whole storm.
#[derive(Debug, Default)]
struct Figures {
    instances: u64,
    activations: u64,
    resets: u64,
    blocks: u64,
    /// Seconds of sound.
    sound: f64,
    notes: u64,
    changes: u64,
    /// States that were handed over, and how many of them were refused.
    states: u64,
    refused: u64,
    elsewhere: u64,
    /// Seconds of it that were judged for clicks, and what was found.
    judged: f64,
    clicks: Vec<String>,
    loudest: f32,
}

/// One instance in the storm.
struct Player {
    instance: Instance,
    class: &'static str,
    rate: f64,
    longest: usize,
    /// Whether the host says that it bounces.
    offline: bool,
    /// Left and right of the mix since the last thing that may cut it.
    span: [Vec<f32>; 2],
    /// Deeds of the span, for whoever looks for a click's cause.
    deeds: Vec<(usize, String)>,
}

impl Player {
    fn new(library: &Library, random: &mut Random, figures: &mut Figures) -> Self {
        let class = *random.of(&["Ripieno", "Ripieno", "Ripieno Multi"]);
        figures.instances += 1;
        let instance = library.instantiate(class).unwrap();
        let (span, deeds) = Default::default();
        let mut player = Self { instance, class, rate: 0.0, longest: 0, offline: false, span, deeds };
        player.instance.set("Ensemble", "Solo").unwrap();
        player.do_not_dawdle(random);
        player.activate(random, figures);
        player
    }

    fn activate(&mut self, random: &mut Random, figures: &mut Figures) {
        self.end_span(figures);
        self.check_allocations();
        self.instance.deactivate();
        self.rate = *random.of(&RATES);
        self.longest = random.block(LONGEST_BLOCK);
        self.instance.activate(self.rate, self.longest as u32).unwrap();
        figures.activations += 1;
    }

    /// A bounce takes up changed parameters where they change, and waits; then it may allocate.
    fn check_allocations(&self) {
        if !self.offline {
            let seen = self.instance.seen().allocations;
            assert_eq!(seen, 0, "allocations of process() in {}", self.class);
        }
    }

    fn set_offline(&mut self, offline: bool, random: &mut Random, figures: &mut Figures) {
        // Counted from activation on: the two kinds are told apart by activating.
        self.check_allocations();
        self.end_span(figures);
        self.instance.deactivate();
        self.offline = offline;
        self.instance.set_offline(offline).unwrap();
        self.do_not_dawdle(random);
        self.activate(random, figures);
    }

    /// What a bounce would wait for (steps, many players, in Live a table of their single notes) is no part of the storm. In real
    /// time nobody waits: the denoiser is asked for some steps or for none.
    fn do_not_dawdle(&mut self, random: &mut Random) {
        let steps = if self.offline { 0 } else { random.below(MOST_STEPS + 1) };
        self.instance.set("Quality", &format!("{steps} steps")).unwrap();
        if self.offline {
            self.instance.set("Ensemble", "Solo").unwrap();
            self.instance.set("Performance", "Concert grand").unwrap();
            self.instance.set("Mode", "Sync").unwrap();
        }
    }

    fn did(&mut self, deed: impl Into<String>) {
        self.deeds.push((self.span[0].len(), deed.into()));
    }

    /// Listens to what was heard since the last thing that may cut it, and begins anew.
    fn end_span(&mut self, figures: &mut Figures) {
        let edge = (SPAN_EDGE_S * self.rate) as usize;
        let span = std::mem::take(&mut self.span);
        let deeds = std::mem::take(&mut self.deeds);
        let (loud, length) = (span.iter().flatten().any(|sample| sample.abs() > CEILING), span[0].len());
        if loud || length < 3 * edge || self.rate < 22_050.0 {
            return;
        }
        figures.judged += length as f64 / self.rate;
        for (side, samples) in ["left", "right"].iter().zip(&span) {
            for at in clicks(samples, self.rate as u32).into_iter().filter(|at| (edge + 1..length - edge).contains(at))
            {
                let before: Vec<&(usize, String)> =
                    deeds.iter().filter(|(when, _)| *when <= at).rev().take(4).collect();
                let (class, rate) = (self.class, self.rate);
                if let Some(folder) = std::env::var_os("RIPIENO_STORM_CLICKS") {
                    let around = at.saturating_sub((0.2 * rate) as usize)..length.min(at + (0.2 * rate) as usize);
                    let sound = Stereo { left: span[0][around.clone()].to_vec(), right: span[1][around].to_vec() };
                    let file = format!("{:02}-{side}-{at}.wav", figures.clicks.len());
                    let path = std::path::Path::new(&folder).join(file);
                    files::write_wav(&path, rate as u32, &sound).unwrap();
                    let names = ["Mode", "Ensemble", "Performance", "Quality", "Composer"];
                    let now = names.map(|name| self.instance.get(name).unwrap_or_default());
                    let told = format!("{class} at {rate} Hz, offline {}, {now:?}: {deeds:?}", self.offline);
                    std::fs::write(path.with_extension("txt"), told).unwrap();
                }
                figures.clicks.push(format!("{class}, {side}, at {rate} Hz, sample {at} after {before:?}"));
            }
        }
    }

    /// Blocks of random length with random notes.
    fn play(&mut self, blocks: usize, pace: Pace, random: &mut Random, figures: &mut Figures) {
        let (rate, mut left) = (self.rate, LONGEST_PLAY_S * self.rate);
        for _ in 0..blocks {
            let frames = random.block(self.longest);
            left -= frames as f64;
            let events = random.events(frames);
            let at = self.span[0].len();
            let block = self.instance.process(frames, &events).unwrap();
            judge(block, frames, rate, &mut self.span, figures);
            figures.notes += events.len() as u64;
            for event in &events {
                self.deeds.push((at + event.offset as usize, format!("{}:{}", event.key, event.velocity)));
            }
            self.instance.idle();
            if pace == Pace::RealTime {
                std::thread::sleep(Duration::from_secs_f64(frames as f64 / self.rate));
            }
            if left < 0.0 {
                return;
            }
        }
    }

    /// The same on a thread of its own, while this one loads, saves and reads.
    fn play_elsewhere(&mut self, states: &[Vec<u8>], random: &mut Random, figures: &mut Figures) {
        let (mut there, mut here) = (Random(random.0 ^ 1), Random(random.0 ^ 2));
        random.below(1);
        let (rate, longest, mut span) = (self.rate, self.longest, std::mem::take(&mut self.span));
        let blocks = 5 + random.below(40);
        let process = |audio: &mut AudioThread| {
            let mut figures = Figures::default();
            for _ in 0..blocks {
                let frames = there.block(longest);
                let events = there.events(frames);
                judge(audio.process(frames, &events).unwrap(), frames, rate, &mut span, &mut figures);
                std::thread::sleep(Duration::from_micros(300));
            }
            (span, figures)
        };
        let mut refused = 0;
        let main = |instance: &mut Instance| {
            for _ in 0..3 {
                let state = mangled(here.of(states).clone(), &mut here);
                refused += u64::from(instance.load(&state).is_err());
                let _ = instance.save().unwrap();
                let _ = instance.latency();
                let _ = instance.get("Mode").unwrap();
                instance.idle();
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        let (span, more) = self.instance.meanwhile(process, main).unwrap();
        self.span = span;
        figures.blocks += more.blocks;
        figures.sound += more.sound;
        figures.loudest = figures.loudest.max(more.loudest);
        figures.elsewhere += 1;
        figures.states += 3;
        figures.refused += refused;
        self.do_not_dawdle(random);
        self.did("states from another thread");
    }

    /// The host's song goes somewhere, or its tempo changes to anything that a host may say.
    fn move_song(&mut self, random: &mut Random) {
        let song = self.instance.audio().unwrap().song();
        match random.below(5) {
            0 => song.playing = !song.playing,
            1 => song.beat = random.share() * 4_000.0 - 8.0,
            2 => song.tempo = 1.0 + random.share() * 998.0,
            3 => song.beat = (song.beat / 4.0).floor() * 4.0,
            _ => song.beat -= 4.0,
        }
        self.did("song");
    }

    /// A parameter gets another value while it plays.
    fn change(&mut self, random: &mut Random) {
        let (name, values): &(&str, &[&str]) = random.of(&[
            ("Mode", &["Live", "Sync"]),
            ("Mode", &["Live", "Sync"]),
            ("Output gain", &["-inf", "-6.0 dB", "0.0 dB", "12.0 dB"]),
            ("Part 1 gain", &["-inf", "-6.0 dB", "0.0 dB"]),
            ("Part 2 plays", &["On", "Off"]),
            ("Part 1 pitch", &["Any", "C4", "C6"]),
            ("Arranger", &["Learned", "Split", "Closest"]),
            ("Sustain", &["On", "Off"]),
            ("Ensemble", &["Solo", "String quartet", "Brass quartet"]),
            ("Performance", &["Strings in the hall", "Concert grand", "Brass in the hall"]),
            ("Composer", &["Off", "Continue", "Accompany"]),
            ("Note guidance", &["1.00", "1.50"]),
        ]);
        let value = *random.of(values);
        // Not every list has the same names for ever; what is refused changes nothing.
        if self.instance.set(name, value).is_ok() {
            self.did(format!("{name}={value}"));
        }
        self.do_not_dawdle(random);
    }
}

/// Every sample of a block is a number; the mix is kept.
fn judge(block: &[Vec<Vec<f32>>], frames: usize, rate: f64, span: &mut [Vec<f32>; 2], figures: &mut Figures) {
    for channel in block.iter().flatten() {
        for &sample in &channel[..frames] {
            assert!(sample.is_finite(), "a sample is {sample}");
            figures.loudest = figures.loudest.max(sample.abs());
        }
    }
    assert!(figures.loudest <= LOUDEST, "{}", figures.loudest);
    for (span, side) in span.iter_mut().zip(&block[0]) {
        span.extend_from_slice(&side[..frames]);
    }
    figures.blocks += 1;
    figures.sound += frames as f64 / rate;
}

/// The state, or half of it, or with some bytes changed, or none of it.
fn mangled(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => bytes.truncate(random.below(bytes.len())),
        1 => (0..1 + random.below(8)).for_each(|_| {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }),
        2 => bytes = (0..random.below(4_096)).map(|_| random.below(256) as u8).collect(),
        _ => {}
    }
    bytes
}

/// States as a CLAP host keeps them: those of the released versions, which name what other versions had.
fn released_states() -> Vec<Vec<u8>> {
    let folder = files::root().join("plugin/tests/states");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let state = |file: &std::path::PathBuf| {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let json = json.to_string();
        [(json.len() as u64).to_le_bytes().as_slice(), json.as_bytes()].concat()
    };
    files.iter().map(state).collect()
}

fn asked<T: std::str::FromStr>(variable: &str, otherwise: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_host_gone_wild_is_survived() {
    let (seconds, seed) = (asked("RIPIENO_STORM_SECONDS", SECONDS), asked("RIPIENO_STORM_SEED", SEED));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    // SAFETY: the framework's macro exports a whole entry.
    let library = unsafe { Library::from_entry(&ripieno::clap_entry) }.unwrap();
    let (mut random, mut figures, begun) = (Random(seed), Figures::default(), Instant::now());
    let mut states = released_states();
    let released = states.len();
    let mut players: Vec<Player> = Vec::new();
    let mut calm: Vec<Calm> = Vec::new();
    while begun.elapsed().as_secs_f64() < seconds {
        if players.is_empty() || (players.len() < 3 && random.chance(40)) {
            players.push(Player::new(&library, &mut random, &mut figures));
        }
        let which = random.below(players.len());
        let player = &mut players[which];
        match random.below(100) {
            0..50 => {
                let pace = if random.chance(5) { Pace::AsFastAsItGoes } else { Pace::RealTime };
                player.play(1 + random.below(30), pace, &mut random, &mut figures);
            }
            50..70 => {
                figures.changes += 1;
                player.change(&mut random);
            }
            70..76 => player.move_song(&mut random),
            76..82 => {
                let state = mangled(random.of(&states).clone(), &mut random);
                figures.states += 1;
                figures.refused += u64::from(player.instance.load(&state).is_err());
                player.do_not_dawdle(&mut random);
                player.did("state");
            }
            82..84 => {
                let state = player.instance.save().unwrap();
                // Some are kept, not all of a long storm's.
                if states.len() < released + 16 { states.push(state) } else { states[released + which] = state }
            }
            84..88 => player.play_elsewhere(&states, &mut random, &mut figures),
            88..91 => {
                player.end_span(&mut figures);
                player.instance.audio().unwrap().reset();
                figures.resets += 1;
            }
            91..93 => {
                player.end_span(&mut figures);
                player.instance.audio().unwrap().stop_and_start().unwrap();
                figures.resets += 1;
            }
            93..96 => (0..1 + random.below(8)).for_each(|_| player.activate(&mut random, &mut figures)),
            96..98 => {
                let offline = random.chance(2);
                player.set_offline(offline, &mut random, &mut figures);
            }
            98 => {
                player.end_span(&mut figures);
                player.check_allocations();
                players.swap_remove(which);
            }
            _ if random.chance(4) || calm.is_empty() => {
                players.drain(..).for_each(|mut player| {
                    player.end_span(&mut figures);
                    player.check_allocations();
                });
                calm.push(Calm::now(begun));
            }
            _ => {}
        }
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "panics; the seed is {seed}");
    }
    players.drain(..).for_each(|mut player| {
        player.end_span(&mut figures);
        player.check_allocations();
    });
    calm.push(Calm::now(begun));
    // Not by a macro, whose words are kept back where a test passes.
    let _ = writeln!(std::io::stderr(), "seed {seed}, {seconds:.0} s: {figures:#?}\nwithout instances: {calm:#?}");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "panics");
    assert!(figures.loudest > 0.01, "nothing sounds: are there models?");
    assert!(figures.clicks.is_empty(), "{} clicks", figures.clicks.len());
    let (judged, sound) = (figures.judged, figures.sound);
    assert!(judged > LEAST_JUDGED * sound, "of {sound:.0} s only {judged:.0} s were judged for clicks");
    expect_constant_memory(&calm);
}

/// What is held when no instance is left.
#[derive(Debug)]
#[allow(dead_code, reason = "what lies in memory is told and not judged: the allocator keeps what it was given back")]
struct Calm {
    seconds: f64,
    resident_mib: f64,
    in_use_mib: f64,
    /// Bytes of Rust code.
    held: i64,
}

impl Calm {
    fn now(begun: Instant) -> Self {
        let seconds = begun.elapsed().as_secs_f64();
        Self { seconds, resident_mib: resident_mib(), in_use_mib: in_use_mib(), held: held() }
    }
}

/// From the first calm after a third of the storm on, nothing grows.
fn expect_constant_memory(calm: &[Calm]) {
    let last = &calm[calm.len() - 1];
    let middle = calm.iter().find(|calm| calm.seconds > last.seconds / 3.0);
    let Some(middle) = middle.filter(|middle| middle.seconds < last.seconds) else { return };
    let grown = last.in_use_mib - middle.in_use_mib;
    assert!(grown < 8.0, "{grown:.1} MiB more than in the middle");
    assert!(last.held - middle.held < 1 << 20, "{} bytes more than in the middle", last.held - middle.held);
}
