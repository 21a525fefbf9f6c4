//! Up to 64 voices that play the table of single notes, on the audio thread.
//!
//! A key sounds from its own sample on. Which part plays it is decided by the conductor some milliseconds later; until
//! then the nearest part is guessed (the last pitch of each part, its range, and whether it is busy), and a wrong guess
//! is moved to the right part with a crossfade of 8 ms. Waiting for the decision would cost its 10 ms on every note.
//! What a passage plays in context is left out here sample by sample, and comes back when the passage ends.

use super::note::TableNote;
use super::sound::Cursor;
use crate::stream::MAX_PARTS;
use crate::stream::fade::smooth;
use crate::stream::live::{CHUNK, Cover};
use crate::stream::message::{BankMessage, Cast};
use crate::stream::telemetry::Telemetry;
use std::sync::Arc;

/// Voices that are not on their way out.
pub const MAX_VOICES: usize = 64;
/// Voices of which some fade out because they were stolen or moved.
const POOL: usize = MAX_VOICES + 32;
/// Seconds in which what is held fades into how it dies away.
const RELEASE: f32 = 0.02;
/// Semitones that a note is shifted up at most, while the table fills and beyond the ranges of its parts; what lies above is
/// played octaves lower. Read faster, a note would fold its overtones over the host's rate and be noise.
const MOST_UP: i32 = 24;
/// Below -100 dB a voice has ended.
const INAUDIBLE: f32 = 1e-5;
/// Keys of the bank: MIDI pitches.
const PITCHES: usize = 128;

/// One dynamic or both of a pitch.
type Entries = [Option<Arc<TableNote>>; 2];

/// The single notes of one slot by pitch.
struct Slot {
    /// [`PITCHES`] entries, allocated once.
    notes: Vec<Entries>,
    /// Belongs to the cast before; cleared when the first note of the new one arrives.
    stale: bool,
}

struct Voice {
    note: Arc<TableNote>,
    part: u8,
    key: u8,
    velocity: u8,
    /// Stream time of its key, in host samples.
    played: u64,
    /// Where it is in the held note, and from its release on in the released one.
    held: Cursor,
    dying: Cursor,
    /// Samples since its release.
    since: f64,
    /// How far it has faded from the held note into the released one, 0 to 1, and the change per sample.
    share: f32,
    share_step: f32,
    /// Fade against clicks, 0 to 1, and its change per sample; the gain is the [smooth] one. Falling to 0 ends the voice.
    edge: f32,
    edge_step: f32,
    /// The key is down; the pedal may hold the voice when it no longer is.
    down: bool,
    released: bool,
    /// The conductor gave it to its part: only then do the part's passages contain it.
    decided: bool,
    /// It has been heard in context.
    in_context: bool,
}

/// Parts as bits.
pub type Parts = u8;

/// What sounds of each part.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sounding {
    /// When the last key went down, in stream samples.
    pub newest: [u64; MAX_PARTS],
    /// Whether a key is held.
    pub held: [bool; MAX_PARTS],
}

impl Voice {
    fn ending(&self) -> bool {
        self.edge_step < 0.0
    }

    /// It begins, ends, or has just been released.
    fn fades(&self) -> bool {
        self.edge < 1.0 || self.ending() || (self.released && self.share < 1.0)
    }

    /// Samples for which neither sound comes to its loop's beginning or end.
    fn steady(&self) -> usize {
        let held = self.held.steady(&self.note.held);
        if self.released { held.min(self.dying.steady(&self.note.released)) } else { held }
    }

    /// Writes the gains of held note and release for so many samples, and goes on by as many: fewer where the release
    /// has taken over, or the voice has ended.
    fn fade(&mut self, samples: usize, [held, dying]: &mut [[f32; CHUNK]; 2]) -> usize {
        for i in 0..samples.min(CHUNK) {
            let (edge, share) = (smooth(self.edge), if self.released { smooth(self.share) } else { 0.0 });
            // Both are of one phase, so that their weights add up to one.
            (held[i], dying[i]) = (edge * (1.0 - share), edge * share);
            self.edge = (self.edge + self.edge_step).clamp(0.0, 1.0);
            let before = self.share;
            if self.released {
                self.share = (self.share + self.share_step).min(1.0);
            }
            if (before < 1.0 && self.share >= 1.0) || (self.ending() && self.edge <= 0.0) {
                return i + 1;
            }
        }
        samples.min(CHUNK)
    }

