//! What the table of the instant voice still lacks, and rendering it: one note at a time, between everything else.

use super::SynthWorker;
use crate::stream::MAX_PARTS;
use crate::stream::instant::{CachedNote, HELD_SECONDS, NOTE_SECONDS, NotePlan, TableNote, as_kept, plan};
use crate::stream::loading::{Cast, Loaded, SingleNote};
use crate::stream::message::{self, BankMessage};
use crate::stream::resample::resample;
use crate::stream::telemetry::StatusKind;
use crate::synth::PartAudio;
use parking_lot::Mutex;
use ringbuf::HeapProd;
use ringbuf::traits::Producer;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

impl SynthWorker {
    /// Renders and sends one single note, if one is missing. False if there is none yet: it was given up for what is played,
    /// or another instance makes it.
    pub(super) fn render_note(&mut self) -> bool {
        self.table.send(&mut self.links.bank);
        // Notes that only this list still holds are of a table that is gone.
        self.shared.table_notes.lock().retain(|note| Arc::strong_count(note) > 1);
        let Some((plan, key)) = self.next_note() else { return false };
        let begun = Instant::now();
        let known = NOTES.lock().get(&key).and_then(Weak::upgrade);
        // Not while the notes are locked: what is found on disk is put among them.
        let known = known.or_else(|| self.cached_note(key, plan.draft));
        let note = match known {
            Some(note) => Some(note),
            None => match self.make_note(key, plan.draft) {
                Made::Note(note) => Some(note),
                Made::Nothing => None,
                Made::Later => return false,
            },
        };
        self.table.give_up();
        self.table.pay(begun.elapsed().as_secs_f64());
        if let Some(note) = note {
            self.shared.table_notes.lock().push(Arc::clone(&note));
            self.table.made(plan.slot, note);
        }
        self.table.send(&mut self.links.bank);
        true
    }

    /// The next note of the table.
    fn next_note(&self) -> Option<(NotePlan, NoteKey)> {
        let plan = self.table.queue.front().copied()?;
        let key = NoteKey {
            models: self.loaded.as_ref()?.models.as_ref().map_or(0, |models| Arc::as_ptr(models) as usize),
            performance: self.cast.as_ref()?.performance,
            instrument: self.table.instruments.get(usize::from(plan.slot)).copied().unwrap_or(0),
            pitch: plan.pitch,
            velocity: plan.velocity,
            steps: self.table.next_steps(),
            rate: self.table.rate,
        };
        Some((plan, key))
    }

    /// Whether the table's next note was rendered before, by another instance or for another session: there is always time to
    /// fetch it.
    pub(super) fn next_note_is_kept(&self) -> bool {
        let Some((plan, key)) = self.next_note() else { return false };
        let cache = || self.loaded.as_ref()?.cache.as_ref();
        NOTES.lock().get(&key).is_some_and(|note| note.strong_count() > 0)
            || cache().is_some_and(|cache| cache.lock().has(self.on_disk(key, plan.draft).cached()))
    }

    fn make_note(&mut self, key: NoteKey, draft: bool) -> Made {
        let single = SingleNote {
            performance: key.performance,
            instrument: key.instrument,
            pitch: key.pitch,
            velocity: key.velocity,
            held: HELD_SECONDS,
            seconds: NOTE_SECONDS,
            steps: key.steps,
        };
        let Some(renderer) = &mut self.renderer else { return Made::Later };
        let Some(_making) = Making::begin(key) else {
            // Another instance makes it: it is there soon.
            std::thread::park_timeout(Duration::from_millis(2));
            return Made::Later;
        };
        let loaded = self.loaded.clone();
        // What is played meanwhile goes first; in Live not for ever: a table that never fills is no help either.
        let patient = !self.live || (self.table.begun < PATIENCE && !self.table.comes_first());
        self.table.begun += 1;
        let jobs = &self.links.jobs;
        let audio = match renderer.note(single, &mut || !patient || jobs.is_empty()) {
            Ok(Some(audio)) => {
                // A draft is replaced soon, and its file would stay.
                if let Some(cache) = loaded.as_ref().and_then(|loaded| loaded.cache.as_ref()).filter(|_| !draft) {
                    cache.lock().save(key.cached(), &audio);
                }
                resample(as_kept(audio), key.rate)
            }
            Ok(None) => return Made::Later,
            Err(sentence) => Err(sentence),
        };
        // What fails is not tried again: its neighbours play for it.
        match audio {
            Ok(audio) => {
                let Some(note) = keep(key, &audio) else { return Made::Nothing };
                Made::Note(note)
            }
            Err(sentence) => {
                self.shared.telemetry.set_status(StatusKind::Warning, sentence);
                Made::Nothing
            }
        }
    }
}

