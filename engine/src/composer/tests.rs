//! What holds for every song, whatever the network says; and what the network says against Python.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::encoding::{self, SongNote};
use super::*;
use crate::inference::{InferenceError, Manifest, Models, Runtime};
use crate::score::{Score, TickNote, Track};
use crate::synth::noise::Noise;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn golden<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let file = repository().join("tests/golden/composer").join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The vocabulary of the repository's models, never those of the environment: the golden values belong to it.
pub(crate) fn vocabulary() -> Arc<Vocabulary> {
    Vocabulary::of(&Manifest::load(&repository().join("models")).unwrap()).unwrap()
}

fn models() -> Arc<Models> {
    let runtime = Runtime::load(None).unwrap_or_else(|error| panic!("{error}"));
    Models::load(runtime, &repository().join("models")).unwrap()
}

/// Logits that depend on nothing but how often it was asked; or are all 0. An eager one likes near beats best.
pub(crate) struct Babble {
    noise: Noise,
    asked: [i64; 6],
    heard: usize,
    window: usize,
    dependent: bool,
    flat: bool,
    eager: bool,
    logits: [Vec<f32>; 6],
}

impl Babble {
    pub fn new(vocabulary: &Vocabulary, window: usize, dependent: bool, seed: u64) -> Self {
        let logits = FIELDS.map(|field| vec![0.0; vocabulary.size(field)]);
        Self {
            noise: Noise::new(seed, 0, 0),
            asked: [0; 6],
            heard: 0,
            window,
            dependent,
            flat: false,
            eager: false,
            logits,
        }
    }

    pub fn eager(vocabulary: &Vocabulary, window: usize, seed: u64) -> Self {
        Self { eager: true, ..Self::new(vocabulary, window, true, seed) }
    }

    pub fn flat(vocabulary: &Vocabulary, window: usize) -> Self {
        Self { flat: true, ..Self::new(vocabulary, window, true, 0) }
    }
}

impl Predictor for Babble {
    fn window(&self) -> usize {
        self.window
    }

    fn heard(&self) -> usize {
        self.heard
    }

    fn hear(&mut self, events: &[Event]) -> Result<(), InferenceError> {
        self.heard += events.len();
        assert!(self.heard <= self.window, "{} events do not fit into {}", self.heard, self.window);
        Ok(())
    }

    fn rewind(&mut self, heard: usize) {
        self.heard = self.heard.min(heard);
    }

    fn order(&self) -> [Field; 6] {
        use Field::{Beat, Duration, Instrument, Kind, Pitch, Position};
        if self.dependent { [Kind, Beat, Position, Instrument, Pitch, Duration] } else { FIELDS }
    }

    fn predict(&mut self, field: Field, _: &Event) -> Result<&[f32], InferenceError> {
        let logits = &mut self.logits[field as usize];
        if self.flat {
            return Ok(logits);
        }
        let asked = &mut self.asked[field as usize];
        *asked += 1;
        let (noise, at) = (self.noise, *asked * 6 + field as i64);
        let slope = if self.eager && field == Field::Beat { 8.0 } else { 0.0 };
        // After the first time one number in eight is new: random numbers would take longer than what is tested.
        let (from, step) = if *asked == 1 { (0, 1) } else { (*asked as usize % 8, 8) };
        for (i, logit) in logits.iter_mut().enumerate().skip(from).step_by(step) {
            *logit = (noise.uniform(at * 512 + i as i64) * 20.0 - 10.0) as f32 - slope * i as f32;
        }
        Ok(logits)
    }
}

/// The network in 32 bits: what it says is what PyTorch says, however it hears a song. The one in 8 rounds what it
/// multiplies, and whatever adds in another order rounds some of it the other way.
const EXACT: &str = "composer_small";

