//! The online LSTM (Dong et al., ISMIR 2021, section 4): notes in the order they are played, a score per part for each.
//!
//! The state h, c is carried from call to call, so one note at a time gives what the whole sequence at once would.
//! A chord of four notes takes 0.08 ms on one core of a 2.5 GHz Xeon; the test
//! `a_chord_is_given_out_within_the_time_it_is_gathered_in` prints it.

use crate::inference::{InferenceError, Models, Session, TensorView};

/// Parts the network knows: soprano, alto, tenor, bass.
pub(super) const PARTS: usize = 4;
const NAME: &str = "bach_lstm";
const LAYERS: usize = 3;
const WIDTH: usize = 128;
/// 24ths of a quarter: the network's unit of time.
const TICKS: i64 = 24;
/// Quarters after which the network's song clock begins again: training has heard songs begin up to here. Where it
/// wraps nothing is lost (accuracy_without_reset in the card).
const WRAP: i64 = 1024;

/// The network and what it has heard.
pub(super) struct BachLstm {
    session: Session,
    /// Hidden and cell state, [LAYERS, 1, WIDTH] each.
    h: Vec<f32>,
    c: Vec<f32>,
    h_out: Vec<f32>,
    c_out: Vec<f32>,
    /// Ids of the chord at hand, [1, notes] each.
    pitch: Vec<i64>,
    beat: Vec<i64>,
    position: Vec<i64>,
    /// [1, notes, PARTS + 1]: padding, then the parts.
    logits: Vec<f32>,
}

impl BachLstm {
    /// Opens the model with nothing heard.
    pub fn open(models: &Models) -> Result<Self, InferenceError> {
        Ok(Self {
            session: Session::open(models, NAME, 1)?,
            h: vec![0.0; LAYERS * WIDTH],
            c: vec![0.0; LAYERS * WIDTH],
            h_out: Vec::new(),
            c_out: Vec::new(),
            pitch: Vec::new(),
            beat: Vec::new(),
            position: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// Forgets everything heard.
    pub fn forget(&mut self) {
        self.h.fill(0.0);
        self.c.fill(0.0);
    }

    /// Hears keys struck at a beat (quarters of the song), lowest first; returns a score per note and part.
    /// After an error it is as if they had not been played.
    pub fn hear(&mut self, keys: &[u8], beat: f64) -> Result<Scores<'_>, InferenceError> {
        let tick = ((beat * TICKS as f64).round() as i64).rem_euclid(WRAP * TICKS);
        self.pitch.clear();
        self.pitch.extend(keys.iter().map(|&key| i64::from(key & 0x7f) + 1));
        self.beat.clear();
        self.beat.resize(keys.len(), tick / TICKS);
        self.position.clear();
        self.position.resize(keys.len(), tick % TICKS);
        let (row, state) = ([1, keys.len()], [LAYERS, 1, WIDTH]);
        self.session.run(
            &[
                ("pitch", TensorView::I64(&row, &self.pitch)),
                ("beat", TensorView::I64(&row, &self.beat)),
                ("position", TensorView::I64(&row, &self.position)),
                ("h", TensorView::F32(&state, &self.h)),
                ("c", TensorView::F32(&state, &self.c)),
            ],
            &mut [("logits", &mut self.logits), ("h_out", &mut self.h_out), ("c_out", &mut self.c_out)],
        )?;
        let sizes = [self.logits.len(), self.h_out.len(), self.c_out.len()];
        if sizes != [keys.len() * (PARTS + 1), self.h.len(), self.c.len()] {
            let reason = format!("it answered {sizes:?} numbers to {} notes", keys.len());
            return Err(InferenceError::Mismatch { name: NAME.to_owned(), reason });
        }
        std::mem::swap(&mut self.h, &mut self.h_out);
        std::mem::swap(&mut self.c, &mut self.c_out);
        Ok(Scores { logits: &self.logits })
    }
}

/// What the network says of the notes of one chord.
pub(super) struct Scores<'a> {
    /// [notes, PARTS + 1]
    logits: &'a [f32],
}

impl Scores<'_> {
    /// Natural log probability that note i belongs to a part, among the parts.
    pub fn of(&self, i: usize, part: usize) -> f64 {
        let row = &self.logits[i * (PARTS + 1) + 1..][..PARTS];
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = row.iter().map(|&logit| f64::from(logit - top).exp()).sum();
        f64::from(row[part] - top) - total.ln()
    }

    /// The likeliest part of note i.
    #[cfg(test)]
    pub fn likeliest(&self, i: usize) -> usize {
        (0..PARTS).fold(0, |best, part| if self.of(i, part) > self.of(i, best) { part } else { best })
    }

    /// Logits of note i: padding, then the parts.
    #[cfg(test)]
    pub fn logits(&self, i: usize) -> &[f32] {
        &self.logits[i * (PARTS + 1)..][..PARTS + 1]
    }
}
