//! The panels of the picture, one function each.

use super::card;
use super::roll::part_colour;
use super::scene::Scene;
use super::theme::{self, STEP};
use super::view::METER_FLOOR_DB;
use super::widgets::{self, Look, SLIDER_HEIGHT, gesture, heading, panel, segments, selector, slider};
use crate::menu::{self, Named};
use crate::parameters::{MAX_PITCH, Parameters, PlayMode};
use egui::{
    Align, Align2, Color32, CornerRadius, Label, Layout, Painter, Rect, RichText, Sense, Stroke, Ui, UiBuilder, emath,
    pos2, vec2,
};
use nice_plug::prelude::{Param, ParamSetter};
use ripieno_engine::arranger::Ensemble;
use ripieno_engine::stream::{MAX_PARTS, StatusKind};

/// Height of the panel of sliders: its heading, four sliders, and the distances.
pub const SOUND_HEIGHT: f32 = 2.0 * theme::PAD + 14.0 + 4.0 * (SLIDER_HEIGHT + STEP);
/// Height of one part in the mixer.
const ROW: f32 = 34.0;
/// Width of a part's pitch.
const PITCH: f32 = 38.0;
/// How far a pitch is dragged for a semitone.
const POINTS_PER_KEY: f32 = 4.0;

/// The name of the instrument, and the mode.
pub fn header(ui: &mut Ui, rect: Rect, title: &str, scene: &Scene, parameters: &Parameters, setter: &ParamSetter) {
    let painter = ui.painter();
    let name = painter.text(rect.left_center(), Align2::LEFT_CENTER, title, theme::title(), theme::TEXT);
    painter.text(
        pos2(name.right() + 1.5 * STEP, name.bottom() - 4.5),
        Align2::LEFT_BOTTOM,
        "an ensemble from one keyboard",
        theme::small(),
        theme::TEXT_FAINT,
    );
    let switch =
        Rect::from_min_max(pos2(rect.right() - 168.0, rect.top() + 1.0), pos2(rect.right(), rect.bottom() - 1.0));
    let latency = match scene.latency {
        0 => "plays at once".to_owned(),
        _ => format!("{:.2} s later, compensated by the host", scene.latency_seconds()),
    };
    painter.text(
        switch.left_center() - vec2(1.5 * STEP, 0.0),
        Align2::RIGHT_CENTER,
        latency,
        theme::small(),
        theme::TEXT_FAINT,
    );
    let modes = [
        ("Live", "For playing: every key sounds at once."),
        ("Sync", "For tracks: exact timing, with a latency that the host takes back."),
    ];
    let mode = &parameters.controls.mode;
    if let Some(index) = segments(ui, switch, &modes, usize::from(mode.value() == PlayMode::Sync)) {
        let wanted = if index == 0 { PlayMode::Live } else { PlayMode::Sync };
        gesture(setter, mode, mode.preview_normalized(wanted));
    }
}

