//! A rendered single note: its attack, what lasts while the key is held, and how it dies away.

use super::sound::{Sound, energy};

/// Seconds over which the level of a held note is one number.
const WINDOW: f64 = 0.02;
/// The least that must have been rendered of a release, in seconds.
const LEAST_TAIL: f64 = 0.3;
/// A note that has fallen below this share of its largest level when it ends has died away by itself: the end of nothing is
/// nothing to play when a key is released early.
const LIVES: f32 = 0.05;
/// Such a note is ended from here on, in seconds after its onset, and for so long.
const EARLY: f64 = 0.15;
const EARLY_TAIL: f64 = 0.6;

/// A rendered single note at the host rate.
#[derive(Debug)]
pub struct TableNote {
    /// MIDI pitch it was rendered at.
    pub pitch: u8,
    /// MIDI velocity it was rendered at.
    pub velocity: u8,
    /// From the onset on, for as long as a key is held.
    pub held: Sound,
    /// From the note-off on.
    pub released: Sound,
    /// Frame after the onset at which `released` begins.
    origin: f64,
    /// Frames of a period of the pitch.
    period: f64,
    /// Levels of `held` by [`WINDOW`], relative to that at `origin`.
    levels: Vec<f32>,
    /// Frames of a window.
    window: f64,
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
        let peak = frames[..held].iter().flatten().fold(0.0f32, |peak, x| peak.max(x.abs()));
        if peak < 1e-5 {
            return None;
        }
        let decay = decay(&frames[held..], rate);
        let window = WINDOW * rate as f64;
        let mut levels: Vec<f32> = frames[..held].chunks(window as usize).map(level).collect();
        let largest = levels.iter().copied().fold(0.0, f32::max);
        let end = level(&frames[held - window as usize..held]);
        let rendered = frames.len() - held >= (LEAST_TAIL * rate as f64) as usize && end > LIVES * largest;
        let (origin, tail) = if rendered {
            (held, frames[held..].to_vec())
        } else {
            let origin = (EARLY * rate as f64) as usize;
            let early = frames[origin..].iter().take((EARLY_TAIL * rate as f64) as usize);
            (origin, early.zip(0..).map(|(frame, i)| frame.map(|x| x * decay.powi(i))).collect())
        };
        let at_origin = if rendered { end } else { levels[(origin as f64 / window) as usize] };
        levels.iter_mut().for_each(|level| *level /= at_origin.max(LIVES * largest));
        let released = Sound::looped(tail, rate, |_, pass| decay.powf(pass));
        frames.truncate(held);
        fade_in(&mut frames, rate);
        Some(Self {
            pitch,
            velocity,
            held: Sound::looped(frames, rate, |mono, pass| pass_gain(mono, pass, rate)),
            released,
            origin: origin as f64,
            period: rate as f64 / (440.0 * 2f64.powf((f64::from(pitch) - 69.0) / 12.0)),
            levels,
            window,
        })
    }

    /// Where in `released` a key goes on that is released at frame `at` of `held`: in the same phase of the pitch, and as loud.
    pub fn release(&self, at: f64) -> (f64, f32) {
        let window = ((at / self.window) as usize).min(self.levels.len().saturating_sub(1));
        let level = self.levels.get(window).copied().unwrap_or(1.0);
        ((at - self.origin).rem_euclid(self.period), level)
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

/// Root mean square.
fn level(frames: &[[f32; 2]]) -> f32 {
    (energy(frames.as_flattened()) / (2 * frames.len().max(1)) as f32).sqrt()
}

/// The factor per sample by which a note dies away after its note-off, from the 0.6 s that follow it: -60 dB in 0.15 to
/// 3 s. Without such a tail, or if it does not fall, 0.4 s.
fn decay(tail: &[[f32; 2]], rate: usize) -> f32 {
    let level = |from: f64| {
        let from = (from * rate as f64) as usize;
        tail.get(from..from + rate / 10).map(level)
    };
    let seconds = match (level(0.03), level(0.43)) {
        (Some(first), Some(last)) if first > 0.0 && last < 0.9 * first => {
            (60.0 * 0.4 / (20.0 * (first / last.max(1e-6)).log10())).clamp(0.15, 3.0)
        }
        _ => 0.4,
    };
    0.001f32.powf(1.0 / (seconds * rate as f32))
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

#[cfg(test)]
mod tests {
    use super::super::sound::Cursor;
    use super::*;
    use std::f32::consts::TAU;

    fn tone(i: usize) -> f32 {
        (TAU * (220.0 * i as f64 / 48e3).fract() as f32).sin()
    }

    /// The factors of a thousand passes.
    fn lasts(sound: &Sound) -> f32 {
        let mut cursor = Cursor::new(0.0, 1.0, 1.0);
        cursor.skip(sound, 4.8e6);
        cursor.level
    }

    #[test]
    fn a_held_tone_keeps_its_level_and_a_struck_one_dies_away() {
        let note = |seconds: f32| {
            let wave: Vec<f32> = (0..120_000).map(|i| tone(i) * (-(i as f32) / 48e3 / seconds).exp()).collect();
            TableNote::prepare(57, 96, &wave, &wave, 48_000, 2.5).unwrap()
        };
        assert!(lasts(&note(1e9).held) > 0.98);
        let mut cursor = Cursor::new(0.0, 1.0, 1.0);
        let struck = note(1.0);
        cursor.skip(&struck.held, 480_000.0);
        let heard = struck.held.next(&mut cursor)[0];
        assert!(heard.abs() < 2.0 * (-10.0f32).exp(), "{heard} after 10 s");
        assert!(lasts(&struck.held) < 1e-3);
    }

    /// Held for a second, then dying away by 60 dB in `t60`, with a room that does not: 0.02 of the level, for half a second.
    fn rendered(t60: f32) -> (Vec<f32>, TableNote) {
        let level = |i: usize| match i.checked_sub(48_000) {
            None => 1.0,
            Some(since) => 0.001f32.powf(since as f32 / 48e3 / t60) + if since < 24_000 { 0.02 } else { 0.0 },
        };
        let wave: Vec<f32> = (0..84_000).map(|i| level(i) * tone(i)).collect();
        let note = TableNote::prepare(57, 96, &wave, &wave, 48_000, 1.0).unwrap();
        (wave, note)
    }

    #[test]
    fn what_is_played_after_a_release_is_what_was_rendered() {
        for t60 in [0.3f32, 1.0] {
            let (wave, note) = rendered(t60);
            // Released anywhere, also after some passes of the loop: in phase with what would have been played.
            for at in [10_000usize, 31_234, 47_000] {
                let (from, level) = note.release(at as f64);
                let mut cursor = Cursor::new(from, 1.0, level);
                assert!((level - 1.0).abs() < 0.05, "{level}");
                for since in 0..12_000 {
                    let heard = note.released.next(&mut cursor)[0];
                    // The rendered envelope, a period early at most, over the tone that goes on.
                    let envelope = wave[48_000 + since..].iter().take(440).fold(0.0f32, |most, x| most.max(x.abs()));
                    let wanted = envelope * tone(at + since);
                    assert!(
                        (heard - wanted).abs() < 0.12,
                        "{t60} s, released at {at}, {since} later: {heard}, {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_release_dies_away_as_the_rendered_one_does_and_to_nothing() {
        for t60 in [0.3f32, 1.0, 2.0] {
            let level = |i: usize| if i < 48_000 { 1.0 } else { 0.001f32.powf((i - 48_000) as f32 / 48e3 / t60) };
            let wave: Vec<f32> = (0..84_000).map(|i| level(i) * tone(i)).collect();
            let note = TableNote::prepare(57, 96, &wave, &wave, 48_000, 1.0).unwrap();
            let heard = |from: f64, samples: usize| {
                let mut cursor = Cursor::new(0.0, 1.0, 1.0);
                cursor.skip(&note.released, from * 48e3);
                (0..samples).fold(0.0f32, |most, _| most.max(note.released.next(&mut cursor)[0].abs()))
            };
            for seconds in [0.2, 0.7, 1.5] {
                let (heard, wanted) = (heard(seconds, 480), 0.001f32.powf(seconds as f32 / t60));
                let apart = 20.0 * (heard / wanted).log10();
                assert!(wanted < 1e-4 || apart.abs() < 3.0, "{t60} s, after {seconds} s: {apart} dB apart");
            }
            assert!(heard(12.0, 480) < 1e-5);
        }
    }

    #[test]
    fn a_note_that_died_away_by_itself_is_ended_by_its_own_beginning() {
        let wave: Vec<f32> = (0..120_000).map(|i| tone(i) * (-(i as f32) / 48e3 / 0.2).exp()).collect();
        let note = TableNote::prepare(57, 96, &wave, &wave, 48_000, 1.9).unwrap();
        for at in [2_400usize, 9_600, 24_000] {
            let (from, level) = note.release(at as f64);
            let mut cursor = Cursor::new(from, 1.0, level);
            let heard = (0..220).fold(0.0f32, |most, _| most.max(note.released.next(&mut cursor)[0].abs()));
            let held = wave[at..at + 220].iter().fold(0.0f32, |most, x| most.max(x.abs()));
            assert!((heard / held).log10().abs() < 0.1, "released at {at}: {heard}, held {held}");
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
