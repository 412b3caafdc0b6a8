//! Locks under the checker: a blocking one for variants, whose waiters sleep until the holder
//! leaves, so that waiting adds no executions; and the spinlocks themselves for their own
//! scenarios.

use super::engine::{Engine, RawWord};
use super::history::{self, Op};
use super::{Checked, CheckedCpu};
use crate::RawLock;
use crate::lock::LockKind;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which lock a checked machine has.
pub trait CheckedLock: Send + Sync + Sized + 'static {
    /// The algorithm under explorer `E`.
    type Lock<E: Engine>: RawLock<Checked<E, Self>>;
    /// RCU's light fence orders nothing by itself, as on arm64, where it is a compiler barrier; its heavy
    /// counterpart reaches into the readers.
    const WEAK: bool = false;
}

/// A lock whose waiters sleep.
pub struct Blocking;

impl CheckedLock for Blocking {
    type Lock<E: Engine> = BlockingLock<E>;
}

/// The same on a machine whose light fence is weak.
pub struct Weak;

impl CheckedLock for Weak {
    type Lock<E: Engine> = BlockingLock<E>;
    const WEAK: bool = true;
}

/// The spinlock `K`, modelled access by access.
pub struct Spin<K>(PhantomData<fn() -> K>);

impl<K: LockKind> CheckedLock for Spin<K> {
    type Lock<E: Engine> = K::Lock<Checked<E, Self>>;
}

/// A word that carries the ordering (acquire, release), and a list of sleepers. Between two
/// accesses to the word no other thread of the model runs, so `held` and `sleepers` need no
/// protocol.
pub struct BlockingLock<E: Engine> {
    word: E::Word,
    held: AtomicBool,
    sleepers: Mutex<Vec<E::Thread>>,
}

impl<E: Engine> BlockingLock<E> {
    fn try_take(&self) -> bool {
        let taken = history::as_me(|| self.word.cmpxchg(0, 1)).is_ok();
        if taken {
            self.held.store(true, Ordering::Relaxed);
        }
        taken
    }

    fn record(&self, op: Op) {
        history::record(std::ptr::from_ref(self) as usize, op, 0);
    }
}

impl<E: Engine, L: CheckedLock> RawLock<Checked<E, L>> for BlockingLock<E> {
    type Token = ();

    fn new() -> Self {
        let sleepers = Mutex::default();
        Self { word: E::Word::new(4, 0), held: AtomicBool::new(false), sleepers }
    }

    fn lock(&self, _cpu: &CheckedCpu<E, L>, contended: impl FnOnce()) {
        let mut contended = Some(contended);
        // Tried even if it is known to be held: from the attempt loom learns that this CPU could
        // have come first.
        while !self.try_take() {
            if let Some(first) = contended.take() {
                first();
                self.record(Op::Wait);
            }
            self.sleepers.lock().expect("no panic while held").push(E::current());
            history::as_me(E::park);
        }
        self.record(Op::Lock);
    }

    fn try_lock(&self, _cpu: &CheckedCpu<E, L>) -> Option<()> {
        let taken = self.try_take();
        self.record(if taken { Op::Lock } else { Op::Missed });
        taken.then_some(())
    }

    fn unlock(&self, _cpu: &CheckedCpu<E, L>, (): ()) {
        history::as_me(|| self.word.store(0, Ordering::Release));
        self.held.store(false, Ordering::Relaxed);
        self.record(Op::Unlock);
        let sleepers = std::mem::take(&mut *self.sleepers.lock().expect("no panic while held"));
        sleepers.iter().for_each(|sleeper| history::as_me(|| E::unpark(sleeper)));
    }

    fn peek_locked(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }
}
