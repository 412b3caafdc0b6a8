//! The figures of every table, computed once from the cells: the formats only print them. The first
//! side is the base, and every other side is compared with it.

mod choice;
mod detail;
mod means;
mod narrow;
mod summary;
mod words;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::compare::{Comparison, Side, compare};
use crate::disturbed::{Undisturbed, undisturbed};
use crate::load::{Load, loads};
use crate::metric::Metric;
use crate::overall::{Overall, overall};
use crate::plural;
use crate::schema::{Cell, CellKey, Site, Step};
use crate::scheme;
use crate::stats::Estimate;
use crate::store::Loaded;
use crate::traffic::Traffic;
use crate::{Error, Result};
use choice::Pair;
pub use choice::one_pair;
pub use means::{Mean, MeanRow};
pub use narrow::Narrow;

/// A report of one side, or of a base and what is compared with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// one line that says what was compared
    pub subject: String,
    /// true where all figures come from a model, not from hardware
    pub predicted: bool,
    /// machine, kernel and conditions, one line each
    pub setting: [String; 3],
    /// every group's throughput and what goes with it
    pub summary: Vec<Summary>,
    /// each side against the base; or each against the one before it
    pub comparisons: Vec<Comparison>,
    /// of each comparison all points in one figure
    pub overall: Vec<Overall>,
    /// variants of the run, or runs, that are left out
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// some sides have no point in common, and are not compared
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// of each comparison with trials that were hit from outside, the points without them
    pub undisturbed: Vec<Undisturbed>,
    /// open-loop points, every load
    pub loads: Vec<Load>,
    /// of runs with `--until`, every point
    pub narrow: Vec<Narrow>,
    /// each side is compared with the one before it, and the last with the first
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stepwise: bool,
    /// lock contention and latency at the points with the most threads
    pub details: Vec<Detail>,
    /// of the point with the most threads where threads wait for locks the longest, every side
    #[serde(skip)]
    pub hot: Vec<Detail>,
    /// of each comparison the means of every point
    #[serde(skip)]
    pub means: Vec<Vec<MeanRow>>,
    /// disturbances of the run, and other reasons to doubt it
    pub notes: Vec<String>,
    /// commands that repeat the figures
    pub repeat: Vec<Repeat>,
}

/// How to get the figures again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Repeat {
    /// of this program; `+` where it had uncommitted changes
    pub commit: String,
    /// command line of the run
    pub command: String,
}

/// One group in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// name of the side
    pub side: String,
    /// the point; `block` is 0
    pub key: CellKey,
    /// operations per second
    pub throughput: Estimate,
    /// the most frequent kind of operation of the workload on all sides, with its latencies here
    pub kind: Option<String>,
    /// median over the trials, ns
    pub p50: Option<f64>,
    /// median over the trials, ns
    pub p99: Option<f64>,
    /// median over the trials, 1/threads..1
    pub jain: f64,
    /// median over the trials of contended / acquisitions
    pub contended: Option<f64>,
}

/// One point of one side in detail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detail {
    /// name of the side
    pub side: String,
    /// the point; `block` is 0
    pub key: CellKey,
    /// what the point is called; the same for all sides that are held together
    pub point: String,
    /// number of trials
    pub trials: usize,
    /// measured time of all trials, ns
    pub duration_ns: u64,
    /// operations of all trials
    pub operations: u64,
    /// [`Metric::SlowPath`], median
    pub slow_path: Option<f64>,
    /// Swap tables born and freed per second, and the most at once, if any: medians of the trials.
    pub tables: Option<[f64; 3]>,
    /// sums over the trials, longest total wait first
    pub sites: Vec<Site>,
    /// cache lines, where the machine can tell
    pub traffic: Option<Traffic>,
    /// counters, by name
    pub counters: Vec<CounterRow>,
    /// latencies, by kind of operation
    pub latency: Vec<LatencyRow>,
    /// steps of swapoff in their order: mean of a trial's swapoffs, median of the
    /// trials, ns
    pub swapoff: Vec<Step>,
}

