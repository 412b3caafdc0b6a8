//! The points of runs that went on until their intervals were narrow. Their intervals hold although
//! they were looked at repeatedly; the bootstrap's do not.

use serde::Serialize;

use crate::aggregate::groups;
use crate::compare::Side;
use crate::metric::Metric;
use crate::schema::CellKey;
use crate::sequential;
use crate::stats::{Interval, median};

/// One point of a run with `--until`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Narrow {
    /// name of the side
    pub side: String,
    /// the point; `block` is 0
    pub key: CellKey,
    /// number of trials
    pub trials: usize,
    /// of throughput, ops/s
    pub median: f64,
    /// of the median, 95 % over all looks; none before the first
    pub interval: Option<Interval>,
    /// its wider side, from the median to its end, as a share of the median
    pub wider_side: Option<f64>,
    /// what was asked for, as the run wrote it: percent of the median on either side
    pub asked: String,
    /// whether the wider side is at most what was asked for
    pub reached: bool,
}

/// Every point of a side whose run has an `until`; no point of any other.
pub(super) fn narrow(side: &Side) -> Vec<Narrow> {
    let Some(asked) = side.loaded.run.plan.get("until").and_then(|until| until.as_str()) else {
        return Vec::new();
    };
    let width = asked.trim_end_matches('%').parse().map_or(0.0, |percent: f64| percent / 100.0);
    let row = |group: crate::aggregate::Group| {
        let samples = group.samples(&Metric::Throughput);
        let wider_side = sequential::wider_side(&samples);
        Narrow {
            side: side.name.clone(),
            trials: samples.len(),
            median: median(&samples),
            interval: sequential::interval(&samples),
            asked: asked.to_owned(),
            reached: wider_side.is_some_and(|side| side <= width),
            wider_side,
            key: group.key,
        }
    };
    groups(side.cells.iter().copied()).into_iter().map(row).collect()
}
