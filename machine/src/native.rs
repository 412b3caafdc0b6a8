//! The machine that the process runs on: real atomics, pinned threads, the TSC. Guards that a run
//! ends, whatever its workers do: the first panic is kept and all waits are given up, as they are
//! where a thread cannot be started. Plain cells are relaxed atomics: the same instructions as
//! ordinary memory, and sound.

use crate::lock::{Local, LockKind, any};
use crate::{Atomic, Cpu, Failure, Machine, Outcome, Phase, Plain, System, Word, affinity};
use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, compiler_fence, fence};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{io, thread};

use start::Start;

mod start;

/// Pinned threads over lock kind `K`; `SITES` accounts every lock site.
pub struct Native<K: LockKind, const SITES: bool>(PhantomData<fn() -> K>);

/// Where and for how long a native run goes.
#[derive(Clone, Debug)]
pub struct Config {
    /// The CPU of each worker, by the kernel's number; None leaves a worker where the scheduler
    /// puts it.
    pub pins: Vec<Option<usize>>,
    /// How long the load is on before anything counts.
    pub warm: Duration,
    /// How long operations count; `Duration::MAX`: no clock, the phase is always Measure.
    pub measure: Duration,
}

impl Config {
    /// `workers` unpinned workers without a clock, for tests: the phase is always Measure.
    pub fn untimed(workers: usize) -> Self {
        Self { pins: vec![None; workers], warm: Duration::ZERO, measure: Duration::MAX }
    }
}

/// The state of a run: its phase, and whether a worker has failed.
struct Shared {
    phase: AtomicU8,
    open_windows: AtomicUsize,
    /// A worker panicked: no other may wait for it any more.
    failed: AtomicBool,
    first_failure: Mutex<Option<String>>,
}

