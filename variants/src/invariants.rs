//! The invariants that hold at rest, when no CPU is inside the allocator; they are read by peek.
//! docs/catalogue.md lists them all. Here: I4 inuse_pages, I5 cluster counts, I6 list
//! conservation, I7 flags against counts, I8 the order of clusters, I9 avail membership, I10 nr_swap_pages,
//! I11 slot caches, I19 pending discards, I20 leaks, and of swap tables I13 against flags, I16 against
//! folios and I17 against extend_table.

use crate::cluster_info::ClusterList;
use crate::device::{Base, DISCARD_WORK, Device, SWP_WRITEOK};
use crate::entry::SwpEntry;
use crate::swap_map::{BAD, COUNT_CONTINUED, HAS_CACHE};
use machine::{Atomic, Machine, Plain};

/// How a scheme's state at rest differs from that of other schemes.
pub struct Rules<'a> {
    /// The bit of inuse_pages that says "off the avail list", where there is one.
    pub offlist: Option<u64>,
    /// Whether si->frag_cluster_nr is kept.
    pub counts_frag: bool,
    /// Whether a cluster may serve several orders (until 6.13).
    pub mixes_orders: bool,
    /// Slots hidden in slot caches.
    pub cached: &'a [SwpEntry],
    /// How many swapoffs keep the slot caches empty.
    pub caches_disabled: u32,
    /// An entry in use points to a slot of a layer above the devices, which has the folio.
    pub pointers: bool,
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

/// Checks all of them.
///
/// # Errors
/// The first broken one, in words.
pub fn at_rest<M: Machine>(base: &Base<M>, rules: &Rules) -> Result<(), String> {
    let mut free = 0;
    for dev in &base.devices {
        let on = dev.si().flags.peek() & SWP_WRITEOK != 0;
        ensure!(on || !base.avail.peek(dev.index), "I9: a device that is off is on the avail list");
        if on {
            let inuse = in_use(dev, rules.offlist.unwrap_or(0))?;
            clusters(dev)?;
            tables(dev, rules.pointers)?;
            discards(dev)?;
            lists(dev, rules.counts_frag)?;
            folios(dev, rules)?;
            let users = dev.users.peek();
            ensure!(users == 1, "I20: a device that is on has {users} references at rest");
            avail(base, dev, rules.offlist, inuse)?;
            free += dev.stats().pages as i64 - inuse as i64;
        } else {
            ensure!(!dev.conts.any(), "continuation pages leaked by swapoff");
        }
    }
    let disabled = rules.caches_disabled;
    ensure!(disabled == 0, "I20: the slot caches stay off, for {disabled} swapoffs that are over");
    let nr = base.avail.peek_pages();
    ensure!(nr == free, "I10: nr_swap_pages is {nr}, but {free} slots are free");
    cached(base, rules.cached)
}

/// I4: inuse_pages is the number of used bytes.
fn in_use<M: Machine>(dev: &Device<M>, offlist: u64) -> Result<u64, String> {
    let inuse = dev.si().inuse_pages.peek() & !offlist;
    let real = dev.bytes_at_rest(0, dev.stats().pages as u32 + 1);
    let used = real.filter(|byte| !matches!(byte.peek(), 0 | BAD)).count() as u64;
    ensure!(inuse == used, "I4: inuse_pages is {inuse}, but {used} slots are in use");
    Ok(inuse)
}

/// I5 and I7: each cluster's count is that of its used bytes and fits its flag.
fn clusters<M: Machine>(dev: &Device<M>) -> Result<(), String> {
    for (i, cluster) in dev.clusters_at_rest().enumerate() {
        ensure!(!cluster.lock.peek_locked(), "ci->lock of cluster {i} is held at rest");
        let (count, list) = (u32::from(cluster.count.peek()), cluster.peek_list());
        let bytes = dev.bytes_at_rest(dev.start_of(i), dev.start_of(i + 1));
        let nonzero = bytes.filter(|byte| byte.peek() != 0).count() as u32;
        let Some(list) = list else { return Err(format!("I6: cluster {i} is on no list")) };
        let fits = match list {
            ClusterList::Discard => {
                ensure!(count == 0, "I5: cluster {i} waits for its discard with count {count}");
                continue;
            }
            ClusterList::Free => count == 0,
            ClusterList::Full => count == dev.cluster_slots,
            ClusterList::Nonfull | ClusterList::Frag => count < dev.cluster_slots,
        };
        ensure!(count == nonzero, "I5: cluster {i} counts {count}, {nonzero} slots are in use");
        ensure!(fits, "I7: cluster {i} has flag {list:?} and count {count}");
    }
    Ok(())
}

