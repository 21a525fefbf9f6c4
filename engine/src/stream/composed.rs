//! Composed notes on the audio thread: they come in by a ring a little before they are due, and join what is played.
//!
//! Promises that a note that began also ends: at its own end, where the song jumps, where everything is released, or by
//! the musician who strikes the same key, to whom it belongs from then on. Wait-free.

use super::audio::{EventKind, TimedEvent};
use ringbuf::HeapCons;
use ringbuf::traits::Consumer;

/// Beats after which a note begins no more.
const LATE: f64 = 0.25;

/// A note of the composer begins or ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Composed {
    pub epoch: u32,
    /// Jumps of the song, before it was planned.
    pub jumps: u32,
    /// Where in the song, beats as the audio thread counts them.
    pub beat: f64,
    pub part: u8,
    pub key: u8,
    /// 0 ends the note.
    pub velocity: u8,
}

/// The audio thread's end of the composer.
pub(super) struct Intake {
    ring: HeapCons<Composed>,
    /// Keys that a composed note holds down, a bit each, and their parts.
    down: u128,
    part: [u8; 128],
}

impl Intake {
    pub fn new(ring: HeapCons<Composed>) -> Self {
        Self { ring, down: 0, part: [0; 128] }
    }

    /// A new stream: everything has been ended.
    pub fn begin(&mut self) {
        self.down = 0;
    }

    /// The musician does something; a key that is struck is the musician's.
    pub fn played(&mut self, kind: EventKind) {
        match kind {
            EventKind::NoteOn { key, .. } => self.down &= !(1 << (key & 127)),
            EventKind::AllOff => self.down = 0,
            EventKind::NoteOff { .. } | EventKind::Sustain(_) => {}
        }
    }

    /// Ends every composed note at the beginning of the block; the song has jumped.
    pub fn release(&mut self, events: &mut Vec<TimedEvent>) {
        while self.down != 0 && events.len() < events.capacity() {
            let key = self.down.trailing_zeros() as u8;
            self.down &= self.down - 1;
            let part = self.part[usize::from(key)];
            events.insert(0, TimedEvent { offset: 0, kind: EventKind::NoteOff { key }, part: Some(part) });
        }
    }

    /// Puts what is due within a block's beats in its place among its events; `offset` makes samples of a beat. What was
    /// planned for another stream or before a jump is dropped, and so is a beginning that comes too late.
    pub fn receive(
        &mut self,
        (epoch, jumps): (u32, u32),
        beats: std::ops::Range<f64>,
        offset: impl Fn(f64) -> u32,
        events: &mut Vec<TimedEvent>,
    ) {
        // A note ends where it begins at the earliest, whatever its beat says.
        let mut least = 0;
        while let Some(composed) = self.ring.first().copied() {
            let current = (composed.epoch, composed.jumps) == (epoch, jumps);
            if current && composed.beat >= beats.end || events.len() == events.capacity() {
                return;
            }
            self.ring.try_pop();
            let bit = 1u128 << (composed.key & 127);
            let begins = composed.velocity > 0;
            let late = begins && composed.beat < beats.start - LATE;
            if !current || late || !begins && self.down & bit == 0 {
                continue;
            }
            let (key, part) = (composed.key & 127, composed.part);
            let kind = if begins {
                self.down |= bit;
                self.part[usize::from(key)] = part;
                EventKind::NoteOn { key, velocity: composed.velocity.min(127) }
            } else {
                self.down &= !bit;
                EventKind::NoteOff { key }
            };
            least = offset(composed.beat).max(least);
            let event = TimedEvent { offset: least, kind, part: Some(part) };
            let at = events.partition_point(|other| other.offset <= event.offset);
            events.insert(at, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbuf::HeapRb;
    use ringbuf::traits::{Producer, Split};

    fn composed(beat: f64, key: u8, velocity: u8) -> Composed {
        Composed { epoch: 1, jumps: 0, beat, part: 2, key, velocity }
    }

    fn events() -> Vec<TimedEvent> {
        Vec::with_capacity(16)
    }

    fn on(key: u8) -> EventKind {
        EventKind::NoteOn { key, velocity: 80 }
    }

    #[test]
    fn what_is_due_joins_what_is_played_in_order_of_time() {
        let (mut to, ring) = HeapRb::new(16).split();
        let mut intake = Intake::new(ring);
        [composed(1.0, 60, 80), composed(1.5, 60, 0), composed(3.0, 62, 80)].into_iter().for_each(|c| {
            to.try_push(c).unwrap();
        });
        let mut block = events();
        block.push(TimedEvent { offset: 120, kind: on(40), part: None });
        intake.receive((1, 0), 0.0..2.0, |beat| (beat * 100.0) as u32, &mut block);
        let seen: Vec<(u32, Option<u8>)> = block.iter().map(|event| (event.offset, event.part)).collect();
        assert_eq!(seen, [(100, Some(2)), (120, None), (150, Some(2))]);
    }

    #[test]
    fn a_key_that_the_musician_strikes_is_not_ended_by_the_composer() {
        let (mut to, ring) = HeapRb::new(16).split();
        let mut intake = Intake::new(ring);
        to.try_push(composed(0.0, 60, 80)).unwrap();
        to.try_push(composed(1.0, 60, 0)).unwrap();
        let mut block = events();
        intake.receive((1, 0), 0.0..0.5, |_| 0, &mut block);
        intake.played(on(60));
        intake.receive((1, 0), 0.0..2.0, |_| 0, &mut block);
        assert_eq!(block.len(), 1);
    }

    #[test]
    fn a_jump_ends_what_sounds_and_drops_what_was_planned_before_it() {
        let (mut to, ring) = HeapRb::new(16).split();
        let mut intake = Intake::new(ring);
        for event in [composed(0.0, 60, 80), composed(0.0, 64, 80), composed(1.0, 60, 0), composed(1.2, 65, 80)] {
            to.try_push(event).unwrap();
        }
        let mut block = events();
        intake.receive((1, 0), 0.0..0.5, |_| 0, &mut block);
        block.clear();
        intake.release(&mut block);
        let mut ended: Vec<EventKind> = block.iter().map(|event| event.kind).collect();
        ended.sort_by_key(|kind| format!("{kind:?}"));
        assert_eq!(ended, [EventKind::NoteOff { key: 60 }, EventKind::NoteOff { key: 64 }]);
        intake.receive((1, 1), 0.0..9.0, |_| 0, &mut block);
        assert_eq!((block.len(), intake.down), (2, 0));
    }
}
