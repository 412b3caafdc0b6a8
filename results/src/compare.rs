//! BASE against NEW: which points both have, how far their medians are apart, and
//! whether that is significant. Differences between the two *environments* come
//! first: a figure from another governor answers another question. The verdict of every
//! table, page, mail and gate is the [`Outcome`] that is found here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::aggregate::{self, Group, groups_by};
use crate::family::{self, Blocks, Design, Point};
use crate::hit::hit;
use crate::metric::Metric;
use crate::schema::{Cell, CellKey};
use crate::stats::{self, ALPHA, Estimate, Interval, MIN_SAMPLES};
use crate::store::Loaded;
use crate::{Error, Result, plural};

/// One of the two that are compared.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// what the tables call it
    pub name: String,
    /// where it comes from
    pub loaded: &'a Loaded,
    /// its trials
    pub cells: Vec<&'a Cell>,
}

impl<'a> Side<'a> {
    /// A whole run, by its label.
    pub fn of_run(loaded: &'a Loaded) -> Side<'a> {
        Side { name: loaded.run.label.clone(), loaded, cells: loaded.cells.iter().collect() }
    }

    /// One variant of a run.
    ///
    /// # Errors
    /// The run has no cell of it.
    pub fn of_variant(loaded: &'a Loaded, variant: &str) -> Result<Side<'a>> {
        let chosen = loaded.cells.iter().filter(|cell| cell.key.variant == variant);
        let cells: Vec<&Cell> = chosen.collect();
        if cells.is_empty() {
            let has = values(loaded.cells.iter(), |key| &key.variant);
            return Err(Error::Compare(format!(
                "{}: no cell of variant {variant:?}; it has {}",
                loaded.dir.display(),
                list(&has)
            )));
        }
        Ok(Side { name: variant.to_owned(), loaded, cells })
    }
}

/// The verdict on one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// significantly better
    Better,
    /// significantly worse
    Worse,
    /// no difference that these samples can show: printed as `~`
    NotSignificant,
    /// fewer than [`MIN_SAMPLES`] samples on a side
    TooFew,
}

impl Outcome {
    /// How CSV and JSON write it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::NotSignificant => "not-significant",
            Outcome::TooFew => "too-few",
        }
    }

    /// The mark beside a delta: nothing where it is significant.
    pub fn mark(self) -> &'static str {
        match self {
            Outcome::Better | Outcome::Worse => "",
            Outcome::NotSignificant => "~",
            Outcome::TooFew => "n<6",
        }
    }
}

/// One point that both sides have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// the point, without the axes that tell the sides apart
    pub key: CellKey,
    /// samples of the base
    pub base: Estimate,
    /// samples of the side that is compared with it
    pub new: Estimate,
    /// median of new over median of base
    pub ratio: f64,
    /// 95 % bootstrap interval of the ratio; none where a side has fewer than [`MIN_SAMPLES`] trials
    pub interval: Option<Interval>,
    /// of this row alone, exact and two-sided: Wilcoxon's signed ranks by block where the comparison
    /// is paired, else Mann-Whitney
    pub p: Option<f64>,
    /// corrected for all the rows ([`family::corrected`])
    pub p_family: Option<f64>,
    /// verdict, after the correction
    pub outcome: Outcome,
    /// trials of base and of new that something from outside has hit
    pub hit: [usize; 2],
}

impl Row {
    /// new against base, as a share: 0.05 is 5 % more.
    pub fn change(&self) -> f64 {
        self.ratio - 1.0
    }

    /// From the farthest apart to the nearest that a trial of each side lies: what fewer than
    /// [`MIN_SAMPLES`] trials have in place of an interval.
    pub fn range(&self) -> Interval {
        Interval { lo: self.new.min / self.base.max, hi: self.new.max / self.base.min }
    }
}

/// Something that is not the same on the two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// what differs, as `governor`
    pub what: String,
    /// value of the base
    pub base: String,
    /// value of the other side
    pub new: String,
    /// it can move the figures by itself
    pub loud: bool,
}

