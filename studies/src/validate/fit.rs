//! A host of the data and the machine that is to predict it. Guards the line between
//! what is fitted (the `empty` and `incdec_refcount` rows and one-thread rows, no
//! others), what is stated, and what is predicted.

use super::data::{Data, Row};
use super::hammer::{Hammered, Lock, Point, hammer};
use super::verdict::{SETTLED, Verdict};
use machine::simulated::{Model, Ratio, Time};
use rayon::prelude::*;
use results::stats::median;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Host<'a> {
    name: String,
    model: Arc<Model>,
    /// CPUs in the order in which the threads were pinned.
    pins: Vec<usize>,
    data: &'a Data,
    /// What was stated or fitted, and from what: one line per constant.
    pub constants: Vec<String>,
    /// Costs that the topology file states: not fitted.
    stated: Vec<&'static str>,
    /// The real length of a delay loop over the one asked for.
    stretch: f64,
}

impl<'a> Host<'a> {
    pub(super) fn new(name: &str, model: Model, pins: Vec<usize>, data: &'a Data) -> Self {
        let (name, model) = (name.to_owned(), Arc::new(model));
        let (constants, stated) = (Vec::new(), Vec::new());
        Self { name, model, pins, data, constants, stated, stretch: 1.0 }
    }

    /// A cost that the topology file gives.
    pub(super) fn state(&mut self, key: &'static str, ns: f64) {
        self.stated.push(key);
        self.set(key, ns, "stated", "the topology file");
    }

