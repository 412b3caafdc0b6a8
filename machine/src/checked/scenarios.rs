//! Scenarios of the machine itself: a lock excludes, a grace period ends every read section, and a
//! reference keeps what it guards, is refused once the count is killed, and comes back with it. Guards
//! the ground that variants build on.

use super::config::Config;
use crate::{Atomic, Cpu, Failure, Fields, Machine, PercpuRef, Plain, Region, Site, SpinLock};

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static COUNT: Site = Site::new("counter->lock", "increment");

/// Something guarded, by a lock, a grace period or a reference.
pub struct Guarded<M: Machine> {
    /// Protects `value`, where a scenario uses it.
    pub lock: SpinLock<M>,
    /// The guarded memory.
    pub value: M::Plain<u64>,
    /// A word to synchronise by.
    pub flag: M::Atomic<u32>,
}

impl<M: Machine> Fields for Guarded<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("lock", std::mem::offset_of!(Self, lock)),
            ("value", std::mem::offset_of!(Self, value)),
            ("flag", std::mem::offset_of!(Self, flag)),
        ]
    }
}

/// A region of one [`Guarded`], all zero; `name` is for histories.
pub fn guarded<M: Machine>(name: &'static str) -> Region<M, Guarded<M>> {
    Region::new(name, 1, |_| Guarded {
        lock: SpinLock::new(),
        value: M::Plain::new(0),
        flag: M::Atomic::new(0),
    })
}

/// Every CPU increments once under the lock. Returns the executions explored.
///
/// # Errors
///
/// [`Failure::Panicked`] if an increment can be lost or races, [`Failure::Inconclusive`] at a limit
/// of `config`.
pub fn lock_excludes<M: Machine<Config = Config>>(config: &Config) -> Result<u64, Failure> {
    let workers = config.workers as u64;
    let run = M::run(
        config,
        |_| guarded::<M>("counter"),
        |counter, cpu| {
            let Guarded { lock, value, .. } = &counter[0];
            let guard = lock.lock(cpu, &COUNT);
            value.set(value.get() + 1);
            lock.unlock(cpu, guard);
        },
        move |counter, _| assert!(counter[0].value.peek() == workers, "an increment is lost"),
    );
    run.map(|outcome| outcome.executions)
}

/// Every CPU increments under the lock twice; the second time it tries the lock once, and gives up if it
/// is held. A CPU that has given the lock up competes for it again, which one acquisition each does not
/// show. Returns the executions explored.
///
/// # Errors
///
/// As [`lock_excludes`].
pub fn lock_is_retaken<M: Machine<Config = Config>>(config: &Config) -> Result<u64, Failure> {
    let run = M::run(
        config,
        // How often the lock was had is kept outside the model.
        |_| (guarded::<M>("counter"), AtomicU64::new(0)),
        |(counter, had), cpu| {
            let Guarded { lock, value, .. } = &counter[0];
            let increment = |guard| {
                had.fetch_add(1, Relaxed);
                value.set(value.get() + 1);
                lock.unlock(cpu, guard);
            };
            increment(lock.lock(cpu, &COUNT));
            lock.try_lock(cpu, &COUNT).into_iter().for_each(increment);
        },
        |(counter, had), _| {
            assert!(counter[0].value.peek() == had.load(Relaxed), "an increment is lost");
            assert!(!counter[0].lock.peek_locked(), "the lock is held at rest");
        },
    );
    run.map(|outcome| outcome.executions)
}

struct Device<M: Machine> {
    users: PercpuRef<M>,
    arrays: Region<M, Guarded<M>>,
}

impl<M: Machine> Device<M> {
    fn new(cpu: &M::Cpu) -> Self {
        Self { users: PercpuRef::new(cpu.system().cpus()), arrays: guarded::<M>("arrays") }
    }
}

/// CPU 0 kills and drains `users` and frees the arrays that the others read with a reference. Once
/// percpu_ref_kill() has returned, nobody gets one. Returns the executions explored. I12 is an invariant
/// of docs/catalogue.md.
///
/// # Errors
///
/// [`Failure::Panicked`] if a reference does not keep the arrays, [`Failure::Inconclusive`] at a
/// limit of `config`.
pub fn reference_guards<M: Machine<Config = Config>>(config: &Config) -> Result<u64, Failure> {
    let run = M::run(
        config,
        |cpu| {
            let device = Device::<M>::new(cpu);
            device.users.resurrect();
            device
        },
        |device, cpu| {
            let Guarded { value: arrays, flag: killed, .. } = &device.arrays[0];
            let refused = || !device.users.tryget_live(cpu);
            if cpu.id() == 0 {
                M::enter("swapoff");
                device.users.kill();
                assert!(refused(), "I12: a reference is had after percpu_ref_kill()");
                killed.store_release(1);
                device.users.wait_drained(cpu);
                arrays.set(1);
                assert!(refused(), "I12: a reference is had after the drain");
                return;
            }
            M::enter("get_swap_device");
            let dead = killed.load_acquire() != 0;
            if device.users.tryget_live(cpu) {
                assert!(!dead, "I12: a reference is had after percpu_ref_kill()");
                assert!(arrays.get() == 0, "I12: the arrays are gone with a reference held");
                device.users.put(cpu);
            }
        },
        |device, _| assert!(device.users.peek() == 0, "I12: references are left"),
    );
    run.map(|outcome| outcome.executions)
}

/// CPU 0 makes the arrays and then the count live, as swapon does; a CPU that gets a reference sees the
/// arrays. Returns the executions explored.
///
/// # Errors
///
/// As [`reference_guards`].
pub fn reference_comes_back<M: Machine<Config = Config>>(config: &Config) -> Result<u64, Failure> {
    let run = M::run(
        config,
        |cpu| Device::<M>::new(cpu),
        |device, cpu| {
            let arrays = &device.arrays[0].value;
            if cpu.id() == 0 {
                M::enter("swapon");
                arrays.set(1);
                return device.users.resurrect();
            }
            M::enter("get_swap_device");
            if device.users.tryget_live(cpu) {
                assert!(arrays.get() == 1, "I12: a reference is had before the arrays are there");
                device.users.put(cpu);
            }
        },
        |device, _| assert!(device.users.peek() == 1, "I12: references are left"),
    );
    run.map(|outcome| outcome.executions)
}

/// CPU 0 publishes a flag, waits for a grace period and then writes what read sections that saw no
/// flag may read. With `wait` false it does not wait, and the scenario must fail. Returns the
/// executions explored.
///
/// # Errors
///
/// [`Failure::Panicked`] if the write races with a section, [`Failure::Inconclusive`] at a limit of
/// `config`.
pub fn grace_period_ends_sections<M: Machine<Config = Config>>(
    config: &Config,
    wait: bool,
) -> Result<u64, Failure> {
    let run = M::run(
        config,
        |_| guarded::<M>("payload"),
        move |payload, cpu| {
            let Guarded { value, flag, .. } = &payload[0];
            if cpu.id() != 0 {
                M::enter("rcu_read_lock");
                return cpu.system().rcu.read(cpu, || {
                    if flag.load() == 0 {
                        assert!(value.get() == 0, "freed under a reader");
                    }
                });
            }
            M::enter("synchronize_rcu");
            flag.store(1);
            if wait {
                cpu.system().rcu.synchronize(cpu);
            }
            value.set(1);
        },
        |_, _| (),
    );
    run.map(|outcome| outcome.executions)
}
