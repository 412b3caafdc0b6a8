//! A queued spinlock: the second CPU waits on the lock word as `pending`, further ones queue as in
//! MCS. After the published descriptions of Linux's queued spinlock (kernel/locking/qspinlock.c,
//! Linux 4.2; Long and Zijlstra, 2013 to 2015). Here the word is three fields of their own, since
//! Rust has no mixed-size atomics: mutual exclusion is by `locked` alone.

use super::mcs::pass_on;
use super::{LockKind, RawLock};
use crate::{Atomic, Cpu, Machine};

/// The queued spinlock: four bytes, and a queue node per waiter from the third CPU on.
///
/// The model checker explores all executions of two CPUs with at most two preemptions:
///
/// ```
/// use machine::checked::{Config, Loom, Spin, scenarios};
/// use machine::lock::Qspin;
///
/// let executions = scenarios::lock_excludes::<Loom<Spin<Qspin>>>(&Config::bounded(2, 2));
/// assert!(executions.unwrap() > 1);
/// ```
pub struct Qspin;

impl LockKind for Qspin {
    type Lock<M: Machine> = QspinLock<M>;
}

/// [`Qspin`] over the words of `M`.
#[repr(C)]
pub struct QspinLock<M: Machine> {
    /// 1 while held.
    locked: M::Atomic<u8>,
    /// 1 while a CPU waits on the lock word, ahead of the queue.
    pending: M::Atomic<u8>,
    /// Index + 1 of the last queued node; 0 when no CPU queues.
    tail: M::Atomic<u16>,
}

impl<M: Machine> QspinLock<M> {
    #[inline]
    fn nobody_waits(&self) -> bool {
        self.tail.load() == 0 && self.pending.load() == 0
    }

    /// Takes `locked` once it is free: for the pending CPU and the head of the queue.
    fn win(&self) {
        while self.locked.cmpxchg(0, 1).is_err() {
            self.locked.spin_until(|locked| locked == 0);
        }
    }

    fn slow(&self, cpu: &M::Cpu) {
        if self.tail.load() == 0 && self.pending.cmpxchg(0, 1).is_ok() {
            self.win();
            self.pending.store_release(0);
            return;
        }
        let nodes = &cpu.system().nodes;
        let mine = nodes.take(cpu);
        let tag = u16::try_from(mine + 1).expect("at most 16,383 CPUs");
        let before = self.tail.swap(tag);
        if before != 0 {
            nodes.at(u32::from(before) - 1).next.store_release(mine + 1);
            nodes.at(mine).head.spin_until(|head| head == 1);
        }
        self.pending.spin_until(|pending| pending == 0);
        self.win();
        if self.tail.cmpxchg(tag, 0).is_err() {
            pass_on::<M>(cpu, nodes.at(mine));
        }
        nodes.release(cpu, mine);
    }
}

impl<M: Machine> RawLock<M> for QspinLock<M> {
    type Token = ();

    fn new() -> Self {
        Self { locked: M::Atomic::new(0), pending: M::Atomic::new(0), tail: M::Atomic::new(0) }
    }

    #[inline]
    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) {
        if self.nobody_waits() && self.locked.cmpxchg(0, 1).is_ok() {
            return;
        }
        contended();
        self.slow(cpu);
    }

    #[inline]
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        let free = self.locked.load() == 0 && self.nobody_waits();
        (free && self.locked.cmpxchg(0, 1).is_ok()).then_some(())
    }

    #[inline]
    fn unlock(&self, _cpu: &M::Cpu, _token: ()) {
        self.locked.store_release(0);
    }

    fn peek_locked(&self) -> bool {
        self.locked.peek() != 0
    }
}
