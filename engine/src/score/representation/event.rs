//! Events one after another: note-on, note-off, time-shift, velocity.

use super::{MOST, Score, TooLong, sorted};

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

/// The codes of a piece, shape [events]: note-on 0 to 127, note-off from 128, time-shift from 256 (a tick is the first),
/// velocity from 356, end of sequence 388, with the default options.
pub fn events(score: &Score, options: &EventOptions) -> Result<Vec<u32>, TooLong> {
    let longest = options.longest_shift.max(1);
    let shift = if options.single_note_off { 129 } else { 256 };
    let velocity = shift + longest;
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
    if placed.last().is_some_and(|&(end, _)| end / u64::from(longest) > MOST) {
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
        codes.push(velocity + options.velocity_bins);
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{TickNote, Track};

    #[test]
    fn long_times_are_several_shifts() {
        let notes = vec![TickNote { onset: 5, pitch: 60, duration: 250, velocity: 64 }];
        let score = Score { tracks: vec![Track { notes, ..Track::default() }], ..Score::default() };
        let options = EventOptions { velocities: true, end_of_sequence: true, ..EventOptions::default() };
        assert_eq!(events(&score, &options).unwrap(), [260, 372, 60, 355, 355, 305, 188, 388]);
    }
}
