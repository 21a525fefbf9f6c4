//! Dense four-part playing in real time for as long as one likes, through the first use of every path, and what it did to
//! the audio thread, the sound and the memory, as JSON and as a picture: `cargo xtask soak`.

mod context;
mod ears;
mod laps;
mod machine;
mod picture;
mod player;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use ripieno_engine::stream::{Engine, EngineConfig, Event, Mode, StatusKind};
use ripieno_tests::allocations::{Counting, Seen, watch};
use ripieno_tests::audio_thread;
use ripieno_tests::cost::Cost;
use ripieno_tests::key_to_sound::key_to_sound;
use ripieno_tests::reference::Reference;
use ripieno_tests::shares::Shares;

use context::InContext;
use ears::Ears;
use laps::{Change, LAPS, Lap, SETTLED};
use machine::Load;
use player::{Player, STEPS_PER_SECOND};
use report::{KeyToSound, Moment, NoteToContext, Report};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Longest block of any lap.
const LONGEST: usize = 1_024;
/// Seconds between two moments of the report.
const MOMENT: f64 = 5.0;

#[derive(Parser)]
struct Arguments {
    /// How long to play.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Processes that do nothing but take processor time.
    #[arg(long, default_value_t = 0)]
    load: usize,
    /// Threads of the networks.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Stay in the first lap: one block size, no switches.
    #[arg(long)]
    steady: bool,
    /// Where the report goes; standard output if not given.
    #[arg(long)]
    out: Option<PathBuf>,
    /// PNG file of what was chosen over time, and of memory.
    #[arg(long)]
    png: Option<PathBuf>,
    /// Folder for the sound around each click; emptied first.
    #[arg(long)]
    clicks: Option<PathBuf>,
    /// Be the load of another.
    #[arg(long, hide = true)]
    burn: bool,
}

