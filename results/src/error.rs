//! What can be wrong with a result on disk: one message each, which names the
//! file and says what was expected of it.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: cannot {action}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path}: no run here: expected run.json, or directories that hold one")]
    NoRun { path: PathBuf },
    #[error("{path}: schema {found} is newer than {known}, the newest this program reads")]
    NewerSchema { path: PathBuf, found: u64, known: u32 },
    #[error("{path}: {problem}; expected {expected}")]
    Corrupt { path: PathBuf, problem: String, expected: &'static str },
    #[error("{path}: line {line}: {problem}; expected one cell, as JSON")]
    CorruptLine { path: PathBuf, line: usize, problem: String },
    #[error("cannot be stored: {problem}")]
    NotStorable { problem: String },
    #[error("{0}")]
    Compare(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` on an i/o operation: what was tried, on which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, problem: impl ToString, expected: &'static str) -> Error {
        Error::Corrupt { path: path.to_owned(), problem: problem.to_string(), expected }
    }
}
