//! Plays finished segments at their place in time, on the audio thread.
//!
//! Promises that a sample sounds at its own stream time or not at all: what comes late is dropped. Where audio runs
//! out it is faded within 5 ms before the gap, and faded in again where it resumes; [`rest`](StreamPlayer::rest) says what
//! that leaves to the instant voice. A gap counts once, and so does each segment that could not be rendered. A stream
//! begins within a millisecond and not in the middle of a wave.

use super::MAX_PARTS;
use super::fade::smooth;
use super::message::Packet;
use ringbuf::traits::{Consumer, Producer};
use ringbuf::{HeapCons, HeapProd};
use std::collections::VecDeque;

/// Packets that may wait in the ring, and as many again beside it. Sync never has more than four under way.
pub(super) const PACKETS: usize = 16;

pub(super) struct StreamPlayer {
    incoming: HeapCons<Box<Packet>>,
    /// Played packets go back to the worker, which frees or refills them. Holds twice [`PACKETS`]: never full.
    outgoing: HeapProd<Box<Packet>>,
    /// Packets of the running stream in order of time; capacity [`PACKETS`], allocated once.
    queue: VecDeque<Box<Packet>>,
    /// How far a fade is, 0 to 1.
    share: f32,
    /// Change of `share` per sample: 5 ms from 0 to 1.
    step: f32,
    /// The gap under way.
    gap: Option<Gap>,
    /// What is left of every sample of the last block, 1 less the fades' gain; as long as the longest block or the tail,
    /// allocated by [`configure`](Self::configure).
    rest: Vec<f32>,
    /// Samples of the stream's rise: 1 ms. What precedes a note's attack in the models' audio may lie at the very beginning.
    rise: u64,
}

/// Why there is nothing to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Nothing has come.
    Late,
    /// The segment that begins here could not be rendered.
    Missing(u64),
}

/// What a block was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rendered {
    /// Gaps that began.
    pub gaps: u64,
    /// Something of [`rest`](StreamPlayer::rest) is not 0.
    pub lacks: bool,
}

impl StreamPlayer {
    pub fn new(incoming: HeapCons<Box<Packet>>, outgoing: HeapProd<Box<Packet>>) -> Self {
        Self {
            incoming,
            outgoing,
            queue: VecDeque::with_capacity(PACKETS),
            share: 1.0,
            step: 1.0 / 240.0,
            gap: None,
            rest: Vec::new(),
            rise: 48,
        }
    }

    /// Makes room for blocks of so many samples. May allocate.
    pub fn configure(&mut self, frames: usize) {
        self.rest.clear();
        self.rest.resize(frames, 0.0);
    }

    /// What the fades leave of each sample of the last block: 0 where the stream sounds, 1 inside a gap.
    pub fn rest(&self) -> &[f32] {
        &self.rest
    }

    /// Begins a new stream at a host rate in Hz; audio of the old one is given back.
    pub fn begin(&mut self, rate: u32) {
        while let Some(packet) = self.queue.pop_front() {
            self.give_back(packet);
        }
        self.share = 1.0;
        self.step = 200.0 / rate as f32;
        self.gap = None;
        self.rise = u64::from(rate) / 1_000;
    }

    fn give_back(&mut self, packet: Box<Packet>) {
        // Both rings together hold every packet there is. Were it otherwise, leaking one beats freeing it here.
        if let Err(packet) = self.outgoing.try_push(packet) {
            std::mem::forget(packet);
        }
    }

    /// Takes what has arrived; `from` is the next stream sample to be played.
    pub fn receive(&mut self, epoch: u32, from: u64) {
        while self.queue.front().is_some_and(|packet| packet.end() <= from) {
            if let Some(packet) = self.queue.pop_front() {
                self.give_back(packet);
            }
        }
        while self.queue.len() < PACKETS {
            let Some(packet) = self.incoming.try_pop() else { break };
            if packet.epoch == epoch && packet.end() > from {
                self.queue.push_back(packet);
            } else {
                self.give_back(packet);
            }
        }
    }

