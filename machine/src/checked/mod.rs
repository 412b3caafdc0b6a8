//! The checked machine: the same variant under loom or shuttle. Loom explores every execution
//! within a preemption bound, with C11 as loom models it and races on plain memory. Shuttle runs
//! random and PCT schedules, sequentially consistent, with long histories. Guards that a failure
//! ends in a history: every access is recorded, outside the model.
//!
//! The operations of the contract become:
//!
//! - Relaxed, acquire and release accesses are those of C11.
//! - Read-modify-writes that return a value are AcqRel between two SeqCst fences, as the kernel's
//!   fully ordered ones. A failed cmpxchg keeps the first fence, a little stronger than the
//!   kernel's.
//! - smp_wmb is a release fence, a little stronger than the kernel's.
//! - RCU's asymmetric pair is a full fence on either side. On a [`Weak`] machine the light one is a
//!   read-modify-write of a word that the heavy one changes too: it orders a reader against a grace
//!   period, as membarrier(2) does, and against nothing else.
//! - A [`SpinLock`](crate::SpinLock) is [`Blocking`]; [`Spin`] is for scenarios of the locks
//!   themselves.
//! - There is no time: the clock counts steps, think time is nothing, a sleep lets others run.
//! - Assertions ([`Machine::ASSERTS`]) are on in release builds too.

mod config;
mod engine;
mod history;
mod lock;
mod model;
pub mod scenarios;

pub use config::Config;
pub use engine::{Engine, LoomEngine, ShuttleEngine};
pub use history::{Event, Op, Seen, Step, Trace, act_begins, last_trace, watch};
pub use lock::{Blocking, CheckedLock, Spin, Weak};
pub use model::last_executions;

use crate::lock::Local;
use crate::{Atomic, Cpu, Extent, Failure, Machine, Outcome, Phase, Plain, System, Word};
use engine::{RawCell, RawWord};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// A machine whose runs are explored by `E`, with the locks of `L`.
pub struct Checked<E: Engine, L: CheckedLock>(PhantomData<fn() -> (E, L)>);

/// Exhaustive within a preemption bound. At most 3 workers: loom has room for 5 threads, and time
/// for fewer.
pub type Loom<L = Blocking> = Checked<LoomEngine, L>;
/// Random schedules, for any number of workers.
pub type Shuttle<L = Blocking> = Checked<ShuttleEngine, L>;

/// A shared word. Its last value is kept outside the model too, for `peek`.
pub struct Shared<E: Engine, T: Word> {
    word: E::Word,
    last: std::sync::atomic::AtomicU64,
    value: PhantomData<T>,
}

impl<E: Engine, T: Word> Shared<E, T> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    fn wrote(&self, op: Op, value: u64) {
        let before = self.last.swap(value, Relaxed);
        history::record_write(self.address(), op, before, value);
    }

    fn read(&self, order: std::sync::atomic::Ordering) -> T {
        let value = history::as_me(|| self.word.load(order));
        history::record(self.address(), Op::Load, value);
        T::from_bits(value)
    }

    fn write(&self, value: T, order: std::sync::atomic::Ordering) {
        history::as_me(|| self.word.store(value.to_bits(), order));
        self.wrote(Op::Store, value.to_bits());
    }

    /// A read-modify-write of a value `before`, which leaves `new(before)` behind.
    fn modify(&self, rmw: impl FnOnce(&E::Word) -> u64, new: impl FnOnce(T) -> T) -> T {
        let before = T::from_bits(history::as_me(|| rmw(&self.word)));
        self.wrote(Op::Rmw { before: before.to_bits() }, new(before).to_bits());
        before
    }

    fn ordered(&self, rmw: impl FnOnce(&E::Word) -> u64, new: impl FnOnce(T) -> T) -> T {
        E::fence(SeqCst);
        let before = self.modify(rmw, new);
        E::fence(SeqCst);
        before
    }
}

fn add<T: Word>(a: T, b: T) -> T {
    T::from_bits(a.to_bits().wrapping_add(b.to_bits()))
}

