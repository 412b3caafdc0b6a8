//! The allocator whose outermost lock is ci->lock (6.14 on): all that `percluster`, `percpu-cluster`
//! and `swap-table` share. Guards that a cluster's flag and its list change together under its
//! ci->lock; si->lock is taken inside it, and only for the list pointers. Kernel: mm/swapfile.c of
//! 6.14, functions as named.

use crate::allocator::{EntrySite, Leaves, Steps, SwapAllocator, SwapoffError, in_map};
use crate::cache::{LockedFolio, NoFolio, Reclaimed};
use crate::cluster_info::ClusterList::{self, Discard, Frag, Free, Full, Nonfull};
use crate::cluster_info::{ClusterInfo, Layout};
use crate::count::DupError;
use crate::device::{Base, DISCARD_WORK, Device, RECLAIM_WORK, SWP_WRITEOK, offlist};
use crate::entry::{Slot, SwpEntry};
use crate::invariants::{self, Rules};
use crate::owners::Owners;
use crate::spec::Spec;
use crate::swap_map::{BAD, HAS_CACHE};
use crate::swap_table::Sections;
use crate::swapoff::{self, Swapoff};
use crate::unuse::try_to_unuse;
use machine::{Atomic, Cpu, Frame, Guard, Machine, Plain, Site, fault, vm_bug_on};

/// What differs from release to release in the functions of this file.
#[derive(Clone, Copy)]
pub struct Release {
    /// si->frag_cluster_nr is kept: how many fragmented clusters a scan visits (until 6.17).
    pub counts_frag: bool,
    /// isolate_lock_cluster() tests SWP_WRITEOK (until 6.17).
    pub isolate_tests_writeok: bool,
    /// A cluster on the free list has no swap table, so a CPU whose current cluster became empty
    /// looks for another one (since 6.18: 07adc4cf1ecd).
    pub free_has_no_table: bool,
    /// A fresh free list goes through the clusters in steps of SWAP_CLUSTER_COLS, and not in the
    /// order of their index (until 6.17; ended with 685a17fbd35e).
    pub interleaves: bool,
    /// swap_map says SWAP_MAP_BAD for the slots of a cluster that waits for its discard (until
    /// 6.14; ended with 0ff67f990bd4).
    pub discard_fills_bad: bool,
    /// The swap cache is an XArray for every 64 MiB, with a lock of its own (until 6.17).
    pub xarray: bool,
    /// The swap table is the only record (since 7.0).
    pub table: Option<Sections>,
}

