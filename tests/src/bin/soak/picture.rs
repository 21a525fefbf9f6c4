//! The soak as a picture: steps of the passages and memory, over time.

use std::path::Path;

use anyhow::Result;
use ripieno_engine::draw::{self, Bars};

use crate::report::Report;

/// Passages by their steps: the prior alone, then from few to many.
const STEPS: [(&str, [u8; 3]); 5] = [
    ("prior alone", [0x4a, 0x5b, 0x74]),
    ("1 step", [0x3b, 0x8e, 0xa5]),
    ("2", [0x5f, 0xb4, 0x8a]),
    ("3", [0xb8, 0xc0, 0x4e]),
    ("4 and more", [0xf2, 0xa5, 0x41]),
];
const MEMORY: [(&str, [u8; 3]); 1] = [("in use, MiB", [0x8f, 0x7a, 0xc8])];

pub fn draw(path: &Path, report: &Report) -> Result<()> {
    let moments = || report.over_time.iter();
    // A moment tells what was since the one before.
    let begins = [0.0].into_iter().chain(moments().map(|moment| moment.seconds));
    let steps = |counts: &[u64]| {
        let mut layers = vec![0.0; STEPS.len()];
        for (taken, count) in counts.iter().enumerate() {
            layers[taken.min(STEPS.len() - 1)] += *count as f64;
        }
        layers
    };
    let chosen: Vec<_> = begins.clone().zip(moments()).map(|(begin, moment)| (begin, steps(&moment.steps))).collect();
    let memory: Vec<_> = begins.zip(moments()).map(|(begin, moment)| (begin, vec![moment.in_use_mib])).collect();
    let charts = [
        Bars { title: "Passages", layers: &STEPS, bars: &chosen },
        Bars { title: "Memory", layers: &MEMORY, bars: &memory },
    ];
    Ok(draw::bars(path, report.seconds, &charts)?)
}
