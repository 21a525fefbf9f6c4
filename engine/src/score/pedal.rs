//! Keys and pedal of one channel: when each note really ends.

/// A note in ticks: onset, end, key, velocity.
pub type TickNote = (u64, u64, u8, u8);

/// Follows one channel of one track and collects its notes.
#[derive(Debug, Default)]
pub struct Keyboard {
    down: Vec<Held>,
    pedal: bool,
    /// Finished notes.
    pub notes: Vec<TickNote>,
    /// Notes that the file never ended.
    pub unended: usize,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    onset: u64,
    key: u8,
    velocity: u8,
    /// The key is up; only the pedal holds the note.
    released: bool,
}

impl Keyboard {
    /// A key goes down. A note that the pedal still holds on it is struck again and ends; a note whose key is down
    /// already (two voices in unison) goes on beside it.
    pub fn note_on(&mut self, tick: u64, key: u8, velocity: u8) {
        self.end_where(tick, |held| held.key == key && held.released);
        self.down.push(Held { onset: tick, key, velocity, released: false });
    }

    /// A key goes up: the oldest note on it ends, or rings on under the pedal.
    pub fn note_off(&mut self, tick: u64, key: u8) {
        let Some(at) = self.down.iter().position(|held| held.key == key && !held.released) else { return };
        if self.pedal {
            self.down[at].released = true;
        } else {
            let held = self.down.remove(at);
            self.finish(held, tick);
        }
    }

    /// The sustain pedal moves; MIDI values from 64 on are down.
    pub fn sustain(&mut self, tick: u64, value: u8) {
        self.pedal = value >= 64;
        if !self.pedal {
            self.end_where(tick, |held| held.released);
        }
    }

    /// The track ends: what is still down ends with it.
    pub fn close(&mut self, tick: u64) {
        self.unended += self.down.iter().filter(|held| !held.released).count();
        self.end_where(tick, |_| true);
    }

    fn end_where(&mut self, tick: u64, ends: impl Fn(&Held) -> bool) {
        for held in std::mem::take(&mut self.down) {
            if ends(&held) { self.finish(held, tick) } else { self.down.push(held) }
        }
    }

    fn finish(&mut self, held: Held, tick: u64) {
        // A note of no length would never sound; one tick is the shortest a file can say.
        self.notes.push((held.onset, tick.max(held.onset + 1), held.key, held.velocity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pedal_holds_notes_until_it_is_lifted_or_the_key_is_struck_again() {
        let mut keyboard = Keyboard::default();
        keyboard.sustain(0, 127);
        keyboard.note_on(0, 60, 90);
        keyboard.note_off(10, 60);
        keyboard.note_on(30, 60, 80);
        keyboard.note_off(40, 60);
        keyboard.sustain(100, 0);
        keyboard.close(200);
        assert_eq!(keyboard.notes, [(0, 30, 60, 90), (30, 100, 60, 80)]);
        assert_eq!(keyboard.unended, 0);
    }

    #[test]
    fn a_note_that_never_ends_ends_with_the_track() {
        let mut keyboard = Keyboard::default();
        keyboard.note_on(5, 60, 90);
        keyboard.close(50);
        assert_eq!((keyboard.notes.as_slice(), keyboard.unended), ([(5, 50, 60, 90)].as_slice(), 1));
    }
}
