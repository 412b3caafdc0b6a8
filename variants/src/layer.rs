//! The layer of `vswap`: slots without storage, in clusters that are made when they are wanted. Guards
//! that a cluster is in the xarray exactly while one of its slots is in use, and that a look-up returns it
//! locked and alive, or not at all. No avail list, no inuse_pages, no `users`: the layer is never full, and
//! no swapoff ends it. Kernel: mm/swapfile.c of "mm, swap: Virtual Swap Space (Swap Table Edition)", RFC v2
//! (20260612193738.2183968-1-nphamcs@gmail.com), functions as named.
//!
//! Simplified: it has as many clusters as its users can fill, and not as many as an offset can name. A
//! cluster's memory is that of its index, so that kfree_rcu() has nothing to wait for: a late look-up
//! finds the next cluster of that index, which it may use as well.

use crate::cache::{LockedFolio, NoFolio};
use crate::cluster_info::ClusterList::{self, Frag, Free, Full, Nonfull};
use crate::cluster_info::Layout;
use crate::device::Device;
use crate::entry::Slot;
use crate::percpu::PercpuNext;
use crate::spec::{DeviceSpec, Spec};
use crate::swap_map::HAS_CACHE;
use crate::xarray::Xarray;
use machine::{Atomic, Cpu, Frame, Guard, Machine, Plain, Region, Site, vm_bug_on};

mod site {
    use machine::Site;
    pub static ALLOC: Site = Site::new("vswap ci->lock", "vswap_alloc");
    pub static ISOLATE: Site = Site::new("vswap ci->lock", "isolate_lock_cluster");
    pub static ISOLATE_SI: Site = Site::new("vswap si->lock", "isolate_lock_cluster");
    pub static NEW: Site = Site::new("vswap ci->lock", "alloc_swap_scan_dynamic");
    pub static NEW_XA: Site = Site::new("xa_lock", "alloc_swap_scan_dynamic");
    pub static MOVE_SI: Site = Site::new("vswap si->lock", "move_cluster");
    pub static FREE_SI: Site = Site::new("vswap si->lock", "vswap_free_cluster");
    pub static FREE_XA: Site = Site::new("xa_lock", "vswap_free_cluster");
}

/// The layer, as a device without storage (vswap_si).
pub(crate) struct Layer<M: Machine> {
    /// Its records. A cluster that is not there has the flag Free (CLUSTER_FLAG_DEAD), and is on no list.
    pub(crate) dev: Device<M>,
    /// si->cluster_info_pool.
    clusters: Xarray<M>,
    /// percpu_vswap_cluster.
    next: PercpuNext<M>,
    /// virtual_table: where each slot's page is, as a page-table word; 0 is nowhere.
    pub(crate) virtual_table: Region<M, M::Atomic<u64>>,
}

/// Words of virtual_table per cache line.
const WORDS: usize = 8;

