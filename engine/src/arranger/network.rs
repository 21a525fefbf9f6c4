//! A trained arranger: notes in the order they are played, a score per part for each.
//!
//! Which inputs a network asks for, which of them are its memory and which parts it knows is in the manifest; what it
//! asks for is supplied by name. Its memory is carried from call to call, so that note by note gives what the whole
//! sequence at once would. The manifest also says who is asked beside a network, of whole pieces, and what is counted of
//! the piece at hand (`habits.rs`). The networks are those of Dong et al., ISMIR 2021, section 4, and our own with the
//! chord's context (`context.rs`).

use super::context;
use super::habits::Habits;
use super::history;
use crate::inference::{Dimension, InferenceError, ModelEntry, Models, Session, TensorView};
use crate::stream::MAX_PARTS;

/// 24ths of a quarter: the networks' unit of time.
pub(super) const TICKS: i64 = 24;
/// A longer note counts as this long, ticks.
pub(super) const LONGEST: i64 = 192;
/// What stands for the velocity of notes that nobody played.
const UNKNOWN_VELOCITY: i64 = 64;
/// Quarters after which the song clock begins again: training has heard songs begin up to here. Where it wraps nothing
/// is lost (accuracy_without_reset in the card).
const WRAP: i64 = 1024;
/// A later beat counts as this one.
const LAST_BEAT: i64 = 4096;
/// Transpositions that vote on a piece, semitones.
const VOTES: [i64; 5] = [-2, -1, 0, 1, 2];
/// The output with the scores.
const LOGITS: &str = "logits";
/// Notes that a network which hears the whole piece is shown at once, and those of them at either end whose answer is
/// taken from the neighbouring window, which hears more around them.
const WINDOW: usize = 4000;
const MARGIN: usize = 500;

/// What a network can ask for, by its name in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Pitch,
    Beat,
    Position,
    Duration,
    Velocity,
    Context,
    Entry,
    EntryKnown,
    Hint,
    History,
}

impl Ask {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "pitch" => Self::Pitch,
            "beat" => Self::Beat,
            "position" => Self::Position,
            "duration" => Self::Duration,
            "velocity" => Self::Velocity,
            "context" => Self::Context,
            "entry" => Self::Entry,
            "entry_known" => Self::EntryKnown,
            "hint" => Self::Hint,
            "history" => Self::History,
            _ => return None,
        })
    }
}

/// Notes as a network is shown them; every list is as long as there are notes, times its width.
#[derive(Debug, Clone, Default)]
pub(super) struct Features {
    /// MIDI pitch + 1.
    pitch: Vec<i64>,
    /// Quarters from the song's start, and 24ths of a quarter within it.
    beat: Vec<i64>,
    position: Vec<i64>,
    /// Ticks, at most LONGEST; only where a whole piece is known.
    duration: Vec<i64>,
    /// MIDI velocity, 1 to 127.
    velocity: Vec<i64>,
    /// Shape [notes, context::WIDTH].
    pub context: Vec<f32>,
    /// Shape [notes, parts of the network]: -1 before, 0 at, 1 after a part's first note. Empty: not known.
    pub entry: Vec<f32>,
    /// Shape [notes, history::NOTE + history::PER_PART * parts of the network]; only where it is measured.
    pub history: Vec<f32>,
    /// Shape [parts of the network]: mean pitch + 1, 0 where it is not known. Empty: none is.
    pub hint: Vec<i64>,
}

impl Features {
    /// Nothing, without giving memory back.
    pub fn clear(&mut self) {
        let notes = [&mut self.pitch, &mut self.beat, &mut self.position, &mut self.duration, &mut self.velocity];
        for list in notes.into_iter().chain([&mut self.hint]) {
            list.clear();
        }
        self.context.clear();
        self.entry.clear();
        self.history.clear();
    }

    /// Notes in it.
    pub fn notes(&self) -> usize {
        self.pitch.len()
    }

    /// Of one note: its velocity, 24ths of a quarter within its beat, and its length in ticks.
    pub fn velocity(&self, i: usize) -> i64 {
        self.velocity[i]
    }

    pub fn position(&self, i: usize) -> i64 {
        self.position[i]
    }

    pub fn duration(&self, i: usize) -> i64 {
        self.duration[i]
    }

    /// Forgets velocities: what stands for that of notes which nobody played stands for all.
    pub fn strike_alike(&mut self) {
        self.velocity.fill(UNKNOWN_VELOCITY);
    }

    /// The same piece so many semitones higher; what would leave the keyboard stays at its end.
    fn transposed(&self, by: i64) -> Self {
        let moved = |&id: &i64| if id == 0 { 0 } else { (id + by).clamp(1, 128) };
        let (pitch, hint) = (self.pitch.iter().map(moved).collect(), self.hint.iter().map(moved).collect());
        Self { pitch, hint, ..self.clone() }
    }

