//! What our threads conclude from the words they share, under every order of events that the memory model allows.
//!
//! Loom runs each model again and again, with another interleaving of its threads and another value that a read may see,
//! until there is none left. The file under test is the engine's own, built with loom's atomics.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::thread;

/// In place of `stream`'s.
mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/stream/cells.rs"]
mod cells;

use atomic::Ordering;
use cells::{Answers, StreamClock, StreamTime};

#[test]
fn the_clock_keeps_epoch_and_position_together() {
    loom::model(|| {
        let clock = StreamClock::default();
        for time in [
            StreamTime::default(),
            StreamTime { epoch: 7, samples: 123_456_789_012 },
            StreamTime { epoch: StreamClock::EPOCHS - 1, samples: (1 << 44) - 1 },
        ] {
            clock.set(time);
            assert_eq!(clock.get(), time);
        }
    });
}

#[test]
fn who_sees_a_stream_on_the_clock_knows_its_rate_or_that_of_a_later_one() {
    loom::model(|| {
        let shared = Arc::new((StreamClock::default(), AtomicU32::new(0)));
        let audio = Arc::clone(&shared);
        let audio = thread::spawn(move || {
            for epoch in 1..=3 {
                audio.1.store(epoch * 1_000, Ordering::Release);
                audio.0.set(StreamTime { epoch, samples: 0 });
                audio.0.set(StreamTime { epoch, samples: 64 });
            }
        });
        for _ in 0..2 {
            let time = shared.0.get();
            let rate = shared.1.load(Ordering::Acquire);
            assert!(rate >= time.epoch * 1_000, "epoch {} at {rate} Hz", time.epoch);
            // One word: a position is never read with another stream's number.
            assert!([0, 64].contains(&time.samples));
        }
        audio.join().unwrap();
    });
}

#[test]
fn an_event_is_in_its_ring_before_the_clock_passes_it() {
    loom::model(|| {
        // The ring as far as this goes: whether the event is in it.
        let shared = Arc::new((StreamClock::default(), AtomicBool::new(false)));
        let audio = Arc::clone(&shared);
        let audio = thread::spawn(move || {
            audio.1.store(true, Ordering::Release);
            audio.0.set(StreamTime { epoch: 1, samples: 512 });
        });
        // As the conductor does: the clock first.
        let now = shared.0.get();
        let there = shared.1.load(Ordering::Acquire);
        assert!(there || now.samples < 512, "decided without an event of before");
        audio.join().unwrap();
    });
}

/// A bounce in Live: the conductor asks the synth worker, the audio thread waits until the one has come to its block and the
/// other has answered; then every passage must lie in the ring.
#[test]
fn what_a_bounce_waits_for_is_there_when_it_goes_on() {
    struct Shared {
        decided: StreamClock,
        answers: Answers,
        /// The channel to the synth worker: how many questions are in it.
        jobs: AtomicU32,
        /// The ring to the audio thread: how many passages are in it.
        passages: AtomicU32,
    }
    loom::model(|| {
        let shared = Arc::new(Shared {
            decided: StreamClock::default(),
            answers: Answers::default(),
            jobs: AtomicU32::new(0),
            passages: AtomicU32::new(0),
        });
        let conductor = Arc::clone(&shared);
        let conductor = thread::spawn(move || {
            conductor.answers.ask();
            conductor.jobs.fetch_add(1, Ordering::AcqRel);
            conductor.decided.set(StreamTime { epoch: 1, samples: 512 });
        });
        let synth = Arc::clone(&shared);
        let synth = thread::spawn(move || {
            if synth.jobs.load(Ordering::Acquire) == 1 {
                synth.passages.fetch_add(1, Ordering::AcqRel);
                synth.answers.answer();
            }
        });
        let come = shared.decided.get().samples >= 512;
        if come && shared.answers.all() {
            assert_eq!(shared.passages.load(Ordering::Acquire), 1, "the bounce went on without its passage");
        }
        conductor.join().unwrap();
        synth.join().unwrap();
    });
}
