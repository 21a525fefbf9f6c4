//! Rendered notes on disk, so that a performance that was loaded once is there at once.
//!
//! A file per note, named by what it was made from (models, performance, instrument, pitch, dynamic, steps). Promises
//! that a file is whole or not there: it is written beside its place and renamed, and what does not match its checksum
//! is removed and rendered anew. When something cannot be written it goes on without, and [says](NoteCache::fault) so from
//! then on. Runs on the synth worker.

use crate::inference::{DenoiserEntry, Models};
use crate::synth::{DenoiserInfo, Occasion, PartAudio};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Counted up when notes are made in another way from the same models.
const VERSION: u8 = 4;
/// Networks that notes are made by, besides the denoiser.
const NETWORKS: [&str; 2] = ["prior", "vocoder"];
const MAGIC: &[u8; 8] = b"RPNOTE1\n";
/// Magic, number of samples per channel, peak, and the first bytes of the samples' SHA-256.
const HEADER: usize = 8 + 4 + 4 + 8;
/// What the folder may hold, in bytes: some twenty performances. The longest unused goes first.
const MOST_BYTES: u64 = 1 << 30;

/// What a note was made from, besides the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedNote {
    pub performance: usize,
    pub instrument: usize,
    pub pitch: u8,
    pub velocity: u8,
    pub steps: usize,
}

/// The notes of one set of models in the user's cache folder.
#[derive(Debug)]
pub struct NoteCache {
    folder: PathBuf,
    /// Nothing can be written: a sentence.
    fault: Option<String>,
    pruned: bool,
}

impl NoteCache {
    /// The notes of these models below `folder`. Nothing is made on disk before the first note is.
    pub fn new(folder: &Path, models: &Models) -> Self {
        let mut hash = Sha256::new();
        hash.update([VERSION]);
        let denoisers = denoisers(models);
        let networks = denoisers.iter().flat_map(|entry| [Some(&entry.model), entry.encoder.as_ref()]).flatten();
        for name in NETWORKS.into_iter().chain(networks.map(String::as_str)) {
            hash.update(models.manifest().model(name).map_or("", |entry| entry.sha256.as_str()));
        }
        for DenoiserEntry { sampler, times, .. } in &denoisers {
            hash.update(format!("{sampler} {times:?}"));
        }
        let deviation = models.manifest().synth.iter().flat_map(|synth| &synth.residual_std);
        deviation.for_each(|deviation| hash.update(deviation.to_le_bytes()));
        let name = hash.finalize().iter().take(12).fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self::at(folder.join("notes").join(name))
    }

    fn at(folder: PathBuf) -> Self {
        Self { folder, fault: None, pruned: false }
    }

    /// That notes cannot be kept, and why, once one could not.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether there is a file of it; it may turn out to be damaged.
    pub fn has(&self, note: CachedNote) -> bool {
        self.path(note).exists()
    }

    fn path(&self, note: CachedNote) -> PathBuf {
        let CachedNote { performance, instrument, pitch, velocity, steps } = note;
        self.folder.join(format!("{performance}-{instrument}-{pitch}-{velocity}-{steps}.note"))
    }

    /// A note, if it is there and whole.
    pub fn load(&self, note: CachedNote) -> Option<PartAudio> {
        let path = self.path(note);
        let bytes = fs::read(&path).ok()?;
        let audio = decode(&bytes);
        if audio.is_none() {
            log::warn!("{} is damaged and is rendered anew.", path.display());
            let _ = fs::remove_file(&path);
        }
        audio
    }

    /// Keeps a note, if it can; see [`fault`](Self::fault).
    pub fn save(&mut self, note: CachedNote, audio: &PartAudio) {
        self.save_through(note, audio, |path| File::create(path));
    }

    fn save_through(&mut self, note: CachedNote, audio: &PartAudio, create: impl FnOnce(&Path) -> io::Result<File>) {
        if self.fault.is_some() {
            return;
        }
        // What is not a number is not played, and so not kept.
        let Some(bytes) = encode(audio) else { return };
        if !std::mem::replace(&mut self.pruned, true)
            && let Some(all) = self.folder.parent()
        {
            prune(all, MOST_BYTES);
        }
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let unique = (std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
        let beside = self.folder.join(format!("{}-{}.part", unique.0, unique.1));
        let written = fs::create_dir_all(&self.folder)
            .and_then(|()| create(&beside))
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&beside, self.path(note)));
        if let Err(error) = written {
            let _ = fs::remove_file(&beside);
            self.fault = Some(format!(
                "Rendered notes cannot be kept in {} ({error}). Ripieno plays on, and renders them anew next time; free some space there.",
                self.folder.display()
            ));
        }
    }
}