    /// A note that is being played at a tick of the song, which may be any number.
    pub fn push_live(&mut self, key: u8, velocity: u8, tick: i64) {
        self.push(key, velocity, tick.rem_euclid(WRAP * TICKS), LONGEST);
    }

    /// A note of a whole piece, `tick` from its start.
    pub fn push(&mut self, key: u8, velocity: u8, tick: i64, duration: i64) {
        self.pitch.push(i64::from(key & 0x7f) + 1);
        self.beat.push((tick.max(0) / TICKS).min(LAST_BEAT));
        self.position.push(tick.max(0) % TICKS);
        self.duration.push(duration.clamp(0, LONGEST));
        self.velocity.push(i64::from(velocity.clamp(1, 127)));
    }
}

/// One recurrent state.
struct State {
    input: String,
    output: String,
    shape: Vec<usize>,
    value: Vec<f32>,
    next: Vec<f32>,
}

/// A network and what it has heard.
pub(super) struct Network {
    session: Session,
    name: String,
    /// Its trained parts, e.g. `soprano`, in the order of its output.
    voices: Vec<String>,
    /// Whether giving a chord out together measured better than the network's own answers.
    pub joint: bool,
    asks: Vec<(String, Ask)>,
    states: Vec<State>,
    habits: Option<Habits>,
    /// Who is asked as well when a whole piece is heard.
    beside: Option<Box<Network>>,
    /// Shape [notes, parts + 1]: padding, then the parts.
    logits: Vec<f32>,
    /// Zeros and lists where nothing was given.
    entry: Vec<f32>,
    hint: Vec<i64>,
}

impl Network {
    /// Opens a model of the manifest with nothing heard.
    pub fn open(models: &Models, name: &str) -> Result<Self, InferenceError> {
        let entry = models.manifest().model(name)?;
        let mismatch = |reason: String| InferenceError::Mismatch { name: name.to_owned(), reason };
        let voices = voices(entry).map_err(mismatch)?;
        let (mut asks, mut states) = (Vec::new(), Vec::new());
        for input in &entry.inputs {
            let output = format!("{}_out", input.name);
            if let Some(ask) = Ask::named(&input.name) {
                asks.push((input.name.clone(), ask));
            } else if entry.outputs.iter().any(|tensor| tensor.name == output) {
                let shape = input.fixed_shape().map_err(mismatch)?;
                let value = vec![0.0; shape.iter().product()];
                states.push(State { input: input.name.clone(), output, shape, value, next: Vec::new() });
            } else {
                return Err(mismatch(format!("it asks for \"{}\", which is not known here", input.name)));
            }
        }
        let online = is_online(&asks, &states);
        let habits = Habits::new(&entry.habits, voices.len(), online).map_err(mismatch)?;
        let beside = match &entry.beside {
            None => None,
            // One that asks others itself could ask in a circle.
            Some(other) if online || models.manifest().model(other).is_ok_and(|entry| entry.beside.is_some()) => {
                return Err(mismatch(format!("\"{other}\" cannot answer beside it")));
            }
            // Where it is not installed, or damaged, this one answers alone; `Models::faults` has what is damaged.
            Some(other) if models.manifest().model(other).is_err() || models.fault(other).is_some() => None,
            Some(other) => Some(Box::new(Self::open(models, other)?)),
        };
        if let Some(other) = beside.as_ref().filter(|other| other.voices != voices) {
            return Err(mismatch(format!("\"{}\" beside it gives notes to other parts", other.name)));
        }
        let joint = entry.figures.get("joint_assignment").and_then(toml::Value::as_integer) != Some(0);
        Ok(Self {
            session: Session::open(models, name, 1)?,
            name: name.to_owned(),
            voices,
            joint,
            asks,
            states,
            habits,
            beside,
            logits: Vec::new(),
            entry: Vec::new(),
            hint: Vec::new(),
        })
    }

    /// How the manifest calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its trained parts, in the order of its scores.
    pub fn voices(&self) -> &[String] {
        &self.voices
    }

    /// Whether it can follow somebody who plays: it remembers what it heard and needs no note's length.
    pub fn is_online(&self) -> bool {
        is_online(&self.asks, &self.states)
    }

    /// Whether it asks for the parts of earlier notes, which only an evaluation gives it.
    pub fn asks_history(&self) -> bool {
        self.asks.iter().any(|&(_, ask)| ask == Ask::History)
    }

    /// Forgets everything heard.
    pub fn forget(&mut self) {
        self.states.iter_mut().for_each(|state| state.value.fill(0.0));
        if let Some(habits) = &mut self.habits {
            habits.forget();
        }
    }

