//! Files that exist whole or not at all.

use std::path::{Path, PathBuf};

use crate::Failure;

/// Writes a file under another name and renames it when it is whole; a failure leaves nothing.
pub fn write(path: &Path, content: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let part = unfinished(path);
    let written = content(&part).and_then(|()| std::fs::rename(&part, path).map_err(|error| unwritable(path, &error)));
    if written.is_err() {
        // It may not exist; the sentence about the first failure is the one that helps.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Minutes of rendering should not end at a folder that is not there.
pub fn check(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(format!("{} is a folder. Give the name of a file.", path.display()).into());
    }
    let part = unfinished(path);
    std::fs::File::create(&part).map_err(|error| unwritable(path, &error))?;
    std::fs::remove_file(&part).map_err(|error| unwritable(path, &error))
}

/// The sentence for a file that cannot be written.
pub fn unwritable(path: &Path, reason: &dyn std::fmt::Display) -> Failure {
    format!("{} cannot be written: {reason}. Choose a folder you may write to.", path.display()).into()
}

/// The other name.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    path.with_file_name(name)
}
