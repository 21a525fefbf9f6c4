//! A CLAP host without a window or a sound card: what a DAW does with a plug-in, in the order a DAW does it.
//!
//! One thread plays both the main and the audio thread, unless a test gives the audio a thread of its own
//! ([`Instance::meanwhile`]). Every refusal of the plug-in is an error with a sentence; the plug-in's requests to the host
//! are counted in [`Requests`].

use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clack_extensions::audio_ports::{AudioPortInfoBuffer, PluginAudioPorts};
use clack_extensions::latency::{HostLatency, HostLatencyImpl, PluginLatency};
use clack_extensions::params::{
    HostParams, HostParamsImplMainThread, HostParamsImplShared, ParamClearFlags, ParamInfoBuffer, ParamRescanFlags,
    PluginParams,
};
use clack_extensions::state::{HostState, HostStateImpl, PluginState};
use clack_host::events::event_types::{NoteOffEvent, NoteOnEvent, ParamValueEvent, TransportEvent, TransportFlags};
use clack_host::events::spaces::CoreEventSpace;
use clack_host::events::{EventFlags, EventHeader, Match};
use clack_host::factory::plugin::PluginFactory;
use clack_host::prelude::*;
use clack_host::utils::{BeatTime, SecondsTime};
use clap_sys::entry::clap_plugin_entry;
use clap_sys::ext::render::{CLAP_EXT_RENDER, CLAP_RENDER_OFFLINE, CLAP_RENDER_REALTIME, clap_plugin_render};

use crate::allocations::{Seen, watch};

/// The tempo of a host's song until a test says another, in beats per minute.
const TEMPO: f64 = 120.0;

/// What the plug-in asked of the host.
#[derive(Debug, Default)]
pub struct Requests {
    /// "Deactivate and activate me": from inside `activate` this stalls a bounce in at least one DAW. Want 0.
    pub restarts: AtomicU32,
    /// "Ask me for my latency again".
    pub latency_changes: AtomicU32,
    /// "My state has changed".
    pub dirty: AtomicU32,
    callback: AtomicBool,
}

struct Shared(Arc<Requests>);

impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {
        self.0.restarts.fetch_add(1, Ordering::Relaxed);
    }
    fn request_process(&self) {}
    fn request_callback(&self) {
        self.0.callback.store(true, Ordering::Relaxed);
    }
}

impl HostParamsImplShared for Shared {
    fn request_flush(&self) {}
}

struct Main(Arc<Requests>);

impl MainThreadHandler<'_> for Main {}

impl HostParamsImplMainThread for Main {
    fn rescan(&self, _: ParamRescanFlags) {}
    fn clear(&self, _: ClapId, _: ParamClearFlags) {}
}

impl HostLatencyImpl for Main {
    fn changed(&self) {
        self.0.latency_changes.fetch_add(1, Ordering::Relaxed);
    }
}

impl HostStateImpl for Main {
    fn mark_dirty(&self) {
        self.0.dirty.fetch_add(1, Ordering::Relaxed);
    }
}

struct Host;

impl HostHandlers for Host {
    type Shared<'a> = Shared;
    type MainThread<'a> = Main;
    type AudioProcessor<'a> = ();

    fn declare_extensions(builder: &mut HostExtensions<Self>, _: &Self::Shared<'_>) {
        builder.register::<HostParams>().register::<HostLatency>().register::<HostState>();
    }
}

/// A loaded plug-in library.
pub struct Library(PluginEntry);

/// One class of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// As projects name it, for ever.
    pub id: String,
    /// As people see it.
    pub name: String,
}

