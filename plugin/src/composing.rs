//! The composer's controls: whether it goes on or accompanies, and within which limits.

use crate::parameters::Wake;
use nice_plug::plugin::ParamValue;
use nice_plug::prelude::*;
use parking_lot::Mutex;
use ripieno_engine::composer::live::{LiveMode, LiveSettings};
use ripieno_engine::stream::MAX_PARTS;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Its modes in the order of the menu; projects save the place.
const MODES: [(LiveMode, &str); 3] =
    [(LiveMode::Off, "Off"), (LiveMode::Continue, "Continue"), (LiveMode::Accompany, "Accompany")];
/// The greatest density: notes that begin in a beat.
const MAX_DENSITY: i32 = 16;
/// The most beats that are planned ahead.
const MAX_AHEAD: i32 = 4;
/// Least and greatest temperature.
const TEMPERATURE: (f32, f32) = (0.2, 1.8);
/// Slowest and fastest tempo that can be set, quarter notes a minute.
const TEMPI: (i32, i32) = (40, 300);
/// Taps that a tempo is the mean of, and seconds after which taps begin anew.
const TAPS: usize = 8;
const PAUSE: f64 = 2.0;
const NOTES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

/// What the host sees of the composer.
#[derive(Params)]
pub struct ComposerControls {
    /// Index into the modes.
    #[id = "compose_mode"]
    pub mode: IntParam,
    /// Accompany: the part that the musician plays, from 1.
    #[id = "compose_own"]
    pub own_part: IntParam,
    /// Most notes that begin in a beat; 0 is any number.
    #[id = "compose_density"]
    pub density: IntParam,
    /// Lowest MIDI key.
    #[id = "compose_low"]
    pub low: IntParam,
    /// Highest MIDI key, included.
    #[id = "compose_high"]
    pub high: IntParam,
    /// Only tones of the chord that is held.
    #[id = "compose_chord"]
    pub chord_tones: BoolParam,
    /// How adventurous it is.
    #[id = "compose_temperature"]
    pub temperature: FloatParam,
    /// Beats that are planned ahead.
    #[id = "compose_ahead"]
    pub look_ahead: IntParam,
    /// Continue: from the next bar, not the next beat.
    #[id = "compose_bar"]
    pub from_bar: BoolParam,
    /// Where no transport runs: quarter notes a minute, less 39; 0 is as the musician plays.
    #[id = "compose_tempo"]
    pub tempo: IntParam,
    /// What was tapped; not the host's.
    taps: Taps,
}

/// Taps on a button.
#[derive(Default)]
struct Taps {
    times: Mutex<VecDeque<f64>>,
    count: AtomicU64,
}

impl Taps {
    /// A tap, seconds on any clock; from the second on the tempo that they tell.
    fn tap(&self, seconds: f64) -> Option<f64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock();
        if times.back().is_some_and(|last| !(0.0..PAUSE).contains(&(seconds - last))) {
            times.clear();
        }
        if times.len() == TAPS {
            times.pop_front();
        }
        times.push_back(seconds);
        let (first, last) = (times.front()?, times.back()?);
        (last > first).then(|| 60.0 * (times.len() - 1) as f64 / (last - first))
    }
}

impl ComposerControls {
    /// Controls whose every change rings.
    pub fn new(wake: &Arc<Wake>) -> Self {
        let wakes = || Arc::clone(wake);
        let int = |name: &str, default, min, max| {
            let wake = wakes();
            IntParam::new(name, default, IntRange::Linear { min, max }).with_callback(Arc::new(move |_| wake.ring()))
        };
        let switch = |name: &str| {
            let wake = wakes();
            BoolParam::new(name, false).with_callback(Arc::new(move |_| wake.ring()))
        };
        let key = |name: &str, default| {
            let name_of = |key: i32| format!("{}{}", NOTES[key.rem_euclid(12) as usize], key.div_euclid(12) - 1);
            int(name, default, 0, 127).with_value_to_string(Arc::new(name_of)).with_string_to_value(Arc::new(
                move |text| (0..128).find(|&key| name_of(key).eq_ignore_ascii_case(text.trim())),
            ))
        };
        let rings = wakes();
        Self {
            mode: int("Composer", 0, 0, MODES.len() as i32 - 1)
                .with_value_to_string(Arc::new(|index| mode(index).1.to_owned()))
                .with_string_to_value(Arc::new(|text| {
                    let place = MODES.iter().position(|(_, name)| name.eq_ignore_ascii_case(text.trim()));
                    place.map(|place| place as i32)
                })),
            own_part: int("Composer: your part", 1, 1, MAX_PARTS as i32),
            density: int("Composer: notes per beat", 0, 0, MAX_DENSITY)
                .with_value_to_string(Arc::new(|notes| if notes == 0 { "Any".into() } else { notes.to_string() }))
                .with_string_to_value(Arc::new(|text| {
                    let text = text.trim();
                    if text.eq_ignore_ascii_case("any") { Some(0) } else { text.parse().ok() }
                })),
            low: key("Composer: lowest", 0),
            high: key("Composer: highest", 127),
            chord_tones: switch("Composer: chord tones only"),
            temperature: FloatParam::new(
                "Composer: temperature",
                1.0,
                FloatRange::Linear { min: TEMPERATURE.0, max: TEMPERATURE.1 },
            )
            .with_step_size(0.01)
            .with_value_to_string(formatters::v2s_f32_rounded(2))
            .with_callback(Arc::new(move |_| rings.ring())),
            look_ahead: int("Composer: beats ahead", 2, 1, MAX_AHEAD),
            from_bar: switch("Composer: from the next bar"),
            tempo: int("Composer: tempo without a transport", 0, 0, TEMPI.1 - TEMPI.0 + 1)
                .with_value_to_string(Arc::new(|value| {
                    tempo(value).map_or_else(|| AS_PLAYED.to_owned(), |tempo| tempo.to_string())
                }))
                .with_string_to_value(Arc::new(|text| {
                    let text = text.trim();
                    let number = text.parse::<f64>().ok().filter(|tempo| tempo.is_finite()).map(value_of);
                    number.or_else(|| text.eq_ignore_ascii_case(AS_PLAYED).then_some(0))
                })),
            taps: Taps::default(),
        }
    }