/// What is wrong with an event after those of a song, by the definition of a song and not by [`Course`].
fn illegal(song: &[Event], event: &Event, limits: &Limits, vocabulary: &Vocabulary) -> Option<&'static str> {
    let [kind, beat, position, pitch, duration, instrument] = event.0;
    let last = song.last().map_or(0, |last| last.0[0]);
    let bare = [beat, position, pitch, duration, instrument] == [0; 5];
    if FIELDS.iter().any(|&field| usize::from(event.get(field)) >= vocabulary.size(field)) {
        return Some("a code that there is not");
    }
    if kind == 0 || kind < last || kind > last + 1 && !(last == 2 && kind == 4) {
        return Some("a type out of order");
    }
    let declared = |code: u16| song.iter().any(|e| e.0[0] == 1 && e.0[5] == code);
    match kind {
        1 if [beat, position, pitch, duration] != [0; 4] || instrument == 0 => Some("an instrument with another field"),
        1 if song.last().is_some_and(|last| last.0[5] >= instrument) => Some("instruments out of order"),
        1 if !limits.parts.is_empty() && !limits.parts.iter().any(|p| p.instrument == instrument) => Some("a stranger"),
        2 | 4 if !bare => Some("a sign with a field"),
        4 if !limits.may_end && song.len() < 2 => Some("an end before the beginning"),
        3 => {
            if event.0.contains(&0) {
                return Some("a note with an undefined field");
            }
            let note = encoding::note(event, vocabulary)?;
            let before: Vec<SongNote> = song.iter().filter_map(|e| encoding::note(e, vocabulary)).collect();
            let part = limits.parts.iter().find(|p| p.instrument == instrument);
            let sounding = before.iter().filter(|n| n.instrument == instrument && n.onset + n.duration > note.onset);
            let beat_of = |n: &SongNote| n.onset / vocabulary.resolution();
            if before.last().is_some_and(|last| last.onset > note.onset) {
                Some("a note before the last")
            } else if !declared(instrument) {
                Some("an instrument that the song does not have")
            } else if before.iter().any(|n| (n.onset, n.pitch, n.instrument) == (note.onset, note.pitch, instrument)) {
                Some("the same note twice")
            } else if limits.chord != 0 && limits.chord >> (note.pitch % 12) & 1 == 0 {
                Some("no chord tone")
            } else if !(limits.lowest..=limits.highest).contains(&note.pitch)
                || part.is_some_and(|p| !(p.lowest..=p.highest).contains(&note.pitch))
            {
                Some("a pitch out of range")
            } else if note.onset < limits.from {
                Some("too early")
            } else if part.and_then(|p| p.at_once).is_some_and(|most| sounding.count() >= most as usize) {
                Some("more at once than may be")
            } else if limits
                .per_beat
                .is_some_and(|most| before.iter().filter(|n| beat_of(n) == beat_of(&note)).count() >= most as usize)
            {
                Some("too many in a beat")
            } else {
                None
            }
        }
        _ => None,
    }
}

/// Limits by lot, some of which leave nothing to play.
fn limits_by_lot(noise: Noise, song: i64) -> Limits {
    let draw = |i: i64, below: u32| (noise.uniform(song * 64 + i) * f64::from(below)) as u32;
    let parts = (0..draw(0, 4)).map(|i| PartLimit {
        instrument: draw(10 + i64::from(i), 64) as u16 + 1,
        lowest: draw(20 + i64::from(i), 70) as u8,
        highest: 60 + draw(30 + i64::from(i), 68) as u8,
        at_once: (draw(40 + i64::from(i), 2) == 0).then(|| 1 + draw(50 + i64::from(i), 3)),
    });
    Limits {
        parts: parts.collect(),
        lowest: draw(1, 60) as u8,
        highest: 50 + draw(2, 78) as u8,
        chord: if draw(3, 2) == 0 { 0 } else { draw(4, 4096) as u16 },
        per_beat: (draw(5, 2) == 0).then(|| 1 + draw(6, 8)),
        from: u64::from(draw(7, 100)),
        may_end: draw(8, 4) == 0,
    }
}