impl SynthWorker {
    /// What is looked for on disk: for a draft the finished one, which is better.
    fn on_disk(&self, key: NoteKey, draft: bool) -> NoteKey {
        if draft { NoteKey { steps: self.table.steps, ..key } } else { key }
    }

    /// A note from disk.
    fn cached_note(&self, key: NoteKey, draft: bool) -> Option<Arc<TableNote>> {
        let key = self.on_disk(key, draft);
        let cache = self.loaded.as_ref()?.cache.as_ref()?;
        let audio = cache.lock().load(key.cached())?;
        keep(key, &resample(audio, key.rate).ok()?)
    }
}

/// Prepares a note for the audio thread, and lets other instances find it.
fn keep(key: NoteKey, audio: &PartAudio) -> Option<Arc<TableNote>> {
    let note = TableNote::prepare(key.pitch, key.velocity, &audio.left, &audio.right, key.rate, HELD_SECONDS)?;
    let note = Arc::new(note);
    if key.models != 0 {
        let mut notes = NOTES.lock();
        notes.retain(|_, note| note.strong_count() > 0);
        notes.insert(key, Arc::downgrade(&note));
    }
    Some(note)
}

/// The table's share of what passages take, while it is not whole: dense playing leaves no time between them.
const SHARE: f64 = 0.25;
/// The most that the table is owed, in seconds: a few notes at once are heard, a burst of them is missed in the passages.
const MOST_OWED: f64 = 1.0;

/// How often a note is given up for what is played before it is rendered all the same.
const PATIENCE: usize = 8;

/// What became of a note.
enum Made {
    Note(Arc<TableNote>),
    /// It is silent or cannot be rendered.
    Nothing,
    /// Something was played meanwhile.
    Later,
}

/// Single notes of this process: instances that play the same performance share them.
static NOTES: LazyLock<Mutex<HashMap<NoteKey, Weak<TableNote>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct NoteKey {
    /// Address of the models, which outlive their notes' use; 0 is not shared.
    models: usize,
    performance: usize,
    instrument: usize,
    pitch: u8,
    velocity: u8,
    /// Denoising steps; 0 in a draft.
    steps: usize,
    rate: u32,
}

/// Notes that an instance of this process is rendering.
static MAKING: LazyLock<Mutex<HashSet<NoteKey>>> = LazyLock::new(Mutex::default);

/// A note that nobody else renders meanwhile.
struct Making(NoteKey);

impl Making {
    fn begin(key: NoteKey) -> Option<Self> {
        // Without models, in tests, nothing is shared.
        let begins = key.models == 0 || MAKING.lock().insert(key);
        // Made only if it begins: dropped, it would take away the other instance's mark.
        begins.then(|| Self(key))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        MAKING.lock().remove(&self.0);
    }
}

impl NoteKey {
    fn cached(self) -> CachedNote {
        let Self { performance, instrument, pitch, velocity, steps, .. } = self;
        CachedNote { performance, instrument, pitch, velocity, steps }
    }
}

/// What the table of the instant voice still lacks.
#[derive(Default)]
pub(super) struct Table {
    /// What it is made for; `None` before the first cast, and in bounces in Sync.
    made_for: Option<MadeFor>,
    pub steps: usize,
    rate: u32,
    /// The instrument of each slot.
    instruments: Vec<usize>,
    queue: VecDeque<NotePlan>,
    /// How often its first note was begun.
    begun: usize,
    /// Seconds of the worker's time that passages took from it, and what a note took last.
    owed: f64,
    cost: f64,
    total: usize,
    /// Which slots have a note.
    filled: [bool; MAX_PARTS],
    /// Messages that found the ring full.
    unsent: VecDeque<BankMessage>,
}

#[derive(Debug, Clone, PartialEq)]
struct MadeFor {
    performance: usize,
    cast: message::Cast,
    instruments: Vec<usize>,
    steps: usize,
    rate: u32,
}

