//! A report's details: lock sites, latency and swapoff's steps of the points with
//! the most threads.

use std::collections::{BTreeMap, BTreeSet};

use super::{CounterRow, Detail, LatencyRow, all_cells, unique};
use crate::aggregate::{self, Group, groups, varying};
use crate::compare::Side;
use crate::metric::{Metric, Percentile};
use crate::schema::{Again, CellKey, Counter, Sharing, Site, Step};
use crate::stats::median;
use crate::traffic;

/// Points shown in detail, at most: a mail is read, not archived.
const MAX_DETAILED_POINTS: usize = 3;

/// The points with the most threads, before beside after.
pub(super) fn details(sides: &[Side]) -> Vec<Detail> {
    let mut differ = varying(all_cells(sides).map(|cell| &cell.key));
    if sides.iter().all(|side| side.cells.iter().all(|cell| cell.key.variant == side.name)) {
        differ.remove("variant");
    }
    differ.extend(["workload".to_owned(), "threads".to_owned()]);
    let mut found = Vec::new();
    for side in sides {
        // Sorted by key, so the last of those that differ in threads has the most.
        let mut most: BTreeMap<CellKey, Group> = BTreeMap::new();
        for group in groups(side.cells.iter().copied()) {
            most.insert(CellKey { threads: 0, ..group.key.clone() }, group);
        }
        for group in most.values() {
            let point = aggregate::label(&group.key, |axis| differ.contains(axis));
            found.push(detail(&side.name, point, group));
        }
    }
    // Stable: the sides of one point keep their order.
    found.sort_by(|a, b| a.point.cmp(&b.point));
    found
}

/// The details of the point where threads wait for locks the longest: an operation of all sides.
pub(super) fn hottest(details: &[Detail]) -> Vec<Detail> {
    let wait = |detail: &Detail| {
        let waits = detail.sites.iter().map(|site| site.wait_total_ns).sum::<u64>();
        waits as f64 / detail.operations.max(1) as f64
    };
    let points = details.chunk_by(|a, b| a.point == b.point);
    // Of equal waits the first: a run without any has a first point too.
    let points = points.map(|sides| (sides.iter().map(wait).sum::<f64>(), sides));
    let most = points.reduce(|a, b| if b.0 > a.0 { b } else { a });
    most.map_or(Vec::new(), |(_, sides)| sides.to_vec())
}

/// Those of the first few points, and how many points were cut.
pub(super) fn first_points(mut found: Vec<Detail>) -> (Vec<Detail>, usize) {
    let points = unique(found.iter().map(|detail| detail.point.clone()).collect());
    let cut = points.len().saturating_sub(MAX_DETAILED_POINTS);
    let shown = &points[..points.len() - cut];
    found.retain(|detail| shown.contains(&detail.point));
    (found, cut)
}

fn detail(side: &str, point: String, group: &Group) -> Detail {
    let kinds: BTreeSet<&str> =
        group.cells.iter().flat_map(|cell| cell.kinds.keys().map(String::as_str)).collect();
    let latency = kinds.iter().flat_map(|kind| {
        let service = |at| Metric::Latency { kind: (*kind).to_owned(), at };
        let response = |at| Metric::Response { kind: (*kind).to_owned(), at };
        [
            latency_row(group, (*kind).to_owned(), service),
            latency_row(group, format!("{kind}.response"), response),
        ]
    });
    Detail {
        side: side.to_owned(),
        point,
        trials: group.cells.len(),
        duration_ns: group.cells.iter().map(|cell| cell.duration_ns).sum(),
        operations: group.cells.iter().flat_map(|cell| &cell.per_thread).sum(),
        tables: tables(group),
        slow_path: group.estimate(&Metric::SlowPath).map(|estimate| estimate.median),
        sites: sum_sites(group),
        traffic: traffic::of(group.cells.iter().copied()),
        counters: counters(group),
        latency: latency.flatten().collect(),
        swapoff: swapoff_steps(group),
        key: group.key.clone(),
    }
}

fn tables(group: &Group) -> Option<[f64; 3]> {
    let median = |metric| Some(group.estimate(&metric)?.median);
    Some([median(Metric::TablesBorn)?, median(Metric::TablesFreed)?, median(Metric::TablesMost)?])
}

fn swapoff_steps(group: &Group) -> Vec<Step> {
    let steps = group.cells.iter().flat_map(|cell| &cell.swapoff).flat_map(|off| &off.steps);
    unique(steps.map(|step| step.name.clone()).collect::<Vec<_>>())
        .into_iter()
        .filter_map(|name| {
            let ns = group.estimate(&Metric::SwapoffStep(name.clone()))?.median as u64;
            Some(Step { name, ns })
        })
        .collect()
}

