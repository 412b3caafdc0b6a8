//! The allocator whose outermost lock is si->lock (6.12 and 6.13), and three ways of holding it.
//! `scanning` drops it to reclaim and to discard, and counts SCANNING in si->flags against swapoff.
//! `scanning-ref` holds `users` instead (commit 9a0ddeb79880, the middle of 6.14's series).
//! `global` never drops it and has no other lock for slots. Guards that clusters and
//! their lists change under si->lock alone; `without` is the only place that drops it on the way.
//! Kernel: mm/swapfile.c of 6.12, functions as named.

use crate::allocator::{EntrySite, Steps, SwapAllocator, SwapoffError};
use crate::cache::{NoFolio, Reclaimed};
use crate::cluster_info::ClusterList::{self, Discard, Frag, Free, Full, Nonfull};
use crate::device::{Base, DISCARD_WORK, Device, RECLAIM_WORK, SWP_SCANNING, SWP_WRITEOK};
use crate::entry::{Slot, SwpEntry};
use crate::invariants::{self, Rules};
use crate::owners::Owners;
use crate::percpu::PercpuNext;
use crate::slot_cache::SlotCaches;
use crate::spec::Spec;
use crate::swap_map::{BAD, HAS_CACHE};
use crate::swapoff::{self, Swapoff};
use machine::{Atomic, Cpu, Frame, Guard, Machine, Plain, Site, fault, vm_bug_on};
use std::marker::PhantomData;

/// How si->lock is held.
pub trait Policy: Send + Sync + 'static {
    /// A slot's byte is guarded by ci->lock, and not by si->lock.
    const CI_LOCK: bool;
    /// si->lock is dropped to reclaim and to discard.
    const DROPS: bool;
    /// A scanner counts itself in si->flags, and swapoff polls until none is counted.
    const SCANNING: bool;
    /// A scanner holds `users`.
    const USERS: bool;
}

/// 6.12: si->lock is dropped, and scanners count SCANNING.
pub struct Counted;
impl Policy for Counted {
    const CI_LOCK: bool = true;
    const DROPS: bool = true;
    const SCANNING: bool = true;
    const USERS: bool = false;
}

/// si->lock is dropped, and scanners hold a reference.
pub struct Referenced;
impl Policy for Referenced {
    const CI_LOCK: bool = true;
    const DROPS: bool = true;
    const SCANNING: bool = false;
    const USERS: bool = true;
}

/// si->lock is the only lock for slots and is never dropped.
pub struct NeverDropped;
impl Policy for NeverDropped {
    const CI_LOCK: bool = false;
    const DROPS: bool = false;
    const SCANNING: bool = false;
    const USERS: bool = false;
}

/// Variant `scanning`.
pub type Scanning<M> = SiFirst<M, Counted>;
/// Variant `scanning-ref`.
pub type ScanningRef<M> = SiFirst<M, Referenced>;
/// Variant `global`.
pub type Global<M> = SiFirst<M, NeverDropped>;

/// The allocator over a policy.
pub struct SiFirst<M: Machine, P: Policy> {
    base: Base<M>,
    next: PercpuNext<M>,
    caches: SlotCaches<M>,
    policy: PhantomData<P>,
}

mod site {
    use crate::EntrySite;
    use machine::Site;
    pub static GET: Site = Site::new("swap_avail_lock", "get_swap_pages");
    pub static GET_SI: Site = Site::new("si->lock", "get_swap_pages");
    pub static SCAN: Site = Site::new("ci->lock", "alloc_swap_scan_cluster");
    pub static RECLAIM_SI: Site = Site::new("si->lock", "cluster_reclaim_range");
    pub static FULL_SI: Site = Site::new("si->lock", "swap_reclaim_full_clusters");
    pub static DISCARD: Site = Site::new("ci->lock", "swap_do_scheduled_discard");
    pub static DISCARD_SI: Site = Site::new("si->lock", "swap_do_scheduled_discard");
    pub static WORK_SI: Site = Site::new("si->lock", "swap_discard_work");
    pub static FREE: Site = Site::new("ci->lock", "swap_entry_range_free");
    pub static FREE_SI: Site = Site::new("si->lock", "swapcache_free_entries");
    pub static TRY_RECLAIM: EntrySite = EntrySite::new("__try_to_reclaim_swap");
    pub static PUT: EntrySite = EntrySite::new("swap_free_nr");
    pub static PUT_MANY: EntrySite = EntrySite::new("free_swap_and_cache_nr");
    pub static PUT_FOLIO: EntrySite = EntrySite::new("put_swap_folio");
    pub static CONT: EntrySite = EntrySite::new("add_swap_count_continuation");
    pub static ADD_AVAIL: Site = Site::new("swap_avail_lock", "add_to_avail_list");
    pub static DEL_AVAIL: Site = Site::new("swap_avail_lock", "del_from_avail_list");
    pub static SWAPOFF: Site = Site::new("swap_lock", "swapoff");
    pub static SWAPOFF_SI: Site = Site::new("si->lock", "swapoff");
    pub static ENABLE: Site = Site::new("swap_lock", "enable_swap_info");
    pub static ENABLE_SI: Site = Site::new("si->lock", "enable_swap_info");
}