/// What a scheme decides about an allocation.
pub trait Policy<M: Machine>: Sized + Send + Sync + 'static {
    /// nr_swap_pages is reduced before the walk over devices, and not per slot (until 6.14).
    const RESERVES: bool;
    /// See [`SwapAllocator::MASKS`].
    const MASKS: bool = false;
    /// What differs from release to release below the scheme.
    const RELEASE: Release;
    /// An entry in use points to a slot of a layer above, which has the folio (vswap).
    const POINTERS: bool = false;
    /// The scheme's own state, for devices that are off.
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self;
    /// folio_alloc_swap(): chooses the device and the cluster, and takes the slots from there by
    /// [`CiFirst::alloc_from`] or [`CiFirst::free_first`].
    fn alloc(core: &CiFirst<M, Self>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry>;
    /// Remembers where this CPU's next allocation of `order` starts, if anywhere.
    fn set_next(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize, next: Option<Slot>);
    /// Runs `allocate`: the test of SWP_WRITEOK, the write of the map, the addition to inuse_pages.
    /// ci->lock is held. A scheme whose barrier is not the ci->locks marks here what its barrier
    /// waits for.
    fn section(&self, cpu: &M::Cpu, dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool;
    /// Writes the entries of slots that become allocated, where they are [`Policy::POINTERS`].
    fn point(&self, _cpu: &M::Cpu, _dev: &Device<M>, _offset: u32, _nr: u32) {}
    /// __try_to_reclaim_swap(): drops the slot's folio if it has no user.
    fn reclaim(core: &CiFirst<M, Self>, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        core.try_to_reclaim(cpu, dev, offset)
    }
}

/// What swapoff asks of a scheme, in the order of the calls: see [`Swapoff`]. An allocation calls
/// none of these.
pub trait SwapoffHooks<M: Machine>: Policy<M> {
    /// Returns when every allocation that saw SWP_WRITEOK has ended.
    fn barrier(core: &CiFirst<M, Self>, cpu: &M::Cpu, dev: &Device<M>);
    /// Empties the slot caches and keeps them empty until `undrain`; `None` without slot caches.
    fn drain(_core: &CiFirst<M, Self>, _cpu: &M::Cpu) -> Option<()> {
        None
    }
    /// Slot caches may be filled again.
    fn undrain(&self) {}
    /// Brings in what is on the device.
    ///
    /// # Errors
    /// As [`SwapAllocator::swapoff`].
    fn unuse(
        core: &CiFirst<M, Self>,
        cpu: &M::Cpu,
        dev: usize,
        owners: &Owners<M>,
    ) -> Result<(), SwapoffError> {
        try_to_unuse(core, owners, cpu, dev)
    }
    /// Forgets per-CPU state that points to the device, of which no user is left.
    fn forget(&self, _cpu: &M::Cpu, _dev: &Device<M>) {}
    /// Makes the scheme's per-CPU state that of a fresh device.
    fn reset(&self, _dev: &Device<M>) {}
    /// The device is about to be allocated from, for the first time or again.
    fn reopen(&self, _dev: &Device<M>) {}
    /// The slots in slot caches, which `drain` would free; at rest.
    fn cached(&self) -> Vec<SwpEntry> {
        Vec::new()
    }
    /// How many swapoffs keep the slot caches empty, at rest.
    fn caches_disabled(&self) -> u32 {
        0
    }
}

/// The allocator over a policy.
pub struct CiFirst<M: Machine, P: Policy<M>> {
    /// The devices and the avail list.
    pub base: Base<M>,
    /// The scheme's own state.
    pub policy: P,
}

pub(crate) mod site {
    use crate::EntrySite;
    use machine::Site;
    pub static ALLOC: Site = Site::new("ci->lock", "cluster_alloc_swap_entry");
    pub static FAST: Site = Site::new("ci->lock", "swap_alloc_fast");
    pub static ISOLATE: Site = Site::new("ci->lock", "isolate_lock_cluster");
    pub static ISOLATE_SI: Site = Site::new("si->lock", "isolate_lock_cluster");
    pub static MOVE_SI: Site = Site::new("si->lock", "move_cluster");
    pub static RECLAIM: Site = Site::new("ci->lock", "cluster_reclaim_range");
    pub static FULL: Site = Site::new("ci->lock", "swap_reclaim_full_clusters");
    pub static DISCARD: Site = Site::new("ci->lock", "swap_do_scheduled_discard");
    pub static DISCARD_SI: Site = Site::new("si->lock", "swap_do_scheduled_discard");
    pub static TRY_RECLAIM: Site = Site::new("ci->lock", "__try_to_reclaim_swap");
    pub static PUT: Site = Site::new("ci->lock", "swap_free_nr");
    pub static PUT_MANY: Site = Site::new("ci->lock", "free_swap_and_cache_nr");
    pub static PUT_FOLIO: EntrySite = EntrySite::new("put_swap_folio");
    pub static CONT: EntrySite = EntrySite::new("add_swap_count_continuation");
    pub static BARRIER: Site = Site::new("ci->lock", "wait_for_allocation");
    pub static DRAIN: Site = Site::new("ci->lock", "swapcache_free_entries");
    pub static ADD_AVAIL: Site = Site::new("swap_avail_lock", "add_to_avail_list");
    pub static DEL_AVAIL: Site = Site::new("swap_avail_lock", "del_from_avail_list");
    pub static SWAPOFF: Site = Site::new("swap_lock", "swapoff");
    pub static SWAPOFF_SI: Site = Site::new("si->lock", "swapoff");
    pub static ENABLE: Site = Site::new("swap_lock", "enable_swap_info");
    pub static ENABLE_SI: Site = Site::new("si->lock", "enable_swap_info");
}

// ---- lists ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// move_cluster() to `list`: ci->lock is held.
    pub(crate) fn move_cluster(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        list: ClusterList,
    ) {
        let (was, order) = dev.relink(cpu, index, list, &site::MOVE_SI);
        if was == Some(Frag) {
            self.count_frag(dev, order, u32::MAX);
        } else if list == Frag {
            self.count_frag(dev, order, 1);
        }
        dev.raw_clusters()[index].set_list(Some(list));
    }

    /// Adds to si->frag_cluster_nr; u32::MAX takes one off.
    fn count_frag(&self, dev: &Device<M>, order: usize, by: u32) {
        if P::RELEASE.counts_frag {
            dev.si().frag_cluster_nr[order].fetch_add_relaxed(by);
        }
    }

    /// isolate_lock_cluster(): locks the first cluster of a list whose lock is free, and takes it
    /// off the list. `None` does not mean that the list is empty.
    fn isolate(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        list: ClusterList,
        order: usize,
    ) -> Option<(usize, Guard<M>)> {
        let _frame = Frame::<M>::of("isolate_lock_cluster");
        let si = dev.si();
        let held = si.lock.lock(cpu, &site::ISOLATE_SI);
        let mut isolated = None;
        let tested = P::RELEASE.isolate_tests_writeok
            && !fault!(M, "v1-series")
            && !fault!(M, "no-writeok-test");
        if !tested || dev.writeok() {
            isolated = dev.take_first(cpu, list, order, &site::ISOLATE);
        }
        si.lock.unlock(cpu, held);
        let (index, guard) = isolated?;
        if list != Free || P::RELEASE.table.is_none() {
            return Some((index, guard));
        }
        self.populate(cpu, dev, index, guard).map(|guard| (index, guard))
    }

    /// As [`CiFirst::isolate`] for a frag list, whose length is counted.
    fn isolate_frag(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        order: usize,
    ) -> Option<(usize, Guard<M>)> {
        let isolated = self.isolate(cpu, dev, Frag, order);
        if isolated.is_some() {
            self.count_frag(dev, order, u32::MAX);
        }
        isolated
    }

    /// free_cluster(): an empty cluster goes to be discarded, or to the free list.
    fn free_cluster(&self, cpu: &M::Cpu, dev: &Device<M>, index: usize) {
        vm_bug_on!(
            M,
            dev.cluster(index).list() == Some(Free),
            "free_cluster() of a cluster that is free already"
        );
        // Without SWP_WRITEOK nobody will write to the cluster: swapoff discards nothing.
        if dev.spec.discard && dev.writeok() {
            if P::RELEASE.discard_fills_bad {
                dev.fill(dev.start_of(index), dev.cluster_slots, BAD);
            }
            self.move_cluster(cpu, dev, index, Discard);
            dev.queue_work(DISCARD_WORK);
        } else {
            if P::RELEASE.table.is_some() {
                dev.unpublish(cpu, index);
            }
            self.move_cluster(cpu, dev, index, Free);
            dev.cluster(index).order.set(0);
        }
    }

    /// relocate_cluster(): after an allocation from a cluster, moves it to the list that its count
    /// asks for. A cluster that is free already stays (fix of 6.14-rc).
    fn relocate(&self, cpu: &M::Cpu, dev: &Device<M>, index: usize) {
        let cluster = dev.cluster(index);
        let (list, count) = (cluster.list(), u32::from(cluster.count.get()));
        if list == Some(Discard) {
            return;
        }
        if count == 0 {
            if self.is_populated_by_another(dev, index) {
                return;
            }
            if list != Some(Free) || fault!(M, "relocate-free-cluster") {
                self.free_cluster(cpu, dev, index);
            }
            return;
        }
        let wanted = if count == dev.cluster_slots { Full } else { Frag };
        if list != Some(wanted) {
            self.move_cluster(cpu, dev, index, wanted);
        }
    }
}

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// Whether an empty cluster, which is locked, is that of a CPU that waits for memory for its table: a scan
    /// that dropped ci->lock to reclaim may find that. 7.2.12 and 7.3.4 do not ask, and free it
    /// (docs/findings/populating-cluster-freed.md).
    fn is_populated_by_another(&self, dev: &Device<M>, index: usize) -> bool {
        let isolated = dev.cluster(index).list().is_none();
        let absent = || dev.tabled(index).is_some_and(|tabled| tabled.table.load_acquire() == 0);
        isolated && !fault!(M, "populating-cluster-freed") && absent()
    }
}

