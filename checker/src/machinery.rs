//! Cases of the machine's own parts: every lock of the machine's list, RCU and percpu_ref.

use crate::case::{Case, Explore};
use machine::checked::{Blocking, Config, Loom, Shuttle, Spin, Weak, scenarios};
use machine::lock::{KINDS, Qspin};
use machine::{Failure, with_lock};

/// A scenario under one explorer.
type Explored = fn(&Config) -> Result<u64, Failure>;

fn lock(subject: &'static str, kind: &'static str, loom: Explore) -> Case {
    let roles = vec!["locker"; 2];
    Case { subject, scenario: kind, roles, bound: Some(3), loom, shuttle: None }
}

/// The lock that variants have under the checker, then every lock of the list: taken once by each CPU,
/// and taken again by trylock.
fn locks() -> impl Iterator<Item = Case> {
    let spinning = KINDS.into_iter().flat_map(|(name, _)| {
        let cases = with_lock!(name, K => {
            let once = Box::new(scenarios::lock_excludes::<Loom<Spin<K>>>);
            let again = Box::new(scenarios::lock_is_retaken::<Loom<Spin<K>>>);
            [lock("lock", name, once), lock("trylock", name, again)]
        });
        cases.expect("it is in the list")
    });
    let blocking = [
        lock("lock", "blocking", Box::new(scenarios::lock_excludes::<Loom>)),
        lock("trylock", "blocking", Box::new(scenarios::lock_is_retaken::<Loom>)),
    ];
    let mut all: Vec<Case> = blocking.into_iter().chain(spinning).collect();
    all.sort_by_key(|case| case.subject);
    all.into_iter()
}

/// percpu_ref, on a machine whose light fence is a full one, and as it is on arm64.
fn references() -> impl Iterator<Item = Case> {
    let case = |scenario, roles: &[&'static str], bound, loom: Explored, shuttle| Case {
        subject: "percpu_ref",
        scenario,
        roles: roles.to_vec(),
        bound: Some(bound),
        loom: Box::new(loom),
        shuttle: Some(Box::new(shuttle)),
    };
    let guards: Explored = scenarios::reference_guards::<Shuttle>;
    let back: Explored = scenarios::reference_comes_back::<Shuttle>;
    let (off, on) = (["swapoff", "getter"], ["swapon", "getter"]);
    [
        case("drain", &off, 3, scenarios::reference_guards::<Loom>, guards),
        case("drain-arm64", &off, 3, scenarios::reference_guards::<Loom<Weak>>, guards),
        case(
            "two-getters",
            &["swapoff", "getter", "getter"],
            2,
            scenarios::reference_guards::<Loom>,
            guards,
        ),
        case("revive", &on, 3, scenarios::reference_comes_back::<Loom>, back),
        case("revive-arm64", &on, 3, scenarios::reference_comes_back::<Loom<Weak>>, back),
    ]
    .into_iter()
}

/// RCU, likewise.
fn rcu() -> impl Iterator<Item = Case> {
    let case = |scenario, loom: Explored| Case {
        subject: "rcu",
        scenario,
        roles: vec!["writer", "reader"],
        bound: Some(3),
        loom: Box::new(loom),
        shuttle: None,
    };
    [
        case("grace-period", |config| {
            scenarios::grace_period_ends_sections::<Loom<Blocking>>(config, true)
        }),
        case("grace-period-arm64", |config| {
            scenarios::grace_period_ends_sections::<Loom<Weak>>(config, true)
        }),
    ]
    .into_iter()
}

pub(super) fn cases() -> Vec<Case> {
    let queue = Case {
        subject: "lock",
        scenario: "qspin-queue",
        roles: vec!["locker", "locker", "locker", "locker"],
        bound: None,
        loom: Box::new(scenarios::lock_excludes::<Loom<Spin<Qspin>>>),
        shuttle: Some(Box::new(scenarios::lock_excludes::<Shuttle<Spin<Qspin>>>)),
    };
    locks().chain([queue]).chain(rcu()).chain(references()).collect()
}
