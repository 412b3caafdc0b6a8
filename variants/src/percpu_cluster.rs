//! `percpu-free-first`: Linux 6.15 .. 6.17, `percpu-cluster`: 6.18 and 6.19, and `swap-table`: 7.0 on. As
//! `percluster`, but without a slot cache: each CPU has one current cluster per order, on any device,
//! and only a new cluster needs the avail list. Guards the scheme's part of an allocation: the current
//! cluster, the walk over devices, and which new cluster is taken, in which the first differs from the
//! others. The rest is in cluster.rs; what 6.18's table of the swap cache changes is in cached_in_table.rs,
//! what the swap table changes in swap_table.rs.

use crate::allocator::{SwapAllocator, SwapoffError};
use crate::cache::Reclaimed;
use crate::cluster::{CiFirst, Policy, Release, SwapoffHooks, below_pmd, site};
use crate::cluster_info::ClusterList::{Frag, Free, Nonfull};
use crate::device::Device;
use crate::entry::{Slot, SwpEntry};
use crate::owners::Owners;
use crate::spec::Spec;
use crate::swap_table::Sections;
use crate::unuse::try_to_unuse;
use machine::{Atomic, Cpu, Fields, Frame, Machine, PerCpu, Plain, Region, Site, fault};
use std::marker::PhantomData;

static SLOW: Site = Site::new("swap_avail_lock", "swap_alloc_slow");
static SYNC_DISCARD: Site = Site::new("swap_lock", "swap_sync_discard");

/// Variant `percpu-cluster`: 6.18 and 6.19.
pub type PercpuCluster<M> = CiFirst<M, Release6_15<M, NonfullFirst<Map>>>;
/// Variant `swap-table`: 7.2 and 7.3.
pub type SwapTable<M> = CiFirst<M, Release6_15<M, NonfullFirst<Table>>>;
/// Variant `swap-table-early`: 7.0 and 7.1.
pub type SwapTableEarly<M> = CiFirst<M, Release6_15<M, NonfullFirst<EarlyTable>>>;
/// Variant `percpu-free-first`: before "prefer nonfull over free clusters" (6.18).
pub type PercpuFreeFirst<M> = CiFirst<M, Release6_15<M, FreeFirst>>;

/// Which cluster is taken when the current one gives nothing.
pub trait Choice<M: Machine>: Send + Sync + Sized + 'static {
    /// See [`Policy`].
    const RELEASE: Release;
    /// See [`Policy`].
    const POINTERS: bool = false;
    /// Its state, for devices that are off.
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self;
    /// cluster_alloc_swap_entry(): slots of the first cluster that has them, in the scheme's order.
    fn new_cluster(
        core: &Core<M, Self>,
        cpu: &M::Cpu,
        dev: &Device<M>,
        order: usize,
    ) -> Option<Slot>;
    /// Is called when no slot was found, outside the allocation path: true if there are slots
    /// again.
    fn last_resort(_core: &Core<M, Self>, _cpu: &M::Cpu) -> bool {
        false
    }
    /// See [`Policy::point`].
    fn point(&self, _cpu: &M::Cpu, _dev: &Device<M>, _offset: u32, _nr: u32) {}
    /// See [`Policy::reclaim`].
    fn reclaim(core: &Core<M, Self>, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        core.try_to_reclaim(cpu, dev, offset)
    }
    /// See [`SwapoffHooks::unuse`].
    ///
    /// # Errors
    /// As [`SwapAllocator::swapoff`].
    fn unuse(
        core: &Core<M, Self>,
        cpu: &M::Cpu,
        dev: usize,
        owners: &Owners<M>,
    ) -> Result<(), SwapoffError> {
        try_to_unuse(core, owners, cpu, dev)
    }
}

/// 6.15 .. 6.17, as 6.14: free clusters come first, and discards are in the allocation path.
pub struct FreeFirst;

impl<M: Machine> Choice<M> for FreeFirst {
    const RELEASE: Release = Release {
        counts_frag: true,
        isolate_tests_writeok: true,
        free_has_no_table: false,
        interleaves: true,
        discard_fills_bad: false,
        xarray: true,
        table: None,
    };

    fn new(_spec: &Spec, _cpu: &M::Cpu) -> Self {
        Self
    }

    fn new_cluster(
        core: &Core<M, Self>,
        cpu: &M::Cpu,
        dev: &Device<M>,
        order: usize,
    ) -> Option<Slot> {
        core.free_first(cpu, dev, order)
    }
}

/// The records of slots of a release from 6.18 on.
pub trait Records: Send + Sync + 'static {
    /// See [`Release`].
    const TABLE: Option<Sections>;
}

/// 6.18 and 6.19: swap_map.
pub struct Map;
/// 7.0 and 7.1: the swap table. The cgroup and the zero flag are kept elsewhere.
pub struct EarlyTable;
/// 7.2 and 7.3: the swap table, with the cgroup and the zero flag.
pub struct Table;

