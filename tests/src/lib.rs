//! What the tests of the whole share: a CLAP host, a score to play into any host, and ears.
//!
//! Nothing here is part of what a musician loads. A test names the behaviour; these modules know how a host behaves and
//! how a sound is judged, once for all hosts and languages.

pub mod allocations;
pub mod alone;
pub mod audio_thread;
pub mod clap_host;
pub mod clicks;
pub mod cost;
pub mod files;
pub mod key_to_sound;
pub mod listen;
pub mod memory;
pub mod performer;
pub mod pieces;
pub mod recorder;
pub mod reference;
pub mod shares;
