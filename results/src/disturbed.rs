//! Which trials something from outside has hit, and the verdict again without them. Guards a
//! comparison against the one preempted trial that makes it, or hides it.

use serde::Serialize;

use crate::compare::{Comparison, Outcome, Row, Side, compare};
use crate::schema::{Cell, CellKey};

/// A trial is hit where more than this share of it was lost. Effects of this size are
/// what comparisons are about; and one worker held up may hold a lock that all want, so
/// lost time counts against the interval, not against the time of all workers.
pub const LOST: f64 = 0.01;
/// Or where the clock's frequency moved by more than this.
pub const DRIFT: f64 = 0.02;
/// Stolen time is counted in ticks of 10 ms: one may have been nearly none.
const TICK_NS: f64 = 10e6;

/// What hit a trial, in words; `None` where nothing is known to have.
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

/// A comparison again, without the trials that were hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undisturbed {
    pub base: String,
    pub new: String,
    /// the points of which a trial was hit
    pub rows: Vec<Without>,
}

/// One point without its trials that were hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Without {
    pub key: CellKey,
    /// trials that were hit, of base and of new
    pub hit: [usize; 2],
    /// the outcome of all trials
    pub with: Outcome,
    /// what is left; none where nothing is
    pub without: Option<Row>,
}

impl Without {
    /// Whether the verdict stands without the trials that were hit.
    pub fn stands(&self) -> bool {
        self.without.as_ref().is_some_and(|row| row.outcome == self.with)
    }
}

/// `all` once more without the trials that were hit; `None` if none was.
pub fn undisturbed(base: &Side, new: &Side, all: &Comparison) -> Option<Undisturbed> {
    let struck: Vec<&Row> = all.rows.iter().filter(|row| row.hit != [0, 0]).collect();
    if struck.is_empty() {
        return None;
    }
    let rest = compare(&without_hit(base), &without_hit(new), &all.metric);
    let rest = rest.map(|comparison| comparison.rows).unwrap_or_default();
    let rows = struck.into_iter().map(|row| Without {
        key: row.key.clone(),
        hit: row.hit,
        with: row.outcome,
        without: rest.iter().find(|rest| rest.key == row.key).cloned(),
    });
    Some(Undisturbed { base: all.base.clone(), new: all.new.clone(), rows: rows.collect() })
}

fn without_hit<'a>(side: &Side<'a>) -> Side<'a> {
    let cells = side.cells.iter().copied().filter(|cell| hit(cell).is_none()).collect();
    Side { cells, ..side.clone() }
}
