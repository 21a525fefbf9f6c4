//! Composed notes on the audio thread: they come in by a ring a little before they are due, and join what is played.
//!
//! Promises that a note that began also ends: at its own end, where the song jumps, where everything is released, or by
//! the musician who strikes the same key, to whom it belongs from then on. What the musician holds, by a finger or by the
//! pedal, it neither strikes nor ends, and the pedal holds nothing of it. Wait-free.

use super::audio::{EventKind, TimedEvent};
use super::held::Held;
use ringbuf::HeapCons;
use ringbuf::traits::Consumer;

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
    /// Foreseen: it belongs after the next jump, which goes back from this beat. Where the song goes on beyond it instead,
    /// it does not begin.
    pub after: Option<f64>,
}

/// What was foreseen begins within so many times of how late a note may be after the jump, or the jump went elsewhere.
const NEAR: i64 = 8;

/// The audio thread's end of the composer.
pub(super) struct Intake {
    ring: HeapCons<Composed>,
    /// Keys that a composed note holds down, a bit each, and their parts.
    down: u128,
    part: [u8; 128],
    /// What the musician holds, and the first offset of the block whose events are not in it.
    held: Held,
    followed: u32,
}

impl Intake {
    pub fn new(ring: HeapCons<Composed>) -> Self {
        Self { ring, down: 0, part: [0; 128], held: Held::default(), followed: 0 }
    }

    /// A new stream: everything composed has been ended.
    pub fn begin(&mut self) {
        self.down = 0;
    }

    /// Everything has been released.
    pub fn reset(&mut self) {
        self.held.all_off();
    }

    /// The musician does something; a key that is struck is the musician's.
    fn played(&mut self, kind: EventKind) {
        match kind {
            EventKind::NoteOn { key, velocity } => {
                self.down &= !(1 << (key & 127));
                self.held.note_on(key, velocity);
            }
            EventKind::NoteOff { key } => self.held.note_off(key),
            EventKind::Sustain(down) => self.held.sustain(down),
            EventKind::AllOff => {
                self.down = 0;
                self.held.all_off();
            }
        }
    }

    /// The musician's events before an offset of the block, of those in order, each once.
    pub fn follow(&mut self, events: &[TimedEvent], before: u32) {
        let first = events.partition_point(|event| event.offset < self.followed);
        let own = events[first..].iter().take_while(|event| event.offset < before);
        own.filter(|event| event.part.is_none()).for_each(|event| self.played(event.kind));
        self.followed = self.followed.max(before);
    }

    /// The next block begins: ends every composed note at its beginning if the song has jumped or nothing is composed any
    /// more.
    pub fn block(&mut self, release: bool, events: &mut Vec<TimedEvent>) {
        self.followed = 0;
        while release && self.down != 0 && events.len() < events.capacity() {
            let key = self.down.trailing_zeros() as u8;
            self.down &= self.down - 1;
            let part = self.part[usize::from(key)];
            events.insert(0, TimedEvent { offset: 0, kind: EventKind::NoteOff { key }, part: Some(part) });
        }
    }

    /// Puts what is due at the block's offsets from `at.start` on and before `at.end` in its place among its events; `offset`
    /// says where in the block a beat is. What was planned for another stream or before a jump is dropped, and so is a
    /// beginning that comes more than `late` samples late.
    pub fn receive(
        &mut self,
        (epoch, jumps): (u32, u32),
        at: std::ops::Range<u32>,
        late: i64,
        offset: impl Fn(f64) -> i64,
        events: &mut Vec<TimedEvent>,
    ) {
        // A note ends where it begins at the earliest, whatever its beat says.
        let mut least = at.start;
        while let Some(composed) = self.ring.first().copied() {
            let due = offset(composed.beat);
            let foreseen = (composed.epoch, composed.jumps) == (epoch, jumps.wrapping_add(1));
            if foreseen && composed.after.is_some_and(|end| offset(end) > i64::from(at.start) - late) {
                break;
            }
            let elsewhere = composed.after.is_some() && due > i64::from(at.end) + NEAR * late;
            let current = (composed.epoch, composed.jumps) == (epoch, jumps) && !elsewhere;
            // An end is one whatever became of the jump: the note may have begun before the loop was told of.
            let ends = composed.velocity == 0 && composed.after.is_some() && composed.epoch == epoch;
            if current && due >= i64::from(at.end) || events.len() == events.capacity() {
                break;
            }
            self.ring.try_pop();
            let (key, part, begins) = (composed.key & 127, composed.part, composed.velocity > 0);
            let bit = 1u128 << key;
            if !(current || ends) || begins && due < i64::from(at.start) - late {
                continue;
            }
            least = least.max(if current { due.clamp(0, i64::from(at.end)) as u32 } else { at.start });
            self.follow(events, least + 1);
            if begins {
                if !self.held.holds(key) {
                    self.down |= bit;
                    self.part[usize::from(key)] = part;
                    let kind = EventKind::NoteOn { key, velocity: composed.velocity.min(127) };
                    insert(TimedEvent { offset: least, kind, part: Some(part) }, events);
                }
            } else if self.down & bit != 0 {
                self.down &= !bit;
                // What was sent ahead and is not wanted any more does not sound at all.
                let own = |event: &TimedEvent| {
                    let begun = matches!(event.kind, EventKind::NoteOn { key: other, .. } if other == key);
                    begun && event.offset == least && event.part.is_some()
                };
                match events.iter().rposition(own) {
                    Some(at) => drop(events.remove(at)),
                    None => {
                        insert(TimedEvent { offset: least, kind: EventKind::NoteOff { key }, part: Some(part) }, events)
                    }
                }
            }
        }
        self.follow(events, at.end);
    }
}

