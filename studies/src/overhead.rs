//! The cost of measuring, in pairs: an operation with and without the overhead in question, in
//! turns, on one CPU. Guards the promise that the figures are the allocator's. The documentation
//! shows the table of `results/reference/overhead.json`, which `make overhead` measures.

use std::fmt;
use std::time::Duration;

use machine::Failure;
use machine::topology::Topology;
use probe::{Roots, environment, noise};
use results::schema::{Environment, Reading};
use results::stats::{Interval, bootstrap_median, median};
use results::store::created_now;
use serde::{Deserialize, Serialize};

mod rows;
mod ways;

pub use ways::churn_fault;

/// The largest ratio that the engine's time of an operation should have to that of a loop by hand.
pub const GOAL: f64 = 1.03;

/// A median over the rounds with its 95 % interval, by bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub median: f64,
    pub interval: Interval,
}

impl Figure {
    fn of(samples: &[f64]) -> Self {
        Self { median: median(samples), interval: bootstrap_median(samples) }
    }

    /// Whether it keeps to `goal`; None where the interval holds it, and the rounds cannot tell.
    pub fn within(&self, goal: f64) -> Option<bool> {
        match self.interval {
            Interval { hi, .. } if hi <= goal => Some(true),
            Interval { lo, .. } if lo > goal => Some(false),
            _ => None,
        }
    }
}

/// The unit of a row's figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// ns per operation
    Ns,
    /// ns more than the last row without an indent
    More,
    /// times that row
    Times,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    pub figure: Figure,
    pub unit: Unit,
    /// ABBA rounds that the figure is of; `None` where it was not measured in pairs
    pub rounds: Option<usize>,
    /// The largest figure that the row should have.
    pub goal: Option<f64>,
}

impl Row {
    /// The median with its sign, and the interval: `+2.22` and `2.12..2.37`.
    pub fn words(&self) -> (String, String) {
        let Figure { median, interval: Interval { lo, hi } } = self.figure;
        let (median, digits) = match self.unit {
            Unit::Ns => (format!("{median:.2}"), 2),
            Unit::More => (format!("{median:+.2}"), 2),
            Unit::Times => (format!("x{median:.4}"), 4),
        };
        (median, format!("{lo:.digits$}..{hi:.digits$}"))
    }

    /// Whether it keeps to its goal, in words; `None` without a goal.
    pub fn verdict(&self) -> Option<&'static str> {
        Some(match self.figure.within(self.goal?) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not decidable",
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (median, interval) = self.words();
        let (indent, unit) = match self.unit {
            Unit::Ns => ("", "ns"),
            Unit::More => ("  ", "ns"),
            Unit::Times => ("  ", ""),
        };
        let what = format!("{indent}{}", self.what);
        let figure = format!("{median} {unit}");
        let rounds = self.rounds.map_or("-".to_owned(), |rounds| rounds.to_string());
        write!(f, "{what:<44} {figure:<11} {interval:<17} {rounds:>6}")?;
        match (self.goal, self.verdict()) {
            (Some(goal), Some(verdict)) => write!(f, " <= {goal}: {verdict}"),
            _ => Ok(()),
        }
    }
}

/// All of `results/reference/overhead.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// when it began
    pub created_utc: String,
    /// the command that repeats it
    pub command: String,
    /// the host, and the commit that was built
    pub environment: Environment,
    /// CPU that the one thread was pinned to
    pub cpu: usize,
    /// length of a turn, ms; a round has four of them
    pub window_ms: u64,
    /// `/proc/loadavg` before and after: what else ran on the host
    pub load_average: [Reading<String>; 2],
    /// time that the hypervisor took from the CPU meanwhile, ns
    pub steal_ns: Reading<u64>,
    pub rows: Vec<Row>,
}

impl Measured {
    /// The record of a measurement that begins now, without its rows.
    pub fn begin(topology: &Topology, effort: &Effort, command: &str) -> Self {
        let roots = Roots::default();
        Self {
            created_utc: created_now().to_string(),
            command: command.into(),
            environment: environment::here(topology, bench_harness::engine::now),
            cpu: effort.cpu,
            window_ms: effort.window.as_millis() as u64,
            load_average: [roots.proc("loadavg"), Reading::unknown("it has not ended")],
            steal_ns: noise::steal_ns(&roots, &[effort.cpu]),
            rows: Vec::new(),
        }
    }

