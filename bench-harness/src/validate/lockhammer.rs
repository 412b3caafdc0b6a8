//! Predictions against measurements in lockhammer's columns. Guards the line between
//! what is fitted (the `empty` and `incdec_refcount` rows and one-thread rows, no
//! others), what is stated, and what is predicted.

use super::hammer::{Lock, Point, hammer};
use machine::simulated::{Model, Ratio, Shape, Time};
use machine::topology::Pin;
use rayon::prelude::*;
use results::validation::{self, Basis, Section};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The published medians that the command compares with.
pub const PUBLISHED: &str = include_str!("lockhammer-x86.csv");
/// Their hosts.
pub const PUBLISHED_HOSTS: &str = include_str!("lockhammer-x86.toml");

/// The topology file: what is known of each host of the data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    host: BTreeMap<String, Known>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Known {
    /// A machine model, built in or a path: its costs, and its topology unless given here.
    model: String,
    topology: Option<Shape>,
    /// The CPUs in the order in which the threads were pinned.
    pins: Vec<usize>,
    /// What a transfer between CPUs without a common L3 costs, where it is stated.
    beyond_l3_ns: Option<f64>,
}

impl Hosts {
    /// `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| format!("{file}: {e}"))
    }

    /// The host called `name`, ready to be fitted.
    pub fn host<'a>(&self, file: &str, name: &str, data: &'a Data) -> Result<Host<'a>, String> {
        let known = self.host.get(name).ok_or(format!("{file}: no host.{name}"))?;
        let mut model = Model::load(&known.model).map_err(|e| e.to_string())?;
        if let Some(shape) = &known.topology {
            model = Model { topology: shape.clone(), ..model };
        }
        let order = Pin::List(known.pins.clone()).order(&model.topology());
        let pins = order.map_err(|e| format!("{file}: host.{name}.pins: {e}"))?;
        let most = data.rows.iter().filter(|r| r.host == name).map(|r| r.threads).max();
        if most.is_some_and(|most| most > pins.len()) {
            return Err(format!(
                "{file}: host.{name}.pins: expected a CPU for each thread of the data"
            ));
        }
        let mut host = Host::new(name, model, pins, data);
        if let Some(ns) = known.beyond_l3_ns {
            host.set("package", ns, "the topology file (stated, not fitted)");
            host.set("remote", ns, "the topology file (stated, not fitted)");
        }
        Ok(host)
    }
}

/// One measured row.
#[derive(Clone, Debug)]
struct Row {
    host: String,
    lock: Lock,
    held: u64,
    apart: u64,
    threads: usize,
    ns: f64,
}

/// Measured rows, from a file in lockhammer's columns.
pub struct Data {
    rows: Vec<Row>,
}

const COLUMNS: [&str; 6] = ["host", "lock", "critical", "parallel", "threads", "median_ns_per_op"];

impl Data {
    /// `file` is for messages. Lines that begin with # are comments.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.starts_with('#'));
        let header = lines.next().map_or("", |(_, l)| l);
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let mut at = [0; COLUMNS.len()];
        for (place, column) in at.iter_mut().zip(COLUMNS) {
            let found = names.iter().position(|n| *n == column);
            *place = found.ok_or(format!("{file}: no column '{column}' in its first line"))?;
        }
        let mut rows = Vec::new();
        for (n, line) in lines.filter(|(_, l)| !l.trim().is_empty()) {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let cell = |column: usize| cells.get(at[column]).copied().unwrap_or("");
            let row = Self::row(cell);
            rows.push(row.map_err(|(column, expected)| {
                let (line, column, found) = (n + 1, COLUMNS[column], cell(column));
                format!("{file}:{line}: {column} is '{found}', expected {expected}")
            })?);
        }
        Ok(Self { rows })
    }

    fn row<'a>(cell: impl Fn(usize) -> &'a str) -> Result<Row, (usize, &'static str)> {
        let lock = Lock::ALL.iter().find(|(name, _)| *name == cell(1));
        let time = |n| {
            let text = cell(n).strip_suffix("ns").unwrap_or(cell(n));
            text.parse().map_err(|_| (n, "whole nanoseconds, as 200ns"))
        };
        let threads = cell(4).parse().ok().filter(|n| *n > 0).ok_or((4, "a number of threads"))?;
        let ns = cell(5).parse().ok().filter(|ns| *ns > 0.0).ok_or((5, "nanoseconds above 0"))?;
        let known =
            "empty, incdec_refcount, ticket_spinlock, queued_spinlock, swap_mutex or osq_lock";
        Ok(Row {
            host: cell(0).to_owned(),
            lock: lock.ok_or((1, known))?.1,
            held: time(2)?,
            apart: time(3)?,
            threads,
            ns,
        })
    }

    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<_> = self.rows.iter().map(|r| r.host.clone()).collect();
        hosts.dedup();
        hosts
    }
}

