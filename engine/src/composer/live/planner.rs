//! What comes next, planned some beats ahead and planned again when it no longer fits.

use std::collections::VecDeque;
use std::sync::Arc;

use super::part::{self, LiveMode, LivePart, LiveSettings};
use crate::composer::encoding::{SongNote, VELOCITY};
use crate::composer::{Composition, Predictor, Step, Vocabulary};
use crate::inference::InferenceError;

/// Notes of what was played and composed that are remembered; the network hears half its window of them.
const MEMORY: usize = 1024;
/// Planned notes at most.
const MOST_PLANNED: usize = 256;
/// What a key counts as while it is down, ticks of a twelfth of a beat: nobody knows how long it will be.
const HELD: u64 = 12;
/// Beats between now and the first note of a new plan: what a plan takes, and what is sent ahead.
const SOONEST: f64 = 0.25;
/// Beats that a note may be late and still begin.
const LATE: f64 = 0.125;
/// Beats that the song may go on beyond the end of its loop, or go back after its start, as hosts and threads tell it late.
const NEAR: f64 = 0.5;
/// Fewest beats of a loop that is foreseen, and how far from a whole number they may be.
const SHORTEST: f64 = 2.0;
const WHOLE: f64 = 1.0 / 64.0;

/// A note that is going to sound. Beats count as the song's do, on beyond the end of a loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedNote {
    /// Part of the ensemble.
    pub part: usize,
    /// MIDI key.
    pub key: u8,
    /// MIDI velocity.
    pub velocity: u8,
    /// Where it begins, beats.
    pub onset: f64,
    /// Where it ends, beats.
    pub end: f64,
}

/// How long before they sound notes were planned. Of notes that began since the planner was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foresight {
    /// All of them.
    pub notes: u64,
    /// Those that could be foreseen: they begin 1.25 beats or more after what was played made a new plan necessary.
    pub foreseen: u64,
    /// Of these, those that were planned less than a beat before they began.
    pub late: u64,
    /// Of these, the fewest beats that one was planned before it began; infinite without any.
    pub least: f64,
    /// Of those that could not be foreseen: how many each [`Cause`] forced, in the order of [`Cause::ALL`].
    pub forced: [u64; Cause::ALL.len()],
}

/// What made a new plan necessary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The first notes that are heard: nothing was planned.
    Beginning,
    /// A key clashes with what was planned.
    Clash,
    /// A key went down that clashes with nothing: what is foreseen all the same may be planned knowing of it.
    Heard,
    /// Keys went up, and it is the composer's turn.
    KeysUp,
    /// The song jumped, or its meter changed.
    Jump,
    /// The musician changed the settings.
    Settings,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Beginning, Self::Clash, Self::Heard, Self::KeysUp, Self::Jump, Self::Settings];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beginning => "nothing was planned",
            Self::Clash => "a key clashed",
            Self::Heard => "a key was heard",
            Self::KeysUp => "keys went up",
            Self::Jump => "the song jumped",
            Self::Settings => "settings changed",
        }
    }
}

/// A note can be foreseen by a beat where so many beats lie between it and what made a new plan necessary: the beat, and
/// what a plan may take.
const FORESEEN: f64 = 1.25;

/// Something that is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Due {
    /// Where in the song, beats.
    pub beat: f64,
    /// Part of the ensemble.
    pub part: usize,
    /// MIDI key.
    pub key: u8,
    /// MIDI velocity; 0 ends the note.
    pub velocity: u8,
    /// Only after the song has gone back from this beat.
    pub after: Option<f64>,
}

/// The song goes back by so many beats at a beat: a whole number of them, so that ticks stay where they are.
#[derive(Debug, Clone, Copy)]
struct Back {
    at: f64,
    beats: f64,
}

/// A note of ours, in ticks of the planner's own count, which only goes forward.
#[derive(Debug, Clone, Copy)]
struct Ours {
    note: SongNote,
    part: usize,
    velocity: u8,
    /// The planner's beat when it was planned, and when the plan that it is of was begun, and why.
    planned: f64,
    begun: f64,
    cause: Cause,
}

