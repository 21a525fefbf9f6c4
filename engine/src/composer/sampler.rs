//! Chooses a code among those that are allowed.

use super::course::Course;
use super::event::{Event, Field, Kind};
use super::limits::Limits;
use super::mask::Mask;
use super::network::{Predictor, log_probability};
use crate::inference::InferenceError;
use crate::synth::noise::Noise;

/// Share of a vocabulary that is chosen from: the likeliest tenth (Dong et al. 2023, section 4.1). Not of the types: there
/// are five, and of the likeliest alone a song would end, and its instruments would be complete, only where that is likelier
/// than all else.
const SHARE: f64 = 0.1;
/// What the composer's noise is called, among the streams of a seed.
const COMPOSER: u64 = 0x636f_6d70;

/// Top-k sampling, seeded: the same seed and logits give the same codes.
#[derive(Debug, Clone)]
pub struct Sampler {
    noise: Noise,
    drawn: i64,
    temperature: f32,
    end: Option<f64>,
    /// Logits and codes that are allowed; for the length of a choice.
    open: Vec<(f32, u16)>,
}

impl Sampler {
    /// A sampler at temperature 1.
    pub fn new(seed: u64) -> Self {
        Self { noise: Noise::new(seed, 0, COMPOSER), drawn: 0, temperature: 1.0, end: None, open: Vec::new() }
    }

    /// Below 1 the likely becomes likelier, above 1 less likely. At 0 the likeliest is chosen. Types are never less likely
    /// than the network says: a song that may end at any event ends at once where that is made only a little likelier.
    pub fn set_temperature(&mut self, temperature: f32) {
        self.temperature = if temperature.is_finite() { temperature.max(0.0) } else { 1.0 };
    }

    /// Natural log probability of an end instead of the last event, where the network was asked whether there is one.
    pub fn end(&self) -> Option<f64> {
        self.end
    }

    /// One of a field's allowed codes, by their logits: of the `ceil(n / 10)` likeliest, n being all there are, or of all
    /// types. Nothing where none is allowed.
    pub fn choose(&mut self, field: Field, logits: &[f32], allowed: Mask) -> Option<u16> {
        self.open.clear();
        let sane = |logit: f32| if logit.is_nan() { f32::NEG_INFINITY } else { logit.clamp(f32::MIN, f32::MAX) };
        let codes = allowed.codes().take_while(|&code| usize::from(code) < logits.len());
        self.open.extend(codes.map(|code| (sane(logits[usize::from(code)]), code)));
        if self.open.len() < 2 {
            return self.open.first().map(|&(_, code)| code);
        }
        let (kept, warmest) = match field {
            Field::Kind => (logits.len(), 1.0),
            _ => ((logits.len() as f64 * SHARE).ceil() as usize, f32::INFINITY),
        };
        // The likeliest first; of two as likely the lower code, so that a choice depends on nothing else.
        let order = |a: &(f32, u16), b: &(f32, u16)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if kept < self.open.len() {
            self.open.select_nth_unstable_by(kept, order);
            self.open.truncate(kept);
        }
        self.open.sort_unstable_by(order);
        if self.open.len() == 1 || self.temperature == 0.0 {
            return self.open.first().map(|&(_, code)| code);
        }
        let (top, temperature) = (f64::from(self.open[0].0), f64::from(self.temperature.min(warmest)));
        let weight = |logit: f32| ((f64::from(logit) - top) / temperature).exp();
        let total: f64 = self.open.iter().map(|&(logit, _)| weight(logit)).sum();
        let mut left = self.noise.uniform(self.drawn) * total;
        self.drawn += 1;
        let found = self.open.iter().find(|(logit, _)| {
            left -= weight(*logit);
            left < 0.0
        });
        found.or(self.open.first()).map(|&(_, code)| code)
    }
}

/// The next event of a song, field by field, within the limits. An error is the network's, which is asked only where there
/// is a choice.
pub fn sample(
    network: &mut (impl Predictor + ?Sized),
    course: &Course,
    limits: &Limits,
    sampler: &mut Sampler,
) -> Result<Event, InferenceError> {
    let mut event = Event::default();
    sampler.end = None;
    for field in network.order() {
        let allowed = course.allowed(field, &event, limits);
        let mut codes = allowed.codes();
        let code = match (codes.next(), codes.next()) {
            (only, None) => only,
            _ => {
                let logits = network.predict(field, &event)?;
                if field == Field::Kind && course.in_notes() {
                    sampler.end = Some(log_probability(logits, Kind::End.code()));
                }
                sampler.choose(field, logits, allowed)
            }
        };
        let Some(code) = code else { return Ok(Event::sign(Kind::End)) };
        event = event.with(field, code);
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_as_often_as_their_probabilities_say_among_the_likeliest() {
        // 30 codes: the likeliest three, and of them those allowed.
        let mut logits = vec![0.0f32; 30];
        logits[4] = 9.0;
        logits[7] = 8.0;
        logits[8] = 8.0 - 2.0f32.ln();
        logits[9] = 8.0;
        logits[20] = 7.0;
        let mut allowed = Mask::range(5, 29);
        allowed.insert(0);
        let mut sampler = Sampler::new(1);
        let mut counts = [0u32; 30];
        (0..40_000).for_each(|_| counts[usize::from(sampler.choose(Field::Pitch, &logits, allowed).unwrap())] += 1);
        // Weights 1, 1/2, 1 of 7, 8, 9.
        let [seven, eight, nine] = [7, 8, 9].map(|code| f64::from(counts[code]) / 40_000.0);
        assert!((seven - 0.4).abs() < 0.01 && (eight - 0.2).abs() < 0.01 && (nine - 0.4).abs() < 0.01, "{counts:?}");
        // At a temperature of 1/2 the weights are squared: 1, 1/4, 1.
        sampler.set_temperature(0.5);
        let eights = (0..40_000).filter(|_| sampler.choose(Field::Pitch, &logits, allowed) == Some(8)).count();
        assert!((eights as f64 / 40_000.0 - 1.0 / 9.0).abs() < 0.01, "{eights}");
        sampler.set_temperature(0.0);
        assert!((0..100).all(|_| sampler.choose(Field::Pitch, &logits, allowed) == Some(7)));
    }

    #[test]
    fn a_type_that_is_unlikely_comes_as_often_as_it_should_however_warm() {
        let logits = [0.0, 0.0, 0.0, 99f32.ln(), 0.0];
        let (mut sampler, mut allowed) = (Sampler::new(1), Mask::only(Kind::Note.code()));
        allowed.insert(Kind::End.code());
        for temperature in [1.0, 1.8] {
            sampler.set_temperature(temperature);
            let mut choose = || sampler.choose(Field::Kind, &logits, allowed) == Some(Kind::End.code());
            let ends = (0..40_000).filter(|_| choose()).count();
            assert!((ends as f64 / 40_000.0 - 0.01).abs() < 0.002, "{ends}");
        }
    }

    #[test]
    fn whatever_the_logits_a_choice_is_allowed() {
        let mut sampler = Sampler::new(1);
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1e38, -1e38] {
            let logits = [1.0, odd, odd, -odd, odd, 1.0];
            assert!(
                (0..10).all(|_| [2, 3, 4].contains(&sampler.choose(Field::Pitch, &logits, Mask::range(2, 4)).unwrap()))
            );
        }
        assert_eq!(sampler.choose(Field::Pitch, &[0.0; 5], Mask::default()), None);
    }
}