/// Steps until `steps` are done, in songs of 60 events at most: to check a note takes longer the more there are before it.
fn no_step_is_illegal(steps: usize, dependent: bool, seed: u64) {
    let vocabulary = vocabulary();
    let lot = Noise::new(seed, 1, 0);
    let mut babble = Babble::new(&vocabulary, usize::MAX, dependent, seed);
    let mut sampler = Sampler::new(seed);
    let (mut done, mut songs, mut notes) = (0, 0, 0);
    while done < steps {
        songs += 1;
        let limits = limits_by_lot(lot, songs);
        let mut course = Course::new(&vocabulary);
        let mut song = vec![Event::sign(Kind::Song)];
        course.push(&song[0]);
        while !course.has_ended() && song.len() < 60 && done < steps {
            let event = sample(&mut babble, &course, &limits, &mut sampler).unwrap();
            if let Some(reason) = illegal(&song, &event, &limits, &vocabulary) {
                panic!("{reason}: {event:?} after {song:?} within {limits:?}");
            }
            course.push(&event);
            song.push(event);
            done += 1;
            notes += usize::from(event.is(Kind::Note));
        }
    }
    assert!(notes * 2 > steps, "of {steps} events {notes} are notes");
}

#[test]
fn half_a_million_steps_of_dependent_fields_give_no_illegal_event() {
    no_step_is_illegal(500_000, true, 1);
}

#[test]
fn half_a_million_steps_of_independent_fields_give_no_illegal_event() {
    no_step_is_illegal(500_000, false, 2);
}

/// `tests/golden/composer/encoding.json`.
#[derive(Deserialize)]
struct Encoding {
    cases: Vec<Case>,
}

/// Rows of onset, pitch, duration, program; of six codes; and of notes again.
#[derive(Deserialize)]
struct Case {
    notes: Vec<[u64; 4]>,
    events: Vec<[u16; 6]>,
    decoded: Vec<[u64; 4]>,
}

#[test]
fn scores_become_the_events_that_training_makes_of_them_and_scores_again() {
    let vocabulary = vocabulary();
    let Encoding { cases } = golden("encoding.json");
    assert!(cases.len() > 9);
    for case in cases {
        let mut score = Score { resolution: 12, ..Score::default() };
        for [onset, pitch, duration, program] in case.notes {
            let notes = vec![TickNote { onset, pitch: pitch as u8, duration, velocity: 90 }];
            score.tracks.push(Track { program: program as u8, notes, ..Track::default() });
        }
        // Drums are left out, and a finer resolution changes nothing.
        score.tracks.push(Track { drums: true, ..score.tracks[0].clone() });
        let notes = encoding::notes(&score.at_resolution(480), &vocabulary);
        let song = encoding::song(&encoding::events(&notes, &vocabulary), true);
        assert_eq!(song.iter().map(|event| event.0).collect::<Vec<_>>(), case.events);
        let decoded = encoding::score(&song, &vocabulary);
        let rows = decoded.tracks.iter().flat_map(|track| {
            track.notes.iter().map(|n| [n.onset, u64::from(n.pitch), n.duration, u64::from(track.program)])
        });
        let (mut found, mut wanted) = (rows.collect::<Vec<_>>(), case.decoded);
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
        let again = encoding::notes(&decoded, &vocabulary);
        assert_eq!(encoding::song(&encoding::events(&again, &vocabulary), true), song);
    }
}

/// `tests/golden/composer/NAME.json`: PyTorch's logits of the events from `first` on, the whole song heard at once.
#[derive(Deserialize)]
struct Predictions {
    events: Vec<[u16; 6]>,
    first: usize,
    /// How much a logit may differ: more where numbers are rounded to 8 bits, some of them the other way.
    tolerance: f32,
    logits: std::collections::BTreeMap<String, Vec<Vec<f32>>>,
}

