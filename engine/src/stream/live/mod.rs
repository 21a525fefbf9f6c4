//! Live playing in context: short passages of what is being played, rendered while it sounds and faded in under the
//! instant voice.
//!
//! A key sounds from the instant voice at once. Some tens of milliseconds later a passage that knows the part's whole
//! context is there, and every voice that it contains is faded into it: at equal level (measured on what sounded), and in
//! phase, because both count a note's phases from its key. When something new is played the next passage replaces the
//! last; what no passage knows yet, or no longer tells truly, the instant voice plays. [`cost`] measures what the
//! networks take, [`schedule`] decides what to render next, [`desk`] keeps what each part needs, and [`layers`] plays on
//! the audio thread.

mod cost;
mod desk;
mod layers;
mod schedule;

pub(super) use cost::Costs;
pub(super) use desk::{Desk, LiveChange, Task};
pub(super) use layers::{ALL_PASSAGES, CHUNK, Cover, Layers, PASSAGES, Passage, window_samples};
pub(super) use schedule::{CONTEXT_FRAMES, LENGTHS, OVERHEAD, Why};

/// Frames before the first one heard that a passage is rendered from, so that its level can be compared to what sounded.
pub(super) const LEAD_IN: usize = 8;

/// Offline, what was played is heard in context at the second of these after it, in host samples: often enough to
/// follow playing, seldom enough not to render the same second twenty times.
pub(super) fn grid_samples(rate: u32) -> u64 {
    u64::from(rate) * 8 / 100
}