// ---- allocation ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// cluster_is_usable(): the cluster may be allocated from (CLUSTER_FLAG_USABLE) and its order
    /// fits.
    fn usable(
        &self,
        dev: &Device<M>,
        index: usize,
        cluster: &ClusterInfo<M>,
        order: usize,
    ) -> bool {
        let fits =
            order == 0 || cluster.count.get() == 0 || usize::from(cluster.order.get()) == order;
        let usable = match cluster.list() {
            Some(Full | Discard) => false,
            Some(Free) => !P::RELEASE.free_has_no_table,
            // The CPU that isolated it may sleep until there is memory for its table.
            None => dev.tabled(index).is_none_or(|tabled| tabled.table.load_acquire() != 0),
            Some(Nonfull | Frag) => true,
        };
        usable && fits
    }

    /// The fast path: from `next` on in its cluster, which is this CPU's current one, if that is
    /// still good for `order`. Its ci->lock is taken at `site`.
    pub fn alloc_from(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        next: Slot,
        order: usize,
        site: &'static Site,
    ) -> Option<Slot> {
        let index = dev.cluster_of(next.offset());
        let guard = dev.lock_cluster(cpu, index, site);
        let cluster = dev.cluster(index);
        if !self.usable(dev, index, cluster, order) {
            dev.unlock_cluster(cpu, index, guard);
            return None;
        }
        let from = if cluster.count.get() == 0 { dev.start_of(index) } else { next.offset() };
        self.scan(cpu, dev, index, guard, from, order)
    }

    /// As [`CiFirst::alloc_from`] for the whole of a cluster that was isolated.
    fn alloc_isolated(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        (index, guard): (usize, Guard<M>),
        order: usize,
    ) -> Option<Slot> {
        self.scan(cpu, dev, index, guard, dev.start_of(index), order)
    }

    /// alloc_swap_scan_cluster(): allocates the first slots of the locked cluster, from `from` on,
    /// that are free or can be reclaimed. Leaves the cluster on the right list, unlocked, and this
    /// CPU's next allocation behind what was found.
    fn scan(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        mut guard: Guard<M>,
        from: u32,
        order: usize,
    ) -> Option<Slot> {
        let _frame = Frame::<M>::of("alloc_swap_scan_cluster");
        let (nr, end, cluster) = (1 << order, dev.end_of(index), dev.cluster(index));
        let room = u32::from(cluster.count.get()) + nr <= dev.cluster_slots;
        let (mut found, mut next) = (None, None);
        let mut offset = if room { from } else { end };
        while let Some(window) = dev.window(offset, end, order, || self.base.avail.full()) {
            offset = window.offset;
            if window.needs_reclaim {
                dev.unlock_cluster(cpu, index, guard);
                self.reclaim_range(cpu, dev, offset, nr);
                guard = dev.lock_cluster(cpu, index, &site::RECLAIM);
                // Anything may have happened to the cluster meanwhile.
                if !self.usable(dev, index, cluster, order) {
                    break;
                }
                if cluster.count.get() == 0 {
                    offset = dev.start_of(index);
                }
                if !dev.all(offset, nr, 0) {
                    offset += nr;
                    continue;
                }
            }
            if fault!(M, "writeok-outside-ci-lock") {
                if !dev.writeok() {
                    break;
                }
                dev.unlock_cluster(cpu, index, guard);
                guard = dev.lock_cluster(cpu, index, &site::ALLOC);
                if !self.usable(dev, index, cluster, order) || !dev.all(offset, nr, 0) {
                    break;
                }
            }
            if self.alloc_range(cpu, dev, index, offset, order) {
                found = Slot::new(offset);
                let more = u32::from(cluster.count.get()) < dev.cluster_slots;
                next = Slot::new(offset + nr).filter(|_| more && offset + 2 * nr <= end);
            }
            break;
        }
        self.relocate(cpu, dev, index);
        dev.unlock_cluster(cpu, index, guard);
        self.policy.set_next(cpu, dev, order, next);
        found
    }

    /// cluster_alloc_range(): the only place where a slot becomes allocated. All of it is under
    /// ci->lock, so that swapoff can wait for it by taking that lock. False if swapoff has begun.
    fn alloc_range(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        offset: u32,
        order: usize,
    ) -> bool {
        let untested = fault!(M, "no-writeok-test")
            || fault!(M, "v1-series")
            || fault!(M, "writeok-outside-ci-lock");
        let _frame = Frame::<M>::entered("cluster_alloc_range");
        self.policy.section(cpu, dev, || {
            if !untested && !dev.writeok() {
                return false;
            }
            let (cluster, nr) = (dev.cluster(index), 1 << order);
            if cluster.count.get() == 0 {
                let listed = || !matches!(cluster.list(), None | Some(Free));
                vm_bug_on!(M, listed(), "I7: an empty cluster is on the list of used ones");
                cluster.order.set(order as u8);
            }
            dev.check_range(index, offset, order);
            dev.check_order(index, order);
            vm_bug_on!(M, !dev.all(offset, nr, 0), "I1: a slot in use is handed out");
            if P::POINTERS {
                self.policy.point(cpu, dev, offset, nr);
            } else {
                dev.fill(offset, nr, HAS_CACHE);
                if P::RELEASE.table.is_some() {
                    // The folio that the slots are for, which is locked: its user finds it there.
                    let _ = dev.cache_folio(cpu, offset, order);
                }
            }
            self.range_alloc(cpu, dev, nr);
            cluster.count.set(cluster.count.get() + nr as u16);
            true
        })
    }

    /// swap_range_alloc(): the counters; a device that becomes full leaves the avail list.
    fn range_alloc(&self, cpu: &M::Cpu, dev: &Device<M>, nr: u32) {
        if !P::RESERVES && !fault!(M, "nr-subtracted-late") {
            self.base.avail.add_pages(-i64::from(nr));
        }
        let nr = u64::from(nr);
        if dev.si().inuse_pages.fetch_add_relaxed(nr) + nr == dev.pages() {
            self.del_full(cpu, dev);
            if self.base.avail.full() {
                dev.queue_work(RECLAIM_WORK);
            }
        }
    }
}

