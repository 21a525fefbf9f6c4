//! The vocoder as a stream: mel goes in as it becomes final, and comes out as sound once all that it depends on is there.
//!
//! Promises that however a mel is cut, it sounds as it would whole (to 1e-5 of its peak; tested): a frame's gains depend on
//! [`FIELD`] frames to either side and its sound on [`DEPENDS`] frames of gains, so the last [`HELD_FRAMES`] of a stream are
//! held until more is fed or the stream ends, and as many before them are kept for those that follow. Where a stream begins
//! and ends the network sees nothing beyond, as with the whole. Runs on the synth worker.

use std::ops::Range;
use std::time::Instant;

use crate::inference::{Models, Session, TensorView};

use super::excitation::Origins;
use super::rates::{BINS, KEYS, MEL};
use super::roll::{NoteRoll, PLANES};
use super::segment::{StereoBuffer, SynthError, finite};
use super::vocoder::{DEPENDS, GAINS, Resynthesis, Voiced, needed};

/// Frames to either side of one that its gains depend on: six convolutions of seven frames each.
const FIELD: usize = 18;
/// Frames by which the sound of a stream lags behind its mel.
pub const HELD_FRAMES: usize = FIELD + DEPENDS; // 25
/// Values of a frame of a roll.
const ROLL: usize = PLANES * KEYS;

/// The network and what makes sound of its gains, with the buffers of one part at a time (1.2 MB for a segment).
pub(super) struct Vocoder {
    network: Session,
    resynthesis: Resynthesis,
    /// Indices of the frames whose gains are asked for, and these gains `[wanted, GAINS, BINS]`, of the part rendered
    /// last.
    wanted: Vec<i64>,
    gains: Vec<f32>,
}

/// What one part's stream was fed, as far as it is still needed: 100 kB.
#[derive(Debug, Clone, Default)]
pub(super) struct VocoderStream {
    /// Absolute number of the first frame kept.
    first: i64,
    mel: Vec<f32>,
    roll: NoteRoll,
    /// Absolute number of the first frame whose sound has not been made.
    heard: i64,
}

impl VocoderStream {
    /// One whose first fed frame is `first`, and which is heard from the frame `heard` on.
    pub fn begin(first: i64, heard: i64) -> Self {
        Self { first, heard, ..Self::default() }
    }

    /// Whether anything was fed.
    pub fn is_begun(&self) -> bool {
        !self.mel.is_empty()
    }

    /// Takes the next frames: `[frames, MEL]`, and their rows of a roll.
    pub fn feed(&mut self, mel: &[f32], roll: &[f32]) {
        self.mel.extend_from_slice(mel);
        self.roll.values.extend_from_slice(roll);
    }

    /// Absolute number of the frame after the last one fed.
    fn end(&self) -> i64 {
        self.first + (self.mel.len() / MEL) as i64
    }

    /// Lets go of what nothing to come depends on.
    fn forget(&mut self) {
        let done = (self.heard - HELD_FRAMES as i64 - self.first).max(0) as usize;
        self.mel.drain(..done * MEL);
        self.roll.values.drain(..done * ROLL);
        self.first += done as i64;
    }
}

impl Vocoder {
    /// Opens the session with so many threads.
    pub fn open(models: &Models, threads: usize) -> Result<Self, SynthError> {
        let network = Session::open(models, "vocoder", threads)?;
        Ok(Self { network, resynthesis: Resynthesis::new(), wanted: Vec::new(), gains: Vec::new() })
    }

    /// Renders the frames `audible`, counted from the first given: [`HOP`](super::rates::HOP) samples each. Beyond what is
    /// given there is nothing. Returns the seconds that the network took.
    pub fn render(
        &mut self,
        given: Voiced<'_>,
        audible: Range<usize>,
        out: &mut StereoBuffer,
    ) -> Result<f64, SynthError> {
        let frames = given.roll.frames();
        self.wanted.clear();
        self.wanted.extend(needed(&audible, frames).map(|frame| frame as i64));
        let begun = Instant::now();
        // One part at a time: in one run four of 106 frames took 4 % less, and four times the memory.
        self.network.run(
            &[
                ("mel", TensorView::F32(&[1, frames, MEL], given.mel)),
                ("roll", TensorView::F32(&[1, frames, PLANES, KEYS], &given.roll.values)),
                ("wanted", TensorView::I64(&[self.wanted.len()], &self.wanted)),
            ],
            &mut [("gains", &mut self.gains)],
        )?;
        finite("vocoder", &self.gains, self.wanted.len() * GAINS * BINS)?;
        let seconds = begun.elapsed().as_secs_f64();
        self.resynthesis.render(given, &self.gains, audible, out);
        Ok(seconds)
    }

