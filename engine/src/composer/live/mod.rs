//! The composer while somebody plays: it goes on when they stop, or the other parts answer while they play.
//!
//! Everything here counts in beats of a song and is pure: whoever calls says what was played and where the song is, and
//! is told which notes are due. The same calls give the same notes. It belongs on a worker: one [`Planner::work`] is one
//! step of the network, or, after notes that change what the network has heard, a rehearing of at most half its window.

mod part;
mod planner;
mod pulse;
#[cfg(test)]
mod tests;

pub use part::{LiveMode, LivePart, LiveSettings};
pub use planner::{Cause, Due, Foresight, PlannedNote, Planner};
pub use pulse::Pulse;
