//! si->percpu_cluster (6.10 .. 6.14): where each CPU allocates next on a device, by order. Guards
//! that only its CPU touches it while the device is on. The kernel ensures that by si->lock, and
//! by a local lock in 6.14.

use crate::entry::Slot;
use crate::spec::Spec;
use machine::{Cpu, Fields, Machine, PerCpu, Plain, Region};

/// Each CPU's next slot on each device.
pub(crate) struct PercpuNext<M: Machine> {
    /// One set per device.
    devices: Vec<PerCpu<M, Next<M>>>,
}

/// One CPU's next slots on a device; a word of 0 is none.
struct Next<M: Machine> {
    by_order: Region<M, M::Plain<u32>>,
}

impl<M: Machine> Fields for Next<M> {}

impl<M: Machine> PercpuNext<M> {
    /// Of devices that are off.
    pub(crate) fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let nowhere = |_| M::Plain::new(0);
        let next = |_| Next { by_order: Region::named("next", spec.orders, Vec::new(), nowhere) };
        let set = |_: &_| PerCpu::new("percpu_cluster", cpu.system().cpus(), next);
        Self { devices: spec.devices.iter().map(set).collect() }
    }

    /// Where this CPU's next allocation of `order` starts.
    pub(crate) fn get(&self, cpu: &M::Cpu, dev: usize, order: usize) -> Option<Slot> {
        Slot::new(self.devices[dev].of(cpu.id()).by_order[order].get())
    }

    /// Sets where this CPU's next allocation of `order` starts.
    pub(crate) fn set(&self, cpu: &M::Cpu, dev: usize, order: usize, next: Option<Slot>) {
        self.devices[dev].of(cpu.id()).by_order[order].set(Slot::to_word(next));
    }

    /// No CPU has a next slot on the device, which is new.
    pub(crate) fn reset(&self, dev: usize) {
        self.devices[dev].iter().flat_map(|next| next.by_order.iter()).for_each(|n| n.set(0));
    }
}
