//! 48 kHz to the host rate, for all parts at once and for single notes; off the audio thread.

use super::MAX_PARTS;
use super::clock::MODEL_RATE;
use super::loading::SEGMENT_SAMPLES;
use super::message::Packet;
use crate::synth::PartAudio;
use rubato::audioadapter_buffers::direct::{SequentialSlice, SequentialSliceOfSlices};
use rubato::{Async, FixedAsync, Indexing, Resampler, SincInterpolationParameters, WindowFunction};

/// Length of the sinc at 48 kHz. Longer for lower host rates, whose cutoff is lower.
const SINC: usize = 128;
const CHANNELS: usize = 2 * MAX_PARTS;

/// Resamples the segments of one stream. Sample `n` of what it gives belongs to time `n / rate` of the stream, within
/// half a host sample: rubato's own delay is taken off.
pub(super) struct HostResampler {
    rate: u32,
    /// `None` at 48 kHz.
    inner: Option<Inner>,
    /// Stream time of the next host sample.
    position: u64,
    /// Samples that are still to be left out: what was before the stream, and the resampler's own delay.
    skip: usize,
}

struct Inner {
    resampler: Async<f32>,
    /// The part had sound in the segment before: its tail is still in the filter.
    sounded: [bool; MAX_PARTS],
    /// Left and right of every part, [`CHANNELS`] times the longest output; allocated once per stream.
    scratch: Vec<f32>,
}

impl HostResampler {
    /// What it is given begins with sample `first` of a stream at [`MODEL_RATE`]; what lies before 0 is left out. The host
    /// rate is in Hz.
    pub fn new(rate: u32, first: i64) -> Result<Self, String> {
        let position = (first.max(0) as u64 * u64::from(rate) + MODEL_RATE / 2) / MODEL_RATE;
        let (inner, skip) = if u64::from(rate) == MODEL_RATE {
            (None, first.min(0).unsigned_abs() as usize)
        } else {
            let resampler = sinc(rate, SEGMENT_SAMPLES, CHANNELS)?;
            let scratch = vec![0.0; CHANNELS * resampler.output_frames_max()];
            let begins = first as f64 * f64::from(rate) / MODEL_RATE as f64 - exact_delay(rate);
            let skip = (position as f64 - begins).round() as usize;
            (Some(Inner { resampler, sounded: [false; MAX_PARTS], scratch }), skip)
        };
        Ok(Self { rate, inner, position, skip })
    }

    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Fills `packet` with a segment of [`SEGMENT_SAMPLES`] per part; parts that `audio` lacks are silent.
    pub fn fill(&mut self, audio: &[PartAudio], packet: &mut Packet) -> Result<(), String> {
        packet.offsets = [None; MAX_PARTS];
        packet.missing = false;
        packet.samples.clear();
        packet.start = self.position;
        let sounds = |part: usize| audio.get(part).is_some_and(|audio| !is_silent(audio));
        let Some(inner) = &mut self.inner else {
            let skipped = std::mem::take(&mut self.skip).min(SEGMENT_SAMPLES);
            for (part, audio) in audio.iter().enumerate().take(MAX_PARTS).filter(|(part, _)| sounds(*part)) {
                packet.offsets[part] = Some(packet.samples.len());
                packet.samples.extend_from_slice(&audio.left[skipped..]);
                packet.samples.extend_from_slice(&audio.right[skipped..]);
            }
            packet.frames = SEGMENT_SAMPLES - skipped;
            self.position += packet.frames as u64;
            return Ok(());
        };
        let silence = [0.0f32; SEGMENT_SAMPLES];
        let mut input: [&[f32]; CHANNELS] = [&silence; CHANNELS];
        let mut mask = vec![false; CHANNELS];
        for part in 0..MAX_PARTS {
            let now = sounds(part);
            if now {
                input[2 * part] = &audio[part].left;
                input[2 * part + 1] = &audio[part].right;
            }
            // One silent segment still goes through, after which the filter holds zeros and may be skipped.
            let active = now || inner.sounded[part];
            mask[2 * part..2 * part + 2].fill(active);
            inner.sounded[part] = now;
        }
        let room = inner.scratch.len() / CHANNELS;
        let active: Vec<bool> = mask.iter().copied().step_by(2).collect();
        let produced = {
            let source = SequentialSliceOfSlices::new(&input, CHANNELS, SEGMENT_SAMPLES).map_err(|e| e.to_string())?;
            let mut target = SequentialSlice::new_mut(&mut inner.scratch, CHANNELS, room).map_err(|e| e.to_string())?;
            let indexing = Indexing::new().active_channels_mask(mask);
            let (_, produced) = inner
                .resampler
                .process_into_buffer(&source, &mut target, Some(&indexing))
                .map_err(|e| e.to_string())?;
            produced
        };
        let skipped = self.skip.min(produced);
        self.skip -= skipped;
        packet.frames = produced - skipped;
        for part in (0..MAX_PARTS).filter(|&part| active[part]) {
            packet.offsets[part] = Some(packet.samples.len());
            for channel in [2 * part, 2 * part + 1] {
                packet.samples.extend_from_slice(&inner.scratch[channel * room + skipped..channel * room + produced]);
            }
        }
        self.position += packet.frames as u64;
        Ok(())
    }
}

