//! What the musician and the host can turn, and what a project saves of it.
//!
//! The host sees stable ids. Performance and ensemble are numbers to the host and ids in the project, so that
//! lists may grow and be reordered, and an id that is not installed is kept until it is.
//! Callbacks of the parameters run on whichever thread changes them, the audio thread included; all they do is [`Wake`].

use crate::composing::ComposerControls;
use crate::gains::{MAX_DB, SILENCE_DB};
use crate::menu;
use crate::saved::{self, Saved};
use nice_plug::params::internals::ParamPtr;
use nice_plug::prelude::*;
use parking_lot::Mutex;
use ripieno_engine::arranger::{Ensemble, Hints, Method};
use ripieno_engine::stream::{MAX_PARTS, Mode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// The most denoising steps per segment that the host can ask for.
pub const MAX_STEPS: i32 = 16;
/// The least guidance: none.
pub const MIN_GUIDANCE: f32 = 1.0;
/// The most guidance.
pub const MAX_GUIDANCE: f32 = 3.0;

/// How the engine runs, as the host names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum PlayMode {
    /// A keyboardist plays: no latency.
    #[id = "live"]
    #[name = "Live"]
    Live,
    /// A track plays back: one fixed latency, compensated by the host.
    #[id = "sync"]
    #[name = "Sync"]
    Sync,
}

impl From<PlayMode> for Mode {
    fn from(mode: PlayMode) -> Self {
        match mode {
            PlayMode::Live => Self::Live,
            PlayMode::Sync => Self::Sync,
        }
    }
}

/// Tells the clerk that something changed. Wait-free and without allocation, so any thread may call it.
#[derive(Debug, Default)]
pub struct Wake {
    generation: AtomicU64,
    clerk: OnceLock<Thread>,
}

impl Wake {
    /// Counts a change and wakes the clerk, if there is one.
    pub fn ring(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        if let Some(thread) = self.clerk.get() {
            thread.unpark();
        }
    }

    /// How many changes there were.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Names the thread to wake. The first one stays.
    pub fn set_clerk(&self, thread: Thread) {
        // An instance starts one clerk in its life; a second would be a bug without consequence for the sound.
        let _ = self.clerk.set(thread);
    }
}

/// One part's own controls.
#[derive(Params)]
pub struct PartControls {
    /// Gain in dB, applied to the part's own output and to the mix.
    #[id = "gain"]
    pub gain: FloatParam,
    /// Whether it plays; off, it is given nothing.
    #[id = "on"]
    pub on: BoolParam,
    /// About which MIDI key it plays on average, plus 1; 0 says nothing.
    #[id = "pitch"]
    pub pitch: IntParam,
}

/// Where one zone of the split keyboard ends and the next begins.
#[derive(Params)]
pub struct ZoneControls {
    /// The lowest MIDI key of the part with its number, plus 1; 0 is as the ensemble says.
    #[id = "split"]
    pub lowest: IntParam,
}

/// Everything the host can automate, list or map.
#[derive(Params)]
pub struct Controls {
    /// Index into [`menu::performances`].
    #[id = "performance"]
    pub performance: IntParam,
    /// Index into [`menu::ensembles`].
    #[id = "ensemble"]
    pub ensemble: IntParam,
    /// Live or Sync.
    #[id = "mode"]
    pub mode: EnumParam<PlayMode>,
    /// Denoising steps per segment; 0 is the prior alone.
    #[id = "quality"]
    pub quality: IntParam,
    /// Guidance weight towards the notes.
    #[id = "guidance_notes"]
    pub guidance_notes: FloatParam,
    /// Guidance weight towards the performance.
    #[id = "guidance_performance"]
    pub guidance_performance: FloatParam,
    /// The sustain pedal, for hosts whose format brings us no controllers (VST3).
    #[id = "sustain"]
    pub sustain: BoolParam,
    /// Gain of the mix in dB.
    #[id = "gain"]
    pub gain: FloatParam,
    /// Index into [`menu::methods`].
    #[id = "method"]
    pub method: IntParam,
    /// Parts, the highest first.
    #[nested(array, group = "Part")]
    pub parts: [PartControls; MAX_PARTS],
    /// The zones of every part but the last.
    #[nested(array, group = "Split")]
    pub zones: [ZoneControls; MAX_PARTS - 1],
    /// The composer.
    #[nested(group = "Composer")]
    pub composer: ComposerControls,
}

