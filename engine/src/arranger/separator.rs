//! The arranger of one instance: ensemble, method, hints and held keys.

use super::assignment::{Assignment, Limits};
use super::context;
use super::ensemble::Ensemble;
use super::held::HeldNotes;
use super::hints::Hints;
use super::method::Method;
use super::network::{Features, Network, TICKS};
use super::rules::{self, LastPitches};
use super::voices;
use crate::inference::{InferenceError, Models};
use crate::stream::MAX_PARTS;

/// Why an arranger cannot be made as asked. Every text names a way on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArrangerError {
    /// The ensemble needs a network and there are no models.
    #[error("the ensemble \"{ensemble}\" needs the arranger's model. Reinstall Ripieno's models, or choose Solo.")]
    NoModels {
        /// The ensemble's name.
        ensemble: String,
    },
    /// None of the ensemble's models is installed.
    #[error(
        "the ensemble \"{ensemble}\" is arranged by {models}, which is not installed. Install it, or choose another method."
    )]
    ModelMissing {
        /// The ensemble's name.
        ensemble: String,
        /// Names of models, one of which it needs.
        models: String,
    },
    /// The ensemble has no model.
    #[error(
        "no network is trained for the ensemble \"{ensemble}\". Choose another method, or name a model in its file."
    )]
    NotTrained {
        /// The ensemble's name.
        ensemble: String,
    },
    /// A part names a trained part that its model lacks.
    #[error(
        "the ensemble \"{ensemble}\" names the voice \"{voice}\", which {model} has not: it has {voices}. Mend its file."
    )]
    NoSuchVoice {
        /// The ensemble's name.
        ensemble: String,
        /// What it names.
        voice: String,
        /// The model.
        model: String,
        /// What the model has.
        voices: String,
    },
    /// The model needs to hear the whole piece.
    #[error(
        "the model \"{model}\" hears a piece to its end before it answers. For playing, name one that ends in _online."
    )]
    NotOnline {
        /// The model.
        model: String,
    },
    /// The network would not open.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// How notes are given out, where it is not as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Instead {
    /// By range, without a network.
    #[error("Notes are given out by range alone: {0}")]
    ByRange(ArrangerError),
    /// By a model that is not the first choice.
    #[error("The model \"{model}\" gives out the notes instead: {fault}")]
    Another {
        /// The model that stands in.
        model: String,
        /// What is wrong with the one that is preferred.
        fault: InferenceError,
    },
}

/// How steeply parts that share a trained part prefer the keys near the middle of their own ranges, against the
/// network's nats: enough to decide between equals, too little to overrule it.
const OWN_RANGE: f64 = 0.1;

/// A network and how its trained parts serve an ensemble.
pub(super) struct Player {
    pub network: Network,
    /// The trained part of every part of the ensemble.
    serving: Vec<usize>,
    /// The middle of a part's range, if others share its trained part.
    shared: Vec<Option<f64>>,
    /// What is wrong with a model that would have been preferred.
    passed_over: Option<InferenceError>,
}

impl Player {
    /// The first of the ensemble's models that is installed whole. `offline`: the one that hears whole pieces instead,
    /// where there is such.
    pub fn open(ensemble: &Ensemble, models: Option<&Models>, offline: bool) -> Result<Self, ArrangerError> {
        let name = || ensemble.name.clone();
        if ensemble.models.is_empty() {
            return Err(ArrangerError::NotTrained { ensemble: name() });
        }
        let Some(models) = models else { return Err(ArrangerError::NoModels { ensemble: name() }) };
        let installed = |model: &str| models.manifest().model(model).is_ok();
        let Some(first) = ensemble.models.iter().find(|model| installed(model)) else {
            return Err(ArrangerError::ModelMissing { ensemble: name(), models: ensemble.models.join(" or ") });
        };
        let hears_whole = |model: &String| Some(format!("{}_offline", model.strip_suffix("_online")?));
        let choices = ensemble.models.iter().filter(|model| installed(model));
        let choices = choices.flat_map(|model| [hears_whole(model).filter(|_| offline), Some(model.clone())]);
        let (mut passed_over, mut model) = (None, None);
        for choice in choices.flatten().filter(|model| installed(model)) {
            match models.fault(&choice) {
                Some(fault) => passed_over = passed_over.or(Some(fault.clone())),
                None => {
                    model = Some(choice);
                    break;
                }
            }
        }
        let model = model.unwrap_or_else(|| first.clone());
        let network = Network::open(models, &model)?;
        if !offline && !network.is_online() {
            return Err(ArrangerError::NotOnline { model });
        }
        // A file's mapping is written for its first model; those that stand in for it are served by place or range.
        let serves_first = |first: &String| model == *first || hears_whole(first).as_ref() == Some(&model);
        if ensemble.models.first().is_some_and(serves_first) {
            let lacks = |voice: &&String| !network.voices().contains(voice);
            if let Some(voice) = ensemble.parts.iter().filter_map(|part| part.voice.as_ref()).find(lacks) {
                let (voice, voices) = (voice.clone(), network.voices().join(", "));
                return Err(ArrangerError::NoSuchVoice { ensemble: name(), voice, model, voices });
            }
        }
        Ok(Self { passed_over, ..Self::serving(network, ensemble) })
    }

