//! One trial on any machine: set up, warm up, measure, keep the load on until the last worker has
//! stopped counting, then check the allocator. Guards that what is counted happened while every
//! worker was at work, and that a wrong allocator has no figures.

use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use machine::{Cpu, Failure, Kept, Machine, Phase, Region, SiteStats};
use results::schema::Counter;
use variants::device::Device as SwapDevice;
use variants::neighbours::Neighbours;
use variants::{Churn, Spec, Swap, SwapAllocator, SwpEntry};

use crate::meter::Meter;
use crate::workload::{Params, Stage, Workload, block};
use probe::Roots;
use probe::counters::{Counters, Groups};
use probe::noise::{Worker as NoiseWorker, WorkerNoise};

/// A trial's settings beside its machine's own configuration.
#[derive(Clone, Debug)]
pub struct Setting {
    pub params: Params,
    pub threads: usize,
    pub seed: u64,
    /// One operation in `sample` is timed, on average; in an open loop all are.
    pub sample: u32,
    /// The planned length of the window.
    pub measure: Duration,
    /// The host's counters and noise, where the machine's CPUs are the host's.
    pub host: Option<Groups>,
}

/// The log of one worker.
pub struct Log {
    /// Start and end of its window, on the machine's clock.
    pub opened: u64,
    pub closed: u64,
    /// Its window is as long as its steps: it does not bound the interval.
    pub control: bool,
    pub meter: Meter,
    pub sites: Vec<SiteStats>,
    pub host: Option<HostLog>,
}

/// The host's measurements of one worker's window.
pub struct HostLog {
    pub counters: BTreeMap<String, Counter>,
    pub noise: WorkerNoise,
}

/// Runs one trial; the logs are in the order of the CPUs.
///
/// # Errors
///
/// [`Failure::Panicked`] where the allocator or the workload broke an invariant; the machine's own
/// failures where it cannot run as configured.
pub fn run<M, A, W>(config: &M::Config, setting: &Setting) -> Result<Vec<Log>, Failure>
where
    M: Machine,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    run_on::<M, A, W>(config, setting, &Device::anew())
}

/// [`run`] on a device that other trials may have begun with.
///
/// # Errors
///
/// Those of [`run`].
pub fn run_on<M, A, W>(
    config: &M::Config,
    setting: &Setting,
    device: &Device<M>,
) -> Result<Vec<Log>, Failure>
where
    M: Machine,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    let make = |setting: &Setting, cpu: &M::Cpu| Arc::new(Trial::<M, A, W>::new(setting, cpu)) as _;
    run_erased::<M>(config, setting, device, make)
}

/// The device that trials begin with. On a machine that can, it is set up for the first one and put
/// back for each one after it: filling and ageing 8 GiB takes as long as simulating the trial.
pub struct Device<M: Machine> {
    /// The seed of its set-up, where not each trial's own.
    seed: Option<u64>,
    kept: Arc<Mutex<Option<Ready<M>>>>,
}

/// A trial's state, and what its regions held after the set-up.
type Ready<M> = (Arc<dyn AnyTrial<M>>, Kept);

impl<M: Machine> Device<M> {
    /// Each trial sets up its own.
    pub fn anew() -> Self {
        Self { seed: None, kept: Arc::default() }
    }

    /// One device for trials of one point, one after the other, whichever of them are run.
    pub fn kept(seed: u64) -> Self {
        Self { seed: Some(seed), kept: Arc::default() }
    }

    /// The next trial sets up anew: the last one has made regions that cannot be put back.
    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn ready(&self, setting: &Setting, cpu: &M::Cpu, make: MakeTrial<M>) -> Arc<dyn AnyTrial<M>> {
        let Some(seed) = self.seed else { return make(setting, cpu) };
        let mut ready = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let trial = match &*ready {
            Some((trial, kept)) => {
                M::restore(kept);
                trial.clone()
            }
            None => {
                let trial = make(&Setting { seed, ..setting.clone() }, cpu);
                *ready = M::keep().map(|kept| (trial.clone(), kept));
                trial
            }
        };
        trial.reseed(setting.seed);
        trial
    }
}

impl<M: Machine> Clone for Device<M> {
    fn clone(&self) -> Self {
        Self { seed: self.seed, kept: self.kept.clone() }
    }
}