    /// Nothing of it can be heard any more.
    fn ended(&self) -> bool {
        let silent = match self.released {
            true => self.share >= 1.0 && self.note.released.rest(&self.dying).is_some_and(|rest| rest < INAUDIBLE),
            false => self.held.level < INAUDIBLE,
        };
        silent || (self.ending() && self.edge <= 0.0)
    }
}

pub struct Voices {
    /// Capacity [`POOL`], allocated once.
    voices: Vec<Voice>,
    slots: [Slot; MAX_PARTS],
    cast: Cast,
    /// Pitch of each part's last note.
    last: [f32; MAX_PARTS],
    pedal: bool,
    /// 8 ms from 1 to 0, per sample; and [`RELEASE`] from 0 to 1.
    edge: f32,
    share: f32,
}

impl Voices {
    pub fn new() -> Self {
        let slot = || Slot { notes: vec![Entries::default(); PITCHES], stale: false };
        let mut voices = Self {
            voices: Vec::with_capacity(POOL),
            slots: std::array::from_fn(|_| slot()),
            cast: Cast::default(),
            last: [60.0; MAX_PARTS],
            pedal: false,
            edge: 1.0,
            share: 1.0,
        };
        voices.begin(48_000);
        voices
    }

    /// Begins a new stream at a host rate in Hz: all voices end at once.
    pub fn begin(&mut self, rate: u32) {
        self.voices.clear();
        self.pedal = false;
        self.edge = 1.0 / (0.008 * rate as f32);
        self.share = 1.0 / (RELEASE * rate as f32);
        self.forget();
    }

    /// The parts' last pitches go back to the middle of their ranges.
    pub fn forget(&mut self) {
        for (last, (lo, hi)) in self.last.iter_mut().zip(self.cast.range) {
            *last = f32::from(lo) / 2.0 + f32::from(hi) / 2.0;
        }
    }

    pub fn bank(&mut self, message: BankMessage) {
        match message {
            BankMessage::Cast(cast) => {
                self.cast = cast;
                self.slots.iter_mut().for_each(|slot| slot.stale = true);
                self.forget();
            }
            BankMessage::Note { slot, note } => {
                let Some(slot) = self.slots.get_mut(usize::from(slot)) else { return };
                if std::mem::take(&mut slot.stale) {
                    slot.notes.iter_mut().for_each(|entries| *entries = Entries::default());
                }
                let loud = usize::from(note.velocity >= 72);
                if let Some(entries) = slot.notes.get_mut(usize::from(note.pitch)) {
                    entries[loud] = Some(note);
                }
            }
        }
    }

    /// Voices that sound.
    pub fn count(&self) -> usize {
        self.voices.len()
    }

    /// A key goes down. Returns the parts in which it released its own last note.
    pub fn note_on(&mut self, key: u8, velocity: u8, played: u64) -> Parts {
        self.sweep();
        let mut parts = 0;
        for voice in &mut self.voices {
            // A key struck again releases its own note: the hammer or bow is needed anew.
            if voice.key == key && !voice.released && !voice.ending() {
                parts |= release(voice);
            }
        }
        let part = self.guess(key);
        self.last[part] = f32::from(key);
        self.start(part, key, velocity, played, 0.0, 1.0);
        parts
    }

    /// A key that is held goes on in another stream: as a voice that has sounded for `sounded` samples and fades in.
    pub fn resume(&mut self, key: u8, velocity: u8, sounded: f64) {
        let part = self.guess(key);
        self.last[part] = f32::from(key);
        self.start(part, key, velocity, 0, sounded, 0.0);
    }

    /// A key goes up. Returns the parts in which something was released.
    pub fn note_off(&mut self, key: u8) -> Parts {
        let mut parts = 0;
        for voice in &mut self.voices {
            if voice.key == key && voice.down {
                voice.down = false;
                if !self.pedal {
                    parts |= release(voice);
                }
            }
        }
        parts
    }

