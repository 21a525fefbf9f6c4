//! `ripieno doctor`: what the engine would find when it starts, and everything that is wrong, not only the first thing.

use std::sync::Arc;

use ripieno_engine::arranger::{Arranger, ArrangerError, Ensemble, Instead};
use ripieno_engine::inference::{Models, Runtime, locations};
use ripieno_engine::synth::{DenoiserInfo, Occasion, Synthesizer};

use crate::Failure;
use crate::output::say;

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
            let whole = models.manifest().models.len() - models.faults().count();
            Ok((models, format!("{whole} models, each the file that it names")))
        });
        if let Some(models) = models {
            for fault in models.faults() {
                wrong("manifest", fault, &mut faults);
            }
            try_out(&models, &mut faults);
        }
    }
    match faults {
        0 => {
            say!("Everything is in place.");
            Ok(())
        }
        _ => Err("not everything is in place; the lines above say what is wrong and what to do".into()),
    }
}

/// Opens what a performance opens.
fn try_out(models: &Arc<Models>, faults: &mut usize) {
    for model in models.manifest().models.iter().filter(|model| models.fault(&model.name).is_none()) {
        say!("  {:<15}{} parameters, {}", model.name, model.parameters, model.licence);
    }
    told("synthesizer", faults, || {
        let synth = Synthesizer::new(models, 1, Occasion::Live)?;
        Ok(((), format!("{} performances", synth.catalogue().performances().len())))
    });
    let mut plays: Vec<(Occasion, String)> = Vec::new();
    for occasion in Occasion::ALL {
        match DenoiserInfo::for_occasion(models, occasion) {
            Ok(offered) => {
                let whole = offered.into_iter().find(|info| info.fault.is_none());
                plays.extend(whole.map(|info| (occasion, info.name)));
            }
            Err(fault) => wrong("denoiser", &fault.to_string(), faults),
        }
    }
    for denoiser in DenoiserInfo::all(models) {
        let DenoiserInfo { name, steps, sampling, teacher, .. } = denoiser;
        let when: Vec<&str> = plays.iter().filter(|(_, of)| *of == name).map(|(when, _)| when.name()).collect();
        let when = if when.is_empty() { String::new() } else { format!(", plays {}", when.join(" and ")) };
        match denoiser.fault {
            None => {
                let more = teacher.map_or_else(String::new, |teacher| format!(", more steps are {teacher}'s"));
                say!("{:<17}{name}: {steps} steps, {}{when}{more}", "denoiser", sampling.sampler.name());
            }
            Some(fault) => wrong("denoiser", &format!("{name}: {fault}"), faults),
        }
    }
    let mut as_asked = 0;
    for ensemble in Ensemble::all() {
        match Arranger::or_by_range(ensemble, None, Some(models)).1 {
            None => as_asked += 1,
            // Models for research may be left out of an installation.
            Some(Instead::ByRange(reason @ ArrangerError::ModelMissing { .. })) => {
                say!("{:<17}note: {reason}", "arranger");
            }
            Some(instead) => wrong("arranger", &format!("{}: {instead}", ensemble.name), faults),
        }
    }
    say!("{:<17}{as_asked} ensembles as they ask", "arranger");
}

/// Prints what is wrong and counts it.
fn wrong(name: &str, fault: &dyn std::fmt::Display, faults: &mut usize) {
    say!("{name:<17}WRONG: {fault}");
    *faults += 1;
}

/// Prints what was found, or what is wrong, and counts the latter.
fn told<T>(name: &str, faults: &mut usize, look: impl FnOnce() -> Result<(T, String), Failure>) -> Option<T> {
    match look() {
        Ok((found, text)) => {
            say!("{name:<17}{text}");
            Some(found)
        }
        Err(error) => {
            wrong(name, &error, faults);
            None
        }
    }
}
