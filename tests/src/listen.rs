//! Ears: what a sound holds, without knowing where it came from.
//!
//! The pitch tracker is YIN (de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music",
//! JASA 111(4), 2002), equations 6 and 8 with the absolute threshold of section II.D.

use std::ops::Range;

use realfft::RealFftPlanner;

use crate::performer::{Note, Stereo, Take};

/// Samples of the longest period that YIN looks for: 50 Hz, below a cello's lowest string.
const LOWEST_PITCH_HZ: f64 = 50.0;
const HIGHEST_PITCH_HZ: f64 = 2_000.0;
/// The paper's threshold is 0.1 for dry speech. A room's echo of the note before fills in the dip of the true period, and
/// leaves that of a common multiple of both periods; with the second threshold the true one is found all the same.
const YIN_THRESHOLDS: [f32; 2] = [0.2, 0.35];

/// The middle of both sides.
pub fn mono(audio: &Stereo) -> Vec<f32> {
    audio.left.iter().zip(&audio.right).map(|(left, right)| 0.5 * (left + right)).collect()
}

/// The largest magnitude on either side; NaN is not seen, see [`not_finite`].
pub fn peak(audio: &Stereo) -> f32 {
    audio.left.iter().chain(&audio.right).fold(0.0, |peak, sample| peak.max(sample.abs()))
}

/// Samples that are NaN or infinite.
pub fn not_finite(audio: &Stereo) -> usize {
    audio.left.iter().chain(&audio.right).filter(|sample| !sample.is_finite()).count()
}

/// Samples at or beyond full scale.
pub fn clipped(audio: &Stereo) -> usize {
    audio.left.iter().chain(&audio.right).filter(|sample| sample.abs() >= 1.0).count()
}

/// Level in dB below full scale; -200 for silence.
pub fn level(samples: &[f32]) -> f64 {
    let power: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    (10.0 * power.log10()).max(-200.0)
}

/// Integrated loudness by EBU R 128, in LUFS; -infinity for silence.
pub fn loudness(audio: &Stereo, sample_rate: u32) -> anyhow::Result<f64> {
    let mut meter = ebur128::EbuR128::new(2, sample_rate, ebur128::Mode::I)?;
    meter.add_frames_planar_f32(&[&audio.left, &audio.right])?;
    Ok(meter.loudness_global()?)
}

/// The first sample at which a level of -50 dB below full scale is reached, in windows of 10 ms.
pub fn first_sound(audio: &Stereo, sample_rate: u32) -> Option<usize> {
    let window = sample_rate as usize / 100;
    mono(audio).chunks(window).position(|chunk| level(chunk) > -50.0).map(|index| index * window)
}

/// By how many samples `late` comes after `early`, up to `reach`: where their cross-correlation is largest.
pub fn lag(early: &[f32], late: &[f32], reach: usize) -> usize {
    let length = (early.len().max(late.len()) + reach).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |samples: &[f32]| {
        let mut padded = samples.to_vec();
        padded.resize(length, 0.0);
        let mut bins = forward.make_output_vec();
        // The lengths are the planner's own.
        let _ = forward.process(&mut padded, &mut bins);
        bins
    };
    let mut product = spectrum(late);
    for (one, other) in product.iter_mut().zip(spectrum(early)) {
        *one *= other.conj();
    }
    // A real signal's first and last bins are real; what rounding left there would be refused.
    product[0].im = 0.0;
    product[length / 2].im = 0.0;
    let mut correlation = inverse.make_output_vec();
    let _ = inverse.process(&mut product, &mut correlation);
    correlation[..=reach].iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(at, _)| at)
}

