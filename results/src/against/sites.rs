//! Call sites of the swap allocator's locks under names that model and kernel share. Guards the
//! comparison: a name on either side that is not in the list is not silently dropped.

use std::collections::BTreeMap;

use crate::schema::{Cell, Counter};

/// A call site as the packaged kernels have it (Debian's 6.12, 6.16 and 6.18 cloud kernels, by
/// their /proc/kallsyms), and what is counted there: that function in other releases, and what
/// the compiler has inlined into it.
const CALL_SITES: [(&str, &[&str]); 20] = [
    ("get_swap_pages", &["scan_swap_map_slots"]),
    ("folio_alloc_swap", &["swap_alloc_fast", "swap_alloc_slow"]),
    ("cluster_alloc_swap_entry", &[]),
    ("alloc_swap_scan_cluster", &["cluster_reclaim_range"]),
    ("isolate_lock_cluster", &[]),
    ("move_cluster", &["relocate_cluster"]),
    ("__swap_duplicate", &["swap_duplicate"]),
    ("swap_free_nr", &["cluster_swap_free_nr", "swap_entries_put_map", "swap_entries_put_nr"]),
    ("free_swap_and_cache_nr", &[]),
    ("put_swap_folio", &["swap_entries_put_cache"]),
    ("folio_swapped", &["folio_free_swap", "swap_swapcount", "swap_entry_swapped"]),
    ("swapcache_free_entries", &[]),
    ("swap_entry_range_free", &["swap_entries_free", "swap_range_free"]),
    ("free_swap_slot", &["drain_slots_cache_cpu", "__drain_swap_slots_cache"]),
    ("__try_to_reclaim_swap", &[]),
    ("swap_reclaim_full_clusters", &["swap_reclaim_work"]),
    ("swap_do_scheduled_discard", &["swap_discard_work"]),
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
    ("add_swap_count_continuation", &["swap_count_continued"]),
    // The model's swap cache has no lock; the kernel's is the xarray's, from 6.18 on ci->lock.
    (
        "swap cache",
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

/// The model's page table locks, which are not the allocator's.
const PTL: &str = "ptl";

/// Contended acquisitions of one trial.
#[derive(Default)]
pub struct Contended {
    /// at the swap allocator's locks
    pub here: BTreeMap<String, u64>,
    /// at any other lock
    pub elsewhere: u64,
}

/// What a cell counted; none where it could not or did not look.
pub fn contended(cell: &Cell) -> Option<Contended> {
    let mut contended = Contended::default();
    let mut add = |site: Option<&str>, count: u64| match site {
        _ if count == 0 => {}
        Some(site) => *contended.here.entry(site.to_owned()).or_insert(0) += count,
        None => contended.elsewhere += count,
    };
    let mut looked = false;
    for (name, count) in &cell.counts {
        if let Some(caller) = name.strip_prefix("slowpath:") {
            add(call_site(caller), *count);
            looked = true;
        }
    }
    for site in &cell.sites {
        let caller = site.caller.as_str();
        // Only a model counts the acquisitions that did not wait; all its locks but one are ours.
        let model = site.acquisitions.is_some() && site.lock != PTL;
        add(call_site(caller).or(model.then_some(caller)), site.contended);
        looked = true;
    }
    let traced = matches!(cell.counters.get("lock:contention_begin"), Some(Counter::Value { .. }));
    (looked || traced).then_some(contended)
}

fn call_site(caller: &str) -> Option<&'static str> {
    let holds = |(name, held): &&(&str, &[&str])| *name == caller || held.contains(&caller);
    CALL_SITES.iter().find(holds).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_call_site() {
        let names = CALL_SITES.iter().flat_map(|(name, held)| held.iter().chain([name]));
        let mut names: Vec<_> = names.collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn an_untraced_cell_has_counted_nothing() {
        let mut cell = crate::example::cell();
        cell.sites.clear();
        let why = Counter::Unsupported { unsupported: "not traced".into() };
        cell.counters.insert("lock:contention_begin".into(), why);
        assert!(contended(&cell).is_none());
        cell.counts.insert("slowpath:cluster_swap_free_nr".into(), 3);
        cell.counts.insert("slowpath:zs_malloc".into(), 2);
        let contended = contended(&cell).unwrap();
        assert_eq!(contended.here, BTreeMap::from([("swap_free_nr".into(), 3)]));
        assert_eq!(contended.elsewhere, 2);
    }

    #[test]
    fn a_site_of_the_model_alone_keeps_its_name() {
        let mut cell = crate::example::cell();
        let site = cell.sites[0].clone();
        let at = |lock: &str, caller: &str| crate::schema::Site {
            lock: lock.into(),
            caller: caller.into(),
            acquisitions: Some(70),
            contended: 7,
            ..site.clone()
        };
        cell.sites = vec![at("si->lock", "my_new_scheme"), at(PTL, "do_swap_page")];
        let contended = contended(&cell).unwrap();
        assert_eq!(contended.here, BTreeMap::from([("my_new_scheme".into(), 7)]));
        assert_eq!(contended.elsewhere, 7);
    }
}