fn is_silent(audio: &PartAudio) -> bool {
    audio.left.len() != SEGMENT_SAMPLES
        || audio.right.len() != SEGMENT_SAMPLES
        || audio.left.iter().chain(&audio.right).all(|x| *x == 0.0)
}

/// Length of the sinc for a host rate, in samples at 48 kHz: rubato works with multiples of 8.
fn sinc_length(rate: u32) -> usize {
    let ratio = f64::from(rate) / MODEL_RATE as f64;
    ((SINC as f64 / ratio.min(1.0)).ceil() as usize).next_multiple_of(8)
}

/// Delay of a resampler in host samples: half the sinc, less the step that rubato takes before its first sample
/// (its own `output_delay` leaves that out, and rounds down).
fn exact_delay(rate: u32) -> f64 {
    sinc_length(rate) as f64 / 2.0 * f64::from(rate) / MODEL_RATE as f64 - 1.0
}

/// The same in whole samples.
fn delay(rate: u32) -> usize {
    exact_delay(rate).round() as usize
}

fn sinc(rate: u32, chunk: usize, channels: usize) -> Result<Async<f32>, String> {
    let ratio = f64::from(rate) / MODEL_RATE as f64;
    let parameters = SincInterpolationParameters::new(sinc_length(rate), WindowFunction::BlackmanHarris2);
    Async::new_sinc(ratio, 1.0, &parameters, chunk, channels, FixedAsync::Input).map_err(|e| e.to_string())
}

/// A single stereo sound at the host rate, from 48 kHz. Its sample `n` belongs to time `n / rate` of the sound, within
/// half a sample, as in [`HostResampler`].
pub(crate) fn resample(audio: PartAudio, rate: u32) -> Result<PartAudio, String> {
    if u64::from(rate) == MODEL_RATE {
        return Ok(audio);
    }
    let frames = audio.left.len().min(audio.right.len());
    // rubato takes off more than its delay; so much silence goes before that the first sample is not lost, a whole
    // number of samples at both rates.
    let common = greatest_divisor(u64::from(rate), MODEL_RATE);
    let (before, after) = ((MODEL_RATE / common) as usize, (u64::from(rate) / common) as usize);
    let channels = [audio.left, audio.right].map(|side| [&vec![0.0; before][..], &side[..frames]].concat());
    let input = channels.each_ref().map(Vec::as_slice);
    let source = SequentialSliceOfSlices::new(&input, 2, before + frames).map_err(|e| e.to_string())?;
    let mut resampler = sinc(rate, 4_800, 2)?;
    let start = (after + delay(rate)).saturating_sub(resampler.output_delay());
    let length = (frames as u64 * u64::from(rate)).div_ceil(MODEL_RATE) as usize;
    let room = resampler.process_all_needed_output_len(before + frames).max(start + length);
    let mut samples = vec![0.0; 2 * room];
    {
        let mut target = SequentialSlice::new_mut(&mut samples, 2, room).map_err(|e| e.to_string())?;
        resampler.process_all_into_buffer(&source, &mut target, before + frames, None).map_err(|e| e.to_string())?;
    }
    let [left, right] = [0, room].map(|channel| samples[channel + start..channel + start + length].to_vec());
    Ok(PartAudio { left, right })
}

