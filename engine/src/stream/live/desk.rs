//! What the synth worker knows of each live part: its notes, what of them has been heard in context, and until when.

use super::schedule::{CONTEXT_FRAMES, Need, Plan, Why, plan};
use super::{Costs, LEAD_IN};
use crate::score::Note;
use crate::stream::MAX_PARTS;
use crate::stream::conductor::is_newer;
use crate::synth::{Guidance, PassageAudio, PassagePart, PassageRequest};

/// Seconds for which a part without a held note is rendered on, at most: by then its room has died away.
const RINGING: f64 = 2.0;
/// A passage whose last tenth of a second stays below this (-74 dB) has died away.
const INAUDIBLE: f32 = 2e-4;
/// Seconds from a passage's being on its way until its fade is over: a block of the host, and the fade.
const ARRIVES: f64 = 0.04;
/// Frames of 10 ms per second.
const FRAMES: f64 = 100.0;

/// Conductor to synth worker: what a part plays now.
#[derive(Debug, Clone)]
pub struct LiveChange {
    pub epoch: u32,
    /// Host rate of the stream in Hz.
    pub rate: u32,
    pub part: usize,
    pub instrument: usize,
    pub performance: usize,
    pub steps: usize,
    pub guidance: (f32, f32),
    pub seed: u64,
    /// All that sounds or rings.
    pub notes: Vec<Note>,
    /// Host samples: everything before is in `notes`.
    pub known: u64,
    /// When the first thing was played that the change before did not tell, in host samples.
    pub changed: u64,
    /// Offline: the sample from which it is heard. In real time as soon as it is there.
    pub enter: Option<u64>,
}

/// One part.
#[derive(Debug, Default)]
struct Part {
    now: Option<LiveChange>,
    /// First change that no passage tells, in stream seconds.
    changed: Option<f64>,
    /// First frame in which the last passage is no longer true.
    changed_frame: Option<i64>,
    before: Option<PassageAudio>,
    ends: Option<f64>,
    /// Stream seconds: up to where the last passage knows everything, and when it was on its way.
    known: f64,
    sent: f64,
    /// What was struck before has been heard in context.
    heard: f64,
    steps: usize,
    /// The last passage died away, and nothing changed since.
    silent: bool,
}

impl Part {
    /// When the first note was struck that is held and waits to be heard in context, in stream seconds. One that was on its way
    /// to it waits again: what was played since has overtaken it.
    fn struck(&self) -> Option<f64> {
        self.changed?;
        let held = self.now.iter().flat_map(|change| &change.notes).filter(|note| note.end.is_infinite());
        held.map(|note| note.onset).filter(|onset| *onset >= self.heard).min_by(f64::total_cmp)
    }
}

/// A run of the networks, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub why: Why,
    pub part: usize,
    /// First frame to be heard, and how many.
    pub first: i64,
    pub frames: usize,
    pub steps: usize,
    /// When it is due, in stream seconds; offline never.
    pub due: f64,
}

/// All parts of the running stream.
#[derive(Debug, Default)]
pub struct Desk {
    epoch: u32,
    parts: [Part; MAX_PARTS],
}

impl Desk {
    /// Takes up a change. False if it is of a stream that is over.
    pub fn take(&mut self, change: LiveChange) -> bool {
        if change.epoch != self.epoch {
            if is_newer(self.epoch, change.epoch) {
                return false;
            }
            *self = Self { epoch: change.epoch, parts: Default::default() };
        }
        let Some(part) = self.parts.get_mut(change.part) else { return false };
        let seconds = change.changed as f64 / f64::from(change.rate);
        let frame = (seconds * FRAMES).floor() as i64;
        if part.changed.is_none() && seconds > part.sent + ARRIVES {
            part.heard = part.known;
        }
        part.changed = part.changed.or(Some(seconds));
        part.changed_frame = Some(part.changed_frame.map_or(frame, |before| before.min(frame)));
        part.silent = false;
        part.now = Some(change);
        true
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self { epoch: self.epoch, parts: Default::default() };
    }

