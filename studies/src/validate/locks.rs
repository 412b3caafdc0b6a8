//! lockhammer's locks on the simulated machine: the accesses that its C sources of
//! 2018 make, in their order and on their lines (ARM-software/synchronization-benchmarks,
//! x86 paths). They differ from the suite's kinds of the same names: the queued lock's
//! word is one word here, the ticket lock's release reads it first.

use machine::lock::Tas;
use machine::simulated::{MOST_CPUS, Shared};
use machine::{Atomic, Cpu, Fields, Machine, Region, Simulated};
use std::mem::offset_of;

/// The machine they run on; its own lock kind does not matter.
pub type M = Simulated<Tas>;
pub type C = <M as Machine>::Cpu;

/// One of lockhammer's tests.
pub trait Tested: Send + Sync + 'static {
    fn new() -> Self;
    fn acquire(&self, cpu: &C);
    fn release(&self, cpu: &C);
}

/// No lock: the loop around it.
pub struct Empty;

impl Tested for Empty {
    fn new() -> Self {
        Self
    }
    fn acquire(&self, _cpu: &C) {}
    fn release(&self, _cpu: &C) {}
}

#[repr(align(64))]
struct Line<T>(T);

impl<T> Fields for Line<T> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("word", 0)]
    }
}

/// A word on a line of its own, as lockhammer's test_lock.
struct Word<T: machine::Word>(Region<M, Line<Shared<T>>>);

impl<T: machine::Word> Word<T> {
    fn new() -> Self {
        Self(Region::new("test_lock", 1, |_| Line(Atomic::new(T::default()))))
    }
    fn get(&self) -> &Shared<T> {
        &self.0[0].0
    }
}

/// One shared counter, up and down.
pub struct IncDec(Word<u64>);

impl Tested for IncDec {
    fn new() -> Self {
        Self(Word::new())
    }
    fn acquire(&self, _cpu: &C) {
        self.0.get().fetch_add(1);
    }
    fn release(&self, _cpu: &C) {
        self.0.get().fetch_sub(1);
    }
}

/// Test-and-set by exchange, without a test before it and without PAUSE.
pub struct SwapMutex(Word<u64>);

impl Tested for SwapMutex {
    fn new() -> Self {
        Self(Word::new())
    }
    fn acquire(&self, _cpu: &C) {
        while self.0.get().swap(1) != 0 {}
    }
    fn release(&self, _cpu: &C) {
        self.0.get().store_release(0);
    }
}

/// Owner in the low half of one word, next ticket in the high half.
pub struct Ticket(Word<u32>);

impl Tested for Ticket {
    fn new() -> Self {
        Self(Word::new())
    }
    fn acquire(&self, _cpu: &C) {
        let before = self.0.get().fetch_add(1 << 16);
        let ticket = before >> 16;
        if before & 0xffff != ticket {
            self.0.get().spin_until(|word| word & 0xffff == ticket);
        }
    }
    /// An `addw` without a lock prefix: a load, then a store.
    fn release(&self, _cpu: &C) {
        let owner = self.0.get().load() as u16;
        self.0.get().store_half(owner.wrapping_add(1));
    }
}

const LOCKED: u32 = 1;
const PENDING: u32 = 1 << 8;
const LOCKED_PENDING: u32 = 0xffff;
const TAIL: u32 = 16;

/// The queued spinlock with its compare-exchange loop for `pending`, as before Linux 4.19.
pub struct Queued {
    word: Word<u32>,
    nodes: Region<M, QueuedNode>,
}

/// lockhammer allocates 64 bytes per thread and uses the first 16.
#[repr(C, align(64))]
struct QueuedNode {
    next: Shared<u64>,
    locked: Shared<u32>,
    count: Shared<u32>,
}

impl Fields for QueuedNode {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("next", 0), ("locked", offset_of!(Self, locked)), ("count", offset_of!(Self, count))]
    }
}

impl Queued {
    fn slow(&self, cpu: &C, mut value: u32) {
        let word = self.word.get();
        if value == PENDING {
            value = word.spin_until(|value| value != PENDING);
        }
        while value & !LOCKED == 0 {
            let new = if value == LOCKED { LOCKED | PENDING } else { LOCKED };
            match word.cmpxchg(value, new) {
                Ok(_) if new == LOCKED => return,
                Ok(_) => {
                    word.spin_until(|value| value & LOCKED == 0);
                    return word.store_half(LOCKED as u16);
                }
                Err(found) => value = found,
            }
        }
        self.queue(cpu);
    }

    fn queue(&self, cpu: &C) {
        let (word, node) = (self.word.get(), &self.nodes[cpu.id()]);
        node.count.store(node.count.load() + 1);
        node.locked.store(0);
        node.next.store(0);
        if word.load() != 0 || word.cmpxchg(0, LOCKED).is_err() {
            self.wait(node, cpu.id() as u32 + 1);
        }
        node.count.store(node.count.load() - 1);
    }

