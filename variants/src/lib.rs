//! The swap allocators, one file per locking scheme, written once over
//! [`Machine`]. This file is the contract: what a workload may ask of a variant,
//! and the words it is asked in. The names are the kernel's.

pub mod avail;
pub mod cache;
pub mod cluster;
mod count;
pub mod device;
mod invariants;
mod lists;
pub mod owners;
pub mod percluster;
mod percpu;
pub mod percpu_cluster;
pub mod registry;
pub mod scan;
pub mod scanning;
mod slot_cache;
mod swap;
pub mod swapoff;

use count::DupError;
use device::{Base, Device};
use machine::{Atomic, Machine, Site};
pub use owners::Owners;
pub use swap::{Swap, SwapInError};
pub use swapoff::{Steps, SwapoffError};

/// swp_entry_t: a device and a slot on it. Offset 0 is the header page, never a
/// slot, so device 0's offset 0 is "no entry".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwpEntry(u64);

impl std::fmt::Debug for SwpEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "slot {} of device {}", self.offset(), self.dev())
    }
}

const TYPE_SHIFT: u32 = 58;

impl SwpEntry {
    pub fn new(dev: usize, offset: u32) -> Self {
        debug_assert!(offset != 0, "slot 0 is the header page");
        Self((dev as u64) << TYPE_SHIFT | u64::from(offset))
    }

    /// swp_type().
    pub fn dev(self) -> usize {
        (self.0 >> TYPE_SHIFT) as usize
    }

    /// swp_offset(), in slots.
    pub fn offset(self) -> u32 {
        self.0 as u32
    }

    /// The slot `n` further on.
    pub fn plus(self, n: u32) -> Self {
        Self(self.0 + u64::from(n))
    }

    /// As a page-table word; 0 is no entry.
    pub fn to_pte(this: Option<Self>) -> u64 {
        this.map_or(0, |entry| entry.0)
    }

    pub fn from_pte(pte: u64) -> Option<Self> {
        (pte != 0).then_some(Self(pte))
    }
}

/// One swap device.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Size in slots (pages), the header page included.
    pub slots: u32,
    /// Higher first; devices of equal priority take turns.
    pub priority: i16,
    /// Whether freed clusters are discarded before they are used again.
    pub discard: bool,
    /// Size at the second swapon and later, if smaller.
    pub later_slots: Option<u32>,
}

/// The shape of a system under test.
#[derive(Clone, Debug)]
pub struct Spec {
    pub devices: Vec<DeviceSpec>,
    /// SWAPFILE_CLUSTER: a power of two.
    pub cluster_slots: u32,
    /// SWAP_NR_ORDERS: orders 0..orders, each at most a cluster.
    pub orders: usize,
    /// SWAP_CLUSTER_COLS: how far apart neighbours on the fresh free list are.
    pub cluster_cols: u32,
    pub slot_cache: SlotCacheSpec,
    /// memory.swap.max of the one cgroup there is, in slots of a device; a folio that
    /// exceeds it gives its slots back. Only the schemes from 6.15 on look at it.
    pub swap_max: u64,
    /// How long a device takes to discard a cluster, nanoseconds.
    pub discard_ns: u64,
    /// Address spaces (page tables with a lock each), and pages in each.
    pub owners: usize,
    pub pages_per_owner: usize,
    /// Passes of try_to_unuse() before a signal ends it with EINTR.
    pub unuse_passes: u32,
}

/// The per-CPU slot caches of 4.11 .. 6.14. Thresholds are free slots a CPU.
#[derive(Clone, Debug)]
pub struct SlotCacheSpec {
    /// SWAP_SLOTS_CACHE_SIZE and SWAP_BATCH.
    pub size: usize,
    /// THRESHOLD_ACTIVATE_SWAP_SLOTS_CACHE.
    pub activate: u64,
    /// THRESHOLD_DEACTIVATE_SWAP_SLOTS_CACHE.
    pub deactivate: u64,
}

impl Default for Spec {
    /// x86-64's constants with CONFIG_THP_SWAP, one 1 GiB device, one owner.
    fn default() -> Self {
        Self {
            devices: vec![DeviceSpec::new(1 << 18)],
            cluster_slots: 512,
            orders: 10,
            cluster_cols: 32,
            slot_cache: SlotCacheSpec { size: 64, activate: 5 * 64, deactivate: 2 * 64 },
            swap_max: u64::MAX,
            discard_ns: 20_000,
            owners: 1,
            pages_per_owner: 1 << 18,
            unuse_passes: u32::MAX,
        }
    }
}

impl DeviceSpec {
    /// Of equal priority with all others, without discard.
    pub fn new(slots: u32) -> Self {
        Self { slots, priority: 0, discard: false, later_slots: None }
    }
}

