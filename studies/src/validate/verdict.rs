//! Predictions held against measurements: tables, medians of errors, and for every
//! target whether it is met. Guards that a miss is printed as one.

use super::hammer::Lock;
use results::stats::median;
use results::validation::{self, Basis, Section};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A figure that doubling the operations moves by less has settled.
pub(super) const SETTLED: f64 = 0.03;

/// One cell, held against its measurement.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub host: String,
    pub lock: Lock,
    pub held: u64,
    pub apart: u64,
    pub threads: usize,
    /// How many packages those threads are on.
    pub packages: usize,
    /// Nanoseconds per operation of all threads.
    pub measured: f64,
    pub predicted: f64,
    /// Operations per thread of the longest simulation.
    pub operations: u64,
    /// By which share the figure differs from that of half as many operations.
    pub unsettled: f64,
    /// Events of all simulations of this cell.
    pub events: u64,
    pub hand_overs: u64,
}

impl Verdict {
    fn error(&self) -> f64 {
        (self.predicted / self.measured - 1.0).abs()
    }

    fn settled(&self) -> bool {
        self.unsettled < SETTLED
    }

    fn load(&self) -> String {
        format!("{}/{} ns", self.held, self.apart)
    }
}

/// The curves for charts and for the file of all sections.
pub fn section(id: &str, verdicts: &[Verdict], source: &str, notes: Vec<String>) -> Section {
    let point = |v: &Verdict| validation::Point {
        panel: format!("{}, {} ns held, {} apart", v.host, v.held, v.apart),
        curve: v.lock.name().into(),
        x: v.threads as f64,
        measured: v.measured,
        predicted: v.predicted,
        basis: Basis::Predicted,
        spread: None,
        interval: None,
    };
    Section {
        id: id.into(),
        title: "Lock curves, an operation of all threads".into(),
        source: source.into(),
        x: "threads".into(),
        y: "ns an operation".into(),
        points: verdicts.iter().map(point).collect(),
        steps: Vec::new(),
        notes,
    }
}

/// Below this, the curves are think time over n for nearly any lock.
const FEW: usize = 4;

/// Tables of cells, errors, order and best thread counts, each target with its verdict.
pub fn report(verdicts: &[Verdict]) -> String {
    let judged: Vec<&Verdict> = verdicts.iter().filter(|v| v.threads >= FEW).collect();
    let mut text = curves(verdicts);
    text += &errors(&judged);
    let (right, pairs) = order(&judged);
    if pairs > 0 {
        let share = 100.0 * right as f64 / pairs as f64;
        let _ = writeln!(
            text,
            "  {} order of two locks right in {right} of {pairs} pairs that differ by more than \
             10 %: {share:.1} % (at least 90 %)",
            mark(share >= 90.0)
        );
    }
    text += &best(verdicts);
    text + &convergence(&judged)
}

pub(super) fn mark(met: bool) -> &'static str {
    if met { "PASS" } else { "MISS" }
}

fn curves(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "ns an operation of all threads, predicted / measured by threads (~ not settled)\n",
    );
    let mut groups: BTreeMap<(&str, u64, u64, Lock), Vec<&Verdict>> = BTreeMap::new();
    for v in verdicts {
        groups.entry((&v.host, v.held, v.apart, v.lock)).or_default().push(v);
    }
    for ((host, held, apart, lock), mut cells) in groups {
        cells.sort_by_key(|v| v.threads);
        let _ = write!(text, "  {host} {:11} {:16}", format!("{held}/{apart} ns"), lock.name());
        for v in cells {
            let mark = if v.settled() { "" } else { "~" };
            let _ = write!(text, " {}:{:.0}/{:.0}{mark}", v.threads, v.predicted, v.measured);
        }
        text.push('\n');
    }
    text
}

/// The largest median error that a lock should have, percent.
fn limit(lock: Lock, held: bool) -> f64 {
    match lock {
        _ if !held => 35.0,
        Lock::Swap => 25.0,
        _ => 15.0,
    }
}

