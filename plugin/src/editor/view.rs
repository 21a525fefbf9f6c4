//! The whole picture: where things lie, and what is remembered from one picture to the next.

use super::composer;
use super::panels;
use super::roll::Roll;
use super::scene::Scene;
use super::split;
use super::theme;
use crate::gains::linear;
use crate::parameters::Parameters;
use egui::{Rect, Ui, pos2};
use nice_plug::prelude::ParamSetter;
use ripieno_engine::stream::MAX_PARTS;

/// Height of the line with the name and the mode.
const HEADER: f32 = 32.0;
/// Height of the status line.
const FOOTER: f32 = 22.0;
/// Width of the column of choices.
const COLUMN: f32 = 288.0;
/// How fast a meter falls, dB per second.
const FALL_DB: f32 = 26.0;
/// The quietest a meter shows, in dB.
pub(super) const METER_FLOOR_DB: f32 = -54.0;

/// What the editor remembers from picture to picture.
pub struct View {
    pub(super) title: &'static str,
    pub(super) roll: Roll,
    /// Level of each part's meter after its gain, in dB.
    pub(super) meters: [f32; MAX_PARTS],
}

impl View {
    /// An editor that has seen nothing yet, of the class with this name.
    pub fn new(title: &'static str) -> Self {
        Self { title, roll: Roll::default(), meters: [METER_FLOOR_DB; MAX_PARTS] }
    }

    fn follow(&mut self, scene: &Scene, parameters: &Parameters, seconds: f32) {
        self.roll.follow(scene);
        for ((meter, peak), part) in self.meters.iter_mut().zip(scene.peaks).zip(&parameters.controls.parts) {
            let level = 20.0 * (peak * linear(part.gain.value())).max(1e-6).log10();
            *meter = level.max(*meter - FALL_DB * seconds).clamp(METER_FLOOR_DB, 6.0);
        }
    }
}

/// Draws the editor into all of `ui`, and turns parameters through `setter`. Needs [`theme::install`] once before.
pub fn draw(ui: &mut Ui, view: &mut View, scene: &Scene, parameters: &Parameters, setter: &ParamSetter) {
    view.follow(scene, parameters, ui.input(|input| input.stable_dt).min(0.1));
    let all = ui.ctx().content_rect();
    ui.painter().rect_filled(all, 0.0, theme::BACKGROUND);
    let inner = all.shrink(theme::GAP);

    let header = Rect::from_min_size(inner.min, [inner.width(), HEADER].into());
    let footer = Rect::from_min_max(pos2(inner.left(), inner.bottom() - FOOTER), inner.max);
    let body = Rect::from_min_max(
        pos2(inner.left(), header.bottom() + theme::GAP),
        pos2(inner.right(), footer.top() - theme::GAP * 0.75),
    );
    let [left, right] = split_x(body, COLUMN);
    let [choices, sound] = split_y(left, (left.height() - panels::SOUND_HEIGHT - theme::GAP).max(0.0));
    let mixer_height = panels::mixer_height(parameters.shown_ensemble());
    let [roll, mixer] = split_y(right, (right.height() - mixer_height - theme::GAP).max(0.0));
    let composer_height = composer::height(parameters);
    let [roll, composer] = split_y(roll, (roll.height() - composer_height - theme::GAP).max(0.0));
    // The keyboard takes its room from the roll while it means something.
    let split = parameters.shown_ensemble().filter(|ensemble| parameters.splits() && ensemble.parts.len() > 1);
    let below = if split.is_some() { split::HEIGHT + theme::GAP } else { 0.0 };
    let [roll, keyboard] = split_y(roll, (roll.height() - below).max(0.0));

    panels::header(ui, header, view.title, scene, parameters, setter);
    panels::choices(ui, choices, parameters, setter);
    panels::sound(ui, sound, parameters, setter);
    view.roll.paint(ui.painter(), roll, scene, parameters.shown_ensemble());
    if let Some(ensemble) = split {
        split::keyboard(ui, keyboard, ensemble, parameters, setter);
    }
    composer::panel(ui, composer, parameters, setter);
    panels::mixer(ui, mixer, &view.meters, parameters, setter);
    panels::footer(ui, footer, scene);
}

fn split_x(rect: Rect, at: f32) -> [Rect; 2] {
    let x = rect.left() + at;
    [
        Rect::from_min_max(rect.min, pos2(x, rect.bottom())),
        Rect::from_min_max(pos2(x + theme::GAP, rect.top()), rect.max),
    ]
}

