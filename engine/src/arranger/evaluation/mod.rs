//! How well an arranger separates parts: pieces whose parts are known, what each method says of them, and how right it is.
//!
//! As in Dong et al., ISMIR 2021, section 5: accuracy per note over a whole set of pieces, every piece from a fresh
//! state, and the rules that trained networks are measured against.

mod baselines;
mod measures;
mod pieces;
mod separation;

pub use measures::{Measures, Tally};
pub use pieces::{Grid, PartedPiece, PieceError, read};
pub use separation::{Given, Separation};
