//! Ensembles: who plays together, and how notes are given out among them; read from TOML files.
//!
//! A file that is wrong gives an [`EnsembleError`] with its line and the reason.
//!
//! ```toml
//! id = "duo"                      # lower-case letters, digits, hyphens; saved projects refer to it
//! name = "Duo"
//! arranger = "quartet_online"     # a trained model, several in order of preference, or split, closest,
//!                                 # closest-mono, by-range
//! zones = [60]                    # for split: lowest MIDI key of every part but the last
//!
//! [[part]]                        # 1 to 8, from high to low
//! name = "Violin"
//! program = 40                    # General MIDI, 0-based
//! lo = 55                         # MIDI keys, both included
//! hi = 103
//! mono = true                     # one note at a time while another part can take the rest
//! # most = 2                      # or: as many at once
//! colour = "#ffe680"
//! voice = "violin1"               # which part of the first named model serves it; else by place, role or range
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::method::Method;
use super::rules;
use crate::stream::MAX_PARTS;

/// Who plays together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    /// How saved projects call it, e.g. `string-quartet`.
    pub id: String,
    /// How musicians call it.
    pub name: String,
    /// How notes are given out unless the musician chooses.
    pub method: Method,
    /// Models of the manifest that can serve it, the best first.
    pub models: Vec<String>,
    /// For [`Method::Split`]: the lowest MIDI key of every part but the last; falling.
    pub zones: Vec<u8>,
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
    /// Most notes it takes at once while other parts can take the rest; 0 is any number.
    pub most: u8,
    /// Red, green, blue of its notes on the dark piano roll.
    pub colour: [u8; 3],
    /// The part of the ensemble's first model that serves it, if the file says so.
    pub voice: Option<String>,
}

impl EnsemblePart {
    /// Semitones from a key to this part's range; 0 inside.
    pub(super) fn distance(&self, key: u8) -> u8 {
        self.lo.saturating_sub(key).max(key.saturating_sub(self.hi))
    }

    /// The middle of its range, a MIDI pitch.
    pub(super) fn middle(&self) -> f64 {
        (f64::from(self.lo) + f64::from(self.hi)) / 2.0
    }

