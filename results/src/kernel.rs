//! The names of a kernel's counts in a cell, and the kernel functions that take a lock. Guards one spelling between the live driver and the lab, which count, and the tables.

use std::collections::BTreeMap;

/// Functions whose returned values the lab counts: where swapoff's -ENOMEM comes from.
pub const RETURNS: [&str; 2] = ["unuse_pte_range", "__vm_enough_memory"];

/// Pages that were given a slot and swapped out, of a difference of /proc/vmstat's counts.
pub fn swapped_out(added: &BTreeMap<String, u64>) -> u64 {
    ["pswpout", "swpout_zero"].iter().filter_map(|name| added.get(*name)).sum()
}

/// The cluster's lock.
const CI: &str = "ci->lock";
/// The device's lock.
const SI: &str = "si->lock";
/// A function that takes several locks, or into which functions are inlined that take others.
const SEVERAL: &str = "unattributed";

/// Kernel functions that take the swap allocator's locks: the call site that model and kernel
/// share, the lock, and the functions counted there. A call site is named after the function that
/// the packaged kernels have (Debian's 6.12, 6.16 and 6.18 cloud kernels, by their
/// /proc/kallsyms); beside it stand that function in other releases, and what the compiler has
/// inlined into it. A lock is named where the sources of 6.12 to 6.18 leave only one.
const FUNCTIONS: [(&str, &str, &[&str]); 21] = [
    ("get_swap_pages", SEVERAL, &["get_swap_pages", "scan_swap_map_slots"]),
    ("folio_alloc_swap", SEVERAL, &["folio_alloc_swap", "swap_alloc_fast", "swap_alloc_slow"]),
    ("cluster_alloc_swap_entry", SEVERAL, &["cluster_alloc_swap_entry"]),
    ("alloc_swap_scan_cluster", SEVERAL, &["alloc_swap_scan_cluster", "cluster_reclaim_range"]),
    ("isolate_lock_cluster", SI, &["isolate_lock_cluster"]),
    ("move_cluster", SI, &["move_cluster", "relocate_cluster"]),
    ("__swap_duplicate", CI, &["__swap_duplicate", "swap_duplicate"]),
    (
        "swap_free_nr",
        CI,
        &["swap_free_nr", "cluster_swap_free_nr", "swap_entries_put_map", "swap_entries_put_nr"],
    ),
    ("free_swap_and_cache_nr", SEVERAL, &["free_swap_and_cache_nr"]),
    ("put_swap_folio", CI, &["put_swap_folio", "swap_entries_put_cache"]),
    ("folio_swapped", SEVERAL, &["folio_swapped", "swap_swapcount", "swap_entry_swapped"]),
    ("folio_swapped", CI, &["folio_free_swap"]),
    ("swapcache_free_entries", SEVERAL, &["swapcache_free_entries"]),
    (
        "swap_entry_range_free",
        SEVERAL,
        &["swap_entry_range_free", "swap_entries_free", "swap_range_free"],
    ),
    (
        "free_swap_slot",
        SEVERAL,
        &["free_swap_slot", "drain_slots_cache_cpu", "__drain_swap_slots_cache"],
    ),
    ("__try_to_reclaim_swap", SEVERAL, &["__try_to_reclaim_swap"]),
    ("swap_reclaim_full_clusters", SEVERAL, &["swap_reclaim_full_clusters", "swap_reclaim_work"]),
    ("swap_do_scheduled_discard", SEVERAL, &["swap_do_scheduled_discard", "swap_discard_work"]),
    (
        "swapoff, swapon",
        SEVERAL,
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
    (
        "add_swap_count_continuation",
        SEVERAL,
        &["add_swap_count_continuation", "swap_count_continued"],
    ),
    // The model's swap cache has no lock; the kernel's is the xarray's, from 6.18 on ci->lock.
    (
        "swap cache",
        SEVERAL,
        &[
            "add_to_swap_cache",
            "delete_from_swap_cache",
            "clear_shadow_from_swap_cache",
            "swap_cache_add_folio",
            "swap_cache_del_folio",
            "__remove_mapping",
        ],
    ),
];

/// The lock that `function` waits for; `unattributed` where that may be several.
pub fn lock_of(function: &str) -> &'static str {
    match function {
        f if f.starts_with("zram_") => "zram",
        f if f.starts_with("zs_") => "zsmalloc",
        f if f.starts_with("folio_lruvec_lock") => "lruvec->lru_lock",
        f => known(f).map_or(SEVERAL, |(_, lock, _)| lock),
    }
}

/// The call site that `function` counts at; `None` where it takes none of the swap allocator's
/// locks. A call site counts at itself.
pub(crate) fn call_site(function: &str) -> Option<&'static str> {
    let itself = || FUNCTIONS.iter().find(|(site, ..)| *site == function);
    known(function).or_else(itself).map(|(site, ..)| *site)
}

fn known(function: &str) -> Option<&'static (&'static str, &'static str, &'static [&'static str])> {
    FUNCTIONS.iter().find(|(.., functions)| functions.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_at_one_call_site() {
        let mut names: Vec<_> = FUNCTIONS.iter().flat_map(|(.., functions)| *functions).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    /// Each function's lock and call site, as they were found in the sources.
    #[test]
    fn locks_and_call_sites_are_those_of_the_sources() {
        let known = |function| (lock_of(function), call_site(function));
        assert_eq!(known("cluster_swap_free_nr"), ("ci->lock", Some("swap_free_nr")));
        assert_eq!(known("swap_entries_put_cache"), ("ci->lock", Some("put_swap_folio")));
        assert_eq!(known("relocate_cluster"), ("si->lock", Some("move_cluster")));
        assert_eq!(known("folio_free_swap"), ("ci->lock", Some("folio_swapped")));
        assert_eq!(known("folio_swapped"), ("unattributed", Some("folio_swapped")));
        assert_eq!(known("swap_swapcount"), ("unattributed", Some("folio_swapped")));
        assert_eq!(known("add_to_avail_list"), ("unattributed", Some("swapoff, swapon")));
        assert_eq!(known("swapoff, swapon"), ("unattributed", Some("swapoff, swapon")));
        assert_eq!(known("__remove_mapping"), ("unattributed", Some("swap cache")));
        assert_eq!(known("zs_malloc"), ("zsmalloc", None));
        assert_eq!(known("folio_lruvec_lock_irq"), ("lruvec->lru_lock", None));
        assert_eq!(known("my_new_scheme"), ("unattributed", None));
        let of = |lock| {
            let rows = FUNCTIONS.iter().filter(move |(_, of, _)| *of == lock);
            rows.flat_map(|(.., functions)| *functions).count()
        };
        assert_eq!((of(CI), of(SI)), (9, 3));
    }
}
