//! The words by which our threads find each other without a lock: where the audio thread is, and whether what it waits for
//! in a bounce has been answered.
//!
//! They are all there is of ours that stands between threads and is more than a flag or a counter of its own. Rings and
//! channels are `ringbuf`'s and `crossbeam-channel`'s; the flags of `Shared`, `Telemetry`'s figures and the plug-in's are
//! single words, each with one writer or changed by one atomic operation, from which nothing else is concluded. What is
//! concluded from these here is tested under every interleaving that the memory model allows, by loom:
//! `tests/interleavings.rs` builds this file with loom's atomics in place of the standard library's.

use super::atomic::{AtomicU64, Ordering};

/// A point in stream time: which stream (counted up by every reset), and how many host samples into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamTime {
    pub epoch: u32,
    pub samples: u64,
}

/// A thread's clock as others see it: one word, so that epoch and position are read together.
///
/// What its thread did before it set the clock is seen by whoever reads it: the events of a block are in their ring, the
/// rate of a stream is known when its epoch shows. 20 bits of epoch and 44 of samples: three years at 192 kHz.
#[derive(Debug, Default)]
pub struct StreamClock(AtomicU64);

impl StreamClock {
    const SAMPLE_BITS: u32 = 44;
    /// Epochs wrap here.
    pub const EPOCHS: u32 = 1 << (64 - Self::SAMPLE_BITS);

    pub fn set(&self, time: StreamTime) {
        let samples = time.samples & ((1 << Self::SAMPLE_BITS) - 1);
        self.0.store(u64::from(time.epoch) << Self::SAMPLE_BITS | samples, Ordering::Release);
    }

    pub fn get(&self) -> StreamTime {
        let bits = self.0.load(Ordering::Acquire);
        StreamTime { epoch: (bits >> Self::SAMPLE_BITS) as u32, samples: bits & ((1 << Self::SAMPLE_BITS) - 1) }
    }
}

/// Questions from one thread to another, counted, for a third that waits for the answers.
///
/// A question is counted before its thread shows the clock by which the third knows that it was asked; an answer after all
/// that belongs to it was handed over. So whoever has read that clock and finds [`all`](Self::all) answered finds it all.
#[derive(Debug, Default)]
pub struct Answers {
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Answers {
    /// A question is about to be sent.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    /// What answers a question has been handed over.
    pub fn answer(&self) {
        self.answered.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether every question has its answer.
    pub fn all(&self) -> bool {
        let asked = self.asked.load(Ordering::Acquire);
        self.answered.load(Ordering::Acquire) >= asked
    }
}