    /// A note that the composer holds down ends, whatever the pedal does: the pedal is the musician's. Returns its part.
    pub fn end(&mut self, key: u8) -> Parts {
        let mut parts = 0;
        for voice in self.voices.iter_mut().filter(|voice| voice.key == key && voice.down) {
            voice.down = false;
            parts |= release(voice);
        }
        parts
    }

    /// The pedal moves. Returns the parts in which something was released.
    pub fn sustain(&mut self, down: bool) -> Parts {
        self.pedal = down;
        let mut parts = 0;
        if !down {
            for voice in self.voices.iter_mut().filter(|voice| !voice.down && !voice.released) {
                parts |= release(voice);
            }
        }
        parts
    }

    /// What sounds of each part.
    pub fn sounding(&self) -> Sounding {
        let mut sounding = Sounding::default();
        for voice in self.voices.iter().filter(|voice| !voice.ending()) {
            let part = usize::from(voice.part).min(MAX_PARTS - 1);
            sounding.newest[part] = sounding.newest[part].max(voice.played);
            sounding.held[part] |= !voice.released;
        }
        sounding
    }

    /// Everything fades out within 8 ms.
    pub fn all_off(&mut self) {
        self.pedal = false;
        for voice in &mut self.voices {
            voice.down = false;
            voice.edge_step = -self.edge;
        }
    }

    /// The conductor gave the key that went down at `played` to `part`: a voice elsewhere moves there.
    pub fn decided(&mut self, key: u8, part: u8, played: u64) {
        self.sweep();
        let to = usize::from(part).min(self.cast.parts.saturating_sub(1));
        self.last[to] = f32::from(key);
        let Some(voice) = self.voices.iter_mut().find(|v| v.key == key && v.played == played && !v.ending()) else {
            return;
        };
        if usize::from(voice.part) == to {
            voice.decided = true;
            return;
        }
        voice.edge_step = -self.edge;
        let (velocity, down, released, since) = (voice.velocity, voice.down, voice.released, voice.since);
        let at = (voice.held.samples() - since).max(0.0);
        if self.start(to, key, velocity, played, at, 0.0)
            && let Some(moved) = self.voices.last_mut()
        {
            moved.down = down;
            moved.decided = true;
            if released {
                release(moved);
                skip(moved, since);
            }
        }
    }

    /// A note that is known to be its part's is heard from stream sample `from` on; it was held for so many samples, and
    /// released so many ago if it was. It fades in from `edge` on. Silent if the part has no single notes.
    pub fn begin_at(
        &mut self,
        (part, key, velocity): (u8, u8, u8),
        from: u64,
        (held, released): (u64, Option<u64>),
        edge: f32,
    ) {
        self.sweep();
        let part = usize::from(part).min(self.cast.parts.saturating_sub(1));
        if self.start(part, key, velocity, from, held as f64, edge)
            && let Some(voice) = self.voices.last_mut()
            && let Some(released) = released
        {
            release(voice);
            skip(voice, released as f64);
        }
    }

    /// Everything ends at once.
    pub fn stop(&mut self) {
        self.voices.clear();
    }

