//! What a network makes of its hidden vector: the logits of a field, given the fields before it.
//!
//! A note is up to six questions, and each is two products of a vector with a small [`Matrix`]: less work than a call of
//! ONNX Runtime, so they are computed here. The file is a graph without inputs
//! whose outputs are the weights, named by `weights` of `models/training/ripieno_training/composer/exporting.py`; the
//! arithmetic is that of `Dependent` and `Independent` of `model.py` beside it.

use std::collections::BTreeMap;

use super::event::{Event, Field};
use super::matrix::{Matrix, sum_of};
use super::vocabulary::Vocabulary;
use crate::inference::{InferenceError, Models, Session, TensorEntry};

/// Logit of what cannot be.
const NEVER: f32 = -100.0;
/// Added to a variance before its root is taken.
const EPSILON: f32 = 1e-5;

/// The heads of a network.
pub(super) struct Heads {
    order: [Field; 6],
    /// By [`Heads::order`].
    heads: Vec<Head>,
    /// Numbers of a hidden vector.
    width: usize,
    /// Codes of beats.
    beats: usize,
    /// The hidden vector and what the chosen fields add, what a head mixes of it, and the answer; for the length of a
    /// question.
    hidden: Vec<f32>,
    mixed: Vec<f32>,
    logits: Vec<f32>,
}

struct Head {
    /// Nothing in the paper's, which are a layer each.
    mix: Option<Mix>,
    out: Layer,
    /// What each code adds to the hidden vector for the fields after, shape [codes, width]; may be empty.
    given: Vec<f32>,
}

/// A layer, GELU, and a normalisation with scale and shift.
struct Mix {
    layer: Layer,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Layer {
    /// A row per output.
    weights: Matrix,
    bias: Vec<f32>,
}

impl Heads {
    /// Reads the heads of the manifest's model `name`.
    pub fn open(models: &Models, name: &str, vocabulary: &Vocabulary) -> Result<Self, InferenceError> {
        let entry = models.manifest().model(name)?;
        let mut values = vec![Vec::new(); entry.outputs.len()];
        let mut outputs: Vec<_> = entry.outputs.iter().map(|output| output.name.as_str()).zip(&mut values).collect();
        Session::open(models, name, 1)?.run(&[], &mut outputs)?;
        Self::new(&entry.outputs, values, vocabulary)
            .map_err(|reason| InferenceError::Mismatch { name: name.to_owned(), reason })
    }

    /// Of weights and their values.
    fn new(entries: &[TensorEntry], values: Vec<Vec<f32>>, vocabulary: &Vocabulary) -> Result<Self, String> {
        let mut weights = Weights(BTreeMap::new());
        for (entry, values) in entries.iter().zip(values) {
            weights.0.insert(entry.name.clone(), (entry.fixed_shape()?, values));
        }
        let names = entries.iter().filter_map(|entry| entry.name.strip_prefix("out.")?.strip_suffix(".weight"));
        let order: Vec<Field> = names.filter_map(Field::named).collect();
        let once = (0..order.len()).all(|i| !order[..i].contains(&order[i]));
        let order = <[Field; 6]>::try_from(order).ok().filter(|order| once && order[0] == Field::Kind);
        let order = order.ok_or("it does not predict six fields, the type first")?;
        let width = weights.shape("out.type.weight").last().copied().filter(|&width| width > 0);
        let width = width.ok_or("its layers read nothing")?;
        let mut heads = Vec::new();
        for field in order {
            let named = |kind: &str| format!("{kind}.{}", field.name());
            // Beats may be counted from the last event's.
            let codes = weights.shape(&format!("{}.weight", named("out"))).first().copied().unwrap_or(0);
            let size = vocabulary.size(field);
            if codes != size && (field != Field::Beat || !(2..size).contains(&codes)) {
                return Err(format!("it knows {codes} codes of {} where there are {size}", field.name()));
            }
            let has = |kind| weights.0.contains_key(&format!("{}.weight", named(kind)));
            let (mixes, gives) = (has("mix"), has("given"));
            heads.push(Head {
                mix: match mixes {
                    true => Some(Mix {
                        layer: weights.layer(&named("mix"), width, width)?,
                        scale: weights.take(format!("{}.weight", named("norm")), &[width])?,
                        shift: weights.take(format!("{}.bias", named("norm")), &[width])?,
                    }),
                    false => None,
                },
                out: weights.layer(&named("out"), codes, width)?,
                given: match gives {
                    true => weights.take(format!("{}.weight", named("given")), &[codes, width])?,
                    false => Vec::new(),
                },
            });
        }
        if let Some(name) = weights.0.keys().next() {
            return Err(format!("what its output \"{name}\" is for is not known"));
        }
        let beats = vocabulary.size(Field::Beat);
        Ok(Self { order, heads, width, beats, hidden: Vec::new(), mixed: Vec::new(), logits: Vec::new() })
    }

