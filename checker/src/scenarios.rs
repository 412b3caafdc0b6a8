//! The scenarios, as data. Guards that each one is small enough to be explored within its bound.

use crate::scenario::{Act, Scenario};
use variants::{DeviceSpec, FailedTables, Prices, SlotCacheSpec, Spec};

/// Clusters of 4 slots, orders 0 and 1, no slot cache; slot 0 is the header.
fn small(devices: &[u32]) -> Spec {
    Spec {
        devices: devices.iter().map(|&slots| DeviceSpec::new(slots)).collect(),
        cluster_slots: 4,
        orders: 2,
        cluster_cols: 1,
        slot_cache: SlotCacheSpec { size: 2, activate: 1_000, deactivate: 0 },
        discard_ns: 0,
        prices: Prices::default(),
        swap_max: Spec::default().swap_max,
        owners: 3,
        pages_per_owner: 3,
        unuse_passes: 12,
        failed_tables: None,
        masks: false,
    }
}

fn two_clusters() -> Spec {
    small(&[8])
}

fn one_cluster() -> Spec {
    small(&[4])
}

/// Half of the second cluster is beyond the device's end.
fn odd_end() -> Spec {
    small(&[6])
}

fn two_devices() -> Spec {
    small(&[4, 4])
}

fn discarding() -> Spec {
    let mut spec = small(&[8]);
    spec.devices[0].discard = true;
    spec
}

fn shrinking() -> Spec {
    let mut spec = small(&[8]);
    spec.devices[0].later_slots = Some(4);
    spec
}

fn limited() -> Spec {
    Spec { swap_max: 1, ..small(&[8]) }
}

/// CPU 0 gets the memory of a swap table by sleeping alone.
fn low_memory() -> Spec {
    Spec { failed_tables: Some(FailedTables { cpu: 0, sleeping: false }), ..small(&[8]) }
}

/// CPU 0 gets no memory for memcg_table, even if it sleeps.
fn no_memory() -> Spec {
    Spec { failed_tables: Some(FailedTables { cpu: 0, sleeping: true }), ..small(&[8]) }
}

fn slot_caches() -> Spec {
    let mut spec = small(&[8]);
    spec.slot_cache.activate = 1;
    spec
}

const fn out(owner: usize, page: usize) -> Act {
    Act::Out { owner, page, order: 0, keep: false }
}

/// An order-1 folio: it gets a cluster of its own, the second one of [`two_clusters`].
const fn large(owner: usize) -> Act {
    Act::Out { owner, page: 0, order: 1, keep: false }
}

const fn zap(owner: usize, page: usize) -> Act {
    Act::Zap { owner, page, nr: 1 }
}

/// Fills seven slots; their folios stay in the swap cache.
const FILL: &[Act] =
    &[kept(0, 0), kept(0, 1), kept(0, 2), kept(1, 0), kept(1, 1), kept(1, 2), kept(2, 0)];

/// A full cluster of two order-1 folios, one of which only the swap cache holds: an
/// order-1 allocation has to reclaim it.
const CACHED: &[Act] = &[
    Act::Out { owner: 0, page: 0, order: 1, keep: true },
    Act::Out { owner: 1, page: 0, order: 1, keep: false },
    Act::In { owner: 0, page: 0, keep: true },
    Act::In { owner: 0, page: 1, keep: true },
];

/// Empties a cluster in which this CPU then goes on to allocate, if it may.
const EMPTIES: &[Act] = &[large(1), Act::Zap { owner: 1, page: 0, nr: 2 }, large(1)];

const fn kept(owner: usize, page: usize) -> Act {
    Act::Out { owner, page, order: 0, keep: true }
}

const fn fork(parent: usize, child: usize) -> Act {
    Act::Fork { parent, child, page: 0 }
}

/// The page fault that reads a page which another CPU brings in or frees.
const FAULT_IN: Act = Act::In { owner: 0, page: 0, keep: false };

const OFF: Act = Act::Swapoff { dev: 0 };
const ON: Act = Act::Swapon { dev: 0 };

