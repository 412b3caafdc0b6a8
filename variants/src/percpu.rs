//! si->percpu_cluster (6.10 .. 6.14): where each CPU allocates next on a device, by
//! order; 0 is nowhere. Only its CPU touches it while the device is on, which the
//! kernel ensures by si->lock, later by a local lock.

use crate::Spec;
use machine::{Cpu, Fields, Machine, PerCpu, Plain, Region};

pub(crate) struct PercpuNext<M: Machine> {
    /// One set a device.
    devices: Vec<PerCpu<M, Next<M>>>,
}

struct Next<M: Machine> {
    by_order: Region<M, M::Plain<u32>>,
}

impl<M: Machine> Fields for Next<M> {}

impl<M: Machine> PercpuNext<M> {
    pub fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let nowhere = |_| M::Plain::new(0);
        let next = |_| Next { by_order: Region::named("next", spec.orders, Vec::new(), nowhere) };
        let set = |_: &_| PerCpu::new("percpu_cluster", cpu.system().cpus(), next);
        Self { devices: spec.devices.iter().map(set).collect() }
    }

    pub fn get(&self, cpu: &M::Cpu, dev: usize, order: usize) -> u32 {
        self.devices[dev].of(cpu.id()).by_order[order].get()
    }

    pub fn set(&self, cpu: &M::Cpu, dev: usize, order: usize, next: u32) {
        self.devices[dev].of(cpu.id()).by_order[order].set(next);
    }

    /// The device is new.
    pub fn reset(&self, dev: usize) {
        self.devices[dev].iter().flat_map(|next| next.by_order.iter()).for_each(|n| n.set(0));
    }
}
