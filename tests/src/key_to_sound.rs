//! How many samples after its key a note sounds in Live, for whoever plays the engine itself.

use std::time::Duration;

use ripieno_engine::stream::{Engine, Event, EventKind, MAX_PARTS};

/// Keys that are pressed.
pub const KEYS: usize = 40;

/// Samples from each of some keys to the first sample that is not 0, pressed at changing offsets out of silence, in blocks of
/// `block` samples at `rate` Hz that come in real time. A key that finds a room that still rings tells nothing and is left
/// out; one that is never heard counts as the tenth of a second that is waited for it.
pub fn key_to_sound(engine: &mut Engine, block: usize, rate: usize) -> Vec<usize> {
    // Faster than time it would be a bounce.
    let pause = Duration::from_secs_f64(block as f64 / rate as f64);
    let mut delays = Vec::new();
    for key in 0..KEYS {
        engine.audio.event(Event { offset: 0, kind: EventKind::AllOff });
        for _ in 0..rate / 20 / block + 1 {
            engine.audio.process(block);
            std::thread::sleep(pause);
        }
        let offset = key * 37 % block;
        let kind = EventKind::NoteOn { key: 45 + key as u8, velocity: 100 };
        engine.audio.event(Event { offset: offset as u32, kind });
        let mut heard = Vec::new();
        while heard.len() < offset + rate / 10 {
            engine.audio.process(block);
            std::thread::sleep(pause);
            heard.extend((0..block).map(|i| {
                let sounds = |part| engine.audio.part(part).0[i] != 0.0 || engine.audio.part(part).1[i] != 0.0;
                (0..MAX_PARTS).any(sounds)
            }));
        }
        if !heard[..offset].contains(&true) {
            delays.push(heard.iter().position(|sounds| *sounds).unwrap_or(heard.len()) - offset);
        }
    }
    delays
}
