//! Historical bugs as switches: what each shows, where, and which checks catch it.
//! The conditions sit in the variants, at the place where the kernel had the bug.

use crate::check::Invariant::{self, *};

/// One bug that can be put back.
pub struct Fault {
    pub name: &'static str,
    /// Where it comes from: a commit that fixed it, or the protocol step it leaves out.
    pub origin: &'static str,
    pub shows: &'static str,
    /// Cases that catch it, as `subject/scenario`, the cheapest first in each subject.
    pub cases: &'static [&'static str],
    /// With all of these ignored it escapes.
    pub invariants: &'static [Invariant],
}

impl Fault {
    /// Variants (or machine parts) that have it.
    pub fn subjects(&self) -> Vec<&'static str> {
        let mut subjects: Vec<_> = self.cases.iter().filter_map(|c| c.split('/').next()).collect();
        subjects.dedup();
        subjects
    }
}

pub fn named(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name)
}

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "ref-checked-before-bump",
        origin: "percpu_ref: the mode is read outside the RCU section",
        shows: "a reference is taken after the drain",
        cases: &["percpu_ref/drain"],
        invariants: &[Race, Bug, L],
    },
    Fault {
        name: "ref-sum-without-gp",
        origin: "percpu_ref: counters are summed without a grace period",
        shows: "a reference is missed, and the arrays go while it is held",
        cases: &["percpu_ref/drain"],
        invariants: &[Race, Bug, L],
    },
    Fault {
        name: "ref-no-bias",
        origin: "percpu_ref: the shared count has no bias in percpu mode",
        shows: "kill finds 0 references while some are held in percpu mode",
        cases: &["percpu_ref/drain"],
        invariants: &[Race, Bug, L],
    },
    Fault {
        name: "ref-shard-by-shard",
        origin: "percpu_ref: each CPU's counter is added to the shared one alone",
        shows: "a partial sum of 0 releases a reference that is held",
        cases: &["percpu_ref/drain"],
        invariants: &[Race, Bug, L],
    },
    Fault { name: "barrier-after-unuse", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "barrier-skips-clusters", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "flags-plain-rmw", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "inuse-before-cleanup", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "kill-before-unuse", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "next-unlinked", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "no-barrier", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "no-drain", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "no-writeok-test", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "nr-tested-outside-avail-lock", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "offlist-bit-in-count", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "phantom-slots", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "reclaim-loses-cluster", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "ref-dropped-early", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "relocate-free-cluster", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "v1-series", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
    Fault { name: "writeok-outside-ci-lock", origin: "", shows: "", cases: &["percluster/alloc", "percluster/free", "percluster/getter", "percluster/fault-in", "percluster/off-on", "percluster/full-device", "percluster/last-slot", "percluster/alloc-free", "percluster/two-orders", "percluster/reclaim", "percluster/discard", "percluster/two-devices", "percluster/continued", "percluster/slot-cache", "percluster/crowd"], invariants: &[] },
];
