//! Ways to do an operation again and again: in the engine, and in a loop written by hand, without
//! phases, meter and samples.

use std::hint::black_box;
use std::time::Duration;

use machine::lock::Tas;
use machine::{Cpu, Failure, Machine, Native, native};
use variants::percluster::PerCluster;
use variants::{Folio, SwapAllocator};

use super::Effort;
use bench_harness::meter::{Kind, Meter};
use bench_harness::plan::defaults::sample;
use bench_harness::trial::{self, Log, Setting};
use bench_harness::units::{Fill, Orders, Size};
use bench_harness::workload::churn::Churn;
use bench_harness::workload::{Params, Stage, Workload};
use probe::recorder::Recorder;

pub(super) type On = Native<Tas, true>;
pub(super) type Off = Native<Tas, false>;

/// Turns of a loop by hand between two reads of the clock.
const TURNS: u32 = 1024;

pub(super) fn setting(seed: u64, sample: u32) -> Setting {
    let (size, orders) = (Size::mib(64), Some(Orders::base_pages()));
    let params = Params { size, fill: Fill::Percent(75), orders, ..Params::default() };
    Setting { params, threads: 1, seed, sample, measure: Duration::MAX, host: None }
}

/// Time per operation of a trial, ns.
pub(super) fn in_engine<M, A, W>(effort: &Effort, setting: &Setting) -> Result<f64, Failure>
where
    M: Machine<Config = native::Config>,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    let log = log::<M, A, W>(effort, setting)?;
    let time = log.closed.saturating_sub(log.opened);
    Ok(time as f64 / log.meter.total().max(1) as f64)
}

/// Lock acquisitions per operation of a trial.
pub(super) fn acquisitions<M, A, W>(effort: &Effort, setting: &Setting) -> Result<f64, Failure>
where
    M: Machine<Config = native::Config>,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    let log = log::<M, A, W>(effort, setting)?;
    let acquired: u64 = log.sites.iter().map(|site| site.acquired).sum();
    Ok(acquired as f64 / log.meter.total().max(1) as f64)
}

fn log<M, A, W>(effort: &Effort, setting: &Setting) -> Result<Log, Failure>
where
    M: Machine<Config = native::Config>,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    let Effort { window, cpu, .. } = *effort;
    let config = native::Config { pins: vec![Some(cpu)], warm: window / 4, measure: window };
    let setting = Setting { measure: window, ..setting.clone() };
    Ok(trial::run::<M, A, W>(&config, &setting)?.remove(0))
}

/// The state of a loop by hand beside the system under test.
pub(super) struct Hand {
    pub rng: fastrand::Rng,
    pub recorder: Recorder,
}

/// Time per operation, ns; `turn` returns how many operations it did.
pub(super) fn by_hand<M, S>(
    effort: &Effort,
    setup: impl Fn(&M::Cpu) -> S + Send + Sync + 'static,
    turn: impl Fn(&S, &M::Cpu, &mut Hand) -> u64 + Send + Sync + 'static,
) -> Result<f64, Failure>
where
    M: Machine<Config = native::Config>,
    S: Send + Sync + 'static,
{
    let Effort { window, cpu, .. } = *effort;
    let mut config = native::Config::untimed(1);
    config.pins = vec![Some(cpu)];
    let worker = move |state: &S, cpu: &M::Cpu| {
        let mut hand = Hand { rng: fastrand::Rng::with_seed(1), recorder: Recorder::default() };
        turns::<M, S>(state, cpu, &mut hand, window / 4, &turn);
        turns::<M, S>(state, cpu, &mut hand, window, &turn)
    };
    Ok(M::run(&config, setup, worker, |_, _| {})?.workers[0])
}

#[inline(never)]
fn turns<M: Machine, S>(
    state: &S,
    cpu: &M::Cpu,
    hand: &mut Hand,
    time: Duration,
    turn: &impl Fn(&S, &M::Cpu, &mut Hand) -> u64,
) -> f64 {
    let (start, mut done) = (cpu.now(), 0u64);
    loop {
        for _ in 0..TURNS {
            done += turn(state, cpu, hand);
        }
        let passed = cpu.now() - start;
        if u128::from(passed) >= time.as_nanos() {
            return passed as f64 / done as f64;
        }
    }
}

/// A percluster device as churn sets it up.
pub(super) fn churned(seed: u64) -> impl Fn(&<On as Machine>::Cpu) -> Stage<On, PerCluster<On>> {
    move |cpu| {
        let stage = Stage::new::<Churn<On>>(&setting(seed, sample()), cpu);
        let _set_up = Churn::<On>::new(&stage, cpu);
        stage
    }
}

/// One of churn's faults, on one CPU; how many operations it was.
#[inline]
pub(super) fn fault(
    stage: &Stage<On, PerCluster<On>>,
    cpu: &<On as Machine>::Cpu,
    rng: &mut fastrand::Rng,
) -> u64 {
    let (swap, page) = (&stage.swap, rng.usize(..stage.swap.owners.pages()));
    let mut done = 0;
    if swap.owners.get(0, page).is_some() {
        done += u64::from(swap.swap_in(cpu, 0, page, Folio::Drop));
    }
    if swap.owners.get(0, page).is_none() {
        done += u64::from(swap.swap_out(cpu, 0, page, 0, Folio::Drop));
    }
    done
}

/// The time that `iters` operations of churn take, as another harness would ask for them.
///
/// # Errors
///
/// A [`Failure`] where the CPU cannot be used.
pub fn churn_fault(cpu: usize, iters: u64) -> Result<Duration, Failure> {
    let mut config = native::Config::untimed(1);
    config.pins = vec![Some(cpu)];
    let worker = move |stage: &Stage<On, PerCluster<On>>, cpu: &<On as Machine>::Cpu| {
        let mut rng = fastrand::Rng::with_seed(1);
        let (start, mut done) = (cpu.now(), 0);
        while done < iters {
            done += fault(stage, cpu, &mut rng);
        }
        // The last fault may have been one operation too many.
        (cpu.now() - start) as f64 * iters as f64 / done as f64
    };
    let outcome = On::run(&config, churned(1), worker, |_, _| {})?;
    Ok(Duration::from_nanos(outcome.workers[0] as u64))
}

/// Nothing, as an operation of the engine; or between the clock reads of a timed one.
pub(super) struct Nothing<const READS: bool>;

impl<M: Machine, const READS: bool> Workload<M> for Nothing<READS> {
    type Worker = ();
    fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &M::Cpu) -> Self {
        Self
    }
    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &M::Cpu) {}
    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        _: &mut (),
        meter: &mut Meter,
    ) {
        let read = || {
            if READS {
                black_box(cpu.now());
            }
        };
        meter.op(cpu, Kind::Alloc, || {
            read();
            let ok = stage.swap.alloc.alloc(cpu, 0).is_some();
            read();
            ok
        });
    }
}
