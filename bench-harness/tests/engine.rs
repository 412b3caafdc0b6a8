//! The engine rejects what must be rejected: an allocator that is fast and wrong, and workers that
//! were not at work together.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::cell::Windows;
use bench_harness::meter::{Kind, Meter};
use bench_harness::trial::{self, Setting};
use bench_harness::units::{Fill, Orders, Size};
use bench_harness::workload::churn::Churn;
use bench_harness::workload::mthp::Mthp;
use bench_harness::workload::seq::FillAndFree;
use bench_harness::workload::swapoff::Storm;
use bench_harness::workload::{Params, Stage, Workload};
use machine::lock::Tas;
use machine::{Cpu, Failure, Machine, Native, Phase, native};
use probe::recorder::histogram;
use results::schema::LEAST_OVERLAP;
use variants::device::{Base, Device};
use variants::percluster::PerCluster;
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

type M = Native<Tas, true>;
type MyCpu = <M as Machine>::Cpu;

fn config(workers: usize) -> native::Config {
    let (warm, measure) = (Duration::from_millis(5), Duration::from_millis(20));
    native::Config { pins: vec![None; workers], warm, measure }
}

fn setting(threads: usize) -> Setting {
    let (size, orders) = (Size::mib(4), Some(Orders::base_pages()));
    let params = Params { size, fill: Fill::Percent(50), orders, ..Params::default() };
    let measure = Duration::from_millis(20);
    Setting { params, threads, seed: 1, sample: 64, measure, host: None }
}

/// How a [`Broken`] allocator is wrong, one call in a hundred.
const HANDS_OUT_TWICE: u8 = 0;
const LOSES_A_FREE: u8 = 1;
const FREES_TWICE: u8 = 2;
const NOT: u8 = 3;

/// percluster, with a fault in one of its calls.
struct Broken<const HOW: u8> {
    inner: PerCluster<M>,
    calls: AtomicU64,
    last: AtomicU64,
}

impl<const HOW: u8> Broken<HOW> {
    fn now(&self, how: u8) -> bool {
        HOW == how && self.calls.fetch_add(1, Ordering::Relaxed) % 100 == 99
    }
}

impl<const HOW: u8> SwapAllocator<M> for Broken<HOW> {
    fn new(spec: &Spec, cpu: &MyCpu) -> Self {
        let (calls, last) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner: PerCluster::new(spec, cpu), calls, last }
    }
    fn alloc(&self, cpu: &MyCpu, order: usize) -> Option<SwpEntry> {
        let last = SwpEntry::from_pte(self.last.load(Ordering::Relaxed));
        if self.now(HANDS_OUT_TWICE)
            && let Some(entry) = last
            && self.inner.prepare_cache(cpu, entry)
        {
            return Some(entry);
        }
        let entry = self.inner.alloc(cpu, order);
        self.last.store(SwpEntry::to_pte(entry), Ordering::Relaxed);
        entry
    }
    fn put(&self, cpu: &MyCpu, entry: SwpEntry, nr: u32) {
        if self.now(LOSES_A_FREE) {
            return;
        }
        self.inner.put(cpu, entry, nr);
        if self.now(FREES_TWICE) {
            self.inner.put(cpu, entry, nr);
        }
    }
    fn base(&self) -> &Base<M> {
        self.inner.base()
    }
    fn swapon(&self, cpu: &MyCpu, dev: usize) -> bool {
        self.inner.swapon(cpu, dev)
    }
    fn swapoff(&self, cpu: &MyCpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        self.inner.swapoff(cpu, dev, owners)
    }
    fn put_and_reclaim(&self, cpu: &MyCpu, entry: SwpEntry, nr: u32) -> bool {
        self.inner.put_and_reclaim(cpu, entry, nr)
    }
    fn put_folio(&self, cpu: &MyCpu, entry: SwpEntry, order: usize) {
        self.inner.put_folio(cpu, entry, order);
    }
    fn with_entry<T>(
        &self,
        cpu: &MyCpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        self.inner.with_entry(cpu, entry, site, action)
    }
    fn add_continuation(&self, cpu: &MyCpu, entry: SwpEntry) {
        self.inner.add_continuation(cpu, entry);
    }
    fn validate(&self) -> Result<(), String> {
        self.inner.validate()
    }
}

