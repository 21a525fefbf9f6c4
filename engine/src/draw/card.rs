//! The picture of a performance's card: a phrase that all performances play, as it sounds in this one.

use std::path::Path;

use super::GREY;
use super::canvas::{Canvas, DrawError};
use super::spectrogram::{FLOOR_DB, colour, levels, loudest};

/// Width, height of the spectrogram, and height of the levels under it.
const SIZE: (u32, u32, u32) = (560, 150, 60);
const LEFT: [u8; 3] = [0xff, 0xe6, 0x80];
const RIGHT: [u8; 3] = [0x38, 0xc6, 0xd9];
/// Level at the middle line, dB below the loudest column.
const RANGE_DB: f32 = 50.0;
/// Level of silence, dB.
const SILENCE_DB: f32 = -120.0;
const MARK: f32 = 1.0;

/// Draws the spectrogram, 30 Hz to 16 kHz, and under it the level of the left channel upwards and of the right one
/// downwards, 50 dB each; a line for every second.
pub fn card(left: &[f32], right: &[f32], sample_rate: u32, path: &Path) -> Result<(), DrawError> {
    match sheet(left, right, sample_rate.max(1)) {
        Some(canvas) => canvas.save(path),
        None => Err(DrawError::no_memory(path)),
    }
}

fn sheet(left: &[f32], right: &[f32], sample_rate: u32) -> Option<Canvas> {
    let (width, sound, level) = SIZE;
    let mut canvas = Canvas::new(width, sound + level)?;
    let (columns, rows) = (width as usize, sound as usize);
    let mid: Vec<f32> = left.iter().zip(right).map(|(l, r)| (l + r) * 0.5).collect();
    let seen = levels(&mid, sample_rate, columns, rows);
    let loudest = loudest(&seen);
    for (i, &level) in seen.iter().enumerate() {
        canvas.dot((i / rows) as u32, (i % rows) as u32, colour(1.0 - (level - loudest) / FLOOR_DB));
    }
    let sides = [left, right].map(|side| heights(side, columns));
    let most = sides.iter().flatten().copied().fold(SILENCE_DB + RANGE_DB, f32::max);
    let (half, middle) = (level as f32 / 2.0, sound as f32 + level as f32 / 2.0);
    for column in 0..columns {
        let [up, down] = sides.each_ref().map(|side| (1.0 + (side[column] - most) / RANGE_DB).clamp(0.0, 1.0) * half);
        canvas.fill((column as f32, middle - up, MARK, up), LEFT, 0.8);
        canvas.fill((column as f32, middle, MARK, down), RIGHT, 0.8);
    }
    let seconds = mid.len() as f64 / f64::from(sample_rate);
    for second in 1..seconds.ceil().max(1.0) as u32 {
        let x = (f64::from(second) / seconds) as f32 * width as f32;
        canvas.fill((x, 0.0, MARK, (sound + level) as f32), GREY, 0.25);
    }
    Some(canvas)
}

/// RMS in dB of each column.
fn heights(side: &[f32], columns: usize) -> Vec<f32> {
    let power = |column: usize| {
        let samples = &side[side.len() * column / columns..side.len() * (column + 1) / columns];
        samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32
    };
    (0..columns).map(|column| 10.0 * power(column).max(1e-12).log10()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_louder_side_is_the_higher_one_and_silence_has_none() {
        let tone: Vec<f32> = (0..48_000).map(|n| 0.5 * (n as f32 * 0.05).sin()).collect();
        let quiet: Vec<f32> = tone.iter().map(|x| 0.01 * x).collect();
        let canvas = sheet(&tone, &quiet, 48_000).unwrap();
        let (_, sound, level) = SIZE;
        let inked = |canvas: &Canvas, ink: [u8; 3]| {
            (sound..sound + level)
                .filter(|y| canvas.pixel(100, *y).iter().zip(ink).all(|(seen, ink)| seen.abs_diff(ink) < 60))
                .count()
        };
        let (up, down) = (inked(&canvas, LEFT), inked(&canvas, RIGHT));
        assert!(up > 25 && (2..20).contains(&down), "{up} {down}");
        let nothing = sheet(&[], &[], 48_000).unwrap();
        assert_eq!((inked(&nothing, LEFT), nothing.pixel(5, 5)), (0, colour(0.0)));
    }
}
