//! Charts and the report page, from results alone.

pub mod axis;
pub mod frame;
pub mod scene;
pub mod style;

use std::path::{Path, PathBuf};

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: String },
    #[error("cannot draw: {0}")]
    Draw(String),
}

impl PlotError {
    fn write(path: &Path, reason: impl std::fmt::Display) -> PlotError {
        PlotError::Write { path: path.to_path_buf(), reason: reason.to_string() }
    }

    fn draw(reason: impl std::fmt::Display) -> PlotError {
        PlotError::Draw(reason.to_string())
    }
}