/// The pitch of one voice over these samples, in MIDI keys with a fraction: the highest whose
/// dip lies below `threshold`. `None` where nothing is periodic.
pub fn pitch(samples: &[f32], sample_rate: u32, threshold: f32) -> Option<f64> {
    let rate = f64::from(sample_rate);
    let (shortest, longest) = ((rate / HIGHEST_PITCH_HZ) as usize, (rate / LOWEST_PITCH_HZ) as usize);
    let window = samples.len().checked_sub(longest + 1).filter(|&window| window >= longest)?;
    if level(samples) < -60.0 {
        return None;
    }
    // Equation 6: the squared difference of the signal and itself `lag` later.
    let difference: Vec<f32> = (0..=longest)
        .map(|lag| (0..window).map(|index| (samples[index] - samples[index + lag]).powi(2)).sum())
        .collect();
    // Equation 8: over its own mean so far, so that lag 0 does not win.
    let mut sum = 0.0;
    let normalised: Vec<f32> = difference
        .iter()
        .enumerate()
        .map(|(lag, &value)| {
            sum += value;
            if lag == 0 || sum <= 0.0 { 1.0 } else { value * lag as f32 / sum }
        })
        .collect();
    let mut lag = (shortest..longest).find(|&lag| normalised[lag] < threshold)?;
    while lag + 1 < longest && normalised[lag + 1] < normalised[lag] {
        lag += 1;
    }
    // A parabola through three points finds the minimum between samples.
    let [before, at, after] = [lag - 1, lag, lag + 1].map(|lag| f64::from(normalised[lag]));
    let bend = before - 2.0 * at + after;
    let shift = if bend > 0.0 { (0.5 * (before - after) / bend).clamp(-1.0, 1.0) } else { 0.0 };
    Some(69.0 + 12.0 * (rate / (lag as f64 + shift) / 440.0).log2())
}

/// The median pitch of one voice between two moments, in MIDI keys; `threshold` as of [`pitch`].
pub fn pitch_between(samples: &[f32], sample_rate: u32, seconds: Range<f64>, threshold: f32) -> Option<f64> {
    let at = |seconds: f64| ((seconds * f64::from(sample_rate)) as usize).min(samples.len());
    let (start, end, window) = (at(seconds.start), at(seconds.end), sample_rate as usize / 15);
    let mut pitches: Vec<f64> = (start..end.saturating_sub(window))
        .step_by(sample_rate as usize / 50)
        .filter_map(|index| pitch(&samples[index..index + window], sample_rate, threshold))
        .collect();
    pitches.sort_by(f64::total_cmp);
    pitches.get(pitches.len() / 2).copied()
}

/// Amplitude of the partials at these multiples of a key's fundamental together (Hann window), a sine of amplitude 1
/// at 1.
fn partials(samples: &[f32], sample_rate: u32, key: u8, multiples: [f64; 3]) -> f64 {
    let fundamental = 440.0 * 2.0_f64.powf((f64::from(key) - 69.0) / 12.0);
    let amplitude = |multiple: f64| {
        let turn = std::f64::consts::TAU * fundamental * multiple / f64::from(sample_rate);
        let (mut re, mut im) = (0.0, 0.0);
        for (index, &sample) in samples.iter().enumerate() {
            let hann = 0.5 - 0.5 * (std::f64::consts::TAU * index as f64 / samples.len() as f64).cos();
            let (sin, cos) = (turn * index as f64).sin_cos();
            re += f64::from(sample) * hann * cos;
            im += f64::from(sample) * hann * sin;
        }
        4.0 * re.hypot(im) / samples.len().max(1) as f64
    };
    multiples.map(amplitude).iter().sum()
}

/// Whether what sounds is the octave above this key and not the key itself: then its odd partials are missing.
pub fn is_octave_above(samples: &[f32], sample_rate: u32, key: u8) -> bool {
    let odd = partials(samples, sample_rate, key, [1.0, 3.0, 5.0]);
    let even = partials(samples, sample_rate, key, [2.0, 4.0, 6.0]);
    odd < 0.1 * even
}

