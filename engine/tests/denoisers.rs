//! Denoisers by the manifest: a pair as T5, a distilled one, and those that cannot be used.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use ripieno_engine::inference::{Locations, Models, Runtime};
use ripieno_engine::score::{Note, PartNotes, Playback, Score, midi};
use ripieno_engine::synth::{
    DenoiserInfo, Guidance, Occasion, PartAudio, PartInput, SamplerKind, Sampling, SegmentRequest, Start, SynthError,
    SynthState, Synthesizer,
};
use sha2::{Digest, Sha256};

/// The fixture's tables: `python -m ripieno_training.tiny_pair` writes the files.
const PAIR: [(&str, &str, &str); 2] = [
    (
        "t5_encoder",
        "roll f32 batch frames 4 88, instrument i64 batch, performance i64 batch, notes_on f32 batch",
        "memory f32 batch frames 4",
    ),
    (
        "t5_decoder",
        "x f32 batch frames 256, prior f32 batch frames 256, memory f32 batch frames 4, performance i64 batch, t f32 batch",
        "v f32 batch frames 256",
    ),
];

/// The installed synthesizer in a folder of its own, with lines added to its manifest.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(lines: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let installed = Locations::find().unwrap().models;
        fs::create_dir(folder.path().join("synth")).unwrap();
        for entry in fs::read_dir(installed.join("synth")).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                fs::copy(&entry, folder.path().join("synth").join(entry.file_name().unwrap())).unwrap();
            }
        }
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/denoiser");
        let mut manifest = fs::read_to_string(installed.join("manifest.toml")).unwrap();
        // Which denoiser plays when is the fixture's to say, as well.
        let named = |line: &&str| line.starts_with("live = ") || line.starts_with("offline = ");
        manifest = manifest.lines().filter(|line| !named(line)).fold(String::new(), |all, line| all + line + "\n");
        manifest = manifest.split("[[synth.denoiser]]").next().unwrap().to_owned() + &after_denoisers(&manifest);
        for (name, inputs, outputs) in PAIR {
            let file = format!("synth/{name}.onnx");
            fs::copy(fixtures.join(format!("{name}.onnx")), folder.path().join(&file)).unwrap();
            let sha256 = Sha256::digest(fs::read(folder.path().join(&file)).unwrap());
            let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            manifest.push_str(&format!(
                "\n[[model]]\nname = \"{name}\"\nfile = \"{file}\"\nsha256 = \"{sha256}\"\nlicence = \"CC0-1.0\"\n"
            ));
            manifest.push_str(&tensors("input", inputs));
            manifest.push_str(&tensors("output", outputs));
        }
        fs::write(folder.path().join("manifest.toml"), manifest + lines).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn models(&self) -> Arc<Models> {
        let runtime = Runtime::load(Some(&Locations::find().unwrap().runtime)).unwrap();
        Models::load(runtime, self.path()).unwrap()
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.path().join("manifest.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

/// What stands in a manifest after its denoisers, whose place is the fixture's.
fn after_denoisers(manifest: &str) -> String {
    let Some((_, listed)) = manifest.split_once("[[synth.denoiser]]") else { return String::new() };
    let end = listed.lines().position(|line| line.starts_with('[') && !line.starts_with("[[synth.denoiser]]"));
    end.map_or(String::new(), |end| listed.lines().skip(end).fold(String::new(), |all, line| all + line + "\n"))
}

fn tensors(kind: &str, words: &str) -> String {
    let tensor = |words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        let size = |word: &&str| word.parse::<i64>().map_or_else(|_| format!("\"{word}\""), |size| size.to_string());
        let shape: Vec<String> = words[2..].iter().map(size).collect();
        let (name, element, shape) = (words[0], words[1], shape.join(", "));
        format!("[[model.{kind}]]\nname = \"{name}\"\ntype = \"{element}\"\nshape = [{shape}]\n")
    };
    words.split(", ").map(tensor).collect()
}

const UNET: &str = "\n[[synth.denoiser]]\nname = \"unet\"\nmodel = \"denoiser\"\nsteps = 3\n";
const T5: &str = "\n[[synth.denoiser]]\nname = \"t5\"\nencoder = \"t5_encoder\"\nmodel = \"t5_decoder\"\n\
                  steps = 6\nsampler = \"dpm++2m\"\n";
const DISTILLED: &str = "\n[[synth.denoiser]]\nname = \"distilled\"\nmodel = \"denoiser\"\nsteps = 2\n\
                         sampler = \"distilled\"\ntimes = [999, 400]\n";

/// Two segments of a held chord in two parts.
fn sound(synth: &mut Synthesizer, steps: usize, guidance: Guidance, pitch: u8) -> Vec<PartAudio> {
    let notes = [Note { onset: 0.1, end: 2.0, pitch, velocity: 90 }];
    let parts = [PartInput { instrument: 0, notes: &notes }, PartInput { instrument: 1, notes: &notes }];
    let (mut state, mut out, mut all) = (SynthState::default(), Vec::new(), Vec::new());
    for index in 0..2 {
        let request = SegmentRequest { index, performance: 2, steps, guidance, seed: 3, parts: &parts };
        synth.render_segment(&request, &mut state, &mut out).unwrap();
        all.extend(out.iter().cloned());
    }
    all
}

#[test]
fn without_a_list_the_manifests_denoiser_plays_with_its_default_steps() {
    let folder = Folder::with("");
    let all = DenoiserInfo::all(&folder.models());
    let default = folder.models().manifest().synth.as_ref().unwrap().default_steps;
    assert_eq!(all.iter().map(|info| (info.name.as_str(), info.steps)).collect::<Vec<_>>(), [("unet", default)]);
    assert!(all[0].fault.is_none(), "{:?}", all[0].fault);
}

#[test]
fn a_pair_plays_and_answers_to_notes_performance_and_weights() {
    let folder = Folder::with(&[UNET, T5].concat());
    let models = folder.models();
    let mut synth = Synthesizer::with_denoiser(&models, 1, "t5").unwrap();
    assert_eq!((synth.denoiser().steps, synth.denoiser().sampling.sampler), (6, SamplerKind::DpmPlusPlus2M));
    let plain = sound(&mut synth, 2, Guidance::NONE, 60);
    assert_eq!(plain, sound(&mut synth, 2, Guidance::NONE, 60), "the same request gives the same bytes");
    assert!(plain.iter().all(|part| part.left.iter().any(|x| x.abs() > 1e-3)));
    for guidance in [Guidance { notes: 1.5, performance: 1.0 }, Guidance { notes: 1.0, performance: 1.5 }] {
        assert_ne!(plain, sound(&mut synth, 2, guidance, 60), "{guidance:?}");
    }
    assert_ne!(plain, sound(&mut synth, 3, Guidance::NONE, 60));
    synth.set_sampling(Sampling::with(SamplerKind::Ddim)).unwrap();
    assert_ne!(plain, sound(&mut synth, 2, Guidance::NONE, 60));
    synth.tell_performance(false);
    assert_ne!(plain, sound(&mut synth, 2, Guidance::NONE, 60));
}

#[test]
fn a_distilled_denoiser_takes_exactly_its_own_times() {
    let folder = Folder::with(&[UNET, DISTILLED].concat());
    let models = folder.models();
    let mut distilled = Synthesizer::with_denoiser(&models, 1, "distilled").unwrap();
    let own = sound(&mut distilled, 2, Guidance::NONE, 60);
    assert_eq!(own, sound(&mut distilled, 9, Guidance::NONE, 60), "there are no more times than its own");
    distilled.set_sampling(Sampling::with(SamplerKind::Ddim)).unwrap();
    assert_ne!(own, sound(&mut distilled, 2, Guidance::NONE, 60), "ddim would take 999 and 499");
    let mut unet = Synthesizer::new(&models, 1, Occasion::Live).unwrap();
    let refused = unet.set_sampling(Sampling::with(SamplerKind::Distilled)).unwrap_err();
    assert!(refused.to_string().contains("\"unet\" was not distilled"), "{refused}");
}

#[test]
fn a_student_leaves_more_steps_than_it_learnt_to_its_teacher() {
    let folder = Folder::with(&[T5, DISTILLED].concat());
    let steps = [1, 2, 3, 6];
    let heard = |occasion: Option<Occasion>, name: &str| {
        let models = folder.models();
        let mut synth = match occasion {
            Some(occasion) => Synthesizer::new(&models, 1, occasion).unwrap(),
            None => Synthesizer::with_denoiser(&models, 1, name).unwrap(),
        };
        assert_eq!(synth.denoiser().name, name);
        steps.map(|steps| sound(&mut synth, steps, Guidance::NONE, 60))
    };
    folder.change("[synth]\n", "[synth]\nlive = \"distilled\"\n");
    let (student, teacher) = (heard(None, "distilled"), heard(None, "t5"));
    assert_eq!(heard(Some(Occasion::Live), "distilled"), student, "without a teacher it plays itself");
    folder.change("times = [999, 400]\n", "times = [999, 400]\nteacher = \"t5\"\n");
    let both = heard(Some(Occasion::Live), "distilled");
    assert_eq!((&both[..2], &both[2..]), (&student[..2], &teacher[2..]));
    // Whoever asks for it by its name wants it alone; and it plays on where its teacher is damaged.
    assert_eq!(heard(None, "distilled"), student);
    fs::write(folder.path().join("synth/t5_encoder.onnx"), b"damaged").unwrap();
    assert_eq!(heard(Some(Occasion::Live), "distilled"), student);
}

#[test]
fn what_cannot_be_used_is_not_offered_and_says_why() {
    let matrix: [(&str, &str, &str); 5] = [
        ("model = \"t5_decoder\"", "model = \"t6_decoder\"", "\"t6_decoder\" is not in the manifest"),
        ("sampler = \"dpm++2m\"", "sampler = \"euler\"", "there is no sampler \"euler\""),
        (
            "shape = [\"batch\", \"frames\", 4]",
            "shape = [\"batch\", \"frames\", 5]",
            "4 wide and \"t5_encoder\" writes them 5 wide",
        ),
        ("name = \"memory\"", "name = \"recall\"", "has no output \"memory\""),
        ("sampler = \"dpm++2m\"", "times = [400, 999]", "do not fall"),
    ];
    for (from, to, sentence) in matrix {
        let folder = Folder::with(&[UNET, T5].concat());
        folder.change(from, to);
        let models = folder.models();
        let all = DenoiserInfo::all(&models);
        let fault = |name: &str| all.iter().find(|info| info.name == name).unwrap().fault.as_ref();
        assert!(fault("unet").is_none());
        assert!(fault("t5").unwrap().to_string().contains(sentence), "{sentence}: {:?}", fault("t5"));
        assert_eq!(Synthesizer::new(&models, 1, Occasion::Live).unwrap().denoiser().name, "unet");
        let refused = Synthesizer::with_denoiser(&models, 1, "t5").map(drop).unwrap_err();
        assert!(refused.to_string().contains(sentence), "{refused}");
    }
}

#[test]
fn where_the_first_denoiser_is_damaged_the_next_plays() {
    let folder = Folder::with(&[T5, UNET].concat());
    assert_eq!(Synthesizer::new(&folder.models(), 1, Occasion::Live).unwrap().denoiser().name, "t5");
    fs::write(folder.path().join("synth/t5_encoder.onnx"), b"damaged").unwrap();
    assert_eq!(Synthesizer::new(&folder.models(), 1, Occasion::Live).unwrap().denoiser().name, "unet");
    fs::remove_file(folder.path().join("synth/denoiser.onnx")).unwrap();
    let none = Synthesizer::new(&folder.models(), 1, Occasion::Live).map(drop).unwrap_err();
    assert!(matches!(&none, SynthError::Inference(_)) && none.to_string().contains("t5_encoder.onnx"), "{none}");
}

#[test]
fn a_rendering_takes_the_denoiser_for_offline_and_an_instrument_the_one_for_live() {
    let folder = Folder::with(&[UNET, T5, DISTILLED].concat());
    let opened = |occasion| Synthesizer::new(&folder.models(), 1, occasion).unwrap().denoiser().name.clone();
    assert_eq!(Occasion::ALL.map(opened), ["unet", "unet"], "without a word it is the first");
    folder.change("[synth]\n", "[synth]\noffline = \"t5\"\nlive = \"distilled\"\n");
    assert_eq!(Occasion::ALL.map(opened), ["t5", "distilled"]);
    // The command line takes its time, and another can be asked for.
    let input = excerpt(folder.path());
    let wav = folder.path().join("out.wav");
    let heard = |more: &[&str]| {
        let arguments =
            [&["render", input.to_str().unwrap(), "--steps", "2", "-o", wav.to_str().unwrap()], more].concat();
        let done = ripieno(&arguments, folder.path());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        fs::read(&wav).unwrap()
    };
    let by_itself = heard(&[]);
    assert_eq!(by_itself, heard(&["--denoiser", "t5"]));
    assert_ne!(by_itself, heard(&["--denoiser", "distilled"]));
    let told = String::from_utf8(ripieno(&["doctor"], folder.path()).stdout).unwrap();
    assert!(told.contains("t5: 6 steps, dpm++2m, plays offline"), "{told}");
    assert!(told.contains("distilled: 2 steps, distilled, plays live"), "{told}");
    // One that is damaged is stood in for; one that is not there at all is a mistake of the manifest's.
    fs::write(folder.path().join("synth/t5_encoder.onnx"), b"damaged").unwrap();
    assert_eq!(opened(Occasion::Offline), "unet");
    folder.change("live = \"distilled\"", "live = \"destilled\"");
    let refused = Synthesizer::new(&folder.models(), 1, Occasion::Live).map(drop).unwrap_err().to_string();
    assert!(refused.contains("live = \"destilled\" is none of its denoisers (unet, t5, distilled)"), "{refused}");
}

fn ripieno(arguments: &[&str], models: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripieno"));
    command.args(arguments).env("RIPIENO_MODELS", models).output().unwrap()
}

/// A second of the demonstration piece.
fn excerpt(folder: &Path) -> PathBuf {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo.mid");
    let score = Playback::read(&demo).unwrap();
    let notes: Vec<Note> = score.notes.iter().map(|n| n.note).take(3).collect();
    let path = folder.join("excerpt.mid");
    midi::write(&path, &Score::of_parts(&[PartNotes { name: "Keys", program: 0, notes: &notes }], &score.tempo))
        .unwrap();
    path
}

#[test]
fn the_command_line_chooses_denoiser_sampler_steps_noise_and_start() {
    let folder = Folder::with(&[UNET, T5, DISTILLED].concat());
    let input = excerpt(folder.path());
    let input = input.to_str().unwrap();
    let wav = folder.path().join("out.wav");
    let render = |more: &[&str]| {
        let arguments = [&["render", input, "-o", wav.to_str().unwrap()], more].concat();
        let done = ripieno(&arguments, folder.path());
        let said = String::from_utf8(done.stderr).unwrap();
        (done.status.success().then(|| fs::read(&wav).unwrap()), said)
    };
    let heard = |more: &[&str]| render(more).0.unwrap_or_else(|| panic!("{more:?}: {}", render(more).1));
    let ways: [&[&str]; 9] = [
        &["--steps", "2"],
        &["--steps", "2", "--eta", "1"],
        &["--steps", "2", "--sampler", "dpm++2m"],
        &["--steps", "2", "--from", "prior"],
        &["--steps", "2", "--from", "prior:200"],
        &["--steps", "2", "--denoiser", "t5"],
        &["--steps", "2", "--denoiser", "distilled"],
        &["--steps", "1", "--denoiser", "distilled"],
        &["--steps", "0"],
    ];
    let sounds: Vec<Vec<u8>> = ways.iter().map(|way| heard(way)).collect();
    for (i, one) in sounds.iter().enumerate() {
        assert!(sounds[..i].iter().all(|other| other != one), "{:?} sounds as another way does", ways[i]);
    }
    assert_eq!(sounds[1], heard(ways[1]), "fresh noise is the same noise again");
    assert_eq!(sounds[0], heard(&["--steps", "2", "--sampler", "ddim", "--from", "noise", "--denoiser", "unet"]));
    let refusals: [(&[&str], &str); 5] = [
        (&["--denoiser", "t4"], "there is no denoiser \"t4\": it is one of unet, t5, distilled"),
        (&["--sampler", "distilled"], "\"unet\" was not distilled"),
        (&["--denoiser", "distilled", "--steps", "3"], "was distilled for 2 steps and 3 were asked for"),
        (&["--sampler", "dpm++2m", "--eta", "0.5"], "--eta goes with --sampler ddim"),
        (&["--from", "prior:0"], "a number from 1 to 999"),
    ];
    for (arguments, sentence) in refusals {
        let (written, said) = render(arguments);
        assert!(written.is_none() && said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn starting_at_the_prior_stays_nearer_to_it_the_later_it_starts() {
    let folder = Folder::with(UNET);
    let mut synth = Synthesizer::new(&folder.models(), 1, Occasion::Live).unwrap();
    let prior = sound(&mut synth, 0, Guidance::NONE, 60);
    let mut apart = |start: Start| {
        synth.set_sampling(Sampling { start, ..Sampling::with(SamplerKind::Ddim) }).unwrap();
        let sound = sound(&mut synth, 2, Guidance::NONE, 60);
        let squares =
            |a: &PartAudio, b: &PartAudio| -> f32 { a.left.iter().zip(&b.left).map(|(a, b)| (a - b).powi(2)).sum() };
        sound.iter().zip(&prior).map(|(a, b)| squares(a, b)).sum::<f32>()
    };
    let (early, late, last) = (apart(Start::PRIOR), apart(Start::Prior(150)), apart(Start::Prior(20)));
    assert!(last < late && late < early && last > 0.0, "{early} {late} {last}");
}
