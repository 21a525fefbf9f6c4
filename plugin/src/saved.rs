//! What a project keeps of us, and what we make of a project that was not written by us.
//!
//! The framework keeps parameters by id and our own fields as JSON. [`filter`] sees a state before it is
//! loaded: it turns ids of performances and ensembles into this version's indices, and replaces what is not ours.
//! Bytes that are not even JSON never come this far; the framework refuses them and nothing changes.

use crate::composing;
use crate::gains::{MAX_DB, SILENCE_DB};
use crate::menu::{self, Named};
use crate::parameters::{MAX_GUIDANCE, MAX_PITCH, MAX_STEPS, MIN_GUIDANCE};
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::PluginState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that this code writes. 2: method, switches and pitches of parts; 3: zones of the split keyboard; 4: the
/// composer; 5: its tempo. What an earlier one lacks is as a new instance has it, which is how it sounded.
pub const VERSION: u32 = 5;
/// The name of our one field in the state.
const FIELD: &str = "ripieno";
/// The name of the field by which [`filter`] tells [`Saved::from_fields`] why a state was refused. Never saved.
const REFUSED: &str = "ripieno_refused";

/// The editor's first size, logical points.
pub const EDITOR_SIZE: [u16; 2] = [1000, 640];
/// The editor's least size, logical points.
pub const EDITOR_MIN_SIZE: [u16; 2] = [820, 540];
/// The editor's greatest size, logical points: two 4K screens side by side.
const EDITOR_MAX_SIZE: [u16; 2] = [7680, 4320];

/// A size within what the editor can show.
pub fn clamp_size(size: [u16; 2]) -> [u16; 2] {
    [0, 1].map(|axis| size[axis].clamp(EDITOR_MIN_SIZE[axis], EDITOR_MAX_SIZE[axis]))
}

/// What is saved besides the parameters. The version is the first field, in the text as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    /// Id of the performance.
    pub performance: String,
    /// Id of the ensemble.
    pub ensemble: String,
    /// The editor's size in logical points.
    #[serde(default = "default_size")]
    pub editor: [u16; 2],
}

fn default_size() -> [u16; 2] {
    EDITOR_SIZE
}

impl Saved {
    /// What this version saves.
    pub fn new(performance: String, ensemble: String, editor: [u16; 2]) -> Self {
        Self { version: VERSION, performance, ensemble, editor }
    }

    /// The fields of a state.
    pub fn to_fields(&self) -> BTreeMap<String, String> {
        // A struct of strings and numbers always serialises.
        serde_json::to_string(self).map(|text| BTreeMap::from([(FIELD.to_owned(), text)])).unwrap_or_default()
    }

    /// Reads the fields of a state that [`filter`] has seen: what it keeps, and a sentence if there is something to say.
    pub fn from_fields(fields: &BTreeMap<String, String>) -> (Option<Self>, Option<String>) {
        if let Some(reason) = fields.get(REFUSED) {
            return (None, Some(reason.clone()));
        }
        match fields.get(FIELD).and_then(|text| serde_json::from_str::<Self>(text).ok()) {
            Some(saved) if saved.version > VERSION => {
                let sentence = "This project was saved by a newer Ripieno; what this one does not know is left out.";
                (Some(saved), Some(sentence.into()))
            }
            saved => (saved, None),
        }
    }
}

/// Puts a state in order before it is loaded: known ids become indices, values come into range, and a state that is not
/// ours is replaced by the defaults.
pub fn filter(state: &mut PluginState) {
    let ours = state.fields.get(FIELD).and_then(|text| serde_json::from_str::<Saved>(text).ok());
    let Some(saved) = ours else {
        state.params = defaults();
        let sentence = "The saved settings could not be read, so Ripieno starts with its own.";
        state.fields = BTreeMap::from([(REFUSED.to_owned(), sentence.to_owned())]);
        return;
    };
    state.fields.remove(REFUSED);
    let defaults = defaults();
    state.params.retain(|id, value| match (defaults.get(id), value) {
        (Some(ParamValue::I32(_)), ParamValue::I32(number)) => {
            let (least, greatest) = composing::whole_range(id).unwrap_or_else(|| (0, greatest(id)));
            *number = (*number).clamp(least, greatest);
            true
        }
        (Some(ParamValue::F32(_)), ParamValue::F32(number)) => {
            let (min, max) = composing::range(id).unwrap_or_else(|| range(id));
            *number = number.clamp(min, max);
            number.is_finite()
        }
        (Some(ParamValue::String(_)), ParamValue::String(_)) => true,
        (Some(ParamValue::Bool(_)), ParamValue::Bool(_)) => id != "sustain",
        // The pedal's place is under the foot: a project never opens with it down.
        _ => false,
    });
    // What the state does not say is set to its default, not left as the last project had it.
    for (id, value) in defaults {
        state.params.entry(id).or_insert(value);
    }
    set_index(state, "performance", menu::performances(), &saved.performance);
    set_index(state, "ensemble", menu::ensembles(), &saved.ensemble);
}