    /// Whether all there will ever be is there without a hole from `from` up to `to`.
    pub fn has(&self, from: u64, to: u64) -> bool {
        contiguous_end(self.queue.iter(), from) >= to
    }

    fn sounding_end(&self, from: u64) -> u64 {
        contiguous_end(self.queue.iter().take_while(|packet| !packet.missing), from)
    }

    /// Writes stream samples `start..start + frames` over the zeroed `parts` from `at` on; no more than it was
    /// [configured](Self::configure) for.
    /// With `hold` (offline) nothing is faded: what follows will be there when it is due.
    pub fn render(
        &mut self,
        start: u64,
        at: usize,
        frames: usize,
        hold: bool,
        parts: &mut [[Vec<f32>; 2]; MAX_PARTS],
    ) -> Rendered {
        let mut rendered = Rendered::default();
        let mut done = 0;
        let known_end = self.sounding_end(start);
        self.rest[..at + frames].fill(0.0);
        while done < frames {
            let now = start + done as u64;
            while self.queue.front().is_some_and(|packet| packet.end() <= now) {
                if let Some(packet) = self.queue.pop_front() {
                    self.give_back(packet);
                }
            }
            let end = if now < known_end { known_end } else { self.sounding_end(now) };
            let left = (frames - done) as u64;
            // How long nothing comes, and why.
            let lacking = match self.queue.front() {
                None => Some((left, Gap::Late)),
                Some(packet) if packet.start > now => Some((packet.start - now, Gap::Late)),
                Some(packet) if packet.missing => Some((packet.end() - now, Gap::Missing(packet.start))),
                Some(_) => None,
            };
            if let Some((samples, gap)) = lacking {
                let run = samples.min(left) as usize;
                rendered.gaps += u64::from(self.begin_gap(gap, now));
                rendered.lacks = true;
                self.share = 0.0;
                self.rest[at + done..at + done + run].fill(1.0);
                done += run;
                continue;
            }
            let (share, step, rest) = (&mut self.share, self.step, &mut self.rest);
            let Some(packet) = self.queue.front() else { break };
            self.gap = None;
            let from = (now - packet.start) as usize;
            let count = (packet.frames - from).min(frames - done);
            let fade = (1.0 / step) as u64;
            // The last sample of this run is far from the end of what is known: no fade can begin in it.
            let steady = *share >= 1.0 && (hold || end - now > fade + count as u64);
            let begin = *share;
            for (part, targets) in parts.iter_mut().enumerate() {
                let Some(channels) = packet.part(part) else { continue };
                for (target, source) in targets.iter_mut().zip([channels.0, channels.1]) {
                    let target = &mut target[at + done..at + done + count];
                    target.copy_from_slice(&source[from..from + count]);
                    if !steady {
                        fade_run(target, begin, step, end - now, hold);
                    }
                    if now < self.rise {
                        let risen = (now..self.rise).map(|at| smooth(at as f32 / self.rise as f32));
                        target.iter_mut().zip(risen).for_each(|(sample, gain)| *sample *= gain);
                    }
                }
            }
            if !steady {
                let rest = &mut rest[at + done..at + done + count];
                *share = fade_run_rest(begin, step, rest, end - now, hold);
                rendered.lacks |= rest.iter().any(|rest| *rest > 0.0);
            }
            done += count;
        }
        rendered
    }

    /// Whether a gap at stream sample `now` is another than the one under way.
    fn begin_gap(&mut self, gap: Gap, now: u64) -> bool {
        let before = self.gap.replace(gap);
        match (before, gap) {
            // That a segment could not be rendered came to be known when its time had begun.
            (Some(Gap::Late), Gap::Missing(start)) => start == now,
            (before, gap) => before != Some(gap),
        }
    }
}

/// Where packets in order of time that begin at `from` or before end, up to the first hole.
fn contiguous_end<'a>(packets: impl Iterator<Item = &'a Box<Packet>>, from: u64) -> u64 {
    packets.fold(from, |end, packet| if packet.start <= end { end.max(packet.end()) } else { end })
}