    fn rows(&self) -> impl Iterator<Item = &'a Row> {
        self.data.rows.iter().filter(|r| r.host == self.name)
    }

    fn measured(&self, lock: Lock, delays: (u64, u64), threads: usize) -> Option<f64> {
        let wanted = (lock, delays, threads);
        self.rows().find(|r| (r.lock, (r.held, r.apart), r.threads) == wanted).map(|r| r.ns)
    }

    /// How many cores, L3 groups and packages the first `threads` threads are on.
    fn occupied(&self, threads: usize) -> [usize; 3] {
        let topology = self.model.topology();
        let cpus = || self.pins[..threads].iter().filter_map(|&cpu| topology.cpu(cpu));
        let count = |ids: BTreeSet<usize>| ids.len();
        [
            count(cpus().map(|c| c.core).collect()),
            count(cpus().map(|c| c.l3).collect()),
            count(cpus().map(|c| c.package).collect()),
        ]
    }

    /// From the empty loop, in nanoseconds per operation of a thread: what starting and joining
    /// one thread adds, and how late the last of `threads` starts.
    fn overhead(&self, threads: usize) -> (f64, f64) {
        let empty = |n: usize| self.measured(Lock::Empty, (0, 0), n).map(|ns| ns * n as f64);
        let alone = empty(1).unwrap_or(0.0);
        (alone, (empty(threads).unwrap_or(alone) - alone).max(0.0))
    }

    fn point(&self, row: &Row) -> Point {
        let stretched = |ns: u64| (ns as f64 * self.stretch).round() as u64;
        let pins = self.pins[..row.threads].to_vec();
        let (held, apart) = (stretched(row.held), stretched(row.apart));
        Point { lock: row.lock, pins, held, apart, late: self.overhead(row.threads).1 }
    }

    fn set(&mut self, key: &str, value: f64, how: &str, from: &str) {
        let model = Arc::make_mut(&mut self.model);
        let source = format!("validate: {how}, {from}");
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
        self.constants.push(format!("{}: {key} = {value:.2}, {how}: {from}", self.name));
    }

    fn unfitted(&mut self, key: &str, value: f64, why: &str) {
        let (name, model) = (&self.name, &self.model.name);
        self.constants
            .push(format!("{name}: {key} = {value:.2}, not fitted ({why}): model {model}'s"));
    }

    /// Derives the constants from the rows that may be used for it.
    ///
    /// # Errors
    ///
    /// A line that names host, lock and threads where a simulation fails.
    pub fn fit(&mut self) -> Result<(), String> {
        let one = |lock| self.measured(lock, (0, 0), 1);
        let empty = one(Lock::Empty);
        match (empty, one(Lock::IncDec), one(Lock::Swap)) {
            (Some(empty), Some(count), _) => {
                let ns = ((count - empty) / 2.0).max(1.0);
                self.set("locked", ns, "fitted", "incdec_refcount - empty, 1 thread");
            }
            (Some(empty), None, Some(swap)) => {
                let ns = (swap - empty).max(1.0);
                self.set("locked", ns, "fitted", "swap_mutex - empty, 1 thread");
            }
            _ => self.unfitted("locked", self.model.cost.locked.ns, "no rows of 1 thread, 0ns"),
        }
        self.fit_delays(empty.unwrap_or(0.0));
        self.fit_transfer()
    }

    /// How long delay loops really take, alone and beside busy sibling threads.
    fn fit_delays(&mut self, empty: f64) {
        let loads = self.rows().filter(|r| r.lock == Lock::Empty && r.threads == 1);
        let Some(load) = loads.max_by_key(|r| r.held + r.apart).filter(|r| r.held + r.apart > 0)
        else {
            return self.constants.push(format!(
                "{}: delays x 1, not fitted (no row empty, 1 thread, with a delay)",
                self.name
            ));
        };
        let alone = (load.ns - empty).max(1.0);
        self.stretch = alone / (load.held + load.apart) as f64;
        self.constants
            .push(format!("{}: delays x {:.3}, fitted: empty, 1 thread", self.name, self.stretch));
        let smt = self.model.topology.smt;
        let paired = |n: usize| smt > 1 && self.occupied(n)[0] * smt == n;
        let same = |r: &&Row| r.lock == Lock::Empty && (r.held, r.apart) == (load.held, load.apart);
        let ratio = |r: &Row| {
            let (joined, late) = self.overhead(r.threads);
            (r.ns * r.threads as f64 - joined - late) / alone
        };
        let rows = self.rows().filter(same).filter(|r| paired(r.threads));
        let ratios: Vec<f64> = rows.map(ratio).collect();
        if !ratios.is_empty() {
            let from = "empty with a delay, all threads of each core";
            self.set("smt-slowdown", median(&ratios).clamp(1.0, 4.0), "fitted", from);
        }
    }

    /// The transfer between cores that makes the shared counter cost what it does. Longer
    /// distances keep the model's ratio to it: the counter does not identify them, since
    /// cores nearby are served first.
    fn fit_transfer(&mut self) -> Result<(), String> {
        let counter = |r: &&Row| r.lock == Lock::IncDec && (r.held, r.apart) == (0, 0);
        let rows: Vec<Row> = self
            .rows()
            .filter(counter)
            .filter(|r| self.occupied(r.threads)[0] > 1)
            .cloned()
            .collect();
        let near = |most: [usize; 2]| {
            let within = |r: &&Row| {
                let [_, groups, packages] = self.occupied(r.threads);
                groups <= most[0] && packages <= most[1]
            };
            rows.iter().filter(within).cloned().collect::<Vec<Row>>()
        };
        let within = [
            ("within one L3 group", near([1, 1])),
            ("within one package", near([usize::MAX, 1])),
            ("across packages", rows.clone()),
        ];
        let Some((where_, rows)) = within.into_iter().find(|(_, rows)| !rows.is_empty()) else {
            self.unfitted("l3", self.model.cost.l3.ns, "no rows incdec_refcount, 0ns, 2 cores");
            return Ok(());
        };
        let (mut low, mut high) = (5.0, 500.0);
        while high - low > 1.0 {
            let middle = (low + high) / 2.0;
            self.scale(middle);
            let errors: Result<Vec<f64>, String> =
                rows.par_iter().map(|r| Ok(self.predict(r, FITTING)?.0 / r.ns - 1.0)).collect();
            if median(&errors?) > 0.0 { high = middle } else { low = middle }
        }
        let ns = ((low + high) / 2.0).round();
        self.scale(ns);
        self.set("l3", ns, "fitted", &format!("incdec_refcount, 2 cores and more {where_}"));
        self.name_scaled();
        Ok(())
    }

    /// Sets `l3`, and with it the distances that are not stated.
    fn scale(&mut self, ns: f64) {
        let fixed = |key| self.stated.contains(&key);
        let (package, remote) = (fixed("package"), fixed("remote"));
        let cost = &mut Arc::make_mut(&mut self.model).cost;
        let factor = ns / cost.l3.ns;
        cost.l3.ns = ns;
        cost.package.ns *= if package { 1.0 } else { factor };
        cost.remote.ns *= if remote { 1.0 } else { factor };
    }

    /// Notes the prices of the distances that the counter does not identify.
    fn name_scaled(&mut self) {
        let (shape, cost) = (&self.model.topology, &self.model.cost);
        let there = [
            ("package", cost.package.ns, shape.l3_groups > 1),
            ("remote", cost.remote.ns, shape.packages > 1),
        ];
        let (l3, model) = (cost.l3.ns, self.model.name.clone());
        for (key, ns, _) in
            there.into_iter().filter(|(key, _, is)| *is && !self.stated.contains(key))
        {
            self.constants.push(format!(
                "{}: {key} = {ns:.2}, not identified by these rows: {:.2} x l3, as in model {model}",
                self.name,
                ns / l3
            ));
        }
    }

    /// Nanoseconds per operation, and what the simulation of it took.
    fn predict(&self, row: &Row, operations: u64) -> Result<(f64, Hammered), String> {
        let run = hammer(&self.model, &self.point(row), operations, 1);
        let run = run.map_err(|e| {
            format!("{}, {}, {} threads: {e}", self.name, row.lock.name(), row.threads)
        })?;
        Ok((run.ns + self.overhead(row.threads).0 / row.threads as f64, run))
    }

    /// Predicts every curve up to `most_threads`, and holds it against its measurement. `seen` is told how
    /// many points of how many are done.
    ///
    /// # Errors
    ///
    /// A line that names host, lock and threads where a simulation fails.
    pub fn judge(
        &self,
        most_threads: usize,
        seen: impl Fn(usize, usize) + Sync,
    ) -> Result<Vec<Verdict>, String> {
        let predicted = |r: &&Row| Lock::PREDICTED.contains(&r.lock) && r.threads <= most_threads;
        let rows: Vec<&Row> = self.rows().filter(predicted).collect();
        let done = AtomicUsize::new(0);
        let judged = |row: &&Row| {
            let verdict = self.settle(row);
            seen(done.fetch_add(1, Ordering::Relaxed) + 1, rows.len());
            verdict
        };
        rows.par_iter().map(judged).collect()
    }

    /// Twice as many operations each time, until the figure stays.
    fn settle(&self, row: &Row) -> Result<Verdict, String> {
        let mut operations = FEWEST;
        let (mut before, mut work) = self.predict(row, operations)?;
        let mut hand_overs = operations * row.threads as u64;
        loop {
            operations *= 2;
            let (ns, more) = self.predict(row, operations)?;
            hand_overs += operations * row.threads as u64;
            work.events += more.events;
            let unsettled = (ns / before - 1.0).abs();
            if unsettled < SETTLED || more.events > MOST_EVENTS || operations >= MOST {
                return Ok(Verdict {
                    host: self.name.clone(),
                    lock: row.lock,
                    held: row.held,
                    apart: row.apart,
                    threads: row.threads,
                    packages: self.occupied(row.threads)[2],
                    measured: row.ns,
                    predicted: ns,
                    operations,
                    unsettled,
                    events: work.events,
                    hand_overs,
                });
            }
            before = ns;
        }
    }
}

/// Operations per thread of a simulation that only serves a fit.
const FITTING: u64 = 60;
/// Operations per thread of a cell's first simulation; each next one has twice as many.
const FEWEST: u64 = 60;
/// No more operations per thread than lockhammer's own runs had.
const MOST: u64 = 5000;
/// A simulation with more events than this is a cell's last.
const MOST_EVENTS: u64 = 3_000_000;