fn verdict<const HOW: u8>() -> String {
    match trial::run::<M, Broken<HOW>, Churn<M>>(&config(1), &setting(1)) {
        Ok(_) => "passed".into(),
        Err(Failure::Panicked(why)) => why,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_wrong_allocator_has_no_figures() {
    assert_eq!(verdict::<NOT>(), "passed", "percluster behind the same wrapper");
    let twice = verdict::<HANDS_OUT_TWICE>();
    assert!(twice.contains("handed out") || twice.contains("users"), "{twice}");
    let lost = verdict::<LOSES_A_FREE>();
    assert!(lost.contains("no page-table entry names it"), "{lost}");
    assert_ne!(verdict::<FREES_TWICE>(), "passed");
}

/// Folios of a mix of orders go out and come back, and what is left is consistent.
fn mixed<W: Workload<M>>(workload: &'static str) {
    let mut setting = setting(2);
    setting.params.workload = workload;
    setting.params.orders = Some("0:.5,2:.3,4:.2".parse().unwrap());
    let logs = trial::run::<M, PerCluster<M>, W>(&config(2), &setting).unwrap();
    let count = |kind| logs.iter().map(|log| log.meter.tallies[kind as usize].count()).sum::<u64>();
    assert!(count(Kind::AllocLarge) + count(Kind::Refill) > 0);
}

#[test]
fn orders_are_drawn_from_the_mix() {
    mixed::<Churn<M>>("churn");
    mixed::<Churn<M>>("churn-remote");
    mixed::<FillAndFree<M>>("seq");
    mixed::<Storm<M>>("swapoff");
    mixed::<Mthp<M>>("mthp");
}

/// Steps that worker 0 took after its window.
static AFTER: AtomicU64 = AtomicU64::new(0);

/// Worker 1 sleeps through the window; worker 0 does next to nothing.
struct Sleeper;

impl Workload<M> for Sleeper {
    type Worker = ();
    fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &MyCpu) -> Self {
        Self
    }
    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &MyCpu) {}
    fn step<A: SwapAllocator<M>>(
        &self,
        _: &Stage<M, A>,
        cpu: &MyCpu,
        _: &mut (),
        meter: &mut Meter,
    ) {
        if cpu.id() == 1 {
            std::thread::sleep(Duration::from_millis(500));
        } else if cpu.phase() == Phase::Overrun {
            AFTER.fetch_add(1, Ordering::Relaxed);
            meter.op(cpu, Kind::Get, || true);
        }
    }
}

#[test]
fn a_late_worker_is_seen_and_early_ones_keep_the_load_on() {
    let logs = trial::run::<M, PerCluster<M>, Sleeper>(&config(2), &setting(2)).unwrap();
    let windows: Vec<_> = logs.iter().map(|log| (log.opened, log.closed)).collect();
    assert!(Windows::of(&windows, config(2).measure).overlap < LEAST_OVERLAP, "{windows:?}");
    assert!(AFTER.load(Ordering::Relaxed) > 1, "worker 0 stopped before worker 1 was done");
    // The step that is under way when the window closes began in it.
    assert!(logs[0].meter.total() <= 1, "{} counted after the window", logs[0].meter.total());
}

/// A step takes two milliseconds at least and is due every millisecond: each is later than the one
/// before, which its service time does not show and its response time must.
#[test]
fn lateness_is_in_the_response_time() {
    struct Slow;
    impl Workload<M> for Slow {
        type Worker = ();
        fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &MyCpu) -> Self {
            Self
        }
        fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &MyCpu) {}
        fn step<A: SwapAllocator<M>>(
            &self,
            _: &Stage<M, A>,
            cpu: &MyCpu,
            _: &mut (),
            meter: &mut Meter,
        ) {
            meter.op(cpu, Kind::Get, || {
                std::thread::sleep(Duration::from_millis(2));
                true
            });
        }
    }
    let mut setting = setting(1);
    setting.params.rate = NonZeroU64::new(1000);
    let logs = trial::run::<M, PerCluster<M>, Slow>(&config(1), &setting).unwrap();
    let tally = &logs[0].meter.tallies[Kind::Get as usize];
    let [service, response] = [&tally.latency, &tally.response].map(|recorder| {
        let mut all = histogram();
        recorder.as_ref().unwrap().add_to(&mut all);
        all
    });
    assert_eq!((service.len(), response.len()), (tally.count(), tally.count()), "all are timed");
    assert!(response.max() >= service.max());
    // Step n began n ms late at the least, two steps of 2 ms after the first was due.
    let late = Duration::from_millis(tally.count()).as_nanos() as u64;
    assert!(response.max() >= late, "{} steps, {} ns", tally.count(), response.max());
}