fn sub<T: Word>(a: T, b: T) -> T {
    T::from_bits(a.to_bits().wrapping_sub(b.to_bits()))
}

impl<E: Engine, T: Word> Atomic<T> for Shared<E, T> {
    fn new(value: T) -> Self {
        let bits = value.to_bits();
        Self { word: E::Word::new(T::BYTES, bits), last: bits.into(), value: PhantomData }
    }

    fn load(&self) -> T {
        self.read(Relaxed)
    }

    fn store(&self, value: T) {
        self.write(value, Relaxed);
    }

    fn load_acquire(&self) -> T {
        self.read(Acquire)
    }

    fn store_release(&self, value: T) {
        self.write(value, Release);
    }

    fn swap(&self, value: T) -> T {
        self.ordered(|word| word.swap(value.to_bits(), AcqRel), |_| value)
    }

    fn cmpxchg(&self, old: T, new: T) -> Result<T, T> {
        E::fence(SeqCst);
        let result = history::as_me(|| self.word.cmpxchg(old.to_bits(), new.to_bits()));
        match result {
            Ok(_) => {
                self.wrote(Op::Rmw { before: old.to_bits() }, new.to_bits());
                E::fence(SeqCst);
                Ok(old)
            }
            Err(found) => {
                history::record(self.address(), Op::Load, found);
                Err(T::from_bits(found))
            }
        }
    }

    fn fetch_add(&self, value: T) -> T {
        self.ordered(|word| word.add(value.to_bits(), AcqRel), |before| add(before, value))
    }

    fn fetch_sub(&self, value: T) -> T {
        self.ordered(|word| word.sub(value.to_bits(), AcqRel), |before| sub(before, value))
    }

    fn fetch_or(&self, value: T) -> T {
        let bits = value.to_bits();
        self.ordered(|word| word.or(bits), |before| T::from_bits(before.to_bits() | bits))
    }

    fn fetch_and(&self, value: T) -> T {
        let bits = value.to_bits();
        self.ordered(|word| word.and(bits), |before| T::from_bits(before.to_bits() & bits))
    }

    fn fetch_add_relaxed(&self, value: T) -> T {
        self.modify(|word| word.add(value.to_bits(), Relaxed), |before| add(before, value))
    }

    fn spin_until(&self, done: impl Fn(T) -> bool) -> T {
        loop {
            let value = self.load_acquire();
            if done(value) {
                return value;
            }
            model::wait::<E>();
        }
    }

    fn peek(&self) -> T {
        T::from_bits(self.last.load(Relaxed))
    }
}

/// Plain memory; loom reports two accesses that no lock orders.
pub struct Cell<E: Engine, T: Word> {
    /// None: it is unused.
    cell: Option<E::Cell>,
    last: std::sync::atomic::AtomicU64,
    value: PhantomData<T>,
}

impl<E: Engine, T: Word> Cell<E, T> {
    fn cell(&self) -> &E::Cell {
        self.cell.as_ref().expect("an unused cell is not accessed")
    }
}

impl<E: Engine, T: Word> Plain<T> for Cell<E, T> {
    fn new(value: T) -> Self {
        let bits = value.to_bits();
        Self { cell: Some(E::Cell::new(bits)), last: bits.into(), value: PhantomData }
    }

    fn unused() -> Self {
        Self { cell: None, last: 0.into(), value: PhantomData }
    }

    /// Recorded before it is done, so that a race is the last step of the history.
    fn get(&self) -> T {
        history::as_me(|| self.cell().interrupt(false));
        let value = self.last.load(Relaxed);
        history::record(std::ptr::from_ref(self) as usize, Op::Get, value);
        T::from_bits(self.cell().get())
    }

    fn set(&self, value: T) {
        history::as_me(|| self.cell().interrupt(true));
        let before = self.last.swap(value.to_bits(), Relaxed);
        history::record_write(std::ptr::from_ref(self) as usize, Op::Set, before, value.to_bits());
        self.cell().set(value.to_bits());
    }

