//! The plug-ins as a DAW wants them, with the models and ONNX Runtime where the plug-in looks for them.
//!
//! ```text
//! target/bundled/Ripieno.clap                              the library itself (a folder on macOS)
//! target/bundled/ripieno-data/{models,onnxruntime}/
//! target/bundled/Ripieno.vst3/Contents/x86_64-linux/Ripieno.so
//! target/bundled/Ripieno.vst3/Contents/Resources/ripieno-data/{models,onnxruntime}/
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::layout;
use crate::progress::Progress;
use crate::setup;
use crate::shell;

/// The folder that holds `models/` and `onnxruntime/`, by the name the engine looks for.
const DATA_FOLDER: &str = "ripieno-data";

/// `cargo xtask bundle`.
pub fn run() -> Result<()> {
    let mut progress = Progress::new(2);
    setup::for_bundle(&mut progress)?;
    build(&mut progress, &[])?;
    println!("The plug-ins are in {}", layout::bundled().display());
    Ok(())
}

/// `cargo xtask install`.
pub fn install() -> Result<()> {
    let mut progress = Progress::new(3);
    setup::for_bundle(&mut progress)?;
    build(&mut progress, &[])?;
    let (clap, vst3) = user_folders()?;
    progress.step(&format!("Copying to {} and {}", clap.display(), vst3.display()));
    for (folder, names) in [(&clap, ["Ripieno.clap", DATA_FOLDER].as_slice()), (&vst3, &["Ripieno.vst3"])] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for name in names {
            place(&layout::bundled().join(name), &folder.join(name))?;
        }
    }
    println!("Installed. Scan for plug-ins in your DAW and look for \"Ripieno\" and \"Ripieno Multi\".");
    Ok(())
}

/// Where this user's DAWs look for CLAP and for VST3 plug-ins.
fn user_folders() -> Result<(PathBuf, PathBuf)> {
    let variable = if cfg!(windows) { "LOCALAPPDATA" } else { "HOME" };
    let Some(home) = std::env::var_os(variable).map(PathBuf::from) else {
        bail!("{variable} is not set, so there is no folder of yours to install to");
    };
    Ok(if cfg!(target_os = "macos") {
        (home.join("Library/Audio/Plug-Ins/CLAP"), home.join("Library/Audio/Plug-Ins/VST3"))
    } else if cfg!(windows) {
        (home.join("Programs/Common/CLAP"), home.join("Programs/Common/VST3"))
    } else {
        (home.join(".clap"), home.join(".vst3"))
    })
}

/// Builds the plug-in library (and `also`, in the same build so that what they share is built once), lays the bundles out.
pub fn build(progress: &mut Progress, also: &[&str]) -> Result<()> {
    progress.step("Building the plug-ins as a musician gets them (minutes the first time)");
    let mut build = shell::cargo();
    build.args(["build", "--profile", "bundle", "--package", "ripieno-plugin", "--lib"]).args(also);
    shell::show(&mut build)?;

    let library = layout::cargo_target().join("bundle").join(library_file());
    let bundled = layout::bundled();
    let (clap_binary, clap_data) = if cfg!(target_os = "macos") {
        ("Ripieno.clap/Contents/MacOS/Ripieno", "Ripieno.clap/Contents/Resources")
    } else {
        ("Ripieno.clap", "")
    };
    let vst3_binary = Path::new("Ripieno.vst3/Contents").join(vst3_binary()?);
    place(&library, &bundled.join(clap_binary))?;
    place(&library, &bundled.join(vst3_binary))?;
    for resources in [clap_data, "Ripieno.vst3/Contents/Resources"] {
        data(&bundled.join(resources).join(DATA_FOLDER))?;
    }
    if cfg!(target_os = "macos") {
        for bundle in ["Ripieno.clap", "Ripieno.vst3"] {
            fs::write(bundled.join(bundle).join("Contents/Info.plist"), INFO_PLIST)
                .with_context(|| format!("cannot write {bundle}'s Info.plist"))?;
        }
    }
    Ok(())
}

fn library_file() -> &'static str {
    if cfg!(windows) {
        "ripieno.dll"
    } else if cfg!(target_os = "macos") {
        "libripieno.dylib"
    } else {
        "libripieno.so"
    }
}

/// Where the VST3 convention wants the library on this platform, below `Contents`.
fn vst3_binary() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("x86_64-linux/Ripieno.so"),
        ("linux", "aarch64") => Ok("aarch64-linux/Ripieno.so"),
        ("windows", "x86_64") => Ok("x86_64-win/Ripieno.vst3"),
        ("macos", _) => Ok("MacOS/Ripieno"),
        (os, arch) => bail!("where a VST3 library lies is not known for {os} on {arch}"),
    }
}

/// Fills a data folder: the models that the manifest names, and ONNX Runtime with its licences.
fn data(folder: &Path) -> Result<()> {
    let models = layout::root().join("models");
    let manifest = fs::read_to_string(models.join("manifest.toml")).context("models/manifest.toml is missing")?;
    let mut files = vec!["manifest.toml".to_owned(), "synth/performances.toml".to_owned(), "synth/pictures".to_owned()];
    // The manifest is read as text: a TOML reader would be the heaviest thing in this program, for one key.
    files.extend(manifest.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "file").then(|| value.trim().trim_matches('"').to_owned())
    }));
    let target = folder.join("models");
    for file in &files {
        place(&models.join(file), &target.join(file))?;
    }
    place(&layout::onnxruntime(), &folder.join("onnxruntime"))
}

/// Copies a file or a folder over what is there, leaving files of the same size and a later date alone.
fn place(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_dir() {
        fs::create_dir_all(to).with_context(failed)?;
        for entry in fs::read_dir(from).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            place(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let source = fs::metadata(from).with_context(failed)?;
    if let Ok(existing) = fs::metadata(to)
        && existing.len() == source.len()
        && existing.modified().with_context(failed)? >= source.modified().with_context(failed)?
    {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    // A new file, not new bytes in the old one: a DAW that has the old one loaded keeps it until it lets go.
    let partial = to.with_extension("partial");
    fs::copy(from, &partial).with_context(failed)?;
    fs::rename(&partial, to).with_context(failed)
}

/// What macOS wants to know of a bundle.
const INFO_PLIST: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>CFBundleExecutable</key><string>Ripieno</string>
  <key>CFBundleIdentifier</key><string>com.ripieno.Ripieno</string>
  <key>CFBundleName</key><string>Ripieno</string>
  <key>CFBundlePackageType</key><string>BNDL</string>
  <key>CFBundleVersion</key><string>"#,
    env!("CARGO_PKG_VERSION"),
    "</string>\n</dict></plist>\n"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placing_again_replaces_what_changed() {
        let folder = std::env::temp_dir().join(format!("ripieno-place-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::write(from.join("inner/file"), "one").unwrap();
        place(&from, &to).unwrap();
        fs::write(from.join("inner/file"), "three").unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("inner/file")).unwrap(), "three");
        fs::remove_dir_all(&folder).unwrap();
    }
}
