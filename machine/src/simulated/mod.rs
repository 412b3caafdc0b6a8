//! The simulated machine: as many virtual CPUs as a model has, a cache-coherence cost model and a
//! virtual clock. It runs the same variants and workloads as the native machine: ordinary
//! synchronous code, on one coroutine per CPU. Guards that a run is deterministic: the same seed
//! gives the same run, in debug and release builds and whatever the host does meanwhile.
//!
//! ```
//! use machine::simulated::{self, Config, Model, Simulated};
//! use machine::{Atomic, Cpu, Fields, Machine, Region, lock::Ticket};
//!
//! type M = Simulated<Ticket>;
//! struct Hits(<M as Machine>::Atomic<u64>);
//! impl Fields for Hits {}
//!
//! let model = Model::load("epyc-96").unwrap();
//! let config = Config::untimed(model, 8);
//! let run = M::run(
//!     &config,
//!     |_| Region::<M, _>::new("hits", 1, |_| Hits(Atomic::new(0))),
//!     |hits, cpu| {
//!         for _ in 0..10 {
//!             hits[0].0.fetch_add(1);
//!         }
//!         cpu.now()
//!     },
//!     |hits, _| assert_eq!(hits[0].0.peek(), 80),
//! );
//! let lines = simulated::take_account().unwrap();
//! assert!(run.unwrap().workers.iter().all(|&ns| ns > 0));
//! assert!(lines.fields[0].traffic.misses() > 0);
//! ```
//!
//! # What is modelled
//!
//! - Every access to a shared cell is an event in virtual time. The line of a cell is its offset in
//!   the region / 64, so layout and false sharing are the native ones.
//! - A line is modified by one CPU, shared by cores, or in memory. Exclusive transfers go one at a
//!   time. The shared reads of an L3 group arrive one after the other, the first from where the
//!   line was, the others from within the group. That queue is what makes a ticket lock collapse
//!   (Boyd-Wickizer et al., "Non-scalable locks are dangerous", OLS 2012). Shared reads that cross
//!   from one group to others pass the line's home one by one, too.
//! - Costs go by distance: same CPU, sibling thread, L3 group, package, other package, memory
//!   (David et al., "Everything You Always Wanted to Know About Synchronization but Were Afraid to
//!   Ask", SOSP 2013, measure them).
//! - An exclusive transfer waits until the reads before it have arrived. After the instruction that
//!   fetched a line, the core keeps it long enough for exactly one more locked instruction.
//! - Sibling threads share a cache: one transfer serves both if both wait for it. Their think time
//!   slows down while they think at once.
//! - Stores go through a store buffer and block no CPU. They commit in program order, but fetch
//!   their lines at the same time, as x86 cores do: without that a queued lock's hand-over is four
//!   transfers in a row. Locked instructions and smp_mb() drain the buffer. A CPU sees its own
//!   stores at once. That is x86's total store order; only the checker has weaker memory.
//! - Waiters of `spin_until` sleep until a write takes their copy away, then read again after up to
//!   a PAUSE and a load.
//! - Requests for a line in use queue in order of arrival; with a given probability one of the
//!   line's own L3 group goes first. With strict nearest-first order CPUs starve.
//! - A CPU that waits at a phase barrier polls once per microsecond.
//! - A calibrated model charges each access with the ordinary instructions before it, fitted on one
//!   point. While a core waits for a line, those of the next forty accesses cost nothing: that is
//!   as far as it looks ahead. In the models that come with the suite a hit's load-to-use time
//!   stands for them.
//! - Think time varies by a seeded jitter.
//! - RCU's heavy fence costs its CPU an IPI to every other CPU, and each of them an interrupt.
//! - CPUs can be preempted ([`Preemption`]).
//!
//! # What is not modelled
//!
//! Which instructions are between shared accesses, cache capacity (lines stay where they are),
//! bandwidth, prefetching, NUMA homes, frequency, TLBs, instruction caches. `setup` and `finish`
//! cost nothing. `wmb` costs nothing, as on x86. `fill` and `scan` of a run of bytes drain the
//! store buffer and wait for their lines, unlike single stores.
//!
//! The structure comes from a study against lockhammer's published curves
//! (ARM-software/synchronization-benchmarks) and was chosen with sight of them.

mod account;
mod coherence;
mod config;
mod model;
mod places;
mod precision;
mod scheduler;

