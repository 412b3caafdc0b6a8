//! The steps of a swapoff: their names in cells, in the order in which they happen. Guards that
//! whoever writes a step and whoever reads one spell it alike. The variants know nothing of
//! results and spell their steps themselves; a test of the bench harness holds them to this list.

/// The model's wait for the allocations under way; in a kernel part of [`BARRIER_AND_UNUSE`].
pub const BARRIER: &str = "barrier";
/// Swapping in what is in use.
pub const UNUSE: &str = "unuse";
/// The step that kprobes cannot cut: from 6.14 on, the barrier ends inside of unuse.
pub const BARRIER_AND_UNUSE: &str = "barrier, unuse";
/// The kernel's synchronize_rcu().
pub const GRACE_PERIOD: &str = "grace period";

/// One step: what the model calls it, and what the lab calls it. `None` where one side has no such
/// step, or cannot see it alone.
type Step = (Option<&'static str>, Option<&'static str>);

/// Every step, in the order of swapoff(2).
const STEPS: [Step; 10] = [
    (Some("block"), Some("block")),
    (Some(BARRIER), None),
    (Some("drain"), Some("drain")),
    (Some(UNUSE), Some(UNUSE)),
    (None, Some(BARRIER_AND_UNUSE)),
    // A process has no grace period of its own: the model waits for membarrier(2).
    (Some("membarrier for RCU"), Some(GRACE_PERIOD)),
    (Some("users"), Some("users")),
    (Some("flush"), Some("flush")),
    (Some("scanning"), None),
    (Some("free"), Some("free")),
];

/// The model's steps, in their order.
pub fn of_model() -> impl Iterator<Item = &'static str> {
    STEPS.iter().filter_map(|(model, _)| *model)
}

/// The steps that the lab cuts a kernel's swapoff into, in their order.
pub fn of_kernel() -> impl Iterator<Item = &'static str> {
    STEPS.iter().filter_map(|(_, kernel)| *kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_one_name_per_side() {
        for names in [of_model().collect::<Vec<_>>(), of_kernel().collect()] {
            let mut unique = names.clone();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), names.len(), "{names:?}");
        }
        assert!(of_kernel().any(|name| name == GRACE_PERIOD));
        assert!(of_model().all(|name| name != GRACE_PERIOD), "each side keeps its own word");
    }
}