    /// What to render at stream time `now` (seconds) of the stream `epoch`. While the conductor is `gathering` a chord,
    /// nothing but what was struck before: in a moment the chord needs the networks, and what is rendered on now may be no
    /// longer true.
    pub fn next(&self, epoch: u32, now: f64, gathering: bool, costs: &Costs) -> Option<Task> {
        if epoch != self.epoch {
            return None;
        }
        let needs: [Need; MAX_PARTS] = std::array::from_fn(|index| {
            let part = &self.parts[index];
            let sounding = !part.silent && part.now.as_ref().is_some_and(|change| sounds(&change.notes, now));
            Need { sounding, struck: part.struck(), changed: part.changed, ends: part.ends, steps: part.steps }
        });
        let asked = self.parts.iter().filter_map(|part| part.now.as_ref()).map(|change| change.steps).max()?;
        let plan = plan(now, asked, &needs, costs).filter(|plan| plan.why == Why::Change || !gathering)?;
        let Plan { why, part, frames, steps, due } = plan;
        Some(Task { why, part, first: (now * FRAMES).floor() as i64, frames, steps, due })
    }

    /// Offline: the change that was taken last, as it is to be heard from its own sample on.
    pub fn exact(&self, part: usize) -> Option<Task> {
        let change = self.parts.get(part)?.now.as_ref()?;
        let seconds = change.enter? as f64 / f64::from(change.rate);
        Some(Task {
            why: Why::Change,
            part,
            first: (seconds * FRAMES).floor() as i64,
            frames: super::schedule::LONGEST,
            steps: change.steps,
            due: f64::INFINITY,
        })
    }

    /// A part's last change.
    pub fn change(&self, part: usize) -> Option<&LiveChange> {
        self.parts.get(part)?.now.as_ref()
    }

