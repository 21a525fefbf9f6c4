//! The window that the host opens, and how it keeps its size.

use super::scene::Scene;
use super::theme;
use super::view::{View, draw};
use crate::guard::guard;
use crate::parameters::Parameters;
use crate::saved::EDITOR_MIN_SIZE;
use crate::shared::Shared;
use egui::{Context, RichText, Ui};
use nice_plug::context::gui::GuiContext;
use nice_plug::editor::dpi::{LogicalSize, NativeSize};
use nice_plug::editor::{Editor, HostMethods, ParentWindowHandle, ResizeHint, SpawnedEditor};
use nice_plug_egui::baseview::{HandlerError, WindowSize};
use nice_plug_egui::{
    EguiEditor, EguiEditorHandle, EguiEditorState, EguiNiceSettings, Frame, NiceEguiApp, RepaintNotifier,
    create_egui_editor,
};
use parking_lot::Mutex;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Time from picture to picture. Meters and the roll move at this pace; a host has many windows open.
const FRAME_TIME: Duration = Duration::from_millis(33);

/// The editor as the framework sees it.
///
/// The framework's own has the size it was made with and forgets it with the project, so this makes a new one
/// whenever the project's size is another.
pub struct Window {
    title: &'static str,
    parameters: Arc<Parameters>,
    shared: Arc<Shared>,
    made: Mutex<Made>,
}

struct Made {
    size: [u16; 2],
    state: Arc<EguiEditorState>,
    editor: EguiEditor<App>,
}

impl Window {
    /// An editor that is not open yet. Cheap: fonts and graphics come when the host opens it.
    pub fn new(title: &'static str, parameters: Arc<Parameters>, shared: Arc<Shared>) -> Option<Self> {
        let made = Mutex::new(make(title, &parameters, &shared)?);
        Some(Self { title, parameters, shared, made })
    }

    /// Runs `body` with an editor of the project's size.
    fn with<R>(&self, body: impl FnOnce(&EguiEditor<App>) -> R) -> R {
        let mut made = self.made.lock();
        if !made.state.is_open()
            && made.size != self.parameters.editor_size()
            && let Some(new) = make(self.title, &self.parameters, &self.shared)
        {
            *made = new;
        }
        body(&made.editor)
    }
}

fn resize_hint() -> ResizeHint {
    let [width, height] = EDITOR_MIN_SIZE.map(f32::from);
    ResizeHint::RESIZABLE.with_min_logical_size(LogicalSize { width, height })
}

fn make(title: &'static str, parameters: &Arc<Parameters>, shared: &Arc<Shared>) -> Option<Made> {
    let size = parameters.editor_size();
    let [width, height] = size.map(f64::from);
    let state = EguiEditorState::from_size(LogicalSize { width, height }, 1.0);
    let app = App {
        parameters: Arc::clone(parameters),
        shared: Arc::clone(shared),
        host: None,
        view: View::new(title),
        broken: false,
    };
    let editor = create_egui_editor(
        Arc::clone(&state),
        RepaintNotifier::new(),
        EguiNiceSettings::new().with_tile(title).with_resize_hint(resize_hint()),
        app,
    )?;
    Some(Made { size, state, editor })
}

impl Editor for Window {
    type Handle = EguiEditorHandle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        fallback_scale_factor: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        guard(|| self.with(|editor| editor.spawn(parent, wait_for_parent, fallback_scale_factor, gui_context, host)))
            .unwrap_or_else(|| Err("the editor could not be opened".into()))
    }

    fn size(&self) -> NativeSize<u32> {
        self.with(Editor::size)
    }

    fn resize_hint(&self) -> ResizeHint {
        resize_hint()
    }
}

/// What lives in an open window.
struct App {
    parameters: Arc<Parameters>,
    shared: Arc<Shared>,
    /// The host's side of turning parameters, while the window is open.
    host: Option<GuiContext>,
    view: View,
    /// Whether drawing panicked. It is not tried again until the window is opened anew.
    broken: bool,
}

impl NiceEguiApp for App {
    fn build(&mut self, context: Context, host: GuiContext, _frame: &mut Frame) -> Result<(), HandlerError> {
        theme::install(&context);
        self.host = Some(host);
        self.broken = false;
        Ok(())
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut Frame) {
        ui.ctx().request_repaint_after(FRAME_TIME);
        let Some(host) = &self.host else { return };
        if !self.broken {
            let drawn = guard(|| {
                let scene = Scene::read(&self.shared, &self.parameters);
                draw(ui, &mut self.view, &scene, &self.parameters, &host.param_setter());
            });
            self.broken = drawn.is_none();
        }
        if self.broken {
            ui.label(
                RichText::new("The editor stopped after an error of its own. Close it and open it again.")
                    .color(theme::BAD),
            );
        }
    }

    fn resized(&mut self, size: WindowSize) {
        let points =
            [size.logical.width, size.logical.height].map(|side: f64| side.round().clamp(0.0, 65_535.0) as u16);
        self.parameters.set_editor_size(points);
    }

    fn editor_closed(&mut self) {
        self.host = None;
    }
}