// ---- a new cluster ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// cluster_alloc_swap_entry() of 6.14 .. 6.17 from its label new_cluster on: when the current
    /// cluster has no room, tries a free cluster, then nonfull and fragmented ones, then those that
    /// discards make free, then, for order 0, other orders' clusters.
    pub fn free_first(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> Option<Slot> {
        let _frame = Frame::<M>::entered("cluster_alloc_swap_entry");
        loop {
            let mut found = self.from_list(cpu, dev, Free, 0, order, 1);
            if found.is_some() {
                return found;
            }
            if self.base.avail.full() {
                self.reclaim_full(cpu, dev, 1);
            }
            if below_pmd(dev, order) {
                found = self.fragmented(cpu, dev, order);
            }
            if found.is_some() {
                return found;
            }
            if !dev.spec.discard || !self.do_discards(cpu, dev) {
                break;
            }
        }
        if order == 0 { self.steal(cpu, dev) } else { None }
    }

    /// All nonfull clusters of the order, then its fragmented ones. In total it visits as many
    /// clusters as are fragmented.
    fn fragmented(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> Option<Slot> {
        let mut visits = 0;
        while let Some(nonfull) = self.isolate(cpu, dev, Nonfull, order) {
            let found = self.alloc_isolated(cpu, dev, nonfull, order);
            if found.is_some() {
                return found;
            }
            visits += 1;
        }
        let existing = dev.si().frag_cluster_nr[order].load();
        while visits < existing
            && let Some(frag) = self.isolate_frag(cpu, dev, order)
        {
            let found = self.alloc_isolated(cpu, dev, frag, order);
            if found.is_some() {
                return found;
            }
            visits += 1;
        }
        None
    }

    /// Order 0 may take any free slot, of clusters of other orders too.
    pub fn steal(&self, cpu: &M::Cpu, dev: &Device<M>) -> Option<Slot> {
        for of in 1..dev.orders() {
            for list in [Frag, Nonfull] {
                let found = self.from_list(cpu, dev, list, of, 0, u32::MAX);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Isolates up to `most` clusters of the list of order `of`, one after the other, until one has
    /// room for `order`.
    pub fn from_list(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        list: ClusterList,
        of: usize,
        order: usize,
        most: u32,
    ) -> Option<Slot> {
        for _ in 0..most {
            if self.loops_for_ever(dev, list, of, order) {
                return None;
            }
            let isolated = match list {
                Frag => self.isolate_frag(cpu, dev, of),
                _ => self.isolate(cpu, dev, list, of),
            };
            let found = self.alloc_isolated(cpu, dev, isolated?, order);
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// Whether the loop of alloc_swap_scan_list() over other orders' clusters would not end. Without
    /// SWP_WRITEOK every scan fails and puts its cluster back on the same list. Until 6.17
    /// isolate_lock_cluster() ends the loop. 6.18 .. 7.3 do not: this is the test that they lack
    /// (docs/findings/steal-loop.md).
    fn loops_for_ever(&self, dev: &Device<M>, list: ClusterList, of: usize, order: usize) -> bool {
        let same_list = list == Frag && of != order;
        same_list
            && !P::RELEASE.isolate_tests_writeok
            && !fault!(M, "steal-ignores-writeok")
            && !dev.writeok()
    }
}

/// Whether 2^order slots are less than a cluster. A larger folio needs a free cluster.
pub fn below_pmd<M: Machine>(dev: &Device<M>, order: usize) -> bool {
    1 << order < dev.cluster_slots
}

// ---- reclaim and discard ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// Some slot of a range is held by the swap cache alone: frees what can be freed.
    fn reclaim_range(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let _frame = Frame::<M>::of("cluster_reclaim_range");
        let (mut at, end) = (offset, offset + nr);
        while at < end {
            match dev.byte(at).load() {
                0 => at += 1,
                HAS_CACHE => match P::reclaim(self, cpu, dev, at) {
                    Reclaimed::Freed(next) => at = next,
                    _ => return,
                },
                _ => return,
            }
        }
    }

    /// swap_reclaim_full_clusters(): reclaims from up to `clusters` of them.
    pub fn reclaim_full(&self, cpu: &M::Cpu, dev: &Device<M>, clusters: u64) {
        let _frame = Frame::<M>::of("swap_reclaim_full_clusters");
        for _ in 0..clusters {
            let Some((index, mut guard)) = self.isolate(cpu, dev, Full, 0) else { return };
            let (mut offset, end) = (dev.start_of(index), dev.end_of(index));
            loop {
                offset = dev.scan(offset, end, |byte| byte == HAS_CACHE);
                if offset == end {
                    break;
                }
                dev.unlock_cluster(cpu, index, guard);
                let outcome = P::reclaim(self, cpu, dev, offset);
                guard = dev.lock_cluster(cpu, index, &site::FULL);
                offset = outcome.next(offset);
            }
            // Nothing was freed, so no free has put it on a list.
            let lost = fault!(M, "reclaim-loses-cluster");
            if dev.cluster(index).list().is_none() && !lost {
                self.relocate(cpu, dev, index);
            }
            dev.unlock_cluster(cpu, index, guard);
        }
    }

    /// __try_to_reclaim_swap(): drops the slot's folio if it has no user.
    pub(crate) fn try_to_reclaim(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        let _frame = Frame::<M>::of("__try_to_reclaim_swap");
        let folio = match dev.folios.trylock(offset) {
            Ok(folio) => folio,
            Err(NoFolio::Absent) => return Reclaimed::Nothing,
            Err(NoFolio::Busy(slots)) => return Reclaimed::Kept((offset | (slots - 1)) + 1),
        };
        let next = folio.offset + folio.slots();
        let index = dev.cluster_of(offset);
        let guard = dev.lock_cluster(cpu, index, &site::TRY_RECLAIM);
        let unused = dev.all(folio.offset, folio.slots(), HAS_CACHE);
        dev.unlock_cluster(cpu, index, guard);
        if !unused {
            dev.folios.unlock(folio);
            return Reclaimed::Kept(next);
        }
        if P::RELEASE.table.is_some() {
            self.remove_from_table(cpu, dev, folio, Leaves::Unused);
            return Reclaimed::Freed(next);
        }
        self.leave_cache(cpu, dev, folio, Leaves::Unused);
        let guard = dev.lock_cluster(cpu, index, &site::TRY_RECLAIM);
        self.free_range(cpu, dev, index, folio.offset, folio.slots());
        dev.unlock_cluster(cpu, index, guard);
        Reclaimed::Freed(next)
    }

    /// swap_do_scheduled_discard(): discards all clusters that wait for it. True if there was one,
    /// which is on the free list now.
    pub fn do_discards(&self, cpu: &M::Cpu, dev: &Device<M>) -> bool {
        let _frame = Frame::<M>::of("swap_do_scheduled_discard");
        let (si, mut freed) = (dev.si(), false);
        loop {
            let guard = si.lock.lock(cpu, &site::DISCARD_SI);
            let first = si.discard.first();
            if let Some(index) = first {
                // The flag stays: it keeps off the CPU whose current cluster this is.
                si.discard.remove(dev.clusters(), index);
            }
            si.lock.unlock(cpu, guard);
            let Some(index) = first else { return freed };
            dev.issue_discard(cpu, index);
            let guard = dev.lock_cluster(cpu, index, &site::DISCARD);
            dev.cluster(index).set_list(None);
            if P::RELEASE.discard_fills_bad {
                dev.fill(dev.start_of(index), dev.cluster_slots, 0);
            }
            if P::RELEASE.table.is_some() {
                dev.unpublish(cpu, index);
            }
            self.move_cluster(cpu, dev, index, Free);
            dev.cluster(index).order.set(0);
            dev.unlock_cluster(cpu, index, guard);
            freed = true;
        }
    }
}

// ---- freeing ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// swap_entry_range_free(): slots of one cluster, which is locked, become free.
    pub(crate) fn free_range(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        offset: u32,
        nr: u32,
    ) {
        let cluster = dev.cluster(index);
        vm_bug_on!(M, !P::POINTERS && !dev.all(offset, nr, HAS_CACHE), "a slot in use is freed");
        cluster.count.set(cluster.count.get() - nr as u16);
        dev.fill(offset, nr, 0);
        if self.records_cgroup() {
            dev.set_cgroup(offset, nr, 0);
        }
        self.range_free(cpu, dev, offset, nr);
        if cluster.count.get() == 0 {
            self.free_cluster(cpu, dev, index);
        } else if cluster.list() != Some(Nonfull) {
            self.move_cluster(cpu, dev, index, Nonfull);
        }
    }

    /// Whether a slot's cgroup is in memcg_table.
    fn records_cgroup(&self) -> bool {
        let recorded = P::RELEASE.table.is_some_and(|sections| sections.memcg);
        recorded && !self.base.spec.prices.memcg_off
    }

    /// swap_range_free(): clean up first, then count the slots as free.
    fn range_free(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let early = fault!(M, "inuse-before-cleanup");
        if early {
            self.usage_sub(cpu, dev, nr);
        }
        self.base.clean_up(cpu, dev, offset, nr);
        // Pairs with smp_mb() at the end of try_to_unuse().
        M::wmb();
        self.base.avail.add_pages(i64::from(nr));
        if !early {
            self.usage_sub(cpu, dev, nr);
        }
    }

    /// swap_usage_sub(): a device that was full comes back to the avail list.
    fn usage_sub(&self, cpu: &M::Cpu, dev: &Device<M>, nr: u32) {
        let nr = u64::from(nr);
        let left = dev.si().inuse_pages.fetch_add_relaxed(nr.wrapping_neg()).wrapping_sub(nr);
        if left & offlist::<M>() != 0 {
            self.add_avail(cpu, dev);
        }
    }

    /// __swap_entries_free() of free_swap_and_cache_nr(): takes a user off each of `nr` slots.
    /// True if the swap cache alone holds one of them now.
    fn put_many(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) -> bool {
        if P::RELEASE.table.is_some() {
            return self.put_many_in_table(cpu, dev, offset, nr);
        }
        let index = dev.cluster_of(offset);
        let one_cluster = dev.cluster_of(offset + nr - 1) == index;
        if nr > 1 && one_cluster {
            let guard = dev.lock_cluster(cpu, index, &site::PUT_MANY);
            let last = dev.put_last_locked(offset, nr);
            if last == Some(false) {
                self.free_range(cpu, dev, index, offset, nr);
            }
            dev.unlock_cluster(cpu, index, guard);
            if let Some(cached) = last {
                return cached;
            }
        }
        let mut cached = false;
        for slot in offset..offset + nr {
            let index = dev.cluster_of(slot);
            let guard = dev.lock_cluster(cpu, index, &site::PUT_MANY);
            let left = dev.put_locked(cpu, slot);
            if left == 0 {
                self.free_range(cpu, dev, index, slot, 1);
            }
            cached |= left == HAS_CACHE;
            dev.unlock_cluster(cpu, index, guard);
        }
        cached
    }

    /// swapcache_free_entries(): frees entries of the slot caches, slot by slot.
    pub fn free_entries(&self, cpu: &M::Cpu, entries: &[SwpEntry]) {
        for entry in entries {
            let dev = &self.base.devices[entry.dev()];
            let index = dev.cluster_of(entry.offset());
            let guard = dev.lock_cluster(cpu, index, &site::DRAIN);
            self.free_range(cpu, dev, index, entry.offset(), 1);
            dev.unlock_cluster(cpu, index, guard);
        }
    }
}

// ---- the avail list ----

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// del_from_avail_list() by the allocation that filled the device.
    fn del_full(&self, cpu: &M::Cpu, dev: &Device<M>) {
        let avail = &self.base.avail;
        let guard = avail.lock(cpu, &site::DEL_AVAIL);
        let pages = dev.pages();
        if dev.si().inuse_pages.cmpxchg(pages, pages | offlist::<M>()).is_ok() {
            avail.del(cpu, dev.index);
        }
        avail.unlock(cpu, guard);
    }

    /// add_to_avail_list() by a free, unless swapoff has taken the device off.
    fn add_avail(&self, cpu: &M::Cpu, dev: &Device<M>) {
        let guard = self.base.avail.lock(cpu, &site::ADD_AVAIL);
        if dev.writeok() {
            self.add_avail_locked(cpu, dev);
        }
        self.base.avail.unlock(cpu, guard);
    }

    fn add_avail_locked(&self, cpu: &M::Cpu, dev: &Device<M>) {
        let (inuse, bit, pages) = (&dev.si().inuse_pages, offlist::<M>(), dev.pages());
        if inuse.load() & bit == 0 {
            return;
        }
        // A CPU that sees the device full while it is on the list takes it off. If that is this
        // CPU, the device stays off.
        let full = inuse.fetch_and(!bit) & !bit == pages;
        if !full || inuse.cmpxchg(pages, pages | bit).is_err() {
            self.base.avail.add(cpu, dev.index);
        }
    }

    /// wait_for_allocation(): swapoff's barrier since 6.14. A CPU that allocates in a cluster holds
    /// its lock, so after this no allocation is left that saw SWP_WRITEOK.
    pub fn take_every_cluster_lock(&self, cpu: &M::Cpu, dev: &Device<M>) {
        vm_bug_on!(M, dev.writeok(), "wait_for_allocation() while SWP_WRITEOK is set");
        let step = if fault!(M, "barrier-skips-clusters") { 2 } else { 1 };
        for index in (0..dev.nr_clusters()).step_by(step) {
            let guard = dev.lock_cluster(cpu, index, &site::BARRIER);
            dev.unlock_cluster(cpu, index, guard);
        }
    }
}

impl<M: Machine, P: SwapoffHooks<M>> Swapoff<M> for CiFirst<M, P> {
    fn block(&self, cpu: &M::Cpu, dev: &Device<M>) -> Result<(), SwapoffError> {
        let avail = &self.base.avail;
        let all = avail.swap_lock().lock(cpu, &site::SWAPOFF);
        let may = match dev.si().active.get() {
            0 => Err(SwapoffError::NotOn),
            _ if self.is_pinned(dev) => Err(SwapoffError::Pinned),
            _ => Ok(()),
        };
        if may.is_ok() {
            dev.si().active.set(0);
            let si = dev.si().lock.lock(cpu, &site::SWAPOFF_SI);
            let guard = avail.lock(cpu, &site::DEL_AVAIL);
            dev.clear_flag(SWP_WRITEOK);
            dev.si().inuse_pages.fetch_or(offlist::<M>());
            avail.del(cpu, dev.index);
            avail.unlock(cpu, guard);
            avail.add_total(-(dev.pages() as i64));
            dev.si().lock.unlock(cpu, si);
        }
        avail.swap_lock().unlock(cpu, all);
        may
    }

    fn barrier(&self, cpu: &M::Cpu, dev: &Device<M>) -> Option<()> {
        P::barrier(self, cpu, dev);
        Some(())
    }

    fn drain(&self, cpu: &M::Cpu) -> Option<()> {
        P::drain(self, cpu)
    }

    fn undrain(&self) {
        self.policy.undrain();
    }

    fn unuse(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<(), SwapoffError> {
        P::unuse(self, cpu, dev, owners)
    }

    fn reinsert(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.enable(cpu, dev);
    }

    fn forget(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.policy.forget(cpu, dev);
    }

    fn free_clusters(&self, cpu: &M::Cpu, dev: &Device<M>) {
        if P::RELEASE.table.is_some() {
            self.free_tables(cpu, dev);
        }
    }

    fn enable(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.policy.reopen(dev);
        let avail = &self.base.avail;
        let all = avail.swap_lock().lock(cpu, &site::ENABLE);
        dev.si().active.set(1);
        let si = dev.si().lock.lock(cpu, &site::ENABLE_SI);
        avail.add_total(dev.pages() as i64);
        let guard = avail.lock(cpu, &site::ADD_AVAIL);
        dev.set_flag(SWP_WRITEOK);
        self.add_avail_locked(cpu, dev);
        avail.unlock(cpu, guard);
        dev.si().lock.unlock(cpu, si);
        avail.swap_lock().unlock(cpu, all);
    }

    fn reset(&self, dev: &Device<M>) {
        dev.si().inuse_pages.store(offlist::<M>());
        self.policy.reset(dev);
    }
}

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    pub(crate) fn dev(&self, entry: SwpEntry) -> &Device<M> {
        &self.base.devices[entry.dev()]
    }

    /// Runs `action` under the ci->lock of the slot's cluster.
    pub(crate) fn section<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static Site,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        let dev = self.dev(entry);
        let index = dev.cluster_of(entry.offset());
        let guard = dev.lock_cluster(cpu, index, site);
        let result = action(dev);
        dev.unlock_cluster(cpu, index, guard);
        result
    }

    /// The folio of `nr` slots of a cluster, which is locked, leaves: those without a user become free.
    pub(crate) fn uncache(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let index = dev.cluster_of(offset);
        dev.uncache(offset, nr, |first, n| self.free_range(cpu, dev, index, first, n));
    }
}

impl<M: Machine, P: SwapoffHooks<M>> SwapAllocator<M> for CiFirst<M, P> {
    const MASKS: bool = P::MASKS;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let mut spec = spec.clone();
        if !P::RELEASE.interleaves {
            spec.cluster_cols = 1;
        }
        if !P::RELEASE.xarray {
            spec.prices.xarray = None;
        }
        // It ended with 6.14, where these schemes begin.
        spec.prices.swap_cgroup_ns = None;
        let layout = match P::RELEASE {
            Release { table: Some(_), .. } if P::POINTERS => Layout::Pointers,
            Release { table: Some(_), .. } => Layout::Tables,
            Release { xarray: true, .. } => Layout::Map,
            _ => Layout::Cached,
        };
        Self { base: Base::laid_out(&spec, layout, cpu), policy: P::new(&spec, cpu) }
    }

    fn base(&self) -> &Base<M> {
        &self.base
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        swapoff::swapon(self, cpu, dev)
    }

    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        swapoff::swapoff(self, cpu, dev, owners)
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        P::alloc(self, cpu, order)
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        self.section(cpu, entry, &site.ci, action)
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        if P::RELEASE.table.is_some() {
            return self.extend(cpu, entry);
        }
        self.with_entry(cpu, entry, &site::CONT, |dev| dev.add_continuation(cpu, entry.offset()));
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let (mut offset, end) = (entry.offset(), entry.offset() + nr);
        let dev = self.dev(entry);
        if P::RELEASE.table.is_some() {
            self.put_many_in_table(cpu, dev, offset, nr);
            return;
        }
        while offset < end {
            let index = dev.cluster_of(offset);
            let guard = dev.lock_cluster(cpu, index, &site::PUT);
            for slot in offset..end.min(dev.end_of(index)) {
                if dev.put_locked(cpu, slot) == 0 {
                    self.free_range(cpu, dev, index, slot, 1);
                }
            }
            dev.unlock_cluster(cpu, index, guard);
            offset = dev.end_of(index);
        }
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let (dev, mut offset, end) = (self.dev(entry), entry.offset(), entry.offset() + nr);
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        if self.put_many(cpu, dev, offset, nr) {
            while offset < end {
                let cached = dev.byte(offset).load() == HAS_CACHE;
                let outcome =
                    if cached { P::reclaim(self, cpu, dev, offset) } else { Reclaimed::Nothing };
                offset = outcome.next(offset);
            }
        }
        dev.users.put(cpu);
        true
    }

    /// Only the folio pins the device here. Once inuse_pages has dropped, what keeps swapoff from
    /// freeing the arrays is that a spinlock section is an RCU section.
    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        if P::RELEASE.table.is_some() {
            let folio = LockedFolio { offset: entry.offset(), order };
            return self.remove_from_table(cpu, self.dev(entry), folio, Leaves::Unused);
        }
        let (offset, nr) = (entry.offset(), 1 << order);
        cpu.system().rcu.read(cpu, || {
            self.dev(entry).leave_shadow(offset, nr);
            let uncache = |dev: &Device<M>| self.uncache(cpu, dev, offset, nr);
            self.with_entry(cpu, entry, &site::PUT_FOLIO, uncache);
        });
    }

    fn dup_once(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<(), DupError> {
        match P::RELEASE.table {
            None => in_map::dup(self, cpu, entry),
            Some(_) => self.dup_in_table(cpu, entry),
        }
    }

    fn dup_run(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> u32 {
        match P::RELEASE.table {
            None => in_map::dup_run(self, cpu, entry, nr),
            Some(_) => self.dup_run_in_table(cpu, entry, nr),
        }
    }

    fn swapped(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        match P::RELEASE.table {
            None | Some(Sections { counts_locked: true, .. }) => {
                in_map::swapped(self, cpu, entry, nr)
            }
            Some(_) => self.maybe_swapped(cpu, entry, nr),
        }
    }

    fn add_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) -> LockedFolio {
        if P::RELEASE.table.is_none() {
            return self.enter_cache(cpu, entry, order);
        }
        if self.records_cgroup() {
            self.record_cgroup(cpu, entry, 1 << order);
        }
        LockedFolio { offset: entry.offset(), order }
    }

    fn written(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let Some(sections) = P::RELEASE.table else { return };
        if sections.counts_locked {
            // The kernel does not write a page that nobody has any more; here it is written.
            let _ = in_map::swapped(self, cpu, entry, nr);
        }
        if sections.zero_flag {
            self.set_zero_flag(cpu, entry, nr);
        }
    }

    fn look_up(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<LockedFolio, NoFolio> {
        match P::RELEASE.table {
            None => {
                let dev = self.dev(entry);
                if Self::CACHED_IN_TABLE {
                    dev.clusters().read_cache_table(dev.cluster_of(entry.offset()));
                }
                dev.folios.trylock(entry.offset())
            }
            Some(_) => CiFirst::look_up(self, cpu, entry),
        }
    }

    fn add_for_fault(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        page_in: impl FnOnce(),
    ) -> Option<LockedFolio> {
        match P::RELEASE.table {
            None => {
                in_map::add_for_fault(self, cpu, entry, page_in, || self.enter_by_fault(cpu, entry))
            }
            Some(_) => self.add_to_table(cpu, entry, page_in),
        }
    }

    fn pin_for_hibernation(&self, cpu: &M::Cpu, dev: usize) -> bool {
        P::RELEASE.table.is_some() && self.pin(cpu, &self.base.devices[dev])
    }

    fn unpin_for_hibernation(&self, cpu: &M::Cpu, dev: usize) {
        self.unpin(cpu, &self.base.devices[dev]);
    }

    fn alloc_hibernation_slot(&self, cpu: &M::Cpu, _dev: usize) -> Option<SwpEntry> {
        P::RELEASE.table.and_then(|_| self.slot_of_image(cpu))
    }

    fn free_hibernation_slot(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.free_slot_of_image(cpu, entry);
    }

    fn remove_folio(&self, cpu: &M::Cpu, dev: usize, folio: LockedFolio, why: Leaves) {
        match P::RELEASE.table {
            None => {
                self.leave_cache(cpu, &self.base.devices[dev], folio, why);
                self.put_folio(cpu, SwpEntry::new(dev, folio.offset), folio.order);
            }
            Some(_) => self.remove_from_table(cpu, &self.base.devices[dev], folio, why),
        }
    }

    fn run_work_of(&self, cpu: &M::Cpu, dev: &Device<M>) {
        dev.run_work(|work| {
            if work & DISCARD_WORK != 0 {
                self.do_discards(cpu, dev);
            }
            if work & RECLAIM_WORK != 0 {
                // The kernel counts after each cluster: it does one at least.
                let clusters = self.inuse(dev.index) / u64::from(dev.cluster_slots);
                self.reclaim_full(cpu, dev, clusters.max(1));
            }
        });
    }

    fn inuse(&self, dev: usize) -> u64 {
        self.base.devices[dev].si().inuse_pages.load() & !offlist::<M>()
    }

    fn validate(&self) -> Result<(), String> {
        let bit = offlist::<M>();
        let cached = self.policy.cached();
        let rules = Rules {
            offlist: Some(bit),
            counts_frag: P::RELEASE.counts_frag,
            mixes_orders: false,
            cached: &cached,
            caches_disabled: self.policy.caches_disabled(),
            pointers: P::POINTERS,
        };
        invariants::at_rest(&self.base, &rules)
    }
}
