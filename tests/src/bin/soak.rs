//! Dense playing in real time for as long as one likes, and what it did to the audio thread and the sound, as JSON.
//!
//! `cargo run --release -p ripieno-tests --bin soak -- --seconds 600 --load 1`

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use ripieno_engine::stream::{
    AudioSide, Engine, EngineConfig, Event, EventKind, MAX_PARTS, Mode, StatusKind, Telemetry,
};
use ripieno_tests::allocations::{Counting, Seen, watch};
use ripieno_tests::clicks::clicks;
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RATE: u32 = 48_000;
/// Sixteenths at 120 quarters a minute, in samples.
const STEP: u64 = RATE as u64 / 8;
/// Seconds of sound that are looked at for clicks together.
const LISTEN: usize = 10 * RATE as usize;

#[derive(Parser)]
struct Arguments {
    /// How long to play.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Samples per block.
    #[arg(long, default_value_t = 64)]
    block: usize,
    /// Threads that do nothing but take processor time.
    #[arg(long, default_value_t = 0)]
    load: usize,
    /// Play along in Sync instead of Live.
    #[arg(long)]
    sync: bool,
    /// Threads of the networks.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Time of `process` as a share of the block's own duration.
#[derive(Serialize)]
struct Cost {
    median: f64,
    p99: f64,
    p999: f64,
    max: f64,
    /// The same work done by a fixed program around each block: what the machine itself adds. A tone of 16 partials.
    reference_median: f64,
    reference_p999: f64,
}

#[derive(Serialize)]
struct Minute {
    seconds: f64,
    /// Passages so far by denoising steps, from 0 on.
    steps: Vec<u64>,
    resident_mib: f64,
    load: f32,
}

#[derive(Serialize)]
struct Report {
    mode: String,
    seconds: f64,
    block: usize,
    load_threads: usize,
    /// Until the whole table of single notes was there.
    table_seconds: f64,
    audio_cost: Cost,
    notes: u64,
    /// Samples from a key to the first sample that is not 0, out of silence, keys at changing offsets: of how many keys,
    /// least and most. Their difference is the jitter. Live alone.
    key_to_sound: (usize, usize, usize),
    in_context: u64,
    in_context_median_s: f64,
    in_context_p95_s: f64,
    in_context_max_s: f64,
    passages: u64,
    late: u64,
    overtaken: u64,
    /// Passages that ended under a held note with nothing after them; the instant voice carried on.
    missing: u64,
    underruns: u64,
    lost_events: u64,
    allocations: u64,
    waits: u64,
    clicks: usize,
    clicks_at: Vec<f64>,
    not_finite: u64,
    peak: f32,
    over_time: Vec<Minute>,
    status: String,
}

/// Four voices in sixteenths: each new note is another key, held for one to four steps; a pedal now and then.
struct Player {
    seed: u32,
    held: [Option<(u8, u64)>; 4],
}

impl Player {
    fn random(&mut self, below: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) % below
    }

    /// Events of step `step`.
    fn step(&mut self, step: u64, mut event: impl FnMut(EventKind)) -> u64 {
        let mut notes = 0;
        match step % 64 {
            32 => event(EventKind::Sustain(true)),
            40 => event(EventKind::Sustain(false)),
            _ => {}
        }
        for voice in 0..4 {
            if let Some((key, _)) = self.held[voice].filter(|(_, until)| *until <= step) {
                event(EventKind::NoteOff { key });
                self.held[voice] = None;
            }
            if self.held[voice].is_none() && self.random(8) > 0 {
                let key = 72 - 9 * voice as u8 + self.random(9) as u8;
                let velocity = 60 + self.random(50) as u8;
                self.held[voice] = Some((key, step + 1 + u64::from(self.random(4))));
                event(EventKind::NoteOn { key, velocity });
                notes += 1;
            }
        }
        notes
    }
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = status.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4_096.0 / (1 << 20) as f64
}

