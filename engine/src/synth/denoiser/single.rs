//! A denoiser that is one network: it hears everything at every step, as the U-Net does.

use super::shape::{self, FRAME, Tensor};
use super::{Denoiser, Rows};
use crate::inference::{InferenceError, Models, Session, TensorView};
use crate::synth::SynthError;
use crate::synth::rates::{KEYS, MEL};
use crate::synth::roll::PLANES;

const INPUTS: [Tensor; 7] = [
    ("x", "f32", &[FRAME, &[MEL]]),
    ("prior", "f32", &[FRAME, &[MEL]]),
    ("roll", "f32", &[FRAME, &[PLANES, KEYS]]),
    ("instrument", "i64", &[&[0]]),
    ("performance", "i64", &[&[0]]),
    ("notes_on", "f32", &[&[0]]),
    ("t", "f32", &[&[0]]),
];

/// Batch, frames and times are buffers kept from call to call.
pub struct Single {
    session: Session,
    time: Vec<f32>,
}

/// Refuses a model of the manifest that is no such denoiser.
pub fn check(models: &Models, model: &str) -> Result<(), InferenceError> {
    let entry = models.manifest().model(model)?;
    shape::check(model, "input", &entry.inputs, &INPUTS)?;
    shape::check(model, "output", &entry.outputs, &[("v", "f32", &[FRAME, &[MEL]])])
}

impl Single {
    pub fn open(models: &Models, model: &str, threads: usize) -> Result<Self, InferenceError> {
        check(models, model)?;
        Ok(Self { session: Session::open(models, model, threads)?, time: Vec::new() })
    }
}

impl Denoiser for Single {
    fn begin(&mut self, rows: &Rows) -> Result<(), SynthError> {
        self.time.resize(rows.count, 0.0);
        Ok(())
    }

    fn predict(&mut self, rows: &Rows, x: &[f32], time: f32, v: &mut Vec<f32>) -> Result<(), SynthError> {
        self.time.fill(time);
        let (batch, frames) = ([rows.count], [rows.count, rows.frames, MEL]);
        self.session.run(
            &[
                ("x", TensorView::F32(&frames, x)),
                ("prior", TensorView::F32(&frames, &rows.prior)),
                ("roll", TensorView::F32(&[rows.count, rows.frames, PLANES, KEYS], &rows.roll)),
                ("instrument", TensorView::I64(&batch, &rows.instrument)),
                ("performance", TensorView::I64(&batch, &rows.performance)),
                ("notes_on", TensorView::F32(&batch, &rows.notes_on)),
                ("t", TensorView::F32(&batch, &self.time)),
            ],
            &mut [("v", v)],
        )?;
        Ok(())
    }
}
