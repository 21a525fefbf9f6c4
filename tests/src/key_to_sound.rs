//! How many samples after its key a note sounds in Live, for whoever plays the engine itself.

use std::time::Duration;

use ripieno_engine::stream::{Engine, Event, EventKind, MAX_PARTS};

/// Keys that are pressed.
pub const KEYS: usize = 40;
/// Seconds of silence before each, and how long it is waited for: the end of a note is rendered in context as well, and what
/// comes of it later than usual must have died away.
const SILENCE: f64 = 0.05;
const PATIENCE: f64 = 3.0;

/// Samples from each of some keys to the first sample that is not 0, pressed at changing offsets out of silence, in blocks of
/// `block` samples at `rate` Hz that come in real time. A key that finds a room that still rings tells nothing and is left
/// out; one that is never heard counts as the tenth of a second that is waited for it.
pub fn key_to_sound(engine: &mut Engine, block: usize, rate: usize) -> Vec<usize> {
    // Faster than time it would be a bounce.
    let pause = Duration::from_secs_f64(block as f64 / rate as f64);
    let mut delays = Vec::new();
    for key in 0..KEYS {
        engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
        let (mut silent, mut waited) = (0.0, 0.0);
        while silent < SILENCE && waited < PATIENCE {
            let sounds = sounds(engine, block).contains(&true);
            std::thread::sleep(pause);
            waited += pause.as_secs_f64();
            silent = if sounds { 0.0 } else { silent + pause.as_secs_f64() };
        }
        let offset = key * 37 % block;
        let kind = EventKind::NoteOn { key: 45 + key as u8, velocity: 100 };
        engine.audio.event(Event { offset: offset as u32, kind });
        let mut heard = Vec::new();
        while heard.len() < offset + rate / 10 {
            heard.extend(sounds(engine, block));
            std::thread::sleep(pause);
        }
        if !heard[..offset].contains(&true) {
            delays.push(heard.iter().position(|sounds| *sounds).unwrap_or(heard.len()) - offset);
        }
    }
    delays
}

/// Plays a block. Returns which of its samples are not 0.
fn sounds(engine: &mut Engine, block: usize) -> Vec<bool> {
    engine.audio.process(block);
    let part = |part| engine.audio.part(part);
    (0..block).map(|i| (0..MAX_PARTS).any(|p| part(p).0[i] != 0.0 || part(p).1[i] != 0.0)).collect()
}
