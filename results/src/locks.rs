//! The lock that a function of the kernel takes, by release. Guards against a guess: a function
//! that may take two has both of them named; one that may take more, or is in no list, has none.

use std::ops::Range;

/// A function that no list has.
pub const UNATTRIBUTED: &str = "unattributed";

type Release = (u32, u32);

const ALL: Range<Release> = (0, 0)..(u32::MAX, 0);
/// The device's lock is outermost.
const TO_6_13: Range<Release> = (0, 0)..(6, 14);
const FROM_6_14: Range<Release> = (6, 14)..(u32::MAX, 0);
/// There are slot caches.
const TO_6_14: Range<Release> = (0, 0)..(6, 15);
const FROM_6_15: Range<Release> = (6, 15)..(u32::MAX, 0);
/// The swap cache is an xarray; then it is a table under ci->lock.
const TO_6_17: Range<Release> = (0, 0)..(6, 18);
const FROM_6_18: Range<Release> = (6, 18)..(u32::MAX, 0);
const FROM_7_0: Range<Release> = (7, 0)..(u32::MAX, 0);
const FROM_7_2: Range<Release> = (7, 2)..(u32::MAX, 0);

/// A lock, the releases in which it is so, and the functions that take it there, themselves or in
/// what the compiler has inlined into them. Found in the sources of 6.12.118 and 7.3.4, and in the
/// code of Debian's cloud kernels 6.12.118, 6.18.15, 7.0.13 and 7.3.4: their calls of
/// `_raw_spin_lock`. Left out are the locks of devices that rotate or discard, those that only an
/// allocation of a table takes that has slept, and functions that take more than two locks.
const LOCKS: [(&str, Range<Release>, &[&str]); 28] = [
    (
        "ci->lock",
        ALL,
        &[
            "__swap_duplicate",
            "swap_duplicate",
            "swap_dup_entries_cluster",
            "folio_dup_swap",
            "cluster_swap_free_nr",
            "swap_free_nr",
            "swap_entries_put_map",
            "swap_entries_put_nr",
            "swap_put_entries_cluster",
            "folio_put_swap",
            "free_swap_and_cache_nr",
            "put_swap_folio",
            "swap_entries_put_cache",
            "folio_free_swap",
            "folio_swapped",
            "swap_swapcount",
            "swp_swapcount",
            "swap_entry_swapped",
            "alloc_swap_scan_cluster",
            "cluster_reclaim_range",
            "__try_to_reclaim_swap",
            "swap_reclaim_full_clusters",
            "wait_for_allocation",
        ],
    ),
    ("ci->lock", TO_6_13, &["swap_entry_range_free"]),
    ("ci->lock", (6, 14)..(6, 15), &["get_swap_pages", "swapcache_free_entries"]),
    ("ci->lock", FROM_6_15, &["folio_alloc_swap", "swap_alloc_fast"]),
    (
        "ci->lock",
        FROM_6_18,
        &[
            "swap_cache_add_folio",
            "swap_cache_alloc_folio",
            "__swap_cache_alloc",
            "__swap_cache_prepare_and_add",
            "swap_cache_del_folio",
            "__remove_mapping",
        ],
    ),
    ("ci->lock", FROM_7_2, &["__mem_cgroup_try_charge_swap", "swap_writeout"]),
    ("si->lock", ALL, &["isolate_lock_cluster", "move_cluster", "relocate_cluster"]),
    (
        "si->lock",
        TO_6_13,
        &[
            "get_swap_pages",
            "scan_swap_map_slots",
            "swapcache_free_entries",
            "free_swap_and_cache_nr",
            "put_swap_folio",
            "alloc_swap_scan_cluster",
            "cluster_reclaim_range",
            "__try_to_reclaim_swap",
            "swap_reclaim_full_clusters",
            "swap_reclaim_work",
        ],
    ),
    ("si->lock", FROM_6_14, &["swap_entry_range_free", "swap_entries_free"]),
    ("swap_avail_lock", ALL, &["add_to_avail_list", "del_from_avail_list"]),
    ("swap_avail_lock", TO_6_14, &["get_swap_pages", "swap_range_alloc"]),
    ("swap_avail_lock", FROM_6_15, &["folio_alloc_swap", "swap_alloc_slow"]),
    ("swap_avail_lock", FROM_7_0, &["alloc_swap_scan_cluster"]),
    ("swap_lock", ALL, &["alloc_swap_info"]),
    ("cont_lock", ALL, &["swap_count_continued"]),
    ("slot cache free_lock", TO_6_14, &["free_swap_slot", "drain_slots_cache_cpu"]),
    ("ctrl->lock", ALL, &["swap_cgroup_record", "swap_cgroup_cmpxchg"]),
    (
        "xa_lock",
        TO_6_17,
        &["add_to_swap_cache", "delete_from_swap_cache", "clear_shadow_from_swap_cache"],
    ),
    // Of a page that is in the swap cache; one of a file is under two other locks.
    ("xa_lock", TO_6_17, &["__remove_mapping"]),
    ("xa_lock", ALL, &["xa_erase"]),
    ("lruvec->lru_lock", ALL, &["move_folios_to_lru", "shrink_inactive_list", "lru_note_cost"]),
    ("list_lru", ALL, &["list_lru_add", "list_lru_del"]),
    ("class->lock", ALL, &["zs_malloc", "zs_free"]),
    ("ptl", ALL, &["pte_offset_map_lock", "__pte_offset_map_lock"]),
    ("p->pi_lock", ALL, &["try_to_wake_up"]),
    ("rq->__lock", ALL, &["raw_spin_rq_lock_nested", "___task_rq_lock"]),
    // It changed in one of 7.1, 7.2 and 7.3.
    ("cgroup_file_kn_lock", (0, 0)..(7, 3), &["cgroup_file_notify"]),
    ("cfile->lock", (7, 1)..(u32::MAX, 0), &["cgroup_file_notify"]),
];