/// When a note of this key begins to sound, in seconds: the steepest rise of its first six harmonics together within
/// `search`. Good to about 10 ms; `None` where the samples end before `search` does, or nothing rises.
pub fn onset_of(samples: &[f32], sample_rate: u32, key: u8, search: Range<f64>) -> Option<f64> {
    const HARMONICS: usize = 6;
    let rate = f64::from(sample_rate);
    let fundamental = 440.0 * 2.0_f64.powf((f64::from(key) - 69.0) / 12.0);
    let (window, hop) = (sample_rate as usize / 20, sample_rate as usize / 400);
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(window);
    let mut spectrum = transform.make_output_vec();
    let mut strengths = Vec::new();
    let start = (search.start * rate).max(0.0) as usize;
    let end = (search.end * rate) as usize;
    for centre in (start..end).step_by(hop) {
        let mut frame: Vec<f32> = (0..window)
            .map(|index| {
                let sample =
                    (centre + index).checked_sub(window / 2).and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
                let hann = 0.5 - 0.5 * (std::f32::consts::TAU * index as f32 / window as f32).cos();
                sample * hann
            })
            .collect();
        transform.process(&mut frame, &mut spectrum).ok()?;
        let bin = |frequency: f64| (frequency * window as f64 / rate).round() as usize;
        let strength: f32 = (1..=HARMONICS)
            .map(|harmonic| spectrum.get(bin(fundamental * harmonic as f64)).map_or(0.0, |value| value.norm()))
            .sum();
        strengths.push(strength);
    }
    // A rise over 20 ms, the length in which a window of 50 ms takes in most of an attack.
    let span = 8;
    let (index, rise) = (0..strengths.len().checked_sub(span)?)
        .map(|index| (index, strengths[index + span] - strengths[index]))
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    (rise > 0.0).then(|| (start + (index + span / 2) * hop) as f64 / rate)
}

/// The voices of the multi class's buses: nothing that one voice plays on the mix, then each part on its own bus.
pub fn behind_the_mix(voices: Vec<Vec<Note>>) -> Vec<Vec<Note>> {
    std::iter::once(Vec::new()).chain(voices).collect()
}

