//! How often a guest's kernel takes a spinlock, by the function that takes it: kprobes on the
//! functions of the spinlock, with histograms of where they return to. Guards a count per page: it
//! is of the interval in which the pages were counted, and of nothing else.

use std::collections::BTreeMap;

use super::tracefs::{add, hist, set};
use crate::live::{Beside, Error};

/// What takes a spinlock. A lock that is only tried has a function of its own, and is not counted:
/// an entry there does not say whether the lock was had.
const FUNCTIONS: [&str; 3] = ["_raw_spin_lock", "_raw_spin_lock_irq", "_raw_spin_lock_irqsave"];

/// At the first instruction of a function its return address is on top of the stack.
const CALLERS: &str = "hist:keys=caller.sym:size=8192";

/// The probes. They count only between `begin` and `end`.
pub struct Acquisitions;

impl Acquisitions {
    /// Puts the probes in place, paused.
    ///
    /// # Errors
    /// The reason why a function cannot be probed.
    pub fn start() -> Result<Acquisitions, String> {
        for function in FUNCTIONS {
            let probe = format!("p:{function} {function} caller=$stack0");
            add(&probe, function, &format!("{CALLERS}:pause"))?;
        }
        Ok(Acquisitions)
    }

    /// Acquisitions by caller, by their names in a cell.
    pub fn take(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (caller, count) in FUNCTIONS.iter().flat_map(|function| by_caller(&hist(function))) {
            *counts.entry(format!("acquired:{caller}")).or_insert(0) += count;
        }
        counts
    }
}

impl Beside for Acquisitions {
    fn begin(&self) -> Result<(), Error> {
        all("cont")
    }

    fn end(&self) -> Result<(), Error> {
        all("pause")
    }
}

fn all(command: &str) -> Result<(), Error> {
    let trigger = format!("{CALLERS}:{command}");
    FUNCTIONS.iter().try_for_each(|function| set(function, &trigger)).map_err(Error::Refused)
}

/// The counts of a `hist` file of addresses with their functions, such as
/// `{ caller: [ffffffff9f0c1b2a] swap_range_alloc.isra.0 } hitcount: 12`, one for each address.
fn by_caller(hist: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let (_, caller) = line.trim().strip_prefix("{ caller: [")?.split_once("] ")?;
        let (caller, count) = caller.split_once("} hitcount:")?;
        let name = caller.trim().split(['+', '.', ' ']).next()?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    hist.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::by_caller;

    #[test]
    fn acquisitions_are_counted_for_each_address() {
        let hist = "# event histogram\n#\n# trigger info: hist:keys=caller.sym\n#\n\n\
            { caller: [ffffffff9f0c1b2a] folio_alloc_swap.part.0                       } \
            hitcount:         12\n\
            { caller: [ffffffffc03f80de] zs_malloc                    [zsmalloc]       } \
            hitcount:       3703\n\nTotals:\n    Hits: 3715\n";
        let expected = [("folio_alloc_swap".to_owned(), 12), ("zs_malloc".to_owned(), 3703)];
        assert_eq!(by_caller(hist), expected);
    }
}