/// I13, I16 and I17, of a scheme with swap tables.
fn tables<M: Machine>(dev: &Device<M>, pointers: bool) -> Result<(), String> {
    for (i, cluster) in dev.clusters_at_rest().enumerate() {
        let Some(table) = dev.peek_table(i) else { return Ok(()) };
        let (list, there) = (cluster.peek_list(), if table { "there" } else { "not there" });
        let wanted = list != Some(ClusterList::Free);
        ensure!(table == wanted, "I13: cluster {i} has flag {list:?}, and its table is {there}");
        let (from, end) = (dev.start_of(i), dev.start_of(i + 1));
        for (slot, entry) in (from..end).zip(dev.bytes_at_rest(from, end)) {
            let (entry, folio) = (entry.peek(), dev.folios.peek(slot).is_some());
            let cached = entry & HAS_CACHE != 0;
            ensure!(
                pointers || cached == folio,
                "I16: slot {slot} has a folio: {folio}, in its entry: {cached}"
            );
            let more = dev.extends.peek(i, (slot - from) as usize);
            let continued = entry & COUNT_CONTINUED != 0;
            ensure!(
                continued == (more > 0),
                "I17: slot {slot} has {more} users in extend_table; its entry looks there: {continued}"
            );
        }
    }
    let (counted, there) = dev.tables_now();
    ensure!(counted == there, "I13: {there} tables are there, {counted} are counted");
    Ok(())
}

/// I6: every cluster is on exactly the list that its flag names, and the frag lists are as long as counted.
fn lists<M: Machine>(dev: &Device<M>, counts_frag: bool) -> Result<(), String> {
    let (all, clusters) = (dev.raw_clusters(), dev.clusters_at_rest().len());
    let mut seen = vec![0; clusters];
    for list in ClusterList::ALL {
        for order in 0..if list.by_order() { dev.orders() } else { 1 } {
            for i in dev.si().list(list, order).peek(all) {
                let (own, own_order) = (all[i].peek_list(), usize::from(all[i].order.peek()));
                ensure!(
                    own == Some(list) && (!list.by_order() || own_order == order),
                    "I6: cluster {i} (flag {own:?}, order {own_order}) is on {list:?}, order {order}"
                );
                seen[i] += 1;
            }
        }
    }
    if let Some(i) = seen.iter().position(|&lists| lists != 1) {
        return Err(format!("I6: cluster {i} is on {} lists", seen[i]));
    }
    for order in 0..if counts_frag { dev.orders() } else { 0 } {
        let counted = dev.si().frag_cluster_nr[order].peek() as usize;
        let there = dev.si().list(ClusterList::Frag, order).peek(all).len();
        ensure!(
            counted == there,
            "I6: frag_cluster_nr of order {order} is {counted}, and {there} clusters are on the list"
        );
    }
    Ok(())
}

/// I19: clusters that wait for their discard have a work queued.
fn discards<M: Machine>(dev: &Device<M>) -> Result<(), String> {
    let waiting = dev.stats().discard;
    let queued = dev.peek_work() & DISCARD_WORK != 0;
    ensure!(
        waiting == 0 || queued,
        "I19: {waiting} clusters wait for a discard that is not queued"
    );
    Ok(())
}

/// I8 and I20: no folio is locked, a large one is in a cluster of its order, and a slot of swap_map has
/// SWAP_HAS_CACHE if and only if it has a folio or is in a slot cache.
fn folios<M: Machine>(dev: &Device<M>, rules: &Rules) -> Result<(), String> {
    let end = dev.stats().pages as u32 + 1;
    for (slot, byte) in (1..end).zip(dev.bytes_at_rest(1, end)) {
        ensure!(!dev.folios.peek_locked(slot), "I20: the folio of slot {slot} is locked at rest");
        let (folio, byte) = (dev.folios.peek(slot), byte.peek());
        let index = dev.cluster_of(slot);
        let of = dev.raw_clusters()[index].order.peek();
        ensure!(
            rules.mixes_orders || folio.is_none_or(|order| order == 0 || order == usize::from(of)),
            "I8: slot {slot} has a folio of order {folio:?}, in cluster {index}, which is of order {of}"
        );
        let held = folio.is_some() || rules.cached.contains(&SwpEntry::new(dev.index, slot));
        let cached = byte != BAD && byte & HAS_CACHE != 0;
        ensure!(
            rules.pointers || cached == held,
            "I20: slot {slot} has SWAP_HAS_CACHE: {cached}, and a folio or a place in a slot cache: {held}"
        );
    }
    Ok(())
}

/// I9 for a device that is on.
fn avail<M: Machine>(
    base: &Base<M>,
    dev: &Device<M>,
    offlist: Option<u64>,
    inuse: u64,
) -> Result<(), String> {
    let pages = dev.stats().pages;
    let (listed, room) = (base.avail.peek(dev.index), inuse < pages);
    ensure!(listed == room, "I9: {inuse} of {pages} pages in use, on the avail list: {listed}");
    let marked = offlist.is_some_and(|bit| dev.si().inuse_pages.peek() & bit != 0);
    ensure!(offlist.is_none() || listed != marked, "I9: OFFLIST is {marked}, listed {listed}");
    Ok(())
}

