//! What every table says, computed once from the cells: the formats only print it.
//! The first side is the base, every other side is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::aggregate::{self, Group, groups, varying};
use crate::compare::{Comparison, Side, compare};
use crate::metric::{Metric, Percentile};
use crate::schema::{Cell, CellKey, Reading, Site, Step};
use crate::stats::{Estimate, median};
use crate::store::Loaded;
use crate::{Error, Result};

/// Points shown in detail, at most: a mail is read, not archived.
const MAX_DETAILED_POINTS: usize = 3;
/// Buckets of a histogram's shape.
const SHAPE_WIDTH: usize = 12;

/// A report of one side, or of a base and what is compared with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// one line that says what was compared
    pub subject: String,
    /// machine, kernel, conditions: a line each
    pub setting: [String; 3],
    /// every group's throughput and what goes with it
    pub summary: Vec<Summary>,
    pub comparisons: Vec<Comparison>,
    /// lock contention and latency at the points with the most threads
    pub details: Vec<Detail>,
    /// what disturbed the run, and what a reader must know before he believes it
    pub notes: Vec<String>,
    /// commands that repeat the figures
    pub repeat: Vec<Repeat>,
}

/// How to get the figures again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Repeat {
    /// of this program; `+` where it had uncommitted changes
    pub commit: String,
    pub command: String,
}

/// One group in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub side: String,
    pub key: CellKey,
    /// operations per second
    pub throughput: Estimate,
    /// the most frequent operation kind, with its latencies
    pub kind: Option<String>,
    /// median over the trials, ns
    pub p50: Option<f64>,
    /// median over the trials, ns
    pub p99: Option<f64>,
    /// median over the trials, 1/threads..1
    pub jain: f64,
    /// median over the trials of contended / acquisitions
    pub contended: Option<f64>,
    /// the kind's histogram in buckets of equal ratio, shortest first
    pub shape: Vec<u64>,
}

/// One point of one side in detail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detail {
    pub side: String,
    pub key: CellKey,
    /// what the point is called; the same for all sides that are held together
    pub point: String,
    pub trials: usize,
    /// measured time of all trials, ns
    pub duration_ns: u64,
    /// sums over the trials, longest total wait first
    pub sites: Vec<Site>,
    pub latency: Vec<LatencyRow>,
    /// steps of swapoff in their order: mean of a trial's swapoffs, median of the
    /// trials, ns
    pub swapoff: Vec<Step>,
}

/// Percentiles of one operation kind: medians over the trials, ns. None where a
/// trial timed too few to have one beyond it: p99 takes 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyRow {
    /// operation kind; `.response` where measured from the intended start
    pub kind: String,
    /// operations timed in all trials
    pub n: u64,
    pub p50: f64,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    /// longest of all trials
    pub max: f64,
}

/// The sides of a report: the runs; or of a single run with several variants,
/// the variants, `base` (or the plan's first) in front.
pub fn sides<'a>(runs: &'a [Loaded], base: Option<&str>) -> Result<Vec<Side<'a>>> {
    let [run] = runs else { return Ok(told_apart(runs.iter().map(Side::of_run).collect())) };
    let mut variants = variants_in_order(run);
    if variants.is_empty() {
        return Err(Error::Compare(format!("{}: the run has no cells", run.dir.display())));
    }
    if let Some(base) = base {
        let first = Side::of_variant(run, base)?;
        variants.retain(|variant| variant != base);
        variants.insert(0, first.name);
    }
    variants.iter().map(|variant| Side::of_variant(run, variant)).collect()
}

/// Two sides: two runs; or a variant of each, the same or another, which may be two
/// variants of one run.
pub fn pair<'a>(base: &'a Loaded, new: &'a Loaded, variants: &[String]) -> Result<Vec<Side<'a>>> {
    let side = |run: &'a Loaded, variant: Option<&String>| match variant {
        Some(variant) => Side::of_variant(run, variant),
        None => Ok(Side::of_run(run)),
    };
    let (first, last) = (side(base, variants.first())?, side(new, variants.last())?);
    Ok(told_apart(vec![first, last]))
}

