//! Is this machine told from others? Virtual machines of a cloud often have one name, and a baseline
//! of another runner has been taken for a regression of the code.

use results::example;
use results::identity::machine_identity;
use results::schema::{Environment, Reading};

use super::Finding;

/// This machine's identity, as every run records it.
pub(super) fn here() -> Reading<String> {
    let node = std::env::var("SLURMD_NODENAME").ok();
    probe::identity::identity(&probe::Roots::default(), node).0
}

/// Whether figures of two environments may be pooled.
pub(super) fn pooled(a: &Environment, b: &Environment) -> bool {
    machine_identity(a) == machine_identity(b)
}

/// `read` reads this machine's identity.
pub(super) fn check(
    read: impl Fn() -> Reading<String>,
    pooled: impl Fn(&Environment, &Environment) -> bool,
) -> Finding {
    const CHECK: &str = "identity";
    let machine = |host: &str, identity: &str| Environment {
        host: Reading::Known(host.into()),
        identity: Reading::Known(identity.into()),
        ..example::run().environment
    };
    let (one, other) = (machine("vm", "1111"), machine("vm", "2222"));
    if pooled(&one, &other) {
        return Finding::new(CHECK, false, "two machines called 'vm' are pooled".into());
    }
    if !pooled(&one, &machine("renamed", "1111")) {
        return Finding::new(CHECK, false, "a machine that was renamed is another one".into());
    }
    match (read(), read()) {
        (Reading::Known(first), Reading::Known(second)) => {
            let figure = match first == second {
                true => format!("{first}, the same twice; two machines of one name are not pooled"),
                false => format!("{first}, then {second}"),
            };
            Finding::new(CHECK, first == second && !first.is_empty(), figure)
        }
        (Reading::Unknown { unknown }, _) | (_, Reading::Unknown { unknown }) => {
            Finding::undecided(CHECK, &unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn this_machine_is_not_another_one() {
        let finding = check(here, pooled);
        assert!(!finding.broken(), "{finding}");
        let known = check(|| Reading::Known("1".into()), pooled);
        assert_eq!(known.held, Some(true), "{known}");
        assert_eq!(check(|| Reading::unknown("no /etc/machine-id"), pooled).held, None);
    }

    #[test]
    fn a_machine_that_is_known_by_its_name_is_found_out() {
        let by_name = |a: &Environment, b: &Environment| a.host == b.host;
        assert!(check(here, by_name).broken());
        assert!(check(here, |_, _| false).broken(), "no two runs are of one machine");
    }

    #[test]
    fn an_identity_that_changes_is_found_out() {
        let reads = Cell::new(0);
        let read = || Reading::Known(format!("{:016x}", reads.replace(reads.get() + 1)));
        assert!(check(read, pooled).broken());
    }
}
