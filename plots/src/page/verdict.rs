//! The verdict on a set, in words a reader can check against the charts. Guards against claims
//! that the data do not support: every verdict is that of [`results::compare`], as in the tables.

use results::aggregate::PER_CPU;
use results::compare::{self, Outcome, Row, Side};
use results::family::{self, Blocks};
use results::metric::Metric;
use results::plural;
use results::schema::{Cell, MachineKind};
use results::stats::{Interval, MIN_SAMPLES};

use crate::axis::{short, si};
use crate::data::{Median, Set, Track};

/// One sentence each; the first is the answer.
pub fn words(set: &Set) -> Vec<String> {
    if set.place.kind == MachineKind::Emulated {
        return vec!["Emulated: times here are not the hardware's, and none are compared.".into()];
    }
    let mut words = fastest(set);
    words.extend(set.tracks.iter().filter_map(|track| scaling(set, track)));
    words
}

/// A variant at the most threads that all have.
struct Entry<'a> {
    name: &'a str,
    side: Side<'a>,
    blocks: Blocks,
    median: f64,
}

fn entry<'a>(set: &'a Set, track: &'a Track) -> Option<Entry<'a>> {
    let group = track.widest();
    let blocks = compare::blocks(group, &Metric::Throughput);
    let median = Median::of(&group.samples(&Metric::Throughput))?.median;
    Some(Entry { name: &track.name, side: set.side(track)?, blocks, median })
}

/// Which variant wins at the most threads that all have, and over which by how much.
fn fastest(set: &Set) -> Vec<String> {
    let Some(threads) = common_threads(set) else {
        return vec!["The variants share no thread count, so none is compared.".into()];
    };
    let mut ranked: Vec<Entry> = set.tracks.iter().filter_map(|track| entry(set, track)).collect();
    ranked.sort_by(|a, b| b.median.total_cmp(&a.median));
    let Some(best) = ranked.first() else { return Vec::new() };
    let at = plural(threads as usize, "thread");
    let done = if set.place.predicted { "is predicted to do" } else { "does" };
    let (best_name, rate) = (best.name, format!("{} operations per second", si(best.median)));
    // The best and the last were picked out of all: before they are told apart, all together must
    // show that they are not the same.
    let all: Vec<Blocks> = ranked.iter().map(|entry| entry.blocks.clone()).collect();
    let differ = ranked.len() < 3 || family::any_differs(&all);
    let over = |other: &Entry| -> Option<Row> {
        let comparison = compare::compare(&other.side, &best.side, &Metric::Throughput).ok()?;
        let mut row = comparison.rows.into_iter().find(|row| row.key.threads == threads)?;
        if !differ && row.outcome != Outcome::TooFew {
            row.outcome = Outcome::NotSignificant;
        }
        Some(row)
    };
    let second = ranked.get(1).and_then(over);
    let mut words = vec![match second.map(|row| (row.outcome, row.base.n.min(row.new.n))) {
        Some((Outcome::TooFew, 1)) => format!(
            "At {at} {best_name} {done} {rate}, the most; of single trials none can be told to be fastest."
        ),
        Some((Outcome::TooFew, n)) => format!(
            "At {at} {best_name} {done} {rate}, the most; of {n} trials none can be told to be fastest."
        ),
        Some((Outcome::NotSignificant, _)) => format!(
            "At {at} none can be told to be fastest; {best_name} has the highest median, {rate}."
        ),
        _ => format!("At {at} {best_name} {done} {rate}."),
    }];
    let last = ranked.len() - 1;
    for (i, entry) in ranked.iter().enumerate().skip(1) {
        if let Some(row) = over(entry).filter(|_| i == 1 || i == last) {
            words.push(compared(entry.name, &row));
        }
    }
    words
}

/// How the best stands to another.
fn compared(name: &str, row: &Row) -> String {
    let ends = |i: Interval| format!("{} to {}", short(i.lo), short(i.hi));
    let (x, n) = (short(row.ratio), row.base.n.min(row.new.n));
    match (row.outcome, row.interval) {
        (Outcome::TooFew, _) if n < 2 => {
            format!("That is {x} times {name}, from a single trial: no interval.")
        }
        (Outcome::TooFew, _) | (_, None) => {
            format!("That is {x} times {name}, from {n} trials: a range of {}.", ends(row.range()))
        }
        (Outcome::Better | Outcome::Worse, Some(interval)) => {
            format!("That is {x} times {name} (95 % interval {}).", ends(interval))
        }
        (Outcome::NotSignificant, Some(interval)) => format!(
            "It cannot be told from {name}: the ratio of the medians is {x} (95 % interval {}).",
            ends(interval)
        ),
    }
}