    /// The part that most likely takes a key: nearest last pitch, within its range, not busy.
    fn guess(&self, key: u8) -> usize {
        let mut held = [0u8; MAX_PARTS];
        for voice in self.voices.iter().filter(|v| v.down) {
            held[usize::from(voice.part)] = held[usize::from(voice.part)].saturating_add(1);
        }
        let cost = |part: usize| {
            let (lo, hi) = self.cast.range[part];
            let outside = lo.saturating_sub(key).max(key.saturating_sub(hi));
            (f32::from(key) - self.last[part]).abs() + 24.0 * f32::from(outside.min(1)) + 6.0 * f32::from(held[part])
        };
        (0..self.cast.parts.clamp(1, MAX_PARTS)).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0)
    }

    /// Starts a voice `at` host samples into its note with a given edge. False if there is no note or no room for it.
    fn start(&mut self, part: usize, key: u8, velocity: u8, played: u64, at: f64, edge: f32) -> bool {
        let slot = usize::from(self.cast.slot[part]).min(MAX_PARTS - 1);
        let Some(note) = nearest(&self.slots[slot].notes, key, velocity).cloned() else { return false };
        if !self.make_room(played) {
            return false;
        }
        let mut semitones = i32::from(key) - i32::from(note.pitch);
        while semitones > MOST_UP {
            semitones -= 12;
        }
        let step = 2f64.powf(f64::from(semitones) / 12.0);
        // SoundFont 2.04, 8.4.1: velocity attenuates by 40 log10(127 / velocity) dB, a square law in amplitude.
        let level = (f32::from(velocity) / f32::from(note.velocity)).powi(2);
        let mut voice = Voice {
            held: Cursor::new(0.0, step, level),
            dying: Cursor::new(0.0, step, level),
            since: 0.0,
            share: 0.0,
            share_step: self.share,
            note,
            part: part as u8,
            key,
            velocity,
            played,
            edge,
            edge_step: self.edge,
            down: true,
            released: false,
            decided: false,
            in_context: false,
        };
        skip(&mut voice, at);
        self.voices.push(voice);
        true
    }

    /// Makes sure that a voice may start: the least missed one fades out. False if even the pool is full.
    fn make_room(&mut self, played: u64) -> bool {
        if self.voices.iter().filter(|v| !v.ending()).count() >= MAX_VOICES {
            let victim = self
                .voices
                .iter_mut()
                .filter(|v| !v.ending())
                .min_by(|a, b| (!a.released, a.down, a.played).cmp(&(!b.released, b.down, b.played)));
            if let Some(victim) = victim {
                if victim.played == played && victim.held.at() == 0.0 {
                    // Everything sounding began in this very sample: one more is one too many.
                    return false;
                }
                victim.edge_step = -self.edge;
            }
        }
        self.voices.len() < POOL
    }

    /// Adds samples `from..to` of the block to the parts, at most [`CHUNK`], but for what `cover` says is played in
    /// context. `now` is the stream sample of the first.
    pub fn render(
        &mut self,
        (from, to): (usize, usize),
        parts: &mut [[Vec<f32>; 2]; MAX_PARTS],
        now: u64,
        cover: &Cover,
        telemetry: &Telemetry,
    ) {
        let mut rest = [0.0; CHUNK];
        let frames = to - from;
        for voice in &mut self.voices {
            let part = usize::from(voice.part).min(MAX_PARTS - 1);
            let [left, right] = &mut parts[part];
            let (left, right) = (&mut left[from..to], &mut right[from..to]);
            if !voice.decided || !cover.rest(part, voice.played, frames, &mut rest) {
                play(voice, left, right, |_| 1.0);
            } else if rest[..frames].iter().all(|rest| *rest == 0.0) {
                pass(voice, frames);
            } else {
                play(voice, left, right, |i| rest[i]);
            }
            if voice.decided && !voice.in_context && cover.arrived(part, voice.played) {
                voice.in_context = true;
                telemetry.count_in_context(now + frames as u64 - voice.played);
            }
        }
        self.sweep();
    }

    /// Adds `rest` of each sample to the block's samples from `at` on; `rest` is as long as what is played.
    pub fn fill(&mut self, at: usize, rest: &[f32], parts: &mut [[Vec<f32>; 2]; MAX_PARTS]) {
        for voice in &mut self.voices {
            let [left, right] = &mut parts[usize::from(voice.part).min(MAX_PARTS - 1)];
            let to = at + rest.len();
            play(voice, &mut left[at..to], &mut right[at..to], |i| rest[i]);
        }
        self.sweep();
    }

    /// Frees the voices that have ended. Also before anything is decided by what sounds, so that it does not depend on
    /// where blocks end.
    fn sweep(&mut self) {
        self.voices.retain(|voice| !voice.ended());
    }
}

