//! Which single notes are rendered, and how a rendered note is made to last as long as a key is held.

/// Seconds that a rendered note is held. A key held longer plays a loop of it.
pub const HELD_SECONDS: f64 = 1.9;
/// Seconds of each note that are rendered: four segments. What follows the note-off tells how it dies away.
pub const NOTE_SECONDS: f64 = 2.55;
/// Semitones between rendered notes: others are at most one away.
const SPACING: usize = 3;
/// MIDI velocities that are rendered, the first for every pitch before the second for any.
const DYNAMICS: [u8; 2] = [96, 48];

/// A note to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotePlan {
    /// Which slot of the cast it belongs to.
    pub slot: u8,
    /// MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity.
    pub velocity: u8,
    /// Without denoising, to be playable sooner; replaced later.
    pub draft: bool,
}

/// What to render for slots with these ranges, most useful first: every octave of each range, then what lies between,
/// the middle before the ends, slots in turn; with `drafts` the first dynamic of everything as a draft before that.
pub fn plan(ranges: &[(u8, u8)], drafts: bool) -> Vec<NotePlan> {
    let mut notes = Vec::new();
    let drafts = drafts.then_some((DYNAMICS[0], true));
    for (velocity, draft) in drafts.into_iter().chain(DYNAMICS.map(|velocity| (velocity, false))) {
        let mut queues: Vec<Vec<u8>> = ranges.iter().map(|&(lo, hi)| pitches(lo, hi)).collect();
        let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
        for turn in 0..longest {
            for (slot, queue) in queues.iter_mut().enumerate() {
                if let Some(&pitch) = queue.get(turn) {
                    notes.push(NotePlan { slot: slot as u8, pitch, velocity, draft });
                }
            }
        }
    }
    notes
}

/// Pitches of a range: an octave apart from the middle outwards, then half an octave, then all, so that every key soon has
/// a note near it. The outermost lie within a semitone of the range's ends.
fn pitches(lo: u8, hi: u8) -> Vec<u8> {
    let (lo, hi) = (lo.min(hi), lo.max(hi));
    let middle = (i32::from(lo) + i32::from(hi)) / 2;
    let reach = SPACING as i32 / 2;
    let mut found = vec![(0, middle as u8)];
    for ring in 1i32.. {
        let (below, above) = (middle - ring * SPACING as i32, middle + ring * SPACING as i32);
        // A pitch beyond the end is moved to it, if the end is not already within reach of the last one.
        let low = (below + SPACING as i32 > i32::from(lo) + reach).then(|| below.max(i32::from(lo)));
        let high = (above - (SPACING as i32) < i32::from(hi) - reach).then(|| above.min(i32::from(hi)));
        found.extend([low, high].into_iter().flatten().map(|pitch| (ring, pitch as u8)));
        if low.is_none() && high.is_none() {
            break;
        }
    }
    // Four rings are an octave. The order of the rings stays within each turn.
    found.sort_by_key(|&(ring, _)| 2 - ring.trailing_zeros().min(2));
    found.into_iter().map(|(_, pitch)| pitch).collect()
}

/// A rendered single note at the host rate, ready to be looped.
#[derive(Debug)]
pub struct TableNote {
    /// MIDI pitch it was rendered at.
    pub pitch: u8,
    /// MIDI velocity it was rendered at.
    pub velocity: u8,
    /// Stereo frames at the host rate, from the onset on; four more than `loop_end`.
    pub frames: Vec<[f32; 2]>,
    /// First frame of the loop.
    pub loop_start: usize,
    /// Playing goes back from here to `loop_start`; both sound the same but for `loop_gain`.
    pub loop_end: usize,
    /// Level of a pass of the loop relative to the pass before: below 1 for instruments that die away.
    pub loop_gain: f32,
    /// What a released voice is multiplied by per sample: the decay of this instrument in this room.
    pub release: f32,
}

