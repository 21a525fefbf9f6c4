//! Plays the instant voice where a stream in Sync has a gap, on the audio thread.
//!
//! Promises that a note that is held sounds on when its segment is late or could not be rendered, if its part has single
//! notes by then, at the sample at which the segment would have had it; that the stream and the voices are faded into each
//! other; and that nothing is allocated or freed. While there is no gap it remembers a note per key and nothing else: a
//! voice is begun in the middle of its note when a gap begins.

use super::MAX_PARTS;
use super::audio::MidiOut;
use super::instant::Voices;

/// Seconds after its end for which a note may still be heard: the longest release of a single note.
const RINGS: f64 = 3.0;

/// A note as it is heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    part: u8,
    velocity: u8,
    /// Stream times at which it began and ended to be heard, in host samples.
    from: u64,
    until: Option<u64>,
}

pub(super) struct Understudy {
    /// The last note of every MIDI key: the conductor lets a key have one at a time.
    notes: [Option<Heard>; 128],
    /// Samples of [`RINGS`].
    rings: u64,
    /// The voices play.
    on: bool,
}

impl Understudy {
    pub fn new() -> Self {
        Self { notes: [None; 128], rings: 0, on: false }
    }

    /// Begins a new stream at a host rate in Hz; the voices have been ended.
    pub fn begin(&mut self, rate: u32) {
        *self = Self { rings: (RINGS * f64::from(rate)) as u64, ..Self::new() };
    }

    /// Follows a block's separated notes, the block beginning at stream sample `now`; with `rest`, how much of each of
    /// its samples is missing, adds that much of the voices to the parts.
    pub fn play(
        &mut self,
        now: u64,
        midi: &[MidiOut],
        rest: Option<&[f32]>,
        voices: &mut Voices,
        parts: &mut [[Vec<f32>; 2]; MAX_PARTS],
    ) {
        let Some(rest) = rest else {
            self.stop(voices);
            midi.iter().for_each(|note| self.hear(note, now, voices));
            return;
        };
        let mut midi = midi.iter().peekable();
        let mut at = 0;
        while at < rest.len() {
            while let Some(note) = midi.next_if(|note| note.offset as usize <= at) {
                self.hear(note, now, voices);
            }
            let to = midi.peek().map_or(rest.len(), |note| (note.offset as usize).min(rest.len()));
            let run = &rest[at..to];
            let first = if self.on { Some(0) } else { run.iter().position(|rest| *rest > 0.0) };
            if let Some(first) = first {
                if !self.on {
                    self.start(now + (at + first) as u64, run[first], voices);
                }
                voices.fill(at + first, &run[first..], parts);
            }
            if run.last() == Some(&0.0) {
                self.stop(voices);
            }
            at = to;
        }
    }

    /// Whether it is heard.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Goes on from where the last block ended, with nothing new; silent if it did not play.
    pub fn go_on(&self, rest: &[f32], voices: &mut Voices, parts: &mut [[Vec<f32>; 2]; MAX_PARTS]) {
        if self.on {
            voices.fill(0, rest, parts);
        }
    }

    fn hear(&mut self, note: &MidiOut, block_start: u64, voices: &mut Voices) {
        let at = block_start + u64::from(note.offset);
        let Some(heard) = self.notes.get_mut(usize::from(note.key)) else { return };
        if note.on {
            *heard = Some(Heard { part: note.part, velocity: note.velocity, from: at, until: None });
            if self.on {
                voices.begin_at((note.part, note.key, note.velocity), at, (0, None), 1.0);
            }
        } else if let Some(heard) = heard.as_mut().filter(|heard| heard.part == note.part && heard.until.is_none()) {
            heard.until = Some(at);
            if self.on {
                voices.end(note.key);
            }
        }
    }

    /// Begins the voices of all that is heard at stream sample `now`, of which `rest` is missing.
    fn start(&mut self, now: u64, rest: f32, voices: &mut Voices) {
        self.on = true;
        for (key, heard) in (0u8..).zip(&mut self.notes) {
            let Some(Heard { part, velocity, from, until }) = *heard else { continue };
            let released = until.map(|until| now.saturating_sub(until));
            if released.is_some_and(|released| released > self.rings) {
                *heard = None;
                continue;
            }
            let held = until.unwrap_or(now).saturating_sub(from);
            // Where the stream was not faded out before, the voices fade in by themselves.
            voices.begin_at((part, key, velocity), from, (held, released), 1.0 - rest);
        }
    }