impl Controls {
    fn new(wake: &Arc<Wake>) -> Self {
        let ring_i = |wake: &Arc<Wake>| {
            let wake = Arc::clone(wake);
            Arc::new(move |_: i32| wake.ring()) as Arc<dyn Fn(i32) + Send + Sync>
        };
        let ring_f = |wake: &Arc<Wake>| {
            let wake = Arc::clone(wake);
            Arc::new(move |_: f32| wake.ring()) as Arc<dyn Fn(f32) + Send + Sync>
        };
        let ring_b = |wake: &Arc<Wake>| {
            let wake = Arc::clone(wake);
            Arc::new(move |_: bool| wake.ring()) as Arc<dyn Fn(bool) + Send + Sync>
        };
        let guidance = |name: &str| {
            FloatParam::new(name, menu::DEFAULT_GUIDANCE, FloatRange::Linear { min: MIN_GUIDANCE, max: MAX_GUIDANCE })
                .with_step_size(0.01)
                .with_value_to_string(formatters::v2s_f32_rounded(2))
                .with_callback(ring_f(wake))
        };
        Self {
            // A change of performance loads for seconds and a change of ensemble ends the notes: nothing to automate.
            // It also keeps an automation lane from shifting when a later version has a longer list.
            performance: list("Performance", menu::performances(), menu::default_performance())
                .with_callback(ring_i(wake))
                .non_automatable(),
            ensemble: list("Ensemble", menu::ensembles(), menu::default_ensemble())
                .with_callback(ring_i(wake))
                .non_automatable(),
            method: list("Arranger", menu::methods(), 0).with_callback(ring_i(wake)).non_automatable(),
            // It changes the latency, for which the host has to restart us.
            mode: EnumParam::new("Mode", PlayMode::Live).non_automatable(),
            quality: IntParam::new("Quality", menu::DEFAULT_STEPS, IntRange::Linear { min: 0, max: MAX_STEPS })
                .with_unit(" steps")
                .with_string_to_value(Arc::new(|text| text.trim_end_matches("steps").trim().parse().ok()))
                .with_callback(ring_i(wake)),
            guidance_notes: guidance("Note guidance"),
            guidance_performance: guidance("Performance guidance"),
            sustain: BoolParam::new("Sustain", false),
            gain: gain("Output gain"),
            parts: std::array::from_fn(|part| PartControls {
                gain: gain(&format!("Part {} gain", part + 1)),
                on: BoolParam::new(format!("Part {} plays", part + 1), true).with_callback(ring_b(wake)),
                pitch: key(&format!("Part {} pitch", part + 1), "Any").with_callback(ring_i(wake)),
            }),
            zones: std::array::from_fn(|part| ZoneControls {
                lowest: key(&format!("Part {} from", part + 1), "As the ensemble").with_callback(ring_i(wake)),
            }),
            composer: ComposerControls::new(wake),
        }
    }
}

/// A parameter that chooses from a list and reads as names.
fn list<T: menu::Named>(name: &str, entries: &'static [T], default: i32) -> IntParam {
    let last = entries.len().saturating_sub(1) as i32;
    // A range needs two values; a list of one is shown once all the same.
    IntParam::new(name, default, IntRange::Linear { min: 0, max: last.max(1) })
        .with_value_to_string(Arc::new(move |index| {
            menu::at(entries, index).map_or_else(|| index.to_string(), |entry| entry.name().to_owned())
        }))
        .with_string_to_value(Arc::new(move |text| {
            entries.iter().position(|entry| entry.name().eq_ignore_ascii_case(text)).map(|index| index as i32)
        }))
}

/// A gain in dB from silence to [`MAX_DB`].
fn gain(name: &str) -> FloatParam {
    FloatParam::new(name, 0.0, FloatRange::Linear { min: SILENCE_DB, max: MAX_DB })
        .with_step_size(0.1)
        .with_unit(" dB")
        .with_value_to_string(Arc::new(|db| {
            // Rounded as it is shown, or the text would not read back as the same text; and no "-0.0".
            let tenths = (db * 10.0).round() / 10.0;
            if tenths <= SILENCE_DB {
                "-inf".into()
            } else {
                format!("{:.1}", if tenths == 0.0 { 0.0 } else { tenths })
            }
        }))
        .with_string_to_value(Arc::new(|text| {
            let number = text.trim_end_matches([' ', 'd', 'D', 'b', 'B']).trim();
            if number.eq_ignore_ascii_case("-inf") {
                return Some(SILENCE_DB);
            }
            number.parse().ok().filter(|db: &f32| db.is_finite())
        }))
}

/// The greatest value of a parameter that is a key: MIDI key 127, plus 1.
pub const MAX_PITCH: i32 = 128;

