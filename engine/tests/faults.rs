//! Faults around the real models: files that go away, and many instances at once.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ripieno_engine::inference::Locations;
use ripieno_engine::stream::{Engine, EngineConfig, Event, EventKind, MAX_PARTS, StatusKind};

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

#[test]
fn a_performance_whose_notes_are_on_disk_is_ready_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig { cache_dir: Some(folder.path().into()), ..EngineConfig::default() };
    let start = || {
        let mut engine = Engine::start(config.clone());
        engine.control.set_ensemble("solo");
        engine.control.set_steps(1);
        engine.audio.configure(48_000.0, BLOCK);
        engine
    };
    let notes = || fs::read_dir(folder.path().join("notes")).into_iter().flatten().flatten().count();
    let mut engine = start();
    let begun = Instant::now();
    while engine.telemetry.progress() < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", engine.telemetry.status());
        engine.audio.process(BLOCK);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(notes(), 1);
    drop(engine);
    let mut again = start();
    let begun = Instant::now();
    while again.telemetry.progress() < 1.0 || !again.telemetry.ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", again.telemetry.status());
        again.audio.process(BLOCK);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(sounds(&mut again));
}