/// si->lock, held by this CPU through functions that drop and retake it.
struct Held<'a, M: Machine> {
    dev: &'a Device<M>,
    guard: Option<Guard<M>>,
}

impl<'a, M: Machine> Held<'a, M> {
    fn lock(cpu: &M::Cpu, dev: &'a Device<M>, site: &'static Site) -> Self {
        Self { dev, guard: Some(dev.si().lock.lock(cpu, site)) }
    }

    fn unlock(mut self, cpu: &M::Cpu) {
        self.dev.si().lock.unlock(cpu, self.guard.take().expect("held"));
    }
}

/// Whether this CPU holds si->lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SiLock {
    Held,
    NotHeld,
}

// ---- si->lock, ci->lock, lists ----

impl<M: Machine, P: Policy> SiFirst<M, P> {
    /// Runs `action` with si->lock dropped, in schemes that drop it; `action` is given whether the
    /// lock is held.
    fn without<T>(
        &self,
        cpu: &M::Cpu,
        held: &mut Held<M>,
        site: &'static Site,
        action: impl FnOnce(SiLock) -> T,
    ) -> T {
        if !P::DROPS {
            return action(SiLock::Held);
        }
        let lock = &held.dev.si().lock;
        lock.unlock(cpu, held.guard.take().expect("held"));
        let result = action(SiLock::NotHeld);
        held.guard = Some(lock.lock(cpu, site));
        result
    }

    /// lock_cluster() inside si->lock.
    fn lock_ci(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        site: &'static Site,
    ) -> Option<Guard<M>> {
        P::CI_LOCK.then(|| dev.lock_cluster(cpu, index, site))
    }

    fn unlock_ci(&self, cpu: &M::Cpu, dev: &Device<M>, index: usize, guard: Option<Guard<M>>) {
        if let Some(guard) = guard {
            dev.unlock_cluster(cpu, index, guard);
        }
    }

    /// lock_cluster_or_swap_info() around `action`.
    fn locked<T>(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        site: &'static EntrySite,
        si_lock: SiLock,
        action: impl FnOnce() -> T,
    ) -> T {
        let index = dev.cluster_of(offset);
        let si =
            (!P::CI_LOCK && si_lock == SiLock::NotHeld).then(|| dev.si().lock.lock(cpu, &site.si));
        let ci = self.lock_ci(cpu, dev, index, &site.ci);
        let result = action();
        self.unlock_ci(cpu, dev, index, ci);
        if let Some(si) = si {
            dev.si().lock.unlock(cpu, si);
        }
        result
    }

    /// list_move_tail() to `list`, and the flag. si->lock is held.
    fn relist(&self, dev: &Device<M>, index: usize, list: ClusterList) {
        let (si, clusters) = (dev.si(), dev.clusters());
        let cluster = &clusters[index];
        let (was, order) = (cluster.list(), usize::from(cluster.order.get()));
        if let Some(was) = was {
            si.list(was, order).remove(clusters, index);
        }
        si.list(list, order).push(clusters, index);
        let frags = &si.frag_cluster_nr[order];
        match (was == Some(Frag), list == Frag) {
            (true, false) => frags.store(frags.load() - 1),
            (false, true) => frags.store(frags.load() + 1),
            _ => {}
        }
        // Until the fix in the 6.12 series "full" and "off list" were one value.
        let shared = list == Full && fault!(M, "full-flag-shared");
        cluster.set_list((!shared).then_some(list));
    }