    fn wait(&self, node: &QueuedNode, me: u32) {
        let word = self.word.get();
        let before = word.modify(|value| value & LOCKED_PENDING | me << TAIL) >> TAIL;
        let mut next = 0;
        if before != 0 {
            self.nodes[before as usize - 1].next.store(u64::from(me));
            node.locked.spin_until(|locked| locked == 1);
            next = node.next.load();
        }
        let mut value = word.spin_until(|value| value & LOCKED_PENDING == 0);
        while value >> TAIL == me {
            match word.cmpxchg(value, LOCKED) {
                Ok(_) => return,
                Err(found) => value = found,
            }
        }
        word.store_byte(LOCKED as u8);
        if next == 0 {
            next = node.next.spin_until(|next| next != 0);
        }
        self.nodes[next as usize - 1].locked.store(1);
    }
}

impl Tested for Queued {
    fn new() -> Self {
        let node =
            |_| QueuedNode { next: Atomic::new(0), locked: Atomic::new(0), count: Atomic::new(0) };
        Self { word: Word::new(), nodes: Region::new("mcs_pool", MOST_CPUS, node) }
    }
    fn acquire(&self, cpu: &C) {
        if let Err(value) = self.word.get().cmpxchg(0, LOCKED) {
            self.slow(cpu, value);
        }
    }
    fn release(&self, _cpu: &C) {
        self.word.get().store_byte(0);
    }
}

/// The kernel's optimistic spin queue: MCS by CPU number. Its globals share a line,
/// so that every waiter's loop reads the line of the tail.
pub struct Osq {
    globals: Region<M, OsqGlobals>,
    nodes: Region<M, OsqNode>,
}

#[repr(C, align(64))]
struct OsqGlobals {
    unqueue_retry: Shared<u64>,
    /// CPU + 1 of the last in the queue; 0 when unlocked.
    tail: Shared<u32>,
    nodepool: Shared<u64>,
}

impl Fields for OsqGlobals {
    fn fields() -> Vec<(&'static str, usize)> {
        let (tail, nodepool) = (offset_of!(Self, tail), offset_of!(Self, nodepool));
        vec![("unqueue_retry", 0), ("tail", tail), ("nodepool", nodepool)]
    }
}

#[repr(C, align(128))]
struct OsqNode {
    /// CPU + 1.
    next: Shared<u64>,
    prev: Shared<u64>,
    locked: Shared<u32>,
}

impl Fields for OsqNode {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("next", 0), ("prev", offset_of!(Self, prev)), ("locked", offset_of!(Self, locked))]
    }
}

impl Osq {
    /// The pool's address is a global too, read before it is used.
    fn node(&self, me: u64) -> &OsqNode {
        let base = self.globals[0].nodepool.load();
        &self.nodes[(base + me) as usize - 1]
    }

    /// osq_wait_next() of a holder: the CPU + 1 behind `node`, or 0 if there is none any more.
    fn wait_next(&self, cpu: &C, node: &OsqNode, me: u32) -> u64 {
        let tail = &self.globals[0].tail;
        loop {
            if tail.load() == me && tail.cmpxchg(me, 0).is_ok() {
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

impl Tested for Osq {
    fn new() -> Self {
        let globals = |_| OsqGlobals {
            unqueue_retry: Atomic::new(u64::MAX),
            tail: Atomic::new(0),
            nodepool: Atomic::new(0),
        };
        let node =
            |_| OsqNode { next: Atomic::new(0), prev: Atomic::new(0), locked: Atomic::new(0) };
        Self {
            globals: Region::new("osq", 1, globals),
            nodes: Region::new("osq_node", MOST_CPUS, node),
        }
    }

    fn acquire(&self, cpu: &C) {
        let me = cpu.id() as u64 + 1;
        let node = self.node(me);
        node.locked.store(0);
        node.next.store(0);
        let before = self.globals[0].tail.swap(me as u32);
        if before == 0 {
            return;
        }
        let prev = self.node(u64::from(before));
        node.prev.store(u64::from(before));
        prev.next.store(me);
        let mut spins = 0;
        while node.locked.load() == 0 {
            spins += 1;
            assert!(spins <= self.globals[0].unqueue_retry.load(), "unqueued after {spins} spins");
            cpu.relax();
        }
    }

    fn release(&self, cpu: &C) {
        let me = cpu.id() as u32 + 1;
        if self.globals[0].tail.cmpxchg(me, 0).is_ok() {
            return;
        }
        let node = self.node(u64::from(me));
        let next = match node.next.swap(0) {
            0 => self.wait_next(cpu, node, me),
            next => next,
        };
        if next != 0 {
            self.nodes[next as usize - 1].locked.store(1);
        }
    }
}
