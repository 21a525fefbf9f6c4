//! Ensembles: their parts from high to low, read from `assets/ensembles/*.toml`, which are compiled in.

use std::collections::HashSet;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::lstm;
use crate::stream::MAX_PARTS;

/// How notes are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Separation {
    /// The online LSTM trained on four-part chorales.
    BachLstm,
    /// By range alone; one part takes everything.
    None,
}

/// Who plays together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// How saved projects call it, e.g. `string-quartet`.
    pub id: String,
    /// How musicians call it.
    pub name: String,
    /// How notes are given out.
    pub arranger: Separation,
    /// 1 to [`MAX_PARTS`] parts, from high to low.
    pub parts: Vec<EnsemblePart>,
}

/// One part of an ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnsemblePart {
    /// How musicians call it.
    pub name: String,
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Lowest MIDI key it is given while another part can take what lies below.
    pub lo: u8,
    /// Highest MIDI key, included.
    pub hi: u8,
    /// Takes one note at a time while other parts can take the rest.
    pub mono: bool,
    /// Red, green, blue of its notes on the dark piano roll.
    pub colour: [u8; 3],
}

impl EnsemblePart {
    /// Semitones from a key to this part's range; 0 inside.
    pub(super) fn distance(&self, key: u8) -> u8 {
        self.lo.saturating_sub(key).max(key.saturating_sub(self.hi))
    }
}

/// Why a text is not an ensemble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ensemble {file}, line {line}: {reason}")]
pub struct EnsembleError {
    /// The file it came from.
    pub file: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

/// The ensembles compiled in, in the order of the menu.
const TEXTS: [(&str, &str); 7] = [
    ("satb-choir.toml", include_str!("../../../assets/ensembles/satb-choir.toml")),
    ("string-quartet.toml", include_str!("../../../assets/ensembles/string-quartet.toml")),
    ("woodwind-quartet.toml", include_str!("../../../assets/ensembles/woodwind-quartet.toml")),
    ("brass-quartet.toml", include_str!("../../../assets/ensembles/brass-quartet.toml")),
    ("sax-quartet.toml", include_str!("../../../assets/ensembles/sax-quartet.toml")),
    ("keyboard.toml", include_str!("../../../assets/ensembles/keyboard.toml")),
    ("solo.toml", include_str!("../../../assets/ensembles/solo.toml")),
];

impl Ensemble {
    /// Every ensemble, in the order of the menu. Parsed on the first call.
    pub fn all() -> &'static [Ensemble] {
        static ALL: OnceLock<Vec<Ensemble>> = OnceLock::new();
        ALL.get_or_init(|| {
            let parse = |(file, text)| match Ensemble::parse(file, text) {
                Ok(ensemble) => Some(ensemble),
                // A test parses every one of them, so this is a build that was never tested.
                Err(error) => {
                    log::error!("{error}");
                    None
                }
            };
            TEXTS.into_iter().filter_map(parse).collect()
        })
    }

    /// The ensemble with an id.
    pub fn find(id: &str) -> Option<&'static Ensemble> {
        Self::all().iter().find(|ensemble| ensemble.id == id)
    }

    /// Reads one ensemble; `file` is for the error alone.
    pub fn parse(file: &str, text: &str) -> Result<Self, EnsembleError> {
        let at = |offset: usize, reason: String| EnsembleError {
            file: file.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count(),
            reason,
        };
        let raw: Raw = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message().replace('\n', " ")))?;
        raw.check().map_err(|(offset, reason)| at(offset, reason))?;
        let parts = raw.part.into_iter().map(|part| part.into_inner().finish()).collect();
        Ok(Self { id: raw.id.into_inner(), name: raw.name, arranger: raw.arranger.into_inner(), parts })
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Spanned<String>,
    name: String,
    arranger: Spanned<Separation>,
    part: Vec<Spanned<RawPart>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    name: Spanned<String>,
    program: Spanned<u8>,
    lo: u8,
    hi: Spanned<u8>,
    mono: bool,
    #[serde(deserialize_with = "colour")]
    colour: Spanned<[u8; 3]>,
}