fn set_index<T: Named>(state: &mut PluginState, parameter: &str, entries: &[T], id: &str) {
    if let Some(index) = entries.iter().position(|entry| entry.id() == id) {
        state.params.insert(parameter.to_owned(), ParamValue::I32(index as i32));
    }
}

/// Every parameter as a new instance has it.
fn defaults() -> BTreeMap<String, ParamValue> {
    let mut params = BTreeMap::from([
        ("performance".to_owned(), ParamValue::I32(menu::default_performance())),
        ("ensemble".to_owned(), ParamValue::I32(menu::default_ensemble())),
        ("method".to_owned(), ParamValue::I32(0)),
        ("mode".to_owned(), ParamValue::String("live".to_owned())),
        ("quality".to_owned(), ParamValue::I32(menu::DEFAULT_STEPS)),
        ("guidance_notes".to_owned(), ParamValue::F32(menu::DEFAULT_GUIDANCE)),
        ("guidance_performance".to_owned(), ParamValue::F32(menu::DEFAULT_GUIDANCE)),
        ("sustain".to_owned(), ParamValue::Bool(false)),
        ("gain".to_owned(), ParamValue::F32(0.0)),
    ]);
    params.extend(composing::defaults().map(|(id, value)| (id.to_owned(), value)));
    params.extend((1..=ripieno_engine::stream::MAX_PARTS).flat_map(|part| {
        [
            (format!("gain_{part}"), ParamValue::F32(0.0)),
            (format!("on_{part}"), ParamValue::Bool(true)),
            (format!("pitch_{part}"), ParamValue::I32(0)),
        ]
    }));
    params.extend((1..ripieno_engine::stream::MAX_PARTS).map(|zone| (format!("split_{zone}"), ParamValue::I32(0))));
    params
}

/// The greatest value of a whole-numbered parameter.
fn greatest(id: &str) -> i32 {
    let last = |count: usize| count.saturating_sub(1) as i32;
    match id {
        "performance" => last(menu::performances().len()),
        "ensemble" => last(menu::ensembles().len()),
        "method" => last(menu::methods().len()),
        _ if id.starts_with("pitch_") || id.starts_with("split_") => MAX_PITCH,
        _ => MAX_STEPS,
    }
}