/// Who plays, where, and in which parts.
pub fn choices(ui: &mut Ui, rect: Rect, parameters: &Parameters, setter: &ParamSetter) {
    panel(ui, rect, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        heading(ui, "Performance");
        let param = &parameters.controls.performance;
        let lost = parameters.performance.lost(param.value());
        let about = Some(card::show as fn(&mut Ui, &_));
        if let Some(index) = choose(ui, "Performance list", menu::performances(), param.value(), lost.as_deref(), about)
        {
            parameters.performance.settle();
            gesture(setter, param, param.preview_normalized(index));
            parameters.wake.ring();
        }
        match (lost, menu::at(menu::performances(), param.value())) {
            (Some(id), _) => missing(ui, &id),
            (None, Some(performance)) => {
                let words = RichText::new(&performance.description).font(theme::body()).color(theme::TEXT_SOFT);
                ui.label(words).on_hover_ui(|ui| card::show(ui, performance));
                ui.label(RichText::new(&performance.room).font(theme::small()).color(theme::TEXT_FAINT));
            }
            (None, None) => {}
        }
        ui.add_space(1.5 * STEP);
        heading(ui, "Ensemble");
        let param = &parameters.controls.ensemble;
        let lost = parameters.ensemble.lost(param.value());
        if let Some(index) = choose(ui, "Ensemble list", menu::ensembles(), param.value(), lost.as_deref(), None) {
            parameters.ensemble.settle();
            gesture(setter, param, param.preview_normalized(index));
            parameters.wake.ring();
        }
        match (lost, parameters.shown_ensemble()) {
            (Some(id), _) => missing(ui, &id),
            (None, Some(ensemble)) => {
                let parts: Vec<&str> = ensemble.parts.iter().map(|part| part.name.as_str()).collect();
                ui.label(RichText::new(parts.join("  \u{2022}  ")).font(theme::small()).color(theme::TEXT_FAINT));
            }
            (None, None) => {}
        }
        let param = &parameters.controls.method;
        if let Some(index) = choose(ui, "Arranger list", menu::methods(), param.value(), None, None) {
            gesture(setter, param, param.preview_normalized(index));
            parameters.wake.ring();
        }
    });
}

fn choose<T: Named>(
    ui: &mut Ui,
    name: &str,
    entries: &[T],
    index: i32,
    lost: Option<&str>,
    about: Option<fn(&mut Ui, &T)>,
) -> Option<i32> {
    let chosen = if lost.is_some() { None } else { usize::try_from(index).ok() };
    let shown = lost.or_else(|| menu::at(entries, index).map(Named::name)).unwrap_or("None");
    selector(ui, name, shown, entries, chosen, about).map(|index| index as i32)
}

fn missing(ui: &mut Ui, id: &str) {
    let text = format!("\u{201c}{id}\u{201d} is not installed. The project keeps it; choose another to replace it.");
    ui.label(RichText::new(text).font(theme::body()).color(theme::WARN));
}

/// How it is rendered and how loud.
pub fn sound(ui: &mut Ui, rect: Rect, parameters: &Parameters, setter: &ParamSetter) {
    panel(ui, rect, |ui| {
        let controls = &parameters.controls;
        heading(ui, "Sound");
        slider(
            ui,
            setter,
            &controls.quality,
            "Quality",
            "Denoising steps per segment. More is finer and takes longer; 0 is the quick sketch alone.",
        );
        slider(
            ui,
            setter,
            &controls.guidance_notes,
            "Note guidance",
            "How strictly the players keep to the notes. 1 is as they learned it.",
        );
        slider(
            ui,
            setter,
            &controls.guidance_performance,
            "Performance guidance",
            "How much of these players and this room. 1 is as they learned it.",
        );
        slider(ui, setter, &controls.gain, "Output", "Gain of the mix.");
    });
}

/// Parts in two columns, or one if there is but one part.
fn mixer_rows(ensemble: Option<&Ensemble>) -> (usize, usize) {
    let parts = ensemble.map_or(0, |ensemble| ensemble.parts.len().min(MAX_PARTS));
    let columns = if parts > 1 { 2 } else { 1 };
    (parts.div_ceil(columns).max(1), columns)
}

/// Height of the mixer for an ensemble.
pub fn mixer_height(ensemble: Option<&Ensemble>) -> f32 {
    2.0 * theme::PAD - STEP + mixer_rows(ensemble).0 as f32 * ROW
}