impl<M: Machine> Layer<M> {
    /// An empty one above the devices of `spec`.
    pub(crate) fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let clusters = clusters::<M>(spec, cpu.system().cpus());
        let slots = clusters * spec.cluster_slots;
        let mut all = spec.clone();
        all.devices.push(DeviceSpec::new(slots));
        let dev = Device::<M>::new(spec.devices.len(), &all, Layout::Objects, cpu);
        dev.set_up();
        dev.si().free.clear();
        dev.si().nonfull[0].clear();
        for cluster in dev.clusters_at_rest() {
            cluster.unlink();
            cluster.count.set(0);
            cluster.set_list(Some(Free));
        }
        let own = Spec { devices: vec![DeviceSpec::new(slots)], ..spec.clone() };
        let nowhere = |_| M::Atomic::new(0);
        Self {
            dev,
            clusters: Xarray::new(clusters as usize),
            next: PercpuNext::new(&own, cpu),
            virtual_table: Region::named("virtual_table", slots as usize, Vec::new(), nowhere),
        }
    }

    /// swap_cluster_lock(): the cluster, locked, if it is there.
    pub(crate) fn lock(&self, cpu: &M::Cpu, index: usize, site: &'static Site) -> Option<Guard<M>> {
        let found = || self.clusters.load(index).then(|| self.dev.lock_cluster(cpu, index, site));
        let guard = cpu.system().rcu.read(cpu, found)?;
        if self.dev.cluster(index).list() == Some(Free) {
            self.dev.unlock_cluster(cpu, index, guard);
            return None;
        }
        Some(guard)
    }

    /// swap_cache_get_folio(), locked. The entry is read again: the folio may have left the slot since.
    ///
    /// # Errors
    /// As [`NoFolio`] says.
    pub(crate) fn look_up(&self, cpu: &M::Cpu, offset: u32) -> Result<LockedFolio, NoFolio> {
        let (dev, index) = (&self.dev, self.dev.cluster_of(offset));
        let cached =
            || self.clusters.load(index) && dev.byte(offset).load_acquire() & HAS_CACHE != 0;
        cpu.system().rcu.read(cpu, || {
            if !cached() {
                return Err(NoFolio::Absent);
            }
            let folio = dev.folios.trylock(offset)?;
            if cached() {
                return Ok(folio);
            }
            dev.folios.unlock(folio);
            Err(NoFolio::Busy(1))
        })
    }

    /// vswap_alloc(): slots of this CPU's current cluster, of a nonfull one, or of a new one; for order 0,
    /// of any. They have a folio, which is locked, and no user.
    pub(crate) fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<Slot> {
        let _frame = Frame::<M>::entered("vswap_alloc");
        let current = self.next.get(cpu, 0, order);
        let below_pmd = 1 << order < self.dev.cluster_slots;
        current
            .and_then(|next| self.in_current(cpu, next, order))
            .or_else(|| if below_pmd { self.in_list(cpu, Nonfull, order, order) } else { None })
            .or_else(|| self.in_new(cpu, order))
            .or_else(|| if order == 0 { self.steal(cpu) } else { None })
    }

    fn steal(&self, cpu: &M::Cpu) -> Option<Slot> {
        let mut lists = (0..self.dev.orders()).flat_map(|of| [(Frag, of), (Nonfull, of)]);
        lists.find_map(|(list, of)| self.in_list(cpu, list, of, 0))
    }

    fn in_current(&self, cpu: &M::Cpu, next: Slot, order: usize) -> Option<Slot> {
        let index = self.dev.cluster_of(next.offset());
        let guard = self.lock(cpu, index, &site::ALLOC)?;
        let cluster = self.dev.cluster(index);
        let fits = order == 0 || usize::from(cluster.order.get()) == order;
        if cluster.list() == Some(Full) || !fits {
            self.dev.unlock_cluster(cpu, index, guard);
            return None;
        }
        self.scan(cpu, index, guard, next.offset(), order)
    }

    /// From clusters of a list of order `of`, one after the other, until one has room for `order`.
    fn in_list(&self, cpu: &M::Cpu, list: ClusterList, of: usize, order: usize) -> Option<Slot> {
        loop {
            let lock = &self.dev.si().lock;
            let held = lock.lock(cpu, &site::ISOLATE_SI);
            let isolated = self.dev.take_first(cpu, list, of, &site::ISOLATE);
            lock.unlock(cpu, held);
            let (index, guard) = isolated?;
            let found = self.scan(cpu, index, guard, self.dev.start_of(index), order);
            if found.is_some() {
                return found;
            }
        }
    }

    /// alloc_swap_scan_dynamic(): the cluster's memory is zeroed before anybody can find it.
    fn in_new(&self, cpu: &M::Cpu, order: usize) -> Option<Slot> {
        let _frame = Frame::<M>::entered("alloc_swap_scan_dynamic");
        let index = self.clusters.alloc(cpu, &site::NEW_XA)?;
        let (start, end) = (self.dev.start_of(index), self.dev.end_of(index));
        self.dev.clear_table(index);
        self.dev.clusters().tabled(index).table.store_release(1);
        let lines = self.virtual_table[start as usize..end as usize].chunks(WORDS);
        lines.for_each(|line| line[0].store(0));
        self.clusters.publish(index);
        let guard = self.dev.lock_cluster(cpu, index, &site::NEW);
        self.dev.cluster(index).set_list(None);
        self.scan(cpu, index, guard, start, order)
    }

    /// alloc_swap_scan_cluster(): the first free slots of the locked cluster from `from` on. Nothing is
    /// reclaimed for them: there are others. Unlocks the cluster.
    fn scan(
        &self,
        cpu: &M::Cpu,
        index: usize,
        guard: Guard<M>,
        from: u32,
        order: usize,
    ) -> Option<Slot> {
        let (dev, nr, end) = (&self.dev, 1 << order, self.dev.end_of(index));
        let cluster = dev.cluster(index);
        let room = u32::from(cluster.count.get()) + nr <= dev.cluster_slots;
        let window = if room { dev.window(from, end, order, || false) } else { None };
        let found = window.map(|window| window.offset);
        if let Some(offset) = found {
            if cluster.count.get() == 0 {
                cluster.order.set(order as u8);
            }
            dev.check_range(index, offset, order);
            dev.check_order(index, order);
            vm_bug_on!(M, !dev.all(offset, nr, 0), "I1: a slot in use is handed out");
            dev.fill(offset, nr, HAS_CACHE);
            let _ = dev.folios.add(offset, order);
            cluster.count.set(cluster.count.get() + nr as u16);
        }
        let more = u32::from(cluster.count.get()) < dev.cluster_slots;
        let wanted = if more { Frag } else { Full };
        if cluster.list() != Some(wanted) {
            self.move_cluster(cpu, index, wanted);
        }
        dev.unlock_cluster(cpu, index, guard);
        let next = found.filter(|offset| more && offset + 2 * nr <= end).map(|offset| offset + nr);
        self.next.set(cpu, 0, order, next.and_then(Slot::new));
        found.and_then(Slot::new)
    }

    fn move_cluster(&self, cpu: &M::Cpu, index: usize, list: ClusterList) {
        self.dev.relink(cpu, index, list, &site::MOVE_SI);
        self.dev.cluster(index).set_list(Some(list));
    }

    /// `nr` slots of the cluster, which is locked, are free: it goes to the nonfull ones, or ends.
    pub(crate) fn freed(&self, cpu: &M::Cpu, index: usize, nr: u32) {
        let cluster = self.dev.cluster(index);
        cluster.count.set(cluster.count.get() - nr as u16);
        if cluster.count.get() == 0 {
            self.free_cluster(cpu, index);
        } else if cluster.list() != Some(Nonfull) {
            self.move_cluster(cpu, index, Nonfull);
        }
    }

    /// vswap_free_cluster(). The index comes last: whoever gets it next begins with this memory.
    fn free_cluster(&self, cpu: &M::Cpu, index: usize) {
        let (si, clusters) = (self.dev.si(), self.dev.clusters());
        let cluster = &clusters[index];
        if let Some(list) = cluster.list() {
            let guard = si.lock.lock(cpu, &site::FREE_SI);
            si.list(list, usize::from(cluster.order.get())).remove(clusters, index);
            si.lock.unlock(cpu, guard);
        }
        clusters.tabled(index).table.store(0);
        clusters.tabled(index).extend.set(0);
        cluster.set_list(Some(Free));
        self.clusters.erase(cpu, &site::FREE_XA, index);
    }

    /// The layer's own invariants at rest.
    ///
    /// # Errors
    /// The first broken one, in words.
    pub(crate) fn validate(&self) -> Result<(), String> {
        for (index, cluster) in self.dev.clusters_at_rest().enumerate().skip(1) {
            let (count, list) = (u32::from(cluster.count.peek()), cluster.peek_list());
            let range = self.dev.start_of(index)..self.dev.start_of(index + 1);
            let records = self.dev.bytes_at_rest(range.start, range.end);
            let used = records.filter(|record| record.peek() != 0).count() as u32;
            let fits = match list {
                Some(Free) => count == 0,
                Some(Full) => count == self.dev.cluster_slots,
                Some(Nonfull | Frag) => count > 0 && count < self.dev.cluster_slots,
                _ => false,
            };
            let there = self.clusters.peek(index);
            let what = format!("cluster {index} of the layer has flag {list:?}, count {count}");
            if count != used {
                return Err(format!("I5: {what}, {used} slots are in use"));
            }
            if !fits {
                return Err(format!("I7: {what}"));
            }
            if there == (list == Some(Free)) {
                return Err(format!("I6: {what}; in the xarray: {there}"));
            }
        }
        Ok(())
    }
}

/// Clusters of a layer whose slots cannot run out before those of the devices: every slot of a device and
/// every page of an owner may be in use, and each CPU has a current cluster per order. A checker has none
/// to spare.
fn clusters<M: Machine>(spec: &Spec, cpus: usize) -> u32 {
    let below: u32 = spec.devices.iter().map(|device| device.slots).sum();
    let cached = (spec.owners * spec.pages_per_owner) as u32;
    let current = if M::EXPLORED { 0 } else { (cpus * spec.orders) as u32 };
    1 + (below + cached).div_ceil(spec.cluster_slots) + current
}