/// A host of the data and the machine that is to predict it.
pub struct Host<'a> {
    name: String,
    model: Arc<Model>,
    /// CPUs in the order in which the threads were pinned.
    pins: Vec<usize>,
    data: &'a Data,
    /// What was set from which rows, a line each.
    pub fitted: Vec<String>,
    /// Delay loops took this times what they were asked for.
    stretch: f64,
}

impl<'a> Host<'a> {
    fn new(name: &str, model: Model, pins: Vec<usize>, data: &'a Data) -> Self {
        let (name, model) = (name.to_owned(), Arc::new(model));
        Self { name, model, pins, data, fitted: Vec::new(), stretch: 1.0 }
    }

    fn rows(&self) -> impl Iterator<Item = &'a Row> {
        self.data.rows.iter().filter(|r| r.host == self.name)
    }

    fn measured(&self, lock: Lock, held: u64, threads: usize) -> Option<f64> {
        let same = |r: &&Row| (r.lock, r.held, r.threads) == (lock, held, threads);
        self.rows().find(same).map(|r| r.ns)
    }

    /// What starting and joining one thread adds to its operations, and how late the
    /// last of `threads` starts, both an operation a thread: from the empty loop.
    fn overhead(&self, threads: usize) -> (f64, f64) {
        let empty = |n: usize| self.measured(Lock::Empty, 0, n).map(|ns| ns * n as f64);
        let alone = empty(1).unwrap_or(0.0);
        (alone, (empty(threads).unwrap_or(alone) - alone).max(0.0))
    }

    fn point(&self, row: &Row) -> Point {
        let stretched = |ns: u64| (ns as f64 * self.stretch).round() as u64;
        let pins = self.pins[..row.threads].to_vec();
        Point {
            lock: row.lock,
            pins,
            held: stretched(row.held),
            apart: stretched(row.apart),
            late: self.overhead(row.threads).1,
        }
    }

    fn set(&mut self, key: &str, value: f64, from: &str) {
        let model = Arc::make_mut(&mut self.model);
        let source = format!("validate: {from}");
        let (cost, shape) = (&mut model.cost, &mut model.shape);
        let time = Time { ns: value, source: source.clone() };
        match key {
            "locked" => cost.locked = time,
            "l3" => cost.l3 = time,
            "package" => cost.package = time,
            "remote" => cost.remote = time,
            "smt-slowdown" => shape.smt_slowdown = Ratio { ratio: value, source },
            _ => unreachable!("no key {key} is fitted"),
        }
        self.fitted.push(format!("{}: {key} = {value:.2}, from {from}", self.name));
    }

    /// Derives the constants from the rows that may be used for it.
    pub fn fit(&mut self) -> Result<(), String> {
        let missing = |what: &str| format!("{}: no row {what}, needed by --fit", self.name);
        let one = |lock, held| self.measured(lock, held, 1);
        let empty = one(Lock::Empty, 0).ok_or(missing("empty, 0ns, 1 thread"))?;
        let count = one(Lock::IncDec, 0).ok_or(missing("incdec_refcount, 0ns, 1 thread"))?;
        self.set("locked", ((count - empty) / 2.0).max(1.0), "incdec_refcount - empty, 1 thread");
        self.fit_delays(empty);
        self.fit_transfer()
    }

    /// How long delay loops really take, alone and beside a busy sibling thread.
    fn fit_delays(&mut self, empty: f64) {
        let loads = self.rows().filter(|r| r.lock == Lock::Empty && r.held > 0);
        let Some(load) = loads.min_by_key(|r| r.threads).filter(|r| r.threads == 1) else { return };
        let alone = load.ns - empty;
        self.stretch = alone / (load.held + load.apart) as f64;
        let stretch = self.stretch;
        self.fitted.push(format!("{}: delays x {stretch:.3}, from empty, 1 thread", self.name));
        let topology = self.model.topology();
        let core = |n: usize| topology.cpu(self.pins[n]).map(|c| c.core);
        let paired = |n: usize| (0..n).all(|a| (0..n).any(|b| a != b && core(a) == core(b)));
        let rows = self.rows().filter(|r| r.lock == Lock::Empty && r.held == load.held);
        let ratio = |r: &Row| {
            let (joined, late) = self.overhead(r.threads);
            (r.ns * r.threads as f64 - joined - late) / alone
        };
        let ratios = median(rows.filter(|r| paired(r.threads)).map(ratio).collect());
        if let Some(ratio) = ratios {
            self.set(
                "smt-slowdown",
                ratio.clamp(1.0, 4.0),
                "empty with a load, both threads of each core",
            );
        }
    }

    /// The transfer between cores that makes the shared counter cost what it does.
    fn fit_transfer(&mut self) -> Result<(), String> {
        let topology = self.model.topology();
        let near = |n: usize| {
            let cpus = self.pins[..n].iter().filter_map(|&cpu| topology.cpu(cpu));
            let mut l3 = cpus.map(|c| c.l3);
            l3.next().is_some_and(|first| l3.all(|other| other == first))
        };
        let usable = |r: &&Row| r.lock == Lock::IncDec && r.held == 0 && r.threads > 2;
        let rows: Vec<Row> =
            self.rows().filter(usable).filter(|r| near(r.threads)).cloned().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let (mut low, mut high) = (5.0, 500.0);
        for _ in 0..8 {
            let middle = (low + high) / 2.0;
            Arc::make_mut(&mut self.model).cost.l3.ns = middle;
            let errors: Result<Vec<f64>, String> = rows.iter().map(|r| self.error(r)).collect();
            match median(errors?) {
                Some(error) if error > 0.0 => high = middle,
                _ => low = middle,
            }
        }
        self.set(
            "l3",
            ((low + high) / 2.0).round(),
            "incdec_refcount, 3 threads and more on one L3",
        );
        Ok(())
    }

    /// Predicted over measured, less 1.
    fn error(&self, row: &Row) -> Result<f64, String> {
        Ok(self.predict(row, OPERATIONS)? / row.ns - 1.0)
    }

    fn predict(&self, row: &Row, operations: u64) -> Result<f64, String> {
        let simulated = hammer(&self.model, &self.point(row), operations, 1);
        let simulated =
            simulated.map_err(|e| format!("{}, {}: {e}", self.name, row.lock.name()))?;
        Ok(simulated + self.overhead(row.threads).0 / row.threads as f64)
    }

    /// All curves that are predictions.
    pub fn judge(&self, most_threads: usize) -> Result<Vec<Verdict>, String> {
        let predicted = |r: &&Row| Lock::PREDICTED.contains(&r.lock) && r.threads <= most_threads;
        let rows: Vec<&Row> = self.rows().filter(predicted).collect();
        let verdict = |row: &&Row| {
            let once = self.predict(row, OPERATIONS)?;
            let twice = self.predict(row, 2 * OPERATIONS)?;
            Ok(Verdict {
                host: self.name.clone(),
                lock: row.lock,
                held: row.held,
                threads: row.threads,
                measured: row.ns,
                predicted: twice,
                unsettled: (once / twice - 1.0).abs(),
            })
        };
        rows.par_iter().map(verdict).collect()
    }
}

