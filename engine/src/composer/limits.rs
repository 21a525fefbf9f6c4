//! What a musician lets the composer do.

/// Limits of the events to come. The default limits nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Who may play, and how; empty: every instrument of the song, anything. Who has not been heard yet is told to the
    /// network as an instrument of the song only at its start.
    pub parts: Vec<PartLimit>,
    /// Lowest MIDI pitch.
    pub lowest: u8,
    /// Highest MIDI pitch, included.
    pub highest: u8,
    /// Pitch classes that may sound, a bit each from C; 0: all.
    pub chord: u16,
    /// Most notes that begin in a beat.
    pub per_beat: Option<u32>,
    /// No note begins before this tick.
    pub from: u64,
    /// Whether the song may end.
    pub may_end: bool,
}

/// Limits of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimit {
    /// Its code.
    pub instrument: u16,
    /// Lowest MIDI pitch.
    pub lowest: u8,
    /// Highest MIDI pitch, included.
    pub highest: u8,
    /// Most notes it plays at once, at least 1.
    pub at_once: Option<u32>,
}

impl PartLimit {
    /// An instrument without limits.
    pub fn free(instrument: u16) -> Self {
        Self { instrument, lowest: 0, highest: 127, at_once: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { parts: Vec::new(), lowest: 0, highest: 127, chord: 0, per_beat: None, from: 0, may_end: false }
    }
}

/// The pitches from `lowest` to `highest`, bit by bit.
fn between(lowest: u8, highest: u8) -> u128 {
    let (lowest, highest) = (u32::from(lowest.min(127)), u32::from(highest.min(127)));
    if lowest > highest { 0 } else { (u128::MAX >> (127 - highest)) & (u128::MAX << lowest) }
}

impl Limits {
    /// Whether an instrument may play at all.
    pub(super) fn allows(&self, instrument: u16) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part.instrument == instrument)
    }

    /// The pitches an instrument may play, bit by bit.
    pub(super) fn pitches(&self, instrument: u16) -> u128 {
        let mut own = self.parts.iter().filter(|part| part.instrument == instrument);
        let range = match own.next() {
            Some(part) => between(part.lowest, part.highest),
            None if self.parts.is_empty() => u128::MAX,
            None => 0,
        };
        range & between(self.lowest, self.highest) & self.chord_tones()
    }

    /// Most notes an instrument plays at once.
    pub(super) fn at_once(&self, instrument: u16) -> usize {
        let own = self.parts.iter().find(|part| part.instrument == instrument);
        own.and_then(|part| part.at_once).map_or(usize::MAX, |most| most.max(1) as usize)
    }

    fn chord_tones(&self) -> u128 {
        let classes = u128::from(self.chord & 0xfff);
        if classes == 0 {
            return u128::MAX;
        }
        (0..11).fold(0, |all, octave| all | classes << (12 * octave))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_ranges_and_chords_are_cut_with_each_other() {
        let violin = PartLimit { instrument: 3, lowest: 55, highest: 103, at_once: Some(1) };
        let limits = Limits { parts: vec![violin], lowest: 60, highest: 72, chord: 0b1001_0001, ..Limits::default() };
        let pitches: Vec<u32> = (0..128).filter(|&pitch| limits.pitches(3) >> pitch & 1 == 1).collect();
        assert_eq!(pitches, [60, 64, 67, 72]);
        assert_eq!((limits.pitches(4), limits.allows(4), limits.at_once(3)), (0, false, 1));
        assert_eq!(Limits { lowest: 70, highest: 60, ..Limits::default() }.pitches(1), 0);
        assert_eq!(Limits::default().pitches(1), u128::MAX);
    }
}
