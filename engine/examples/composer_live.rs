//! The composer beside the synthesizer in real time, with the real models: how long before they sound its notes are there,
//! and what a host's loop leaves behind. `cargo run --release -p ripieno-engine --example composer_live`
//!
//! A melody is played over a loop of four bars at 180 quarter notes a minute while the ensemble answers (`accompany`), or
//! for the first two bars while it goes on in the others (`continue`). Lateness is counted in beats of the song by the clock
//! of the audio thread, so a machine that is busy shows here as what a musician would hear. `--loops 100 --fast` plays as
//! fast as the engine can, as a bounce does; memory is read after every fifth of the loops.
//! With `--untold` the host does not say where its loop ends, so that every jump back comes as a surprise.
//!
//!     composer_live [accompany|continue] [--loops N] [--tempo BPM] [--fast] [--untold]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ripieno_engine::composer::live::{Cause, LiveMode, LiveSettings};
use ripieno_engine::memory::resident_mib;
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, Mode, StatusKind, Transport};

const RATE: f64 = 48_000.0;
const BLOCK: usize = 256;
/// Beats of the loop.
const LOOP: f64 = 16.0;
/// Half beats of a bar's melody: keys, 0 a rest.
const MELODY: [u8; 16] = [72, 0, 74, 76, 77, 0, 76, 74, 72, 0, 69, 71, 72, 0, 0, 0];

struct Asked {
    mode: LiveMode,
    loops: u32,
    tempo: f64,
    fast: bool,
    /// The host says where its loop begins and ends.
    told: bool,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { mode: LiveMode::Accompany, loops: 10, tempo: 180.0, fast: false, told: true };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|word| word.parse::<f64>().ok()).ok_or(format!("{word} needs a number"));
        match word.as_str() {
            "accompany" => asked.mode = LiveMode::Accompany,
            "continue" => asked.mode = LiveMode::Continue,
            "--loops" => asked.loops = number()?.max(1.0) as u32,
            "--tempo" => asked.tempo = number()?,
            "--fast" => asked.fast = true,
            "--untold" => asked.told = false,
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(asked)
}

fn main() -> Result<(), String> {
    let asked = asked()?;
    let mut engine = Engine::start(EngineConfig::default());
    engine.control.set_mode(if asked.fast { Mode::Sync } else { Mode::Live });
    engine.control.set_offline(asked.fast);
    engine.control.set_steps(if asked.fast { 0 } else { 4 });
    let settings = LiveSettings { mode: asked.mode, ..LiveSettings::default() };
    engine.control.set_composer(settings);
    engine.audio.configure(RATE, BLOCK);
    while !asked.fast && !engine.telemetry.ready() {
        let status = engine.telemetry.status();
        if status.kind == StatusKind::Failed {
            return Err(status.sentence);
        }
        engine.audio.process(BLOCK);
        std::thread::sleep(Duration::from_millis(5));
    }
    let beats = BLOCK as f64 / RATE * asked.tempo / 60.0;
    let mut down: BTreeSet<(u8, u8)> = BTreeSet::new();
    let (mut notes, mut last, mut resident) = (0u64, 0u8, Vec::new());
    let begun = Instant::now();
    let mut blocks = 0u32;
    for round in 0..asked.loops {
        let mut beat = 0.0;
        while beat < LOOP {
            let half = (beat * 2.0) as usize;
            let before = ((beat - beats) * 2.0).floor() as i64;
            if before != half as i64 {
                let bars = if asked.mode == LiveMode::Continue { 16 } else { 32 };
                if last > 0 {
                    engine.audio.event(Event { offset: 0, kind: EventKind::NoteOff { key: last } });
                }
                last = if half < bars { MELODY[half % 16] } else { 0 };
                if last > 0 {
                    engine.audio.event(Event { offset: 0, kind: EventKind::NoteOn { key: last, velocity: 90 } });
                }
            }
            let cycle = asked.told.then_some((0.0, LOOP));
            let playing = Transport { tempo_bpm: asked.tempo, beat, playing: true, cycle, ..Transport::default() };
            engine.audio.transport(playing);
            engine.audio.process(BLOCK);
            for note in engine.audio.midi_out() {
                notes += u64::from(note.on);
                if note.on {
                    down.insert((note.part, note.key))
                } else {
                    down.remove(&(note.part, note.key))
                };
            }
            beat += beats;
            blocks += 1;
            if !asked.fast {
                let due = Duration::from_secs_f64(f64::from(blocks) * BLOCK as f64 / RATE);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        }
        if (round + 1).is_multiple_of((asked.loops / 5).max(1)) {
            resident.push(format!("{:.1}", resident_mib()));
        }
    }
    let (took, played) = (begun.elapsed().as_secs_f64(), f64::from(blocks) * BLOCK as f64 / RATE);
    engine.control.set_composer(LiveSettings::default());
    engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
    // The longest latency, and the blocks of its end.
    for _ in 0..(2.0 * RATE) as usize / BLOCK {
        engine.audio.transport(Transport { tempo_bpm: asked.tempo, beat: 0.0, playing: false, ..Transport::default() });
        engine.audio.process(BLOCK);
        for note in engine.audio.midi_out() {
            if note.on {
                down.insert((note.part, note.key))
            } else {
                down.remove(&(note.part, note.key))
            };
        }
        if !asked.fast {
            std::thread::sleep(Duration::from_secs_f64(BLOCK as f64 / RATE));
        }
    }
    let status = engine.telemetry.status();
    println!("{} loops of {LOOP} beats at {}: {played:.0} s of music in {took:.0} s", asked.loops, asked.tempo);
    println!("notes begun: {notes}; hanging at the end: {down:?}; events lost: {}", engine.telemetry.lost_events());
    println!("memory after every fifth of the loops, MiB: {}", resident.join(", "));
    println!("passages: {}, underruns: {}", engine.telemetry.live_passages(), engine.telemetry.underruns());
    match engine.telemetry.foresight() {
        Some(found) => {
            println!(
                "composed: {}; could be foreseen by a beat: {}; of these less than a beat ahead: {}, the nearest {:.3} beats",
                found.notes, found.foreseen, found.late, found.least
            );
            let share = |count: u64| 100.0 * count as f64 / found.notes.max(1) as f64;
            let forced = Cause::ALL.iter().zip(found.forced).filter(|(_, count)| *count > 0);
            let reasons = forced.map(|(cause, count)| format!("{count} ({:.1} %) as {}", share(count), cause.name()));
            let unforeseen = found.notes - found.foreseen;
            println!(
                "could not be foreseen: {unforeseen} ({:.1} %): {}",
                share(unforeseen),
                reasons.collect::<Vec<_>>().join(", ")
            );
        }
        None => println!("nothing was composed: {}", status.sentence),
    }
    Ok(())
}