/// BASE against NEW in one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// name of the base
    pub base: String,
    /// name of the side that is compared with it
    pub new: String,
    /// quantity that is compared
    pub metric: Metric,
    /// unit of the medians
    pub unit: &'static str,
    /// differences between machines and environments, the loud ones first
    pub differences: Vec<Difference>,
    /// points that both sides have
    pub rows: Vec<Row>,
    /// whether trials were held against each other block by block: both sides are of one run, where
    /// they took turns
    pub paired: bool,
    /// points of which the base has a figure, and new has none
    pub missing: Vec<CellKey>,
    /// points that only new has
    pub added: Vec<CellKey>,
    /// points of one side only, and tests that could not have shown anything
    pub notes: Vec<String>,
}

/// What `run` says of a gate over its points, before it measures them. The number of trials does
/// not depend on the number of points (see [`family`]).
pub fn gate_needs(points: usize, trials: usize) -> String {
    let short = match trials < MIN_SAMPLES {
        true => format!("; this run has {trials}, and such a gate would end with 2"),
        false => String::new(),
    };
    let points = plural(points, "point");
    format!("a gate over {points} (compare --fail-on) needs {MIN_SAMPLES} trials of each{short}")
}

impl Comparison {
    /// The number of points with this verdict.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }

    /// The points whose trials leave room for a loss of more than `threshold` that they do not show.
    /// More trials, or quieter ones, make the room smaller.
    pub fn could_be_worse(&self, threshold: f64) -> Option<String> {
        let lost = |interval: Interval| match self.metric.higher_is_better() {
            true => 1.0 - interval.lo,
            false => interval.hi - 1.0,
        };
        let room = |row: &&Row| {
            row.outcome == Outcome::NotSignificant
                && row.interval.is_some_and(|i| lost(i) > threshold)
        };
        let open: Vec<&Row> = self.rows.iter().filter(room).collect();
        let first = open.first()?;
        let (all, percent) = (plural(self.rows.len(), "point"), 100.0 * threshold);
        Some(format!(
            "{} of {all} could be worse by more than {percent}% and not show it with these trials \
             (such as {})",
            open.len(),
            name(&first.key)
        ))
    }

