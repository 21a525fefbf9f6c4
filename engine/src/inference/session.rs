//! One model, ready to run on one worker.

use std::borrow::Cow;
use std::path::Path;

use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::manifest::{Dimension, TensorEntry};
use super::{InferenceError, Models, Runtime};

/// An input tensor: dimensions and row-major elements.
#[derive(Debug, Clone, Copy)]
pub enum TensorView<'a> {
    /// 32-bit floats.
    F32(&'a [usize], &'a [f32]),
    /// 64-bit integers.
    I64(&'a [usize], &'a [i64]),
}

/// A model bound to the worker that owns it.
pub struct Session {
    name: String,
    session: OrtSession,
}

impl Session {
    /// Builds a session from verified bytes and checks its inputs and outputs against the manifest.
    ///
    /// `threads`: 1 for everything small. Threads never spin: on a busy machine two spinning threads double the time.
    pub fn open(models: &Models, name: &str, threads: usize) -> Result<Self, InferenceError> {
        let (entry, bytes) = models.get(name)?;
        let session = build(models.runtime(), bytes, threads)
            .map_err(|reason| InferenceError::Run { name: name.to_owned(), reason })?;
        check(name, "input", &entry.inputs, session.inputs())?;
        check(name, "output", &entry.outputs, session.outputs())?;
        Ok(Self { name: name.to_owned(), session })
    }

    /// The same of a file that no manifest knows, such as a listener for measurements. What it has is for the caller to
    /// know: a run with other inputs or outputs is an error.
    pub fn open_file(runtime: &'static Runtime, file: &Path, threads: usize) -> Result<Self, InferenceError> {
        let bytes = std::fs::read(file)
            .map_err(|error| InferenceError::Unreadable { path: file.to_path_buf(), reason: error.to_string() })?;
        let name = file.display().to_string();
        let session =
            build(runtime, &bytes, threads).map_err(|reason| InferenceError::Run { name: name.clone(), reason })?;
        Ok(Self { name, session })
    }

    /// How the manifest calls the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn inner(&self) -> &OrtSession {
        &self.session
    }

    pub(super) fn inner_mut(&mut self) -> &mut OrtSession {
        &mut self.session
    }

    /// Runs the model: named inputs in, named outputs copied into vectors that keep their capacity.
    pub fn run(
        &mut self,
        inputs: &[(&str, TensorView<'_>)],
        outputs: &mut [(&str, &mut Vec<f32>)],
    ) -> Result<(), InferenceError> {
        let name = &self.name;
        let failed = |error: ort::Error| InferenceError::Run { name: name.clone(), reason: error.to_string() };
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for &(input, view) in inputs {
            let value: SessionInputValue<'_> = match view {
                TensorView::F32(shape, data) => TensorRef::from_array_view((shape, data)).map_err(failed)?.into(),
                TensorView::I64(shape, data) => TensorRef::from_array_view((shape, data)).map_err(failed)?.into(),
            };
            values.push((Cow::Borrowed(input), value));
        }
        let results = self.session.run(values).map_err(failed)?;
        for (output, into) in outputs {
            let value = results.get(*output).ok_or_else(|| InferenceError::Run {
                name: name.clone(),
                reason: format!("it has no output named {output}"),
            })?;
            let (_, data) = value.try_extract_tensor::<f32>().map_err(failed)?;
            into.clear();
            into.extend_from_slice(data);
        }
        Ok(())
    }
}

/// The error is ONNX Runtime's words.
fn build(runtime: &Runtime, bytes: &[u8], threads: usize) -> Result<OrtSession, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    OrtSession::builder(runtime.environment())
        .map_err(|e| text(&e))?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(|e| text(&e))?
        .with_intra_threads(threads.max(1))
        .map_err(|e| text(&e))?
        .with_intra_op_spinning(false)
        .map_err(|e| text(&e))?
        .commit_from_memory(bytes)
        .map_err(|e| text(&e))
}

fn check(model: &str, kind: &str, listed: &[TensorEntry], found: &[Outlet]) -> Result<(), InferenceError> {
    let differs = |reason: String| Err(InferenceError::Mismatch { name: model.to_owned(), reason });
    for entry in listed {
        let Some(outlet) = found.iter().find(|outlet| outlet.name() == entry.name) else {
            return differs(format!("the {kind} \"{}\" is missing", entry.name));
        };
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return differs(format!("the {kind} \"{}\" is not a tensor", entry.name));
        };
        let element = match ty {
            TensorElementType::Float32 => "f32",
            TensorElementType::Int32 => "i32",
            TensorElementType::Int64 => "i64",
            _ => "another type",
        };
        let same_shape = shape.len() == entry.shape.len()
            && shape.iter().zip(&entry.shape).all(|(&size, listed)| match listed {
                // A graph may leave open what the manifest fixes, never the other way round.
                Dimension::Fixed(fixed) => size == *fixed || size == -1,
                Dimension::Named(_) => size == -1,
            });
        if element != entry.element || !same_shape {
            return differs(format!(
                "the {kind} \"{}\" is {element} {shape:?} and should be {} {:?}",
                entry.name, entry.element, entry.shape
            ));
        }
    }
    if listed.len() != found.len() {
        return differs(format!("it has {} {kind}s and should have {}", found.len(), listed.len()));
    }
    Ok(())
}
