//! A score that any host can play, and the take that comes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::clap_host::{Input, Instance, Sent};
use crate::files;

/// A note as it is played.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Seconds from the start.
    pub onset: f64,
    /// Seconds from the start.
    pub end: f64,
    /// MIDI key.
    pub key: u8,
    /// 1 to 127.
    pub velocity: u8,
}

/// A stereo signal; both sides have the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stereo {
    /// Samples.
    pub left: Vec<f32>,
    /// Samples.
    pub right: Vec<f32>,
}

/// What a host is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The plug-in's class.
    pub class: String,
    /// Parameters, each by what a person would type into it, in this order.
    pub parameters: Vec<(String, String)>,
    /// In any order.
    pub notes: Vec<Note>,
    /// Of the host.
    pub sample_rate: u32,
    /// Samples.
    pub block: u32,
    /// Length of what is recorded, latency included.
    pub seconds: f64,
}

/// What a host heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// Of every bus.
    pub sample_rate: u32,
    /// Samples by which the buses are late, as the plug-in reported them; 0 where the host made up for it.
    pub latency: u32,
    /// The output buses, the main one first.
    pub buses: Vec<Stereo>,
    /// The plug-in's note output.
    pub sent: Vec<Sent>,
}

/// How fast blocks follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A block every block's length, as a sound card asks for it.
    RealTime,
    /// The next block as soon as there is one: a bounce.
    Bounce,
}

/// `notes` as events at samples, their offsets left open, in the order of time; releases before presses of the same moment.
pub fn events(notes: &[Note], sample_rate: f64) -> Vec<(u64, Input)> {
    let at = |seconds: f64| (seconds * sample_rate).round() as u64;
    let mut events: Vec<(u64, Input)> = notes
        .iter()
        .flat_map(|note| {
            [
                (at(note.onset), Input { offset: 0, key: note.key, velocity: note.velocity }),
                (at(note.end), Input { offset: 0, key: note.key, velocity: 0 }),
            ]
        })
        .collect();
    events.sort_by_key(|(sample, event)| (*sample, event.velocity, event.key));
    events
}

/// Sees a block: its first sample since activation, `[port][channel][frame]`, and how many frames of it are valid.
pub type Listener<'a> = dyn FnMut(u64, &[Vec<Vec<f32>>], usize) + 'a;

/// Plays the notes into an active instance; `heard` sees every block. In real time an allocation inside `process()` is an error,
/// where allocations are counted: in the plug-in of this program, beside [`Counting`](crate::allocations::Counting).
pub fn play(instance: &mut Instance, task: &Task, pace: Pace, heard: &mut Listener) -> Result<()> {
    let rate = f64::from(task.sample_rate);
    let events = events(&task.notes, rate);
    let total = (task.seconds * rate) as u64;
    let began = Instant::now();
    let (mut now, mut next) = (0_u64, 0);
    let before = instance.seen().allocations;
    while now < total {
        let frames = u64::from(task.block).min(total - now);
        let mut inputs = Vec::new();
        while let Some((sample, event)) = events.get(next).filter(|(sample, _)| *sample < now + frames) {
            inputs.push(Input { offset: (sample - now) as u32, ..*event });
            next += 1;
        }
        let block = instance.process(frames as usize, &inputs)?;
        heard(now, block, frames as usize);
        now += frames;
        instance.idle();
        if pace == Pace::RealTime {
            let due = Duration::from_secs_f64(now as f64 / rate);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    let allocations = instance.seen().allocations - before;
    ensure!(pace == Pace::Bounce || allocations == 0, "process() allocated {allocations} times in real time");
    Ok(())
}

/// Sets the task's parameters, activates, plays the whole task and deactivates.
pub fn perform(instance: &mut Instance, task: &Task, pace: Pace) -> Result<Take> {
    for (name, value) in &task.parameters {
        instance.set(name, value)?;
    }
    instance.set_offline(pace == Pace::Bounce)?;
    instance.activate(f64::from(task.sample_rate), task.block)?;
    let mut buses = vec![Stereo::default(); instance.outputs().len()];
    play(instance, task, pace, &mut |_, block, frames| {
        for (bus, port) in buses.iter_mut().zip(block) {
            // A mono port is heard on both sides.
            if let (Some(left), Some(right)) = (port.first(), port.last()) {
                bus.left.extend_from_slice(&left[..frames]);
                bus.right.extend_from_slice(&right[..frames]);
            }
        }
    })?;
    let take =
        Take { sample_rate: task.sample_rate, latency: instance.latency(), buses, sent: instance.sent().to_vec() };
    instance.deactivate();
    Ok(take)
}

/// What a host in another language writes beside its WAV files.
#[derive(Deserialize)]
struct TakeFile {
    latency: u32,
    #[serde(default)]
    sent: Vec<Sent>,
}

impl Take {
    /// Reads `take.json` and `bus-0.wav`, `bus-1.wav`.. from a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("take.json");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let TakeFile { latency, sent } =
            serde_json::from_str(&text).with_context(|| format!("{} is not a take", file.display()))?;
        let mut buses = Vec::new();
        let mut sample_rate = 0;
        loop {
            let file = folder.join(format!("bus-{}.wav", buses.len()));
            if !file.is_file() {
                break;
            }
            let (rate, bus) = files::read_wav(&file)?;
            sample_rate = rate;
            buses.push(bus);
        }
        Ok(Self { sample_rate, latency, buses, sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_comes_before_the_press_of_the_same_key_at_the_same_time() {
        let note = |onset, end| Note { onset, end, key: 60, velocity: 80 };
        let played: Vec<u8> =
            events(&[note(1.0, 2.0), note(0.0, 1.0)], 100.0).iter().map(|(_, e)| e.velocity).collect();
        assert_eq!(played, [80, 0, 80, 0]);
    }
}
