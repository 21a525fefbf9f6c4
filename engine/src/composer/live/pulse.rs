//! The beat of somebody who plays without a host's transport, guessed from when notes begin.

use std::collections::VecDeque;

/// Onsets that are remembered, and how long, seconds.
const ONSETS: usize = 24;
const MEMORY: f64 = 8.0;
/// Onsets within this time are one, seconds.
const TOGETHER: f64 = 0.05;
/// Tempi that are tried, quarter notes a minute.
const SLOWEST: u32 = 60;
const FASTEST: u32 = 180;
/// The tempo that is likeliest before anything was heard, and how many octaves around it are likely (Parncutt 1994).
const PREFERRED: f64 = 110.0;
const SPREAD: f64 = 0.5;

/// Where the beats are: taps and notes alike.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    onsets: VecDeque<f64>,
}

impl Pulse {
    /// Forgets everything.
    pub fn forget(&mut self) {
        self.onsets.clear();
    }

    /// A note begins, or a tap; seconds on any clock that only goes forward. Returns the tempo in quarter notes a minute
    /// once four were heard.
    pub fn onset(&mut self, seconds: f64) -> Option<f64> {
        if self.onsets.back().is_some_and(|&last| seconds < last) {
            self.forget();
        }
        if self.onsets.back().is_none_or(|&last| seconds - last > TOGETHER) {
            self.onsets.push_back(seconds);
        }
        while self.onsets.len() > ONSETS || self.onsets.front().is_some_and(|&first| seconds - first > MEMORY) {
            self.onsets.pop_front();
        }
        self.tempo()
    }

    /// The tempo at which onsets are nearest to whole beats apart; below 90 it may be the double, whose beats fit as well.
    fn tempo(&self) -> Option<f64> {
        if self.onsets.len() < 4 {
            return None;
        }
        let score = |tempo: u32| {
            let beats = f64::from(tempo) / 60.0;
            let apart = self.onsets.iter().flat_map(|&a| self.onsets.iter().map(move |&b| b - a)).filter(|d| *d > 0.0);
            let (count, sum) =
                apart.fold((0u32, 0.0), |(n, sum), d| (n + 1, sum + (std::f64::consts::TAU * d * beats).cos()));
            let octaves = (f64::from(tempo) / PREFERRED).log2() / SPREAD;
            sum / f64::from(count.max(1)) + (-0.5 * octaves * octaves).exp()
        };
        (SLOWEST..=FASTEST)
            .map(|tempo| (score(tempo), tempo))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, t)| f64::from(t))
    }
}