    /// That it is not the first choice, if it is not.
    pub fn stands_in(&self) -> Option<Instead> {
        let fault = self.passed_over.clone()?;
        Some(Instead::Another { model: self.network.name().to_owned(), fault })
    }

    pub fn serving(network: Network, ensemble: &Ensemble) -> Self {
        let serving = voices::serve(&ensemble.parts, network.voices());
        let alone = |voice: &usize| serving.iter().filter(|other| *other == voice).count() == 1;
        let own = |(voice, middle)| Some(middle).filter(|_| !alone(voice));
        let shared = serving.iter().zip(ensemble.parts.iter().map(|part| part.middle())).map(own).collect();
        Self { network, serving, shared, passed_over: None }
    }

    /// The trained part that serves a part.
    pub fn voice_of(&self, part: usize) -> usize {
        self.serving[part]
    }

    /// The limits its answers are held to.
    pub fn limits(&self) -> Limits {
        if self.network.joint { Limits::Ensemble } else { Limits::Ranges }
    }

    /// What a part prefers beyond the network's word: the keys near its own range, where it shares a trained part.
    fn preference(shared: &[Option<f64>], part: usize, key: u8) -> f64 {
        shared[part].map_or(0.0, |middle| OWN_RANGE * rules::nearness(middle, key))
    }

    /// Gives a score to (note, part) of the ensemble from the network's (note, trained part).
    pub fn score<'a>(
        &'a self,
        keys: &'a [u8],
        of: impl Fn(usize, usize) -> f64 + 'a,
    ) -> impl Fn(usize, usize) -> f64 + 'a {
        move |i, part| of(i, self.serving[part]) + Self::preference(&self.shared, part, keys[i])
    }

    /// Writes the ensemble's pitch hints as the network's, shape [trained parts].
    pub fn pitch_hints(&self, hints: &Hints, out: &mut Vec<i64>) {
        out.clear();
        out.resize(self.network.voices().len(), 0);
        for (&voice, pitch) in self.serving.iter().zip(hints.pitch) {
            if out[voice] == 0 {
                out[voice] = pitch.map_or(0, |pitch| i64::from(pitch.min(127)) + 1);
            }
        }
    }

    /// Appends a row of entry hints, shape [trained parts], from what it is for every part of the ensemble. The hints of
    /// parts that share a trained part are its greatest: it has begun when one of them has.
    pub fn entries(&self, of: impl Fn(usize) -> f32, out: &mut Vec<f32>) {
        let first = out.len();
        out.resize(first + self.network.voices().len(), -1.0);
        for (part, &voice) in self.serving.iter().enumerate() {
            out[first + voice] = out[first + voice].max(of(part));
        }
    }
}

/// Gives out notes as they are played; owned by one thread.
///
/// ```
/// use ripieno_engine::arranger::{Arranger, Ensemble};
///
/// let solo = Ensemble::find("solo").ok_or("no solo")?;
/// let mut arranger = Arranger::new(solo, None)?;
/// let mut parts = Vec::new();
/// arranger.chord(&[(60, 100), (64, 90)], 0.0, &mut parts);
/// assert_eq!(parts, [Some(0), Some(0)]);
/// assert_eq!(arranger.note_off(60), Some(0));
/// assert_eq!(arranger.note_off(60), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Arranger {
    ensemble: Ensemble,
    method: Method,
    player: Option<Player>,
    last: LastPitches,
    zones: Vec<u8>,
    assignment: Assignment,
    /// What gives out notes by range when the network fails.
    fallback: Assignment,
    held: HeldNotes,
    hints: Hints,
    /// Whether a part has played since it came on, or since the music was forgotten.
    entered: [bool; MAX_PARTS],
    /// Tick of the last chord.
    last_onset: Option<i64>,
    fault: Option<InferenceError>,
    /// The chord at hand, lowest first: place in the caller's slice, key and velocity; keys held before it.
    order: Vec<usize>,
    keys: Vec<u8>,
    velocities: Vec<u8>,
    down: Vec<u8>,
    given: Vec<Option<usize>>,
    features: Features,
}