impl Records for Map {
    const TABLE: Option<Sections> = None;
}

impl Records for EarlyTable {
    const TABLE: Option<Sections> = Some(Sections::EARLY);
}

impl Records for Table {
    const TABLE: Option<Sections> = Some(Sections::LATE);
}

/// 6.18 on: nonfull clusters are used up before a free one is begun.
pub struct NonfullFirst<R>(PhantomData<R>);

impl<M: Machine, R: Records> Choice<M> for NonfullFirst<R> {
    const RELEASE: Release = Release {
        counts_frag: false,
        isolate_tests_writeok: false,
        free_has_no_table: true,
        interleaves: false,
        discard_fills_bad: false,
        xarray: false,
        table: R::TABLE,
    };

    fn new(_spec: &Spec, _cpu: &M::Cpu) -> Self {
        Self(PhantomData)
    }

    fn new_cluster(
        core: &Core<M, Self>,
        cpu: &M::Cpu,
        dev: &Device<M>,
        order: usize,
    ) -> Option<Slot> {
        nonfull_first(core, cpu, dev, order)
    }

    fn last_resort(core: &Core<M, Self>, cpu: &M::Cpu) -> bool {
        sync_discard(core, cpu)
    }
}

/// Nonfull clusters, then a free one, then one fragmented cluster, then, for order 0, other orders'
/// clusters. Free clusters thereby stay free for large folios. With discard a fresh cluster is better
/// than one that has been written to, and comes first.
pub(crate) fn nonfull_first<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> Option<Slot> {
    let _frame = Frame::<M>::entered("cluster_alloc_swap_entry");
    let free = |when: bool| when.then(|| core.from_list(cpu, dev, Free, 0, order, 1)).flatten();
    let of_order = |list, most| match below_pmd(dev, order) {
        true => core.from_list(cpu, dev, list, order, order, most),
        false => None,
    };
    free(dev.spec.discard)
        .or_else(|| of_order(Nonfull, u32::MAX))
        .or_else(|| free(!dev.spec.discard))
        .or_else(|| {
            if core.base.avail.full() {
                core.reclaim_full(cpu, dev, 1);
            }
            of_order(Frag, 1)
        })
        .or_else(|| if order == 0 { core.steal(cpu, dev) } else { None })
}

type Core<M, C> = CiFirst<M, Release6_15<M, C>>;

/// percpu_swap_cluster: one CPU's current clusters by order.
struct Current<M: Machine> {
    by_order: Region<M, Place<M>>,
}

/// Where the next allocation of an order starts.
struct Place<M: Machine> {
    /// Device + 1, or 0. Swapoff clears it from another CPU.
    si: M::Atomic<u32>,
    /// The slot, or 0.
    offset: M::Plain<u32>,
}

impl<M: Machine> Fields for Current<M> {}

impl<M: Machine> Fields for Place<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("si", std::mem::offset_of!(Self, si)), ("offset", std::mem::offset_of!(Self, offset))]
    }
}

/// The state of 6.15's scheme, over a choice of new clusters.
pub struct Release6_15<M: Machine, C> {
    current: PerCpu<M, Current<M>>,
    swap_max: u64,
    /// What decides on new clusters.
    pub(crate) choice: C,
}

impl<M: Machine, C> Release6_15<M, C> {
    fn place(&self, cpu: &M::Cpu, order: usize) -> &Place<M> {
        &self.current.of(cpu.id()).by_order[order]
    }
}

impl<M: Machine, C: Choice<M>> Policy<M> for Release6_15<M, C> {
    const RESERVES: bool = false;
    const MASKS: bool = true;
    const RELEASE: Release = C::RELEASE;
    const POINTERS: bool = C::POINTERS;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let place = |_| Place { si: M::Atomic::new(0), offset: M::Plain::new(0) };
        let current =
            |_| Current { by_order: Region::new("percpu_swap_cluster", spec.orders, place) };
        Self {
            current: PerCpu::new("percpu_swap_cluster", cpu.system().cpus(), current),
            // A layer above pays for its slots at their writeout.
            swap_max: if C::POINTERS { u64::MAX } else { spec.swap_max },
            choice: C::new(spec, cpu),
        }
    }

    fn alloc(core: &Core<M, C>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        let entry = loop {
            let entry = alloc_fast(core, cpu, order).or_else(|| alloc_slow(core, cpu, order));
            if entry.is_some() || order > 0 || !C::last_resort(core, cpu) {
                break entry?;
            }
        };
        let entry = charge(core, cpu, core.policy.swap_max, entry, order)?;
        // As in 6.15, which added to nr_swap_pages what it had never subtracted.
        if fault!(M, "nr-subtracted-late") {
            core.base.avail.add_pages(-(1 << order));
        }
        Some(entry)
    }

    fn set_next(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize, next: Option<Slot>) {
        let place = self.place(cpu, order);
        place.offset.set(Slot::to_word(next));
        place.si.store(dev.index as u32 + 1);
    }

    #[inline]
    fn section(&self, _cpu: &M::Cpu, _dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        allocate()
    }

    fn point(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        self.choice.point(cpu, dev, offset, nr);
    }

    fn reclaim(core: &Core<M, C>, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        C::reclaim(core, cpu, dev, offset)
    }
}