/// Plans for an ensemble, from what is played.
pub struct Planner<P> {
    song: Composition<P>,
    vocabulary: Arc<Vocabulary>,
    settings: LiveSettings,
    parts: Vec<LivePart>,
    /// Beats of a bar, and where one begins.
    bar: f64,
    bar_start: f64,
    /// The host's loop. Beats and ticks after its end are those after its start in the next round.
    back: Option<Back>,
    /// The song's beat at tick 0, a whole one, and the song's beat now.
    origin: f64,
    now: f64,
    /// Notes that were played or composed and begun, sorted.
    heard: Vec<SongNote>,
    /// Keys that are down: when they went, and the instrument, as in `heard`.
    held: Vec<SongNote>,
    /// Velocity of what is played, running mean.
    velocity: f64,
    /// Notes to come, by onset.
    plan: VecDeque<Ours>,
    /// Notes that have begun and not ended.
    sounding: Vec<Ours>,
    /// Everything before this tick is planned; nothing: it is somebody else's turn.
    planned_to: Option<u64>,
    /// Where the song was when this plan was begun, and why it was.
    begun: f64,
    cause: Cause,
    /// Continue: the bar at which it begins to go on.
    waits: Option<f64>,
    foresight: Foresight,
    /// The network has not heard all that was played.
    stale: bool,
}

impl Foresight {
    /// A note begins at a beat.
    fn count(&mut self, beat: f64, ours: &Ours) {
        self.notes += 1;
        if beat - ours.begun >= FORESEEN {
            self.foreseen += 1;
            self.late += u64::from(beat - ours.planned < 1.0);
            self.least = self.least.min(beat - ours.planned);
        } else {
            self.forced[ours.cause as usize] += 1;
        }
    }
}

impl<P: Predictor> Planner<P> {
    /// A planner that has heard nothing.
    pub fn new(network: P, vocabulary: &Arc<Vocabulary>, seed: u64) -> Result<Self, InferenceError> {
        Ok(Self {
            song: Composition::new(network, vocabulary, seed)?,
            vocabulary: Arc::clone(vocabulary),
            settings: LiveSettings::default(),
            parts: Vec::new(),
            bar: 4.0,
            bar_start: 0.0,
            back: None,
            origin: 0.0,
            now: 0.0,
            heard: Vec::new(),
            held: Vec::new(),
            velocity: f64::from(VELOCITY),
            plan: VecDeque::new(),
            sounding: Vec::new(),
            planned_to: None,
            begun: 0.0,
            cause: Cause::Beginning,
            waits: None,
            foresight: Foresight {
                notes: 0,
                foreseen: 0,
                late: 0,
                least: f64::INFINITY,
                forced: [0; Cause::ALL.len()],
            },
            stale: true,
        })
    }

    /// Takes up settings and the ensemble; what is planned is planned again where they changed.
    pub fn set(&mut self, settings: LiveSettings, parts: &[LivePart]) {
        if self.settings == settings && self.parts == parts {
            return;
        }
        let others = |(a, b): (&LivePart, &LivePart)| *a != LivePart { on: a.on, ..*b };
        let forget = self.parts.len() != parts.len()
            || self.parts.iter().zip(parts).any(others)
            || self.settings.mode != settings.mode;
        self.parts = parts.to_vec();
        self.settings = settings;
        self.song.set_temperature(settings.temperature);
        if forget {
            self.silence();
            self.held.clear();
        } else if self.planned_to.is_some() {
            // What the new limits forbid is not played even where nothing new can be ready in its place.
            let chord = self.allowed_classes();
            let plays = |ours: &Ours| {
                let (part, pitch) = (parts.get(ours.part).is_some_and(|part| part.on), ours.note.pitch);
                part && (settings.lowest..=settings.highest).contains(&pitch) && chord >> (pitch % 12) & 1 == 1
            };
            self.plan.retain(plays);
            self.plan_from(self.soonest(), Cause::Settings);
        }
    }

    /// Quarter notes of a bar, and a beat at which one begins, before or after now: they are counted from there.
    pub fn set_bar(&mut self, beats: f64, start: f64) {
        if !beats.is_finite() || beats <= 0.0 || !start.is_finite() || (self.bar, self.bar_start) == (beats, start) {
            return;
        }
        (self.bar, self.bar_start) = (beats, start);
        let soonest = self.now + SOONEST;
        if self.waits.is_some_and(|bar| bar > soonest) {
            self.go_on_at(soonest, Cause::Jump);
        }
    }