impl Arranger {
    /// An arranger that has heard nothing and gives out notes as the ensemble says. Opens the network if there is one:
    /// some 10 ms, so on a worker.
    pub fn new(ensemble: &Ensemble, models: Option<&Models>) -> Result<Self, ArrangerError> {
        Self::with_method(ensemble, ensemble.method, models)
    }

    /// An arranger that gives out notes by a method of the musician's choice.
    pub fn with_method(ensemble: &Ensemble, method: Method, models: Option<&Models>) -> Result<Self, ArrangerError> {
        let player = if method == Method::Learned { Some(Player::open(ensemble, models, false)?) } else { None };
        let limits = match method {
            Method::Learned => player.as_ref().map_or(Limits::Ensemble, Player::limits),
            Method::Split => Limits::Free,
            Method::Closest => Limits::Ranges,
            Method::ClosestMono => Limits::Mono,
            Method::ByRange => Limits::Ensemble,
        };
        let assignment = Assignment::new(&ensemble.parts, limits);
        Ok(Self { method, player, assignment, ..Self::by_range(ensemble) })
    }

    /// As [`Arranger::with_method`], or by range; together with what is not as asked. `None`: as the ensemble says.
    pub fn or_by_range(
        ensemble: &Ensemble,
        method: Option<Method>,
        models: Option<&Models>,
    ) -> (Self, Option<Instead>) {
        match Self::with_method(ensemble, method.unwrap_or(ensemble.method), models) {
            Ok(arranger) => {
                let instead = arranger.player.as_ref().and_then(Player::stands_in);
                (arranger, instead)
            }
            Err(error) => (Self::by_range(ensemble), Some(Instead::ByRange(error))),
        }
    }

    /// An arranger that needs no model: each note to the part the middle of whose range is nearest.
    pub fn by_range(ensemble: &Ensemble) -> Self {
        Self {
            ensemble: ensemble.clone(),
            method: Method::ByRange,
            player: None,
            last: LastPitches::new(&ensemble.parts),
            zones: ensemble.zones.clone(),
            assignment: Assignment::new(&ensemble.parts, Limits::Ensemble),
            fallback: Assignment::new(&ensemble.parts, Limits::Ensemble),
            held: HeldNotes::new(),
            hints: Hints::default(),
            entered: [false; MAX_PARTS],
            last_onset: None,
            fault: None,
            order: Vec::new(),
            keys: Vec::new(),
            velocities: Vec::new(),
            down: Vec::new(),
            given: Vec::new(),
            features: Features::default(),
        }
    }

    /// The ensemble it gives notes to.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// How it gives them out.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Hears what the musician says of the parts, from the next chord on. What a part holds when it goes off it holds on.
    pub fn set_hints(&mut self, hints: &Hints) {
        for part in 0..self.ensemble.parts.len() {
            if hints.on[part] && !self.hints.on[part] {
                self.entered[part] = false;
            }
            let middle = self.ensemble.parts[part].middle();
            self.last.expect(part, hints.pitch[part].map_or(middle, f64::from));
        }
        self.hints = *hints;
    }

    /// Draws the zones of [`Method::Split`]: the lowest key of every part but the last. Returns whether there were as many
    /// and they fell; else those before stay.
    pub fn set_zones(&mut self, zones: &[u8]) -> bool {
        let fits = zones.len() + 1 == self.ensemble.parts.len() && zones.windows(2).all(|pair| pair[0] >= pair[1]);
        if fits {
            self.zones = zones.to_vec();
        }
        fits
    }