/// A trial whose variant and workload are behind a pointer: the code that drives it is compiled
/// once per machine, not once per pair of them. It costs a worker a handful of dynamic calls in
/// all, and an operation none.
trait AnyTrial<M: Machine>: Send + Sync {
    /// From now on workers draw the random numbers of this seed. The devices are at rest.
    fn reseed(&self, seed: u64);
    /// The rate of an open loop.
    fn rate(&self) -> Option<NonZeroU64>;
    /// A new worker's own state, for [`AnyTrial::load`].
    fn worker(&self, cpu: &M::Cpu) -> Box<dyn Any>;
    /// Works until the phase after `last`.
    fn load(&self, cpu: &M::Cpu, worker: &mut dyn Any, meter: &mut Meter, last: Phase);
    /// See [`Workload::is_control`].
    fn is_control(&self, threads: usize, worker: usize) -> bool;
    /// Swap tables are counted from now on.
    fn count_tables(&self);
    /// The count, of all devices; `None` for a scheme without swap tables.
    fn table_churn(&self) -> Option<Churn>;
    fn verify(&self, cpu: &M::Cpu);
}

type MakeTrial<M> = fn(&Setting, &<M as Machine>::Cpu) -> Arc<dyn AnyTrial<M>>;

fn run_erased<M: Machine>(
    config: &M::Config,
    setting: &Setting,
    device: &Device<M>,
    make: MakeTrial<M>,
) -> Result<Vec<Log>, Failure> {
    let (setup, work, device) = (setting.clone(), setting.clone(), device.clone());
    let outcome = M::run(
        config,
        move |cpu| device.ready(&setup, cpu, make),
        move |trial, cpu| work_through::<M>(&**trial, cpu, &work),
        |trial, cpu| trial.verify(cpu),
    )?;
    Ok(outcome.workers)
}

/// One worker's life: warm-up, window, and load until the last worker's window is over.
fn work_through<M: Machine>(trial: &dyn AnyTrial<M>, cpu: &M::Cpu, setting: &Setting) -> Log {
    let mut worker = trial.worker(cpu);
    let sample = if trial.rate().is_some() { 1 } else { setting.sample };
    let meter = || match setting.host {
        // In an open loop every operation is timed.
        Some(_) if trial.rate().is_none() => Meter::new(sample).watch_clock(),
        _ => Meter::new(sample),
    };
    let (mut counting, mut uncounted) = (meter(), meter());
    let window = Window::new(setting.host.as_ref());
    trial.load(cpu, &mut *worker, &mut counting, Phase::Warm);
    // The window of the first worker that bounds the interval is that of the swap tables.
    let control = |worker: &usize| trial.is_control(setting.threads, *worker);
    let counts_tables = (0..setting.threads).find(|worker| !control(worker)) == Some(cpu.id());
    let window = window.open::<M>(cpu, &mut counting, setting.measure);
    if counts_tables {
        trial.count_tables();
    }
    trial.load(cpu, &mut *worker, &mut counting, Phase::Measure);
    if counts_tables && let Some(churn) = trial.table_churn() {
        counting.add("tables_born", churn.born);
        counting.add("tables_freed", churn.freed);
        counting.add("tables_most", churn.most);
    }
    let log = window.close::<M>(cpu, counting, trial.is_control(setting.threads, cpu.id()));
    cpu.window_closed();
    trial.load(cpu, &mut *worker, &mut uncounted, Phase::Overrun);
    log
}

struct Trial<M: Machine, A: SwapAllocator<M>, W> {
    stage: Stage<M, A>,
    workload: Region<M, Own<W>>,
}