    fn stop(&mut self, voices: &mut Voices) {
        if std::mem::take(&mut self.on) {
            voices.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::instant::TableNote;
    use super::super::message::{BankMessage, Cast};
    use super::*;
    use std::f32::consts::TAU;
    use std::sync::Arc;

    fn voices() -> Voices {
        let wave: Vec<f32> = (0..60_000).map(|i| 0.25 * (TAU * 262.0 * i as f32 / 48e3).sin()).collect();
        let note = Arc::new(TableNote::prepare(60, 96, &wave, &wave, 48_000, 1.0).unwrap());
        let mut voices = Voices::new();
        voices.bank(BankMessage::Cast(Cast { parts: 2, ..Cast::default() }));
        voices.bank(BankMessage::Note { slot: 0, note });
        voices
    }

    /// What is heard of both parts in blocks of so many samples while `rest` is missing.
    fn heard(notes: &[(u64, u8, bool)], rest: &[f32], block: usize) -> Vec<f32> {
        let (mut understudy, mut voices, mut heard) = (Understudy::new(), voices(), Vec::new());
        understudy.begin(48_000);
        while heard.len() < rest.len() {
            let now = heard.len() as u64;
            let frames = block.min(rest.len() - heard.len());
            let rest = &rest[heard.len()..][..frames];
            let within = notes.iter().filter(|(at, ..)| (now..now + frames as u64).contains(at));
            let midi: Vec<MidiOut> = within
                .map(|&(at, key, on)| MidiOut { offset: (at - now) as u32, part: 1, key, velocity: 96, on })
                .collect();
            let mut parts = std::array::from_fn(|_| [vec![0.0; frames], vec![0.0; frames]]);
            let lacks = rest.iter().any(|rest| *rest > 0.0);
            understudy.play(now, &midi, Some(rest).filter(|_| lacks), &mut voices, &mut parts);
            assert!(parts[0][0].iter().all(|x| *x == 0.0), "another part plays");
            heard.extend_from_slice(&parts[1][0]);
        }
        assert!(!understudy.on && voices.count() == 0, "it plays on after the gap");
        heard
    }

    /// Two gaps of 4,000 samples with edges of 200, from 2,000 and from 20,000 on.
    fn rest() -> Vec<f32> {
        let edge = |at: usize, from: usize| (at as f32 - from as f32) / 200.0;
        let one = |at, from| edge(at, from).min(edge(from + 4_000, at)).clamp(0.0, 1.0);
        (0..30_000).map(|at| one(at, 2_000) + one(at, 20_000)).collect()
    }

    #[test]
    fn in_gaps_alone_what_is_held_is_heard_from_where_it_is_whatever_the_block() {
        // One from before the first gap until within the second, one that begins and ends in the first.
        let notes = [(500, 60, true), (3_000, 64, true), (5_000, 64, false), (22_000, 60, false)];
        let rest = rest();
        let whole = heard(&notes, &rest, 30_000);
        // A note that was missing all along is what the gaps let through.
        let throughout: Vec<f32> = std::iter::repeat_n(1.0, 29_999).chain([0.0]).collect();
        let always = heard(&notes, &throughout, 30_000);
        for (at, (heard, rest)) in whole.iter().zip(&rest).enumerate() {
            assert!((heard - rest * always[at]).abs() < 2e-3, "at {at}: {heard}, not {rest} of {}", always[at]);
        }
        assert!(
            whole[3_500..4_500].iter().any(|x| x.abs() > 0.2) && whole[21_000..22_000].iter().any(|x| x.abs() > 0.2)
        );
        for block in [1, 7, 64, 5_000] {
            let apart = heard(&notes, &rest, block).iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "blocks of {block}: {apart} apart");
        }
    }

    #[test]
    fn what_ended_long_before_a_gap_is_silent_in_it() {
        let heard = heard(&[(0, 60, true), (1_000, 60, false)], &rest(), 512);
        assert!(heard[2_500..5_500].iter().any(|x| x.abs() > 0.01), "its end is cut off");
        assert!(heard[20_000..].iter().all(|x| x.abs() < 0.02));
    }

    #[test]
    fn without_single_notes_a_gap_is_silence() {
        let (mut understudy, mut voices) = (Understudy::new(), Voices::new());
        understudy.begin(48_000);
        let midi = [MidiOut { offset: 0, part: 0, key: 60, velocity: 96, on: true }];
        let mut parts = std::array::from_fn(|_| [vec![0.0; 64], vec![0.0; 64]]);
        understudy.play(0, &midi, Some(&[1.0; 64]), &mut voices, &mut parts);
        assert!(parts.iter().flatten().flatten().all(|x| *x == 0.0));
    }
}
