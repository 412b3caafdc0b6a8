//! Queue nodes for the locks that queue (`mcs`, `qspin`), as the kernel's per-CPU `mcs_spinlock`
//! array. Guards that a CPU never uses one node for two locks at once.

use super::local::NESTING;
use crate::{Atomic, Cpu, Fields, Machine, Region};

/// The nodes of all CPUs of a run, [`NESTING`] per CPU. A node never moves, so its index names it.
pub struct Nodes<M: Machine>(Region<M, Node<M>>);

#[repr(C, align(64))]
pub(crate) struct Node<M: Machine> {
    /// 1 once this waiter has become the head of the queue.
    pub head: M::Atomic<u32>,
    /// Index + 1 of the next waiter; 0 while there is none.
    pub next: M::Atomic<u32>,
}

impl<M: Machine> Fields for Node<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("head", std::mem::offset_of!(Self, head)), ("next", std::mem::offset_of!(Self, next))]
    }
}

impl<M: Machine> Nodes<M> {
    pub(crate) fn new(cpus: usize) -> Self {
        Self(Region::new("mcs_node", cpus * NESTING, |_| Node {
            head: M::Atomic::new(0),
            next: M::Atomic::new(0),
        }))
    }

    pub(crate) fn at(&self, index: u32) -> &Node<M> {
        &self.0[index as usize]
    }

    /// A free node of this CPU, cleared; [`Nodes::release`] gives it back.
    pub(crate) fn take(&self, cpu: &M::Cpu) -> u32 {
        let level = cpu.local().nest();
        let index = (cpu.id() * NESTING + level) as u32;
        let node = self.at(index);
        node.head.store(0);
        node.next.store(0);
        index
    }

    pub(crate) fn release(&self, cpu: &M::Cpu, node: u32) {
        cpu.local().unnest(node as usize % NESTING);
    }
}
