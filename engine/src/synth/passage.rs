//! Passages: any stretch of frames of any parts, as live playing asks for them, and single notes.
//!
//! A segment follows its predecessor at a fixed place; a passage begins where it is needed and is replaced when something
//! new is played. Promises that two passages over the same frames carry the same phases and the same noise, so that one
//! can be faded into the other at equal gain. Runs on the synth worker.

use std::time::Instant;

use crate::score::Note;

use super::excitation::Origins;
use super::guidance::Guidance;
use super::rates::{FRAMES_PER_SECOND, MAX_PARTS, MEL, OVERLAP_FRAMES, SAMPLE_RATE};
use super::segment::{LEVEL, PartInput, SegmentCost, Span, StereoBuffer, SynthError, Synthesizer, row_of};
use super::vocoder::Voiced;

/// Frames before a committed mel ends in which its weight falls to 0.
const LET_GO: i64 = 4;
/// The networks halve their frames up to three times.
const MULTIPLE: usize = 8;
/// Frames at the end of a passage that lack the windows of their neighbours; levels there are measured on what there is.
const RAGGED: usize = 3;

/// One part of a passage.
#[derive(Debug, Clone, Copy)]
pub struct PassagePart<'a> {
    /// Its number in the ensemble, which names its noise.
    pub number: usize,
    /// Index of the instrument that plays.
    pub instrument: usize,
    /// Its notes, at least all that sound or ring in the passage.
    pub notes: &'a [Note],
    /// What sounded before, for the passage to continue.
    pub before: Option<&'a PassageAudio>,
    /// First absolute frame in which what sounded before is no longer true, because something was played.
    pub changed: i64,
}

/// What a passage is made from.
#[derive(Debug, Clone, Copy)]
pub struct PassageRequest<'a> {
    /// Absolute number of the first frame to be heard.
    pub first: i64,
    /// Frames that the networks see before it; what was played before reaches further by the roll's age and release.
    pub context: usize,
    /// Frames to be heard. With `context` and [`PassageRequest::RAGGED`] they are rounded up to a multiple of 8.
    pub frames: usize,
    /// Frames of the context that are rendered as well, to compare levels with what sounded.
    pub lead_in: usize,
    /// Index of the performance.
    pub performance: usize,
    /// Denoiser steps; 0 is the prior alone.
    pub steps: usize,
    /// Guidance weights.
    pub guidance: Guidance,
    /// The project's seed.
    pub seed: u64,
    /// At most [`MAX_PARTS`] parts.
    pub parts: &'a [PassagePart<'a>],
}

impl PassageRequest<'_> {
    /// Frames after the last one heard that are computed with it, for its windows.
    pub const RAGGED: usize = RAGGED;

    fn span(&self) -> Span {
        let frames = (self.context + self.frames + RAGGED).next_multiple_of(MULTIPLE);
        Span { first: self.first - self.context as i64, frames }
    }
}

/// One part of a finished passage.
#[derive(Debug, Clone, Default)]
pub struct PassageAudio {
    /// Absolute number of the first frame of `mel`.
    pub mel_first: i64,
    /// Mel, `[frames, MEL]`.
    pub mel: Vec<f32>,
    /// Lead-in and audible frames, [`HOP`](super::HOP) samples each; empty: nothing sounds.
    pub audio: StereoBuffer,
}

impl PassageAudio {
    /// Weight and frame of this passage's mel where a later one may lean on it: wholly before `join`, falling over the
    /// overlap after it, and not from `changed` on.
    fn committed(&self, frame: i64, join: i64, changed: i64) -> Option<(f32, &[f32])> {
        let frames = (self.mel.len() / MEL) as i64;
        let until = changed.min(self.mel_first + frames - RAGGED as i64);
        if frame < self.mel_first || frame >= until {
            return None;
        }
        let row = (frame - self.mel_first) as usize * MEL;
        let joined = 1.0 - (frame - join).max(0) as f32 / (OVERLAP_FRAMES - 1) as f32;
        let let_go = ((until - frame) as f32 / LET_GO as f32).min(1.0);
        Some(((joined.max(0.0)) * let_go, &self.mel[row..row + MEL]))
    }
}

