//! What a variant runs on. A swap allocator is written once, generic over
//! [`Machine`], and then measured (`Native`), predicted (`Simulated`) and model
//! checked (`Checked`). The machine owns everything that touches shared state:
//! atomics, plain memory, locks, RCU, clock and CPUs.

pub mod checked;
pub mod fault;
pub mod lock;
pub mod native;
pub mod percpu_ref;
pub mod rcu;
pub mod region;
pub mod simulated;
pub mod topology;
mod word;

pub use lock::{Guard, RawLock, Site, SiteStats, SpinLock};
pub use native::Native;
pub use percpu_ref::PercpuRef;
pub use region::{Fields, PerCpu, Region};
pub use simulated::Simulated;
pub use word::Word;

/// A word that several CPUs touch without a common lock: what the kernel reads
/// with READ_ONCE, writes with WRITE_ONCE, or changes by an atomic operation.
/// Read-modify-writes that return a value are fully ordered, as the kernel's are.
pub trait Atomic<T: Word>: Send + Sync {
    fn new(value: T) -> Self;
    /// READ_ONCE: relaxed.
    fn load(&self) -> T;
    /// WRITE_ONCE: relaxed.
    fn store(&self, value: T);
    fn load_acquire(&self) -> T;
    fn store_release(&self, value: T);
    fn swap(&self, value: T) -> T;
    /// Ok(old) if the word was `old` and is now `new`, else Err(what it was).
    fn cmpxchg(&self, old: T, new: T) -> Result<T, T>;
    /// Returns the value before the addition; wraps.
    fn fetch_add(&self, value: T) -> T;
    /// Returns the value before the subtraction; wraps.
    fn fetch_sub(&self, value: T) -> T;
    fn fetch_or(&self, value: T) -> T;
    fn fetch_and(&self, value: T) -> T;
    /// Atomic but without ordering, as `atomic_long_add_return_relaxed`.
    fn fetch_add_relaxed(&self, value: T) -> T;
    /// Waits until `done(value)`; ends with acquire semantics and that value.
    fn spin_until(&self, done: impl Fn(T) -> bool) -> T;
    /// The value, outside the machine's accounting: for validation and charts.
    fn peek(&self) -> T;
}

/// Shared memory that one lock protects. Ordinary memory natively, race-checked
/// by the checker, a charged cache line in the simulator.
pub trait Plain<T: Word>: Send + Sync {
    fn new(value: T) -> Self;
    fn get(&self) -> T;
    fn set(&self, value: T);
    /// As [`Atomic::peek`].
    fn peek(&self) -> T;
}

/// Where a timed worker is in its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Load is on, nothing counts yet.
    Warm,
    /// Operations count.
    Measure,
    /// The window is over; the load stays on until every worker has said so.
    Overrun,
    Stop,
}

/// One CPU of a machine: what every operation is given.
pub trait Cpu<M: Machine> {
    /// 0..cpus for workers; `cpus` for the one that runs `setup` and `finish`.
    fn id(&self) -> usize;
    /// The machine's clock, nanoseconds from an arbitrary start.
    fn now(&self) -> u64;
    /// Think time: keeps this CPU busy for `ns` without touching shared memory.
    fn work(&self, ns: u64);
    /// schedule_timeout_uninterruptible(1).
    fn sleep_jiffy(&self);
    /// cpu_relax() in a loop that is no [`Atomic::spin_until`].
    fn relax(&self);
    /// cond_resched() in a loop that waits for another CPU's progress.
    fn cond_resched(&self) {
        self.relax();
    }
    fn phase(&self) -> Phase;
    /// This worker has stopped counting; when all have, the phase becomes Stop.
    fn window_closed(&self);
    /// A step worth a line in a race diagram; nothing outside the checker.
    fn note(&self, what: &'static str, value: u64);
    fn local(&self) -> &lock::Local;
    fn system(&self) -> &System<M>;
}

/// What all CPUs of one run share: MCS nodes and RCU's per-CPU state.
pub struct System<M: Machine> {
    cpus: usize,
    pub nodes: lock::Nodes<M>,
    pub rcu: rcu::Rcu<M>,
    pub order: lock::Order,
    posted: std::sync::Arc<[std::sync::Arc<lock::Posted>]>,
}

impl<M: Machine> System<M> {
    /// For `workers` CPUs and the one that runs `setup` and `finish`.
    pub fn new(workers: usize) -> Self {
        let cpus = workers + 1;
        Self {
            cpus,
            nodes: lock::Nodes::new(cpus),
            rcu: rcu::Rcu::new(cpus),
            order: Default::default(),
            posted: (0..cpus).map(|_| Default::default()).collect(),
        }
    }