impl Raw {
    /// What types cannot say. The error is a byte offset and a reason.
    fn check(&self) -> Result<(), (usize, String)> {
        let id = self.id.get_ref();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err((
                self.id.span().start,
                format!("the id \"{id}\" must be lower-case letters, digits and hyphens"),
            ));
        }
        let count = self.part.len();
        if count == 0 || count > MAX_PARTS {
            let reason = format!("it has {count} parts and must have 1 to {MAX_PARTS}");
            return Err((self.part.get(MAX_PARTS).map_or(0, |part| part.span().start), reason));
        }
        if *self.arranger.get_ref() == Separation::BachLstm && count != lstm::PARTS {
            let reason = format!("the arranger bach_lstm gives notes to {} parts and there are {count}", lstm::PARTS);
            return Err((self.arranger.span().start, reason));
        }
        let (mut names, mut colours) = (HashSet::new(), HashSet::new());
        for part in self.part.iter().map(Spanned::get_ref) {
            let (program, hi) = (*part.program.get_ref(), *part.hi.get_ref());
            if program > 127 {
                return Err((part.program.span().start, format!("the program {program} is not 0 to 127")));
            }
            if hi > 127 || part.lo > hi {
                return Err((part.hi.span().start, format!("the range {} to {hi} is not within 0 to 127", part.lo)));
            }
            if !names.insert(part.name.get_ref()) {
                return Err((part.name.span().start, format!("two parts are called \"{}\"", part.name.get_ref())));
            }
            if !colours.insert(part.colour.get_ref()) {
                return Err((part.colour.span().start, "two parts have this colour".to_owned()));
            }
        }
        Ok(())
    }
}

impl RawPart {
    fn finish(self) -> EnsemblePart {
        EnsemblePart {
            name: self.name.into_inner(),
            program: self.program.into_inner(),
            lo: self.lo,
            hi: self.hi.into_inner(),
            mono: self.mono,
            colour: self.colour.into_inner(),
        }
    }
}

