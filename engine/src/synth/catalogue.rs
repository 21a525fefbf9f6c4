//! `models/synth/performances.toml`: the instruments and performances the networks were trained with.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SynthError;

/// Every performance and instrument that the models know, in the order of their embeddings. The number of performances
/// is the index of the null performance.
#[derive(Debug, Clone, Deserialize)]
pub struct Catalogue {
    #[serde(rename = "instrument")]
    instruments: Vec<Instrument>,
    #[serde(rename = "performance")]
    performances: Vec<Performance>,
    /// `None`: the models know all.
    trained: Option<Trained>,
}

/// How many of the file's entries, from index 0 on, the models were trained with. What is still to be trained would sound
/// of nothing, or of the null performance.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Trained {
    performances: usize,
    instruments: usize,
}

/// One instrument.
#[derive(Debug, Clone, Deserialize)]
pub struct Instrument {
    /// Index in the networks' embedding.
    pub index: usize,
    /// Stable name, e.g. `viola`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Lowest MIDI pitch it was trained with.
    pub lo: u8,
    /// Highest MIDI pitch it was trained with.
    pub hi: u8,
}

/// These players in this room.
#[derive(Debug, Clone, Deserialize)]
pub struct Performance {
    /// Index in the networks' embedding.
    pub index: usize,
    /// Stable name, e.g. `string-quartet-hall`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What one hears, in a sentence.
    pub description: String,
    /// The room.
    pub room: String,
    /// Licences of what it was made from.
    pub licence: String,
    /// PNG file that shows how it sounds, beside the catalogue's file.
    pub picture: String,
    /// Instrument ids from high to low.
    pub players: Vec<String>,
    /// General MIDI program of each player, 0-based.
    #[serde(default)]
    pub programs: Vec<u8>,
    /// What each player was recorded from: `pack:NAME`, or `soundfont:NAME` with bank and program where they are others.
    #[serde(default)]
    pub made_from: Vec<String>,
}

impl Performance {
    /// The recordings it was made from, each once, as words.
    pub fn recordings(&self) -> Vec<String> {
        let mut named = Vec::new();
        for source in &self.made_from {
            let mut words = source.split(':');
            let name = match (words.next(), words.next()) {
                (Some("soundfont"), Some(name)) => format!("SoundFont {name}"),
                (Some("pack"), Some(name)) => format!("samples {name}"),
                _ => source.clone(),
            };
            if !named.contains(&name) {
                named.push(name);
            }
        }
        named
    }
}

impl Catalogue {
    /// Reads the catalogue of a models folder.
    pub fn load(models: &Path) -> Result<Self, SynthError> {
        let path = models.join("synth/performances.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| SynthError::Catalogue { reason: format!("{}: {error}", path.display()) })?;
        Self::parse(&text)
    }

    /// The picture of a performance in a models folder.
    pub fn picture(models: &Path, performance: &Performance) -> PathBuf {
        models.join("synth").join(&performance.picture)
    }

    /// Parses a catalogue's text, keeps what the models know, and checks that indices are dense and players exist.
    pub fn parse(text: &str) -> Result<Self, SynthError> {
        let bad = |reason: String| SynthError::Catalogue { reason };
        let mut catalogue: Self =
            toml::from_str(text).map_err(|error| bad(error.to_string().trim().replace('\n', " ")))?;
        catalogue.instruments.sort_by_key(|instrument| instrument.index);
        catalogue.performances.sort_by_key(|performance| performance.index);
        let dense = catalogue.instruments.iter().enumerate().all(|(i, instrument)| i == instrument.index)
            && catalogue.performances.iter().enumerate().all(|(i, performance)| i == performance.index);
        if !dense {
            return Err(bad("the indices are not 0, 1, 2, ...".into()));
        }
        if let Some(trained) = catalogue.trained {
            let written = (catalogue.performances.len(), catalogue.instruments.len());
            if trained.performances == 0 || trained.performances > written.0 || trained.instruments > written.1 {
                return Err(bad(format!(
                    "the models know {} performances and {} instruments, and {} and {} are written",
                    trained.performances, trained.instruments, written.0, written.1
                )));
            }
            catalogue.performances.truncate(trained.performances);
            catalogue.instruments.truncate(trained.instruments);
        }
        for performance in &catalogue.performances {
            if performance.players.is_empty() {
                return Err(bad(format!("\"{}\" has no players", performance.id)));
            }
            for player in &performance.players {
                if !catalogue.instruments.iter().any(|instrument| instrument.id == *player) {
                    return Err(bad(format!("\"{}\" has a player \"{player}\" that is no instrument", performance.id)));
                }
            }
        }
        Ok(catalogue)
    }

    /// Every performance, by index.
    pub fn performances(&self) -> &[Performance] {
        &self.performances
    }

    /// Every instrument, by index.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Index of the performance with this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.performances.iter().position(|performance| performance.id == id)
    }

