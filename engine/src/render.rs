//! Offline rendering of a score: the path of a live note, driven synchronously.
//!
//! Promises that the same score, options, models and thread count give the same bytes, that nothing clips, that every
//! sample is a number, and that cancelling leaves nothing behind. Runs on the caller's thread, which waits.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::arranger::{Arranger, Ensemble, performance};
use crate::inference::Models;
use crate::score::{Note, Playback};
use crate::stream::resample::resample;
use crate::synth::{
    Guidance, HELD_FRAMES, HOP, HOP_FRAMES, PartAudio, PartInput, SAMPLE_RATE, SegmentRequest, StereoBuffer,
    SynthError, SynthState, Synthesizer,
};

/// Seconds rendered after the last note's end: the room's tail.
const TAIL_S: f64 = 3.0;
/// Seconds after which an ended note is no longer heard: the note roll's release is over.
const RING_S: f64 = 4.5;
/// The most a mix may peak at.
const CEILING: f32 = 0.98;
/// Audio of all parts and the mix, in bytes, that a rendering may hold: 58 minutes of a quartet.
const MOST_BYTES: f64 = 6.0 * (1u64 << 30) as f64;
/// Output rates, in Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
const SEGMENT_S: f64 = (HOP_FRAMES * HOP) as f64 / SAMPLE_RATE as f64; // 0.64
const HELD_S: f64 = (HELD_FRAMES * HOP) as f64 / SAMPLE_RATE as f64; // 0.25

/// Who plays the notes of a score.
#[derive(Debug, Clone, Copy)]
pub enum Parts<'a> {
    /// The arranger gives them out among an ensemble.
    Ensemble(&'a Ensemble),
    /// Every track is a part already.
    Tracks,
}

/// What to render.
#[derive(Debug, Clone, Copy)]
pub struct RenderOptions<'a> {
    /// Index of the performance.
    pub performance: usize,
    /// Who plays.
    pub parts: Parts<'a>,
    /// The project's seed.
    pub seed: u64,
    /// Denoiser steps; 0 is the prior alone.
    pub steps: usize,
    /// Guidance weights.
    pub guidance: Guidance,
    /// Rate of the finished audio in Hz, one of [`RATES`].
    pub rate: u32,
}

/// One part of a rendering.
#[derive(Debug, Clone)]
pub struct Stem {
    /// The part's name.
    pub name: String,
    /// General MIDI program, 0-based.
    pub program: u8,
    /// Name of the instrument that played it.
    pub instrument: String,
    /// Colour of its notes in pictures.
    pub colour: [u8; 3],
    /// Its notes.
    pub notes: Vec<Note>,
    /// Its sound, as long as the mix.
    pub audio: StereoBuffer,
}

/// A rendered piece.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The sum of the stems.
    pub mix: StereoBuffer,
    /// Rate of mix and stems in Hz.
    pub rate: u32,
    /// Every part, also the silent ones.
    pub stems: Vec<Stem>,
    /// Seconds of computing per second of music.
    pub real_time_factor: f64,
    /// Segments rendered.
    pub segments: usize,
    /// What a listener should know, as sentences.
    pub notices: Vec<String>,
}

/// Why nothing was rendered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    /// A model failed.
    #[error(transparent)]
    Synth(#[from] SynthError),
    /// More tracks than parts.
    #[error(
        "the file has {found} tracks with notes and at most {most} parts can play. Name an ensemble with --ensemble."
    )]
    TooManyTracks {
        /// Tracks of the file.
        found: usize,
        /// Parts there can be.
        most: usize,
    },
    /// More sound than memory should hold.
    #[error("the piece is {minutes:.0} minutes long and {most:.0} minutes of {parts} parts is the most. Split it.")]
    TooLong {
        /// Minutes of the piece.
        minutes: f64,
        /// Minutes that can be.
        most: f64,
        /// Number of parts.
        parts: usize,
    },
    /// Not 8 to 192 kHz, or a rate that the resampler does not take.
    #[error("the sound cannot be brought to {rate} Hz{reason}. Choose 8000 to 192000, best 44100, 48000 or 96000.")]
    Rate {
        /// The rate asked for.
        rate: u32,
        /// What the resampler said, or nothing.
        reason: String,
    },
    /// The models gave infinities or worse.
    #[error("the models gave no usable sound for {part}. Run `ripieno doctor`, and reinstall Ripieno's models.")]
    NotFinite {
        /// Name of the part.
        part: String,
    },
    /// Somebody cancelled.
    #[error("cancelled; nothing was written")]
    Cancelled,
}