/// Largest difference of a network's logits from Python's, for the last events.
fn difference(network: &mut Network, golden: &Predictions, chunks: &[usize]) -> f32 {
    let events: Vec<Event> = golden.events.iter().map(|&codes| Event(codes)).collect();
    network.rewind(0);
    let mut heard = 0;
    let mut worst = 0.0f32;
    // The events of the last chunk are checked one by one.
    for &count in chunks.iter().chain(std::iter::repeat(&1)) {
        if heard >= golden.first {
            for (name, rows) in &golden.logits {
                let found = network.predict(Field::named(name).unwrap(), &events[heard]).unwrap();
                let wanted = &rows[heard - golden.first];
                assert_eq!(found.len(), wanted.len());
                worst = found.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
            }
        }
        if heard + count >= events.len() {
            break;
        }
        network.hear(&events[heard..heard + count]).unwrap();
        heard += count;
    }
    assert_eq!(heard, events.len() - 1);
    worst
}

#[test]
fn step_by_step_with_a_cache_is_the_whole_song_at_once() {
    let models = models();
    let names = Network::names(&models);
    assert!(!names.is_empty());
    assert!(names.iter().any(|name| name == EXACT));
    for name in names {
        let golden: Predictions = golden(&format!("{name}.json"));
        assert!(golden.tolerance == if name == EXACT { 1e-4 } else { 0.25 });
        let mut network = Network::open(&models, &name, 1).unwrap();
        let prompt = golden.first;
        for chunks in [&[1][..], &[prompt], &[20, 1, 1, prompt - 22]] {
            let worst = difference(&mut network, &golden, chunks);
            assert!(worst < golden.tolerance, "{name} differs by {worst} in steps of {chunks:?}");
        }
        // The same events in the same steps are the same to the last bit.
        let events: Vec<Event> = golden.events.iter().map(|&codes| Event(codes)).collect();
        let mut heard_again = || {
            network.rewind(0);
            network.hear(&events[..20]).unwrap();
            events[20..prompt].iter().for_each(|&event| network.hear(&[event]).unwrap());
            logits(&mut network, &events[prompt])
        };
        assert_eq!(heard_again(), heard_again(), "{name}");
        // Going back and hearing other events leaves no trace.
        network.rewind(10);
        network.hear(&vec![Event([3, 40, 2, 61, 5, 25]); 30]).unwrap();
        network.rewind(10);
        let rest: Vec<Event> = golden.events[10..prompt].iter().map(|&codes| Event(codes)).collect();
        network.hear(&rest).unwrap();
        let logits = network.predict(Field::Pitch, &Event(golden.events[prompt])).unwrap();
        let wanted = &golden.logits["pitch"][0];
        let worst = logits.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < golden.tolerance, "{name} differs by {worst} after going back");
    }
}

/// Logits of all fields of an event, by what is heard.
fn logits(network: &mut Network, event: &Event) -> Vec<f32> {
    network.order().iter().flat_map(|&field| network.predict(field, event).unwrap().to_vec()).collect()
}