    /// The musician taps, at seconds on any clock. Here is a beat; from the second tap on, the parameter's value for the
    /// tempo that was tapped. Whoever calls sets it, and wakes the clerk.
    pub fn tap(&self, seconds: f64) -> Option<i32> {
        self.taps.tap(seconds).map(value_of)
    }

    /// What to ask the engine for.
    pub fn settings(&self) -> LiveSettings {
        let key = |param: &IntParam| u8::try_from(param.value()).unwrap_or(127).min(127);
        LiveSettings {
            mode: mode(self.mode.value()).0,
            own_part: usize::try_from(self.own_part.value() - 1).unwrap_or(0),
            lowest: key(&self.low),
            highest: key(&self.high),
            per_beat: u32::try_from(self.density.value()).unwrap_or(0),
            chord_tones: self.chord_tones.value(),
            temperature: self.temperature.value(),
            look_ahead: f64::from(self.look_ahead.value()),
            from_bar: self.from_bar.value(),
            tempo: tempo(self.tempo.value()).map(f64::from),
            taps: self.taps.count.load(Ordering::Relaxed),
        }
    }
}

/// How a tempo is called that the musician's playing tells.
const AS_PLAYED: &str = "As played";

/// The tempo at a value of its parameter.
fn tempo(value: i32) -> Option<i32> {
    (value > 0).then_some(TEMPI.0 - 1 + value)
}

/// The value of the nearest tempo that can be set.
fn value_of(tempo: f64) -> i32 {
    tempo.round().clamp(f64::from(TEMPI.0), f64::from(TEMPI.1)) as i32 - TEMPI.0 + 1
}

fn mode(index: i32) -> (LiveMode, &'static str) {
    let place = usize::try_from(index).unwrap_or(0);
    MODES.get(place).copied().unwrap_or(MODES[0])
}

/// The controls as a new instance has them, by id.
pub fn defaults() -> [(&'static str, ParamValue); 10] {
    [
        ("compose_mode", ParamValue::I32(0)),
        ("compose_own", ParamValue::I32(1)),
        ("compose_density", ParamValue::I32(0)),
        ("compose_low", ParamValue::I32(0)),
        ("compose_high", ParamValue::I32(127)),
        ("compose_chord", ParamValue::Bool(false)),
        ("compose_temperature", ParamValue::F32(1.0)),
        ("compose_ahead", ParamValue::I32(2)),
        ("compose_bar", ParamValue::Bool(false)),
        ("compose_tempo", ParamValue::I32(0)),
    ]
}

/// Least and greatest value of a whole-numbered control; nothing for those that are not the composer's.
pub fn whole_range(id: &str) -> Option<(i32, i32)> {
    Some(match id {
        "compose_mode" => (0, MODES.len() as i32 - 1),
        "compose_own" => (1, MAX_PARTS as i32),
        "compose_density" => (0, MAX_DENSITY),
        "compose_low" | "compose_high" => (0, 127),
        "compose_ahead" => (1, MAX_AHEAD),
        "compose_tempo" => (0, TEMPI.1 - TEMPI.0 + 1),
        _ => return None,
    })
}

/// Least and greatest value of its continuous control.
pub fn range(id: &str) -> Option<(f32, f32)> {
    (id == "compose_temperature").then_some(TEMPERATURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters;

    #[test]
    fn the_mean_of_the_last_taps_is_the_tempo_and_after_a_pause_they_begin_anew() {
        let parameters = Parameters::default();
        let composer = &parameters.controls.composer;
        let tap = |seconds| composer.tap(seconds).and_then(tempo);
        assert_eq!(tap(10.0), None);
        // A little early, a little late: 100 a minute.
        assert_eq!([0.61, 1.19, 1.8].map(|after| tap(10.0 + after)), [Some(98), Some(101), Some(100)]);
        assert_eq!(tap(14.0), None);
        assert_eq!([14.01, 14.3].map(tap), [Some(300), Some(300)], "as fast as can be set");
        assert_eq!(composer.settings().taps, 7);
        assert_eq!(tap(1.0), None, "another clock");
    }
}
