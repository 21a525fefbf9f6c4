//! `ripieno doctor`: what the engine would find when it starts.

use ripieno_engine::inference::{Models, Runtime, locations};
use ripieno_engine::synth::Synthesizer;

use crate::Failure;

pub fn run() -> Result<(), Failure> {
    let folder = locations::find_models()?;
    println!("models           {}", folder.display());
    let runtime = Runtime::load(None)?;
    println!("ONNX Runtime     {}", runtime.path().display());
    let models = Models::load(runtime, &folder)?;
    for model in &models.manifest().models {
        println!("{:<17}{} parameters, {}, whole", model.name, model.parameters, model.licence);
    }
    let synth = Synthesizer::new(&models, 1)?;
    println!("performances     {}", synth.catalogue().performances().len());
    println!("Everything is in place.");
    Ok(())
}