    /// Hears the notes that come next. After an error it is as if they had not been played.
    pub fn hear(&mut self, notes: &Features) -> Result<Scores<'_>, InferenceError> {
        self.run(notes, 0..notes.notes())?;
        if let Some(habits) = &mut self.habits {
            habits.so_far(notes, &mut self.logits);
        }
        Ok(Scores { logits: &self.logits, parts: self.voices.len() })
    }

    /// The logits of a whole piece from a fresh state, shape [notes, parts + 1].
    pub fn hear_whole(&mut self, notes: &Features) -> Result<Vec<f32>, InferenceError> {
        let mut logits = self.without_habits(notes)?;
        self.add_habits(notes, &mut logits);
        Ok(logits)
    }

    /// The habits of a whole piece from a fresh state: of somebody who plays those so far, else of all of it.
    fn add_habits(&mut self, notes: &Features, logits: &mut [f32]) {
        let online = self.is_online();
        match &mut self.habits {
            Some(habits) if online => habits.so_far(notes, logits),
            Some(habits) => habits.throughout(notes, logits),
            None => {}
        }
    }

    /// What the network says of a whole piece from a fresh state, and who is asked beside it.
    fn without_habits(&mut self, notes: &Features) -> Result<Vec<f32>, InferenceError> {
        self.forget();
        let (count, width) = (notes.notes(), self.voices.len() + 1);
        let mut all = Vec::with_capacity(count * width);
        let (step, margin) = if self.states.is_empty() { (WINDOW - 2 * MARGIN, MARGIN) } else { (WINDOW, 0) };
        let whole = count <= WINDOW;
        let mut from = 0;
        while from < count {
            let to = if whole { count } else { (from + step).min(count) };
            let window = from.saturating_sub(margin)..(to + margin).min(count);
            self.run(notes, window.clone())?;
            all.extend_from_slice(&self.logits[(from - window.start) * width..(to - window.start) * width]);
            from = to;
        }
        if let Some(beside) = &mut self.beside {
            mean(&mut all, &beside.without_habits(notes)?, width);
        }
        Ok(all)
    }

    /// As [`Network::hear_whole`], the mean over the piece transposed by up to two semitones either way: what a network
    /// says of one key alone weighs less. Five times as long. On the validation pieces it is worth 0.1 to 0.3 % of the
    /// notes: chorales 96.70 to 96.82, quartets 82.65 to 82.74, game music 53.19 to 53.45, pop 62.14 to 62.21, and with
    /// both hints 74.38 to 74.45 and 75.14 to 75.30.
    pub fn vote(&mut self, notes: &Features) -> Result<Vec<f32>, InferenceError> {
        let mut mean = Vec::new();
        for by in VOTES {
            let logits = self.without_habits(&notes.transposed(by))?;
            mean.resize(logits.len(), 0.0);
            mean.iter_mut().zip(logits).for_each(|(mean, logit)| *mean += logit / VOTES.len() as f32);
        }
        self.add_habits(notes, &mut mean);
        Ok(mean)
    }

    fn run(&mut self, notes: &Features, range: std::ops::Range<usize>) -> Result<(), InferenceError> {
        let (count, parts) = (range.len(), self.voices.len());
        let known = [f32::from(u8::from(!notes.entry.is_empty()))];
        let entry = if notes.entry.is_empty() {
            self.entry.clear();
            self.entry.resize(count * parts, 0.0);
            &self.entry
        } else {
            &notes.entry[range.start * parts..range.end * parts]
        };
        self.hint.clear();
        self.hint.extend_from_slice(&notes.hint);
        self.hint.resize(parts, 0);
        let (row, by_part, by_context) = ([1, count], [1, count, parts], [1, count, context::WIDTH]);
        let (one, per_part) = ([1, 1], [1, parts]);
        let by_history = [1, count, history::NOTE + history::PER_PART * parts];
        if self.asks_history() && notes.history.len() != notes.notes() * by_history[2] {
            let reason = "it asks for the parts of earlier notes and is only for `ripieno evaluate`".to_owned();
            return Err(InferenceError::Mismatch { name: self.name.clone(), reason });
        }
        let mut inputs = Vec::with_capacity(self.asks.len() + self.states.len());
        for (name, ask) in &self.asks {
            let view = match ask {
                Ask::Pitch => TensorView::I64(&row, &notes.pitch[range.clone()]),
                Ask::Beat => TensorView::I64(&row, &notes.beat[range.clone()]),
                Ask::Position => TensorView::I64(&row, &notes.position[range.clone()]),
                Ask::Duration => TensorView::I64(&row, &notes.duration[range.clone()]),
                Ask::Velocity => TensorView::I64(&row, &notes.velocity[range.clone()]),
                Ask::Context => {
                    let context = &notes.context[range.start * context::WIDTH..range.end * context::WIDTH];
                    TensorView::F32(&by_context, context)
                }
                Ask::Entry => TensorView::F32(&by_part, entry),
                Ask::EntryKnown => TensorView::F32(&one, &known),
                Ask::Hint => TensorView::I64(&per_part, &self.hint),
                Ask::History => {
                    let width = by_history[2];
                    TensorView::F32(&by_history, &notes.history[range.start * width..range.end * width])
                }
            };
            inputs.push((name.as_str(), view));
        }
        let mut outputs = vec![(LOGITS, &mut self.logits)];
        for State { input, output, shape, value, next } in &mut self.states {
            inputs.push((input, TensorView::F32(shape, value)));
            outputs.push((output, next));
        }
        self.session.run(&inputs, &mut outputs)?;
        let kept = self.states.iter().all(|state| state.next.len() == state.value.len());
        if self.logits.len() != count * (parts + 1) || !kept {
            let reason = format!("it answered {} numbers to {count} notes", self.logits.len());
            return Err(InferenceError::Mismatch { name: self.name.clone(), reason });
        }
        self.states.iter_mut().for_each(|state| std::mem::swap(&mut state.value, &mut state.next));
        Ok(())
    }
}

