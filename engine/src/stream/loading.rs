//! Loading the models, and casting: which performance, which ensemble, which instrument for which part.

use super::MAX_PARTS;
use super::control::Settings;
use super::engine::EngineConfig;
use super::faults::{Faults, Slowness};
use super::instant::NoteCache;
use super::message::SegmentJob;
use super::pool::Pool;
use crate::arranger::Ensemble;
use crate::inference::{Models, Runtime, locations};
use crate::score::Note;
use crate::synth::{
    Catalogue, Guidance, HOP_FRAMES, PartAudio, PartInput, PassageAudio, PassageRequest, SegmentCost, SegmentRequest,
    SynthState,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Weak};

/// Makes audio from notes, on the synth worker. Real synthesis is [`Synthesizer`](crate::synth::Synthesizer); tests of the clock count samples.
pub(super) trait Renderer: Send {
    /// Forgets what came before: the next segment is the first of its stream.
    fn begin(&mut self);
    /// Renders what a segment adds to the sound: [`SEGMENT_SAMPLES`] at 48 kHz for every part in `out`, from
    /// [`segment_start`](super::clock::segment_start) on; `more` says whether there is time for another step.
    fn segment(
        &mut self,
        job: &SegmentJob,
        steps: usize,
        out: &mut Vec<PartAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String>;
    /// Renders a passage; `more` says whether there is time for another step.
    fn passage(
        &mut self,
        request: &PassageRequest<'_>,
        out: &mut Vec<PassageAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String>;
    /// Renders a single note of an instrument, stereo at 48 kHz; `None` if `more` said no meanwhile.
    fn note(&mut self, note: SingleNote, more: &mut dyn FnMut() -> bool) -> Result<Option<PartAudio>, String>;
}

/// A note for the instant voice.
#[derive(Debug, Clone, Copy)]
pub(super) struct SingleNote {
    pub performance: usize,
    pub instrument: usize,
    pub pitch: u8,
    pub velocity: u8,
    /// How long it is held, and how much of it is rendered.
    pub held: f64,
    pub seconds: f64,
    pub steps: usize,
}

/// Samples per channel that a segment adds, at 48 kHz.
pub(super) const SEGMENT_SAMPLES: usize = HOP_FRAMES * super::clock::FRAME as usize;

/// What the workers have once the models are loaded.
pub(super) struct Loaded {
    pub catalogue: Catalogue,
    /// `None` when a test renders without models.
    pub models: Option<Arc<Models>>,
    /// Where rendered notes are kept.
    pub cache: Option<Mutex<NoteCache>>,
    /// What a test wants to go wrong.
    pub faults: Faults,
    /// What runs the models.
    pub provider: String,
    /// Opens the synth worker's sessions.
    pub renderer: Box<dyn Fn() -> Result<Box<dyn Renderer>, String> + Send + Sync>,
}

/// Loads on the synth worker; an error is a sentence for the musician.
pub(super) type Loader = Box<dyn Fn() -> Result<Loaded, String> + Send>;

/// Models of this process by folder: instances share them.
static MODELS: LazyLock<Mutex<HashMap<PathBuf, Weak<Models>>>> = LazyLock::new(Mutex::default);

/// Loads what a config names from disk; the models only if no instance of this process has them.
pub(super) fn from_disk(config: EngineConfig) -> Loader {
    Box::new(move || {
        let runtime = Runtime::load(config.runtime_library.as_deref()).map_err(|e| sentence(&e))?;
        let folder = match &config.models_dir {
            Some(folder) => folder.clone(),
            None => locations::find_models().map_err(|e| sentence(&e))?,
        };
        let models = shared_models(runtime, folder)?;
        let catalogue = Catalogue::load(&models.manifest().folder).map_err(|e| sentence(&e))?;
        let threads = config.threads.max(1);
        let folder = config.cache_dir.clone().or_else(locations::user_cache_folder);
        let for_renderer = Arc::clone(&models);
        let faults = config.faults.or_from_environment();
        Ok(Loaded {
            catalogue,
            cache: folder.map(|folder| Mutex::new(NoteCache::new(&folder, &models))),
            faults,
            provider: "CPU".into(),
            renderer: Box::new(move || Ok(Box::new(ModelRenderer::open(&for_renderer, threads, faults)?))),
            models: Some(models),
        })
    })
}

fn shared_models(runtime: &'static Runtime, folder: PathBuf) -> Result<Arc<Models>, String> {
    let key = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
    // Held while loading: of two instances that start together, one loads and the other takes what it loaded.
    let mut known = MODELS.lock();
    // Of damaged files the musician may have mended some since.
    if let Some(models) = known.get(&key).and_then(Weak::upgrade).filter(|models| models.faults().next().is_none()) {
        return Ok(models);
    }
    let models = Models::load(runtime, &folder).map_err(|e| sentence(&e))?;
    known.insert(key, Arc::downgrade(&models));
    Ok(models)
}

/// An error's text as a sentence: it begins with a capital.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The real thing.
struct ModelRenderer {
    pool: Arc<Pool>,
    state: SynthState,
    faults: Faults,
}

impl ModelRenderer {
    fn open(models: &Arc<Models>, threads: usize, faults: Faults) -> Result<Self, String> {
        let pool = Pool::of(models, threads).map_err(|e| sentence(&e))?;
        Ok(Self { pool, state: SynthState::default(), faults })
    }
}

impl Renderer for ModelRenderer {
    fn begin(&mut self) {
        self.state = SynthState::default();
    }

    fn segment(
        &mut self,
        job: &SegmentJob,
        steps: usize,
        out: &mut Vec<PartAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String> {
        let parts: Vec<PartInput<'_>> =
            job.parts.iter().map(|(instrument, notes)| PartInput { instrument: *instrument, notes }).collect();
        let request = SegmentRequest {
            index: job.index,
            performance: job.performance,
            steps,
            guidance: Guidance { notes: job.guidance.0, performance: job.guidance.1 },
            seed: job.seed,
            parts: &parts,
        };
        let (pool, state) = (&self.pool, &mut self.state);
        let mut slow = Slowness::new(self.faults);
        let more = |step| slow.down() && more(step);
        let result = pool.with(|synthesizer| synthesizer.render_segment_while(&request, state, out, more));
        slow.down();
        result.map_err(|e| sentence(&e))
    }

    fn passage(
        &mut self,
        request: &PassageRequest<'_>,
        out: &mut Vec<PassageAudio>,
        more: &mut dyn FnMut(usize) -> bool,
    ) -> Result<SegmentCost, String> {
        let mut slow = Slowness::new(self.faults);
        let more = |step| slow.down() && more(step);
        let result = self.pool.with(|synthesizer| synthesizer.render_passage(request, out, more));
        slow.down();
        result.map_err(|e| sentence(&e))
    }

    fn note(&mut self, note: SingleNote, more: &mut dyn FnMut() -> bool) -> Result<Option<PartAudio>, String> {
        let SingleNote { performance, instrument, pitch, velocity, held, seconds, steps } = note;
        // The seed is fixed, so that a table is the same every time.
        let request = PassageRequest {
            first: 0,
            context: 0,
            frames: 0,
            lead_in: 0,
            performance,
            steps,
            guidance: Guidance::NONE,
            seed: 0,
            parts: &[],
        };
        let note = Note { onset: 0.0, end: held, pitch, velocity };
        self.pool
            .with(|synthesizer| synthesizer.render_note(&request, instrument, note, seconds, more))
            .map_err(|e| sentence(&e))
    }
}

/// Who plays.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub ensemble: &'static Ensemble,
    pub performance: usize,
    /// Instrument of each part.
    pub instruments: [usize; MAX_PARTS],
    /// What could not be as asked.
    pub warning: Option<String>,
}

impl Cast {
    /// Parts of the ensemble, 1..=8.
    pub fn parts(&self) -> usize {
        self.ensemble.parts.len().clamp(1, MAX_PARTS)
    }
}

/// Casts the settings. What is unknown stays as it was `before`, or becomes the first there is, with a warning.
pub(super) fn cast(loaded: Option<&Loaded>, settings: &Settings, before: Option<&Cast>) -> Cast {
    let mut warning = None;
    let ensemble = Ensemble::find(&settings.ensemble).unwrap_or_else(|| {
        let kept = before.map_or_else(|| &Ensemble::all()[0], |cast| cast.ensemble);
        warning = Some(format!("The ensemble \"{}\" is not known; {} plays instead.", settings.ensemble, kept.name));
        kept
    });
    let mut cast = Cast { ensemble, performance: 0, instruments: [0; MAX_PARTS], warning };
    let Some(loaded) = loaded else { return cast };
    cast.performance = loaded.catalogue.find(&settings.performance).unwrap_or_else(|| {
        let kept = before.map_or(0, |cast| cast.performance);
        let name = loaded.catalogue.performances().get(kept).map_or("another", |p| &p.name);
        cast.warning = Some(format!(
            "The performance \"{}\" is not among the installed models; {name} plays instead.",
            settings.performance
        ));
        kept
    });
    let count = cast.parts();
    for (part, member) in ensemble.parts.iter().take(MAX_PARTS).enumerate() {
        cast.instruments[part] = loaded.catalogue.player_for(cast.performance, member.program, part, count);
    }
    cast
}