/// The denoisers that are opened: the first for real time that can be used, and its teacher.
fn denoisers(models: &Models) -> Vec<DenoiserEntry> {
    let offered = DenoiserInfo::for_occasion(models, Occasion::Live).unwrap_or_default();
    let opened = offered.into_iter().find(|info| info.fault.is_none());
    let names = opened.iter().flat_map(|info| [Some(&info.name), info.teacher.as_ref()]).flatten();
    let mut entries = models.manifest().synth.as_ref().map(|synth| synth.denoisers()).unwrap_or_default();
    names.filter_map(|name| Some(entries.swap_remove(entries.iter().position(|entry| entry.name == *name)?))).collect()
}

/// What a note is once it was kept: with it a bounce is the same, to the bit, whether its notes were just made or come from
/// disk. What is not a number stays as it is, and is refused by who plays it.
pub fn as_kept(audio: PartAudio) -> PartAudio {
    let Some((peak, codes)) = codes(&audio) else { return audio };
    audio_of(peak, audio.left.len(), codes.into_iter())
}

/// The peak, and 16 bits a sample under it, left and then right: rounding lies 98 dB below it. Nothing where a sample is not
/// finite.
fn codes(audio: &PartAudio) -> Option<(f32, Vec<i16>)> {
    let samples = || audio.left.iter().chain(&audio.right);
    if !samples().all(|sample| sample.is_finite()) {
        return None;
    }
    let peak = samples().fold(1e-9f32, |peak, sample| peak.max(sample.abs()));
    Some((peak, samples().map(|sample| (sample / peak * 32_767.0).round() as i16).collect()))
}

fn audio_of(peak: f32, frames: usize, codes: impl Iterator<Item = i16>) -> PartAudio {
    let mut samples = codes.map(|code| f32::from(code) * (peak / 32_767.0));
    let left = samples.by_ref().take(frames).collect();
    PartAudio { left, right: samples.collect() }
}

fn encode(audio: &PartAudio) -> Option<Vec<u8>> {
    let (peak, codes) = codes(audio)?;
    let body: Vec<u8> = codes.into_iter().flat_map(i16::to_le_bytes).collect();
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(audio.left.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&peak.to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(&body)[..8]);
    bytes.extend_from_slice(&body);
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<PartAudio> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let frames = u32::from_le_bytes(header[8..12].try_into().ok()?) as usize;
    let peak = f32::from_le_bytes(header[12..16].try_into().ok()?);
    let whole = header.starts_with(MAGIC) && frames.checked_mul(4) == Some(body.len()) && peak.is_finite();
    if !whole || Sha256::digest(body)[..8] != header[16..24] {
        return None;
    }
    Some(audio_of(peak, frames, body.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]))))
}

