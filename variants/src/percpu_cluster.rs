//! `percpu-cluster`: Linux 6.18 .. 7.3, and `percpu-free-first`: 6.15 .. 6.17. As
//! `percluster`, but no slot cache: each CPU has one current cluster an order, on
//! whichever device, and only a new one needs the avail list. They differ in which
//! cluster is taken then. Of 6.18 and later that is all: counts are still swap_map's, a
//! swap_cluster_info still has 24 bytes (7.3: 48), isolating still tests SWP_WRITEOK (7.3: no
//! longer); the swap table is not modelled.

use crate::cluster::{CiFirst, Policy};
use crate::device::Device;
use crate::scan;
use crate::{Spec, SwapAllocator, SwpEntry};
use machine::{Atomic, Cpu, Fields, Machine, PerCpu, Plain, Region, Site, fault};
use std::marker::PhantomData;

static SLOW: Site = Site::new("swap_avail_lock", "swap_alloc_slow");

pub type PercpuCluster<M> = CiFirst<M, Release6_15<M, NonfullFirst>>;
/// Before "prefer nonfull over free clusters" (6.18).
pub type PercpuFreeFirst<M> = CiFirst<M, Release6_15<M, FreeFirst>>;

/// Which cluster is taken when the current one gives nothing.
pub trait Choice<M: Machine>: Send + Sync + Sized + 'static {
    /// See [`Policy`].
    const COUNTS_FRAG: bool;
    /// As [`scan::free_first`].
    fn new_cluster(core: &Core<M, Self>, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> u32;
    /// Once out of slots, outside the allocation path: true if there are slots again.
    fn last_resort(_core: &Core<M, Self>, _cpu: &M::Cpu) -> bool {
        false
    }
}

/// 6.15 .. 6.17, as 6.14: what it discards, it discards in the allocation path.
pub struct FreeFirst;

impl<M: Machine> Choice<M> for FreeFirst {
    const COUNTS_FRAG: bool = true;

    fn new_cluster(core: &Core<M, Self>, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> u32 {
        scan::free_first(core, cpu, dev, order)
    }
}

/// 6.18 on.
pub struct NonfullFirst;

impl<M: Machine> Choice<M> for NonfullFirst {
    const COUNTS_FRAG: bool = false;

    fn new_cluster(core: &Core<M, Self>, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> u32 {
        scan::nonfull_first(core, cpu, dev, order)
    }

    fn last_resort(core: &Core<M, Self>, cpu: &M::Cpu) -> bool {
        sync_discard(core, cpu)
    }
}

type Core<M, C> = CiFirst<M, Release6_15<M, C>>;

/// percpu_swap_cluster: one CPU's current clusters by order.
struct Current<M: Machine> {
    by_order: Region<M, Place<M>>,
}

/// Where the next allocation of an order starts.
struct Place<M: Machine> {
    /// Device + 1, or 0. Swapoff clears it from afar.
    si: M::Atomic<u32>,
    offset: M::Plain<u32>,
}

impl<M: Machine> Fields for Current<M> {}

impl<M: Machine> Fields for Place<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("si", 0), ("offset", std::mem::offset_of!(Self, offset))]
    }
}

pub struct Release6_15<M: Machine, C> {
    current: PerCpu<M, Current<M>>,
    swap_max: u64,
    choice: PhantomData<C>,
}

impl<M: Machine, C> Release6_15<M, C> {
    fn place(&self, cpu: &M::Cpu, order: usize) -> &Place<M> {
        &self.current.of(cpu.id()).by_order[order]
    }
}

