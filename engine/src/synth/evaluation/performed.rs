//! A part performed as a rendering performs it, segment by segment, for measuring.

use std::time::Instant;

use crate::score::Note;
use crate::synth::Voiced;
use crate::synth::mel::mel_frames;
use crate::synth::rates::{FRAMES_PER_SECOND, HOP, HOP_FRAMES};
use crate::synth::segment::{LEVEL, PartInput, SegmentRequest, Span, SynthError, SynthState, Synthesizer};
use crate::synth::{Guidance, HELD_FRAMES, Origins, SegmentCost, StereoBuffer};

/// Who plays which notes for how long.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Index of the performance.
    pub performance: usize,
    /// Index of the instrument.
    pub instrument: usize,
    /// The notes.
    pub notes: &'a [Note],
    /// Frames to be performed from time 0 on.
    pub frames: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Performed {
    /// [`HOP`](crate::synth::HOP) samples a frame, at the level of the recordings.
    pub audio: StereoBuffer,
    /// What its segments cost together.
    pub cost: SegmentCost,
    /// Seconds of music in its segments.
    pub seconds: f64,
}

impl Synthesizer {
    /// Performs a part by itself, its music `later` frames later; the sound is as much longer.
    pub fn perform_part(
        &mut self,
        subject: &Subject<'_>,
        (steps, guidance): (usize, Guidance),
        seed: u64,
        later: usize,
    ) -> Result<Performed, SynthError> {
        let delay = later as f64 / FRAMES_PER_SECOND;
        let moved = |note: &Note| Note { onset: note.onset + delay, end: note.end + delay, ..*note };
        let notes: Vec<Note> = subject.notes.iter().map(moved).collect();
        let parts = [PartInput { instrument: subject.instrument, notes: &notes }];
        let frames = subject.frames + later;
        let segments = (frames + HELD_FRAMES).div_ceil(HOP_FRAMES);
        let (mut state, mut out, mut made) = (SynthState::default(), Vec::new(), Performed::default());
        let performance = subject.performance;
        for index in 0..segments as i64 {
            let request = SegmentRequest { index, performance, steps, guidance, seed, parts: &parts };
            let cost = self.render_segment(&request, &mut state, &mut out)?;
            made.cost.seconds += cost.seconds;
            made.cost.prior += cost.prior;
            made.cost.denoiser += cost.denoiser;
            made.cost.vocoder += cost.vocoder;
            made.cost.steps += cost.steps;
            for part in &out {
                made.audio.left.extend(part.left.iter().map(|sample| sample / LEVEL));
                made.audio.right.extend(part.right.iter().map(|sample| sample / LEVEL));
            }
        }
        for channel in [&mut made.audio.left, &mut made.audio.right] {
            channel.drain(..HELD_FRAMES * HOP);
            channel.truncate(frames * HOP);
        }
        made.seconds = (segments * HOP_FRAMES) as f64 / FRAMES_PER_SECOND;
        Ok(made)
    }

    /// The vocoder's own ceiling: the mel of the true sound through it. The subject's frames are all those of the sound.
    pub fn vocode(&mut self, subject: &Subject<'_>, truth: &StereoBuffer, seed: u64) -> Result<Performed, SynthError> {
        let begun = Instant::now();
        let span = Span { first: 0, frames: subject.frames };
        let parts = [PartInput { instrument: subject.instrument, notes: subject.notes }];
        self.lay_down_notes(&parts, subject.performance, span);
        let mut made = Performed { seconds: span.frames as f64 / FRAMES_PER_SECOND, ..Performed::default() };
        if self.work.active.is_empty() {
            made.audio.left.resize(span.frames * HOP, 0.0);
            made.audio.right.resize(span.frames * HOP, 0.0);
            return Ok(made);
        }
        let mel = mel_frames(&truth.left, &truth.right, 0, span.frames);
        let (roll, origins) = (&self.work.rolls[0], &Origins::default());
        let given = Voiced { first: 0, mel: &mel, roll, origins, noise: (seed, 0) };
        made.cost.vocoder = self.vocoder.render(given, 0..span.frames, &mut made.audio)?;
        made.cost.seconds = begun.elapsed().as_secs_f64();
        Ok(made)
    }
}
