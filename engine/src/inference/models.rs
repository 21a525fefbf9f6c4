//! The verified bytes of every model, shared by all instances in the process.
//!
//! A file that is missing or damaged keeps its own model from running and no other; whoever asks for that model is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{InferenceError, Manifest, ModelEntry, Runtime};

/// Every model of one folder, read once and checked against its manifest.
pub struct Models {
    runtime: &'static Runtime,
    manifest: Manifest,
    /// By name: the file, or why it cannot be used.
    files: BTreeMap<String, Result<Vec<u8>, InferenceError>>,
}

impl Models {
    /// Reads and verifies all models of a folder; tens of milliseconds, so on a worker. An error is the manifest's; those
    /// of single files are kept as [`Models::faults`].
    pub fn load(runtime: &'static Runtime, folder: &Path) -> Result<Arc<Self>, InferenceError> {
        let manifest = Manifest::load(folder)?;
        let files = manifest.models.iter().map(|entry| (entry.name.clone(), read_verified(folder, entry))).collect();
        Ok(Arc::new(Self { runtime, manifest, files }))
    }

    /// Why models cannot be used, in the manifest's order: their files are missing or damaged.
    pub fn faults(&self) -> impl Iterator<Item = &InferenceError> {
        self.manifest.models.iter().filter_map(|entry| self.fault(&entry.name))
    }

    /// Why a model of the manifest cannot be used, if it cannot.
    pub fn fault(&self, name: &str) -> Option<&InferenceError> {
        self.files.get(name)?.as_ref().err()
    }

    /// The manifest they were verified against.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    /// The bytes of a model and its entry.
    pub(super) fn get(&self, name: &str) -> Result<(&ModelEntry, &[u8]), InferenceError> {
        let entry = self.manifest.model(name)?;
        match self.files.get(name) {
            Some(Ok(bytes)) => Ok((entry, bytes)),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(InferenceError::UnknownModel { name: name.to_owned() }),
        }
    }
}

fn read_verified(folder: &Path, entry: &ModelEntry) -> Result<Vec<u8>, InferenceError> {
    let path = folder.join(&entry.file);
    let bytes = std::fs::read(&path)
        .map_err(|error| InferenceError::Unreadable { path: path.clone(), reason: error.to_string() })?;
    let digest = Sha256::digest(&bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    if digest == entry.sha256 { Ok(bytes) } else { Err(InferenceError::Corrupt { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sha256: &str) -> ModelEntry {
        ModelEntry {
            name: "m".into(),
            file: "m.onnx".into(),
            sha256: sha256.into(),
            licence: String::new(),
            parameters: 0,
            made_by: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            beside: None,
            habits: BTreeMap::new(),
            figures: BTreeMap::new(),
        }
    }

    #[test]
    fn a_file_is_read_only_if_its_hash_is_the_manifests() {
        let folder = std::env::temp_dir().join(format!("ripieno-models-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("m.onnx"), b"abc").unwrap();
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(read_verified(&folder, &entry(abc)).unwrap(), b"abc");
        std::fs::write(folder.join("m.onnx"), b"abd").unwrap();
        assert!(matches!(read_verified(&folder, &entry(abc)), Err(InferenceError::Corrupt { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
