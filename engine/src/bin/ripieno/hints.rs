//! The file of `ripieno arrange --hints`: what is known of the parts before anything is heard.
//!
//! ```toml
//! [viola]            # a part of the ensemble, letters and digits of its name, case apart
//! enters = 8.0       # quarter notes from the start; without it, from the start
//! pitch = 60         # about its mean MIDI pitch; without it, unknown
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use ripieno_engine::arranger::{Ensemble, Hints};
use ripieno_engine::stream::MAX_PARTS;
use serde::Deserialize;

use crate::{Failure, list};

/// When parts enter and how high they play.
#[derive(Debug, Clone, Default)]
pub struct EntryHints {
    /// Quarter notes from the start, per part.
    pub enters: [Option<f64>; MAX_PARTS],
    /// Mean MIDI pitch, per part.
    pub pitch: [Option<u8>; MAX_PARTS],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPart {
    enters: Option<f64>,
    pitch: Option<u8>,
}

impl EntryHints {
    /// Reads a file for an ensemble.
    pub fn read(file: &Path, ensemble: &Ensemble) -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}.", file.display()))?;
        Self::parse(&text, ensemble).map_err(|reason| format!("the hints {}: {reason}", file.display()).into())
    }

    fn parse(text: &str, ensemble: &Ensemble) -> Result<Self, String> {
        let given: BTreeMap<String, OfPart> =
            toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        let plain = |name: &str| -> String {
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let names: Vec<String> = ensemble.parts.iter().map(|part| plain(&part.name)).collect();
        let mut hints = Self::default();
        for (name, of) in given {
            let Some(part) = names.iter().position(|own| *own == plain(&name)) else {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(format!("there is no part \"{name}\": {}", list::known(&name, &names)));
            };
            if of.enters.is_some_and(|beat| !(0.0..=1e6).contains(&beat)) || of.pitch.is_some_and(|pitch| pitch > 127) {
                return Err(format!("\"{name}\" enters at 0 or later, and its pitch is 0 to 127"));
            }
            (hints.enters[part], hints.pitch[part]) = (of.enters, of.pitch);
        }
        Ok(hints)
    }

    /// What is so at a beat.
    pub fn at(&self, beat: f64) -> Hints {
        // A chord a hair early, as a player's, is on its beat.
        let on = std::array::from_fn(|part| self.enters[part].is_none_or(|from| beat >= from - 1.0 / 48.0));
        Hints { on, pitch: self.pitch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name_and_mistakes_are_told() {
        let quartet = Ensemble::find("string-quartet").unwrap();
        let hints = EntryHints::parse("[violin2]\nenters = 4\npitch = 65\n[Cello]\nenters = 8.5", quartet).unwrap();
        assert_eq!((hints.enters[1], hints.pitch[1], hints.enters[3]), (Some(4.0), Some(65), Some(8.5)));
        assert_eq!(hints.at(4.0).on[..4], [true, true, true, false]);
        let error = |text: &str| EntryHints::parse(text, quartet).unwrap_err();
        assert!(error("[kazoo]\nenters = 1").contains("kazoo"));
        assert!(error("[cello]\nenters = -1").contains("0 or later"));
        assert!(error("[cello]\nleaves = 1").contains("leaves"));
    }
}