    /// free_cluster(): an empty cluster goes to be discarded, or to the free list.
    fn free_cluster(&self, dev: &Device<M>, index: usize) {
        // Without SWP_WRITEOK nobody will write to the cluster: swapoff discards nothing.
        if dev.spec.discard && dev.writeok() {
            dev.fill(dev.start_of(index), dev.cluster_slots, BAD);
            self.relist(dev, index, Discard);
            dev.queue_work(DISCARD_WORK);
        } else {
            self.relist(dev, index, Free);
            dev.cluster(index).order.set(0);
        }
    }
}

// ---- allocation ----

impl<M: Machine, P: Policy> SiFirst<M, P> {
    /// get_swap_pages(): `slots.len()` entries of `order` from the devices in turn; returns how
    /// many there were. All that are wanted are taken off nr_swap_pages first, which can become
    /// negative.
    fn get_swap_pages(&self, cpu: &M::Cpu, order: usize, slots: &mut [Option<SwpEntry>]) -> usize {
        let (avail, size) = (&self.base.avail, 1i64 << order);
        let reserved = avail.reserve(cpu, &site::GET, slots.len(), size);
        let Some((guard, wanted)) = reserved else { return 0 };
        let mut got = 0;
        avail.walk(cpu, &site::GET, guard, |index| {
            let dev = &self.base.devices[index];
            if P::USERS && !dev.users.tryget_live(cpu) {
                return false;
            }
            let tried = self.cluster_alloc_swap(cpu, dev, order, &mut slots[..wanted]);
            if P::USERS {
                dev.users.put(cpu);
            }
            got = tried.unwrap_or(0);
            got > 0 || tried.is_some() && order > 0
        });
        avail.add_pages((wanted - got) as i64 * size);
        got
    }

    /// cluster_alloc_swap(): one si->lock section, except where it is dropped on the way. Returns
    /// how many entries there were; `None` if the device is full or on its way off.
    fn cluster_alloc_swap(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        order: usize,
        slots: &mut [Option<SwpEntry>],
    ) -> Option<usize> {
        let _frame = Frame::<M>::entered("cluster_alloc_swap");
        let outside = fault!(M, "scanning-outside-lock");
        if outside {
            self.count_scanner(dev, SWP_SCANNING);
        }
        let mut held = Held::lock(cpu, dev, &site::GET_SI);
        let usable = dev.si().highest_bit.load() != 0 && dev.writeok();
        let got = usable.then(|| {
            let _frame = Frame::<M>::of("cluster_alloc_swap");
            if !outside {
                self.count_scanner(dev, SWP_SCANNING);
            }
            let got = self.alloc_entries(cpu, &mut held, order, slots);
            if !outside {
                self.count_scanner(dev, SWP_SCANNING.wrapping_neg());
            }
            got
        });
        held.unlock(cpu);
        if outside {
            self.count_scanner(dev, SWP_SCANNING.wrapping_neg());
        }
        got
    }

    /// Fills `slots` from the front; returns how many there were.
    fn alloc_entries(
        &self,
        cpu: &M::Cpu,
        held: &mut Held<M>,
        order: usize,
        slots: &mut [Option<SwpEntry>],
    ) -> usize {
        for (got, slot) in slots.iter_mut().enumerate() {
            let Some(found) = self.alloc_entry(cpu, held, order) else { return got };
            *slot = Some(SwpEntry::new(held.dev.index, found.offset()));
        }
        slots.len()
    }

    /// si->flags += SWP_SCANNING: keeps swapoff from freeing the arrays while si->lock
    /// is dropped. It is a plain read-modify-write, so it is right only under si->lock.
    fn count_scanner(&self, dev: &Device<M>, by: u64) {
        if P::SCANNING && !fault!(M, "no-scanning-count") {
            let flags = &dev.si().flags;
            flags.store(flags.load().wrapping_add(by));
        }
    }

    /// cluster_alloc_swap_entry(): this CPU's cluster, then a free one, then nonfull
    /// and fragmented ones, then those that discards make free, then, for order 0, other
    /// orders' clusters. Whole clusters are scanned with si->lock held.
    fn alloc_entry(&self, cpu: &M::Cpu, held: &mut Held<M>, order: usize) -> Option<Slot> {
        let _frame = Frame::<M>::of("cluster_alloc_swap_entry");
        let dev = held.dev;
        if let Some(next) = self.next.get(cpu, dev.index, order) {
            let found = self.scan(cpu, held, next.offset(), order);
            if found.is_some() {
                return found;
            }
        }
        loop {
            if let Some(index) = dev.si().free.first() {
                return self.scan(cpu, held, dev.start_of(index), order);
            }
            if self.base.avail.full() {
                self.reclaim_full(cpu, held, 1);
            }
            if 1 << order < dev.cluster_slots {
                let found = self.alloc_fragmented(cpu, held, order);
                if found.is_some() {
                    return found;
                }
            }
            if dev.si().discard.first().is_none() {
                break;
            }
            self.do_discards(cpu, held);
        }
        if order == 0 { self.steal(cpu, held) } else { None }
    }

