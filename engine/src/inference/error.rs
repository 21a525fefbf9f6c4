use std::path::PathBuf;

/// Why no model can run. Every text names the cause and a way on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InferenceError {
    /// No file that could be ONNX Runtime was found.
    #[error(
        "ONNX Runtime was not found (looked in {searched}). Run `cargo xtask setup`, or put {library} beside the plug-in in `ripieno-data`."
    )]
    RuntimeMissing {
        /// The folders that were looked into, separated by commas.
        searched: String,
        /// The file name this platform needs.
        library: &'static str,
    },
    /// The library is there but would not load.
    #[error("ONNX Runtime at {path} could not be loaded: {reason}. Install version 1.28.0 with `cargo xtask setup`.")]
    RuntimeUnusable {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// No models folder was found.
    #[error("the models folder was not found (looked in {searched}). Reinstall Ripieno, or run `cargo xtask install`.")]
    ModelsMissing {
        /// The folders that were looked into, separated by commas.
        searched: String,
    },
    /// A file of the models folder cannot be read.
    #[error("the model file {path} cannot be read: {reason}. Reinstall Ripieno's models.")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The manifest does not parse.
    #[error("the model manifest {path} is not valid: {reason}. Reinstall Ripieno's models.")]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// Line and reason.
        reason: String,
    },
    /// The manifest has no such model.
    #[error("the model \"{name}\" is not in the manifest. Reinstall Ripieno's models.")]
    UnknownModel {
        /// The model's name.
        name: String,
    },
    /// A file is not the one the manifest describes.
    #[error(
        "the model file {path} is damaged: its SHA-256 is not the one in the manifest. Reinstall Ripieno's models."
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// A graph has other inputs or outputs than the manifest says.
    #[error(
        "the model \"{name}\" does not fit this version of Ripieno: {reason}. Reinstall plug-in and models together."
    )]
    Mismatch {
        /// The model's name.
        name: String,
        /// What differs.
        reason: String,
    },
    /// ONNX Runtime reported an error while it ran a model.
    #[error("the model \"{name}\" failed while running: {reason}")]
    Run {
        /// The model's name.
        name: String,
        /// ONNX Runtime's words.
        reason: String,
    },
}
