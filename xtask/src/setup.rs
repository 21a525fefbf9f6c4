//! What a fresh machine with Rust and Python lacks, put in place once.
//!
//! Each thing has a stamp: the hash of what it was made from. A second run reads the stamps and does no work. Nothing is
//! changed outside `target/` but Debian's packages, and those only for root; anyone else is shown the line to type.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::layout;
use crate::progress::Progress;
use crate::shell;

/// The steps that [`everything`] may show.
pub const STEPS: usize = 3;

/// Debian's packages for building, and for the Python environment.
const BUILD_PACKAGES: &[&str] = &["gcc", "libc6-dev", "python3-venv"];

/// Debian's packages for the hosts: a screen that is none, the settings daemon and the window manager without which
/// JUCE ends in `BadWindow` or `BadAtom`, OpenGL in software, a real DAW, and what watches the audio thread's system calls.
const HOST_PACKAGES: &[&str] = &[
    "xvfb",
    "xauth",
    "x11-utils",
    "xsettingsd",
    "openbox",
    "libgl1",
    "libglx-mesa0",
    "libgl1-mesa-dri",
    "libatomic1",
    "ardour",
    "strace",
];

/// The Pythons that every pinned package has wheels for.
const PYTHON_VERSIONS: std::ops::RangeInclusive<u32> = 11..=13;

/// Everything that any command needs.
pub fn everything(progress: &mut Progress) -> Result<()> {
    let mut worked = packages(progress, &[BUILD_PACKAGES, HOST_PACKAGES].concat())?;
    worked |= onnxruntime(progress)?;
    worked |= python_packages(progress)?;
    report(worked);
    Ok(())
}

/// What a bundle needs.
pub fn for_bundle(progress: &mut Progress) -> Result<()> {
    let worked = packages(progress, BUILD_PACKAGES)? | onnxruntime(progress)?;
    report(worked);
    Ok(())
}

/// What the demo needs: a bundle, and the transcriber that judges it.
pub fn for_demo(progress: &mut Progress) -> Result<()> {
    let mut worked = packages(progress, BUILD_PACKAGES)?;
    worked |= onnxruntime(progress)?;
    worked |= python_packages(progress)?;
    report(worked);
    Ok(())
}

fn report(worked: bool) {
    println!("{}", if worked { "Set-up is done." } else { "Set-up is in place." });
}

/// Installs the Debian packages that are missing. Elsewhere than on Debian there is nothing to ask and nothing to do.
fn packages(progress: &mut Progress, names: &[&str]) -> Result<bool> {
    let Ok(known) = Command::new("dpkg-query").args(["-W", "-f=${Package} ${db:Status-Status}\n"]).args(names).output()
    else {
        return Ok(false);
    };
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    let installed: Vec<&str> = known.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    let missing: Vec<&str> = names.iter().copied().filter(|name| !installed.contains(name)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        bail!(
            "Debian packages are missing and only root may install them. Type this, then try again:\n\n    sudo {line}\n"
        );
    }
    progress.step(&format!("Installing Debian packages: {}", missing.join(", ")));
    let apt = |arguments: &[&str]| {
        shell::quiet(shell::program("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"]).context("the list of Debian's packages cannot be fetched: is the network up?")?;
    let install = [&["install", "-q", "-y", "--no-install-recommends"], missing.as_slice()].concat();
    apt(&install).with_context(|| format!("try by hand, as root: {line}"))?;
    Ok(true)
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Puts the ONNX Runtime library and its licences into [`layout::onnxruntime`], from the wheel that PyPI serves.
fn onnxruntime(progress: &mut Progress) -> Result<bool> {
    let folder = layout::onnxruntime();
    let pin = layout::root().join("xtask/onnxruntime.txt");
    let stamp = Stamp::of(&folder, &[&pin], std::env::consts::ARCH)?;
    if stamp.holds() && folder.join(layout::ONNXRUNTIME_LIBRARY).is_file() {
        return Ok(false);
    }
    progress.step(&format!("Fetching ONNX Runtime {} (about 20 MB)", layout::ONNXRUNTIME_VERSION));
    environment()?;
    let partial = folder.with_extension("partial");
    remove(&partial)?;
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    // Any of the version's wheels holds the same library, so the Python version named here need not be ours.
    shell::quiet(
        shell::python()
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"])
            .args(["--python-version", "3.11", "--implementation", "cp", "--platform", wheel_platform()?])
            .arg("--dest")
            .arg(&partial)
            .arg("--requirement")
            .arg(&pin),
    )
    .context(
        "ONNX Runtime's wheel was not fetched, or is not the file that xtask/onnxruntime.txt pins. \
         Check the network, then try again",
    )?;
    shell::quiet(shell::python().arg("-c").arg(UNPACK).arg(&partial).arg(layout::ONNXRUNTIME_LIBRARY))
        .context("ONNX Runtime's wheel is not laid out as expected")?;
    remove(&folder)?;
    fs::rename(&partial, &folder).with_context(|| format!("cannot create {}", folder.display()))?;
    stamp.set()?;
    Ok(true)
}

/// Takes the library and its licences out of the wheel in a folder, and removes the wheel.
const UNPACK: &str = r#"
import pathlib, sys, zipfile
folder, library = pathlib.Path(sys.argv[1]), sys.argv[2]
wheel, = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in [f"capi/{library}", "LICENSE", "ThirdPartyNotices.txt"]:
        (folder / pathlib.Path(name).name).write_bytes(archive.read(f"onnxruntime/{name}"))
wheel.unlink()
"#;

/// The tag of the wheels for this platform.
fn wheel_platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("manylinux_2_28_x86_64"),
        ("linux", "aarch64") => Ok("manylinux_2_28_aarch64"),
        ("macos", "aarch64") => Ok("macosx_14_0_arm64"),
        ("windows", "x86_64") => Ok("win_amd64"),
        (os, arch) => bail!(
            "there is no ONNX Runtime {} for {os} on {arch}; put your own build of the library at {}",
            layout::ONNXRUNTIME_VERSION,
            layout::onnxruntime().join(layout::ONNXRUNTIME_LIBRARY).display()
        ),
    }
}