fn share(times: &[f64], share: f64) -> f64 {
    times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// The fixed program of [`Cost`].
fn reference(block: usize, phase: &mut f32) -> f32 {
    let mut sum = 0.0;
    for _ in 0..block {
        *phase += 0.01;
        sum += (1..=16).map(|partial| (*phase * partial as f32).sin()).sum::<f32>();
    }
    sum
}

fn until_ready(engine: &mut Engine, block: usize) -> Result<f64> {
    let begun = Instant::now();
    let telemetry = Arc::clone(&engine.telemetry);
    while telemetry.progress() < 1.0 || !telemetry.ready() {
        let status = telemetry.status();
        if status.kind == StatusKind::Failed {
            bail!("{}", status.sentence);
        }
        engine.audio.process(block);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Samples from each of some keys to its sound, pressed at changing offsets out of silence.
fn key_to_sound(engine: &mut Engine, block: usize) -> Vec<usize> {
    let mut delays = Vec::new();
    for key in 0..40usize {
        engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
        for _ in 0..RATE as usize / 20 / block + 1 {
            engine.audio.process(block);
            std::thread::sleep(Duration::from_secs_f64(block as f64 / f64::from(RATE)));
        }
        let offset = key * 37 % block;
        let kind = EventKind::NoteOn { key: 45 + key as u8, velocity: 100 };
        engine.audio.event(Event { offset: offset as u32, kind });
        let mut heard = Vec::new();
        while heard.len() < RATE as usize / 10 {
            engine.audio.process(block);
            // Faster than time it would be a bounce.
            std::thread::sleep(Duration::from_secs_f64(block as f64 / f64::from(RATE)));
            heard.extend((0..block).map(|i| (0..MAX_PARTS).any(|part| engine.audio.part(part).0[i] != 0.0)));
        }
        delays.extend(heard.iter().position(|sounds| *sounds).map(|first| first.saturating_sub(offset)));
    }
    delays
}

/// What was heard, in pieces that overlap by a little for the click detector.
#[derive(Default)]
struct Heard {
    piece: Vec<f32>,
    before: u64,
    clicks: Vec<f64>,
    not_finite: u64,
    peak: f32,
}

impl Heard {
    fn take(&mut self, audio: &AudioSide, frames: usize) {
        let begun = self.piece.len();
        self.piece.resize(begun + frames, 0.0);
        for part in 0..MAX_PARTS {
            for (mix, sample) in self.piece[begun..].iter_mut().zip(audio.part(part).0) {
                self.not_finite += u64::from(!sample.is_finite());
                *mix += sample;
            }
        }
        self.peak = self.piece[begun..].iter().fold(self.peak, |peak, x| peak.max(x.abs()));
        if self.piece.len() >= LISTEN {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let found = clicks(&self.piece, RATE);
        self.clicks.extend(found.iter().map(|at| (self.before + *at as u64) as f64 / f64::from(RATE)));
        // Between two pieces 20 ms are heard twice, so that nothing at the seam is missed; a click there counts once.
        let kept = self.piece.len().saturating_sub(RATE as usize / 50);
        self.before += kept as u64;
        self.piece.drain(..kept);
        self.clicks.dedup_by(|a, b| (*a - *b).abs() < 0.005);
    }
}

fn minute(telemetry: &Telemetry, seconds: f64) -> Minute {
    let mut steps = telemetry.live_steps();
    while steps.last() == Some(&0) {
        steps.pop();
    }
    Minute { seconds, steps, resident_mib: resident_mib(), load: telemetry.load() }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..arguments.load)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    black_box((0..10_000u64).fold(0u64, |sum, i| sum.wrapping_mul(31).wrapping_add(i)));
                }
            })
        })
        .collect();
    let config = EngineConfig { threads: arguments.threads, ..EngineConfig::default() };
    let mut engine = Engine::start(config);
    let mode = if arguments.sync { Mode::Sync } else { Mode::Live };
    engine.control.set_mode(mode);
    engine.audio.configure(f64::from(RATE), arguments.block);
    let table_seconds = until_ready(&mut engine, arguments.block)?;
    let delays = if arguments.sync { Vec::new() } else { key_to_sound(&mut engine, arguments.block) };
    engine.audio.reset();

    let block = arguments.block;
    let total = (arguments.seconds * f64::from(RATE)) as u64;
    let duration = block as f64 / f64::from(RATE);
    let blocks = total / block as u64;
    let (mut times, mut references) =
        (Vec::with_capacity(blocks as usize + 1), Vec::with_capacity(blocks as usize + 1));
    let mut player = Player { seed: 1, held: [None; 4] };
    let (mut seen, mut heard, mut over_time) = (Seen::default(), Heard::default(), Vec::new());
    let (mut notes, mut next_step, mut phase) = (0, 0u64, 0.0f32);
    let begun = Instant::now();
    for index in 0..blocks {
        let at = index * block as u64;
        while next_step * STEP < at + block as u64 {
            let offset = (next_step * STEP).saturating_sub(at) as u32;
            let audio = &mut engine.audio;
            notes += player.step(next_step, |kind| audio.event(Event { offset, kind }));
            next_step += 1;
        }
        let before = Instant::now();
        let (_, this) = watch(|| engine.audio.process(block));
        times.push(before.elapsed().as_secs_f64() / duration);
        seen.allocations += this.allocations;
        seen.waits += this.waits;
        let before = Instant::now();
        black_box(reference(block, &mut phase));
        references.push(before.elapsed().as_secs_f64() / duration);
        heard.take(&engine.audio, block);
        if at / (60 * u64::from(RATE)) != (at + block as u64) / (60 * u64::from(RATE)) || index + 1 == blocks {
            over_time.push(minute(&engine.telemetry, at as f64 / f64::from(RATE)));
        }
        let due = Duration::from_secs_f64((index + 1) as f64 * duration);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    heard.listen();
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        // It cannot panic.
        let _ = load.join();
    }
    times.sort_by(f64::total_cmp);
    references.sort_by(f64::total_cmp);
    let telemetry = &engine.telemetry;
    let (in_context, in_context_median_s) = telemetry.in_context_within(0.5);
    let report = Report {
        mode: format!("{mode:?}"),
        seconds: begun.elapsed().as_secs_f64(),
        block,
        load_threads: arguments.load,
        table_seconds,
        audio_cost: Cost {
            median: share(&times, 0.5),
            p99: share(&times, 0.99),
            p999: share(&times, 0.999),
            max: share(&times, 1.0),
            reference_median: share(&references, 0.5),
            reference_p999: share(&references, 0.999),
        },
        notes,
        key_to_sound: (
            delays.len(),
            delays.iter().copied().min().unwrap_or(0),
            delays.iter().copied().max().unwrap_or(0),
        ),
        in_context,
        in_context_median_s,
        in_context_p95_s: telemetry.in_context_within(0.95).1,
        in_context_max_s: telemetry.in_context_within(1.0).1,
        passages: telemetry.live_passages(),
        late: telemetry.live_late(),
        overtaken: telemetry.live_overtaken(),
        missing: telemetry.live_missing(),
        underruns: telemetry.underruns(),
        lost_events: telemetry.lost_events(),
        allocations: seen.allocations,
        waits: seen.waits,
        clicks: heard.clicks.len(),
        clicks_at: heard.clicks,
        not_finite: heard.not_finite,
        peak: heard.peak,
        over_time,
        status: telemetry.status().sentence,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
