//! `per-device-table`: a proposal. As `swap-table`, but each CPU has a current cluster on every device, as
//! until 6.14, and every allocation walks the devices: it takes swap_avail_lock and moves the first device
//! behind its peers of equal priority. Guards the scheme's part of an allocation: the walk, and the current
//! cluster on the device that it comes to. New clusters, records, the barrier and the discard are those of
//! `swap-table`.
//!
//! Source: "mm, swap: change back to use each swap device's percpu cluster", patch 4 of 5 of RFC v3 of the
//! swap tiers (20260131125454.3187546-5-youngjun.park@lge.com), functions as named. Left out: the tiers'
//! masks; patch 5, by which a CPU keeps to a device and walks only when that gives nothing.
//!
//! "swap-pcp-priq" (RFC v2, August 2026) has clusters per CPU and device too, and no plist: the devices of a
//! priority are a ring that hardly ever changes, and each CPU goes on to the next one after a quota. Its
//! allocations take no lock that all devices share. It is not this variant.

use crate::cluster::{CiFirst, Policy, Release, SwapoffHooks, site};
use crate::device::Device;
use crate::entry::{Slot, SwpEntry};
use crate::percpu::PercpuNext;
use crate::percpu_cluster::{
    Choice, NonfullFirst, Table, charge, nonfull_first, sync_discard, walk_devices,
};
use crate::spec::Spec;
use machine::{Frame, Machine, Site};

static WALK: Site = Site::new("swap_avail_lock", "swap_alloc_entry");

/// Variant `per-device-table`.
pub type PerDeviceTable<M> = CiFirst<M, PerDevice<M>>;

/// The state of the scheme.
pub struct PerDevice<M: Machine> {
    next: PercpuNext<M>,
    swap_max: u64,
}

impl<M: Machine> Policy<M> for PerDevice<M> {
    const RESERVES: bool = false;
    const MASKS: bool = true;
    const RELEASE: Release = <NonfullFirst<Table> as Choice<M>>::RELEASE;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self { next: PercpuNext::new(spec, cpu), swap_max: spec.swap_max }
    }

    fn alloc(core: &PerDeviceTable<M>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        let from_device = |dev: &Device<M>| cluster_alloc_swap_entry(core, cpu, dev, order);
        loop {
            if let Some(entry) = walk_devices(core, cpu, &WALK, order, from_device) {
                return charge(core, cpu, core.policy.swap_max, entry, order);
            }
            if order > 0 || !sync_discard(core, cpu) {
                return None;
            }
        }
    }

    fn set_next(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize, next: Option<Slot>) {
        self.next.set(cpu, dev.index, order, next);
    }

    #[inline]
    fn section(&self, _cpu: &M::Cpu, _dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        allocate()
    }
}

/// cluster_alloc_swap_entry(): from this CPU's current cluster on the device, else from a new one.
fn cluster_alloc_swap_entry<M: Machine>(
    core: &PerDeviceTable<M>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> Option<Slot> {
    let _frame = Frame::<M>::entered("cluster_alloc_swap_entry");
    let next = core.policy.next.get(cpu, dev.index, order);
    let current = next.and_then(|next| core.alloc_from(cpu, dev, next, order, &site::ALLOC));
    current.or_else(|| nonfull_first(core, cpu, dev, order))
}

impl<M: Machine> SwapoffHooks<M> for PerDevice<M> {
    fn barrier(core: &PerDeviceTable<M>, cpu: &M::Cpu, dev: &Device<M>) {
        core.take_every_cluster_lock(cpu, dev);
    }

    /// si->percpu_cluster is freed at swapoff and allocated at swapon.
    fn reset(&self, dev: &Device<M>) {
        self.next.reset(dev.index);
    }
}
