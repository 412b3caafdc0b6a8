//! The lock kinds of lockhammer that are no kinds of the suite: what its curves are of.
//! Shapes and layout as in its C sources of 2018 (ARM-software/synchronization-benchmarks).

use machine::lock::{LockKind, RawLock};
use machine::{Atomic, Cpu, Fields, Machine, PerCpu};

/// No lock: the loop around it.
pub struct Empty;

impl LockKind for Empty {
    const NAME: &'static str = "empty";
    type Lock<M: Machine> = EmptyLock;
}

pub struct EmptyLock;

impl<M: Machine> RawLock<M> for EmptyLock {
    type Token = ();
    fn new() -> Self {
        Self
    }
    fn lock(&self, _cpu: &M::Cpu, _contended: impl FnOnce()) {}
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        Some(())
    }
    fn unlock(&self, _cpu: &M::Cpu, (): ()) {}
    fn peek_locked(&self) -> bool {
        false
    }
}

/// One shared counter, up and down.
pub struct IncDec;

impl LockKind for IncDec {
    const NAME: &'static str = "incdec_refcount";
    type Lock<M: Machine> = Count<M>;
}

pub struct Count<M: Machine>(M::Atomic<u64>);

impl<M: Machine> RawLock<M> for Count<M> {
    type Token = ();
    fn new() -> Self {
        Self(M::Atomic::new(0))
    }
    fn lock(&self, _cpu: &M::Cpu, _contended: impl FnOnce()) {
        self.0.fetch_add(1);
    }
    fn try_lock(&self, cpu: &M::Cpu) -> Option<()> {
        RawLock::<M>::lock(self, cpu, || ());
        Some(())
    }
    fn unlock(&self, _cpu: &M::Cpu, (): ()) {
        self.0.fetch_sub(1);
    }
    fn peek_locked(&self) -> bool {
        self.0.peek() != 0
    }
}

/// Test-and-set by exchange, without a test before it and without PAUSE.
pub struct SwapMutex;

impl LockKind for SwapMutex {
    const NAME: &'static str = "swap_mutex";
    type Lock<M: Machine> = SwapLock<M>;
}

pub struct SwapLock<M: Machine>(M::Atomic<u64>);

impl<M: Machine> RawLock<M> for SwapLock<M> {
    type Token = ();
    fn new() -> Self {
        Self(M::Atomic::new(0))
    }
    fn lock(&self, _cpu: &M::Cpu, _contended: impl FnOnce()) {
        while self.0.swap(1) != 0 {}
    }
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        (self.0.swap(1) == 0).then_some(())
    }
    fn unlock(&self, _cpu: &M::Cpu, (): ()) {
        self.0.store_release(0);
    }
    fn peek_locked(&self) -> bool {
        self.0.peek() != 0
    }
}

/// The kernel's optimistic spin queue: MCS by CPU number, whose waiters here also read
/// a limit of spins that lies on the line of the tail.
pub struct Osq;

impl LockKind for Osq {
    const NAME: &'static str = "osq_lock";
    type Lock<M: Machine> = OsqLock<M>;
}

/// More CPUs than any model has.
const NODES: usize = 1 << 10;

#[repr(C)]
pub struct OsqLock<M: Machine> {
    /// CPU + 1 of the last in the queue; 0 when unlocked.
    tail: M::Atomic<u32>,
    unqueue_retry: M::Atomic<u32>,
    nodes: PerCpu<M, OsqNode<M>>,
}

#[repr(C)]
struct OsqNode<M: Machine> {
    /// CPU + 1.
    next: M::Atomic<u32>,
    prev: M::Atomic<u32>,
    locked: M::Atomic<u32>,
}

impl<M: Machine> Fields for OsqNode<M> {}

impl<M: Machine> OsqLock<M> {
    /// osq_wait_next() of a holder: who is behind `node`, or 0 if nobody is any more.
    fn wait_next(&self, cpu: &M::Cpu, node: &OsqNode<M>, me: u32) -> u32 {
        loop {
            if self.tail.load() == me && self.tail.cmpxchg(me, 0).is_ok() {
                return 0;
            }
            if node.next.load() != 0 {
                let next = node.next.swap(0);
                if next != 0 {
                    return next;
                }
            }
            cpu.relax();
        }
    }
}

impl<M: Machine> RawLock<M> for OsqLock<M> {
    type Token = ();

    fn new() -> Self {
        let node = |_| OsqNode {
            next: M::Atomic::new(0),
            prev: M::Atomic::new(0),
            locked: M::Atomic::new(0),
        };
        Self {
            tail: M::Atomic::new(0),
            unqueue_retry: M::Atomic::new(u32::MAX),
            nodes: PerCpu::new("osq_node", NODES, node),
        }
    }

    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) {
        let (me, node) = (cpu.id() as u32 + 1, self.nodes.of(cpu.id()));
        node.locked.store(0);
        node.next.store(0);
        let old = self.tail.swap(me);
        if old == 0 {
            return;
        }
        contended();
        node.prev.store(old);
        self.nodes.of(old as usize - 1).next.store_release(me);
        let mut spins = 0;
        while node.locked.load_acquire() == 0 {
            spins += 1;
            assert!(spins <= self.unqueue_retry.load(), "unqueued after {spins} spins");
            cpu.relax();
        }
    }

    fn try_lock(&self, cpu: &M::Cpu) -> Option<()> {
        self.tail.cmpxchg(0, cpu.id() as u32 + 1).is_ok().then_some(())
    }

    fn unlock(&self, cpu: &M::Cpu, (): ()) {
        let (me, node) = (cpu.id() as u32 + 1, self.nodes.of(cpu.id()));
        if self.tail.cmpxchg(me, 0).is_ok() {
            return;
        }
        let next = match node.next.swap(0) {
            0 => self.wait_next(cpu, node, me),
            next => next,
        };
        if next != 0 {
            self.nodes.of(next as usize - 1).locked.store_release(1);
        }
    }

    fn peek_locked(&self) -> bool {
        self.tail.peek() != 0
    }
}