/// One counter over the trials of a point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CounterRow {
    /// perf's name; `:u` where the kernel is left out
    pub name: String,
    /// events per operation; none where a trial lacks it
    pub per_op: Option<f64>,
    /// the largest factor a trial's raw count was multiplied by; 1 = always counted
    pub scaled: f64,
    /// why a trial lacks it
    pub reason: Option<String>,
}

/// Percentiles of one operation kind: medians over the trials, ns. None where a
/// trial timed too few to have one beyond it: p99 takes 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyRow {
    /// operation kind; `.response` where measured from the intended start
    pub kind: String,
    /// operations timed in all trials
    pub n: u64,
    /// median
    pub p50: f64,
    /// 90th percentile
    pub p90: Option<f64>,
    /// 99th percentile
    pub p99: Option<f64>,
    /// 99.9th percentile
    pub p999: Option<f64>,
    /// longest of the timed ones of all trials
    pub max: f64,
    /// one in how many was timed: with more than 1 the longest of all may be longer
    pub sampled_every: u32,
}

/// The sides of a report: the runs; or of a single run with several variants,
/// the variants, `base` (or the oldest scheme of the kernel's history) in front.
///
/// # Errors
/// A single run has no cells, or none of variant `base`.
pub fn sides<'a>(runs: &'a [Loaded], base: Option<&str>) -> Result<Vec<Side<'a>>> {
    let [run] = runs else { return Ok(told_apart(runs.iter().map(Side::of_run).collect())) };
    let mut variants = variants_in_order(run);
    if variants.is_empty() {
        return Err(Error::Compare(format!("{}: the run has no cells", run.dir.display())));
    }
    let there: Vec<&str> = variants.iter().map(String::as_str).collect();
    if let Some(base) = base.or_else(|| scheme::oldest(&there)) {
        let first = Side::of_variant(run, base)?;
        variants.retain(|variant| *variant != first.name);
        variants.insert(0, first.name);
    }
    variants.iter().map(|variant| Side::of_variant(run, variant)).collect()
}

/// Two sides: two runs, or one variant of each. The variants may differ, and the runs may be one.
///
/// # Errors
/// A run has no cell of its variant.
pub fn pair<'a>(base: &'a Loaded, new: &'a Loaded, variants: &[String]) -> Result<Vec<Side<'a>>> {
    let side = |run: &'a Loaded, variant: Option<&String>| match variant {
        Some(variant) => Side::of_variant(run, variant),
        None => Ok(Side::of_run(run)),
    };
    let (first, last) = (side(base, variants.first())?, side(new, variants.last())?);
    Ok(told_apart(vec![first, last]))
}