    /// Gives out notes struck together: `out` becomes the part of each of `notes` (MIDI key, velocity), in their order;
    /// `None` while every part is off.
    ///
    /// Whoever calls gathers a chord for at most 10 ms. `beat` is the song's beat in quarters, from the host's clock;
    /// its absolute value matters little, its place within the quarter more (figures: models/arranger/README.md).
    /// Every note given out is held until [`Arranger::note_off`], so an offline caller must send note-offs too.
    pub fn chord(&mut self, notes: &[(u8, u8)], beat: f64, out: &mut Vec<Option<usize>>) {
        out.clear();
        if notes.is_empty() {
            return;
        }
        self.order.clear();
        self.order.extend(0..notes.len());
        // The network was trained on chords from the lowest note up.
        self.order.sort_by_key(|&i| notes[i].0);
        self.keys.clear();
        self.keys.extend(self.order.iter().map(|&i| notes[i].0 & 0x7f));
        self.velocities.clear();
        self.velocities.extend(self.order.iter().map(|&i| notes[i].1));
        self.given.clear();
        self.give_out((beat * TICKS as f64).round() as i64);
        out.resize(notes.len(), None);
        for (place, &i) in self.order.iter().enumerate() {
            let part = self.given[place];
            self.held.press(notes[i].0, part);
            out[i] = part;
            if let Some(part) = part {
                self.entered[part] = true;
                self.last.play(part, notes[i].0);
            }
        }
    }

    fn give_out(&mut self, tick: i64) {
        let since = self.last_onset.map(|last| tick.saturating_sub(last));
        self.last_onset = Some(tick);
        if self.player.is_some() && self.ask_network(tick, since) {
            return;
        }
        let (keys, parts, last, open) = (&self.keys, &self.ensemble.parts, &self.last, self.hints.open());
        let (held, given) = (self.held.counts(), &mut self.given);
        match self.method {
            Method::Split => {
                let zones = &self.zones;
                let score = |i: usize, part: usize| -(rules::zone(keys[i], zones).abs_diff(part) as f64);
                self.assignment.assign(keys, score, held, open, given);
            }
            Method::Closest | Method::ClosestMono => {
                self.assignment.assign(keys, |i, part| last.score(part, keys[i]), held, open, given);
            }
            Method::Learned | Method::ByRange => {
                let pitch = self.hints.pitch;
                let score = |i: usize, part: usize| {
                    rules::nearness(pitch[part].map_or_else(|| parts[part].middle(), f64::from), keys[i])
                };
                self.fallback.assign(keys, score, held, open, given);
            }
        }
    }

    /// Whether the network could answer.
    fn ask_network(&mut self, tick: i64, since: Option<i64>) -> bool {
        let Some(player) = &mut self.player else { return false };
        let features = &mut self.features;
        features.clear();
        self.held.down(&mut self.down);
        for (&key, &velocity) in self.keys.iter().zip(&self.velocities) {
            features.push_live(key, velocity, tick);
        }
        context::describe(&self.keys, &self.down, since, &mut features.context);
        player.pitch_hints(&self.hints, &mut features.hint);
        // Without a part that is off nobody has said who plays.
        let parts = self.ensemble.parts.len();
        if self.hints.on[..parts].contains(&false) {
            let entry = |part: usize| match (self.hints.on[part], self.entered[part]) {
                (false, _) => -1.0,
                (true, false) => 0.0,
                (true, true) => 1.0,
            };
            self.keys.iter().for_each(|_| player.entries(entry, &mut features.entry));
        }
        let Player { network, serving, shared, .. } = player;
        match network.hear(features) {
            Ok(scores) => {
                let (keys, held) = (&self.keys, self.held.counts());
                let score =
                    |i: usize, part: usize| scores.of(i, serving[part]) + Player::preference(shared, part, keys[i]);
                self.assignment.assign(keys, score, held, self.hints.open(), &mut self.given);
                true
            }
            Err(fault) => {
                self.fault = Some(fault);
                false
            }
        }
    }

    /// The part that lets go of a key, or `None` if no part holds it. A key struck twice must be released twice; the
    /// first strike is released first.
    pub fn note_off(&mut self, key: u8) -> Option<usize> {
        self.held.release(key)
    }

    /// Everything lets go: `released` becomes the (key, part) of each note that a part held.
    pub fn all_off(&mut self, released: &mut Vec<(u8, usize)>) {
        released.clear();
        self.held.release_all(released);
    }

    /// Forgets the music heard so far, as at a jump of the song. Keys that are down stay down and their note-offs still
    /// find them; [`Arranger::all_off`] lets go of them.
    pub fn reset(&mut self) {
        if let Some(player) = &mut self.player {
            player.network.forget();
        }
        self.last.forget();
        self.last_onset = None;
        self.entered = [false; MAX_PARTS];
    }

    /// The last fault of the network since this was asked; its notes were given out by range.
    pub fn take_fault(&mut self) -> Option<InferenceError> {
        self.fault.take()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