/// What is wrong with a take of `notes`, as sentences; none if each of them is heard.
///
/// Each bus carries one voice. `voices[b]` are the notes that bus `b` is to play.
pub fn complaints(take: &Take, voices: &[Vec<Note>]) -> Vec<String> {
    let mut complaints = Vec::new();
    let rate = f64::from(take.sample_rate);
    let late = f64::from(take.latency) / rate;
    for (index, bus) in take.buses.iter().enumerate() {
        let (bad, clips) = (not_finite(bus), clipped(bus));
        if bad > 0 {
            complaints.push(format!("bus {index} has {bad} samples that are not finite"));
        }
        if clips > 0 {
            complaints.push(format!("bus {index} has {clips} samples at full scale"));
        }
    }
    let first = voices.iter().flatten().map(|note| note.onset).fold(f64::INFINITY, f64::min);
    for (index, bus) in take.buses.iter().enumerate() {
        // 50 ms: a frame of the network, a window of the vocoder and a resampler spread an attack before its time.
        let before = ((first + late - 0.05) * rate) as usize;
        let early = level(&mono(bus)[..before.min(bus.left.len())]);
        if early > -60.0 {
            complaints.push(format!("bus {index} sounds at {early:.0} dB before the first note"));
        }
    }
    for (index, notes) in voices.iter().enumerate() {
        let Some(bus) = take.buses.get(index) else {
            complaints.push(format!("there is no bus {index}"));
            continue;
        };
        let samples = mono(bus);
        for note in notes {
            // The first third of a note still has the room's memory of the note before.
            let from = note.onset + (note.end - note.onset) / 3.0 + late;
            let span = from..note.end + late;
            let heard =
                YIN_THRESHOLDS.map(|threshold| pitch_between(&samples, take.sample_rate, span.clone(), threshold));
            if !heard.iter().flatten().any(|pitch| (pitch - f64::from(note.key)).abs() < 0.5) {
                complaints.push(format!(
                    "bus {index} at {:.2} s: key {} was played, {heard:.2?} is heard",
                    note.onset, note.key
                ));
            }
            // A room's echo can make the tracker hear the key where only its octave is played.
            let at = |seconds: f64| ((seconds * rate) as usize).min(samples.len());
            if is_octave_above(&samples[at(span.start)..at(span.end)], take.sample_rate, note.key) {
                complaints.push(format!(
                    "bus {index} at {:.2} s: key {} was played, its octave is heard",
                    note.onset, note.key
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sawtooth-like tone of ten harmonics from `onset` on.
    fn tone(key: u8, onset: f64, seconds: f64, sample_rate: u32) -> Vec<f32> {
        let frequency = 440.0 * 2.0_f64.powf((f64::from(key) - 69.0) / 12.0);
        (0..(seconds * f64::from(sample_rate)) as usize)
            .map(|index| {
                let time = index as f64 / f64::from(sample_rate) - onset;
                let wave = |h: i32| (std::f64::consts::TAU * frequency * f64::from(h) * time).sin() / f64::from(h);
                if time < 0.0 { 0.0 } else { (0.2 * (1..=10).map(wave).sum::<f64>()) as f32 }
            })
            .collect()
    }

    #[test]
    fn a_delay_is_found_to_the_sample() {
        let mut seed = 1_u32;
        let noise: Vec<f32> = (0..5_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect();
        for delay in [0, 1, 77, 999] {
            let late: Vec<f32> = std::iter::repeat_n(0.0, delay).chain(noise.iter().copied()).collect();
            assert_eq!(lag(&noise, &late, 1_000), delay);
        }
    }

    #[test]
    fn the_pitch_tracker_hears_every_key_of_a_string_quartet() {
        for key in 36..=93 {
            let heard = pitch_between(&tone(key, 0.0, 0.4, 48_000), 48_000, 0.05..0.4, 0.2).unwrap();
            assert!((heard - f64::from(key)).abs() < 0.1, "key {key} is heard as {heard}");
        }
    }

    #[test]
    fn noise_has_no_pitch() {
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..4_800)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        assert_eq!(pitch(&noise, 48_000, 0.35), None);
    }

    #[test]
    fn an_onset_is_found_within_ten_milliseconds() {
        for key in [40, 60, 76] {
            let heard = onset_of(&tone(key, 0.5, 1.0, 48_000), 48_000, key, 0.2..0.8).unwrap();
            assert!((heard - 0.5).abs() < 0.01, "key {key} begins at {heard}");
        }
    }

    #[test]
    fn an_octave_too_high_is_heard_as_one() {
        for key in [40, 60, 76] {
            let right = tone(key, 0.0, 0.4, 48_000);
            let mut wrong = tone(key + 12, 0.0, 0.4, 48_000);
            assert!(!is_octave_above(&right, 48_000, key));
            // With an echo of another note in it.
            wrong.iter_mut().zip(tone(key + 5, 0.0, 0.4, 48_000)).for_each(|(sample, echo)| *sample += 0.1 * echo);
            assert!(is_octave_above(&wrong, 48_000, key), "key {key}");
        }
    }

    #[test]
    fn a_wrong_key_is_a_complaint() {
        let bus = Stereo { left: tone(60, 0.5, 1.5, 48_000), right: tone(60, 0.5, 1.5, 48_000) };
        let take = Take { sample_rate: 48_000, latency: 0, buses: vec![bus], sent: Vec::new() };
        let note = |key| Note { onset: 0.5, end: 1.4, key, velocity: 80 };
        assert_eq!(complaints(&take, &[vec![note(60)]]), Vec::<String>::new());
        assert_eq!(complaints(&take, &[vec![note(61)]]).len(), 1);
    }
}
