//! What measuring costs: the engine's loop beside a loop written by hand, over the same variant,
//! lock and workload, on one thread. Guards the promise that the figures are the allocator's.

use std::fmt;
use std::time::Duration;

use machine::lock::Tas;
use machine::{Cpu, Failure, Native, native};
use results::stats::{Interval, bootstrap_median, median};
use variants::percluster::PerCluster;

use crate::plan::{Fill, Orders, Size};
use crate::trial::{self, Setting};
use crate::workload::churn::Local;
use crate::workload::{Params, Stage};

type M = Native<Tas, true>;
type A = PerCluster<M>;

/// What the promise is.
pub const GOAL: f64 = 1.03;

/// Time of an operation in the engine over its time in the hand-written loop.
#[derive(Clone, Debug)]
pub struct Overhead {
    pub ratio: f64,
    /// 95 %, by bootstrap over the rounds.
    pub interval: Interval,
    pub rounds: usize,
}

impl Overhead {
    /// None where the interval holds both 1 and more than the goal allows.
    pub fn verdict(&self) -> Option<bool> {
        if self.interval.hi <= GOAL {
            Some(true)
        } else if self.interval.lo > GOAL {
            Some(false)
        } else {
            None
        }
    }
}

impl fmt::Display for Overhead {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Overhead { ratio, interval: Interval { lo, hi }, rounds } = self;
        let verdict = match self.verdict() {
            Some(true) => "within the goal",
            Some(false) => "beyond the goal",
            None => "not decidable here",
        };
        write!(
            f,
            "engine over hand-written loop {ratio:.4}, 95 % interval {lo:.4}..{hi:.4} \
             ({rounds} ABBA rounds): {verdict} of {GOAL}"
        )
    }
}

/// Measures in `rounds` of engine, hand, hand, engine, each `window` long, on `cpu`.
pub fn measure(rounds: usize, window: Duration, cpu: usize) -> Result<Overhead, Failure> {
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let seed = round as u64;
        let engine = |seed| in_engine(window, cpu, seed);
        let hand = |seed| by_hand(window, cpu, seed);
        let (a, b, c, d) = (engine(seed)?, hand(seed)?, hand(seed)?, engine(seed)?);
        ratios.push((b + c) / (a + d));
    }
    Ok(Overhead { ratio: median(&ratios), interval: bootstrap_median(&ratios), rounds })
}

fn setting(measure: Duration, seed: u64) -> Setting {
    let (size, orders) = (Size::mib(64), Some(Orders::base_pages()));
    let params =
        Params { size, fill: Fill::Percent(75), orders, batch: None, think_ns: 0, rate: None };
    Setting { params, threads: 1, seed, sample: 64, measure, host: None }
}

fn config(window: Duration, cpu: usize, measure: Duration) -> native::Config {
    native::Config { pins: vec![Some(cpu)], warm: window / 4, measure }
}

/// Operations per nanosecond, as a run measures them.
fn in_engine(window: Duration, cpu: usize, seed: u64) -> Result<f64, Failure> {
    let logs = trial::run::<M, A, Local<M>>(&config(window, cpu, window), &setting(window, seed))?;
    let time = logs[0].closed.saturating_sub(logs[0].opened).max(1);
    Ok(logs[0].meter.total() as f64 / time as f64)
}

/// The same churn without phases, meter and samples: the clock is read every 1024 faults.
fn by_hand(window: Duration, cpu: usize, seed: u64) -> Result<f64, Failure> {
    let mut untimed = config(window, cpu, Duration::MAX);
    untimed.warm = Duration::ZERO;
    let setting = setting(window, seed);
    let setup = move |cpu: &_| {
        let stage = Stage::<M, A>::new::<Local<M>>(&setting, cpu);
        stage.swap_all_out(cpu);
        stage
    };
    let outcome = <M as machine::Machine>::run(
        &untimed,
        setup,
        move |stage, cpu| {
            let mut rng = stage.rng(cpu.id());
            churn_for(stage, cpu, &mut rng, window / 4);
            churn_for(stage, cpu, &mut rng, window)
        },
        |_, _| {},
    )?;
    Ok(outcome.workers[0])
}

#[inline(never)]
fn churn_for(
    stage: &Stage<M, A>,
    cpu: &<M as machine::Machine>::Cpu,
    rng: &mut fastrand::Rng,
    time: Duration,
) -> f64 {
    let (swap, pages) = (&stage.swap, stage.swap.owners.pages());
    let (start, mut done) = (cpu.now(), 0u64);
    loop {
        for _ in 0..1024 {
            let page = rng.usize(..pages);
            if swap.owners.get(0, page).is_some() {
                done += u64::from(swap.swap_in(cpu, 0, page, false));
            }
            if swap.owners.get(0, page).is_none() {
                done += u64::from(swap.swap_out(cpu, 0, page, 0, false));
            }
        }
        let passed = cpu.now() - start;
        if u128::from(passed) >= time.as_nanos() {
            return done as f64 / passed as f64;
        }
    }
}
