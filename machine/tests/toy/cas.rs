//! A lock that is not in the list of the suite: `tas` without the test.

use machine::lock::{LockKind, RawLock};
use machine::{Atomic, Machine};

pub struct Cas;

impl LockKind for Cas {
    type Lock<M: Machine> = CasLock<M>;
}

pub struct CasLock<M: Machine> {
    locked: M::Atomic<u32>,
}

impl<M: Machine> RawLock<M> for CasLock<M> {
    type Token = ();

    fn new() -> Self {
        Self { locked: M::Atomic::new(0) }
    }

    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) {
        if self.try_lock(cpu).is_some() {
            return;
        }
        contended();
        while self.try_lock(cpu).is_none() {
            self.locked.spin_until(|locked| locked == 0);
        }
    }

    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        self.locked.cmpxchg(0, 1).is_ok().then_some(())
    }

    fn unlock(&self, _cpu: &M::Cpu, (): ()) {
        self.locked.store_release(0);
    }

    fn peek_locked(&self) -> bool {
        self.locked.peek() != 0
    }
}
