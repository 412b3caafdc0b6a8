//! The cost of the probes, calibrated on the machine that runs them. Guards that this cost is
//! printed beside the figures, with its quartiles; it is never subtracted.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use results::schema::{ProbeCost, Reading};

use super::recorder::Recorder;

const BATCHES: usize = 31;
const CALLS: u32 = 2_000;

/// Cost of one call, ns: the median over batches and the quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// the median
    pub median: f64,
    /// the lower quartile
    pub lower: f64,
    /// the upper quartile
    pub upper: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { median, lower, upper } = self;
        write!(f, "{median:.1} ns (quartiles {lower:.1}..{upper:.1} of {BATCHES} batches)")
    }
}

/// Times `call` in batches of 2,000, so that the clock reads around a batch weigh little.
pub fn cost(mut call: impl FnMut()) -> Cost {
    let mut batch = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    batch();
    let mut ns: Vec<f64> = (0..BATCHES).map(|_| batch()).collect();
    ns.sort_by(f64::total_cmp);
    Cost { median: ns[BATCHES / 2], lower: ns[BATCHES / 4], upper: ns[BATCHES * 3 / 4] }
}

/// Cost of one read of the clock `now`.
pub fn clock_read(mut now: impl FnMut() -> u64) -> Cost {
    cost(|| {
        black_box(now());
    })
}

/// Cost of recording one latency, with values from 20 ns to 20 us.
pub fn record(mut record: impl FnMut(u64)) -> Cost {
    let values: Vec<u64> = (0..256u64).map(|i| 20 + (i * 7919) % 20_000).collect();
    let mut at = 0;
    cost(|| {
        record(black_box(values[at & 255]));
        at += 1;
    })
}

/// Both costs as a run records them, and as one line for its notes.
pub fn calibrate(now: impl FnMut() -> u64) -> (ProbeCost, String) {
    let mut recorder = Recorder::default();
    let read = clock_read(now);
    let record = record(|ns| recorder.record(ns));
    let cost = ProbeCost {
        clock_read_ns: Reading::Known(read.median),
        record_ns: Reading::Known(record.median),
    };
    (cost, format!("clock read {read}; histogram record {record}"))
}

/// The smallest step of the clock `now` above 0, in its unit; `None` if it never advances.
pub fn smallest_step(mut now: impl FnMut() -> u64) -> Option<u64> {
    let mut last = now();
    let steps = (0..10_000).map(|_| {
        let before = std::mem::replace(&mut last, now());
        last.saturating_sub(before)
    });
    steps.filter(|step| *step > 0).min()
}

/// Ticks per second of the counter `raw`, measured over `time`.
pub fn rate(mut raw: impl FnMut() -> u64, time: Duration) -> f64 {
    let (start, first) = (Instant::now(), raw());
    std::thread::sleep(time);
    let last = raw();
    last.saturating_sub(first) as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::histogram;

    #[test]
    fn more_work_costs_more() {
        let spin = |turns: u32| {
            move || {
                black_box((0..turns).fold(0, |a, n| black_box(a + n)));
            }
        };
        let (one, many) = (cost(spin(2)), cost(spin(400)));
        assert!(many.median > 10.0 * one.median, "{one} against {many}");
        assert!(one.lower <= one.median && one.median <= one.upper);
    }

    /// 24 of 31 batches took the lower quartile or longer, and all took no longer than the test.
    #[test]
    fn a_cost_is_that_of_one_call() {
        let start = Instant::now();
        let cost = clock_read(|| start.elapsed().as_nanos() as u64);
        assert!(cost.lower * f64::from(CALLS) * 24.0 <= start.elapsed().as_nanos() as f64);
        assert!(cost.upper * f64::from(CALLS) >= 1.0, "a batch took no time");
    }

    #[test]
    fn every_call_is_recorded() {
        let (mut recorder, mut histogram) = (Recorder::default(), histogram());
        record(|ns| recorder.record(ns));
        recorder.add_to(&mut histogram);
        assert_eq!(histogram.len(), u64::from(CALLS) * (BATCHES as u64 + 1));
        let (probe, note) = calibrate(|| 1);
        assert!(probe.record_ns.known().is_some() && note.contains("quartiles"), "{note}");
    }

    #[test]
    fn the_smallest_step_is_not_zero() {
        let mut calls = 0;
        let coarse = || {
            calls += 1;
            calls / 3 * 20
        };
        assert_eq!(smallest_step(coarse), Some(20));
        assert_eq!(smallest_step(|| 5), None);
    }
}
