//! What [`results::compare`] says of each two variants of a run, for the words and the tiles of the
//! page. Guards that the page has no verdict of its own: a row here is a row of `swapscale compare
//! RUN --variant A,B`, and a verdict that does not stand without the trials hit from outside says so.

use std::collections::BTreeMap;

use rayon::prelude::*;
use results::aggregate::PER_CPU;
use results::compare::{self, Outcome, Row, Side};
use results::disturbed::undisturbed;
use results::metric::Metric;
use results::schema::{CellKey, MachineKind};
use results::scheme::{self, HISTORY};
use results::store::Loaded;
use serde_json::{Value, json};

use super::content::sig;
use crate::data::{Set, Track};

/// The metrics that the page has sentences of.
const METRICS: [(&str, Metric); 2] = [("x", Metric::Throughput), ("off", Metric::Swapoff)];

/// A point of a comparison, and whether its verdict stands without the trials that were hit.
struct Judged {
    row: Row,
    stands: bool,
}

/// Two variants of one run in one metric.
struct Pair<'a> {
    base: &'a str,
    new: &'a str,
    metric: &'static str,
    rows: Vec<Judged>,
}

/// The comparisons of each run.
pub struct Pairs<'a> {
    by_run: Vec<(&'a Loaded, Vec<Pair<'a>>)>,
}

impl<'a> Pairs<'a> {
    pub fn of(runs: &'a [Loaded]) -> Pairs<'a> {
        Pairs { by_run: runs.par_iter().map(|run| (run, of_run(run))).collect() }
    }

    /// The rows of `set`: base and new as places among its tracks, the metric, and for each number of
    /// threads `[threads, ratio, low end, high end, verdict, trials of base and new, hit trials of base
    /// and new, stands]`. A point of too few trials has no row: there is nothing to say of it.
    pub fn json(&self, set: &Set) -> Value {
        let of = |run: &Loaded| set.runs.iter().any(|known| std::ptr::eq(*known, run));
        let pairs = self.by_run.iter().filter(|(run, _)| of(run)).flat_map(|(_, pairs)| pairs);
        let mut all = Vec::new();
        for pair in pairs {
            for (base, new) in tracks(set, pair) {
                let rows = pair.rows.iter().filter(|judged| is_of(set, new, &judged.row.key));
                let rows: Vec<Value> = rows.map(row).collect();
                if !rows.is_empty() {
                    let place = |track| set.tracks.iter().position(|t| std::ptr::eq(t, track));
                    all.push(json!([place(base), place(new), pair.metric, rows]));
                }
            }
        }
        json!(all)
    }
}

/// Nothing that is emulated is compared: its times are not the hardware's.
fn of_run(run: &Loaded) -> Vec<Pair<'_>> {
    if run.run.machine.kind == MachineKind::Emulated {
        return Vec::new();
    }
    let mut variants: Vec<&str> = Vec::new();
    for cell in &run.cells {
        if !variants.contains(&&cell.key.variant[..]) {
            variants.push(&cell.key.variant);
        }
    }
    variants.sort_by_key(|name| rank(name));
    let pairs = (0..variants.len()).flat_map(|b| (b + 1..variants.len()).map(move |n| (b, n)));
    let pairs: Vec<_> = pairs.flat_map(|pair| METRICS.map(|metric| (pair, metric))).collect();
    let judged = |((base, new), (name, metric)): ((usize, usize), (&'static str, Metric))| {
        let (base, new) = (variants[base], variants[new]);
        Some(Pair { base, new, metric: name, rows: judged(run, base, new, &metric)? })
    };
    pairs.into_par_iter().filter_map(judged).collect()
}

/// Older schemes before newer ones, a variation behind its scheme, then what is of no release.
pub(super) fn rank(variant: &str) -> usize {
    match (scheme::place(variant), scheme::variation_of(variant)) {
        (Some(place), _) => 2 * place,
        (None, Some(of)) => 2 * scheme::place(of).unwrap_or(HISTORY.len()) + 1,
        (None, None) => 2 * HISTORY.len(),
    }
}

fn judged(run: &Loaded, base: &str, new: &str, metric: &Metric) -> Option<Vec<Judged>> {
    let side = |name| Side::of_variant(run, name).ok();
    let (base, new) = (side(base)?, side(new)?);
    let all = compare::compare(&base, &new, metric).ok()?;
    let again = undisturbed(&base, &new, &all);
    let fallen: BTreeMap<CellKey, bool> = again
        .into_iter()
        .flat_map(|again| again.rows)
        .map(|without| (without.key.clone(), without.stands()))
        .collect();
    let known = all.rows.into_iter().filter(|row| row.outcome != Outcome::TooFew);
    let rows = known.map(|row| Judged { stands: *fallen.get(&row.key).unwrap_or(&true), row });
    Some(rows.collect())
}

/// The tracks of both sides, those of one lock together where a set has several.
fn tracks<'s>(set: &'s Set, pair: &Pair) -> Vec<(&'s Track<'s>, &'s Track<'s>)> {
    let of = |variant| set.tracks.iter().filter(move |track: &&Track| track.variant == variant);
    let (bases, news) = (of(pair.base).count(), of(pair.new).count());
    let alike = |a: &Track, b: &Track| (bases, news) == (1, 1) || lock(a) == lock(b);
    of(pair.base)
        .flat_map(|base| of(pair.new).map(move |new| (base, new)))
        .filter(|(base, new)| alike(base, new))
        .collect()
}

