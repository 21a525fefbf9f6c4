//! Events one after another: note-on, note-off, time-shift, velocity.

use std::collections::VecDeque;

use super::{DEFAULT_VELOCITY, MOST, Score, TooLong, of, sorted};
use crate::score::TickNote;

/// What is encoded as an event, and how finely. The default is MusPy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventOptions {
    /// One note-off for all pitches.
    pub single_note_off: bool,
    /// An event of its own at the end.
    pub end_of_sequence: bool,
    /// Velocities before their note-ons.
    pub velocities: bool,
    /// Also velocities that are those of the note before.
    pub every_velocity: bool,
    /// Ticks that one time-shift may last.
    pub longest_shift: u32,
    /// Steps of velocity.
    pub velocity_bins: u32,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            single_note_off: false,
            end_of_sequence: false,
            velocities: false,
            every_velocity: true,
            longest_shift: 100,
            velocity_bins: 32,
        }
    }
}

/// Where each kind of code begins; note-ons at 0, note-offs at 128.
struct Codes {
    shift: u32,
    velocity: u32,
    end: u32,
}

impl EventOptions {
    fn codes(&self) -> Codes {
        let shift = if self.single_note_off { 129 } else { 256 };
        let velocity = shift + self.longest_shift.max(1);
        Codes { shift, velocity, end: velocity + self.velocity_bins }
    }
}

/// The codes of a piece, shape [events]: note-on 0 to 127, note-off from 128, time-shift from 256 (a tick is the first),
/// velocity from 356, end of sequence 388, with the default options.
pub fn events(score: &Score, options: &EventOptions) -> Result<Vec<u32>, TooLong> {
    let longest = options.longest_shift.max(1);
    let Codes { shift, velocity, end } = options.codes();
    let mut placed: Vec<(u64, u32)> = Vec::new();
    let mut last = None;
    for note in sorted(score) {
        let bin = u32::from(note.velocity) * options.velocity_bins / 128;
        if options.velocities && (options.every_velocity || last != Some(bin)) {
            placed.push((note.onset, velocity + bin));
        }
        last = Some(bin);
        placed.push((note.onset, note.pitch.into()));
        placed.push((note.end(), if options.single_note_off { 128 } else { 128 + u32::from(note.pitch) }));
    }
    // Stable: at one tick in the order of the notes.
    placed.sort_by_key(|&(tick, _)| tick);
    if placed.last().is_some_and(|&(last, _)| last / u64::from(longest) > MOST) {
        return Err(TooLong);
    }
    let mut codes = Vec::with_capacity(placed.len());
    let mut now = 0;
    for (tick, code) in placed {
        let passed = tick - now;
        codes.extend((0..passed / u64::from(longest)).map(|_| shift + longest - 1));
        let rest = (passed % u64::from(longest)) as u32;
        if rest > 0 {
            codes.push(shift + rest - 1);
        }
        codes.push(code);
        now = tick;
    }
    if options.end_of_sequence {
        codes.push(end);
    }
    Ok(codes)
}

/// The piece of codes as [`events`] gives them with the same options.
///
/// Of notes that sound at once at one pitch a note-off ends the first; notes that are never ended are left out, and so are
/// codes that mean nothing. A velocity is the lowest of its step, and at least 1 where MusPy says 0.
pub fn from_events(codes: &[u32], options: &EventOptions, resolution: u32) -> Score {
    let Codes { shift, velocity: velocities, end } = options.codes();
    let mut sounding: Vec<VecDeque<(u64, u8)>> = vec![VecDeque::new(); 128];
    let (mut now, mut velocity) = (0u64, DEFAULT_VELOCITY);
    let mut notes = Vec::new();
    for &code in codes {
        if code < 128 {
            sounding[code as usize].push_back((now, velocity));
        } else if code < shift {
            let mut close = |pitch: u8, (onset, velocity): (u64, u8)| {
                notes.push(TickNote { onset, pitch, duration: now - onset, velocity });
            };
            if options.single_note_off {
                for (pitch, started) in (0..).zip(&mut sounding) {
                    started.drain(..).for_each(|note| close(pitch, note));
                }
            } else if let Some(note) = sounding[code as usize - 128].pop_front() {
                close((code - 128) as u8, note);
            }
        } else if code < velocities {
            now += u64::from(code - shift) + 1;
        } else if code < end {
            let step = 128.0 / f64::from(options.velocity_bins);
            velocity = ((f64::from(code - velocities) * step) as u8).clamp(1, 127);
        } else if code == end && options.end_of_sequence {
            break;
        }
    }
    of(notes, resolution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Track;

    #[test]
    fn long_times_are_several_shifts() {
        let notes = vec![TickNote { onset: 5, pitch: 60, duration: 250, velocity: 64 }];
        let score = Score { tracks: vec![Track { notes, ..Track::default() }], ..Score::default() };
        let options = EventOptions { velocities: true, end_of_sequence: true, ..EventOptions::default() };
        let codes = [260, 372, 60, 355, 355, 305, 188, 388];
        assert_eq!(events(&score, &options).unwrap(), codes);
        assert_eq!(from_events(&codes, &options, score.resolution), score);
    }

    #[test]
    fn codes_that_mean_nothing_are_passed_over_and_nothing_comes_after_the_end() {
        let options = EventOptions { end_of_sequence: true, ..EventOptions::default() };
        let note = |onset, pitch, duration| TickNote { onset, pitch, duration, velocity: 64 };
        // A note-off of what does not sound, a code beyond all, two notes at one pitch, one that never ends.
        let codes = [188, 999, 60, 256, 60, 257, 188, 256, 188, 62, 388, 190];
        assert_eq!(from_events(&codes, &options, 24).tracks[0].notes, [note(0, 60, 3), note(1, 60, 3)]);
        // One note-off for all.
        let all = EventOptions { single_note_off: true, ..EventOptions::default() };
        assert_eq!(from_events(&[60, 129, 64, 128, 128], &all, 24).tracks[0].notes, [note(0, 60, 1), note(1, 64, 0)]);
    }
}
