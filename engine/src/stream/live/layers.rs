//! Plays passages under the instant voice, on the audio thread.
//!
//! Each part has up to [`LAYERS`] passages: the newest rises, the others fall. Promises that weights of a part never sum
//! to more than 1, that a passage sounds at its own stream time or not at all, that it ends by a fade under which the
//! instant voice comes back, and that nothing is allocated or freed here.

use super::super::MAX_PARTS;
use super::super::fade::smooth;
use super::super::instant::Sounding;
use super::super::telemetry::Telemetry;
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// Samples that are mixed at once; more would only make the tables of weights larger.
pub const CHUNK: usize = 64;
/// Passages in the ring. Eight parts have four under way at most.
pub const PASSAGES: usize = 64;
const LAYERS: usize = 3;
/// Passages there can be at once: in the ring, waiting, and heard.
pub const ALL_PASSAGES: usize = PASSAGES + MAX_PARTS * (WAITING + LAYERS);
/// Passages of a part that wait for a free layer or for their time.
const WAITING: usize = 32;
/// Seconds of the fade from one passage to the next, or from the instant voice.
const FADE: f64 = 0.025;
/// Seconds of the fade back to the instant voice when a key is released: it must be heard at once.
const RELEASE: f64 = 0.008;
/// Seconds in which the level that a passage was matched to becomes its own.
const RELAX: f64 = 0.5;
/// Windows of 10 ms over which levels are compared, and that are remembered.
const COMPARED: u64 = 5;
const REMEMBERED: usize = 16;
/// Bounds of the measured gain: beyond 12 dB the two are not the same sound.
const GAINS: (f32, f32) = (0.25, 4.0);

/// Synth worker to audio thread: a rendered passage of one part. Goes back to be filled again.
#[derive(Debug, Default)]
pub struct Passage {
    pub epoch: u32,
    pub part: u8,
    /// Stream time of the first sample, in host samples; lead-in included.
    pub start: u64,
    /// Samples per channel.
    pub frames: usize,
    /// Everything that was played before this sample is in it.
    pub known: u64,
    /// It is heard from here on, or from when it is there.
    pub enter: u64,
    /// Left, then right.
    pub samples: Vec<f32>,
    /// Mean squares over windows of 10 ms, the first of which is window `first_window` of the stream.
    pub levels: Vec<f32>,
    pub first_window: u64,
}

impl Passage {
    fn end(&self) -> u64 {
        self.start + self.frames as u64
    }

    /// Measures `levels`, off the audio thread; a window is `window` samples.
    pub fn measure(&mut self, window: u64) {
        self.levels.clear();
        self.first_window = self.start.div_ceil(window);
        let skip = (self.first_window * window - self.start) as usize;
        let (left, right) = self.samples.split_at(self.frames);
        let (left, right) = (left.get(skip..).unwrap_or_default(), right.get(skip..).unwrap_or_default());
        for (left, right) in left.chunks_exact(window as usize).zip(right.chunks_exact(window as usize)) {
            self.levels.push(left.iter().zip(right).map(|(l, r)| l * l + r * r).sum());
        }
    }

    fn level(&self, window: u64) -> Option<f32> {
        self.levels.get(usize::try_from(window.checked_sub(self.first_window)?).ok()?).copied()
    }
}

/// Samples of a window of levels at a host rate.
pub fn window_samples(rate: u32) -> u64 {
    u64::from(rate / 100).max(1)
}

struct Layer {
    passage: Box<Passage>,
    /// How far its fade is, 0 to 1; its weight is the [smooth] one.
    share: f32,
    /// Change of share per sample.
    slope: f32,
    /// Level against what sounded when it came, and on its way to 1.
    gain: f32,
    /// It reached its full weight once.
    arrived: bool,
}

struct Part {
    layers: [Option<Layer>; LAYERS],
    /// Capacity [`WAITING`], allocated once.
    waiting: VecDeque<Box<Passage>>,
    /// A passage that does not know everything before this is no longer true.
    valid_from: u64,
    /// Sums of squares of what sounded, by window.
    levels: [f32; REMEMBERED],
}

