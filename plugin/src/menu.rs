//! The lists to choose from, known without any model: embedded in the library, so that a scan reads no file.

use ripieno_engine::arranger::{Ensemble, Method};
use ripieno_engine::synth::{Catalogue, Performance};
use std::sync::OnceLock;

/// Denoising steps of a new instance.
pub const DEFAULT_STEPS: i32 = 4;
/// Both guidance weights of a new instance.
pub const DEFAULT_GUIDANCE: f32 = 1.0;

/// An entry of a list: a stable id for projects and a name for people.
pub trait Named: Send + Sync {
    /// Stable id, saved in projects.
    fn id(&self) -> &str;
    /// Name for people.
    fn name(&self) -> &str;
}

impl Named for Performance {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Ensemble {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The entry at a parameter's value.
pub fn at<T>(entries: &[T], index: i32) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| entries.get(index))
}

/// Every performance, in the order of the parameter's values.
pub fn performances() -> &'static [Performance] {
    static LIST: OnceLock<Vec<Performance>> = OnceLock::new();
    LIST.get_or_init(|| match Catalogue::parse(include_str!("../../models/synth/performances.toml")) {
        Ok(catalogue) => catalogue.performances().to_vec(),
        // A test reads the same text; a library in which it fails is not shipped.
        Err(error) => {
            log::error!("{error}");
            Vec::new()
        }
    })
}

/// Every ensemble, in the order of the parameter's values.
pub fn ensembles() -> &'static [Ensemble] {
    Ensemble::all()
}

/// How notes are given out, as it can be chosen.
pub struct MethodEntry {
    /// `None` is as the ensemble says.
    pub method: Option<Method>,
}

impl Named for MethodEntry {
    fn id(&self) -> &str {
        self.method.map_or("ensemble", Method::id)
    }

    fn name(&self) -> &str {
        self.method.map_or("As the ensemble says", Method::name)
    }
}

/// Every way to give out notes, in the order of the parameter's values. Projects save the place: a new one goes last.
pub fn methods() -> &'static [MethodEntry] {
    const fn of(method: Method) -> MethodEntry {
        MethodEntry { method: Some(method) }
    }
    const LIST: [MethodEntry; 6] = [
        MethodEntry { method: None },
        of(Method::Learned),
        of(Method::Split),
        of(Method::Closest),
        of(Method::ClosestMono),
        of(Method::ByRange),
    ];
    &LIST
}

/// Index of the performance that a new instance plays.
pub fn default_performance() -> i32 {
    index_of(performances(), &ripieno_engine::stream::Settings::default().performance)
}

/// Index of the ensemble that a new instance has.
pub fn default_ensemble() -> i32 {
    index_of(ensembles(), &ripieno_engine::stream::Settings::default().ensemble)
}

fn index_of<T: Named>(entries: &[T], id: &str) -> i32 {
    entries.iter().position(|entry| entry.id() == id).unwrap_or(0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_there_and_know_what_the_engine_begins_with() {
        let settings = ripieno_engine::stream::Settings::default();
        assert!(performances().iter().any(|performance| performance.id == settings.performance));
        assert!(ensembles().iter().any(|ensemble| ensemble.id == settings.ensemble));
    }

    #[test]
    fn a_new_instance_begins_with_what_measured_best() {
        let models = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
        let synth = ripieno_engine::inference::Manifest::load(models).unwrap().synth.unwrap();
        assert_eq!(DEFAULT_STEPS as usize, synth.default_steps);
        assert_eq!(DEFAULT_GUIDANCE, synth.default_guidance_notes);
        assert_eq!(DEFAULT_GUIDANCE, synth.default_guidance_performance);
        let settings = ripieno_engine::stream::Settings::default();
        assert_eq!(settings.steps, synth.default_steps);
    }
}