/// Returns the voice's part.
fn release(voice: &mut Voice) -> Parts {
    if !voice.released {
        let (at, level) = voice.note.release(voice.held.at());
        voice.dying = voice.held.moved(at, level * voice.held.level);
        (voice.since, voice.share) = (0.0, 0.0);
    }
    voice.released = true;
    voice.down = false;
    1 << voice.part.min(MAX_PARTS as u8 - 1)
}

/// The note to play a key from: nearest pitch first, then nearest dynamic.
fn nearest(notes: &[Entries], key: u8, velocity: u8) -> Option<&Arc<TableNote>> {
    let key = i32::from(key);
    (0..PITCHES as i32).find_map(|distance| {
        [key - distance, key + distance].into_iter().find_map(|pitch| {
            let entries = notes.get(usize::try_from(pitch).ok()?)?;
            entries.iter().flatten().min_by_key(|note| note.velocity.abs_diff(velocity))
        })
    })
}

/// Adds a voice to left and right, `rest` of each sample, and goes on by as many.
fn play(voice: &mut Voice, left: &mut [f32], right: &mut [f32], rest: impl Fn(usize) -> f32) {
    let frames = left.len().min(right.len());
    let mut gains = [[0.0; CHUNK]; 2];
    let mut at = 0;
    while at < frames && !voice.ended() {
        let most = voice.steady().min(frames - at);
        // The release alone goes on in `share` of 1.
        let (holds, dies) = (!voice.released || voice.share < 1.0, voice.released);
        let fades = voice.fades();
        let run = if fades { voice.fade(most, &mut gains) } else { most };
        let (left, right) = (&mut left[at..at + run], &mut right[at..at + run]);
        let Voice { note, held, dying, .. } = voice;
        let gain = |of: usize| {
            let (gains, rest) = (&gains[of], &rest);
            move |i: usize| if fades { gains[i] * rest(at + i) } else { rest(at + i) }
        };
        if holds {
            note.held.add(held, gain(0), left, right);
        } else {
            held.advance(&note.held, run);
        }
        if dies {
            note.released.add(dying, gain(1), left, right);
            voice.since += run as f64;
        }
        at += run;
    }
}

/// A voice that cannot be heard goes on all the same: it may have to come back.
fn pass(voice: &mut Voice, frames: usize) {
    let mut gains = [[0.0; CHUNK]; 2];
    let mut at = 0;
    while at < frames && !voice.ended() {
        let most = voice.steady().min(frames - at);
        let run = if voice.fades() { voice.fade(most, &mut gains) } else { most };
        voice.held.advance(&voice.note.held, run);
        if voice.released {
            voice.dying.advance(&voice.note.released, run);
            voice.since += run as f64;
        }
        at += run;
    }
}