    /// What CPU `id` keeps to itself.
    pub(crate) fn local(&self, id: usize) -> lock::Local {
        lock::Local::new(id, M::SITES, self.posted.clone())
    }

    /// How many CPUs there are, the set-up CPU included: the size of per-CPU data.
    pub fn cpus(&self) -> usize {
        self.cpus
    }
}

/// What a run left behind besides what `finish` looked at.
#[derive(Debug, Default)]
pub struct Outcome<R> {
    /// One a worker, in CPU order. A checker returns its last execution's.
    pub workers: Vec<R>,
    /// Executions explored by a checker; 1 elsewhere.
    pub executions: u64,
}

/// Why a run has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// A worker panicked: a broken invariant or a bug. The first message is kept.
    #[error("{0}")]
    Panicked(String),
    #[error("cannot pin a worker to CPU {cpu}: {why}")]
    Pin { cpu: usize, why: String },
    /// What the worker counted there and elsewhere is no figure.
    #[error("CPU {cpu} was taken away in a trial: it is offline, or the cpuset was changed")]
    Lost { cpu: usize },
    /// This machine cannot run here at all.
    #[error("{0}")]
    Unsupported(String),
    /// A checker reached a limit: neither caught nor passed.
    #[error("inconclusive: {0}")]
    Inconclusive(String),
}

/// The contract. Machines are types, so that every build can hold all of them.
pub trait Machine: Sized + Send + Sync + 'static {
    /// Whether a checker explores this build. Only then can `fault!` be true, and a few limits
    /// are small enough to be reached: SWAP_MAP_MAX is 2 and not 62, a device has 16 continuation
    /// pages and not 4096. False folds every fault away.
    const EXPLORED: bool = false;
    /// Whether [`vm_bug_on!`] and the order of locks are looked at.
    const ASSERTS: bool = cfg!(debug_assertions);
    /// Whether lock sites are accounted; false leaves nothing in the code.
    const SITES: bool = false;
    /// Whether the clock is virtual: it costs nothing to read, and a CPU may run ahead of others.
    const VIRTUAL: bool = false;
    /// Sampling period: 1 in SAMPLE holds is timed, and 1 in SAMPLE contended waits looks up the
    /// holder.
    const SAMPLE: u64 = 64;
    /// How long to run, on which CPUs, with which seed.
    type Config;
    type Atomic<T: Word>: Atomic<T>;
    type Plain<T: Word>: Plain<T>;
    type Lock: RawLock<Self>;
    type Cpu: Cpu<Self>;

    /// Runs `setup` on the set-up CPU, then `worker` on each CPU at once, then
    /// `finish` on the set-up CPU. A checker does so for every execution, with
    /// all shared objects made inside `setup`.
    fn run<S, R>(
        config: &Self::Config,
        setup: impl Fn(&Self::Cpu) -> S + Send + Sync + 'static,
        worker: impl Fn(&S, &Self::Cpu) -> R + Send + Sync + 'static,
        finish: impl Fn(&S, &Self::Cpu) + Send + Sync + 'static,
    ) -> Result<Outcome<R>, Failure>
    where
        S: Send + Sync + 'static,
        R: Send + 'static;

    /// smp_mb().
    fn mb();
    /// smp_wmb().
    fn wmb();
    /// The reader's half of the asymmetric fence inside RCU.
    fn light_mb();
    /// The other half: afterwards every CPU has passed a full barrier.
    fn heavy_mb(cpu: &Self::Cpu);

    /// A region came into being: names for its cells, a home for its lines.
    fn register(_region: &region::Extent) {}
    /// The region at `base` is gone.
    fn unregister(_base: usize) {}

    /// The CPU that runs is in this kernel function: for the checker's histories.
    fn enter(_function: &'static str) {}

    /// The first index in `from..to` whose byte is `wanted`, or `to`: a bulk
    /// scan as one call, so that a simulator can charge it by the line.
    fn scan(
        map: &[Self::Atomic<u8>],
        from: usize,
        to: usize,
        wanted: impl Fn(u8) -> bool,
    ) -> usize {
        (from..to).find(|&i| wanted(map[i].load())).unwrap_or(to)
    }

    /// Writes `value` into every byte of `from..to`, as one call.
    fn fill(map: &[Self::Atomic<u8>], from: usize, to: usize, value: u8) {
        map[from..to].iter().for_each(|byte| byte.store(value));
    }
}
