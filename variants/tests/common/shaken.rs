//! The native machine, shaken, so that workers meet in the middle of an operation. Its atomics are
//! the native ones; before an access a worker may be disturbed. There are two ways to run it:
//!
//! - [`Way::Woven`]: the workers take turns on one thread, as coroutines. Before an access another
//!   one may go on, and now and then one stays away while others do several operations. Two CPUs or
//!   a busy machine make no difference, and a seed gives the same run every time.
//! - [`Way::Threads`]: threads, which spin or yield their CPU before an access. What they do to each
//!   other is left to chance, but they really run at once, as a sanitizer needs.
//!
//! A plain cell that is read or written must not change while its worker stays away: the kernel's
//! KCSAN finds data races in this way (Documentation/dev-tools/kcsan.rst, Linux 6.12). Guards that a
//! run ends: a worker panics where no worker gets any further.

use machine::lock::{Local, LockKind};
use machine::native::{self, Native};
use machine::{Atomic, Cpu, Failure, Machine, Outcome, Phase, Plain, System, Word as Value, fault};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// [`Native`] over lock kind `K`, shaken. With `EXPLORED` a historical bug can be put back, and the
/// variants look closer (see [`Machine::EXPLORED`]).
pub struct Shaken<K: LockKind, const EXPLORED: bool>(PhantomData<fn() -> K>);

/// How a run is shaken.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub workers: usize,
    pub way: Way,
    /// Seed of the disturbances.
    pub seed: u64,
    /// Accesses between two disturbances, on average; 0: there are none, and no watch.
    pub every: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Woven,
    Threads,
}

/// Accesses without a finished step that end a woven run.
const MOST_ACCESSES: u64 = 1_000_000;
/// Time without a finished step that ends a run of threads.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the workers of a run know of each other.
#[derive(Default)]
struct Watch {
    failed: AtomicBool,
    /// Steps that workers have finished, see [`progress`].
    steps: AtomicU64,
}

/// The state of a thread that has a worker, or all of them.
struct Me {
    watch: Arc<Watch>,
    way: Way,
    random: fastrand::Rng,
    every: u64,
    /// It waits as a measured worker does, without a watch.
    calm: bool,
    /// Accesses until the next disturbance.
    next: u64,
    accesses: u64,
    /// The steps of all workers as last seen, and since which access and when there are no more.
    seen: (u64, u64, Instant),
}

thread_local! {
    static ME: RefCell<Option<Me>> = const { RefCell::new(None) };
}

/// The text that [`Native`] does not take for the first failure of a run.
const ANOTHER_FAILED: &str = "another worker has failed";

/// The caller has finished a step of its work.
pub fn progress() {
    ME.with_borrow(|me| {
        if let Some(me) = me {
            me.watch.steps.fetch_add(1, Relaxed);
        }
    });
}

/// Whether the caller's state, if it has one, is of that kind.
fn am(kind: impl Fn(&Me) -> bool) -> bool {
    ME.with_borrow(|me| me.as_ref().is_some_and(kind))
}

/// An access to shared memory begins. True if there was a disturbance.
fn shake() -> bool {
    if thread::panicking() {
        return false;
    }
    let disturbance = ME.with_borrow_mut(|me| me.as_mut().and_then(Me::access));
    if let Some(disturbance) = disturbance {
        disturbance.happen();
    }
    disturbance.is_some()
}

/// The caller waits for another worker.
fn wait() {
    if thread::panicking() {
        return;
    }
    ME.with_borrow_mut(|me| {
        if let Some(me) = me {
            me.accesses += 1;
            me.look();
        }
    });
    let others = am(|me| me.way == Way::Woven && me.every > 0);
    if others { Disturbance::Turn } else { Disturbance::Yield(1) }.happen();
}

#[derive(Clone, Copy)]
enum Disturbance {
    /// The scheduler of a woven run chooses a worker.
    Turn,
    Spin(u32),
    Yield(u32),
}

impl Disturbance {
    fn happen(self) {
        match self {
            Self::Turn => shuttle::thread::yield_now(),
            Self::Spin(times) => (0..times).for_each(|_| std::hint::spin_loop()),
            Self::Yield(times) => (0..times).for_each(|_| thread::yield_now()),
        }
    }
}