pub use account::{Account, FieldTraffic, HOTTEST, HotLine, SOURCES, Traffic};
pub use config::{Config, Preemption};
pub use model::{
    Behaviour, Costs, MOST_CPUS, Model, ModelError, Numbering, Ratio, Shape, Siblings, Time,
};
pub use precision::{Known, Precision};

use crate::lock::{Local, LockKind};
use crate::native::message;
use crate::region::{Kept, LINE};
use crate::{Atomic, Cpu, Extent, Failure, Machine, Outcome, Phase, Plain, System, Word};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use scheduler::{Installed, with};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// Virtual CPUs over lock kind `K`. A host thread has at most one run at a time.
pub struct Simulated<K: LockKind>(PhantomData<fn() -> K>);

thread_local! {
    static ACCOUNT: RefCell<Option<Account>> = const { RefCell::new(None) };
}

/// The line accounts of this thread's last run. None: there was no run since the last call.
pub fn take_account() -> Option<Account> {
    ACCOUNT.take()
}

/// A shared word: `repr(transparent)`, so that the layout is the native one.
#[repr(transparent)]
pub struct Shared<T: Word>(T::Native);

impl<T: Word> Shared<T> {
    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn read(&self) -> T {
        match scheduler::read(self.address(), T::BYTES) {
            Some(bits) => T::from_bits(bits),
            None => self.0.load(),
        }
    }

    fn write(&self, value: T) {
        if !scheduler::write(self.address(), T::BYTES, value.to_bits()) {
            self.0.store(value);
        }
    }

    /// A locked instruction: stores `new(value)` and returns the value before. No other CPU runs
    /// between the load and the store.
    pub fn modify(&self, new: impl FnOnce(T) -> T) -> T {
        scheduler::own(self.address());
        let before = self.0.load();
        self.0.store(new(before));
        before
    }
}

/// Stores to parts of a word: x86 code does them, and no other machine here can.
impl Shared<u32> {
    /// Stores the lowest byte.
    pub fn store_byte(&self, value: u8) {
        self.store_low(1, value.into());
    }

    /// Stores the lower half.
    pub fn store_half(&self, value: u16) {
        self.store_low(2, value.into());
    }

    fn store_low(&self, bytes: usize, bits: u64) {
        let skipped = if cfg!(target_endian = "big") { 4 - bytes } else { 0 };
        let address = self.address() + skipped;
        if !scheduler::write(address, bytes, bits) {
            scheduler::write_word(address, bytes, bits);
        }
    }
}

impl<T: Word> Atomic<T> for Shared<T> {
    fn new(value: T) -> Self {
        Self(T::Native::new(value))
    }
    fn load(&self) -> T {
        self.read()
    }
    fn store(&self, value: T) {
        self.write(value)
    }
    fn load_acquire(&self) -> T {
        self.read()
    }
    fn store_release(&self, value: T) {
        self.write(value)
    }
    fn swap(&self, value: T) -> T {
        self.modify(|_| value)
    }
    fn cmpxchg(&self, old: T, new: T) -> Result<T, T> {
        let before = self.modify(|before| if before == old { new } else { before });
        if before == old { Ok(before) } else { Err(before) }
    }
    fn fetch_add(&self, value: T) -> T {
        self.modify(|before| T::from_bits(before.to_bits().wrapping_add(value.to_bits())))
    }
    fn fetch_sub(&self, value: T) -> T {
        self.modify(|before| T::from_bits(before.to_bits().wrapping_sub(value.to_bits())))
    }
    fn fetch_or(&self, value: T) -> T {
        self.modify(|before| T::from_bits(before.to_bits() | value.to_bits()))
    }
    fn fetch_and(&self, value: T) -> T {
        self.modify(|before| T::from_bits(before.to_bits() & value.to_bits()))
    }
    fn fetch_add_relaxed(&self, value: T) -> T {
        self.fetch_add(value)
    }

    fn spin_until(&self, done: impl Fn(T) -> bool) -> T {
        loop {
            let own = scheduler::read(self.address(), T::BYTES);
            let value = own.map_or_else(|| self.0.load(), T::from_bits);
            if done(value) {
                return value;
            }
            if own.is_some() {
                scheduler::drain();
            } else if !scheduler::park(self.address()) {
                panic!("waits where no other CPU runs: in setup, finish or after a failure");
            }
        }
    }

    fn peek(&self) -> T {
        self.0.load()
    }
}

/// Memory that one lock protects: charged as any other cell.
#[repr(transparent)]
pub struct Cell<T: Word>(Shared<T>);

