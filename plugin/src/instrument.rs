//! The two classes as the host sees them, and the block-by-block work of the audio thread.

use crate::clerk::Clerk;
use crate::editor::Window;
use crate::errands::{self, Done};
use crate::gains::{Ramp, linear};
use crate::guard::guard;
use crate::parameters::Parameters;
use crate::shared::Shared;
use nice_plug::midi::{Channel, Key, VoiceID};
use nice_plug::prelude::*;
use ripieno_engine::stream::{AudioSide, Control, Engine, EngineConfig, Event, EventKind, MAX_PARTS, Mode, Workers};
use std::sync::Arc;

/// MIDI controller of the sustain pedal.
const SUSTAIN: u8 = 64;
/// MIDI controllers that end everything: all sound off, reset all controllers is not among them, all notes off.
const ALL_OFF: [u8; 2] = [120, 123];

/// The loudest that a part may be before its gain: 6 dB over full scale.
const CEILING: f32 = 2.0;

const STEREO: NonZeroU32 = new_nonzero_u32(2);
const PARTS: [NonZeroU32; MAX_PARTS] = [STEREO; MAX_PARTS];
const PART_NAMES: [&str; MAX_PARTS] = ["Part 1", "Part 2", "Part 3", "Part 4", "Part 5", "Part 6", "Part 7", "Part 8"];

const MAIN_ONLY: AudioIOLayout = AudioIOLayout {
    main_output_channels: Some(STEREO),
    names: PortNames { layout: Some("Stereo"), main_output: Some("Mix"), ..PortNames::const_default() },
    ..AudioIOLayout::const_default()
};
const MAIN_AND_PARTS: AudioIOLayout = AudioIOLayout {
    main_output_channels: Some(STEREO),
    aux_output_ports: &PARTS,
    names: PortNames {
        layout: Some("Mix and parts"),
        main_output: Some("Mix"),
        aux_outputs: &PART_NAMES,
        ..PortNames::const_default()
    },
    ..AudioIOLayout::const_default()
};

/// Ripieno with one stereo output, in CLAP.
pub type ClapStereo = Instrument<false, true>;
/// Ripieno with an output per part, in CLAP.
pub type ClapMulti = Instrument<true, true>;
/// Ripieno with one stereo output, in VST3.
pub type Vst3Stereo = Instrument<false, false>;
/// Ripieno with an output per part, in VST3.
pub type Vst3Multi = Instrument<true, false>;

/// One instance. `MULTI`: one output per part besides the mix. `CONTROLLERS`: the format brings us MIDI controllers.
///
/// In VST3 controllers would be 2080 parameters more, with which one host took minutes to load us; there
/// the sustain pedal is a parameter to map, and nothing else is missed.
pub struct Instrument<const MULTI: bool, const CONTROLLERS: bool> {
    parameters: Arc<Parameters>,
    shared: Arc<Shared>,
    audio: AudioSide,
    control: Control,
    sample_rate: f32,
    offline: bool,
    /// The mode whose latency the host was told last.
    mode: Mode,
    sustain: bool,
    /// Offline: the change of parameters that the engine has heard of.
    applied: u64,
    part_gains: [Ramp; MAX_PARTS],
    gain: Ramp,
    /// The framework's, for [`errands::finish`].
    executor: Option<AsyncExecutor<Self>>,
    // Below: threads. They end after the fields above are gone.
    _clerk: Clerk,
    workers: Workers,
}

impl<const MULTI: bool, const CONTROLLERS: bool> Default for Instrument<MULTI, CONTROLLERS> {
    fn default() -> Self {
        let Engine { audio, control, telemetry, workers } = Engine::start(engine_config());
        let parameters = Arc::new(Parameters::default());
        let shared = Arc::new(Shared::new(control.clone(), telemetry));
        Self {
            _clerk: Clerk::start(Arc::clone(&parameters), Arc::clone(&shared)),
            parameters,
            shared,
            audio,
            control,
            sample_rate: 48_000.0,
            offline: false,
            mode: Mode::Live,
            sustain: false,
            applied: 0,
            part_gains: [Ramp::new(1.0); MAX_PARTS],
            gain: Ramp::new(1.0),
            executor: None,
            workers,
        }
    }
}

/// Where the models are is found by the engine; how much of the machine it may take is ours to say.
fn engine_config() -> EngineConfig {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Half the cores are the host's, and more than four threads make small networks no faster.
    EngineConfig { threads: (cores / 2).clamp(1, 4), ..EngineConfig::default() }
}

/// Quarter notes of a bar in a time signature; of four where there is none.
fn bar_of(numerator: Option<i32>, denominator: Option<i32>) -> f64 {
    match (numerator, denominator) {
        (Some(beats @ 1..=64), Some(unit @ 1..=64)) => f64::from(beats) * 4.0 / f64::from(unit),
        _ => 4.0,
    }
}

