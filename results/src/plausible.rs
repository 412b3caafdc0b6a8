//! Whether the figures of a cell can be figures at all. Guards tables and charts against a file that
//! was damaged or edited: they divide by intervals, add counts up and take logarithms of rates.

use crate::schema::{Cell, Counter};

/// More operations per second than any machine can do: 10,000 CPUs at 100 per ns.
const MOST_PER_S: f64 = 1e15;
/// Above every count and every time, ns, of an interval: 31 years.
const MOST: f64 = 1e18;
/// Shares are rounded to six digits.
const WHOLE: f64 = 1.000_01;

/// The first figure that no machine can give, in words; `None` if all are plausible.
pub(crate) fn problem(cell: &Cell) -> Option<String> {
    let within = |name: &str, value: f64, most: f64| {
        let plausible = (0.0..=most).contains(&value);
        (!plausible).then(|| format!("{name} is {value}, not from 0 to {most:e}"))
    };
    if cell.duration_ns == 0 || cell.key.threads == 0 {
        return Some("duration_ns and threads must be more than 0".into());
    }
    let operations: u128 = cell.per_thread.iter().map(|n| u128::from(*n)).sum();
    let drift = cell.noise.frequency_drift.known().map_or(0.0, |drift| drift.abs());
    let mut means = cell.kinds.values().flat_map(|kind| kind.latency.iter().chain(&kind.response));
    let mut scales = cell.counters.values().filter_map(|counter| match counter {
        Counter::Value { scaled, .. } => Some(*scaled),
        Counter::Unsupported { .. } => None,
    });
    let mut values = cell.series.iter().flat_map(|series| &series.points);
    within("ops_per_s", cell.ops_per_s, MOST_PER_S)
        .or_else(|| within("duration_ns", cell.duration_ns as f64, MOST))
        .or_else(|| within("the sum of per_thread", operations as f64, MOST))
        .or_else(|| within("jain", cell.jain, WHOLE))
        .or_else(|| within("overlap", cell.overlap, WHOLE))
        .or_else(|| within("frequency_drift, up or down,", drift, MOST))
        .or_else(|| means.find_map(|of| within("a mean latency", of.mean, MOST)))
        .or_else(|| scales.find_map(|by| within("the scale of a counter", by, MOST)))
        .or_else(|| values.find_map(|value| within("a value over time", value.1.abs(), MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn what_no_machine_can_give_is_named() {
        assert_eq!(problem(&example::cell()), None);
        let named = |change: fn(&mut Cell), word: &str| {
            let mut cell = example::cell();
            change(&mut cell);
            let said = problem(&cell).unwrap_or_else(|| panic!("{word}: nothing was found"));
            assert!(said.contains(word), "{said}");
        };
        named(|cell| cell.ops_per_s = -5.0, "ops_per_s");
        named(|cell| cell.ops_per_s = 1.7e308, "ops_per_s");
        named(|cell| cell.ops_per_s = f64::NAN, "ops_per_s");
        named(|cell| cell.duration_ns = 0, "duration_ns");
        named(|cell| cell.duration_ns = u64::MAX, "duration_ns");
        named(|cell| cell.key.threads = 0, "threads");
        named(|cell| cell.per_thread = vec![u64::MAX; 2], "per_thread");
        named(|cell| cell.jain = 1.1, "jain");
        named(|cell| cell.overlap = -0.1, "overlap");
        let mean = |cell: &mut Cell| {
            let kind = cell.kinds.values_mut().find_map(|kind| kind.latency.as_mut());
            kind.unwrap().mean = -1.0;
        };
        named(mean, "mean");
        named(|cell| cell.series[0].points[0].1 = -1e300, "over time");
    }
}
