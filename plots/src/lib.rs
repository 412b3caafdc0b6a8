//! Charts and the report page, from results alone. This crate knows nothing of
//! locks: variants, workloads and sites are strings that a run happens to hold.

mod axis;
mod chart;
mod data;
mod frame;
mod page;
mod scene;
mod style;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use results::store::Loaded;

use data::Set;
pub use page::{Race, page};

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("cannot write {}: {reason}", path.display())]
    Write { path: PathBuf, reason: String },
    #[error("cannot draw: {0}")]
    Draw(String),
    #[error("nothing to draw: the runs hold no usable cell")]
    Empty,
}

impl PlotError {
    fn write(path: &Path, reason: impl std::fmt::Display) -> PlotError {
        PlotError::Write { path: path.to_path_buf(), reason: reason.to_string() }
    }

    fn draw(reason: impl std::fmt::Display) -> PlotError {
        PlotError::Draw(reason.to_string())
    }
}

/// What became of one chart.
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
    /// What file names begin with, as `throughput` or `latency-churn`; empty for all.
    pub charts: Vec<String>,
    /// In a slide's size too, not in the README's alone.
    pub slides: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { charts: Vec::new(), slides: true }
    }
}

/// Draws every chart that `runs` have data for into `out`, which is made if it is
/// not there. File names are `<chart>-<workload>-<machine>[-<part>][-slide].svg|png`.
pub fn draw(runs: &[Loaded], out: &Path) -> Result<Vec<Drawn>, PlotError> {
    draw_only(runs, out, &Wanted::default())
}

/// Draws the charts that are wanted, as [`draw`] does.
pub fn draw_only(runs: &[Loaded], out: &Path, wanted: &Wanted) -> Result<Vec<Drawn>, PlotError> {
    let sets = data::sets(runs);
    if sets.is_empty() {
        return Err(PlotError::Empty);
    }
    std::fs::create_dir_all(out).map_err(|e| PlotError::write(out, e))?;
    let mut jobs: Vec<(String, Job)> = Vec::new();
    // The loads of a sweep are one picture, not each a dozen.
    let all: Vec<&Set> = sets.iter().collect();
    for set in sets.iter().filter(|set| !chart::load::in_sweep(set, &all)) {
        for (name, chart) in chart::OF_SET {
            jobs.push((format!("{name}-{}", set.id), Box::new(move |size| chart(set, size))));
        }
    }
    for (workload, sets) in by_workload(&sets) {
        for (name, chart) in chart::OF_WORKLOAD {
            let sets = sets.clone();
            let stem = format!("{name}-{}", data::slug(workload));
            jobs.push((stem, Box::new(move |size| chart(&sets, size))));
        }
    }
    let charts = &wanted.charts;
    jobs.retain(|(stem, _)| charts.is_empty() || charts.iter().any(|c| stem.starts_with(c)));
    let sizes = if wanted.slides { &[style::README, style::SLIDE][..] } else { &[style::README] };
    jobs.into_par_iter().map(|(stem, chart)| in_sizes(out, stem, sizes, chart)).collect()
}

/// A chart with its data, waiting for a size.
type Job<'a> = Box<dyn Fn(style::Size) -> chart::Outcome + Send + Sync + 'a>;

fn by_workload<'s, 'a>(sets: &'s [Set<'a>]) -> Vec<(&'s str, Vec<&'s Set<'a>>)> {
    let mut found: Vec<(&str, Vec<&Set>)> = Vec::new();
    for set in sets {
        match found.iter_mut().find(|(w, _)| *w == set.place.workload) {
            Some((_, members)) => members.push(set),
            None => found.push((&set.place.workload, vec![set])),
        }
    }
    found
}

fn in_sizes(
    out: &Path,
    stem: String,
    sizes: &[style::Size],
    chart: Job,
) -> Result<Drawn, PlotError> {
    let mut files = Vec::new();
    for size in sizes {
        let pictures = match chart(*size) {
            Ok(pictures) => pictures,
            Err(reason) => return Ok(Drawn::Absent { chart: stem, reason }),
        };
        for picture in pictures {
            let part = match &*picture.part {
                "" => String::new(),
                part => format!("-{}", data::slug(part)),
            };
            files.extend(picture.scene.write(out, &format!("{stem}{part}{}", size.suffix))?);
        }
    }
    Ok(Drawn::Files { chart: stem, files })
}

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
