//! One segment of all parts: note rolls, prior, denoiser steps, vocoder, crossfade.

use std::time::Instant;

use crate::inference::{InferenceError, Models, Session, TensorView};
use crate::score::Note;

use super::catalogue::Catalogue;
use super::excitation::Origins;
use super::guidance::{Condition, Guidance};
use super::noise::Noise;
use super::rates::{
    self, BINS, CONTEXT_FRAMES, HOP, HOP_FRAMES, KEYS, LOG_FLOOR, MAX_PARTS, MEL, MEL_BANDS, OVERLAP_FRAMES,
    SEGMENT_FRAMES,
};
use super::roll::{NoteRoll, PLANES};
use super::sampler::{blend, committed_weight, ddim_step};
use super::schedule::Schedule;
use super::vocoder::{GAINS, Resynthesis};

/// Samples a segment finishes.
const HOP_SAMPLES: usize = HOP_FRAMES * HOP; // 30,720
/// Level at which the networks' sound is played. They learnt from recordings in which a loud part alone comes near full
/// scale; parts are summed, and a player may be louder than the recordings were.
pub(super) const LEVEL: f32 = 0.5;
/// Samples of the crossfade.
const OVERLAP_SAMPLES: usize = OVERLAP_FRAMES * HOP; // 15,360
/// Purposes of noise streams; 0 and 1 are the vocoder's.
const NOISE_START: u64 = 2;
const NOISE_STEP: u64 = 3;

/// Why a segment could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SynthError {
    /// A model could not be loaded or run.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The performances file is missing or wrong.
    #[error("the list of performances cannot be used: {reason}. Reinstall Ripieno's models.")]
    Catalogue {
        /// What is wrong.
        reason: String,
    },
    /// The models were made for other rates.
    #[error("the models were made for other rates ({found}). Reinstall plug-in and models together.")]
    Rates {
        /// The manifest's rates.
        found: String,
    },
    /// The manifest lacks what the sampler needs.
    #[error("the model manifest has no residual deviation of {MEL} bands above 0. Reinstall Ripieno's models.")]
    NoResidual,
    /// A network's output is not a number or has the wrong size.
    #[error(
        "the {model} model gave values that are no sound; the segment was left out. Reinstall Ripieno's models if it happens again."
    )]
    BadOutput {
        /// The model.
        model: &'static str,
    },
    /// A request with more parts than a segment can have.
    #[error("an ensemble has at most {MAX_PARTS} parts; {found} were asked for")]
    TooManyParts {
        /// The number asked for.
        found: usize,
    },
}

/// The notes of one part.
#[derive(Debug, Clone, Copy)]
pub struct PartInput<'a> {
    /// Index of the instrument that plays.
    pub instrument: usize,
    /// Its notes, at least all that sound or ring in the segment.
    pub notes: &'a [Note],
}

/// What a segment is made from.
#[derive(Debug, Clone, Copy)]
pub struct SegmentRequest<'a> {
    /// k: the segment finishes frames `k * HOP_FRAMES .. (k + 1) * HOP_FRAMES` and needs the notes of
    /// [`OVERLAP_FRAMES`] more.
    pub index: i64,
    /// Index of the performance.
    pub performance: usize,
    /// Denoiser steps; 0 is the prior alone.
    pub steps: usize,
    /// Guidance weights; each that is not 1 costs one more network call a step.
    pub guidance: Guidance,
    /// The project's seed.
    pub seed: u64,
    /// At most [`MAX_PARTS`] parts.
    pub parts: &'a [PartInput<'a>],
}

/// Stereo audio at 48 kHz.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StereoBuffer {
    /// Left samples.
    pub left: Vec<f32>,
    /// Right samples, as many.
    pub right: Vec<f32>,
}

/// Finished audio of one part: `HOP_FRAMES * HOP` samples at 48 kHz.
pub type PartAudio = StereoBuffer;

/// What a segment cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SegmentCost {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Parts that sounded: rows of the networks' batch.
    pub active_parts: usize,
    /// Frames of each row.
    pub frames: usize,
    /// Denoiser steps taken.
    pub steps: usize,
    /// Seconds in the prior, in all steps of the denoiser, and in the vocoder network; the rest is ours.
    pub prior: f64,
    /// See `prior`.
    pub denoiser: f64,
    /// See `prior`.
    pub vocoder: f64,
}

/// The frames of one network call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Absolute number of the first.
    pub first: i64,
    /// How many.
    pub frames: usize,
}