/// Least and greatest value of a continuous parameter.
fn range(id: &str) -> (f32, f32) {
    if id.starts_with("guidance") { (MIN_GUIDANCE, MAX_GUIDANCE) } else { (SILENCE_DB, MAX_DB) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{Choice, Parameters, PlayMode};
    use nice_plug::params::InternalParamMut;
    use nice_plug::params::internals::ParamPtr;
    use nice_plug::prelude::Params;
    use ripieno_engine::arranger::{Hints, Method};
    use ripieno_engine::composer::live::{LiveMode, LiveSettings};

    /// What the framework does with a project: saves it,
    fn save(parameters: &Parameters) -> PluginState {
        let value = |ptr| {
            // SAFETY: the pointers come from `parameters`, which lives.
            unsafe {
                match ptr {
                    ParamPtr::FloatParam(p) => ParamValue::F32((*p).value()),
                    ParamPtr::IntParam(p) => ParamValue::I32((*p).value()),
                    ParamPtr::BoolParam(p) => ParamValue::Bool((*p).value()),
                    ParamPtr::EnumParam(p) => {
                        use nice_plug::prelude::Param;
                        ParamValue::String(if (*p).modulated_plain_value() == 0 { "live" } else { "sync" }.into())
                    }
                }
            }
        };
        PluginState {
            version: "0.1.0".into(),
            params: parameters.param_map().into_iter().map(|(id, ptr, _)| (id, value(ptr))).collect(),
            fields: parameters.serialize_fields(),
        }
    }

    /// and loads it.
    fn load(parameters: &Parameters, state: &mut PluginState) {
        filter(state);
        for (id, ptr, _) in parameters.param_map() {
            // SAFETY: as above.
            unsafe {
                match (ptr, state.params.get(&id)) {
                    (ParamPtr::FloatParam(p), Some(ParamValue::F32(v))) => (*p)._internal_set_plain_value(*v),
                    (ParamPtr::IntParam(p), Some(ParamValue::I32(v))) => (*p)._internal_set_plain_value(*v),
                    (ParamPtr::BoolParam(p), Some(ParamValue::Bool(v))) => (*p)._internal_set_plain_value(*v),
                    (ParamPtr::EnumParam(p), Some(ParamValue::String(v))) => (*p).set_from_id(v),
                    (_, value) => panic!("{id} is given {value:?}"),
                };
            }
        }
        parameters.deserialize_fields(&state.fields);
    }

    fn set(parameters: &Parameters, performance: i32, quality: i32, gain: f32) {
        // SAFETY: as above.
        unsafe {
            parameters.controls.performance._internal_set_plain_value(performance);
            parameters.controls.quality._internal_set_plain_value(quality);
            parameters.controls.parts[3].gain._internal_set_plain_value(gain);
            parameters.controls.sustain._internal_set_plain_value(true);
        }
    }

    #[test]
    fn every_parameter_has_a_default_for_states_that_lack_it() {
        let ids: Vec<_> = Parameters::default().param_map().into_iter().map(|(id, ..)| id).collect();
        let mut known: Vec<_> = defaults().into_keys().collect();
        known.sort_by_key(|id| ids.iter().position(|other| other == id));
        assert_eq!(ids, known);
        let new = save(&Parameters::default());
        assert_eq!(format!("{:?}", new.params), format!("{:?}", defaults()));
    }

    #[test]
    fn a_state_comes_back_except_for_the_pedal() {
        let before = Parameters::default();
        set(&before, 5, 11, -13.5);
        before.set_editor_size([1200, 700]);
        let mut state = save(&before);
        let after = Parameters::default();
        let generation = after.wake.generation();
        load(&after, &mut state);
        assert_eq!(after.performance_id(), menu::performances()[5].id());
        assert_eq!(after.controls.quality.value(), 11);
        assert_eq!(after.controls.parts[3].gain.value(), -13.5);
        assert!(!after.controls.sustain.value());
        assert_eq!(after.editor_size(), [1200, 700]);
        assert_eq!(after.notice(), None);
        assert!(after.wake.generation() > generation, "neither activate nor reset runs after a load");
    }

    /// A project as a version wrote it: what the code of its time handed to a CLAP host, its JSON indented.
    fn released(version: u32) -> PluginState {
        let file = format!("{}/tests/states/version-{version}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Settings of the composer that the fixtures from version 4 on hold; from version 5 on with a tempo.
    fn accompanying(version: u32) -> LiveSettings {
        LiveSettings {
            tempo: (version >= 5).then_some(100.0),
            taps: 0,
            mode: LiveMode::Accompany,
            own_part: 1,
            lowest: 48,
            highest: 84,
            per_beat: 3,
            chord_tones: true,
            temperature: 0.799_999_95,
            look_ahead: 4.0,
            from_bar: true,
        }
    }

    #[test]
    fn projects_of_every_released_version_load_as_they_were() {
        for version in 1..=VERSION {
            let mut state = released(version);
            assert!(state.fields[FIELD].starts_with(&format!("{{\"version\":{version},")));
            let parameters = Parameters::default();
            // What the last project had must not stay where this one says nothing.
            // SAFETY: as above.
            unsafe {
                parameters.controls.zones[0].lowest._internal_set_plain_value(70);
                parameters.controls.composer.mode._internal_set_plain_value(1);
            }
            load(&parameters, &mut state);
            assert_eq!(parameters.notice(), None);
            assert_eq!(
                (parameters.performance_id().as_str(), parameters.ensemble_id().as_str()),
                ("brass-hall", "satb-choir")
            );
            let controls = &parameters.controls;
            assert_eq!((controls.quality.value(), controls.mode.value()), (9, PlayMode::Sync));
            assert_eq!((controls.guidance_notes.value(), controls.guidance_performance.value()), (1.5, 1.0));
            assert_eq!((controls.gain.value(), controls.parts[3].gain.value()), (-3.0, -13.5));
            assert_eq!(parameters.editor_size(), [1100, 700]);
            let mut hints = Hints::default();
            if version >= 2 {
                hints.on[2] = false;
                hints.pitch[0] = Some(72);
            }
            assert_eq!((parameters.hints(), parameters.method()), (hints, (version >= 2).then_some(Method::Split)));
            let mut zones = [None; 7];
            if version >= 3 {
                (zones[1], zones[2]) = (Some(60), Some(43));
            }
            assert_eq!(parameters.zones(), zones);
            let composer = if version >= 4 { accompanying(version) } else { LiveSettings::default() };
            assert_eq!(controls.composer.settings(), composer, "version {version}");
        }
    }

    /// A version that nobody may add without leaving a project of it behind.
    #[test]
    fn what_this_version_saves_is_what_its_fixture_holds() {
        let parameters = Parameters::default();
        load(&parameters, &mut released(VERSION));
        let (saved, mut fixture) = (save(&parameters), released(VERSION));
        // The pedal's place is under the foot.
        fixture.params.insert("sustain".into(), ParamValue::Bool(false));
        assert_eq!(saved.fields, fixture.fields);
        let ids = |state: &PluginState| state.params.keys().cloned().collect::<Vec<_>>();
        assert_eq!(ids(&saved), ids(&fixture));
        for (id, value) in &saved.params {
            // Their places in the menus may change; the names in the fields count.
            let of_a_menu = ["performance", "ensemble"].contains(&id.as_str());
            assert!(of_a_menu || format!("{value:?}") == format!("{:?}", fixture.params[id]), "{id}: {value:?}");
        }
    }

    #[test]
    fn a_project_of_version_1_has_every_part_playing_as_it_had() {
        let mut state = released(1);
        let parameters = Parameters::default();
        // SAFETY: as above.
        unsafe {
            parameters.controls.parts[2].on._internal_set_plain_value(false);
            parameters.controls.method._internal_set_plain_value(3);
        }
        load(&parameters, &mut state);
        assert_eq!((parameters.hints(), parameters.method()), (Hints::default(), None));
        assert_eq!(parameters.notice(), None);
    }

    #[test]
    fn switches_pitches_and_method_come_back() {
        let before = Parameters::default();
        // SAFETY: as above.
        unsafe {
            before.controls.parts[2].on._internal_set_plain_value(false);
            before.controls.parts[0].pitch._internal_set_plain_value(73);
            before.controls.method._internal_set_plain_value(2);
        }
        let after = Parameters::default();
        load(&after, &mut save(&before));
        assert_eq!((after.hints(), after.method()), (before.hints(), Some(Method::Split)));
        assert_eq!((after.hints().on[2], after.hints().pitch[0]), (false, Some(72)));
    }

    #[test]
    fn zones_come_back() {
        let before = Parameters::default();
        // SAFETY: as above.
        unsafe { before.controls.zones[1].lowest._internal_set_plain_value(61) };
        let after = Parameters::default();
        load(&after, &mut save(&before));
        assert_eq!(after.zones()[..3], [None, Some(60), None]);
    }

    #[test]
    fn the_version_is_the_first_thing_saved() {
        let fields = Saved::new("a".into(), "b".into(), EDITOR_SIZE).to_fields();
        assert!(fields[FIELD].starts_with(&format!("{{\"version\":{VERSION},")), "{}", fields[FIELD]);
    }

    #[test]
    fn ids_win_over_indices() {
        let mut state = save(&Parameters::default());
        state.params.insert("performance".into(), ParamValue::I32(0));
        state.fields = Saved::new(menu::performances()[7].id().into(), "solo".into(), EDITOR_SIZE).to_fields();
        let parameters = Parameters::default();
        load(&parameters, &mut state);
        assert_eq!(parameters.controls.performance.value(), 7);
        assert_eq!(parameters.ensemble_id(), "solo");
    }

    #[test]
    fn what_is_not_installed_keeps_its_name_until_another_is_chosen() {
        let mut state = save(&Parameters::default());
        state.fields = Saved::new("gamelan-pendopo".into(), "gamelan".into(), EDITOR_SIZE).to_fields();
        let parameters = Parameters::default();
        load(&parameters, &mut state);
        assert_eq!(parameters.performance_id(), "gamelan-pendopo");
        assert_eq!(parameters.ensemble_id(), "gamelan");

        // Loaded and saved again they are still there,
        let again = Parameters::default();
        load(&again, &mut save(&parameters));
        let controls = &again.controls;
        assert_eq!(again.performance.lost(controls.performance.value()).as_deref(), Some("gamelan-pendopo"));
        assert_eq!(again.ensemble.lost(controls.ensemble.value()).as_deref(), Some("gamelan"));
        // and the musician's choice replaces them.
        set(&again, 0, 4, 0.0);
        // SAFETY: as above.
        unsafe { again.controls.ensemble._internal_set_plain_value(0) };
        assert_eq!(again.performance_id(), menu::performances()[0].id());
        assert_eq!(again.ensemble_id(), menu::ensembles()[0].id());
    }

    /// An entry of a menu of another day.
    struct Entry(&'static str);

    impl Named for Entry {
        fn id(&self) -> &str {
            self.0
        }

        fn name(&self) -> &str {
            self.0
        }
    }

    #[test]
    fn what_was_missing_is_chosen_again_when_it_returns() {
        let (without, with) =
            ([Entry("strings"), Entry("brass")], [Entry("strings"), Entry("gamelan"), Entry("brass")]);
        let open = |menu: &[Entry], index, id: &str| {
            let mut state = save(&Parameters::default());
            state.params.insert("performance".into(), ParamValue::I32(index));
            set_index(&mut state, "performance", menu, id);
            let ParamValue::I32(index) = state.params["performance"] else { panic!("a menu's place is a number") };
            let choice = Choice::default();
            choice.load(menu, id, index);
            (index, choice.id(menu, index), choice.lost(index))
        };
        // Saved where the gamelan is, opened and saved where it is not, and opened where it is again.
        let (index, id, lost) = open(&without, 1, "gamelan");
        assert_eq!((index, id.as_str(), lost.as_deref()), (1, "gamelan", Some("gamelan")));
        assert_eq!(open(&with, index, &id), (1, "gamelan".to_owned(), None));
        // The same after the menu has been put in another order.
        let reordered = [Entry("brass"), Entry("strings"), Entry("gamelan")];
        assert_eq!(open(&reordered, index, &id), (2, "gamelan".to_owned(), None));
    }

    #[test]
    fn what_is_not_ours_is_refused_with_a_sentence_and_the_defaults() {
        let foreign = [
            BTreeMap::new(),
            BTreeMap::from([(FIELD.to_owned(), "garbage".to_owned())]),
            BTreeMap::from([(FIELD.to_owned(), "{\"version\":\"x\"}".to_owned())]),
            BTreeMap::from([("other".to_owned(), "{}".to_owned())]),
        ];
        for fields in foreign {
            let parameters = Parameters::default();
            set(&parameters, 5, 11, -13.5);
            let mut state = PluginState { version: String::new(), params: BTreeMap::new(), fields };
            state.params.insert("quality".into(), ParamValue::String("x".into()));
            load(&parameters, &mut state);
            assert!(parameters.notice().is_some());
            assert_eq!(parameters.controls.quality.value(), menu::DEFAULT_STEPS);
            assert_eq!(parameters.controls.performance.value(), menu::default_performance());
        }
    }

    #[test]
    fn wild_values_come_into_range() {
        let mut state = save(&Parameters::default());
        for id in ["performance", "ensemble", "quality"] {
            state.params.insert(id.into(), ParamValue::I32(i32::MAX));
        }
        for id in ["gain", "gain_8", "guidance_notes"] {
            state.params.insert(id.into(), ParamValue::F32(1e30));
        }
        state.params.insert("guidance_performance".into(), ParamValue::F32(f32::NAN));
        state.params.insert("mode".into(), ParamValue::String("backwards".into()));
        state.params.insert("unknown".into(), ParamValue::Bool(true));
        state.fields = Saved::new("x".into(), "y".into(), [u16::MAX, 0]).to_fields();
        let parameters = Parameters::default();
        load(&parameters, &mut state);
        let controls = &parameters.controls;
        assert_eq!(controls.performance.value() as usize, menu::performances().len() - 1);
        assert_eq!(controls.quality.value(), MAX_STEPS);
        assert_eq!(controls.gain.value(), MAX_DB);
        assert_eq!(controls.guidance_performance.value(), menu::DEFAULT_GUIDANCE);
        assert_eq!(controls.mode.value(), PlayMode::Live);
        assert_eq!(parameters.editor_size(), [EDITOR_MAX_SIZE[0], EDITOR_MIN_SIZE[1]]);
    }

    #[test]
    fn a_newer_project_loads_and_says_so() {
        let mut state = save(&Parameters::default());
        let text =
            state.fields[FIELD].replace(&format!("\"version\":{VERSION}"), "\"version\":99,\"weather\":\"fair\"");
        state.fields.insert(FIELD.into(), text);
        let parameters = Parameters::default();
        load(&parameters, &mut state);
        assert!(parameters.notice().is_some_and(|notice| notice.contains("newer")));
    }
}
