//! Where the models and the ONNX Runtime library lie, for a plug-in, a command line and a test alike.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::InferenceError;

/// The folder beside a bundle, or inside it, that holds `models/` and `onnxruntime/`.
pub const DATA_FOLDER: &str = "ripieno-data";
/// The version of ONNX Runtime we ship: the last whose official builds carry no telemetry uploader.
pub const RUNTIME_VERSION: &str = "1.28.0";

/// File name of the ONNX Runtime library on this platform.
#[cfg(target_os = "linux")]
pub const RUNTIME_LIBRARY: &str = "libonnxruntime.so.1.28.0";
/// File name of the ONNX Runtime library on this platform.
#[cfg(target_os = "macos")]
pub const RUNTIME_LIBRARY: &str = "libonnxruntime.1.28.0.dylib";
/// File name of the ONNX Runtime library on this platform.
#[cfg(target_os = "windows")]
pub const RUNTIME_LIBRARY: &str = "onnxruntime.dll";

/// The two things an engine needs from disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The folder with `manifest.toml`.
    pub models: PathBuf,
    /// Absolute path of the ONNX Runtime library.
    pub runtime: PathBuf,
}

impl Locations {
    /// Looks, in this order: the environment (`RIPIENO_MODELS`, `RIPIENO_ONNXRUNTIME`; read, never set), beside and inside
    /// the bundle this code was loaded from, the user's data folder, and the repository that built it.
    pub fn find() -> Result<Self, InferenceError> {
        Ok(Self { models: find_models()?, runtime: find_runtime()? })
    }
}

/// The models folder alone; see [`Locations::find`].
pub fn find_models() -> Result<PathBuf, InferenceError> {
    if let Some(folder) = std::env::var_os("RIPIENO_MODELS") {
        return Ok(PathBuf::from(folder));
    }
    let candidates: Vec<PathBuf> = data_folders().into_iter().map(|folder| folder.join("models")).collect();
    match candidates.iter().find(|folder| folder.join("manifest.toml").is_file()) {
        Some(folder) => Ok(folder.clone()),
        None => Err(InferenceError::ModelsMissing { searched: list(&candidates) }),
    }
}

/// The ONNX Runtime library alone; see [`Locations::find`].
pub fn find_runtime() -> Result<PathBuf, InferenceError> {
    if let Some(file) = std::env::var_os("RIPIENO_ONNXRUNTIME") {
        return Ok(PathBuf::from(file));
    }
    let mut candidates: Vec<PathBuf> =
        data_folders().into_iter().map(|folder| folder.join("onnxruntime").join(RUNTIME_LIBRARY)).collect();
    candidates.extend(
        repository_folders()
            .into_iter()
            .map(|root| root.join("target/onnxruntime").join(RUNTIME_VERSION).join(RUNTIME_LIBRARY)),
    );
    match candidates.iter().find(|file| file.is_file()) {
        // The loader must not search: another plug-in's copy in the same host would be found first.
        Some(file) => Ok(std::path::absolute(file).unwrap_or_else(|_| file.clone())),
        None => Err(InferenceError::RuntimeMissing { searched: list(&candidates), library: RUNTIME_LIBRARY }),
    }
}

/// Folders that may hold `models/` and `onnxruntime/`, nearest first.
fn data_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(folder) = own_file().as_deref().and_then(Path::parent) {
        folders.push(folder.join(DATA_FOLDER));
        // A VST3 bundle: Ripieno.vst3/Contents/x86_64-linux/Ripieno.so beside Contents/Resources.
        if let Some(contents) = folder.parent().filter(|parent| parent.file_name() == Some(OsStr::new("Contents"))) {
            folders.push(contents.join("Resources").join(DATA_FOLDER));
        }
    }
    folders.extend(user_data_folder());
    folders.extend(repository_folders());
    folders
}

/// The checkout this code runs from: the folder that holds the nearest `target` above our own file.
fn repository_folders() -> Vec<PathBuf> {
    own_file()
        .iter()
        .flat_map(|file| file.ancestors())
        .filter(|folder| folder.join("models/manifest.toml").is_file() && folder.join("engine/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .collect()
}

/// `ripieno` in the folder where this user's programs keep their data.
pub fn user_data_folder() -> Option<PathBuf> {
    let home = |rest: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(rest));
    let base = if cfg!(target_os = "windows") {
        std::env::var_os("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home("Library/Application Support")
    } else {
        std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| home(".local/share"))
    };
    base.map(|folder| folder.join("ripieno"))
}

/// `ripieno` in the folder where this user's programs keep what they can make again; `RIPIENO_CACHE` (read, never set)
/// names another.
pub fn user_cache_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("RIPIENO_CACHE") {
        return Some(PathBuf::from(folder));
    }
    let home = |rest: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(rest));
    let base = if cfg!(target_os = "windows") {
        std::env::var_os("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home("Library/Caches")
    } else {
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home(".cache"))
    };
    base.map(|folder| folder.join(if cfg!(target_os = "windows") { "ripieno/cache" } else { "ripieno" }))
}

