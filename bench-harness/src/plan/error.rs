//! Why a plan cannot be made: one line that names the key, or the file and its line.

use std::path::PathBuf;

use machine::topology::TopologyError;

use super::memory::Bytes;

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{key} '{value}': expected {expected}")]
    Value { key: &'static str, value: String, expected: String },
    #[error(
        "memory: {} needs about {needs}, {available} available: expected smaller devices, or fewer \
         threads",
        together(point, *at_once)
    )]
    Memory { point: String, at_once: usize, needs: Bytes, available: Bytes },
    #[error("{0}")]
    Events(String),
    #[error("{0}")]
    Backing(String),
    #[error(transparent)]
    Pin(#[from] TopologyError),
}

fn together(point: &str, at_once: usize) -> String {
    match at_once {
        1 => point.to_owned(),
        n => format!("{n} trials at once, the largest {point}:"),
    }
}

pub(super) fn refuse<T>(
    key: &'static str,
    value: impl ToString,
    expected: impl Into<String>,
) -> Result<T, PlanError> {
    Err(PlanError::Value { key, value: value.to_string(), expected: expected.into() })
}
