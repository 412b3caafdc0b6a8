//! The shape of the system under test: devices, clusters, slot caches, owners. Guards that every
//! size stands here once, under the name of the kernel's constant.

use crate::prices::Prices;

/// SWAPFILE_CLUSTER: slots per cluster on x86-64 with CONFIG_THP_SWAP, where a cluster holds one
/// PMD-sized folio (include/linux/swap.h and mm/swap.h, all releases modelled).
pub const SWAPFILE_CLUSTER: u32 = 512;

/// One swap device.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Size in slots (pages), the header page included.
    pub slots: u32,
    /// Higher first; devices of equal priority take turns.
    pub priority: i16,
    /// Whether freed clusters are discarded before they are used again.
    pub discard: bool,
    /// Size in slots at the second swapon and later, if smaller.
    pub later_slots: Option<u32>,
}

impl DeviceSpec {
    /// `slots` slots, of the same priority as all others, without discard.
    pub fn new(slots: u32) -> Self {
        Self { slots, priority: 0, discard: false, later_slots: None }
    }
}

/// The shape of a system under test.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The swap devices; their index is their swp_type().
    pub devices: Vec<DeviceSpec>,
    /// Slots per cluster, a power of two; [`SWAPFILE_CLUSTER`] in the kernel.
    pub cluster_slots: u32,
    /// SWAP_NR_ORDERS: orders 0..orders exist, and each fits in a cluster.
    pub orders: usize,
    /// SWAP_CLUSTER_COLS: how far apart neighbours on the fresh free list are, in clusters.
    pub cluster_cols: u32,
    /// Size and thresholds of the per-CPU slot caches.
    pub slot_cache: SlotCacheSpec,
    /// memory.swap.max of the only cgroup, in slots of a device. A folio that exceeds it gives
    /// its slots back. Only the schemes from 6.15 on look at it.
    pub swap_max: u64,
    /// How long a device takes to discard a cluster, in nanoseconds.
    pub discard_ns: u64,
    /// What the rest of the kernel charges for a page.
    pub prices: Prices,
    /// Number of address spaces: page tables with a lock each.
    pub owners: usize,
    /// Pages in each address space.
    pub pages_per_owner: usize,
    /// Passes of try_to_unuse() before a signal ends it with EINTR.
    pub unuse_passes: u32,
    /// Allocations of swap tables that fail. Only the schemes from 7.0 on look at it.
    pub failed_tables: Option<FailedTables>,
    /// Cgroups have masks of devices ([`crate::tiers`]).
    pub masks: bool,
}

impl Default for Spec {
    /// x86-64's constants with CONFIG_THP_SWAP, one 1 GiB device, one owner.
    fn default() -> Self {
        Self {
            devices: vec![DeviceSpec::new(1 << 18)],
            cluster_slots: SWAPFILE_CLUSTER,
            orders: 10,
            cluster_cols: 32,
            slot_cache: SlotCacheSpec { size: 64, activate: 5 * 64, deactivate: 2 * 64 },
            swap_max: u64::MAX,
            discard_ns: 20_000,
            prices: Prices::default(),
            owners: 1,
            pages_per_owner: 1 << 18,
            unuse_passes: u32::MAX,
            failed_tables: None,
            masks: false,
        }
    }
}

/// The CPU whose allocations of swap tables fail, and which of them: what the kernel's fault injection
/// (`/proc/PID/make-it-fail`) does to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedTables {
    /// The CPU. All its allocations under ci->lock fail.
    pub cpu: usize,
    /// Those that may sleep fail too, at the second of their two allocations: the table is there, and
    /// memcg_table (7.2) is not.
    pub sleeping: bool,
}

/// The per-CPU slot caches of 4.11 .. 6.14 (mm/swap_slots.c). Thresholds are free slots per CPU.
#[derive(Clone, Debug)]
pub struct SlotCacheSpec {
    /// Slots per cache: SWAP_SLOTS_CACHE_SIZE and SWAP_BATCH.
    pub size: usize,
    /// THRESHOLD_ACTIVATE_SWAP_SLOTS_CACHE.
    pub activate: u64,
    /// THRESHOLD_DEACTIVATE_SWAP_SLOTS_CACHE.
    pub deactivate: u64,
}
