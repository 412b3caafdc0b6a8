//! All points of a comparison in one figure. Guards that it hides nothing: it says over how many
//! points it is, and has an interval or the reason why not.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::compare::{Comparison, Side, trials};
use crate::family::{self, Blocks, Point};
use crate::plural;
use crate::stats::{self, Interval, MIN_SAMPLES, RESAMPLES};

/// The geometric mean of new over base: each point counts the same, and +100 % and -50 % cancel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overall {
    /// name of the base
    pub base: String,
    /// name of the side that is compared with it
    pub new: String,
    /// points that it is over
    pub points: usize,
    /// none where a point has a median of 0
    pub ratio: Option<f64>,
    /// 95 % bootstrap interval of whole blocks: what a block does to all points is in it
    pub interval: Option<Interval>,
    /// why there is no interval
    pub why: Option<String>,
}

/// The mean of `comparison`, which is that of these sides.
pub fn overall(base: &Side, new: &Side, comparison: &Comparison) -> Overall {
    let rows = &comparison.rows;
    let ratios: Vec<f64> = rows.iter().map(|row| row.ratio).collect();
    let few = rows.iter().filter(|row| row.interval.is_none()).count();
    let ratio = mean(ratios.iter().copied());
    let why = match (ratio, few) {
        (None, _) => Some("a point has a median of 0".to_owned()),
        (_, 0) => None,
        (_, few) => Some(format!("n<{MIN_SAMPLES} at {few} of {}", plural(rows.len(), "point"))),
    };
    let points = trials(base, new, comparison);
    let interval = if why.is_none() { interval(&points, comparison.paired) } else { None };
    Overall {
        base: comparison.base.clone(),
        new: comparison.new.clone(),
        points: rows.len(),
        ratio,
        why: why.or_else(|| interval.is_none().then(|| "the points share no block".to_owned())),
        interval,
    }
}

fn mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = ratios.map(f64::ln).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    mean.is_finite().then(|| mean.exp())
}

/// Bootstrap of whole blocks over all points at once. Sides that took turns draw the same blocks. A
/// draw without a trial of some point says nothing and is left out.
fn interval(points: &[Point], paired: bool) -> Option<Interval> {
    let points: Vec<[Blocks; 2]> = points.iter().map(|point| sides(point, paired)).collect();
    let blocks = [0, 1].map(|side| {
        let all: BTreeSet<u32> = points.iter().flat_map(|p| p[side].keys().copied()).collect();
        all.into_iter().collect::<Vec<u32>>()
    });
    let mut random = fastrand::Rng::with_seed(stats::SEED);
    let mut draw = |blocks: &[u32]| -> Vec<u32> {
        blocks.iter().map(|_| blocks[random.usize(..blocks.len())]).collect()
    };
    let drawn: Vec<f64> = (0..RESAMPLES / 4)
        .filter_map(|_| {
            let base = draw(&blocks[0]);
            let new = if paired { base.clone() } else { draw(&blocks[1]) };
            let ratios = points.iter().map(|p| Some(middle(&p[1], &new)? / middle(&p[0], &base)?));
            mean(ratios.collect::<Option<Vec<f64>>>()?.into_iter())
        })
        .collect();
    (!drawn.is_empty()).then(|| stats::interval_of(drawn))
}

/// The trials of each side; of sides that took turns, those of blocks that both have.
fn sides(point: &Point, paired: bool) -> [Blocks; 2] {
    let shared = family::shared(point);
    [&point.base, &point.new].map(|side| {
        let kept = side.iter().filter(|(block, _)| !paired || shared.contains(block));
        kept.map(|(block, sample)| (*block, *sample)).collect()
    })
}

/// The median of the drawn trials; none where no block of the draw has one.
fn middle(side: &Blocks, drawn: &[u32]) -> Option<f64> {
    let samples: Vec<f64> = drawn.iter().filter_map(|block| side.get(block).copied()).collect();
    (!samples.is_empty()).then(|| stats::median(&samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(base: &[f64], new: &[f64]) -> Point {
        let blocks = |side: &[f64]| (0..).zip(side.iter().copied()).collect();
        Point { base: blocks(base), new: blocks(new) }
    }

    #[test]
    fn a_gain_and_an_equal_loss_cancel() {
        assert_eq!(mean([2.0, 0.5].into_iter()), Some(1.0));
        assert_eq!(mean([2.0, 0.0].into_iter()), None);
    }

    /// What a block does to both sides cancels where they took turns, and only there.
    #[test]
    fn the_interval_holds_the_ratio_and_pairs_are_narrower() {
        let base: Vec<f64> = (0..8).map(|block| 100.0 + 10.0 * f64::from(block)).collect();
        let new: Vec<f64> = base.iter().map(|x| 2.0 * x).collect();
        let points = [point(&base, &new), point(&new, &base)];
        let paired = interval(&points, true).unwrap();
        assert!((paired.lo - 1.0).abs() < 1e-9 && (paired.hi - 1.0).abs() < 1e-9, "{paired:?}");
        let apart = interval(&points, false).unwrap();
        assert!(apart.lo < 0.95 && apart.hi > 1.05, "{apart:?}");
    }

    #[test]
    fn points_without_a_common_block_have_no_interval() {
        let lone = Point { base: [(0, 1.0)].into(), new: [(1, 2.0)].into() };
        assert_eq!(interval(&[lone], true), None);
    }
}
