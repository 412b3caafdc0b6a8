//! A swap device: swap_info_struct, swap_map (6.14) or swap tables (7.2), and cluster_info, laid out as
//! the kernel's, and what swapon does to them. Guards the arrays against use after swapoff has freed them;
//! which lock protects what is the schemes' business.

use crate::avail::Avail;
use crate::cache::SwapCache;
use crate::cluster_info::{ClusterInfo, ClusterList, Clusters, Layout, List, Tabled};
use crate::entry::SwpEntry;
use crate::folio_struct::Structs;
use crate::neighbours::Neighbours;
use crate::slot_bytes::SlotBytes;
use crate::spec::{DeviceSpec, Spec};
use crate::swap_map::{BAD, COUNT_CONTINUED, Continuations, HAS_CACHE};
use crate::swap_table::Extended;
use crate::table_life::{Lives, Pages};
use crate::tiers::{self, Task};
use machine::{
    Atomic, Cpu, Fields, Guard, Machine, PerCpu, PercpuRef, Plain, Region, Site, SpinLock, fault,
    vm_bug_on,
};
use std::cell::Cell;
use std::mem::offset_of;

/// Most orders that the lists of a device have room for.
pub const MAX_ORDERS: usize = 10;

/// si->flags: the struct is taken.
pub const SWP_USED: u64 = 1 << 0;
/// si->flags: slots may be allocated.
pub const SWP_WRITEOK: u64 = 1 << 1;
/// si->flags: there are continuation pages.
pub const SWP_CONTINUED: u64 = 1 << 5;
/// si->flags: hibernation keeps swapoff from the device (5b2b0c6e4577).
pub const SWP_HIBERNATION: u64 = 1 << 13;
/// si->flags: one scanner, until 6.13; the upper bits count scanners in units of this.
pub const SWP_SCANNING: u64 = 1 << 14;

/// SWAP_USAGE_OFFLIST_BIT of si->inuse_pages: set while the device is off the avail list (6.14
/// on). It is bit 62, as since 7.2; 6.14 has bit 30, which a count can reach. The fault
/// `offlist-bit-in-count` uses bit 2.
pub fn offlist<M: Machine>() -> u64 {
    if fault!(M, "offlist-bit-in-count") { 1 << 2 } else { 1 << 62 }
}

/// A cgroup's id is two bytes of memcg_table. A checker needs no second one.
const fn cgroup_bytes<M: Machine>() -> usize {
    if M::EXPLORED { 1 } else { 2 }
}

/// si->discard_work is queued to a kernel worker.
pub const DISCARD_WORK: u8 = 1;
/// si->reclaim_work is queued to a kernel worker.
pub const RECLAIM_WORK: u8 = 2;

/// swap_info_struct: flags on a line that allocations only read (and in which they count
/// SCANNING until 6.13), then lists, then what allocations write, then the locks.
#[repr(C)]
pub struct Si<M: Machine> {
    /// SWP_USED and the flags beside it.
    pub flags: M::Atomic<u64>,
    _line0: [u64; 7],
    /// Whether swap_map and cluster_info are there: the kernel's pointers.
    arrays: M::Plain<u32>,
    /// Whether the device is on swap_active_head; guarded by swap_lock.
    pub active: M::Plain<u32>,
    /// si->max: slots of the device that is on, the header included.
    max: M::Plain<u32>,
    /// 0 while the device is full (6.13 and before). Not a plain field: swapon sets it under no
    /// lock, and a get_swap_pages() that took the device before swapoff may read it under
    /// si->lock meanwhile. Either value will do, since SWP_WRITEOK is tested with it.
    pub highest_bit: M::Atomic<u32>,
    /// si->free_clusters.
    pub free: List<M>,
    /// si->full_clusters.
    pub full: List<M>,
    /// si->nonfull_clusters, by order.
    pub nonfull: [List<M>; MAX_ORDERS],
    /// si->frag_clusters, by order.
    pub frag: [List<M>; MAX_ORDERS],
    /// Length of each frag list, as far as it is counted (until 6.17).
    pub frag_cluster_nr: [M::Atomic<u32>; MAX_ORDERS],
    /// Slots in use; since 6.14 with [`offlist`].
    pub inuse_pages: M::Atomic<u64>,
    /// si->lock.
    pub lock: SpinLock<M>,
    /// si->cont_lock: continuation pages.
    pub cont_lock: SpinLock<M>,
    /// si->discard_clusters: empty clusters that wait for their discard.
    pub discard: List<M>,
    /// Queued works: [`DISCARD_WORK`], [`RECLAIM_WORK`].
    work: M::Atomic<u8>,
    /// How many workers are busy.
    working: M::Atomic<u32>,
    /// Clusters that are off the free list; no CPU of a model pays for the count.
    pub(crate) lives: Lives,
}

