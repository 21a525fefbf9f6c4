//! The composer's panel: whether it plays with you, and within which limits.

use super::roll::part_colour;
use super::theme::{self, STEP};
use super::widgets::{Look, gesture, number, segments, toggle};
use crate::parameters::Parameters;
use egui::{Align2, Rect, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};
use nice_plug::prelude::{Param, ParamSetter};
use ripieno_engine::composer::live::LiveMode;

/// Height of the line with the mode, and of a line of limits.
const HEAD: f32 = 26.0;
const LINE: f32 = 28.0;
/// Height of a field, and its width.
const FIELD: f32 = 20.0;
const WIDTH: f32 = 46.0;
/// Width of the list of modes, and of what is before it.
const MODES: f32 = 246.0;
const NAME: f32 = 72.0;
/// Limits beside each other.
const COLUMNS: usize = 3;

/// Whether it plays, and its limits are shown.
fn is_on(parameters: &Parameters) -> bool {
    parameters.controls.composer.settings().mode != LiveMode::Off
}

/// Height of the panel: one line, and three while it plays.
pub fn height(parameters: &Parameters) -> f32 {
    let limits = if is_on(parameters) { STEP / 2.0 + 2.0 * LINE } else { 0.0 };
    2.0 * theme::GAP + HEAD + limits
}

/// Draws the panel into `rect`, and turns its parameters.
pub fn panel(ui: &mut Ui, rect: Rect, parameters: &Parameters, setter: &ParamSetter) {
    ui.painter().rect_filled(rect, theme::ROUND, theme::PANEL);
    let inner = rect.shrink2(vec2(theme::PAD, theme::GAP));
    let head = Rect::from_min_size(inner.min, vec2(inner.width(), HEAD));
    let painter = ui.painter().with_clip_rect(rect);
    painter.text(head.left_center(), Align2::LEFT_CENTER, "Composer", theme::label(), theme::TEXT_FAINT);
    let modes = [
        ("Off", "It does not play."),
        ("Continue", "When you stop it goes on, until you play again."),
        ("Accompany", "You play one part, and it plays the others."),
    ];
    let mode = &parameters.controls.composer.mode;
    let place = Rect::from_min_size(pos2(head.left() + NAME, head.top()), vec2(MODES, HEAD));
    let chosen = usize::try_from(mode.value()).unwrap_or(0);
    if let Some(index) = segments(ui, place, &modes, chosen) {
        gesture(setter, mode, mode.preview_normalized(index as i32));
    }
    let rest = Rect::from_min_max(pos2(place.right() + 2.0 * STEP, head.top()), head.max);
    if !is_on(parameters) {
        let says = "goes on when you stop, or plays the other parts";
        painter.with_clip_rect(rest).text(
            rest.left_center(),
            Align2::LEFT_CENTER,
            says,
            theme::small(),
            theme::TEXT_FAINT,
        );
        return;
    }
    tempo(ui, rest, parameters, setter);
    let gap = 3.0 * STEP;
    let width = (inner.width() - gap * (COLUMNS - 1) as f32) / COLUMNS as f32;
    let cell = |index: usize| {
        let at = vec2((width + gap) * (index % COLUMNS) as f32, LINE * (index / COLUMNS) as f32);
        Rect::from_min_size(inner.min + vec2(0.0, HEAD + STEP / 2.0) + at, vec2(width, LINE))
    };
    limits(ui, cell, parameters, setter);
}

