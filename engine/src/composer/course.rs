//! How far a song is, and which events may come next.
//!
//! Promises that until the song has ended there is always one: where no note may begin any more, the song may end.

use super::event::{Event, Field, Kind};
use super::limits::Limits;
use super::mask::Mask;
use super::vocabulary::Vocabulary;
use std::sync::Arc;

/// A song so far, as far as it bears on what may come next.
///
/// Types, beats and positions never fall; a song has an instrument at least, each once and in order, before its notes; a
/// note is of an instrument that the song has, and is not there already.
#[derive(Debug, Clone)]
pub struct Course {
    vocabulary: Arc<Vocabulary>,
    last: Option<Kind>,
    /// Instruments of the song, a bit a code, and the last of them.
    declared: u128,
    last_instrument: u16,
    /// Onset of the last note, ticks.
    onset: Option<u64>,
    /// Of each instrument by code: pitches that began with the last note, bit by bit.
    begun: Vec<u128>,
    /// Ends of what sounds after `onset`, ticks, by instrument's code.
    sounding: Vec<Vec<u64>>,
    /// Notes that began in the beat of the last note.
    in_beat: u32,
}

impl Course {
    /// Before the beginning.
    pub fn new(vocabulary: &Arc<Vocabulary>) -> Self {
        let codes = vocabulary.instruments().len() + 1;
        Self {
            vocabulary: Arc::clone(vocabulary),
            last: None,
            declared: 0,
            last_instrument: 0,
            onset: None,
            begun: vec![0; codes],
            sounding: vec![Vec::new(); codes],
            in_beat: 0,
        }
    }

    /// Whether nothing may follow.
    pub fn has_ended(&self) -> bool {
        self.last == Some(Kind::End)
    }

    /// Whether the notes have begun and not ended.
    pub fn in_notes(&self) -> bool {
        matches!(self.last, Some(Kind::Notes | Kind::Note))
    }

    /// Onset of the last note, ticks.
    pub fn onset(&self) -> Option<u64> {
        self.onset
    }

    /// Goes on by an event. What was played may break the musician's limits; it counts all the same.
    pub fn push(&mut self, event: &Event) {
        let [kind, beat, position, pitch, duration, instrument] = event.0;
        match kind {
            0 => self.last = Some(Kind::Song),
            1 => {
                self.last = Some(Kind::Instrument);
                self.declared |= 1 << (instrument & 127);
                self.last_instrument = instrument;
            }
            2 => self.last = Some(Kind::Notes),
            3 => {
                self.last = Some(Kind::Note);
                let resolution = self.vocabulary.resolution();
                let onset = u64::from(beat.max(1) - 1) * resolution + u64::from(position.max(1) - 1);
                if self.onset != Some(onset) {
                    let same_beat = self.onset.is_some_and(|last| last / resolution == onset / resolution);
                    self.in_beat = if same_beat { self.in_beat } else { 0 };
                    self.onset = Some(onset);
                    self.begun.fill(0);
                    self.sounding.iter_mut().for_each(|ends| ends.retain(|&end| end > onset));
                }
                self.in_beat += 1;
                if let Some(begun) = self.begun.get_mut(usize::from(instrument)) {
                    *begun |= 1 << (pitch.max(1) - 1).min(127);
                    self.sounding[usize::from(instrument)].push(onset + self.vocabulary.duration(duration));
                }
            }
            _ => self.last = Some(Kind::End),
        }
    }