/// Makes of one network's logits, shape [notes, width], the mean of two networks' log probabilities of the parts.
fn mean(ours: &mut [f32], theirs: &[f32], width: usize) {
    for (ours, theirs) in ours.chunks_exact_mut(width).zip(theirs.chunks_exact(width)) {
        let (ours, theirs) = (&mut ours[1..], &theirs[1..]);
        let (of_ours, of_theirs) = (log_sum(ours), log_sum(theirs));
        for (ours, &theirs) in ours.iter_mut().zip(theirs) {
            *ours = ((f64::from(*ours) - of_ours + f64::from(theirs) - of_theirs) / 2.0) as f32;
        }
    }
}

/// Natural log of the sum of exponentials.
pub(super) fn log_sum(logits: &[f32]) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&logit| f64::from(logit - top).exp()).sum();
    f64::from(top) + total.ln()
}

/// Whether a network remembers what it heard and needs no note's length.
fn is_online(asks: &[(String, Ask)], states: &[State]) -> bool {
    !states.is_empty() && !asks.iter().any(|&(_, ask)| ask == Ask::Duration)
}

/// The trained parts of a model, from the last dimension and the unit of its scores: `padding, soprano, alto, ...`.
pub(super) fn voices(entry: &ModelEntry) -> Result<Vec<String>, String> {
    let logits = entry.outputs.iter().find(|tensor| tensor.name == LOGITS);
    let logits = logits.ok_or_else(|| "it has no output \"logits\"".to_owned())?;
    let count = match logits.shape.last() {
        Some(Dimension::Fixed(width)) => usize::try_from(width - 1).unwrap_or(0),
        _ => 0,
    };
    if count == 0 || count > MAX_PARTS {
        return Err(format!("it gives notes to {count} parts and 1 to {MAX_PARTS} can play"));
    }
    let names: Vec<String> = logits.unit.split(',').skip(1).map(|name| name.trim().to_owned()).collect();
    if names.len() == count { Ok(names) } else { Err(format!("{count} parts have {} names", names.len())) }
}

/// What a network says of some notes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores<'a> {
    /// Shape [notes, parts + 1]: padding, then the parts.
    pub logits: &'a [f32],
    /// Parts of the network.
    pub parts: usize,
}

impl Scores<'_> {
    /// Natural log probability that note i belongs to a part, among the parts.
    pub fn of(&self, i: usize, part: usize) -> f64 {
        let row = &self.row(i)[1..];
        f64::from(row[part]) - log_sum(row)
    }

    /// The likeliest part of note i.
    #[cfg(test)]
    pub fn likeliest(&self, i: usize) -> usize {
        let row = &self.row(i)[1..];
        (0..self.parts).fold(0, |best, part| if row[part] > row[best] { part } else { best })
    }

    /// Logits of note i: padding, then the parts.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.logits[i * (self.parts + 1)..][..self.parts + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_networks_the_mean_of_their_log_probabilities_counts() {
        // The first two rows say 3 to 1 and 1 to 3, in logits of any height; the last are surer and less sure.
        let (three, wild) = (3.0f32.ln(), 40.0);
        let mut ours = vec![0.5, three, 0.0, -1.0, wild, wild + three, 7.0, 9.0, 0.0];
        mean(&mut ours, &[9.0, wild, wild + three, 9.0, 0.0, three, 9.0, 0.0, 1.0], 3);
        assert_eq!([ours[0], ours[3], ours[6]], [0.5, -1.0, 7.0], "the padding is no part");
        assert!((ours[1] - ours[2]).abs() < 1e-5, "they contradict each other");
        assert!((ours[4] - 0.25f32.ln()).abs() < 1e-5 && (ours[5] - 0.75f32.ln()).abs() < 1e-5, "they agree");
        assert!(ours[7] > ours[8] + 3.9);
    }
}