/// Locks of which all functions begin alike.
const PREFIXES: [(&str, &str); 3] =
    [("zram_", "zram"), ("zs_", "zsmalloc"), ("folio_lruvec_lock", "lruvec->lru_lock")];

/// The locks that `function` may wait for in `release`, joined by "or"; in any release where that
/// is no number, such as the name of a file.
pub fn lock_of(function: &str, release: &str) -> String {
    let at = number(release);
    let here = |releases: &Range<Release>| at.is_none_or(|at| releases.contains(&at));
    let rows = LOCKS.iter().filter(|(_, releases, of)| here(releases) && of.contains(&function));
    let mut locks: Vec<&str> = rows.map(|(lock, ..)| *lock).collect();
    locks.dedup();
    if !locks.is_empty() {
        return locks.join(" or ");
    }
    let prefix = PREFIXES.iter().find(|(prefix, _)| function.starts_with(prefix));
    prefix.map_or(UNATTRIBUTED, |(_, lock)| lock).into()
}

/// `(6, 12)` of `6.12.118+deb13-cloud-amd64`.
fn number(release: &str) -> Option<Release> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Of each era of the allocator, the functions that its packaged kernel enters the slow path
    /// from, with the locks that its code passes there.
    #[test]
    fn a_function_has_the_locks_of_its_release() {
        for (release, function, expected) in [
            ("6.12.118+deb13-cloud-amd64", "swapcache_free_entries", "si->lock"),
            ("6.12.118+deb13-cloud-amd64", "get_swap_pages", "si->lock or swap_avail_lock"),
            ("6.12.118+deb13-cloud-amd64", "swap_entry_range_free", "ci->lock"),
            ("6.12.118+deb13-cloud-amd64", "__remove_mapping", "xa_lock"),
            ("6.12.118+deb13-cloud-amd64", "swap_cgroup_record", "ctrl->lock"),
            ("6.14.2", "swapcache_free_entries", "ci->lock"),
            ("6.18.15+deb13-cloud-amd64", "folio_alloc_swap", "ci->lock or swap_avail_lock"),
            ("6.18.15+deb13-cloud-amd64", "__remove_mapping", "ci->lock"),
            ("6.18.15+deb13-cloud-amd64", "isolate_lock_cluster", "si->lock"),
            ("7.0.13+deb13-cloud-amd64", "__swap_cache_prepare_and_add", "ci->lock"),
            ("7.0.13+deb13-cloud-amd64", "swap_writeout", UNATTRIBUTED),
            ("7.3.4+deb13-cloud-amd64", "swap_cache_alloc_folio", "ci->lock"),
            ("7.3.4+deb13-cloud-amd64", "swap_writeout", "ci->lock"),
            ("7.3.4+deb13-cloud-amd64", "swap_dup_entries_cluster", "ci->lock"),
            ("7.3.4+deb13-cloud-amd64", "swap_put_entries_cluster", "ci->lock"),
            ("7.3.4+deb13-cloud-amd64", "zs_malloc", "class->lock"),
            ("7.3.4+deb13-cloud-amd64", "list_lru_add", "list_lru"),
            ("7.3.4+deb13-cloud-amd64", "folio_lruvec_lock_irq", "lruvec->lru_lock"),
            ("bzImage", "cgroup_file_notify", "cgroup_file_kn_lock or cfile->lock"),
            ("7.3.4", "my_new_scheme", UNATTRIBUTED),
        ] {
            assert_eq!(lock_of(function, release), expected, "{function} of {release}");
        }
    }

    /// A second row of a lock for the same function and release would say nothing.
    #[test]
    fn no_row_repeats_another_and_no_function_has_three_locks() {
        let mut seen = BTreeSet::new();
        for release in [(6, 12), (6, 14), (6, 16), (6, 18), (7, 0), (7, 2)] {
            let rows = LOCKS.iter().filter(|(_, releases, _)| releases.contains(&release));
            for (lock, _, functions) in rows {
                for function in *functions {
                    assert!(seen.insert((release, lock, function)), "{lock}, {function}");
                    let locks = lock_of(function, &format!("{}.{}", release.0, release.1));
                    assert!(locks.split(" or ").count() <= 2, "{function}: {locks}");
                }
            }
        }
    }
}
