//! The editor: a window in the host that shows and turns what the instrument does.
//!
//! [`draw`] is a free function of plain values, so that tests and pictures need neither window nor host. It runs on the
//! main thread and reads the engine's telemetry; it never touches what belongs to the audio thread. Should it
//! panic, the window says so and the sound goes on.

mod card;
mod composer;
mod panels;
mod roll;
mod scene;
mod split;
pub mod theme;
mod view;
mod widgets;
mod window;

pub use scene::Scene;
pub use view::{View, draw};
pub use window::Window;
