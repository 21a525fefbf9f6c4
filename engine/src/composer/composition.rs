//! A song that is being composed: what was heard, and what comes next.

use std::sync::Arc;

use super::course::Course;
use super::encoding::{self, SongNote};
use super::event::{Event, Field, Kind};
use super::limits::Limits;
use super::network::Predictor;
use super::sampler::{Sampler, sample};
use super::vocabulary::Vocabulary;
use crate::inference::InferenceError;

/// What a step gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A note; ticks count from the song's start.
    Note(SongNote),
    /// An instrument joins, by its code, or the notes begin.
    Sign,
    /// The song has ended.
    End,
}

/// A song so far, with the network that goes on.
///
/// Songs are longer than a network's window and its last beat: where either is reached, the network is told the last notes
/// once more, from an earlier beat on.
pub struct Composition<P> {
    network: P,
    vocabulary: Arc<Vocabulary>,
    course: Course,
    /// What the network heard, from its start of song on.
    events: Vec<Event>,
    /// Beats of the song that lie before the network's first.
    before: u64,
    sampler: Sampler,
    /// Instruments of the song, by code.
    instruments: Vec<u16>,
}

impl<P: Predictor> Composition<P> {
    /// A song without anything in it, seeded. The network chooses its instruments.
    pub fn new(mut network: P, vocabulary: &Arc<Vocabulary>, seed: u64) -> Result<Self, InferenceError> {
        let start = [Event::sign(Kind::Song)];
        network.rewind(0);
        network.hear(&start)?;
        let mut course = Course::new(vocabulary);
        course.push(&start[0]);
        Ok(Self {
            network,
            vocabulary: Arc::clone(vocabulary),
            course,
            events: start.to_vec(),
            before: 0,
            sampler: Sampler::new(seed),
            instruments: Vec::new(),
        })
    }

    /// Events that the network can remember.
    pub fn window(&self) -> usize {
        self.network.window()
    }

    /// The network.
    pub fn network(&self) -> &P {
        &self.network
    }

    /// The network, to be used again.
    pub fn into_network(self) -> P {
        self.network
    }

    /// As [`Sampler::set_temperature`].
    pub fn set_temperature(&mut self, temperature: f32) {
        self.sampler.set_temperature(temperature);
    }

    /// Natural log probability that the song had ended before the last step, as the network sees it; only known where
    /// [`Limits::may_end`].
    pub fn could_have_ended(&self) -> Option<f64> {
        self.sampler.end()
    }

    /// Begins again: a song of `instruments` (codes) in which `notes`, sorted, have been played, and which goes on at tick
    /// `at`. Notes that the network has no room for are left out from the front.
    pub fn begin(&mut self, instruments: &[u16], notes: &[SongNote], at: u64) -> Result<(), InferenceError> {
        self.instruments = instruments.to_vec();
        self.instruments.extend(notes.iter().map(|note| note.instrument));
        self.instruments.sort_unstable();
        self.instruments.dedup();
        self.begin_with(notes, at, false)
    }

    /// With `anew` not from the same beginning as before.
    fn begin_with(&mut self, notes: &[SongNote], at: u64, anew: bool) -> Result<(), InferenceError> {
        let (resolution, beats) = (self.vocabulary.resolution(), self.vocabulary.beats());
        let room = self.network.window().saturating_sub(self.instruments.len() + 2);
        // What goes on from the same beginning is heard already, but for its end.
        let first = self.notes().first().copied();
        let same = first.and_then(|first| notes.binary_search(&first).ok());
        let has_room =
            |from: usize| notes.len() - from <= room * 7 / 8 && at / resolution < self.before + beats * 7 / 8;
        let from = match same.filter(|&from| !anew && has_room(from)) {
            Some(from) => from,
            None => {
                // Half of the window and three quarters of the beats at most, so that it is not told again at every step.
                let now = at.max(notes.last().map_or(0, |note| note.onset)) / resolution;
                let recent = notes.partition_point(|note| note.onset / resolution + beats * 3 / 4 <= now);
                let from = recent.max(notes.len().saturating_sub((room / 2).max(1)));
                let whole = from == 0 && now < beats * 3 / 4;
                self.before = if whole { 0 } else { notes.get(from).map_or(now, |note| note.onset / resolution) };
                from
            }
        };
        let before = self.before * resolution;
        let moved: Vec<SongNote> =
            notes[from..].iter().map(|note| SongNote { onset: note.onset - before, ..*note }).collect();
        let mut told = encoding::head(self.instruments.iter().copied());
        told.extend(encoding::events(&moved, &self.vocabulary));
        self.tell(told)
    }

    /// The network hears `events` from the start, or from where they differ from what it heard before.
    fn tell(&mut self, events: Vec<Event>) -> Result<(), InferenceError> {
        let same = self.events.iter().zip(&events).take_while(|(a, b)| a == b).count().min(self.network.heard());
        self.network.rewind(same);
        self.network.hear(&events[same..])?;
        self.course = Course::new(&self.vocabulary);
        events.iter().for_each(|event| self.course.push(event));
        self.events = events;
        Ok(())
    }

    /// The notes the network knows of, sorted; ticks count from the song's start.
    fn notes(&self) -> Vec<SongNote> {
        let from = self.before * self.vocabulary.resolution();
        let notes = self.events.iter().filter_map(|event| encoding::note(event, &self.vocabulary));
        notes.map(|note| SongNote { onset: note.onset + from, ..note }).collect()
    }

    /// One event more, within the limits; `limits.from` counts from the song's start.
    pub fn step(&mut self, limits: &Limits) -> Result<Step, InferenceError> {
        let (resolution, beats) = (self.vocabulary.resolution(), self.vocabulary.beats());
        let from = self.before * resolution;
        let now = limits.from.max(from + self.course.onset().unwrap_or(0));
        // Room for a note in any of the next bars, or the beats begin anew.
        let late = now / resolution + beats / 16 >= self.before + beats;
        if self.course.in_notes() && (late || self.network.heard() >= self.network.window()) {
            let notes = self.notes();
            self.begin_with(&notes, now, true)?;
        }
        let moved = Limits { from: limits.from.saturating_sub(self.before * resolution), ..limits.clone() };
        let event = sample(&mut self.network, &self.course, &moved, &mut self.sampler)?;
        self.course.push(&event);
        self.events.push(event);
        if event.is(Kind::End) {
            return Ok(Step::End);
        }
        self.network.hear(&[event])?;
        Ok(match encoding::note(&event, &self.vocabulary) {
            Some(note) => Step::Note(SongNote { onset: note.onset + self.before * resolution, ..note }),
            None => {
                self.instruments.extend((event.get(Field::Instrument) > 0).then_some(event.get(Field::Instrument)));
                Step::Sign
            }
        })
    }
}