/// I11: a slot in a cache is allocated, once, and has no user.
fn cached<M: Machine>(base: &Base<M>, cached: &[SwpEntry]) -> Result<(), String> {
    let mut sorted = cached.to_vec();
    sorted.sort();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(twice.is_none(), "I11: {:?} is in the slot caches twice", twice.unwrap());
    for entry in sorted {
        let usage = base.devices[entry.dev()].usage(entry.offset());
        ensure!(
            usage == (0, true),
            "I11: {entry:?} is in a slot cache with users, cached {usage:?}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_info::ClusterInfo;
    use crate::device::offlist;
    use crate::percluster::PerCluster;
    use crate::percpu_cluster::SwapTable;
    use crate::{DeviceSpec, Folio, Prices, SlotCacheSpec, Spec, Swap, SwapAllocator};
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    type M = Native<Tas, false>;
    type State = Base<M>;
    type Harm = fn(&State);

    fn spec() -> Spec {
        Spec {
            devices: vec![DeviceSpec::new(32)],
            cluster_slots: 8,
            orders: 2,
            cluster_cols: 2,
            slot_cache: SlotCacheSpec { size: 4, activate: 10, deactivate: 4 },
            swap_max: u64::MAX,
            discard_ns: 0,
            prices: Prices::default(),
            owners: 1,
            pages_per_owner: 24,
            unuse_passes: 1,
            failed_tables: None,
            masks: false,
        }
    }

    /// What validate() returns after `harm` to a device with three pages swapped out and more slots
    /// in the slot cache.
    fn after<A: SwapAllocator<M>>(harm: Harm) -> Result<(), String> {
        let run = M::run(
            &Config::untimed(1),
            |cpu| Swap::<M, A>::new(&spec(), cpu),
            move |swap, cpu| {
                assert!(swap.swapon(cpu, 0));
                assert!((0..3).all(|page| swap.swap_out(cpu, 0, page, 0, Folio::Drop)));
                harm(swap.alloc.base());
                swap.alloc.validate()
            },
            |_, _| (),
        );
        run.expect("a run of one worker").workers.remove(0)
    }

    fn first(state: &State) -> &ClusterInfo<M> {
        &state.devices[0].raw_clusters()[0]
    }

    /// Overwrites the last byte that is `was`, and leaves all counts as they were.
    fn retype(state: &State, was: u8, byte: u8) {
        let dev = &state.devices[0];
        let all = dev.bytes_at_rest(0, dev.spec.slots);
        let slot = all.filter(|slot| slot.peek() == was).last().expect("such a slot");
        Atomic::store(slot, byte);
    }

    #[test]
    fn each_can_fail() {
        after::<PerCluster<M>>(|_| ()).expect("a sound device");
        let harms: [(&str, Harm); 12] = [
            ("I4", |state| retype(state, 0, 1)),
            ("I5", |state| first(state).count.set(first(state).count.peek() - 1)),
            ("I6", |state| first(state).order.set(1)),
            ("I7", |state| first(state).set_list(Some(ClusterList::Full))),
            ("I9", |state| {
                Atomic::fetch_or(&state.devices[0].si().inuse_pages, offlist::<M>());
            }),
            ("I10", |state| state.avail.add_pages(1)),
            ("I11", |state| retype(state, HAS_CACHE, HAS_CACHE | 1)),
            ("I6", |state| {
                Atomic::fetch_add(&state.devices[0].si().frag_cluster_nr[1], 1);
            }),
            ("I19", |state| {
                state.devices[0].raw_clusters()[3].set_list(Some(ClusterList::Discard));
            }),
            ("I8", |state| {
                let folios = &state.devices[0].folios;
                folios.unlock(folios.add(2, 1));
            }),
            ("I20", |state| state.devices[0].users.kill()),
            ("I20", |state| _ = state.devices[0].folios.add(1, 0)),
        ];
        for (name, harm) in harms {
            let broken = after::<PerCluster<M>>(harm).expect_err(name);
            assert!(broken.starts_with(&format!("{name}:")), "{name}: {broken}");
        }
    }

    #[test]
    fn a_table_that_fits_nothing_is_found() {
        after::<SwapTable<M>>(|_| ()).expect("a sound device");
        // Cluster 0 has the header and three shadows, and the last one is free.
        let harms: [(&str, Harm); 5] = [
            ("I13", |state| Atomic::store(&state.devices[0].clusters().tabled(0).table, 0)),
            ("I13", |state| Atomic::store(&state.devices[0].clusters().tabled(3).table, 1)),
            ("I16", |state| retype(state, 1, HAS_CACHE | 1)),
            ("I16", |state| state.devices[0].folios.unlock(state.devices[0].folios.add(1, 0))),
            ("I17", |state| retype(state, 1, COUNT_CONTINUED)),
        ];
        for (name, harm) in harms {
            let broken = after::<SwapTable<M>>(harm).expect_err(name);
            assert!(broken.starts_with(&format!("{name}:")), "{name}: {broken}");
        }
    }
}