impl<M: Machine> Fields for Si<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("flags", offset_of!(Self, flags)),
            ("swap_map", offset_of!(Self, arrays)),
            ("active", offset_of!(Self, active)),
            ("max", offset_of!(Self, max)),
            ("highest_bit", offset_of!(Self, highest_bit)),
            ("free_clusters", offset_of!(Self, free)),
            ("full_clusters", offset_of!(Self, full)),
            ("nonfull_clusters", offset_of!(Self, nonfull)),
            ("frag_clusters", offset_of!(Self, frag)),
            ("frag_cluster_nr", offset_of!(Self, frag_cluster_nr)),
            ("inuse_pages", offset_of!(Self, inuse_pages)),
            ("lock", offset_of!(Self, lock)),
            ("cont_lock", offset_of!(Self, cont_lock)),
            ("discard_clusters", offset_of!(Self, discard)),
            ("work", offset_of!(Self, work)),
            ("working", offset_of!(Self, working)),
        ]
    }
}

impl<M: Machine> Si<M> {
    /// With lists for `orders` orders.
    fn new(orders: usize) -> Self {
        let list = |order| if order < orders { List::new() } else { List::unused() };
        Self {
            flags: M::Atomic::new(0),
            _line0: [0; 7],
            arrays: M::Plain::new(0),
            active: M::Plain::new(0),
            max: M::Plain::new(0),
            highest_bit: M::Atomic::new(0),
            free: List::new(),
            full: List::new(),
            nonfull: std::array::from_fn(list),
            frag: std::array::from_fn(list),
            frag_cluster_nr: std::array::from_fn(|_| M::Atomic::new(0)),
            inuse_pages: M::Atomic::new(0),
            lock: SpinLock::new(),
            cont_lock: SpinLock::new(),
            discard: List::new(),
            work: M::Atomic::new(0),
            working: M::Atomic::new(0),
            lives: Lives::default(),
        }
    }

    /// The head of `list`; that of `order`, if there is one per order.
    pub fn list(&self, list: ClusterList, order: usize) -> &List<M> {
        match list {
            ClusterList::Free => &self.free,
            ClusterList::Nonfull => &self.nonfull[order],
            ClusterList::Frag => &self.frag[order],
            ClusterList::Full => &self.full,
            ClusterList::Discard => &self.discard,
        }
    }
}

/// A run of slots that an allocation could take.
pub struct Window {
    /// Its first slot.
    pub offset: u32,
    /// Some of its slots are held by the swap cache alone.
    pub needs_reclaim: bool,
}

/// What a device looks like, read by [`machine::Atomic::peek`]: exact only at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Usable slots.
    pub pages: u64,
    /// Slots in use, those in slot caches included.
    pub inuse: u64,
    /// Clusters on the free list.
    pub free: usize,
    /// Clusters on the full list.
    pub full: usize,
    /// Clusters on the discard list.
    pub discard: usize,
    /// Clusters on each nonfull list, by order.
    pub nonfull: Vec<usize>,
    /// Clusters on each frag list, by order.
    pub frag: Vec<usize>,
}

/// A device with its arrays.
pub struct Device<M: Machine> {
    /// Its swp_type().
    pub index: usize,
    /// Its size, priority and whether it discards.
    pub spec: DeviceSpec,
    /// Slots per cluster.
    pub cluster_slots: u32,
    /// Bit length of `cluster_slots` - 1: clusters are found by a shift.
    shift: u32,
    orders: usize,
    cols: usize,
    discard_ns: u64,
    si: Region<M, Si<M>>,
    map: SlotBytes<M>,
    clusters: Clusters<M>,
    /// 1 for a slot that must be cleaned up before it counts as free (zeromap, shadows, zswap).
    shadows: Region<M, M::Atomic<u8>>,
    /// The device's part of the swap cache.
    pub folios: SwapCache<M>,
    pub(crate) conts: Continuations<M>,
    pub(crate) extends: Extended<M>,
    pub(crate) pages: Pages<M>,
    pub(crate) structs: Structs<M>,
    /// memcg_table: [`cgroup_bytes`] per slot, where there is a swap table.
    cgroups: Region<M, M::Atomic<u8>>,
    /// si->users: swapoff waits until the last of these references is gone.
    pub users: PercpuRef<M>,
}