fn latency_row(
    group: &Group,
    kind: String,
    metric: impl Fn(Percentile) -> Metric,
) -> Option<LatencyRow> {
    let samples = |at| Some(group.samples(&metric(at))).filter(|samples| !samples.is_empty());
    let middle = |at| samples(at).map(|samples| median(&samples));
    let name = kind.trim_end_matches(".response");
    let timed = group.cells.iter().filter_map(|cell| cell.kinds.get(name));
    let response = name.len() < kind.len();
    let timed = timed
        .filter_map(|kind| if response { kind.response.as_ref() } else { kind.latency.as_ref() });
    let n: u64 = timed.map(|latency| latency.n).sum();
    let periods = group.cells.iter().filter_map(|cell| cell.kinds.get(name));
    let sampled_every = periods.map(|kind| kind.sampled_every).max().unwrap_or(1);
    let enough = |at, needed: u64| {
        if n >= needed * group.cells.len() as u64 { middle(at) } else { None }
    };
    Some(LatencyRow {
        n,
        p50: middle(Percentile::P50)?,
        p90: enough(Percentile::P90, 10),
        p99: enough(Percentile::P99, 100),
        p999: enough(Percentile::P999, 1_000),
        max: samples(Percentile::Max)?.into_iter().fold(0.0, f64::max),
        sampled_every,
        kind,
    })
}

/// Two trials' sharing: sums, the longest, and means weighted by how much was timed.
fn add(mut a: Sharing, b: &Sharing) -> Sharing {
    let mean = |x: f64, n: u64, y: f64, m: u64| (x * n as f64 + y * m as f64) / (n + m) as f64;
    a.per_thread.iter_mut().zip(&b.per_thread).for_each(|(a, b)| *a += b);
    a.looked += b.looked;
    a.queue_total += b.queue_total;
    a.queue_max = a.queue_max.max(b.queue_max);
    for (distance, n) in &b.handover {
        *a.handover.entry(distance.clone()).or_default() += n;
    }
    if a.waited_for.is_empty() {
        a.waited_for = b.waited_for.clone();
    } else {
        let cells = a.waited_for.iter_mut().flatten().zip(b.waited_for.iter().flatten());
        cells.for_each(|(a, b)| *a += b);
    }
    let timed = |again: &Option<Again>| again.as_ref().map_or(0, |again| again.n);
    let (n, m) = (timed(&a.again), timed(&b.again));
    a.lwss = match (a.lwss, b.lwss) {
        (Some(x), Some(y)) => Some(mean(x, n, y, m)),
        (x, y) => x.or(y),
    };
    a.again = match (a.again, b.again.clone()) {
        (Some(x), Some(y)) => Some(Again {
            n: n + m,
            p50: mean(x.p50 as f64, n, y.p50 as f64, m) as u64,
            p99: mean(x.p99 as f64, n, y.p99 as f64, m) as u64,
            max: x.max.max(y.max),
        }),
        (x, y) => x.or(y),
    };
    a
}

/// Each counter per operation: all trials' events over all their operations; or why not.
fn counters(group: &Group) -> Vec<CounterRow> {
    let names: BTreeSet<&String> = group.cells.iter().flat_map(|c| c.counters.keys()).collect();
    let row = |name: &String| {
        let (mut events, mut ops, mut scaled, mut reason) = (0.0, 0, 1.0f64, None);
        for cell in &group.cells {
            match cell.counters.get(name) {
                Some(Counter::Value { value, scaled: factor }) => {
                    events += *value as f64;
                    ops += cell.per_thread.iter().sum::<u64>();
                    scaled = scaled.max(*factor);
                }
                Some(Counter::Unsupported { unsupported }) => reason = Some(unsupported.clone()),
                None => reason = Some("not counted in every trial".into()),
            }
        }
        let per_op = (reason.is_none() && ops > 0).then(|| events / ops as f64);
        CounterRow { name: name.clone(), per_op, scaled, reason }
    };
    names.into_iter().map(row).collect()
}

/// Sites summed over the trials, as one `perf lock contention` over all of them.
fn sum_sites(group: &Group) -> Vec<Site> {
    let mut sums: BTreeMap<(&str, &str, &str), Site> = BTreeMap::new();
    for site in group.cells.iter().flat_map(|cell| &cell.sites) {
        let name = (site.lock.as_str(), site.kind.as_str(), site.caller.as_str());
        sums.entry(name)
            .and_modify(|sum| {
                sum.acquisitions = sum.acquisitions.zip(site.acquisitions).map(|(a, b)| a + b);
                sum.contended += site.contended;
                sum.wait_total_ns += site.wait_total_ns;
                sum.wait_max_ns = sum.wait_max_ns.max(site.wait_max_ns);
                sum.hold_sampled += site.hold_sampled;
                sum.hold_total_ns += site.hold_total_ns;
                sum.hold_max_ns = sum.hold_max_ns.max(site.hold_max_ns);
                sum.sharing = sum.sharing.take().zip(site.sharing.as_ref()).map(|(a, b)| add(a, b));
            })
            .or_insert_with(|| site.clone());
    }
    let mut sites: Vec<Site> = sums.into_values().collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.wait_total_ns, site.contended)));
    sites
}