fn lock<'t>(track: &'t Track) -> &'t str {
    &track.groups[0].key.lock
}

/// Whether a comparison's row is of this track's workload. What tells the sides apart is blank in it.
fn is_of(set: &Set, track: &Track, key: &CellKey) -> bool {
    let blank_or = |value: &str, own: &str| value.is_empty() || value == own;
    let mut params = key.params.clone();
    params.remove(PER_CPU);
    let own = &track.groups[0].key;
    key.workload == set.place.workload
        && params == set.place.params
        && blank_or(&key.pin, &own.pin)
        && blank_or(&key.machine, &own.machine)
        && blank_or(&key.lock, &own.lock)
}

fn row(judged: &Judged) -> Value {
    let Judged { row, stands } = judged;
    let ends = row.interval.map_or([row.ratio; 2], |i| [i.lo, i.hi]);
    let verdict = match row.outcome {
        Outcome::Better => 1,
        Outcome::Worse => -1,
        Outcome::NotSignificant | Outcome::TooFew => 0,
    };
    let (n, hit) = ([row.base.n, row.new.n], row.hit);
    json!([
        row.key.threads,
        sig(row.ratio),
        sig(ends[0]),
        sig(ends[1]),
        verdict,
        n,
        hit,
        u8::from(*stands)
    ])
}

/// Of each track the place of the one that the kernel had before, under the same lock if there is one.
pub fn predecessor(set: &Set, track: &Track) -> Option<usize> {
    let there: Vec<&str> = set.tracks.iter().map(|t| t.variant).collect();
    let before = scheme::predecessor(track.variant, &there)?;
    let of = |same_lock: bool| {
        let is = |t: &Track| t.variant == before && (!same_lock || lock(t) == lock(track));
        set.tracks.iter().position(is)
    };
    of(true).or_else(|| of(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::data;

    /// Also where the family of a run is larger than what one set shows of it.
    #[test]
    fn a_row_is_that_of_compare() {
        let runs = [common::native(&Plan { trials: 6, ..Plan::default() })];
        let sets = data::sets_by_run(&runs);
        let pairs = Pairs::of(&runs).json(&sets[0]);
        let side = |name| Side::of_variant(&runs[0], name).unwrap();
        let all = compare::compare(&side("scanning"), &side("percluster"), &Metric::Throughput);
        let all = all.unwrap();
        let expected = all.rows.iter().filter(|row| row.key.workload == "churn");
        let place = |name| sets[0].tracks.iter().position(|t| t.variant == name);
        let ends = [place("scanning"), place("percluster")];
        let found = pairs.as_array().unwrap().iter();
        let mut found = found.filter(|p| p[0] == json!(ends[0]) && p[1] == json!(ends[1]));
        let rows = found.find(|p| p[2] == "x").unwrap()[3].as_array().unwrap();
        assert_eq!(rows.len(), 7);
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(row[0], expected.key.threads);
            assert_eq!(row[1], json!(sig(expected.ratio)));
            assert_eq!(row[4] == 1, expected.outcome == Outcome::Better);
        }
    }

    #[test]
    fn nothing_is_said_of_few_trials_or_of_an_emulator() {
        let few = [common::simulated(&Plan { trials: 3, ..Plan::default() })];
        assert_eq!(Pairs::of(&few).json(&data::sets_by_run(&few)[0]), json!([]));
        let mut run = common::native(&Plan::default());
        run.run.machine.kind = MachineKind::Emulated;
        let emulated = [run];
        assert_eq!(Pairs::of(&emulated).json(&data::sets_by_run(&emulated)[0]), json!([]));
    }

    /// One preempted trial in each block makes the difference: without it none is left to see.
    #[test]
    fn a_verdict_that_rests_on_hit_trials_says_so() {
        let plan = Plan { variants: vec!["scanning", "percluster"], ..Plan::default() };
        let mut run = common::native(&plan);
        for cell in run.cells.iter_mut().filter(|c| c.key.variant == "scanning") {
            cell.asked_ns = Some(cell.duration_ns * 4 / 5);
        }
        let runs = [run];
        let pairs = Pairs::of(&runs).json(&data::sets_by_run(&runs)[0]);
        let rows = pairs[0][3].as_array().unwrap();
        assert!(rows.iter().all(|row| row[6] == json!([6, 0]) && row[7] == 0), "{rows:?}");
    }

    #[test]
    fn the_base_is_the_one_before_under_the_same_lock() {
        let runs = [common::native(&Plan::default())];
        let sets = data::sets_by_run(&runs);
        let name = |n: usize| sets[0].tracks[n].variant;
        let before: Vec<_> =
            sets[0].tracks.iter().map(|t| predecessor(&sets[0], t).map(name)).collect();
        let expected =
            [Some("scanning"), None, Some("scanning"), Some("scanning"), Some("percluster")];
        assert_eq!(before, expected);
    }
}
