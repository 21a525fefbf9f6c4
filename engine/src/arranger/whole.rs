//! A piece heard to its end before its notes are given out.

use super::assignment::Assignment;
use super::ensemble::Ensemble;
use super::hints::Hints;
use super::network::Scores;
use super::piece::{self, PieceNote, chords};
use super::separator::{ArrangerError, Instead, Player};
use crate::inference::Models;
use crate::stream::MAX_PARTS;

/// Gives out whole pieces: the offline network of an ensemble, or its online one where that is all there is.
pub struct WholePiece {
    player: Player,
    assignment: Assignment,
    parts: usize,
    vote: bool,
}

impl WholePiece {
    /// Opens the network: some 10 ms.
    pub fn new(ensemble: &Ensemble, models: &Models) -> Result<Self, ArrangerError> {
        let player = Player::open(ensemble, Some(models), true)?;
        let assignment = Assignment::new(&ensemble.parts, player.limits());
        Ok(Self { player, assignment, parts: ensemble.parts.len(), vote: false })
    }

    /// Whether the network hears the piece in five transpositions and the mean of its answers counts. Five times as long.
    pub fn set_vote(&mut self, vote: bool) {
        self.vote = vote;
    }

    /// That another model than the ensemble's first choice gives out the notes, if it does.
    pub fn stands_in(&self) -> Option<Instead> {
        self.player.stands_in()
    }

    /// The part of every note; `None` while every part is off. `notes` are in order, times in ticks (24 a quarter).
    ///
    /// `enters`: from which tick on a part plays; `None` is from the start. Given for any part, they are entry hints.
    pub fn arrange(
        &mut self,
        notes: &[PieceNote],
        hints: &Hints,
        enters: &[Option<i64>; MAX_PARTS],
    ) -> Result<Vec<Option<usize>>, ArrangerError> {
        let mut features = piece::features(notes);
        self.player.pitch_hints(hints, &mut features.hint);
        let plays = |part: usize, now: i64| hints.on[part] && enters[part].is_none_or(|from| now >= from);
        if (0..self.parts).any(|part| enters[part].is_some() || !hints.on[part]) {
            // The first onset at which a part plays.
            let first: Vec<Option<i64>> = (0..self.parts)
                .map(|part| notes.iter().map(|note| note.onset).find(|&onset| plays(part, onset)))
                .collect();
            for note in notes {
                let entry = |part: usize| match first[part] {
                    Some(first) if note.onset >= first => f32::from(u8::from(note.onset > first)),
                    _ => -1.0,
                };
                self.player.entries(entry, &mut features.entry);
            }
        }
        let network = &mut self.player.network;
        let logits = if self.vote { network.vote(&features)? } else { network.hear_whole(&features)? };
        let scores = Scores { logits: &logits, parts: self.player.network.voices().len() };
        let open = |now: i64| (0..self.parts).fold(0, |mask, part| mask | u8::from(plays(part, now)) << part);
        Ok(give_out(&mut self.assignment, &self.player, scores, notes, open))
    }
}

/// Gives out the notes of a piece chord by chord, where every note is held to its end.
pub(super) fn give_out(
    assignment: &mut Assignment,
    player: &Player,
    scores: Scores<'_>,
    notes: &[PieceNote],
    open: impl Fn(i64) -> u8,
) -> Vec<Option<usize>> {
    let (mut given, mut sounding) = (Vec::with_capacity(notes.len()), Vec::<(i64, usize)>::new());
    for chord in chords(notes) {
        let now = notes[chord.start].onset;
        sounding.retain(|&(end, _)| end > now);
        let mut held = [0; MAX_PARTS];
        sounding.iter().for_each(|&(_, part)| held[part] += 1);
        let keys: Vec<u8> = notes[chord.clone()].iter().map(|note| note.pitch).collect();
        let score = player.score(&keys, |i, voice| scores.of(chord.start + i, voice));
        assignment.assign(&keys, score, &held, open(now), &mut given);
        let parts = chord.clone().zip(&given[chord]);
        sounding.extend(parts.filter_map(|(i, part)| Some((notes[i].end, (*part)?))));
    }
    given
}