/// `ripieno` in the folder where this user's programs keep their settings.
pub fn user_settings_folder() -> Option<PathBuf> {
    let home = |rest: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(rest));
    let base = if cfg!(target_os = "windows") {
        std::env::var_os("APPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home("Library/Application Support")
    } else {
        std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home(".config"))
    };
    base.map(|folder| folder.join("ripieno"))
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The file this code was loaded from: the plug-in inside a host, the program otherwise.
#[cfg(unix)]
fn own_file() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = own_file as *const () as *const libc::c_void;
    // SAFETY: `address` lies in our own loaded code and `info` is writable for one `Dl_info`.
    let found = unsafe { libc::dladdr(address, info.as_mut_ptr()) } != 0;
    // SAFETY: all-zero bytes are a valid `Dl_info`, so it is initialised whether or not `dladdr` wrote it.
    let info = unsafe { info.assume_init() };
    if !found || info.dli_fname.is_null() {
        return std::env::current_exe().ok();
    }
    // SAFETY: `dladdr` succeeded, so `dli_fname` points to a NUL-terminated name that lives as long as the object is loaded.
    let name = unsafe { std::ffi::CStr::from_ptr(info.dli_fname) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    // A program is reported by the name it was started with and a library by the name it was opened with: either may be
    // relative to a folder since left. The kernel knows better.
    let path = if path.is_absolute() { path } else { mapped_file(address as usize).or(std::env::current_exe().ok())? };
    std::fs::canonicalize(&path).ok().or(Some(path))
}

/// The file mapped at an address of this process, by its absolute path.
#[cfg(target_os = "linux")]
fn mapped_file(address: usize) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let maps = std::fs::read("/proc/self/maps").ok()?;
    // proc_pid_maps(5): `from-to rights offset device inode    path`.
    let path = maps.split(|&byte| byte == b'\n').find_map(|line| {
        let text = std::str::from_utf8(line.split(|&byte| byte == b' ').next()?).ok()?;
        let (from, to) = text.split_once('-')?;
        let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        let start = line.iter().position(|&byte| byte == b'/').filter(|_| range.contains(&address))?;
        Some(PathBuf::from(OsStr::from_bytes(&line[start..])))
    })?;
    path.is_file().then_some(path)
}

/// The file mapped at an address of this process: other systems report absolute paths in the first place.
#[cfg(all(unix, not(target_os = "linux")))]
fn mapped_file(_address: usize) -> Option<PathBuf> {
    None
}

/// The file this code was loaded from: the plug-in inside a host, the program otherwise.
#[cfg(windows)]
fn own_file() -> Option<PathBuf> {
    use std::os::windows::ffi::OsStringExt;

    use windows_sys::Win32::Foundation::HMODULE;
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW,
        GetModuleHandleExW,
    };
    let mut module: HMODULE = std::ptr::null_mut();
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    // SAFETY: with FROM_ADDRESS the name is any address inside the module; `module` is writable.
    if unsafe { GetModuleHandleExW(flags, own_file as *const () as *const u16, &mut module) } == 0 {
        return std::env::current_exe().ok();
    }
    let mut name = vec![0u16; 32_768];
    // SAFETY: `name` is writable for the length passed.
    let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), name.len() as u32) } as usize;
    (length > 0).then(|| PathBuf::from(std::ffi::OsString::from_wide(&name[..length])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_names_the_file_that_this_code_came_from() {
        let address = own_file as *const () as usize;
        assert_eq!(mapped_file(address), std::env::current_exe().ok());
        assert_eq!(mapped_file(0), None);
    }

    #[test]
    fn a_test_finds_the_repository_it_was_built_from() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
        // A target folder outside the checkout has no repository above it; then there is nothing to find.
        if own_file().is_some_and(|file| root.as_ref().is_some_and(|root| file.starts_with(root))) {
            assert_eq!(repository_folders().first(), root.as_ref());
        }
    }
}
