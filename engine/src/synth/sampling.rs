//! From noise, or from the prior, to the mel of every row of a segment: the denoiser's calls, guidance, x0-overlap.

use super::denoiser::{Opened, Parts};
use super::guidance::Guidance;
use super::noise::Noise;
use super::rates::MEL;
use super::sampler::Clean;
use super::sampler::overlap::{blend, draw_to_committed};
use super::schedule::Level;
use super::segment::{Span, SynthError, Synthesizer, finite, row_of};

/// Purposes of noise streams; 0 and 1 are the vocoder's.
const NOISE_START: u64 = 2;
const NOISE_STEP: u64 = 3;

impl Synthesizer {
    /// Samples the residual in units of its deviation, x0 drawn to the committed frames at every step, and adds it to the
    /// prior. `more` is asked before every step but the first whether there is time for it.
    pub(super) fn sample(
        &mut self,
        span: Span,
        seed: u64,
        guidance: Guidance,
        steps: usize,
        mut more: impl FnMut(usize) -> bool,
    ) -> Result<(), SynthError> {
        let size = span.frames * MEL;
        if steps == 0 {
            self.work.mel.clear();
            self.work.mel.extend_from_slice(&self.work.prior);
        } else {
            let Opened { sampler, sampling, .. } = &self.denoisers[self.playing];
            let levels = sampler.levels(&self.schedule, sampling.start.time(), steps);
            self.begin_sampling(span, seed, guidance, levels.first().map_or(1.0, |level| level.spread))?;
            let mut before = None;
            for (step, &level) in levels.iter().enumerate() {
                self.predict(level, guidance, size)?;
                self.work.cost.steps = step + 1;
                let next = levels.get(step + 1).copied().filter(|_| more(step + 1));
                self.step(span, seed, (step, level, next.unwrap_or(Level::CLEAN)), before);
                before = Some(level);
                if next.is_none() {
                    break;
                }
                let work = &mut self.work;
                std::mem::swap(&mut work.clean, &mut work.clean_before);
            }
            let work = &mut self.work;
            work.mel.clear();
            let deviation = self.residual_std.iter().cycle();
            work.mel.extend(work.prior.iter().zip(&work.x).zip(deviation).map(|((prior, x), std)| prior + x * std));
        }
        let work = &mut self.work;
        for slot in 0..work.active.len() {
            let (committed, weights) = (row_of(&work.committed, slot, size), row_of(&work.weights, slot, span.frames));
            blend(&mut work.mel[slot * size..(slot + 1) * size], committed, weights);
        }
        Ok(())
    }

    /// Lays out the rows, and noise of so much spread around a residual of zero.
    fn begin_sampling(&mut self, span: Span, seed: u64, guidance: Guidance, spread: f64) -> Result<(), SynthError> {
        let nobody = self.nobody();
        let work = &mut self.work;
        let parts = Parts {
            frames: span.frames,
            prior: &work.prior,
            roll: &work.roll,
            instrument: &work.instrument,
            performance: &work.performance,
        };
        work.rows.lay_out(parts, guidance, nobody);
        self.denoisers[self.playing].network.begin(&work.rows)?;
        work.x.clear();
        for &voice in &work.voices {
            // Noise belongs to a place in the stream, so that an overlap starts from the same noise twice.
            let noise = Noise::new(seed, voice, NOISE_START);
            let origin = span.first * MEL as i64;
            work.x.extend((0..(span.frames * MEL) as i64).map(|i| spread as f32 * noise.gaussian(origin + i)));
        }
        Ok(())
    }

    /// What is clean in every part, as the network under all conditions of guidance has it: all in one run.
    fn predict(&mut self, level: Level, guidance: Guidance, size: usize) -> Result<(), SynthError> {
        let work = &mut self.work;
        work.wide_x.clear();
        for _ in guidance.conditions() {
            work.wide_x.extend_from_slice(&work.x);
        }
        let network = &mut self.denoisers[self.playing].network;
        network.predict(&work.rows, &work.wide_x, level.time as f32, &mut work.wide_v)?;
        finite("denoiser", &work.wide_v, work.rows.count * size)?;
        let (signal, spread) = (level.signal as f32, level.spread as f32);
        work.clean.clear();
        work.clean.extend(work.x.iter().map(|x| signal * x));
        for (condition, values) in guidance.conditions().zip(work.wide_v.chunks_exact(work.x.len())) {
            let weight = spread * guidance.combine(condition);
            for (clean, v) in work.clean.iter_mut().zip(values) {
                *clean -= weight * v;
            }
        }
        Ok(())
    }

