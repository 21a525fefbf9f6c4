//! The split keyboard: every part's zone in its colour, and between them boundaries to drag.

use super::roll::part_colour;
use super::theme::{self, STEP};
use super::widgets::{gesture, turn_to};
use crate::parameters::{Parameters, key_name};
use egui::{Align2, CornerRadius, CursorIcon, Painter, Rect, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use nice_plug::prelude::{Param, ParamSetter};
use ripieno_engine::arranger::Ensemble;

/// Height of the keyboard with its zones.
pub const HEIGHT: f32 = 72.0;
/// The keys of a piano, MIDI.
const LOWEST: i32 = 21;
const HIGHEST: i32 = 108;
/// Height of the band of colours above the keys.
const BAND: f32 = 20.0;
/// How near a boundary the pointer takes hold of it, points.
const REACH: f32 = 6.0;

/// Draws the keyboard into `rect`, and turns the zones' parameters.
pub fn keyboard(ui: &mut Ui, rect: Rect, ensemble: &Ensemble, parameters: &Parameters, setter: &ParamSetter) {
    ui.painter().rect_filled(rect, theme::ROUND, theme::PANEL);
    let inner = rect.shrink2(vec2(theme::PAD, STEP));
    let width = inner.width() / (HIGHEST + 1 - LOWEST) as f32;
    // The left edge of a key; a boundary that is its zone's lowest key lies there.
    let x_of = |key: i32| inner.left() + (key - LOWEST).clamp(0, HIGHEST + 1 - LOWEST) as f32 * width;
    let zones: Vec<i32> = ensemble.zones_drawn(&parameters.zones()).into_iter().map(i32::from).collect();
    let painter = ui.painter().with_clip_rect(rect);
    keys(&painter, inner, width, &x_of);
    for (part, of) in ensemble.parts.iter().enumerate() {
        let low = zones.get(part).copied().unwrap_or(0);
        let high = if part == 0 { HIGHEST + 1 } else { zones[part - 1] };
        let band = Rect::from_min_max(pos2(x_of(low), inner.top()), pos2(x_of(high), inner.top() + BAND));
        if band.width() < 1.0 {
            continue;
        }
        let colour = part_colour(Some(ensemble), part);
        painter.rect_filled(band.shrink2(vec2(0.5, 0.0)), CornerRadius::same(2), colour.gamma_multiply(0.85));
        // A name that is cut says less than the colour.
        let name = painter.layout_no_wrap(of.name.clone(), theme::small(), theme::BACKGROUND);
        if name.size().x + STEP / 2.0 < band.width() {
            painter.galley(band.center() - name.size() / 2.0, name, theme::BACKGROUND);
        }
    }
    for (zone, names) in ensemble.parts.windows(2).enumerate() {
        let param = &parameters.controls.zones[zone].lowest;
        let (x, key) = (x_of(zones[zone]), zones[zone]);
        let grip = Rect::from_min_max(pos2(x - REACH, inner.top()), pos2(x + REACH, inner.bottom()));
        let name = format!("Split between {} and {}", names[0].name, names[1].name);
        let response = ui.interact(grip, ui.scope_id().with(("split", zone)), Sense::click_and_drag());
        let response = response.on_hover_cursor(CursorIcon::ResizeHorizontal).on_hover_text(format!(
            "{} plays from {} up. Drag to move; double click for what the ensemble says.",
            names[0].name,
            key_name(key)
        ));
        let wanted = response.interact_pointer_pos().map(|pointer| {
            // Neighbours stay where they are: a boundary moves between them.
            let least = zones.get(zone + 1).copied().unwrap_or(LOWEST).max(LOWEST);
            let most = if zone == 0 { HIGHEST } else { zones[zone - 1].min(HIGHEST) };
            let key = LOWEST + ((pointer.x - inner.left()) / width).round() as i32;
            param.preview_normalized(key.clamp(least.min(most), most) + 1)
        });
        turn_to(&response, setter, param, wanted);
        if response.double_clicked() {
            gesture(setter, param, param.default_normalized_value());
        }
        if response.dragged() || response.double_clicked() {
            parameters.wake.ring();
        }
        response.widget_info(|| WidgetInfo::slider(true, f64::from(key), &name));
        let lit = response.hovered() || response.dragged();
        let stroke = Stroke::new(if lit { 3.0 } else { 2.0 }, if lit { theme::TEXT } else { theme::TEXT_SOFT });
        painter.vline(x, inner.y_range(), stroke);
        painter.circle_filled(pos2(x, inner.top() + BAND), if lit { 5.5 } else { 4.5 }, stroke.color);
        if lit {
            painter.text(
                pos2(x + STEP, inner.bottom() - 2.0),
                Align2::LEFT_BOTTOM,
                key_name(key),
                theme::label(),
                theme::ACCENT,
            );
        }
    }
}

fn keys(painter: &Painter, inner: Rect, width: f32, x_of: &impl Fn(i32) -> f32) {
    for key in LOWEST..=HIGHEST {
        let black = matches!(key.rem_euclid(12), 1 | 3 | 6 | 8 | 10);
        let bottom = if black { inner.top() + BAND + (inner.height() - BAND) * 0.5 } else { inner.bottom() };
        let face = Rect::from_min_max(pos2(x_of(key), inner.top() + BAND), pos2(x_of(key) + width, bottom));
        let tone = if black { theme::SUNK } else { theme::LINE };
        painter.rect_filled(face.shrink2(vec2(0.4, 0.0)), CornerRadius::ZERO, tone);
    }
    for key in (LOWEST..HIGHEST).filter(|key| key.rem_euclid(12) == 0) {
        let place = pos2(x_of(key) + 1.0, inner.bottom() - 1.0);
        painter.text(place, Align2::LEFT_BOTTOM, key_name(key), theme::small(), theme::TEXT_SOFT);
    }
}
