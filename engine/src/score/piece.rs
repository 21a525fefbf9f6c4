//! A piece as it is written: notes in ticks, in tracks, with tempo, meter and keys.

use std::fmt;

use super::TempoMap;
use super::spelling::spelled;

/// A piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Its title, or empty.
    pub title: String,
    /// Ticks per quarter note, at least 1; every time below is in ticks.
    pub resolution: u32,
    /// Tempo changes in order of time; without any it is 120.
    pub tempi: Vec<Tempo>,
    /// Meter changes in order of time; without any it is 4/4.
    pub meters: Vec<Meter>,
    /// Key signatures in order of time; without any it is C major.
    pub keys: Vec<Key>,
    /// Tracks with notes or controls, in the file's order.
    pub tracks: Vec<Track>,
    /// What was left out or mended in reading, as sentences.
    pub notices: Vec<String>,
}

impl Default for Score {
    fn default() -> Self {
        Self {
            title: String::new(),
            resolution: 480,
            tempi: Vec::new(),
            meters: Vec::new(),
            keys: Vec::new(),
            tracks: Vec::new(),
            notices: Vec::new(),
        }
    }
}

/// A tempo from a time on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tempo {
    /// From when on, ticks.
    pub tick: u64,
    /// Quarter notes a minute, above 0.
    pub per_minute: f64,
}

/// A meter from a time on, as 3/4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// From when on, ticks.
    pub tick: u64,
    /// Beats a measure, at least 1.
    pub numerator: u32,
    /// What a beat is: 4 is a quarter note; at least 1.
    pub denominator: u32,
}

/// A key signature from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// From when on, ticks.
    pub tick: u64,
    /// Sharps, or flats below 0; -7 to 7.
    pub fifths: i8,
    /// Whether it is the minor key of that signature.
    pub minor: bool,
}

impl Key {
    /// The key on a pitch class (0 is C), in the signature with fewer signs.
    pub fn on(tonic: u8, minor: bool) -> Self {
        let major = i32::from(tonic) + if minor { 3 } else { 0 };
        Self { tick: 0, fifths: ((7 * major + 5).rem_euclid(12) - 5) as i8, minor }
    }

    /// The pitch class of its tonic; 0 is C.
    pub fn tonic(&self) -> u8 {
        // Of the minor key a minor third, which is three fifths, lower.
        (7 * i32::from(self.fifths) + if self.minor { 9 } else { 0 }).rem_euclid(12) as u8
    }
}

/// "Eb minor".
impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tonic = spelled(60 + self.tonic(), self.fifths).name();
        write!(formatter, "{tonic} {}", if self.minor { "minor" } else { "major" })
    }
}

/// Notes that belong together: a player, a staff, or a hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    /// Its name, or empty.
    pub name: String,
    /// General MIDI program, 0-based; the first one where it changes, 0 where there is none.
    pub program: u8,
    /// Whether its pitches are drums.
    pub drums: bool,
    /// MIDI channel, 0 to 15, if it came from a MIDI file. Tracks of one channel share their sustain pedal.
    pub channel: Option<u8>,
    /// Sorted by onset, pitch, duration and velocity.
    pub notes: Vec<TickNote>,
    /// Controllers in order of time.
    pub controls: Vec<Control>,
}

/// A note as it is written; keys of a keyboard, without its pedal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TickNote {
    /// Ticks.
    pub onset: u64,
    /// MIDI pitch, 0 to 127.
    pub pitch: u8,
    /// Ticks; 0 where the file says so.
    pub duration: u64,
    /// MIDI velocity, 1 to 127.
    pub velocity: u8,
}

impl TickNote {
    /// First tick after it.
    pub fn end(&self) -> u64 {
        self.onset + self.duration
    }
}

/// A MIDI controller is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// When, ticks.
    pub tick: u64,
    /// Which, 0 to 127; 64 is the sustain pedal.
    pub number: u8,
    /// Where to, 0 to 127.
    pub value: u8,
}

impl Score {
    /// Beats (quarter notes) to seconds and back.
    pub fn tempo_map(&self) -> TempoMap {
        TempoMap::new(self.tempi.iter().map(|tempo| (self.beats(tempo.tick), 60.0 / tempo.per_minute)).collect())
    }

    /// Quarter notes of a time in ticks.
    pub fn beats(&self, tick: u64) -> f64 {
        tick as f64 / f64::from(self.resolution)
    }