/// Removes the files that were written longest ago until all models' notes together fit; files half written by a process
/// that died go as well. What cannot be removed stays.
fn prune(all: &Path, most: u64) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries(all)
        .flat_map(|models| entries(&models.path()).collect::<Vec<_>>())
        .filter_map(|file| {
            let data = file.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), file.path()))
        })
        .collect();
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= most {
            return;
        }
        if fs::remove_file(&path).is_ok() {
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Runtime;

    const NOTE: CachedNote = CachedNote { performance: 1, instrument: 2, pitch: 60, velocity: 96, steps: 4 };

    fn audio() -> PartAudio {
        let left: Vec<f32> = (0..1_000).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
        PartAudio { right: left.iter().map(|x| -0.5 * x).collect(), left }
    }

    #[test]
    fn a_note_comes_back_as_it_was_and_only_for_what_it_was_made_from() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = NoteCache::at(folder.path().join("models"));
        assert!(cache.load(NOTE).is_none() && !cache.has(NOTE));
        cache.save(NOTE, &audio());
        assert_eq!(cache.fault(), None);
        assert!(cache.has(NOTE) && !cache.has(CachedNote { pitch: 61, ..NOTE }));
        let back = cache.load(NOTE).unwrap();
        let pairs = back.left.iter().chain(&back.right).zip(audio().left.into_iter().chain(audio().right));
        assert!(pairs.into_iter().all(|(one, other)| (one - other).abs() < 1e-5));
        // To the bit what is played of it where it was just made.
        let made = as_kept(audio());
        assert_eq!((made.left, made.right), (back.left, back.right));
        let mut broken = audio();
        broken.right[500] = f32::NAN;
        let other = CachedNote { pitch: 62, ..NOTE };
        cache.save(other, &broken);
        assert!(!cache.has(other) && as_kept(broken).right[500].is_nan(), "a hole is played as silence");
        assert!(cache.load(CachedNote { pitch: 61, ..NOTE }).is_none());
        assert!(cache.load(CachedNote { steps: 0, ..NOTE }).is_none());
        let names: Vec<_> = fs::read_dir(folder.path().join("models")).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "something half written was left: {names:?}");
    }

    #[test]
    fn a_damaged_note_is_removed_and_not_played() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = NoteCache::at(folder.path().into());
        cache.save(NOTE, &audio());
        let whole = fs::read(cache.path(NOTE)).unwrap();
        let mut flipped = whole.clone();
        flipped[2_000] ^= 4;
        for damaged in [&whole[..whole.len() / 2], &flipped, b"", b"RPNOTE1\n"] {
            fs::write(cache.path(NOTE), damaged).unwrap();
            assert!(cache.load(NOTE).is_none());
            assert!(!cache.path(NOTE).exists());
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        fs::write(&file, b"").unwrap();
        let mut cache = NoteCache::at(file.join("models"));
        cache.save(NOTE, &audio());
        let said = cache.fault().unwrap().to_owned();
        assert!(said.contains("cannot be kept") && said.contains("renders them anew"), "{said}");
        cache.save(NOTE, &audio());
        assert_eq!(cache.fault(), Some(said.as_str()));
        assert!(cache.load(NOTE).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_said_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = NoteCache::at(folder.path().into());
        let full = |_: &Path| File::options().write(true).open("/dev/full");
        cache.save_through(NOTE, &audio(), full);
        let said = cache.fault().unwrap();
        assert!(said.contains("No space left"), "{said}");
        assert!(cache.load(NOTE).is_none());
    }

    #[test]
    fn notes_of_another_denoiser_are_others_and_one_that_cannot_be_used_changes_nothing() {
        let installed = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("synth")).unwrap();
        for file in ["prior", "denoiser", "vocoder"].map(|name| format!("synth/{name}.onnx")) {
            fs::copy(installed.join(&file), folder.path().join(&file)).unwrap();
        }
        let manifest = fs::read_to_string(installed.join("manifest.toml")).unwrap();
        // The first of the list plays where none is named for live.
        let named = |line: &&str| line.starts_with("live = ") || line.starts_with("offline = ");
        let manifest = manifest.lines().filter(|line| !named(line)).fold(String::new(), |all, line| all + line + "\n");
        let place = manifest.find("[[synth.denoiser]]").unwrap_or(manifest.len());
        let name_with = |first: &[&str]| {
            let listed: String = first.iter().map(|lines| format!("\n[[synth.denoiser]]\n{lines}\n")).collect();
            let manifest = [&manifest[..place], &listed, &manifest[place..]].concat();
            fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
            let models = Models::load(Runtime::load(None).unwrap(), folder.path()).unwrap();
            NoteCache::new(Path::new("notes"), &models).folder
        };
        let plain = name_with(&["name = \"unet\"\nmodel = \"denoiser\""]);
        let other = name_with(&["name = \"unet\"\nmodel = \"denoiser\"\nsampler = \"dpm++2m\""]);
        let broken = name_with(&["name = \"gone\"\nmodel = \"gone\"", "name = \"second\"\nmodel = \"denoiser\""]);
        let list =
            ["name = \"unet\"\nmodel = \"denoiser\"", "name = \"other\"\nmodel = \"denoiser\"\nsampler = \"dpm++2m\""];
        assert_eq!(plain, name_with(&list));
        let written = fs::read_to_string(folder.path().join("manifest.toml")).unwrap();
        fs::write(folder.path().join("manifest.toml"), written.replacen("[synth]\n", "[synth]\nlive = \"other\"\n", 1))
            .unwrap();
        let models = Models::load(Runtime::load(None).unwrap(), folder.path()).unwrap();
        assert_eq!(other, NoteCache::new(Path::new("notes"), &models).folder, "the one that plays live");
        assert_ne!(plain, other);
        assert_eq!(plain, broken);
    }

    #[test]
    fn the_oldest_notes_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        fs::create_dir_all(&models).unwrap();
        for (name, age) in [("old", 30), ("older", 60), ("new", 0)] {
            let path = models.join(name);
            fs::write(&path, [0; 100]).unwrap();
            let when = SystemTime::now() - std::time::Duration::from_secs(age);
            File::options().write(true).open(&path).unwrap().set_modified(when).unwrap();
        }
        prune(folder.path(), 250);
        assert!(!models.join("older").exists() && models.join("old").exists() && models.join("new").exists());
    }
}
