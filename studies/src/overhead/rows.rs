//! The rows of the table, each a pair of ways to do an operation.

use std::hint::black_box;

use machine::{Cpu, Failure, Machine, Site, SpinLock, native};
use variants::SwapAllocator;
use variants::percluster::PerCluster;

use super::ways::{
    Hand, Nothing, Off, On, acquisitions, by_hand, churned, fault, in_engine, setting,
};
use super::{Effort, GOAL, Pair, Row};
use crate::null::Null;
use bench_harness::plan::defaults;
use bench_harness::workload::Stage;
use bench_harness::workload::churn::Churn;

type Rows = fn(&Effort) -> Result<Vec<Row>, Failure>;

pub(super) const ALL: [Rows; 6] = [null, record, timed, sampled, sites, engine];

/// Not timed at all.
const NEVER: u32 = u32::MAX;
/// The most that a record should take beyond the two clock reads, ns.
const RECORD: f64 = 3.5;
/// The most that accounting should add per acquisition inside an allocator, ns.
const SITES: f64 = 1.5;

/// An allocator that does nothing.
fn null(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let setup = |cpu: &_| Stage::<On, Null<On>>::new::<Nothing<false>>(&setting(1, NEVER), cpu);
    let hand = |_| {
        by_hand::<On, _>(effort, setup, |stage, cpu, _| {
            u64::from(stage.swap.alloc.alloc(cpu, 0).is_some())
        })
    };
    let engine = |seed| in_engine::<On, Null<On>, Nothing<false>>(effort, &setting(seed, NEVER));
    let pair = Pair::measure(effort, hand, engine)?;
    Ok(vec![pair.base("null allocator, bare loop"), pair.more("through the engine", None)])
}

/// The time between two clock reads, and the same in a histogram.
fn record(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let between = |cpu: &<On as Machine>::Cpu| {
        let start = cpu.now();
        black_box(cpu.now()).saturating_sub(start)
    };
    let reads = |_| {
        by_hand::<On, _>(
            effort,
            |_| (),
            move |_, cpu, _| {
                black_box(between(cpu));
                1
            },
        )
    };
    let records = |_| {
        by_hand::<On, _>(
            effort,
            |_| (),
            move |_, cpu, hand| {
                hand.recorder.record(between(cpu));
                1
            },
        )
    };
    let pair = Pair::measure(effort, reads, records)?;
    let base = pair.base("two clock reads, loop by hand");
    Ok(vec![base, pair.more("recorded in the histogram", Some(RECORD))])
}

/// A timed operation that does nothing: beside the record, it is counted, has a part of the window
/// and is looked at for gaps.
fn timed(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let reads = |seed| in_engine::<On, Null<On>, Nothing<true>>(effort, &setting(seed, NEVER));
    let timed = |seed| in_engine::<On, Null<On>, Nothing<false>>(effort, &setting(seed, 1));
    let pair = Pair::measure(effort, reads, timed)?;
    let base = pair.base("null operation and two clock reads, engine");
    Ok(vec![base, pair.more("timed and recorded", None)])
}

/// A real operation, sampled and fully timed.
fn sampled(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let churn = |sample| {
        move |seed| in_engine::<On, PerCluster<On>, Churn<On>>(effort, &setting(seed, sample))
    };
    let usual = defaults::sample();
    let some = Pair::measure(effort, churn(NEVER), churn(usual))?;
    let all = Pair::measure(effort, churn(NEVER), churn(1))?;
    Ok(vec![
        some.base("churn operation, untimed"),
        some.more(format!("1 in {usual} timed"), None),
        all.more("all timed", None),
    ])
}

static PAIR: Site = Site::new("lock", "overhead");

fn lock_pair<M: Machine<Config = native::Config>>(effort: &Effort) -> Result<f64, Failure> {
    let setup = |_: &M::Cpu| SpinLock::<M>::new();
    by_hand::<M, _>(effort, setup, |lock, cpu, _| {
        let guard = lock.lock(cpu, &PAIR);
        lock.unlock(cpu, guard);
        1
    })
}

/// Lock sites, on a lock alone and in the allocator.
fn sites(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let pair = Pair::measure(effort, |_| lock_pair::<Off>(effort), |_| lock_pair::<On>(effort))?;
    let setting = |seed| setting(seed, defaults::sample());
    let off = |seed| in_engine::<Off, PerCluster<Off>, Churn<Off>>(effort, &setting(seed));
    let on = |seed| in_engine::<On, PerCluster<On>, Churn<On>>(effort, &setting(seed));
    let churn = Pair::measure(effort, off, on)?;
    let taken = acquisitions::<On, PerCluster<On>, Churn<On>>(effort, &setting(0))?;
    Ok(vec![
        pair.base("uncontended lock pair, no accounting"),
        pair.more("with lock-site accounting", None),
        churn.base("churn operation, no accounting"),
        churn.more("with lock-site accounting", None),
        churn.more_each("accounting in place, per acquisition", taken, Some(SITES)),
    ])
}

/// The engine as runs use it.
fn engine(effort: &Effort) -> Result<Vec<Row>, Failure> {
    let effort = &Effort { rounds: 2 * effort.rounds, ..*effort };
    let fault = |stage: &_, cpu: &_, hand: &mut Hand| fault(stage, cpu, &mut hand.rng);
    let hand = |seed| by_hand::<On, _>(effort, churned(seed), fault);
    let setting = |seed| setting(seed, defaults::sample());
    let engine = |seed| in_engine::<On, PerCluster<On>, Churn<On>>(effort, &setting(seed));
    let pair = Pair::measure(effort, hand, engine)?;
    Ok(vec![
        pair.base("churn operation, loop by hand"),
        pair.times("through the engine", Some(GOAL)),
    ])
}