    /// Why a gate on this comparison would say nothing: points that new lacks, and points of which
    /// no trials could have shown a difference. `None` where each point could have failed.
    pub fn could_not_fail(&self) -> Option<String> {
        let few: Vec<&Row> = self.rows.iter().filter(|row| row.p_family.is_none()).collect();
        let all = self.rows.len() + self.missing.len();
        let at = |key: &CellKey, count: usize| match count {
            1 => name(key),
            _ => format!("such as {}", name(key)),
        };
        let mut reasons = Vec::new();
        if let Some(first) = few.first() {
            let (few, all) = (few.len(), plural(all, "point"));
            let what = if self.paired { "blocks that both sides have" } else { "trials per side" };
            let first = at(&first.key, few);
            reasons.push(format!("{few} of {all} need {MIN_SAMPLES} {what} ({first})"));
        }
        if let Some(first) = self.missing.first() {
            let missing = self.missing.len();
            let (all, where_) = (plural(all, "point"), at(first, missing));
            reasons.push(format!("{missing} of {all} have no figure in {} ({where_})", self.new));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Rows significantly worse by more than `threshold` (0.05 = 5 %).
    pub fn regressions(&self, threshold: f64) -> Vec<&Row> {
        self.rows
            .iter()
            .filter(|row| row.outcome == Outcome::Worse && row.change().abs() > threshold)
            .collect()
    }
}

/// Environment fields that move figures by themselves.
const LOUD: [&str; 11] = [
    "commit",
    "cpu_model",
    "cpus_online",
    "dirty",
    "governor",
    "identity",
    "kernel",
    "smt",
    "thp",
    "turbo",
    "virtualized",
];
/// Options of a run that move figures by themselves, and are in no key.
const OPTIONS: [&str; 3] = ["seconds", "sample", "counters"];
/// Fields that say nothing about two runs being alike.
const QUIET: [&str; 3] = ["clock_ns", "notes", "tsc"];

/// Compare the points that both sides have. Axes on which each side has one value
/// (the variant, the machine, ...) are what is compared, not what is matched.
///
/// # Errors
/// The sides have no point with the metric in common.
pub fn compare(base: &Side, new: &Side, metric: &Metric) -> Result<Comparison> {
    let apart = apart(base, new);
    let point = |key: &CellKey| without(key, &apart);
    let base_groups = groups_by(base.cells.iter().copied(), point);
    let mut new_groups: BTreeMap<CellKey, Group> = groups_by(new.cells.iter().copied(), point)
        .into_iter()
        .map(|group| (group.key.clone(), group))
        .collect();
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let mut points = Vec::new();
    let (mut missing, mut only_base) = (Vec::new(), Vec::new());
    for group in &base_groups {
        let Some(other) = new_groups.remove(&group.key) else {
            only_base.push(group.key.clone());
            continue;
        };
        match row(group, &other, metric) {
            Some(row) => {
                rows.push(row);
                points.push(Point { base: blocks(group, metric), new: blocks(&other, metric) });
            }
            // A point of which neither side has the metric is no point of this comparison.
            None if group.samples(metric).is_empty() && other.samples(metric).is_empty() => {}
            None => {
                notes.push(format!("{}: {metric} cannot be compared", name(&group.key)));
                missing.push(group.key.clone());
            }
        }
    }
    if rows.is_empty() {
        return Err(nothing_in_common(base, new, metric));
    }
    let paired =
        in_turns(base, new) && points.iter().any(|p| family::shared(p).len() >= MIN_SAMPLES);
    judge(&mut rows, &points, paired, metric);
    notes.extend(too_few(&rows));
    notes.extend(alone(&base.name, &only_base));
    missing.extend(only_base);
    let added: Vec<CellKey> = new_groups.into_keys().collect();
    notes.extend(alone(&new.name, &added));
    notes.extend(two_runs(base, new).map(str::to_owned));
    Ok(Comparison {
        base: base.name.clone(),
        new: new.name.clone(),
        metric: metric.clone(),
        unit: metric.unit(),
        differences: differences(base, new, &apart),
        rows,
        paired,
        missing,
        added,
        notes,
    })
}

/// The key's axes that may tell the sides apart.
type Axis = (&'static str, fn(&mut CellKey) -> &mut String);
const AXES: [Axis; 4] = [
    ("machine", |key| &mut key.machine),
    ("variant", |key| &mut key.variant),
    ("lock", |key| &mut key.lock),
    ("pin", |key| &mut key.pin),
];

/// The axes on which each side has one value, and not the same.
fn apart(base: &Side, new: &Side) -> Vec<&'static Axis> {
    let single = |side: &Side, axis: &Axis| {
        let mut values: BTreeSet<String> =
            side.cells.iter().map(|cell| axis.1(&mut cell.key.clone()).clone()).collect();
        if values.len() == 1 { values.pop_first() } else { None }
    };
    AXES.iter()
        .filter(|axis| match (single(base, axis), single(new, axis)) {
            (Some(base), Some(new)) => base != new,
            _ => false,
        })
        .collect()
}

fn without(key: &CellKey, apart: &[&Axis]) -> CellKey {
    let mut key = CellKey { block: 0, ..key.clone() };
    for axis in apart {
        axis.1(&mut key).clear();
    }
    key
}

/// The remark under every comparison of two runs.
fn two_runs(base: &Side, new: &Side) -> Option<&'static str> {
    match (one_run(base, new), in_turns(base, new)) {
        (true, _) => None,
        (false, true) => Some(TWO_BUILDS),
        (false, false) => Some(TWO_RUNS),
    }
}

const TWO_BUILDS: &str = "The sides are two builds whose trials took turns, each trial in a process \
     of its own: what one process has by chance and another has not is in the intervals.";
const TWO_RUNS: &str = "The sides are two runs. Their intervals and verdicts hold for the trials of \
     these two runs; how far a third run of the same would lie is no part of them, and can be more.";

fn one_run(base: &Side, new: &Side) -> bool {
    std::ptr::eq(base.loaded, new.loaded) || base.loaded.dir == new.loaded.dir
}

/// Whether the trials of the sides took turns: both are of one run, or of two builds' runs.
fn in_turns(base: &Side, new: &Side) -> bool {
    let [base_run, new_run] = [base, new].map(|side| side.loaded.run.in_turns.as_ref());
    one_run(base, new) || (base_run.is_some() && base_run == new_run)
}

/// A group's samples by block.
pub fn blocks(group: &Group, metric: &Metric) -> Blocks {
    let sample = |cell: &&Cell| Some((cell.key.block, metric.of(cell)?));
    group.cells.iter().filter_map(sample).collect()
}

/// The trials of each point of `comparison`, which is that of these sides.
pub(crate) fn trials(base: &Side, new: &Side, comparison: &Comparison) -> Vec<Point> {
    let apart = apart(base, new);
    let of = |side: &Side| -> BTreeMap<CellKey, Blocks> {
        let groups = groups_by(side.cells.iter().copied(), |key| without(key, &apart));
        groups.into_iter().map(|g| (g.key.clone(), blocks(&g, &comparison.metric))).collect()
    };
    let (base, new) = (of(base), of(new));
    let of_row = |row: &Row| Point { base: base[&row.key].clone(), new: new[&row.key].clone() };
    comparison.rows.iter().map(of_row).collect()
}

/// The figures of one point; its verdict waits for the correction over all rows.
/// `None` where a side has no value or no positive median.
fn row(base: &Group, new: &Group, metric: &Metric) -> Option<Row> {
    let estimate = |side: &Group| Estimate::of(&side.samples(metric));
    let (base_estimate, new_estimate) = (estimate(base)?, estimate(new)?);
    if base_estimate.min <= 0.0 {
        return None;
    }
    Some(Row {
        key: base.key.clone(),
        ratio: new_estimate.median / base_estimate.median,
        interval: None,
        p: None,
        p_family: None,
        outcome: Outcome::TooFew,
        hit: [base, new].map(|side| side.cells.iter().filter(|c| hit(c).is_some()).count()),
        base: base_estimate,
        new: new_estimate,
    })
}

/// Test all rows together, then call each row's outcome. A difference must pass the test *and* keep
/// its interval clear of no change: so no row prints a significant delta beside an interval that
/// holds 0 %.
fn judge(rows: &mut [Row], points: &[Point], paired: bool, metric: &Metric) {
    let enough = |point: &Point| match paired {
        true => family::shared(point).len() >= MIN_SAMPLES,
        false => point.base.len().min(point.new.len()) >= MIN_SAMPLES,
    };
    let (mut tested, family): (Vec<&mut Row>, Vec<Point>) = rows
        .iter_mut()
        .zip(points)
        .filter(|(_, point)| enough(point))
        .map(|(r, p)| (r, p.clone()))
        .unzip();
    let design = if paired { Design::Paired } else { Design::Unpaired };
    let corrected = family::corrected(&family, design);
    for ((row, point), p_family) in tested.iter_mut().zip(&family).zip(corrected) {
        (row.p, row.interval) = alone_and_interval(point, paired);
        row.p_family = Some(p_family);
        let differs = p_family < ALPHA && row.interval.is_some_and(|i| !i.contains(1.0));
        let better = (row.ratio > 1.0) == metric.higher_is_better();
        row.outcome = match differs {
            false => Outcome::NotSignificant,
            true if better => Outcome::Better,
            true => Outcome::Worse,
        };
    }
}

/// The p-value of one point alone, and the interval of its ratio.
fn alone_and_interval(point: &Point, paired: bool) -> (Option<f64>, Option<Interval>) {
    let blocks = family::shared(point);
    let kept = |side: &Blocks| -> Vec<f64> {
        let of_pairs = side.iter().filter(|(block, _)| !paired || blocks.contains(block));
        of_pairs.map(|(_, sample)| *sample).collect()
    };
    let (base, new) = (kept(&point.base), kept(&point.new));
    if !paired {
        return (stats::mann_whitney(&base, &new), Some(stats::bootstrap_ratio(&base, &new)));
    }
    let differences: Vec<f64> =
        base.iter().zip(&new).map(|(base, new)| (new / base).ln()).collect();
    (stats::signed_rank(&differences), Some(stats::bootstrap_ratio_paired(&base, &new)))
}

fn too_few(rows: &[Row]) -> Option<String> {
    let few = rows.iter().filter(|row| row.p_family.is_none()).count();
    let all = rows.len();
    (few > 0).then(|| {
        format!("n too small: {few} of {all} points have fewer than {MIN_SAMPLES} trials a side")
    })
}

fn nothing_in_common(base: &Side, new: &Side, metric: &Metric) -> Error {
    let describe = |side: &Side| {
        let keys: Vec<CellKey> = groups_by(side.cells.iter().copied(), |key| key.clone())
            .into_iter()
            .map(|g| g.key)
            .collect();
        let first = keys.first().map(name).unwrap_or_else(|| "no cells".into());
        format!("{} has {} cells, such as: {first}", side.name, keys.len())
    };
    let counts = |side: &Side| side.cells.iter().any(|cell| aggregate::counts_sites(&cell.key));
    let sites = match counts(base) == counts(new) {
        true => "",
        false => {
            "; one side's lock sites were not counted (--no-sites), which natively makes it faster"
        }
    };
    Error::Compare(format!(
        "nothing to compare: no point with a {metric} on both sides; {}; {}{sites}",
        describe(base),
        describe(new)
    ))
}

fn alone(side: &str, keys: &[CellKey]) -> Option<String> {
    let first = keys.first()?;
    Some(format!("in {side} only: {} of the points, such as {}", keys.len(), name(first)))
}

fn name(key: &CellKey) -> String {
    aggregate::label(key, |_| true)
}

/// The differences between the sides: the axes on which they differ, the machine, the environment.
fn differences(base: &Side, new: &Side, apart: &[&Axis]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |what: &str, base: String, new: String, loud: bool| {
        if base != new {
            found.push(Difference { what: what.into(), base, new, loud });
        }
    };
    let (a, b) = (json(&base.loaded.run.machine), json(&new.loaded.run.machine));
    for (field, value) in &a {
        differ(&format!("machine {field}"), value.clone(), b[field].clone(), true);
    }
    for axis in apart.iter().filter(|axis| axis.0 != "machine") {
        let value = |side: &Side| axis.1(&mut side.cells[0].key.clone()).clone();
        // Two variants are called by their names: nothing to tell.
        if (value(base), value(new)) != (base.name.clone(), new.name.clone()) {
            differ(axis.0, value(base), value(new), false);
        }
    }
    let option = |side: &Side, name: &str| match side.loaded.run.plan.get(name) {
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        None => "the default".into(),
    };
    for name in OPTIONS {
        differ(name, option(base, name), option(new, name), true);
    }
    let (a, b) = (json(&base.loaded.run.environment), json(&new.loaded.run.environment));
    for (field, value) in a.iter().filter(|(field, _)| !QUIET.contains(&field.as_str())) {
        // Two builds that took turns are of two commits: that is what is compared.
        let asked = in_turns(base, new) && ["commit", "dirty"].contains(&field.as_str());
        let loud = LOUD.contains(&field.as_str()) && !asked;
        differ(field, value.clone(), b[field].clone(), loud);
    }
    found.sort_by_key(|difference| !difference.loud);
    found
}

/// A flat struct's fields as text, so that a field added is a field compared.
fn json(value: &impl Serialize) -> BTreeMap<String, String> {
    let value = serde_json::to_value(value).unwrap_or_default();
    let text = |value: &serde_json::Value| match (value.as_str(), value.get("unknown")) {
        (Some(text), _) => text.to_owned(),
        (_, Some(_)) => "unknown".to_owned(),
        _ => value.to_string(),
    };
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(field, value)| (field.clone(), text(value))).collect()
}