impl Synthesizer {
    /// Renders a passage; `out` gets one entry per part. `more` is asked before every step but the first whether there is
    /// time for it. Phases count from each note's onset.
    pub fn render_passage(
        &mut self,
        request: &PassageRequest<'_>,
        out: &mut Vec<PassageAudio>,
        more: impl FnMut(usize) -> bool,
    ) -> Result<SegmentCost, SynthError> {
        let begun = Instant::now();
        if request.parts.len() > MAX_PARTS {
            return Err(SynthError::TooManyParts { found: request.parts.len() });
        }
        let span = request.span();
        let parts: Vec<PartInput<'_>> =
            request.parts.iter().map(|part| PartInput { instrument: part.instrument, notes: part.notes }).collect();
        self.lay_down_notes(&parts, request.performance, span);
        self.lean_on(request, span);
        self.run_networks(span, request.seed, request.guidance, request.steps, more)?;
        out.resize_with(parts.len(), PassageAudio::default);
        let audible = request.context - request.lead_in.min(request.context)..request.context + request.frames;
        let work = &mut self.work;
        for (index, (part, out)) in request.parts.iter().zip(out).enumerate() {
            out.mel_first = span.first;
            out.mel.clear();
            out.audio.left.clear();
            out.audio.right.clear();
            let Some(slot) = work.active.iter().position(|&active| active == index) else { continue };
            out.mel.extend_from_slice(row_of(&work.mel, slot, span.frames * MEL));
            let (origins, noise) = (&Origins::of_notes(part.notes), (request.seed, part.number));
            let given = Voiced { first: span.first, mel: &out.mel, roll: &work.rolls[index], origins, noise };
            work.cost.vocoder += self.vocoder.render(given, audible.clone(), &mut out.audio)?;
            out.audio.left.iter_mut().chain(&mut out.audio.right).for_each(|sample| *sample *= LEVEL);
        }
        Ok(SegmentCost { seconds: begun.elapsed().as_secs_f64(), ..work.cost })
    }

    /// Renders one note alone from its onset on: what the instant voice's table is made of. `None` if `more` said no, for
    /// then the note is unfinished.
    pub fn render_note(
        &mut self,
        request: &PassageRequest<'_>,
        instrument: usize,
        note: Note,
        seconds: f64,
        mut more: impl FnMut() -> bool,
    ) -> Result<Option<StereoBuffer>, SynthError> {
        let notes = [Note { onset: 0.0, end: note.end - note.onset, ..note }];
        let parts = [PassagePart { number: 0, instrument, notes: &notes, before: None, changed: i64::MAX }];
        let frames = (seconds * FRAMES_PER_SECOND).ceil().max(1.0) as usize;
        let request = PassageRequest { first: 0, context: MULTIPLE, frames, lead_in: 0, parts: &parts, ..*request };
        let (mut out, mut whole) = (Vec::new(), true);
        self.render_passage(&request, &mut out, |_| {
            whole = whole && more();
            whole
        })?;
        let mut audio = out.pop().map(|part| part.audio).filter(|_| whole);
        let samples = (seconds * f64::from(SAMPLE_RATE)) as usize;
        if let Some(audio) = &mut audio {
            // An instrument that never sounds is silence as long as was asked for.
            audio.left.resize(samples, 0.0);
            audio.right.resize(samples, 0.0);
        }
        Ok(audio)
    }

    /// Lets every row be drawn to what sounded before it, as far as that is still true.
    fn lean_on(&mut self, request: &PassageRequest<'_>, span: Span) {
        let work = &mut self.work;
        work.voices.clear();
        work.voices.extend(work.active.iter().map(|&index| request.parts[index].number));
        work.committed.clear();
        work.weights.clear();
        for part in work.active.iter().map(|&index| request.parts[index]) {
            for frame in span.first..span.first + span.frames as i64 {
                let known = part.before.and_then(|before| before.committed(frame, request.first, part.changed));
                work.weights.push(known.map_or(0.0, |(weight, _)| weight));
                match known {
                    Some((_, mel)) => work.committed.extend_from_slice(mel),
                    None => work.committed.resize(work.committed.len() + MEL, 0.0),
                }
            }
        }
    }
}