impl Table {
    /// Plans the table anew if what it is for has changed.
    pub fn follow(&mut self, cast: &Cast, loaded: &Loaded, rate: u32) {
        let (message, instruments, ranges) = slots(cast, loaded);
        let wanted = MadeFor {
            performance: cast.performance,
            cast: message,
            instruments: instruments.clone(),
            steps: self.steps,
            rate,
        };
        if self.made_for.as_ref() == Some(&wanted) {
            return;
        }
        // Other steps replace the notes one by one; anything else is another bank.
        let same_bank =
            self.made_for.as_ref().is_some_and(|old| MadeFor { steps: self.steps, ..old.clone() } == wanted);
        if !same_bank {
            self.unsent.clear();
            self.unsent.push_back(BankMessage::Cast(message));
            self.filled = [false; MAX_PARTS];
        }
        self.rate = rate;
        self.instruments = instruments;
        self.queue = plan(&ranges, self.steps > 0).into();
        self.total = self.queue.len();
        self.made_for = Some(wanted);
    }

    /// Passages took so many seconds.
    pub fn wait(&mut self, seconds: f64) {
        self.owed = if self.queue.is_empty() { 0.0 } else { (self.owed + SHARE * seconds).min(MOST_OWED) };
    }

    /// A note took so many seconds.
    fn pay(&mut self, seconds: f64) {
        self.cost = seconds;
        self.owed = (self.owed - seconds).max(0.0);
    }

    /// Whether its next note comes before anything that is played: until every slot has one its part sounds like the
    /// players before, and afterwards the table has a share of the time.
    pub fn comes_first(&self) -> bool {
        !self.queue.is_empty() && (!self.playable() || (self.owed > 0.0 && self.owed >= self.cost))
    }

    /// Steps of its next note.
    pub fn next_steps(&self) -> usize {
        if self.queue.front().is_some_and(|plan| plan.draft) { 0 } else { self.steps }
    }

    /// The first note of the queue is made, or cannot be.
    pub fn give_up(&mut self) {
        self.queue.pop_front();
        self.begun = 0;
    }

    fn made(&mut self, slot: u8, note: Arc<TableNote>) {
        self.filled[usize::from(slot).min(MAX_PARTS - 1)] = true;
        self.unsent.push_back(BankMessage::Note { slot, note });
    }

    fn send(&mut self, bank: &mut HeapProd<BankMessage>) {
        while let Some(message) = self.unsent.pop_front() {
            if let Err(message) = bank.try_push(message) {
                self.unsent.push_front(message);
                return;
            }
        }
    }

    pub fn complete(&self) -> bool {
        self.queue.is_empty() && self.unsent.is_empty()
    }

    /// Every slot has a note.
    pub fn playable(&self) -> bool {
        !self.instruments.is_empty()
            && self.filled[..self.instruments.len().min(MAX_PARTS)].iter().all(|filled| *filled)
    }

    pub fn progress(&self) -> f32 {
        if self.total == 0 { 1.0 } else { 1.0 - self.queue.len() as f32 / self.total as f32 }
    }
}

/// Parts that share an instrument share its notes: the slots' instruments and ranges, and the cast that maps to them.
fn slots(cast: &Cast, loaded: &Loaded) -> (message::Cast, Vec<usize>, Vec<(u8, u8)>) {
    let mut message = message::Cast { parts: cast.parts(), ..message::Cast::default() };
    let mut instruments: Vec<usize> = Vec::new();
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for (part, member) in cast.ensemble.parts.iter().enumerate().take(MAX_PARTS) {
        let instrument = cast.instruments[part];
        message.range[part] = (member.lo, member.hi);
        let slot = instruments.iter().position(|known| *known == instrument).unwrap_or_else(|| {
            instruments.push(instrument);
            ranges.push((127, 0));
            instruments.len() - 1
        });
        message.slot[part] = slot as u8;
        ranges[slot] = (ranges[slot].0.min(member.lo), ranges[slot].1.max(member.hi));
    }
    // What an instrument cannot play is not rendered with it: its outermost notes are shifted.
    for (range, instrument) in ranges.iter_mut().zip(&instruments) {
        if let Some(instrument) = loaded.catalogue.instruments().get(*instrument) {
            let clipped = (range.0.max(instrument.lo), range.1.min(instrument.hi));
            if clipped.0 <= clipped.1 {
                *range = clipped;
            }
        }
    }
    (message, instruments, ranges)
}