/// How much of a voice the passages play, for one chunk.
pub struct Cover {
    /// Per part and layer: what it knows, and its weights; `None` is no layer.
    parts: [[Option<u64>; LAYERS]; MAX_PARTS],
    /// [`CHUNK`] weights of each layer.
    weights: [[[f32; CHUNK]; LAYERS]; MAX_PARTS],
    /// Layers that reached their full weight in this chunk.
    arrived: [Option<u64>; MAX_PARTS],
}

impl Cover {
    /// Nothing is covered.
    pub fn none() -> Self {
        Self {
            parts: [[None; LAYERS]; MAX_PARTS],
            weights: [[[0.0; CHUNK]; LAYERS]; MAX_PARTS],
            arrived: [None; MAX_PARTS],
        }
    }

    /// What is left of a voice of `part` whose key went down at `played`; `None` is all of it.
    pub fn rest(&self, part: usize, played: u64, frames: usize, rest: &mut [f32; CHUNK]) -> bool {
        let mut covered = false;
        for (known, weights) in self.parts[part].iter().zip(&self.weights[part]) {
            if known.is_some_and(|known| played < known) {
                if !covered {
                    rest[..frames].fill(1.0);
                    covered = true;
                }
                for (rest, weight) in rest[..frames].iter_mut().zip(weights) {
                    *rest -= weight;
                }
            }
        }
        if covered {
            // Weights that sum to 1 but for rounding leave nothing.
            rest[..frames].iter_mut().for_each(|rest| *rest = if *rest < 1e-6 { 0.0 } else { *rest });
        }
        covered
    }

    /// Whether a passage that contains the voice has just reached its full weight.
    pub fn arrived(&self, part: usize, played: u64) -> bool {
        self.arrived[part].is_some_and(|known| played < known)
    }
}

/// All parts' passages.
pub struct Layers {
    incoming: HeapCons<Box<Passage>>,
    /// Holds every passage there can be: never full.
    outgoing: HeapProd<Box<Passage>>,
    parts: [Part; MAX_PARTS],
    pub cover: Box<Cover>,
    rate: f32,
    /// Samples of a window of levels.
    window: u64,
}

impl Layers {
    pub fn new(incoming: HeapCons<Box<Passage>>, outgoing: HeapProd<Box<Passage>>) -> Self {
        let part = || Part {
            layers: [const { None }; LAYERS],
            waiting: VecDeque::with_capacity(WAITING + 1),
            valid_from: 0,
            levels: [0.0; REMEMBERED],
        };
        Self {
            incoming,
            outgoing,
            parts: std::array::from_fn(|_| part()),
            cover: Box::new(Cover::none()),
            rate: 48e3,
            window: 480,
        }
    }

    /// Begins a new stream at a host rate in Hz: everything is given back at once.
    pub fn begin(&mut self, rate: u32) {
        self.rate = rate as f32;
        self.window = window_samples(rate);
        for part in 0..MAX_PARTS {
            for layer in 0..LAYERS {
                if let Some(layer) = self.parts[part].layers[layer].take() {
                    self.give_back(layer.passage);
                }
            }
            while let Some(passage) = self.parts[part].waiting.pop_front() {
                self.give_back(passage);
            }
            self.parts[part].valid_from = 0;
            self.parts[part].levels = [0.0; REMEMBERED];
        }
    }

    fn give_back(&mut self, passage: Box<Passage>) {
        // Both rings together hold every passage there is. Were it otherwise, leaking one beats freeing it here.
        if let Err(passage) = self.outgoing.try_push(passage) {
            std::mem::forget(passage);
        }
    }

    /// Takes what has arrived for the stream `epoch`.
    pub fn receive(&mut self, epoch: u32, telemetry: &Telemetry) {
        while let Some(passage) = self.incoming.try_pop() {
            let index = usize::from(passage.part).min(MAX_PARTS - 1);
            if passage.epoch != epoch {
                self.give_back(passage);
                continue;
            }
            telemetry.live_passages.fetch_add(1, Ordering::Relaxed);
            self.parts[index].waiting.push_back(passage);
            if self.parts[index].waiting.len() > WAITING {
                // The newest tell most.
                if let Some(oldest) = self.parts[index].waiting.pop_front() {
                    self.give_back(oldest);
                }
            }
        }
    }