/// Installs `tests/requirements.txt` into [`layout::venv`].
fn python_packages(progress: &mut Progress) -> Result<bool> {
    let requirements = layout::root().join("tests/requirements.txt");
    let stamp = Stamp::of(&layout::venv(), &[&requirements], "")?;
    if stamp.holds() && layout::python().is_file() {
        return Ok(false);
    }
    progress.step("Installing Python packages into target/venv (about 250 MB to fetch)");
    environment()?;
    shell::quiet(
        shell::python()
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--requirement"])
            .arg(&requirements),
    )
    .context("the Python packages were not installed. Check the network, then try again")?;
    stamp.set()?;
    Ok(true)
}

/// Makes the empty Python environment, if there is none that works.
fn environment() -> Result<()> {
    let works = |program: &mut Command| {
        program.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if works(shell::python().args(["-m", "pip", "--version"])) {
        return Ok(());
    }
    remove(&layout::venv())?;
    let python = suitable_python()?;
    shell::quiet(shell::program(&python).args(["-m", "venv"]).arg(layout::venv())).with_context(|| {
        format!("{python} cannot make an environment. On Debian type: sudo apt-get install -y python3-venv")
    })?;
    Ok(())
}

/// The first Python on PATH that the pinned packages have wheels for.
fn suitable_python() -> Result<String> {
    let mut found = Vec::new();
    let newest_last = PYTHON_VERSIONS.map(|minor| format!("python3.{minor}"));
    for name in std::iter::once("python3".to_owned()).chain(newest_last).chain(["python".to_owned()]) {
        let Ok(minor) = shell::quiet(shell::program(&name).args(["-c", "import sys; print(sys.version_info[1])"]))
        else {
            continue;
        };
        match minor.trim().parse() {
            Ok(minor) if PYTHON_VERSIONS.contains(&minor) => return Ok(name),
            _ => found.push(format!("{name} is 3.{}", minor.trim())),
        }
    }
    bail!(
        "Python 3.{} to 3.{} is needed ({}). On Debian type: sudo apt-get install -y python3 python3-venv",
        PYTHON_VERSIONS.start(),
        PYTHON_VERSIONS.end(),
        if found.is_empty() { "none is on PATH".to_owned() } else { found.join(", ") }
    )
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// What a folder was made from, written into the folder when it is complete.
struct Stamp {
    file: PathBuf,
    value: String,
}

impl Stamp {
    /// The stamp that `folder` has once it is made from these files and `more`.
    fn of(folder: &Path, sources: &[&Path], more: &str) -> Result<Self> {
        let mut hash = Sha256::new();
        for source in sources {
            hash.update(fs::read(source).with_context(|| format!("cannot read {}", source.display()))?);
        }
        hash.update(more);
        let value = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { file: folder.join(".made-from"), value })
    }

    fn holds(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|value| value == self.value)
    }

    fn set(&self) -> Result<()> {
        fs::write(&self.file, &self.value).with_context(|| format!("cannot write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_until_its_source_changes() {
        let folder = std::env::temp_dir().join(format!("ripieno-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = folder.join("source");
        fs::write(&source, "one").unwrap();
        Stamp::of(&folder, &[&source], "").unwrap().set().unwrap();
        assert!(Stamp::of(&folder, &[&source], "").unwrap().holds());
        fs::write(&source, "two").unwrap();
        assert!(!Stamp::of(&folder, &[&source], "").unwrap().holds());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_pinned_version_is_the_one_the_engine_looks_for() {
        let pin = fs::read_to_string(layout::root().join("xtask/onnxruntime.txt")).unwrap();
        assert!(pin.contains(&format!("onnxruntime=={} ", layout::ONNXRUNTIME_VERSION)));
        assert!(cfg!(windows) || layout::ONNXRUNTIME_LIBRARY.contains(layout::ONNXRUNTIME_VERSION));
        let engine = fs::read_to_string(layout::root().join("engine/src/inference/locations.rs")).unwrap();
        assert!(engine.contains(&format!("\"{}\"", layout::ONNXRUNTIME_LIBRARY)));
    }
}
