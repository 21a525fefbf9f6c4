//! The ONNX Runtime library: loaded once per process, by absolute path, and kept for ever.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use parking_lot::Mutex;

use super::InferenceError;
use super::locations;

/// The loaded library and its one environment.
///
/// After the last environment of a process is dropped a new one fails, so this one never is.
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

impl Runtime {
    /// The process's runtime; loads it on the first call, from `library` or from where [`locations`] finds it.
    ///
    /// A failed load can be tried again: the musician may have put the file in place meanwhile.
    pub fn load(library: Option<&Path>) -> Result<&'static Self, InferenceError> {
        static LOADING: Mutex<()> = Mutex::new(());
        // A library that was named and is not there is a mistake to be told, also where another one is loaded already.
        if let Some(path) = library.filter(|path| !path.is_file()) {
            return Err(InferenceError::RuntimeMissing {
                searched: path.display().to_string(),
                library: locations::RUNTIME_LIBRARY,
            });
        }
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        let _one_at_a_time = LOADING.lock();
        if let Some(runtime) = RUNTIME.get() {
            return Ok(runtime);
        }
        let path = match library {
            Some(path) => path.to_path_buf(),
            None => locations::find_runtime()?,
        };
        if !path.is_file() {
            return Err(InferenceError::RuntimeMissing {
                searched: path.display().to_string(),
                library: locations::RUNTIME_LIBRARY,
            });
        }
        let unusable = |reason: String| InferenceError::RuntimeUnusable { path: path.clone(), reason };
        let environment = ort::init_from(&path)
            .map_err(|error| unusable(error.to_string()))?
            .with_name("ripieno")
            .with_telemetry(false)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(RUNTIME.get_or_init(|| Self { environment, path }))
    }

    /// Where the library was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}