    /// All nonfull clusters of the order, which thereby become fragmented ones, then the fragmented
    /// ones in turn. In total it visits as many clusters as are fragmented.
    fn alloc_fragmented(&self, cpu: &M::Cpu, held: &mut Held<M>, order: usize) -> Option<Slot> {
        let (dev, si) = (held.dev, held.dev.si());
        let visit = |held: &mut Held<M>, index| {
            self.relist(dev, index, Frag);
            self.scan(cpu, held, dev.start_of(index), order)
        };
        let mut visits = 0;
        while let Some(index) = si.nonfull[order].first() {
            let found = visit(held, index);
            if found.is_some() {
                return found;
            }
            visits += 1;
        }
        while visits < si.frag_cluster_nr[order].load()
            && let Some(index) = si.frag[order].first()
        {
            let found = visit(held, index);
            if found.is_some() {
                return found;
            }
            visits += 1;
        }
        None
    }

    /// Order 0 may take any free slot, of clusters of other orders too. 6.12 tries for ever if
    /// SWP_WRITEOK is cleared while a reclaim has si->lock dropped (docs/findings); here that ends
    /// it.
    fn steal(&self, cpu: &M::Cpu, held: &mut Held<M>) -> Option<Slot> {
        let (dev, si) = (held.dev, held.dev.si());
        for order in 1..dev.orders() {
            while let Some(index) = si.frag[order].first().or_else(|| si.nonfull[order].first()) {
                let found = self.scan(cpu, held, dev.start_of(index), 0);
                if found.is_some() {
                    return found;
                }
                if !fault!(M, "steal-ignores-writeok") && !dev.writeok() {
                    return None;
                }
            }
        }
        None
    }

    /// alloc_swap_scan_cluster(): allocates the first slots from `from` on, in its cluster, that
    /// are free or can be reclaimed. This CPU's next allocation starts behind them.
    fn scan(&self, cpu: &M::Cpu, held: &mut Held<M>, from: u32, order: usize) -> Option<Slot> {
        let _frame = Frame::<M>::of("alloc_swap_scan_cluster");
        let (dev, nr) = (held.dev, 1 << order);
        let index = dev.cluster_of(from);
        let (end, cluster) = (dev.end_of(index), dev.cluster(index));
        let mut guard = self.lock_ci(cpu, dev, index, &site::SCAN);
        let room = u32::from(cluster.count.get()) + nr <= dev.cluster_slots;
        let (mut found, mut next) = (None, None);
        let mut offset = if room { from } else { end };
        while let Some(window) = dev.window(offset, end, order, || self.base.avail.full()) {
            offset = window.offset;
            if window.needs_reclaim {
                self.unlock_ci(cpu, dev, index, guard);
                self.reclaim_range(cpu, held, offset, nr);
                guard = self.lock_ci(cpu, dev, index, &site::SCAN);
                if !dev.all(offset, nr, 0) {
                    offset += nr;
                    continue;
                }
            }
            if self.alloc_range(cpu, dev, index, offset, order) {
                found = Slot::new(offset);
                let more = u32::from(cluster.count.get()) < dev.cluster_slots;
                next = Slot::new(offset + nr).filter(|_| more && offset + 2 * nr <= end);
            }
            break;
        }
        self.unlock_ci(cpu, dev, index, guard);
        self.next.set(cpu, dev.index, order, next);
        found
    }

    /// cluster_alloc_range(), under si->lock and ci->lock. The test of SWP_WRITEOK came
    /// with 0ec8bc9e880e: si->lock may have been dropped since the device was chosen.
    fn alloc_range(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        offset: u32,
        order: usize,
    ) -> bool {
        let _frame = Frame::<M>::entered("cluster_alloc_range");
        if !dev.writeok() && !fault!(M, "no-writeok-test") {
            return false;
        }
        let (cluster, nr) = (dev.cluster(index), 1 << order);
        if cluster.list() == Some(Free) {
            cluster.order.set(order as u8);
            if nr < dev.cluster_slots {
                self.relist(dev, index, Nonfull);
            }
        }
        dev.check_range(index, offset, order);
        vm_bug_on!(M, !dev.all(offset, nr, 0), "I1: a slot in use is handed out");
        dev.fill(offset, nr, HAS_CACHE);
        self.range_alloc(cpu, dev, nr);
        cluster.count.set(cluster.count.get() + nr as u16);
        if u32::from(cluster.count.get()) == dev.cluster_slots {
            self.relist(dev, index, Full);
        }
        true
    }

