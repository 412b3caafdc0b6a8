//! Cases of the machine's own parts: the spinlocks, RCU and percpu_ref.

use super::{Case, Explore};
use machine::checked::{Blocking, Loom, Shuttle, Spin, scenarios};
use machine::lock::{Mcs, Qspin, Tas, Ticket};

fn lock(scenario: &'static str, loom: Explore) -> Case {
    Case {
        subject: "lock",
        scenario,
        roles: vec!["locker"; 2],
        bound: Some(3),
        loom,
        shuttle: None,
    }
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        lock("blocking", Box::new(scenarios::lock_excludes::<Loom>)),
        lock("tas", Box::new(scenarios::lock_excludes::<Loom<Spin<Tas>>>)),
        lock("ticket", Box::new(scenarios::lock_excludes::<Loom<Spin<Ticket>>>)),
        lock("mcs", Box::new(scenarios::lock_excludes::<Loom<Spin<Mcs>>>)),
        lock("qspin", Box::new(scenarios::lock_excludes::<Loom<Spin<Qspin>>>)),
        Case {
            subject: "lock",
            scenario: "qspin-queue",
            roles: vec!["locker", "locker", "locker", "locker"],
            bound: None,
            loom: Box::new(scenarios::lock_excludes::<Loom<Spin<Qspin>>>),
            shuttle: Some(Box::new(scenarios::lock_excludes::<Shuttle<Spin<Qspin>>>)),
        },
        Case {
            subject: "rcu",
            scenario: "grace-period",
            roles: vec!["writer", "reader"],
            bound: Some(3),
            loom: Box::new(|config| {
                scenarios::grace_period_ends_sections::<Loom<Blocking>>(config, true)
            }),
            shuttle: None,
        },
        Case {
            subject: "percpu_ref",
            scenario: "drain",
            roles: vec!["swapoff", "getter"],
            bound: Some(3),
            loom: Box::new(scenarios::reference_guards::<Loom>),
            shuttle: Some(Box::new(scenarios::reference_guards::<Shuttle>)),
        },
        Case {
            subject: "percpu_ref",
            scenario: "two-getters",
            roles: vec!["swapoff", "getter", "getter"],
            bound: Some(2),
            loom: Box::new(scenarios::reference_guards::<Loom>),
            shuttle: Some(Box::new(scenarios::reference_guards::<Shuttle>)),
        },
    ]
}
