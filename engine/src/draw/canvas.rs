//! A dark sheet with shapes, letters and axes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, ScaleFont, point};
use tiny_skia::{Color, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::{DrawnPart, GREY};

const INK: [u8; 3] = [0xd7, 0xdc, 0xe2];
const GROUND: [u8; 3] = [0x12, 0x15, 0x1a];
/// Letter height in pixels.
const TEXT: f32 = 18.0;

/// Margins around the plot, in pixels.
pub const LEFT: f32 = 90.0;
pub const RIGHT: f32 = 110.0;
pub const TOP: f32 = 64.0;
pub const BOTTOM: f32 = 56.0;

/// Why there is no picture.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DrawError {
    /// The file cannot be written.
    #[error("the picture {path} cannot be written: {reason}. Choose a folder you may write to.")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl DrawError {
    pub(super) fn no_memory(path: &Path) -> Self {
        Self::Unwritable { path: path.into(), reason: "there is no memory for it".into() }
    }
}

/// The sheet.
pub struct Canvas {
    pixmap: Pixmap,
}

fn font() -> Option<&'static FontRef<'static>> {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    let bytes: &[u8] = include_bytes!("../../../assets/fonts/Inter-Regular.otf");
    FONT.get_or_init(|| FontRef::try_from_slice(bytes).ok()).as_ref()
}

fn paint(colour: [u8; 3], opacity: f32) -> Paint<'static> {
    let mut paint = Paint::default();
    let [r, g, b] = colour;
    paint.set_color_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0) as u8);
    paint.anti_alias = true;
    paint
}

impl Canvas {
    /// An empty sheet; a size of zero counts as one pixel.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let mut pixmap = Pixmap::new(width.max(1), height.max(1))?;
        let [r, g, b] = GROUND;
        pixmap.fill(Color::from_rgba8(r, g, b, 255));
        Some(Self { pixmap })
    }

    /// Sheets of one width under each other.
    pub fn stacked(sheets: &[Self]) -> Option<Self> {
        let height = sheets.iter().map(|sheet| sheet.pixmap.height()).sum();
        let width = sheets.first().map_or(1, |sheet| sheet.pixmap.width());
        let mut all = Self::new(width, height)?;
        let mut at = 0;
        for sheet in sheets.iter().filter(|sheet| sheet.pixmap.width() == width) {
            let bytes = sheet.pixmap.data();
            all.pixmap.data_mut()[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
        Some(all)
    }

    /// Left, top, width and height of the plot inside the margins.
    pub fn plot(&self) -> (f32, f32, f32, f32) {
        let (w, h) = (self.pixmap.width() as f32, self.pixmap.height() as f32);
        (LEFT, TOP, w - LEFT - RIGHT, h - TOP - BOTTOM)
    }

    /// A filled rectangle.
    pub fn fill(&mut self, (x, y, w, h): (f32, f32, f32, f32), colour: [u8; 3], opacity: f32) {
        if let Some(rect) = Rect::from_xywh(x, y, w.max(0.1), h.max(0.1)) {
            self.pixmap.fill_rect(rect, &paint(colour, opacity), Transform::identity(), None);
        }
    }

    /// The outline of a rectangle, with a dark seam around it so that it shows on any ground.
    pub fn outline(&mut self, (x, y, w, h): (f32, f32, f32, f32), colour: [u8; 3]) {
        let Some(rect) = Rect::from_xywh(x, y, w.max(1.0), h.max(1.0)) else { return };
        let path = PathBuilder::from_rect(rect);
        for (width, colour, opacity) in [(3.0, GROUND, 0.5), (1.4, colour, 1.0)] {
            let stroke = Stroke { width, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint(colour, opacity), &stroke, Transform::identity(), None);
        }
    }

    /// Sets one pixel; outside the sheet nothing happens.
    pub fn dot(&mut self, x: u32, y: u32, [r, g, b]: [u8; 3]) {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        if x < width && y < height {
            let at = (y * width + x) as usize * 4;
            self.pixmap.data_mut()[at..at + 4].copy_from_slice(&[r, g, b, 255]);
        }
    }

    /// Colour of one pixel.
    #[cfg(test)]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y * self.pixmap.width() + x) as usize * 4;
        let data = self.pixmap.data();
        [data[at], data[at + 1], data[at + 2]]
    }

    /// Letters whose middle is at `y`; `align` 0 begins at x, 1 ends there. Returns their width.
    pub fn text(&mut self, text: &str, x: f32, y: f32, align: f32, colour: [u8; 3]) -> f32 {
        let Some(font) = font() else { return 0.0 };
        let scaled = font.as_scaled(TEXT);
        let width: f32 = text.chars().map(|c| scaled.h_advance(scaled.glyph_id(c))).sum();
        let mut pen = x - align * width;
        let baseline = y + (scaled.ascent() + scaled.descent()) / 2.0;
        for letter in text.chars() {
            let id = scaled.glyph_id(letter);
            let glyph = id.with_scale_and_position(TEXT, point(pen, baseline));
            pen += scaled.h_advance(id);
            let Some(outlined) = font.outline_glyph(glyph) else { continue };
            let bounds = outlined.px_bounds();
            outlined.draw(|dx, dy, coverage| {
                let (px, py) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                if px >= 0.0 && py >= 0.0 {
                    self.mix(px as u32, py as u32, colour, coverage);
                }
            });
        }
        width
    }

    fn mix(&mut self, x: u32, y: u32, colour: [u8; 3], weight: f32) {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        if x < width && y < height {
            let at = (y * width + x) as usize * 4;
            for (channel, ink) in self.pixmap.data_mut()[at..at + 3].iter_mut().zip(colour) {
                *channel =
                    (f32::from(*channel) + weight.clamp(0.0, 1.0) * (f32::from(ink) - f32::from(*channel))) as u8;
            }
        }
    }

    /// A label of an axis.
    pub fn label(&mut self, text: &str, x: f32, y: f32, align: f32) {
        self.text(text, x, y, align, GREY);
    }

    /// Seconds along the bottom, with thin lines through the plot.
    pub fn time_axis(&mut self, seconds: f64) {
        let (left, top, width, height) = self.plot();
        let step = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0]
            .into_iter()
            .find(|step| seconds / step <= 14.0)
            .unwrap_or(7200.0);
        let mut at = 0.0;
        while at <= seconds {
            let x = left + (at / seconds.max(1e-9)) as f32 * width;
            self.fill((x, top, 1.0, height), INK, 0.08);
            self.label(&format!("{at}"), x, top + height + 18.0, 0.5);
            at += step;
        }
        self.label("seconds", left + width, top + height + 40.0, 1.0);
    }

    /// Title and the parts' colours along the top.
    pub fn legend(&mut self, title: &str, parts: &[DrawnPart<'_>]) {
        let (left, _, width, _) = self.plot();
        let mut x = left + self.text(title, left, TOP / 2.0, 0.0, INK) + 36.0;
        for part in parts {
            if x > left + width {
                break;
            }
            self.fill((x, TOP / 2.0 - 7.0, 14.0, 14.0), part.colour, 1.0);
            x += 22.0;
            x += self.text(part.name, x, TOP / 2.0, 0.0, INK) + 28.0;
        }
    }

    /// Writes the sheet as a PNG file.
    pub fn save(&self, path: &Path) -> Result<(), DrawError> {
        let unwritable = |reason: String| DrawError::Unwritable { path: path.into(), reason };
        let bytes = self.pixmap.encode_png().map_err(|error| unwritable(error.to_string()))?;
        std::fs::write(path, bytes).map_err(|error| unwritable(error.to_string()))
    }
}