/// swap_alloc_fast(): from this CPU's current cluster.
fn alloc_fast<M: Machine, C: Choice<M>>(
    core: &Core<M, C>,
    cpu: &M::Cpu,
    order: usize,
) -> Option<SwpEntry> {
    let _frame = Frame::<M>::entered("swap_alloc_fast");
    let place = core.policy.place(cpu, order);
    let (si, next) = (place.si.load() as usize, Slot::new(place.offset.get()));
    let (dev, next) = (&core.base.devices[si.checked_sub(1)?], next?);
    if !core.base.may_use(cpu, dev) {
        return None;
    }
    if !dev.users.tryget_live(cpu) {
        return None;
    }
    // The kernel does not look again: local_lock() keeps preemption off, so swapoff's grace
    // period does not end inside such a section, and the flush comes after the grace period.
    if place.si.load() as usize != si {
        dev.users.put(cpu);
        return None;
    }
    let early = fault!(M, "ref-dropped-early");
    if early {
        dev.users.put(cpu);
    }
    let found = core.alloc_from(cpu, dev, next, order, &site::FAST);
    if !early {
        dev.users.put(cpu);
    }
    found.map(|slot| SwpEntry::new(dev.index, slot.offset()))
}

/// swap_alloc_slow(): a new cluster, from the first device that has one.
fn alloc_slow<M: Machine, C: Choice<M>>(
    core: &Core<M, C>,
    cpu: &M::Cpu,
    order: usize,
) -> Option<SwpEntry> {
    walk_devices(core, cpu, &SLOW, order, |dev| C::new_cluster(core, cpu, dev, order))
}

/// An entry on the first device where `alloc` finds a slot; a reference on the device is held meanwhile.
/// swap_avail_lock is taken at `site`.
pub(crate) fn walk_devices<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    site: &'static Site,
    order: usize,
    alloc: impl Fn(&Device<M>) -> Option<Slot>,
) -> Option<SwpEntry> {
    let avail = &core.base.avail;
    let mut entry = None;
    let guard = avail.lock(cpu, site);
    let may_use = |index: usize| core.base.may_use(cpu, &core.base.devices[index]);
    avail.walk_where(cpu, site, guard, may_use, |index| {
        let _frame = Frame::<M>::entered(site.caller);
        let dev = &core.base.devices[index];
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        let early = fault!(M, "ref-dropped-early");
        if early {
            dev.users.put(cpu);
        }
        let found = alloc(dev);
        if !early {
            dev.users.put(cpu);
        }
        entry = found.map(|slot| SwpEntry::new(index, slot.offset()));
        entry.is_some() || order > 0
    });
    entry
}

/// mem_cgroup_try_charge_swap(): a folio that exceeds the limit gives its slots back.
pub(crate) fn charge<M: Machine, P: SwapoffHooks<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    swap_max: u64,
    entry: SwpEntry,
    order: usize,
) -> Option<SwpEntry> {
    if swap_max != u64::MAX && core.inuse(entry.dev()) > swap_max {
        core.put_folio(cpu, entry, order);
        return None;
    }
    Some(entry)
}

/// swap_sync_discard(): when no slot was found, discards the clusters that wait for it. Since 6.18
/// that is outside the allocation path. True if a cluster became free. swap_lock keeps the list of
/// active devices, and is dropped while one discards.
pub(crate) fn sync_discard<M: Machine, P: Policy<M>>(core: &CiFirst<M, P>, cpu: &M::Cpu) -> bool {
    let swap_lock = core.base.avail.swap_lock();
    let mut all = swap_lock.lock(cpu, &SYNC_DISCARD);
    for dev in &core.base.devices {
        if dev.si().active.get() == 0 || !dev.users.tryget_live(cpu) {
            continue;
        }
        swap_lock.unlock(cpu, all);
        let freed = dev.spec.discard && core.do_discards(cpu, dev);
        dev.users.put(cpu);
        if freed {
            return true;
        }
        all = swap_lock.lock(cpu, &SYNC_DISCARD);
    }
    swap_lock.unlock(cpu, all);
    false
}

impl<M: Machine, C: Choice<M>> SwapoffHooks<M> for Release6_15<M, C> {
    fn barrier(core: &Core<M, C>, cpu: &M::Cpu, dev: &Device<M>) {
        core.take_every_cluster_lock(cpu, dev);
    }

    fn unuse(
        core: &Core<M, C>,
        cpu: &M::Cpu,
        dev: usize,
        owners: &Owners<M>,
    ) -> Result<(), SwapoffError> {
        C::unuse(core, cpu, dev, owners)
    }

    /// flush_percpu_swap_cluster(), once `users` is dead: no CPU can store the device again.
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
}
