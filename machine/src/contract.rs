//! The contract between what is measured and what it runs on: the traits of a machine and its
//! parts, and how a run ends. Guards that a variant touches shared state in no other way, so that
//! the same code is measured, simulated and model-checked.
//!
//! Accesses and fences are named by the kernel's words, and are as strong as
//! `Documentation/memory-barriers.txt` and `atomic_t.txt` (Linux 6.12) promise; what each machine
//! makes of them is in its own file.

use crate::lock::Local;
use crate::region::Kept;
use crate::system::System;
use std::fmt::{Debug, Display};

/// A value that fits one shared word: u8, u16, u32 or u64.
pub trait Word: Copy + Eq + Ord + Debug + Display + Default + Send + Sync + 'static {
    /// The std atomic of this size: what the native machine's cells are.
    type Native: Atomic<Self>;
    /// Width in bytes.
    const BYTES: usize;
    /// The value, zero-extended.
    fn to_bits(self) -> u64;
    /// The low [`BYTES`](Self::BYTES) bytes of `bits`.
    fn from_bits(bits: u64) -> Self;
}

/// A word that several CPUs touch without a common lock: what the kernel reads with READ_ONCE,
/// writes with WRITE_ONCE, or changes by an atomic operation. Read-modify-writes that return a
/// value are fully ordered, as the kernel's are.
pub trait Atomic<T: Word>: Send + Sync {
    /// A word that holds `value`.
    fn new(value: T) -> Self;
    /// READ_ONCE: relaxed.
    fn load(&self) -> T;
    /// WRITE_ONCE: relaxed.
    fn store(&self, value: T);
    /// smp_load_acquire.
    fn load_acquire(&self) -> T;
    /// smp_store_release.
    fn store_release(&self, value: T);
    /// xchg: returns the value before.
    fn swap(&self, value: T) -> T;
    /// cmpxchg: stores `new` if the word is `old`.
    ///
    /// # Errors
    ///
    /// The value that the word has, if it is not `old`.
    fn cmpxchg(&self, old: T, new: T) -> Result<T, T>;
    /// Returns the value before the addition; wraps.
    fn fetch_add(&self, value: T) -> T;
    /// Returns the value before the subtraction; wraps.
    fn fetch_sub(&self, value: T) -> T;
    /// Returns the value before the bits of `value` were set.
    fn fetch_or(&self, value: T) -> T;
    /// Returns the value before all bits but those of `value` were cleared.
    fn fetch_and(&self, value: T) -> T;
    /// Atomic but without ordering, as `atomic_long_add_return_relaxed`.
    fn fetch_add_relaxed(&self, value: T) -> T;
    /// Waits until `done(value)`; ends with acquire semantics and that value.
    fn spin_until(&self, done: impl Fn(T) -> bool) -> T;
    /// The value, outside the machine's accounting: for validation and charts.
    fn peek(&self) -> T;
}

/// Shared memory that one lock protects. Ordinary memory natively, race-checked by the checker, a
/// charged cache line in the simulator.
pub trait Plain<T: Word>: Send + Sync {
    /// A cell that holds `value`.
    fn new(value: T) -> Self;
    /// A cell that fills its place and that nobody accesses: an explorer keeps nothing for it.
    fn unused() -> Self
    where
        Self: Sized,
    {
        Self::new(T::default())
    }
    /// A plain read; the caller holds the lock.
    fn get(&self) -> T;
    /// A plain write; the caller holds the lock.
    fn set(&self, value: T);
    /// As [`Atomic::peek`].
    fn peek(&self) -> T;
}

/// A spinlock's algorithm. Tokens have no `Drop`: a simulated CPU may be abandoned in the middle
/// of anything.
pub trait RawLock<M: Machine>: Send + Sync {
    /// The part of an acquisition that `unlock` needs, such as a queue node's number.
    type Token: Token;
    /// A free lock.
    fn new() -> Self;
    /// Takes the lock; calls `contended` once if it has to wait.
    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) -> Self::Token;
    /// Takes the lock if it is free. None: it is held.
    fn try_lock(&self, cpu: &M::Cpu) -> Option<Self::Token>;
    /// Gives up the lock. `token` is from the acquisition that ends here.
    fn unlock(&self, cpu: &M::Cpu, token: Self::Token);
    /// Whether the lock is held, outside the machine's accounting: for validation.
    fn peek_locked(&self) -> bool;
}