/// Operations a thread; each cell is simulated with twice as many too.
const OPERATIONS: u64 = 60;

/// One cell, held against its measurement.
#[derive(Clone, Debug)]
pub struct Verdict {
    host: String,
    lock: Lock,
    held: u64,
    threads: usize,
    measured: f64,
    predicted: f64,
    /// How much half as many operations differ.
    unsettled: f64,
}

impl Verdict {
    fn error(&self) -> f64 {
        (self.predicted / self.measured - 1.0).abs()
    }
}

/// The curves for charts and for the file of all sections.
pub fn section(verdicts: &[Verdict], source: &str, notes: Vec<String>) -> Section {
    let point = |v: &Verdict| validation::Point {
        panel: format!("{}, {} ns held", v.host, v.held),
        curve: v.lock.name().into(),
        x: v.threads as f64,
        measured: v.measured,
        predicted: v.predicted,
        basis: Basis::Predicted,
    };
    Section {
        id: "curves".into(),
        title: "Lock curves, an operation of all threads".into(),
        source: source.into(),
        x: "threads".into(),
        y: "ns an operation".into(),
        points: verdicts.iter().map(point).collect(),
        notes,
    }
}

/// Below this, the curves are think time over n for nearly any lock.
const FEW: usize = 4;

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}

/// Tables of cells, errors, order and best thread counts.
pub fn report(verdicts: &[Verdict]) -> String {
    let mut text = curves(verdicts);
    text += "\nmedian error at 4 threads and more (predicted, not fitted)\n";
    let judged: Vec<&Verdict> = verdicts.iter().filter(|v| v.threads >= FEW).collect();
    let mut groups: BTreeMap<(bool, Lock, &str), Vec<f64>> = BTreeMap::new();
    for v in &judged {
        groups.entry((v.held > 0, v.lock, &v.host)).or_default().push(v.error());
        groups.entry((v.held > 0, v.lock, "all hosts")).or_default().push(v.error());
    }
    for ((held, lock, host), errors) in groups {
        let (n, load) = (errors.len(), if held { "with a section" } else { "empty section" });
        let error = 100.0 * median(errors).unwrap_or_default();
        let _ = writeln!(text, "  {load:15} {:16} {host:10} {error:5.1} %  of {n}", lock.name());
    }
    for held in [true, false] {
        let errors = judged.iter().filter(|v| (v.held > 0) == held).map(|v| v.error()).collect();
        let load = if held { "with a section" } else { "empty section" };
        if let Some(error) = median(errors) {
            let _ =
                writeln!(text, "  {load:15} all locks pooled            {:5.1} %", 100.0 * error);
        }
    }
    let (right, pairs) = order(&judged);
    let _ = writeln!(
        text,
        "order of two locks right in {right} of {pairs} pairs that differ by more than 10 %"
    );
    text += &best(verdicts);
    let unsettled = judged.iter().filter(|v| v.unsettled > 0.1).count();
    let _ = writeln!(
        text,
        "{unsettled} of {} cells differ by more than 10 % from half as many operations (marked ~)",
        judged.len()
    );
    text
}

