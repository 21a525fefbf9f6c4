//! The few controls the editor is made of. Each says what it is to a screen reader, which is also how tests find it.

use super::theme;
use crate::menu::Named;
use egui::{
    Align2, Color32, ComboBox, CornerRadius, CursorIcon, Rect, Response, RichText, Role, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, emath, pos2, vec2,
};
use nice_plug::prelude::{BoolParam, Param, ParamSetter};

/// Height of a slider with its name above.
pub const SLIDER_HEIGHT: f32 = 38.0;
/// How much finer a slider moves with the shift key.
const FINE: f32 = 0.1;

/// A heading in small, quiet letters.
pub fn heading(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).font(theme::label()).color(theme::TEXT_FAINT));
}

/// A slider for a parameter: drag to turn, with shift finer, double click for the default.
pub fn slider<P: Param>(ui: &mut Ui, setter: &ParamSetter, param: &P, name: &str, hint: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), SLIDER_HEIGHT), Sense::click_and_drag());
    let response = turn(ui, rect, response, setter, param, name).on_hover_text(hint);
    let value = param.normalized_value_to_string(param.unmodulated_normalized_value(), true);
    let painter = ui.painter();
    painter.text(rect.left_top(), Align2::LEFT_TOP, name, theme::body(), theme::TEXT_SOFT);
    painter.text(rect.right_top(), Align2::RIGHT_TOP, value, theme::body(), theme::TEXT);
    let y = rect.bottom() - 9.0;
    track(
        ui,
        Rect::from_min_max(pos2(rect.left(), y - 2.0), pos2(rect.right(), y + 2.0)),
        param,
        &response,
        theme::ACCENT,
    );
    response
}

/// A slider's thin track with what is filled of it and a handle.
pub fn track<P: Param>(ui: &Ui, rail: Rect, param: &P, response: &Response, colour: Color32) {
    let painter = ui.painter();
    let at = emath::lerp(rail.x_range(), param.unmodulated_normalized_value());
    painter.rect_filled(rail, CornerRadius::same(2), theme::SUNK);
    let lit = response.hovered() || response.dragged() || response.has_focus();
    let fill = if lit { colour } else { colour.gamma_multiply(0.85) };
    painter.rect_filled(Rect::from_min_max(rail.min, pos2(at, rail.bottom())), CornerRadius::same(2), fill);
    let radius = if lit { 6.5 } else { 5.5 };
    painter.circle_filled(pos2(at, rail.center().y), radius + 1.5, theme::PANEL);
    painter.circle_filled(pos2(at, rail.center().y), radius, if lit { theme::TEXT } else { fill });
}

/// Turns a parameter by what the pointer does to `response`.
pub fn turn<P: Param>(
    ui: &Ui,
    rect: Rect,
    response: Response,
    setter: &ParamSetter,
    param: &P,
    name: &str,
) -> Response {
    let response = response.on_hover_cursor(CursorIcon::ResizeHorizontal);
    if response.drag_started() {
        setter.begin_set_parameter(param);
    }
    if response.dragged() {
        let now = param.unmodulated_normalized_value();
        let id = response.id.with("turned");
        let wanted = if ui.input(|input| input.modifiers.shift) {
            // The fine way adds up what the parameter's own steps would swallow.
            let turned = ui.data(|data| data.get_temp(id)).unwrap_or(now);
            turned + FINE * response.drag_delta().x / rect.width().max(1.0)
        } else {
            response
                .interact_pointer_pos()
                .map_or(now, |pointer| emath::remap_clamp(pointer.x, rect.x_range(), 0.0..=1.0))
        };
        let wanted = wanted.clamp(0.0, 1.0);
        ui.data_mut(|data| data.insert_temp(id, wanted));
        set(setter, param, wanted);
    }
    if response.drag_stopped() {
        ui.data_mut(|data| data.remove::<f32>(response.id.with("turned")));
        setter.end_set_parameter(param);
    }
    if response.double_clicked() {
        gesture(setter, param, param.default_normalized_value());
    }
    let value = f64::from(param.unmodulated_normalized_value());
    response.widget_info(|| WidgetInfo::slider(true, value, name));
    response
}

/// How a [`number`] looks and turns.
pub struct Look {
    /// What it says.
    pub text: String,
    /// Its letters' colour.
    pub colour: Color32,
    /// Where it is turned from, normalised, when a drag begins.
    pub from: f32,
    /// How far it is dragged from its least to its greatest value, points.
    pub points: f32,
}

impl Look {
    /// As the parameter reads, dragged so far.
    pub fn of<P: Param>(param: &P, points: f32) -> Self {
        let from = param.unmodulated_normalized_value();
        Self { text: param.normalized_value_to_string(from, true), colour: theme::TEXT, from, points }
    }
}

