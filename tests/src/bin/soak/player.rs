//! A keyboardist who never tires: sixteenths at 120 quarters a minute, with four voices or with sixteen.

use ripieno_engine::stream::EventKind;

/// Sixteenths in a second.
pub const STEPS_PER_SECOND: f64 = 8.0;
/// The voices of laps that ask for no more.
pub const FEW: usize = 4;
/// The most voices: four for each of four parts.
pub const MANY: usize = 16;
/// Key of the lowest voice; every voice has keys of its own, so that none ends another's note.
const LOWEST_KEY: u8 = 45;

/// The keys that went down in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    pub notes: u64,
    /// How long all of them are held at least, in steps.
    pub held: u64,
}

/// Each new note is another key, held for one to four steps, of sixteen voices four times as long; a pedal now and then. The
/// same seed plays the same notes.
pub struct Player {
    seed: u32,
    step: u64,
    voices: usize,
    /// The key of each voice, and the step at which it goes up.
    held: [Option<(u8, u64)>; MANY],
}

impl Player {
    pub fn new(seed: u32) -> Self {
        Self { seed, step: 0, voices: FEW, held: [None; MANY] }
    }

    fn random(&mut self, below: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) % below
    }

    /// Plays the next step with [`FEW`] or [`MANY`] voices; with another number than before, all keys go up first.
    pub fn play(&mut self, voices: usize, mut event: impl FnMut(EventKind)) -> Struck {
        let (step, voices) = (self.step, voices.min(MANY));
        self.step += 1;
        let everything = std::mem::replace(&mut self.voices, voices) != voices;
        match step % 64 {
            32 => event(EventKind::Sustain(true)),
            40 => event(EventKind::Sustain(false)),
            _ => {}
        }
        // Long or short for the whole step: one who counts what became of its notes need not tell them apart.
        let longer = (voices / FEW) as u64;
        let short = self.random(4) == 0;
        let mut struck = Struck { notes: 0, held: longer * if short { 1 } else { 2 } };
        let keys = if voices > FEW { 3 } else { 9 };
        // All that end before all that begin: one that begins may have another voice's old key.
        for held in &mut self.held {
            if let Some((key, _)) = held.filter(|(_, until)| everything || *until <= step) {
                event(EventKind::NoteOff { key });
                *held = None;
            }
        }
        for voice in 0..voices {
            if self.held[voice].is_none() && self.random(8) > 0 {
                let key = LOWEST_KEY + keys * (voices - 1 - voice) as u8 + self.random(u32::from(keys)) as u8;
                let velocity = 60 + self.random(50) as u8;
                let more = if short { 0 } else { longer * u64::from(self.random(3)) };
                self.held[voice] = Some((key, step + struck.held + more));
                event(EventKind::NoteOn { key, velocity });
                struck.notes += 1;
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays so many steps; the keys that are down after each, and what was struck in it.
    fn played(player: &mut Player, voices: usize, steps: usize) -> Vec<(Vec<u8>, Struck)> {
        let mut down: Vec<u8> = player.held.iter().flatten().map(|(key, _)| *key).collect();
        (0..steps)
            .map(|_| {
                let struck = player.play(voices, |kind| match kind {
                    EventKind::NoteOn { key, .. } => {
                        assert!(!down.contains(&key), "{key} goes down twice");
                        down.push(key);
                    }
                    EventKind::NoteOff { key } => down.retain(|other| *other != key),
                    _ => {}
                });
                (down.clone(), struck)
            })
            .collect()
    }

    #[test]
    fn four_or_sixteen_keys_are_down_and_none_of_the_others_hangs() {
        let mut player = Player::new(7);
        for (voices, range) in [(FEW, 45..81), (MANY, 45..93), (FEW, 45..81)] {
            let steps = played(&mut player, voices, 400);
            let most = steps.iter().map(|(down, _)| down.len()).max();
            assert_eq!(most, Some(voices));
            assert!(steps.iter().flat_map(|(down, _)| down).all(|key| range.contains(key)), "{voices} voices");
        }
    }

    #[test]
    fn the_keys_of_a_step_are_held_as_long_as_it_says() {
        for voices in [FEW, MANY] {
            let steps = played(&mut Player::new(1), voices, 300);
            for (at, (down, struck)) in steps.iter().enumerate().take(280).skip(1) {
                let new: Vec<&u8> = down.iter().filter(|key| !steps[at - 1].0.contains(key)).collect();
                for later in &steps[at..at + struck.held as usize] {
                    assert!(new.iter().all(|key| later.0.contains(key)), "{voices} voices, step {at}");
                }
            }
            let lengths: Vec<u64> = steps.iter().map(|(_, struck)| struck.held).collect();
            let longer = (voices / FEW) as u64;
            assert!(lengths.contains(&longer) && lengths.contains(&(2 * longer)), "{lengths:?}");
        }
    }
}
