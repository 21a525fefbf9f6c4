//! What a musician asks of the live composer.

use crate::arranger::Ensemble;
use crate::composer::{Limits, PartLimit, Vocabulary};

/// Most notes that a part without a limit of its own plays at once.
const AT_ONCE: u32 = 4;

/// Whether the composer plays, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveMode {
    /// It does not.
    #[default]
    Off,
    /// It goes on when you stop, until you play again.
    Continue,
    /// You play a part and it plays the others.
    Accompany,
}

/// What the live composer may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveSettings {
    /// Whether it plays.
    pub mode: LiveMode,
    /// Accompany: the part of the ensemble that you play, 0 is the first.
    pub own_part: usize,
    /// Lowest MIDI pitch.
    pub lowest: u8,
    /// Highest MIDI pitch, included.
    pub highest: u8,
    /// Most notes that begin in a beat; 0 is any number.
    pub per_beat: u32,
    /// Only pitch classes of the keys that are held; any while none is.
    pub chord_tones: bool,
    /// As [`crate::composer::Sampler::set_temperature`].
    pub temperature: f32,
    /// Beats that are planned ahead, 1 to 4.
    pub look_ahead: f64,
    /// Continue: goes on from the next bar, not the next beat.
    pub from_bar: bool,
    /// Quarter notes a minute where no transport runs, 20 to 400; `None` is as you play.
    pub tempo: Option<f64>,
    /// How often was tapped: with every tap a beat is where it is heard of.
    pub taps: u64,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            mode: LiveMode::Off,
            own_part: 0,
            lowest: 0,
            highest: 127,
            per_beat: 0,
            chord_tones: false,
            temperature: 1.0,
            look_ahead: 2.0,
            from_bar: false,
            tempo: None,
            taps: 0,
        }
    }
}

/// A part of the ensemble as the composer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePart {
    /// Code of its instrument; 0: the vocabulary has none, and it is not composed for.
    pub instrument: u16,
    /// Lowest MIDI pitch.
    pub lowest: u8,
    /// Highest MIDI pitch, included.
    pub highest: u8,
    /// Most notes at once.
    pub at_once: u32,
    /// Whether it is composed for. The network knows of it all the same.
    pub on: bool,
}

impl LivePart {
    /// The parts of an ensemble, in its order.
    pub fn of(ensemble: &Ensemble, vocabulary: &Vocabulary) -> Vec<Self> {
        let part = |part: &crate::arranger::EnsemblePart| Self {
            instrument: vocabulary.instrument_code(part.program),
            lowest: part.lo,
            highest: part.hi,
            at_once: match (part.mono, part.most) {
                (true, _) => 1,
                (false, 0) => AT_ONCE,
                (false, most) => u32::from(most),
            },
            on: true,
        };
        ensemble.parts.iter().map(part).collect()
    }
}

/// The limits of what is composed for parts; `chord` as in [`Limits`]. Parts of one instrument are one to the network.
pub(super) fn limits(settings: &LiveSettings, parts: &[(usize, LivePart)], chord: u16, from: u64) -> Limits {
    let mut merged: Vec<PartLimit> = Vec::new();
    for (_, part) in parts {
        let at_once = |others: u32| Some(others + part.at_once);
        match merged.iter_mut().find(|other| other.instrument == part.instrument) {
            Some(other) => {
                other.lowest = other.lowest.min(part.lowest);
                other.highest = other.highest.max(part.highest);
                other.at_once = at_once(other.at_once.unwrap_or(0));
            }
            None => merged.push(PartLimit {
                instrument: part.instrument,
                lowest: part.lowest,
                highest: part.highest,
                at_once: at_once(0),
            }),
        }
    }
    Limits {
        parts: merged,
        lowest: settings.lowest,
        highest: settings.highest,
        chord: if settings.chord_tones { chord } else { 0 },
        per_beat: Some(settings.per_beat).filter(|&most| most > 0),
        from,
        may_end: false,
    }
}