/// A MIDI key as musicians call it; middle C, key 60, is C4.
pub fn key_name(key: i32) -> String {
    const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
    format!("{}{}", NAMES[key.rem_euclid(12) as usize], key.div_euclid(12) - 1)
}

/// A MIDI key by its name, or nothing.
fn key(name: &str, nothing: &'static str) -> IntParam {
    IntParam::new(name, 0, IntRange::Linear { min: 0, max: MAX_PITCH })
        .with_value_to_string(Arc::new(move |value| if value == 0 { nothing.into() } else { key_name(value - 1) }))
        .with_string_to_value(Arc::new(move |text| {
            let text = text.trim();
            (0..MAX_PITCH)
                .find(|&key| key_name(key).eq_ignore_ascii_case(text))
                .map(|key| key + 1)
                .or_else(|| text.eq_ignore_ascii_case(nothing).then_some(0))
        }))
}

/// The MIDI key of such a parameter.
fn key_of(param: &IntParam) -> Option<u8> {
    u8::try_from(param.value() - 1).ok().filter(|&key| key < 128)
}

/// An id that a project asks for and this installation lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lost {
    id: String,
    /// The index the parameter had when the id was loaded. Once the musician chooses another, the id is let go.
    index: i32,
}

/// The id that a list parameter stands for: the entry at its index, unless a project asked for one we lack.
#[derive(Debug, Default)]
pub struct Choice {
    lost: Mutex<Option<Lost>>,
}

impl Choice {
    /// The id to save and to ask the engine for.
    pub fn id<T: menu::Named>(&self, entries: &[T], index: i32) -> String {
        let lost = self.lost.lock();
        match lost.as_ref().filter(|lost| lost.index == index) {
            Some(lost) => lost.id.clone(),
            None => menu::at(entries, index).map_or_else(String::new, |entry| entry.id().to_owned()),
        }
    }

    /// The id that is asked for and not installed, while the parameter still stands for it.
    pub fn lost(&self, index: i32) -> Option<String> {
        self.lost.lock().as_ref().filter(|lost| lost.index == index).map(|lost| lost.id.clone())
    }

    /// Lets go of an id that is not installed: the musician has chosen.
    pub fn settle(&self) {
        *self.lost.lock() = None;
    }

    /// Takes up what a project asks for; `index` is the parameter's place after the load.
    pub fn load<T: menu::Named>(&self, entries: &[T], id: &str, index: i32) {
        let known = entries.iter().any(|entry| entry.id() == id);
        *self.lost.lock() = (!known && !id.is_empty()).then(|| Lost { id: id.to_owned(), index });
    }
}

/// The parameters together with what a project saves besides them.
pub struct Parameters {
    /// The host's view.
    pub controls: Controls,
    /// Which performance the project asks for.
    pub performance: Choice,
    /// Which ensemble the project asks for.
    pub ensemble: Choice,
    /// Rung by every change that the engine must hear of, a loaded project included (neither `activate`
    /// nor `reset` runs after that).
    pub wake: Arc<Wake>,
    /// What there is to say about the last loaded project.
    notice: Mutex<Option<String>>,
    /// The editor's size in logical points, kept with the project.
    editor_size: Mutex<[u16; 2]>,
}

impl Default for Parameters {
    fn default() -> Self {
        let wake = Arc::new(Wake::default());
        Self {
            controls: Controls::new(&wake),
            performance: Choice::default(),
            ensemble: Choice::default(),
            wake,
            notice: Mutex::new(None),
            editor_size: Mutex::new(saved::EDITOR_SIZE),
        }
    }
}

impl Parameters {
    /// The performance to ask the engine for.
    pub fn performance_id(&self) -> String {
        self.performance.id(menu::performances(), self.controls.performance.value())
    }

    /// The ensemble to ask the engine for.
    pub fn ensemble_id(&self) -> String {
        self.ensemble.id(menu::ensembles(), self.controls.ensemble.value())
    }

    /// How notes are to be given out; `None` is as the ensemble says.
    pub fn method(&self) -> Option<Method> {
        menu::at(menu::methods(), self.controls.method.value()).and_then(|entry| entry.method)
    }

    /// Which parts play, and about how high.
    pub fn hints(&self) -> Hints {
        let parts = &self.controls.parts;
        Hints {
            on: std::array::from_fn(|part| parts[part].on.value()),
            pitch: std::array::from_fn(|part| key_of(&parts[part].pitch)),
        }
    }

