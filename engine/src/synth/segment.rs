//! One segment of all parts: note rolls, prior, denoiser steps, vocoder.
//!
//! A segment's new mel is final where the next one cannot change it any more, and goes into each part's stream of the
//! vocoder, so that what is heard is one mel vocoded whole: segments meet in the mel alone.

use std::time::Instant;

use crate::inference::{InferenceError, Models, Session, TensorView};
use crate::score::Note;

use super::catalogue::Catalogue;
use super::decay::settle;
use super::denoiser::{self, DenoiserInfo, Occasion, Opened, Rows};
use super::guidance::Guidance;
use super::rates::{
    self, CONTEXT_FRAMES, HOP, HOP_FRAMES, KEYS, LOG_FLOOR, MAX_PARTS, MEL, MEL_BANDS, OVERLAP_FRAMES, SEGMENT_FRAMES,
};
use super::roll::{NoteRoll, PLANES};
use super::sampler::Sampling;
use super::sampler::overlap::committed_weight;
use super::schedule::Schedule;
use super::vocoding::{HELD_FRAMES, Vocoder, VocoderStream};

/// Samples a segment finishes.
const HOP_SAMPLES: usize = HOP_FRAMES * HOP; // 30,720
/// Level at which the networks' sound is played. They learnt from recordings in which a loud part alone comes near full
/// scale; parts are summed, and a player may be louder than the recordings were.
pub(super) const LEVEL: f32 = 0.5;
/// Samples over which a part that falls silent is faded out.
const OVERLAP_SAMPLES: usize = OVERLAP_FRAMES * HOP; // 15,360

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
    /// The manifest's line of a denoiser is wrong.
    #[error("the denoiser \"{name}\" cannot be used: {reason}. Reinstall Ripieno's models.")]
    Denoiser {
        /// The denoiser.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such denoiser.
    #[error("there is no denoiser \"{name}\". It is one of: {known}.")]
    NoDenoiser {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The manifest names a denoiser for an occasion and has none of that name.
    #[error("the manifest's {occasion} = \"{name}\" is none of its denoisers ({known}). Reinstall Ripieno's models.")]
    NotListed {
        /// The manifest's word for the occasion.
        occasion: &'static str,
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A denoiser that was never distilled is to be sampled as if it had been.
    #[error("the denoiser \"{name}\" was not distilled for any steps. Choose the sampler ddim or dpm++2m.")]
    NotDistilled {
        /// The denoiser.
        name: String,
    },
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
    /// k: the segment finishes the mel of the frames `k * HOP_FRAMES .. (k + 1) * HOP_FRAMES`, and the sound of those
    /// [`HELD_FRAMES`] earlier. It needs the notes of [`OVERLAP_FRAMES`] more.
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

/// Finished audio of one part: `HOP_FRAMES * HOP` samples at 48 kHz, from frame `k * HOP_FRAMES - HELD_FRAMES` on.
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
    /// Final mel that is still to be heard.
    stream: VocoderStream,
}

impl Default for PartState {
    fn default() -> Self {
        Self { mel: silent_mel().collect(), stream: VocoderStream::default() }
    }
}

/// The committed mel of a part that was silent.
fn silent_mel() -> impl Iterator<Item = f32> {
    let frame = (0..MEL).map(|band| if band < MEL_BANDS { (LOG_FLOOR as f32).ln() } else { 0.0 });
    frame.cycle().take((CONTEXT_FRAMES + OVERLAP_FRAMES) * MEL)
}

impl PartState {
    /// Takes a segment's mel and roll, `[SEGMENT_FRAMES, ..]`, the first of them absolute frame `first`: what is final of
    /// it goes to the vocoder, and the rest waits for the next segment.
    fn commit(&mut self, mel: &[f32], roll: &NoteRoll, first: i64) {
        let mut from = CONTEXT_FRAMES;
        if !self.stream.is_begun() {
            // What the networks see before it is as final as it will ever be.
            from = 0;
            self.stream = VocoderStream::begin(first, first + (CONTEXT_FRAMES - HELD_FRAMES) as i64);
        }
        let until = CONTEXT_FRAMES + HOP_FRAMES;
        self.stream.feed(&mel[from * MEL..until * MEL], roll.rows(from..until));
        self.mel.clear();
        self.mel.extend_from_slice(&mel[HOP_FRAMES * MEL..]);
    }

    /// The part is silent from now on: what the last segment left of it becomes final, for nothing follows.
    fn conclude(&mut self, roll: &NoteRoll) {
        let overlap = CONTEXT_FRAMES..CONTEXT_FRAMES + OVERLAP_FRAMES;
        self.stream.feed(&self.mel[CONTEXT_FRAMES * MEL..], roll.rows(overlap));
        self.mel.clear();
        self.mel.extend(silent_mel());
    }
}

/// Fades out the end of what is left of a part.
fn fade_out(audio: &mut StereoBuffer) {
    for channel in [&mut audio.left, &mut audio.right] {
        let from = channel.len().saturating_sub(OVERLAP_SAMPLES);
        for (n, sample) in channel[from..].iter_mut().enumerate() {
            *sample *= 1.0 - (n as f32 + 0.5) / OVERLAP_SAMPLES as f32;
        }
    }
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
    pub(super) vocoder: Vocoder,
    /// The one that was asked for, then its teacher where more steps can be asked for than it was distilled for.
    pub(super) denoisers: Vec<Opened>,
    /// Which of them plays this segment.
    pub(super) playing: usize,
    /// Whether parts are told their performance; for measuring what that is worth.
    told_performance: bool,
    pub(super) residual_std: Vec<f32>,
    pub(super) schedule: Schedule,
    pub(super) work: Work,
}

/// Buffers of one segment, `[active parts, ...]`, kept from segment to segment.
#[derive(Default)]
pub(super) struct Work {
    pub rolls: Vec<NoteRoll>,
    /// Which of the request's parts are the rows of the batch, and the numbers that their noise goes by.
    pub active: Vec<usize>,
    pub voices: Vec<usize>,
    pub roll: Vec<f32>,
    pub instrument: Vec<i64>,
    pub performance: Vec<i64>,
    notes_on: Vec<f32>,
    pub prior: Vec<f32>,
    /// Mel that the rows are drawn to, `[active, frames, MEL]`, and how strongly, `[active, frames]`; empty: not at all.
    pub committed: Vec<f32>,
    pub weights: Vec<f32>,
    /// The batch of the denoiser, and x and v of its rows.
    pub rows: Rows,
    pub wide_x: Vec<f32>,
    pub wide_v: Vec<f32>,
    /// State of the sampler, `[active, frames, MEL]`, and what was predicted to be clean, at this level and the last.
    pub x: Vec<f32>,
    pub clean: Vec<f32>,
    pub clean_before: Vec<f32>,
    pub mel: Vec<f32>,
    pub cost: SegmentCost,
}

impl Synthesizer {
    /// Opens the sessions, `threads` each, with the manifest's denoiser for an occasion, or the next that can be used;
    /// about 0.2 s, so on a worker.
    pub fn new(models: &Models, threads: usize, occasion: Occasion) -> Result<Self, SynthError> {
        Self::with(models, threads, denoiser::whole(models, threads, occasion)?)
    }

    /// The same with the denoiser of a name.
    pub fn with_denoiser(models: &Models, threads: usize, name: &str) -> Result<Self, SynthError> {
        Self::with(models, threads, vec![denoiser::open(models, name, threads)?])
    }

    fn with(models: &Models, threads: usize, denoisers: Vec<Opened>) -> Result<Self, SynthError> {
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
            vocoder: Vocoder::open(models, threads)?,
            denoisers,
            playing: 0,
            told_performance: true,
            residual_std,
            schedule: Schedule::default(),
            work: Work::default(),
        })
    }

    /// The denoiser that was opened.
    pub fn denoiser(&self) -> &DenoiserInfo {
        &self.denoisers[0].info
    }

    /// Samples in another way than the denoiser's own from now on.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<(), SynthError> {
        self.denoisers[0].set_sampling(sampling)
    }

    /// Tells the networks of no performance from now on, or again: what conditioning on it is worth is measured so.
    pub fn tell_performance(&mut self, tell: bool) {
        self.told_performance = tell;
    }

    /// The null performance.
    pub(super) fn nobody(&self) -> i64 {
        self.catalogue.performances().len() as i64
    }

    /// The performances and instruments of these models.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Renders one segment. `out` is made as long as the request has parts; each gets its finished samples.
    /// A request that does not follow the last one begins in silence, and so does the one after an error.
    pub fn render_segment(
        &mut self,
        request: &SegmentRequest<'_>,
        state: &mut SynthState,
        out: &mut Vec<PartAudio>,
    ) -> Result<SegmentCost, SynthError> {
        self.render_segment_while(request, state, out, |_| true)
    }

    /// The same in time: `more` is asked before every step but the first whether there is time for it.
    pub fn render_segment_while(
        &mut self,
        request: &SegmentRequest<'_>,
        state: &mut SynthState,
        out: &mut Vec<PartAudio>,
        more: impl FnMut(usize) -> bool,
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
        let first_frame = request.index * HOP_FRAMES as i64 - CONTEXT_FRAMES as i64;
        let span = Span { first: first_frame, frames: SEGMENT_FRAMES };
        self.lay_down_notes(request.parts, request.performance, span);
        self.work.voices.clone_from(&self.work.active);
        // A beginning has nothing to be drawn to: an onset in its first frames must keep its attack.
        self.gather_committed(follows.then_some(state));
        self.run_networks(span, request.seed, request.guidance, request.steps, more)?;
        let mut slots = self.work.active.iter().enumerate().peekable();
        let parts = out.iter_mut().zip(&mut state.parts).zip(&self.work.rolls);
        for (part, ((audio, state), roll)) in parts.enumerate() {
            let playing = slots.next_if(|&(_, &active)| active == part);
            if let Some((slot, _)) = playing {
                state.commit(row_of(&self.work.mel, slot, SEGMENT_FRAMES * MEL), roll, first_frame);
            } else if state.stream.is_begun() {
                state.conclude(roll);
            }
            let (noise, last) = ((request.seed, part), playing.is_none());
            self.work.cost.vocoder += self.vocoder.sound(&mut state.stream, noise, last, audio)?;
            if last {
                fade_out(audio);
                state.stream = VocoderStream::default();
            }
            for channel in [&mut audio.left, &mut audio.right] {
                channel.iter_mut().for_each(|sample| *sample *= LEVEL);
                channel.resize(HOP_SAMPLES, 0.0);
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
        let performances = self.catalogue.performances().len();
        let told = if self.told_performance { performance.min(performances.saturating_sub(1)) } else { performances };
        work.performance.clear();
        work.performance.resize(work.active.len(), told as i64);
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

    /// Prior and denoiser over the rows that were laid down, to their mel. `more` is asked before every step but the first
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
        self.playing = self.denoisers.iter().position(|denoiser| denoiser.reaches(steps)).unwrap_or(0);
        self.sample(span, seed, guidance, steps, more)?;
        let work = &mut self.work;
        for (mel, &part) in work.mel.chunks_exact_mut(span.frames * MEL).zip(&work.active) {
            settle(mel, &work.rolls[part]);
        }
        let cost = &mut self.work.cost;
        cost.prior = (prior_done - begun).as_secs_f64();
        cost.denoiser = prior_done.elapsed().as_secs_f64();
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
}

/// One batch row of so many values; empty where there are none.
pub(super) fn row_of(values: &[f32], slot: usize, size: usize) -> &[f32] {
    values.get(slot * size..(slot + 1) * size).unwrap_or_default()
}

/// Refuses a network's output that has another size than asked for, or that is not finite: committed once, it would be
/// blended into everything after it.
pub(super) fn finite(model: &'static str, values: &[f32], size: usize) -> Result<(), SynthError> {
    // Without an early way out the loop is one of vectors: 0.2 ms for the gains of four parts.
    let sound = values.len() == size && values.iter().fold(true, |sound, value| sound & value.is_finite());
    if sound { Ok(()) } else { Err(SynthError::BadOutput { model }) }
}
