//! Where things lie: one place knows the names of folders and files that several commands share.

use std::env;
use std::path::{Path, PathBuf};

/// The version of ONNX Runtime that `xtask/onnxruntime.txt` pins.
pub const ONNXRUNTIME_VERSION: &str = "1.28.0";

/// Name of the ONNX Runtime library on this platform, as the engine looks for it.
pub const ONNXRUNTIME_LIBRARY: &str = if cfg!(target_os = "windows") {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.1.28.0.dylib"
} else {
    "libonnxruntime.so.1.28.0"
};

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// What is made here and may be deleted. Set-up lies below it too, so that one folder is all there is to clean.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Where cargo puts what it builds; a musician's machine may have moved it.
pub fn cargo_target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(target, |folder| root().join(folder))
}

/// The folder with the ONNX Runtime library and its licences.
pub fn onnxruntime() -> PathBuf {
    target().join("onnxruntime").join(ONNXRUNTIME_VERSION)
}

/// The finished plug-ins.
pub fn bundled() -> PathBuf {
    target().join("bundled")
}

/// What the demo writes.
pub fn demo() -> PathBuf {
    target().join("demo")
}

/// The Python environment of the tests.
pub fn venv() -> PathBuf {
    target().join("venv")
}

/// The Python interpreter of the tests.
pub fn python() -> PathBuf {
    if cfg!(windows) { venv().join("Scripts/python.exe") } else { venv().join("bin/python") }
}