impl<M: Machine, C: Choice<M>> Policy<M> for Release6_15<M, C> {
    const RESERVES: bool = false;
    const COUNTS_FRAG: bool = C::COUNTS_FRAG;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let place = |_| Place { si: M::Atomic::new(0), offset: M::Plain::new(0) };
        let current =
            |_| Current { by_order: Region::new("percpu_swap_cluster", spec.orders, place) };
        Self {
            current: PerCpu::new("percpu_swap_cluster", cpu.system().cpus(), current),
            swap_max: spec.swap_max,
            choice: PhantomData,
        }
    }

    fn alloc(core: &Core<M, C>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        let entry = loop {
            let entry = alloc_fast(core, cpu, order).or_else(|| alloc_slow(core, cpu, order));
            if entry.is_some() || order > 0 || !C::last_resort(core, cpu) {
                break entry?;
            }
        };
        // mem_cgroup_try_charge_swap().
        let limited = core.policy.swap_max != u64::MAX;
        if limited && core.inuse(entry.dev()) > core.policy.swap_max {
            core.put_folio(cpu, entry, order);
            return None;
        }
        // As in 6.15, when nr_swap_pages had been given what was never taken from it.
        if fault!(M, "nr-subtracted-late") {
            core.base.avail.add_pages(-(1 << order));
        }
        Some(entry)
    }

    fn set_next(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize, next: u32) {
        let place = self.place(cpu, order);
        place.offset.set(next);
        place.si.store(dev.index as u32 + 1);
    }

    #[inline]
    fn section(&self, _cpu: &M::Cpu, _dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        allocate()
    }

    fn barrier(core: &Core<M, C>, cpu: &M::Cpu, dev: &Device<M>) {
        core.take_every_cluster_lock(cpu, dev);
    }

    /// No slot cache since 6.15.
    fn drain(_core: &Core<M, C>, _cpu: &M::Cpu) -> Option<()> {
        None
    }

    fn undrain(&self) {}

    /// flush_percpu_swap_cluster(), once `users` is dead: nobody can store it again.
    fn forget(&self, _cpu: &M::Cpu, dev: &Device<M>) {
        if fault!(M, "percpu-not-flushed") {
            return;
        }
        for current in self.current.iter() {
            for place in current.by_order.iter() {
                // Fails if the CPU has moved on to another device.
                let _ = place.si.cmpxchg(dev.index as u32 + 1, 0);
            }
        }
    }

    fn reset(&self, _dev: &Device<M>) {}

    fn cached(&self) -> Vec<SwpEntry> {
        Vec::new()
    }
}

/// swap_alloc_fast(): from this CPU's current cluster.
fn alloc_fast<M: Machine, C: Choice<M>>(
    core: &Core<M, C>,
    cpu: &M::Cpu,
    order: usize,
) -> Option<SwpEntry> {
    M::enter("swap_alloc_fast");
    let place = core.policy.place(cpu, order);
    let (si, offset) = (place.si.load() as usize, place.offset.get());
    if si == 0 || offset == 0 {
        return None;
    }
    let dev = &core.base.devices[si - 1];
    if !dev.users.tryget_live(cpu) {
        return None;
    }
    // The kernel does not look again: local_lock() keeps preemption off, so swapoff's grace
    // period ends between such a section and the flush.
    if place.si.load() as usize != si {
        dev.users.put(cpu);
        return None;
    }
    let early = fault!(M, "ref-dropped-early");
    if early {
        dev.users.put(cpu);
    }
    let found = core.alloc_from(cpu, dev, offset, order);
    if !early {
        dev.users.put(cpu);
    }
    (found != 0).then(|| SwpEntry::new(dev.index, found))
}

/// swap_alloc_slow(): a new cluster, from the first device that has one.
fn alloc_slow<M: Machine, C: Choice<M>>(
    core: &Core<M, C>,
    cpu: &M::Cpu,
    order: usize,
) -> Option<SwpEntry> {
    let avail = &core.base.avail;
    let mut entry = None;
    let guard = avail.lock(cpu, &SLOW);
    avail.walk(cpu, &SLOW, guard, |index| {
        M::enter("swap_alloc_slow");
        let dev = &core.base.devices[index];
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        let early = fault!(M, "ref-dropped-early");
        if early {
            dev.users.put(cpu);
        }
        let found = C::new_cluster(core, cpu, dev, order);
        if !early {
            dev.users.put(cpu);
        }
        entry = (found != 0).then(|| SwpEntry::new(index, found));
        found != 0 || order > 0
    });
    entry
}

/// swap_sync_discard(): out of slots, so clusters that wait for their discard get it
/// now; outside the allocation path since 6.18.
fn sync_discard<M: Machine, C: Choice<M>>(core: &Core<M, C>, cpu: &M::Cpu) -> bool {
    core.base.devices.iter().filter(|dev| dev.spec.discard).any(|dev| {
        dev.users.tryget_live(cpu) && {
            let freed = core.do_discards(cpu, dev);
            dev.users.put(cpu);
            freed
        }
    })
}
