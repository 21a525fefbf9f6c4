//! The kinds of files a score is read from and written to, by the ending of their names.

use std::path::Path;

use super::{Score, ScoreError, abc, midi, musicxml, muspy};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Standard MIDI file.
    Midi,
    /// MusicXML, plain or compressed.
    MusicXml,
    /// ABC notation.
    Abc,
    /// MusPy's JSON.
    MusPy,
}

impl Format {
    /// Every kind, with the endings that name it.
    const ALL: [(Self, &'static [&'static str]); 4] = [
        (Self::Midi, &["mid", "midi", "smf"]),
        (Self::MusicXml, &["musicxml", "mxl", "xml"]),
        (Self::Abc, &["abc"]),
        (Self::MusPy, &["json"]),
    ];

    /// The kind that the ending of a name says, in letters of either case.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL.iter().find(|(_, endings)| endings.contains(&ending.as_str())).map(|&(format, _)| format)
    }

    pub(super) fn endings() -> String {
        let all: Vec<String> =
            Self::ALL.iter().flat_map(|(_, endings)| endings.iter()).map(|ending| format!(".{ending}")).collect();
        all.join(", ")
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Midi => "a MIDI file",
            Self::MusicXml => "a MusicXML score",
            Self::Abc => "ABC notation",
            Self::MusPy => "MusPy's JSON",
        }
    }

    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Midi => "Give a standard MIDI file (.mid).",
            Self::MusicXml => "Give a partwise MusicXML file (.musicxml or .mxl).",
            Self::Abc => "Give a tune in ABC notation (.abc).",
            Self::MusPy => "Give a file that MusPy saved (.json).",
        }
    }
}

impl Score {
    /// Reads a file of any known kind.
    pub fn read(path: &Path) -> Result<Self, ScoreError> {
        match Format::of(path) {
            Some(Format::Midi) => midi::read(path),
            Some(Format::MusicXml) => musicxml::read(path),
            Some(Format::Abc) => abc::read(path),
            Some(Format::MusPy) => muspy::read(path),
            None => Err(ScoreError::UnknownFormat { path: path.into() }),
        }
    }

    /// Writes a file of any known kind.
    pub fn write(&self, path: &Path) -> Result<(), ScoreError> {
        match Format::of(path) {
            Some(Format::Midi) => midi::write(path, self),
            Some(Format::MusicXml) => musicxml::write(path, self),
            Some(Format::Abc) => abc::write(path, self),
            Some(Format::MusPy) => muspy::write(path, self),
            None => Err(ScoreError::UnknownFormat { path: path.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        assert_eq!(Format::of(Path::new("a.MID")), Some(Format::Midi));
        let error = Score::read(Path::new("notes.txt")).unwrap_err().to_string();
        assert!(error.contains(".mid"), "{error}");
    }
}