    /// Renders what of a stream became certain since the last time, or with `last` all that is left. Phases count from
    /// absolute time 0. Returns the seconds that the network took.
    pub fn sound(
        &mut self,
        stream: &mut VocoderStream,
        noise: (u64, usize),
        last: bool,
        out: &mut StereoBuffer,
    ) -> Result<f64, SynthError> {
        let end = stream.end() - if last { 0 } else { HELD_FRAMES as i64 };
        if end <= stream.heard {
            out.left.clear();
            out.right.clear();
            return Ok(0.0);
        }
        let origins = &Origins::default();
        let VocoderStream { first, mel, roll, heard } = &*stream;
        let audible = (heard - first).max(0) as usize..(end - first) as usize;
        let seconds = self.render(Voiced { first: *first, mel, roll, origins, noise }, audible, out)?;
        stream.heard = end;
        stream.forget();
        Ok(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Locations, Runtime};
    use crate::score::Note;
    use crate::synth::denoiser::Occasion;
    use crate::synth::guidance::Guidance;
    use crate::synth::rates::{CONTEXT_FRAMES, HOP, HOP_FRAMES, SEGMENT_FRAMES};
    use crate::synth::segment::{LEVEL, PartInput, SegmentRequest, Span, SynthState, Synthesizer};

    const NOTES: [Note; 3] = [
        Note { onset: 0.2, end: 1.1, pitch: 55, velocity: 90 },
        Note { onset: 0.7, end: 2.3, pitch: 62, velocity: 70 },
        Note { onset: 1.3, end: 20.0, pitch: 74, velocity: 100 },
    ];
    const NOISE: (u64, usize) = (3, 0);

    fn synthesizer() -> Synthesizer {
        let locations = Locations::find().unwrap();
        let models = Models::load(Runtime::load(Some(&locations.runtime)).unwrap(), &locations.models).unwrap();
        Synthesizer::new(&models, 1, Occasion::Live).unwrap()
    }

    /// Largest difference of two sounds of one length, in units of the peak.
    fn apart(one: &StereoBuffer, other: &StereoBuffer) -> f32 {
        assert_eq!((one.left.len(), one.right.len()), (other.left.len(), other.right.len()));
        let peak = other.left.iter().chain(&other.right).fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!(peak > 0.01, "nothing sounds");
        let pairs = one.left.iter().zip(&other.left).chain(one.right.iter().zip(&other.right));
        pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / peak
    }

    #[test]
    fn however_it_is_cut_a_mel_sounds_as_it_does_whole() {
        let mut synth = synthesizer();
        let span = Span { first: 0, frames: 304 };
        synth.lay_down_notes(&[PartInput { instrument: 0, notes: &NOTES }], 2, span);
        synth.work.voices = vec![0];
        synth.run_networks(span, 1, Guidance::NONE, 2, |_| true).unwrap();
        let (mel, roll) = (synth.work.mel.clone(), synth.work.rolls[0].clone());
        // Far into a stream, where a phase in single precision would be lost.
        let (first, origins, mut whole) = (123_456, &Origins::default(), StereoBuffer::default());
        let given = Voiced { first, mel: &mel, roll: &roll, origins, noise: NOISE };
        synth.vocoder.render(given, 0..span.frames, &mut whole).unwrap();
        // Segments as they come, the same two frames later and earlier, pieces shorter than what is held, and a mixture.
        for pieces in [&[96, 64][..], &[98, 64], &[94, 64], &[32, 66], &[13], &[1, 150, 2, 20, 21, 22]] {
            let mut stream = VocoderStream::begin(first, first);
            let (mut heard, mut piece, mut at) = (StereoBuffer::default(), StereoBuffer::default(), 0);
            // The last length is repeated.
            let lengths = pieces.iter().chain(std::iter::repeat(&pieces[pieces.len() - 1]));
            for &length in lengths {
                let to = (at + length).min(span.frames);
                stream.feed(&mel[at * MEL..to * MEL], roll.rows(at..to));
                at = to;
                synth.vocoder.sound(&mut stream, NOISE, at == span.frames, &mut piece).unwrap();
                heard.left.extend_from_slice(&piece.left);
                heard.right.extend_from_slice(&piece.right);
                assert!(stream.mel.len() <= 2 * HELD_FRAMES * MEL, "it keeps too much");
                if at == span.frames {
                    break;
                }
                assert_eq!(heard.left.len(), at.saturating_sub(HELD_FRAMES) * HOP);
            }
            let error = apart(&heard, &whole);
            assert!(error < 1e-5, "{pieces:?}: {error}");
        }
    }

    #[test]
    fn segments_sound_as_their_mel_does_whole() {
        let mut synth = synthesizer();
        let parts = [PartInput { instrument: 0, notes: &NOTES }];
        let (mut state, mut out, mut heard) = (SynthState::default(), Vec::new(), StereoBuffer::default());
        let (segments, mut mel) = (5, Vec::new());
        for index in 0..segments {
            let guidance = Guidance::NONE;
            let request = SegmentRequest { index, performance: 2, steps: 2, guidance, seed: NOISE.0, parts: &parts };
            synth.render_segment(&request, &mut state, &mut out).unwrap();
            heard.left.extend_from_slice(&out[0].left);
            heard.right.extend_from_slice(&out[0].right);
            let from = if index == 0 { 0 } else { CONTEXT_FRAMES };
            mel.extend_from_slice(&synth.work.mel[from * MEL..(CONTEXT_FRAMES + HOP_FRAMES) * MEL]);
        }
        let frames = mel.len() / MEL;
        assert_eq!(frames, segments as usize * HOP_FRAMES + CONTEXT_FRAMES);
        let (first, mut roll, mut whole) = (-(CONTEXT_FRAMES as i64), NoteRoll::default(), StereoBuffer::default());
        roll.fill(&NOTES, first, frames);
        let given = Voiced { first, mel: &mel, roll: &roll, origins: &Origins::default(), noise: NOISE };
        let audible = CONTEXT_FRAMES - HELD_FRAMES..frames - HELD_FRAMES;
        synth.vocoder.render(given, audible, &mut whole).unwrap();
        whole.left.iter_mut().chain(&mut whole.right).for_each(|sample| *sample *= LEVEL);
        let error = apart(&heard, &whole);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn a_part_that_falls_silent_is_heard_to_its_end_and_fades_out() {
        let mut synth = synthesizer();
        let notes = [Note { onset: 0.1, end: 0.4, pitch: 60, velocity: 90 }];
        let parts = [PartInput { instrument: 0, notes: &notes }];
        let (mut state, mut out, mut heard) = (SynthState::default(), Vec::new(), Vec::new());
        for index in 0..12 {
            let request =
                SegmentRequest { index, performance: 0, steps: 0, guidance: Guidance::NONE, seed: 1, parts: &parts };
            let cost = synth.render_segment(&request, &mut state, &mut out).unwrap();
            // The roll ends 4 s after the note, so from segment 7 on there is nothing in sight.
            assert_eq!(cost.active_parts, usize::from(index < 8), "{index}");
            heard.extend_from_slice(&out[0].left);
        }
        let silent_from = heard.iter().rposition(|&sample| sample != 0.0).unwrap() + 1;
        // Segment 8 finds it silent: 32 frames of what segment 7 foresaw are the last.
        let frames = 8 * HOP_FRAMES + (SEGMENT_FRAMES - CONTEXT_FRAMES - HOP_FRAMES) + HELD_FRAMES;
        assert!(silent_from <= frames * HOP && silent_from > (frames - 8) * HOP, "{silent_from} {}", frames * HOP);
        let step = |n: usize| (heard[n] - heard[n - 1]).abs();
        let loudest = heard.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        assert!((silent_from - 2_000..silent_from + 1).map(step).fold(0.0, f32::max) < 1e-4 * loudest);
    }
}
