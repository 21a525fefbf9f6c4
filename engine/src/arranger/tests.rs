//! The arranger against random performances, and with the shipped network against what Python says of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::arranger::ensemble::EnsemblePart;
use crate::arranger::history::{self, History};
use crate::arranger::network::Scores;
use crate::arranger::piece::{self, PieceNote};
use crate::arranger::whole::{self, WholePiece};
use crate::inference::{Manifest, Models, Runtime};

/// `tests/golden/arranger.json`: the exported network on a hymn written for it.
#[derive(Deserialize)]
struct Golden {
    /// Onset and end of each note, 24ths of a quarter.
    time: Vec<u32>,
    end: Vec<u32>,
    pitch: Vec<u8>,
    part: Vec<usize>,
    logits: Vec<Vec<f32>>,
    accuracy: f64,
    played: Vec<usize>,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn golden() -> Golden {
    serde_json::from_str(&std::fs::read_to_string(repository().join("tests/golden/arranger.json")).unwrap()).unwrap()
}

/// The shipped models, never those of the environment: the golden values belong to them.
fn models() -> Arc<Models> {
    let runtime = Runtime::load(None).unwrap_or_else(|error| panic!("{error}"));
    Models::load(runtime, &repository().join("models")).unwrap_or_else(|error| panic!("{error}"))
}

fn shared_models() -> &'static Models {
    static MODELS: std::sync::OnceLock<Arc<Models>> = std::sync::OnceLock::new();
    MODELS.get_or_init(models)
}

fn ensemble(id: &str) -> &'static Ensemble {
    Ensemble::find(id).unwrap()
}

/// The hymn's choir on the network it was written down with.
fn choir() -> Ensemble {
    Ensemble { models: vec!["bach_lstm".into()], ..ensemble("satb-choir").clone() }
}

fn network(models: &Models) -> Network {
    Network::open(models, "bach_lstm").unwrap()
}

/// Keys of a chord as the network is shown them.
fn shown(keys: &[u8], time: u32) -> Features {
    let mut features = Features::default();
    keys.iter().for_each(|&key| features.push_live(key, 80, i64::from(time)));
    features
}

fn share(ours: &[usize], true_parts: &[usize]) -> f64 {
    ours.iter().zip(true_parts).filter(|(a, b)| a == b).count() as f64 / ours.len() as f64
}

