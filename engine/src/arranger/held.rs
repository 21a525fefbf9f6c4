//! Which part holds which key, so that a note-off finds its note-on.

use crate::stream::MAX_PARTS;

const KEYS: usize = 128;
/// Holds the keys that were given to no part.
const NOBODY: u8 = u8::MAX;

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

    /// A part, or nobody, begins to hold a key.
    pub fn press(&mut self, key: u8, part: Option<usize>) {
        self.keys[slot(key)].push(part.map_or(NOBODY, |part| part as u8));
        if let Some(part) = part {
            self.counts[part] += 1;
        }
    }

    /// The part that lets go of a key, or `None` if no part holds it.
    pub fn release(&mut self, key: u8) -> Option<usize> {
        let parts = &mut self.keys[slot(key)];
        if parts.is_empty() {
            return None;
        }
        let part = parts.remove(0);
        if part == NOBODY {
            return None;
        }
        self.counts[usize::from(part)] -= 1;
        Some(usize::from(part))
    }

    /// Everything lets go; one (key, part) per note that a part still held, by key.
    pub fn release_all(&mut self, released: &mut Vec<(u8, usize)>) {
        for (key, parts) in (0u8..).zip(&mut self.keys) {
            let held = parts.drain(..).filter(|&part| part != NOBODY);
            released.extend(held.map(|part| (key, usize::from(part))));
        }
        self.counts = [0; MAX_PARTS];
    }

    /// Notes that each part holds.
    pub fn counts(&self) -> &[u32; MAX_PARTS] {
        &self.counts
    }

    /// `keys` becomes the keys that are down, whoever holds them, lowest first.
    pub fn down(&self, keys: &mut Vec<u8>) {
        keys.clear();
        keys.extend((0u8..).zip(&self.keys).filter(|(_, parts)| !parts.is_empty()).map(|(key, _)| key));
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
        [Some(2), None, Some(0)].into_iter().for_each(|part| held.press(60, part));
        assert_eq!([(); 4].map(|()| held.release(60)), [Some(2), None, Some(0), None]);
    }

    #[test]
    fn a_part_holds_as_many_as_it_was_given() {
        let mut held = HeldNotes::new();
        held.press(60, Some(3));
        held.press(64, Some(3));
        held.press(50, None);
        held.release(60);
        assert_eq!(held.counts(), &[0, 0, 0, 1, 0, 0, 0, 0]);
        let mut down = Vec::new();
        held.down(&mut down);
        assert_eq!(down, [50, 64]);
    }

    #[test]
    fn releasing_everything_names_every_note() {
        let mut held = HeldNotes::new();
        for (key, part) in [(60, Some(1)), (60, Some(1)), (50, None), (40, Some(3))] {
            held.press(key, part);
        }
        let mut released = Vec::new();
        held.release_all(&mut released);
        assert_eq!(released, [(40, 3), (60, 1), (60, 1)]);
        assert_eq!(held.counts(), &[0; MAX_PARTS]);
        assert_eq!(held.release(60), None);
    }
}