    /// The order in which fields are chosen.
    pub fn order(&self) -> [Field; 6] {
        self.order
    }

    /// Numbers of an answer of the network: a hidden vector, and its event's codes of beat and position.
    pub fn answer(&self) -> usize {
        self.width + 2
    }

    /// Logits of a field, one per code, given the fields before it in `event`; `answer` is the network's to the event
    /// before.
    pub fn logits(&mut self, answer: &[f32], field: Field, event: &Event) -> &[f32] {
        let (hidden, last) = answer.split_at(self.width);
        let (began, position) = (last[0].max(1.0) as usize, last[1] as usize);
        self.hidden.clear();
        self.hidden.extend_from_slice(hidden);
        let mut of_field = self.heads.iter().zip(self.order);
        // The fields before it, up to itself.
        let head = loop {
            let Some((head, before)) = of_field.next() else { return &[] };
            if before == field {
                break head;
            }
            let mut code = usize::from(event.get(before));
            if before == Field::Beat && head.out.bias.len() < self.beats {
                code = code.saturating_sub(began).min(head.out.bias.len() - 1);
            }
            let given = head.given.chunks_exact(self.width).nth(code);
            self.hidden.iter_mut().zip(given.into_iter().flatten()).for_each(|(x, y)| *x += y);
        };
        let input = match &head.mix {
            Some(mix) => {
                mix.of(&self.hidden, &mut self.mixed);
                &self.mixed
            }
            None => &self.hidden,
        };
        head.out.of(input, &mut self.logits);
        match field {
            Field::Beat if self.logits.len() < self.beats => self.spread(began),
            // In the same beat nothing comes earlier than the last note.
            Field::Position if head.mix.is_some() && usize::from(event.get(Field::Beat)) == began => {
                self.logits.iter_mut().take(position).for_each(|logit| *logit += NEVER);
            }
            _ => {}
        }
        &self.logits
    }

    /// Makes logits of each beat of those of so many beats after the last event's, the last of which is all that are as
    /// far or farther.
    fn spread(&mut self, began: usize) {
        self.mixed.clear();
        self.mixed.extend_from_slice(&self.logits);
        let (after, far) = (&self.mixed, self.mixed.len() - 1);
        let share = (self.beats as f32 / 2.0).ln();
        self.logits.clear();
        self.logits.extend((0..self.beats).map(|beat| match beat.checked_sub(began) {
            Some(later) if later < far => after[later],
            Some(_) => after[far] - share,
            // What is undefined is before them all.
            None => after[0] + NEVER * if beat == 0 { 2.0 } else { 1.0 },
        }));
    }
}

impl Mix {
    fn of(&self, x: &[f32], out: &mut Vec<f32>) {
        self.layer.of(x, out);
        out.iter_mut().for_each(|y| *y = gelu(*y));
        let count = out.len() as f32;
        let mean = sum_of(out, |y| y) / count;
        let variance = sum_of(out, |y| (y - mean) * (y - mean)) / count;
        let factor = (variance + EPSILON).sqrt().recip();
        for (y, (scale, shift)) in out.iter_mut().zip(self.scale.iter().zip(&self.shift)) {
            *y = (*y - mean) * factor * scale + shift;
        }
    }
}

impl Layer {
    fn of(&self, x: &[f32], out: &mut Vec<f32>) {
        self.weights.times(x, out);
        out.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y += bias);
    }
}