    /// The most notes it takes at once.
    pub(super) fn limit(&self) -> Option<u32> {
        if self.mono { Some(1) } else { Some(u32::from(self.most)).filter(|&most| most > 0) }
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

impl Ensemble {
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
        let parts: Vec<EnsemblePart> = raw.part.into_iter().map(|part| part.into_inner().finish()).collect();
        let (method, models) = raw.arranger.into_inner().finish();
        let zones = raw.zones.map_or_else(|| rules::default_zones(&parts), Spanned::into_inner);
        Ok(Self { id: raw.id.into_inner(), name: raw.name, method, models, zones, parts })
    }
}

impl Ensemble {
    /// The zones with what a musician drew of them, where she did: the lowest key of every part but the last. One drawn
    /// above the zone before it begins with that one, which is then empty.
    pub fn zones_drawn(&self, drawn: &[Option<u8>]) -> Vec<u8> {
        let mut above = 127;
        let zones = self.zones.iter().enumerate().map(|(zone, &key)| {
            above = drawn.get(zone).copied().flatten().unwrap_or(key).min(above);
            above
        });
        zones.collect()
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: Spanned<String>,
    name: String,
    arranger: Spanned<RawArranger>,
    zones: Option<Spanned<Vec<u8>>>,
    part: Vec<Spanned<RawPart>>,
}

/// A method, a model, or models in order of preference.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be a name or a list of names")]
enum RawArranger {
    One(String),
    Several(Vec<String>),
}

impl RawArranger {
    fn finish(self) -> (Method, Vec<String>) {
        match self {
            Self::One(name) => match Method::find(&name) {
                Some(method) => (method, Vec::new()),
                None => (Method::Learned, vec![name]),
            },
            Self::Several(names) => (Method::Learned, names),
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPart {
    name: Spanned<String>,
    program: Spanned<u8>,
    lo: u8,
    hi: Spanned<u8>,
    mono: bool,
    most: Option<Spanned<u8>>,
    #[serde(deserialize_with = "colour")]
    colour: Spanned<[u8; 3]>,
    voice: Option<String>,
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
        let names = self.arranger.get_ref().names();
        let is_model = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let one_method = matches!(names, [name] if Method::find(name).is_some_and(|method| method != Method::Learned));
        if let Some(name) = names.iter().find(|name| !is_model(name) && !one_method) {
            let reason = format!("\"{name}\" is no model's name and not split, closest, closest-mono or by-range");
            return Err((self.arranger.span().start, reason));
        }
        if names.is_empty() {
            return Err((self.arranger.span().start, "the list of models is empty".to_owned()));
        }
        if let Some(zones) = &self.zones {
            let falling = zones.get_ref().windows(2).all(|pair| pair[0] >= pair[1]);
            if zones.get_ref().len() + 1 != count || !falling || zones.get_ref().iter().any(|&key| key > 127) {
                let reason = format!("{count} parts need {} zones, MIDI keys that fall from part to part", count - 1);
                return Err((zones.span().start, reason));
            }
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
            if let Some(most) = part.most.as_ref().filter(|most| part.mono || *most.get_ref() == 0) {
                return Err((
                    most.span().start,
                    "`most` is 1 or more, and only for parts that are not mono".to_owned(),
                ));
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
            most: self.most.map_or(0, Spanned::into_inner),
            colour: self.colour.into_inner(),
            voice: self.voice,
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
arranger = "by-range"

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
    fn zones_are_drawn_over_the_ensembles_own_and_still_fall() {
        let choir = Ensemble::find("satb-choir").unwrap();
        assert_eq!(choir.zones_drawn(&[]), choir.zones);
        assert_eq!(choir.zones_drawn(&[None, Some(60), None, Some(99)]), [choir.zones[0], 60, choir.zones[2]]);
        assert_eq!(choir.zones_drawn(&[Some(50), None, Some(40)]), [50, 50, 40]);
    }

    #[test]
    fn a_good_text_becomes_its_values() {
        let duo = Ensemble::parse("duo.toml", GOOD).unwrap();
        assert_eq!((duo.id.as_str(), duo.method, duo.parts.len()), ("duo", Method::ByRange, 2));
        assert_eq!(duo.parts[0].colour, [0xff, 0xe6, 0x80]);
        assert_eq!(duo.parts[1].distance(30), 6);
    }

    #[test]
    fn an_error_names_the_line_and_the_reason() {
        let matrix = [
            ("id = \"duo\"", "id = \"Duo 2\"", 2, "lower-case"),
            ("\"by-range\"", "\"Magic 3\"", 4, "no model's name"),
            ("\"by-range\"", "[]", 4, "is empty"),
            ("\"by-range\"", "7", 4, "a name or a list"),
            ("\"by-range\"", "\"split\"\nzones = [60, 50]", 5, "need 1 zones"),
            ("mono = true", "mono = true\nmost = 2", 12, "only for parts that are not mono"),
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
        let text = format!("id = \"x\"\nname = \"X\"\narranger = \"by-range\"\n{parts}");
        let error = Ensemble::parse("x.toml", &text).unwrap_err();
        assert_eq!(error.to_string(), "the ensemble x.toml, line 60: it has 9 parts and must have 1 to 8");
    }

    #[test]
    fn models_are_named_in_order_of_preference() {
        let text = GOOD.replace("\"by-range\"", "[\"duo_online\", \"bach_lstm\"]");
        let duo = Ensemble::parse("duo.toml", &text).unwrap();
        assert_eq!((duo.method, duo.models), (Method::Learned, vec!["duo_online".to_owned(), "bach_lstm".to_owned()]));
    }
}