fn split_y(rect: Rect, at: f32) -> [Rect; 2] {
    let y = rect.top() + at;
    [
        Rect::from_min_max(rect.min, pos2(rect.right(), y)),
        Rect::from_min_max(pos2(rect.left(), y + theme::GAP), rect.max),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::menu::{self, Named};
    use crate::parameters::PlayMode;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;
    use nice_plug::context::PluginApi;
    use nice_plug::context::gui::GuiContextInner;
    use nice_plug::params::internals::ParamPtr;
    use nice_plug::prelude::PluginState;
    use ripieno_engine::composer::live::LiveMode;
    use ripieno_engine::stream::StatusKind;

    /// Seconds from picture to picture.
    const STEP_SECONDS: f32 = 0.125;

    /// A scene in which nothing happens.
    pub fn quiet() -> Scene {
        Scene {
            kind: StatusKind::Ready,
            sentence: "Ready.".into(),
            progress: 1.0,
            provider: "CPU".into(),
            load: 0.4,
            underruns: 0,
            latency: 77_280,
            sample_rate: 48_000.0,
            now: 10.0,
            peaks: [0.1; MAX_PARTS],
            notes: Vec::new(),
            planned: Vec::new(),
        }
    }

    /// A host that takes what it is told.
    struct TestHost;

    impl GuiContextInner for TestHost {
        fn plugin_api(&self) -> PluginApi {
            PluginApi::Clap
        }
        unsafe fn raw_begin_set_parameter(&self, _param: ParamPtr) {}
        unsafe fn raw_set_parameter_normalized(&self, param: ParamPtr, normalized: f32) {
            // SAFETY: the test's parameters outlive its harness.
            unsafe { param._internal_set_normalized_value(normalized) };
        }
        unsafe fn raw_end_set_parameter(&self, _param: ParamPtr) {}
        fn get_state(&self) -> PluginState {
            unreachable!("the editor does not ask for the state")
        }
        fn set_state(&self, _state: PluginState) {}
        fn request_restart(&self) {}
    }

    fn harness<'a>(parameters: &'a Parameters, scene: &'a Scene) -> Harness<'a> {
        let mut view = View::new("Ripieno");
        let builder = Harness::builder().with_size([1000.0, 640.0]).with_context_setup(theme::install);
        let builder = builder.with_step_dt(STEP_SECONDS);
        let mut harness = builder.build_ui(move |ui| {
            draw(ui, &mut view, scene, parameters, &ParamSetter::new(&TestHost));
        });
        harness.run_steps(3);
        harness
    }

    #[test]
    fn the_mode_is_chosen_by_a_click() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let mut harness = harness(&parameters, &scene);
        harness.get_by_label("Sync").click();
        harness.run_steps(2);
        assert_eq!(parameters.controls.mode.value(), PlayMode::Sync);
    }

    #[test]
    fn a_performance_is_chosen_from_its_list() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let mut harness = harness(&parameters, &scene);
        let wanted = &menu::performances()[0];
        harness.get_by_label("Performance list").click();
        harness.run_steps(3);
        harness.get_by_label(wanted.name()).click();
        harness.run_steps(3);
        assert_eq!(parameters.performance_id(), wanted.id());
    }

    #[test]
    fn the_card_of_a_performance_is_shown_where_the_pointer_rests() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let mut harness = harness(&parameters, &scene);
        let other = &menu::performances()[0];
        assert!(harness.query_by_label_contains(&other.licence).is_none());
        harness.get_by_label("Performance list").click();
        harness.run_steps(3);
        harness.get_by_label(other.name()).hover();
        harness.run_steps(12);
        assert!(harness.query_by_label_contains(&other.licence).is_some(), "the card says what it was made from");
    }

    #[test]
    fn every_ensemble_and_every_size_can_be_drawn() {
        let scene = quiet();
        for index in 0..menu::ensembles().len() {
            for size in [[820.0, 540.0], [1000.0, 640.0], [2400.0, 1400.0], [60.0, 40.0]] {
                let parameters = Parameters::default();
                // SAFETY: `parameters` lives.
                unsafe {
                    use nice_plug::params::InternalParamMut;
                    parameters.controls.ensemble._internal_set_plain_value(index as i32);
                    parameters.controls.composer.mode._internal_set_plain_value(index as i32 % 3);
                }
                let mut harness = harness(&parameters, &scene);
                harness.set_size(size.into());
                harness.run_steps(2);
            }
        }
    }

    /// Drags from one place to another, step by step as a hand does.
    fn drag(harness: &mut Harness<'_>, from: egui::Pos2, to: egui::Pos2) {
        harness.hover_at(from);
        harness.run_steps(1);
        harness.drag_at(from);
        harness.run_steps(1);
        for step in 1..=4 {
            harness.hover_at(from.lerp(to, step as f32 / 4.0));
            harness.run_steps(1);
        }
        harness.drop_at(to);
        harness.run_steps(2);
    }

    fn choose_method(parameters: &Parameters, index: i32) {
        use nice_plug::params::InternalParamMut;
        // SAFETY: `parameters` lives.
        unsafe { parameters.controls.method._internal_set_plain_value(index) };
    }

    #[test]
    fn a_boundary_of_the_split_keyboard_is_dragged_and_stops_at_its_neighbours() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let name = "Split between Violin 2 and Viola";
        assert!(harness(&parameters, &scene).query_by_label(name).is_none(), "the trained network has no zones");
        let ensemble = parameters.shown_ensemble().unwrap();
        choose_method(&parameters, 2);
        let mut harness = harness(&parameters, &scene);
        let grip = harness.get_by_label(name).rect().center();
        drag(&mut harness, grip, grip - egui::vec2(15.0, 0.0));
        let drawn = parameters.zones();
        assert!(drawn[1].is_some_and(|key| key < ensemble.zones[1] && key > ensemble.zones[2]), "{drawn:?}");
        assert_eq!((drawn[0], drawn[2]), (None, None));
        let grip = harness.get_by_label(name).rect().center();
        drag(&mut harness, grip, grip + egui::vec2(400.0, 0.0));
        assert_eq!(parameters.zones()[1], Some(ensemble.zones[0]));
    }

    #[test]
    fn a_parts_pitch_is_dragged_from_the_middle_of_its_range() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let viola = &parameters.shown_ensemble().unwrap().parts[2];
        let middle = (viola.lo + viola.hi) / 2;
        let mut harness = harness(&parameters, &scene);
        let field = harness.get_by_label("Viola pitch").rect().center();
        drag(&mut harness, field, field + egui::vec2(0.0, 24.0));
        let pitch = parameters.hints().pitch;
        assert!(pitch[2].is_some_and(|key| key < middle && key > middle - 12), "{pitch:?}, middle {middle}");
        assert_eq!((pitch[0], pitch[1], pitch[3]), (None, None, None));
    }

    #[test]
    fn the_composers_limits_are_shown_while_it_plays_and_turned_there() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let composer = &parameters.controls.composer;
        let mut harness = harness(&parameters, &scene);
        assert!(harness.query_by_label("Notes per beat").is_none());
        harness.get_by_label("Accompany").click();
        harness.run_steps(3);
        assert_eq!(composer.settings().mode, LiveMode::Accompany);
        let field = harness.get_by_label("Notes per beat").rect().center();
        drag(&mut harness, field, field - egui::vec2(0.0, 40.0));
        // Some of the way is lost until a drag is known to be one.
        assert!((3..=5).contains(&composer.settings().per_beat), "{:?}", composer.settings());
        let field = harness.get_by_label("Composer highest").rect().center();
        drag(&mut harness, field, field + egui::vec2(0.0, 48.0));
        assert!((115..=120).contains(&composer.settings().highest), "{:?}", composer.settings());
        harness.get_by_label("Chord tones only").click();
        harness.run_steps(2);
        assert!(composer.settings().chord_tones);
        let parts = harness.get_by_label("Composer: your part").rect().center();
        drag(&mut harness, parts, parts - egui::vec2(0.0, 32.0));
        assert!((1..=3).contains(&composer.settings().own_part), "{:?}", composer.settings());
        harness.get_by_label("Continue").click();
        harness.run_steps(2);
        assert!(harness.query_by_label("Composer: your part").is_none());
        harness.get_by_label("From the next bar").click();
        harness.run_steps(2);
        assert!(composer.settings().from_bar);
    }

    #[test]
    fn a_tapped_tempo_is_set_and_every_tap_is_a_beat() {
        let (parameters, scene) = (Parameters::default(), quiet());
        let composer = &parameters.controls.composer;
        let mut harness = harness(&parameters, &scene);
        harness.get_by_label("Continue").click();
        harness.run_steps(3);
        let button = harness.get_by_label("Tap").rect().center();
        let woken = parameters.wake.generation();
        let mut times = Vec::new();
        for _ in 0..4 {
            harness.hover_at(button);
            harness.run_steps(1);
            harness.drag_at(button);
            harness.run_steps(1);
            times.push(harness.ctx.input(|input| input.time));
            harness.drop_at(button);
            harness.run_steps(1);
        }
        let tempo = 60.0 * 3.0 / (times[3] - times[0]);
        assert_eq!((composer.settings().tempo, composer.settings().taps), (Some(tempo.round()), 4));
        assert!(parameters.wake.generation() > woken);
        let field = harness.get_by_label("Composer tempo").rect().center();
        drag(&mut harness, field, field - egui::vec2(0.0, 20.0));
        assert!(composer.settings().tempo.is_some_and(|turned| turned > tempo.round() + 4.0));
    }

    #[test]
    fn a_performance_and_an_ensemble_that_are_not_installed_are_named() {
        let scene = quiet();
        let parameters = Parameters::default();
        let fields = crate::saved::Saved::new("lost-players".into(), "lost-nonet".into(), [1000, 640]).to_fields();
        nice_plug::prelude::Params::deserialize_fields(&parameters, &fields);
        let harness = harness(&parameters, &scene);
        for lost in ["lost-players", "lost-nonet"] {
            let sentence = format!("\u{201c}{lost}\u{201d} is not installed");
            assert!(harness.query_by_label_contains(&sentence).is_some(), "{lost}");
        }
    }
}