    /// Lets `render` render a task. Nothing is noted; see [`Self::done`].
    pub fn request<R>(&self, task: &Task, render: impl FnOnce(&PassageRequest<'_>) -> R) -> Option<R> {
        let part = self.parts.get(task.part)?;
        let change = part.now.as_ref()?;
        let parts = [PassagePart {
            number: task.part,
            instrument: change.instrument,
            notes: &change.notes,
            before: part.before.as_ref(),
            changed: part.changed_frame.unwrap_or(i64::MAX),
        }];
        Some(render(&PassageRequest {
            first: task.first,
            context: CONTEXT_FRAMES,
            frames: task.frames,
            lead_in: LEAD_IN,
            performance: change.performance,
            steps: task.steps,
            guidance: Guidance { notes: change.guidance.0, performance: change.guidance.1 },
            seed: change.seed,
            parts: &parts,
        }))
    }

    /// Notes that a task was rendered with so many steps, at stream time `now` (seconds).
    pub fn done(&mut self, task: &Task, steps: usize, now: f64, audio: &mut PassageAudio) {
        let Some(part) = self.parts.get_mut(task.part) else { return };
        part.known = part.now.as_ref().map_or(0.0, |change| change.known as f64 / f64::from(change.rate));
        part.sent = now;
        part.changed = None;
        part.changed_frame = None;
        part.ends = Some((task.first + task.frames as i64) as f64 / FRAMES);
        part.steps = steps;
        let held = part.now.as_ref().is_some_and(|change| change.notes.iter().any(|note| note.end.is_infinite()));
        let tail = audio.audio.left.len().saturating_sub(crate::synth::SAMPLE_RATE as usize / 10);
        let channels = [&audio.audio.left, &audio.audio.right];
        part.silent = !held && channels.iter().all(|side| side[tail..].iter().all(|x| x.abs() < INAUDIBLE));
        let mel = std::mem::take(&mut audio.mel);
        part.before = Some(PassageAudio { mel_first: audio.mel_first, mel, ..PassageAudio::default() });
    }

    /// A task could not be rendered: its changes are not tried again, the instant voice plays them.
    pub fn failed(&mut self, task: &Task) {
        if let Some(part) = self.parts.get_mut(task.part) {
            part.changed = None;
            part.changed_frame = None;
            part.before = None;
            part.silent = true;
        }
    }
}

/// Whether a note is held, or ended so recently that its room still sounds.
fn sounds(notes: &[Note], now: f64) -> bool {
    notes.iter().any(|note| note.end > now - RINGING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(epoch: u32, part: usize, known: f64, notes: Vec<Note>) -> LiveChange {
        let known = (known * 48e3) as u64;
        LiveChange {
            epoch,
            rate: 48_000,
            part,
            instrument: 0,
            performance: 0,
            steps: 2,
            guidance: (1.0, 1.0),
            seed: 0,
            notes,
            known,
            changed: known.saturating_sub(480),
            enter: None,
        }
    }

    fn held(onset: f64) -> Note {
        Note { onset, end: f64::INFINITY, pitch: 60, velocity: 90 }
    }

    #[test]
    fn a_part_is_rendered_once_for_each_change_and_continued_while_it_sounds() {
        let mut desk = Desk::default();
        assert!(desk.take(change(1, 2, 1.0, vec![held(0.99)])));
        let costs = Costs::default();
        let task = desk.next(1, 1.0, false, &costs).unwrap();
        assert_eq!((task.why, task.part, task.first), (Why::Change, 2, 100));
        desk.done(&task, 2, 1.02, &mut PassageAudio::default());
        assert_eq!(desk.next(1, 1.01, false, &costs), None);
        let later = desk.next(1, 2.05, false, &costs).unwrap();
        assert_eq!(later.why, Why::Continue);
    }

    #[test]
    fn while_a_chord_is_gathered_nothing_but_what_was_struck_is_rendered() {
        let mut desk = Desk::default();
        desk.take(change(1, 2, 1.0, vec![held(0.99)]));
        let costs = Costs::default();
        let task = desk.next(1, 1.0, true, &costs).unwrap();
        assert_eq!(task.why, Why::Change);
        desk.done(&task, 2, 1.02, &mut PassageAudio::default());
        assert_eq!(desk.next(1, 2.05, true, &costs), None);
        assert!(desk.next(1, 2.05, false, &costs).is_some());
    }

    #[test]
    fn what_rings_out_is_not_continued() {
        let mut desk = Desk::default();
        desk.take(change(1, 0, 1.0, vec![Note { end: 0.995, ..held(0.5) }]));
        let task = desk.next(1, 1.0, false, &Costs::default()).unwrap();
        desk.done(&task, 2, 1.02, &mut PassageAudio::default());
        assert_eq!(desk.next(1, 2.05, false, &Costs::default()), None);
    }

    #[test]
    fn a_stream_that_is_over_says_nothing_any_more() {
        let mut desk = Desk::default();
        assert!(desk.take(change(5, 0, 1.0, vec![held(0.9)])));
        assert!(!desk.take(change(4, 0, 1.0, vec![held(0.9)])));
        assert_eq!(desk.next(6, 1.0, false, &Costs::default()), None);
        assert!(desk.take(change(6, 1, 0.1, vec![held(0.05)])));
        assert_eq!(desk.next(6, 0.1, false, &Costs::default()).unwrap().part, 1);
    }

    #[test]
    fn a_note_waits_until_a_passage_that_holds_it_was_there_long_enough_to_be_heard() {
        let struck = |desk: &Desk| desk.parts[0].struck();
        let mut desk = Desk::default();
        assert!(desk.take(change(1, 0, 1.0, vec![held(0.99)])));
        assert_eq!(struck(&desk), Some(0.99));
        let task = desk.next(1, 1.0, false, &Costs::default()).unwrap();
        desk.done(&task, 0, 1.1, &mut PassageAudio::default());
        assert_eq!(struck(&desk), None);
        // Something ends while the passage is on its way: it is given up, and the note waits again.
        assert!(desk.take(change(1, 0, 1.12, vec![held(0.99), Note { end: 1.11, ..held(0.5) }])));
        assert_eq!(struck(&desk), Some(0.99));
        let task = desk.next(1, 1.12, false, &Costs::default()).unwrap();
        desk.done(&task, 0, 1.2, &mut PassageAudio::default());
        // Something ends when the note has long been heard: nothing waits.
        assert!(desk.take(change(1, 0, 1.5, vec![held(0.99), Note { end: 1.49, ..held(0.5) }])));
        assert_eq!(struck(&desk), None);
        assert!(desk.take(change(1, 0, 1.6, vec![held(0.99), held(1.55)])));
        assert_eq!(struck(&desk), Some(1.55));
    }

    #[test]
    fn a_passage_leans_on_what_sounded_up_to_the_first_change() {
        let mut desk = Desk::default();
        desk.take(change(1, 0, 1.0, vec![held(0.9)]));
        let task = desk.next(1, 1.0, false, &Costs::default()).unwrap();
        desk.done(&task, 0, 1.02, &mut PassageAudio::default());
        desk.take(change(1, 0, 1.5, vec![held(0.9), held(1.49)]));
        desk.take(change(1, 0, 1.6, vec![held(0.9), held(1.49), held(1.59)]));
        let task = desk.next(1, 1.6, false, &Costs::default()).unwrap();
        let changed = desk.request(&task, |request| (request.parts[0].changed, request.parts[0].before.is_some()));
        assert_eq!(changed, Some((149, true)));
    }
}