    /// swap_range_alloc(): the counters; a device that becomes full leaves the avail list.
    fn range_alloc(&self, cpu: &M::Cpu, dev: &Device<M>, nr: u32) {
        let inuse = dev.si().inuse_pages.load() + u64::from(nr);
        dev.si().inuse_pages.store(inuse);
        if inuse == dev.pages() {
            dev.si().highest_bit.store(0);
            let guard = self.base.avail.lock(cpu, &site::DEL_AVAIL);
            self.base.avail.del(cpu, dev.index);
            self.base.avail.unlock(cpu, guard);
            if self.base.avail.full() {
                dev.queue_work(RECLAIM_WORK);
            }
        }
    }

    /// cluster_reclaim_range(): some slot of a range is held by the swap cache alone. Drops
    /// si->lock and frees what can be freed.
    fn reclaim_range(&self, cpu: &M::Cpu, held: &mut Held<M>, offset: u32, nr: u32) {
        let _frame = Frame::<M>::of("cluster_reclaim_range");
        let (dev, mut at, end) = (held.dev, offset, offset + nr);
        self.without(cpu, held, &site::RECLAIM_SI, |si_lock| {
            while at < end {
                match dev.byte(at).load() {
                    0 => at += 1,
                    HAS_CACHE => match self.try_to_reclaim(cpu, dev, at, si_lock) {
                        Reclaimed::Freed(next) => at = next,
                        _ => return,
                    },
                    _ => return,
                }
            }
        });
    }

    /// swap_reclaim_full_clusters(): reclaims from up to `clusters` of them, in turn; drops
    /// si->lock around each.
    fn reclaim_full(&self, cpu: &M::Cpu, held: &mut Held<M>, clusters: u64) {
        let _frame = Frame::<M>::of("swap_reclaim_full_clusters");
        let dev = held.dev;
        for _ in 0..clusters {
            let Some(index) = dev.si().full.first() else { return };
            if dev.cluster(index).list() == Some(Full) {
                self.relist(dev, index, Full);
            }
            self.without(cpu, held, &site::FULL_SI, |si_lock| {
                let (mut offset, end) = (dev.start_of(index), dev.end_of(index));
                while offset < end {
                    offset = dev.scan(offset, end, |byte| byte == HAS_CACHE);
                    if offset < end {
                        offset = self.try_to_reclaim(cpu, dev, offset, si_lock).next(offset);
                    }
                }
            });
        }
    }

    /// __try_to_reclaim_swap() with TTRS_DIRECT: drops the slot's folio if it has no
    /// user, and frees its slots past the slot cache.
    fn try_to_reclaim(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        si_lock: SiLock,
    ) -> Reclaimed {
        let _frame = Frame::<M>::of("__try_to_reclaim_swap");
        let folio = match dev.folios.trylock(offset) {
            Ok(folio) => folio,
            Err(NoFolio::Absent) => return Reclaimed::Nothing,
            Err(NoFolio::Busy(slots)) => return Reclaimed::Kept((offset | (slots - 1)) + 1),
        };
        let next = folio.offset + folio.slots();
        let unused = self.locked(cpu, dev, folio.offset, &site::TRY_RECLAIM, si_lock, || {
            dev.all(folio.offset, folio.slots(), HAS_CACHE)
        });
        if !unused {
            dev.folios.unlock(folio);
            return Reclaimed::Kept(next);
        }
        dev.folios.remove(folio);
        if si_lock == SiLock::Held {
            self.free_range(cpu, dev, folio.offset, folio.slots());
        } else {
            self.lock_and_free(cpu, dev, folio.offset, folio.slots(), &site::TRY_RECLAIM);
        }
        Reclaimed::Freed(next)
    }

