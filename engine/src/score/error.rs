//! What can be wrong with a file, as sentences with a way on.

use std::path::{Path, PathBuf};

use super::Format;

/// Why a file is no score, or a score no file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScoreError {
    /// The file cannot be opened or read.
    #[error("{path} cannot be read: {reason}. Check the name and that you may read it.")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The file is empty.
    #[error("{path} is empty. Export it again from the program that made it.")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else, or broken.
    #[error("{path} is not {}: {reason}. {}", format.noun(), format.advice())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: Format,
        /// What is wrong with it.
        reason: String,
    },
    /// The end is missing.
    #[error("{path} ends in the middle of a track: it was not copied or saved to its end. Copy or export it again.")]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// Nothing to play.
    #[error("{path} has no notes{but}. Give a file with at least one note.")]
    NoNotes {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        but: &'static str,
    },
    /// Beyond what can be meant seriously.
    #[error("{path} is too large: {reason}. Split it into shorter pieces.")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which limit it breaks.
        reason: String,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {reason}. Choose a folder you may write to.")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// The name does not say what the file is.
    #[error("{path} has no ending that says what it is. Known are {}.", Format::endings())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
}

impl ScoreError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unwritable { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn malformed(path: &Path, format: Format, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.into(), format, reason: reason.into() }
    }

    pub(super) fn too_large(path: &Path, reason: impl Into<String>) -> Self {
        Self::TooLarge { path: path.into(), reason: reason.into() }
    }
}