/// The share of the next sample: down as fast as needed to reach 0 when `remaining` samples are played, else up.
#[inline]
fn next_share(share: f32, step: f32, remaining: u64, hold: bool) -> f32 {
    let room = remaining.saturating_sub(1) as f32 * step;
    let up = (share + step).min(1.0);
    if hold { up } else { up.min(room) }
}

fn fade_run(target: &mut [f32], mut share: f32, step: f32, remaining: u64, hold: bool) {
    for (i, sample) in target.iter_mut().enumerate() {
        share = next_share(share, step, remaining - i as u64, hold);
        *sample *= smooth(share);
    }
}

/// Leaves what each sample's gain leaves in `rest`; returns the last share.
fn fade_run_rest(mut share: f32, step: f32, rest: &mut [f32], remaining: u64, hold: bool) -> f32 {
    for (i, rest) in rest.iter_mut().enumerate() {
        share = next_share(share, step, remaining - i as u64, hold);
        *rest = 1.0 - smooth(share);
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbuf::HeapRb;
    use ringbuf::traits::Split;

    fn player() -> (StreamPlayer, HeapProd<Box<Packet>>, HeapCons<Box<Packet>>) {
        let (to, incoming) = HeapRb::new(PACKETS).split();
        let (outgoing, back) = HeapRb::new(2 * PACKETS).split();
        let mut player = StreamPlayer::new(incoming, outgoing);
        player.configure(5_000);
        (player, to, back)
    }

    /// A packet whose first part is 1 everywhere.
    fn ones(epoch: u32, start: u64, frames: usize) -> Box<Packet> {
        let mut offsets = [None; MAX_PARTS];
        offsets[0] = Some(0);
        Box::new(Packet { epoch, start, frames, samples: vec![1.0; 2 * frames], offsets, missing: false })
    }

    /// One that could not be rendered.
    fn missing(start: u64, frames: usize) -> Box<Packet> {
        Box::new(Packet { epoch: 1, start, frames, missing: true, ..Packet::default() })
    }

    fn buffers(frames: usize) -> [[Vec<f32>; 2]; MAX_PARTS] {
        std::array::from_fn(|_| [vec![0.0; frames], vec![0.0; frames]])
    }

    #[test]
    fn audio_sounds_at_its_own_time_and_late_audio_is_dropped() {
        let (mut player, mut to, _back) = player();
        player.begin(48_000);
        to.try_push(ones(1, 0, 1_000)).ok();
        to.try_push(ones(0, 1_000, 1_000)).ok();
        to.try_push(ones(1, 2_000, 1_000)).ok();
        player.receive(1, 500);
        let mut parts = buffers(3_000);
        let rendered = player.render(500, 0, 2_500, true, &mut parts);
        assert_eq!(rendered, Rendered { gaps: 1, lacks: true });
        let heard = &parts[0][0];
        assert!(heard[..500].iter().all(|&x| x == 1.0));
        assert!(heard[500..1_500].iter().all(|&x| x == 0.0));
        assert!((heard[2_499] - 1.0).abs() < 1e-6 && heard[1_500] < 0.01);
    }

    /// Fades of so many samples have no step and no corner.
    fn expect_smooth(heard: &[f32], samples: f32) {
        let step = heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(step <= 1.5 / samples + 1e-5, "a step of {step}");
        let bend = heard.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f32::max);
        assert!(bend <= 6.0 / (samples * samples) + 1e-6, "a corner of {bend}");
    }

    #[test]
    fn a_gap_is_faded_into_and_out_of_without_a_step() {
        for block in [1, 7, 64, 5_000] {
            let (mut player, mut to, _back) = player();
            player.begin(48_000);
            to.try_push(ones(1, 0, 1_000)).ok();
            to.try_push(ones(1, 1_500, 1_000)).ok();
            let (mut heard, mut rest) = (Vec::new(), Vec::new());
            let mut gaps = 0;
            while heard.len() < 2_500 {
                let frames = block.min(2_500 - heard.len());
                let mut parts = buffers(frames);
                player.receive(1, heard.len() as u64);
                gaps += player.render(heard.len() as u64, 0, frames, false, &mut parts).gaps;
                heard.extend_from_slice(&parts[0][0]);
                rest.extend_from_slice(&player.rest()[..frames]);
            }
            // What is left is all that is missing, but for the stream's own rise.
            let whole = heard.iter().zip(&rest).skip(48).all(|(heard, rest)| (heard + rest - 1.0).abs() < 1e-6);
            assert!(whole, "block {block}: {rest:?}");
            // From the end of the stream's own rise on.
            expect_smooth(&heard[48..], 240.0);
            assert_eq!(gaps, 1, "block {block}");
            assert_eq!(heard[700], 1.0);
            assert_eq!(heard[1_200], 0.0);
            assert_eq!(heard[2_000], 1.0);
        }
    }

    #[test]
    fn each_segment_that_could_not_be_rendered_counts_once_and_is_faded_around() {
        for block in [1, 7, 64, 5_000] {
            let (mut player, mut to, _back) = player();
            player.begin(48_000);
            let packets = [ones(1, 0, 1_000), missing(1_000, 500), missing(1_500, 500), ones(1, 2_000, 1_000)];
            packets.into_iter().for_each(|packet| drop(to.try_push(packet)));
            let (mut heard, mut gaps) = (Vec::new(), 0);
            player.receive(1, 0);
            assert!(player.has(0, 3_000), "a bounce would wait for ever");
            // The last one is not there at all.
            while heard.len() < 3_500 {
                let frames = block.min(3_500 - heard.len());
                let mut parts = buffers(frames);
                gaps += player.render(heard.len() as u64, 0, frames, false, &mut parts).gaps;
                heard.extend_from_slice(&parts[0][0]);
            }
            assert_eq!(gaps, 3, "block {block}");
            expect_smooth(&heard[48..], 240.0);
            assert!(heard[1_000..2_000].iter().all(|&x| x == 0.0) && heard[2_500] == 1.0);
        }
    }

    #[test]
    fn a_segment_that_was_waited_for_in_vain_counts_once() {
        let (mut player, mut to, _back) = player();
        player.begin(48_000);
        to.try_push(ones(1, 0, 1_000)).ok();
        player.receive(1, 0);
        let mut gaps = player.render(0, 0, 1_200, false, &mut buffers(1_200)).gaps;
        to.try_push(missing(1_000, 1_000)).ok();
        player.receive(1, 1_200);
        gaps += player.render(1_200, 0, 800, false, &mut buffers(800)).gaps;
        assert_eq!(gaps, 1);
    }

    #[test]
    fn a_stream_begins_without_a_step_whatever_the_block() {
        for block in [1, 7, 64, 1_000] {
            let (mut player, mut to, _back) = player();
            player.begin(48_000);
            to.try_push(ones(1, 0, 1_000)).ok();
            player.receive(1, 0);
            let mut heard = vec![0.0];
            while heard.len() <= 1_000 {
                let frames = block.min(1_001 - heard.len());
                let mut parts = buffers(frames);
                player.render(heard.len() as u64 - 1, 0, frames, true, &mut parts);
                heard.extend_from_slice(&parts[0][0]);
            }
            expect_smooth(&heard, 48.0);
            assert_eq!(heard[49..], [1.0; 952]);
        }
    }

    #[test]
    fn every_packet_goes_back() {
        let (mut player, mut to, mut back) = player();
        player.begin(48_000);
        for k in 0..4 {
            to.try_push(ones(1, k * 100, 100)).ok();
        }
        player.receive(1, 0);
        player.render(0, 0, 250, true, &mut buffers(250));
        player.begin(48_000);
        player.receive(2, 0);
        assert_eq!(std::iter::from_fn(|| back.try_pop()).count(), 4);
    }
}
