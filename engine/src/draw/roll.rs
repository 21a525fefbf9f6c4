//! The piano roll.

use std::path::Path;

use super::DrawnPart;
use super::canvas::{Canvas, DrawError};

const SIZE: (u32, u32) = (1800, 760);
/// Whether a key of the octave is black.
const BLACK: [bool; 12] = [false, true, false, true, false, false, true, false, true, false, true, false];
const WHITE_ROW: [u8; 3] = [0x1c, 0x21, 0x28];
const BLACK_ROW: [u8; 3] = [0x16, 0x1a, 0x20];
const IVORY: [u8; 3] = [0xe8, 0xe6, 0xdf];
const EBONY: [u8; 3] = [0x24, 0x26, 0x2b];
/// Width of the keyboard at the left, pixels.
const KEYBOARD: f32 = 34.0;

/// Draws the notes of every part against a keyboard: time to the right, pitch upwards, velocity as opacity.
pub fn piano_roll(parts: &[DrawnPart<'_>], seconds: f64, path: &Path) -> Result<(), DrawError> {
    match sheet("Parts", parts, seconds) {
        Some(canvas) => canvas.save(path),
        None => Err(DrawError::no_memory(path)),
    }
}

/// Draws several rolls of one piece under each other, each with its title.
pub fn piano_rolls(rows: &[(&str, &[DrawnPart<'_>])], seconds: f64, path: &Path) -> Result<(), DrawError> {
    let sheets: Option<Vec<Canvas>> = rows.iter().map(|(title, parts)| sheet(title, parts, seconds)).collect();
    match sheets.and_then(|sheets| Canvas::stacked(&sheets)) {
        Some(canvas) => canvas.save(path),
        None => Err(DrawError::no_memory(path)),
    }
}

fn sheet(title: &str, parts: &[DrawnPart<'_>], seconds: f64) -> Option<Canvas> {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1)?;
    let seconds = if seconds.is_finite() { seconds.max(1.0) } else { 1.0 };
    let pitches = || parts.iter().flat_map(|part| part.notes).map(|note| i32::from(note.pitch));
    let (low, high) = (pitches().min().unwrap_or(48) - 3, pitches().max().unwrap_or(72) + 3);
    let (left, top, width, height) = canvas.plot();
    let row = height / (high - low + 1) as f32;
    let y_of = |pitch: i32| top + (high - pitch) as f32 * row;
    for pitch in low..=high {
        let black = BLACK[pitch.rem_euclid(12) as usize];
        canvas.fill((left, y_of(pitch), width, row), if black { BLACK_ROW } else { WHITE_ROW }, 1.0);
        let key = (left - KEYBOARD - 4.0, y_of(pitch) + 0.5, if black { KEYBOARD * 0.62 } else { KEYBOARD }, row - 1.0);
        canvas.fill(key, if black { EBONY } else { IVORY }, 1.0);
        if pitch.rem_euclid(12) == 0 {
            canvas.label(&format!("C{}", pitch / 12 - 1), left - KEYBOARD - 12.0, y_of(pitch) + row / 2.0, 1.0);
        }
    }
    canvas.time_axis(seconds);
    let x_of = |at: f64| left + (at.clamp(0.0, seconds) / seconds) as f32 * width;
    for part in parts {
        for note in part.notes {
            let (x, end) = (x_of(note.onset), x_of(note.end));
            let rect = (x, y_of(i32::from(note.pitch)) + row * 0.1, (end - x - 1.0).max(2.0), row * 0.8);
            canvas.fill(rect, part.colour, 0.45 + 0.55 * f32::from(note.velocity) / 127.0);
        }
    }
    canvas.legend(title, parts);
    Some(canvas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Note;

    #[test]
    fn a_note_stands_at_its_time_and_pitch_in_its_parts_colour() {
        let notes = [Note { onset: 4.0, end: 6.0, pitch: 60, velocity: 127 }];
        let part = DrawnPart { name: "Alto", colour: [200, 100, 50], notes: &notes };
        let canvas = sheet("", &[part], 10.0).unwrap();
        let (left, top, width, height) = canvas.plot();
        // The roll spans three semitones either side of the one note.
        let pixel = |second: f32| canvas.pixel((left + width * second / 10.0) as u32, (top + height / 2.0) as u32);
        assert_eq!(pixel(5.0), [200, 100, 50]);
        assert_ne!(pixel(3.5), [200, 100, 50]);
        assert_ne!(pixel(6.5), [200, 100, 50]);
    }

    #[test]
    fn no_notes_are_an_empty_roll() {
        assert!(sheet("", &[], f64::NAN).is_some());
    }
}
