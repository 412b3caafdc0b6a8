//! The checked machines check: correct locks, grace periods and references pass within their
//! bounds, each broken one is caught, limits are inconclusive, and a failure leaves the same
//! history every time. That the locks of the list exclude is in `locks.rs`.

use machine::checked::scenarios::{self, Guarded, guarded};
use machine::checked::{Blocking, Config, Loom, Op, Shuttle, Spin, last_trace};
use machine::lock::{LockKind, Qspin, RawLock, Ticket};
use machine::{Atomic, Cpu, Failure, Machine, Plain, Region, Site};

#[test]
fn blocking_excludes() {
    for (workers, bound) in [(2, 3), (3, 2)] {
        let explored = scenarios::lock_excludes::<Loom>(&Config::bounded(workers, bound));
        assert!(explored.unwrap() > 1, "nothing was explored");
    }
}

#[test]
fn qspin_queues_under_shuttle() {
    scenarios::lock_excludes::<Shuttle<Spin<Qspin>>>(&Config::random(4, 1, 2_000)).unwrap();
}

/// Tests the word, then sets it: two CPUs may both find it free.
struct TestThenSet;

impl LockKind for TestThenSet {
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
    let message =
        caught(scenarios::lock_excludes::<Loom<Spin<TestThenSet>>>(&Config::bounded(2, 2)));
    assert!(message.contains("data race") && message.contains("counter.value"), "{message}");
    let trace = last_trace().expect("a failure leaves a history");
    assert!(trace.steps.iter().any(|s| s.cell == "counter.value" && s.op == Op::Set));
    // Shuttle finds no races, but it sees the lost update.
    let message = caught(scenarios::lock_excludes::<Shuttle<Spin<TestThenSet>>>(&Config::random(
        2, 1, 5_000,
    )));
    assert!(message.contains("lost"), "{message}");
}

#[test]
fn the_same_failure_leaves_the_same_history() {
    let history = || {
        caught(scenarios::lock_excludes::<Loom<Spin<TestThenSet>>>(&Config::bounded(2, 2)));
        last_trace().expect("a failure leaves a history")
    };
    assert_eq!(history(), history());
}

#[test]
fn a_limit_is_inconclusive() {
    let limits: [fn(&mut Config); 2] = [|c| c.executions = 2, |c| c.steps = 60];
    for limit in limits {
        let mut config = Config::bounded(3, 2);
        limit(&mut config);
        let run = scenarios::lock_excludes::<Loom<Spin<Ticket>>>(&config);
        assert!(matches!(run, Err(Failure::Inconclusive(_))), "{run:?}");
    }
}

#[test]
fn a_wait_without_end_is_caught() {
    let run = Loom::<Blocking>::run(
        &Config::bounded(2, 2),
        |_| guarded("counter"),
        |counter: &Region<Loom, Guarded<Loom>>, cpu| {
            if cpu.id() == 0 {
                counter[0].flag.spin_until(|flag| flag == 2);
            } else {
                counter[0].flag.store(1);
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
    let run = Loom::<Blocking>::run(
        &Config::bounded(2, 2),
        |_| guarded("counter"),
        |counter: &Region<Loom, Guarded<Loom>>, cpu| {
            if cpu.id() == 0 {
                let _never_unlocked = counter[0].lock.lock(cpu, &A);
            } else {
                let guard = counter[0].lock.lock(cpu, &A);
                counter[0].lock.unlock(cpu, guard);
            }
        },
        |_, _| (),
    );
    assert!(caught(run).contains("deadlock"));
}

#[test]
fn store_buffering_needs_its_fences() {
    let run = |fence: bool| {
        Loom::<Blocking>::run(
            &Config::bounded(2, 2),
            |_| [guarded::<Loom>("one"), guarded::<Loom>("two")],
            move |words, cpu| {
                words[cpu.id()][0].flag.store(1);
                if fence {
                    Loom::<Blocking>::mb();
                }
                let seen = words[1 - cpu.id()][0].flag.load();
                words[cpu.id()][0].value.set(u64::from(seen));
            },
            |words, _| {
                assert!(words[0][0].value.peek() + words[1][0].value.peek() > 0, "both read 0")
            },
        )
    };
    run(true).unwrap();
    assert_eq!(caught(run(false)), "both read 0");
    let trace = last_trace().expect("a failure leaves a history");
    assert!(trace.steps.iter().any(|s| s.op == Op::Load && s.stale.is_some()), "no stale read");
}

#[test]
fn references_keep_the_arrays() {
    scenarios::reference_guards::<Loom>(&Config::bounded(2, 3)).unwrap();
    scenarios::reference_guards::<Shuttle>(&Config::random(3, 1, 2_000)).unwrap();
}

#[test]
fn reference_faults_are_caught() {
    let faults =
        ["ref-checked-before-bump", "ref-sum-without-gp", "ref-no-bias", "ref-shard-by-shard"];
    for fault in faults {
        let _on = machine::fault::with(Some(fault));
        let message = caught(scenarios::reference_guards::<Loom>(&Config::bounded(2, 2)));
        let shown = ["arrays", "no progress"].iter().any(|s| message.contains(s));
        assert!(shown, "{fault}: {message}");
    }
}

#[test]
fn a_grace_period_ends_all_sections() {
    let run = |wait| {
        let config = Config::bounded(2, 3);
        scenarios::grace_period_ends_sections::<Loom>(&config, wait)
    };
    run(true).unwrap();
    assert!(caught(run(false)).contains("data race"));
}

/// All orders of two CPUs at a lock: a search that misses one of them would miss the failures in
/// it.
#[test]
fn every_order_of_a_lock_is_explored() {
    static A: Site = Site::new("a", "takes");
    let seen = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let noted = seen.clone();
    let run = Loom::<Blocking>::run(
        &Config::bounded(2, 1),
        |_| guarded::<Loom>("counter"),
        |counter, cpu| {
            let Guarded { lock, value, flag } = &counter[0];
            if cpu.id() == 0 {
                let guard = lock.lock(cpu, &A);
                value.set(value.get() * 2 + 1);
                lock.unlock(cpu, guard);
            } else if let Some(guard) = lock.try_lock(cpu, &A) {
                value.set(value.get() * 4);
                lock.unlock(cpu, guard);
            } else {
                flag.store(1);
            }
        },
        move |counter, _| {
            let (value, missed) = (counter[0].value.peek(), counter[0].flag.peek());
            noted.lock().unwrap().insert((value, missed));
        },
    );
    run.unwrap();
    let seen: Vec<_> = seen.lock().unwrap().iter().copied().collect();
    assert_eq!(seen, [(1, 0), (1, 1), (4, 0)]);
}