fn greatest_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// A segment of a 1 kHz sine in part 2, cosine on the right.
    fn segment(index: usize) -> Vec<PartAudio> {
        sine((index * SEGMENT_SAMPLES) as i64)
    }

    /// The same from a sample of the stream on.
    fn sine(first: i64) -> Vec<PartAudio> {
        let wave = |shift: f64| {
            let phase = |i: usize| TAU * 1_000.0 * (first + i as i64) as f64 / 48e3 + shift;
            (0..SEGMENT_SAMPLES).map(|i| phase(i).sin() as f32).collect()
        };
        vec![PartAudio::default(), PartAudio::default(), PartAudio { left: wave(0.0), right: wave(TAU / 4.0) }]
    }

    #[test]
    fn every_rate_keeps_time_within_a_sample_over_many_segments() {
        let rates = [8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 88_200, 96_000, 176_400, 192_000];
        // From the beginning of a stream, a little before it, and in the middle.
        for (rate, first) in rates.into_iter().flat_map(|rate| [0, -10_080, 204_960].map(|first| (rate, first))) {
            let mut resampler = HostResampler::new(rate, first).unwrap();
            let mut packet = Packet::default();
            let mut end = (first.max(0) as f64 * f64::from(rate) / 48e3).round() as u64;
            for index in 0..10 {
                resampler.fill(&sine(first + index * SEGMENT_SAMPLES as i64), &mut packet).unwrap();
                assert_eq!(packet.start, end, "{rate}: a segment does not follow its predecessor");
                end = packet.end();
                assert!(packet.part(0).is_none());
                let (left, right) = packet.part(2).unwrap();
                assert_eq!(left.len(), packet.frames);
                // Phase of the sine against its time, by quadrature, in host samples.
                let (mut re, mut im) = (0.0, 0.0);
                for (i, (&l, &r)) in left.iter().zip(right).enumerate().skip(if index == 0 { 1_000 } else { 0 }) {
                    let ideal = TAU * 1_000.0 * (packet.start + i as u64) as f64 / f64::from(rate);
                    re += f64::from(l) * ideal.sin() + f64::from(r) * ideal.cos();
                    im += f64::from(l) * ideal.cos() - f64::from(r) * ideal.sin();
                }
                let off = im.atan2(re) / TAU / 1_000.0 * f64::from(rate);
                assert!(off.abs() <= 0.55, "{rate}: segment {index} from {first} is off by {off} samples");
                let level = re.hypot(im) / (left.len() as f64 - if index == 0 { 1_000.0 } else { 0.0 });
                assert!((level - 1.0).abs() < 0.02, "{rate}: level {level}");
            }
        }
    }

    #[test]
    fn a_single_sound_is_where_the_stream_has_it() {
        for rate in [8_000, 22_050, 44_100, 44_101, 88_200, 96_000, 192_000] {
            let mut stream = HostResampler::new(rate, 0).unwrap();
            let mut packet = Packet::default();
            let mut streamed = Vec::new();
            for index in 0..3 {
                stream.fill(&segment(index), &mut packet).unwrap();
                streamed.extend_from_slice(packet.part(2).unwrap().0);
            }
            let left = (0..3).flat_map(|index| segment(index).swap_remove(2).left).collect::<Vec<_>>();
            let single = resample(PartAudio { right: left.clone(), left }, rate).unwrap();
            let apart = streamed.iter().zip(&single.left).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "{rate}: {apart}");
        }
    }

    #[test]
    fn a_part_that_falls_silent_rings_out_and_is_then_skipped() {
        let mut resampler = HostResampler::new(44_100, 0).unwrap();
        let mut packet = Packet::default();
        resampler.fill(&segment(0), &mut packet).unwrap();
        resampler.fill(&[], &mut packet).unwrap();
        let (left, _) = packet.part(2).unwrap();
        assert!(left[0].abs() > 0.0 && left[1_000..].iter().all(|x| x.abs() < 1e-6));
        resampler.fill(&[], &mut packet).unwrap();
        assert!(packet.part(2).is_none());
        resampler.fill(&segment(3), &mut packet).unwrap();
        let (left, _) = packet.part(2).unwrap();
        assert!(left[..20].iter().all(|x| x.abs() <= 1.1));
    }

    #[test]
    fn a_single_note_keeps_its_onset_and_length() {
        for rate in [8_000, 44_100, 96_000] {
            let mut wave = vec![0.0f32; 48_000];
            wave[12_000..].iter_mut().enumerate().for_each(|(i, x)| *x = (TAU * 500.0 * i as f64 / 48e3).sin() as f32);
            let note = resample(PartAudio { left: wave.clone(), right: wave }, rate).unwrap();
            assert!((note.left.len() as i64 - i64::from(rate)).abs() <= 1, "{rate}: {}", note.left.len());
            let onset = note.left.iter().position(|x| x.abs() > 0.3).unwrap() as f64 / f64::from(rate);
            assert!((onset - 0.25).abs() < 0.001, "{rate}: {onset}");
        }
    }
}
