//! What the codes mean: `[composer]` of the manifest, which the training reads too.

use std::sync::Arc;

use super::event::Field;
use super::mask::Mask;
use crate::inference::{ComposerEntry, InferenceError, Manifest};

/// More instruments than this have no place in a mask of them.
const MOST_INSTRUMENTS: usize = 127;

/// An instrument of the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// How the command line calls it, e.g. `violin`.
    pub name: String,
    /// The General MIDI program that it is written as, 0-based.
    pub program: u8,
}

/// Codes and what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    resolution: u64,
    beats: u64,
    durations: Vec<u64>,
    /// Code of each duration from 0 ticks to the longest.
    duration_codes: Vec<u16>,
    instruments: Vec<Instrument>,
    /// Code of the instrument of each program; 0: none.
    of_program: [u16; 128],
}

impl Vocabulary {
    /// The vocabulary of a manifest.
    pub fn of(manifest: &Manifest) -> Result<Arc<Self>, InferenceError> {
        let mismatch =
            |reason: &str| InferenceError::Mismatch { name: "composer".to_owned(), reason: reason.to_owned() };
        let entry = manifest.composer.as_ref().ok_or_else(|| mismatch("the manifest has no vocabulary for it"))?;
        Self::new(entry).map(Arc::new).map_err(mismatch)
    }

    /// From the manifest's lists; an error says what is wrong with them.
    pub fn new(entry: &ComposerEntry) -> Result<Self, &'static str> {
        let durations: Vec<u64> = entry.durations.iter().map(|&ticks| u64::from(ticks)).collect();
        let rising = durations.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(&longest), true) = (durations.last(), rising) else { return Err("its durations do not rise") };
        if durations.len() >= Mask::MOST
            || !(1..=120).contains(&entry.resolution)
            || !(1..Mask::MOST as u32).contains(&entry.beats)
            || longest > 1 << 16
        {
            return Err("its beats or ticks are out of range");
        }
        if entry.instruments.is_empty() || entry.instruments.len() > MOST_INSTRUMENTS {
            return Err("it has no instruments, or too many");
        }
        let nearest = |ticks: u64| (0..durations.len()).min_by_key(|&i| durations[i].abs_diff(ticks)).unwrap_or(0);
        let duration_codes = (0..=longest).map(|ticks| nearest(ticks) as u16 + 1).collect();
        let mut of_program = [0; 128];
        for (code, instrument) in (1..).zip(&entry.instruments) {
            for &program in instrument.programs.iter().chain([&instrument.program]) {
                *of_program.get_mut(usize::from(program)).ok_or("a program is not 0 to 127")? = code;
            }
        }
        let named =
            |entry: &crate::inference::InstrumentEntry| Instrument { name: entry.name.clone(), program: entry.program };
        Ok(Self {
            resolution: u64::from(entry.resolution),
            beats: u64::from(entry.beats),
            durations,
            duration_codes,
            instruments: entry.instruments.iter().map(named).collect(),
            of_program,
        })
    }

    /// Ticks per quarter.
    pub fn resolution(&self) -> u64 {
        self.resolution
    }

    /// Beats (quarters) of the longest song.
    pub fn beats(&self) -> u64 {
        self.beats
    }

    /// Durations by code - 1, ticks.
    pub fn durations(&self) -> &[u64] {
        &self.durations
    }

    /// Instruments by code - 1.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Codes of a field, the undefined 0 (or the first type) among them.
    pub fn size(&self, field: Field) -> usize {
        match field {
            Field::Kind => 5,
            Field::Beat => self.beats as usize + 1,
            Field::Position => self.resolution as usize + 1,
            Field::Pitch => 129,
            Field::Duration => self.durations.len() + 1,
            Field::Instrument => self.instruments.len() + 1,
        }
    }

    /// Code of the nearest duration, the smaller of two as near.
    pub fn duration_code(&self, ticks: u64) -> u16 {
        let last = self.duration_codes.len() - 1;
        self.duration_codes[usize::try_from(ticks).map_or(last, |ticks| ticks.min(last))]
    }

    /// Ticks of a duration's code; 0 for what is none.
    pub fn duration(&self, code: u16) -> u64 {
        usize::from(code).checked_sub(1).and_then(|at| self.durations.get(at)).copied().unwrap_or(0)
    }

    /// Code of the instrument that a General MIDI program is read as; 0 where it is left out.
    pub fn instrument_code(&self, program: u8) -> u16 {
        self.of_program[usize::from(program & 0x7f)]
    }

    /// The instrument of a code.
    pub fn instrument(&self, code: u16) -> Option<&Instrument> {
        self.instruments.get(usize::from(code).checked_sub(1)?)
    }

    /// Code of the instrument with a name.
    pub fn named(&self, name: &str) -> Option<u16> {
        let at = self.instruments.iter().position(|own| own.name.eq_ignore_ascii_case(name))?;
        Some(at as u16 + 1)
    }
}
