//! `ripieno performances` and `ripieno ensembles`.

use ripieno_engine::arranger::Ensemble;
use ripieno_engine::inference::locations;
use ripieno_engine::synth::Catalogue;

use crate::Failure;
use crate::output::{note, say};

pub fn performances() -> Result<(), Failure> {
    let catalogue = Catalogue::load(&locations::find_models()?)?;
    for performance in catalogue.performances() {
        say!("{:<24}{}", performance.id, performance.description);
        let programs = performance
            .programs
            .iter()
            .map(|program| (u16::from(*program) + 1).to_string())
            .collect::<Vec<_>>()
            .join(", ");
        say!("{:<24}players: {}; room: {}", "", performance.players.join(", "), performance.room);
        say!("{:<24}General MIDI: {programs}; made from: {}\n", "", performance.recordings().join(", "));
    }
    Ok(())
}

pub fn ensembles() -> Result<(), Failure> {
    say!("{:<24}every track of the file is a part of its own", "tracks");
    for ensemble in Ensemble::all() {
        let parts: Vec<&str> = ensemble.parts.iter().map(|part| part.name.as_str()).collect();
        say!("{:<24}{}: {}", ensemble.id, ensemble.name, parts.join(", "));
    }
    for fault in Ensemble::faults() {
        note!("{fault}");
    }
    if let Some(folder) = ripieno_engine::arranger::user_folder() {
        say!("\nYour own, one .toml file each, go to {}.", folder.display());
    }
    Ok(())
}

/// "one of a, b, c", and which of them was probably meant.
pub fn known(asked: &str, ids: &[&str]) -> String {
    let alike = ids.iter().max_by_key(|id| (common(asked, id), std::cmp::Reverse(id.len())));
    let alike = alike.filter(|id| common(asked, id) >= 3);
    let hint = alike.map(|id| format!(" Did you mean \"{id}\"?")).unwrap_or_default();
    format!("it is one of {}.{hint}", ids.join(", "))
}

/// Length of the longest run of letters two words share.
fn common(a: &str, b: &str) -> usize {
    let starts = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let from = |i: usize| (0..b.len()).filter_map(|j| Some(starts(a.get(i..)?, b.get(j..)?))).max().unwrap_or(0);
    (0..a.len()).map(from).max().unwrap_or(0)
}
