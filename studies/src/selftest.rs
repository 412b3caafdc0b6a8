//! The engine tested as what it is: an instrument. Faults that others' harnesses were published
//! with, and what a figure is worth here. One room a check; each takes what it checks as an
//! argument, so that a test can hand it something broken.

use std::fmt;
use std::time::Duration;

use machine::lock::Tas;
use machine::topology::{Pin, Topology};
use machine::{Failure, Native, native};

use crate::null::Null;
use bench_harness::engine::EngineError;
use bench_harness::trial::{self, Log, Setting};
use bench_harness::units::{Fill, Orders, Size};
use bench_harness::workload::{Params, Workload};

mod absent;
mod falsealarm;
mod gate;
mod identity;
mod load;
mod lock;
mod order;
mod overlap;
mod pinning;
mod sensitivity;
mod sites;
mod stall;
mod trials;

type M = Native<Tas, true>;

/// The result of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub check: &'static str,
    /// None where this machine cannot decide it.
    pub held: Option<bool>,
    /// With the figure it is judged by.
    pub figure: String,
    /// A curve, one line per point.
    pub curve: Vec<String>,
}

impl Finding {
    fn new(check: &'static str, held: bool, figure: String) -> Self {
        Self { check, held: Some(held), figure, curve: Vec::new() }
    }

    fn undecided(check: &'static str, why: &str) -> Self {
        Self { check, held: None, figure: why.into(), curve: Vec::new() }
    }

    pub fn broken(&self) -> bool {
        self.held == Some(false)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let word = match self.held {
            Some(true) => "held",
            Some(false) => "BROKEN",
            None => "can't tell",
        };
        write!(f, "{:<12} {word:<10} {}", self.check, self.figure)?;
        self.curve.iter().try_for_each(|line| write!(f, "\n{:24}{line}", ""))
    }
}

/// How a trial is run: as the engine does, or in a test with a fault.
trait Harness {
    fn run<W: Workload<M>>(
        &self,
        config: &native::Config,
        setting: &Setting,
    ) -> Result<Vec<Log>, Failure>;
}

struct Engine;

impl Harness for Engine {
    fn run<W: Workload<M>>(
        &self,
        config: &native::Config,
        setting: &Setting,
    ) -> Result<Vec<Log>, Failure> {
        trial::run::<M, Null<M>, W>(config, setting)
    }
}

/// Runs every check and hands each finding to `tell` as it ends. The last two checks share about
/// `time` of measuring.
///
/// # Errors
///
/// An [`EngineError`] where the trials of the last two cannot be run or stored.
pub fn run(
    topology: &Topology,
    time: Duration,
    mut tell: impl FnMut(&Finding),
) -> Result<Vec<Finding>, EngineError> {
    let cpus = Pin::SmtLast.order(topology).expect("a policy fits its own machine");
    let mut findings = Vec::new();
    let mut add = |finding: Finding| {
        tell(&finding);
        findings.push(finding);
    };
    add(overlap::check(&Engine, &cpus));
    add(load::check(&Engine));
    add(pinning::check(pinning::planned));
    add(order::check(bench_harness::schedule::interleaved));
    add(lock::check::<lock::Busted>(&cpus));
    add(absent::check(absent::read(&cpus)));
    add(accounting_off());
    add(stall::check(&Engine, &cpus));
    add(identity::check(identity::here, identity::pooled));
    add(gate::level(results::family::corrected));
    add(gate::power(results::family::corrected));
    let trials = trials::measure(topology, time)?;
    add(falsealarm::check(&trials, bench_harness::schedule::interleaved));
    add(sensitivity::check(&trials, trials::worse));
    Ok(findings)
}

/// Whether lock-site accounting leaves code behind where it is off.
pub fn accounting_off() -> Finding {
    sites::check(sites::pairs())
}

/// A small trial of `threads` workers, all operations timed.
fn setting(threads: usize) -> Setting {
    let (size, orders) = (Size::mib(4), Some(Orders::base_pages()));
    let params = Params { size, fill: Fill::Percent(50), orders, ..Params::default() };
    let measure = Duration::from_millis(20);
    Setting { params, threads, seed: 1, sample: 1, measure, host: None }
}

fn config(pins: &[usize], window: Duration) -> native::Config {
    native::Config {
        pins: pins.iter().copied().map(Some).collect(),
        warm: window / 4,
        measure: window,
    }
}