/// What one segment leaves to the next, per part. A fresh one begins in silence.
#[derive(Debug, Clone, Default)]
pub struct SynthState {
    parts: Vec<PartState>,
    next: Option<i64>,
}

#[derive(Debug, Clone)]
struct PartState {
    /// Mel of the context and overlap frames of the next segment, `[CONTEXT + OVERLAP, MEL]`.
    mel: Vec<f32>,
    /// Audio to be faded out under the next segment, `OVERLAP_SAMPLES` each; empty: silence.
    tail: StereoBuffer,
}

impl Default for PartState {
    fn default() -> Self {
        Self { mel: silent_mel().collect(), tail: StereoBuffer::default() }
    }
}

/// The committed mel of a part that was silent.
fn silent_mel() -> impl Iterator<Item = f32> {
    let frame = (0..MEL).map(|band| if band < MEL_BANDS { (LOG_FLOOR as f32).ln() } else { 0.0 });
    frame.cycle().take((CONTEXT_FRAMES + OVERLAP_FRAMES) * MEL)
}

impl PartState {
    /// Crossfades new audio with what the last segment left, and keeps what the next one needs.
    fn commit(&mut self, mel: &[f32], rendered: &StereoBuffer, out: &mut PartAudio) {
        self.mel.clear();
        self.mel.extend_from_slice(&mel[HOP_FRAMES * MEL..]);
        for (new, tail, out) in [
            (&rendered.left, &mut self.tail.left, &mut out.left),
            (&rendered.right, &mut self.tail.right, &mut out.right),
        ] {
            let (finished, next_tail) = new.split_at(HOP_SAMPLES);
            out.copy_from_slice(finished);
            for (n, (out, old)) in out.iter_mut().zip(tail.iter()).enumerate() {
                // Both sides carry the same phases, so the fade is of equal gain, not of equal power.
                *out = old + fade(n) * (*out - old);
            }
            tail.clear();
            tail.extend_from_slice(next_tail);
        }
    }

    /// What the last segment left, fading into silence.
    fn fade_out(&mut self, out: &mut PartAudio) {
        self.mel.clear();
        self.mel.extend(silent_mel());
        for (tail, out) in [(&mut self.tail.left, &mut out.left), (&mut self.tail.right, &mut out.right)] {
            for (n, (out, old)) in out.iter_mut().zip(tail.iter()).enumerate() {
                *out = old * (1.0 - fade(n));
            }
            tail.clear();
        }
    }
}

/// Weight of the new audio in sample `n` of the crossfade.
fn fade(n: usize) -> f32 {
    (n as f32 + 0.5) / OVERLAP_SAMPLES as f32
}

impl SynthState {
    /// Forgets everything: the next segment begins in silence.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The three networks and everything around them. One per synth worker.
pub struct Synthesizer {
    catalogue: Catalogue,
    prior: Session,
    denoiser: Session,
    vocoder: Session,
    residual_std: Vec<f32>,
    schedule: Schedule,
    pub(super) resynthesis: Resynthesis,
    pub(super) work: Work,
}

/// Buffers of one segment, `[active parts, ...]`, kept from segment to segment.
#[derive(Default)]
pub(super) struct Work {
    pub rolls: Vec<NoteRoll>,
    /// Which of the request's parts are the rows of the batch, and the numbers that their noise goes by.
    pub active: Vec<usize>,
    pub voices: Vec<usize>,
    roll: Vec<f32>,
    instrument: Vec<i64>,
    performance: Vec<i64>,
    notes_on: Vec<f32>,
    time: Vec<f32>,
    prior: Vec<f32>,
    /// Mel that the rows are drawn to, `[active, frames, MEL]`, and how strongly, `[active, frames]`; empty: not at all.
    pub committed: Vec<f32>,
    pub weights: Vec<f32>,
    x: Vec<f32>,
    v: Vec<f32>,
    conditioned: Vec<f32>,
    condition_prior: Vec<f32>,
    condition_roll: Vec<f32>,
    condition_x: Vec<f32>,
    pub gains: Vec<f32>,
    pub mel: Vec<f32>,
    /// One part's new audio, crossfade not yet done: `HOP_SAMPLES + OVERLAP_SAMPLES`.
    audio: StereoBuffer,
    pub cost: SegmentCost,
}

impl Synthesizer {
    /// Opens the sessions, `threads` each; about 0.2 s, so on a worker.
    pub fn new(models: &Models, threads: usize) -> Result<Self, SynthError> {
        let manifest = models.manifest();
        rates::check(&manifest.rates)?;
        let residual_std = match &manifest.synth {
            Some(synth) if synth.residual_std.len() == MEL && synth.residual_std.iter().all(|&std| std > 0.0) => {
                synth.residual_std.clone()
            }
            _ => return Err(SynthError::NoResidual),
        };
        Ok(Self {
            catalogue: Catalogue::load(&manifest.folder)?,
            prior: Session::open(models, "prior", threads)?,
            denoiser: Session::open(models, "denoiser", threads)?,
            vocoder: Session::open(models, "vocoder", threads)?,
            residual_std,
            schedule: Schedule::default(),
            resynthesis: Resynthesis::new(),
            work: Work::default(),
        })
    }