fn common_threads(set: &Set) -> Option<u32> {
    let mut counts = set.tracks.iter().map(|t| t.widest().threads());
    let first = counts.next()?;
    counts.all(|n| n == first).then_some(first)
}

/// Where a variant stops gaining, if a comparison of its thread counts shows that it does.
fn scaling(set: &Set, track: &Track) -> Option<String> {
    let name = &track.name;
    let entry = entry(set, track)?;
    let points: Vec<(u32, f64, usize)> = track
        .groups
        .iter()
        .filter_map(|g| {
            let m = Median::of(&g.samples(&Metric::Throughput))?;
            Some((g.threads(), m.median, m.n))
        })
        .collect();
    let [.., (before, ..), (last, rate, n)] = points[..] else { return None };
    let peak = points.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("not empty");
    let at = plural(peak.0 as usize, "thread");
    let lost = (1.0 - rate / peak.1) * 100.0;
    if n < MIN_SAMPLES {
        let trials = if n == 1 { "single trials".into() } else { plural(n, "trial") };
        return Some(match peak.0 == last {
            true => format!("{name} does most at {at}, in {trials}."),
            false => {
                format!("{name} does most at {at}, and {lost:.0} % less at {last}, in {trials}.")
            }
        });
    }
    if against(&entry.side, peak.0, last) == Outcome::Worse {
        return Some(format!("{name} does most at {at} and loses {lost:.0} % of it by {last}."));
    }
    Some(match against(&entry.side, before, last) {
        Outcome::Better => format!("{name} still gains from {before} to {last} threads."),
        _ => format!("{name} gains nothing that can be told from {before} to {last} threads."),
    })
}

/// The verdict on `new` threads against `base` threads of one variant.
fn against(side: &Side, base: u32, new: u32) -> Outcome {
    // The comparison matches points by their thread counts, so the cells are given one.
    let at = |threads: u32| -> Vec<Cell> {
        let here = side.cells.iter().filter(|cell| cell.key.threads == threads);
        let mut cells: Vec<Cell> = here.map(|cell| (*cell).clone()).collect();
        for cell in &mut cells {
            cell.key.threads = new;
            cell.key.params.remove(PER_CPU);
        }
        cells
    };
    let (base, new) = (at(base), at(new));
    let (base, new) = (
        Side { cells: base.iter().collect(), ..side.clone() },
        Side { cells: new.iter().collect(), ..side.clone() },
    );
    let comparison = compare::compare(&base, &new, &Metric::Throughput);
    comparison
        .ok()
        .and_then(|all| all.rows.first().map(|row| row.outcome))
        .unwrap_or(Outcome::NotSignificant)
}

#[cfg(test)]
mod tests {
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn the_answer_comes_first_and_with_its_interval() {
        let runs = [common::native(&Plan { trials: 6, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].starts_with("At 64 threads 6.18 percpu-cluster does 5"), "{words:?}");
        assert!(words[1].contains("times 6.14 percluster (95 % interval 1."), "{words:?}");
        assert!(words[2].contains("times global"), "{words:?}");
        assert!(words.iter().any(|w| w.starts_with("global does most at")), "{words:?}");
        assert!(words.iter().any(|w| w == "6.14 percluster still gains from 32 to 64 threads."));
    }

    #[test]
    fn single_trials_say_where_they_are_most_and_rank_nothing() {
        let runs = [common::simulated(&Plan { trials: 1, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        let first = "At 64 threads 6.18 percpu-cluster is predicted to do ";
        assert!(words[0].starts_with(first), "{words:?}");
        assert!(
            words[0].ends_with("of single trials none can be told to be fastest."),
            "{words:?}"
        );
        let global = words.iter().find(|w| w.starts_with("global does most at")).unwrap();
        assert!(global.ends_with(" % less at 64, in single trials."), "{global}");
    }

    #[test]
    fn nothing_emulated_is_ranked() {
        let mut run = common::native(&Plan { trials: 6, ..Plan::default() });
        run.run.machine.kind = results::schema::MachineKind::Emulated;
        let runs = [run];
        let sets = data::sets(&runs);
        assert!(matches!(&super::words(&sets[0])[..], [one] if one.starts_with("Emulated")));
        assert!(sets[0].place.conditions().contains("emulated, not hardware timing, on"));
    }

    #[test]
    fn equals_are_not_ranked() {
        let mut run = common::native(&Plan { variants: vec!["a", "b"], ..Plan::default() });
        for (i, cell) in run.cells.iter_mut().enumerate() {
            cell.ops_per_s = 1e6 + (i * 7919 % 100) as f64 * 1e3;
        }
        let runs = [run];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].contains("none can be told to be fastest"), "{words:?}");
        assert!(words[1].starts_with("It cannot be told from"), "{words:?}");
    }
}
