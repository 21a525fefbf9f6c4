//! Everything of Ripieno that makes music; knows nothing of plug-ins or windows.

pub mod arranger;
pub mod composer;
pub mod draw;
pub mod inference;
pub mod memory;
pub mod processor;
pub mod render;
pub mod score;
pub mod stream;
pub mod synth;