/// A value in a field: dragged up and down, double click for the default.
pub fn number<P: Param>(
    ui: &Ui,
    rect: Rect,
    setter: &ParamSetter,
    param: &P,
    (name, hint): (&str, &str),
    look: Look,
) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(("number", name)), Sense::click_and_drag());
    let response = response.on_hover_cursor(CursorIcon::ResizeVertical).on_hover_text(hint);
    // What the parameter's own steps would swallow adds up here.
    let id = response.id.with("turned");
    let turned = ui.data(|data| data.get_temp(id)).unwrap_or(look.from) - response.drag_delta().y / look.points;
    let turned = turned.clamp(0.0, 1.0);
    if response.dragged() {
        ui.data_mut(|data| data.insert_temp(id, turned));
    }
    turn_to(&response, setter, param, Some(turned));
    if response.drag_stopped() {
        ui.data_mut(|data| data.remove::<f32>(id));
    }
    if response.double_clicked() {
        gesture(setter, param, param.default_normalized_value());
    }
    let value = f64::from(param.unmodulated_normalized_value());
    response.widget_info(|| WidgetInfo::slider(true, value, name));
    let painter = ui.painter();
    painter.rect_filled(rect, theme::ROUND_SMALL, theme::SUNK);
    if response.hovered() || response.dragged() {
        painter.rect_stroke(rect, theme::ROUND_SMALL, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    }
    painter.with_clip_rect(rect).text(rect.center(), Align2::CENTER_CENTER, look.text, theme::small(), look.colour);
    response
}

/// A switch.
pub fn toggle(ui: &Ui, rect: Rect, setter: &ParamSetter, param: &BoolParam, name: &str, hint: &str) -> Response {
    let response = ui.interact(rect, ui.scope_id().with(("toggle", name)), Sense::click()).on_hover_text(hint);
    if response.clicked() {
        gesture(setter, param, if param.value() { 0.0 } else { 1.0 });
    }
    let on = param.value();
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, name));
    let painter = ui.painter();
    let round = CornerRadius::same((rect.height() / 2.0) as u8);
    painter.rect_filled(rect, round, if on { theme::ACCENT } else { theme::SUNK });
    if !on || response.hovered() {
        painter.rect_stroke(rect, round, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    }
    let (radius, inset) = (rect.height() / 2.0 - 3.0, rect.height() / 2.0);
    let x = if on { rect.right() - inset } else { rect.left() + inset };
    painter.circle_filled(pos2(x, rect.center().y), radius, if on { theme::BACKGROUND } else { theme::TEXT_FAINT });
    response
}

/// Turns a parameter to where `response` drags it, in one gesture.
pub fn turn_to<P: Param>(response: &Response, setter: &ParamSetter, param: &P, wanted: Option<f32>) {
    if response.drag_started() {
        setter.begin_set_parameter(param);
    }
    if let Some(wanted) = wanted.filter(|_| response.dragged()) {
        set(setter, param, wanted);
    }
    if response.drag_stopped() {
        setter.end_set_parameter(param);
    }
}

/// Sets a parameter within a gesture of its own, for whoever records automation.
pub fn gesture<P: Param>(setter: &ParamSetter, param: &P, normalized: f32) {
    setter.begin_set_parameter(param);
    set(setter, param, normalized);
    setter.end_set_parameter(param);
}

/// Sets a parameter to a value it can have.
fn set<P: Param>(setter: &ParamSetter, param: &P, normalized: f32) {
    setter.set_parameter(param, param.preview_plain(normalized));
}

/// One of few, side by side. Returns what was clicked.
pub fn segments(ui: &mut Ui, rect: Rect, names: &[(&str, &str)], chosen: usize) -> Option<usize> {
    let mut clicked = None;
    ui.painter().rect(rect, theme::ROUND_SMALL, theme::SUNK, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    let width = rect.width() / names.len().max(1) as f32;
    for (index, (name, hint)) in names.iter().enumerate() {
        let cell = Rect::from_min_size(rect.min + vec2(width * index as f32, 0.0), vec2(width, rect.height()));
        let on = index == chosen;
        let response = ui.interact(cell, ui.scope_id().with(("segment", *name)), Sense::click()).on_hover_text(*hint);
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, *name));
        if on {
            ui.painter().rect_filled(cell.shrink(2.0), theme::ROUND_SMALL, theme::ACCENT);
        }
        let colour = match (on, response.hovered()) {
            (true, _) => theme::BACKGROUND,
            (false, true) => theme::TEXT,
            (false, false) => theme::TEXT_SOFT,
        };
        ui.painter().text(cell.center(), Align2::CENTER_CENTER, *name, theme::label(), colour);
        if response.clicked() {
            clicked = Some(index);
        }
    }
    clicked
}

/// A list to choose from. `shown` is what is chosen, which need not be in the list;
/// `about` says more of the entry under the pointer. Returns the index that was clicked.
pub fn selector<T: Named>(
    ui: &mut Ui,
    name: &str,
    shown: &str,
    entries: &[T],
    chosen: Option<usize>,
    about: Option<fn(&mut Ui, &T)>,
) -> Option<usize> {
    let mut clicked = None;
    let combo = ComboBox::from_id_salt(name)
        .width(ui.available_width())
        .selected_text(RichText::new(shown).font(theme::strong()))
        .show_ui(ui, |ui| {
            for (index, entry) in entries.iter().enumerate() {
                let label = ui.selectable_label(chosen == Some(index), entry.name());
                if label.clicked() {
                    clicked = Some(index);
                }
                if let Some(about) = about {
                    label.on_hover_ui(|ui| about(ui, entry));
                }
            }
        });
    combo.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
    clicked
}

/// A panel with its contents inset.
pub fn panel<R>(ui: &mut Ui, rect: Rect, contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.painter().rect_filled(rect, theme::ROUND, theme::PANEL);
    ui.scope_builder(UiBuilder::new().max_rect(rect.shrink(theme::PAD)), |ui| {
        ui.set_clip_rect(rect);
        contents(ui)
    })
    .inner
}