/// Where names are not enough to tell the sides apart, the runs' ids do; where an id is not unique
/// either (a copy of a run), the directories; of measured and predicted sides, the predicted say so.
fn told_apart(mut sides: Vec<Side<'_>>) -> Vec<Side<'_>> {
    let alike = |sides: &[Side]| {
        let names: BTreeSet<&str> = sides.iter().map(|side| side.name.as_str()).collect();
        names.len() < sides.len()
    };
    if alike(&sides) {
        sides.iter_mut().for_each(|side| side.name = side.loaded.run.id.clone());
    }
    if alike(&sides) {
        let dir = |side: &Side| side.loaded.dir.display().to_string();
        sides.iter_mut().for_each(|side| side.name = dir(side));
    }
    if !all_predicted(&sides) {
        let predicted = sides.iter_mut().filter(|side| side.loaded.run.machine.predicted);
        predicted.for_each(|side| side.name += " (predicted)");
    }
    sides
}

fn all_predicted(sides: &[Side]) -> bool {
    sides.iter().all(|side| side.loaded.run.machine.predicted)
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
    ///
    /// # Errors
    /// There is no side, or the sides have no point in common and no figure of the metric either.
    pub fn new(sides: &[Side], metric: &Metric) -> Result<Report> {
        let base = sides.first().ok_or_else(|| Error::Compare("no run to report".into()))?;
        let pairs: Vec<_> = sides[1..].iter().map(|new| (base, new)).collect();
        Self::of_pairs(sides, &pairs, metric, false)
    }

    /// The same, each variant against what the kernel had before it.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn by_history(sides: &[Side], metric: &Metric) -> Result<Report> {
        Self::of_pairs(sides, &choice::by_history(sides), metric, false)
    }

    /// The same step by step: the change of each side from the one before it.
    ///
    /// # Errors
    /// There are fewer than three sides, or none has a figure of the metric.
    pub fn stepwise(sides: &[Side], metric: &Metric) -> Result<Report> {
        let [first, _, .., last] = sides else {
            return Err(Error::Compare("steps need three variants of one run, or more".into()));
        };
        let mut pairs: Vec<_> = sides.windows(2).map(|pair| (&pair[0], &pair[1])).collect();
        pairs.push((first, last));
        Self::of_pairs(sides, &pairs, metric, true)
    }

    fn of_pairs(sides: &[Side], pairs: &[Pair], metric: &Metric, stepwise: bool) -> Result<Report> {
        let mut notes = words::notes(sides);
        let (mut comparisons, mut again, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        let (mut overalls, mut means) = (Vec::new(), Vec::new());
        for &(base, new) in pairs {
            match compare(base, new, metric) {
                Ok(all) => {
                    notes.extend(all.notes.iter().cloned());
                    let rest = undisturbed(base, new, &all);
                    notes.extend(rest.as_ref().and_then(words::fragile));
                    again.extend(rest);
                    overalls.push(overall(base, new, &all));
                    means.push(means::means((base, new), &all));
                    comparisons.push(all);
                }
                // A run that was stopped early, or of which cells were refused.
                Err(why) => alone.push(why.to_string()),
            }
        }
        let figures = || all_cells(sides).any(|cell| metric.of(cell).is_some());
        if let Some(why) = alone.first().filter(|_| !figures()) {
            return Err(Error::Compare(why.clone()));
        }
        let stepwise = stepwise && alone.is_empty();
        let partial = !alone.is_empty();
        notes.extend(alone);
        let all = detail::details(sides);
        let hot = detail::hottest(&all);
        let (details, cut) = detail::first_points(all);
        if cut > 0 {
            let cut = plural(cut, "more point");
            notes.push(format!("left out: lock contention and latency of {cut}"));
        }
        Ok(Report {
            subject: words::subject(sides, pairs, metric),
            predicted: all_predicted(sides),
            setting: words::setting(sides),
            summary: summary::summaries(sides),
            comparisons,
            overall: overalls,
            others: Vec::new(),
            partial,
            undisturbed: again,
            loads: sides.iter().flat_map(|side| loads(side, summary::busiest_kind)).collect(),
            narrow: sides.iter().flat_map(narrow::narrow).collect(),
            stepwise,
            details,
            hot,
            means,
            notes: unique(notes),
            repeat: unique(sides.iter().map(repeat).collect()),
        })
    }

    /// Whether the tables of comparisons leave a figure out.
    pub(crate) fn needs_summary(&self) -> bool {
        let alone = |c: &Comparison| !c.missing.is_empty() || !c.added.is_empty();
        self.partial || self.comparisons.is_empty() || self.comparisons.iter().any(alone)
    }

    /// The beginning of a caption: empty where figures were measured.
    pub(crate) fn prefix(&self) -> &'static str {
        if self.predicted { "predicted " } else { "" }
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
    let commit = words::short(&run.environment.commit).chars().take(12).collect::<String>();
    Repeat { commit: commit + if dirty { "+" } else { "" }, command: run.command.clone() }
}