    /// When the last note ends, in ticks; 0 without notes.
    pub fn end(&self) -> u64 {
        self.tracks.iter().flat_map(|track| &track.notes).map(TickNote::end).max().unwrap_or(0)
    }

    /// When the last note ends, in seconds; 0 without notes.
    pub fn seconds(&self) -> f64 {
        self.tempo_map().seconds_at(self.beats(self.end()))
    }

    /// Brings everything into the order that the fields promise.
    pub fn sort(&mut self) {
        self.tempi.sort_by_key(|tempo| tempo.tick);
        self.meters.sort_by_key(|meter| meter.tick);
        self.keys.sort_by_key(|key| key.tick);
        for track in &mut self.tracks {
            track.notes.sort();
            track.controls.sort_by_key(|control| control.tick);
        }
    }

    /// The same piece at the coarsest resolution that keeps every time as it is.
    pub fn reduced(self) -> Self {
        let signs = (self.tempi.iter().map(|tempo| tempo.tick))
            .chain(self.meters.iter().map(|meter| meter.tick))
            .chain(self.keys.iter().map(|key| key.tick));
        let notes = self.tracks.iter().flat_map(|track| &track.notes).flat_map(|note| [note.onset, note.duration]);
        let controls = self.tracks.iter().flat_map(|track| &track.controls).map(|control| control.tick);
        let divisor = signs.chain(notes).chain(controls).fold(u64::from(self.resolution.max(1)), |a, b| {
            let (mut a, mut b) = (a, b);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        });
        let resolution = u64::from(self.resolution) / divisor;
        self.at_resolution(resolution as u32)
    }

    /// The same piece at another resolution; times are rounded to the nearest tick.
    pub fn at_resolution(mut self, resolution: u32) -> Self {
        let (from, to) = (u128::from(self.resolution.max(1)), u128::from(resolution.max(1)));
        if from == to {
            return self;
        }
        let scale =
            |tick: &mut u64| *tick = u64::try_from((u128::from(*tick) * to + from / 2) / from).unwrap_or(u64::MAX);
        self.tempi.iter_mut().for_each(|tempo| scale(&mut tempo.tick));
        self.meters.iter_mut().for_each(|meter| scale(&mut meter.tick));
        self.keys.iter_mut().for_each(|key| scale(&mut key.tick));
        for track in &mut self.tracks {
            track.controls.iter_mut().for_each(|control| scale(&mut control.tick));
            for note in &mut track.notes {
                // Ends are moved, not lengths: what touched still touches.
                let mut end = note.end();
                scale(&mut note.onset);
                scale(&mut end);
                note.duration = end - note.onset;
            }
        }
        self.resolution = resolution.max(1);
        self.sort();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_names_and_tonics_of_the_circle_of_fifths() {
        let key = |fifths, minor| Key { tick: 0, fifths, minor };
        let names = |minor| [-7, -6, -3, -1, 0, 1, 6, 7].map(|fifths| key(fifths, minor).to_string());
        assert_eq!(names(false), ["Cb", "Gb", "Eb", "F", "C", "G", "F#", "C#"].map(|name| format!("{name} major")));
        assert_eq!(names(true), ["Ab", "Eb", "C", "D", "A", "E", "D#", "A#"].map(|name| format!("{name} minor")));
        assert_eq!([key(0, false), key(-3, true), key(2, false)].map(|key| key.tonic()), [0, 0, 2]);
        for (fifths, minor) in (-5..=6).flat_map(|fifths| [(fifths, false), (fifths, true)]) {
            assert_eq!(Key::on(key(fifths, minor).tonic(), minor), key(fifths, minor));
        }
    }

    #[test]
    fn at_another_resolution_notes_that_touched_still_touch() {
        let note = |onset, duration| TickNote { onset, pitch: 60, duration, velocity: 64 };
        let notes = vec![note(0, 160), note(160, 160), note(320, 160)];
        let score = Score { tracks: vec![Track { notes, ..Track::default() }], ..Score::default() };
        let coarse = score.at_resolution(4);
        let notes: Vec<(u64, u64)> = coarse.tracks[0].notes.iter().map(|n| (n.onset, n.end())).collect();
        assert_eq!(notes, [(0, 1), (1, 3), (3, 4)]);
    }
}