impl<const MULTI: bool, const CONTROLLERS: bool> Instrument<MULTI, CONTROLLERS> {
    /// A new engine in place of the one that failed.
    fn restart(&mut self) {
        let Engine { audio, control, telemetry, workers } = Engine::start(engine_config());
        self.shared.replace(control.clone(), telemetry);
        self.audio = audio;
        self.control = control;
        self.workers = workers;
    }

    fn prepare(&mut self, config: &BufferConfig) {
        if self.shared.failed() {
            self.restart();
        }
        self.sample_rate = config.sample_rate;
        self.shared.set_sample_rate(config.sample_rate);
        self.offline = config.process_mode == ProcessMode::Offline;
        self.mode = self.parameters.controls.mode.value().into();
        self.control.set_offline(self.offline);
        self.control.set_mode(self.mode);
        self.applied = self.parameters.wake.generation();
        self.shared.apply(&self.parameters);
        self.audio.configure(f64::from(config.sample_rate), config.max_buffer_size as usize);
        let controls = &self.parameters.controls;
        self.gain = Ramp::new(linear(controls.gain.value()));
        for (ramp, part) in self.part_gains.iter_mut().zip(&controls.parts) {
            *ramp = Ramp::new(linear(part.gain.value()));
        }
    }

    fn render(&mut self, buffer: &mut Buffer, aux: &mut AuxiliaryBuffers, context: &mut impl ProcessContext<Self>) {
        self.follow_parameters(context);
        let transport = context.transport();
        self.audio.transport(ripieno_engine::stream::Transport {
            tempo_bpm: transport.tempo.unwrap_or(120.0),
            beat: transport.pos_beats().unwrap_or(0.0),
            playing: transport.playing,
            bar: bar_of(transport.time_sig_numerator, transport.time_sig_denominator),
            bar_start: transport.bar_start_pos_beats().unwrap_or(0.0),
            cycle: transport.loop_range_beats(),
        });
        while let Some(event) = context.next_event() {
            if let Some(kind) = kind_of(&event) {
                self.audio.event(Event { offset: event.timing(), kind });
            }
        }
        self.audio.process(buffer.samples());
        self.mix(buffer, aux);
        for note in self.audio.midi_out() {
            // A host whose queue is full loses the note from its track; the sound has it all the same.
            let _ = context.try_send_event(event_of(&note));
        }
    }

    /// What of the parameters the audio thread itself must follow.
    fn follow_parameters(&mut self, context: &mut impl ProcessContext<Self>) {
        let controls = &self.parameters.controls;
        let mode = controls.mode.value().into();
        if mode != self.mode {
            self.mode = mode;
            self.control.set_mode(mode);
            // Here, and only here, the host has to restart us: the musician chose another latency.
            context.set_latency_samples(self.control.latency_samples(f64::from(self.sample_rate)));
        }
        let sustain = controls.sustain.value();
        if sustain != self.sustain {
            self.sustain = sustain;
            self.audio.event(Event { offset: 0, kind: EventKind::Sustain(sustain) });
        }
        // A bounce has to sound the same every time, so it does not leave it to the clerk's thread when a change is heard.
        if self.offline && self.applied != self.parameters.wake.generation() {
            self.applied = self.parameters.wake.generation();
            self.shared.apply(&self.parameters);
        }
        self.gain.aim(linear(controls.gain.value()), self.sample_rate);
        for (ramp, part) in self.part_gains.iter_mut().zip(&controls.parts) {
            ramp.aim(linear(part.gain.value()), self.sample_rate);
        }
    }

    /// Parts with their gains to their own outputs, if there are such, and with the output gain to the mix.
    fn mix(&mut self, buffer: &mut Buffer, aux: &mut AuxiliaryBuffers) {
        let [left, right, ..] = buffer.as_slice() else { return };
        left.fill(0.0);
        right.fill(0.0);
        for (part, ramp) in self.part_gains.iter_mut().enumerate() {
            let (part_left, part_right) = self.audio.part(part);
            let mut own = aux.outputs.get_mut(part).map(Buffer::as_slice);
            if let Some(own) = own.as_deref_mut() {
                own.iter_mut().for_each(|channel| channel.fill(0.0));
            }
            let frames = part_left.len().min(left.len());
            for frame in 0..frames {
                let gain = ramp.advance();
                let sample = [part_left[frame], part_right[frame]].map(|sample| audible(sample) * gain);
                left[frame] += sample[0];
                right[frame] += sample[1];
                if let Some([own_left, own_right, ..]) = own.as_deref_mut() {
                    own_left[frame] = sample[0];
                    own_right[frame] = sample[1];
                }
            }
        }
        for (left, right) in left.iter_mut().zip(right.iter_mut()) {
            let gain = self.gain.advance();
            *left *= gain;
            *right *= gain;
        }
    }
}