/// Where names are not enough to tell the sides apart, the runs' ids do.
fn told_apart(mut sides: Vec<Side<'_>>) -> Vec<Side<'_>> {
    let names: BTreeSet<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    if names.len() < sides.len() {
        sides.iter_mut().for_each(|side| side.name = side.loaded.run.id.clone());
    }
    sides
}

/// The variants as the plan lists them, then any others by name.
fn variants_in_order(run: &Loaded) -> Vec<String> {
    let mut present: BTreeSet<&str> =
        run.cells.iter().map(|cell| cell.key.variant.as_str()).collect();
    let planned = run.run.plan.get("variant").and_then(|list| list.as_array());
    let planned = planned.into_iter().flatten().filter_map(|name| name.as_str());
    let mut order: Vec<String> =
        planned.filter(|name| present.remove(name)).map(str::to_owned).collect();
    order.extend(present.into_iter().map(str::to_owned));
    order
}

impl Report {
    /// Compute a report. The first side is the base.
    pub fn new(sides: &[Side], metric: &Metric) -> Result<Report> {
        let base = sides.first().ok_or_else(|| Error::Compare("no run to report".into()))?;
        let comparisons: Vec<Comparison> =
            sides[1..].iter().map(|new| compare(base, new, metric)).collect::<Result<_>>()?;
        let mut notes = notes(sides);
        for comparison in &comparisons {
            notes.extend(comparison.notes.iter().cloned());
        }
        let (details, cut) = details(sides);
        if cut > 0 {
            notes.push(format!("lock contention and latency of {cut} more points are left out"));
        }
        Ok(Report {
            subject: subject(sides, metric),
            setting: setting(sides),
            summary: sides.iter().flat_map(summaries).collect(),
            comparisons,
            details,
            notes: unique(notes),
            repeat: unique(sides.iter().map(repeat).collect()),
        })
    }

    /// Fill in the shapes of the summary's histograms; reads the `.hlog` files.
    pub fn add_shapes(&mut self, sides: &[Side]) -> Result<()> {
        for side in sides {
            for group in groups(side.cells.iter().copied()) {
                let found = self
                    .summary
                    .iter_mut()
                    .find(|row| row.side == side.name && row.key == group.key);
                if let Some(row) = found
                    && let Some(kind) = &row.kind
                {
                    row.shape = shape(side.loaded, &group, kind)?;
                }
            }
        }
        Ok(())
    }
}

fn all_cells<'a>(sides: &'a [Side]) -> impl Iterator<Item = &'a Cell> {
    sides.iter().flat_map(|side| side.cells.iter().copied())
}

fn unique<T: Ord + Clone>(list: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

fn repeat(side: &Side) -> Repeat {
    let run = &side.loaded.run;
    let dirty = run.environment.dirty.known() == Some(&true);
    let commit = short(&run.environment.commit).chars().take(12).collect::<String>();
    Repeat { commit: commit + if dirty { "+" } else { "" }, command: run.command.clone() }
}

fn subject(sides: &[Side], metric: &Metric) -> String {
    let names: Vec<&str> = sides[1..].iter().map(|side| side.name.as_str()).collect();
    let who = match names.as_slice() {
        [] => sides[0].name.clone(),
        _ => format!("{} against {}", names.join(", "), sides[0].name),
    };
    let workloads: BTreeSet<&str> =
        all_cells(sides).map(|cell| cell.key.workload.as_str()).collect();
    let workloads: Vec<&str> = workloads.into_iter().collect();
    format!("{metric} of {}, {}: {who}", workloads.join(", "), threads(sides))
}

fn threads(sides: &[Side]) -> String {
    let counts: BTreeSet<u32> = all_cells(sides).map(|cell| cell.key.threads).collect();
    match (counts.first(), counts.last()) {
        (Some(1), Some(1)) => "1 thread".into(),
        (Some(low), Some(high)) if low == high => format!("{low} threads"),
        (Some(low), Some(high)) => format!("{low}..{high} threads"),
        _ => "no cells".into(),
    }
}

/// Three lines, what matters most first: a narrow format cuts their ends.
fn setting(sides: &[Side]) -> [String; 3] {
    let run = &sides[0].loaded.run;
    let env = &run.environment;
    let predicted = if run.machine.predicted { " PREDICTED" } else { "" };
    let model = short(&env.cpu_model);
    let model = ["(R)", "(TM)"].iter().fold(model, |model, mark| model.replace(mark, ""));
    [
        format!(
            "Machine: {}{predicted} on {model}, {} CPUs{}, {}",
            run.machine.name,
            short(&env.cpus_online),
            if env.smt.known() == Some(&true) { " with SMT" } else { "" },
            match env.virtualized.known().map(String::as_str) {
                Some("none") => "bare metal",
                Some(hypervisor) => hypervisor,
                None => "hypervisor unknown",
            }
        ),
        format!(
            "Kernel: {}, governor {}, turbo {}, THP {}",
            short(&env.kernel).split_whitespace().next().unwrap_or("unknown"),
            short(&env.governor),
            on_off(&env.turbo),
            short(&env.thp),
        ),
        conditions(sides),
    ]
}

fn conditions(sides: &[Side]) -> String {
    let differ = varying(all_cells(sides).map(|cell| &cell.key));
    let trials: BTreeSet<usize> = sides
        .iter()
        .flat_map(|side| groups(side.cells.iter().copied()))
        .map(|g| g.cells.len())
        .collect();
    let trials = match (trials.first(), trials.last()) {
        (Some(low), Some(high)) if low == high => format!("{low} trials"),
        (Some(low), Some(high)) => format!("{low}..{high} trials"),
        _ => "no trials".into(),
    };
    let durations: Vec<f64> = all_cells(sides).map(|cell| cell.duration_ns as f64).collect();
    let seconds = if durations.is_empty() { 0.0 } else { median(&durations) / 1e9 };
    let constant = all_cells(sides).next().map(|cell| {
        aggregate::label(&cell.key, |axis| {
            !differ.contains(axis) && !["machine", "variant", "threads"].contains(&axis)
        })
    });
    let seconds = (seconds * 1e3).round() / 1e3;
    format!("Conditions: {trials} of {seconds} s, {}", constant.unwrap_or_default())
}

fn short<T: std::fmt::Display>(reading: &Reading<T>) -> String {
    reading.known().map_or("unknown".into(), T::to_string)
}

fn on_off(reading: &Reading<bool>) -> &'static str {
    match reading.known() {
        Some(true) => "on",
        Some(false) => "off",
        None => "unknown",
    }
}

