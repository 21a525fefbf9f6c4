//! What may come next, by a trained network that remembers what it heard.

use super::event::{Event, FIELDS, Field};
use super::vocabulary::Vocabulary;
use crate::inference::{CachedSession, Dimension, InferenceError, ModelEntry, Models, Session, TensorView};

/// What the network's second file is called, after its own name.
const HEADS: &str = "_heads";
/// Input of the heads that holds the fields chosen so far.
const EVENT: &str = "event";

/// Logits of the codes of each field, by [`Field`].
#[derive(Debug, Clone, Default)]
pub struct Logits([Vec<f32>; 6]);

impl Logits {
    /// Changes the lists of all fields.
    #[cfg(test)]
    pub(super) fn each_mut(&mut self, mut change: impl FnMut(Field, &mut [f32])) {
        FIELDS.into_iter().zip(&mut self.0).for_each(|(field, logits)| change(field, logits));
    }

    /// From a list per field, in the order of [`FIELDS`].
    pub fn new(fields: [Vec<f32>; 6]) -> Self {
        Self(fields)
    }

    /// Logits of a field, one per code.
    pub fn of(&self, field: Field) -> &[f32] {
        &self.0[field as usize]
    }

    /// Natural log probability of a code.
    pub fn log_probability(&self, field: Field, code: u16) -> f64 {
        let logits = self.of(field);
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
        logits.get(usize::from(code)).map_or(f64::NEG_INFINITY, |&logit| f64::from(logit - top) - total.ln())
    }
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

    /// Whether a field's logits depend on the fields before it in [`Predictor::order`].
    fn is_dependent(&self) -> bool;

    /// Logits of the event after the last one heard, each field's given the fields before it in `event`.
    fn predict(&mut self, event: &Event) -> Result<&Logits, InferenceError>;
}

/// A network of the manifest with its cache.
pub struct Network {
    body: CachedSession,
    heads: Session,
    /// Whether a field's logits depend on the fields before it.
    dependent: bool,
    order: [Field; 6],
    sizes: [usize; 6],
    /// Answers to every event heard, shape [heard, body.width()]: going back to one costs nothing.
    answers: Vec<f32>,
    codes: Vec<i64>,
    logits: Logits,
}

impl Network {
    /// Opens a model of the manifest with nothing heard; on a worker. `threads`: 1 unless nothing else is running.
    pub fn open(models: &Models, name: &str, threads: usize) -> Result<Self, InferenceError> {
        let vocabulary = Vocabulary::of(models.manifest())?;
        let heads_name = format!("{name}{HEADS}");
        let entry = models.manifest().model(&heads_name)?;
        let sizes = FIELDS.map(|field| vocabulary.size(field));
        let order =
            order(entry, sizes).map_err(|reason| InferenceError::Mismatch { name: heads_name.clone(), reason })?;
        Ok(Self {
            body: CachedSession::open(models, name, threads)?,
            heads: Session::open(models, &heads_name, threads)?,
            dependent: entry.inputs.iter().any(|input| input.name == EVENT),
            order,
            sizes,
            answers: Vec::new(),
            codes: Vec::new(),
            logits: Logits::default(),
        })
    }

    /// The composer's models in a manifest, the one to use unless another is asked for first.
    pub fn names(models: &Models) -> Vec<String> {
        let all = &models.manifest().models;
        let has_heads = |entry: &&ModelEntry| all.iter().any(|other| other.name == format!("{}{HEADS}", entry.name));
        all.iter().filter(has_heads).map(|entry| entry.name.clone()).collect()
    }
}

/// The heads' outputs in their order are the fields in theirs.
fn order(heads: &ModelEntry, sizes: [usize; 6]) -> Result<[Field; 6], String> {
    let mut order = Vec::new();
    for output in &heads.outputs {
        let field = Field::named(&output.name).ok_or_else(|| format!("its output \"{}\" is not known", output.name))?;
        if output.shape.last() != Some(&Dimension::Fixed(sizes[field as usize] as i64)) || order.contains(&field) {
            return Err(format!("its output \"{}\" does not fit the vocabulary", output.name));
        }
        order.push(field);
    }
    match <[Field; 6]>::try_from(order) {
        Ok(order) if order[0] == Field::Kind => Ok(order),
        _ => Err("it does not predict six fields, the type first".to_owned()),
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
        self.order
    }

    fn is_dependent(&self) -> bool {
        self.dependent
    }

    fn predict(&mut self, event: &Event) -> Result<&Logits, InferenceError> {
        let width = self.body.width();
        let end = self.body.len() * width;
        let Some(answer) = end.checked_sub(width).and_then(|start| self.answers.get(start..end)) else {
            let reason = "it was asked before it heard anything".to_owned();
            return Err(InferenceError::Run { name: self.heads.name().to_owned(), reason });
        };
        let codes = event.0.map(i64::from);
        let (one, row) = ([1, width], [1, codes.len()]);
        let inputs = [("hidden", TensorView::F32(&one, answer)), (EVENT, TensorView::I64(&row, &codes))];
        let mut outputs = self.logits.0.each_mut().map(|list| ("", list));
        outputs.iter_mut().zip(FIELDS).for_each(|((name, _), field)| *name = field.name());
        self.heads.run(&inputs[..1 + usize::from(self.dependent)], &mut outputs)?;
        if let Some(field) = FIELDS.into_iter().find(|&field| self.logits.of(field).len() != self.sizes[field as usize])
        {
            let reason = format!("it gave {} logits for {field:?}", self.logits.of(field).len());
            return Err(InferenceError::Mismatch { name: self.heads.name().to_owned(), reason });
        }
        Ok(&self.logits)
    }
}