/// What a device looks like, by [`machine::Atomic::peek`]: exact only at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Usable slots.
    pub pages: u64,
    /// Slots in use, those in slot caches included.
    pub inuse: u64,
    /// Clusters on each list; the last two by order.
    pub free: usize,
    pub full: usize,
    pub discard: usize,
    pub nonfull: Vec<usize>,
    pub frag: Vec<usize>,
}

/// Where a slot's byte is guarded: a place that takes ci->lock, or si->lock in a
/// scheme without cluster locks.
pub struct EntrySite {
    pub ci: Site,
    pub si: Site,
}

impl EntrySite {
    pub const fn new(caller: &'static str) -> Self {
        Self { ci: Site::new("ci->lock", caller), si: Site::new("si->lock", caller) }
    }
}

static DUP: EntrySite = EntrySite::new("__swap_duplicate");
static SWAPPED: EntrySite = EntrySite::new("folio_swapped");

/// A swap allocator: what mm/swapfile.c offers the rest of the kernel.
///
/// A slot's byte counts its users (page-table entries) and carries SWAP_HAS_CACHE
/// while a folio or a slot cache holds it. `alloc` gives a slot that is cached
/// and has no user; it is free again when both are gone.
pub trait SwapAllocator<M: Machine>: Send + Sync + Sized + 'static {
    /// All devices off.
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self;

    /// Its devices, and the list of those with free slots.
    fn base(&self) -> &Base<M>;

    /// swapon(2); false if the device is on already.
    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool;

    /// swapoff(2): swaps everything in that `owners` have there.
    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError>;

    /// folio_alloc_swap(): 2^order aligned slots, each byte SWAP_HAS_CACHE.
    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry>;

    /// swap_free_nr(): one user less each. The caller pins the device.
    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32);

    /// free_swap_and_cache_nr(): as `put`, and slots that only the swap cache holds
    /// are reclaimed. Does nothing, and says false, if the device is gone.
    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool;

    /// put_swap_folio(): drops SWAP_HAS_CACHE from all slots of a folio.
    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize);

    /// Under the lock that guards the slot's byte.
    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T;

    /// add_swap_count_continuation(): room for more than 62 users.
    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry);

    /// The invariants that hold at rest (no CPU inside): the first broken one.
    fn validate(&self) -> Result<(), String>;

    /// Runs what a device has queued to kernel workers: discards, reclaim of full clusters.
    fn run_work_of(&self, _cpu: &M::Cpu, _dev: &Device<M>) {}

    /// The same of all devices.
    fn run_work(&self, cpu: &M::Cpu) {
        for dev in &self.base().devices {
            self.run_work_of(cpu, dev);
        }
    }

    /// swap_duplicate(): one more user; false if the slot is free or its count cannot
    /// grow any more.
    fn dup(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        loop {
            match self.with_entry(cpu, entry, &DUP, |dev| dev.dup_locked(cpu, entry.offset())) {
                Err(DupError::NeedsPage) => self.add_continuation(cpu, entry),
                result => return result.is_ok(),
            }
        }
    }

    /// swapcache_prepare(): sets SWAP_HAS_CACHE on a used slot; false if set or unused.
    fn prepare_cache(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        self.with_entry(cpu, entry, &DUP, |dev| dev.cache_locked(entry.offset()))
    }

    /// folio_swapped(): whether any of `nr` slots of one cluster has a user.
    fn swapped(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let used = |dev: &Device<M>| !dev.all(entry.offset(), nr, device::HAS_CACHE);
        self.with_entry(cpu, entry, &SWAPPED, used)
    }

    /// get_swap_device(): false once the device is going away.
    fn tryget_device(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.base().devices[dev].users.tryget_live(cpu)
    }

    fn put_device(&self, cpu: &M::Cpu, dev: usize) {
        self.base().devices[dev].users.put(cpu);
    }

    /// The device's part of the swap cache.
    fn folios(&self, dev: usize) -> &cache::SwapCache<M> {
        &self.base().devices[dev].folios
    }

    /// si->inuse_pages without a lock, as try_to_unuse() reads it.
    fn inuse(&self, dev: usize) -> u64 {
        self.base().devices[dev].si().inuse_pages.load()
    }

    /// find_next_to_unuse(): the first slot in use from `from` on.
    fn next_used(&self, dev: usize, from: u32) -> Option<u32> {
        self.base().devices[dev].next_used(from)
    }

    /// Users of a slot, and whether it has SWAP_HAS_CACHE; at rest.
    fn usage(&self, entry: SwpEntry) -> (u32, bool) {
        self.base().devices[entry.dev()].usage(entry.offset())
    }

    /// At rest.
    fn stats(&self, dev: usize) -> Stats {
        self.base().devices[dev].stats()
    }

    /// get_nr_swap_pages() at rest.
    fn nr_swap_pages(&self) -> i64 {
        self.base().avail.peek_pages()
    }
}