    /// Where the host's loop begins and ends, if it has one: what comes after its end is planned before it, as what comes
    /// after its start. Loops of less than two beats or of a broken number of them are jumps.
    pub fn set_loop(&mut self, range: Option<(f64, f64)>) {
        self.back = range.and_then(|(start, end)| {
            let beats = (end - start).round();
            let fits = start.is_finite() && beats >= SHORTEST && (end - start - beats).abs() < WHOLE;
            fits.then_some(Back { at: end, beats })
        });
    }

    /// Where the song is going to go back.
    fn back(&self) -> Option<Back> {
        self.back.filter(|back| self.now < back.at + NEAR)
    }

    /// Where the first bar begins that does not begin before a beat.
    fn bar_from(&self, beat: f64) -> f64 {
        let bar_from = |beat: f64| self.bar_start + ((beat - self.bar_start) / self.bar).ceil() * self.bar;
        match self.back() {
            Some(Back { at, beats }) if bar_from(beat) >= at => bar_from(beat.max(at) - beats) + beats,
            _ => bar_from(beat),
        }
    }

    /// Where the bar of a beat begins.
    fn bar_of(&self, beat: f64) -> f64 {
        self.bar_start + ((beat - self.bar_start) / self.bar).floor() * self.bar
    }

    /// Instruments that the planner composes for now, with their place in the ensemble.
    fn composed(&self) -> Vec<(usize, LivePart)> {
        let own = (self.settings.mode == LiveMode::Accompany).then_some(self.settings.own_part);
        let all = self.parts.iter().copied().enumerate();
        all.filter(|&(i, part)| part.on && part.instrument > 0 && Some(i) != own).collect()
    }

    fn ticks(&self, beat: f64) -> u64 {
        ((beat - self.origin) * self.vocabulary.resolution() as f64).round().max(0.0) as u64
    }

    /// The first tick that is not before a beat.
    fn ticks_from(&self, beat: f64) -> u64 {
        ((beat - self.origin) * self.vocabulary.resolution() as f64).ceil().max(0.0) as u64
    }

    fn beat(&self, tick: u64) -> f64 {
        self.origin + tick as f64 / self.vocabulary.resolution() as f64
    }

    /// The first tick that something new can still be ready for.
    fn soonest(&self) -> u64 {
        self.ticks(self.now + SOONEST)
    }

    /// A key went down in a part, at a beat of the song.
    pub fn note_on(&mut self, beat: f64, part: usize, key: u8, velocity: u8) {
        let instrument = self.parts.get(part).map_or(0, |part| part.instrument);
        if self.settings.mode == LiveMode::Off || instrument == 0 {
            return;
        }
        if self.heard.is_empty() && self.plan.is_empty() {
            // The beginning of a bar to the network too, or the whole beat before it.
            self.origin = (self.bar_of(beat) - self.bar).floor();
        }
        self.note_off(beat, key);
        let note = SongNote { onset: self.ticks(beat), pitch: key & 0x7f, duration: HELD, instrument };
        self.hear(note);
        self.held.push(note);
        self.velocity += (f64::from(velocity) - self.velocity) / 8.0;
        match self.settings.mode {
            LiveMode::Off => {}
            LiveMode::Continue => {
                self.plan.clear();
                (self.planned_to, self.waits) = (None, None);
            }
            LiveMode::Accompany => self.answer(beat, &note),
        }
    }

    /// Accompany: what is planned is made to fit a note that is played at a beat.
    fn answer(&mut self, beat: f64, note: &SongNote) {
        let (clashes, soonest) = (self.clashes(note), self.soonest());
        if self.planned_to.is_none() {
            return self.plan_from(soonest, Cause::Beginning);
        }
        // Before this tick nothing new could be ready a beat ahead: what was planned without knowing of the note stays, as
        // long as it fits.
        let foreseen = self.ticks_from(self.now.max(beat) + FORESEEN);
        let contradicted = self.plan.iter().any(|ours| (soonest..foreseen).contains(&ours.note.onset) && clashes(ours));
        // Nothing new can be ready in the place of these.
        self.plan.retain(|ours| ours.note.onset >= soonest || !clashes(ours));
        if contradicted {
            self.plan_from(soonest, Cause::Clash);
        } else if self.planned_to > Some(foreseen) {
            self.plan_from(foreseen, Cause::Heard);
        }
    }