    /// A key of the part was released at stream sample `now` (or all of them): what sounds in context still holds it, so
    /// the instant voice takes over until a passage knows better.
    pub fn released(&mut self, part: usize, now: u64) {
        let slope = -1.0 / (RELEASE as f32 * self.rate);
        let part = &mut self.parts[part];
        part.valid_from = now + 1;
        for layer in part.layers.iter_mut().flatten() {
            layer.slope = layer.slope.min(slope);
        }
    }

    /// Everything ends within 8 ms.
    pub fn all_off(&mut self, now: u64) {
        (0..MAX_PARTS).for_each(|part| self.released(part, now));
    }

    /// Samples from `now` on, at most `frames`, in which nothing begins or ends to fade.
    pub fn steady(&self, now: u64, frames: usize) -> usize {
        let fade = self.fade();
        let turn = |at: u64| at.checked_sub(now).filter(|left| *left > 0).map_or(frames as u64, |left| left);
        let mut run = frames.min(CHUNK) as u64;
        // Levels are remembered by window.
        run = run.min(self.window - now % self.window);
        for part in &self.parts {
            for layer in part.layers.iter().flatten() {
                run = run.min(turn(layer.passage.end().saturating_sub(fade)));
            }
            for passage in &part.waiting {
                run = run.min(turn(passage.enter));
            }
        }
        run.max(1) as usize
    }

    fn fade(&self) -> u64 {
        (FADE * f64::from(self.rate)) as u64
    }

    /// Mixes samples `at..at + frames` of the block, the first of which is stream sample `now`, over the zeroed `parts`;
    /// no more than [`Self::steady`] said. `sounding` is what the instant voice would play. Leaves the cover for the
    /// voices.
    pub fn render(
        &mut self,
        now: u64,
        (at, frames): (usize, usize),
        sounding: &Sounding,
        parts: &mut [[Vec<f32>; 2]; MAX_PARTS],
        telemetry: &Telemetry,
    ) {
        for index in 0..MAX_PARTS {
            self.cover.parts[index] = [None; LAYERS];
            self.cover.arrived[index] = None;
            if !self.parts[index].waiting.is_empty() {
                self.enter(index, now, sounding.newest[index], telemetry);
            }
            for slot in 0..LAYERS {
                let ran_out = self.mix(index, slot, now, (at, frames), parts);
                telemetry.live_missing.fetch_add(u64::from(ran_out && sounding.held[index]), Ordering::Relaxed);
            }
        }
    }

    /// Lets the newest passage in whose time has come.
    fn enter(&mut self, index: usize, now: u64, newest: u64, telemetry: &Telemetry) {
        let fade = self.fade();
        loop {
            let part = &mut self.parts[index];
            let Some(passage) = part.waiting.front().filter(|passage| passage.enter <= now) else { return };
            let superseded = part.waiting.get(1).is_some_and(|next| next.enter <= now);
            let late = passage.end() < now + 2 * fade;
            let overtaken = passage.known < part.valid_from;
            if superseded || late || overtaken {
                telemetry.live_late.fetch_add(u64::from(late), Ordering::Relaxed);
                telemetry.live_overtaken.fetch_add(u64::from(overtaken && !late), Ordering::Relaxed);
                if let Some(passage) = part.waiting.pop_front() {
                    self.give_back(passage);
                }
                continue;
            }
            // While all layers fall the next one waits: a few milliseconds, of which the oldest is nearly silent.
            if passage.start > now {
                return;
            }
            let Some(slot) = part.layers.iter().position(Option::is_none) else { return };
            let Some(passage) = part.waiting.pop_front() else { return };
            let gain = self.match_level(index, &passage, now, newest);
            let slope = 1.0 / (fade.max(1) as f32);
            let part = &mut self.parts[index];
            for layer in part.layers.iter_mut().flatten() {
                // What falls faster already goes on so.
                layer.slope = layer.slope.min(-slope);
            }
            part.layers[slot] = Some(Layer { passage, share: 0.0, slope, gain, arrived: false });
        }
    }

