//! Which part holds which key, so that a note-off finds its note-on.

use crate::stream::MAX_PARTS;

const KEYS: usize = 128;

/// Keys that are down and the parts that play them.
///
/// A key struck again before it was released (two voices in unison, two tracks merged) is down once per note-on:
/// releases come in the order of the strikes.
pub(super) struct HeldNotes {
    /// Parts that hold each key, oldest first.
    keys: [Vec<u8>; KEYS],
    /// Notes that each part holds.
    counts: [u32; MAX_PARTS],
}

impl HeldNotes {
    pub fn new() -> Self {
        Self { keys: std::array::from_fn(|_| Vec::new()), counts: [0; MAX_PARTS] }
    }

    /// A part begins to hold a key.
    pub fn press(&mut self, key: u8, part: usize) {
        self.keys[slot(key)].push(part as u8);
        self.counts[part] += 1;
    }

    /// The part that lets go of a key, or `None` if no part holds it.
    pub fn release(&mut self, key: u8) -> Option<usize> {
        let parts = &mut self.keys[slot(key)];
        if parts.is_empty() {
            return None;
        }
        let part = usize::from(parts.remove(0));
        self.counts[part] -= 1;
        Some(part)
    }

    /// Everything lets go; one (key, part) per note-on that was still down, by key.
    pub fn release_all(&mut self, released: &mut Vec<(u8, usize)>) {
        for (key, parts) in (0u8..).zip(&mut self.keys) {
            released.extend(parts.drain(..).map(|part| (key, usize::from(part))));
        }
        self.counts = [0; MAX_PARTS];
    }

    /// One bit per part that holds anything.
    pub fn busy(&self) -> u8 {
        self.counts.iter().enumerate().fold(0, |mask, (part, &count)| mask | u8::from(count > 0) << part)
    }
}

/// MIDI data bytes have seven bits; a caller's mistake must find its own note again and not the edge of the table.
fn slot(key: u8) -> usize {
    usize::from(key & 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_come_in_the_order_of_the_strikes() {
        let mut held = HeldNotes::new();
        held.press(60, 2);
        held.press(60, 0);
        assert_eq!((held.release(60), held.release(60), held.release(60)), (Some(2), Some(0), None));
    }

    #[test]
    fn a_part_is_busy_until_its_last_key_is_up() {
        let mut held = HeldNotes::new();
        held.press(60, 3);
        held.press(64, 3);
        held.release(60);
        assert_eq!(held.busy(), 0b1000);
        held.release(64);
        assert_eq!(held.busy(), 0);
    }

    #[test]
    fn releasing_everything_names_every_note() {
        let mut held = HeldNotes::new();
        for (key, part) in [(60, 1), (60, 1), (40, 3)] {
            held.press(key, part);
        }
        let mut released = Vec::new();
        held.release_all(&mut released);
        assert_eq!(released, [(40, 3), (60, 1), (60, 1)]);
        assert_eq!((held.busy(), held.release(60)), (0, None));
    }
}