fn curves(verdicts: &[Verdict]) -> String {
    let mut text = String::from("ns an operation of all threads: predicted / measured\n");
    let mut groups: BTreeMap<(&str, u64, Lock), Vec<&Verdict>> = BTreeMap::new();
    for v in verdicts {
        groups.entry((&v.host, v.held, v.lock)).or_default().push(v);
    }
    for ((host, held, lock), cells) in groups {
        let _ = write!(text, "  {host} {held:3} ns {:16}", lock.name());
        for v in cells {
            let mark = if v.unsettled > 0.1 { "~" } else { "" };
            let _ = write!(text, " {}:{:.0}/{:.0}{mark}", v.threads, v.predicted, v.measured);
        }
        text.push('\n');
    }
    text
}

/// Pairs of locks in the same cell, and how many the prediction puts in order.
fn order(verdicts: &[&Verdict]) -> (usize, usize) {
    let mut counts = (0, 0);
    for (n, a) in verdicts.iter().enumerate() {
        for b in &verdicts[n + 1..] {
            let cell = |v: &Verdict| (v.host.clone(), v.held, v.threads);
            let ratio = a.measured / b.measured;
            if cell(a) == cell(b) && !(1.0 / 1.1..=1.1).contains(&ratio) {
                counts.1 += 1;
                counts.0 += usize::from((ratio > 1.0) == (a.predicted > b.predicted));
            }
        }
    }
    counts
}

/// What the predicted best thread count costs against the measured best.
fn best(verdicts: &[Verdict]) -> String {
    let mut curves: BTreeMap<(&str, u64, Lock), Vec<&Verdict>> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| v.held > 0) {
        curves.entry((&v.host, v.held, v.lock)).or_default().push(v);
    }
    let mut text = String::new();
    for ((host, _, lock), cells) in curves {
        let chosen = cells.iter().min_by(|a, b| a.predicted.total_cmp(&b.predicted));
        let real = cells.iter().min_by(|a, b| a.measured.total_cmp(&b.measured));
        let (Some(chosen), Some(real)) = (chosen, real) else { continue };
        let lost = 100.0 * (1.0 - real.measured / chosen.measured);
        let _ = writeln!(
            text,
            "  {host} {:16} best at {} threads, predicted {}: {lost:.0} % of the best throughput lost",
            lock.name(),
            real.threads,
            chosen.threads
        );
    }
    text
}
