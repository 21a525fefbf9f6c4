//! A picture of the editor while the engine plays: `cargo run -p ripieno-plugin --example editor_png`.
//!
//! Writes `target/editor.png`; with `-- split` behind it, `target/editor-split.png` with the split keyboard, and with
//! `-- composer`, `target/editor-composer.png`, where the soprano alone is played and accompanied; with
//! `-- card`, `target/editor-card.png` with the card of the performance. Nothing in it is posed: the example plays a
//! cadence to a real engine, as a host that bounces would, and draws the editor from its telemetry, with a rasteriser of
//! its own instead of a window.

mod raster;

use egui::epaint::ClippedPrimitive;
use egui::{Context, Pos2, RawInput, Rect, ViewportId, vec2};
use nice_plug::context::PluginApi;
use nice_plug::context::gui::{GuiContextInner, ParamSetter};
use nice_plug::params::internals::ParamPtr;
use nice_plug::plugin::PluginState;
use raster::Canvas;
use ripieno::editor::{Scene, View, draw, theme};
use ripieno::menu::{self, Named};
use ripieno::parameters::{Parameters, PlayMode};
use ripieno::shared::Shared;
use ripieno_engine::stream::{AudioSide, Engine, EngineConfig, Event, EventKind, StatusKind, Telemetry, Transport};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Points; what a new instance opens with.
const SIZE: [f32; 2] = [1000.0, 640.0];
/// Pixels per point.
const SCALE: f32 = 2.0;
const RATE: f64 = 48_000.0;
/// Samples from picture to picture.
const BLOCK: usize = 1600;
/// Seconds played before the picture is taken.
const SECONDS: f64 = 8.0;
/// The longest wait for the models.
const PATIENCE: Duration = Duration::from_secs(300);

/// Beat it begins at, beats it lasts, MIDI key.
type Written = (f64, f64, u8);

/// A cadence with a suspension, soprano to bass, each with its velocity.
const CADENCE: [(&[Written], u8); 4] = [
    (
        &[
            (0.0, 1.0, 72),
            (1.0, 0.5, 74),
            (1.5, 0.5, 76),
            (2.0, 1.0, 77),
            (3.0, 1.0, 76),
            (4.0, 1.0, 74),
            (5.0, 1.0, 76),
            (6.0, 1.0, 74),
            (7.0, 1.0, 71),
            (8.0, 4.0, 72),
        ],
        86,
    ),
    (&[(0.0, 2.0, 67), (2.0, 2.0, 69), (4.0, 1.0, 71), (5.0, 2.0, 67), (7.0, 1.0, 65), (8.0, 4.0, 64)], 74),
    (
        &[
            (0.0, 1.0, 64),
            (1.0, 1.0, 62),
            (2.0, 2.0, 60),
            (4.0, 1.0, 62),
            (5.0, 1.0, 60),
            (6.0, 1.0, 59),
            (7.0, 1.0, 62),
            (8.0, 4.0, 55),
        ],
        70,
    ),
    (
        &[
            (0.0, 1.0, 48),
            (1.0, 1.0, 47),
            (2.0, 1.0, 53),
            (3.0, 1.0, 57),
            (4.0, 1.0, 55),
            (5.0, 1.0, 48),
            (6.0, 2.0, 43),
            (8.0, 4.0, 48),
        ],
        80,
    ),
];
const SECONDS_PER_BEAT: f64 = 0.7;

/// A place within the performance's description.
const DESCRIPTION: Pos2 = Pos2::new(60.0, 152.0);

/// A host that takes every value as it comes.
struct Willing;

impl GuiContextInner for Willing {
    fn plugin_api(&self) -> PluginApi {
        PluginApi::Clap
    }
    unsafe fn raw_begin_set_parameter(&self, _param: ParamPtr) {}
    unsafe fn raw_set_parameter_normalized(&self, param: ParamPtr, normalized: f32) {
        // SAFETY: `main` keeps the parameters until the last picture is drawn.
        unsafe { param._internal_set_normalized_value(normalized) };
    }
    unsafe fn raw_end_set_parameter(&self, _param: ParamPtr) {}
    fn get_state(&self) -> PluginState {
        PluginState { version: String::new(), params: BTreeMap::new(), fields: BTreeMap::new() }
    }
    fn set_state(&self, _state: PluginState) {}
    fn request_restart(&self) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut engine = Engine::start(EngineConfig::default());
    let parameters = Parameters::default();
    let shared = Shared::new(engine.control.clone(), Arc::clone(&engine.telemetry));
    ParamSetter::new(&Willing).set_parameter(&parameters.controls.mode, PlayMode::Sync);
    let method = std::env::args().nth(1);
    let accompanied = method.as_deref() == Some("composer");
    if accompanied {
        let composer = &parameters.controls.composer;
        ParamSetter::new(&Willing).set_parameter(&composer.mode, 2);
        ParamSetter::new(&Willing).set_parameter(&composer.look_ahead, 4);
        ParamSetter::new(&Willing).set_parameter(&composer.density, 4);
    }
    if let Some(index) = menu::methods().iter().position(|entry| Some(entry.id()) == method.as_deref()) {
        ParamSetter::new(&Willing).set_parameter(&parameters.controls.method, index as i32);
    }
    engine.control.set_mode(parameters.controls.mode.value().into());
    engine.control.set_offline(true);
    shared.apply(&parameters);
    engine.audio.configure(RATE, BLOCK);
    wait_for(&engine.telemetry, &mut engine.audio)?;

