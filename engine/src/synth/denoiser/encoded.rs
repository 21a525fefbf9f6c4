//! A denoiser of two networks, as T5: an encoder reads the notes once per segment, and a decoder that attends to what it
//! wrote predicts v at every step.

use super::shape::{self, FRAME, Tensor};
use super::{Denoiser, Rows};
use crate::inference::{Dimension, InferenceError, ModelEntry, Models, Session, TensorEntry, TensorView};
use crate::synth::SynthError;
use crate::synth::rates::{KEYS, MEL};
use crate::synth::roll::PLANES;
use crate::synth::segment::finite;

const ENCODER_INPUTS: [Tensor; 4] = [
    ("roll", "f32", &[FRAME, &[PLANES, KEYS]]),
    ("instrument", "i64", &[&[0]]),
    ("performance", "i64", &[&[0]]),
    ("notes_on", "f32", &[&[0]]),
];
const DECODER_INPUTS: [Tensor; 5] = [
    ("x", "f32", &[FRAME, &[MEL]]),
    ("prior", "f32", &[FRAME, &[MEL]]),
    ("memory", "f32", &[FRAME, &[0]]),
    ("performance", "i64", &[&[0]]),
    ("t", "f32", &[&[0]]),
];

/// Encoder, decoder, and what the one wrote for the other.
pub struct Encoded {
    encoder: Session,
    decoder: Session,
    /// Numbers of a frame of `memory`.
    width: usize,
    /// `[rows, frames, width]` of this segment.
    memory: Vec<f32>,
    time: Vec<f32>,
}

/// Refuses models of the manifest that are no such pair; their width otherwise.
pub fn check(models: &Models, (encoder, decoder): (&str, &str)) -> Result<usize, InferenceError> {
    let (writes, reads) = (models.manifest().model(encoder)?, models.manifest().model(decoder)?);
    shape::check(encoder, "input", &writes.inputs, &ENCODER_INPUTS)?;
    shape::check(encoder, "output", &writes.outputs, &[("memory", "f32", &[FRAME, &[0]])])?;
    shape::check(decoder, "input", &reads.inputs, &DECODER_INPUTS)?;
    shape::check(decoder, "output", &reads.outputs, &[("v", "f32", &[FRAME, &[MEL]])])?;
    let (written, read) = (width(writes, &writes.outputs)?, width(reads, &reads.inputs)?);
    if written != read {
        let reason = format!("it reads memories {read} wide and \"{encoder}\" writes them {written} wide");
        return Err(InferenceError::Mismatch { name: decoder.to_owned(), reason });
    }
    Ok(written)
}

fn width(model: &ModelEntry, tensors: &[TensorEntry]) -> Result<usize, InferenceError> {
    let memory = tensors.iter().find(|tensor| tensor.name == "memory");
    match memory.and_then(|memory| memory.shape.last()) {
        Some(Dimension::Fixed(width)) => Ok(*width as usize),
        _ => {
            let reason = "its memory has no fixed width".to_owned();
            Err(InferenceError::Mismatch { name: model.name.clone(), reason })
        }
    }
}

impl Encoded {
    pub fn open(models: &Models, pair: (&str, &str), threads: usize) -> Result<Self, InferenceError> {
        let width = check(models, pair)?;
        let (encoder, decoder) = (Session::open(models, pair.0, threads)?, Session::open(models, pair.1, threads)?);
        Ok(Self { encoder, decoder, width, memory: Vec::new(), time: Vec::new() })
    }
}

impl Denoiser for Encoded {
    fn begin(&mut self, rows: &Rows) -> Result<(), SynthError> {
        self.time.resize(rows.count, 0.0);
        let batch = [rows.count];
        self.encoder.run(
            &[
                ("roll", TensorView::F32(&[rows.count, rows.frames, PLANES, KEYS], &rows.roll)),
                ("instrument", TensorView::I64(&batch, &rows.instrument)),
                ("performance", TensorView::I64(&batch, &rows.performance)),
                ("notes_on", TensorView::F32(&batch, &rows.notes_on)),
            ],
            &mut [("memory", &mut self.memory)],
        )?;
        finite("note encoder", &self.memory, rows.count * rows.frames * self.width)
    }

    fn predict(&mut self, rows: &Rows, x: &[f32], time: f32, v: &mut Vec<f32>) -> Result<(), SynthError> {
        self.time.fill(time);
        let (batch, frames) = ([rows.count], [rows.count, rows.frames, MEL]);
        self.decoder.run(
            &[
                ("x", TensorView::F32(&frames, x)),
                ("prior", TensorView::F32(&frames, &rows.prior)),
                ("memory", TensorView::F32(&[rows.count, rows.frames, self.width], &self.memory)),
                ("performance", TensorView::I64(&batch, &rows.performance)),
                ("t", TensorView::F32(&batch, &self.time)),
            ],
            &mut [("v", v)],
        )?;
        Ok(())
    }
}