fn text(string: Option<&CStr>) -> String {
    string.map(|string| string.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Library {
    /// Loads a `.clap` file.
    pub fn open(file: &Path) -> Result<Self> {
        // SAFETY: loading a library runs its code; this one is ours.
        let entry = unsafe { PluginEntry::load(file) };
        Ok(Self(entry.map_err(|error| anyhow!("{} is not a CLAP plug-in: {error}", file.display()))?))
    }

    /// The plug-in that is linked into this program.
    ///
    /// # Safety
    /// `entry` is a whole and valid entry, as the macro of a plug-in framework exports it.
    pub unsafe fn from_entry(entry: &'static clap_plugin_entry) -> Result<Self> {
        // SAFETY: the caller vouches for the entry.
        let entry = unsafe { PluginEntry::load_from_raw(entry, c"in-process") };
        Ok(Self(entry.map_err(|error| anyhow!("the plug-in's entry does not work: {error}"))?))
    }

    /// The plug-in's classes, as a scan finds them.
    pub fn classes(&self) -> Result<Vec<Class>> {
        let factory: PluginFactory = self.0.get_plugin_factory().context("the library has no plug-in factory")?;
        Ok(factory
            .plugin_descriptors()
            .map(|descriptor| Class { id: text(descriptor.id()), name: text(descriptor.name()) })
            .collect())
    }

    /// A new instance of the class with this name.
    pub fn instantiate(&self, name: &str) -> Result<Instance> {
        let classes = self.classes()?;
        let class = classes
            .iter()
            .find(|class| class.name == name)
            .with_context(|| format!("no class is called \"{name}\"; there are {classes:?}"))?;
        let id = CString::new(class.id.as_str())?;
        let requests = Arc::new(Requests::default());
        let info = HostInfo::new("Ripieno's tests", "Ripieno", "", env!("CARGO_PKG_VERSION"))?;
        let (shared, main) = (Shared(requests.clone()), Main(requests.clone()));
        let plugin = PluginInstance::<Host>::new(|_| shared, |_| main, &self.0, &id, &info)
            .map_err(|error| anyhow!("\"{name}\" does not start: {error}"))?;
        Ok(Instance { processor: None, plugin, requests, changes: Vec::new() })
    }
}

/// One parameter as the plug-in describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// As projects and automation name it, for ever.
    pub id: u32,
    /// As people see it.
    pub name: String,
    /// The group it is shown in, `/` between levels.
    pub module: String,
    /// Smallest, largest and first value, plain.
    pub range: (f64, f64, f64),
}

/// Something that happens inside a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Sample of the block at which it happens; events are handed over in this order.
    pub offset: u32,
    /// MIDI key.
    pub key: u8,
    /// 1 to 127 for a key press, 0 for a release.
    pub velocity: u8,
}

/// A note event that the plug-in sent.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sent {
    /// Sample since activation.
    pub sample: u64,
    /// MIDI channel, 0 to 15.
    pub channel: u8,
    /// MIDI key.
    pub key: u8,
    /// 0 to 127.
    pub velocity: u8,
    /// A press or a release.
    pub on: bool,
}

/// Where the host's song is when the next block begins. While it plays it goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Song {
    /// Quarter notes from its beginning.
    pub beat: f64,
    /// Quarter notes per minute.
    pub tempo: f64,
    /// Whether it moves.
    pub playing: bool,
}

/// One instance of the plug-in. Dropping it deactivates it first.
pub struct Instance {
    processor: Option<AudioThread>,
    plugin: PluginInstance<Host>,
    requests: Arc<Requests>,
    /// Parameter changes that the next block carries.
    changes: Vec<(ClapId, f64)>,
}

/// What exists between `activate` and `deactivate`, and belongs to the thread that processes.
pub struct AudioThread {
    /// Nothing only while it is stopped and started again.
    processor: Option<StartedPluginAudioProcessor<Host>>,
    ports: AudioPorts,
    /// One block per port and channel.
    buffers: Vec<Vec<Vec<f32>>>,
    inputs: EventBuffer,
    outputs: EventBuffer,
    sample_rate: f64,
    /// Samples since activation.
    now: u64,
    song: Song,
    sent: Vec<Sent>,
    seen: Seen,
    slowest: Duration,
    /// Called right before and right after the plug-in's `process`, on its thread.
    marks: [fn(); 2],
}

impl Instance {
    /// What the plug-in asked of the host so far.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Every parameter, in the plug-in's order.
    pub fn parameters(&mut self) -> Result<Vec<Parameter>> {
        let plugin = self.plugin.plugin_handle();
        let params: PluginParams = plugin.get_extension().context("the plug-in has no parameters")?;
        let mut buffer = ParamInfoBuffer::new();
        Ok((0..params.count(&plugin))
            .filter_map(|index| {
                let info = params.get_info(&plugin, index, &mut buffer)?;
                Some(Parameter {
                    id: info.id.get(),
                    name: String::from_utf8_lossy(info.name).into_owned(),
                    module: String::from_utf8_lossy(info.module).into_owned(),
                    range: (info.min_value, info.max_value, info.default_value),
                })
            })
            .collect())
    }

    fn parameter(&mut self, name: &str) -> Result<ClapId> {
        let all = self.parameters()?;
        all.iter()
            .find(|parameter| parameter.name == name)
            .and_then(|parameter| ClapId::from_raw(parameter.id))
            .with_context(|| {
                let names: Vec<&str> = all.iter().map(|parameter| parameter.name.as_str()).collect();
                format!("no parameter is called \"{name}\"; there are {names:?}")
            })
    }