thread_local! {
    /// The run of this thread, for waits that take long.
    static RUN: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// PAUSEs before a waiter yields its CPU: about half a millisecond. The kernel's spinlocks never
/// yield, but their holders are not preempted either.
const SPINS_BEFORE_YIELD: u32 = 1 << 14;

#[inline]
fn spin(mut done: impl FnMut() -> bool) {
    let mut spins = 0u32;
    while !done() {
        std::hint::spin_loop();
        spins += 1;
        if spins >= SPINS_BEFORE_YIELD {
            wait_long();
        }
    }
}

#[cold]
fn wait_long() {
    let failed = |run: &Option<Arc<Shared>>| run.as_ref().is_some_and(|r| r.failed.load(Relaxed));
    if RUN.with_borrow(failed) && !thread::panicking() {
        panic!("{ANOTHER_FAILED}");
    }
    thread::yield_now();
}

/// A read-modify-write that also orders the relaxed accesses around it, as the kernel's operations
/// that return a value do. On x86 a locked instruction does so by itself.
#[inline(always)]
fn fully_ordered<T>(rmw: impl FnOnce() -> T) -> T {
    let fence = || {
        if !cfg!(any(target_arch = "x86", target_arch = "x86_64")) {
            std::sync::atomic::fence(SeqCst);
        }
    };
    fence();
    let before = rmw();
    fence();
    before
}

const ANOTHER_FAILED: &str = "another worker has failed";

macro_rules! native_cells {
    ($($word:ty => $cell:ident),*) => {$(
        impl Atomic<$word> for std::sync::atomic::$cell {
            #[inline]
            fn new(value: $word) -> Self {
                Self::new(value)
            }
            #[inline]
            fn load(&self) -> $word {
                self.load(Relaxed)
            }
            #[inline]
            fn store(&self, value: $word) {
                self.store(value, Relaxed)
            }
            #[inline]
            fn load_acquire(&self) -> $word {
                self.load(Acquire)
            }
            #[inline]
            fn store_release(&self, value: $word) {
                self.store(value, Release)
            }
            #[inline]
            fn swap(&self, value: $word) -> $word {
                fully_ordered(|| self.swap(value, SeqCst))
            }
            #[inline]
            fn cmpxchg(&self, old: $word, new: $word) -> Result<$word, $word> {
                fully_ordered(|| self.compare_exchange(old, new, SeqCst, SeqCst))
            }
            #[inline]
            fn fetch_add(&self, value: $word) -> $word {
                fully_ordered(|| self.fetch_add(value, SeqCst))
            }
            #[inline]
            fn fetch_sub(&self, value: $word) -> $word {
                fully_ordered(|| self.fetch_sub(value, SeqCst))
            }
            #[inline]
            fn fetch_or(&self, value: $word) -> $word {
                fully_ordered(|| self.fetch_or(value, SeqCst))
            }
            #[inline]
            fn fetch_and(&self, value: $word) -> $word {
                fully_ordered(|| self.fetch_and(value, SeqCst))
            }
            #[inline]
            fn fetch_add_relaxed(&self, value: $word) -> $word {
                self.fetch_add(value, Relaxed)
            }
            #[inline]
            fn spin_until(&self, done: impl Fn($word) -> bool) -> $word {
                let mut value = self.load(Acquire);
                spin(|| {
                    value = self.load(Acquire);
                    done(value)
                });
                value
            }
            #[inline]
            fn peek(&self) -> $word {
                self.load(Relaxed)
            }
        }
    )*};
}

native_cells!(u8 => AtomicU8, u16 => AtomicU16, u32 => AtomicU32, u64 => AtomicU64);

/// Plain shared memory: a relaxed atomic.
#[repr(transparent)]
pub struct Cell<T: Word>(T::Native);

impl<T: Word> Plain<T> for Cell<T> {
    #[inline]
    fn new(value: T) -> Self {
        Self(T::Native::new(value))
    }
    #[inline]
    fn get(&self) -> T {
        self.0.load()
    }
    #[inline]
    fn set(&self, value: T) {
        self.0.store(value)
    }
    #[inline]
    fn peek(&self) -> T {
        self.0.load()
    }
}

/// A pinned thread.
pub struct NativeCpu<K: LockKind, const SITES: bool> {
    id: usize,
    local: Local,
    system: Arc<System<Native<K, SITES>>>,
    shared: Arc<Shared>,
}

/// Nanoseconds since the first call in this process, of the clock that all workers read: the TSC
/// where it is constant, else CLOCK_MONOTONIC.
#[inline]
pub fn now() -> u64 {
    static CLOCK: OnceLock<(quanta::Clock, u64)> = OnceLock::new();
    if cfg!(miri) {
        return miri_now();
    }
    let (clock, start) = CLOCK.get_or_init(|| {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        (clock, start)
    });
    clock.delta_as_nanos(*start, clock.raw())
}

/// Miri has no TSC.
#[cold]
fn miri_now() -> u64 {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
}

/// One jiffy at HZ=250, the default of most distributions.
const JIFFY: Duration = Duration::from_millis(4);

impl<K: LockKind, const SITES: bool> Cpu<Native<K, SITES>> for NativeCpu<K, SITES> {
    #[inline]
    fn id(&self) -> usize {
        self.id
    }

    #[inline]
    fn now(&self) -> u64 {
        now()
    }

    fn work(&self, ns: u64) {
        let until = self.now() + ns;
        while self.now() < until {
            std::hint::spin_loop();
        }
    }

    fn sleep_jiffy(&self) {
        self.local.might_sleep("schedule_timeout");
        thread::sleep(JIFFY);
        let failed = self.shared.failed.load(Relaxed);
        assert!(!failed || thread::panicking(), "{ANOTHER_FAILED}");
    }

    #[inline]
    fn relax(&self) {
        std::hint::spin_loop();
    }

    fn cond_resched(&self) {
        wait_long();
    }

    #[inline]
    fn phase(&self) -> Phase {
        match self.shared.phase.load(Relaxed) {
            0 => Phase::Warm,
            1 => Phase::Measure,
            2 => Phase::Overrun,
            _ => Phase::Stop,
        }
    }

    fn window_closed(&self) {
        if self.shared.open_windows.fetch_sub(1, SeqCst) == 1 {
            self.shared.phase.store(Phase::Stop as u8, SeqCst);
        }
    }

    #[inline]
    fn note(&self, _what: &'static str, _value: u64) {}

    #[inline]
    fn local(&self) -> &Local {
        &self.local
    }

    #[inline]
    fn system(&self) -> &System<Native<K, SITES>> {
        &self.system
    }
}

impl Shared {
    fn new(config: &Config, workers: usize) -> Self {
        let first = if config.measure == Duration::MAX { Phase::Measure } else { Phase::Warm };
        Self {
            phase: AtomicU8::new(first as u8),
            open_windows: AtomicUsize::new(workers),
            failed: AtomicBool::new(false),
            first_failure: Mutex::new(None),
        }
    }

    /// Runs `body`; keeps the first panic's message and ends the waits of all workers.
    fn guarded<R>(self: &Arc<Self>, body: impl FnOnce() -> R) -> Option<R> {
        RUN.set(Some(self.clone()));
        let result = catch_unwind(AssertUnwindSafe(body));
        RUN.set(None);
        result.map_err(|panic| self.fail(message(panic))).ok()
    }

    fn fail(&self, why: String) {
        let mut first = self.first_failure.lock().unwrap();
        if first.is_none() && why != ANOTHER_FAILED {
            *first = Some(why);
        }
        self.failed.store(true, SeqCst);
        self.phase.store(Phase::Stop as u8, SeqCst);
    }

    /// Sets the phase: Warm, then Measure, then Overrun; the last worker sets Stop.
    fn conduct(&self, config: &Config) {
        if config.measure == Duration::MAX {
            return;
        }
        for (wait, next) in [(config.warm, Phase::Measure), (config.measure, Phase::Overrun)] {
            thread::sleep(wait);
            if self.failed.load(Relaxed) {
                return;
            }
            self.phase.store(next as u8, SeqCst);
            // A worker that failed in between has stored Stop, and the line above has undone it.
            if self.failed.load(SeqCst) {
                self.phase.store(Phase::Stop as u8, SeqCst);
                return;
            }
        }
    }
}

pub(crate) fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").into()
}

/// Pins the calling thread, if its worker has a CPU of its own.
fn pin(cpu: Option<usize>) -> Result<(), Failure> {
    let Some(cpu) = cpu else { return Ok(()) };
    affinity::pin(cpu).map_err(|e| Failure::Pin { cpu, why: e.to_string() })
}

/// Checks that the calling thread may still run on its CPU alone. The kernel moves it elsewhere,
/// without a word, when that CPU is taken away.
fn still_pinned(cpu: Option<usize>) -> Result<(), Failure> {
    match cpu {
        Some(cpu) if lost(cpu, affinity::allowed()) => Err(Failure::Lost { cpu }),
        _ => Ok(()),
    }
}

/// Whether a worker's affinity shows that `cpu` was taken from it. An affinity that cannot be read
/// shows nothing: the worker was pinned at the start.
fn lost(cpu: usize, affinity: io::Result<Vec<usize>>) -> bool {
    affinity.is_ok_and(|cpus| cpus != [cpu])
}

impl<K: LockKind, const SITES: bool> Machine for Native<K, SITES> {
    const SITES: bool = SITES;
    type Config = Config;
    type Atomic<T: Word> = T::Native;
    type Plain<T: Word> = Cell<T>;
    type Lock = K::Lock<Self>;
    type Cpu = NativeCpu<K, SITES>;

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
        check(config)?;
        let workers = config.pins.len();
        let system = Arc::new(System::new(workers));
        let shared = Arc::new(Shared::new(config, workers));
        let cpu = |id| NativeCpu {
            id,
            local: system.local(id),
            system: system.clone(),
            shared: shared.clone(),
        };
        let failure = || {
            let first = shared.first_failure.lock().unwrap().clone();
            Failure::Panicked(first.unwrap_or_else(|| ANOTHER_FAILED.into()))
        };
        let boot = cpu(workers);
        let state = shared.guarded(|| setup(&boot)).ok_or_else(failure)?;
        let (start, lock) = (Start::default(), any::chosen());
        let body = |id: usize| {
            any::inherit(lock);
            let pinned = pin(config.pins[id]);
            if !start.wait() {
                return Err(failure());
            }
            if let Err(failure) = &pinned {
                shared.fail(failure.to_string());
            }
            pinned?;
            let me = cpu(id);
            let result = shared.guarded(|| worker(&state, &me)).ok_or_else(failure)?;
            still_pinned(config.pins[id]).map(|()| result)
        };
        let ended: Result<Vec<R>, _> = thread::scope(|scope| {
            let body = &body;
            let spawn = |id| {
                let thread = thread::Builder::new().spawn_scoped(scope, move || body(id));
                thread.map_err(|error| start::not_started(id, workers, &error))
            };
            let threads = (0..workers).map(spawn).collect::<Result<Vec<_>, _>>();
            let threads = threads.inspect_err(|_| start.give_up())?;
            start.begin(workers);
            shared.conduct(config);
            threads.into_iter().map(|t| t.join().expect("panics are caught inside")).collect()
        });
        let workers = ended?;
        shared.guarded(|| finish(&state, &boot)).ok_or_else(failure)?;
        Ok(Outcome { workers, executions: 1 })
    }

    #[inline]
    fn mb() {
        fence(SeqCst);
    }

    #[inline]
    fn wmb() {
        fence(Release);
    }

    #[inline]
    fn light_mb(_cpu: &Self::Cpu) {
        if cfg!(miri) { fence(SeqCst) } else { compiler_fence(SeqCst) }
    }

    fn heavy_mb(_cpu: &Self::Cpu) {
        membarrier::all_cpus();
    }
}

