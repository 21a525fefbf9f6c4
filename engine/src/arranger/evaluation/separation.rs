//! Methods as they are evaluated: a piece whose parts are known goes in, a part per note comes out.

use super::baselines;
use super::pieces::PartedPiece;
use crate::arranger::assignment::{Assignment, Limits};
use crate::arranger::ensemble::Ensemble;
use crate::arranger::hints::Hints;
use crate::arranger::history::{self, History};
use crate::arranger::network::{Features, Network, Scores};
use crate::arranger::piece;
use crate::arranger::separator::{ArrangerError, Player};
use crate::arranger::whole;
use crate::inference::Models;

/// What a network is given: which hints, as true ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// When each part plays its first note.
    pub entry: bool,
    /// The mean pitch of each part.
    pub pitch: bool,
    /// Whether every note counts as struck alike: for a network that knows velocities.
    pub even: bool,
    /// And whether a network hears the piece in five transpositions, the mean of its answers counting.
    pub vote: bool,
}

/// A method.
pub enum Separation {
    /// Zones with these boundaries, parts from high to low.
    Zones(Vec<u8>),
    /// The best zones of every piece by itself.
    ZoneOracle,
    /// The part whose last pitch is nearest; its first note is given.
    Closest,
    /// The same, a chord together, one note a part.
    ClosestMono,
    /// Every note to one part.
    MostCommon(usize),
    /// A network's answers.
    Network(Box<Judged>),
    /// The paper's MLP, which is told of which parts the earlier notes are: as it answered, or as is so.
    Mlp {
        /// The network.
        judged: Box<Judged>,
        /// Whether it is told the true parts.
        true_history: bool,
    },
}

/// A network and the ensemble whose parts it answers with.
pub struct Judged {
    player: Player,
    /// Gives out chords together, as when played; `None` takes the network's own answers.
    assignment: Option<Assignment>,
    parts: usize,
}

impl Separation {
    /// A model of the manifest. `as_played`: chords given out together within the ensemble's limits.
    pub fn network(ensemble: &Ensemble, models: &Models, model: &str, as_played: bool) -> Result<Self, ArrangerError> {
        let judged = Judged::open(ensemble, models, model, as_played)?;
        if judged.player.network.asks_history() {
            return Ok(Self::Mlp { judged: Box::new(judged), true_history: false });
        }
        Ok(Self::Network(Box::new(judged)))
    }

    /// The MLP of an ensemble, a model of the manifest.
    pub fn mlp(ensemble: &Ensemble, models: &Models, model: &str, true_history: bool) -> Result<Self, ArrangerError> {
        let judged = Judged::open(ensemble, models, model, false)?;
        Ok(Self::Mlp { judged: Box::new(judged), true_history })
    }

    /// The zones that give most notes of a set of pieces to their own parts.
    pub fn best_zones(pieces: &[PartedPiece], parts: usize) -> Self {
        let mut counts = vec![[0; 128]; parts];
        for piece in pieces {
            for (sum, of) in counts.iter_mut().zip(baselines::histogram(&piece.notes, &piece.parts, parts)) {
                sum.iter_mut().zip(of).for_each(|(sum, count)| *sum += count);
            }
        }
        Self::Zones(baselines::best_zones(&counts).0)
    }

    /// The part that has most notes in a set of pieces.
    pub fn most_common(pieces: &[PartedPiece], parts: usize) -> Self {
        let mut counts = vec![0; parts];
        pieces.iter().flat_map(|piece| &piece.parts).for_each(|&part| counts[part] += 1);
        Self::MostCommon(baselines::most_common(&counts))
    }

    /// The part of every note of a piece, of `parts`, with what is given of its true parts.
    pub fn separate(&mut self, piece: &PartedPiece, parts: usize, given: Given) -> Result<Vec<usize>, ArrangerError> {
        Ok(match self {
            Self::Zones(boundaries) => baselines::zones(&piece.notes, boundaries),
            Self::ZoneOracle => {
                let counts = baselines::histogram(&piece.notes, &piece.parts, parts);
                baselines::zones(&piece.notes, &baselines::best_zones(&counts).0)
            }
            Self::Closest => baselines::closest(&piece.notes, &piece.parts, parts, false),
            Self::ClosestMono => baselines::closest(&piece.notes, &piece.parts, parts, true),
            Self::MostCommon(part) => vec![*part; piece.notes.len()],
            Self::Network(judged) => judged.separate(piece, given)?,
            Self::Mlp { judged, true_history } => judged.by_history(piece, *true_history)?,
        })
    }
}

