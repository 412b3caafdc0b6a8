//! Cases of the machine's own parts: every lock of the machine's list, RCU and percpu_ref.

use crate::case::{Case, Explore};
use machine::checked::{Blocking, Loom, Shuttle, Spin, scenarios};
use machine::lock::{KINDS, Qspin};
use machine::with_lock;

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

/// The lock that variants have under the checker, then every lock of the list.
fn locks() -> impl Iterator<Item = Case> {
    let spinning = KINDS.into_iter().map(|(name, _)| {
        let case = with_lock!(name, K => {
            lock(name, Box::new(scenarios::lock_excludes::<Loom<Spin<K>>>))
        });
        case.expect("it is in the list")
    });
    let blocking = lock("blocking", Box::new(scenarios::lock_excludes::<Loom>));
    std::iter::once(blocking).chain(spinning)
}

pub(super) fn cases() -> Vec<Case> {
    let others = [
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
    ];
    locks().chain(others).collect()
}
