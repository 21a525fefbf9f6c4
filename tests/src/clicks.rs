//! A click detector: where a sound has a corner that nothing around it explains.
//!
//! The second difference of a sound is small where it is smooth and large where it jumps or bends. In music its size
//! follows the level and the brightness of what plays, so each sample is compared to the sound around it: the root mean
//! square over 5 ms on either side, without the millisecond in the middle. A step stands out of both sides; the attack of a
//! note stands out of the side before it alone, since what it begins goes on. So the louder side counts.

/// Samples on each side of the middle, in seconds.
const SIDE: f64 = 0.005;
/// The middle that is left out on each side, in seconds.
const MIDDLE: f64 = 0.0005;
/// How far out of its surroundings a corner must stand. Gaussian noise comes to 5 once in a million samples, and reverberant
/// instruments stay under 7; a step of 1/50 of a tone's amplitude at 1 kHz comes to 10.
const OUTLIER: f32 = 9.0;
/// Second differences below -66 dB are not heard as clicks at any level.
const FLOOR: f32 = 5e-4;

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
        if stands_out && found.last().is_none_or(|last| at > last + side) {
            found.push(at + 1);
        }
    }
    found
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
