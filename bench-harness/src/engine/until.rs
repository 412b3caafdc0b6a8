//! `--until`: ends a run when its intervals are narrow enough, or its budget is gone. Guards the
//! level of the intervals, which are looked at only where `results::sequential` has a look, and
//! the budget: no block is begun that it has no room for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use results::schema::{Cell, CellKey};
use results::sequential::{looks, wider_side};

use crate::plan::Until;

pub(super) struct Watch {
    until: Until,
    points: usize,
    /// Throughput of each point's trials.
    samples: BTreeMap<CellKey, Vec<f64>>,
    began: Instant,
    /// Cells measured since `began`.
    measured: u32,
}

impl Watch {
    pub(super) fn new(until: Until, points: usize, finished: &[Cell]) -> Self {
        let (samples, began) = (BTreeMap::new(), Instant::now());
        let mut watch = Self { until, points, samples, began, measured: 0 };
        finished.iter().for_each(|cell| watch.add(cell));
        watch.measured = 0;
        watch
    }

    pub(super) fn add(&mut self, cell: &Cell) {
        let point = CellKey { block: 0, ..cell.key.clone() };
        self.samples.entry(point).or_default().push(cell.ops_per_s);
        self.measured += 1;
    }

    /// Whether the run ends with `trials` of every point: at a look with all of them narrow, or
    /// where the budget has no room for a mirrored pair of blocks more.
    pub(super) fn stops_before(&self, trials: u32) -> bool {
        let is_look = looks().take_while(|n| *n <= trials as usize).any(|n| n == trials as usize);
        (is_look && self.narrow()) || (trials.is_multiple_of(2) && self.spent())
    }

    /// Cells up to the next look.
    pub(super) fn next_look(&self, trials: u32) -> usize {
        self.points * looks().find(|n| *n > trials as usize).expect("looks have no end")
    }

    fn narrow(&self) -> bool {
        let enough =
            |samples: &Vec<f64>| wider_side(samples).is_some_and(|side| side <= self.until.width);
        self.samples.len() == self.points && self.samples.values().all(enough)
    }

    fn spent(&self) -> bool {
        let passed = self.began.elapsed();
        let each = passed.checked_div(self.measured).unwrap_or(Duration::ZERO);
        passed + each * 2 * self.points as u32 > self.until.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::example;

    fn until(width: f64, budget: Duration) -> Until {
        Until { width, budget }
    }

    /// `trials` of two points whose figures lie within `spread` of 1.
    fn cells(trials: u32, spread: f64) -> Vec<Cell> {
        let cell = |point: u32, block: u32| {
            let mut cell = example::cell();
            (cell.key.threads, cell.key.block) = (point + 1, block);
            cell.ops_per_s = 1.0 + spread * (f64::from(block * 7 % 11) / 5.0 - 1.0);
            cell
        };
        (0..trials).flat_map(|block| [cell(0, block), cell(1, block)]).collect()
    }

    #[test]
    fn it_ends_at_a_look_with_all_points_narrow() {
        let hour = until(0.01, Duration::from_secs(3600));
        let stops =
            |points, cells: &[Cell], trials| Watch::new(hour, points, cells).stops_before(trials);
        assert!(stops(2, &cells(8, 0.005), 8));
        assert!(!stops(2, &cells(8, 0.05), 8), "too wide");
        assert!(!stops(2, &cells(10, 0.005), 10), "10 trials are no look");
        assert!(!stops(3, &cells(8, 0.005), 8), "the third point has no trial yet");
        let mut one_wide = cells(8, 0.005);
        one_wide.iter_mut().filter(|c| c.key.threads == 2).for_each(|c| {
            c.ops_per_s *= 1.0 + 0.1 * f64::from(c.key.block % 2);
        });
        assert!(!stops(2, &one_wide, 8), "one is too wide");
        assert_eq!(Watch::new(hour, 2, &[]).next_look(0), 16);
        assert_eq!(Watch::new(hour, 2, &[]).next_look(8), 24);
    }

    #[test]
    fn a_budget_that_is_gone_ends_it_between_pairs_of_blocks() {
        let mut watch = Watch::new(until(0.01, Duration::from_millis(30)), 2, &[]);
        assert!(!watch.stops_before(0));
        std::thread::sleep(Duration::from_millis(20));
        cells(2, 0.5).iter().for_each(|cell| watch.add(cell));
        assert!(watch.stops_before(2), "two blocks took 20 ms, two more do not fit in 30");
        assert!(!watch.stops_before(3), "a pair is ended");
    }
}