/// Checks what a run checks first, before a file is written for it.
///
/// # Errors
///
/// [`Failure::Unsupported`] where this kernel, or the policy that this thread runs under, allows no
/// such run.
pub fn check(config: &Config) -> Result<(), Failure> {
    membarrier::register()?;
    start::check_realtime(config)
}

/// [`Machine::heavy_mb`] of this machine, for a machine that wraps it. Inside a run only.
pub fn heavy_mb() {
    membarrier::all_cpus();
}

/// membarrier(2), PRIVATE_EXPEDITED: an IPI to every CPU that runs this process.
mod membarrier {
    use crate::Failure;
    use rustix::thread::{MembarrierCommand, membarrier};
    use std::sync::OnceLock;

    fn call(command: MembarrierCommand) -> std::io::Result<()> {
        if cfg!(miri) {
            // Miri has no membarrier(2); readers pay for a full fence there instead.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
            return Ok(());
        }
        Ok(membarrier(command)?)
    }

    pub(super) fn register() -> Result<(), Failure> {
        static DONE: OnceLock<Result<(), String>> = OnceLock::new();
        let register = || call(MembarrierCommand::RegisterPrivateExpedited);
        let done = DONE.get_or_init(|| register().map_err(|e| e.to_string()));
        let why = |e| format!("membarrier(2) is needed for grace periods (Linux 4.14 on): {e}");
        done.clone().map_err(|e| Failure::Unsupported(why(e)))
    }

    pub(super) fn all_cpus() {
        call(MembarrierCommand::PrivateExpedited).expect("registered before the run");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_knowing_is_not_taken_away() {
        assert!(!lost(3, Ok(vec![3])));
        assert!(lost(3, Ok(vec![0, 1, 2])));
        assert!(lost(3, Ok(vec![3, 4])), "a CPU that comes back gives the thread all of them");
        assert!(!lost(3, Err(io::ErrorKind::InvalidInput.into())));
    }
}