    /// The gain at which a passage is as loud as what sounded in the last windows before `now`.
    fn match_level(&self, index: usize, passage: &Passage, now: u64, newest: u64) -> f32 {
        let part = &self.parts[index];
        let before = part.layers.iter().flatten().map(|layer| layer.gain).next_back();
        if newest >= passage.known {
            // A later key sounds as well, which it does not know.
            return before.unwrap_or(1.0);
        }
        let window = now / self.window;
        let (mut heard, mut rendered) = (0.0, 0.0);
        for window in window.saturating_sub(COMPARED)..window {
            let Some(level) = passage.level(window) else { continue };
            rendered += level;
            heard += part.levels[window as usize % REMEMBERED];
        }
        // Below -80 dB there is nothing to compare.
        if heard.min(rendered) < 1e-8 * COMPARED as f32 * self.window as f32 {
            return 1.0;
        }
        (heard / rendered).sqrt().clamp(GAINS.0, GAINS.1)
    }

    /// Returns whether the part's last passage ended with nothing after it.
    fn mix(
        &mut self,
        index: usize,
        slot: usize,
        now: u64,
        (at, frames): (usize, usize),
        parts: &mut [[Vec<f32>; 2]; MAX_PARTS],
    ) -> bool {
        let fade = self.fade();
        let relax = 1.0 / (RELAX as f32 * self.rate);
        let Some(layer) = &mut self.parts[index].layers[slot] else { return false };
        let passage = &layer.passage;
        if now + fade >= passage.end() {
            layer.slope = layer.slope.min(-1.0 / fade.max(1) as f32);
        }
        let from = (now - passage.start) as usize;
        let weights = &mut self.cover.weights[index][slot];
        let count = frames.min(passage.frames.saturating_sub(from));
        weights[count..frames].fill(0.0);
        let (left, right) = passage.samples.split_at(passage.frames);
        let [out_left, out_right] = &mut parts[index];
        let out = out_left[at..at + count].iter_mut().zip(&mut out_right[at..at + count]);
        let samples = left[from..].iter().zip(&right[from..]);
        for (((out_left, out_right), (left, right)), weight) in out.zip(samples).zip(weights.iter_mut()) {
            *weight = smooth(layer.share);
            let gain = *weight * layer.gain;
            *out_left += gain * left;
            *out_right += gain * right;
            layer.share = (layer.share + layer.slope).clamp(0.0, 1.0);
            layer.gain += (1.0 - layer.gain) * relax;
        }
        self.cover.parts[index][slot] = Some(passage.known);
        if layer.share >= 1.0 && !layer.arrived {
            layer.arrived = true;
            self.cover.arrived[index] = Some(passage.known);
        }
        // The fade may reach 0 a few samples early.
        let ended = now + (frames + CHUNK) as u64 >= passage.end();
        if count == frames && (layer.slope >= 0.0 || layer.share > 0.0) {
            return false;
        }
        if let Some(layer) = self.parts[index].layers[slot].take() {
            self.give_back(layer.passage);
        }
        let part = &self.parts[index];
        ended && part.waiting.is_empty() && part.layers.iter().all(Option::is_none)
    }

    /// Remembers how loud the parts are in samples `at..at + frames`, once they are mixed.
    pub fn remember(&mut self, now: u64, (at, frames): (usize, usize), parts: &[[Vec<f32>; 2]; MAX_PARTS]) {
        let window = now / self.window;
        for (part, [left, right]) in self.parts.iter_mut().zip(parts) {
            let level = &mut part.levels[window as usize % REMEMBERED];
            if now.is_multiple_of(self.window) {
                *level = 0.0;
            }
            for (l, r) in left[at..at + frames].iter().zip(&right[at..at + frames]) {
                *level += l * l + r * r;
            }
        }
    }
}
