//! The documented lock order of each scheme. Guards that there is one table of it: the tests here
//! and those of the workloads (bench-harness/tests/workloads.rs) hold what was learnt against it.
//! Locks of the neighbours (variants/src/neighbours.rs) are last.

use std::collections::BTreeSet;

const ALLOC: &str = "slot cache alloc_lock";
const FREE: &str = "slot cache free_lock";
const PTL: &str = "ptl";
const SWAP: &str = "swap_lock";
const SI: &str = "si->lock";
const CI: &str = "ci->lock";
const AVAIL: &str = "swap_avail_lock";
const CONT: &str = "cont_lock";
const XA: &str = "xa_lock";
const LRU: &str = "list_lru";
const CLASS: &str = "class->lock";
const CTRL: &str = "ctrl->lock";
const LAYER_CI: &str = "vswap ci->lock";
const LAYER_SI: &str = "vswap si->lock";

/// Chains of locks, outermost first: a lock may be taken inside each that comes before it on a path
/// through the chains, and every step of a chain does occur. `None` for a variant without a row.
/// Source: mm/swapfile.c and mm/swap_slots.c of the kernels named.
pub fn documented(variant: &str) -> Option<&'static [&'static [&'static str]]> {
    Some(match variant {
        // 6.12's without ci->lock.
        "global" => &[
            &[SWAP, SI, AVAIL],
            &[PTL, FREE, SI, CONT],
            &[ALLOC, SI],
            &[SI, XA, LRU],
            &[SI, CLASS],
            &[SI, CTRL],
        ],
        // 6.12: a second lock for a cluster's slots, inside si->lock.
        "scanning" | "scanning-ref" => &[
            &[SWAP, SI, CI, AVAIL],
            &[PTL, FREE, SI, CI, CONT],
            &[ALLOC, SI],
            &[SI, XA, LRU],
            &[SI, CLASS],
            &[SI, CTRL],
        ],
        // 6.14: the other way round.
        "percluster" | "percluster-rcu" | "percluster-second-ref" => {
            &[&[SWAP, SI, AVAIL], &[PTL, CI, SI], &[ALLOC, CI, CONT], &[CI, XA, LRU], &[CI, CLASS]]
        }
        // 6.15 on: no slot cache.
        "percpu-free-first" => {
            &[&[SWAP, SI, AVAIL], &[PTL, CI, SI], &[CI, CONT], &[CI, XA, LRU], &[CI, CLASS]]
        }
        // 6.18: the swap table, which ci->lock guards, took the XArray's place.
        "percpu-cluster" => &[&[SWAP, SI, AVAIL], &[PTL, CI, SI], &[CI, CONT], &[CI, CLASS]],
        // 7.0: counts beyond an entry's are in a table that ci->lock guards too.
        "swap-table-early" | "swap-table" | "per-device-table" => {
            &[&[SWAP, SI, AVAIL], &[PTL, CI, SI], &[CI, CLASS]]
        }
        // The layer's locks are outside those of the devices. A cluster of the layer ends inside its lock.
        "vswap" => &[
            &[SWAP, SI, AVAIL],
            &[PTL, LAYER_CI, CI, SI],
            &[LAYER_CI, LAYER_SI],
            &[LAYER_CI, XA],
            &[CI, CLASS],
        ],
        _ => return None,
    })
}

/// Every "outer > inner" that the chains allow.
pub fn allowed(chains: &[&[&str]]) -> BTreeSet<String> {
    let mut pairs: BTreeSet<(&str, &str)> =
        chains.iter().flat_map(|chain| chain.windows(2).map(|w| (w[0], w[1]))).collect();
    loop {
        let through = |&(a, b): &(_, _)| {
            pairs.iter().filter(move |(c, _)| *c == b).map(move |&(_, d)| (a, d))
        };
        let longer: BTreeSet<_> = pairs.iter().flat_map(through).collect();
        if longer.is_subset(&pairs) {
            return pairs.iter().map(|(a, b)| format!("{a} > {b}")).collect();
        }
        pairs.extend(longer);
    }
}
