//! The names of a kernel's counts in a cell, and the call sites that model and kernel share. Guards
//! one spelling between the live driver and the lab, which count, and the tables.

use std::collections::BTreeMap;

/// Functions whose returned values the lab counts: where swapoff's -ENOMEM comes from.
pub const RETURNS: [&str; 2] = ["unuse_pte_range", "__vm_enough_memory"];

/// The value of `trace` in the key of a cell whose trial counted each acquisition of a spinlock.
pub const ACQUISITIONS: &str = "acquisitions";

/// The lab's workload that hunts for a lockup (docs/findings/steal-loop.md). Its cells count
/// swapoffs, and no pages.
pub const HUNT: &str = "mthp-swapoff";

/// The parameter of a hunt's cells: `64K` where folios of that size were in swap, or `none`.
pub const FOLIOS: &str = "folios";

/// The kind of a hunt's cells that has the calls of the allocator that were stuck.
pub const STUCK: &str = "stuck in folio_alloc_swap";

/// A call of the allocator that takes longer is stuck, ns. One that is not takes microseconds, and
/// some milliseconds where the host takes the CPU away.
pub const STUCK_NS: u64 = 250_000_000;

/// Pages that were given a slot and swapped out, of a difference of /proc/vmstat's counts.
pub fn swapped_out(added: &BTreeMap<String, u64>) -> u64 {
    ["pswpout", "swpout_zero"].iter().filter_map(|name| added.get(*name)).sum()
}

/// Kernel functions that take the swap allocator's locks: the call site that model and kernel
/// share, and the functions counted there. A call site is named after the function that the
/// packaged kernels have (Debian's 6.12, 6.16 and 6.18 cloud kernels, by their /proc/kallsyms);
/// beside it stand that function in other releases, and what the compiler has inlined into it.
const FUNCTIONS: [(&str, &[&str]); 22] = [
    ("get_swap_pages", &["get_swap_pages", "scan_swap_map_slots"]),
    ("folio_alloc_swap", &["folio_alloc_swap", "swap_alloc_fast", "swap_alloc_slow"]),
    ("cluster_alloc_swap_entry", &["cluster_alloc_swap_entry"]),
    ("alloc_swap_scan_cluster", &["alloc_swap_scan_cluster", "cluster_reclaim_range"]),
    ("isolate_lock_cluster", &["isolate_lock_cluster"]),
    ("move_cluster", &["move_cluster", "relocate_cluster"]),
    (
        "__swap_duplicate",
        &["__swap_duplicate", "swap_duplicate", "swap_dup_entries_cluster", "folio_dup_swap"],
    ),
    (
        "swap_free_nr",
        &[
            "swap_free_nr",
            "cluster_swap_free_nr",
            "swap_entries_put_map",
            "swap_entries_put_nr",
            "swap_put_entries_cluster",
            "folio_put_swap",
        ],
    ),
    ("free_swap_and_cache_nr", &["free_swap_and_cache_nr"]),
    ("put_swap_folio", &["put_swap_folio", "swap_entries_put_cache"]),
    (
        "folio_swapped",
        &["folio_swapped", "swap_swapcount", "swap_entry_swapped", "folio_free_swap"],
    ),
    ("swapcache_free_entries", &["swapcache_free_entries"]),
    ("swap_entry_range_free", &["swap_entry_range_free", "swap_entries_free", "swap_range_free"]),
    ("free_swap_slot", &["free_swap_slot", "drain_slots_cache_cpu", "__drain_swap_slots_cache"]),
    ("__try_to_reclaim_swap", &["__try_to_reclaim_swap"]),
    ("swap_reclaim_full_clusters", &["swap_reclaim_full_clusters", "swap_reclaim_work"]),
    ("swap_do_scheduled_discard", &["swap_do_scheduled_discard", "swap_discard_work"]),
    (
        "swapoff, swapon",
        &[
            "swapoff",
            "__do_sys_swapoff",
            "wait_for_allocation",
            "enable_swap_info",
            "__do_sys_swapon",
            "alloc_swap_info",
            "add_to_avail_list",
            "del_from_avail_list",
        ],
    ),
    ("add_swap_count_continuation", &["add_swap_count_continuation", "swap_count_continued"]),
    ("__mem_cgroup_try_charge_swap", &["__mem_cgroup_try_charge_swap"]),
    ("swap_writeout", &["swap_writeout"]),
    // The lock of an xarray; from 6.18 on ci->lock.
    (
        "swap cache",
        &[
            "add_to_swap_cache",
            "delete_from_swap_cache",
            "clear_shadow_from_swap_cache",
            "swap_cache_add_folio",
            "swap_cache_alloc_folio",
            "__swap_cache_alloc",
            "__swap_cache_prepare_and_add",
            "swap_cache_del_folio",
            "__remove_mapping",
        ],
    ),
];

/// The call site that `function` counts at; `None` where it takes none of the swap allocator's
/// locks. A call site counts at itself.
pub(crate) fn call_site(function: &str) -> Option<&'static str> {
    let itself = || FUNCTIONS.iter().find(|(site, _)| *site == function);
    known(function).or_else(itself).map(|(site, _)| *site)
}

fn known(function: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    FUNCTIONS.iter().find(|(_, functions)| functions.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_at_one_call_site() {
        let mut names: Vec<_> = FUNCTIONS.iter().flat_map(|(_, functions)| *functions).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_function_of_any_release_has_the_site_that_the_model_has() {
        for (function, site) in [
            ("cluster_swap_free_nr", Some("swap_free_nr")),
            ("swap_entries_put_cache", Some("put_swap_folio")),
            ("relocate_cluster", Some("move_cluster")),
            ("folio_free_swap", Some("folio_swapped")),
            ("folio_swapped", Some("folio_swapped")),
            ("add_to_avail_list", Some("swapoff, swapon")),
            ("swapoff, swapon", Some("swapoff, swapon")),
            ("__remove_mapping", Some("swap cache")),
            ("swap_cache_alloc_folio", Some("swap cache")),
            ("swap_dup_entries_cluster", Some("__swap_duplicate")),
            ("swap_put_entries_cluster", Some("swap_free_nr")),
            ("zs_malloc", None),
            ("my_new_scheme", None),
        ] {
            assert_eq!(call_site(function), site, "{function}");
        }
    }
}
