//! Grace periods in user space: a per-CPU counter that is odd inside a read section, and an
//! asymmetric fence, light for readers and heavy for the CPU that waits (membarrier(2) natively).
//! Guards that every read section that began before a grace period has ended after it. Source:
//! Desnoyers, McKenney et al., "User-Level Implementations of Read-Copy Update", TPDS 2012. It is
//! not the kernel's synchronize_rcu(), which takes milliseconds.

use crate::{Atomic, Cpu, Fields, Machine, PerCpu, vm_bug_on};

/// Read sections and grace periods of one run.
pub struct Rcu<M: Machine> {
    readers: PerCpu<M, Reader<M>>,
}

struct Reader<M: Machine> {
    /// Odd while this CPU is in a read section. Written by its CPU alone.
    sections: M::Atomic<u64>,
}

impl<M: Machine> Fields for Reader<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("sections", 0)]
    }
}

impl<M: Machine> Rcu<M> {
    pub(crate) fn new(cpus: usize) -> Self {
        let readers = PerCpu::new("rcu", cpus, |_| Reader { sections: M::Atomic::new(0) });
        Self { readers }
    }

    /// rcu_read_lock() .. rcu_read_unlock() around `section`. Does not nest.
    ///
    /// # Panics
    ///
    /// On machines with [`Machine::ASSERTS`]: if this CPU is in a read section already.
    #[inline]
    pub fn read<T>(&self, cpu: &M::Cpu, section: impl FnOnce() -> T) -> T {
        let sections = &self.readers.of(cpu.id()).sections;
        let before = sections.load();
        vm_bug_on!(M, before % 2 == 1, "read sections do not nest");
        sections.store(before + 1);
        M::light_mb(cpu);
        let result = section();
        M::light_mb(cpu);
        sections.store_release(before + 2);
        result
    }

    /// synchronize_rcu(): waits until every read section that is running now has ended.
    pub fn synchronize(&self, cpu: &M::Cpu) {
        M::heavy_mb(cpu);
        for reader in self.readers.iter() {
            let seen = reader.sections.load();
            if seen % 2 == 1 {
                reader.sections.spin_until(|now| now != seen);
            }
        }
        M::heavy_mb(cpu);
    }
}
