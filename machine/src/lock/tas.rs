//! Test-and-test-and-set: one word, no order among waiters. A waiter spins on its own copy of the
//! word and tries an atomic operation only once it reads 0: Rudolph and Segall, "Dynamic
//! Decentralized Cache Schemes for MIMD Parallel Processors", ISCA 1984. It is what the kernel's
//! virt_spin_lock() (arch/x86/include/asm/qspinlock.h, Linux 4.2 on) does in a guest without
//! paravirtual spinlocks.

use super::{LockKind, RawLock};
use crate::{Atomic, Machine};

/// The test-and-test-and-set lock: four bytes, 1 while held.
///
/// Two threads count under it:
///
/// ```
/// use machine::lock::Tas;
/// use machine::native::{Config, Native};
/// use machine::{Fields, Machine, Plain, Region, Site, SpinLock};
///
/// type M = Native<Tas, true>;
/// struct Counter(SpinLock<M>, <M as Machine>::Plain<u64>);
/// impl Fields for Counter {}
/// static COUNT: Site = Site::new("counter->lock", "count");
///
/// let run = M::run(
///     &Config::untimed(2),
///     |_| Region::<M, _>::new("counter", 1, |_| Counter(SpinLock::new(), Plain::new(0))),
///     |counter, cpu| {
///         let Counter(lock, value) = &counter[0];
///         for _ in 0..100 {
///             let guard = lock.lock(cpu, &COUNT);
///             value.set(value.get() + 1);
///             lock.unlock(cpu, guard);
///         }
///         cpu.local().sites()[0].acquired
///     },
///     |counter, _| assert_eq!(counter[0].1.peek(), 200),
/// );
/// # use machine::Cpu;
/// assert_eq!(run.unwrap().workers, [100, 100]);
/// ```
pub struct Tas;

impl LockKind for Tas {
    type Lock<M: Machine> = TasLock<M>;
}

/// [`Tas`] over the words of `M`.
pub struct TasLock<M: Machine> {
    /// 1 while held.
    locked: M::Atomic<u32>,
}

impl<M: Machine> RawLock<M> for TasLock<M> {
    type Token = ();

    fn new() -> Self {
        Self { locked: M::Atomic::new(0) }
    }

    #[inline]
    fn lock(&self, _cpu: &M::Cpu, contended: impl FnOnce()) {
        if self.locked.cmpxchg(0, 1).is_ok() {
            return;
        }
        contended();
        loop {
            self.locked.spin_until(|locked| locked == 0);
            if self.locked.cmpxchg(0, 1).is_ok() {
                return;
            }
        }
    }

    #[inline]
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        (self.locked.load() == 0 && self.locked.cmpxchg(0, 1).is_ok()).then_some(())
    }

    #[inline]
    fn unlock(&self, _cpu: &M::Cpu, _token: ()) {
        self.locked.store_release(0);
    }

    fn peek_locked(&self) -> bool {
        self.locked.peek() != 0
    }
}
