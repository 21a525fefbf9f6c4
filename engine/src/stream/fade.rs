//! The shape of every fade.
//!
//! A straight line has a corner at either end. Over a low tone it is heard as a soft click, and the more so at high sample
//! rates, where the tone itself is smooth: of a line of 8 ms at 192 kHz the corner is 60 times the bend of a tone of 100 Hz.

/// The gain of a fade that is `share` (0 to 1) of its way in: `3 x^2 - 2 x^3`, level at both ends.
///
/// What fades in beside what fades out adds up to one: `smooth(x) + smooth(1 - x) = 1`. Of shares that add up to at most 1
/// the gains do so too.
#[inline]
#[must_use]
pub fn smooth(share: f32) -> f32 {
    share * share * (3.0 - 2.0 * share)
}

#[cfg(test)]
mod tests {
    use super::smooth;

    #[test]
    fn a_fade_begins_and_ends_level_and_two_are_one() {
        assert_eq!([0.0, 0.5, 1.0].map(smooth), [0.0, 0.5, 1.0]);
        let bend = |x: f32| smooth(x + 1e-2) - 2.0 * smooth(x) + smooth(x - 1e-2);
        for i in 1..100u8 {
            let x = f32::from(i) / 100.0;
            assert!((smooth(x) + smooth(1.0 - x) - 1.0).abs() < 1e-6);
            assert!(bend(x).abs() < 6.1e-4, "a corner at {x}: {}", bend(x));
            // Three at once are no more than one.
            assert!(smooth(x) + 2.0 * smooth((1.0 - x) / 2.0) <= 1.0 + 1e-6);
        }
        assert!(smooth(1e-2) < 3.1e-4 && 1.0 - smooth(0.99) < 3.1e-4);
    }
}
