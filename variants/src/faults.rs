//! Historical bugs as switches: what each shows, where, and which checks catch it.
//! The conditions sit in the variants, at the place where the kernel had the bug.

use crate::check::Invariant::{self, *};

/// One bug that can be put back.
pub struct Fault {
    pub name: &'static str,
    /// Where it comes from: what fixed it, or the protocol step that it leaves out.
    pub origin: &'static str,
    pub shows: &'static str,
    /// Variants (or machine parts) that have it.
    pub subjects: &'static [&'static str],
    /// Scenarios that catch it, the cheapest first.
    pub scenarios: &'static [&'static str],
    /// With all of these ignored it escapes.
    pub invariants: &'static [Invariant],
}

pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "no-barrier",
        origin: "the protocol's own: wait_for_allocation() is left out",
        shows: "a slot becomes allocated after unuse found none in use",
        subjects: &["percluster", "percluster-rcu", "percluster-second-ref"],
        scenarios: &["alloc", "again"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "barrier-after-unuse",
        origin: "the protocol's own: wait_for_allocation() after try_to_unuse()",
        shows: "a slot becomes allocated after unuse found none in use",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "kill-before-unuse",
        origin: "the protocol's own: percpu_ref_kill() before try_to_unuse()",
        shows: "unuse cannot get the reference that it needs to swap in",
        subjects: &["percluster"],
        scenarios: &["free", "fault-in"],
        invariants: &[L, I3, Race, Bug],
    },
    Fault {
        name: "no-drain",
        origin: "the protocol's own: swapoff does not wait for users",
        shows: "the arrays are freed under a holder of a reference",
        subjects: &["percluster"],
        scenarios: &["getter", "free"],
        invariants: &[I3, I12, Race, Bug, L],
    },
    Fault {
        name: "ref-dropped-early",
        origin: "the protocol's own: the reference is put before the scan",
        shows: "the allocator walks freed arrays",
        subjects: &["percluster"],
        scenarios: &["again", "alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "v1-series",
        origin: "v1 of the 6.14 series: neither WRITEOK under ci->lock nor the barrier",
        shows: "allocation after unuse",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "no-writeok-test",
        origin: "fixed by 0ec8bc9e880e: WRITEOK is not tested before the map write",
        shows: "a slot becomes allocated after swapoff blocked allocation",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "writeok-outside-ci-lock",
        origin: "the protocol's own: WRITEOK is tested, then ci->lock is taken",
        shows: "the barrier passes between test and map write",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "barrier-skips-clusters",
        origin: "fixed in 6.14-rc (Kemeng Shi): the barrier's loop counter advances twice",
        shows: "every second cluster is skipped",
        subjects: &["percluster"],
        scenarios: &["alloc"],
        invariants: &[I2, I3, Race, Bug, L],
    },
    Fault {
        name: "relocate-free-cluster",
        origin: "Fixes: 3b644773eefd: relocate_cluster() of a cluster that is free",
        shows: "a free cluster is put on the free list again",
        subjects: &["percluster"],
        scenarios: &["again"],
        invariants: &[I6, I7, Bug],
    },
    Fault {
        name: "reclaim-loses-cluster",
        origin: "Fixes: 3b644773eefd: full reclaim forgets an isolated cluster",
        shows: "a cluster is on no list",
        subjects: &["percluster"],
        scenarios: &["reclaim"],
        invariants: &[I4, I5, I6, I7, Bug],
    },
    Fault {
        name: "next-unlinked",
        origin: "get_swap_pages() walks on from a device that left the avail list",
        shows: "the walk visits a device that is on no list",
        subjects: &["percluster"],
        scenarios: &["two-devices"],
        invariants: &[I9, L, Race, Bug],
    },
    Fault {
        name: "phantom-slots",
        origin: "fixed in 6.12.43 (Fixes: 661383c6111a): maxpages is larger than si->max",
        shows: "stealing visits a cluster without real slots for ever",
        subjects: &["percluster"],
        scenarios: &["steal", "fill"],
        invariants: &[I4, I5, I6, I7, I9, I10, L, Bug],
    },
    Fault {
        name: "offlist-bit-in-count",
        origin: "fixed in 7.2: SWAP_USAGE_OFFLIST_BIT within the count",
        shows: "a count of used slots reads as off the avail list",
        subjects: &["percluster"],
        scenarios: &["fill"],
        invariants: &[I4, I9, I10, L, Bug],
    },
    Fault {
        name: "inuse-before-cleanup",
        origin: "Yosry Ahmed, January 2024: inuse_pages drops before the slot is cleaned up",
        shows: "unuse ends while a slot still has its shadow",
        subjects: &["percluster"],
        scenarios: &["free"],
        invariants: &[Bug],
    },
    Fault {
        name: "nr-tested-outside-avail-lock",
        origin: "Zhaoyang Huang, December 2020: nr_swap_pages is tested, then reduced",
        shows: "nr_swap_pages is negative",
        subjects: &["percluster"],
        scenarios: &["last-slot"],
        invariants: &[I10],
    },
    Fault {
        name: "flags-plain-rmw",
        origin: "open in 6.14: si->flags is changed by plain read-modify-writes under different locks",
        shows: "WRITEOK comes back, or SWP_CONTINUED is lost",
        subjects: &["percluster"],
        scenarios: &["continued"],
        invariants: &[I2, I3, I4, I9, I10, Race, Bug, L],
    },
    Fault {
        name: "ref-checked-before-bump",
        origin: "percpu_ref: the mode is read outside the RCU section",
        shows: "a reference is taken after the drain",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[I12, Race, Bug, L],
    },
    Fault {
        name: "ref-sum-without-gp",
        origin: "percpu_ref: counters are summed without a grace period",
        shows: "a reference is missed, and the arrays go while it is held",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[I12, Race, Bug, L],
    },
    Fault {
        name: "ref-no-bias",
        origin: "percpu_ref: the shared count has no bias in percpu mode",
        shows: "kill finds no references while some are held in percpu mode",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[I12, Race, Bug, L],
    },
    Fault {
        name: "ref-shard-by-shard",
        origin: "percpu_ref: each CPU's counter is added to the shared one alone",
        shows: "a partial sum of 0 releases a reference that is held",
        subjects: &["percpu_ref"],
        scenarios: &["drain"],
        invariants: &[I12, Race, Bug, L],
    },
];
