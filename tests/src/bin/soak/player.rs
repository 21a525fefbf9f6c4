//! A keyboardist who never tires: four voices in sixteenths at 120 quarters a minute.

use ripieno_engine::stream::EventKind;

/// Sixteenths in a second.
pub const STEPS_PER_SECOND: f64 = 8.0;

/// Each new note is another key, held for one to four steps; a pedal now and then. The same seed plays the same notes.
pub struct Player {
    seed: u32,
    step: u64,
    /// The key of each voice, and the step at which it goes up.
    held: [Option<(u8, u64)>; 4],
}

impl Player {
    pub fn new(seed: u32) -> Self {
        Self { seed, step: 0, held: [None; 4] }
    }

    fn random(&mut self, below: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) % below
    }

    /// Plays the next step. Returns how many keys went down.
    pub fn play(&mut self, mut event: impl FnMut(EventKind)) -> u64 {
        let step = self.step;
        self.step += 1;
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