/// Colours of a file's own tracks, distinct on a dark ground.
const TRACK_COLOURS: [[u8; 3]; crate::synth::MAX_PARTS] = [
    [0xff, 0xe6, 0x80],
    [0x38, 0xc6, 0xd9],
    [0xf2, 0x6d, 0x3d],
    [0x8f, 0x7b, 0xf0],
    [0x7a, 0xd1, 0x51],
    [0xe8, 0x6a, 0xb0],
    [0xc9, 0xd1, 0xd9],
    [0x4d, 0x8d, 0xf0],
];

/// Renders a score. `progress` hears the finished share (0 to 1) after every segment and may break off.
pub fn render(
    score: &Playback,
    models: &Models,
    synth: &mut Synthesizer,
    options: &RenderOptions<'_>,
    progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
) -> Result<Rendering, RenderError> {
    let started = Instant::now();
    if !RATES.contains(&options.rate) {
        return Err(RenderError::Rate { rate: options.rate, reason: String::new() });
    }
    let mut notices = score.notices.clone();
    let mut stems = separate(score, models, synth, options, &mut notices)?;
    let seconds = score.seconds() + TAIL_S;
    check_length(seconds, stems.len(), options.rate)?;
    // The sound of a segment lags behind its notes.
    let segments = ((seconds + HELD_S) / SEGMENT_S).ceil() as usize;
    let (mut state, mut out) = (SynthState::default(), Vec::<PartAudio>::new());
    let instruments: Vec<usize> = stems.iter().map(|(player, _)| *player).collect();
    let mut heard = 0;
    for index in 0..segments {
        let (from, to) = (index as f64 * SEGMENT_S - RING_S, (index + 2) as f64 * SEGMENT_S);
        let near: Vec<Vec<Note>> = stems
            .iter()
            .map(|(_, stem)| stem.notes.iter().filter(|n| n.onset < to && n.end > from).copied().collect())
            .collect();
        let parts: Vec<PartInput<'_>> =
            near.iter().zip(&instruments).map(|(notes, &instrument)| PartInput { instrument, notes }).collect();
        let request = SegmentRequest {
            index: index as i64,
            performance: options.performance,
            steps: options.steps,
            guidance: options.guidance,
            seed: options.seed,
            parts: &parts,
        };
        synth.render_segment(&request, &mut state, &mut out)?;
        for ((_, stem), part) in stems.iter_mut().zip(&out) {
            // What comes before the piece begins.
            let from = if index == 0 { HELD_FRAMES * HOP } else { 0 };
            stem.audio.left.extend_from_slice(&part.left[from..]);
            stem.audio.right.extend_from_slice(&part.right[from..]);
        }
        heard = index + 1;
        if progress(heard as f32 / segments as f32).is_break() {
            return Err(RenderError::Cancelled);
        }
    }
    let mut stems = stems.into_iter().map(|(_, stem)| finish(stem, options.rate)).collect::<Result<Vec<Stem>, _>>()?;
    let mut mix = sum(&stems);
    let peak = mix.left.iter().chain(&mix.right).fold(0.0f32, |peak, s| peak.max(s.abs()));
    if peak > CEILING {
        let gain = CEILING / peak;
        notices.push(format!(
            "The mix and its parts were lowered by {:.1} dB so that nothing clips.",
            -20.0 * gain.log10()
        ));
        for audio in stems.iter_mut().map(|stem| &mut stem.audio).chain([&mut mix]) {
            audio.left.iter_mut().chain(&mut audio.right).for_each(|sample| *sample *= gain);
        }
    }
    let real_time_factor = started.elapsed().as_secs_f64() / (heard as f64 * SEGMENT_S).max(SEGMENT_S);
    Ok(Rendering { mix, rate: options.rate, stems, real_time_factor, segments: heard, notices })
}