    /// swap_do_scheduled_discard(): discards all clusters that wait for it, and drops si->lock
    /// while the device is busy with one.
    fn do_discards(&self, cpu: &M::Cpu, held: &mut Held<M>) {
        let _frame = Frame::<M>::of("swap_do_scheduled_discard");
        let dev = held.dev;
        while let Some(index) = dev.si().discard.first() {
            dev.si().discard.remove(dev.clusters(), index);
            dev.cluster(index).set_list(None);
            self.without(cpu, held, &site::DISCARD_SI, |_| dev.issue_discard(cpu, index));
            let guard = self.lock_ci(cpu, dev, index, &site::DISCARD);
            self.relist(dev, index, Free);
            dev.cluster(index).order.set(0);
            dev.fill(dev.start_of(index), dev.cluster_slots, 0);
            self.unlock_ci(cpu, dev, index, guard);
        }
    }
}

// ---- freeing ----

impl<M: Machine, P: Policy> SiFirst<M, P> {
    /// `free_range` under si->lock.
    fn lock_and_free(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        nr: u32,
        site: &'static EntrySite,
    ) {
        let held = Held::lock(cpu, dev, &site.si);
        self.free_range(cpu, dev, offset, nr);
        held.unlock(cpu);
    }

    /// swap_entry_range_free(): slots of one cluster become free. si->lock is held.
    fn free_range(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let _frame = Frame::<M>::of("swap_entry_range_free");
        let index = dev.cluster_of(offset);
        let cluster = dev.cluster(index);
        let guard = self.lock_ci(cpu, dev, index, &site::FREE);
        vm_bug_on!(M, !dev.all(offset, nr, HAS_CACHE), "a slot in use is freed");
        dev.fill(offset, nr, 0);
        cluster.count.set(cluster.count.get() - nr as u16);
        if cluster.count.get() == 0 {
            self.free_cluster(dev, index);
        } else if cluster.list() != Some(Nonfull) {
            self.relist(dev, index, Nonfull);
        }
        self.unlock_ci(cpu, dev, index, guard);
        self.range_free(cpu, dev, offset, nr);
    }

    /// swap_range_free(): a full device comes back to the avail list; clean up, and
    /// only then count the slots as free.
    fn range_free(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let si = dev.si();
        if si.highest_bit.load() == 0 {
            si.highest_bit.store(dev.max() - 1);
            if dev.writeok() {
                let guard = self.base.avail.lock(cpu, &site::ADD_AVAIL);
                self.base.avail.add(cpu, dev.index);
                self.base.avail.unlock(cpu, guard);
            }
        }
        let inuse = si.inuse_pages.load() - u64::from(nr);
        let early = fault!(M, "inuse-before-cleanup");
        if early {
            si.inuse_pages.store(inuse);
        }
        self.base.clean_up(cpu, dev, offset, nr);
        // Pairs with smp_mb() at the end of try_to_unuse().
        M::wmb();
        self.base.avail.add_pages(i64::from(nr));
        if !early {
            si.inuse_pages.store(inuse);
        }
    }

    /// swapcache_free_entries(): takes si->lock once per device; entries are sorted by device
    /// alone.
    fn free_entries(&self, cpu: &M::Cpu, entries: &[SwpEntry]) {
        let _frame = Frame::<M>::of("swapcache_free_entries");
        let mut sorted = Vec::new();
        let entries = match self.base.devices.len() {
            1 => entries,
            _ => {
                sorted.extend_from_slice(entries);
                sorted.sort_unstable_by_key(|entry| entry.dev());
                &sorted
            }
        };
        for batch in entries.chunk_by(|a, b| a.dev() == b.dev()) {
            let dev = &self.base.devices[batch[0].dev()];
            let held = Held::lock(cpu, dev, &site::FREE_SI);
            batch.iter().for_each(|entry| self.free_range(cpu, dev, entry.offset(), 1));
            held.unlock(cpu);
        }
    }

    /// free_swap_slot(): a slot whose byte is SWAP_HAS_CACHE and nothing else goes to this CPU's
    /// slot cache, or is freed.
    fn free_slot(&self, cpu: &M::Cpu, entry: SwpEntry) {
        let free = |entries: &[SwpEntry]| self.free_entries(cpu, entries);
        if !self.caches.keep_freed(cpu, entry, free) {
            self.free_entries(cpu, &[entry]);
        }
    }

