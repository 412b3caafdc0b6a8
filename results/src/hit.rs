//! Whether something from outside has hit a trial. One rule for the tables, the comparison and the
//! engine, which reports it while it measures.

use crate::schema::Cell;

/// A trial is hit where more than this share of it was lost. Effects of this size are what
/// comparisons are about; and one worker that is held up may hold a lock that all want, so lost
/// time counts against the interval, not against the time of all workers.
pub const LOST: f64 = 0.01;
/// A trial is hit where the clock's frequency moved by more than this share.
pub const DRIFT: f64 = 0.02;
/// Stolen time is counted in ticks of 10 ms; a single tick may stand for almost none.
const TICK_NS: f64 = 10e6;
/// A trial is hit where its interval is longer than was asked for by more than this share ...
pub const LONGER: f64 = 0.03;
/// ... and by more than this, ns.
const LONGER_NS: f64 = 10e6;
/// Operations that may take a whole interval. Each of them is timed.
const LONG_KINDS: [&str; 2] = ["swapoff", "swapon"];

/// The disturbances that hit a trial, in words; `None` where none is known.
pub fn hit(cell: &Cell) -> Option<String> {
    let noise = &cell.noise;
    let interval = cell.duration_ns as f64;
    // A run of an older program knows the longest gap alone.
    let gaps = noise.gap_total_ns.known().or(noise.gap_max_ns.known());
    let gaps = gaps.map(|ns| *ns as f64).filter(|ns| *ns > LOST * interval);
    let steal = noise.steal_ns.known().map(|ns| *ns as f64);
    let steal = steal.filter(|ns| *ns > TICK_NS && *ns > LOST * interval);
    let drift = noise.frequency_drift.known().filter(|drift| drift.abs() > DRIFT);
    let longer = longer_ns(cell).filter(|ns| *ns > LONGER_NS && *ns > LONGER * interval);
    let throttled = noise.throttled.known().filter(|times| **times > 0);
    let percent = |ns: f64| 100.0 * ns / interval;
    let words = [
        gaps.map(|ns| format!("clock gaps of {:.1} % of the interval", percent(ns))),
        longer.map(|ns| format!("an interval that is {:.0} ms longer than asked", ns / 1e6)),
        steal.map(|ns| format!("stolen time of {:.1} % of the interval", percent(ns))),
        drift.map(|drift| format!("clock frequency moved by {:+.1} %", 100.0 * drift)),
        throttled.map(|times| format!("throttled for heat {times} times")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The time by which the interval is longer than was asked for and than its last operation explains,
/// ns. A worker ends its step before it leaves, and a step may be a swapoff and a swapon.
fn longer_ns(cell: &Cell) -> Option<f64> {
    let longest = |kind: &&str| Some(cell.kinds.get(*kind)?.latency.as_ref()?.max as f64);
    let explained: f64 = LONG_KINDS.iter().filter_map(longest).sum();
    Some(cell.duration_ns as f64 - cell.asked_ns? as f64 - explained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    /// The example's interval of 1 s, and what was asked for.
    fn asked(ms: u64) -> Cell {
        Cell { asked_ns: Some(ms * 1_000_000), ..example::cell() }
    }

    #[test]
    fn a_trial_that_is_longer_than_asked_is_hit() {
        assert_eq!(hit(&asked(995)), None, "5 ms are a step");
        assert_eq!(hit(&asked(985)), None, "1.5 % are below the share");
        assert_eq!(hit(&asked(1_100)), None, "shorter");
        let said = hit(&asked(800)).unwrap();
        assert_eq!(said, "an interval that is 200 ms longer than asked");
        assert_eq!(hit(&Cell { asked_ns: None, ..asked(800) }), None, "an older run");
    }

    #[test]
    fn the_last_swapoff_explains_a_longer_interval() {
        let mut cell = asked(800);
        let mut kind = cell.kinds["alloc"].clone();
        kind.latency.as_mut().unwrap().max = 195_000_000;
        cell.kinds.insert("alloc".into(), kind.clone());
        assert!(hit(&cell).is_some(), "an allocation that took so long was held up");
        cell.kinds.insert("swapoff".into(), kind);
        assert_eq!(hit(&cell), None);
        cell.asked_ns = Some(750_000_000);
        assert!(hit(&cell).is_some(), "a stop of 55 ms beside it");
    }
}