/// What [`RawLock::lock`] returns and [`RawLock::unlock`] takes: a number, or nothing.
pub trait Token: Copy {
    /// As a number; 0 for nothing.
    fn number(self) -> u32;
    /// The token of that number.
    fn of(number: u32) -> Self;
}

impl Token for () {
    fn number(self) -> u32 {
        0
    }
    fn of(_: u32) {}
}

impl Token for u16 {
    fn number(self) -> u32 {
        self.into()
    }
    fn of(number: u32) -> u16 {
        number as u16
    }
}

impl Token for u32 {
    fn number(self) -> u32 {
        self
    }
    fn of(number: u32) -> u32 {
        number
    }
}

/// A kind of lock: the same algorithm on every machine.
pub trait LockKind: Send + Sync + 'static {
    /// The algorithm over the words of `M`.
    type Lock<M: Machine>: RawLock<M>;
}

/// Where a timed worker is in its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Load is on, nothing counts yet.
    Warm,
    /// Operations count.
    Measure,
    /// The window is over; the load stays on until every worker has closed its window.
    Overrun,
    /// The worker returns.
    Stop,
}

/// One CPU of a machine: what every operation is given.
pub trait Cpu<M: Machine> {
    /// 0..workers for workers; `workers` for the CPU that runs `setup` and `finish`.
    fn id(&self) -> usize;
    /// The machine's clock, nanoseconds from an arbitrary start.
    fn now(&self) -> u64;
    /// Think time: keeps this CPU busy for `ns` nanoseconds without touching shared memory.
    fn work(&self, ns: u64);
    /// schedule_timeout_uninterruptible(1).
    fn sleep_jiffy(&self);
    /// cpu_relax() in a loop that is no [`Atomic::spin_until`].
    fn relax(&self);
    /// cond_resched() in a loop that waits for another CPU's progress.
    fn cond_resched(&self) {
        self.relax();
    }
    /// The phase of the run, as this CPU sees it now.
    fn phase(&self) -> Phase;
    /// This worker has stopped counting; when all have, the phase becomes Stop.
    fn window_closed(&self);
    /// This worker has done so much since it began to count: where virtual time ends once that is
    /// known well enough ([`Precision`](crate::simulated::Precision)). Elsewhere nothing.
    #[inline]
    fn reports(&self, _total: u64) {}
    /// All workers together have ended a round of what they do, for the same.
    #[inline]
    fn round_ended(&self) {}
    /// Adds a line to the checker's history, and so to a race diagram; elsewhere nothing.
    fn note(&self, what: &'static str, value: u64);
    /// This CPU's lock state.
    fn local(&self) -> &Local;
    /// The state that all CPUs of the run share.
    fn system(&self) -> &System<M>;
}

/// The result of a run, besides the shared state that `finish` has seen.
#[derive(Debug, Default)]
pub struct Outcome<R> {
    /// One per worker, in CPU order. A checker returns its last execution's.
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
    /// The kernel refused to run a worker on the CPU of its plan.
    #[error("cannot pin a worker to CPU {cpu}: {why}")]
    Pin {
        /// The kernel's number of the CPU.
        cpu: usize,
        /// The system call's error.
        why: String,
    },
    /// A worker lost its CPU during the run: its counts mix two CPUs and are no result.
    #[error("CPU {cpu} was taken away in a trial: it is offline, or the cpuset was changed")]
    Lost {
        /// The kernel's number of the CPU.
        cpu: usize,
    },
    /// This machine cannot run here at all.
    #[error("{0}")]
    Unsupported(String),
    /// A checker reached a limit: neither caught nor passed.
    #[error("inconclusive: {0}")]
    Inconclusive(String),
}

/// A new region of shared memory, as [`Machine::register`] gets to know it.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Address of the first element.
    pub base: usize,
    /// Allocated bytes: at least `len * stride`.
    pub bytes: usize,
    /// Number of elements.
    pub len: usize,
    /// Bytes from one element to the next.
    pub stride: usize,
    /// The region's name.
    pub name: &'static str,
    /// (name, byte offset) of the fields of an element.
    pub fields: Vec<(&'static str, usize)>,
}

/// A machine: everything that a variant runs on. Machines are types, so that one build holds all of
/// them.
pub trait Machine: Sized + Send + Sync + 'static {
    /// Whether a checker explores this build. A variant does five things differently then:
    ///
    /// - [`fault!`](crate::fault!) can be true; elsewhere it folds to false.
    /// - SWAP_MAP_MAX is 2 and not 62, so that two users need a continuation.
    /// - A continuation page holds the digits of 16 slots and not 4096.
    /// - swapoff asserts, when unuse has ended, that every slot was cleaned up.
    /// - Of a swap table, counts and entries are small, and memory that is freed is followed.
    ///
    /// All else is the same code. What the machine itself does differently (accesses, fences,
    /// locks, no time) is in [`checked`](crate::checked).
    const EXPLORED: bool = false;
    /// Whether [`vm_bug_on!`](crate::vm_bug_on) and the order of locks are checked.
    const ASSERTS: bool = cfg!(debug_assertions);
    /// Whether lock sites are accounted; false leaves nothing in the code.
    const SITES: bool = false;
    /// Whether the clock is virtual: it costs nothing to read, and a CPU may run ahead of others.
    const VIRTUAL: bool = false;
    /// Sampling period: 1 in SAMPLE holds is timed, and 1 in SAMPLE contended waits looks up the
    /// holder. A timed hold takes three reads of the clock, the time to the next acquisition included.
    const SAMPLE: u64 = 128;
    /// How long to run, on which CPUs, with which seed.
    type Config;
    /// A word that several CPUs touch without a common lock.
    type Atomic<T: Word>: Atomic<T>;
    /// Memory that one lock protects.
    type Plain<T: Word>: Plain<T>;
    /// The algorithm of every [`SpinLock`](crate::SpinLock).
    type Lock: RawLock<Self>;
    /// A CPU.
    type Cpu: Cpu<Self>;