    /// Takes a user or the folio off each of `nr` slots of one cluster by `drop`, which returns the
    /// byte that is left. Frees the slots whose byte is 0.
    fn drop_each(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        nr: u32,
        site: &'static EntrySite,
        drop: impl Fn(u32) -> u8,
    ) {
        // As in the kernel, one section of their lock per 64 slots: one bitmap.
        for first in (offset..offset + nr).step_by(u64::BITS as usize) {
            let slots = (offset + nr - first).min(u64::BITS);
            let free = self.locked(cpu, dev, first, site, SiLock::NotHeld, || {
                let unused = |i: &u32| drop(first + i) == 0;
                (0..slots).filter(unused).fold(0u64, |free, i| free | 1 << i)
            });
            let unused = (0..slots).filter(|i| free & 1 << i != 0);
            unused.for_each(|i| self.free_slot(cpu, SwpEntry::new(dev.index, first + i)));
        }
    }

    /// __swap_entries_free() of free_swap_and_cache_nr(): takes a user off each of `nr` slots.
    /// True if the swap cache alone holds one of them now.
    fn put_many(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) -> bool {
        let one_cluster = dev.cluster_of(offset) == dev.cluster_of(offset + nr - 1);
        if nr > 1 && one_cluster {
            let last = self.locked(cpu, dev, offset, &site::PUT_MANY, SiLock::NotHeld, || {
                dev.put_last_locked(offset, nr)
            });
            if last == Some(false) {
                self.lock_and_free(cpu, dev, offset, nr, &site::PUT_MANY);
            }
            if let Some(cached) = last {
                return cached;
            }
        }
        let mut cached = false;
        for slot in offset..offset + nr {
            let left = self.locked(cpu, dev, slot, &site::PUT_MANY, SiLock::NotHeld, || {
                dev.put_locked(cpu, slot)
            });
            if left == 0 {
                self.free_slot(cpu, SwpEntry::new(dev.index, slot));
            }
            cached |= left == HAS_CACHE;
        }
        cached
    }
}

impl<M: Machine, P: Policy> Swapoff<M> for SiFirst<M, P> {
    /// List removal and the clearing of SWP_WRITEOK are one si->lock section, or a free in between
    /// would put the device back (fixed by 6fe7d6b99211). No allocation starts after it.
    fn block(&self, cpu: &M::Cpu, dev: &Device<M>) -> Result<(), SwapoffError> {
        let avail = &self.base.avail;
        let off_list = || {
            let guard = avail.lock(cpu, &site::DEL_AVAIL);
            avail.del(cpu, dev.index);
            avail.unlock(cpu, guard);
        };
        let all = avail.swap_lock().lock(cpu, &site::SWAPOFF);
        let on = dev.si().active.get() != 0;
        if on {
            dev.si().active.set(0);
            let early = fault!(M, "avail-before-si-lock");
            if early {
                off_list();
            }
            let held = Held::lock(cpu, dev, &site::SWAPOFF_SI);
            if !early {
                off_list();
            }
            avail.add_total(-(dev.pages() as i64));
            dev.si().flags.store(dev.si().flags.load() & !SWP_WRITEOK);
            held.unlock(cpu);
        }
        avail.swap_lock().unlock(cpu, all);
        if on { Ok(()) } else { Err(SwapoffError::NotOn) }
    }

    fn drain(&self, cpu: &M::Cpu) -> Option<()> {
        self.caches.disable(cpu, |entries| self.free_entries(cpu, entries));
        Some(())
    }

    fn undrain(&self) {
        self.caches.enable();
    }

    fn reinsert(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.enable(cpu, dev);
    }

    /// While flags >= SWP_SCANNING: drops all locks, sleeps one jiffy, retakes them.
    fn wait_for_scanners(&self, cpu: &M::Cpu, dev: &Device<M>) -> Option<()> {
        if !P::SCANNING {
            return None;
        }
        loop {
            let all = self.base.avail.swap_lock().lock(cpu, &site::SWAPOFF);
            let held = Held::lock(cpu, dev, &site::SWAPOFF_SI);
            dev.si().highest_bit.store(0);
            let scanning = dev.si().flags.load() >= SWP_SCANNING;
            held.unlock(cpu);
            self.base.avail.swap_lock().unlock(cpu, all);
            if !scanning {
                return Some(());
            }
            cpu.sleep_jiffy();
        }
    }

