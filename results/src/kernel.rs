//! What a kernel's counts in a cell are called, and which lock a kernel function takes. Guards
//! one spelling between those who count (the live driver, the lab) and the tables.

use std::collections::BTreeMap;

/// Functions whose returned values the lab counts: where swapoff's -ENOMEM comes from.
pub const RETURNS: [&str; 2] = ["unuse_pte_range", "__vm_enough_memory"];

/// Pages that were given a slot and swapped out, of a difference of /proc/vmstat's counts.
pub fn swapped_out(added: &BTreeMap<String, u64>) -> u64 {
    ["pswpout", "swpout_zero"].iter().filter_map(|name| added.get(*name)).sum()
}

/// The lock a caller waits for, where the sources of 6.12 to 6.18 leave only one; a function
/// into which others are inlined may take several.
pub fn lock_of(caller: &str) -> &'static str {
    const CI: [&str; 9] = [
        "__swap_duplicate",
        "swap_duplicate",
        "swap_free_nr",
        "cluster_swap_free_nr",
        "swap_entries_put_nr",
        "swap_entries_put_map",
        "swap_entries_put_cache",
        "put_swap_folio",
        "folio_free_swap",
    ];
    const SI: [&str; 3] = ["move_cluster", "isolate_lock_cluster", "relocate_cluster"];
    match caller {
        c if CI.contains(&c) => "ci->lock",
        c if SI.contains(&c) => "si->lock",
        c if c.starts_with("zram_") => "zram",
        c if c.starts_with("zs_") => "zsmalloc",
        c if c.starts_with("folio_lruvec_lock") => "lruvec->lru_lock",
        _ => "unattributed",
    }
}