impl Me {
    fn new(config: &Config, id: usize, watch: &Arc<Watch>) -> Self {
        let Config { workers, way, seed, every } = *config;
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(id as u64));
        let calm = id < workers && every == 0;
        // The CPU that runs `setup` and `finish` is alone.
        let every = if id < workers { every } else { 0 };
        let next = if every == 0 { 0 } else { random.u64(1..=2 * every) };
        let seen = (u64::MAX, 0, Instant::now());
        Self { watch: watch.clone(), way, random, every, calm, next, accesses: 0, seen }
    }

    fn access(&mut self) -> Option<Disturbance> {
        self.accesses += 1;
        if self.accesses.is_multiple_of(1024) {
            self.look();
        }
        self.next = self.next.checked_sub(1)?;
        if self.next > 0 {
            return None;
        }
        self.next = self.random.u64(1..=2 * self.every);
        Some(match (self.way, self.random.u32(..16)) {
            (Way::Woven, _) => Disturbance::Turn,
            (Way::Threads, 0) => Disturbance::Yield(1),
            (Way::Threads, _) => Disturbance::Spin(self.random.u32(1..256)),
        })
    }

    /// # Panics
    ///
    /// If a worker has failed, or if the run has come to a halt.
    fn look(&mut self) {
        assert!(!self.watch.failed.load(Relaxed), "{ANOTHER_FAILED}");
        let steps = self.watch.steps.load(Relaxed);
        if steps != self.seen.0 {
            self.seen = (steps, self.accesses, Instant::now());
        }
        let (_, accesses, at) = self.seen;
        let halted = match self.way {
            Way::Woven => self.accesses - accesses > MOST_ACCESSES,
            Way::Threads => at.elapsed() > PATIENCE,
        };
        assert!(
            !halted,
            "L: no worker has finished a step for {} accesses",
            self.accesses - accesses
        );
    }
}

/// Gives the calling thread a state while it lives.
struct Working(Option<Me>);

impl Working {
    fn begin(me: Me) -> Self {
        Self(ME.replace(Some(me)))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(me) = ME.replace(self.0.take()).filter(|_| thread::panicking()) {
            me.watch.failed.store(true, Relaxed);
        }
    }
}

/// Chooses the worker that goes on: any, but for one that stays away for some turns.
struct Uneven {
    random: fastrand::Rng,
    begun: bool,
    away: Option<TaskId>,
    turns: u32,
}

impl Scheduler for Uneven {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!std::mem::replace(&mut self.begun, true)).then(|| Schedule::new(0))
    }

    fn next_task(&mut self, tasks: &[&Task], _: Option<TaskId>, _: bool) -> Option<TaskId> {
        self.turns = self.turns.saturating_sub(1);
        if self.turns == 0 {
            let long = self.random.bool();
            self.away = long.then(|| self.random.choice(tasks).map(|task| task.id())).flatten();
            self.turns = self.random.u32(1..if long { 200 } else { 20 });
        }
        let here = tasks.iter().filter(|task| Some(task.id()) != self.away);
        let chosen = self.random.choice(here.collect::<Vec<_>>()).copied();
        chosen.or(tasks.first().copied()).map(|task| task.id())
    }

    fn next_u64(&mut self) -> u64 {
        self.random.u64(..)
    }
}

/// A word of [`Native`] behind a disturbance.
pub struct Word<T: Value>(T::Native);

impl<T: Value> Word<T> {
    fn word(&self) -> &T::Native {
        shake();
        &self.0
    }
}

impl<T: Value> Atomic<T> for Word<T> {
    fn new(value: T) -> Self {
        Self(T::Native::new(value))
    }
    fn load(&self) -> T {
        self.word().load()
    }
    fn store(&self, value: T) {
        self.word().store(value);
    }
    fn load_acquire(&self) -> T {
        self.word().load_acquire()
    }
    fn store_release(&self, value: T) {
        self.word().store_release(value);
    }
    fn swap(&self, value: T) -> T {
        self.word().swap(value)
    }
    fn cmpxchg(&self, old: T, new: T) -> Result<T, T> {
        self.word().cmpxchg(old, new)
    }
    fn fetch_add(&self, value: T) -> T {
        self.word().fetch_add(value)
    }
    fn fetch_sub(&self, value: T) -> T {
        self.word().fetch_sub(value)
    }
    fn fetch_or(&self, value: T) -> T {
        self.word().fetch_or(value)
    }
    fn fetch_and(&self, value: T) -> T {
        self.word().fetch_and(value)
    }
    fn fetch_add_relaxed(&self, value: T) -> T {
        self.word().fetch_add_relaxed(value)
    }
    fn spin_until(&self, done: impl Fn(T) -> bool) -> T {
        if am(|me| me.calm) {
            return self.0.spin_until(done);
        }
        loop {
            let value = self.word().load_acquire();
            if done(value) {
                return value;
            }
            wait();
        }
    }
    fn peek(&self) -> T {
        self.0.peek()
    }
}

/// A plain cell of [`Native`], which no other worker may write during an access.
pub struct Cell<T: Value>(native::Cell<T>);

impl<T: Value> Cell<T> {
    fn race(&self, before: T, access: &str) {
        let after = self.0.get();
        assert!(
            after == before || thread::panicking(),
            "Race: plain memory changed from {before} to {after} while a worker was about to \
             {access} it"
        );
    }
}

impl<T: Value> Plain<T> for Cell<T> {
    fn new(value: T) -> Self {
        Self(native::Cell::new(value))
    }
    fn get(&self) -> T {
        let before = self.0.get();
        if shake() {
            self.race(before, "read");
        }
        before
    }
    fn set(&self, value: T) {
        let before = self.0.get();
        if shake() {
            self.race(before, "write");
        }
        self.0.set(value);
    }
    fn peek(&self) -> T {
        self.0.peek()
    }
}