impl Judged {
    fn open(ensemble: &Ensemble, models: &Models, model: &str, as_played: bool) -> Result<Self, ArrangerError> {
        let player = Player::serving(Network::open(models, model)?, ensemble);
        let assignment = as_played.then(|| Assignment::new(&ensemble.parts, Limits::Ensemble));
        Ok(Self { player, assignment, parts: ensemble.parts.len() })
    }

    /// Note by note: what is answered, or what is so, is the history of the next.
    fn by_history(&mut self, piece: &PartedPiece, true_history: bool) -> Result<Vec<usize>, ArrangerError> {
        let numbers = history::of_notes(&piece.notes);
        let mut known = History::new(self.player.network.voices().len());
        let (mut features, mut given) = (Features::default(), Vec::with_capacity(piece.notes.len()));
        for (i, note) in piece.notes.iter().enumerate() {
            features.clear();
            features.push(note.pitch, note.velocity, note.onset, note.end - note.onset);
            features.history.extend_from_slice(&numbers[i]);
            known.describe(note, &mut features.history);
            let scores = self.player.network.hear(&features)?.row(0).to_vec();
            let score = |part: usize| scores[1 + self.player.voice_of(part)];
            let part = (1..self.parts).fold(0, |best, part| if score(part) > score(best) { part } else { best });
            known.play(self.player.voice_of(if true_history { piece.parts[i] } else { part }), note);
            given.push(part);
        }
        Ok(given)
    }

    fn separate(&mut self, piece: &PartedPiece, given: Given) -> Result<Vec<usize>, ArrangerError> {
        let mut features = piece::features(&piece.notes);
        if given.even {
            features.strike_alike();
        }
        if given.pitch {
            let hints = Hints { pitch: mean_pitches(piece), ..Hints::default() };
            self.player.pitch_hints(&hints, &mut features.hint);
        }
        if given.entry {
            let first: Vec<Option<usize>> =
                (0..self.parts).map(|part| piece.parts.iter().position(|&other| other == part)).collect();
            for i in 0..piece.notes.len() {
                let entry = |part: usize| match first[part] {
                    Some(first) if i >= first => f32::from(u8::from(i > first)),
                    _ => -1.0,
                };
                self.player.entries(entry, &mut features.entry);
            }
        }
        let network = &mut self.player.network;
        let logits = if given.vote { network.vote(&features)? } else { network.hear_whole(&features)? };
        let scores = Scores { logits: &logits, parts: self.player.network.voices().len() };
        if let Some(assignment) = &mut self.assignment {
            let given = whole::give_out(assignment, &self.player, scores, &piece.notes, |_| u8::MAX);
            // Every part is on, so every note has one.
            return Ok(given.into_iter().map(|part| part.unwrap_or(0)).collect());
        }
        let keys: Vec<u8> = piece.notes.iter().map(|note| note.pitch).collect();
        let score = self.player.score(&keys, |i, voice| scores.of(i, voice));
        let likeliest =
            |i: usize| (1..self.parts).fold(0, |best, part| if score(i, part) > score(i, best) { part } else { best });
        Ok((0..keys.len()).map(likeliest).collect())
    }
}

/// The rounded mean pitch of every part that has notes, halves up.
fn mean_pitches(piece: &PartedPiece) -> [Option<u8>; crate::stream::MAX_PARTS] {
    std::array::from_fn(|part| {
        let own = || piece.notes.iter().zip(&piece.parts).filter(|(_, own)| **own == part);
        let (count, sum) = (own().count() as u64, own().map(|(note, _)| u64::from(note.pitch)).sum::<u64>());
        (count > 0).then(|| ((2 * sum + count) / (2 * count)) as u8)
    })
}