    /// The performances and instruments of these models.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Renders one segment. `out` is made as long as the request has parts; each gets its finished, crossfaded samples.
    /// A request that does not follow the last one begins in silence, and so does the one after an error.
    pub fn render_segment(
        &mut self,
        request: &SegmentRequest<'_>,
        state: &mut SynthState,
        out: &mut Vec<PartAudio>,
    ) -> Result<SegmentCost, SynthError> {
        let started = Instant::now();
        let parts = request.parts.len();
        if parts > MAX_PARTS {
            return Err(SynthError::TooManyParts { found: parts });
        }
        let follows = state.next == Some(request.index);
        if !follows {
            state.reset();
        }
        state.parts.resize_with(parts, PartState::default);
        state.next = None;
        out.resize_with(parts, PartAudio::default);
        for part in out.iter_mut() {
            for channel in [&mut part.left, &mut part.right] {
                channel.clear();
                channel.resize(HOP_SAMPLES, 0.0);
            }
        }
        let first_frame = request.index * HOP_FRAMES as i64 - CONTEXT_FRAMES as i64;
        let span = Span { first: first_frame, frames: SEGMENT_FRAMES };
        self.lay_down_notes(request.parts, request.performance, span);
        self.work.voices.clone_from(&self.work.active);
        // A beginning has nothing to be drawn to: an onset in its first frames must keep its attack.
        self.gather_committed(follows.then_some(state));
        self.run_networks(span, request.seed, request.guidance, request.steps, |_| true)?;
        let mut slots = self.work.active.iter().enumerate().peekable();
        let parts = out.iter_mut().zip(&mut state.parts).zip(&self.work.rolls);
        for (part, ((audio, state), roll)) in parts.enumerate() {
            match slots.next_if(|&(_, &active)| active == part) {
                Some((slot, _)) => {
                    let gains = &self.work.gains[slot * SEGMENT_FRAMES * GAINS * BINS..];
                    let audible = CONTEXT_FRAMES..SEGMENT_FRAMES;
                    let rendered = &mut self.work.audio;
                    let (origins, noise) = (Origins::default(), (request.seed, part));
                    self.resynthesis.render((roll, gains), &origins, noise, first_frame, audible, rendered);
                    rendered.left.iter_mut().chain(&mut rendered.right).for_each(|sample| *sample *= LEVEL);
                    state.commit(row_of(&self.work.mel, slot, SEGMENT_FRAMES * MEL), rendered, audio);
                }
                None => state.fade_out(audio),
            }
        }
        state.next = Some(request.index + 1);
        Ok(SegmentCost { seconds: started.elapsed().as_secs_f64(), ..self.work.cost })
    }