impl<M: Machine> Device<M> {
    /// Device `index` of `spec`, which is off.
    pub fn new(index: usize, spec: &Spec, layout: Layout, cpu: &M::Cpu) -> Self {
        let device = spec.devices[index].clone();
        assert!(spec.cluster_slots.is_power_of_two() && spec.orders <= MAX_ORDERS);
        assert!(1 << (spec.orders - 1) <= spec.cluster_slots, "an order fits a cluster");
        let clusters = device.slots.div_ceil(spec.cluster_slots) as usize;
        let slots = clusters * spec.cluster_slots as usize;
        let byte = |_| M::Atomic::new(0);
        let tables = if layout == Layout::Tables { clusters } else { 0 };
        Self {
            index,
            cluster_slots: spec.cluster_slots,
            shift: spec.cluster_slots.trailing_zeros(),
            orders: spec.orders,
            cols: spec.cluster_cols.max(1) as usize,
            discard_ns: spec.discard_ns,
            si: Region::new("si", 1, |_| Si::new(spec.orders)),
            map: SlotBytes::new(layout.records(), slots, layout.record::<M>()),
            clusters: Clusters::new(clusters, layout),
            shadows: Region::named("zeromap", slots, Vec::new(), byte),
            folios: SwapCache::new(slots, layout.cache_word::<M>()),
            conts: Continuations::new(if layout.tables() { 0 } else { slots }),
            extends: Extended::new(
                if layout.tables() { clusters } else { 0 },
                spec.cluster_slots as usize,
            ),
            pages: Pages::new(tables),
            structs: Structs::new(tables * spec.cluster_slots as usize, cpu.system().cpus()),
            cgroups: Region::named(
                "memcg_table",
                if layout.tables() { cgroup_bytes::<M>() * slots } else { 1 },
                Vec::new(),
                byte,
            ),
            users: PercpuRef::new(cpu.system().cpus()),
            spec: device,
        }
    }

    /// Its swap_info_struct.
    #[inline]
    pub fn si(&self) -> &Si<M> {
        &self.si[0]
    }

    /// si->max, in slots, the header included. Slots from here on are not the device's.
    #[inline]
    pub fn max(&self) -> u32 {
        self.si().max.get()
    }

    /// si->pages: usable slots.
    #[inline]
    pub fn pages(&self) -> u64 {
        u64::from(self.max()) - 1
    }

    /// Whether the device may be allocated from: READ_ONCE(si->flags) & SWP_WRITEOK.
    #[inline]
    pub fn writeok(&self) -> bool {
        self.si().flags.load() & SWP_WRITEOK != 0
    }

    /// All records. Panics if swapoff has freed them (invariant I3).
    #[inline]
    fn map(&self) -> &SlotBytes<M> {
        assert!(self.si().arrays.get() != 0, "I3: swap_map is used after swapoff freed it");
        &self.map
    }

    /// A slot's byte. Panics if swapoff has freed it (invariant I3).
    #[inline]
    pub fn byte(&self, offset: u32) -> &M::Atomic<u8> {
        self.map().of(offset)
    }

    /// The first slot of `from..end` whose byte is `wanted`, or `end`.
    pub fn scan(&self, from: u32, end: u32, wanted: impl Fn(u8) -> bool) -> u32 {
        self.map().scan(from, end, wanted)
    }

    /// si->cluster_info, one per cluster. Panics if swapoff has freed it (invariant I3).
    #[inline]
    pub fn clusters(&self) -> &Clusters<M> {
        assert!(self.si().arrays.get() != 0, "I3: cluster_info is used after swapoff freed it");
        &self.clusters
    }

