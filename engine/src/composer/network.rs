//! What may come next, by a trained network that remembers what it heard.

use super::event::{Event, Field};
use super::heads::Heads;
use super::vocabulary::Vocabulary;
use crate::inference::{CachedSession, InferenceError, ModelEntry, Models};

/// What the network's second file is called, after its own name.
const HEADS: &str = "_heads";

/// Natural log probability of a code, by the logits of its field.
pub fn log_probability(logits: &[f32], code: u16) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
    logits.get(usize::from(code)).map_or(f64::NEG_INFINITY, |&logit| f64::from(logit - top) - total.ln())
}

/// Something that has an opinion on how a song goes on.
pub trait Predictor: Send {
    /// Events that it can remember.
    fn window(&self) -> usize;

    /// Events heard.
    fn heard(&self) -> usize;

    /// Hears the events that come next; at most as many as the window has room for.
    fn hear(&mut self, events: &[Event]) -> Result<(), InferenceError>;

    /// Forgets everything after the first `heard` events.
    fn rewind(&mut self, heard: usize);

    /// The order in which the fields of an event are chosen.
    fn order(&self) -> [Field; 6];

    /// Logits of a field of the event after the last one heard, one per code. What the fields before it in
    /// [`Predictor::order`] are in `event` may have a say in it, and nothing else does.
    fn predict(&mut self, field: Field, event: &Event) -> Result<&[f32], InferenceError>;
}

/// A network of the manifest with its cache.
pub struct Network {
    body: CachedSession,
    heads: Heads,
    /// Answers to every event heard, shape [heard, body.width()]: going back to one costs nothing.
    answers: Vec<f32>,
    codes: Vec<i64>,
}

impl Network {
    /// Opens a model of the manifest with nothing heard; on a worker. `threads`: 1 unless nothing else is running.
    pub fn open(models: &Models, name: &str, threads: usize) -> Result<Self, InferenceError> {
        let vocabulary = Vocabulary::of(models.manifest())?;
        let body = CachedSession::open(models, name, threads)?;
        let heads = Heads::open(models, &format!("{name}{HEADS}"), &vocabulary)?;
        if body.width() != heads.answer() {
            let reason = format!("its answers have {} numbers and its heads read {}", body.width(), heads.answer());
            return Err(InferenceError::Mismatch { name: name.to_owned(), reason });
        }
        Ok(Self { body, heads, answers: Vec::new(), codes: Vec::new() })
    }

    /// The composer's models in a manifest, the one to use unless another is asked for first.
    pub fn names(models: &Models) -> Vec<String> {
        let all = &models.manifest().models;
        let has_heads = |entry: &&ModelEntry| all.iter().any(|other| other.name == format!("{}{HEADS}", entry.name));
        let mut names: Vec<String> = all.iter().filter(has_heads).map(|entry| entry.name.clone()).collect();
        let first = models.manifest().composer.as_ref().and_then(|composer| composer.network.as_deref());
        names.sort_by_key(|name| Some(name.as_str()) != first);
        names
    }
}

impl Predictor for Network {
    fn window(&self) -> usize {
        self.body.window()
    }

    fn heard(&self) -> usize {
        self.body.len()
    }

    fn hear(&mut self, events: &[Event]) -> Result<(), InferenceError> {
        if events.is_empty() {
            return Ok(());
        }
        self.answers.truncate(self.body.len() * self.body.width());
        self.codes.clear();
        self.codes.extend(events.iter().flat_map(|event| event.0.map(i64::from)));
        self.answers.extend_from_slice(self.body.hear(&self.codes)?);
        Ok(())
    }

    fn rewind(&mut self, heard: usize) {
        self.body.rewind(heard);
    }

    fn order(&self) -> [Field; 6] {
        self.heads.order()
    }

    fn predict(&mut self, field: Field, event: &Event) -> Result<&[f32], InferenceError> {
        let width = self.body.width();
        let end = self.body.len() * width;
        match end.checked_sub(width).and_then(|start| self.answers.get(start..end)) {
            Some(answer) => Ok(self.heads.logits(answer, field, event)),
            None => {
                let reason = "it was asked before it heard anything".to_owned();
                Err(InferenceError::Run { name: self.body.name().to_owned(), reason })
            }
        }
    }
}
