//! `ripieno doctor`: what the engine would find when it starts, and everything that is wrong, not only the first thing.

use std::sync::Arc;

use ripieno_engine::arranger::{Arranger, Ensemble};
use ripieno_engine::inference::{Models, Runtime, locations};
use ripieno_engine::synth::Synthesizer;

use crate::Failure;

pub fn run() -> Result<(), Failure> {
    let mut faults = 0usize;
    let runtime = told("ONNX Runtime", &mut faults, || {
        let runtime = Runtime::load(None)?;
        Ok((runtime, runtime.path().display().to_string()))
    });
    let folder = told("models", &mut faults, || {
        let folder = locations::find_models()?;
        Ok((folder.clone(), folder.display().to_string()))
    });
    if let (Some(runtime), Some(folder)) = (runtime, folder) {
        let models = told("manifest", &mut faults, || {
            let models = Models::load(runtime, &folder)?;
            let count = models.manifest().models.len();
            Ok((models, format!("{count} models, each the file that it names")))
        });
        if let Some(models) = models {
            try_out(&models, &mut faults);
        }
    }
    match faults {
        0 => {
            println!("Everything is in place.");
            Ok(())
        }
        _ => Err("not everything is in place; the lines above say what is wrong and what to do".into()),
    }
}

/// Opens what a performance opens.
fn try_out(models: &Arc<Models>, faults: &mut usize) {
    for model in &models.manifest().models {
        println!("  {:<15}{} parameters, {}", model.name, model.parameters, model.licence);
    }
    told("synthesizer", faults, || {
        let synth = Synthesizer::new(models, 1)?;
        Ok(((), format!("{} performances", synth.catalogue().performances().len())))
    });
    told("arranger", faults, || {
        for ensemble in Ensemble::all() {
            Arranger::new(ensemble, Some(models))?;
        }
        Ok(((), format!("{} ensembles", Ensemble::all().len())))
    });
}

/// Prints what was found, or what is wrong, and counts the latter.
fn told<T>(name: &str, faults: &mut usize, look: impl FnOnce() -> Result<(T, String), Failure>) -> Option<T> {
    match look() {
        Ok((found, text)) => {
            println!("{name:<17}{text}");
            Some(found)
        }
        Err(error) => {
            println!("{name:<17}WRONG: {error}");
            *faults += 1;
            None
        }
    }
}