impl TableNote {
    /// Prepares a rendered note; `left` and `right` are at `rate` Hz and equally long, and the note is held for
    /// `held` seconds of them. `None` if it is silent or held for less than half a second.
    pub fn prepare(pitch: u8, velocity: u8, left: &[f32], right: &[f32], rate: u32, held: f64) -> Option<Self> {
        let rate = rate as usize;
        let mut frames: Vec<[f32; 2]> = left.iter().zip(right).map(|(&l, &r)| [l, r]).collect();
        let held = ((held * rate as f64) as usize).min(frames.len());
        if held < rate / 2 || frames.iter().flatten().any(|x| !x.is_finite()) {
            return None;
        }
        let release = release(&frames[held..], rate);
        frames.truncate(held);
        let peak = frames.iter().flatten().fold(0.0f32, |peak, x| peak.max(x.abs()));
        if peak < 1e-5 {
            return None;
        }
        fade_in(&mut frames, rate);
        let (loop_start, loop_end, loop_gain) = make_loop(&mut frames, rate);
        Some(Self { pitch, velocity, frames, loop_start, loop_end, loop_gain, release })
    }
}

/// A note begins at its nominal onset, where its attack is already rising: 2 ms keep it from clicking.
fn fade_in(frames: &mut [[f32; 2]], rate: usize) {
    let fade = rate / 500 + 1;
    for (i, frame) in frames.iter_mut().take(fade).enumerate() {
        let gain = 0.5 - 0.5 * (std::f32::consts::PI * (i + 1) as f32 / (fade + 1) as f32).cos();
        frame[0] *= gain;
        frame[1] *= gain;
    }
}

/// The factor per sample by which a note dies away after its note-off, from the 0.6 s that follow it: -60 dB in 0.15 to
/// 3 s. Without such a tail, or if it does not fall, 0.4 s.
fn release(tail: &[[f32; 2]], rate: usize) -> f32 {
    let level = |from: f64| {
        let from = (from * rate as f64) as usize;
        let window = tail.get(from..from + rate / 10)?;
        Some(window.iter().flatten().map(|x| x * x).sum::<f32>())
    };
    let seconds = match (level(0.03), level(0.43)) {
        (Some(first), Some(last)) if first > 0.0 && last < 0.8 * first => {
            (60.0 * 0.4 / (10.0 * (first / last.max(1e-12)).log10())).clamp(0.15, 3.0)
        }
        _ => 0.4,
    };
    0.001f32.powf(1.0 / (seconds * rate as f32))
}

/// Bakes a crossfaded loop into the end of the note and returns its start, end and gain per pass.
fn make_loop(frames: &mut [[f32; 2]], rate: usize) -> (usize, usize, f32) {
    let loop_end = frames.len() - 4;
    let fade = (rate * 3 / 10).min(loop_end / 4);
    let window = rate / 20;
    // About half of the note is looped; the exact length is where the waveform fits best, within 25 ms.
    let about = loop_end / 2;
    let mono: Vec<f32> = frames.iter().map(|f| f[0] + f[1]).collect();
    let tail = &mono[loop_end - window..loop_end];
    let loop_start = (about.saturating_sub(rate / 40).max(window + fade)..about + rate / 40)
        .step_by(2)
        .max_by(|&a, &b| fit(&mono, a, window, tail).total_cmp(&fit(&mono, b, window, tail)))
        .unwrap_or(about);
    let gain = pass_gain(&mono[..loop_end], (loop_end - loop_start) as f32, rate);
    for i in 0..fade {
        let weight = (i + 1) as f32 / fade as f32;
        let source = frames[loop_start - fade + i];
        let target = &mut frames[loop_end - fade + i];
        for channel in 0..2 {
            target[channel] = (1.0 - weight) * target[channel] + weight * gain * source[channel];
        }
    }
    // The interpolation of the last frames reads on into the next pass.
    for i in 0..4 {
        frames[loop_end + i] = frames[loop_start + i].map(|x| x * gain);
    }
    (loop_start, loop_end, gain)
}

/// Level of a pass of the loop relative to the pass before, from the last 0.6 s: by then a bow or a breath is steady and
/// what still falls is a string or a bar dying away. A pass that loses less than 2.5 dB is a steady tone.
fn pass_gain(mono: &[f32], pass: f32, rate: usize) -> f32 {
    let window = rate / 5;
    let level = |end: usize| energy(&mono[end.saturating_sub(window)..end]).sqrt();
    let (first, last) = (level(mono.len().saturating_sub(2 * window)), level(mono.len()));
    if first <= 0.0 {
        return 0.0;
    }
    let gain = (last / first).powf(pass / (2 * window) as f32);
    if gain > 0.75 { 1.0 } else { gain }
}

fn energy(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum()
}

