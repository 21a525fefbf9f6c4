//! Which codes of a field are allowed.

/// A set of codes below [`Mask::MOST`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mask([u128; Self::WORDS]);

impl Mask {
    const WORDS: usize = 4;
    /// Codes that a mask can hold.
    pub const MOST: usize = Self::WORDS * 128;

    /// One code alone.
    pub fn only(code: u16) -> Self {
        let mut mask = Self::default();
        mask.insert(code);
        mask
    }

    /// The codes from `first` to `last`, both included.
    pub fn range(first: u16, last: u16) -> Self {
        let mut mask = Self::default();
        (first..=last).for_each(|code| mask.insert(code));
        mask
    }

    /// The codes of pitches, bit by bit from 0: a pitch's code is one more.
    pub fn of_pitches(pitches: u128) -> Self {
        let mut mask = Self::default();
        mask.0[0] = pitches << 1;
        mask.0[1] = pitches >> 127;
        mask
    }

    /// Allows a code.
    pub fn insert(&mut self, code: u16) {
        self.0[usize::from(code) / 128 % Self::WORDS] |= 1 << (code % 128);
    }

    /// Whether a code is allowed.
    pub fn contains(&self, code: u16) -> bool {
        usize::from(code) < Self::MOST && self.0[usize::from(code) / 128] >> (code % 128) & 1 == 1
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; Self::WORDS]
    }

    /// The allowed codes, rising.
    pub fn codes(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().zip((0..).step_by(128)).flat_map(|(mut word, from)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < 128).then(|| from + bit as u16)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_holds_what_was_put_into_it() {
        let mask = Mask::range(120, 300);
        assert_eq!(mask.codes().collect::<Vec<_>>(), (120..=300).collect::<Vec<_>>());
        assert!(mask.contains(300) && !mask.contains(119) && !mask.contains(301) && !mask.contains(600));
        assert_eq!(Mask::of_pitches(1 << 127 | 1).codes().collect::<Vec<_>>(), [1, 128]);
        assert!(Mask::default().is_empty() && !Mask::only(0).is_empty());
    }
}
