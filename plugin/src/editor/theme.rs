//! Colours, type and spacing: one place for all three.

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Stroke, TextStyle, Theme,
    Visuals, vec2,
};
use std::sync::Arc;

/// Behind everything.
pub const BACKGROUND: Color32 = Color32::from_rgb(0x12, 0x14, 0x18);
/// A panel on the background.
pub const PANEL: Color32 = Color32::from_rgb(0x1a, 0x1d, 0x23);
/// A control on a panel.
pub const CONTROL: Color32 = Color32::from_rgb(0x24, 0x28, 0x30);
/// A control under the pointer.
pub const CONTROL_HOVER: Color32 = Color32::from_rgb(0x2d, 0x32, 0x3c);
/// Where sunk things lie: tracks of sliders and meters, the piano roll.
pub const SUNK: Color32 = Color32::from_rgb(0x0d, 0x0f, 0x12);
/// Lines between things.
pub const LINE: Color32 = Color32::from_rgb(0x2a, 0x2f, 0x38);
/// What is to be read.
pub const TEXT: Color32 = Color32::from_rgb(0xe9, 0xe6, 0xe0);
/// What explains.
pub const TEXT_SOFT: Color32 = Color32::from_rgb(0xa3, 0xa6, 0xad);
/// What names.
pub const TEXT_FAINT: Color32 = Color32::from_rgb(0x7c, 0x81, 0x8b);
/// What is chosen or turned: the brass of a lamp.
pub const ACCENT: Color32 = Color32::from_rgb(0xd8, 0xa6, 0x57);
/// All is well.
pub const GOOD: Color32 = Color32::from_rgb(0x8f, 0xb5, 0x73);
/// It plays, but not as asked.
pub const WARN: Color32 = Color32::from_rgb(0xe0, 0xa0, 0x4c);
/// It does not play.
pub const BAD: Color32 = Color32::from_rgb(0xd9, 0x6c, 0x5f);

/// The step that all distances are made of, in points.
pub const STEP: f32 = 8.0;
/// Distance between panels, and of panels to the edge.
pub const GAP: f32 = 1.5 * STEP;
/// Distance of a panel's contents to its edge.
pub const PAD: f32 = 2.0 * STEP;
/// Corners of panels.
pub const ROUND: CornerRadius = CornerRadius::same(8);
/// Corners of controls.
pub const ROUND_SMALL: CornerRadius = CornerRadius::same(5);

const REGULAR: &str = "Inter";
const MEDIUM: &str = "Inter Medium";
const DISPLAY: &str = "Inter Display";

/// Running text and values.
pub fn body() -> FontId {
    FontId::new(13.0, FontFamily::Proportional)
}

/// What explains, smaller.
pub fn small() -> FontId {
    FontId::new(11.5, FontFamily::Proportional)
}

/// Names of controls.
pub fn label() -> FontId {
    FontId::new(11.5, FontFamily::Name(MEDIUM.into()))
}

/// What is chosen.
pub fn strong() -> FontId {
    FontId::new(14.0, FontFamily::Name(MEDIUM.into()))
}

/// The name of the instrument.
pub fn title() -> FontId {
    FontId::new(22.0, FontFamily::Name(DISPLAY.into()))
}

/// Gives a context our fonts and our look. Once per window.
pub fn install(context: &Context) {
    context.set_fonts(fonts());
    context.set_theme(Theme::Dark);
    context.all_styles_mut(|style| {
        style.visuals = visuals();
        style.spacing.item_spacing = vec2(STEP, STEP);
        style.spacing.button_padding = vec2(10.0, 6.0);
        style.spacing.interact_size = vec2(40.0, 28.0);
        style.spacing.menu_margin = Margin::same(6);
        style.spacing.combo_height = 380.0;
        style.text_styles = [
            (TextStyle::Small, small()),
            (TextStyle::Body, body()),
            (TextStyle::Button, body()),
            (TextStyle::Heading, strong()),
            (TextStyle::Monospace, body()),
        ]
        .into();
        style.interaction.selectable_labels = false;
    });
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let files: [(&str, &'static [u8]); 3] = [
        (REGULAR, include_bytes!("../../../assets/fonts/Inter-Regular.otf")),
        (MEDIUM, include_bytes!("../../../assets/fonts/Inter-Medium.otf")),
        (DISPLAY, include_bytes!("../../../assets/fonts/InterDisplay-SemiBold.otf")),
    ];
    for (name, bytes) in files {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(bytes)));
        fonts.families.insert(FontFamily::Name(name.into()), vec![name.into(), REGULAR.into()]);
    }
    for family in [FontFamily::Proportional, FontFamily::Monospace] {
        fonts.families.insert(family, vec![REGULAR.into()]);
    }
    fonts
}

fn visuals() -> Visuals {
    let mut visuals = Visuals::dark();
    visuals.override_text_color = Some(TEXT);
    visuals.panel_fill = BACKGROUND;
    visuals.window_fill = PANEL;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.menu_corner_radius = ROUND;
    visuals.extreme_bg_color = SUNK;
    visuals.selection.bg_fill = ACCENT.gamma_multiply(0.28);
    visuals.selection.stroke = Stroke::new(1.0, ACCENT);
    for (widget, fill) in [
        (&mut visuals.widgets.noninteractive, PANEL),
        (&mut visuals.widgets.inactive, CONTROL),
        (&mut visuals.widgets.hovered, CONTROL_HOVER),
        (&mut visuals.widgets.active, CONTROL_HOVER),
        (&mut visuals.widgets.open, CONTROL_HOVER),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, LINE);
        widget.fg_stroke = Stroke::new(1.0, TEXT);
        widget.corner_radius = ROUND_SMALL;
        widget.expansion = 0.0;
    }
    visuals
}
