//! What the rest of the kernel takes for a page, in nanoseconds: data that a price file gives. Guards
//! that a price says which lock it is under. All are 0 by default, and then nothing is charged;
//! `neighbours.rs` charges them.

/// Prices of one backing under one kernel release, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// A page swapped out: everything that none of these locks covers.
    pub out_ns: u64,
    /// A page swapped in, likewise.
    pub in_ns: u64,
    /// What swap_range_free() does for the backing, per slot, and none of these locks covers, where
    /// this CPU freed the slot before it last. It is under si->lock until 6.13, and under ci->lock
    /// since.
    pub free_ns: u64,
    /// The same where this CPU freed another slot last: what belongs to the object is in no cache.
    pub free_scattered_ns: u64,
    /// Faults go through the swap cache, as on every device but those with SWP_SYNCHRONOUS_IO (zram, brd,
    /// pmem), where a fault reads into the folio itself and drops its slot.
    pub faults_in_cache: bool,
    /// The swap cache's XArray; `None` where a swap table took its place (6.18).
    pub xarray: Option<XarrayPrices>,
    /// zsmalloc; `None` where a slot has no object.
    pub zsmalloc: Option<ZsmallocPrices>,
    /// The list of pages that reclaim goes through.
    pub lruvec: LruvecPrices,
    /// A section of ctrl->lock, swap_cgroup_record(), in nanoseconds; `None` where there is no such
    /// lock.
    pub swap_cgroup_ns: Option<u64>,
    /// No memory cgroups (cgroup_disable=memory): nothing is charged to one, and no slot's cgroup is
    /// recorded.
    pub memcg_off: bool,
    /// Allocations of a swap table that sleep (7.0 on); `None` if there is memory for each without.
    pub table_sleep: Option<TableSleep>,
}

/// Memory is short: the cluster's lock is dropped, and its table is allocated by one that sleeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableSleep {
    /// The n-th allocation sleeps, and the 2n-th and so on, on each device. Not 0.
    pub every: u32,
    /// For how long, in nanoseconds.
    pub ns: u64,
}

/// Sections of the swap cache's xa_lock, in nanoseconds per slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct XarrayPrices {
    /// add_to_swap_cache().
    pub add_ns: u64,
    /// __remove_mapping().
    pub remove_ns: u64,
    /// clear_shadow_from_swap_cache().
    pub shadow_ns: u64,
    /// list_lru_add() or list_lru_del() of a node, inside either of the first two.
    pub list_lru_ns: u64,
}

/// Sections of a size class's lock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZsmallocPrices {
    /// Size classes that objects are spread over.
    pub classes: usize,
    /// zs_malloc().
    pub malloc_ns: u64,
    /// zs_free().
    pub free_ns: u64,
}

/// Sections of lruvec->lru_lock, in nanoseconds per page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LruvecPrices {
    /// shrink_inactive_list(), which isolates [`SWAP_CLUSTER_MAX`](crate::neighbours::SWAP_CLUSTER_MAX) pages in one section.
    pub isolate_ns: u64,
    /// folio_batch_move_lru(), which adds [`FOLIO_BATCH`](crate::neighbours::FOLIO_BATCH) pages in one section.
    pub add_ns: u64,
}