/// Puts the workload into a [`Region`], so that the simulator knows its words. The `u8` keeps it
/// from being zero-sized, which a region refuses.
struct Own<W>(W, #[allow(dead_code)] u8);

impl<M: Machine, A: SwapAllocator<M>, W: Workload<M>> Trial<M, A, W> {
    fn new(setting: &Setting, cpu: &M::Cpu) -> Self {
        let stage = Stage::new::<W>(setting, cpu);
        let mut workload = Some(W::new(&stage, cpu));
        let only = |_| Own(workload.take().expect("there is one"), 0);
        let workload = Region::named("workload", 1, Vec::new(), only);
        Self { stage, workload }
    }

    fn workload(&self) -> &W {
        &self.workload[0].0
    }

    fn devices(&self) -> impl Iterator<Item = &SwapDevice<M>> {
        self.stage.swap.alloc.base().devices.iter()
    }
}

/// An open loop: step n is due n/rate after the first, however long the steps before it take. A
/// late worker starts its step at once; the delay counts as response time. Each window begins a
/// schedule of its own.
struct OpenLoop {
    start: u64,
    rate: NonZeroU64,
    next: u64,
}

impl OpenLoop {
    /// Waits until the next step is due and returns when that was; None if the phase ends first.
    #[inline(never)]
    fn wait<M: Machine>(&mut self, cpu: &M::Cpu, last: Phase) -> Option<u64> {
        let after = u128::from(self.next) * 1_000_000_000 / u128::from(self.rate.get());
        let due = self.start + after as u64;
        self.next += 1;
        while cpu.now() < due && cpu.phase() as u8 <= last as u8 {
            cpu.relax();
        }
        (cpu.phase() as u8 <= last as u8).then_some(due)
    }
}

impl<M: Machine, A: SwapAllocator<M>, W: Workload<M>> AnyTrial<M> for Trial<M, A, W> {
    fn reseed(&self, seed: u64) {
        self.stage.seed.store(seed, Relaxed);
        self.devices().for_each(SwapDevice::recount_tables);
    }

    fn rate(&self) -> Option<NonZeroU64> {
        self.stage.params.rate
    }

    fn count_tables(&self) {
        self.devices().for_each(SwapDevice::count_tables);
    }

    fn table_churn(&self) -> Option<Churn> {
        self.devices().map(SwapDevice::table_churn).sum()
    }

    fn worker(&self, cpu: &M::Cpu) -> Box<dyn Any> {
        let worker = self.workload().worker(&self.stage, cpu);
        self.stage.neighbours().forget_owed(cpu);
        Box::new(worker)
    }

    /// There is one call of the workload's step, so that it is compiled into the loop.
    fn load(&self, cpu: &M::Cpu, worker: &mut dyn Any, meter: &mut Meter, last: Phase) {
        let worker = worker.downcast_mut().expect("a worker of this workload");
        let Params { think_ns, rate, .. } = self.stage.params;
        let masked = self.stage.params.devices.as_ref().filter(|devices| devices.masked());
        let mut steps = 0;
        let mut schedule = rate.map(|rate| OpenLoop { start: cpu.now(), rate, next: 0 });
        while cpu.phase() as u8 <= last as u8 {
            if let Some(schedule) = &mut schedule {
                match schedule.wait::<M>(cpu, last) {
                    None => return,
                    due => meter.intended = due,
                }
            }
            if let Some(devices) = masked {
                steps += 1;
                let tier = devices.mask(cpu.id(), steps);
                tier.inspect(|&tier| self.stage.swap.alloc.base().run_in_tier(cpu, tier));
            }
            self.workload().step(&self.stage, cpu, worker, meter);
            self.stage.neighbours().spend_owed(cpu);
            meter.step(cpu);
            if M::VIRTUAL {
                cpu.reports(meter.total());
            }
            if think_ns > 0 {
                cpu.work(think_ns);
            }
        }
    }

    fn is_control(&self, threads: usize, worker: usize) -> bool {
        W::is_control(threads, worker)
    }

    /// A fast wrong allocator fails here.
    fn verify(&self, cpu: &M::Cpu) {
        let sharing = if W::FORKS { Sharing::Forked } else { Sharing::None };
        verify(&self.stage, cpu, sharing, &|| self.workload().validate());
    }
}

impl<M: Machine, A: SwapAllocator<M>> Stage<M, A> {
    /// The devices and owners that workload `W` wants, all devices on.
    pub fn new<W: Workload<M>>(setting: &Setting, cpu: &M::Cpu) -> Self {
        Self::open(&W::spec(&setting.params, setting.threads), setting, cpu)
    }

    /// Compiled once for all workloads.
    #[inline(never)]
    fn open(spec: &Spec, setting: &Setting, cpu: &M::Cpu) -> Self {
        let Setting { params, threads, seed, .. } = setting.clone();
        let devices = spec.devices.len();
        let prices = params.backing.prices.clone();
        let swap = Swap::new(&Spec { prices, ..spec.clone() }, cpu);
        for dev in 0..devices {
            assert!(swap.swapon(cpu, dev), "a fresh device can be switched on");
        }
        let block_order = block::order(&params.orders);
        Self { swap, devices, params, threads, seed: AtomicU64::new(seed), block_order }
    }

    fn neighbours(&self) -> &Neighbours<M> {
        &self.swap.alloc.base().neighbours
    }
}

/// A worker's window, with the host's counters and noise in it.
struct Window {
    opened: u64,
    host: Option<(Counters, NoiseWorker)>,
}

impl Window {
    fn new(host: Option<&Groups>) -> Self {
        let roots = Roots::default();
        let host = host.map(|groups| (Counters::open(groups), NoiseWorker::start(&roots)));
        Self { opened: 0, host }
    }

    fn open<M: Machine>(mut self, cpu: &M::Cpu, meter: &mut Meter, measure: Duration) -> Self {
        meter.reset();
        cpu.local().reset_sites();
        if let Some((counters, noise)) = &mut self.host {
            *noise = NoiseWorker::start(&Roots::default());
            counters.start();
        }
        self.opened = cpu.now();
        meter.opened(self.opened, measure.as_nanos() as u64);
        self
    }

    fn close<M: Machine>(self, cpu: &M::Cpu, mut meter: Meter, control: bool) -> Log {
        let (closed, sites) = (cpu.now(), cpu.local().sites());
        meter.closed(closed);
        let host = self.host.map(|(mut counters, mut noise)| {
            let counters = counters.stop();
            noise.gaps = std::mem::take(&mut meter.gaps);
            HostLog { counters, noise: noise.finish(&Roots::default()) }
        });
        Log { opened: self.opened, closed, control, meter, sites, host }
    }
}

#[inline(never)]
fn verify<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    sharing: Sharing,
    workload: &dyn Fn() -> Result<(), String>,
) {
    stage.swap.alloc.run_work(cpu);
    let slots = stage.swap.alloc.validate().and_then(|()| users_match(stage, sharing));
    if let Err(broken) = slots.and_then(|()| workload()) {
        panic!("{broken}");
    }
}