/// Normalised correlation of the window that ends at `at` with `tail`.
fn fit(mono: &[f32], at: usize, window: usize, tail: &[f32]) -> f32 {
    let head = &mono[at - window..at];
    let dot: f32 = head.iter().zip(tail).map(|(a, b)| a * b).sum();
    dot / energy(head).sqrt().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    #[test]
    fn every_pitch_of_a_range_has_a_note_within_a_semitone() {
        for (lo, hi) in [(21, 108), (55, 103), (60, 60), (40, 43), (0, 127)] {
            let found = pitches(lo, hi);
            for key in lo..=hi {
                let nearest = found.iter().map(|&p| p.abs_diff(key)).min();
                assert!(nearest <= Some(1), "{lo}..{hi}: {key} is {nearest:?} away in {found:?}");
            }
            assert!(found.iter().all(|p| (lo..=hi).contains(p)), "{found:?}");
            let mut unique = found.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), found.len(), "{found:?}");
        }
    }

    #[test]
    fn after_a_third_of_the_notes_every_key_has_one_within_an_octave() {
        for (lo, hi) in [(21u8, 108u8), (55, 103), (36, 96)] {
            let all = pitches(lo, hi);
            let first = &all[..all.len().div_ceil(3)];
            let farthest = (lo..=hi).filter_map(|key| first.iter().map(|&pitch| pitch.abs_diff(key)).min()).max();
            assert!(farthest < Some(12), "{lo}..{hi}: {farthest:?} with {first:?}");
        }
    }

    #[test]
    fn the_middle_of_every_slot_comes_first_and_the_second_dynamic_last() {
        let notes = plan(&[(48, 72), (36, 60)], false);
        assert_eq!((notes[0].slot, notes[0].pitch), (0, 60));
        assert_eq!((notes[1].slot, notes[1].pitch), (1, 48));
        let soft = notes.iter().position(|n| n.velocity == DYNAMICS[1]).unwrap();
        assert_eq!(soft * 2, notes.len());
        let drafted = plan(&[(48, 72), (36, 60)], true);
        assert_eq!(drafted.len(), soft + notes.len());
        assert!(drafted.iter().enumerate().all(|(i, note)| note.draft == (i < soft)));
    }

    fn note(decay_seconds: f32) -> TableNote {
        let tone: Vec<f32> = (0..120_000)
            .map(|i| (TAU * 220.3 * i as f32 / 48e3).sin() * (-(i as f32) / 48e3 / decay_seconds).exp())
            .collect();
        TableNote::prepare(57, 96, &tone, &tone, 48_000, 2.5).unwrap()
    }

    #[test]
    fn a_loop_joins_without_a_step() {
        for decay in [1e9, 1.0] {
            let note = note(decay);
            let largest = note.frames.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
            let last = note.frames[note.loop_end - 1][0];
            let next = note.frames[note.loop_start][0] * note.loop_gain;
            assert!((next - last).abs() <= largest, "decay {decay}: {last} to {next}");
        }
    }

    #[test]
    fn a_held_tone_keeps_its_level_and_a_struck_one_dies_away() {
        assert!(note(1e9).loop_gain > 0.98);
        let struck = note(1.0);
        let pass = (struck.loop_end - struck.loop_start) as f32 / 48e3;
        assert!((struck.loop_gain / (-pass).exp() - 1.0).abs() < 0.1, "{}", struck.loop_gain);
    }

    #[test]
    fn a_release_falls_as_the_rendered_one_does() {
        for t60 in [0.3f32, 1.0, 2.0] {
            let level = |i: usize| if i < 48_000 { 1.0 } else { 0.001f32.powf((i - 48_000) as f32 / 48e3 / t60) };
            let tone: Vec<f32> = (0..84_000).map(|i| level(i) * (TAU * 220.3 * i as f32 / 48e3).sin()).collect();
            let note = TableNote::prepare(57, 96, &tone, &tone, 48_000, 1.0).unwrap();
            let measured = 0.001f32.ln() / note.release.ln() / 48e3;
            assert!((measured / t60 - 1.0).abs() < 0.05, "{measured} s for {t60} s");
        }
    }

    #[test]
    fn silence_and_nonsense_make_no_note() {
        let zeros = vec![0.0; 48_000];
        assert!(TableNote::prepare(60, 96, &zeros, &zeros, 48_000, 1.0).is_none());
        let nan = vec![f32::NAN; 48_000];
        assert!(TableNote::prepare(60, 96, &nan, &nan, 48_000, 1.0).is_none());
        assert!(TableNote::prepare(60, 96, &[1.0; 100], &[1.0; 100], 48_000, 1.0).is_none());
    }
}