    /// A key went up.
    pub fn note_off(&mut self, beat: f64, key: u8) {
        let tick = self.ticks(beat);
        let Some(at) = self.held.iter().position(|held| held.pitch == key & 0x7f) else { return };
        let held = self.held.remove(at);
        if let Ok(i) = self.heard.binary_search(&held) {
            self.heard.remove(i);
            self.hear(SongNote { duration: tick.saturating_sub(held.onset).max(1), ..held });
        }
        if self.settings.mode == LiveMode::Continue && self.held.is_empty() {
            let after = (self.now.max(beat) + SOONEST).max(self.origin);
            self.go_on_at(after, Cause::KeysUp);
        }
    }

    /// Continue: goes on at the first beat or bar from a beat on.
    fn go_on_at(&mut self, after: f64, cause: Cause) {
        let start = if self.settings.from_bar { self.bar_from(after) } else { after.ceil() };
        self.plan_from(self.ticks(start), cause);
        self.waits = self.settings.from_bar.then_some(start);
    }

    /// All keys went up.
    pub fn all_off(&mut self, beat: f64) {
        for key in self.held.iter().map(|held| held.pitch).collect::<Vec<_>>() {
            self.note_off(beat, key);
        }
    }

    /// The song went on from another beat: what was to come after the old one does not. Returns the ends of what sounds.
    pub fn jump(&mut self, to: f64) -> Vec<Due> {
        let back = |back: &Back| (self.now - back.at).abs() < NEAR && (to - back.at + back.beats).abs() < NEAR;
        if let Some(back) = self.back.filter(back) {
            return self.go_back(back, to);
        }
        let ended = self.end_sounding(|_| true).into_iter().map(|due| Due { beat: to, after: None, ..due }).collect();
        let bars = ((self.now - self.origin) / self.bar).floor() + 1.0;
        self.origin = (self.bar_of(to) - bars * self.bar).floor();
        self.now = to;
        let tick = self.ticks(to);
        self.plan.clear();
        if self.planned_to.is_some() {
            self.plan_from(tick.max(self.soonest()), Cause::Jump);
        }
        ended
    }

    /// The song went back as was foreseen: what was planned for after it stays. Returns the ends of what sounds.
    fn go_back(&mut self, back: Back, to: f64) -> Vec<Due> {
        let turn = self.ticks_from(back.at);
        let planned = self.plan.len();
        self.plan.retain(|ours| ours.note.onset >= turn);
        self.stale |= self.plan.len() < planned;
        let mut ended = self.end_sounding(|ours| ours.note.onset < turn);
        ended.iter_mut().for_each(|due| (due.beat, due.after) = (to, None));
        // What begins on its key after the turn is sent already, and this would end it.
        ended.retain(|due| self.sounding.iter().all(|ours| ours.note.pitch != due.key));
        (self.origin, self.now) = (self.origin - back.beats, to);
        self.begun -= back.beats;
        self.waits = self.waits.map(|bar| bar - back.beats);
        for ours in self.plan.iter_mut().chain(&mut self.sounding) {
            (ours.planned, ours.begun) = (ours.planned - back.beats, ours.begun - back.beats);
        }
        ended
    }

    /// What is due for a note of ours at a beat: in the next round of a loop where the note begins there.
    fn due(&self, ours: &Ours, beat: f64, velocity: u8) -> Due {
        let back = self.back().filter(|back| ours.note.onset >= self.ticks_from(back.at));
        let (after, by) = (back.map(|back| back.at), back.map_or(0.0, |back| back.beats));
        Due { beat: beat - by, part: ours.part, key: ours.note.pitch, velocity, after }
    }

    /// Ends what sounds, where it is so.
    fn end_sounding(&mut self, ends: impl Fn(&Ours) -> bool) -> Vec<Due> {
        let (ended, sounding): (Vec<Ours>, _) = std::mem::take(&mut self.sounding).into_iter().partition(ends);
        self.sounding = sounding;
        // What was sent ahead ends where it begins.
        let end = |ours: &Ours| self.due(ours, self.now.max(self.beat(ours.note.onset)), 0);
        ended.iter().map(end).collect()
    }

    /// The song is at a beat.
    pub fn place(&mut self, now: f64) {
        self.now = now;
    }

