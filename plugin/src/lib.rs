//! Ripieno in a host: CLAP and VST3 from one library, two classes each.
//!
//! *Ripieno* has one stereo output. *Ripieno Multi* adds one stereo output per part. They differ in nothing else.
//! Two classes and not one, because a host that disables any auxiliary output of a class silences all of it.
//!
//! What it promises the host:
//! * Scanning and instantiating load no model and read no file; the engine loads when the host activates us.
//! * [`Instrument::process`](nice_plug::prelude::Plugin::process) neither allocates nor locks nor waits, except when
//!   the host bounces offline, where it waits for its audio.
//! * No panic of ours reaches the host: it ends in silence and a sentence in the editor.
//! * The latency is one figure per mode, announced while the host activates us, without asking for a restart.
//! * A saved project is never lost: a performance or an ensemble that is not installed keeps its name.

mod clerk;
mod composing;
pub mod editor;
mod errands;
mod gains;
mod guard;
mod instrument;
pub mod menu;
pub mod parameters;
mod saved;
pub mod shared;

pub use instrument::{ClapMulti, ClapStereo, Instrument, Vst3Multi, Vst3Stereo};

nice_plug::nice_export_clap!(ClapStereo, ClapMulti);
nice_plug::nice_export_vst3!(Vst3Stereo, Vst3Multi);
