//! A report's summary: each group in a row, with the shape of its histogram.

use std::collections::BTreeMap;

use super::Summary;
use crate::Result;
use crate::aggregate::{Group, groups};
use crate::compare::Side;
use crate::metric::{Metric, Percentile};
use crate::store::Loaded;

/// Buckets of a histogram's shape.
const SHAPE_WIDTH: usize = 12;

pub(super) fn summaries(side: &Side) -> Vec<Summary> {
    let middle = |group: &Group, metric: Metric| group.estimate(&metric).map(|e| e.median);
    let summary = |group: Group| {
        let kind = busiest_kind(&group);
        let latency = |at| {
            let kind = kind.clone()?;
            middle(&group, Metric::Latency { kind, at })
        };
        Some(Summary {
            side: side.name.clone(),
            throughput: group.estimate(&Metric::Throughput)?,
            p50: latency(Percentile::P50),
            p99: latency(Percentile::P99),
            jain: middle(&group, Metric::Jain)?,
            contended: middle(&group, Metric::Contended),
            shape: Vec::new(),
            key: group.key,
            kind,
        })
    };
    groups(side.cells.iter().copied()).into_iter().filter_map(summary).collect()
}

pub(super) fn busiest_kind(group: &Group) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, kind) in group.cells.iter().flat_map(|cell| &cell.kinds) {
        *counts.entry(name).or_default() += kind.count;
    }
    // Of equal counts the first by name.
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
}

pub(super) fn shape(loaded: &Loaded, group: &Group, kind: &str) -> Result<Vec<u64>> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for cell in &group.cells {
        for interval in loaded.histograms(cell)?.iter().filter(|i| i.tag == kind) {
            let recorded = interval.histogram.iter_recorded();
            counts.extend(recorded.map(|at| (at.value_iterated_to(), at.count_at_value())));
        }
    }
    let (Some(low), Some(high)) =
        (counts.iter().map(|c| c.0).min(), counts.iter().map(|c| c.0).max())
    else {
        return Ok(Vec::new());
    };
    let place = |value: u64| ((value + 1) as f64).ln();
    let width = (place(high) - place(low)).max(f64::MIN_POSITIVE);
    let mut shape = vec![0; SHAPE_WIDTH];
    for (value, count) in counts {
        let at = (place(value) - place(low)) / width * SHAPE_WIDTH as f64;
        shape[(at as usize).min(SHAPE_WIDTH - 1)] += count;
    }
    Ok(shape)
}
