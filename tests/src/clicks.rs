//! A click detector: where a sound has a corner that nothing around it explains.
//!
//! The second difference of a sound is small where it is smooth and large where it jumps or bends. In music its size
//! follows the level and the brightness of what plays, so each sample is compared to the sound around it: the root mean
//! square over 5 ms on either side, without the millisecond in the middle. A step stands out of both sides; the attack of a
//! note stands out of the side before it alone, since what it begins goes on. So the louder side counts.
//!
//! A low reed, brass or bowed string is a pulse per period, with quiet between: at 70 Hz, 14 ms of it. What comes again at
//! equal intervals, in shape and in size, is a tone and no click. In a sum of voices pulses of several fall together by
//! chance: give each voice alone where there is one to be had.

/// Samples on each side of the middle, in seconds.
const SIDE: f64 = 0.005;
/// The middle that is left out on each side, in seconds.
const MIDDLE: f64 = 0.0005;
/// How far out of its surroundings a corner must stand. Gaussian noise comes to 5 once in a million samples, and reverberant
/// instruments stay under 7; a step of 1/50 of a tone's amplitude at 1 kHz comes to 10.
const OUTLIER: f32 = 9.0;
/// Second differences below -66 dB are not heard as clicks at any level.
const FLOOR: f32 = 5e-4;

/// Around a corner, in seconds on each side, the shape is compared to what comes a period earlier and later. Over more of
/// it, the pulse of another tone beside it would count as well.
const SHAPE: f64 = 0.0001;
/// Periods of tones, in seconds: 500 Hz, whose next pulse the sides hold, to 25 Hz.
const PERIODS: (f64, f64) = (0.002, 0.04);
/// A pulse is one of so many in a row, of which one may lie under another tone's; that of an attack is the first.
const ROW: i64 = 5;
/// How alike two pulses of a tone are: the least cosine of their shapes, and the corner of one by the other's, which in an
/// attack grows. Of 72 steps put into the cello of a rendered quartet 71 are found all the same, and none of its pulses.
const ALIKE: f32 = 0.5;
const CORNERS: std::ops::RangeInclusive<f32> = 0.5..=8.0;
/// How far a pulse may lie from its place, as a share of the way there.
const VIBRATO: f64 = 1.0 / 1_000.0;

/// Samples at which the sound clicks, one per click.
pub fn clicks(samples: &[f32], sample_rate: u32) -> Vec<usize> {
    let rate = f64::from(sample_rate);
    let (side, middle) = ((SIDE * rate) as usize, (MIDDLE * rate) as usize);
    let bends: Vec<f32> = samples.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
    // Sums of squares up to each sample, in f64: an hour of them must not lose what is quiet.
    let mut sums = Vec::with_capacity(bends.len() + 1);
    sums.push(0.0f64);
    for bend in &bends {
        sums.push(sums[sums.len() - 1] + f64::from(bend * bend));
    }
    let rms = |from: usize, to: usize| {
        let (from, to) = (from.min(bends.len()), to.min(bends.len()));
        if to > from { ((sums[to] - sums[from]) / (to - from) as f64).sqrt() as f32 } else { 0.0 }
    };
    let mut found: Vec<usize> = Vec::new();
    for (at, bend) in bends.iter().enumerate() {
        if bend.abs() < FLOOR {
            continue;
        }
        let before = rms(at.saturating_sub(middle + side), at.saturating_sub(middle));
        let after = rms(at + middle + 1, at + middle + side + 1);
        let stands_out = bend.abs() > OUTLIER * before.max(after);
        if stands_out && found.last().is_none_or(|last| at > last + side) && !comes_again(&bends, &sums, at, rate) {
            found.push(at + 1);
        }
    }
    found
}

/// Whether the corner at `at` is one of a train of pulses. `sums` are of the squares of `bends`.
fn comes_again(bends: &[f32], sums: &[f64], at: usize, rate: f64) -> bool {
    let half = (SHAPE * rate) as usize;
    let (before, after) = (half.min(at), half.min(bends.len() - 1 - at));
    let around =
        |middle: usize| (middle >= before && middle + after < bends.len()).then(|| middle - before..middle + after + 1);
    let energy = |range: &std::ops::Range<usize>| (sums[range.end] - sums[range.start]) as f32;
    let own = at - before..at + after + 1;
    let alike = |lag: i64| {
        let Some(other) = usize::try_from(at as i64 + lag).ok().and_then(around) else { return false };
        if !CORNERS.contains(&(bends[other.start + before] / bends[at])) {
            return false;
        }
        let dot: f32 = bends[own.clone()].iter().zip(&bends[other.clone()]).map(|(a, b)| a * b).sum();
        dot >= ALIKE * (energy(&own) * energy(&other)).sqrt()
    };
    let (shortest, longest) = ((PERIODS.0 * rate) as i64, (PERIODS.1 * rate) as i64);
    let reach = (ROW - 1) * longest + slack((ROW - 1) * longest);
    // Few places are alike; the periods between them are counted from these.
    let places: Vec<i64> = (-reach..=reach).filter(|lag| lag.abs() > shortest / 2 && alike(*lag)).collect();
    let is_there = |lag: i64| {
        let first = places.partition_point(|place| *place < lag - slack(lag));
        places.get(first).is_some_and(|place| *place <= lag + slack(lag))
    };
    (shortest..=longest).any(|period| {
        let there = |pulse: &i64| *pulse == 0 || is_there(pulse * period);
        (1 - ROW..=0).any(|first| (first..first + ROW).filter(there).count() as i64 >= ROW - 1)
    })
}

