//! Live: passages in context, in time or (offline) at their own samples.

use super::SynthWorker;
use crate::stream::clock::Mode;
use crate::stream::live::{LEAD_IN, LiveChange, OVERHEAD, Passage, Task, Why, window_samples};
use crate::stream::message::Job;
use crate::stream::resample::resample;
use crate::stream::telemetry::StatusKind;
use ringbuf::traits::{Consumer, Producer};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl SynthWorker {
    /// Answers a job of the conductor.
    pub(super) fn answer(&mut self, job: Job) {
        match job {
            Job::Segment(job) => self.render(job),
            Job::Change(change) => {
                self.answering = true;
                self.take_change(change);
                self.answering = false;
                self.shared.changes.answer();
            }
        }
    }

    fn take_change(&mut self, change: LiveChange) {
        let (part, exact) = (change.part, change.enter.is_some());
        if self.desk.take(change)
            && exact
            && let Some(task) = self.desk.exact(part)
        {
            self.render_passage(&task);
        }
    }

    /// Renders what the stream needs next, if it is live; false if it needs nothing now.
    pub(super) fn play_live(&mut self) -> bool {
        if self.shared.stream_mode.load(Ordering::Acquire) != Mode::Live.bits() || self.shared.bouncing() {
            return false;
        }
        while let Ok(job) = self.links.jobs.try_recv() {
            self.answer(job);
        }
        let clock = self.shared.clock.get();
        let now = clock.samples as f64 / f64::from(self.shared.rate.load(Ordering::Acquire));
        let gathering = self.shared.gathering.load(Ordering::Acquire);
        let Some(task) = self.desk.next(clock.epoch, now, gathering, &self.costs) else { return false };
        self.render_passage(&task);
        true
    }

    fn render_passage(&mut self, task: &Task) {
        let begun = Instant::now();
        let Some(renderer) = &mut self.renderer else { return };
        let (passages, jobs, costs) = (&mut self.passages, &self.links.jobs, &self.costs);
        let asked = task.steps;
        let clock = self.shared.clock.get();
        let rate = self.shared.rate.load(Ordering::Acquire);
        let left = task.due - clock.samples as f64 / f64::from(rate);
        // More steps for what sounds are given up for what is played; that takes the steps that the clock allows.
        let last = costs.last_step(1, task.frames + OVERHEAD);
        let in_time = || begun.elapsed().as_secs_f64() + last < left;
        let mut more = |_: usize| match task.why {
            _ if task.due.is_infinite() => true,
            Why::Change => in_time(),
            Why::Continue => jobs.is_empty() && in_time(),
            Why::Refine => jobs.is_empty(),
        };
        let result = self.desk.request(task, |request| renderer.passage(request, passages, &mut more));
        match result {
            None => return,
            Some(Err(sentence)) => {
                self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                self.desk.failed(task);
                return;
            }
            Some(Ok(spent)) => {
                let steps = spent.steps;
                self.send_passage(task, steps);
                let seconds = begun.elapsed().as_secs_f64();
                self.costs.learn(&spent, seconds, 1.0);
                self.table.wait(seconds);
                let telemetry = &self.shared.telemetry;
                telemetry.steps.store(steps as u32, Ordering::Relaxed);
                telemetry.short_segments.fetch_add(u64::from(steps < asked), Ordering::Relaxed);
                let load = telemetry.load.load(Ordering::Relaxed);
                let share = seconds / (task.frames as f64 / 100.0);
                telemetry.load.store(load + 0.25 * (share as f32 - load), Ordering::Relaxed);
            }
        }
        self.next = None;
    }

    fn send_passage(&mut self, task: &Task, steps: usize) {
        let (Some(mut audio), Some(change)) = (self.passages.pop(), self.desk.change(task.part)) else { return };
        let (epoch, rate) = (change.epoch, change.rate);
        let mut passage = self.links.returned_passages.try_pop().unwrap_or_default();
        passage.epoch = epoch;
        passage.part = task.part as u8;
        passage.known = change.known;
        passage.enter = change.enter.unwrap_or(0);
        let now = self.shared.clock.get().samples as f64 / f64::from(rate);
        self.desk.done(task, steps, now, &mut audio);
        let first = (task.first - LEAD_IN as i64) as f64 / 100.0;
        let sound = match resample(audio.audio, rate) {
            Ok(sound) => sound,
            Err(error) => {
                let sentence = format!("Resampling failed: {error}.");
                self.shared.telemetry.set_status(StatusKind::Failed, sentence);
                return;
            }
        };
        // At the beginning of a stream the lead-in would lie before time 0.
        let begin = (first * f64::from(rate)).round();
        let skip = ((-begin).max(0.0) as usize).min(sound.left.len());
        passage.start = begin.max(0.0) as u64;
        passage.frames = sound.left.len() - skip;
        passage.samples.clear();
        passage.samples.extend_from_slice(&sound.left[skip..]);
        passage.samples.extend_from_slice(&sound.right[skip..]);
        passage.measure(window_samples(rate));
        self.shared.telemetry.count_live_steps(steps);
        self.hand_over(passage, epoch);
    }

    fn hand_over(&mut self, passage: Box<Passage>, epoch: u32) {
        let mut waiting = Some(passage);
        while let Some(passage) = waiting.take() {
            if self.shared.stopping() || self.shared.clock.get().epoch != epoch {
                return;
            }
            if let Err(passage) = self.links.passages.try_push(passage) {
                if !self.shared.bouncing() {
                    // The host asks for no audio: by the time it does, this passage is over.
                    return;
                }
                waiting = Some(passage);
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
}