/// The tempo for where no transport runs, with a button to tap it.
fn tempo(ui: &Ui, rect: Rect, parameters: &Parameters, setter: &ParamSetter) {
    let composer = &parameters.controls.composer;
    let button = Rect::from_center_size(rect.right_center() - vec2(24.0, 0.0), vec2(48.0, FIELD + 2.0));
    let field = Rect::from_center_size(pos2(button.left() - STEP - 36.0, rect.center().y), vec2(72.0, FIELD));
    let mut look = Look::of(&composer.tempo, 522.0);
    if composer.tempo.value() == 0 {
        look.colour = theme::TEXT_SOFT;
        // From 100: a drag from the slowest would be long.
        look.from = composer.tempo.preview_normalized(61);
    }
    let hint = "Quarter notes a minute where the host's transport stands. Drag, or tap; double click: as you play.";
    number(ui, field, setter, &composer.tempo, ("Composer tempo", hint), look);
    let caption = "Tempo without transport";
    let painter = ui.painter();
    let text = painter.layout_no_wrap(caption.to_owned(), theme::small(), theme::TEXT_SOFT);
    // Where it is narrow the field explains itself.
    if text.size().x + STEP < field.left() - rect.left() {
        let at = pos2(field.left() - STEP - text.size().x, rect.center().y - text.size().y / 2.0);
        painter.galley(at, text, theme::TEXT_SOFT);
    }
    let response = ui.interact(button, ui.scope_id().with("tap"), Sense::click()).on_hover_text("Tap the beat.");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Tap"));
    // When it is pressed, not when it is let go; a screen reader presses nothing.
    let (pressed, released) = ui.input(|input| (input.pointer.primary_pressed(), input.pointer.primary_released()));
    if response.contains_pointer() && pressed || response.clicked() && !released {
        if let Some(value) = composer.tap(ui.input(|input| input.time)) {
            gesture(setter, &composer.tempo, composer.tempo.preview_normalized(value));
        }
        parameters.wake.ring();
    }
    let down = response.is_pointer_button_down_on();
    let fill = match (down, response.hovered()) {
        (true, _) => theme::ACCENT,
        (false, true) => theme::CONTROL_HOVER,
        (false, false) => theme::CONTROL,
    };
    painter.rect(button, theme::ROUND_SMALL, fill, Stroke::new(1.0, theme::LINE), StrokeKind::Inside);
    let colour = if down { theme::BACKGROUND } else { theme::TEXT };
    painter.text(button.center(), Align2::CENTER_CENTER, "Tap", theme::label(), colour);
}

fn limits(ui: &Ui, cell: impl Fn(usize) -> Rect, parameters: &Parameters, setter: &ParamSetter) {
    let composer = &parameters.controls.composer;
    let field = |cell: Rect, width: f32| {
        Rect::from_center_size(cell.right_center() - vec2(width / 2.0, 0.0), vec2(width, FIELD))
    };
    let switch = |cell: Rect| Rect::from_center_size(cell.right_center() - vec2(15.0, 0.0), vec2(30.0, 16.0));
    let caption = |cell: Rect, text: &str| {
        let painter = ui.painter().with_clip_rect(cell);
        painter.text(cell.left_center(), Align2::LEFT_CENTER, text, theme::small(), theme::TEXT_SOFT);
    };
    if composer.settings().mode == LiveMode::Accompany {
        caption(cell(0), "You play");
        let part = composer.settings().own_part;
        let ensemble = parameters.shown_ensemble();
        let mut look = Look::of(&composer.own_part, 90.0);
        if let Some(named) = ensemble.and_then(|ensemble| ensemble.parts.get(part)) {
            (look.text, look.colour) = (named.name.clone(), part_colour(ensemble, part));
        }
        let hint = "The part that your keys are. Drag up or down.";
        number(ui, field(cell(0), 84.0), setter, &composer.own_part, ("Composer: your part", hint), look);
    } else {
        caption(cell(0), "From the next bar");
        let hint = "Whether it goes on from the next bar and not from the next beat.";
        toggle(ui, switch(cell(0)), setter, &composer.from_bar, "From the next bar", hint);
    }
    caption(cell(1), "Notes per beat");
    let hint = "How many notes begin in a beat at most, of all parts.";
    let look = Look::of(&composer.density, 130.0);
    number(ui, field(cell(1), WIDTH), setter, &composer.density, ("Notes per beat", hint), look);
    caption(cell(2), "Register");
    let high = field(cell(2), WIDTH - 4.0);
    let low = high.translate(vec2(-high.width() - STEP / 2.0, 0.0));
    let look = Look::of(&composer.low, 512.0);
    number(ui, low, setter, &composer.low, ("Composer lowest", "The lowest key it plays."), look);
    let look = Look::of(&composer.high, 512.0);
    number(ui, high, setter, &composer.high, ("Composer highest", "The highest key it plays."), look);
    caption(cell(3), "Beats ahead");
    let hint = "How far ahead it plans. What is planned is outlined in the roll.";
    let look = Look::of(&composer.look_ahead, 80.0);
    number(ui, field(cell(3), WIDTH), setter, &composer.look_ahead, ("Beats ahead", hint), look);
    caption(cell(4), "Temperature");
    let hint = "Below 1 it does what is likely, above 1 what is not.";
    let look = Look::of(&composer.temperature, 160.0);
    number(ui, field(cell(4), WIDTH), setter, &composer.temperature, ("Temperature", hint), look);
    caption(cell(5), "Chord tones only");
    let hint = "While keys are held it plays nothing but tones of their chord.";
    toggle(ui, switch(cell(5)), setter, &composer.chord_tones, "Chord tones only", hint);
}
