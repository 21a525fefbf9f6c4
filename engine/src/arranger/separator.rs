//! The arranger of one instance: ensemble, network and held keys.

use super::assignment::Assignment;
use super::ensemble::{Ensemble, Separation};
use super::held::HeldNotes;
use super::lstm::BachLstm;
use crate::inference::{InferenceError, Models};

/// Why an arranger cannot be made. Every text names a way on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ArrangerError {
    /// The ensemble needs a network and there are no models.
    #[error("the ensemble \"{ensemble}\" needs the arranger's model. Reinstall Ripieno's models, or choose Solo.")]
    NoModels {
        /// The ensemble's name.
        ensemble: String,
    },
    /// The network would not open.
    #[error(transparent)]
    Inference(#[from] InferenceError),
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
/// assert_eq!(parts, [0, 0]);
/// assert_eq!(arranger.note_off(60), Some(0));
/// assert_eq!(arranger.note_off(60), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Arranger {
    ensemble: Ensemble,
    network: Option<BachLstm>,
    assignment: Assignment,
    held: HeldNotes,
    fault: Option<InferenceError>,
    /// The chord at hand, lowest first: place in the caller's slice, and key.
    order: Vec<usize>,
    keys: Vec<u8>,
    given: Vec<usize>,
}

impl Arranger {
    /// An arranger that has heard nothing. Opens the network if the ensemble asks for one: some 10 ms, so on a worker.
    pub fn new(ensemble: &Ensemble, models: Option<&Models>) -> Result<Self, ArrangerError> {
        let network = match (ensemble.arranger, models) {
            (Separation::None, _) => None,
            (Separation::BachLstm, Some(models)) => Some(BachLstm::open(models)?),
            (Separation::BachLstm, None) => return Err(ArrangerError::NoModels { ensemble: ensemble.name.clone() }),
        };
        Ok(Self { network, ..Self::by_range(ensemble) })
    }

    /// An arranger that needs no model: each note to the part the middle of whose range is nearest. The way on when
    /// [`Arranger::new`] fails.
    pub fn by_range(ensemble: &Ensemble) -> Self {
        Self {
            ensemble: ensemble.clone(),
            network: None,
            assignment: Assignment::new(&ensemble.parts),
            held: HeldNotes::new(),
            fault: None,
            order: Vec::new(),
            keys: Vec::new(),
            given: Vec::new(),
        }
    }

    /// The ensemble it gives notes to.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// Gives out notes struck together: `out` becomes the part of each of `notes` (MIDI key, velocity), in their order.
    ///
    /// Whoever calls gathers a chord for at most 10 ms. `beat` is the song's beat in quarters, from the host's clock;
    /// its absolute value matters little, its place within the quarter more (figures: models/arranger/README.md).
    /// Every note given out is held until [`Arranger::note_off`], so an offline caller must send note-offs too.
    pub fn chord(&mut self, notes: &[(u8, u8)], beat: f64, out: &mut Vec<usize>) {
        out.clear();
        if notes.is_empty() {
            return;
        }
        self.order.clear();
        self.order.extend(0..notes.len());
        // The network was trained on chords from the lowest note up.
        self.order.sort_by_key(|&i| notes[i].0);
        self.keys.clear();
        self.keys.extend(self.order.iter().map(|&i| notes[i].0));
        self.given.clear();
        self.give_out(beat);
        out.resize(notes.len(), 0);
        for (&i, &part) in self.order.iter().zip(&self.given) {
            self.held.press(notes[i].0, part);
            out[i] = part;
        }
    }

    fn give_out(&mut self, beat: f64) {
        let busy = self.held.busy();
        if let Some(network) = &mut self.network {
            match network.hear(&self.keys, beat) {
                Ok(scores) => {
                    self.assignment.assign(&self.keys, |i, part| scores.of(i, part), busy, &mut self.given);
                    return;
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
        let (keys, parts) = (&self.keys, &self.ensemble.parts);
        let score = |i: usize, part: usize| {
            let middle = (f64::from(parts[part].lo) + f64::from(parts[part].hi)) / 2.0;
            -(f64::from(keys[i]) - middle).abs() / SEMITONES_PER_NAT
        };
        self.assignment.assign(keys, score, busy, &mut self.given);
    }

    /// The part that lets go of a key, or `None` if the key is not down. A key struck twice must be released twice; the
    /// first strike is released first.
    pub fn note_off(&mut self, key: u8) -> Option<usize> {
        self.held.release(key)
    }

    /// Everything lets go: `released` becomes the (key, part) of each note that was down.
    pub fn all_off(&mut self, released: &mut Vec<(u8, usize)>) {
        released.clear();
        self.held.release_all(released);
    }

    /// Forgets the music heard so far, as at a jump of the song. Keys that are down stay down and their note-offs still
    /// find them; [`Arranger::all_off`] lets go of them.
    pub fn reset(&mut self) {
        if let Some(network) = &mut self.network {
            network.forget();
        }
    }

    /// The last fault of the network since this was asked; its notes were given out by range.
    pub fn take_fault(&mut self) -> Option<InferenceError> {
        self.fault.take()
    }
}

/// How steeply the rule by range prefers the nearer part: a busy part gives way to a free one about four semitones
/// farther.
const SEMITONES_PER_NAT: f64 = 2.0;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