    /// The cluster `index`. Panics if swapoff has freed it, or if it is beyond the device's end.
    #[inline]
    pub fn cluster(&self, index: usize) -> &ClusterInfo<M> {
        let clusters = self.clusters();
        assert!(
            self.start_of(index) < self.max(),
            "I3: cluster {index} is beyond the device's end"
        );
        &clusters[index]
    }

    /// The index of the cluster that a slot is in.
    #[inline]
    pub fn cluster_of(&self, offset: u32) -> usize {
        (offset >> self.shift) as usize
    }

    /// The cluster's first slot.
    #[inline]
    pub fn start_of(&self, cluster: usize) -> u32 {
        (cluster as u32) << self.shift
    }

    /// The end of the cluster's real slots.
    #[inline]
    pub fn end_of(&self, cluster: usize) -> u32 {
        self.max().min(self.start_of(cluster + 1))
    }

    /// How many clusters the device that is on has.
    pub fn nr_clusters(&self) -> usize {
        self.max().div_ceil(self.cluster_slots) as usize
    }

    /// lock_cluster(): takes the ci->lock of cluster `index`.
    #[inline]
    pub fn lock_cluster(&self, cpu: &M::Cpu, index: usize, site: &'static Site) -> Guard<M> {
        self.cluster(index).lock.lock(cpu, site)
    }

    /// unlock_cluster().
    #[inline]
    pub fn unlock_cluster(&self, cpu: &M::Cpu, index: usize, guard: Guard<M>) {
        self.clusters[index].lock.unlock(cpu, guard);
    }

    /// move_cluster(): puts the cluster on `list`, under si->lock, which is taken at `site` for the
    /// pointers alone; its flag is the caller's to change. Returns the list that it was on, and its order.
    pub(crate) fn relink(
        &self,
        cpu: &M::Cpu,
        index: usize,
        list: ClusterList,
        site: &'static Site,
    ) -> (Option<ClusterList>, usize) {
        let (si, clusters) = (self.si(), self.clusters());
        let cluster = &clusters[index];
        let (was, order) = (cluster.list(), usize::from(cluster.order.get()));
        let guard = si.lock.lock(cpu, site);
        if let Some(was) = was {
            si.list(was, order).remove(clusters, index);
        }
        si.list(list, order).push(clusters, index);
        si.lock.unlock(cpu, guard);
        (was, order)
    }

    /// The first cluster of a list whose lock can be had: locked, and off the list. si->lock is held.
    pub(crate) fn take_first(
        &self,
        cpu: &M::Cpu,
        list: ClusterList,
        order: usize,
        site: &'static Site,
    ) -> Option<(usize, Guard<M>)> {
        let (clusters, head) = (self.clusters(), self.si().list(list, order));
        let mut place = head.first();
        while let Some(index) = place {
            if let Some(guard) = clusters[index].lock.try_lock(cpu, site) {
                head.remove(clusters, index);
                clusters[index].set_list(None);
                return Some((index, guard));
            }
            place = head.after(clusters, index);
        }
        None
    }

    /// The first run of 2^order slots in `from..end`, in steps of its size, that is free. If
    /// `full()`, slots that only the swap cache holds count as free here: they can be reclaimed.
    pub fn window(
        &self,
        from: u32,
        end: u32,
        order: usize,
        full: impl Fn() -> bool,
    ) -> Option<Window> {
        let (map, nr) = (self.map(), 1 << order);
        let reclaimable = Cell::new(false);
        let takes = |byte| {
            let cached = byte == HAS_CACHE && full();
            reclaimable.set(reclaimable.get() || cached);
            byte == 0 || cached
        };
        if order == 0 {
            let found = map.scan(from, end, takes);
            let needs_reclaim = reclaimable.get();
            return (found < end).then_some(Window { offset: found, needs_reclaim });
        }
        let mut offset = from;
        while offset + nr <= end {
            reclaimable.set(false);
            let to = offset + nr;
            if map.scan(offset, to, |byte| !takes(byte)) == to {
                return Some(Window { offset, needs_reclaim: reclaimable.get() });
            }
            offset += nr;
        }
        None
    }

    /// Whether all of `nr` slots have exactly this byte.
    pub fn all(&self, offset: u32, nr: u32, byte: u8) -> bool {
        self.scan(offset, offset + nr, |b| b != byte) == offset + nr
    }