    /// Forgets what was heard and planned; returns the ends of what sounds.
    pub fn forget(&mut self) -> Vec<Due> {
        self.silence();
        self.heard.clear();
        self.held.clear();
        self.end_sounding(|_| true)
    }

    fn silence(&mut self) {
        self.plan.clear();
        (self.planned_to, self.waits) = (None, None);
        self.stale = true;
    }

    /// Plans everything from a tick on again; what was planned before it stays.
    fn plan_from(&mut self, tick: u64, cause: Cause) {
        self.plan.retain(|ours| ours.note.onset < tick);
        (self.planned_to, self.waits) = (Some(tick), None);
        (self.begun, self.cause) = (self.now, cause);
        self.stale = true;
    }

    fn hear(&mut self, note: SongNote) {
        let at = self.heard.partition_point(|other| *other <= note);
        self.heard.insert(at, note);
        if self.heard.len() > MEMORY {
            // In one go, so that the network hears the same beginning for a while.
            self.heard.drain(..MEMORY / 4);
        }
        self.stale = true;
    }

    /// What clashes with a note that is played: a semitone, or, where only chord tones may be played, anything else than
    /// one.
    fn clashes(&self, played: &SongNote) -> impl Fn(&Ours) -> bool + use<P> {
        let (pitch, chord) = (i16::from(played.pitch), self.allowed_classes());
        move |ours| {
            let apart = (i16::from(ours.note.pitch) - pitch).rem_euclid(12);
            apart == 1 || apart == 11 || chord >> (ours.note.pitch % 12) & 1 == 0
        }
    }

    /// Pitch classes that may be played, a bit each from C.
    fn allowed_classes(&self) -> u16 {
        match self.chord() {
            chord @ 1.. if self.settings.chord_tones => chord,
            _ => u16::MAX,
        }
    }

    /// Pitch classes of the keys that are down, a bit each from C.
    fn chord(&self) -> u16 {
        self.held.iter().fold(0, |classes, held| classes | 1 << (held.pitch % 12))
    }

    /// Whether [`Planner::work`] has something to do.
    pub fn has_work(&self) -> bool {
        self.settings.mode != LiveMode::Off
            && self.plan.len() < MOST_PLANNED
            && self
                .planned_to
                .is_some_and(|to| self.beat(to) < self.now + self.settings.look_ahead.clamp(1.0, 4.0) + 1.0)
            && !self.composed().is_empty()
    }

    /// One step of the network, where one is needed.
    pub fn work(&mut self) -> Result<(), InferenceError> {
        let Some(mut from) = self.planned_to.filter(|_| self.has_work()) else { return Ok(()) };
        if from < self.ticks(self.now) {
            // On a machine that is too busy it would never come to what is still to be heard.
            from = self.soonest();
            self.planned_to = Some(from);
        }
        let composed = self.composed();
        if self.stale {
            let mut notes = self.heard.clone();
            notes.extend(self.plan.iter().map(|ours| ours.note));
            notes.sort_unstable();
            let all: Vec<u16> = self.parts.iter().map(|part| part.instrument).filter(|&code| code > 0).collect();
            self.song.begin(&all, &notes, from)?;
            self.stale = false;
        }
        let limits = part::limits(&self.settings, &composed, self.chord(), from);
        match self.song.step(&limits)? {
            Step::Note(note) => {
                self.planned_to = Some(note.onset.max(from));
                let part = self.part_for(&note, &composed);
                let velocity = self.velocity.round().clamp(1.0, 127.0) as u8;
                self.plan.push_back(Ours {
                    note,
                    part,
                    velocity,
                    planned: self.now,
                    begun: self.begun,
                    cause: self.cause,
                });
            }
            Step::Sign => {}
            // The limits leave nothing to play: it is asked again a beat later.
            Step::End => {
                self.planned_to = Some(from + self.vocabulary.resolution());
                self.stale = true;
            }
        }
        Ok(())
    }