    /// Where the zones of the split keyboard were drawn: the lowest key of every part but the last.
    pub fn zones(&self) -> [Option<u8>; MAX_PARTS - 1] {
        std::array::from_fn(|zone| key_of(&self.controls.zones[zone].lowest))
    }

    /// Whether notes are to be given out by zones of the keyboard.
    pub fn splits(&self) -> bool {
        let ensembles = self.shown_ensemble().map(|ensemble| ensemble.method);
        self.method().or(ensembles) == Some(Method::Split)
    }

    /// The ensemble whose parts are shown: the one at the parameter's index.
    pub fn shown_ensemble(&self) -> Option<&'static Ensemble> {
        menu::at(menu::ensembles(), self.controls.ensemble.value())
    }

    /// What there is to say about the last loaded project, in a sentence.
    pub fn notice(&self) -> Option<String> {
        self.notice.lock().clone()
    }

    /// The editor's size in logical points.
    pub fn editor_size(&self) -> [u16; 2] {
        *self.editor_size.lock()
    }

    /// Remembers the editor's size for the project.
    pub fn set_editor_size(&self, size: [u16; 2]) {
        *self.editor_size.lock() = saved::clamp_size(size);
    }
}

// SAFETY: the pointers of `param_map` point into `self.controls`, which lives as long as `self`; the framework
// keeps the `Arc` that `Instrument::params` returns.
unsafe impl Params for Parameters {
    fn param_map(&self) -> Vec<(String, ParamPtr, String)> {
        self.controls.param_map()
    }

    fn serialize_fields(&self) -> BTreeMap<String, String> {
        Saved::new(self.performance_id(), self.ensemble_id(), self.editor_size()).to_fields()
    }

    /// Runs after the parameters have been set from a state that `saved::filter` has put in order.
    fn deserialize_fields(&self, fields: &BTreeMap<String, String>) {
        let (saved, notice) = Saved::from_fields(fields);
        if let Some(saved) = saved {
            self.performance.load(menu::performances(), &saved.performance, self.controls.performance.value());
            self.ensemble.load(menu::ensembles(), &saved.ensemble, self.controls.ensemble.value());
            self.set_editor_size(saved.editor);
        } else {
            self.performance.settle();
            self.ensemble.settle();
        }
        *self.notice.lock() = notice;
        self.wake.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host asks for the text of a value, for the value of that text, and for its text again (clap-validator's
    /// `param-conversions`). All of it must agree.
    #[test]
    fn texts_and_values_of_every_parameter_read_back() {
        let parameters = Parameters::default();
        for (id, ptr, _) in parameters.param_map() {
            for normalized in (0..=100).map(|percent| percent as f32 / 100.0) {
                // SAFETY: `parameters` lives.
                let (text, value, again) = unsafe {
                    let text = ptr.normalized_value_to_string(normalized, true);
                    let value = ptr.string_to_normalized_value(&text);
                    let again = value.map(|value| ptr.normalized_value_to_string(value, true));
                    (text, value, again)
                };
                assert_eq!(again.as_ref(), Some(&text), "{id}: {normalized} reads {text}, which is {value:?}");
            }
        }
    }

    #[test]
    fn ids_are_unique_and_stable() {
        let ids: Vec<_> = Parameters::default().param_map().into_iter().map(|(id, ..)| id).collect();
        let first = "performance ensemble mode quality guidance_notes guidance_performance sustain gain";
        assert_eq!(ids[..8].join(" "), first);
        assert_eq!(ids[8], "method");
        let of_parts = (1..=8).flat_map(|part| ["gain", "on", "pitch"].map(|id| format!("{id}_{part}")));
        let of_zones = (1..8).map(|zone| format!("split_{zone}"));
        let of_composer = crate::composing::defaults().map(|(id, _)| id.to_owned());
        assert_eq!(ids[9..], of_parts.chain(of_zones).chain(of_composer).collect::<Vec<_>>());
    }

    #[test]
    fn names_of_lists_are_unique() {
        for names in [
            menu::performances().iter().map(menu::Named::name).collect::<Vec<_>>(),
            menu::ensembles().iter().map(menu::Named::name).collect(),
        ] {
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn a_turned_parameter_wakes_the_clerk_once() {
        use nice_plug::params::InternalParamMut;
        let parameters = Parameters::default();
        // SAFETY: `parameters` lives.
        unsafe {
            parameters.controls.quality._internal_set_plain_value(9);
            parameters.controls.quality._internal_set_plain_value(9);
        }
        assert_eq!(parameters.wake.generation(), 1);
    }
}
