//! BASE against NEW: which points both have, how far their medians are apart, and
//! whether that is significant. Differences between the two *environments* come
//! first: a figure from another governor answers another question.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::aggregate::{self, Group, groups_by};
use crate::hit::hit;
use crate::metric::Metric;
use crate::schema::{Cell, CellKey};
use crate::stats::{self, ALPHA, Estimate, Interval, MIN_SAMPLES};
use crate::store::Loaded;
use crate::{Error, Result};

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
    /// bootstrap interval of the ratio; none where a side has a single trial
    pub interval: Option<Interval>,
    /// Mann-Whitney, two-sided
    pub p: Option<f64>,
    /// the same, corrected for all the rows (Holm)
    pub p_holm: Option<f64>,
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
    /// points of one side only, and tests that could not have shown anything
    pub notes: Vec<String>,
}

impl Comparison {
    /// Rows significantly worse by more than `threshold` (0.05 = 5 %).
    pub fn regressions(&self, threshold: f64) -> Vec<&Row> {
        self.rows
            .iter()
            .filter(|row| row.outcome == Outcome::Worse && row.change().abs() > threshold)
            .collect()
    }
}

/// Environment fields that move figures by themselves.
const LOUD: [&str; 10] = [
    "commit",
    "cpu_model",
    "cpus_online",
    "dirty",
    "governor",
    "kernel",
    "smt",
    "thp",
    "turbo",
    "virtualized",
];
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
    let mut only_base = Vec::new();
    for group in &base_groups {
        let Some(other) = new_groups.remove(&group.key) else {
            only_base.push(group.key.clone());
            continue;
        };
        match row(group, &other, metric) {
            Some(row) => rows.push(row),
            None => notes.push(format!("{}: {metric} cannot be compared", name(&group.key))),
        }
    }
    if rows.is_empty() {
        return Err(nothing_in_common(base, new, metric));
    }
    judge(&mut rows, metric, &mut notes);
    notes.extend(alone(&base.name, &only_base));
    notes.extend(alone(&new.name, &new_groups.into_keys().collect::<Vec<_>>()));
    Ok(Comparison {
        base: base.name.clone(),
        new: new.name.clone(),
        metric: metric.clone(),
        unit: metric.unit(),
        differences: differences(base, new, &apart),
        rows,
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

/// The figures of one point; the outcome waits for the correction over all rows.
/// `None` where a side has no value or no positive median.
fn row(base: &Group, new: &Group, metric: &Metric) -> Option<Row> {
    let (base_samples, new_samples) = (base.samples(metric), new.samples(metric));
    let (base_estimate, new_estimate) = (Estimate::of(&base_samples)?, Estimate::of(&new_samples)?);
    if base_estimate.min <= 0.0 {
        return None;
    }
    Some(Row {
        key: base.key.clone(),
        ratio: new_estimate.median / base_estimate.median,
        interval: (base_estimate.n.min(new_estimate.n) > 1)
            .then(|| stats::bootstrap_ratio(&base_samples, &new_samples)),
        p: stats::mann_whitney(&base_samples, &new_samples),
        p_holm: None,
        outcome: Outcome::TooFew,
        hit: [base, new].map(|side| side.cells.iter().filter(|c| hit(c).is_some()).count()),
        base: base_estimate,
        new: new_estimate,
    })
}

/// Correct for many comparisons, then call each row's outcome. A difference must
/// pass the rank test *and* keep its interval clear of no change: so no row prints
/// a significant delta beside an interval that holds 0 %.
fn judge(rows: &mut [Row], metric: &Metric, notes: &mut Vec<String>) {
    let tested: Vec<f64> = rows.iter().filter_map(|row| row.p).collect();
    let mut corrected = stats::holm(&tested).into_iter();
    for row in rows.iter_mut() {
        row.p_holm = row.p.and_then(|_| corrected.next());
        let Some(p) = row.p_holm else { continue };
        let better = (row.ratio > 1.0) == metric.higher_is_better();
        row.outcome =
            match p < ALPHA && row.interval.is_some_and(|interval| !interval.contains(1.0)) {
                false => Outcome::NotSignificant,
                true if better => Outcome::Better,
                true => Outcome::Worse,
            };
    }
    if tested.len() < rows.len() {
        notes.push(format!(
            "n too small: {} of {} points have fewer than {MIN_SAMPLES} trials a side",
            rows.len() - tested.len(),
            rows.len()
        ));
    }
    let powerless = rows.iter().filter(|row| {
        row.p.is_some() && stats::smallest_p(row.base.n, row.new.n) * tested.len() as f64 >= ALPHA
    });
    let powerless = powerless.count();
    if powerless > 0 {
        notes.push(format!(
            "n too small: with so few trials {powerless} of {} points could not have shown any \
             difference after the correction for {} comparisons",
            rows.len(),
            tested.len()
        ));
    }
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
    Error::Compare(format!(
        "nothing to compare: no point with a {metric} on both sides; {}; {}",
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
    let (a, b) = (json(&base.loaded.run.environment), json(&new.loaded.run.environment));
    for (field, value) in a.iter().filter(|(field, _)| !QUIET.contains(&field.as_str())) {
        differ(field, value.clone(), b[field].clone(), LOUD.contains(&field.as_str()));
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

    /// The rank test alone would call this: 51 of 64 pairs are greater, p < 0.05.
    #[test]
    fn a_delta_whose_interval_holds_zero_is_not_significant() {
        let base = [90.0, 91.0, 92.0, 93.0, 94.0, 100.1, 100.2, 100.3];
        let new = [93.5, 95.5, 99.0, 99.9, 100.4, 100.5, 100.6, 120.0];
        let row = &against(&base, &new).rows[0];
        assert!(row.p_holm.unwrap() < ALPHA && row.interval.unwrap().contains(1.0), "{row:?}");
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

    #[test]
    fn many_comparisons_need_more_trials_and_say_so() {
        let mut run = loaded(&[]);
        for threads in 1..=40 {
            let mut of = loaded(&[("a", &SLOW), ("b", &FAST)]).cells;
            of.iter_mut().for_each(|cell| cell.key.threads = threads);
            run.cells.extend(of);
        }
        let (base, new) = (Side::of_variant(&run, "a"), Side::of_variant(&run, "b"));
        let comparison = compare(&base.unwrap(), &new.unwrap(), &Metric::Throughput).unwrap();
        assert!(comparison.rows.iter().all(|row| row.outcome == Outcome::NotSignificant));
        assert!(
            comparison.notes[0].contains("40 of 40 points could not"),
            "{:?}",
            comparison.notes
        );
    }
}