    /// Sets the bytes of `nr` slots.
    pub fn fill(&self, offset: u32, nr: u32, byte: u8) {
        self.map().fill(offset, offset + nr, byte);
    }

    /// The folio of `nr` slots leaves the swap cache; its shadow stays until the slots are free.
    pub fn leave_shadow(&self, offset: u32, nr: u32) {
        M::fill(&self.shadows, offset as usize, (offset + nr) as usize, 1);
    }

    /// Cleans up, as swap_range_free() does before the slots count as free.
    pub(crate) fn clear_shadow(&self, offset: u32, nr: u32) {
        M::fill(&self.shadows, offset as usize, (offset + nr) as usize, 0);
    }

    /// Whether every slot has been cleaned up, as it must be once unuse is done.
    pub fn all_clean(&self) -> bool {
        self.shadows.iter().all(|shadow| shadow.load() == 0)
    }

    /// discard_swap_cluster(): the device is busy for [`Spec::discard_ns`], and what the cluster's slots
    /// hold is lost.
    pub fn issue_discard(&self, cpu: &M::Cpu, index: usize) {
        cpu.note("discard begins: cluster", index as u64);
        cpu.work(self.discard_ns);
        if M::EXPLORED {
            cpu.cond_resched();
        }
        cpu.note("discard ends: cluster", index as u64);
    }

    /// What holds for slots of a cluster that become allocated as an order-`order` entry, in any scheme.
    /// ci->lock is held.
    pub(crate) fn check_range(&self, index: usize, offset: u32, order: usize) {
        if !M::ASSERTS {
            return;
        }
        let nr = 1u32 << order;
        let end = self.start_of(index + 1).min(self.si().max.peek());
        assert!(
            self.cluster_of(offset) == index && offset + nr <= end,
            "I3: slot {offset} is allocated in cluster {index}, which ends at {end}"
        );
        assert!(
            offset.is_multiple_of(nr),
            "I18: an entry of order {order} begins at slot {offset}"
        );
    }

    /// The same in schemes that keep orders apart (since 6.14).
    pub(crate) fn check_order(&self, index: usize, order: usize) {
        let of = self.clusters[index].order.peek();
        assert!(
            !M::ASSERTS || order == 0 || usize::from(of) == order,
            "I8: an entry of order {order} is allocated in cluster {index}, which is of order {of}"
        );
    }

    /// Fresh arrays, as swapon's setup_clusters() makes them: header and tail bad,
    /// free clusters interleaved. No other CPU sees the device yet.
    pub fn set_up(&self) {
        let (si, spec) = (self.si(), &self.spec);
        let again = self.clusters[0].count.get() != 0;
        let slots = spec.later_slots.filter(|_| again).unwrap_or(spec.slots);
        assert!(slots <= spec.slots, "a device does not grow");
        si.arrays.set(1);
        si.max.set(slots);
        let all = self.nr_clusters();
        self.map.clear(0, slots);
        self.map.fill(0, 1, BAD);
        // Slots beyond the end of the device look free with this fault.
        let tail = if fault!(M, "phantom-slots") { 0 } else { BAD };
        self.map.fill(slots, self.map.slots(), tail);
        let by_order = si.nonfull[..self.orders].iter().chain(&si.frag[..self.orders]);
        [&si.free, &si.full, &si.discard].into_iter().chain(by_order).for_each(List::clear);
        si.frag_cluster_nr[..self.orders].iter().for_each(|nr| nr.store(0));
        (0..self.clusters.len()).for_each(|index| self.clusters[index].unlink());
        let columns = self.cols.min(all);
        let interleaved = (0..columns).flat_map(|column| (column..all).step_by(columns));
        interleaved.for_each(|index| self.set_up_cluster(index));
        si.highest_bit.store(slots - 1);
        si.work.store(0);
    }

    /// Whether it has swap tables.
    pub(crate) fn has_tables(&self) -> bool {
        matches!(self.clusters, Clusters::Tabled(_) | Clusters::Objects(_))
    }

    /// The cluster's tables, of a scheme that has them.
    pub(crate) fn tabled(&self, index: usize) -> Option<&Tabled<M>> {
        self.has_tables().then(|| self.clusters.tabled(index))
    }

