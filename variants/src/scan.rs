//! Which cluster an allocation takes when the current one gives nothing, in schemes whose
//! outermost lock is ci->lock: the order of 6.14 .. 6.17 and that of 6.18 on.
//! Kernel: cluster_alloc_swap_entry() from its label new_cluster on.

use crate::cluster::{CiFirst, Policy};
use crate::device::{Device, FRAG, FREE, NONFULL};
use machine::{Atomic, Machine};

/// A free cluster, then nonfull and fragmented ones, then what discards give back, then,
/// for order 0, other orders'. The slot found, or 0.
pub fn free_first<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> u32 {
    M::enter("cluster_alloc_swap_entry");
    loop {
        let mut found = from_list(core, cpu, dev, (FREE, 0), order, 1);
        if found != 0 {
            return found;
        }
        if core.base.avail.full() {
            core.reclaim_full(cpu, dev, 1);
        }
        if below_pmd(dev, order) {
            found = fragmented(core, cpu, dev, order);
        }
        if found != 0 {
            return found;
        }
        if !dev.spec.discard || !core.do_discards(cpu, dev) {
            break;
        }
    }
    if order == 0 { steal(core, cpu, dev) } else { 0 }
}

/// All nonfull clusters of the order, then its fragmented ones: as many in total as
/// there are of the latter.
fn fragmented<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> u32 {
    let mut visits = 0;
    while let Some(nonfull) = core.isolate(cpu, dev, NONFULL, order) {
        let found = core.alloc_isolated(cpu, dev, nonfull, order);
        if found != 0 {
            return found;
        }
        visits += 1;
    }
    while visits < dev.si().frag_cluster_nr[order].load()
        && let Some(frag) = core.isolate_frag(cpu, dev, order)
    {
        let found = core.alloc_isolated(cpu, dev, frag, order);
        if found != 0 {
            return found;
        }
        visits += 1;
    }
    0
}

/// Nonfull clusters, then a free one, which thereby stay free for large folios; then one
/// fragmented cluster, then, for order 0, other orders'. With discard a fresh cluster is
/// better than one that has been written to, and comes first. The slot found, or 0.
pub fn nonfull_first<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> u32 {
    M::enter("cluster_alloc_swap_entry");
    let free = || from_list(core, cpu, dev, (FREE, 0), order, 1);
    let of_order = |list, most| match below_pmd(dev, order) {
        true => from_list(core, cpu, dev, (list, order), order, most),
        false => 0,
    };
    let mut found = 0;
    if dev.spec.discard {
        found = free();
    }
    if found == 0 {
        found = of_order(NONFULL, u32::MAX);
    }
    if found == 0 && !dev.spec.discard {
        found = free();
    }
    if found == 0 && core.base.avail.full() {
        core.reclaim_full(cpu, dev, 1);
    }
    if found == 0 {
        found = of_order(FRAG, 1);
    }
    if found == 0 && order == 0 {
        found = steal(core, cpu, dev);
    }
    found
}

fn below_pmd<M: Machine>(dev: &Device<M>, order: usize) -> bool {
    1 << order < dev.cluster_slots
}

/// Order 0 may take any free slot, of clusters of other orders too.
fn steal<M: Machine, P: Policy<M>>(core: &CiFirst<M, P>, cpu: &M::Cpu, dev: &Device<M>) -> u32 {
    for of in 1..dev.orders() {
        for list in [FRAG, NONFULL] {
            let found = from_list(core, cpu, dev, (list, of), 0, u32::MAX);
            if found != 0 {
                return found;
            }
        }
    }
    0
}

/// Isolates up to `most` clusters of a list, one after the other, until one has room.
fn from_list<M: Machine, P: Policy<M>>(
    core: &CiFirst<M, P>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    (list, of): (u8, usize),
    order: usize,
    most: u32,
) -> u32 {
    for _ in 0..most {
        let isolated = match list {
            FRAG => core.isolate_frag(cpu, dev, of),
            _ => core.isolate(cpu, dev, list, of),
        };
        let Some(cluster) = isolated else { return 0 };
        let found = core.alloc_isolated(cpu, dev, cluster, order);
        if found != 0 {
            return found;
        }
    }
    0
}
