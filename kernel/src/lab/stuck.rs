//! Calls of the swap allocator that do not end in time: a probe at both ends of folio_alloc_swap().
//! Both ends lie outside of what a swapoff must hit, so the probes do not make it wider.

use std::fs;
use std::path::Path;

use results::kernel::STUCK_NS;

use super::tracefs::{TRACING, add, append, hist};
use crate::live::Error;

const FUNCTION: &str = "folio_alloc_swap";
const EVENT: &str = "events/synthetic/stuck";

/// The probes, and what they had counted at the last look.
pub struct Stuck {
    counted: u64,
}

impl Stuck {
    /// Switches the probes on. Only a call that took longer than [`STUCK_NS`] leaves a line.
    ///
    /// # Errors
    /// What this kernel cannot probe.
    pub fn start() -> Result<Stuck, String> {
        let tracing = Path::new(TRACING);
        append(&tracing.join("synthetic_events"), "stuck u64 us")?;
        let began = "hist:keys=common_pid:began=common_timestamp.usecs";
        add(&format!("p:alloc {FUNCTION}"), "alloc", began)?;
        let ended = "hist:keys=common_pid:us=common_timestamp.usecs-$began\
                     :onmatch(kprobes.alloc).trace(stuck,$us)";
        add(&format!("r:alloced {FUNCTION}"), "alloced", ended)?;
        append(&tracing.join(EVENT).join("filter"), &format!("us > {}", STUCK_NS / 1000))?;
        append(&tracing.join(EVENT).join("enable"), "1")?;
        Ok(Stuck { counted: 0 })
    }

    /// The time of each stuck call, ns, and the number of all calls, since the last look.
    ///
    /// # Errors
    /// What could not be read: without it nobody knows whether a call was stuck.
    pub fn take(&mut self) -> Result<(Vec<u64>, u64), Error> {
        let trace = Path::new(TRACING).join("trace");
        let stuck = fs::read_to_string(&trace).map_err(Error::system("the trace"))?;
        // Opening the file with O_TRUNC empties the ring buffers.
        fs::write(&trace, "").map_err(Error::system("the trace"))?;
        let uncounted = || Error::Refused(format!("the calls of {FUNCTION} are not counted"));
        let counted = hits(&hist("alloc")).ok_or_else(uncounted)?;
        let calls = counted - std::mem::replace(&mut self.counted, counted);
        Ok((times(&stuck), calls))
    }
}

/// The times in a trace, ns. One that is negative, and so above all others, is none: an emulated
/// guest's clock can differ between its CPUs.
fn times(trace: &str) -> Vec<u64> {
    let time = |line: &str| line.rsplit_once("stuck: us=")?.1.trim().parse::<u64>().ok();
    trace.lines().filter_map(time).filter_map(|us| us.checked_mul(1000)).collect()
}

/// All that a `hist` file has counted.
fn hits(hist: &str) -> Option<u64> {
    hist.lines().find_map(|line| line.trim().strip_prefix("Hits: ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_trace_is_a_stuck_call() {
        let trace = "# tracer: nop\n#\n\
            #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n\
            init-137     [001] .N.3.     7.628905: stuck: us=1568470\n\
            init-137     [001] ...3.     9.000000: stuck: us=18446744073709551520\n\
            init-137     [001] .N.3.    10.748949: stuck: us=1203456\n";
        assert_eq!(times(trace), [1_568_470_000, 1_203_456_000]);
        assert_eq!(times("# tracer: nop\n"), [0; 0]);
    }

    #[test]
    fn calls_are_the_hits_of_all_processes() {
        let hist = "# event histogram\n#\n\n{ common_pid:        137 } hitcount:      12345\n\
                    { common_pid:        138 } hitcount:          7\n\n\
                    Totals:\n    Hits: 12352\n    Entries: 2\n    Dropped: 0\n";
        assert_eq!(hits(hist), Some(12352));
        assert_eq!(hits(""), None);
    }
}