    /// clear_page() of the cluster's table.
    pub(crate) fn clear_table(&self, index: usize) {
        self.map().clear(self.start_of(index), self.start_of(index + 1));
    }

    /// Writes the id of the slots' cgroup, or 0.
    pub(crate) fn set_cgroup(&self, offset: u32, nr: u32, id: u8) {
        let place = |slot: u32| cgroup_bytes::<M>() * slot as usize;
        M::fill(&self.cgroups, place(offset), place(offset + nr), id);
    }

    /// The id of the slot's cgroup.
    pub(crate) fn cgroup(&self, offset: u32) -> u8 {
        self.cgroups[cgroup_bytes::<M>() * offset as usize].load()
    }

    fn set_up_cluster(&self, index: usize) {
        let cluster = &self.clusters[index];
        let header = u32::from(index == 0);
        let tail = self.start_of(index + 1) - self.end_of(index);
        let bad = header + if fault!(M, "phantom-slots") { 0 } else { tail };
        let list = if bad > 0 { ClusterList::Nonfull } else { ClusterList::Free };
        cluster.count.set(bad as u16);
        cluster.order.set(0);
        cluster.set_list(Some(list));
        self.si().list(list, 0).push(&self.clusters, index);
        self.set_up_table(index, bad > 0);
    }

    /// swap_map and cluster_info are freed: any later use is a bug.
    pub fn tear_down(&self) {
        self.si().arrays.set(0);
        self.si().max.set(0);
    }

    /// alloc_swap_info(): takes the device's struct if it is not in use.
    pub(crate) fn claim(&self) -> bool {
        let free = self.si().flags.load() == 0;
        if free {
            self.si().flags.store(SWP_USED);
        }
        free
    }

    pub(crate) fn set_flag(&self, flag: u64) {
        let flags = &self.si().flags;
        if fault!(M, "flags-plain-rmw") {
            flags.store(flags.load() | flag);
        } else if flags.load() & flag == 0 {
            flags.fetch_or(flag);
        }
    }

    pub(crate) fn clear_flag(&self, flag: u64) {
        let flags = &self.si().flags;
        if fault!(M, "flags-plain-rmw") {
            flags.store(flags.load() & !flag);
        } else {
            flags.fetch_and(!flag);
        }
    }

    /// free_swap_count_continuations() of swapoff: the pages go if SWP_CONTINUED says that there
    /// are some.
    pub(crate) fn free_continuations(&self) {
        if self.si().flags.load() & SWP_CONTINUED != 0 {
            self.conts.free();
        }
        vm_bug_on!(M, self.writeok(), "I2: SWP_WRITEOK is set while swapoff frees");
    }

    /// schedule_work() of [`DISCARD_WORK`] or [`RECLAIM_WORK`].
    pub fn queue_work(&self, work: u8) {
        if self.si().work.load() & work == 0 {
            self.si().work.fetch_or(work);
        }
    }

    /// The queued works, at rest.
    pub(crate) fn peek_work(&self) -> u8 {
        self.si().work.peek()
    }

    /// Calls `run` with the queued works, if any, as a worker that flush_work() waits for.
    pub fn run_work(&self, run: impl FnOnce(u8)) {
        // Acquire: a CPU that finds nothing queued also sees `working` of the worker that took
        // the work, and so wait_for_workers() waits for it.
        if self.si().work.load_acquire() == 0 {
            return;
        }
        self.si().working.fetch_add(1);
        let work = self.si().work.swap(0);
        if work != 0 {
            run(work);
        }
        self.si().working.fetch_sub(1);
    }

    /// The second half of flush_work(): returns once no worker is inside any more.
    pub fn wait_for_workers(&self) {
        self.si().working.spin_until(|working| working == 0);
    }

    /// Number of users of a slot, and whether it has SWAP_HAS_CACHE; exact at rest.
    pub fn usage(&self, offset: u32) -> (u32, bool) {
        let byte = self.map.of(offset).peek();
        let count = u32::from(byte & !(HAS_CACHE | COUNT_CONTINUED));
        let index = self.cluster_of(offset);
        let more = match byte & COUNT_CONTINUED != 0 {
            false => 0,
            true if !self.has_tables() => self.conts.peek(offset),
            true => self.extends.peek(index, (offset - self.start_of(index)) as usize),
        };
        (count + more, byte & HAS_CACHE != 0)
    }

