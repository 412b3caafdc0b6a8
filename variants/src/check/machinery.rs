//! Cases of the machine's own parts: the spinlocks, RCU and percpu_ref.

use super::{Case, Explore};
use machine::checked::{Blocking, Loom, Shuttle, Spin, scenarios};
use machine::lock::{Mcs, Qspin, Tas, Ticket};

const LOCKERS: &[&str] = &["locker", "locker"];

fn lock(scenario: &'static str, loom: Explore) -> Case {
    Case { subject: "lock", scenario, roles: LOCKERS, bound: Some(3), loom, shuttle: None }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        lock("blocking", scenarios::lock_excludes::<Loom>),
        lock("tas", scenarios::lock_excludes::<Loom<Spin<Tas>>>),
        lock("ticket", scenarios::lock_excludes::<Loom<Spin<Ticket>>>),
        lock("mcs", scenarios::lock_excludes::<Loom<Spin<Mcs>>>),
        lock("qspin", scenarios::lock_excludes::<Loom<Spin<Qspin>>>),
        Case {
            subject: "lock",
            scenario: "qspin-queue",
            roles: &["locker", "locker", "locker", "locker"],
            bound: None,
            loom: scenarios::lock_excludes::<Loom<Spin<Qspin>>>,
            shuttle: Some(scenarios::lock_excludes::<Shuttle<Spin<Qspin>>>),
        },
        Case {
            subject: "rcu",
            scenario: "grace-period",
            roles: &["writer", "reader"],
            bound: Some(3),
            loom: |config| scenarios::grace_period_ends_sections::<Loom<Blocking>>(config, true),
            shuttle: None,
        },
        Case {
            subject: "percpu_ref",
            scenario: "drain",
            roles: &["swapoff", "getter"],
            bound: Some(3),
            loom: scenarios::reference_guards::<Loom>,
            shuttle: Some(scenarios::reference_guards::<Shuttle>),
        },
        Case {
            subject: "percpu_ref",
            scenario: "two-getters",
            roles: &["swapoff", "getter", "getter"],
            bound: Some(2),
            loom: scenarios::reference_guards::<Loom>,
            shuttle: Some(scenarios::reference_guards::<Shuttle>),
        },
    ]
}