/// Disturbances and doubts, over all cells.
fn notes(sides: &[Side]) -> Vec<String> {
    let mut notes = vec![noise(sides)];
    for side in sides {
        notes.extend(side.loaded.notes.iter().cloned());
        if side.loaded.run.machine.predicted {
            notes.push(format!("{}: figures are predicted by a model, not measured", side.name));
        }
    }
    let apart = all_cells(sides).filter(|cell| cell.overlap < 0.95).count();
    if apart > 0 {
        notes.push(format!("in {apart} cells the threads ran together for under 95% of the time"));
    }
    notes
}

fn noise(sides: &[Side]) -> String {
    let steal: Option<Vec<f64>> = all_cells(sides).map(|cell| Metric::Steal.of(cell)).collect();
    let steal = match steal.filter(|values| !values.is_empty()) {
        Some(values) => {
            let worst = values.iter().copied().fold(0.0, f64::max);
            format!("steal {:.2}% (worst cell {:.2}%)", median(&values) * 100.0, worst * 100.0)
        }
        None => "steal unknown".into(),
    };
    let switches = all_cells(sides).map(|cell| cell.noise.involuntary_switches.known().copied());
    let switches = match switches.sum::<Option<u64>>() {
        Some(count) => format!("{count} involuntary switches"),
        None => "involuntary switches unknown".into(),
    };
    let gaps: Vec<u64> =
        all_cells(sides).filter_map(|cell| cell.noise.gap_max_ns.known().copied()).collect();
    let gap = match gaps.iter().max() {
        Some(&longest) => {
            format!("longest clock gap {}", crate::tables::text::duration(longest as f64))
        }
        None => "clock gaps unknown".into(),
    };
    format!("Noise: {steal}, {switches}, {gap}")
}

fn summaries(side: &Side) -> Vec<Summary> {
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

fn busiest_kind(group: &Group) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, kind) in group.cells.iter().flat_map(|cell| &cell.kinds) {
        *counts.entry(name).or_default() += kind.count;
    }
    // Of equals the first by name, whatever order the map gives.
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
}

fn shape(loaded: &Loaded, group: &Group, kind: &str) -> Result<Vec<u64>> {
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

/// The points with the most threads, before beside after; and how many were cut.
fn details(sides: &[Side]) -> (Vec<Detail>, usize) {
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
        sites: sum_sites(group),
        latency: latency.flatten().collect(),
        swapoff: swapoff_steps(group),
        key: group.key.clone(),
    }
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
        kind,
    })
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
            })
            .or_insert_with(|| site.clone());
    }
    let mut sites: Vec<Site> = sums.into_values().collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.wait_total_ns, site.contended)));
    sites
}
