//! Latency distributions from the histograms that lie beside the cells: the whole
//! curve where a summary has five points, and where it went over time.

use std::collections::BTreeMap;

use results::hlog::Interval;
use results::schema::Cell;
use serde_json::{Value, json};

use super::content::sig;
use crate::data::{Group, Set};

/// Points of a curve per nine; the page's script knows it too.
const STEPS: u32 = 8;
/// A quantile is shown only with this many operations beyond it.
const LEAST_BEYOND: f64 = 10.0;
/// Columns and rows of a heat map.
const TIMES: usize = 48;
const LEVELS: usize = 28;

/// The suffix of the tag of coarse histograms of parts of the interval.
const PARTS: &str = ".parts";

/// For each tag (`alloc`, `alloc.response`) of a group its curve, all trials merged,
/// and the heat map of the first trial; null where no histogram can be read.
pub fn of(set: &Set, group: &Group) -> Value {
    let mut merged: BTreeMap<String, Interval> = BTreeMap::new();
    let mut first: Vec<Interval> = Vec::new();
    for (i, cell) in group.cells.iter().enumerate() {
        let intervals = read(set, cell);
        for interval in &intervals {
            match merged.get_mut(&interval.tag) {
                // Fails only beyond the range of the first; then that trial is left out.
                Some(sum) => sum.histogram.add(&interval.histogram).unwrap_or(()),
                None => {
                    merged.insert(interval.tag.clone(), interval.clone());
                }
            }
        }
        if i == 0 {
            first = intervals;
        }
    }
    let whole = merged.iter().filter(|(tag, _)| !tag.ends_with(PARTS));
    let tags: serde_json::Map<String, Value> = whole
        .map(|(tag, sum)| {
            let parts = format!("{tag}{PARTS}");
            // Where the log has no parts, its own intervals may be short enough.
            let tagged = if merged.contains_key(&parts) { &parts } else { tag };
            let here: Vec<&Interval> = first.iter().filter(|i| i.tag == *tagged).collect();
            (tag.clone(), json!({ "curve": curve(sum), "heat": heat(&here) }))
        })
        .collect();
    if tags.is_empty() { Value::Null } else { Value::Object(tags) }
}

/// A cell's histograms, from the run that it belongs to.
fn read(set: &Set, cell: &Cell) -> Vec<Interval> {
    if cell.hlog.is_none() {
        return Vec::new();
    }
    let owner = set.runs.iter().find(|run| run.cells.iter().any(|c| std::ptr::eq(c, cell)));
    // The summaries in the cells remain where the file is gone.
    owner.and_then(|run| run.histograms(cell).ok()).unwrap_or_default()
}

/// ns at quantiles that are evenly spaced on a scale of nines: [`STEPS`] to each nine, from 0 on.
fn curve(interval: &Interval) -> Vec<f64> {
    let histogram = &interval.histogram;
    (0..8 * STEPS)
        .map(|i| 10f64.powf(-f64::from(i) / f64::from(STEPS)))
        .take_while(|beyond| histogram.len() as f64 * beyond >= LEAST_BEYOND)
        .map(|beyond| sig(histogram.value_at_quantile(1.0 - beyond) as f64))
        .collect()
}

/// Operations by time and latency, or null with fewer than four intervals: the ends
/// of both axes, and for each step in time a digit a level (see [`shade`]).
fn heat(intervals: &[&Interval]) -> Value {
    if intervals.len() < 4 {
        return Value::Null;
    }
    let start = intervals.iter().map(|i| i.start_ns).min().unwrap_or(0);
    let end = intervals.iter().map(|i| i.start_ns + i.duration_ns).max().unwrap_or(1);
    let least = intervals.iter().map(|i| i.histogram.min_nz()).min().unwrap_or(1).max(1) as f64;
    let most = intervals.iter().map(|i| i.histogram.max()).max().unwrap_or(2) as f64 + 1.0;
    let times = TIMES.min(intervals.len());
    let mut counts = vec![vec![0u64; LEVELS]; times];
    for interval in intervals {
        let middle = (interval.start_ns + interval.duration_ns / 2 - start) as f64;
        let column = (middle / (end - start) as f64 * times as f64) as usize;
        for value in interval.histogram.iter_recorded() {
            let ns = (value.value_iterated_to() as f64).clamp(least, most);
            let share = (ns / least).ln() / (most / least).ln();
            let level = ((share * LEVELS as f64) as usize).min(LEVELS - 1);
            counts[column.min(times - 1)][level] += value.count_since_last_iteration();
        }
    }
    let columns: Vec<String> =
        counts.iter().map(|c| c.iter().map(|n| shade(*n)).collect()).collect();
    json!({ "seconds": (end - start) as f64 / 1e9, "lo": least, "hi": most, "columns": columns })
}

/// A count as one digit in base 36: 0 for none, then two more for each power of ten.
fn shade(count: u64) -> char {
    let step = if count == 0 { 0 } else { 1 + (2.0 * (count as f64).log10()) as u32 };
    char::from_digit(step.min(35), 36).expect("below 36")
}