    /// Index of the instrument that plays part `part` of `parts` with General MIDI program `program`: the player of
    /// exactly that program, else players in order from high to low. A performance beyond the last counts as the last.
    pub fn player_for(&self, performance: usize, program: u8, part: usize, parts: usize) -> usize {
        let Some(performance) = self.performances.get(performance).or(self.performances.last()) else { return 0 };
        let index_of = |id: &str| self.instruments.iter().position(|instrument| instrument.id == id);
        let players: Vec<usize> = performance.players.iter().filter_map(|id| index_of(id)).collect();
        if let Some(&exact) = players.iter().find(|&&player| self.instruments[player].program == program) {
            return exact;
        }
        let seat = (part * players.len() / parts.max(1)).min(players.len().saturating_sub(1));
        players.get(seat).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../models/synth/performances.toml");

    #[test]
    fn a_part_is_played_by_its_program_else_by_its_place() {
        let catalogue = Catalogue::parse(TEXT).unwrap();
        let id = |i: usize| catalogue.instruments()[i].id.as_str();
        let quartet = catalogue.find("string-quartet-hall").unwrap();
        assert_eq!(id(catalogue.player_for(quartet, 41, 0, 4)), "viola");
        assert_eq!(id(catalogue.player_for(quartet, 99, 3, 4)), "contrabass");
        let guitar = catalogue.find("guitar-room").unwrap();
        let seats: Vec<_> = (0..4).map(|part| id(catalogue.player_for(guitar, 99, part, 4))).collect();
        assert_eq!(seats, ["guitar", "guitar", "pizz-bass", "pizz-bass"]);
    }

    /// The repository's performances of which the models know so many.
    fn trained(performances: usize, instruments: usize) -> Result<Catalogue, SynthError> {
        let mut cards: toml::Table = toml::from_str(TEXT).unwrap();
        let counts = [("performances", performances), ("instruments", instruments)];
        let counts = counts.map(|(name, count)| (name.to_owned(), toml::Value::Integer(count as i64)));
        cards.insert("trained".into(), toml::Value::Table(toml::Table::from_iter(counts)));
        Catalogue::parse(&cards.to_string())
    }

    #[test]
    fn only_what_the_models_know_is_offered() {
        let few = trained(3, 5).unwrap();
        let ids: Vec<&str> = few.performances().iter().map(|performance| performance.id.as_str()).collect();
        assert_eq!(ids, ["concert-grand", "upright-parlour", "string-quartet-hall"]);
        assert_eq!(few.instruments().len(), 5);
        assert_eq!(few.find("orchestra-hall"), None);
        let all: toml::Table = toml::from_str(TEXT).unwrap();
        let written = |kind: &str| all[kind].as_array().unwrap().len();
        let every = trained(written("performance"), written("instrument")).unwrap();
        assert!(every.find("orchestra-hall").is_some());
        assert!(trained(written("performance") + 1, written("instrument")).is_err());
        assert!(trained(3, 4).unwrap_err().to_string().contains("contrabass"), "a player the models do not know");
    }

    #[test]
    fn a_card_says_what_each_player_was_made_from() {
        let catalogue = Catalogue::parse(TEXT).unwrap();
        let program = |id: &String| catalogue.instruments().iter().find(|of| of.id == *id).map(|of| of.program);
        for card in catalogue.performances() {
            assert_eq!(
                card.programs.iter().map(|&program| Some(program)).collect::<Vec<_>>(),
                card.players.iter().map(program).collect::<Vec<_>>(),
                "{}",
                card.id
            );
            assert_eq!(card.made_from.len(), card.players.len(), "{}", card.id);
            let named = |name: &String| name.starts_with("SoundFont ") || name.starts_with("samples ");
            assert!(card.recordings().iter().all(named), "{:?}", card.recordings());
        }
        let quartet = &catalogue.performances()[catalogue.find("string-quartet-hall").unwrap()];
        assert_eq!(quartet.recordings(), ["SoundFont FluidR3_GM", "samples cello_bigcat", "samples bass_meat_arco"]);
    }

    #[test]
    fn a_player_that_is_no_instrument_is_named() {
        let text = TEXT.replacen("players = [\"piano\"]", "players = [\"theremin\"]", 1);
        assert!(Catalogue::parse(&text).unwrap_err().to_string().contains("theremin"));
    }
}