/// A sample that can be listened to. Not-a-number silences everything behind us in some hosts, and a model that goes
/// astray has no upper bound; what its players can do stays far below [`CEILING`].
#[inline]
fn audible(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-CEILING, CEILING) }
}

fn silence(buffer: &mut Buffer, aux: &mut AuxiliaryBuffers) {
    buffer.as_slice().iter_mut().for_each(|channel| channel.fill(0.0));
    for output in aux.outputs.iter_mut() {
        output.as_slice().iter_mut().for_each(|channel| channel.fill(0.0));
    }
}

/// What the engine makes of a host's event; nothing, of most.
fn kind_of<S>(event: &NoteEvent<S>) -> Option<EventKind> {
    match *event {
        NoteEvent::NoteOn { key: Key::Number(key), velocity, .. } => {
            // 0 would be a note-off.
            Some(EventKind::NoteOn { key, velocity: (velocity * 127.0).round().clamp(1.0, 127.0) as u8 })
        }
        NoteEvent::NoteOff { key, .. } | NoteEvent::Choke { key, .. } => Some(match key {
            Key::Number(key) => EventKind::NoteOff { key },
            Key::Wildcard => EventKind::AllOff,
        }),
        NoteEvent::MidiCC { cc: SUSTAIN, value, .. } => Some(EventKind::Sustain(value >= 0.5)),
        NoteEvent::MidiCC { cc, .. } if ALL_OFF.contains(&cc) => Some(EventKind::AllOff),
        _ => None,
    }
}

/// A separated note for the host: part n on channel n.
fn event_of<S>(note: &ripieno_engine::stream::MidiOut) -> NoteEvent<S> {
    let (timing, voice_id) = (note.offset, VoiceID::Wildcard);
    let (channel, key) = (Channel::Number(note.part), Key::Number(note.key));
    if note.on {
        NoteEvent::NoteOn { timing, voice_id, channel, key, velocity: f32::from(note.velocity) / 127.0 }
    } else {
        NoteEvent::NoteOff { timing, voice_id, channel, key, velocity: 0.0 }
    }
}

/// Tells the host our latency while it activates us.
fn announce<P: Plugin, C: ActivateContext<P>>(context: &mut C, samples: u32) {
    context.set_latency_samples(samples);
    if context.plugin_api() == PluginApi::Clap {
        // In CLAP the latency may change while the host activates us, and at no other time without a restart. The framework
        // holds the figure back until its context is dropped, and by then it counts us as active and asks for a restart out of
        // our first activation. A Bitwig bounce is known to stall on that. So we let it out here, where it goes
        // straight to the host; when the framework drops the context for good there is nothing left to let out.
        // SAFETY: `C` is nice-plug 0.4.2's `WrapperActivateContext` (the version is pinned): a reference and a `Cell` of a
        // plain value, whose `Drop` takes that value out of the cell and frees nothing. Dropping it leaves it whole, with an empty
        // cell. `tests/` counts the restarts a CLAP host is asked for: none.
        unsafe { std::ptr::drop_in_place(context) };
    }
}

impl<const MULTI: bool, const CONTROLLERS: bool> Plugin for Instrument<MULTI, CONTROLLERS> {
    const NAME: &'static str = if MULTI { "Ripieno Multi" } else { "Ripieno" };
    const VENDOR: &'static str = "Ripieno";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = if MULTI { &[MAIN_AND_PARTS] } else { &[MAIN_ONLY] };
    const MIDI_INPUT: MidiConfig = if CONTROLLERS { MidiConfig::MidiCCs } else { MidiConfig::Basic };
    const MIDI_OUTPUT: MidiConfig = MidiConfig::Basic;
    /// A dense score has a few hundred events a block; the engine keeps as many.
    const INPUT_EVENT_CAPACITY: usize = 4096;

    type Editor = Window;
    type SysExMessage = ();
    type BackgroundTask = Done;

    fn params(&self) -> Arc<dyn Params> {
        Arc::clone(&self.parameters) as Arc<dyn Params>
    }

    fn task_executor(&mut self) -> TaskExecutor<Self> {
        errands::runner::<Self>()
    }

    fn editor(&mut self, executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        self.executor = Some(executor);
        guard(|| Window::new(Self::NAME, Arc::clone(&self.parameters), Arc::clone(&self.shared))).flatten()
    }

    fn filter_state(state: &mut PluginState) {
        crate::saved::filter(state);
    }