/// A worker, or the CPU that runs `setup` and `finish`.
pub struct ShakenCpu<K: LockKind, const EXPLORED: bool> {
    id: usize,
    local: Local,
    system: Arc<System<Shaken<K, EXPLORED>>>,
}

impl<K: LockKind, const EXPLORED: bool> Cpu<Shaken<K, EXPLORED>> for ShakenCpu<K, EXPLORED> {
    fn id(&self) -> usize {
        self.id
    }
    fn now(&self) -> u64 {
        native::now()
    }
    fn work(&self, _ns: u64) {
        shake();
    }
    fn sleep_jiffy(&self) {
        self.local.might_sleep("schedule_timeout");
        wait();
    }
    fn relax(&self) {
        wait();
    }
    fn phase(&self) -> Phase {
        Phase::Measure
    }
    fn window_closed(&self) {}
    fn note(&self, _what: &'static str, _value: u64) {}
    fn local(&self) -> &Local {
        &self.local
    }
    fn system(&self) -> &System<Shaken<K, EXPLORED>> {
        &self.system
    }
}

/// `body`, or the message of its panic.
fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Failure::Panicked(text.unwrap_or("a panic without a message").into())
    })
}

/// Runs `worker(id)` for all ids as coroutines on this thread. The error is the first panic.
fn weave<R: Send + 'static>(
    config: &Config,
    watch: Arc<Watch>,
    worker: impl Fn(usize) -> R + Send + Sync + 'static,
) -> Result<Vec<R>, Failure> {
    let (workers, worker) = (config.workers, Arc::new(worker));
    let ended = Arc::new(Mutex::new((Vec::new(), None)));
    let results = ended.clone();
    let all = move || {
        let one = |id| {
            let (worker, watch, ended) = (worker.clone(), watch.clone(), ended.clone());
            shuttle::thread::spawn(move || {
                let result = caught(|| worker(id));
                let mut ended = ended.lock().unwrap();
                match result {
                    Ok(result) => ended.0.push((id, result)),
                    Err(why) => {
                        watch.failed.store(true, Relaxed);
                        ended.1.get_or_insert(why);
                    }
                }
            })
        };
        let threads: Vec<_> = (0..workers).map(one).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("panics are caught inside"));
    };
    let mut settings = shuttle::Config::new();
    settings.failure_persistence = shuttle::FailurePersistence::None;
    settings.max_steps = shuttle::MaxSteps::None;
    settings.silence_warnings = true;
    settings.stack_size = 1 << 18;
    let random = fastrand::Rng::with_seed(config.seed);
    let scheduler = Uneven { random, begun: false, away: None, turns: 0 };
    shuttle::Runner::new(scheduler, settings).run(all);
    let (mut results, failure) = std::mem::take(&mut *results.lock().unwrap());
    results.sort_by_key(|(id, _)| *id);
    failure.map_or_else(|| Ok(results.into_iter().map(|(_, result)| result).collect()), Err)
}

impl<K: LockKind, const EXPLORED: bool> Machine for Shaken<K, EXPLORED> {
    const EXPLORED: bool = EXPLORED;
    const SITES: bool = true;
    type Config = Config;
    type Atomic<T: Value> = Word<T>;
    type Plain<T: Value> = Cell<T>;
    type Lock = K::Lock<Self>;
    type Cpu = ShakenCpu<K, EXPLORED>;

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
        let config = *config;
        let (system, watch) = (Arc::new(System::new(config.workers)), Arc::<Watch>::default());
        let cpu = {
            let system = Arc::clone(&system);
            move |id| ShakenCpu { id, local: system.local(id), system: system.clone() }
        };
        let me = {
            let (watch, bug) = (watch.clone(), fault::active());
            move |id| (fault::with(bug), Working::begin(Me::new(&config, id, &watch)))
        };
        if config.way == Way::Threads {
            let [setting, working, finishing] = std::array::from_fn(|_| (me.clone(), cpu.clone()));
            return Native::<K, true>::run(
                &native::Config::untimed(config.workers),
                move |boot| {
                    let _me = setting.0(boot.id());
                    setup(&setting.1(boot.id()))
                },
                move |state, native| {
                    let _me = working.0(native.id());
                    worker(state, &working.1(native.id()))
                },
                move |state, boot| {
                    let _me = finishing.0(boot.id());
                    finish(state, &finishing.1(boot.id()));
                },
            );
        }
        let boot = cpu(config.workers);
        let state = Arc::new(caught(|| {
            let _me = me(config.workers);
            setup(&boot)
        })?);
        let workers = {
            let (state, _me) = (state.clone(), me(0));
            weave(&config, watch, move |id| worker(&state, &cpu(id)))?
        };
        caught(|| {
            let _me = me(config.workers);
            finish(&state, &boot);
        })?;
        Ok(Outcome { workers, executions: 1 })
    }

    fn mb() {
        Native::<K, true>::mb();
    }
    fn wmb() {
        Native::<K, true>::wmb();
    }
    fn light_mb(_cpu: &Self::Cpu) {
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }
    fn heavy_mb(_cpu: &Self::Cpu) {
        if !am(|me| me.way == Way::Woven) {
            native::heavy_mb();
        }
    }
}
