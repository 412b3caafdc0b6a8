//! Every lock of the list excludes on every machine. So does a new lock, which is one file and one
//! row: this test has a list of its own, made by the same macro, with a toy in it.

use machine::checked::{self, Loom, Spin, scenarios};
use machine::lock::{Any, KINDS, LockKind};
use machine::simulated::{self, Model, Simulated};
use machine::{Cpu, Fields, Machine, Native, Plain, Region, Site, SpinLock, native};

/// All that a new lock takes besides its file, here in `machine/tests/toy/`.
#[macro_use]
#[path = "toy"]
mod lock {
    machine::locks! {
        in crate::lock:
        cas::Cas, "a toy";
    }
}

struct Counter<M: Machine> {
    lock: SpinLock<M>,
    /// Changed by a load and a store: wrong unless the lock excludes.
    value: M::Plain<u64>,
}

impl<M: Machine> Fields for Counter<M> {}

static COUNT: Site = Site::new("counter->lock", "excludes");

/// `rounds` increments per worker, a quarter of them after a trylock, all accounted.
fn excludes<M: Machine>(name: &str, config: &M::Config, workers: usize, rounds: u64) {
    let run = M::run(
        config,
        |_| {
            let counter = |_| Counter::<M> { lock: SpinLock::new(), value: M::Plain::new(0) };
            Region::<M, _>::new("counter", 1, counter)
        },
        move |counter: &Region<M, Counter<M>>, cpu| {
            let Counter { lock, value } = &counter[0];
            for round in 0..rounds {
                let tried = if round % 4 == 0 { lock.try_lock(cpu, &COUNT) } else { None };
                let guard = tried.unwrap_or_else(|| lock.lock(cpu, &COUNT));
                value.set(value.get() + 1);
                lock.unlock(cpu, guard);
            }
            cpu.local().sites().iter().map(|site| site.acquired).sum::<u64>()
        },
        move |counter, _| {
            assert_eq!(counter[0].value.peek(), workers as u64 * rounds, "increments");
            assert!(!counter[0].lock.peek_locked(), "held at the end");
        },
    );
    let acquired = run.unwrap_or_else(|failure| panic!("{name}: {failure}")).workers;
    assert_eq!(acquired, vec![rounds; workers], "{name}: acquisitions accounted");
}

fn natively<K: LockKind>(name: &str) {
    let rounds = if cfg!(miri) { 20 } else { 2_000 };
    excludes::<Native<K, true>>(name, &native::Config::untimed(3), 3, rounds);
}

fn simulated<K: LockKind>(name: &str) {
    for (model, workers) in [("x86-1", 1), ("x86-2", 7), ("epyc-2x96", 24)] {
        let config = simulated::Config::untimed(Model::load(model).unwrap(), workers);
        excludes::<Simulated<K>>(name, &config, workers, 60);
    }
}

fn checked<K: LockKind>(name: &str) {
    let explored = scenarios::lock_excludes::<Loom<Spin<K>>>(&checked::Config::bounded(2, 3));
    let executions = explored.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    assert!(executions > 1, "{name}: nothing was explored");
}

#[test]
fn every_lock_excludes_natively() {
    for (name, _) in KINDS {
        machine::with_lock!(name, K => natively::<K>(name)).expect("it is in the list");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn every_lock_excludes_on_simulated_machines() {
    for (name, _) in KINDS {
        machine::with_lock!(name, K => simulated::<K>(name)).expect("it is in the list");
    }
}

/// The simulator's one type for all locks does, access by access, what the lock's own type does.
#[test]
#[cfg_attr(miri, ignore)]
fn any_lock_is_the_lock_that_was_chosen() {
    let account = |run: fn(&str), name| {
        run(name);
        let account = simulated::take_account().expect("a run has one");
        (account.events, account.virtual_ps, account.callers)
    };
    let mut seen = Vec::new();
    for (name, _) in KINDS {
        assert!(Any::choose(name));
        let own = machine::with_lock!(name, K => account(simulated::<K>, name));
        let any = account(simulated::<Any>, name);
        assert_eq!(own.expect("it is in the list"), any, "{name}");
        assert!(!seen.contains(&any), "{name} is told from the others");
        seen.push(any);
    }
    assert!(!Any::choose("no such lock"));
}

#[test]
#[cfg_attr(miri, ignore)]
fn every_lock_excludes_in_every_execution() {
    for (name, _) in KINDS {
        machine::with_lock!(name, K => checked::<K>(name)).expect("it is in the list");
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_lock_is_one_file_and_one_row() {
    assert_eq!(lock::KINDS, [("cas", "a toy")]);
    for (name, _) in lock::KINDS {
        let found = with_lock!(name, K => {
            natively::<K>(name);
            simulated::<K>(name);
            checked::<K>(name);
        });
        found.expect("it is in the list");
    }
    assert!(with_lock!("tas", K => std::any::type_name::<K>()).is_none(), "not in this list");
}
