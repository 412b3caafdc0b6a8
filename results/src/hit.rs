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
    let throttled = noise.throttled.known().filter(|times| **times > 0);
    let percent = |ns: f64| 100.0 * ns / interval;
    let words = [
        gaps.map(|ns| format!("clock gaps of {:.1} % of the interval", percent(ns))),
        steal.map(|ns| format!("stolen time of {:.1} % of the interval", percent(ns))),
        drift.map(|drift| format!("clock frequency moved by {:+.1} %", 100.0 * drift)),
        throttled.map(|times| format!("throttled for heat {times} times")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(", "))
}
