//! Test-and-test-and-set: one word, no order among waiters. What the kernel's
//! virt_spin_lock() does in a guest without paravirtual spinlocks.

use super::{LockKind, RawLock};
use crate::{Atomic, Machine};

pub struct Tas;

impl LockKind for Tas {
    const NAME: &'static str = "tas";
    type Lock<M: Machine> = TasLock<M>;
}

pub struct TasLock<M: Machine> {
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
