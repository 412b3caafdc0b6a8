//! The errors of results on disk. Each message names the file and says what was expected of it.

use std::path::{Path, PathBuf};

/// Why a result cannot be read, written or compared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum Error {
    /// an operation on a file failed
    #[error("{path}: cannot {action}: {source}")]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    /// neither a run nor a directory that holds one
    #[error("{path}: no run here: expected run.json, or directories that hold one")]
    NoRun { path: PathBuf },
    /// written by a newer program
    #[error("{path}: schema {found} is newer than {known}, the newest this program reads")]
    NewerSchema { path: PathBuf, found: u64, known: u32 },
    /// a file is not what it should be
    #[error("{path}: {problem}; expected {expected}")]
    Corrupt { path: PathBuf, problem: String, expected: &'static str },
    /// a second process would write a run
    #[error("{path}: another swapscale writes this run (pid {pid})")]
    Locked { path: PathBuf, pid: String },
    /// a line of `cells.jsonl` is not a cell
    #[error("{path}: line {line}: {problem}; expected one cell, as JSON")]
    CorruptLine { path: PathBuf, line: usize, problem: String },
    /// a value that JSON or a histogram's log cannot hold
    #[error("cannot be stored: {problem}")]
    NotStorable { problem: String },
    /// the runs allow no comparison
    #[error("{0}")]
    Compare(String),
}

/// A result with this crate's [`Error`].
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