fn values<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    field: impl Fn(&'a CellKey) -> &'a String,
) -> BTreeSet<&'a str> {
    cells.map(|cell| field(&cell.key).as_str()).collect()
}

fn list(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::schema::Reading;
    use std::path::PathBuf;

    /// A run whose cells of each variant have the throughputs given, at 1 thread.
    fn loaded(of: &[(&str, &[f64])]) -> Loaded {
        let mut cells = Vec::new();
        for (variant, trials) in of {
            for (block, ops_per_s) in trials.iter().enumerate() {
                let mut cell = example::cell();
                cell.key.variant = (*variant).into();
                cell.key.block = block as u32;
                cell.ops_per_s = *ops_per_s;
                cells.push(cell);
            }
        }
        Loaded { dir: PathBuf::from("r"), run: example::run(), cells, notes: Vec::new() }
    }

    const SLOW: [f64; 6] = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0];
    const FAST: [f64; 6] = [200.0, 201.0, 202.0, 203.0, 204.0, 205.0];

    fn against(base: &[f64], new: &[f64]) -> Comparison {
        let run = loaded(&[("a", base), ("b", new)]);
        let (base, new) = (Side::of_variant(&run, "a"), Side::of_variant(&run, "b"));
        compare(&base.unwrap(), &new.unwrap(), &Metric::Throughput).unwrap()
    }

    #[test]
    fn two_variants_of_one_run() {
        let comparison = against(&SLOW, &FAST);
        assert_eq!(comparison.rows.len(), 1);
        assert_eq!(comparison.rows[0].ratio, 202.5 / 102.5);
        assert_eq!(comparison.rows[0].outcome, Outcome::Better);
        assert!(comparison.regressions(0.05).is_empty());
        assert_eq!(comparison.differences, [], "the sides' names say it");
        let worse = against(&FAST, &SLOW);
        assert_eq!(worse.regressions(0.05).len(), 1);
        assert!(worse.regressions(0.6).is_empty(), "-49 % is within 60 %");
    }

    #[test]
    fn the_direction_is_the_metrics() {
        let mut run = loaded(&[("a", &SLOW), ("b", &FAST)]);
        for cell in &mut run.cells {
            cell.kinds.get_mut("alloc").unwrap().latency.as_mut().unwrap().p99 =
                cell.ops_per_s as u64;
        }
        let (base, new) = (Side::of_variant(&run, "a"), Side::of_variant(&run, "b"));
        let metric: Metric = "p99:alloc".parse().unwrap();
        let comparison = compare(&base.unwrap(), &new.unwrap(), &metric).unwrap();
        assert_eq!(comparison.rows[0].outcome, Outcome::Worse, "a longer tail is worse");
    }

    #[test]
    fn few_trials_are_not_significant_however_far_apart() {
        let comparison = against(&SLOW[..5], &FAST);
        assert_eq!(comparison.rows[0].outcome, Outcome::TooFew);
        assert!(comparison.notes[0].contains("n too small"), "{:?}", comparison.notes);
    }

    /// The test alone would call this: the mean has moved. The medians have not.
    #[test]
    fn a_delta_whose_interval_holds_zero_is_not_significant() {
        let base = [100.0, 100.1, 99.0, 100.2, 99.1, 100.0, 100.1, 99.2];
        let new = [100.0, 100.1, 70.0, 100.2, 71.0, 100.0, 100.1, 72.0];
        let row = &against(&base, &new).rows[0];
        assert!(row.interval.unwrap().contains(1.0), "{row:?}");
        assert_eq!(row.outcome, Outcome::NotSignificant);
    }

    #[test]
    fn one_trial_has_no_interval() {
        let row = &against(&SLOW[..1], &FAST[..1]).rows[0];
        assert_eq!((row.interval, row.outcome), (None, Outcome::TooFew));
    }

    #[test]
    fn a_run_equals_itself() {
        let run = loaded(&[("a", &SLOW), ("b", &FAST)]);
        let side = Side::of_run(&run);
        let comparison = compare(&side, &side, &Metric::Throughput).unwrap();
        assert_eq!(comparison.rows.len(), 2);
        assert!(comparison.rows.iter().all(|row| row.outcome == Outcome::NotSignificant));
        assert!(comparison.differences.is_empty());
    }

    #[test]
    fn other_environments_are_named_first_and_loudly() {
        let base = loaded(&[("a", &SLOW)]);
        let mut new = loaded(&[("a", &SLOW)]);
        new.run.environment.rustc = Reading::Known("rustc 1.0.0".into());
        new.cells.iter_mut().for_each(|cell| cell.key.lock = "mcs".into());
        new.run.environment.governor = Reading::Known("powersave".into());
        new.run.machine.name = "6.14".into();
        let comparison =
            compare(&Side::of_run(&base), &Side::of_run(&new), &Metric::Throughput).unwrap();
        let what: Vec<(&str, bool)> =
            comparison.differences.iter().map(|d| (d.what.as_str(), d.loud)).collect();
        assert_eq!(
            what,
            [("machine name", true), ("governor", true), ("lock", false), ("rustc", false)]
        );
        assert_eq!(comparison.differences[1].base, "unknown");
    }

    #[test]
    fn points_of_one_side_are_told() {
        let run = loaded(&[("a", &SLOW), ("b", &FAST)]);
        let half = Side::of_variant(&run, "a").unwrap();
        let comparison = compare(&Side::of_run(&run), &half, &Metric::Throughput).unwrap();
        assert_eq!(comparison.rows.len(), 1);
        assert!(
            comparison.notes[0].starts_with("in example only: 1 of the points"),
            "{:?}",
            comparison.notes
        );
    }

    #[test]
    fn nothing_in_common_and_no_such_variant_are_errors() {
        let run = loaded(&[("a", &SLOW)]);
        let error = Side::of_variant(&run, "z").unwrap_err().to_string();
        assert!(error.contains("no cell of variant \"z\"; it has a"), "{error}");
        let mut other = loaded(&[("a", &SLOW)]);
        other.cells.iter_mut().for_each(|cell| cell.key.threads = 64);
        let error =
            compare(&Side::of_run(&run), &Side::of_run(&other), &Metric::Throughput).unwrap_err();
        assert!(error.to_string().contains("nothing to compare"), "{error}");
    }

    /// What counting costs is no difference between two runs.
    #[test]
    fn counted_and_not_counted_are_not_compared() {
        let (counted, mut not) = (loaded(&[("a", &SLOW)]), loaded(&[("a", &SLOW)]));
        for cell in &mut not.cells {
            cell.key.params.insert(aggregate::SITES.into(), aggregate::NOT_COUNTED.into());
            cell.sites.clear();
        }
        let sides = [&counted, &not].map(Side::of_run);
        let compared = |a: usize, b: usize| compare(&sides[a], &sides[b], &Metric::Throughput);
        for error in [compared(0, 1), compared(1, 0)].map(|result| result.unwrap_err().to_string())
        {
            assert!(error.contains("--no-sites"), "{error}");
        }
        assert_eq!(compared(1, 1).unwrap().rows.len(), 1, "with its like it is compared");
    }

    /// One slow point among 40, of six trials: no number of points takes the power away.
    #[test]
    fn one_slow_point_of_many_is_found() {
        let mut run = loaded(&[]);
        for threads in 1..=40 {
            let new = if threads == 7 { &FAST } else { &SLOW };
            let mut of = loaded(&[("a", &SLOW[..6]), ("b", &new[..6])]).cells;
            of.iter_mut().for_each(|cell| cell.key.threads = threads);
            run.cells.extend(of);
        }
        let (base, new) = (Side::of_variant(&run, "a"), Side::of_variant(&run, "b"));
        let comparison = compare(&base.unwrap(), &new.unwrap(), &Metric::Throughput).unwrap();
        let better: Vec<u32> = comparison
            .rows
            .iter()
            .filter(|row| row.outcome == Outcome::Better)
            .map(|row| row.key.threads)
            .collect();
        assert_eq!(better, [7]);
        assert_eq!(comparison.could_not_fail(), None);
    }

    #[test]
    fn a_gate_names_what_could_not_have_failed() {
        let run = loaded(&[("a", &SLOW), ("b", &FAST)]);
        let mut less = run.clone();
        less.dir = "less".into();
        less.cells.retain(|cell| cell.key.variant == "a" && cell.key.block < 5);
        let comparison =
            compare(&Side::of_run(&run), &Side::of_run(&less), &Metric::Throughput).unwrap();
        let why = comparison.could_not_fail().unwrap();
        assert!(
            why.contains("1 of 2 points need 6 trials per side")
                && why.contains("1 of 2 points have no figure"),
            "{why}"
        );
        assert!(!why.contains('\n'), "{why}");
        // A latency that new did not time is missing as well.
        let mut blind = run.clone();
        blind.dir = "blind".into();
        for cell in blind.cells.iter_mut().filter(|cell| cell.key.variant == "b") {
            cell.kinds.clear();
        }
        let metric: Metric = "p99:alloc".parse().unwrap();
        let comparison = compare(&Side::of_run(&run), &Side::of_run(&blind), &metric).unwrap();
        assert_eq!(comparison.missing.len(), 1);
    }

    /// What was not seen is no proof that nothing is there, and the gate says where.
    #[test]
    fn a_gate_names_what_it_could_not_have_seen() {
        let noisy = [100.0, 130.0, 95.0, 120.0, 90.0, 110.0, 125.0, 105.0];
        let swapped = [105.0, 125.0, 110.0, 90.0, 120.0, 95.0, 130.0, 100.0];
        let comparison = against(&noisy, &swapped);
        assert_eq!(comparison.rows[0].outcome, Outcome::NotSignificant);
        let said = comparison.could_be_worse(0.05).unwrap();
        assert!(said.starts_with("1 of 1 point could be worse by more than 5% and"), "{said}");
        assert_eq!(comparison.could_be_worse(0.5), None);
        assert_eq!(against(&FAST, &FAST).could_be_worse(0.05), None);
    }

    #[test]
    fn a_run_says_how_many_trials_a_gate_needs() {
        assert_eq!(
            gate_needs(24, 6),
            "a gate over 24 points (compare --fail-on) needs 6 trials of each"
        );
        assert!(gate_needs(1, 3).ends_with("; this run has 3, and such a gate would end with 2"));
    }

    /// Trials of one run took turns: they are held against each other by block. Two runs' are not.
    #[test]
    fn blocks_pair_within_one_run_only() {
        let run = loaded(&[("a", &SLOW), ("b", &FAST)]);
        let side = |name| Side::of_variant(&run, name).unwrap();
        assert!(compare(&side("a"), &side("b"), &Metric::Throughput).unwrap().paired);
        let mut other = run.clone();
        other.dir = "other".into();
        let new = Side::of_variant(&other, "b").unwrap();
        let comparison = compare(&side("a"), &new, &Metric::Throughput).unwrap();
        assert!(!comparison.paired && comparison.notes.iter().any(|note| note == TWO_RUNS));
    }

    /// Nothing finished in new: the worst there is, and no infinity.
    #[test]
    fn a_standstill_is_worse() {
        let row = &against(&SLOW, &[0.0; 8]).rows[0];
        assert_eq!((row.outcome, row.ratio), (Outcome::Worse, 0.0));
        assert!(row.interval.is_some_and(|i| i.hi < 1e-6 && i.lo >= 0.0), "{row:?}");
    }
}