    /// Sets a parameter by what a person would type into it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let id = self.parameter(name)?;
        let plugin = self.plugin.plugin_handle();
        let params: PluginParams = plugin.get_extension().context("the plug-in has no parameters")?;
        let text = CString::new(value)?;
        let plain = params
            .text_to_value(&plugin, id, &text)
            .with_context(|| format!("the parameter \"{name}\" does not understand \"{value}\""))?;
        if self.processor.is_some() {
            self.changes.push((id, plain));
            return Ok(());
        }
        let mut events = EventBuffer::new();
        events.push(&ParamValueEvent::new(0, id, Pckn::match_all(), plain));
        let mut inactive = self.plugin.inactive_plugin_handle().context("the plug-in is active")?;
        params.flush(&mut inactive, &events.as_input(), &mut OutputEvents::void());
        Ok(())
    }

    /// What a person reads at a parameter.
    pub fn get(&mut self, name: &str) -> Result<String> {
        let id = self.parameter(name)?;
        let plugin = self.plugin.plugin_handle();
        let params: PluginParams = plugin.get_extension().context("the plug-in has no parameters")?;
        let value = params.get_value(&plugin, id).with_context(|| format!("\"{name}\" has no value"))?;
        let mut buffer = [0; 256];
        let text = params
            .value_to_text(&plugin, id, value, &mut buffer)
            .map_err(|_| anyhow!("the value {value} of \"{name}\" has no text"))?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// What a project file would keep.
    pub fn save(&mut self) -> Result<Vec<u8>> {
        let plugin = self.plugin.plugin_handle();
        let state: PluginState = plugin.get_extension().context("the plug-in keeps no state")?;
        let mut bytes = Vec::new();
        state.save(&plugin, &mut bytes).map_err(|_| anyhow!("the plug-in does not save its state"))?;
        Ok(bytes)
    }

    /// Hands over what a project file kept. An error: the plug-in says that it cannot use it.
    pub fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let plugin = self.plugin.plugin_handle();
        let state: PluginState = plugin.get_extension().context("the plug-in keeps no state")?;
        state.load(&plugin, &mut std::io::Cursor::new(bytes)).map_err(|_| anyhow!("the plug-in refuses the state"))
    }

    /// Samples of latency that the plug-in reports.
    pub fn latency(&mut self) -> u32 {
        let plugin = self.plugin.plugin_handle();
        plugin.get_extension::<PluginLatency>().map_or(0, |latency| latency.get(&plugin))
    }

    /// The channels of each output port.
    pub fn outputs(&mut self) -> Vec<usize> {
        let plugin = self.plugin.plugin_handle();
        let Some(ports) = plugin.get_extension::<PluginAudioPorts>() else { return Vec::new() };
        let mut buffer = AudioPortInfoBuffer::new();
        (0..ports.count(&plugin, false))
            .filter_map(|index| Some(ports.get(&plugin, index, false, &mut buffer)?.channel_count as usize))
            .collect()
    }

    /// Says whether this is a bounce, which may take its time.
    pub fn set_offline(&mut self, offline: bool) -> Result<()> {
        let plugin = self.plugin.raw_instance();
        let mode = if offline { CLAP_RENDER_OFFLINE } else { CLAP_RENDER_REALTIME };
        let get = plugin.get_extension.context("the plug-in has no extensions")?;
        // SAFETY: `plugin` is a live instance and this is its main thread.
        let render = unsafe { get(plugin, CLAP_EXT_RENDER.as_ptr()) }.cast::<clap_plugin_render>();
        // SAFETY: CLAP promises a `clap_plugin_render` that lives as long as the instance, or null.
        let render = unsafe { render.as_ref() }.context("the plug-in does not tell a bounce from a performance")?;
        let set = render.set.context("the plug-in does not tell a bounce from a performance")?;
        // SAFETY: as above.
        if unsafe { set(plugin, mode) } { Ok(()) } else { bail!("the plug-in refuses the render mode") }
    }

    /// Makes it ready to play, at `sample_rate` in blocks of at most `max_block` samples.
    pub fn activate(&mut self, sample_rate: f64, max_block: u32) -> Result<()> {
        let outputs = self.outputs();
        let configuration = PluginAudioConfiguration { sample_rate, min_frames_count: 1, max_frames_count: max_block };
        let processor = self
            .plugin
            .activate(|_, _| (), configuration)
            .map_err(|error| anyhow!("the plug-in cannot be activated: {error}"))?
            .start_processing()
            .map_err(|error| anyhow!("the plug-in does not start to process: {error}"))?;
        self.processor = Some(AudioThread {
            processor: Some(processor),
            // The true total: with less, clack moves its list under the plug-in.
            ports: AudioPorts::with_capacity(outputs.iter().sum(), outputs.len()),
            buffers: outputs.iter().map(|&channels| vec![vec![0.0; max_block as usize]; channels]).collect(),
            inputs: EventBuffer::with_capacity(4096),
            outputs: EventBuffer::with_capacity(4096),
            sample_rate,
            now: 0,
            song: Song { beat: 0.0, tempo: TEMPO, playing: true },
            sent: Vec::new(),
            seen: Seen::default(),
            slowest: Duration::ZERO,
            marks: [|| (), || ()],
        });
        self.idle();
        Ok(())
    }

    /// The opposite of [`Self::activate`]; nothing happens when it is not active.
    pub fn deactivate(&mut self) {
        if let Some(processor) = self.processor.take().and_then(|active| active.processor) {
            self.plugin.deactivate(processor.stop_processing());
        }
        self.idle();
    }

    /// Gives the plug-in the main thread, if it asked for it.
    pub fn idle(&mut self) {
        if self.requests.callback.swap(false, Ordering::Relaxed) {
            self.plugin.call_on_main_thread_callback();
        }
    }

    /// Processes one block of `frames` samples and returns it: `[port][channel][frame]`.
    pub fn process(&mut self, frames: usize, events: &[Input]) -> Result<&[Vec<Vec<f32>>]> {
        let changes = std::mem::take(&mut self.changes);
        self.audio()?.process_with(frames, events, &changes)
    }

    /// The audio thread's side, to be used from this thread.
    pub fn audio(&mut self) -> Result<&mut AudioThread> {
        self.processor.as_mut().context("the plug-in is not active")
    }

    /// Lets a thread of its own process while this one does what a main thread may meanwhile: load and save states,
    /// and read parameters and the latency.
    pub fn meanwhile<T: Send>(
        &mut self,
        audio: impl FnOnce(&mut AudioThread) -> T + Send,
        main: impl FnOnce(&mut Self),
    ) -> Result<T> {
        let mut active = self.processor.take().context("the plug-in is not active")?;
        let (active, result) = std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let result = audio(&mut active);
                (active, result)
            });
            main(self);
            thread.join().map_err(|_| anyhow!("the audio thread panicked"))
        })?;
        self.processor = Some(active);
        Ok(result)
    }

    /// The note events that the plug-in sent since activation.
    pub fn sent(&self) -> &[Sent] {
        self.processor.as_ref().map_or(&[], |active| &active.sent)
    }

    /// The longest that `process` took since activation.
    pub fn slowest_block(&self) -> Duration {
        self.processor.as_ref().map_or(Duration::ZERO, |active| active.slowest)
    }

    /// What `process` did on its thread since activation.
    pub fn seen(&self) -> Seen {
        self.processor.as_ref().map_or(Seen::default(), |active| active.seen)
    }
}

