//! Faults around the real models: files that go away, and many instances at once.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ripieno_engine::inference::Locations;
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, Faults, MAX_PARTS, Mode, StatusKind};

const BLOCK: usize = 512;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn until_ready(engines: &mut [Engine]) {
    let begun = Instant::now();
    while !engines.iter().all(|engine| engine.telemetry.ready()) {
        for engine in engines.iter_mut() {
            let status = engine.telemetry.status();
            assert_ne!(status.kind, StatusKind::Failed, "{}", status.sentence);
            engine.audio.process(BLOCK);
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn sounds(engine: &mut Engine) -> bool {
    engine.audio.event(Event { offset: 0, kind: EventKind::NoteOn { key: 64, velocity: 100 } });
    (0..20).any(|_| {
        engine.audio.process(BLOCK);
        (0..MAX_PARTS).any(|part| engine.audio.part(part).0.iter().any(|x| x.abs() > 1e-3))
    })
}

#[test]
fn models_that_are_removed_or_damaged_while_loaded_are_not_missed_until_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    for part in ["synth", "arranger"] {
        copy(&Locations::find().unwrap().models.join(part), &models.join(part));
    }
    fs::copy(Locations::find().unwrap().models.join("manifest.toml"), models.join("manifest.toml")).unwrap();
    let config = EngineConfig {
        models_dir: Some(models.clone()),
        cache_dir: Some(folder.path().join("cache")),
        ..EngineConfig::default()
    };
    let mut engines = [Engine::start(config.clone())];
    engines[0].control.set_steps(0);
    engines[0].audio.configure(48_000.0, BLOCK);
    until_ready(&mut engines);
    fs::write(models.join("synth/prior.onnx"), b"damaged").unwrap();
    fs::remove_file(models.join("synth/denoiser.onnx")).unwrap();
    let [engine] = &mut engines;
    engine.control.set_performance("concert-grand");
    std::thread::sleep(Duration::from_millis(100));
    assert!(sounds(engine));
    assert_ne!(engine.telemetry.status().kind, StatusKind::Failed, "{:?}", engine.telemetry.status());
    drop(engines);
    // The next start finds what is wrong, and names it.
    let mut again = Engine::start(config);
    again.audio.configure(48_000.0, BLOCK);
    let begun = Instant::now();
    while again.telemetry.status().kind != StatusKind::Failed {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", again.telemetry.status());
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = again.telemetry.status().sentence;
    assert!(said.contains("prior.onnx") || said.contains("denoiser.onnx"), "{said}");
}

/// Memory of this process that is not shared with others, in MB.
#[cfg(target_os = "linux")]
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

#[cfg(target_os = "linux")]
#[test]
fn each_of_32_instances_costs_at_most_60_megabytes_more() {
    let mut engines = Vec::new();
    let mut first = 0.0;
    for instance in 0..32 {
        let mut engine = Engine::start(EngineConfig::default());
        engine.control.set_steps(0);
        engine.audio.configure(48_000.0, BLOCK);
        engines.push(engine);
        if instance == 0 {
            until_ready(&mut engines);
            first = resident();
        }
    }
    until_ready(&mut engines);
    assert!(engines.iter_mut().all(sounds));
    let each = (resident() - first) / 31.0;
    assert!(each <= 60.0, "{each:.1} MB for each further instance");
}

/// An engine of one player, with a folder for rendered notes.
fn soloist(cache: &Path, steps: usize) -> Engine {
    let mut engine = Engine::start(EngineConfig { cache_dir: Some(cache.into()), ..EngineConfig::default() });
    engine.control.set_ensemble("solo");
    engine.control.set_steps(steps);
    engine.audio.configure(48_000.0, BLOCK);
    engine
}

fn until_the_table_is_whole(engine: &mut Engine) {
    let begun = Instant::now();
    while engine.telemetry.progress() < 1.0 || !engine.telemetry.ready() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", engine.telemetry.status());
        engine.audio.process(BLOCK);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_performance_whose_notes_are_on_disk_is_ready_from_there() {
    for steps in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        // Every note's file, and when it was written.
        let notes = || -> BTreeMap<PathBuf, SystemTime> {
            let within = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let models: Vec<PathBuf> = within(&folder.path().join("notes")).collect();
            assert_eq!(models.len(), 1, "{models:?}");
            within(&models[0]).map(|path| (path.clone(), fs::metadata(&path).unwrap().modified().unwrap())).collect()
        };
        // Players of their own: notes that another test's instances have made are shared and not written again.
        let soloist = || {
            let engine = soloist(folder.path(), steps);
            engine.control.set_performance("violin-salon");
            engine
        };
        let mut engine = soloist();
        until_the_table_is_whole(&mut engine);
        drop(engine);
        let written = notes();
        assert!(written.len() > 20, "{steps} steps: {} notes were kept", written.len());
        let mut again = soloist();
        until_the_table_is_whole(&mut again);
        assert!(sounds(&mut again));
        drop(again);
        // What is rendered is written anew.
        assert_eq!(notes(), written, "{steps} steps");
    }
}

#[test]
fn where_notes_cannot_be_kept_that_is_said_for_as_long_as_it_is_so_and_it_plays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, b"").unwrap();
    let mut engine = soloist(&file, 0);
    until_the_table_is_whole(&mut engine);
    let said = |engine: &Engine| engine.telemetry.status();
    for _ in 0..2 {
        let begun = Instant::now();
        while !said(&engine).sentence.contains("cannot be kept") {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", said(&engine));
            engine.audio.process(BLOCK);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(said(&engine).kind, StatusKind::Warning);
        assert!(sounds(&mut engine));
        // A change of something else does not make it untrue.
        engine.control.set_seed(7);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(said(&engine).sentence.contains("cannot be kept"), "{:?}", said(&engine));
}

#[test]
fn in_sync_a_held_organ_sounds_on_where_segments_are_lost() {
    let faults = Faults { lose_every: 3, ..Faults::default() };
    let mut engine = Engine::start(EngineConfig { faults, ..EngineConfig::default() });
    engine.control.set_performance("organ-maeshowe");
    engine.control.set_ensemble("solo");
    engine.control.set_steps(0);
    engine.audio.configure(48_000.0, BLOCK);
    until_the_table_is_whole(&mut engine);
    engine.control.set_mode(Mode::Sync);
    engine.audio.event(Event { offset: 0, kind: EventKind::NoteOn { key: 60, velocity: 100 } });
    let begun = Instant::now();
    let mut heard = Vec::new();
    while heard.len() < 6 * 48_000 {
        engine.audio.process(BLOCK);
        heard.extend_from_slice(engine.audio.part(0).0);
        let due = Duration::from_secs_f64(heard.len() as f64 / 48_000.0);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    // Segment 2 at least, which is heard from 1.07 s and a latency of 1.61 s on; more if this machine is busy.
    assert!(engine.telemetry.underruns() > 0);
    let rms = |chunk: &[f32]| (chunk.iter().map(|x| x * x).sum::<f32>() / chunk.len() as f32).sqrt();
    // A tenth of a second after it began to be heard.
    let silent = heard[82_080..].chunks_exact(480).position(|chunk| rms(chunk) < 1e-3);
    assert_eq!(silent, None, "silence, hundredths of a second later");
}