/// Lets blocks go by, as a sound card does, until the instrument can be played, and until its table is whole.
fn until_ready(engine: &mut Engine, block: usize) -> Result<(f64, f64)> {
    let begun = Instant::now();
    let telemetry = Arc::clone(&engine.telemetry);
    let mut playable = None;
    loop {
        let status = telemetry.status();
        if status.kind == StatusKind::Failed {
            bail!("{}", status.sentence);
        }
        if telemetry.ready() && playable.is_none() {
            playable = Some(begun.elapsed().as_secs_f64());
        }
        if let Some(playable) = playable.filter(|_| telemetry.progress() >= 1.0) {
            return Ok((playable, begun.elapsed().as_secs_f64()));
        }
        engine.audio.process(block);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What is gathered while it plays.
struct Soak {
    engine: Engine,
    player: Player,
    ears: Ears,
    reference: Reference,
    /// Ours and the reference's, by block size and number of voices.
    costs: BTreeMap<(usize, usize), [Shares; 2]>,
    seen: Seen,
    mode: Mode,
    notes: u64,
    context: InContext,
    moments: Vec<Moment>,
    steps: Vec<u64>,
    begun: Instant,
    /// Seconds played.
    played: f64,
}

impl Soak {
    fn lap(&mut self, lap: &Lap, seconds: f64) {
        if let Some(change) = lap.change {
            self.change(change, lap);
        }
        let (block, rate) = (lap.block, f64::from(lap.rate));
        let duration = block as f64 / rate;
        let (from, mut next_step) = (self.played, 0u64);
        for index in 0..(seconds / duration) as u64 {
            let at = index as f64 * duration;
            while next_step as f64 / STEPS_PER_SECOND < at + duration {
                let offset = ((next_step as f64 / STEPS_PER_SECOND - at).max(0.0) * rate) as u32;
                let audio = &mut self.engine.audio;
                let struck = self.player.play(lap.voices, |kind| audio.event(Event { offset, kind }));
                self.notes += struck.notes;
                if self.mode == Mode::Live && next_step > 0 {
                    self.context.struck(from + next_step as f64 / STEPS_PER_SECOND, from + seconds, struck);
                }
                next_step += 1;
            }
            let before = Instant::now();
            let (_, this) = watch(|| self.engine.audio.process(block));
            let ours = before.elapsed().as_secs_f64() / duration;
            self.seen.allocations += this.allocations;
            self.seen.waits += this.waits;
            let reference = self.reference.time(block) / duration;
            let costs = self.costs.entry((block, lap.voices)).or_default();
            costs[0].count(ours);
            costs[1].count(reference);
            self.ears.hear(&self.engine.audio, block);
            self.played = from + at + duration;
            self.context.block(self.played, duration, &self.engine.telemetry.in_context_counts());
            if self.moments.last().is_none_or(|last| self.played - last.seconds >= MOMENT) {
                self.moments.push(Moment::now(self.played, lap.name, &self.engine.telemetry, &mut self.steps));
            }
            let due = Duration::from_secs_f64(self.played);
            std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
        }
    }

    fn change(&mut self, change: Change, lap: &Lap) {
        if let Change::Mode(mode) = change {
            self.mode = mode;
        }
        let control = &self.engine.control;
        match change {
            Change::Performance(id) => control.set_performance(id),
            Change::Ensemble(id) => control.set_ensemble(id),
            Change::Mode(mode) => control.set_mode(mode),
            Change::Rate => {
                self.engine.audio.configure(f64::from(lap.rate), LONGEST);
                self.ears.new_stream(lap.rate);
            }
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.burn {
        machine::burn();
        return Ok(());
    }
    let load = Load::begin(arguments.load)?;
    let first = &LAPS[0];
    let config = EngineConfig { threads: arguments.threads, ..EngineConfig::default() };
    let mut engine = Engine::start(config);
    engine.audio.configure(f64::from(first.rate), LONGEST);
    let (playable_seconds, table_seconds) = until_ready(&mut engine, first.block)?;
    // The listener before the priority: a thread that is started with it would push the synth worker aside.
    let ears = Ears::open(first.rate, arguments.clicks.as_deref())?;
    let real_time_priority = audio_thread::ask_for_priority();
    let delays = key_to_sound(&mut engine, first.block, first.rate as usize);
    engine.audio.reset();

    let mut soak = Soak {
        ears,
        engine,
        player: Player::new(1),
        reference: Reference::default(),
        costs: BTreeMap::new(),
        seen: Seen::default(),
        mode: Mode::Live,
        notes: 0,
        context: InContext::default(),
        moments: Vec::new(),
        steps: Vec::new(),
        begun: Instant::now(),
        played: 0.0,
    };
    let laps = if arguments.steady { &LAPS[..1] } else { &LAPS[..] };
    for lap in laps {
        soak.lap(lap, arguments.seconds / laps.len() as f64);
    }
    let Soak { engine, ears, costs, seen, notes, context, moments, begun, .. } = soak;
    let seconds = begun.elapsed().as_secs_f64();
    drop(load);
    let heard = ears.close()?;
    let telemetry = &engine.telemetry;
    // The first fifth is the first use of much.
    let settled = if arguments.steady { 0.2 } else { SETTLED } * arguments.seconds;
    let memory: Vec<(f64, f64)> =
        moments.iter().filter(|m| m.seconds >= settled).map(|m| (m.seconds / 60.0, m.in_use_mib)).collect();
    let mut report = Report {
        seconds,
        load_processes: arguments.load,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        load_average: machine::load_average(),
        real_time_priority,
        optimised: !cfg!(debug_assertions),
        playable_seconds,
        table_seconds,
        audio_cost: costs.iter().map(|((block, voices), shares)| Cost::of(*block, *voices, shares)).collect(),
        key_to_sound: KeyToSound::of(&delays),
        notes,
        note_to_context: NoteToContext::of(telemetry, context.held()),
        passages: telemetry.live_passages(),
        late: telemetry.live_late(),
        overtaken: telemetry.live_overtaken(),
        missing: telemetry.live_missing(),
        underruns: telemetry.underruns(),
        lost_events: telemetry.lost_events(),
        allocations: seen.allocations,
        waits: seen.waits,
        clicks: heard.clicks,
        not_finite: heard.not_finite,
        peak: heard.peak,
        mib_per_minute: machine::slope(&machine::medians(&memory)),
        over_time: moments,
        status: telemetry.status().sentence,
        failures: Vec::new(),
    };
    report.judge();
    if let Some(path) = &arguments.png {
        picture::draw(path, &report)?;
    }
    let text = serde_json::to_string_pretty(&report)?;
    match &arguments.out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?,
        None => println!("{text}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use player::FEW;

    const RATE: u32 = 48_000;

    /// Lets so many seconds go by in blocks of 256, in real time. `play` is asked for events before each block.
    fn let_go_by(engine: &mut Engine, ears: &mut Ears, seconds: f64, mut play: impl FnMut(&mut Engine, f64)) {
        let begun = Instant::now();
        for block in 0..(seconds * f64::from(RATE) / 256.0) as u32 {
            let at = f64::from(block) * 256.0 / f64::from(RATE);
            play(engine, at);
            engine.audio.process(256);
            ears.hear(&engine.audio, 256);
            std::thread::sleep(Duration::from_secs_f64(at).saturating_sub(begun.elapsed()));
        }
    }

    #[test]
    fn modes_switch_without_clicks_through_the_trained_models() {
        let mut engine = Engine::start(EngineConfig::default());
        engine.control.set_ensemble("string-quartet");
        engine.audio.configure(f64::from(RATE), 256);
        let begun = Instant::now();
        while !engine.telemetry.ready() {
            let status = engine.telemetry.status();
            assert!(status.kind != StatusKind::Failed && begun.elapsed() < Duration::from_secs(120), "{status:?}");
            engine.audio.process(256);
            std::thread::sleep(Duration::from_millis(5));
        }
        engine.audio.reset();
        let folder = std::env::temp_dir().join(format!("ripieno-mode-clicks-{}", std::process::id()));
        let mut ears = Ears::open(RATE, Some(&folder)).unwrap();
        let (mut player, mut heard_notes) = (Player::new(3), 0);
        for mode in [Mode::Live, Mode::Sync, Mode::Live, Mode::Sync, Mode::Live] {
            engine.control.set_mode(mode);
            let mut next_step = 0.0;
            let_go_by(&mut engine, &mut ears, 2.5, |engine, at| {
                while next_step <= at {
                    heard_notes += player.play(FEW, |kind| engine.audio.event(Event { offset: 100, kind })).notes;
                    next_step += 1.0 / STEPS_PER_SECOND;
                }
            });
        }
        let heard = ears.close().unwrap();
        assert!(heard_notes > 100 && heard.peak > 0.05, "{heard_notes} notes, peak {}", heard.peak);
        assert_eq!(heard.not_finite, 0);
        assert!(heard.clicks.is_empty(), "{:?}", heard.clicks);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