impl AudioThread {
    /// Processes one block without changes of parameters: see [`Instance::process`].
    pub fn process(&mut self, frames: usize, events: &[Input]) -> Result<&[Vec<Vec<f32>>]> {
        self.process_with(frames, events, &[])
    }

    fn process_with(&mut self, frames: usize, events: &[Input], changes: &[(ClapId, f64)]) -> Result<&[Vec<Vec<f32>>]> {
        self.inputs.clear();
        self.outputs.clear();
        for &(id, value) in changes {
            self.inputs.push(&ParamValueEvent::new(0, id, Pckn::match_all(), value));
        }
        for event in events {
            let pckn = Pckn::new(0u16, 0u16, u16::from(event.key), Match::All);
            let velocity = f64::from(event.velocity) / 127.0;
            if event.velocity > 0 {
                self.inputs.push(&NoteOnEvent::new(event.offset, pckn, velocity));
            } else {
                self.inputs.push(&NoteOffEvent::new(event.offset, pckn, 0.0));
            }
        }
        let transport = transport(self.song);
        let [before, after] = self.marks;
        let Self { processor, ports, buffers, inputs, outputs, now, seen, sent, slowest, .. } = self;
        let processor = processor.as_mut().context("the plug-in does not process")?;
        for channel in buffers.iter_mut().flatten() {
            // What a plug-in leaves unwritten must be seen.
            channel.fill(f32::NAN);
        }
        let mut audio = ports.with_output_buffers(buffers.iter_mut().map(|channels| AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(channels.iter_mut().map(|channel| &mut channel[..frames])),
        }));
        let (inputs, mut output_events) = (inputs.as_input(), outputs.as_output());
        let began = Instant::now();
        let (status, block_seen) = watch(|| {
            before();
            let status = processor.process(
                &InputAudioBuffers::empty(),
                &mut audio,
                &inputs,
                &mut output_events,
                Some(*now),
                Some(&transport),
            );
            after();
            status
        });
        status.map_err(|error| anyhow!("the plug-in failed to process a block: {error}"))?;
        *slowest = (*slowest).max(began.elapsed());
        seen.allocations += block_seen.allocations;
        seen.waits += block_seen.waits;
        sent.extend(outputs.iter().filter_map(|event| note(event, *now)));
        *now += frames as u64;
        if self.song.playing {
            self.song.beat += frames as f64 / self.sample_rate * self.song.tempo / 60.0;
        }
        Ok(&self.buffers)
    }

    /// Sets what is called right before and right after the plug-in's own `process`.
    pub fn mark(&mut self, before: fn(), after: fn()) {
        self.marks = [before, after];
    }

    /// Where the host's song is at the next block.
    pub fn song(&mut self) -> &mut Song {
        &mut self.song
    }

    /// Tells the plug-in to forget what sounds, as hosts do where they jump or stop.
    pub fn reset(&mut self) {
        if let Some(processor) = &mut self.processor {
            processor.reset();
        }
    }

    /// Puts the plug-in to sleep and wakes it, without deactivating it.
    pub fn stop_and_start(&mut self) -> Result<()> {
        let stopped = self.processor.take().context("the plug-in does not process")?.stop_processing();
        let started =
            stopped.start_processing().map_err(|error| anyhow!("the plug-in does not start to process: {error}"))?;
        self.processor = Some(started);
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.deactivate();
    }
}