    /// Note rolls of all parts; those that sound or ring become the batch.
    pub(super) fn lay_down_notes(&mut self, parts: &[PartInput<'_>], performance: usize, span: Span) {
        let work = &mut self.work;
        work.active.clear();
        work.roll.clear();
        work.instrument.clear();
        work.rolls.resize_with(MAX_PARTS, NoteRoll::default);
        let instruments = self.catalogue.instruments().len().max(1);
        for (part, input) in parts.iter().enumerate() {
            let roll = &mut work.rolls[part];
            roll.fill(input.notes, span.first, span.frames);
            if !roll.is_silent() {
                work.active.push(part);
                work.roll.extend_from_slice(&roll.values);
                work.instrument.push(input.instrument.min(instruments - 1) as i64);
            }
        }
        let performance = performance.min(self.catalogue.performances().len().saturating_sub(1));
        work.performance.clear();
        work.performance.resize(work.active.len(), performance as i64);
        work.notes_on.clear();
        work.notes_on.resize(work.active.len(), 1.0);
    }

    fn gather_committed(&mut self, state: Option<&SynthState>) {
        let work = &mut self.work;
        work.committed.clear();
        work.weights.clear();
        let Some(state) = state else { return };
        for &part in &work.active {
            let row = work.committed.len() + SEGMENT_FRAMES * MEL;
            work.committed.extend_from_slice(&state.parts[part].mel);
            work.committed.resize(row, 0.0);
            work.weights.extend((0..SEGMENT_FRAMES).map(committed_weight));
        }
    }

    /// Prior, denoiser and vocoder over the rows that were laid down. `more` is asked before every step but the first
    /// whether there is time for it; what the last one predicted is what is heard.
    pub(super) fn run_networks(
        &mut self,
        span: Span,
        seed: u64,
        guidance: Guidance,
        steps: usize,
        more: impl FnMut(usize) -> bool,
    ) -> Result<(), SynthError> {
        self.work.cost =
            SegmentCost { active_parts: self.work.active.len(), frames: span.frames, ..SegmentCost::default() };
        if self.work.active.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.run_prior(span.frames)?;
        let prior_done = Instant::now();
        self.sample(span, seed, guidance, steps, more)?;
        let sampled = Instant::now();
        self.run_vocoder(span.frames)?;
        let cost = &mut self.work.cost;
        cost.prior = (prior_done - begun).as_secs_f64();
        cost.denoiser = (sampled - prior_done).as_secs_f64();
        cost.vocoder = sampled.elapsed().as_secs_f64();
        Ok(())
    }

    fn run_prior(&mut self, frames: usize) -> Result<(), SynthError> {
        let work = &mut self.work;
        let batch = work.active.len();
        self.prior.run(
            &[
                ("roll", TensorView::F32(&[batch, frames, PLANES, KEYS], &work.roll)),
                ("instrument", TensorView::I64(&[batch], &work.instrument)),
                ("performance", TensorView::I64(&[batch], &work.performance)),
                ("notes_on", TensorView::F32(&[batch], &work.notes_on)),
            ],
            &mut [("mel", &mut work.prior)],
        )?;
        finite("prior", &work.prior, batch * frames * MEL)
    }

    /// From noise to the mel: DDIM on the residual in units of its deviation, x0 drawn to the committed frames.
    fn sample(
        &mut self,
        span: Span,
        seed: u64,
        guidance: Guidance,
        steps: usize,
        mut more: impl FnMut(usize) -> bool,
    ) -> Result<(), SynthError> {
        let size = span.frames * MEL;
        let batch = self.work.active.len();
        if steps == 0 {
            self.work.mel.clear();
            self.work.mel.extend_from_slice(&self.work.prior);
        } else {
            self.work.x.clear();
            for &voice in &self.work.voices {
                // Noise belongs to a place in the stream, so that an overlap starts from the same noise twice.
                let noise = Noise::new(seed, voice, NOISE_START);
                let origin = span.first * MEL as i64;
                self.work.x.extend((0..size).map(|i| noise.gaussian(origin + i as i64)));
            }
            let times: Vec<usize> = Schedule::times(steps).collect();
            for (step, &t) in times.iter().enumerate() {
                self.predict(t, guidance, span.frames)?;
                self.work.cost.steps = step + 1;
                let next = times.get(step + 1).copied().filter(|_| more(step + 1));
                let work = &mut self.work;
                for slot in 0..batch {
                    let range = slot * size..(slot + 1) * size;
                    let (prior, committed) = (&work.prior[range.clone()], row_of(&work.committed, slot, size));
                    let weights = row_of(&work.weights, slot, span.frames);
                    let std = &self.residual_std;
                    let constrain = |x0: &mut [f32]| draw_to_committed(x0, prior, committed, weights, std);
                    let noise = Noise::new(seed ^ (step as u64) << 32, work.voices[slot], NOISE_STEP);
                    let state = (&mut work.x[range.clone()], &work.v[range]);
                    ddim_step(&self.schedule, (t, next), 0.0, state, constrain, |i| noise.gaussian(i as i64));
                }
                if next.is_none() {
                    break;
                }
            }
            let work = &mut self.work;
            work.mel.clear();
            let deviation = self.residual_std.iter().cycle();
            work.mel.extend(work.prior.iter().zip(&work.x).zip(deviation).map(|((prior, x), std)| prior + x * std));
        }
        let work = &mut self.work;
        for slot in 0..batch {
            let (committed, weights) = (row_of(&work.committed, slot, size), row_of(&work.weights, slot, span.frames));
            blend(&mut work.mel[slot * size..(slot + 1) * size], committed, weights);
        }
        Ok(())
    }

    /// The guided v of the whole batch at a time: all conditions in one run.
    fn predict(&mut self, t: usize, guidance: Guidance, frames: usize) -> Result<(), SynthError> {
        let work = &mut self.work;
        let batch = work.active.len();
        let conditions: Vec<Condition> = guidance.conditions().collect();
        let rows = batch * conditions.len();
        let null = self.catalogue.performances().len() as i64;
        let performance: Vec<i64> = conditions
            .iter()
            .flat_map(|&c| work.performance.iter().map(move |&p| if c == Condition::NoPerformance { null } else { p }))
            .collect();
        let notes_on: Vec<f32> = conditions
            .iter()
            .flat_map(|&c| std::iter::repeat_n(if c == Condition::NoNotes { 0.0 } else { 1.0 }, batch))
            .collect();
        let instrument: Vec<i64> = conditions.iter().flat_map(|_| work.instrument.iter().copied()).collect();
        for (wide, narrow) in [
            (&mut work.condition_roll, &work.roll),
            (&mut work.condition_prior, &work.prior),
            (&mut work.condition_x, &work.x),
        ] {
            wide.clear();
            for _ in &conditions {
                wide.extend_from_slice(narrow);
            }
        }
        work.time.clear();
        work.time.resize(rows, t as f32);
        let mel_shape = [rows, frames, MEL];
        self.denoiser.run(
            &[
                ("x", TensorView::F32(&mel_shape, &work.condition_x)),
                ("prior", TensorView::F32(&mel_shape, &work.condition_prior)),
                ("roll", TensorView::F32(&[rows, frames, PLANES, KEYS], &work.condition_roll)),
                ("instrument", TensorView::I64(&[rows], &instrument)),
                ("performance", TensorView::I64(&[rows], &performance)),
                ("notes_on", TensorView::F32(&[rows], &notes_on)),
                ("t", TensorView::F32(&[rows], &work.time)),
            ],
            &mut [("v", &mut work.conditioned)],
        )?;
        let size = batch * frames * MEL;
        finite("denoiser", &work.conditioned, conditions.len() * size)?;
        work.v.clear();
        work.v.resize(size, 0.0);
        for (condition, values) in conditions.iter().zip(work.conditioned.chunks_exact(size)) {
            let weight = guidance.combine(*condition);
            for (sum, value) in work.v.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        Ok(())
    }

    fn run_vocoder(&mut self, frames: usize) -> Result<(), SynthError> {
        let work = &mut self.work;
        let batch = work.active.len();
        self.vocoder.run(
            &[
                ("mel", TensorView::F32(&[batch, frames, MEL], &work.mel)),
                ("roll", TensorView::F32(&[batch, frames, PLANES, KEYS], &work.roll)),
            ],
            &mut [("gains", &mut work.gains)],
        )?;
        finite("vocoder", &work.gains, batch * frames * GAINS * BINS)
    }
}

/// One batch row of so many values; empty where there are none.
pub(super) fn row_of(values: &[f32], slot: usize, size: usize) -> &[f32] {
    values.get(slot * size..(slot + 1) * size).unwrap_or_default()
}

/// Refuses a network's output that has another size than asked for, or that is not finite: committed once, it would be
/// blended into everything after it.
fn finite(model: &'static str, values: &[f32], size: usize) -> Result<(), SynthError> {
    // Without an early way out the loop is one of vectors: 0.2 ms for the gains of four parts.
    let sound = values.len() == size && values.iter().fold(true, |sound, value| sound & value.is_finite());
    if sound { Ok(()) } else { Err(SynthError::BadOutput { model }) }
}

/// x0-overlap (MODELS.md section 4): the predicted clean residual is drawn to the one that gives the committed mel.
fn draw_to_committed(x0: &mut [f32], prior: &[f32], committed: &[f32], weights: &[f32], std: &[f32]) {
    let rows = x0.chunks_exact_mut(MEL).zip(prior.chunks_exact(MEL)).zip(committed.chunks_exact(MEL)).zip(weights);
    for (((x0, prior), committed), weight) in rows {
        for (((x0, prior), committed), std) in x0.iter_mut().zip(prior).zip(committed).zip(std) {
            *x0 += weight * ((committed - prior) / std - *x0);
        }
    }
}