impl<T: Word> Plain<T> for Cell<T> {
    fn new(value: T) -> Self {
        Self(Atomic::new(value))
    }
    fn get(&self) -> T {
        self.0.read()
    }
    fn set(&self, value: T) {
        self.0.write(value)
    }
    fn peek(&self) -> T {
        self.0.peek()
    }
}

/// A virtual CPU.
pub struct SimulatedCpu<K: LockKind> {
    id: usize,
    local: Local,
    system: Arc<System<Simulated<K>>>,
}

impl<K: LockKind> SimulatedCpu<K> {
    fn new(id: usize, system: &Arc<System<Simulated<K>>>) -> Self {
        Self { id, local: system.local(id), system: system.clone() }
    }
}

impl<K: LockKind> Cpu<Simulated<K>> for SimulatedCpu<K> {
    fn id(&self) -> usize {
        self.id
    }
    fn now(&self) -> u64 {
        scheduler::clock()
    }
    fn work(&self, ns: u64) {
        scheduler::work(ns);
    }
    fn sleep_jiffy(&self) {
        self.local.might_sleep("schedule_timeout");
        scheduler::sleep_jiffy();
    }
    fn relax(&self) {
        scheduler::relax();
    }
    fn cond_resched(&self) {
        scheduler::work(RESCHED_NS);
    }
    fn phase(&self) -> Phase {
        scheduler::phase()
    }
    fn window_closed(&self) {
        scheduler::window_closed();
    }
    fn reports(&self, total: u64) {
        scheduler::reports(total);
    }
    fn round_ended(&self) {
        scheduler::round_ended();
    }
    fn note(&self, _what: &'static str, _value: u64) {}
    fn local(&self) -> &Local {
        &self.local
    }
    fn system(&self) -> &System<Simulated<K>> {
        &self.system
    }
}

/// Bytes of a coroutine's stack: much, because unoptimised code needs much.
const STACK: usize = 1 << 18;
/// Polling period of cond_resched(), nanoseconds. Coarse on purpose: nothing waits this way inside
/// a phase, and 383 CPUs that poll every PAUSE would be all the simulator does.
const RESCHED_NS: u64 = 1000;

type Worker = Coroutine<(), (), ()>;

/// One worker's coroutine; its result goes to its place in `results`.
fn spawn<K: LockKind, S: 'static, R: 'static>(
    id: usize,
    system: &Arc<System<Simulated<K>>>,
    state: &Rc<S>,
    worker: &Rc<impl Fn(&S, &SimulatedCpu<K>) -> R + 'static>,
    results: &Rc<RefCell<Vec<Option<R>>>>,
) -> Result<Worker, Failure> {
    let stack = DefaultStack::new(STACK);
    let stack =
        stack.map_err(|e| Failure::Unsupported(format!("stack of virtual CPU {id}: {e}")))?;
    let cpu = SimulatedCpu::new(id, system);
    let (state, worker, results) = (state.clone(), worker.clone(), results.clone());
    Ok(Coroutine::with_stack(stack, move |yielder, ()| {
        with(|sim| sim.began(yielder));
        let work = || catch_unwind(AssertUnwindSafe(|| worker(&state, &cpu)));
        match shifted(id, work) {
            Ok(result) => results.borrow_mut()[id] = Some(result),
            Err(panic) => {
                with(|sim| sim.fail(message(panic)));
            }
        }
        with(|sim| sim.ended());
    }))
}

/// Calls `work` with a stack that begins a few lines further on for each `id`. All stacks begin at
/// a page, and their busiest lines would share a few sets of the host's cache.
fn shifted<R>(id: usize, work: impl FnOnce() -> R) -> R {
    #[inline(never)]
    fn below<const BYTES: usize, R>(work: impl FnOnce() -> R) -> R {
        let room = [0u8; BYTES];
        std::hint::black_box(&room);
        work()
    }
    match id % 8 {
        0 => below::<64, _>(work),
        1 => below::<576, _>(work),
        2 => below::<1088, _>(work),
        3 => below::<1600, _>(work),
        4 => below::<2112, _>(work),
        5 => below::<2624, _>(work),
        6 => below::<3136, _>(work),
        _ => below::<3648, _>(work),
    }
}

/// Runs all coroutines to their end, or until one fails.
fn conduct(mut coroutines: Vec<Worker>) -> Result<(), Failure> {
    with(|sim| sim.start());
    while let Some(Some(cpu)) = with(|sim| sim.next()) {
        if let CoroutineResult::Return(()) = coroutines[cpu].resume(()) {
            with(|sim| sim.ended());
        }
    }
    with(|sim| sim.stop());
    let failure = with(|sim| sim.failure()).flatten();
    ACCOUNT.set(with(|sim| sim.account()));
    failure.map_or(Ok(()), |why| Err(Failure::Panicked(why)))
}

impl<K: LockKind> Machine for Simulated<K> {
    const SITES: bool = true;
    /// The accesses of an assertion would be charged, and virtual time would depend on the build.
    const ASSERTS: bool = false;
    /// Reading the clock costs no virtual time.
    const VIRTUAL: bool = true;
    const SAMPLE: u64 = 1;
    type Config = Config;
    type Atomic<T: Word> = Shared<T>;
    type Plain<T: Word> = Cell<T>;
    type Lock = K::Lock<Self>;
    type Cpu = SimulatedCpu<K>;

