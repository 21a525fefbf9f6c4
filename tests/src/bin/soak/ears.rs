//! Listens to all that sounds, on a thread of its own, and keeps the tenth of a second around every click.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use ripieno_engine::stream::{AudioSide, MAX_PARTS};
use ripieno_tests::clicks::clicks;
use serde::Serialize;

/// Seconds of sound that are looked at together.
const PIECE: f64 = 2.0;
/// Seconds that are kept on either side of a click, and heard before one is told: the detector looks 6 ms around.
const AROUND: f64 = 0.1;
/// Seconds within which two clicks are one.
const ONE: f64 = 0.005;
/// Clicks of which the sound is kept.
const KEPT: usize = 50;
/// Left and right of the mix, then left of every part.
const CHANNELS: usize = 2 + MAX_PARTS;

/// A click, and where to look for its cause.
#[derive(Debug, Clone, Serialize)]
pub struct Click {
    /// Seconds since the beginning.
    pub at: f64,
    /// The part that it was heard in.
    pub part: usize,
    /// WAV file of the sound around it: left and right of the mix, then left of every part.
    pub file: Option<PathBuf>,
}

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    pub clicks: Vec<Click>,
    pub not_finite: u64,
    pub peak: f32,
}

/// Seconds of all channels.
struct Piece {
    rate: u32,
    channels: [Vec<f32>; CHANNELS],
    /// A stream begins: what sounded before was cut off by the host's wish.
    begins: bool,
}

/// The audio thread's side: gathers blocks.
pub struct Ears {
    piece: Piece,
    pieces: Sender<Piece>,
    listener: JoinHandle<Result<Heard>>,
}

impl Ears {
    /// Clicks are kept in `folder`, which is emptied; without one they are only told.
    pub fn open(rate: u32, folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            if folder.exists() {
                fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
            }
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let (pieces, incoming) = channel::<Piece>();
        let mut memory = Memory::new(rate, folder);
        let listener = std::thread::spawn(move || {
            for piece in incoming {
                memory.hear(&piece)?;
            }
            memory.end()?;
            Ok(memory.heard)
        });
        Ok(Self { piece: Piece { rate, channels: channels(rate), begins: true }, pieces, listener })
    }

    /// Takes the block that was just rendered.
    pub fn hear(&mut self, audio: &AudioSide, frames: usize) {
        let channels = &mut self.piece.channels;
        let begun = channels[0].len();
        channels[..2].iter_mut().for_each(|side| side.resize(begun + frames, 0.0));
        for part in 0..MAX_PARTS {
            let (left, right) = audio.part(part);
            for (mix, side) in channels.iter_mut().zip([left, right]) {
                mix[begun..].iter_mut().zip(side).for_each(|(mix, sample)| *mix += sample);
            }
            channels[2 + part].extend_from_slice(left);
        }
        if channels[0].len() as f64 >= PIECE * f64::from(self.piece.rate) {
            self.pass_on(self.piece.rate, false);
        }
    }

    /// A stream of this rate begins.
    pub fn new_stream(&mut self, rate: u32) {
        self.pass_on(rate, true);
    }

    fn pass_on(&mut self, rate: u32, begins: bool) {
        let next = Piece { rate, channels: channels(rate), begins };
        // A listener that is gone is found out in the end.
        let _ = self.pieces.send(std::mem::replace(&mut self.piece, next));
    }

    /// All that was heard.
    pub fn close(mut self) -> Result<Heard> {
        self.pass_on(self.piece.rate, false);
        drop(self.pieces);
        self.listener.join().map_err(|_| anyhow!("the listener died"))?
    }
}

fn channels(rate: u32) -> [Vec<f32>; CHANNELS] {
    std::array::from_fn(|_| Vec::with_capacity(((PIECE + 0.3) * f64::from(rate)) as usize))
}

/// The listener's side.
struct Memory {
    rate: u32,
    /// What was heard last, of this stream alone.
    channels: [Vec<f32>; CHANNELS],
    /// Samples of it in which clicks were looked for.
    done: usize,
    /// Seconds at its first sample.
    at: f64,
    folder: Option<PathBuf>,
    heard: Heard,
}

