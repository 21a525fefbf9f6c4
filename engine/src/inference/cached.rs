//! A transformer that remembers: keys and values of what it heard stay in one buffer, which it reads and extends in place.
//!
//! Hearing one row more costs the attention over those before it and nothing else; forgetting the last rows costs nothing
//! at all. The graph's `past_*` inputs and `present_*` outputs are bound to the same memory, as com.microsoft
//! GroupQueryAttention allows, and its `seqlens_k` and `total_sequence_length` say how much of it counts. Runs allocate:
//! never on the audio thread.

use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::Tensor;

use super::manifest::{Dimension, ModelEntry, TensorEntry};
use super::session::Session;
use super::{InferenceError, Models};

/// What the graph calls the rows, their answers, and how many there are.
const ROWS: &str = "event";
const HIDDEN: &str = "hidden";
const LAST: &str = "seqlens_k";
const TOTAL: &str = "total_sequence_length";

/// A model of the manifest with a cache of its own.
pub struct CachedSession {
    session: Session,
    /// Holds the cache, and the tensors below.
    binding: IoBinding,
    /// Shape [1, rows of a run, width].
    rows: Tensor<i64>,
    /// Shape [1, rows of a run, hidden width].
    hidden: Tensor<f32>,
    /// Rows so far, less one; and rows so far: shape [1] each.
    lengths: [Tensor<i32>; 2],
    /// Rows of a run that `rows` and `hidden` are bound for.
    bound: usize,
    sizes: Sizes,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    window: usize,
    row: usize,
    width: usize,
}

impl CachedSession {
    /// Opens a model with nothing heard; `threads` as for [`Session::open`].
    pub fn open(models: &Models, name: &str, threads: usize) -> Result<Self, InferenceError> {
        let entry = models.manifest().model(name)?;
        let mismatch = |reason: String| InferenceError::Mismatch { name: name.to_owned(), reason };
        let sizes = sizes(entry).map_err(mismatch)?;
        let session = Session::open(models, name, threads)?;
        let failed = |error: ort::Error| InferenceError::Run { name: name.to_owned(), reason: error.to_string() };
        let allocator = Allocator::default();
        let mut binding = session.inner().create_binding().map_err(failed)?;
        for input in &entry.inputs {
            let Some(which) = input.name.strip_prefix("past_") else { continue };
            let shape = input.fixed_shape().map_err(mismatch)?;
            let mut buffer = Tensor::<f32>::new(&allocator, shape).map_err(failed)?;
            buffer.extract_tensor_mut().1.fill(0.0);
            binding.bind_input(&input.name, &buffer).map_err(failed)?;
            binding.bind_output(format!("present_{which}"), &mut buffer).map_err(failed)?;
        }
        let one = || Tensor::<i32>::new(&allocator, [1usize]).map_err(failed);
        let lengths = [one()?, one()?];
        for (name, tensor) in [LAST, TOTAL].into_iter().zip(&lengths) {
            binding.bind_input(name, tensor).map_err(failed)?;
        }
        let rows = Tensor::new(&allocator, [1, 1, sizes.row]).map_err(failed)?;
        let hidden = Tensor::new(&allocator, [1, 1, sizes.width]).map_err(failed)?;
        let mut cached = Self { session, binding, rows, hidden, lengths, bound: 0, sizes, len: 0 };
        cached.bind(1)?;
        Ok(cached)
    }

    /// How the manifest calls the model.
    pub fn name(&self) -> &str {
        self.session.name()
    }

    /// Rows that it can remember.
    pub fn window(&self) -> usize {
        self.sizes.window
    }

    /// Numbers of an answer.
    pub fn width(&self) -> usize {
        self.sizes.width
    }

    /// Rows heard.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets everything after the first `len` rows.
    pub fn rewind(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Hears rows, shape [rows, width of a row], and answers each: shape [rows, [`CachedSession::width`]]. More rows than
    /// the window has room for are an error, and after an error it is as if they had not been heard.
    pub fn hear(&mut self, rows: &[i64]) -> Result<&[f32], InferenceError> {
        let count = rows.len() / self.sizes.row;
        let total = self.len + count;
        if count == 0 || rows.len() != count * self.sizes.row || total > self.sizes.window {
            let reason = format!("{} numbers do not fit after {} of {} rows", rows.len(), self.len, self.sizes.window);
            return Err(self.failed(reason));
        }
        self.bind(count)?;
        self.rows.extract_tensor_mut().1.copy_from_slice(rows);
        for (tensor, length) in self.lengths.iter_mut().zip([total - 1, total]) {
            tensor.extract_tensor_mut().1[0] = length as i32;
        }
        let ran = self.session.inner_mut().run_binding(&self.binding).map(drop);
        ran.map_err(|error| self.failed(error.to_string()))?;
        self.len = total;
        Ok(self.hidden.extract_tensor().1)
    }

    /// Makes room for so many rows at once.
    fn bind(&mut self, count: usize) -> Result<(), InferenceError> {
        if self.bound == count {
            return Ok(());
        }
        // Should this fail half-way, nothing counts as bound.
        self.bound = 0;
        let bind = |binding: &mut IoBinding, sizes: Sizes| -> ort::Result<_> {
            let allocator = Allocator::default();
            let rows = Tensor::new(&allocator, [1, count, sizes.row])?;
            let mut hidden = Tensor::new(&allocator, [1, count, sizes.width])?;
            binding.bind_input(ROWS, &rows)?;
            binding.bind_output(HIDDEN, &mut hidden)?;
            Ok((rows, hidden))
        };
        let bound = bind(&mut self.binding, self.sizes).map_err(|error| self.failed(error.to_string()))?;
        (self.rows, self.hidden) = bound;
        self.bound = count;
        Ok(())
    }

    fn failed(&self, reason: String) -> InferenceError {
        InferenceError::Run { name: self.session.name().to_owned(), reason }
    }
}

fn sizes(entry: &ModelEntry) -> Result<Sizes, String> {
    let last = |shape: &[Dimension]| match shape.last() {
        Some(Dimension::Fixed(size)) => usize::try_from(*size).ok(),
        _ => None,
    };
    let input = |name: &str| entry.inputs.iter().find(|tensor| tensor.name == name);
    let row = input(ROWS).and_then(|tensor| last(&tensor.shape)).ok_or("its rows have no width")?;
    let output = entry.outputs.iter().find(|tensor| tensor.name == HIDDEN);
    let width = output.and_then(|tensor| last(&tensor.shape)).ok_or("its answers have no width")?;
    let cache = input("past_key_0").map(TensorEntry::fixed_shape).ok_or("it has no cache")??;
    let &[_, _, window, _] = &cache[..] else { return Err("its cache is not [1, heads, window, width]".into()) };
    Ok(Sizes { window, row, width })
}