    let mut picture = Picture::new((method.as_deref() == Some("card")).then_some(DESCRIPTION));
    let mut played = 0;
    let mut events = events(if accompanied { 1 } else { CADENCE.len() });
    while (played as f64) < SECONDS * RATE {
        while let Some((sample, kind)) = events.next_if(|(sample, _)| *sample < played + BLOCK) {
            engine.audio.event(Event { offset: (sample - played) as u32, kind });
        }
        if accompanied {
            let beat = (played as f64 / RATE - 0.3) / SECONDS_PER_BEAT + 4.0;
            engine.audio.transport(Transport {
                tempo_bpm: 60.0 / SECONDS_PER_BEAT,
                beat,
                playing: true,
                ..Transport::default()
            });
        }
        played += engine.audio.process(BLOCK);
        picture.draw(&Scene::read(&shared, &parameters), &parameters, played as f64 / RATE);
    }
    let name = method.map_or_else(|| "editor.png".to_owned(), |method| format!("editor-{method}.png"));
    let file = format!("{}/../target/{name}", env!("CARGO_MANIFEST_DIR"));
    picture.save(&file)?;
    println!("{file}");
    Ok(())
}

/// Waits until notes will sound, or says why they never will.
fn wait_for(telemetry: &Telemetry, audio: &mut AudioSide) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while !telemetry.ready() {
        let status = telemetry.status();
        if status.kind == StatusKind::Failed || begun.elapsed() > PATIENCE {
            return Err(status.sentence.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    audio.reset();
    Ok(())
}

/// The upper voices of the cadence as events, by sample.
fn events(voices: usize) -> std::iter::Peekable<impl Iterator<Item = (usize, EventKind)>> {
    let sample = |beat: f64| ((0.3 + beat * SECONDS_PER_BEAT) * RATE) as usize;
    let mut events: Vec<_> = CADENCE
        .iter()
        .take(voices)
        .flat_map(|(notes, velocity)| notes.iter().map(move |note| (note, *velocity)))
        .flat_map(|(&(beat, beats, key), velocity)| {
            [
                (sample(beat), EventKind::NoteOn { key, velocity }),
                (sample(beat + beats) - 1, EventKind::NoteOff { key }),
            ]
        })
        .collect();
    events.sort_by_key(|(sample, _)| *sample);
    events.into_iter().peekable()
}

/// The editor, drawn picture by picture; the last is painted.
struct Picture {
    context: Context,
    view: View,
    canvas: Canvas,
    last: Vec<ClippedPrimitive>,
    /// Where it comes to rest, until it has been told.
    pointer: Option<Pos2>,
}

impl Picture {
    fn new(pointer: Option<Pos2>) -> Self {
        let context = Context::default();
        theme::install(&context);
        let [width, height] = SIZE.map(|side| (side * SCALE) as usize);
        Self { context, view: View::new("Ripieno"), canvas: Canvas::new(width, height), last: Vec::new(), pointer }
    }

    fn draw(&mut self, scene: &Scene, parameters: &Parameters, seconds: f64) {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(SIZE[0], SIZE[1]))),
            time: Some(seconds),
            events: self.pointer.take().map(egui::Event::PointerMoved).into_iter().collect(),
            ..RawInput::default()
        };
        input.viewports.entry(ViewportId::ROOT).or_default().native_pixels_per_point = Some(SCALE);
        let mut output = self.context.run_ui(input, |ui| {
            draw(ui, &mut self.view, scene, parameters, &ParamSetter::new(&Willing));
        });
        self.canvas.update(&output.textures_delta);
        output.textures_delta.clear();
        self.last = self.context.tessellate(output.shapes, SCALE);
    }

    fn save(mut self, file: &str) -> Result<(), Box<dyn Error>> {
        self.canvas.paint(&self.last, SCALE);
        let writer = BufWriter::new(File::create(file)?);
        let mut encoder = png::Encoder::new(writer, self.canvas.width as u32, self.canvas.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        encoder.write_header()?.write_image_data(&self.canvas.rgb())?;
        Ok(())
    }
}