    /// Of the parts with a note's instrument one that is free and can play it, or the one whose range is nearest.
    fn part_for(&self, note: &SongNote, composed: &[(usize, LivePart)]) -> usize {
        let busy = |part: usize| {
            let before = self.sounding.iter().chain(&self.plan);
            before.filter(|ours| ours.part == part && ours.note.onset + ours.note.duration > note.onset).count()
        };
        let distance =
            |part: &LivePart| part.lowest.saturating_sub(note.pitch).max(note.pitch.saturating_sub(part.highest));
        let own = composed.iter().filter(|(_, part)| part.instrument == note.instrument);
        let best = own.min_by_key(|(i, part)| (distance(part), busy(*i) as u32 >= part.at_once, busy(*i), *i));
        best.map_or(0, |(i, _)| *i)
    }

    /// The song is at a beat; what is due before `until` is moved to `due`, in order, last what is due after the song has
    /// gone back. Keys that are held are not struck.
    pub fn advance(&mut self, now: f64, until: f64, due: &mut Vec<Due>) {
        self.now = now;
        let from = due.len();
        let late = self.ticks(now - LATE);
        // The first tick that is not before it: to the nearest, a note would be sent when it is over.
        let horizon = self.ticks_from(until);
        while let Some(ours) = self.plan.front().copied().filter(|ours| ours.note.onset < horizon) {
            self.plan.pop_front();
            let key = ours.note.pitch;
            let unison = |other: &Ours| other.note.pitch == key && other.note.onset >= ours.note.onset;
            let held = self.held.iter().any(|held| held.pitch == key);
            if ours.note.onset < late || held || self.sounding.iter().any(unison) {
                continue;
            }
            // A key sounds once: what began on it before ends here.
            let beat = self.beat(ours.note.onset);
            let (same, others): (Vec<Ours>, _) =
                std::mem::take(&mut self.sounding).into_iter().partition(|other| other.note.pitch == key);
            self.sounding = others;
            due.extend(same.iter().map(|other| self.due(other, beat, 0)));
            due.push(self.due(&ours, beat, ours.velocity));
            self.foresight.count(beat, &ours);
            let stale = self.stale;
            self.hear(ours.note);
            // The network knows of it: it was its own.
            self.stale = stale;
            self.sounding.push(ours);
        }
        let ends = |ours: &Ours| ours.note.onset + ours.note.duration.max(1);
        let ended: Vec<Ours> = self.sounding.iter().copied().filter(|ours| ends(ours) < horizon).collect();
        self.sounding.retain(|ours| ends(ours) >= horizon);
        due.extend(ended.iter().map(|ours| self.due(ours, self.beat(ends(ours)), 0)));
        // At one place ends come first, so that a key can be struck again.
        due[from..].sort_by(|a, b| {
            let (rounds, keys) = (a.after.is_some().cmp(&b.after.is_some()), (a.velocity > 0).cmp(&(b.velocity > 0)));
            rounds.then(a.beat.total_cmp(&b.beat)).then(keys)
        });
    }

    /// Where it is the musician's turn, what sounds of ours ends now; and so does what sounds of a part that is off: it
    /// might go on for eight bars.
    pub fn give_way(&mut self, due: &mut Vec<Due>) {
        let all = self.planned_to.is_none() || self.settings.mode == LiveMode::Off;
        let off: Vec<bool> = self.parts.iter().map(|part| all || !part.on).collect();
        due.extend(self.end_sounding(|ours| off.get(ours.part).copied().unwrap_or(true)));
    }

    /// How long before they sound notes were planned.
    pub fn foresight(&self) -> Foresight {
        self.foresight
    }

    /// What is planned and has not begun; what is sent ahead already comes first, the rest by onset.
    pub fn planned(&self) -> impl Iterator<Item = PlannedNote> + '_ {
        let sent = self.sounding.iter().filter(|ours| self.beat(ours.note.onset) > self.now);
        sent.chain(&self.plan).map(|ours| PlannedNote {
            part: ours.part,
            key: ours.note.pitch,
            velocity: ours.velocity,
            onset: self.beat(ours.note.onset),
            end: self.beat(ours.note.onset + ours.note.duration),
        })
    }

    /// The network that plans.
    pub fn network(&self) -> &P {
        self.song.network()
    }

    /// Notes that are remembered, planned and sounding: it has a bound.
    pub fn remembered(&self) -> usize {
        self.heard.len() + self.held.len() + self.plan.len() + self.sounding.len()
    }

    /// Beats after now up to which everything is planned.
    pub fn ahead(&self) -> Option<f64> {
        self.planned_to.map(|to| self.beat(to) - self.now)
    }
}