/// Minutes of rendering should not end without memory.
fn check_length(seconds: f64, parts: usize, rate: u32) -> Result<(), RenderError> {
    let frame = (parts + 1) * 2 * size_of::<f32>();
    let most = MOST_BYTES / (frame as f64 * f64::from(rate.max(SAMPLE_RATE)));
    if seconds > most {
        return Err(RenderError::TooLong { minutes: seconds / 60.0, most: most / 60.0, parts });
    }
    Ok(())
}

/// Sound that can be relied on, at the rate asked for.
fn finish(mut stem: Stem, rate: u32) -> Result<Stem, RenderError> {
    if !stem.audio.left.iter().chain(&stem.audio.right).all(|sample| sample.is_finite()) {
        return Err(RenderError::NotFinite { part: stem.name });
    }
    let failed = |reason| RenderError::Rate { rate, reason: format!(" ({reason})") };
    stem.audio = resample(stem.audio, rate).map_err(failed)?;
    Ok(stem)
}

/// Name, General MIDI program and colour of a part.
type Header = (String, u8, [u8; 3]);

/// Notes to parts: (player, stem without sound) of every part.
fn separate(
    score: &Playback,
    models: &Models,
    synth: &Synthesizer,
    options: &RenderOptions<'_>,
    notices: &mut Vec<String>,
) -> Result<Vec<(usize, Stem)>, RenderError> {
    let (headers, given): (Vec<Header>, Vec<Option<usize>>) = match options.parts {
        Parts::Ensemble(ensemble) => {
            let parts = ensemble.parts.iter().map(|part| (part.name.clone(), part.program, part.colour)).collect();
            (parts, arrange(score, ensemble, models, notices))
        }
        Parts::Tracks => {
            if score.tracks.len() > TRACK_COLOURS.len() {
                return Err(RenderError::TooManyTracks { found: score.tracks.len(), most: TRACK_COLOURS.len() });
            }
            let named = score.tracks.iter().zip(TRACK_COLOURS).enumerate().map(|(i, (track, colour))| {
                let name = if track.name.is_empty() { format!("Track {}", i + 1) } else { track.name.clone() };
                (name, track.program, colour)
            });
            (named.collect(), score.notes.iter().map(|note| Some(note.track)).collect())
        }
    };
    let catalogue = synth.catalogue();
    let count = headers.len();
    let mut stems: Vec<(usize, Stem)> = headers
        .into_iter()
        .enumerate()
        .map(|(part, (name, program, colour))| {
            let player = catalogue.player_for(options.performance, program, part, count);
            let instrument = catalogue.instruments().get(player).map(|i| i.name.clone()).unwrap_or_default();
            (player, Stem { name, program, instrument, colour, notes: Vec::new(), audio: StereoBuffer::default() })
        })
        .collect();
    for (note, part) in score.notes.iter().zip(given) {
        if let Some((_, stem)) = part.and_then(|part| stems.get_mut(part)) {
            stem.notes.push(note.note);
        }
    }
    Ok(stems)
}

/// The arranger's part of every note, chord by chord, as it would be live.
fn arrange(score: &Playback, ensemble: &Ensemble, models: &Models, notices: &mut Vec<String>) -> Vec<Option<usize>> {
    let (mut arranger, instead) = Arranger::or_by_range(ensemble, None, Some(models));
    notices.extend(instead.map(|instead| instead.to_string()));
    let given = performance::give_out(score, &mut arranger, |_, _| ());
    if let Some(fault) = arranger.take_fault() {
        notices.push(format!("The arranger's network failed and notes were given out by range: {fault}"));
    }
    given
}

fn sum(stems: &[Stem]) -> StereoBuffer {
    let length = stems.iter().map(|stem| stem.audio.left.len()).max().unwrap_or(0);
    let mut mix = StereoBuffer { left: vec![0.0; length], right: vec![0.0; length] };
    for stem in stems {
        for (mix, part) in [(&mut mix.left, &stem.audio.left), (&mut mix.right, &stem.audio.right)] {
            for (mix, part) in mix.iter_mut().zip(part) {
                *mix += part;
            }
        }
    }
    mix
}
