//! Whether a model of the manifest has the inputs and outputs that the engine feeds it.

use crate::inference::{Dimension, InferenceError, TensorEntry};

/// A tensor that must be there: name, element type, and its dimensions in pieces, 0 for one that is free.
pub type Tensor = (&'static str, &'static str, &'static [&'static [usize]]);

/// Batch and frames, both free.
pub const FRAME: &[usize] = &[0, 0];

/// Refuses a model whose tensors are others than expected; which of them and why is in the error.
pub fn check(model: &str, kind: &str, listed: &[TensorEntry], expected: &[Tensor]) -> Result<(), InferenceError> {
    let differs = |reason: String| Err(InferenceError::Mismatch { name: model.to_owned(), reason });
    for &(name, element, pieces) in expected {
        let Some(entry) = listed.iter().find(|entry| entry.name == name) else {
            return differs(format!("it has no {kind} \"{name}\""));
        };
        let shape = pieces.concat();
        let fits = entry.shape.len() == shape.len()
            && entry.shape.iter().zip(&shape).all(|(listed, &size)| match listed {
                Dimension::Named(_) => size == 0,
                Dimension::Fixed(listed) => size == 0 || *listed == size as i64,
            });
        if entry.element != element || !fits {
            let (found, wanted) = (words(&entry.shape), words(&dimensions(&shape)));
            let found = format!("the {kind} \"{name}\" is {} {found}", entry.element);
            return differs(format!("{found} and should be {element} {wanted}"));
        }
    }
    match listed.iter().find(|entry| expected.iter().all(|(name, ..)| *name != entry.name)) {
        Some(unknown) => differs(format!("nobody knows what its {kind} \"{}\" is", unknown.name)),
        None => Ok(()),
    }
}

fn dimensions(shape: &[usize]) -> Vec<Dimension> {
    let free = |at: usize| Dimension::Named(["batch", "frames", "width"].get(at).unwrap_or(&"any").to_string());
    let dimension = |(at, &size): (usize, &usize)| if size == 0 { free(at) } else { Dimension::Fixed(size as i64) };
    shape.iter().enumerate().map(dimension).collect()
}

/// A shape as a person writes it: `[batch, frames, 256]`.
fn words(shape: &[Dimension]) -> String {
    let word = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => size.to_string(),
        Dimension::Named(name) => name.clone(),
    };
    format!("[{}]", shape.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, element: &str, shape: &[usize]) -> TensorEntry {
        TensorEntry { name: name.into(), shape: dimensions(shape), element: element.into(), unit: String::new() }
    }

    #[test]
    fn what_differs_is_named() {
        let expected: [Tensor; 2] = [("x", "f32", &[FRAME, &[256]]), ("performance", "i64", &[&[0]])];
        let (x, performance) = (entry("x", "f32", &[0, 0, 256]), entry("performance", "i64", &[0]));
        let say = |listed: &[TensorEntry]| check("m", "input", listed, &expected).map_err(|error| error.to_string());
        assert_eq!(say(&[x.clone(), performance.clone()]), Ok(()));
        for (listed, sentence) in [
            (vec![x.clone()], "it has no input \"performance\""),
            (
                vec![entry("x", "f32", &[0, 0, 80]), performance.clone()],
                "f32 [batch, frames, 80] and should be f32 [batch, frames, 256]",
            ),
            (vec![x.clone(), entry("performance", "f32", &[0])], "is f32 [batch] and should be i64 [batch]"),
            (vec![x, performance, entry("memory", "f32", &[0])], "nobody knows what its input \"memory\" is"),
        ] {
            let said = say(&listed).unwrap_err();
            assert!(said.contains(sentence), "{said}");
        }
    }
}