    /// Runs `setup` on the set-up CPU, then `worker` on each CPU at once, then `finish` on the
    /// set-up CPU. A checker does so for every execution, with all shared objects made inside
    /// `setup`.
    ///
    /// # Errors
    ///
    /// A [`Failure`], the first one if several workers fail; nothing that a failed run counted is
    /// returned.
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
    fn light_mb(cpu: &Self::Cpu);
    /// The other half: afterwards every CPU has passed a full barrier.
    fn heavy_mb(cpu: &Self::Cpu);

    /// A region came into being: names for its cells, a home for its lines.
    fn register(_region: &Extent) {}
    /// The region at address `base` is gone.
    fn unregister(_base: usize) {}

    /// For `setup`, at its end: what it made, to be put back by [`restore`](Self::restore) when another
    /// run begins with the same state. None: this machine sets up anew for each run.
    fn keep() -> Option<Kept> {
        None
    }
    /// For `setup`, instead of all else: the regions of `kept`, which still exist, hold again what they
    /// held then.
    fn restore(_kept: &Kept) {}

    /// The running CPU is in this kernel function: for the checker's histories, and for the simulator's
    /// account of who moves lines.
    fn enter(_function: &'static str) {}

    /// The running CPU calls this kernel function, for histories alone; see [`Frame`](crate::Frame). The
    /// simulator charges the function that was [entered](Self::enter) last.
    fn call(_function: &'static str) {}

    /// The function that it called last has returned.
    fn returned() {}

    /// Whether locks account for their sites now: on a machine with [`SITES`](Self::SITES), unless the run
    /// is to have none, and where `setup` costs nothing, not there.
    #[inline]
    fn accounts() -> bool {
        Self::SITES
    }

    /// The first index in `from..to` whose byte is `wanted`, or `to`: a bulk scan as one call, so
    /// that a simulator can charge it by the line.
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