/// The host's song as CLAP tells it.
fn transport(song: Song) -> TransportEvent {
    let seconds = song.beat * 60.0 / song.tempo;
    let moves = if song.playing { TransportFlags::IS_PLAYING } else { TransportFlags::empty() };
    TransportEvent {
        header: EventHeader::new_core(0, EventFlags::empty()),
        flags: TransportFlags::HAS_TEMPO
            | TransportFlags::HAS_BEATS_TIMELINE
            | TransportFlags::HAS_SECONDS_TIMELINE
            | TransportFlags::HAS_TIME_SIGNATURE
            | moves,
        song_pos_beats: BeatTime::from_float(song.beat),
        song_pos_seconds: SecondsTime::from_float(seconds),
        tempo: song.tempo,
        tempo_inc: 0.0,
        loop_start_beats: BeatTime::from_int(0),
        loop_end_beats: BeatTime::from_int(0),
        loop_start_seconds: SecondsTime::from_int(0),
        loop_end_seconds: SecondsTime::from_int(0),
        bar_start: BeatTime::from_float((song.beat / 4.0).floor() * 4.0),
        bar_number: (song.beat / 4.0) as i32,
        time_signature_numerator: 4,
        time_signature_denominator: 4,
    }
}

/// A note event, in either of CLAP's dialects.
fn note(event: &UnknownEvent, now: u64) -> Option<Sent> {
    let sample = now + u64::from(event.header().time());
    let sent = |channel, key, velocity, on| Some(Sent { sample, channel, key, velocity, on });
    let note = |event: Pckn, velocity: f64, on| {
        let channel = u8::try_from(event.raw_channel()).ok()?;
        sent(channel, u8::try_from(event.raw_key()).ok()?, (velocity * 127.0).round() as u8, on)
    };
    match event.as_core_event()? {
        CoreEventSpace::NoteOn(event) => note(event.pckn(), event.velocity(), true),
        CoreEventSpace::NoteOff(event) => note(event.pckn(), event.velocity(), false),
        CoreEventSpace::Midi(event) => {
            let [status, key, velocity] = event.data();
            match status & 0xf0 {
                0x90 if velocity > 0 => sent(status & 0x0f, key, velocity, true),
                0x80 | 0x90 => sent(status & 0x0f, key, velocity, false),
                _ => None,
            }
        }
        _ => None,
    }
}
