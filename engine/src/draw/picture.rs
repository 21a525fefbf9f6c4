//! A picture read back, for whoever shows it.

use std::path::Path;

use tiny_skia::Pixmap;

/// Pixels of a PNG file.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels to the right.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green, blue and opacity of each, row by row from the top; colours are multiplied by the opacity.
    pub rgba: Vec<u8>,
}

impl Picture {
    /// Reads a PNG file; `None` if it is none or not there.
    pub fn read(path: &Path) -> Option<Self> {
        let pixmap = Pixmap::load_png(path).ok()?;
        let (width, height) = (pixmap.width() as usize, pixmap.height() as usize);
        Some(Self { width, height, rgba: pixmap.take() })
    }
}