    fn run<S, R>(
        config: &Config,
        setup: impl Fn(&Self::Cpu) -> S + Send + Sync + 'static,
        worker: impl Fn(&S, &Self::Cpu) -> R + Send + Sync + 'static,
        finish: impl Fn(&S, &Self::Cpu) + Send + Sync + 'static,
    ) -> Result<Outcome<R>, Failure>
    where
        S: Send + Sync + 'static,
        R: Send + 'static,
    {
        config.check()?;
        let _installed = Installed::new(config);
        let workers = config.pins.len();
        let system = Arc::new(System::new(workers));
        let boot = SimulatedCpu::new(workers, &system);
        let failed = |panic| Failure::Panicked(message(panic));
        with(|sim| sim.setup_begins());
        let state = Rc::new(catch_unwind(AssertUnwindSafe(|| setup(&boot))).map_err(failed)?);
        let results: Rc<RefCell<Vec<Option<R>>>> = Rc::default();
        results.borrow_mut().resize_with(workers, || None);
        let worker = Rc::new(worker);
        let coroutines: Result<Vec<_>, _> =
            (0..workers).map(|id| spawn(id, &system, &state, &worker, &results)).collect();
        conduct(coroutines?)?;
        catch_unwind(AssertUnwindSafe(|| finish(&state, &boot))).map_err(failed)?;
        let results = results.take().into_iter().map(|r| r.expect("every worker ended"));
        Ok(Outcome { workers: results.collect(), executions: 1 })
    }

    fn mb() {
        scheduler::fence();
    }
    fn wmb() {}
    fn light_mb(_cpu: &Self::Cpu) {}
    fn heavy_mb(_cpu: &Self::Cpu) {
        scheduler::interrupt_all();
    }

    fn register(region: &Extent) {
        with(|sim| sim.memory().register(region));
    }
    fn unregister(base: usize) {
        with(|sim| sim.unregister(base));
    }
    fn keep() -> Option<Kept> {
        with(|sim| sim.keep())
    }
    fn restore(kept: &Kept) {
        kept.put_back().for_each(Self::register);
    }
    fn enter(function: &'static str) {
        scheduler::enter(function);
    }
    fn accounts() -> bool {
        scheduler::is_accounted()
    }

    fn scan(map: &[Shared<u8>], from: usize, to: usize, wanted: impl Fn(u8) -> bool) -> usize {
        scheduler::drain();
        for (first, end) in lines(map, from, to) {
            scheduler::read_line(map[first].address());
            let found = (first..end).find(|&i| wanted(map[i].peek()));
            scheduler::scanned(found.map_or(end, |i| i + 1) - first);
            if let Some(found) = found {
                return found;
            }
        }
        to
    }

    fn fill(map: &[Shared<u8>], from: usize, to: usize, value: u8) {
        scheduler::drain();
        for (first, end) in lines(map, from, to) {
            scheduler::write_line(map[first].address());
            map[first..end].iter().for_each(|byte| Atomic::store(&byte.0, value));
        }
    }
}

/// `from..to` cut at the ends of cache lines.
fn lines(map: &[Shared<u8>], from: usize, to: usize) -> impl Iterator<Item = (usize, usize)> {
    let base = map.as_ptr() as usize;
    let mut next = from;
    std::iter::from_fn(move || {
        let first = next;
        next = to.min(first + LINE - (base + first) % LINE);
        (first < to).then_some((first, next))
    })
}
