//! The spectrogram, with the notes that were asked for drawn over the sound that came.

use std::path::Path;

use num_complex::Complex32;
use realfft::RealFftPlanner;

use super::DrawnPart;
use super::canvas::{Canvas, DrawError};

const SIZE: (u32, u32) = (1800, 900);
const WINDOW: usize = 4096;
/// Lowest and highest frequency, Hz.
const RANGE: (f64, f64) = (30.0, 16_000.0);
/// Level of black below the loudest point, dB.
pub(super) const FLOOR_DB: f32 = -80.0;
/// Level of silence, dB of a bin's power.
const SILENCE_DB: f32 = -120.0;
/// Anchors of the colour map, dark to bright, evenly spaced (after matplotlib's magma).
const COLOURS: [[u8; 3]; 7] =
    [[0, 0, 4], [40, 17, 89], [101, 26, 128], [161, 48, 126], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

/// Draws the sound of both channels' sum: time to the right, logarithmic frequency upwards, level as colour. Each note is
/// a thin frame at its fundamental, a semitone high, in the colour of its part.
pub fn spectrogram(
    left: &[f32],
    right: &[f32],
    sample_rate: u32,
    parts: &[DrawnPart<'_>],
    path: &Path,
) -> Result<(), DrawError> {
    let mid: Vec<f32> = left.iter().zip(right).map(|(l, r)| (l + r) * 0.5).collect();
    match sheet(&mid, sample_rate.max(1), parts) {
        Some(canvas) => canvas.save(path),
        None => Err(DrawError::no_memory(path)),
    }
}

fn sheet(mid: &[f32], sample_rate: u32, parts: &[DrawnPart<'_>]) -> Option<Canvas> {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1)?;
    let (left, top, width, height) = canvas.plot();
    let (columns, rows) = (width as usize, height as usize);
    let levels = levels(mid, sample_rate, columns, rows);
    let loudest = loudest(&levels);
    for (i, &level) in levels.iter().enumerate() {
        let (column, row) = (i / rows, i % rows);
        canvas.dot(left as u32 + column as u32, top as u32 + row as u32, colour(1.0 - (level - loudest) / FLOOR_DB));
    }
    let seconds = (mid.len() as f64 / f64::from(sample_rate)).max(1e-3);
    canvas.time_axis(seconds);
    for hz in [50, 100, 200, 500, 1000, 2000, 5000, 10_000] {
        let name = if hz < 1000 { format!("{hz} Hz") } else { format!("{} kHz", hz / 1000) };
        canvas.label(&name, left - 10.0, y_of(f64::from(hz), top, height), 1.0);
    }
    let x_of = |at: f64| left + (at.clamp(0.0, seconds) / seconds) as f32 * width;
    for part in parts {
        for note in part.notes {
            let hz = |offset: f64| 440.0 * ((f64::from(note.pitch) + offset - 69.0) / 12.0).exp2();
            let (high, low) = (y_of(hz(0.5), top, height), y_of(hz(-0.5), top, height));
            let x = x_of(note.onset);
            canvas.outline((x, high, x_of(note.end) - x, low - high), part.colour);
        }
    }
    level_bar(&mut canvas);
    canvas.legend("Sound and notes", parts);
    Some(canvas)
}

/// Height of a frequency in the plot.
fn y_of(hz: f64, top: f32, height: f32) -> f32 {
    let place = (hz / RANGE.0).ln() / (RANGE.1 / RANGE.0).ln();
    top + height * (1.0 - place.clamp(0.0, 1.0) as f32)
}

/// The level that is drawn brightest. Of silence that is none: all of it is black.
pub(super) fn loudest(levels: &[f32]) -> f32 {
    levels.iter().copied().fold(SILENCE_DB - FLOOR_DB, f32::max)
}

/// Level in dB of every pixel, column by column from the top.
pub(super) fn levels(mid: &[f32], sample_rate: u32, columns: usize, rows: usize) -> Vec<f32> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut grain, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let mut power = vec![0.0f32; spectrum.len()];
    let bin_hz = f64::from(sample_rate) / WINDOW as f64;
    let edge = |row: usize| RANGE.0 * (RANGE.1 / RANGE.0).powf(1.0 - row as f64 / rows as f64) / bin_hz;
    let mut levels = Vec::with_capacity(columns * rows);
    for column in 0..columns {
        let centre = (mid.len() as f64 * (column as f64 + 0.5) / columns as f64) as i64;
        for (n, sample) in grain.iter_mut().enumerate() {
            let at = usize::try_from(centre + n as i64 - (WINDOW / 2) as i64).unwrap_or(usize::MAX);
            let window = 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / WINDOW as f32).cos();
            *sample = mid.get(at).copied().unwrap_or(0.0) * window;
        }
        // The buffers are the plan's own, so it cannot fail.
        let _ = fft.process(&mut grain, &mut spectrum);
        for (power, bin) in power.iter_mut().zip(&spectrum) {
            *power = Complex32::norm_sqr(bin);
        }
        for row in 0..rows {
            let (high, low) = (edge(row), edge(row + 1));
            levels.push(10.0 * loudest_between(&power, low, high).max(1e-12).log10());
        }
    }
    levels
}

/// The strongest bin between two places, or what lies between two bins where a row is narrower than a bin.
fn loudest_between(power: &[f32], low: f64, high: f64) -> f32 {
    let at = |bin: usize| power.get(bin).copied().unwrap_or(0.0);
    let (first, last) = (low.ceil() as usize, high.floor() as usize);
    if first <= last {
        return (first..=last).map(at).fold(0.0, f32::max);
    }
    let place = (low + high) / 2.0;
    let share = (place - place.floor()) as f32;
    at(place as usize) * (1.0 - share) + at(place as usize + 1) * share
}

/// From black at 0 to the brightest at 1.
pub(super) fn colour(level: f32) -> [u8; 3] {
    let place = level.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f32;
    let from = (place as usize).min(COLOURS.len() - 2);
    let share = place - from as f32;
    std::array::from_fn(|c| {
        let (a, b) = (f32::from(COLOURS[from][c]), f32::from(COLOURS[from + 1][c]));
        (a + share * (b - a)) as u8
    })
}

fn level_bar(canvas: &mut Canvas) {
    let (left, top, width, height) = canvas.plot();
    let x = left + width + 24.0;
    for y in 0..height as usize {
        canvas.fill((x, top + y as f32, 16.0, 1.2), colour(1.0 - y as f32 / height), 1.0);
    }
    for db in [0, -20, -40, -60, -80] {
        canvas.label(&format!("{db} dB"), x + 22.0, top + height * db as f32 / FLOOR_DB, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_is_brightest_at_its_frequency() {
        let sine: Vec<f32> = (0..48_000).map(|n| (std::f32::consts::TAU * 440.0 * n as f32 / 48_000.0).sin()).collect();
        let rows = 700;
        let levels = levels(&sine, 48_000, 3, rows);
        let column = &levels[rows..2 * rows];
        let brightest = (0..rows).max_by(|&a, &b| column[a].total_cmp(&column[b])).unwrap();
        let expected = y_of(440.0, 0.0, rows as f32);
        // A row is 0.9 %, a bin 11.7 Hz.
        assert!((brightest as f32 - expected).abs() < 4.0, "{brightest} and {expected}");
    }

    #[test]
    fn silence_and_nothing_are_pictures_too() {
        assert!(sheet(&[], 48_000, &[]).is_some());
        assert!(sheet(&[0.0; 1000], 8_000, &[]).is_some());
    }
}