/// Many samples on at once, but for the edge.
fn skip(voice: &mut Voice, samples: f64) {
    voice.held.skip(&voice.note.held, samples);
    if voice.released {
        voice.dying.skip(&voice.note.released, samples);
        voice.since += samples;
        voice.share = (voice.share + samples as f32 * voice.share_step).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn tone(pitch: u8) -> Arc<TableNote> {
        tone_at(pitch, 96)
    }

    fn tone_at(pitch: u8, velocity: u8) -> Arc<TableNote> {
        let hz = 440.0 * 2f32.powf((f32::from(pitch) - 69.0) / 12.0);
        let wave: Vec<f32> = (0..120_000).map(|i| 0.25 * (TAU * hz * i as f32 / 48e3).sin()).collect();
        Arc::new(TableNote::prepare(pitch, velocity, &wave, &wave, 48_000, 2.5).unwrap())
    }

    fn voices(parts: usize) -> Voices {
        let mut voices = Voices::new();
        let mut cast = Cast { parts, ..Cast::default() };
        for part in 0..parts {
            cast.range[part] = (30, 100);
            cast.slot[part] = part as u8;
        }
        voices.bank(BankMessage::Cast(cast));
        for slot in 0..parts as u8 {
            voices.bank(BankMessage::Note { slot, note: tone(60) });
        }
        voices
    }

    fn block(voices: &mut Voices, frames: usize) -> [[Vec<f32>; 2]; MAX_PARTS] {
        let mut parts = std::array::from_fn(|_| [vec![0.0; frames], vec![0.0; frames]]);
        let (cover, telemetry) = (Cover::none(), Telemetry::new());
        for from in (0..frames).step_by(CHUNK) {
            voices.render((from, frames.min(from + CHUNK)), &mut parts, 0, &cover, &telemetry);
        }
        parts
    }

    fn largest_step(x: &[f32]) -> f32 {
        x.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_key_sounds_at_once_at_its_own_pitch() {
        for key in [58u8, 60, 62] {
            let mut voices = voices(1);
            voices.note_on(key, 96, 0);
            let heard = block(&mut voices, 48_000)[0][0].clone();
            assert!(heard[..100].iter().any(|x| x.abs() > 0.01));
            let ups = heard.windows(2).filter(|w| w[0] <= 0.0 && w[1] > 0.0).count() as f64;
            let hz = 440.0 * 2f64.powf((f64::from(key) - 69.0) / 12.0);
            assert!((ups - hz).abs() <= 1.5, "{key}: {ups} Hz for {hz}");
        }
    }

    #[test]
    fn a_key_far_above_all_that_is_rendered_is_played_octaves_lower_and_not_as_noise() {
        for (key, heard_as) in [(84, 84), (85, 73), (127, 79)] {
            let mut voices = voices(1);
            voices.note_on(key, 96, 0);
            let heard = block(&mut voices, 48_000)[0][0].clone();
            let ups = heard.windows(2).filter(|w| w[0] <= 0.0 && w[1] > 0.0).count() as f64;
            let hz = 440.0 * 2f64.powf((f64::from(heard_as) - 69.0) / 12.0);
            assert!((ups - hz).abs() <= 2.0, "{key}: {ups} Hz for {hz}");
        }
    }

    #[test]
    fn a_voice_lasts_as_long_as_its_key_and_then_dies_without_a_click() {
        let mut voices = voices(1);
        voices.note_on(60, 96, 0);
        let held = block(&mut voices, 480_000)[0][0].clone();
        let largest = 0.25 * TAU * 262.0 / 48e3 * 1.1;
        assert!(held[470_000..].iter().any(|x| x.abs() > 0.2), "it faded while held");
        // The first 2 ms are its attack.
        assert!(largest_step(&held[100..]) < largest, "{}", largest_step(&held[100..]));
        voices.note_off(60);
        let released = block(&mut voices, 48_000)[0][0].clone();
        assert!(largest_step(&released) < largest);
        assert_eq!(voices.count(), 0);
    }

    #[test]
    fn a_release_that_was_rendered_is_heard_to_its_end() {
        // Held for a second; then a room that is there for 0.2 s, falls to its end, and is followed by nothing.
        let wave: Vec<f32> = (0..79_200)
            .map(|i| {
                let since = (i as f32 / 48e3 - 1.0).max(0.0);
                0.25 * (1.0 - since / 0.25).max(0.0) * (TAU * 262.0 * i as f32 / 48e3).sin()
            })
            .collect();
        let mut voices = voices(1);
        let note = TableNote::prepare(60, 96, &wave, &wave, 48_000, 1.0).unwrap();
        voices.bank(BankMessage::Note { slot: 0, note: Arc::new(note) });
        voices.note_on(60, 96, 0);
        block(&mut voices, 40_000);
        voices.note_off(60);
        let released = block(&mut voices, 24_000)[0][0].clone();
        assert!(released[8_000..9_000].iter().any(|x| x.abs() > 0.05), "it was cut off");
        assert!(largest_step(&released) < 0.25 * TAU * 262.0 / 48e3 * 1.1, "{}", largest_step(&released));
        assert!(voices.count() == 0 && released[13_000..].iter().all(|x| x.abs() < 1e-3));
    }

    #[test]
    fn the_pedal_holds_what_the_fingers_leave() {
        let mut voices = voices(1);
        voices.sustain(true);
        voices.note_on(60, 96, 0);
        voices.note_off(60);
        assert!(block(&mut voices, 48_000)[0][0][47_000..].iter().any(|x| x.abs() > 0.2));
        voices.sustain(false);
        block(&mut voices, 48_000);
        assert_eq!(voices.count(), 0);
    }

    #[test]
    fn three_hundred_keys_leave_sixty_four_voices() {
        let mut voices = voices(1);
        for i in 0..300u32 {
            voices.note_on((i % 128) as u8, 96, u64::from(i) / 150);
            if i == 149 {
                block(&mut voices, 1);
            }
        }
        assert!(voices.count() <= POOL);
        block(&mut voices, 4_800);
        assert!(voices.count() <= MAX_VOICES);
    }

    #[test]
    fn a_wrong_guess_moves_to_the_decided_part_without_a_click() {
        let mut voices = voices(2);
        voices.note_on(60, 96, 5);
        let first = block(&mut voices, 480);
        let (from, to) = if first[0][0].iter().any(|x| *x != 0.0) { (0, 1) } else { (1, 0) };
        voices.decided(60, to as u8, 5);
        let second = block(&mut voices, 4_800);
        let mut sum: Vec<f32> = first[from][0].clone();
        sum.extend(second[0][0].iter().zip(&second[1][0]).map(|(a, b)| a + b));
        assert!(second[from][0][480..].iter().all(|x| *x == 0.0));
        assert!(second[to][0][480..].iter().any(|x| x.abs() > 0.2));
        let largest = largest_step(&sum[100..]);
        assert!(largest < 0.25 * TAU * 262.0 / 48e3 * 1.1 + 0.002, "{largest}");
    }

    #[test]
    fn a_stolen_voice_ends_without_a_click() {
        let mut voices = voices(1);
        for i in 0..MAX_VOICES as u64 {
            voices.note_on(60, 1 + (i == 0) as u8 * 95, i);
            block(&mut voices, 1);
        }
        let count = voices.count();
        // In the middle of its wave, so that a cut would be heard.
        let mut heard = vec![0.0f32];
        while heard[0].abs() < 0.2 {
            heard = block(&mut voices, 1)[0][0].clone();
        }
        voices.note_on(61, 1, 1_000);
        heard.extend(block(&mut voices, 2_400)[0][0].iter());
        assert!(count >= MAX_VOICES);
        assert!(largest_step(&heard) < 0.25 * TAU * 262.0 / 48e3 * 1.2 + 0.001, "{}", largest_step(&heard));
    }

    #[test]
    fn a_stolen_voice_ends_without_a_corner_at_any_rate() {
        const RATE: u32 = 192_000;
        let wave: Vec<f32> = (0..480_000).map(|i| 0.25 * (TAU * 110.0 * i as f32 / RATE as f32).sin()).collect();
        let mut voices = voices(1);
        voices.begin(RATE);
        let note = TableNote::prepare(45, 96, &wave, &wave, RATE, 2.5).unwrap();
        voices.bank(BankMessage::Note { slot: 0, note: Arc::new(note) });
        let bend = |x: &[f32]| x.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f32::max);
        voices.note_on(45, 96, 0);
        // Somewhere between a crest and a zero, so that neither hides the fade.
        let tone = block(&mut voices, 20_150)[0][0].split_off(10_000);
        voices.all_off();
        let fading = block(&mut voices, 4_800)[0][0].clone();
        assert_eq!(voices.count(), 0);
        let all = [&tone[..], &fading].concat();
        // What is left is rounding, and the fade's own bend.
        assert!(bend(&all) < 3.0 * bend(&tone) + 1e-6, "{} beside {}", bend(&all), bend(&tone));
    }

    #[test]
    fn however_blocks_are_cut_voices_sound_the_same_to_the_bit() {
        /// What happens at a sample: keys are struck, released, struck again, given to another part, and stolen.
        fn happen(voices: &mut Voices, at: usize) {
            let now = at as u64;
            match at {
                100 | 9_000 => drop([55, 60, 64].map(|key| voices.note_on(key, 90, now))),
                700 => drop([(55, 1), (60, 0)].map(|(key, part)| voices.decided(key, part, 100))),
                4_000 => drop(voices.note_off(60)),
                4_100 => drop(voices.note_on(60, 50, now)),
                20_000 => drop((0..70).map(|i| voices.note_on(30 + i, 70, now)).collect::<Vec<_>>()),
                20_300 => drop((30..60).map(|key| voices.note_off(key)).collect::<Vec<_>>()),
                100_000 => voices.all_off(),
                _ => {}
            }
        }
        const HAPPENINGS: [usize; 9] = [100, 700, 4_000, 4_100, 9_000, 20_000, 20_300, 100_000, 110_000];
        let played = |cut: usize| {
            let mut voices = voices(2);
            // Loops of two seconds at most, so that some are passed.
            let wave: Vec<f32> = (0..40_000).map(|i| 0.25 * (TAU * 262.0 * i as f32 / 48e3).sin()).collect();
            let note = Arc::new(TableNote::prepare(60, 96, &wave, &wave, 48_000, 0.6).unwrap());
            for slot in 0..2 {
                voices.bank(BankMessage::Note { slot, note: Arc::clone(&note) });
            }
            let (mut heard, mut at) = (Vec::new(), 0);
            for next in HAPPENINGS {
                while at < next {
                    let frames = cut.min(next - at);
                    let parts = block(&mut voices, frames);
                    heard.extend((0..frames).flat_map(|i| [&parts[0], &parts[1]].map(|part| part[0][i].to_bits())));
                    at += frames;
                }
                happen(&mut voices, next);
            }
            heard
        };
        let whole = played(8_192);
        assert!(whole.iter().filter(|bits| **bits != 0).count() > 100_000);
        for cut in [1, 7, 64, 1_000] {
            let same = played(cut).iter().zip(&whole).position(|(a, b)| a != b);
            assert_eq!(same, None, "blocks of {cut}");
        }
    }

    #[test]
    fn a_key_is_played_from_the_nearest_pitch_and_there_from_the_nearest_dynamic() {
        let mut notes = vec![Entries::default(); PITCHES];
        for (pitch, velocity) in [(60, 96), (60, 48), (64, 96), (67, 48)] {
            notes[usize::from(pitch)][usize::from(velocity == 96)] = Some(tone_at(pitch, velocity));
        }
        let chosen = |key, velocity| nearest(&notes, key, velocity).map(|note| (note.pitch, note.velocity));
        // Of two that are as near, the lower pitch: what is played higher than it was rendered keeps its brightness.
        let pitches = [(0, 60), (60, 60), (61, 60), (62, 60), (63, 64), (65, 64), (66, 67), (127, 67)];
        assert_eq!(pitches.map(|(key, _)| chosen(key, 90).map(|note| note.0)), pitches.map(|(_, pitch)| Some(pitch)));
        let dynamics = [(1, 48), (48, 48), (71, 48), (73, 96), (96, 96), (127, 96)];
        let velocities = dynamics.map(|(velocity, _)| chosen(60, velocity));
        assert_eq!(velocities, dynamics.map(|(_, rendered)| Some((60, rendered))));
        // A dynamic that is missing is no reason to go further for a pitch.
        assert_eq!([chosen(64, 1), chosen(67, 127)], [Some((64, 96)), Some((67, 48))]);
        assert!(nearest(&vec![Entries::default(); PITCHES], 60, 96).is_none());
    }

    #[test]
    fn a_note_that_is_begun_in_its_middle_is_where_it_would_be_had_it_been_played() {
        for (key, held, released) in
            [(60, 1_000, None), (62, 100_000, None), (58, 300_000, None), (60, 20_000, Some(2_000))]
        {
            let (mut played, mut begun) = (voices(1), voices(1));
            played.note_on(key, 80, 0);
            block(&mut played, held as usize);
            if let Some(released) = released {
                played.note_off(key);
                block(&mut played, released as usize);
            }
            begun.begin_at((0, key, 80), 0, (held, released), 1.0);
            let (played, begun) = (block(&mut played, 480), block(&mut begun, 480));
            let apart = played[0][0].iter().zip(&begun[0][0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(played[0][0].iter().any(|x| x.abs() > 0.03), "{key}: nothing sounds");
            assert!(apart < 1e-3, "{key} after {held} and {released:?}: {apart} apart");
        }
    }
}
