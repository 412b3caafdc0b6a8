//! The checked machines check: correct locks, grace periods and references pass
//! within their bounds, each broken one is caught, limits are inconclusive, and a
//! failure leaves the same history every time.

use machine::checked::{CheckedLock, Config, Loom, Op, Shuttle, Spin, last_trace};
use machine::lock::{LockKind, Mcs, Qspin, RawLock, Tas, Ticket};
use machine::{Atomic, Cpu, Failure, Fields, Machine, PercpuRef, Plain, Region, Site, SpinLock};

static COUNT: Site = Site::new("counter->lock", "increments");

struct Counter<M: Machine> {
    lock: SpinLock<M>,
    value: M::Plain<u64>,
    flag: M::Atomic<u32>,
}

impl<M: Machine> Fields for Counter<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("lock", std::mem::offset_of!(Self, lock)),
            ("value", std::mem::offset_of!(Self, value)),
            ("flag", std::mem::offset_of!(Self, flag)),
        ]
    }
}

type Counters<M> = Region<M, Counter<M>>;

fn counters<M: Machine>() -> Counters<M> {
    Region::new("counter", 1, |_| Counter {
        lock: SpinLock::new(),
        value: M::Plain::new(0),
        flag: M::Atomic::new(0),
    })
}

fn increments<M: Machine<Config = Config>>(config: Config) -> Result<u64, Failure> {
    let workers = config.workers as u64;
    let run = M::run(
        &config,
        |_| counters::<M>(),
        |counters, cpu| {
            let Counter { lock, value, .. } = &counters[0];
            let guard = lock.lock(cpu, &COUNT);
            value.set(value.get() + 1);
            lock.unlock(cpu, guard);
        },
        move |counters, _| assert_eq!(counters[0].value.peek(), workers),
    );
    run.map(|outcome| outcome.executions)
}

fn excludes<L: CheckedLock>(bound: usize) {
    let executions = increments::<Loom<L>>(Config::bounded(2, bound)).unwrap();
    assert!(executions > 1, "nothing was explored");
}

#[test]
fn blocking_excludes() {
    excludes::<machine::checked::Blocking>(3);
    increments::<Loom>(Config::bounded(3, 2)).unwrap();
}

#[test]
fn tas_excludes() {
    excludes::<Spin<Tas>>(3);
}

#[test]
fn ticket_excludes() {
    excludes::<Spin<Ticket>>(3);
}

#[test]
fn mcs_excludes() {
    excludes::<Spin<Mcs>>(3);
}

#[test]
fn qspin_excludes() {
    excludes::<Spin<Qspin>>(3);
}

#[test]
fn qspin_queues_under_shuttle() {
    increments::<Shuttle<Spin<Qspin>>>(Config::random(4, 1, 2_000)).unwrap();
}

/// Tests the word, then sets it: two CPUs may both find it free.
struct TestThenSet;

impl LockKind for TestThenSet {
    const NAME: &'static str = "test-then-set";
    type Lock<M: Machine> = Broken<M>;
}

struct Broken<M: Machine>(M::Atomic<u32>);

impl<M: Machine> RawLock<M> for Broken<M> {
    type Token = ();
    fn new() -> Self {
        Self(M::Atomic::new(0))
    }
    fn lock(&self, _cpu: &M::Cpu, _contended: impl FnOnce()) {
        self.0.spin_until(|held| held == 0);
        self.0.store(1);
    }
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        unreachable!("not used here")
    }
    fn unlock(&self, _cpu: &M::Cpu, (): ()) {
        self.0.store_release(0);
    }
    fn peek_locked(&self) -> bool {
        self.0.peek() == 1
    }
}

fn caught<T: std::fmt::Debug>(run: Result<T, Failure>) -> String {
    match run {
        Err(Failure::Panicked(message)) => message,
        other => panic!("should have been caught: {other:?}"),
    }
}

#[test]
fn a_lock_that_does_not_exclude_is_caught() {
    let message = caught(increments::<Loom<Spin<TestThenSet>>>(Config::bounded(2, 2)));
    assert!(message.contains("data race") && message.contains("counter.value"), "{message}");
    let trace = last_trace().expect("a failure leaves a history");
    assert!(trace.steps.iter().any(|s| s.cell == "counter.value" && s.op == Op::Set));
    // Shuttle knows no races; it sees the lost update.
    let message = caught(increments::<Shuttle<Spin<TestThenSet>>>(Config::random(2, 1, 5_000)));
    assert!(message.contains("left: 1"), "{message}");
}

#[test]
fn the_same_failure_leaves_the_same_history() {
    let history = || {
        caught(increments::<Loom<Spin<TestThenSet>>>(Config::bounded(2, 2)));
        last_trace().expect("a failure leaves a history")
    };
    assert_eq!(history(), history());
}