    fn peek(&self) -> T {
        T::from_bits(self.last.load(Relaxed))
    }
}

/// One modelled CPU: a thread of the model.
pub struct CheckedCpu<E: Engine, L: CheckedLock> {
    id: usize,
    local: Local,
    /// What the two halves of the asymmetric fence of a [`Weak`] machine meet in.
    meeting: Option<Arc<E::Word>>,
    system: Arc<System<Checked<E, L>>>,
}

impl<E: Engine, L: CheckedLock> Cpu<Checked<E, L>> for CheckedCpu<E, L> {
    fn id(&self) -> usize {
        self.id
    }

    /// Steps so far: there is no time in a model.
    fn now(&self) -> u64 {
        history::steps() as u64
    }

    fn work(&self, _ns: u64) {}

    fn sleep_jiffy(&self) {
        self.local.might_sleep("schedule_timeout");
        model::wait::<E>();
    }

    fn relax(&self) {
        model::wait::<E>();
    }

    fn phase(&self) -> Phase {
        Phase::Measure
    }

    fn window_closed(&self) {}

    fn note(&self, what: &'static str, value: u64) {
        history::note(what, value);
    }

    fn local(&self) -> &Local {
        &self.local
    }

    fn system(&self) -> &System<Checked<E, L>> {
        &self.system
    }
}

impl<E: Engine, L: CheckedLock> Machine for Checked<E, L> {
    const EXPLORED: bool = true;
    /// In release builds too: the accesses of an assertion are explored with the rest.
    const ASSERTS: bool = true;
    type Config = Config;
    type Atomic<T: Word> = Shared<E, T>;
    type Plain<T: Word> = Cell<E, T>;
    type Lock = L::Lock<E>;
    type Cpu = CheckedCpu<E, L>;

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
        let results = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (workers, worker, last) = (config.workers, Arc::new(worker), results.clone());
        let executions = model::explore::<E>(config, move || {
            let system = Arc::new(System::new(workers));
            let meeting = L::WEAK.then(|| Arc::new(E::Word::new(4, 0)));
            let boot = {
                let (local, system) = (system.local(workers), system.clone());
                CheckedCpu { id: workers, local, meeting: meeting.clone(), system }
            };
            let state = Arc::new(setup(&boot));
            let ended = Arc::new(std::sync::Mutex::new((0..workers).map(|_| None).collect()));
            model::fork_join::<E, _>(workers, |id| {
                let (state, worker, ended) = (state.clone(), worker.clone(), ended.clone());
                let (system, meeting) = (system.clone(), meeting.clone());
                move || {
                    let me = CheckedCpu { id, local: system.local(id), meeting, system };
                    let result = worker(&state, &me);
                    let ended: &std::sync::Mutex<Vec<Option<R>>> = &ended;
                    ended.lock().expect("no panic while held")[id] = Some(result);
                }
            });
            finish(&state, &boot);
            let ended = std::mem::take(&mut *ended.lock().expect("no panic while held"));
            *last.lock().expect("no panic while held") = ended;
        })?;
        let workers = std::mem::take(&mut *results.lock().expect("no panic while held"));
        Ok(Outcome { workers: workers.into_iter().flatten().collect(), executions })
    }

    fn mb() {
        E::fence(SeqCst);
    }

    fn wmb() {
        E::fence(Release);
    }

    fn light_mb(cpu: &Self::Cpu) {
        match &cpu.meeting {
            Some(word) => _ = history::as_me(|| word.add(0, AcqRel)),
            None => E::fence(SeqCst),
        }
    }

    fn heavy_mb(cpu: &Self::Cpu) {
        E::fence(SeqCst);
        if cpu.meeting.is_some() {
            Self::light_mb(cpu);
        }
    }

    fn register(region: &Extent) {
        history::register(region);
    }

    fn unregister(base: usize) {
        history::unregister(base);
    }

    fn enter(function: &'static str) {
        history::enter(function);
    }

    fn call(function: &'static str) {
        history::call(function);
    }

    fn returned() {
        history::returned();
    }
}
