//! How near the synthesizer is to true renderings, and whether its segments join without a seam.
//!
//! What needs no learned transcriber: multi-resolution STFT distance, distance of loudness curves, the Frechet distance
//! of embeddings by a network that is given, and statistics of joins. Allocates freely; for the command line.

mod clip;
mod distance;
mod frechet;
mod groups;
mod musicnn;
mod performed;
mod seams;

pub use clip::{Clip, ClipError};
pub use distance::{loudness_distance, stft_distance};
pub use groups::{Apart, Groups, Heard};
pub use musicnn::Musicnn;
pub use performed::{Performed, Subject};
pub use seams::{Measure, SHIFTS, Seams, Take};