    /// Draws what is clean to the committed frames and moves every part to the next level.
    fn step(&mut self, span: Span, seed: u64, (step, from, to): (usize, Level, Level), before: Option<Level>) {
        let (work, size) = (&mut self.work, span.frames * MEL);
        for slot in 0..work.active.len() {
            let range = slot * size..(slot + 1) * size;
            let (prior, committed) = (&work.prior[range.clone()], row_of(&work.committed, slot, size));
            let weights = row_of(&work.weights, slot, span.frames);
            draw_to_committed(&mut work.clean[range.clone()], prior, committed, weights, &self.residual_std);
            let before = before.map(|level| (level, row_of(&work.clean_before, slot, size)));
            let clean = Clean { now: &work.clean[range.clone()], before };
            let noise = Noise::new(seed ^ (step as u64) << 32, work.voices[slot], NOISE_STEP);
            let origin = span.first * MEL as i64;
            let sampler = &self.denoisers[self.playing].sampler;
            sampler.step((from, to), clean, &mut work.x[range], &mut |i| noise.gaussian(origin + i as i64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Locations, Models, Runtime};
    use crate::score::Note;
    use crate::synth::denoiser::{Denoiser, Rows};
    use crate::synth::rates::{CONTEXT_FRAMES, HOP_FRAMES, SEGMENT_FRAMES};
    use crate::synth::sampler::{SamplerKind, Sampling, Start};
    use crate::synth::segment::{PartInput, SegmentRequest, SynthState};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Says what it was asked: the rows of a new segment, or a time.
    struct Witness(Sender<Asked>);

    #[derive(Debug, PartialEq)]
    enum Asked {
        Begin { rows: usize },
        Predict { rows: usize, time: f32 },
    }

    impl Denoiser for Witness {
        fn begin(&mut self, rows: &Rows) -> Result<(), SynthError> {
            self.0.send(Asked::Begin { rows: rows.count }).unwrap();
            Ok(())
        }

        fn predict(&mut self, rows: &Rows, x: &[f32], time: f32, v: &mut Vec<f32>) -> Result<(), SynthError> {
            self.0.send(Asked::Predict { rows: rows.count, time }).unwrap();
            v.clear();
            // Something that differs from place to place and is neither all noise nor none.
            v.extend(x.iter().enumerate().map(|(i, x)| 0.5 * x + 0.3 * (i as f32 * 0.01).sin()));
            Ok(())
        }
    }

    fn models() -> Arc<Models> {
        let locations = Locations::find().unwrap();
        Models::load(Runtime::load(Some(&locations.runtime)).unwrap(), &locations.models).unwrap()
    }

    fn watched(models: &Models) -> (Synthesizer, Receiver<Asked>) {
        let mut synth = Synthesizer::with_denoiser(models, 1, "unet").unwrap();
        let (tell, asked) = channel();
        synth.denoisers[0].network = Box::new(Witness(tell));
        (synth, asked)
    }

    const NOTES: [Note; 1] = [Note { onset: 0.0, end: 60.0, pitch: 60, velocity: 90 }];

    fn request<'a>(parts: &'a [PartInput<'a>], steps: usize, guidance: Guidance) -> SegmentRequest<'a> {
        SegmentRequest { index: 0, performance: 2, steps, guidance, seed: 1, parts }
    }

    #[test]
    fn what_stays_the_same_is_told_once_a_segment_and_a_weight_of_one_costs_no_row() {
        let (mut synth, asked) = watched(&models());
        let parts = [PartInput { instrument: 0, notes: &NOTES }; 2];
        for (notes, performance, rows) in [(1.0, 1.0, 2), (1.25, 1.0, 4), (1.0, 0.5, 4), (1.25, 1.25, 6)] {
            let request = request(&parts, 3, Guidance { notes, performance });
            let cost = synth.render_segment(&request, &mut SynthState::default(), &mut Vec::new()).unwrap();
            let expected = [999.0, 666.0, 333.0].map(|time| Asked::Predict { rows, time });
            let heard: Vec<Asked> = asked.try_iter().collect();
            assert_eq!(heard[0], Asked::Begin { rows });
            assert_eq!((&heard[1..], cost.steps), (&expected[..], 3));
        }
    }

    #[test]
    fn every_sampler_keeps_what_was_committed_and_lets_go_of_it_without_a_step() {
        let models = models();
        let parts = [PartInput { instrument: 0, notes: &NOTES }];
        for (sampler, eta, start) in [
            (SamplerKind::Ddim, 0.0, Start::Noise),
            (SamplerKind::Ddim, 1.0, Start::Noise),
            (SamplerKind::DpmPlusPlus2M, 0.0, Start::Noise),
            (SamplerKind::DpmPlusPlus2M, 0.0, Start::PRIOR),
        ] {
            let (mut synth, _asked) = watched(&models);
            synth.set_sampling(Sampling { sampler, eta, start }).unwrap();
            let (mut state, mut out) = (SynthState::default(), Vec::new());
            let mut last: Option<Vec<f32>> = None;
            for index in 0..4 {
                let request = SegmentRequest { index, ..request(&parts, 4, Guidance::NONE) };
                synth.render_segment(&request, &mut state, &mut out).unwrap();
                let mel = synth.work.mel.clone();
                if let Some(last) = last {
                    // The context is what the segment before had there, to the bit.
                    let committed = &last[HOP_FRAMES * MEL..(HOP_FRAMES + CONTEXT_FRAMES) * MEL];
                    assert_eq!(&mel[..CONTEXT_FRAMES * MEL], committed, "{sampler:?} {eta} {start:?}");
                    // And where its weight falls, no frame is further from its neighbour than anywhere else.
                    let change = |frame: usize| -> f32 {
                        let rows = mel[frame * MEL..].iter().zip(&mel[(frame + 1) * MEL..]);
                        rows.take(MEL / 2).map(|(a, b)| (a - b).abs()).sum()
                    };
                    let most = |frames: std::ops::Range<usize>| frames.map(change).fold(0.0, f32::max);
                    let joins = most(CONTEXT_FRAMES - 1..CONTEXT_FRAMES + 1)
                        .max(most(2 * CONTEXT_FRAMES - 1..2 * CONTEXT_FRAMES + 1));
                    let elsewhere = most(2 * CONTEXT_FRAMES + 2..SEGMENT_FRAMES - 1);
                    assert!(joins <= 1.2 * elsewhere, "{sampler:?} {eta} {start:?}: {joins} {elsewhere}");
                }
                last = Some(mel);
            }
        }
    }

    #[test]
    fn when_time_runs_out_the_last_prediction_is_heard() {
        let models = models();
        let parts = [PartInput { instrument: 0, notes: &NOTES }];
        let span = Span { first: 0, frames: SEGMENT_FRAMES };
        for sampler in [SamplerKind::Ddim, SamplerKind::DpmPlusPlus2M] {
            let (mut synth, asked) = watched(&models);
            synth.set_sampling(Sampling::with(sampler)).unwrap();
            synth.lay_down_notes(&parts, 2, span);
            synth.work.voices = vec![0];
            synth.run_networks(span, 1, Guidance::NONE, 8, |taken| taken < 3).unwrap();
            assert_eq!((asked.try_iter().count(), synth.work.cost.steps), (1 + 3, 3));
            let residual = |i: usize| (synth.work.mel[i] - synth.work.prior[i]) / synth.residual_std[i % MEL];
            assert!((0..SEGMENT_FRAMES * MEL).all(|i| (residual(i) - synth.work.clean[i]).abs() < 1e-2), "{sampler:?}");
        }
    }
}
