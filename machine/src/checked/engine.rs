//! Loom and shuttle behind one trait: words, cells, threads that park, fences, and `explore`, which
//! runs a model until its limits. Both run all threads of a model as coroutines of the calling
//! thread.

use super::config::Config;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire};

/// A word of 1, 2, 4 or 8 bytes as the explorer models it. Values are zero-extended.
pub trait RawWord: Send + Sync {
    fn new(bytes: usize, value: u64) -> Self;
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn swap(&self, value: u64, order: Ordering) -> u64;
    fn cmpxchg(&self, old: u64, new: u64) -> Result<u64, u64>;
    fn add(&self, value: u64, order: Ordering) -> u64;
    fn sub(&self, value: u64, order: Ordering) -> u64;
    fn or(&self, value: u64) -> u64;
    fn and(&self, value: u64) -> u64;
}

/// Plain memory.
pub trait RawCell: Send + Sync {
    fn new(value: u64) -> Self;
    /// Another CPU may run before the access that follows.
    fn interrupt(&self, write: bool);
    fn get(&self) -> u64;
    fn set(&self, value: u64);
}

/// An explorer of executions.
pub trait Engine: Send + Sync + Sized + 'static {
    /// An atomic word.
    type Word: RawWord;
    /// Plain memory.
    type Cell: RawCell;
    /// A thread to be unparked.
    type Thread: Send;
    /// How many times in a row a CPU may wait with no step of another CPU in between. One more is
    /// reported as a wait without end.
    const PATIENCE: u32;

    /// A C11 fence.
    fn fence(order: Ordering);
    /// Starts a thread of the model.
    fn spawn(body: impl FnOnce() + Send + 'static);
    /// The running thread.
    fn current() -> Self::Thread;
    /// Blocks the running thread until it is unparked; an earlier unpark counts.
    fn park();
    /// Wakes a parked thread.
    fn unpark(thread: &Self::Thread);
    /// Lets other threads run first.
    fn yield_now();
    /// Runs `model` once per execution, and returns when all that `config` asks for are explored.
    ///
    /// # Panics
    ///
    /// As `model` does, and when an execution has more than [`Config::steps`] steps.
    fn explore(config: &Config, model: impl Fn() + Send + Sync + 'static);
}

/// One enum over the explorer's four sizes of atomic.
macro_rules! word {
    ($name:ident, $($atomic:ident)::+) => {
        pub enum $name {
            U8($($atomic)::+::AtomicU8),
            U16($($atomic)::+::AtomicU16),
            U32($($atomic)::+::AtomicU32),
            U64($($atomic)::+::AtomicU64),
        }

        impl RawWord for $name {
            fn new(bytes: usize, value: u64) -> Self {
                match bytes {
                    1 => Self::U8($($atomic)::+::AtomicU8::new(value as u8)),
                    2 => Self::U16($($atomic)::+::AtomicU16::new(value as u16)),
                    4 => Self::U32($($atomic)::+::AtomicU32::new(value as u32)),
                    _ => Self::U64($($atomic)::+::AtomicU64::new(value)),
                }
            }
            fn load(&self, order: Ordering) -> u64 {
                word!(self, a => a.load(order))
            }
            fn store(&self, value: u64, order: Ordering) {
                match self {
                    Self::U8(a) => a.store(value as u8, order),
                    Self::U16(a) => a.store(value as u16, order),
                    Self::U32(a) => a.store(value as u32, order),
                    Self::U64(a) => a.store(value, order),
                }
            }
            fn swap(&self, value: u64, order: Ordering) -> u64 {
                word!(self, a => a.swap(value as _, order))
            }
            fn cmpxchg(&self, old: u64, new: u64) -> Result<u64, u64> {
                let found = word!(self, a => {
                    let exchanged = a.compare_exchange(old as _, new as _, AcqRel, Acquire);
                    exchanged.unwrap_or_else(|found| found)
                });
                if found == old { Ok(found) } else { Err(found) }
            }
            fn add(&self, value: u64, order: Ordering) -> u64 {
                word!(self, a => a.fetch_add(value as _, order))
            }
            fn sub(&self, value: u64, order: Ordering) -> u64 {
                word!(self, a => a.fetch_sub(value as _, order))
            }
            fn or(&self, value: u64) -> u64 {
                word!(self, a => a.fetch_or(value as _, AcqRel))
            }
            fn and(&self, value: u64) -> u64 {
                word!(self, a => a.fetch_and(value as _, AcqRel))
            }
        }
    };
    ($self:ident, $a:ident => $value:expr) => {
        match $self {
            Self::U8($a) => u64::from($value),
            Self::U16($a) => u64::from($value),
            Self::U32($a) => u64::from($value),
            Self::U64($a) => $value,
        }
    };
}

word!(LoomWord, loom::sync::atomic);
word!(ShuttleWord, shuttle::sync::atomic);

/// Bounded exhaustive search by dynamic partial order reduction.
pub struct LoomEngine;

/// Loom finds races on plain memory by happens-before alone, and counts SeqCst fences as
/// happens-before. The word beside the cell makes loom search both orders of two accesses, so that
/// a check of the value finds those races too.
pub struct LoomCell {
    cell: loom::cell::UnsafeCell<u64>,
    order: loom::sync::atomic::AtomicU8,
}

// SAFETY: loom panics in the access that is not ordered after another CPU's, and its
// threads are coroutines of one thread.
#[allow(unsafe_code)]
unsafe impl Sync for LoomCell {}

impl RawCell for LoomCell {
    fn new(value: u64) -> Self {
        let cell = loom::cell::UnsafeCell::new(value);
        Self { cell, order: loom::sync::atomic::AtomicU8::new(0) }
    }

    fn interrupt(&self, write: bool) {
        if write {
            self.order.store(0, Ordering::Relaxed);
        } else {
            self.order.load(Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        // SAFETY: the pointer is to the cell's own u64.
        #[allow(unsafe_code)]
        self.cell.with(|value| unsafe { *value })
    }

    fn set(&self, value: u64) {
        // SAFETY: as above; no reference to the value is ever given out.
        #[allow(unsafe_code)]
        self.cell.with_mut(|cell| unsafe { *cell = value });
    }
}

impl Engine for LoomEngine {
    type Word = LoomWord;
    type Cell = LoomCell;
    type Thread = loom::thread::Thread;
    /// Loom runs a waiting CPU only when no other can run.
    const PATIENCE: u32 = 12;

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }

    fn spawn(body: impl FnOnce() + Send + 'static) {
        loom::thread::spawn(body);
    }

    fn current() -> Self::Thread {
        loom::thread::current()
    }

    fn park() {
        loom::thread::park();
    }

    fn unpark(thread: &Self::Thread) {
        thread.unpark();
    }

    fn yield_now() {
        loom::thread::yield_now();
    }

    fn explore(config: &Config, model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = config.bound;
        builder.max_branches = config.steps;
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.checkpoint_file = None;
        builder.checkpoint_interval = usize::MAX;
        builder.check(model);
    }
}

/// Random schedules of sequentially consistent executions.
pub struct ShuttleEngine;

/// Not race-checked, since shuttle has no happens-before; but another CPU may run before each
/// access.
pub struct ShuttleCell(shuttle::sync::atomic::AtomicU64, std::sync::atomic::AtomicU64);

impl RawCell for ShuttleCell {
    fn new(value: u64) -> Self {
        Self(shuttle::sync::atomic::AtomicU64::new(0), value.into())
    }

    fn interrupt(&self, _write: bool) {
        self.0.load(Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.1.store(value, Ordering::Relaxed);
    }
}

impl Engine for ShuttleEngine {
    type Word = ShuttleWord;
    type Cell = ShuttleCell;
    type Thread = shuttle::thread::Thread;
    /// A random scheduler may well pick a waiting CPU many times over.
    const PATIENCE: u32 = 200;

    fn fence(order: Ordering) {
        shuttle::sync::atomic::fence(order);
    }

    fn spawn(body: impl FnOnce() + Send + 'static) {
        shuttle::thread::spawn(body);
    }

    fn current() -> Self::Thread {
        shuttle::thread::current()
    }

    fn park() {
        shuttle::thread::park();
    }

    fn unpark(thread: &Self::Thread) {
        thread.unpark();
    }

    fn yield_now() {
        shuttle::thread::yield_now();
    }

    fn explore(config: &Config, model: impl Fn() + Send + Sync + 'static) {
        use shuttle::scheduler::{PctScheduler, RandomScheduler};
        let mut settings = shuttle::Config::new();
        settings.failure_persistence = shuttle::FailurePersistence::None;
        settings.max_steps = shuttle::MaxSteps::FailAfter(config.steps);
        settings.silence_warnings = true;
        settings.stack_size = 1 << 18;
        let executions = usize::try_from(config.executions).unwrap_or(usize::MAX);
        match config.depth {
            Some(depth) => {
                let scheduler = PctScheduler::new_from_seed(config.seed, depth, executions);
                shuttle::Runner::new(scheduler, settings).run(model);
            }
            None => {
                let scheduler = RandomScheduler::new_from_seed(config.seed, executions);
                shuttle::Runner::new(scheduler, settings).run(model);
            }
        }
    }
}