    fn activate(
        &mut self,
        _layout: &AudioIOLayout,
        config: &BufferConfig,
        context: &mut impl ActivateContext<Self>,
    ) -> bool {
        if guard(|| self.prepare(config)).is_none() {
            // Refusing to be activated would take the track's other plug-ins with it in some hosts.
            self.shared.fail();
        }
        announce(context, self.control.latency_samples(f64::from(config.sample_rate)));
        true
    }

    fn deactivate(&mut self) {
        // In CLAP the host itself runs such errands.
        if let Some(executor) = self.executor.as_ref().filter(|_| !CONTROLLERS) {
            errands::finish(executor);
        }
    }

    fn reset(&mut self) {
        if !self.shared.failed() && guard(|| self.audio.reset()).is_none() {
            self.shared.fail();
        }
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        aux: &mut AuxiliaryBuffers,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        if !self.shared.failed() && guard(|| self.render(buffer, aux, context)).is_none() {
            self.shared.fail();
        }
        if self.shared.failed() {
            silence(buffer, aux);
        }
        // Segments and rooms ring on after the last note; how long is the model's affair.
        ProcessStatus::KeepAlive
    }

    fn setup_logger() -> Option<bool> {
        // Neither a global log nor a panic hook: the process is the host's.
        Some(false)
    }
}

impl<const MULTI: bool, const CONTROLLERS: bool> ClapPlugin for Instrument<MULTI, CONTROLLERS> {
    const CLAP_ID: &'static str = if MULTI { "org.ripieno.multi" } else { "org.ripieno.ripieno" };
    const CLAP_DESCRIPTION: Option<&'static str> = Some(if MULTI {
        "An ensemble from one keyboard, with an output per part"
    } else {
        "An ensemble from one keyboard"
    });
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] =
        &[ClapFeature::Instrument, ClapFeature::Synthesizer, ClapFeature::Stereo];
}

impl<const MULTI: bool, const CONTROLLERS: bool> Vst3Plugin for Instrument<MULTI, CONTROLLERS> {
    const VST3_CLASS_ID: [u8; 16] = if MULTI { *b"RipienoMultiOuts" } else { *b"RipienoEnsemble1" };
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Instrument, Vst3SubCategory::Synth, Vst3SubCategory::Stereo];
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn an_instance_is_made_within_50_ms() {
        let quickest = (0..5)
            .map(|_| {
                let begun = Instant::now();
                let instance = ClapMulti::default();
                let taken = begun.elapsed();
                drop(instance);
                taken
            })
            .min();
        assert!(quickest < Some(Duration::from_millis(50)), "{quickest:?}");
    }

    #[test]
    fn after_a_panic_of_ours_it_says_what_to_do_and_that_helps() {
        let mut instance = ClapStereo::default();
        instance.shared.fail();
        let (kind, sentence) = instance.shared.sentence(&instance.parameters);
        assert_eq!(kind, ripieno_engine::stream::StatusKind::Failed);
        assert!(sentence.contains("switch the instrument off and on again"), "{sentence}");
        instance.prepare(&BufferConfig {
            sample_rate: 48_000.0,
            min_buffer_size: None,
            max_buffer_size: 512,
            process_mode: ProcessMode::Realtime,
        });
        assert!(!instance.shared.failed());
        assert!(!instance.shared.sentence(&instance.parameters).1.contains("off and on again"));
    }

    #[test]
    fn what_a_model_gone_astray_says_can_be_listened_to() {
        let heard = [f32::NAN, f32::INFINITY, -1e30, 0.5].map(audible);
        assert_eq!(heard, [0.0, CEILING, -CEILING, 0.5]);
    }

    #[test]
    fn hosts_events_become_ours_and_separated_notes_theirs() {
        let on = NoteEvent::<()>::NoteOn {
            timing: 3,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Number(9),
            key: Key::Number(60),
            velocity: 0.001,
        };
        assert_eq!(kind_of(&on), Some(EventKind::NoteOn { key: 60, velocity: 1 }), "softest, not a note-off");
        let pedal = |value| NoteEvent::<()>::MidiCC { timing: 0, channel: 0, cc: SUSTAIN, value };
        assert_eq!(
            [pedal(0.49), pedal(0.5)].map(|event| kind_of(&event)),
            [false, true].map(|on| Some(EventKind::Sustain(on)))
        );
        let note = ripieno_engine::stream::MidiOut { offset: 5, part: 7, key: 41, velocity: 127, on: true };
        let sent = NoteEvent::<()>::NoteOn {
            timing: 5,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Number(7),
            key: Key::Number(41),
            velocity: 1.0,
        };
        assert_eq!(event_of::<()>(&note), sent);
    }
}