/// Whether several page-table entries may name a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    None,
    Forked,
}

/// I1: a slot has as many users as page-table entries name it. None was handed out twice, none
/// freed under its user, and none is lost.
fn users_match<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    sharing: Sharing,
) -> Result<(), String> {
    let (swap, owners) = (&stage.swap, &stage.swap.owners);
    let of = |owner| (0..owners.pages()).filter_map(move |page| owners.peek(owner, page));
    let mut named: Vec<SwpEntry> = (0..owners.count()).flat_map(of).collect();
    named.sort_unstable();
    let wrong = |slot: SwpEntry, what: String| {
        Err(format!("I1: slot {} of device {} {what}", slot.offset(), slot.dev()))
    };
    for same in named.chunk_by(|a, b| a == b) {
        let (slot, times) = (same[0], same.len());
        let (users, _) = swap.alloc.usage(slot);
        if users as usize != times {
            return wrong(slot, format!("has {users} users, {times} page-table entries name it"));
        }
        if times > 1 && sharing == Sharing::None {
            return wrong(slot, format!("was handed out {times} times"));
        }
    }
    for slot in (0..stage.devices).flat_map(|dev| used_slots(swap, dev)) {
        let (users, _) = swap.alloc.usage(slot);
        if users > 0 && named.binary_search(&slot).is_err() {
            return wrong(slot, format!("has {users} users, no page-table entry names it"));
        }
    }
    Ok(())
}

fn used_slots<M: Machine, A: SwapAllocator<M>>(
    swap: &Swap<M, A>,
    dev: usize,
) -> impl Iterator<Item = SwpEntry> {
    let next = move |from| swap.alloc.next_used(dev, from);
    let first = next(1);
    std::iter::successors(first, move |at| next(at + 1)).map(move |at| SwpEntry::new(dev, at))
}