/// x times the share of a normal distribution that lies below x (Hendrycks and Gimpel 2016).
fn gelu(x: f32) -> f32 {
    x * 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function, off by 4e-7 at most: the quotient of polynomials that Eigen has for 32 bits.
fn erf(x: f32) -> f32 {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024_e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let polynomial = |terms: &[f32]| terms.iter().fold(0.0, |sum, term| sum * (x * x) + term);
    x * polynomial(&ABOVE) / polynomial(&BELOW)
}

/// Shapes and values by name, taken out as they are found a place for.
struct Weights(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Weights {
    fn shape(&self, name: &str) -> &[usize] {
        self.0.get(name).map_or(&[], |(shape, _)| shape)
    }

    fn take(&mut self, name: String, shape: &[usize]) -> Result<Vec<f32>, String> {
        match self.0.remove(&name) {
            Some((found, values)) if found == shape && values.len() == shape.iter().product::<usize>() => Ok(values),
            Some((found, _)) => Err(format!("its output \"{name}\" is {found:?} and should be {shape:?}")),
            None => Err(format!("it has no output \"{name}\"")),
        }
    }

    fn layer(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Layer, String> {
        let weights = self.take(format!("{name}.weight"), &[outputs, inputs])?;
        Ok(Layer { weights: Matrix::new(weights, inputs), bias: self.take(format!("{name}.bias"), &[outputs])? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::FIELDS;
    use super::super::tests::vocabulary;
    use super::*;
    use crate::inference::Dimension;

    type Layers = Vec<(String, Vec<usize>, Vec<f32>)>;

    /// Names, shapes and values of the paper's heads over two numbers: the logit of code c is the first of them plus c
    /// times the second.
    fn layers(vocabulary: &Vocabulary) -> Layers {
        let of_field = |field: Field| {
            let (size, name) = (vocabulary.size(field), format!("out.{}", field.name()));
            let rows = (0..size).flat_map(|code| [1.0, code as f32]).collect();
            [(format!("{name}.weight"), vec![size, 2], rows), (format!("{name}.bias"), vec![size], vec![0.0; size])]
        };
        FIELDS.into_iter().flat_map(of_field).collect()
    }

    fn heads(layers: Layers) -> Result<Heads, String> {
        let tensor = |name: &str, shape: &[usize]| TensorEntry {
            name: name.to_owned(),
            shape: shape.iter().map(|&size| Dimension::Fixed(size as i64)).collect(),
            element: "f32".to_owned(),
            unit: String::new(),
        };
        let outputs: Vec<_> = layers.iter().map(|(name, shape, _)| tensor(name, shape)).collect();
        Heads::new(&outputs, layers.into_iter().map(|(_, _, values)| values).collect(), &vocabulary())
    }

    #[test]
    fn a_layer_alone_gives_logits_that_hang_on_no_other_field() {
        let mut heads = heads(layers(&vocabulary())).unwrap();
        assert_eq!((heads.order(), heads.answer()), (FIELDS, 4));
        for (field, event) in FIELDS.into_iter().zip([Event::default(), Event([3, 9, 2, 61, 4, 7])].into_iter().cycle())
        {
            // The last two are the beat and position before.
            let logits = heads.logits(&[10.0, 0.5, 9.0, 3.0], field, &event);
            let wanted: Vec<f32> = (0..vocabulary().size(field)).map(|code| 10.0 + 0.5 * code as f32).collect();
            assert_eq!(logits, wanted);
        }
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_with_a_reason() {
        let refused = |change: fn(&mut Layers)| {
            let mut layers = layers(&vocabulary());
            change(&mut layers);
            heads(layers).err().unwrap()
        };
        assert!(refused(|layers| drop(layers.drain(..2))).contains("six fields"));
        assert!(refused(|layers| drop(layers.remove(1))).contains("no output \"out.type.bias\""));
        assert!(refused(|layers| layers[3].1[0] += 1).contains("out.beat.bias"));
        assert!(refused(|layers| layers[4].1[0] -= 1).contains("codes of position"));
        assert!(refused(|layers| layers.push(("in.type".to_owned(), vec![0], Vec::new()))).contains("in.type"));
    }

    #[test]
    fn gelu_is_off_by_no_more_than_a_millionth() {
        // x Phi(x) by the series of the normal distribution.
        for x in (-400..=400).map(|i| f64::from(i) / 100.0) {
            let term = |sum: (f64, f64), n: i32| (sum.0 + sum.1, sum.1 * x * x / f64::from(2 * n + 3));
            let (sum, _) = (0..200).fold((0.0, x), term);
            let below = 0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let found = f64::from(gelu(x as f32));
            assert!((found - x * below).abs() < 2e-6, "{x}: {found} and not {}", x * below);
        }
    }
}
