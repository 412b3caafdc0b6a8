//! How often a guest's kernel enters the slow path of the queued spinlock, by caller, and what the
//! functions that can fail a swapoff return: kprobes with histograms.

use std::collections::BTreeMap;

use results::kernel::RETURNS;

use super::tracefs::{add, drain};
use crate::live;

const SLOW_PATH: &str = "native_queued_spin_lock_slowpath";

/// A kprobe on the slow path with a histogram of the stacks that lead to it, and return probes on
/// the functions that can fail a swapoff, with histograms of the values.
pub struct SlowPaths;

const STACKS: &str = "hist:keys=common_stacktrace:size=4096";
const VALUES: &str = "hist:keys=ret";

impl SlowPaths {
    /// Switches the probes on.
    ///
    /// # Errors
    /// The reason why the slow path cannot be probed.
    pub fn start() -> Result<SlowPaths, String> {
        add(&format!("p:swapscale {SLOW_PATH}"), "swapscale", STACKS)?;
        for function in RETURNS {
            // A function that is inlined in this kernel cannot be probed; its counts are absent.
            let _ = add(&format!("r:{function} {function} ret=$retval:s32"), function, VALUES);
        }
        Ok(SlowPaths)
    }

    /// Entries by caller, and returned values, since the last call, by their names in a cell.
    pub fn take(&self) -> BTreeMap<String, u64> {
        let callers = by_caller(&drain("swapscale", STACKS)).into_iter();
        let mut counts: BTreeMap<String, u64> =
            callers.map(|(caller, count)| (format!("slowpath:{caller}"), count)).collect();
        for function in RETURNS {
            let values = by_value(&drain(function, VALUES)).into_iter();
            counts.extend(values.map(|(value, n)| (format!("returns:{function}:{value}"), n)));
        }
        counts
    }
}

/// The counts of a `hist` file of returned values. The file prints them as unsigned.
fn by_value(hist: &str) -> BTreeMap<i64, u64> {
    let lines = hist.lines().filter_map(|line| line.trim().strip_prefix("{ ret:"));
    lines
        .filter_map(|line| {
            let (value, count) = line.split_once("} hitcount:")?;
            let value = value.trim();
            let signed = value.parse().or_else(|_| value.parse::<u64>().map(|v| v as i64));
            Some((signed.ok()?, count.trim().parse().ok()?))
        })
        .collect()
}

/// Sums a `hist` file of stack traces by the first function that is not the lock's own.
fn by_caller(hist: &str) -> BTreeMap<String, u64> {
    let mut callers = BTreeMap::new();
    let mut caller: Option<&str> = None;
    for line in hist.lines().map(str::trim) {
        if line.starts_with('{') {
            caller = None;
        } else if let Some(count) = line.strip_prefix("} hitcount:") {
            let count: u64 = count.trim().parse().unwrap_or(0);
            *callers.entry(caller.unwrap_or("unknown").to_owned()).or_insert(0) += count;
        } else if line.starts_with(SLOW_PATH) {
            // The lines above it belong to the probe itself.
            caller = None;
        } else if caller.is_none() && !line.starts_with('#') {
            let name = line.split(['+', '.', ' ']).next().unwrap_or_default();
            caller = (!name.is_empty() && !live::is_lock_code(name)).then_some(name);
        }
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIST: &str = "# event histogram\n#\n\
        { common_stacktrace:\n         native_queued_spin_lock_slowpath+0x5/0x2c0\n\
         _raw_spin_lock+0x2a/0x30\n         get_swap_pages+0x8b/0x2a0\n\
         folio_alloc_swap+0x1/0x2\n} hitcount:         12\n\
        { common_stacktrace:\n         kprobe_ftrace_handler+0x12/0x2c0\n\
         0xffffffffc03f80de\n\
         native_queued_spin_lock_slowpath+0x5/0x2c0\n         _raw_spin_lock_irqsave+0x2a/0x30\n         get_swap_pages.isra.0+0x9b/0x2a0\n\
        } hitcount:          3\n\
        { common_stacktrace:\n         native_queued_spin_lock_slowpath+0x5/0x2c0\n\
         _raw_spin_lock+0x2a/0x30\n         __swap_duplicate+0x1b/0x2a0\n} hitcount: 4\n\
        Totals:\n    Hits: 19\n    Entries: 3\n    Dropped: 0\n";

    #[test]
    fn returned_values_get_their_sign_back() {
        let hist = "# event histogram\n\n{ ret: 18446744073709551604 } hitcount:          2\n\
                    { ret:          0 } hitcount:       3703\n\nTotals:\n    Hits: 3705\n";
        assert_eq!(by_value(hist), BTreeMap::from([(-12, 2), (0, 3703)]));
    }

    #[test]
    fn slow_path_entries_are_summed_by_caller() {
        let expected = [("__swap_duplicate", 4), ("get_swap_pages", 15)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(by_caller(HIST), BTreeMap::from(expected));
    }
}