/// A row per part: its name in its colour, its level, its gain.
pub fn mixer(ui: &mut Ui, rect: Rect, meters: &[f32; MAX_PARTS], parameters: &Parameters, setter: &ParamSetter) {
    let ensemble = parameters.shown_ensemble();
    let (rows, columns) = mixer_rows(ensemble);
    ui.painter().rect_filled(rect, theme::ROUND, theme::PANEL);
    let inner = rect.shrink2(vec2(theme::PAD, theme::PAD - STEP / 2.0));
    let gap = 3.0 * STEP;
    let width = (inner.width() - gap * (columns - 1) as f32) / columns as f32;
    for (index, part) in ensemble.iter().flat_map(|ensemble| &ensemble.parts).take(MAX_PARTS).enumerate() {
        let (column, row) = (index / rows, index % rows);
        let corner = inner.min + vec2((width + gap) * column as f32, ROW * row as f32);
        let row = Rect::from_min_size(corner, vec2(width, ROW));
        strip(ui, row, index, &part.name, meters[index], ensemble, parameters, setter);
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, and every argument is another thing to show")]
fn strip(
    ui: &mut Ui,
    row: Rect,
    index: usize,
    name: &str,
    level: f32,
    ensemble: Option<&Ensemble>,
    parameters: &Parameters,
    setter: &ParamSetter,
) {
    let param = &parameters.controls.parts[index].gain;
    let colour = part_colour(ensemble, index);
    let on = &parameters.controls.parts[index].on;
    let names = 112.0f32.min(row.width() * 0.34);
    let values = 56.0;
    let painter = ui.painter().with_clip_rect(row);
    // The dot is the switch: a ring while the part is off.
    let dot = Rect::from_center_size(row.left_center() + vec2(5.0, 0.0), vec2(16.0, row.height().min(18.0)));
    let switch = ui.interact(dot, ui.scope_id().with(("part switch", index)), Sense::click());
    if switch.on_hover_text("Whether this part plays. Off, it is given no notes.").clicked() {
        gesture(setter, on, if on.value() { 0.0 } else { 1.0 });
        parameters.wake.ring();
    }
    if on.value() {
        painter.circle_filled(dot.center(), 4.5, colour);
    } else {
        painter.circle_stroke(dot.center(), 4.0, Stroke::new(1.5, theme::TEXT_FAINT));
    }
    painter.text(
        row.left_center() + vec2(2.0 * STEP + 2.0, 0.0),
        Align2::LEFT_CENTER,
        name,
        theme::body(),
        theme::TEXT,
    );
    let value = param.normalized_value_to_string(param.unmodulated_normalized_value(), true);
    painter.text(row.right_center(), Align2::RIGHT_CENTER, value, theme::small(), theme::TEXT_SOFT);
    let field = Rect::from_center_size(row.left_center() + vec2(names + PITCH / 2.0, 0.0), vec2(PITCH, 18.0));
    pitch(ui, field, index, name, ensemble, parameters, setter);

    let field = Rect::from_min_max(
        pos2(row.left() + names + PITCH + STEP, row.top()),
        pos2((row.right() - values - STEP).max(row.left() + names + PITCH + 2.0 * STEP), row.bottom()),
    );
    let response = ui.interact(field, ui.scope_id().with(("part gain", index)), Sense::click_and_drag());
    let response = widgets::turn(ui, field, response, setter, param, &format!("{name} gain"))
        .on_hover_text("Gain of this part. Double click for 0 dB.");
    meter(&painter, Rect::from_center_size(field.center() + vec2(0.0, 9.0), vec2(field.width(), 3.0)), level, colour);
    let rail = Rect::from_center_size(field.center() - vec2(0.0, 2.0), vec2(field.width(), 4.0));
    widgets::track(ui, rail, param, &response, theme::TEXT_FAINT);
}

/// About how high a part plays: the name of a key, or that nothing is said. Dragged up and down, from the middle of the
/// part's range.
fn pitch(
    ui: &mut Ui,
    rect: Rect,
    index: usize,
    name: &str,
    ensemble: Option<&Ensemble>,
    parameters: &Parameters,
    setter: &ParamSetter,
) {
    let param = &parameters.controls.parts[index].pitch;
    let range = ensemble.and_then(|ensemble| ensemble.parts.get(index)).map_or((48, 72), |part| (part.lo, part.hi));
    let middle = (i32::from(range.0) + i32::from(range.1)) / 2;
    let said = param.value() > 0;
    let mut look = Look::of(param, POINTS_PER_KEY * MAX_PITCH as f32);
    if !said {
        (look.colour, look.from) = (theme::TEXT_FAINT, param.preview_normalized(middle + 1));
    }
    let hint = "About how high this part plays on average. Drag up or down; double click to say nothing.";
    widgets::number(ui, rect, setter, param, (&format!("{name} pitch"), hint), look);
}

fn meter(painter: &Painter, rail: Rect, level: f32, colour: Color32) {
    painter.rect_filled(rail, CornerRadius::same(1), theme::SUNK);
    let at = emath::remap_clamp(level, METER_FLOOR_DB..=6.0, rail.x_range());
    let full = if level > 0.0 { theme::BAD } else { colour };
    painter.rect_filled(Rect::from_min_max(rail.min, pos2(at, rail.bottom())), CornerRadius::same(1), full);
}

/// One sentence, and the figures behind it.
pub fn footer(ui: &mut Ui, rect: Rect, scene: &Scene) {
    let painter = ui.painter().with_clip_rect(rect);
    let colour = match scene.kind {
        StatusKind::Ready => theme::GOOD,
        StatusKind::Busy => theme::ACCENT,
        StatusKind::Warning => theme::WARN,
        StatusKind::Failed => theme::BAD,
    };
    let mut right = rect.right();
    for (figure, colour) in figures(scene).into_iter().rev() {
        let text = painter.text(pos2(right, rect.center().y), Align2::RIGHT_CENTER, figure, theme::small(), colour);
        right = text.left() - 1.25 * STEP;
        painter.vline(right, rect.center().y - 5.0..=rect.center().y + 5.0, Stroke::new(1.0, theme::LINE));
        right -= 1.25 * STEP;
    }
    painter.circle_filled(rect.left_center() + vec2(5.0, 0.0), 4.0, colour);
    let place = Rect::from_min_max(pos2(rect.left() + 2.0 * STEP + 2.0, rect.top()), pos2(right, rect.bottom()));
    let shown = if scene.kind == StatusKind::Failed { theme::TEXT } else { theme::TEXT_SOFT };
    let text = RichText::new(&scene.sentence).font(theme::small()).color(shown);
    let line = UiBuilder::new().max_rect(place).layout(Layout::left_to_right(Align::Center));
    ui.scope_builder(line, |ui| ui.add(Label::new(text).truncate()).on_hover_text(&scene.sentence));
    if scene.kind == StatusKind::Busy && scene.progress > 0.0 && scene.progress < 1.0 {
        let bar = Rect::from_min_size(rect.left_top() - vec2(0.0, 5.0), vec2(rect.width() * scene.progress, 2.0));
        ui.painter().rect_filled(bar, CornerRadius::same(1), theme::ACCENT);
    }
}

/// What runs the models, how busy it is, what was missed, and the latency; what asks for attention in its colour.
fn figures(scene: &Scene) -> Vec<(String, Color32)> {
    let attention = |worse: bool| if worse { theme::WARN } else { theme::TEXT_FAINT };
    let mut figures = Vec::new();
    if !scene.provider.is_empty() {
        figures.push((scene.provider.clone(), theme::TEXT_FAINT));
        figures.push((format!("Synth {:.0} %", scene.load * 100.0), attention(scene.load > 1.0)));
    }
    let dropouts = match scene.underruns {
        0 => "No dropouts".into(),
        1 => "1 dropout".into(),
        count => format!("{count} dropouts"),
    };
    figures.push((dropouts, attention(scene.underruns > 0)));
    let milliseconds = scene.latency_seconds() * 1e3;
    figures.push((format!("{milliseconds:.0} ms ({} samples)", scene.latency), theme::TEXT_FAINT));
    figures
}