/// `"#rrggbb"` as three bytes.
fn colour<'de, D: Deserializer<'de>>(from: D) -> Result<Spanned<[u8; 3]>, D::Error> {
    let text = Spanned::<String>::deserialize(from)?;
    let digits = text.get_ref().strip_prefix('#').filter(|hex| hex.len() == 6);
    let number = digits
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .ok_or_else(|| serde::de::Error::custom(format!("the colour \"{}\" is not written #rrggbb", text.get_ref())))?;
    let [_, red, green, blue] = number.to_be_bytes();
    Ok(Spanned::new(text.span(), [red, green, blue]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r##"
id = "duo"
name = "Duo"
arranger = "none"

[[part]]
name = "Violin"
program = 40
lo = 55
hi = 103
mono = true
colour = "#ffe680"

[[part]]
name = "Cello"
program = 42
lo = 36
hi = 81
mono = true
colour = "#8f7bf0"
"##;

    fn error(from: &str, to: &str) -> (usize, String) {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        let error = Ensemble::parse("duo.toml", &text).unwrap_err();
        (error.line, error.reason)
    }

    #[test]
    fn every_ensemble_parses_and_is_found_by_its_file_name() {
        for (file, text) in TEXTS {
            let ensemble = Ensemble::parse(file, text).unwrap();
            assert_eq!(format!("{}.toml", ensemble.id), file);
            assert_eq!(Ensemble::find(&ensemble.id), Some(&ensemble));
        }
        assert_eq!(Ensemble::all().len(), TEXTS.len());
    }

    #[test]
    fn every_key_of_a_piano_is_in_some_parts_range_or_has_a_nearest_part() {
        for ensemble in Ensemble::all() {
            let (low, high) = (ensemble.parts.last().unwrap(), &ensemble.parts[0]);
            for key in low.lo..=high.hi {
                assert!(ensemble.parts.iter().any(|part| part.distance(key) == 0), "{} {key}", ensemble.id);
            }
        }
    }

    #[test]
    fn a_good_text_becomes_its_values() {
        let duo = Ensemble::parse("duo.toml", GOOD).unwrap();
        assert_eq!((duo.id.as_str(), duo.arranger, duo.parts.len()), ("duo", Separation::None, 2));
        assert_eq!(duo.parts[0].colour, [0xff, 0xe6, 0x80]);
        assert_eq!(duo.parts[1].distance(30), 6);
    }

    #[test]
    fn an_error_names_the_line_and_the_reason() {
        let matrix = [
            ("id = \"duo\"", "id = \"Duo 2\"", 2, "lower-case"),
            ("\"none\"", "\"bach_lstm\"", 4, "gives notes to 4 parts"),
            ("\"none\"", "\"magic\"", 4, "unknown variant `magic`"),
            ("program = 40", "program = 128", 8, "not 0 to 127"),
            ("hi = 103", "hi = 54", 10, "the range 55 to 54"),
            ("#ffe680", "ffe680", 12, "not written #rrggbb"),
            ("#ffe680", "#ffe68é", 12, "not written #rrggbb"),
            ("\"Cello\"", "\"Violin\"", 15, "two parts are called"),
            ("#8f7bf0", "#ffe680", 20, "this colour"),
            ("mono = true\n", "", 6, "missing field `mono`"),
            ("mono = true", "mono = true\nkazoo = 1", 12, "unknown field `kazoo`"),
            ("lo = 55", "lo = \"G3\"", 9, "invalid type"),
        ];
        for (from, to, line, reason) in matrix {
            let (found, text) = error(from, to);
            assert!(found == line && text.contains(reason), "{to}: line {found}, {text}");
        }
    }

    #[test]
    fn more_parts_than_the_engine_has_are_refused() {
        let part = "[[part]]\nname = \"N\"\nprogram = 0\nlo = 0\nhi = 127\nmono = false\ncolour = \"#00000N\"\n";
        let parts: String = (1..=9).map(|n| part.replace('N', &n.to_string())).collect();
        let text = format!("id = \"x\"\nname = \"X\"\narranger = \"none\"\n{parts}");
        let error = Ensemble::parse("x.toml", &text).unwrap_err();
        assert_eq!(error.to_string(), "the ensemble x.toml, line 60: it has 9 parts and must have 1 to 8");
    }

    /// sRGB to linear light (IEC 61966-2-1).
    fn linear(colour: [u8; 3]) -> [f64; 3] {
        colour.map(|byte| {
            let c = f64::from(byte) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
    }

    /// CIELAB under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        const XYZ: [[f64; 3]; 3] = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
        let [x, y, z] = times(XYZ, rgb);
        let f = |t: f64| if t > (6.0f64 / 29.0).powi(3) { t.cbrt() } else { t * 841.0 / 108.0 + 4.0 / 29.0 };
        let (x, y, z) = (f(x / 0.95047), f(y), f(z / 1.08883));
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn part_colours_can_be_told_apart_by_every_eye() {
        // Full dichromacy, in linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
        const EYES: [[[f64; 3]; 3]; 4] = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        ];
        for ensemble in Ensemble::all() {
            for eye in EYES {
                let seen: Vec<[f64; 3]> = ensemble
                    .parts
                    .iter()
                    .map(|part| lab(times(eye, linear(part.colour)).map(|c| c.clamp(0.0, 1.0))))
                    .collect();
                for (i, a) in seen.iter().enumerate() {
                    for b in &seen[..i] {
                        let distance = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
                        assert!(distance > 25.0, "{}: {distance}", ensemble.id);
                    }
                }
            }
        }
    }

    #[test]
    fn part_colours_are_legible_on_a_dark_background() {
        // WCAG 2.2, 1.4.3: 4.5 to 1, here against #14161a.
        let luminance = |colour| {
            let [r, g, b] = linear(colour);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for part in Ensemble::all().iter().flat_map(|ensemble| &ensemble.parts) {
            let contrast = (luminance(part.colour) + 0.05) / (luminance([0x14, 0x16, 0x1a]) + 0.05);
            assert!(contrast > 4.5, "{}: {contrast}", part.name);
        }
    }
}
