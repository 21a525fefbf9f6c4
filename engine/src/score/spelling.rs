//! Names of pitches: which step and accidental a pitch is in a key.

/// A pitch by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelled {
    /// Step from C (0) to B (6).
    pub step: usize,
    /// Semitones above the step; -2 to 2.
    pub alter: i32,
    /// Octave; 4 begins at middle C.
    pub octave: i32,
}

impl Spelled {
    /// Its letter and signs, as "Eb".
    pub fn name(&self) -> String {
        let sign = if self.alter < 0 { "b" } else { "#" };
        format!("{}{}", STEPS[self.step], sign.repeat(self.alter.unsigned_abs() as usize))
    }
}

/// Letters of the steps.
pub const STEPS: [char; 7] = ['C', 'D', 'E', 'F', 'G', 'A', 'B'];

/// Names a MIDI pitch in a key of so many sharps (flats below 0): of the names it has, the one nearest to the key on the
/// line of fifths, from three fifths below the tonic to eight above.
pub fn spelled(pitch: u8, fifths: i8) -> Spelled {
    let lowest = i32::from(fifths) - 3;
    // A fifth is seven semitones, and seven is its own inverse modulo twelve.
    let place = lowest + (7 * i32::from(pitch) - lowest).rem_euclid(12);
    let step = (4 * place).rem_euclid(7) as usize;
    let alter = (place + 1).div_euclid(7);
    let octave = (i32::from(pitch) - alter).div_euclid(12) - 1;
    Spelled { step, alter, octave }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pitch: u8, fifths: i8) -> String {
        let spelled = spelled(pitch, fifths);
        format!("{}{}", spelled.name(), spelled.octave)
    }

    #[test]
    fn pitches_are_named_as_their_key_does() {
        assert_eq!([60, 61, 63, 66, 68, 70].map(|p| name(p, 0)), ["C4", "C#4", "Eb4", "F#4", "G#4", "Bb4"]);
        assert_eq!([61, 63, 66, 59].map(|p| name(p, -5)), ["Db4", "Eb4", "Gb4", "Cb4"]);
        assert_eq!([60, 65, 70].map(|p| name(p, 7)), ["B#3", "E#4", "A#4"]);
    }

    #[test]
    fn every_name_is_its_pitch() {
        for fifths in -7..=7 {
            for pitch in 0..128u8 {
                let Spelled { step, alter, octave } = spelled(pitch, fifths);
                let natural = [0, 2, 4, 5, 7, 9, 11][step];
                assert_eq!(12 * (octave + 1) + natural + alter, i32::from(pitch));
            }
        }
    }
}
