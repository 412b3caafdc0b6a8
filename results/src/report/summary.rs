//! A report's summary: each group in a row.

use std::collections::BTreeMap;

use super::{Summary, all_cells};
use crate::aggregate::{Group, groups};
use crate::compare::Side;
use crate::metric::{Metric, Percentile};
use crate::schema::Cell;

pub(super) fn summaries(sides: &[Side]) -> Vec<Summary> {
    // One kind for all rows of a workload: latencies of two kinds do not compare.
    let mut of_workload: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in all_cells(sides) {
        of_workload.entry(&cell.key.workload).or_default().push(cell);
    }
    let kinds = of_workload.into_iter().map(|(workload, cells)| (workload, most_frequent(&cells)));
    let kinds: BTreeMap<&str, Option<String>> = kinds.collect();
    sides.iter().flat_map(|side| of_side(side, &kinds)).collect()
}

fn of_side(side: &Side, kinds: &BTreeMap<&str, Option<String>>) -> Vec<Summary> {
    let middle = |group: &Group, metric: Metric| group.estimate(&metric).map(|e| e.median);
    let summary = |group: Group| {
        let kind = kinds[group.key.workload.as_str()].clone();
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
            key: group.key,
            kind,
        })
    };
    groups(side.cells.iter().copied()).into_iter().filter_map(summary).collect()
}

pub(super) fn busiest_kind(group: &Group) -> Option<String> {
    most_frequent(&group.cells)
}

fn most_frequent(cells: &[&Cell]) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, kind) in cells.iter().flat_map(|cell| &cell.kinds) {
        *counts.entry(name).or_default() += kind.count;
    }
    // Of equal counts the first by name.
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
}