    fn enable(&self, cpu: &M::Cpu, dev: &Device<M>) {
        let avail = &self.base.avail;
        let all = avail.swap_lock().lock(cpu, &site::ENABLE);
        dev.si().active.set(1);
        let held = Held::lock(cpu, dev, &site::ENABLE_SI);
        dev.si().flags.store(dev.si().flags.load() | SWP_WRITEOK);
        avail.add_total(dev.pages() as i64);
        if dev.si().highest_bit.load() != 0 {
            let guard = avail.lock(cpu, &site::ADD_AVAIL);
            avail.add(cpu, dev.index);
            avail.unlock(cpu, guard);
        }
        held.unlock(cpu);
        avail.swap_lock().unlock(cpu, all);
    }

    fn reset(&self, dev: &Device<M>) {
        dev.si().inuse_pages.store(0);
        self.next.reset(dev.index);
    }
}

impl<M: Machine, P: Policy> SwapAllocator<M> for SiFirst<M, P> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self {
            base: Base::new(spec, cpu),
            next: PercpuNext::new(spec, cpu),
            caches: SlotCaches::new(&spec.slot_cache, true, cpu),
            policy: PhantomData,
        }
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
        if order == 0 {
            let refill = |slots: &mut [Option<SwpEntry>]| self.get_swap_pages(cpu, 0, slots);
            let free = |entries: &[SwpEntry]| self.free_entries(cpu, entries);
            let cached = self.caches.alloc(cpu, &self.base.avail, refill, free);
            if cached.is_some() {
                return cached;
            }
        }
        let mut one = [None];
        self.get_swap_pages(cpu, order, &mut one);
        one[0]
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let dev = &self.base.devices[entry.dev()];
        let (mut offset, end) = (entry.offset(), entry.offset() + nr);
        while offset < end {
            let next = end.min(dev.start_of(dev.cluster_of(offset) + 1));
            let put = |slot| dev.put_locked(cpu, slot);
            self.drop_each(cpu, dev, offset, next - offset, &site::PUT, put);
            offset = next;
        }
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let dev = &self.base.devices[entry.dev()];
        let (mut offset, end) = (entry.offset(), entry.offset() + nr);
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        if self.put_many(cpu, dev, offset, nr) {
            while offset < end {
                let cached = dev.byte(offset).load() == HAS_CACHE;
                let try_slot = || self.try_to_reclaim(cpu, dev, offset, SiLock::NotHeld);
                offset = if cached { try_slot() } else { Reclaimed::Nothing }.next(offset);
            }
        }
        dev.users.put(cpu);
        true
    }

    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        let dev = &self.base.devices[entry.dev()];
        let (offset, nr) = (entry.offset(), 1 << order);
        dev.leave_shadow(offset, nr);
        let unused = nr > 1
            && self.locked(cpu, dev, offset, &site::PUT_FOLIO, SiLock::NotHeld, || {
                dev.all(offset, nr, HAS_CACHE)
            });
        if unused {
            self.lock_and_free(cpu, dev, offset, nr, &site::PUT_FOLIO);
        } else {
            let uncache = |slot| dev.uncache_locked(slot);
            self.drop_each(cpu, dev, offset, nr, &site::PUT_FOLIO, uncache);
        }
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        let dev = &self.base.devices[entry.dev()];
        self.locked(cpu, dev, entry.offset(), site, SiLock::NotHeld, || action(dev))
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        let (dev, offset) = (&self.base.devices[entry.dev()], entry.offset());
        let held = Held::lock(cpu, dev, &site::CONT.si);
        self.locked(cpu, dev, offset, &site::CONT, SiLock::Held, || {
            dev.add_continuation(cpu, offset)
        });
        held.unlock(cpu);
    }

    fn run_work_of(&self, cpu: &M::Cpu, dev: &Device<M>) {
        dev.run_work(|work| {
            let mut held = Held::lock(cpu, dev, &site::WORK_SI);
            if work & DISCARD_WORK != 0 {
                self.do_discards(cpu, &mut held);
            }
            if work & RECLAIM_WORK != 0 {
                // The kernel counts after each cluster: it does one at least.
                let clusters = self.inuse(dev.index) / u64::from(dev.cluster_slots);
                self.reclaim_full(cpu, &mut held, clusters.max(1));
            }
            held.unlock(cpu);
        });
    }

    fn validate(&self) -> Result<(), String> {
        let cached = self.caches.peek();
        let rules = Rules {
            offlist: None,
            counts_frag: true,
            mixes_orders: true,
            cached: &cached,
            caches_disabled: self.caches.peek_disabled(),
            pointers: false,
        };
        invariants::at_rest(&self.base, &rules)
    }
}
