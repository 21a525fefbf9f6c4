//! The piano roll: the separated notes of every part, in its colour, moving past the line of what is heard now.

use super::scene::Scene;
use super::theme;
use egui::{Align2, Color32, CornerRadius, FontId, Painter, Rect, Stroke, StrokeKind, pos2, vec2};
use ripieno_engine::arranger::Ensemble;
use std::collections::VecDeque;

/// Seconds from the left edge to the line of now.
const PAST: f64 = 6.0;
/// Seconds right of the line when nothing is known ahead.
const MARGIN: f64 = 0.4;
/// Seconds right of now at most that planned notes are shown.
const AHEAD: f64 = 3.0;
/// Width of the keyboard at the left edge, points.
const KEYBOARD: f32 = 34.0;
/// The least range of keys shown: two octaves.
const LEAST_KEYS: f32 = 24.0;
/// Notes kept; more than a screen full.
const KEPT: usize = 2048;

/// A note on the roll, stream seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bar {
    part: u8,
    key: u8,
    velocity: u8,
    on: f64,
    off: Option<f64>,
}

/// What the roll remembers from picture to picture.
#[derive(Debug, Default)]
pub struct Roll {
    bars: VecDeque<Bar>,
    /// Lowest and highest key shown, moving towards what is played.
    keys: Option<[f32; 2]>,
    /// Stream time of the last picture. It runs backwards only when a new stream begins.
    now: f64,
}

impl Roll {
    /// Takes in what was separated since the last picture.
    pub fn follow(&mut self, scene: &Scene) {
        if scene.now + 1e-6 < self.now {
            self.bars.clear();
        }
        self.now = scene.now;
        for event in &scene.notes {
            if event.velocity == 0 {
                let open = |bar: &&mut Bar| bar.part == event.part && bar.key == event.key && bar.off.is_none();
                if let Some(bar) = self.bars.iter_mut().rev().find(open) {
                    bar.off = Some(event.seconds.max(bar.on));
                }
            } else {
                if self.bars.len() == KEPT {
                    self.bars.pop_front();
                }
                self.bars.push_back(Bar {
                    part: event.part,
                    key: event.key,
                    velocity: event.velocity,
                    on: event.seconds,
                    off: None,
                });
            }
        }
        let gone = scene.now - scene.latency_seconds() - PAST - 1.0;
        self.bars.retain(|bar| bar.off.is_none_or(|off| off > gone));
    }

    /// Keys to show: the ensemble's range, and whatever is played beyond it. Moves gently.
    fn range(&mut self, ensemble: Option<&Ensemble>) -> [f32; 2] {
        let parts = ensemble.map_or(&[][..], |ensemble| &ensemble.parts);
        let written = parts.iter().map(|part| [part.lo, part.hi].map(f32::from));
        let played = self.bars.iter().map(|bar| [f32::from(bar.key); 2]);
        let [mut low, mut high] = if self.bars.is_empty() {
            written.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([48.0, 84.0])
        } else {
            played.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or([48.0, 84.0])
        };
        low -= 2.0;
        high += 2.0;
        if high - low < LEAST_KEYS {
            let middle = (low + high) / 2.0;
            [low, high] = [middle - LEAST_KEYS / 2.0, middle + LEAST_KEYS / 2.0];
        }
        let shown = self.keys.get_or_insert([low, high]);
        for (shown, wanted) in shown.iter_mut().zip([low, high]) {
            *shown += (wanted - *shown) * 0.12;
        }
        *shown
    }

