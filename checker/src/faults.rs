//! Historical bugs as switches: what each one breaks, in which variants, and which checks catch it.
//! The conditions are in the variants, at the place where the kernel had the bug. Guards that a
//! check which catches nothing is found out: `tests/check.rs` holds this list against the checker.

use crate::invariant::Invariant::{self, *};

/// One bug that can be put back.
pub struct Fault {
    /// Its name for `fault!`.
    pub name: &'static str,
    /// Its number in docs/catalogue.md, as 11 for #11; "" if no kernel ever had it.
    pub number: &'static str,
    /// Where it comes from: the commit that fixed it, or the protocol step that it leaves out.
    pub origin: &'static str,
    /// What goes wrong.
    pub shows: &'static str,
    /// Variants (or machine parts) that have it.
    pub subjects: &'static [&'static str],
    /// Scenarios that catch it, the cheapest first.
    pub scenarios: &'static [&'static str],
    /// Invariants that catch it, in order: each one catches it once those before it are ignored;
    /// with all ignored the fault escapes.
    pub invariants: &'static [Invariant],
}

impl Fault {
    /// Its name, with the number that the catalogue gives it.
    pub fn title(&self) -> String {
        match self.number {
            "" => self.name.into(),
            number => format!("{} (#{number})", self.name),
        }
    }
}

/// The fault of that name.
pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