fn insert(event: TimedEvent, events: &mut Vec<TimedEvent>) {
    let at = events.partition_point(|other| other.offset <= event.offset);
    events.insert(at, event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbuf::traits::{Producer, Split};
    use ringbuf::{HeapProd, HeapRb};

    /// Samples of a beat in these tests, and of their blocks.
    const BEAT: f64 = 100.0;

    fn composed(beat: f64, key: u8, velocity: u8) -> Composed {
        Composed { epoch: 1, jumps: 0, beat, part: 2, key, velocity, after: None }
    }

    fn on(key: u8) -> EventKind {
        EventKind::NoteOn { key, velocity: 80 }
    }

    fn off(key: u8) -> EventKind {
        EventKind::NoteOff { key }
    }

    struct Stage {
        to: HeapProd<Composed>,
        intake: Intake,
        jumps: u32,
        beat: f64,
    }

    impl Stage {
        fn new(sent: &[Composed]) -> Self {
            let (to, ring) = HeapRb::new(16).split();
            let mut stage = Self { to, intake: Intake::new(ring), jumps: 0, beat: 0.0 };
            sent.iter().for_each(|&composed| stage.to.try_push(composed).unwrap());
            stage
        }

        /// A block in which the musician plays; what comes out of it, with the composed ones' parts.
        fn block(&mut self, beats: f64, played: &[(u32, EventKind)]) -> Vec<(u32, EventKind, Option<u8>)> {
            let mut events = Vec::with_capacity(16);
            let own = |&(offset, kind): &(u32, EventKind)| TimedEvent { offset, kind, part: None };
            events.extend(played.iter().map(own));
            self.intake.block(false, &mut events);
            let beat = self.beat;
            let offset = |of: f64| ((of - beat) * BEAT).round() as i64;
            self.intake.receive((1, self.jumps), 0..(beats * BEAT) as u32, 25, offset, &mut events);
            self.beat += beats;
            events.iter().map(|event| (event.offset, event.kind, event.part)).collect()
        }
    }

    #[test]
    fn what_is_due_joins_what_is_played_in_order_of_time() {
        let mut stage = Stage::new(&[composed(1.0, 60, 80), composed(1.5, 60, 0), composed(3.0, 62, 80)]);
        let block = stage.block(2.0, &[(120, on(40))]);
        assert_eq!(block, [(100, on(60), Some(2)), (120, on(40), None), (150, off(60), Some(2))]);
    }

    #[test]
    fn a_key_that_the_musician_strikes_is_not_ended_by_the_composer() {
        let mut stage = Stage::new(&[composed(0.0, 60, 80), composed(1.0, 60, 0)]);
        assert_eq!(stage.block(0.5, &[(10, on(60))]).len(), 2);
        assert_eq!(stage.block(2.0, &[]), []);
    }

    #[test]
    fn a_key_that_the_musician_holds_is_neither_struck_nor_ended_until_finger_and_pedal_are_up() {
        let sent = [composed(0.5, 60, 80), composed(0.9, 60, 0), composed(1.5, 60, 80), composed(1.9, 60, 0)];
        let after = [composed(2.5, 60, 80), composed(2.9, 60, 0)];
        let mut stage = Stage::new(&[sent.as_slice(), &after].concat());
        let played = [(0, on(60)), (110, EventKind::Sustain(true)), (120, off(60)), (240, EventKind::Sustain(false))];
        let block = stage.block(3.0, &played);
        let ours: Vec<_> =
            block.iter().filter(|(_, _, part)| part.is_some()).map(|&(at, kind, _)| (at, kind)).collect();
        assert_eq!(ours, [(250, on(60)), (290, off(60))]);
    }

    #[test]
    fn whatever_the_blocks_the_same_comes_of_it() {
        let sent = [composed(0.5, 60, 80), composed(0.7, 64, 80), composed(1.2, 60, 0), composed(1.3, 60, 80)];
        let sent = [sent.as_slice(), &[composed(1.6, 60, 0), composed(1.6, 64, 0)]].concat();
        let played = [(40, on(64)), (90, off(64)), (125, on(60)), (155, off(60))];
        let whole = Stage::new(&sent).block(2.0, &played);
        let mut stage = Stage::new(&sent);
        let mut parts = Vec::new();
        for block in 0..20u32 {
            let within = |at: u32| (block * 10..block * 10 + 10).contains(&at);
            let own: Vec<_> =
                played.iter().filter(|(at, _)| within(*at)).map(|&(at, kind)| (at - block * 10, kind)).collect();
            let found = stage.block(0.1, &own);
            parts.extend(found.into_iter().map(|(at, kind, part)| (at + block * 10, kind, part)));
        }
        assert_eq!(parts, whole);
    }

    #[test]
    fn what_was_sent_ahead_and_is_taken_back_does_not_sound() {
        let mut stage = Stage::new(&[composed(0.5, 60, 80), composed(0.5, 60, 0)]);
        assert_eq!(stage.block(1.0, &[]), []);
        assert_eq!(stage.intake.down, 0);
    }

    #[test]
    fn what_was_foreseen_begins_where_the_song_goes_back_to_and_nowhere_else() {
        let foreseen = |beat, key, velocity| Composed { jumps: 1, after: Some(4.0), ..composed(beat, key, velocity) };
        let sent = [composed(3.0, 60, 80), foreseen(0.0, 64, 80), foreseen(0.1, 64, 0), foreseen(0.1, 65, 80)];
        // The loop's end is the end of a block.
        let mut stage = Stage::new(&sent);
        stage.beat = 2.0;
        assert_eq!(stage.block(2.0, &[]), [(100, on(60), Some(2))]);
        (stage.jumps, stage.beat) = (1, 0.0);
        assert_eq!(stage.block(1.0, &[]), [(0, on(64), Some(2)), (10, off(64), Some(2)), (10, on(65), Some(2))]);
        // The song goes elsewhere.
        let mut stage = Stage::new(&[sent.as_slice(), &[composed(1.0, 67, 80)]].concat());
        stage.beat = 2.0;
        stage.block(2.0, &[]);
        (stage.jumps, stage.beat) = (1, 40.0);
        assert_eq!(stage.block(1.0, &[]), []);
        // It goes on: what was sent after them comes all the same.
        let mut stage = Stage::new(&[sent.as_slice(), &[composed(4.4, 67, 80)]].concat());
        stage.beat = 3.5;
        stage.block(0.5, &[]);
        assert_eq!(stage.block(0.2, &[]), []);
        let next: Vec<_> = (0..4).flat_map(|_| stage.block(0.1, &[])).collect();
        assert_eq!(next, [(0, on(67), Some(2))]);
        // A note that had begun ends all the same.
        let mut stage = Stage::new(&[composed(4.0, 64, 80), foreseen(0.1, 64, 0)]);
        stage.beat = 4.0;
        assert_eq!(stage.block(0.2, &[]), [(0, on(64), Some(2))]);
        let next: Vec<_> = (0..4).flat_map(|_| stage.block(0.1, &[])).collect();
        assert_eq!(next, [(0, off(64), Some(2))]);
    }

    #[test]
    fn a_jump_ends_what_sounds_and_drops_what_was_planned_before_it() {
        let sent = [composed(0.0, 60, 80), composed(0.0, 64, 80), composed(1.0, 60, 0), composed(1.2, 65, 80)];
        let mut stage = Stage::new(&sent);
        assert_eq!(stage.block(0.5, &[]).len(), 2);
        let mut block = Vec::with_capacity(16);
        stage.intake.block(true, &mut block);
        let mut ended: Vec<EventKind> = block.iter().map(|event| event.kind).collect();
        ended.sort_by_key(|kind| format!("{kind:?}"));
        assert_eq!(ended, [off(60), off(64)]);
        stage.jumps = 1;
        assert_eq!(stage.block(9.0, &[]), []);
        assert_eq!(stage.intake.down, 0);
    }
}