/// Indices of the notes of each chord.
fn chords(golden: &Golden) -> Vec<std::ops::Range<usize>> {
    let starts: Vec<usize> =
        (0..golden.time.len()).filter(|&i| i == 0 || golden.time[i] != golden.time[i - 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([golden.time.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Plays the hymn as written, note-offs included.
fn play(arranger: &mut Arranger, golden: &Golden) -> Vec<usize> {
    let mut parts = Vec::new();
    let mut given = Vec::new();
    let mut down: Vec<usize> = Vec::new();
    for chord in chords(golden) {
        let now = golden.time[chord.start];
        down.retain(|&i| {
            let sounds = golden.end[i] > now;
            if !sounds {
                assert!(arranger.note_off(golden.pitch[i]).is_some());
            }
            sounds
        });
        let notes: Vec<(u8, u8)> = chord.clone().map(|i| (golden.pitch[i], 80)).collect();
        arranger.chord(&notes, f64::from(now) / 24.0, &mut given);
        parts.extend(given.iter().map(|part| part.unwrap()));
        down.extend(chord);
    }
    parts
}

#[test]
fn the_network_answers_in_rust_what_it_answers_in_python() {
    let golden = golden();
    let mut network = network(&models());
    let mut likeliest = Vec::new();
    for i in 0..golden.pitch.len() {
        let scores = network.hear(&shown(&golden.pitch[i..=i], golden.time[i])).unwrap();
        for (ours, python) in scores.row(0).iter().zip(&golden.logits[i]) {
            assert!((ours - python).abs() < 1e-3, "note {i}: {ours} and {python}");
        }
        likeliest.push(scores.likeliest(0));
    }
    assert!((share(&likeliest, &golden.part) - golden.accuracy).abs() < 1e-9);
}

#[test]
fn note_by_note_is_chord_by_chord() {
    let golden = golden();
    let models = models();
    let (mut single, mut chordal) = (network(&models), network(&models));
    for chord in chords(&golden) {
        let time = golden.time[chord.start];
        let together = chordal.hear(&shown(&golden.pitch[chord.clone()], time)).unwrap();
        for (place, i) in chord.enumerate() {
            let alone = single.hear(&shown(&golden.pitch[i..=i], time)).unwrap();
            for (a, b) in alone.row(0).iter().zip(together.row(place)) {
                assert!((a - b).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_hymn_is_given_out_as_python_gives_it_out() {
    let golden = golden();
    let mut arranger = Arranger::new(&choir(), Some(&models())).unwrap();
    let ours = play(&mut arranger, &golden);
    // The choir's ranges forbid nothing that this hymn asks.
    assert_eq!(ours, golden.played);
    assert!(arranger.take_fault().is_none());
    assert!(share(&ours, &golden.part) >= golden.accuracy);
}

#[test]
fn the_same_notes_always_go_to_the_same_parts() {
    let golden = golden();
    let models = models();
    let mut first = Arranger::new(ensemble("string-quartet"), Some(&models)).unwrap();
    let once = play(&mut first, &golden);
    first.all_off(&mut Vec::new());
    first.reset();
    let again = play(&mut first, &golden);
    let mut second = Arranger::new(ensemble("string-quartet"), Some(&models)).unwrap();
    assert_eq!(once, again);
    assert_eq!(once, play(&mut second, &golden));
}

#[test]
fn a_beat_that_is_no_beat_loses_no_note() {
    let mut arranger = Arranger::new(ensemble("brass-quartet"), Some(&models())).unwrap();
    let mut given = Vec::new();
    for beat in [-3.25, 1e9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        arranger.chord(&[(60, 1), (72, 1)], beat, &mut given);
        assert_eq!(given.len(), 2);
        assert!(arranger.take_fault().is_none(), "{beat}");
    }
}

#[test]
fn a_chord_is_given_out_within_the_time_it_is_gathered_in() {
    let mut arranger = Arranger::new(ensemble("string-quartet"), Some(&models())).unwrap();
    let mut given = Vec::new();
    let mut times: Vec<std::time::Duration> = (0..200)
        .map(|i| {
            let began = std::time::Instant::now();
            arranger.chord(&[(48, 80), (55, 80), (64, 80), (72, 80)], f64::from(i), &mut given);
            arranger.all_off(&mut Vec::new());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!("a chord of four notes: {median:?} (median of {})", times.len());
    // 10 ms is what a chord is gathered for; a hundred times what an idle machine needs.
    assert!(median.as_millis() < 10);
}

#[test]
fn an_ensemble_that_needs_a_network_says_so_without_one() {
    let error = Arranger::new(ensemble("keyboard"), None).err().unwrap();
    assert!(error.to_string().contains("Keyboard in four voices"));
}

#[test]
fn by_range_the_high_note_goes_to_the_high_part() {
    let mut arranger = Arranger::by_range(ensemble("string-quartet"));
    let mut given = Vec::new();
    arranger.chord(&[(84, 90), (40, 90)], 0.0, &mut given);
    assert_eq!(given, [Some(0), Some(3)]);
}

/// `tests/golden/arranger/*.json`: an exported network on a piece, with and without hints.
#[derive(Deserialize)]
struct GoldenModel {
    model: String,
    notes: GoldenNotes,
    mono: Vec<bool>,
    cases: Vec<GoldenCase>,
}

#[derive(Clone, Deserialize)]
struct GoldenNotes {
    time: Vec<i64>,
    pitch: Vec<u8>,
    end: Vec<i64>,
    part: Vec<usize>,
    /// Empty for the models that do not ask for it.
    #[serde(default)]
    velocity: Vec<u8>,
}

#[derive(Clone, Deserialize)]
struct GoldenCase {
    hints: String,
    inputs: BTreeMap<String, serde_json::Value>,
    logits: Vec<Vec<f32>>,
    played: Vec<usize>,
}

fn golden_models() -> Vec<GoldenModel> {
    let folder = std::fs::read_dir(repository().join("tests/golden/arranger")).unwrap();
    let read = |file: std::fs::DirEntry| {
        serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap_or_else(|e| panic!("{file:?}: {e}"))
    };
    folder.map(|file| read(file.unwrap())).collect()
}

/// Numbers of an input, however nested.
fn flat(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(rows) => rows.iter().flat_map(flat).collect(),
        number => number.as_f64().into_iter().collect(),
    }
}

/// A piece as the network is shown it, its hints those of the case.
fn golden_features(golden: &GoldenModel, case: &GoldenCase) -> (Vec<PieceNote>, Features) {
    let of = &golden.notes;
    let velocity = |i: usize| of.velocity.get(i).copied().unwrap_or(64);
    let note = |i: usize| PieceNote { onset: of.time[i], end: of.end[i], pitch: of.pitch[i], velocity: velocity(i) };
    let notes: Vec<PieceNote> = (0..of.time.len()).map(note).collect();
    let mut features = piece::features(&notes);
    if let Some(python) = case.inputs.get("context") {
        // The piece goes on after the notes of the case: its last chord may lack notes, whose context is then another.
        let last = notes.last().map_or(0, |note| note.onset);
        let known = notes.iter().take_while(|note| note.onset < last).count() * context::WIDTH;
        let python: Vec<f32> = flat(python).iter().map(|&x| x as f32).collect();
        for (a, b) in features.context[..known].iter().zip(&python) {
            assert!((a - b).abs() < 2e-6, "{}: context {a} and {b}", golden.model);
        }
        features.context = python;
    }
    if let Some(python) = case.inputs.get("history") {
        let mut known = History::new(golden.mono.len());
        for ((numbers, note), &part) in history::of_notes(&notes).iter().zip(&notes).zip(&of.part) {
            features.history.extend_from_slice(numbers);
            known.describe(note, &mut features.history);
            known.play(part, note);
        }
        let python: Vec<f32> = flat(python).iter().map(|&x| x as f32).collect();
        assert_eq!(features.history, python, "{}", golden.model);
    }
    if case.hints != "none" {
        features.entry =
            case.inputs.get("entry").map(|x| flat(x).iter().map(|&x| x as f32).collect()).unwrap_or_default();
        features.hint =
            case.inputs.get("hint").map(|x| flat(x).iter().map(|&x| x as i64).collect()).unwrap_or_default();
    }
    (notes, features)
}

#[test]
fn every_network_answers_in_rust_what_it_answers_in_python() {
    let models = models();
    for golden in golden_models() {
        let mut network = Network::open(&models, &golden.model).unwrap();
        for case in &golden.cases {
            let (notes, features) = golden_features(&golden, case);
            let width = network.voices().len() + 1;
            let logits = network.hear_whole(&features).unwrap();
            // The piece goes on: the last chord may lack notes, whose context is then another.
            let whole_chords = notes.iter().take_while(|note| note.onset < golden.notes.time[notes.len() - 1]).count();
            for (i, (ours, python)) in logits.chunks(width).zip(&case.logits).take(whole_chords).enumerate() {
                let apart = ours.iter().zip(python).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 2e-3, "{} {}, note {i}: {ours:?} and {python:?}", golden.model, case.hints);
            }
            let part = |(i, &mono): (usize, &bool)| EnsemblePart {
                name: i.to_string(),
                program: 0,
                lo: 0,
                hi: 127,
                mono,
                most: 0,
                colour: [i as u8; 3],
                voice: Some(network.voices()[i].clone()),
            };
            let parts: Vec<EnsemblePart> = golden.mono.iter().enumerate().map(part).collect();
            let played = Ensemble { parts, ..choir() };
            let player = Player::serving(Network::open(&models, &golden.model).unwrap(), &played);
            let scores = Scores { logits: &logits, parts: width - 1 };
            let mut assignment = Assignment::new(&played.parts, Limits::Ensemble);
            let given = whole::give_out(&mut assignment, &player, scores, &notes, |_| u8::MAX);
            let given: Vec<usize> = given.into_iter().map(Option::unwrap).collect();
            assert_eq!(given[..whole_chords], case.played[..whole_chords], "{} {}", golden.model, case.hints);
            assert_eq!(golden.notes.part.len(), given.len());
        }
    }
}

#[test]
fn an_online_network_note_by_note_is_the_whole_piece() {
    let models = models();
    for golden in golden_models() {
        let mut network = Network::open(&models, &golden.model).unwrap();
        let (notes, features) = golden_features(&golden, &golden.cases[0]);
        let whole = network.hear_whole(&features).unwrap();
        if !network.is_online() {
            continue;
        }
        let width = network.voices().len() + 1;
        network.forget();
        for i in 0..features.notes() {
            let mut one = Features::default();
            one.push(notes[i].pitch, notes[i].velocity, notes[i].onset, 0);
            one.context = features.context[i * context::WIDTH..][..context::WIDTH].to_vec();
            let alone = network.hear(&one).unwrap();
            for (a, b) in alone.row(0).iter().zip(&whole[i * width..]) {
                assert!((a - b).abs() < 1e-4, "{} note {i}", golden.model);
            }
        }
    }
}

#[test]
fn a_vote_is_the_mean_over_five_transpositions_and_their_hints() {
    let models = models();
    let golden = golden_models().into_iter().find(|golden| golden.model == "quartet_offline").unwrap();
    let case = golden.cases.iter().find(|case| case.hints == "both").unwrap();
    let mut network = Network::open(&models, &golden.model).unwrap();
    let (_, features) = golden_features(&golden, case);
    let voted = network.vote(&features).unwrap();
    let mut mean = vec![0.0f32; voted.len()];
    for by in -2i64..=2 {
        let mut moved = GoldenModel { notes: golden.notes.clone(), ..golden_models().remove(0) };
        moved.notes.pitch.iter_mut().for_each(|key| *key = (i64::from(*key) + by) as u8);
        let mut shown =
            golden_features(&moved, &GoldenCase { hints: "none".into(), inputs: BTreeMap::new(), ..case.clone() }).1;
        shown.context = features.context.clone();
        shown.entry = features.entry.clone();
        shown.hint = features.hint.iter().map(|&id| if id == 0 { 0 } else { id + by }).collect();
        let logits = network.hear_whole(&shown).unwrap();
        mean.iter_mut().zip(logits).for_each(|(mean, logit)| *mean += logit / 5.0);
    }
    let apart = voted.iter().zip(&mean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-4, "{apart}");
    assert_ne!(voted, network.hear_whole(&features).unwrap());
}

#[test]
fn every_ensembles_voices_are_its_models() {
    let models = models();
    for ensemble in Ensemble::built_in().iter().filter(|ensemble| ensemble.method == Method::Learned) {
        match Arranger::new(ensemble, Some(&models)) {
            // A research model may be left out of an installation.
            Ok(_) | Err(ArrangerError::ModelMissing { .. }) => {}
            Err(error) => panic!("{}: {error}", ensemble.id),
        }
    }
}

#[test]
fn a_model_that_is_not_installed_is_told_and_notes_go_by_range() {
    let lost = Ensemble { models: vec!["gamelan_online".into()], ..choir() };
    let (mut arranger, missed) = Arranger::or_by_range(&lost, None, Some(&models()));
    let sentence = missed.unwrap().to_string();
    assert!(sentence.contains("gamelan_online") && sentence.contains("not installed"), "{sentence}");
    let mut given = Vec::new();
    arranger.chord(&[(38, 90), (80, 90)], 0.0, &mut given);
    assert_eq!(given, [Some(3), Some(0)]);
}

/// The shipped models, of which some files are damaged and some are gone.
fn broken_models(damaged: &[&str], gone: &[&str]) -> (tempfile::TempDir, Arc<Models>) {
    let folder = tempfile::tempdir().unwrap();
    let from = repository().join("models");
    let listed = Manifest::load(&from).unwrap();
    let files = listed.models.iter().map(|entry| entry.file.as_str());
    for file in files.chain(["synth/performances.toml"]).map(|file| from.join(file)) {
        let (stem, to) = (file.file_stem().unwrap().to_str().unwrap(), file.strip_prefix(&from).unwrap());
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        if damaged.contains(&stem) {
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(to, bytes).unwrap();
        } else if !gone.contains(&stem) {
            std::fs::copy(&file, to).unwrap();
        }
    }
    std::fs::copy(from.join("manifest.toml"), folder.path().join("manifest.toml")).unwrap();
    let models = Models::load(Runtime::load(None).unwrap(), folder.path()).unwrap();
    (folder, models)
}

#[test]
fn a_damaged_or_missing_model_keeps_no_other_from_playing() {
    let (_folder, models) = broken_models(&["pop_research_online"], &["chorale_offline", "prior"]);
    assert_eq!(models.faults().count(), 3);
    for ensemble in Ensemble::built_in().iter().filter(|ensemble| ensemble.method == Method::Learned) {
        let asks = ensemble.models.iter().any(|model| model == "pop_research_online");
        let (arranger, instead) = Arranger::or_by_range(ensemble, None, Some(&models));
        let sentence = instead.map_or(String::new(), |instead| instead.to_string());
        assert_eq!(arranger.method(), if asks { Method::ByRange } else { Method::Learned }, "{}", ensemble.id);
        assert_eq!(sentence.contains("pop_research_online.onnx") && sentence.contains("by range"), asks, "{sentence}");
    }
    let whole = WholePiece::new(ensemble("satb-choir"), &models).unwrap();
    let sentence = whole.stands_in().unwrap().to_string();
    assert!(
        sentence.contains("\"chorale_online\" gives out") && sentence.contains("chorale_offline.onnx"),
        "{sentence}"
    );
    // Whose answers would have counted beside a network's cannot be asked: it answers alone.
    assert!(WholePiece::new(ensemble("rock-band"), &models).unwrap().stands_in().is_none());
    let golden = golden_models().into_iter().find(|golden| golden.model == "pop_research_offline").unwrap();
    let (_, features) = golden_features(&golden, &golden.cases[0]);
    let answers = |models: &Models| Network::open(models, &golden.model).unwrap().hear_whole(&features).unwrap();
    let (alone, both) = (answers(&models), answers(&self::models()));
    assert!(alone.len() == both.len() && alone.iter().all(|logit| logit.is_finite()) && alone != both);
    let error = crate::synth::Synthesizer::new(&models, 1, crate::synth::Occasion::Live).err().unwrap().to_string();
    assert!(error.contains("prior.onnx"), "{error}");
}

#[test]
fn the_next_model_of_the_list_stands_in_for_a_damaged_one() {
    let (_folder, models) = broken_models(&["quartet_online"], &[]);
    let (arranger, instead) = Arranger::or_by_range(ensemble("string-quartet"), None, Some(&models));
    assert_eq!(arranger.method(), Method::Learned);
    let sentence = instead.unwrap().to_string();
    assert!(sentence.contains("\"bach_lstm\" gives out") && sentence.contains("quartet_online.onnx"), "{sentence}");
}

#[test]
fn a_voice_that_the_model_lacks_is_told() {
    let mut odd = choir();
    odd.parts.iter_mut().for_each(|part| part.voice = Some("kazoo".into()));
    let error = Arranger::new(&odd, Some(&models())).err().unwrap().to_string();
    assert!(error.contains("kazoo") && error.contains("soprano, alto, tenor, bass"), "{error}");
}

#[test]
fn a_part_that_is_off_gets_nothing_and_the_network_is_told() {
    let golden = golden();
    let mut arranger = Arranger::new(ensemble("string-quartet"), Some(&models())).unwrap();
    let mut hints = Hints::default();
    hints.on[1] = false;
    arranger.set_hints(&hints);
    let given = play(&mut arranger, &golden);
    assert!(!given.contains(&1) && given.contains(&0) && given.contains(&2));
    assert!(arranger.take_fault().is_none());
    hints.on = [false; MAX_PARTS];
    arranger.set_hints(&hints);
    let mut none = Vec::new();
    arranger.chord(&[(60, 90)], 0.0, &mut none);
    assert_eq!((none, arranger.note_off(60)), (vec![None], None));
}

#[test]
fn a_split_keyboard_follows_its_zones() {
    let mut arranger = Arranger::with_method(ensemble("string-quartet"), Method::Split, None).unwrap();
    assert!(!arranger.set_zones(&[60]) && !arranger.set_zones(&[50, 60, 70]) && arranger.set_zones(&[70, 60, 50]));
    let mut given = Vec::new();
    arranger.chord(&[(49, 1), (50, 1), (59, 1), (60, 1), (70, 1), (90, 1)], 0.0, &mut given);
    assert_eq!(given, [3, 2, 2, 1, 0, 0].map(Some));
}

#[test]
fn the_closest_part_is_the_one_that_was_last_nearest() {
    let mut arranger = Arranger::with_method(ensemble("keyboard"), Method::Closest, None).unwrap();
    let mut hints = Hints::default();
    (hints.pitch[0], hints.pitch[3]) = (Some(72), Some(48));
    (hints.on[1], hints.on[2]) = (false, false);
    arranger.set_hints(&hints);
    let mut given = Vec::new();
    // 62 is nearer to 72. The first part then stands there, so that 56 is nearer to it than to 48.
    for (key, part) in [(62, 0), (56, 0), (51, 3)] {
        arranger.chord(&[(key, 90)], 0.0, &mut given);
        assert_eq!(given, [Some(part)], "{key}");
    }
}

/// What a keyboard, a host and a musician may do.
#[derive(Debug, Clone)]
enum Act {
    Chord(Vec<u8>),
    Off(u8),
    AllOff,
    Reset,
    Switch(u8),
    Hint(usize, Option<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    // Few keys, so that the same one is struck again and again.
    prop_oneof![
        8 => prop::collection::vec(58u8..66, 1..7).prop_map(Act::Chord),
        2 => prop::collection::vec(any::<u8>().prop_map(|key| key & 0x7f), 1..40).prop_map(Act::Chord),
        1 => prop::collection::vec(0u8..128, 300).prop_map(Act::Chord),
        24 => (58u8..66).prop_map(Act::Off),
        2 => Just(Act::AllOff),
        2 => Just(Act::Reset),
        2 => any::<u8>().prop_map(Act::Switch),
        2 => (0usize..8, prop::option::of(0u8..128)).prop_map(|(part, pitch)| Act::Hint(part, pitch)),
    ]
}

/// Plays acts and checks that no note is stuck, doubled or lost; returns what was given out.
fn perform(mut arranger: Arranger, acts: &[(Act, f64)]) -> Result<Vec<Option<usize>>, TestCaseError> {
    let parts = arranger.ensemble().parts.len();
    let (mut sounding, mut silent): (Vec<(u8, usize)>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut given, mut released, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut hints = Hints::default();
    for (act, beat) in acts {
        match act {
            Act::Chord(keys) => {
                let notes: Vec<(u8, u8)> = keys.iter().map(|&key| (key, 64)).collect();
                arranger.chord(&notes, *beat, &mut given);
                prop_assert_eq!(given.len(), keys.len());
                for (&key, part) in keys.iter().zip(&given) {
                    match part {
                        Some(part) => {
                            prop_assert!(*part < parts && hints.on[*part]);
                            sounding.push((key, *part));
                        }
                        None => {
                            prop_assert!(!hints.on[..parts].contains(&true));
                            silent.push(key);
                        }
                    }
                }
                all.extend_from_slice(&given);
            }
            Act::Off(key) => match arranger.note_off(*key) {
                Some(part) => {
                    let place = sounding.iter().position(|&note| note == (*key, part));
                    prop_assert!(place.is_some());
                    sounding.remove(place.unwrap_or(0));
                }
                // Only a key that is up, or that nobody was given, lets go of nothing.
                None => match silent.iter().position(|other| other == key) {
                    Some(place) => drop(silent.remove(place)),
                    None => prop_assert!(!sounding.iter().any(|(down, _)| down == key)),
                },
            },
            Act::AllOff => {
                arranger.all_off(&mut released);
                sounding.sort_unstable();
                released.sort_unstable();
                prop_assert_eq!(&sounding, &released);
                sounding.clear();
                silent.clear();
            }
            Act::Reset => arranger.reset(),
            Act::Switch(mask) => {
                hints.on = std::array::from_fn(|part| mask >> part & 1 == 1);
                arranger.set_hints(&hints);
            }
            Act::Hint(part, pitch) => {
                hints.pitch[*part] = *pitch;
                arranger.set_hints(&hints);
            }
        }
    }
    arranger.all_off(&mut released);
    sounding.sort_unstable();
    released.sort_unstable();
    prop_assert_eq!(sounding, released);
    Ok(all)
}

fn performance() -> impl Strategy<Value = Vec<(Act, f64)>> {
    prop::collection::vec((act(), -8.0f64..4200.0), 0..60)
}

proptest! {
    #[test]
    fn no_note_is_ever_stuck_and_the_same_acts_give_the_same_parts(
        acts in performance(), which in 0usize..64, method in 1usize..5,
    ) {
        let ensembles = Ensemble::built_in();
        let ensemble = &ensembles[which % ensembles.len()];
        let arranger = || Arranger::with_method(ensemble, Method::ALL[method], None).unwrap();
        prop_assert_eq!(perform(arranger(), &acts)?, perform(arranger(), &acts)?);
    }
}

proptest! {
    // Opening a network takes milliseconds.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn with_a_network_no_note_is_ever_stuck_either(acts in performance(), which in 0usize..64) {
        let models = shared_models();
        let ensembles = Ensemble::built_in();
        let ensemble = &ensembles[which % ensembles.len()];
        let arranger = || Arranger::or_by_range(ensemble, None, Some(models)).0;
        prop_assert_eq!(perform(arranger(), &acts)?, perform(arranger(), &acts)?);
    }
}
