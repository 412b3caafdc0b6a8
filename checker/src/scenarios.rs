//! The scenarios, as data. Guards that each one is small enough to be explored within its bound.

use crate::scenario::{Act, Scenario};
use variants::{DeviceSpec, FailedTables, Prices, SlotCacheSpec, Spec, UnuseMeets};

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

/// Slot caches that are emptied when fewer than four slots per CPU are free.
fn short_of_slots() -> Spec {
    let mut spec = slot_caches();
    spec.slot_cache.deactivate = 2;
    spec
}

fn long_tables() -> Spec {
    Spec { pages_per_owner: 8, ..small(&[8]) }
}

/// Everything at once: slot caches, discards, and orders 0 and 1 on two devices.
fn busy() -> Spec {
    let mut spec = small(&[8, 4]);
    spec.slot_cache.activate = 1;
    spec.devices[0].discard = true;
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

/// munmap of both pages of [`large`].
const fn zap_large(owner: usize) -> Act {
    Act::Zap { owner, page: 0, nr: 2 }
}

const fn fails(meets: UnuseMeets) -> Act {
    Act::SwapoffFails { dev: 0, meets }
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

/// What the order-1 allocation is that has to reclaim it.
const RECLAIMS: Act = Act::Out { owner: 2, page: 1, order: 1, keep: false };

/// An order-1 folio in the swap cache, the second slot of which has no user any more.
const PARTLY_CACHED: &[Act] = &[Act::Out { owner: 0, page: 0, order: 1, keep: true }, zap(0, 1)];

/// Empties a cluster in which this CPU then goes on to allocate, if it may.
const EMPTIES: &[Act] = &[large(1), Act::Zap { owner: 1, page: 0, nr: 2 }, large(1)];

const fn kept(owner: usize, page: usize) -> Act {
    Act::Out { owner, page, order: 0, keep: true }
}

const fn fork(parent: usize, child: usize) -> Act {
    Act::Fork { parent, child, page: 0 }
}

/// Six of seven slots.
const SIX: &[Act] = &[out(0, 0), out(0, 1), out(0, 2), out(1, 0), out(1, 1), out(1, 2)];

/// Fills the device so that pages 0 to 6 have slots 1 to 7 where free clusters are taken first, and pages 3
/// to 6 slots 1 to 4 where nonfull ones are: a run of slots goes from one cluster into the next.
const CROSSING: &[Act] =
    &[out(0, 3), out(0, 4), out(0, 5), out(0, 6), out(0, 0), out(0, 1), out(0, 2)];

/// Takes the last slot of either cluster with a hole before it, and goes on.
const HOLES: &[Act] = &[
    out(0, 0),
    out(0, 1),
    out(0, 2),
    zap(0, 1),
    out(1, 0),
    out(1, 1),
    out(1, 2),
    zap(1, 1),
    out(2, 0),
    out(2, 1),
    out(2, 2),
    out(0, 1),
];

/// The page fault that reads a page which another CPU brings in or frees.
const FAULT_IN: Act = Act::In { owner: 0, page: 0, keep: false };

const OFF: Act = Act::Swapoff { dev: 0 };
const ON: Act = Act::Swapon { dev: 0 };
const TRY_OFF: Act = Act::TrySwapoff { dev: 0 };
const TRY_ON: Act = Act::TrySwapon { dev: 0 };

/// Every variant is explored in each.
pub const SCENARIOS: &[Scenario] = &[
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
        cpus: &[("swapoff", &[OFF]), ("allocator", &[RECLAIMS])],
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
        name: "reclaim-populate",
        spec: low_memory,
        before: &[
            Act::Out { owner: 0, page: 0, order: 1, keep: true },
            out(1, 0),
            out(1, 1),
            out(1, 2),
            Act::In { owner: 0, page: 0, keep: true },
            Act::In { owner: 0, page: 1, keep: true },
        ],
        cpus: &[("order 0, low memory", &[out(2, 0)]), ("order 1", &[large(0), out(2, 1)])],
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
    // Peers other than swapoff: one CPU drops a lock on its way, and another one allocates or frees.
    Scenario {
        name: "reclaim-twice",
        spec: two_clusters,
        before: CACHED,
        cpus: &[("order 1", &[RECLAIMS]), ("order 1", &[large(0)])],
        bound: Some(2),
    },
    Scenario {
        name: "reclaim-free",
        spec: two_clusters,
        before: CACHED,
        cpus: &[("order 1", &[RECLAIMS]), ("freer, order 0", &[zap_large(1), out(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "reclaim-full",
        spec: two_clusters,
        before: &[
            kept(0, 0),
            kept(0, 1),
            kept(0, 2),
            kept(1, 0),
            kept(1, 1),
            Act::In { owner: 0, page: 0, keep: true },
            Act::In { owner: 0, page: 1, keep: true },
        ],
        cpus: &[("allocator", &[large(2)]), ("order 0", &[out(1, 2), out(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "reclaim-work",
        spec: two_clusters,
        before: &[
            kept(0, 0),
            kept(0, 1),
            kept(0, 2),
            kept(1, 0),
            kept(1, 1),
            kept(1, 2),
            kept(2, 0),
            Act::In { owner: 0, page: 0, keep: true },
            Act::In { owner: 1, page: 0, keep: true },
        ],
        cpus: &[("reclaim worker", &[Act::Work]), ("order 0", &[out(2, 1), out(2, 2)])],
        bound: Some(2),
    },
    Scenario {
        name: "partly-used",
        spec: two_clusters,
        before: &[large(0), zap(0, 1)],
        cpus: &[("order 1", &[large(1)]), ("order 0", &[out(0, 1), zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "partly-cached",
        spec: two_clusters,
        before: PARTLY_CACHED,
        cpus: &[("page fault", &[FAULT_IN]), ("order 1", &[large(1), zap_large(1)])],
        bound: Some(2),
    },
    Scenario {
        name: "two-large",
        spec: two_clusters,
        before: &[],
        cpus: &[
            ("order 1", &[large(0), zap_large(0), large(0)]),
            ("order 0", &[out(1, 0), out(1, 1)]),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "large-freed",
        spec: odd_end,
        before: &[],
        cpus: &[
            ("order 1", &[large(0), large(1)]),
            ("freer, order 0", &[zap_large(0), out(2, 0), out(2, 1)]),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "steal-large",
        spec: odd_end,
        before: &[large(2), out(0, 0), out(0, 1), out(0, 2), zap_large(2)],
        cpus: &[("order 0", &[out(1, 0), out(1, 1)]), ("order 1", &[large(2)])],
        bound: Some(2),
    },
    Scenario {
        name: "holes",
        spec: two_clusters,
        before: &[],
        cpus: &[("allocator", HOLES)],
        bound: Some(0),
    },
    Scenario {
        name: "last-and-free",
        spec: two_clusters,
        before: SIX,
        cpus: &[("allocator", &[out(2, 0)]), ("freer", &[zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "current-freed",
        spec: discarding,
        before: &[],
        cpus: &[("allocator", &[out(0, 0), out(0, 1)]), ("freer, worker", &[zap(0, 0), Act::Work])],
        bound: Some(2),
    },
    Scenario {
        name: "discard-alloc",
        spec: discarding,
        before: &[large(0), out(1, 0), out(1, 1), out(1, 2), zap_large(0)],
        cpus: &[("allocator", &[out(2, 0)]), ("allocator", &[out(2, 1)])],
        bound: Some(2),
    },
    Scenario {
        name: "two-workers",
        spec: discarding,
        before: &[large(0), out(1, 0), zap_large(0), zap(1, 0)],
        cpus: &[("worker", &[Act::Work]), ("worker, order 1", &[Act::Work, large(0)])],
        bound: Some(2),
    },
    Scenario {
        name: "zap-crosses",
        spec: long_tables,
        before: CROSSING,
        cpus: &[("freer", &[Act::Zap { owner: 0, page: 0, nr: 7 }]), ("allocator", &[out(1, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "zap-fault",
        spec: two_clusters,
        before: &[out(0, 0), fork(0, 1)],
        cpus: &[("freer", &[zap(0, 0), zap(1, 0)]), ("page fault", &[FAULT_IN])],
        bound: Some(2),
    },
    Scenario {
        name: "fork-zap",
        spec: two_clusters,
        before: &[out(0, 0), fork(0, 1)],
        cpus: &[("fork", &[fork(0, 2)]), ("freer", &[zap(1, 0), zap(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "readahead-zap",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[
            ("readahead", &[Act::ReadPage { owner: 0, page: 0 }]),
            ("freer, allocator", &[zap(0, 0), out(1, 0)]),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "two-lists",
        spec: two_devices,
        before: &[out(0, 0), out(0, 1)],
        cpus: &[
            ("allocator", &[out(1, 0), out(1, 1)]),
            ("allocator, freer", &[out(2, 0), zap(0, 0), zap(0, 1)]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "slot-cache-two",
        spec: short_of_slots,
        before: &[out(1, 0)],
        cpus: &[
            ("allocator", &[out(0, 0), out(0, 1)]),
            ("freer, allocator", &[zap(1, 0), out(2, 0)]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "fault-reclaim",
        spec: two_clusters,
        before: FILL,
        cpus: &[
            ("page fault", &[Act::In { owner: 0, page: 0, keep: true }]),
            ("reclaim worker, allocator", &[Act::Work, out(2, 1)]),
        ],
        bound: Some(2),
    },
    Scenario {
        name: "two-images",
        spec: two_clusters,
        before: &[],
        cpus: &[
            ("hibernation", &[Act::Hibernate { dev: 0 }]),
            ("hibernation", &[Act::Hibernate { dev: 0 }]),
        ],
        bound: Some(2),
    },
    // swapoff against those who give slots back, against workers, and swapon.
    Scenario {
        name: "worker-off",
        spec: two_clusters,
        before: FILL,
        cpus: &[("swapoff", &[OFF]), ("reclaim worker", &[Act::Work])],
        bound: Some(1),
    },
    Scenario {
        name: "discard-off",
        spec: discarding,
        before: &[large(0), out(1, 0), out(1, 1), out(1, 2), zap_large(0)],
        cpus: &[("swapoff", &[OFF]), ("allocator", &[out(2, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "walk-off",
        spec: two_devices,
        before: &[out(0, 0), out(0, 1), out(0, 2)],
        cpus: &[("swapoff", &[Act::Swapoff { dev: 1 }]), ("allocator", &[out(1, 0), zap(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "slot-cache-off",
        spec: short_of_slots,
        before: &[out(0, 0)],
        cpus: &[("swapoff", &[OFF]), ("allocator, freer", &[out(1, 0), zap(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "fork-off",
        spec: two_clusters,
        before: &[large(0)],
        cpus: &[("swapoff", &[OFF]), ("fork", &[fork(0, 1), zap(0, 0)])],
        bound: Some(1),
    },
    Scenario {
        name: "slot-cache-free",
        spec: slot_caches,
        before: &[out(0, 0), out(0, 1)],
        cpus: &[("swapoff", &[OFF]), ("freer", &[zap(0, 0), zap(0, 1)])],
        bound: Some(1),
    },
    Scenario {
        name: "bounce-off",
        spec: two_clusters,
        before: &[],
        cpus: &[("swapoff", &[OFF]), ("charge fails", &[Act::Bounce { order: 1 }])],
        bound: Some(2),
    },
    Scenario {
        name: "put-folio-off",
        spec: two_clusters,
        before: PARTLY_CACHED,
        cpus: &[("swapoff", &[OFF]), ("page fault", &[FAULT_IN])],
        bound: Some(2),
    },
    Scenario {
        name: "on-getter",
        spec: two_clusters,
        before: &[OFF],
        cpus: &[("swapon", &[ON]), ("getter", &[Act::Look { dev: 0 }])],
        bound: Some(2),
    },
    Scenario {
        name: "on-alloc",
        spec: two_clusters,
        before: &[OFF],
        cpus: &[("swapon", &[ON]), ("allocator", &[out(0, 0)])],
        bound: Some(2),
    },
    Scenario {
        name: "two-swapoffs",
        spec: two_clusters,
        before: &[out(0, 0)],
        cpus: &[("swapoff, swapon", &[TRY_OFF, TRY_ON]), ("swapoff, swapon", &[TRY_OFF, TRY_ON])],
        bound: Some(1),
    },
    Scenario {
        name: "shrink-large",
        spec: shrinking,
        before: &[],
        cpus: &[("order 1", &[large(0), zap_large(0), large(0)]), ("swapoff, swapon", &[OFF, ON])],
        bound: Some(1),
    },
    // swapoff that fails, and the next one, which must not.
    Scenario {
        name: "interrupted",
        spec: slot_caches,
        before: &[out(0, 0), out(1, 0)],
        cpus: &[
            ("swapoff, twice", &[fails(UnuseMeets::Signal), OFF, ON]),
            ("allocator, freer", &[out(2, 0), zap(0, 0)]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "no-memory",
        spec: slot_caches,
        before: &[out(0, 0), kept(1, 0)],
        cpus: &[
            ("swapoff, twice", &[fails(UnuseMeets::NoMemory), TRY_OFF, ON]),
            ("allocator", &[out(2, 0)]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "charge-fails",
        spec: limited,
        before: &[],
        cpus: &[
            ("allocator", &[out(0, 0), large(1), out(0, 1)]),
            ("swapoff, swapon", &[OFF, ON, OFF]),
        ],
        bound: Some(1),
    },
    Scenario {
        name: "populate-fails-off",
        spec: no_memory,
        before: &[],
        cpus: &[("allocator, no memory", &[large(0)]), ("swapoff, swapon", &[OFF, ON, OFF])],
        bound: Some(1),
    },
    // Too large for a search.
    Scenario {
        name: "busy",
        spec: busy,
        before: &[kept(1, 0), kept(1, 1), out(2, 1)],
        cpus: &[
            ("order 0", &[out(0, 0), fork(0, 2), zap(0, 0), out(0, 0), zap(0, 0)]),
            (
                "order 1",
                &[Act::Out { owner: 0, page: 1, order: 1, keep: true }, zap(0, 1), zap(0, 2)],
            ),
            ("swapoff", &[fails(UnuseMeets::Signal), Act::Work, TRY_OFF, TRY_ON]),
            ("freer, workers", &[zap(1, 0), Act::Work, Act::In { owner: 1, page: 1, keep: true }]),
        ],
        bound: None,
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
