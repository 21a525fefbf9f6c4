//! Giving out notes without a network: by range, by zones of the keyboard, by the last pitch.

use super::ensemble::EnsemblePart;
use crate::stream::MAX_PARTS;

/// How steeply a rule prefers the nearer part: a busy part gives way to a free one about four semitones farther.
const SEMITONES_PER_NAT: f64 = 2.0;

/// Weight of a part's own place against its last pitch: enough to decide between equals.
const OWN_PLACE: f64 = 0.01;

/// The zone of a key: zone i holds the keys from `boundaries[i]` up to the boundary above, the last one what is lower
/// than all. Boundaries fall.
pub(super) fn zone(key: u8, boundaries: &[u8]) -> usize {
    boundaries.iter().take_while(|&&boundary| key < boundary).count()
}

/// Where the zones of an ensemble begin when nobody drew them: midway between the middles of neighbouring ranges.
pub(super) fn default_zones(parts: &[EnsemblePart]) -> Vec<u8> {
    let mut last = 127.0f64;
    let boundary = |pair: &[EnsemblePart]| {
        last = ((pair[0].middle() + pair[1].middle()) / 2.0).ceil().min(last);
        last as u8
    };
    parts.windows(2).map(boundary).collect()
}

/// The last pitch of every part; the middle of its range before its first note.
#[derive(Debug, Clone)]
pub(super) struct LastPitches {
    first: [f64; MAX_PARTS],
    last: [f64; MAX_PARTS],
}

impl LastPitches {
    pub fn new(parts: &[EnsemblePart]) -> Self {
        let mut first = [0.0; MAX_PARTS];
        first.iter_mut().zip(parts).for_each(|(first, part)| *first = part.middle());
        Self { first, last: first }
    }

    /// Where parts are expected before their first notes; from a hint.
    pub fn expect(&mut self, part: usize, pitch: f64) {
        if self.last[part] == self.first[part] {
            self.last[part] = pitch;
        }
        self.first[part] = pitch;
    }

    pub fn forget(&mut self) {
        self.last = self.first;
    }

    pub fn play(&mut self, part: usize, key: u8) {
        self.last[part] = f64::from(key);
    }

    /// How well a key follows a part's last, in nats. Of parts that are as near, as after a unison, the one in whose
    /// place in the ensemble the key lies.
    pub fn score(&self, part: usize, key: u8) -> f64 {
        nearness(self.last[part], key) + OWN_PLACE * nearness(self.first[part], key)
    }
}

/// How well a key fits a pitch, in nats; 0 is best.
pub(super) fn nearness(pitch: f64, key: u8) -> f64 {
    -(f64::from(key) - pitch).abs() / SEMITONES_PER_NAT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arranger::Ensemble;

    #[test]
    fn a_boundary_belongs_to_the_zone_above_it() {
        let zones = [69, 63, 57];
        assert_eq!([127, 69, 68, 63, 57, 56, 0].map(|key| zone(key, &zones)), [0, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn zones_nobody_drew_lie_between_the_ranges() {
        let choir = Ensemble::find("satb-choir").unwrap();
        // Middles 70.5, 64.5, 58.5, 51.5.
        assert_eq!(default_zones(&choir.parts), [68, 62, 55]);
    }
}