/// Every variant is explored in each.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "alloc",
        spec: two_clusters,
        before: &[],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "free",
        spec: two_clusters,
        before: &[out(0, 0), out(0, 1)],
        cpus: &[("swapoff", &[OFF]), ("freer", &[Act::Zap { owner: 0, page: 0, nr: 2 }])],
        bound: Some(2),
    },
    Scenario {
        name: "getter",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[("swapoff", &[OFF]), ("getter", &[Act::Look { dev: 0 }])],
        bound: Some(2),
    },
    Scenario {
        name: "fault-in",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[("swapoff", &[OFF]), ("page fault", &[FAULT_IN])],
        bound: Some(2),
    },
    Scenario {
        name: "off-on",
        spec: one_cluster,
        before: &[out(1, 0)],
        cpus: &[("swapoff, swapon", &[OFF, ON]), ("allocator", &[out(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "full-device",
        spec: one_cluster,
        before: &[out(0, 0), out(0, 1), out(0, 2)],
        cpus: &[("swapoff", &[OFF]), ("freer", &[zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "last-slot",
        spec: one_cluster,
        before: &[out(0, 0), out(0, 1)],
        cpus: &[("allocator", &[out(1, 0)]), ("allocator", &[out(1, 1)])],
        bound: Some(2),
    },
    Scenario {
        name: "alloc-free",
        spec: one_cluster,
        before: &[out(0, 0), out(0, 1), out(0, 2)],
        cpus: &[("freer", &[zap(0, 0)]), ("allocator", &[out(1, 1)])],
        bound: Some(2),
    },
    Scenario {
        name: "two-orders",
        spec: two_clusters,
        before: &[],
        cpus: &[("order 0", &[out(0, 0), zap(0, 0)]), ("order 1", &[large(1)])],
        bound: Some(2),
    },
    Scenario {
        name: "again",
        spec: two_clusters,
        before: &[],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(0, 0), zap(0, 0), out(0, 1)])],
        bound: Some(1),
    },
    Scenario {
        name: "reclaim",
        spec: two_clusters,
        before: FILL,
        cpus: &[("reclaim worker", &[Act::Work]), ("freer", &[zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "scan-reclaim",
        spec: two_clusters,
        before: CACHED,
        cpus: &[
            ("swapoff", &[OFF]),
            ("allocator", &[Act::Out { owner: 2, page: 1, order: 1, keep: false }]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "shrink",
        spec: shrinking,
        before: &[out(1, 0), out(1, 1), out(1, 2)],
        cpus: &[("allocator", &[out(0, 0), out(0, 1)]), ("swapoff, swapon", &[OFF, ON])],
        bound: Some(1),
    },
    Scenario {
        name: "shrink-empty",
        spec: shrinking,
        before: &[],
        cpus: &[("allocator", &[out(0, 0), out(0, 1)]), ("swapoff, swapon", &[OFF, ON])],
        bound: Some(1),
    },
    Scenario {
        name: "limit",
        spec: limited,
        before: &[],
        cpus: &[("allocator", &[out(0, 0), out(0, 1)])],
        bound: Some(0),
    },
    Scenario {
        name: "full-discard",
        spec: discarding,
        before: FILL,
        cpus: &[
            ("freer", &[Act::Zap { owner: 1, page: 0, nr: 3 }, zap(2, 0), Act::Work]),
            ("allocator", &[out(2, 1)]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "fill",
        spec: two_clusters,
        before: &[],
        cpus: &[("allocator", FILL)],
        bound: Some(0),
    },
    Scenario {
        name: "steal",
        spec: odd_end,
        before: &[large(2), out(0, 0), out(0, 1)],
        cpus: &[("allocator", &[out(0, 2)]), ("freer", &[zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "steal-off",
        spec: two_clusters,
        before: &[large(2), out(0, 0), out(0, 1), out(0, 2)],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(1, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "discard",
        spec: discarding,
        before: &[out(0, 0)],
        cpus: &[("freer, worker", &[zap(0, 0), Act::Work]), ("allocator", &[out(1, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "flush",
        spec: discarding,
        before: &[out(0, 0)],
        cpus: &[("swapoff", &[OFF]), ("freer, worker", &[zap(0, 0), Act::Work])],
        bound: Some(2),
    },
    Scenario {
        name: "two-devices",
        spec: two_devices,
        before: &[],
        cpus: &[("swapoff", &[OFF, Act::Swapoff { dev: 1 }]), ("allocator", &[out(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "continued",
        spec: two_clusters,
        before: &[out(0, 0), fork(0, 1)],
        cpus: &[("swapoff", &[OFF]), ("fork", &[fork(0, 2)])],
        bound: Some(2),
    },
    Scenario {
        name: "extend",
        spec: two_clusters,
        before: &[out(0, 0), fork(0, 1), out(1, 1), Act::Fork { parent: 1, child: 0, page: 1 }],
        cpus: &[("fork", &[fork(0, 2)]), ("fork", &[Act::Fork { parent: 1, child: 2, page: 1 }])],
        bound: Some(2),
    },
    Scenario {
        name: "populate",
        spec: low_memory,
        before: &[],
        cpus: &[("allocator, low memory", &[large(0)]), ("allocator", EMPTIES)],
        bound: Some(2),
    },
    Scenario {
        name: "populate-fails",
        spec: no_memory,
        before: &[],
        cpus: &[("allocator, no memory", &[large(0)]), ("allocator", EMPTIES)],
        bound: Some(2),
    },
    Scenario {
        name: "populate-off",
        spec: low_memory,
        before: &[],
        cpus: &[("allocator, low memory", &[large(0)]), ("swapoff", &[OFF])],
        bound: Some(2),
    },
    Scenario {
        name: "table-ends",
        spec: two_clusters,
        before: &[large(0)],
        cpus: &[("freer", &[Act::Zap { owner: 0, page: 0, nr: 2 }]), ("page fault", &[FAULT_IN])],
        bound: Some(2),
    },
    Scenario {
        name: "folio-reused",
        spec: two_clusters,
        before: &[kept(0, 0)],
        cpus: &[
            ("page fault", &[FAULT_IN]),
            (
                "page fault, allocator",
                &[FAULT_IN, Act::Out { owner: 1, page: 0, order: 1, keep: true }],
            ),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "slot-reused",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[("page fault", &[FAULT_IN]), ("page fault, allocator", &[FAULT_IN, out(1, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "hibernate",
        spec: two_clusters,
        before: &[],
        cpus: &[
            ("hibernation", &[Act::Hibernate { dev: 0 }]),
            ("readahead", &[Act::ReadSlot { dev: 0, slot: 1 }]),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "hibernate-off",
        spec: two_clusters,
        before: &[],
        cpus: &[("hibernation", &[Act::Hibernate { dev: 0 }]), ("swapoff", &[OFF])],
        bound: Some(2),
    },
    Scenario {
        name: "alloc-kept",
        spec: two_clusters,
        before: &[],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[kept(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "readahead",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[("swapoff", &[OFF]), ("readahead", &[Act::ReadPage { owner: 0, page: 0 }])],
        bound: Some(2),
    },
    Scenario {
        name: "slot-cache",
        spec: slot_caches,
        before: &[],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "crowd",
        spec: two_clusters,
        before: &[out(1, 0)],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(0, 0)]), ("freer", &[zap(1, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "storm",
        spec: slot_caches,
        before: &[kept(1, 0), kept(1, 1), out(2, 1)],
        cpus: &[
            ("swapoff, swapon", &[OFF, ON, OFF]),
            ("order 0", &[out(0, 0), fork(0, 2), zap(0, 0), out(0, 0)]),
            ("order 1", &[Act::Out { owner: 0, page: 1, order: 1, keep: true }]),
            ("getter, workers", &[Act::Look { dev: 0 }, Act::Work]),
            ("freer", &[zap(1, 0), Act::In { owner: 1, page: 1, keep: false }]),
        ],
        bound: None,
    },
];