    /// find_next_to_unuse(): the first slot in use from `from` on, by READ_ONCE without a lock.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        let end = self.max();
        let found = self.scan(from.max(1), end, |byte| byte != 0 && byte != BAD);
        (found < end).then_some(found)
    }

    /// What the device looks like, exact at rest. Otherwise each cluster counts for the list that
    /// its flag names at that moment: the lists themselves cannot be followed while they change.
    pub fn stats(&self) -> Stats {
        let si = self.si();
        let mut stats = Stats {
            pages: u64::from(si.max.peek().saturating_sub(1)),
            inuse: si.inuse_pages.peek() & !offlist::<M>(),
            free: 0,
            full: 0,
            discard: 0,
            nonfull: vec![0; self.orders],
            frag: vec![0; self.orders],
        };
        for cluster in self.clusters_at_rest() {
            let order = usize::from(cluster.order.peek()).min(self.orders - 1);
            match cluster.peek_list() {
                Some(ClusterList::Free) => stats.free += 1,
                Some(ClusterList::Nonfull) => stats.nonfull[order] += 1,
                Some(ClusterList::Frag) => stats.frag[order] += 1,
                Some(ClusterList::Full) => stats.full += 1,
                Some(ClusterList::Discard) => stats.discard += 1,
                None => {}
            }
        }
        stats
    }

    /// Name and size in bytes of each array. All have an element per slot but cluster_info, which
    /// has one per cluster.
    pub fn footprint(&self) -> [(&'static str, usize); 4] {
        [
            (if self.has_tables() { "swap table" } else { "swap_map" }, self.map.size()),
            ("zeromap", size_of_val(&*self.shadows)),
            ("swap cache", self.folios.bytes()),
            ("cluster_info", self.clusters.bytes()),
        ]
    }

    /// SWAP_NR_ORDERS: orders 0..orders() exist.
    pub fn orders(&self) -> usize {
        self.orders
    }

    /// The bytes of slots `from..end` for validation at rest, on or off.
    pub(crate) fn bytes_at_rest(
        &self,
        from: u32,
        end: u32,
    ) -> impl Iterator<Item = &M::Atomic<u8>> {
        (from..end).map(|offset| self.map.of(offset))
    }

    /// cluster_info, on or off.
    pub(crate) fn raw_clusters(&self) -> &Clusters<M> {
        &self.clusters
    }

    /// All clusters, likewise.
    pub(crate) fn clusters_at_rest(&self) -> impl ExactSizeIterator<Item = &ClusterInfo<M>> {
        let clusters = self.si().max.peek().div_ceil(self.cluster_slots) as usize;
        (0..clusters).map(|index| &self.clusters[index])
    }
}

/// What every scheme has: its devices and the list of those with free slots.
pub struct Base<M: Machine> {
    /// The shape that it was made to.
    pub spec: Spec,
    /// The devices, by swp_type().
    pub devices: Vec<Device<M>>,
    /// The avail list and the global counters.
    pub avail: Avail<M>,
    /// The rest of the kernel.
    pub neighbours: Neighbours<M>,
    /// The tasks' masks, where there are any.
    pub(crate) tasks: Option<PerCpu<M, Task<M>>>,
}

impl<M: Machine> Base<M> {
    /// The devices of `spec`, all off.
    pub fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self::laid_out(spec, Layout::Map, cpu)
    }

    /// The same, with arrays of another layout.
    pub fn laid_out(spec: &Spec, layout: Layout, cpu: &M::Cpu) -> Self {
        let devices = (0..spec.devices.len()).map(|i| Device::new(i, spec, layout, cpu)).collect();
        let neighbours = Neighbours::new(spec, cpu);
        let tasks = spec.masks.then(|| tiers::tasks(cpu));
        Self { spec: spec.clone(), devices, avail: Avail::new(spec), neighbours, tasks }
    }

    /// The part of swap_range_free() before the slots count as free: nothing may be left of what
    /// they stood for.
    pub fn clean_up(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        self.neighbours.range_free(cpu, SwpEntry::new(dev.index, offset), nr);
        dev.clear_shadow(offset, nr);
    }
}