#[test]
fn a_limit_is_inconclusive() {
    let limits: [fn(&mut Config); 3] =
        [|c| c.executions = 2, |c| c.steps = 60, |c| c.time = std::time::Duration::ZERO];
    for limit in limits {
        let mut config = Config::bounded(3, 2);
        limit(&mut config);
        let run = increments::<Loom<Spin<Ticket>>>(config);
        assert!(matches!(run, Err(Failure::Inconclusive(_))), "{run:?}");
    }
}

#[test]
fn a_wait_without_end_is_caught() {
    let run = Loom::<machine::checked::Blocking>::run(
        &Config::bounded(2, 2),
        |_| counters(),
        |counters: &Counters<Loom>, cpu| {
            if cpu.id() == 0 {
                counters[0].flag.spin_until(|flag| flag == 2);
            } else {
                counters[0].flag.store(1);
            }
        },
        |_, _| (),
    );
    let message = caught(run);
    assert!(message.contains("no progress") && message.contains("counter.flag = 1"), "{message}");
}

#[test]
fn a_deadlock_is_caught() {
    static A: Site = Site::new("a", "takes");
    let run = Loom::<machine::checked::Blocking>::run(
        &Config::bounded(2, 2),
        |_| counters(),
        |counters: &Counters<Loom>, cpu| {
            if cpu.id() == 0 {
                let _never_unlocked = counters[0].lock.lock(cpu, &A);
            } else {
                let guard = counters[0].lock.lock(cpu, &A);
                counters[0].lock.unlock(cpu, guard);
            }
        },
        |_, _| (),
    );
    assert!(caught(run).contains("deadlock"));
}

#[test]
fn store_buffering_needs_its_fences() {
    let run = |fence: bool| {
        Loom::<machine::checked::Blocking>::run(
            &Config::bounded(2, 2),
            |_| {
                Region::<Loom, Counter<Loom>>::named("w", 2, vec![], |_| Counter {
                    lock: SpinLock::new(),
                    value: Plain::new(0),
                    flag: Atomic::new(0),
                })
            },
            move |words, cpu| {
                words[cpu.id()].flag.store(1);
                if fence {
                    Loom::<machine::checked::Blocking>::mb();
                }
                let seen = words[1 - cpu.id()].flag.load();
                words[cpu.id()].value.set(u64::from(seen));
            },
            |words, _| assert!(words[0].value.peek() + words[1].value.peek() > 0, "both read 0"),
        )
    };
    run(true).unwrap();
    assert_eq!(caught(run(false)), "both read 0");
    let trace = last_trace().expect("a failure leaves a history");
    assert!(trace.steps.iter().any(|s| s.op == Op::Load && s.stale.is_some()), "no stale read");
}

struct World<M: Machine> {
    users: PercpuRef<M>,
    arrays: Counters<M>,
}

/// CPU 0 frees what the others use under a reference.
fn references<M: Machine<Config = Config>>(config: Config) -> Result<(), Failure> {
    let run = M::run(
        &config,
        |cpu| {
            let users = PercpuRef::new(cpu.system().cpus());
            users.resurrect();
            World { users, arrays: counters::<M>() }
        },
        |world, cpu| {
            let arrays = &world.arrays[0].value;
            if cpu.id() == 0 {
                world.users.drain(cpu);
                arrays.set(1);
                assert!(!world.users.tryget_live(cpu), "a reference after the drain");
            } else if world.users.tryget_live(cpu) {
                assert_eq!(arrays.get(), 0, "the arrays are gone with a reference held");
                world.users.put(cpu);
            }
        },
        |world, _| assert_eq!(world.users.peek(), 0),
    );
    run.map(|_| ())
}

#[test]
fn references_keep_the_arrays() {
    references::<Loom>(Config::bounded(2, 3)).unwrap();
    references::<Shuttle>(Config::random(3, 1, 2_000)).unwrap();
}

#[test]
fn reference_faults_are_caught() {
    let faults =
        ["ref-checked-before-bump", "ref-sum-without-gp", "ref-no-bias", "ref-shard-by-shard"];
    for fault in faults {
        let _on = machine::fault::with(Some(fault));
        let message = caught(references::<Loom>(Config::bounded(2, 2)));
        let shown = ["counter.value", "arrays", "no progress"].iter().any(|s| message.contains(s));
        assert!(shown, "{fault}: {message}");
    }
}

fn grace_period(wait: bool) -> Result<(), Failure> {
    let run = Loom::<machine::checked::Blocking>::run(
        &Config::bounded(2, 3),
        |_| counters(),
        move |counters: &Counters<Loom>, cpu| {
            let Counter { value, flag, .. } = &counters[0];
            if cpu.id() == 0 {
                flag.store(1);
                if wait {
                    cpu.system().rcu.synchronize(cpu);
                }
                value.set(1);
            } else {
                cpu.system().rcu.read(cpu, || {
                    if flag.load() == 0 {
                        value.get();
                    }
                });
            }
        },
        |_, _| (),
    );
    run.map(|_| ())
}

#[test]
fn a_grace_period_ends_all_sections() {
    grace_period(true).unwrap();
    assert!(caught(grace_period(false)).contains("data race"));
}
