//! How near composed music is to real music, and how well a network foresees it.

use super::encoding;
use super::event::{Event, FIELDS, Field, Kind};
use super::network::{Predictor, log_probability};
use super::vocabulary::Vocabulary;
use crate::inference::InferenceError;
use crate::score::{Score, metrics};

/// Beats (quarters) that the figures of a song are of.
pub const BEATS: u64 = 64;

/// Figures of a song's first [`BEATS`] beats, as MusPy defines them; nothing where they have no meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Bits.
    pub pitch_class_entropy: Option<f64>,
    /// 0 to 1.
    pub scale_consistency: Option<f64>,
    /// 0 to 1, in measures of four quarters.
    pub groove_consistency: Option<f64>,
}

impl Figures {
    /// Of the notes among events.
    pub fn of(events: &[Event], vocabulary: &Vocabulary) -> Self {
        let score = super::piece::until(encoding::score(events, vocabulary), BEATS * vocabulary.resolution());
        Self {
            pitch_class_entropy: metrics::pitch_class_entropy(&score),
            scale_consistency: metrics::scale_consistency(&score),
            groove_consistency: metrics::groove_consistency(&score, 4 * vocabulary.resolution()),
        }
    }

    /// Means, each over the songs for which it has a meaning.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> Option<f64>| {
            let found: Vec<f64> = all.iter().filter_map(of).collect();
            (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
        };
        Self {
            pitch_class_entropy: mean(|figures| figures.pitch_class_entropy),
            scale_consistency: mean(|figures| figures.scale_consistency),
            groove_consistency: mean(|figures| figures.groove_consistency),
        }
    }
}

/// The beginning of a score as a song of at most `window` events, with its end if that is within them.
pub fn first_window(score: &Score, vocabulary: &Vocabulary, window: usize) -> Vec<Event> {
    let notes = encoding::events(&encoding::notes(score, vocabulary), vocabulary);
    // The head is one instrument at least and 64 at most: few lengths need be tried.
    let longest = (0..=notes.len().min(window)).rev();
    let mut songs = longest.map(|kept| encoding::song(&notes[..kept], kept == notes.len()));
    songs.find(|song| song.len() <= window).unwrap_or_default()
}

/// Negative log-likelihoods, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Likelihood {
    /// Nats of each field, by [`Field`], over all events.
    pub fields: [f64; 6],
    /// Nats over the notes alone.
    pub of_notes: f64,
    /// Events that were foreseen.
    pub events: usize,
    /// Notes among them.
    pub notes: usize,
}

impl Likelihood {
    /// Adds the events of a song that fits into the network's window; each is foreseen from those before it. Fields that
    /// an event does not have do not count.
    pub fn add(&mut self, network: &mut impl Predictor, song: &[Event]) -> Result<(), InferenceError> {
        network.rewind(0);
        network.hear(&song[..song.len().saturating_sub(1)])?;
        // Backwards: the network need only forget.
        for at in (1..song.len()).rev() {
            network.rewind(at);
            let event = &song[at];
            let is_note = event.is(Kind::Note);
            self.events += 1;
            self.notes += usize::from(is_note);
            for field in FIELDS.into_iter().filter(|&field| field == Field::Kind || event.get(field) > 0) {
                let nats = -log_probability(network.predict(field, event)?, event.get(field));
                self.fields[field as usize] += nats;
                self.of_notes += if is_note { nats } else { 0.0 };
            }
        }
        Ok(())
    }

    /// Nats per note.
    pub fn per_note(&self) -> Option<f64> {
        (self.notes > 0).then(|| self.of_notes / self.notes as f64)
    }

    /// Nats per event, notes or not.
    pub fn per_event(&self) -> Option<f64> {
        (self.events > 0).then(|| self.fields.iter().sum::<f64>() / self.events as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Babble, vocabulary};
    use super::*;
    use crate::score::{TickNote, Track};

    fn score(notes: u64) -> Score {
        let note = |i| TickNote { onset: 12 * i, pitch: 60 + (i % 7) as u8, duration: 12, velocity: 64 };
        let track = |program, from, to| Track { program, notes: (from..to).map(note).collect(), ..Track::default() };
        Score { resolution: 12, tracks: vec![track(40, 0, notes / 2), track(42, notes / 2, notes)], ..Score::default() }
    }

    #[test]
    fn a_window_names_the_instruments_of_its_own_notes() {
        let vocabulary = vocabulary();
        let whole = first_window(&score(8), &vocabulary, 99);
        assert_eq!((whole.len(), whole[12]), (13, Event::sign(Kind::End)));
        let cut = first_window(&score(8), &vocabulary, 7);
        assert_eq!((cut.len(), cut[2]), (7, Event::sign(Kind::Notes)));
        assert!(cut[3..].iter().all(|event| event.get(Field::Instrument) == vocabulary.named("violin").unwrap()));
    }

    #[test]
    fn figures_are_those_of_the_first_64_beats() {
        let vocabulary = vocabulary();
        let figures = |notes| Figures::of(&first_window(&score(notes), &vocabulary, 9_999), &vocabulary);
        assert_eq!(figures(200), figures(240));
        // Seven neighbouring semitones: five of them are in a major scale.
        assert!(figures(200).groove_consistency > Some(0.99) && figures(200).scale_consistency < Some(0.8));
        let mean = Figures::mean(&[figures(200), Figures::default()]);
        assert_eq!(mean, figures(200));
    }

    #[test]
    fn what_is_as_likely_as_everything_else_costs_the_logarithm_of_how_much_there_is() {
        let vocabulary = vocabulary();
        let mut flat = Babble::flat(&vocabulary, 100);
        let mut found = Likelihood::default();
        let song = first_window(&score(4), &vocabulary, 100);
        found.add(&mut flat, &song).unwrap();
        let note: f64 = FIELDS.map(|field| (vocabulary.size(field) as f64).ln()).iter().sum();
        assert!((found.per_note().unwrap() - note).abs() < 1e-9);
        // Two instruments, the start of the notes, the end.
        let sign = 4.0 * 5f64.ln() + 2.0 * 65f64.ln();
        assert!((found.per_event().unwrap() - (4.0 * note + sign) / 8.0).abs() < 1e-9);
    }
}
