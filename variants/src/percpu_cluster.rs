//! `percpu-cluster`: Linux 6.15 .. 7.3. As `percluster`, but no slot cache: each CPU
//! has one current cluster an order, on whichever device, and only a new one needs
//! the avail list. Scans as 6.18: nonfull clusters before free ones, one fragmented
//! cluster. Counts are still swap_map's; the swap table (6.18 on) is not modelled.

use crate::cluster::{CiFirst, Policy};
use crate::device::{Device, FRAG, FREE, NONFULL};
use crate::{Spec, SwapAllocator, SwpEntry};
use machine::{Atomic, Cpu, Fields, Guard, Machine, PerCpu, Plain, Region, Site, fault};

static SLOW: Site = Site::new("swap_avail_lock", "swap_alloc_slow");

pub type PercpuCluster<M> = CiFirst<M, Release6_18<M>>;

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

pub struct Release6_18<M: Machine> {
    current: PerCpu<M, Current<M>>,
    swap_max: u64,
}

impl<M: Machine> Release6_18<M> {
    fn place(&self, cpu: &M::Cpu, order: usize) -> &Place<M> {
        &self.current.of(cpu.id()).by_order[order]
    }
}

impl<M: Machine> Policy<M> for Release6_18<M> {
    const RESERVES: bool = false;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let place = |_| Place { si: M::Atomic::new(0), offset: M::Plain::new(0) };
        let current =
            |_| Current { by_order: Region::new("percpu_swap_cluster", spec.orders, place) };
        Self {
            current: PerCpu::new("percpu_swap_cluster", cpu.system().cpus(), current),
            swap_max: spec.swap_max,
        }
    }

    fn alloc(core: &PercpuCluster<M>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        let entry = loop {
            let entry = alloc_fast(core, cpu, order).or_else(|| alloc_slow(core, cpu, order));
            if entry.is_some() || order > 0 || !sync_discard(core, cpu) {
                break entry?;
            }
        };
        // mem_cgroup_try_charge_swap().
        if core.inuse(entry.dev()) > core.policy.swap_max {
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

    fn barrier(core: &PercpuCluster<M>, cpu: &M::Cpu, dev: &Device<M>) {
        core.take_every_cluster_lock(cpu, dev);
    }

    /// No slot cache since 6.15.
    fn drain(_core: &PercpuCluster<M>, _cpu: &M::Cpu) {}
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
fn alloc_fast<M: Machine>(core: &PercpuCluster<M>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
    let place = core.policy.place(cpu, order);
    let (si, offset) = (place.si.load() as usize, place.offset.get());
    if si == 0 || offset == 0 {
        return None;
    }
    let dev = &core.base.devices[si - 1];
    if !dev.users.tryget_live(cpu) {
        return None;
    }
    let found = core.alloc_from(cpu, dev, offset, order);
    dev.users.put(cpu);
    (found != 0).then(|| SwpEntry::new(dev.index, found))
}

/// swap_alloc_slow(): a new cluster, from the first device that has one.
fn alloc_slow<M: Machine>(core: &PercpuCluster<M>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
    let avail = &core.base.avail;
    let mut entry = None;
    let guard = avail.lock(cpu, &SLOW);
    avail.walk(cpu, &SLOW, guard, |index| {
        let dev = &core.base.devices[index];
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        let early = fault!(M, "ref-dropped-early");
        if early {
            dev.users.put(cpu);
        }
        let found = alloc_entry(core, cpu, dev, order);
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
fn sync_discard<M: Machine>(core: &PercpuCluster<M>, cpu: &M::Cpu) -> bool {
    core.base.devices.iter().filter(|dev| dev.spec.discard).any(|dev| {
        dev.users.tryget_live(cpu) && {
            let freed = core.do_discards(cpu, dev);
            dev.users.put(cpu);
            freed
        }
    })
}

/// cluster_alloc_swap_entry() of 6.18.
fn alloc_entry<M: Machine>(
    core: &PercpuCluster<M>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> u32 {
    let below_pmd = 1 << order < dev.cluster_slots;
    let mut found = 0;
    // With discard, a fresh cluster is better than one that has been written to.
    if dev.spec.discard {
        found = from_list(core, cpu, dev, FREE, (order, order), 1);
    }
    if found == 0 && below_pmd {
        found = from_list(core, cpu, dev, NONFULL, (order, order), u32::MAX);
    }
    if found == 0 && !dev.spec.discard {
        found = from_list(core, cpu, dev, FREE, (order, order), 1);
    }
    if found == 0 && core.base.avail.full() {
        core.reclaim_full(cpu, dev, 1);
    }
    if found == 0 && below_pmd {
        found = from_list(core, cpu, dev, FRAG, (order, order), 1);
    }
    // Order 0 may take any free slot.
    let mut other = 1;
    while found == 0 && order == 0 && other < dev.orders() {
        found = from_list(core, cpu, dev, FRAG, (other, 0), u32::MAX);
        if found == 0 {
            found = from_list(core, cpu, dev, NONFULL, (other, 0), u32::MAX);
        }
        other += 1;
    }
    found
}

/// Isolates up to `most` clusters of a list of one order and tries to allocate
/// another order from them.
fn from_list<M: Machine>(
    core: &PercpuCluster<M>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    list: u8,
    (of, order): (usize, usize),
    most: u32,
) -> u32 {
    let mut visits = 0;
    while visits < most
        && let Some(cluster) = isolate(core, cpu, dev, list, of)
    {
        let found = core.alloc_isolated(cpu, dev, cluster, order);
        if found != 0 {
            return found;
        }
        visits += 1;
        let bound = 64 + 8 * dev.nr_clusters() as u32;
        assert!(visits < bound, "L: an allocation visits clusters without end");
    }
    0
}

fn isolate<M: Machine>(
    core: &PercpuCluster<M>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    list: u8,
    order: usize,
) -> Option<(usize, Guard<M>)> {
    match list {
        FRAG => core.isolate_frag(cpu, dev, order),
        _ => core.isolate(cpu, dev, list, order),
    }
}
