//! What the musician holds, so that it sounds on in another stream: on the audio thread, without memory of its own.

/// Keys and pedal as they are now.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// MIDI velocity by key; 0 is not sounding.
    velocities: [u8; 128],
    /// Keys that are up and that the pedal holds.
    pedalled: u128,
    pedal: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self { velocities: [0; 128], pedalled: 0, pedal: false }
    }
}

impl Held {
    pub fn note_on(&mut self, key: u8, velocity: u8) {
        self.velocities[usize::from(key & 127)] = velocity;
        self.pedalled &= !(1 << (key & 127));
    }

    pub fn note_off(&mut self, key: u8) {
        let key = key & 127;
        if self.pedal && self.velocities[usize::from(key)] > 0 {
            self.pedalled |= 1 << key;
        } else {
            self.velocities[usize::from(key)] = 0;
        }
    }

    pub fn sustain(&mut self, down: bool) {
        self.pedal = down;
        if !down {
            let pedalled = std::mem::take(&mut self.pedalled);
            let keys = (0..128).filter(|key| pedalled >> key & 1 == 1);
            keys.for_each(|key| self.velocities[key] = 0);
        }
    }

    pub fn all_off(&mut self) {
        *self = Self::default();
    }

    pub fn pedal(&self) -> bool {
        self.pedal
    }

    /// Whether a key sounds, by a finger or by the pedal.
    pub fn holds(&self, key: u8) -> bool {
        self.velocities[usize::from(key & 127)] > 0
    }

    /// Key, velocity, and whether only the pedal holds it, of all that sounds; upwards.
    pub fn keys(&self) -> impl Iterator<Item = (u8, u8, bool)> + use<> {
        let (velocities, pedalled) = (self.velocities, self.pedalled);
        (0..128u8).filter_map(move |key| {
            let velocity = velocities[usize::from(key)];
            (velocity > 0).then_some((key, velocity, pedalled >> key & 1 == 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_held_by_fingers_or_by_the_pedal() {
        let mut held = Held::default();
        held.note_on(60, 90);
        held.note_on(64, 80);
        held.sustain(true);
        held.note_off(60);
        held.note_on(67, 70);
        held.note_off(72);
        assert_eq!(held.keys().collect::<Vec<_>>(), [(60, 90, true), (64, 80, false), (67, 70, false)]);
        assert!(held.holds(60) && held.holds(64) && !held.holds(72));
        held.note_on(60, 50);
        held.sustain(false);
        assert_eq!(held.keys().collect::<Vec<_>>(), [(60, 50, false), (64, 80, false), (67, 70, false)]);
        held.note_off(60);
        held.note_off(64);
        assert_eq!(held.keys().collect::<Vec<_>>(), [(67, 70, false)]);
        held.all_off();
        assert_eq!(held.keys().count(), 0);
    }
}
