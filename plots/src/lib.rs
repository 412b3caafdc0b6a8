//! Charts and the report page, from results alone. This crate knows nothing of
//! locks: variants, workloads and sites are strings that a run happens to hold.

mod axis;
mod chart;
mod commands;
mod data;
mod frame;
mod page;
mod scene;
mod style;
mod validation;

use std::path::{Path, PathBuf};

use commands::Entry;
use rayon::prelude::*;
use results::store::Loaded;

pub use chart::matrix::{Cell, Matrix, Row, Section};
pub use page::{Race, page};
pub use validation::validation;

/// The reasons why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: String },
    #[error("cannot draw: {0}")]
    Draw(String),
    #[error("nothing to draw: the runs hold no usable cell")]
    Empty,
    #[error("{} and {} have one id, {id}: their trials would count as those of one run", first.display(), second.display())]
    Twice { id: String, first: PathBuf, second: PathBuf },
}

impl PlotError {
    fn write(path: &Path, reason: impl std::fmt::Display) -> PlotError {
        PlotError::Write { path: path.to_path_buf(), reason: reason.to_string() }
    }

    fn draw(reason: impl std::fmt::Display) -> PlotError {
        PlotError::Draw(reason.to_string())
    }
}

/// The outcome of one chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drawn {
    /// SVG and PNG, in the README's size and a slide's.
    Files { chart: String, files: Vec<PathBuf> },
    /// The runs lack what it would show.
    Absent { chart: String, reason: String },
}

/// Which pictures are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Beginnings of file names, as `throughput` or `latency-churn`; empty for those that lead.
    pub charts: Vec<String>,
    /// Every chart that there is data for.
    pub all: bool,
    /// In a slide's size too, not in the README's alone.
    pub slides: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { charts: Vec::new(), all: true, slides: true }
    }
}

/// Draws every chart that `runs` have data for into `out`, which is made if it is
/// not there. File names are `<chart>-<workload>-<machine>[-<part>][-slide].svg|png`.
pub fn draw(runs: &[Loaded], out: &Path) -> Result<Vec<Drawn>, PlotError> {
    draw_only(runs, out, &Wanted::default())
}

/// Draws the charts that are wanted, as [`draw`] does.
pub fn draw_only(runs: &[Loaded], out: &Path, wanted: &Wanted) -> Result<Vec<Drawn>, PlotError> {
    each_once(runs)?;
    let sets = data::sets(runs);
    if sets.is_empty() {
        return Err(PlotError::Empty);
    }
    std::fs::create_dir_all(out).map_err(|e| PlotError::write(out, e))?;
    let mut jobs = chart::jobs(&sets);
    let charts = &wanted.charts;
    // The name of a file may say the part too, as an operation.
    let may_be = |stem: &str, c: &String| stem.starts_with(c) || c.starts_with(stem);
    jobs.retain(|job| charts.is_empty() || charts.iter().any(|c| may_be(&job.stem, c)));
    if charts.is_empty() && !wanted.all {
        jobs = chart::leading(jobs);
    }
    let sizes = if wanted.slides { &[style::README, style::SLIDE][..] } else { &[style::README] };
    let drawn: Result<Vec<_>, PlotError> =
        jobs.into_par_iter().map(|job| in_sizes(out, job, sizes, charts)).collect();
    let (drawn, entries): (Vec<Drawn>, Vec<Vec<Entry>>) = drawn?.into_iter().unzip();
    commands::write(out, entries.concat())?;
    Ok(drawn)
}

/// Refuses runs that have one id: a copy, or two machines that began a run in one second.
fn each_once(runs: &[Loaded]) -> Result<(), PlotError> {
    for (at, second) in runs.iter().enumerate() {
        if let Some(first) = runs[..at].iter().find(|first| first.run.id == second.run.id) {
            let (first, id) = (first.dir.clone(), second.run.id.clone());
            return Err(PlotError::Twice { id, first, second: second.dir.clone() });
        }
    }
    Ok(())
}

/// Draws shares on several machines side by side into `out`, as `<stem>.svg|png`.
pub fn matrix(matrix: &Matrix, out: &Path, stem: &str) -> Result<Drawn, PlotError> {
    std::fs::create_dir_all(out).map_err(|e| PlotError::write(out, e))?;
    let draw = |size| {
        let scene = chart::matrix::draw(matrix, size);
        Ok(vec![chart::Picture { part: String::new(), scene }])
    };
    let (stem, sets) = (data::slug(stem), Vec::new());
    let job = chart::Job { chart: "matrix", stem, sets, draw: Box::new(draw) };
    let (drawn, entries) = in_sizes(out, job, &[style::README], &[])?;
    commands::write(out, entries)?;
    Ok(drawn)
}

/// The files of a chart, and what is said of each picture beside them.
fn in_sizes(
    out: &Path,
    job: chart::Job,
    sizes: &[style::Size],
    wanted: &[String],
) -> Result<(Drawn, Vec<Entry>), PlotError> {
    let runs = data::runs_of(&job.sets);
    let (mut files, mut entries) = (Vec::new(), Vec::new());
    for size in sizes {
        let pictures = match (job.draw)(*size) {
            Ok(pictures) => pictures,
            Err(reason) => return Ok((Drawn::Absent { chart: job.stem, reason }, entries)),
        };
        for picture in pictures {
            let part = match &*picture.part {
                "" => String::new(),
                part => format!("-{}", data::slug(part)),
            };
            let name = format!("{}{part}", job.stem);
            if wanted.is_empty() || wanted.iter().any(|c| name.starts_with(c)) {
                files.extend(picture.scene.write(out, &format!("{name}{}", size.suffix))?);
                if size.suffix.is_empty() {
                    entries.push(Entry::new(&name, &picture.scene).of_runs(&runs));
                }
            }
        }
    }
    Ok((Drawn::Files { chart: job.stem, files }, entries))
}

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
