//! Contended acquisitions of a cell by call site, under names that model and kernel share. Guards
//! the comparison: a name on either side that is in no list is not silently dropped.

use std::collections::BTreeMap;

use crate::kernel::call_site;
use crate::schema::{Cell, Counter};

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

/// The contended acquisitions of a cell; `None` where it could not or did not count them.
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

#[cfg(test)]
mod tests {
    use super::*;

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