#[test]
fn nine_hundred_events_heard_one_by_one_are_what_they_are_heard_at_once() {
    let (models, vocabulary, noise) = (models(), vocabulary(), Noise::new(5, 0, 0));
    let draw = |i: i64, below: u32| (noise.uniform(i) * f64::from(below)) as u64;
    let instruments = [40, 41, 42, 43].map(|program| vocabulary.instrument_code(program));
    let mut onset = 0;
    let notes = (0..1_000).map(|i| {
        onset += [0, 0, 3, 6][draw(4 * i, 4) as usize];
        let (pitch, instrument) = (36 + draw(4 * i + 1, 48) as u8, instruments[draw(4 * i + 2, 4) as usize]);
        SongNote { onset, pitch, duration: 1 + draw(4 * i + 3, 24), instrument }
    });
    let mut song = encoding::head(instruments);
    song.extend(encoding::events(&notes.collect::<Vec<_>>(), &vocabulary));
    song.truncate(901);
    assert_eq!(song.len(), 901, "the last is only asked for");
    let mut network = Network::open(&models, EXACT, 1).unwrap();
    network.hear(&song[..900]).unwrap();
    let mut at_once = vec![Vec::new(); song.len()];
    for heard in (1..song.len()).rev() {
        network.rewind(heard);
        at_once[heard] = logits(&mut network, &song[heard]);
    }
    network.rewind(0);
    let mut worst = 0.0f32;
    for (heard, event) in song.iter().enumerate().skip(1) {
        network.hear(&song[heard - 1..heard]).unwrap();
        let found = logits(&mut network, event);
        assert_eq!(found.len(), at_once[heard].len());
        worst = found.iter().zip(&at_once[heard]).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
    }
    println!("the largest difference of a logit is {worst}");
    assert!(worst < 1e-4, "{EXACT}: logits differ by {worst}");
}

#[test]
fn what_composes_unless_another_is_asked_for_is_what_the_manifest_names() {
    let models = models();
    let named = models.manifest().composer.as_ref().unwrap().network.clone();
    assert_eq!(named.as_ref(), Network::names(&models).first());
}

fn note(onset: u64, pitch: u8, instrument: u16) -> SongNote {
    SongNote { onset, pitch, duration: 12, instrument }
}

#[test]
fn a_song_goes_on_beyond_the_window_and_the_last_beat() {
    let vocabulary = vocabulary();
    let babble = Babble::new(&vocabulary, 64, true, 3);
    let mut song = Composition::new(babble, &vocabulary, 4).unwrap();
    let played: Vec<SongNote> = (0..300).map(|i| note(i * 6, 60 + (i % 12) as u8, 7)).collect();
    song.begin(&[9], &played, 150 * 12).unwrap();
    let limits = Limits { parts: vec![PartLimit::free(9)], per_beat: Some(2), from: 150 * 12, ..Limits::default() };
    let mut last = 0;
    // Beats come by lot from all there are: some songs of 256 beats.
    for i in 0..2_000 {
        let Step::Note(note) = song.step(&limits).unwrap() else { panic!("step {i} is no note") };
        assert!(note.instrument == 9 && note.onset >= last.max(150 * 12));
        last = note.onset;
    }
    assert!(last > 1_000 * 12, "{last}");
}

#[test]
fn a_song_that_reaches_its_limit_ends_where_the_network_thought_most_that_it_had() {
    let vocabulary = vocabulary();
    let (until, violin) = (8 * vocabulary.resolution(), vocabulary.named("violin").unwrap());
    // Babble ends at random, and soon: only songs that reach the limit say something.
    let song = |seed| {
        let mut song = Composition::new(Babble::eager(&vocabulary, 4096, seed), &vocabulary, seed).unwrap();
        song.begin(&[violin], &[], 0).unwrap();
        song
    };
    let limits = Limits { per_beat: Some(1), may_end: true, ..Limits::default() };
    let mut reached = 0;
    for seed in 0..4_000 {
        let (mut own, mut notes, mut best) = (song(seed), Vec::new(), (f64::NEG_INFINITY, 0));
        let ended = loop {
            let step = own.step(&limits).unwrap();
            let last: Option<&SongNote> = notes.last();
            if let Some(likely) =
                own.could_have_ended().filter(|_| last.is_some_and(|note| note.onset >= until / 4 * 3))
                && likely > best.0
            {
                best = (likely, notes.len());
            }
            match step {
                Step::Note(note) if note.onset < until => notes.push(note),
                Step::Sign => {}
                Step::Note(_) => break false,
                Step::End => break true,
            }
        };
        if ended || best.1 == 0 {
            continue;
        }
        reached += 1;
        let found = song(seed).passage(&limits, until, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!(found, notes[..best.1]);
    }
    assert!(reached > 3, "{reached}");
}