/// Samples by which what comes after `lag` may be early or late.
fn slack(lag: i64) -> i64 {
    1 + (lag.abs() as f64 * VIBRATO) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    const RATE: u32 = 48_000;

    fn tone(hz: f32, amplitude: f32) -> Vec<f32> {
        (0..48_000).map(|i| amplitude * (TAU * hz * i as f32 / RATE as f32).sin()).collect()
    }

    fn noise(amplitude: f32) -> Vec<f32> {
        let mut seed = 7u32;
        let mut uniform = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..480_000).map(|_| amplitude * (0..12).map(|_| uniform()).sum::<f32>()).collect()
    }

    #[test]
    fn tones_noise_silence_and_attacks_do_not_click() {
        let mut attack = vec![0.0; 24_000];
        // As fast as a struck string: 2 ms to its full level.
        attack.extend(tone(880.0, 0.3).iter().enumerate().map(|(i, x)| x * (i as f32 / 96.0).min(1.0)));
        for sound in [tone(100.0, 0.5), tone(3_000.0, 0.5), noise(0.1), vec![0.0; 1_000], attack] {
            assert!(clicks(&sound, RATE).is_empty(), "{:?}", clicks(&sound, RATE));
        }
    }

    /// A pulse per period, as of a low reed: 60 harmonics of 1/h, all of them at their crest together.
    fn pulses(hz: f32) -> Vec<f32> {
        let wave = |i: usize, h: usize| (TAU * ((h as f32 * hz * i as f32) / RATE as f32).fract()).cos() / h as f32;
        (0..48_000).map(|i| 0.1 * (1..=60).map(|h| wave(i, h)).sum::<f32>() * (i as f32 / 4_800.0).min(1.0)).collect()
    }

    #[test]
    fn the_pulses_of_a_low_tone_do_not_click_and_a_step_between_them_does() {
        for hz in [40.0, 69.3, 110.0] {
            assert!(clicks(&pulses(hz), RATE).is_empty(), "{hz} Hz: {:?}", clicks(&pulses(hz), RATE));
        }
        for hz in [40.0, 69.3] {
            // Half a period after a pulse, 1/20 of its height.
            let mut stepped = pulses(hz);
            let at = (RATE as f32 / hz * (0.5 + (0.5 * hz).floor())) as usize;
            stepped[at..].iter_mut().for_each(|x| *x += 0.02);
            let found = clicks(&stepped, RATE);
            assert!(matches!(found[..], [click] if click.abs_diff(at) <= 1), "{hz} Hz: {found:?}, not {at}");
        }
    }

    #[test]
    fn steps_at_the_ends_of_blocks_are_clicks_though_they_come_at_equal_intervals() {
        for block in [256, 512, 1_024] {
            let (mut sound, mut level) = (tone(220.0, 0.3), 0.0);
            for (index, part) in sound.chunks_mut(block).enumerate() {
                // By the golden ratio: as irregular as what block ends cut off.
                level += 0.05 * ((index as f32 * 0.618_034).fract() - 0.5);
                part.iter_mut().for_each(|x| *x += level);
            }
            // Some look like pulses of a tone, by chance; one would be enough.
            let found = clicks(&sound, RATE).len();
            assert!(found * 10 > 48_000 / block, "blocks of {block}: {found} clicks");
        }
    }

    #[test]
    fn a_step_of_a_fiftieth_of_a_tone_is_found_where_it_is() {
        for hz in [110.0, 440.0, 1_000.0] {
            let mut sound = tone(hz, 0.4);
            sound[20_000..].iter_mut().for_each(|x| *x += 0.4 * 0.02 * (hz / 200.0).max(1.0));
            let found = clicks(&sound, RATE);
            assert!(matches!(found[..], [at] if at.abs_diff(20_000) <= 1), "{hz} Hz: {found:?}");
        }
    }

    #[test]
    fn a_sound_cut_off_or_begun_in_the_middle_of_its_wave_clicks() {
        let mut cut = tone(220.0, 0.4);
        cut[10_050..].fill(0.0);
        cut[..5_055].fill(0.0);
        assert_eq!(clicks(&cut, RATE).len(), 2, "{:?}", clicks(&cut, RATE));
    }

    #[test]
    fn missing_samples_in_the_middle_click_at_both_ends() {
        let mut dropped = tone(330.0, 0.2);
        dropped[30_010..30_700].fill(0.0);
        assert_eq!(clicks(&dropped, RATE).len(), 2, "{:?}", clicks(&dropped, RATE));
    }
}