    /// The record of the same measurement, which ends now.
    pub fn end(mut self, rows: Vec<Row>) -> Self {
        let roots = Roots::default();
        self.load_average[1] = roots.proc("loadavg");
        if let Reading::Known(before) = self.steal_ns {
            let after = noise::steal_ns(&roots, &[self.cpu]);
            self.steal_ns = after.and_then(|after| Ok(after.saturating_sub(before)));
        }
        Self { rows, ..self }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub window: Duration,
    pub cpu: usize,
}

/// Two ways to do an operation, ns each, by round.
pub struct Pair {
    base: Vec<f64>,
    with: Vec<f64>,
}

impl Pair {
    /// In rounds of with, base, base, with, so that drift favours neither. Both ways return the time
    /// of an operation, ns, given a seed.
    fn measure(
        effort: &Effort,
        base: impl Fn(u64) -> Result<f64, Failure>,
        with: impl Fn(u64) -> Result<f64, Failure>,
    ) -> Result<Self, Failure> {
        let mut pair = Self { base: Vec::new(), with: Vec::new() };
        for seed in 0..effort.rounds as u64 {
            let (a, b, c, d) = (with(seed)?, base(seed)?, base(seed)?, with(seed)?);
            pair.base.push((b + c) / 2.0);
            pair.with.push((a + d) / 2.0);
        }
        Ok(pair)
    }

    fn base(&self, what: impl Into<String>) -> Row {
        self.row(what, Figure::of(&self.base), Unit::Ns, None)
    }

    fn row(&self, what: impl Into<String>, figure: Figure, unit: Unit, goal: Option<f64>) -> Row {
        Row { what: what.into(), figure, unit, rounds: Some(self.base.len()), goal }
    }

    fn each(&self, f: impl Fn(f64, f64) -> f64) -> Figure {
        let rounds = self.base.iter().zip(&self.with).map(|(base, with)| f(*base, *with));
        Figure::of(&rounds.collect::<Vec<_>>())
    }

    fn more(&self, what: impl Into<String>, goal: Option<f64>) -> Row {
        self.row(what, self.each(|base, with| with - base), Unit::More, goal)
    }

    /// The difference by each of `parts` that an operation consists of.
    fn more_each(&self, what: impl Into<String>, parts: f64, goal: Option<f64>) -> Row {
        self.row(what, self.each(|base, with| (with - base) / parts), Unit::More, goal)
    }

    fn times(&self, what: impl Into<String>, goal: Option<f64>) -> Row {
        self.row(what, self.each(|base, with| with / base), Unit::Times, goal)
    }
}

/// Measures every row and hands each to `tell`. The last one is the churn operation by hand and
/// through the engine, for another harness to be held against.
///
/// # Errors
///
/// A [`Failure`] where the CPU cannot be used.
pub fn measure(effort: &Effort, mut tell: impl FnMut(&Row)) -> Result<Vec<Row>, Failure> {
    let mut all = Vec::new();
    for rows in rows::ALL {
        for row in rows(effort)? {
            tell(&row);
            all.push(row);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lo: f64, median: f64, hi: f64, goal: f64) -> Row {
        let figure = Figure { median, interval: Interval { lo, hi } };
        Row { what: "x".into(), figure, unit: Unit::Times, rounds: Some(2), goal: Some(goal) }
    }

    #[test]
    fn a_goal_is_kept_missed_or_not_decidable() {
        let verdict = |row: Row| row.to_string().rsplit(": ").next().unwrap().to_owned();
        assert_eq!(verdict(row(1.0, 1.01, 1.02, GOAL)), "yes");
        assert_eq!(verdict(row(1.01, 1.02, 1.04, GOAL)), "not decidable");
        assert_eq!(verdict(row(1.04, 1.05, 1.06, GOAL)), "no");
    }

    #[test]
    fn drift_favours_neither_way() {
        let clock = std::cell::Cell::new(0.0);
        let tick = |cost: f64| {
            clock.set(clock.get() + 0.1);
            Ok(cost + clock.get())
        };
        let effort = Effort { rounds: 20, window: Duration::ZERO, cpu: 0 };
        let pair = Pair::measure(&effort, |_| tick(10.0), |_| tick(10.0)).unwrap();
        assert!(pair.more("", None).figure.median.abs() < 1e-9);
        let dearer = Pair::measure(&effort, |_| tick(10.0), |_| tick(12.0)).unwrap();
        assert!((dearer.more("", None).figure.median - 2.0).abs() < 1e-9);
        assert!((dearer.more_each("", 5.0, None).figure.median - 0.4).abs() < 1e-9);
    }

    /// Every row can be made, in no time: what it says then is nothing.
    #[test]
    fn all_rows_are_measured() {
        let cpu = machine::topology::Topology::here().unwrap().cpus()[0].id;
        let effort = Effort { rounds: 2, window: Duration::from_millis(10), cpu };
        let rows = measure(&effort, |_| {}).unwrap();
        assert!(rows.iter().all(|row| row.figure.median.is_finite()), "{rows:?}");
        assert!(rows.iter().filter(|row| row.goal.is_some()).count() >= 3, "{rows:?}");
    }
}