    /// Codes of a field that may come next. `event` holds the fields that are chosen already, its type among them, and 0
    /// in the others. While the song has not ended and the fields chosen are allowed, there is one.
    pub fn allowed(&self, field: Field, event: &Event, limits: &Limits) -> Mask {
        if field == Field::Kind {
            return self.kinds(limits);
        }
        if event.is(Kind::Instrument) && field == Field::Instrument {
            return self.new_instruments(limits);
        }
        if !event.is(Kind::Note) {
            return Mask::only(0);
        }
        let resolution = self.vocabulary.resolution();
        let Some(earliest) = self.earliest(limits) else { return Mask::default() };
        let beat = u64::from(event.get(Field::Beat).max(1) - 1);
        let onset = beat * resolution + u64::from(event.get(Field::Position).max(1) - 1);
        match field {
            Field::Beat => Mask::range((earliest / resolution) as u16 + 1, self.vocabulary.beats() as u16),
            Field::Position => {
                let first = if earliest / resolution == beat { earliest % resolution } else { 0 };
                Mask::range(first as u16 + 1, resolution as u16)
            }
            Field::Instrument => {
                let chosen = event.get(Field::Pitch);
                let fits = |pitches: u128| if chosen > 0 { pitches >> (chosen - 1) & 1 == 1 } else { pitches != 0 };
                let mut mask = Mask::default();
                self.declared().filter(|&code| fits(self.free(code, onset, limits))).for_each(|code| mask.insert(code));
                mask
            }
            Field::Pitch => Mask::of_pitches(match event.get(Field::Instrument) {
                0 => self.declared().fold(0, |all, code| all | self.free(code, onset, limits)),
                instrument => self.free(instrument, onset, limits),
            }),
            Field::Duration => Mask::range(1, self.vocabulary.durations().len() as u16),
            Field::Kind => Mask::default(),
        }
    }

    fn kinds(&self, limits: &Limits) -> Mask {
        let note_or_end = |may_end: bool| {
            let mut mask = Mask::default();
            let can_play = self.earliest(limits).is_some();
            if can_play {
                mask.insert(Kind::Note.code());
            }
            if may_end || !can_play {
                mask.insert(Kind::End.code());
            }
            mask
        };
        match self.last {
            None => Mask::only(Kind::Song.code()),
            Some(Kind::Song) => Mask::only(Kind::Instrument.code()),
            Some(Kind::Instrument) => {
                let mut mask = Mask::only(Kind::Notes.code());
                if !self.new_instruments(limits).is_empty() {
                    mask.insert(Kind::Instrument.code());
                }
                mask
            }
            Some(Kind::Notes) => note_or_end(false),
            Some(Kind::Note) => note_or_end(limits.may_end),
            Some(Kind::End) => Mask::default(),
        }
    }

    /// Instruments that may still join: those after the last one. A song has one at least, whatever the limits say.
    fn new_instruments(&self, limits: &Limits) -> Mask {
        let all = self.vocabulary.instruments().len() as u16;
        let mut mask = Mask::default();
        (self.last_instrument + 1..=all).filter(|&code| limits.allows(code)).for_each(|code| mask.insert(code));
        if mask.is_empty() && self.declared == 0 { Mask::range(1, all) } else { mask }
    }

    /// Codes of the song's instruments.
    fn declared(&self) -> impl Iterator<Item = u16> + '_ {
        (1..self.begun.len() as u16).filter(|&code| self.declared >> (code & 127) & 1 == 1)
    }

    /// The pitches an instrument may begin at a tick, bit by bit.
    fn free(&self, instrument: u16, onset: u64, limits: &Limits) -> u128 {
        let Some(ends) = self.sounding.get(usize::from(instrument)) else { return 0 };
        if ends.iter().filter(|&&end| end > onset).count() >= limits.at_once(instrument) {
            return 0;
        }
        let begun = if self.onset == Some(onset) { self.begun[usize::from(instrument)] } else { 0 };
        limits.pitches(instrument) & !begun
    }

    /// The first tick at which a note may begin, or none within the longest song.
    fn earliest(&self, limits: &Limits) -> Option<u64> {
        let resolution = self.vocabulary.resolution();
        let mut from = limits.from.max(self.onset.unwrap_or(0));
        if let (Some(onset), Some(most)) = (self.onset, limits.per_beat)
            && self.in_beat >= most.max(1)
        {
            from = from.max((onset / resolution + 1) * resolution);
        }
        let first = |code: u16| {
            if limits.pitches(code) == 0 {
                return None;
            }
            let mut ends: Vec<u64> =
                self.sounding.get(usize::from(code))?.iter().copied().filter(|&end| end > from).collect();
            let at_once = limits.at_once(code);
            let mut tick = from;
            if ends.len() >= at_once {
                ends.sort_unstable();
                tick = ends[ends.len() - at_once];
            }
            // Where all its pitches have begun, it goes on a tick later.
            Some(if self.free(code, tick, limits) == 0 { tick + 1 } else { tick })
        };
        let earliest = self.declared().filter_map(first).min();
        earliest.filter(|&tick| tick < self.vocabulary.beats() * resolution)
    }
}