fn errors(judged: &[&Verdict]) -> String {
    let mut text = format!("\nmedian error at {FEW} threads and more (predicted, not fitted)\n");
    let mut groups: BTreeMap<(bool, Lock, &str), Vec<f64>> = BTreeMap::new();
    for v in judged {
        let held = v.held > 0;
        groups.entry((!held, v.lock, &v.host)).or_default().push(v.error());
        groups.entry((!held, v.lock, "all hosts")).or_default().push(v.error());
        if held && v.lock == Lock::Swap && v.packages == 1 {
            groups.entry((!held, v.lock, "within a package")).or_default().push(v.error());
        }
    }
    for ((empty, lock, whose), errors) in groups {
        let (n, most) = (errors.len(), limit(lock, !empty));
        let load = if empty { "nothing held" } else { "held" };
        let error = 100.0 * median(&errors);
        let across = !empty && lock == Lock::Swap && whose != "within a package";
        let (judged, bound) = match across {
            true => ("    ", String::new()),
            false => (mark(error <= most), format!(" (at most {most} %)")),
        };
        let _ = writeln!(
            text,
            "  {judged} {load:12} {:16} {whose:16} {error:5.1} %{bound}, {n} cells",
            lock.name()
        );
    }
    for (load, held) in [("held", Some(true)), ("nothing held", Some(false)), ("all", None)] {
        let wanted = |v: &&&Verdict| held.is_none_or(|held| held == (v.held > 0));
        let errors: Vec<f64> = judged.iter().filter(wanted).map(|v| v.error()).collect();
        let n = errors.len();
        if n > 0 {
            let error = 100.0 * median(&errors);
            let _ = writeln!(
                text,
                "  {} {load:12} all locks, hosts pooled            {error:5.1} % (at most 20 %), \
                 {n} cells",
                mark(error <= 20.0)
            );
        }
    }
    text
}

/// Pairs of locks in the same cell, and how many the prediction puts in order.
fn order(verdicts: &[&Verdict]) -> (usize, usize) {
    let mut counts = (0, 0);
    for (n, a) in verdicts.iter().enumerate() {
        for b in &verdicts[n + 1..] {
            let ratio = a.measured / b.measured;
            let same =
                (&a.host, a.held, a.apart, a.threads) == (&b.host, b.held, b.apart, b.threads);
            if same && !(1.0 / 1.1..=1.1).contains(&ratio) {
                counts.1 += 1;
                counts.0 += usize::from((ratio > 1.0) == (a.predicted > b.predicted));
            }
        }
    }
    counts
}

/// The throughput that is lost by taking the predicted best thread count.
fn best(verdicts: &[Verdict]) -> String {
    let mut curves: BTreeMap<(&str, String, Lock), Vec<&Verdict>> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| v.held > 0) {
        curves.entry((&v.host, v.load(), v.lock)).or_default().push(v);
    }
    let mut text = String::new();
    for ((host, load, lock), cells) in curves.into_iter().filter(|(_, cells)| cells.len() > 1) {
        let chosen = cells.iter().min_by(|a, b| a.predicted.total_cmp(&b.predicted));
        let real = cells.iter().min_by(|a, b| a.measured.total_cmp(&b.measured));
        let (Some(chosen), Some(real)) = (chosen, real) else { continue };
        let lost = 100.0 * (1.0 - real.measured / chosen.measured);
        let _ = writeln!(
            text,
            "  {} {host} {load} {:16} best at {} threads, predicted {}: {lost:.0} % of the best \
             throughput lost (at most 10 %)",
            mark(lost <= 10.0),
            lock.name(),
            real.threads,
            chosen.threads
        );
    }
    text
}

fn convergence(judged: &[&Verdict]) -> String {
    let open: Vec<&&Verdict> = judged.iter().filter(|v| !v.settled()).collect();
    let mut text = format!(
        "convergence: {} of {} cells stay within {:.0} % when operations are doubled",
        judged.len() - open.len(),
        judged.len(),
        100.0 * SETTLED
    );
    let worst = open.iter().max_by(|a, b| a.unsettled.total_cmp(&b.unsettled));
    if let Some(v) = worst {
        let _ = write!(
            text,
            "; the others were run to {} operations a thread and more, the worst moves by {:.0} % \
             ({}, {}, {}, {} threads)",
            open.iter().map(|v| v.operations).min().unwrap_or_default(),
            100.0 * v.unsettled,
            v.host,
            v.load(),
            v.lock.name(),
            v.threads
        );
    }
    text + "\n"
}
