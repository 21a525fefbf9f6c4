//! A whole piece on the networks' grid: its chords, what is held at each, and its features.

use std::ops::Range;

use super::context;
use super::network::{Features, TICKS};

/// A note of a piece, in ticks (24 a quarter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PieceNote {
    /// When it begins, at least 0.
    pub onset: i64,
    /// When it ends, not before its onset.
    pub end: i64,
    /// MIDI pitch.
    pub pitch: u8,
    /// MIDI velocity.
    pub velocity: u8,
}

impl PieceNote {
    /// The place of a note among others: (time, pitch, duration, velocity), as in the paper.
    pub fn order(&self) -> (i64, u8, i64, u8) {
        (self.onset, self.pitch, self.end - self.onset, self.velocity)
    }

    /// A note from beats (quarters from the start).
    pub fn of_beats(onset: f64, end: f64, pitch: u8, velocity: u8) -> Self {
        let tick = |beat: f64| ((beat * TICKS as f64).round() as i64).max(0);
        Self { onset: tick(onset), end: tick(end).max(tick(onset)), pitch, velocity }
    }
}

/// Indices of the notes that begin together. `notes` are in order.
pub(crate) fn chords(notes: &[PieceNote]) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let first = notes.get(from)?;
        let count = notes[from..].iter().take_while(|note| note.onset == first.onset).count();
        from += count;
        Some(from - count..from)
    })
}

/// Which keys still sound at each chord, as a player's held keys would. Of two notes on one key the later end counts.
#[derive(Default)]
struct Sounding {
    /// Key and end.
    until: Vec<(u8, i64)>,
}

impl Sounding {
    /// Keys that sound after `now` and began before it, lowest first.
    fn at(&mut self, now: i64, keys: &mut Vec<u8>) {
        self.until.retain(|&(_, end)| end > now);
        keys.clear();
        keys.extend(self.until.iter().map(|&(key, _)| key));
        keys.sort_unstable();
    }

    fn begin(&mut self, note: &PieceNote) {
        match self.until.iter_mut().find(|(key, _)| *key == note.pitch) {
            Some((_, end)) => *end = note.end.max(*end),
            None => self.until.push((note.pitch, note.end)),
        }
    }
}

/// The context of every note, shape [notes, context::WIDTH]. `notes` are in order.
pub(super) fn context(notes: &[PieceNote]) -> Vec<f32> {
    let mut out = Vec::with_capacity(notes.len() * context::WIDTH);
    let (mut sounding, mut last) = (Sounding::default(), None);
    let (mut keys, mut held) = (Vec::new(), Vec::new());
    for chord in chords(notes) {
        let now = notes[chord.start].onset;
        sounding.at(now, &mut held);
        keys.clear();
        keys.extend(notes[chord.clone()].iter().map(|note| note.pitch));
        context::describe(&keys, &held, last.map(|last| now - last), &mut out);
        notes[chord].iter().for_each(|note| sounding.begin(note));
        last = Some(now);
    }
    out
}

/// What a network is shown of a piece, hints apart. `notes` are in order.
pub(super) fn features(notes: &[PieceNote]) -> Features {
    let mut features = Features::default();
    for note in notes {
        features.push(note.pitch, note.velocity, note.onset, note.end - note.onset);
    }
    features.context = context(notes);
    features
}