    /// Paints the roll into `rect`.
    pub fn paint(&mut self, painter: &Painter, rect: Rect, scene: &Scene, ensemble: Option<&Ensemble>) {
        painter.rect(rect, theme::ROUND, theme::SUNK, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
        let inner = rect.shrink(1.0);
        let painter = painter.with_clip_rect(inner);
        let [low, high] = self.range(ensemble);
        let key_height = inner.height() / (high - low + 1.0);
        let y_of = |key: f32| inner.bottom() - (key - low + 1.0) * key_height;
        let heard = scene.now - scene.latency_seconds();
        let ahead = scene.planned.iter().map(|note| note.begins).fold(f64::NEG_INFINITY, f64::max);
        let right = scene.now.max(heard + MARGIN).max(ahead.min(scene.now + AHEAD));
        let field = Rect::from_min_max(pos2(inner.left() + KEYBOARD, inner.top()), inner.max);
        let per_second = f64::from(field.width()) / (PAST + right - heard);
        let x_of = |seconds: f64| field.right() - ((right - seconds) * per_second) as f32;

        keyboard(&painter, inner, low, high, key_height, &y_of);
        seconds(&painter, field, heard, right, &x_of);

        let field_painter = painter.with_clip_rect(field);
        for bar in &self.bars {
            let colour = part_colour(ensemble, usize::from(bar.part));
            let from = x_of(bar.on);
            let to = x_of(bar.off.unwrap_or(scene.now)).max(from + 3.0);
            let top = y_of(f32::from(bar.key));
            let block = Rect::from_min_max(pos2(from, top), pos2(to, top + key_height)).shrink2(vec2(0.5, 0.8));
            let sounding = bar.on <= heard && bar.off.is_none_or(|off| off > heard);
            let loud = 0.55 + 0.45 * f32::from(bar.velocity) / 127.0;
            let fill = if sounding { colour } else { colour.gamma_multiply(loud * 0.8) };
            field_painter.rect_filled(block, CornerRadius::same(2), fill);
            if sounding {
                field_painter.rect_stroke(
                    block,
                    CornerRadius::same(2),
                    Stroke::new(1.0, Color32::WHITE.gamma_multiply(0.55)),
                    StrokeKind::Inside,
                );
            }
        }
        for note in &scene.planned {
            // Drawn as what may come: an outline with a breath of its part's colour.
            let colour = part_colour(ensemble, usize::from(note.part));
            let (from, top) = (x_of(note.begins), y_of(f32::from(note.key)));
            let block = Rect::from_min_max(pos2(from, top), pos2(x_of(note.ends).max(from + 3.0), top + key_height));
            let block = block.shrink2(vec2(0.5, 0.8));
            field_painter.rect_filled(block, CornerRadius::same(2), colour.gamma_multiply(0.18));
            let edge = Stroke::new(1.0, colour.gamma_multiply(0.6));
            field_painter.rect_stroke(block, CornerRadius::same(2), edge, StrokeKind::Inside);
        }
        field_painter.vline(x_of(heard), field.y_range(), Stroke::new(1.0, theme::ACCENT.gamma_multiply(0.8)));
        if self.bars.is_empty() {
            painter.text(
                field.center(),
                Align2::CENTER_CENTER,
                "Play, and every note finds its player.",
                theme::body(),
                theme::TEXT_FAINT,
            );
        }
    }
}

/// The colour of a part, or a quiet one if the ensemble has no such part.
pub fn part_colour(ensemble: Option<&Ensemble>, part: usize) -> Color32 {
    ensemble.and_then(|ensemble| ensemble.parts.get(part)).map_or(theme::TEXT_FAINT, |part| {
        let [r, g, b] = part.colour;
        Color32::from_rgb(r, g, b)
    })
}

fn keyboard(painter: &Painter, rect: Rect, low: f32, high: f32, key_height: f32, y_of: &impl Fn(f32) -> f32) {
    let keys = Rect::from_min_size(rect.min, vec2(KEYBOARD, rect.height()));
    for key in low.floor() as i32..=high.ceil() as i32 {
        let top = y_of(key as f32);
        let black = matches!(key.rem_euclid(12), 1 | 3 | 6 | 8 | 10);
        let row = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), key_height));
        if black {
            painter.rect_filled(row, CornerRadius::ZERO, Color32::from_black_alpha(70));
        }
        let tone = if black { Color32::from_gray(26) } else { Color32::from_gray(58) };
        let end = if black { KEYBOARD * 0.62 } else { KEYBOARD };
        let face = Rect::from_min_size(row.min, vec2(end, key_height)).shrink2(vec2(0.0, 0.4));
        painter.rect_filled(face, CornerRadius::ZERO, tone);
        if key.rem_euclid(12) == 0 {
            painter.hline(rect.x_range(), top + key_height, Stroke::new(1.0, theme::LINE.gamma_multiply(0.8)));
            painter.text(
                pos2(keys.right() - 4.0, top + key_height / 2.0),
                Align2::RIGHT_CENTER,
                format!("C{}", key / 12 - 1),
                FontId::proportional((key_height * 0.95).clamp(8.0, 10.5)),
                theme::TEXT_SOFT,
            );
        }
    }
    painter.vline(keys.right(), rect.y_range(), Stroke::new(1.0, theme::LINE));
}

fn seconds(painter: &Painter, field: Rect, heard: f64, right: f64, x_of: &impl Fn(f64) -> f32) {
    let first = (heard - PAST).floor().max(0.0) as i64;
    for second in first..=right.ceil() as i64 {
        let x = x_of(second as f64);
        if field.x_range().contains(x) {
            painter.vline(x, field.y_range(), Stroke::new(1.0, theme::LINE.gamma_multiply(0.45)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripieno_engine::stream::RollEvent;

    fn scene(now: f64, notes: Vec<RollEvent>) -> Scene {
        Scene { now, notes, ..crate::editor::view::tests::quiet() }
    }

    #[test]
    fn a_note_off_ends_the_latest_note_of_that_part_and_key() {
        let mut roll = Roll::default();
        let event = |seconds, part, velocity| RollEvent { seconds, part, key: 60, velocity };
        roll.follow(&scene(2.0, vec![event(1.0, 0, 90), event(1.0, 1, 90), event(1.5, 1, 0)]));
        let ends: Vec<_> = roll.bars.iter().map(|bar| bar.off).collect();
        assert_eq!(ends, [None, Some(1.5)]);
    }

    #[test]
    fn a_new_stream_clears_the_roll() {
        let mut roll = Roll::default();
        roll.follow(&scene(9.0, vec![RollEvent { seconds: 8.0, part: 0, key: 60, velocity: 90 }]));
        roll.follow(&scene(0.1, Vec::new()));
        assert!(roll.bars.is_empty());
    }
}
