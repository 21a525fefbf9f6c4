//! What the arranger's commands share: the ensemble that is named, and the models.

use std::path::Path;
use std::sync::Arc;

use ripieno_engine::arranger::Ensemble;
use ripieno_engine::inference::{Locations, Models, Runtime};

use crate::{Failure, list};

/// The ensemble with an id, or of a file whose name ends in .toml.
pub fn named(asked: &str) -> Result<Ensemble, Failure> {
    if asked.to_ascii_lowercase().ends_with(".toml") {
        return Ok(Ensemble::read(Path::new(asked))?);
    }
    Ensemble::find(asked).cloned().ok_or_else(|| {
        let ids: Vec<&str> = Ensemble::all().iter().map(|ensemble| ensemble.id.as_str()).collect();
        format!("there is no ensemble \"{asked}\": {}", list::known(asked, &ids)).into()
    })
}

/// The installed models.
pub fn models() -> Result<Arc<Models>, Failure> {
    let locations = Locations::find()?;
    Ok(Models::load(Runtime::load(Some(&locations.runtime))?, &locations.models)?)
}