impl Memory {
    fn new(rate: u32, folder: Option<&Path>) -> Self {
        let folder = folder.map(Path::to_path_buf);
        Self { rate, channels: channels(rate), done: 0, at: 0.0, folder, heard: Heard::default() }
    }

    fn hear(&mut self, piece: &Piece) -> Result<()> {
        if piece.begins {
            self.end()?;
            self.rate = piece.rate;
        }
        for sample in piece.channels[..2].iter().flatten() {
            self.heard.not_finite += u64::from(!sample.is_finite());
            self.heard.peak = self.heard.peak.max(sample.abs());
        }
        for (memory, new) in self.channels.iter_mut().zip(&piece.channels) {
            memory.extend_from_slice(new);
        }
        let around = (AROUND * f64::from(self.rate)) as usize;
        self.look(self.channels[0].len().saturating_sub(around))?;
        self.forget(self.done.saturating_sub(around));
        Ok(())
    }

    /// The stream is over.
    fn end(&mut self) -> Result<()> {
        let length = self.channels[0].len();
        self.look(length)?;
        self.forget(length);
        Ok(())
    }

    fn forget(&mut self, samples: usize) {
        self.channels.iter_mut().for_each(|channel| drop(channel.drain(..samples)));
        self.done -= samples;
        self.at += samples as f64 / f64::from(self.rate);
    }

    /// Looks for clicks up to a sample.
    fn look(&mut self, until: usize) -> Result<()> {
        let rate = f64::from(self.rate);
        // Each part alone: one voice hides the clicks of another, and pulses of two tones together look like one.
        let parts = self.channels[2..].iter().enumerate();
        let mut found: Vec<(usize, usize)> = parts
            .filter(|(_, channel)| channel.iter().any(|sample| *sample != 0.0))
            .flat_map(|(part, channel)| clicks(channel, self.rate).into_iter().map(move |at| (at, part)))
            .filter(|(at, _)| (self.done..until).contains(at))
            .collect();
        found.sort_unstable();
        self.done = until.max(self.done);
        for (sample, part) in found {
            let at = self.at + sample as f64 / rate;
            if self.heard.clicks.last().is_some_and(|last| at - last.at < ONE) {
                continue;
            }
            let file = match &self.folder {
                Some(folder) if self.heard.clicks.len() < KEPT => Some(self.keep(folder, at, sample)?),
                _ => None,
            };
            self.heard.clicks.push(Click { at, part, file });
        }
        Ok(())
    }

    fn keep(&self, folder: &Path, at: f64, sample: usize) -> Result<PathBuf> {
        let path = folder.join(format!("{at:09.4}.wav"));
        let spec = hound::WavSpec {
            channels: CHANNELS as u16,
            sample_rate: self.rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let around = (AROUND * f64::from(self.rate)) as usize;
        let mut file = hound::WavWriter::create(&path, spec)?;
        for i in sample.saturating_sub(around)..(sample + around).min(self.channels[0].len()) {
            for channel in &self.channels {
                file.write_sample(channel[i])?;
            }
        }
        file.finalize()?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(sound: &[f32], cut: usize) -> Heard {
        let mut memory = Memory::new(48_000, None);
        for piece in sound.chunks(cut) {
            let mut channels = channels(48_000);
            channels[4].extend_from_slice(piece);
            channels.iter_mut().for_each(|channel| channel.resize(piece.len(), 0.0));
            memory.hear(&Piece { rate: 48_000, channels, begins: false }).unwrap();
        }
        memory.end().unwrap();
        memory.heard
    }

    #[test]
    fn a_click_is_told_once_and_in_its_place_wherever_pieces_end() {
        let mut sound: Vec<f32> = (0..96_000).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
        sound[50_000..].iter_mut().for_each(|x| *x += 0.1);
        for cut in [9_600, 49_990, 50_000, 50_001, 96_000] {
            let heard = memory(&sound, cut);
            let told: Vec<_> =
                heard.clicks.iter().map(|click| ((click.at * 48e3).round() as usize, click.part)).collect();
            assert!(matches!(told[..], [(49_999..=50_001, 2)]), "pieces of {cut}: {told:?}");
        }
    }
}