/// All faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "no-barrier",
        number: "",
        origin: "the protocol: wait_for_allocation() is left out",
        shows: "a slot becomes allocated after unuse found none in use",
        subjects: &[
            "percluster",
            "percluster-rcu",
            "percluster-second-ref",
            "percpu-free-first",
            "percpu-cluster",
        ],
        scenarios: &["alloc", "again"],
        invariants: &[I2, I4],
    },
    Fault {
        name: "barrier-after-unuse",
        number: "",
        origin: "the protocol: wait_for_allocation() after try_to_unuse()",
        shows: "a slot becomes allocated after unuse found none in use",
        subjects: &["percluster", "percpu-cluster"],
        scenarios: &["alloc"],
        invariants: &[I2, Bug],
    },
    Fault {
        name: "kill-before-unuse",
        number: "",
        origin: "the protocol: percpu_ref_kill() before try_to_unuse()",
        shows: "unuse cannot get the reference that it needs to swap in",
        subjects: &["scanning", "percluster", "percpu-cluster"],
        scenarios: &["free", "fault-in"],
        invariants: &[L],
    },
    Fault {
        name: "no-drain",
        number: "",
        origin: "the protocol: swapoff does not wait for users",
        shows: "the arrays are freed under a holder of a reference",
        subjects: &["scanning", "percluster", "percpu-cluster"],
        scenarios: &["free", "getter"],
        invariants: &[Race],
    },
    Fault {
        name: "ref-dropped-early",
        number: "",
        origin: "the protocol: the reference is put before the scan",
        shows: "the allocator walks freed arrays",
        subjects: &["percluster", "percpu-cluster"],
        scenarios: &["again", "scan-reclaim"],
        invariants: &[Race],
    },
    Fault {
        name: "v1-series",
        number: "11",
        origin: "v1 of the 6.14 series (20241022192451.38138-1-ryncsn@gmail.com): neither WRITEOK under ci->lock nor the barrier",
        shows: "allocation after unuse",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I4],
    },
    Fault {
        name: "no-writeok-test",
        number: "7a",
        origin: "fixed by 0ec8bc9e880e: WRITEOK is not tested before the map write",
        shows: "a slot becomes allocated after swapoff blocked allocation",
        subjects: &["scanning", "percluster", "percpu-cluster"],
        scenarios: &["alloc", "scan-reclaim"],
        invariants: &[I2],
    },
    Fault {
        name: "writeok-outside-ci-lock",
        number: "",
        origin: "the protocol: WRITEOK is tested, then ci->lock is taken",
        shows: "the barrier passes between test and map write",
        subjects: &["percluster", "percpu-cluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I4],
    },
    Fault {
        name: "barrier-skips-clusters",
        number: "12",
        origin: "fixed in 6.14-rc (Kemeng Shi, 22 February 2025; Fixes: 9a0ddeb79880): the barrier's loop counter advances twice",
        shows: "every second cluster is skipped",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I4],
    },
    Fault {
        name: "relocate-free-cluster",
        number: "13",
        origin: "fixed in 6.14-rc (Fixes: 3b644773eefd): relocate_cluster() of a cluster that is free",
        shows: "a free cluster is put on the free list again",
        subjects: &["percluster"],
        scenarios: &["again"],
        invariants: &[Bug],
    },
    Fault {
        name: "reclaim-loses-cluster",
        number: "14",
        origin: "fixed in 6.14-rc (Fixes: 3b644773eefd): full reclaim forgets an isolated cluster",
        shows: "a cluster is on no list",
        subjects: &["percluster", "percpu-cluster"],
        scenarios: &["reclaim"],
        invariants: &[I6],
    },
    Fault {
        name: "next-unlinked",
        number: "19",
        origin: "the test that get_swap_pages() has and swap_sync_discard() lacked until f9e82f99b377: the walk goes on from a device that left the avail list",
        shows: "the walk visits a device that is on no list",
        subjects: &["percluster"],
        scenarios: &["two-devices"],
        invariants: &[I9],
    },
    Fault {
        name: "phantom-slots",
        number: "17",
        origin: "fixed in 6.12.43 (Fixes: 661383c6111a): maxpages is larger than si->max",
        shows: "stealing visits a cluster without real slots for ever",
        subjects: &["percluster"],
        scenarios: &["steal"],
        invariants: &[L],
    },
    Fault {
        name: "offlist-bit-in-count",
        number: "20",
        origin: "fixed in 7.2.8: SWAP_USAGE_OFFLIST_BIT (30) lies within the count of a device of 4 TiB",
        shows: "a count of used slots reads as off the avail list",
        subjects: &["percluster", "percpu-cluster"],
        scenarios: &["fill"],
        invariants: &[I4, I9],
    },
    Fault {
        name: "inuse-before-cleanup",
        number: "21",
        origin: "fixed in January 2024 (Yosry Ahmed): inuse_pages drops before the slot is cleaned up",
        shows: "unuse ends while a slot still has its shadow",
        subjects: &["percluster"],
        scenarios: &["free"],
        invariants: &[Bug],
    },
    Fault {
        name: "nr-tested-outside-avail-lock",
        number: "2",
        origin: "fixed in December 2020 (Zhaoyang Huang): nr_swap_pages is tested, then reduced",
        shows: "nr_swap_pages is negative",
        subjects: &["percluster"],
        scenarios: &["last-slot"],
        invariants: &[I10],
    },
    Fault {
        name: "flags-plain-rmw",
        number: "26",
        origin: "open in 6.14: si->flags is changed by plain read-modify-writes under different locks",
        shows: "WRITEOK comes back, or SWP_CONTINUED is lost",
        subjects: &["percluster"],
        scenarios: &["continued"],
        invariants: &[Bug, I9, I2],
    },
    Fault {
        name: "avail-before-si-lock",
        number: "4",
        origin: "fixed by 6fe7d6b99211: off the avail list before si->lock is taken",
        shows: "a free puts the device back on the avail list while it is swapped off",
        subjects: &["scanning"],
        scenarios: &["full-device"],
        invariants: &[I9],
    },
    Fault {
        name: "full-flag-shared",
        number: "9",
        origin: "fixed in v5 of the 6.12 series: full and off-list share a flag value",
        shows: "the discard worker moves a cluster that is on no list",
        subjects: &["scanning"],
        scenarios: &["full-discard", "fill", "reclaim"],
        invariants: &[Bug],
    },
    Fault {
        name: "no-scanning-count",
        number: "7b",
        origin: "fixed by 0ec8bc9e880e: scanning is not counted in si->flags",
        shows: "the arrays are freed under a scanner that dropped si->lock",
        subjects: &["scanning"],
        scenarios: &["steal-off", "scan-reclaim", "shrink", "storm"],
        invariants: &[Race],
    },
    Fault {
        name: "scanning-outside-lock",
        number: "",
        origin: "the protocol: SCANNING is counted outside si->lock",
        shows: "swapoff does not see a scanner, or WRITEOK comes back",
        subjects: &["scanning"],
        scenarios: &["alloc", "scan-reclaim", "again"],
        invariants: &[I2],
    },
    Fault {
        name: "steal-ignores-writeok",
        number: "27",
        origin: "open in 6.12, 6.13 and 6.18 .. 7.3: order-0 stealing goes on after SWP_WRITEOK is cleared",
        shows: "the allocator tries the same cluster for ever",
        subjects: &["scanning", "scanning-ref", "percpu-cluster"],
        scenarios: &["steal-off"],
        invariants: &[L],
    },
    Fault {
        name: "unuse-gives-up",
        number: "28",
        origin: "open in 6.15 .. 6.18: unuse takes a slot that a page fault is about to free for lack of memory",
        shows: "swapoff fails with ENOMEM",
        subjects: &["percpu-cluster", "percpu-free-first"],
        scenarios: &["fault-in"],
        invariants: &[L],
    },
    Fault {
        name: "percpu-not-flushed",
        number: "22",
        origin: "fixed in v3 of the 6.15 series: per-CPU clusters outlive swapoff",
        shows: "a stale offset lies beyond the new, smaller device",
        subjects: &["percpu-cluster", "percpu-free-first"],
        scenarios: &["shrink", "shrink-empty"],
        invariants: &[I3],
    },
    Fault {
        name: "nr-subtracted-late",
        number: "15",
        origin: "fixed by 4f78252da887 (Fixes: 0ff67f990bd4): a failed charge gives back what was never taken",
        shows: "nr_swap_pages grows beyond what is free",
        subjects: &["percpu-cluster", "percpu-free-first"],
        scenarios: &["limit"],
        invariants: &[I10],
    },
    Fault {
        name: "ref-checked-before-bump",
        number: "",
        origin: "percpu_ref: the mode is read outside the RCU section",
        shows: "a reference is taken after the drain",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[Race],
    },
    Fault {
        name: "ref-sum-without-gp",
        number: "",
        origin: "percpu_ref: counters are summed without a grace period",
        shows: "a reference is missed, and the arrays go while it is held",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[L],
    },
    Fault {
        name: "ref-no-bias",
        number: "",
        origin: "percpu_ref: the shared count has no bias in percpu mode",
        shows: "kill finds no references while some are held in percpu mode",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[Race],
    },
    Fault {
        name: "ref-shard-by-shard",
        number: "",
        origin: "percpu_ref: each CPU's counter is added to the shared one alone",
        shows: "a partial sum of 0 releases a reference that is held",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[Race],
    },
];
