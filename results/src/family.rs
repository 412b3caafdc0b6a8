//! One test for all points of a comparison together. Guards a gate that can fail: the chance that
//! any point of a family is called different by mistake is at most 5 %, and the trials that it takes
//! do not grow with the number of points.
//!
//! It is the max-T permutation test of Westfall and Young (Resampling-Based Multiple Testing, 1993).
//! If two sides do not differ, then the labels "base" and "new" say nothing about a trial. So the
//! labels are exchanged, in all points at once, and the largest statistic of any point is noted. A
//! point differs if its own statistic is among the 5 % largest of those. A correction by the number
//! of points (Holm, Benjamini-Hochberg) needs p-values of 0.05 / points from each point alone, which
//! six trials cannot give; this test needs one labelling in twenty, whatever the number of points.

use std::collections::{BTreeMap, BTreeSet};

use crate::stats::{ALPHA, MIN_SAMPLES, median};

/// One point's samples by block: none negative.
pub type Blocks = BTreeMap<u32, f64>;

/// One point of a family.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// trials of the base
    pub base: Blocks,
    /// trials of the side that is compared with it
    pub new: Blocks,
}

/// What is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// base and new of one block: they were measured side by side, so what a block does to both of
    /// them cancels
    Paired,
    /// any trial with any other
    Unpaired,
}

/// Labellings that are tried; where there are fewer in all, each is tried once.
const LABELLINGS: usize = 2_000;
const SEED: u64 = 0x6a7e;
/// A difference of logarithms below this is rounding.
const NOTHING: f64 = 1e-12;
/// Correlation from trial to trial beyond this is taken for this.
const MOST_CORRELATED: f64 = 0.8;
/// Beyond this standard error that correlation is not known (fewer than 100 trials in all).
const MOST_ERROR: f64 = 0.1;

/// The p-value of each point, corrected for all of them: it may be held against [`ALPHA`] with all
/// the others at once. Points with fewer than [`MIN_SAMPLES`] trials (or pairs) must be left out.
pub fn corrected(points: &[Point], design: Design) -> Vec<f64> {
    let family = Family::new(points, design);
    let observed: Vec<f64> = family.statistics(&family.labels).iter().map(|t| t.abs()).collect();
    let shrink = serial_correction(&family.series);
    let mut at_least = vec![1usize; points.len()];
    let labellings = family.labellings();
    for labels in &labellings {
        let most = family.statistics(labels).iter().fold(0.0, |most: f64, t| most.max(t.abs()));
        for (count, t) in at_least.iter_mut().zip(&observed) {
            *count += usize::from(most >= t / shrink * (1.0 - 1e-9));
        }
    }
    let all = (labellings.len() + 1) as f64;
    at_least.into_iter().map(|count| count as f64 / all).collect()
}

/// The blocks that both sides of a point have.
pub fn shared(point: &Point) -> BTreeSet<u32> {
    point.base.keys().filter(|block| point.new.contains_key(block)).copied().collect()
}

/// A trial's label for each unit that is exchanged: a block, or a trial of a side.
type Labels = Vec<f64>;
/// The values of one point with their units, and the sum of their squares.
type Values = (Vec<(usize, f64)>, f64);

struct Family {
    design: Design,
    /// by point
    values: Vec<Values>,
    /// the labels as they were measured: 1 is the base (unpaired) or not exchanged (paired), else 0
    labels: Labels,
    /// residuals of each point and side in their order
    series: Vec<Vec<f64>>,
}

impl Family {
    fn new(points: &[Point], design: Design) -> Family {
        let mut units: BTreeSet<(bool, u32)> = BTreeSet::new();
        for point in points {
            match design {
                Design::Paired => units.extend(shared(point).into_iter().map(|b| (true, b))),
                Design::Unpaired => {
                    units.extend(point.base.keys().map(|b| (true, *b)));
                    units.extend(point.new.keys().map(|b| (false, *b)));
                }
            }
        }
        let place: BTreeMap<(bool, u32), usize> =
            units.iter().enumerate().map(|(at, unit)| (*unit, at)).collect();
        let values_of = |point: &Point| match design {
            Design::Paired => shared(point)
                .into_iter()
                .map(|block| {
                    (place[&(true, block)], log(point.new[&block]) - log(point.base[&block]))
                })
                .collect(),
            Design::Unpaired => {
                let side = |is_base: bool, blocks: &Blocks| -> Vec<(usize, f64)> {
                    blocks.iter().map(|(block, x)| (place[&(is_base, *block)], log(*x))).collect()
                };
                centred([side(true, &point.base), side(false, &point.new)].concat())
            }
        };
        let values = points.iter().map(|point| {
            let values = values_of(point);
            let squares = values.iter().map(|(_, x)| x * x).sum();
            (values, squares)
        });
        let series = points.iter().flat_map(|point| match design {
            Design::Paired => {
                vec![shared(point).iter().map(|b| log(point.new[b]) - log(point.base[b])).collect()]
            }
            Design::Unpaired => [&point.base, &point.new]
                .map(|side| side.values().map(|x| log(*x)).collect::<Vec<f64>>())
                .to_vec(),
        });
        let series = series.map(|series: Vec<f64>| residuals(&series)).collect();
        Family {
            design,
            values: values.collect(),
            labels: units.iter().map(|(is_base, _)| f64::from(*is_base)).collect(),
            series,
        }
    }

    /// Every labelling but the measured one; or some, drawn at random. Of two that are each other's
    /// opposite, which are as far apart, the one that leaves the first unit as it was measured.
    fn labellings(&self) -> Vec<Labels> {
        let n = self.labels.len();
        let bases = self.labels.iter().filter(|label| **label == 1.0).count();
        let bits =
            |number: u32| -> Labels { (0..n).map(|at| f64::from(number >> at & 1)).collect() };
        let opposed = self.design == Design::Paired || 2 * bases == n;
        let other =
            |labels: &Labels| *labels != self.labels && (!opposed || labels[0] == self.labels[0]);
        match self.design {
            Design::Paired if n <= 11 => (0..1u32 << n).map(bits).filter(other).collect(),
            Design::Unpaired if n <= 12 => {
                let same_sizes = (0..1u32 << n).filter(|x| x.count_ones() as usize == bases);
                same_sizes.map(bits).filter(other).collect()
            }
            _ => {
                let mut random = fastrand::Rng::with_seed(SEED);
                let mut labels = self.labels.clone();
                let draw = |_| {
                    match self.design {
                        Design::Paired => {
                            labels.iter_mut().for_each(|kept| *kept = f64::from(random.bool()))
                        }
                        Design::Unpaired => random.shuffle(&mut labels),
                    }
                    labels.clone()
                };
                (0..LABELLINGS).map(draw).collect()
            }
        }
    }

    /// Each point's difference of means over its standard error and a little more.
    fn statistics(&self, labels: &Labels) -> Vec<f64> {
        let parts: Vec<(f64, f64)> =
            self.values.iter().map(|point| self.difference(point, labels)).collect();
        // Without the addend a point whose few trials happen to be alike would win by chance (the
        // "fudge factor" of Tusher, Tibshirani and Chu 2001): the lower quartile of all errors.
        let mut errors: Vec<f64> = parts.iter().map(|(_, error)| *error).collect();
        let quarter = errors.len().saturating_sub(1) / 4;
        let addend = match errors.is_empty() {
            true => 0.0,
            false => *errors.select_nth_unstable_by(quarter, f64::total_cmp).1,
        };
        let statistic = |(difference, error): (f64, f64)| match error + addend {
            _ if difference.abs() < NOTHING => 0.0,
            0.0 => f64::INFINITY,
            error => difference / error,
        };
        parts.into_iter().map(statistic).collect()
    }

    /// Difference of the means, and its standard error.
    fn difference(&self, (values, squares): &Values, labels: &Labels) -> (f64, f64) {
        let n = values.len() as f64;
        let (difference, variance) = match self.design {
            Design::Paired => {
                let signed = |(unit, x): &(usize, f64)| (2.0 * labels[*unit] - 1.0) * x;
                let mean = values.iter().map(signed).sum::<f64>() / n;
                (mean, (squares - n * mean * mean) / (n - 1.0) / n)
            }
            Design::Unpaired => {
                let (m, sum) = values.iter().fold((0.0, 0.0), |(m, sum), (unit, x)| {
                    (m + labels[*unit], sum + labels[*unit] * x)
                });
                let (mean, other) = (sum / m, -sum / (n - m));
                if m == 0.0 || m == n {
                    return (0.0, 0.0);
                }
                let within = squares - m * mean * mean - (n - m) * other * other;
                (other - mean, within / (n - 2.0) * (1.0 / m + 1.0 / (n - m)))
            }
        };
        let error = variance.max(0.0).sqrt();
        (difference, if error < NOTHING { 0.0 } else { error })
    }
}

/// Ratios are what is compared. A sample of 0 (no operation finished) is the worst that can be, and
/// is taken for next to nothing.
fn log(sample: f64) -> f64 {
    sample.max(1e-9).ln()
}

fn centred(mut values: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let mean = values.iter().map(|(_, x)| x).sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|(_, x)| *x -= mean);
    values
}

fn residuals(series: &[f64]) -> Vec<f64> {
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    series.iter().map(|x| x - mean).collect()
}

/// The factor by which correlation from one trial to the next inflates a statistic: such trials are
/// no independent witnesses. Exchanged labels break the correlation, so they do not show it. It is
/// estimated from the residuals of all points together, and is 1 where they show none.
fn serial_correction(series: &[Vec<f64>]) -> f64 {
    let sums = |x: &Vec<f64>| {
        let all: f64 = x.iter().map(|x| x * x).sum();
        (x.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>(), all)
    };
    let found: Vec<(f64, f64)> =
        series.iter().map(sums).filter(|(_, all)| *all > NOTHING * NOTHING).collect();
    if found.is_empty() {
        return 1.0;
    }
    // A point that is much noisier than the others has no more to say than they.
    let usual = median(&found.iter().map(|(_, all)| *all).collect::<Vec<_>>());
    let weighted = |of: fn(&(f64, f64)) -> f64| -> f64 {
        found.iter().map(|sums| of(sums) / (sums.1 + usual)).sum()
    };
    let shown = weighted(|sums| sums.0) / weighted(|sums| sums.1);
    let n = series.iter().map(Vec::len).sum::<usize>() / series.len();
    // The estimate is raised by its error, as one that is too low costs the level. But a few trials of
    // a few points show as much by chance: there it takes more than chance.
    let error = 1.0 / ((n * found.len()) as f64).sqrt();
    if error > MOST_ERROR && shown + 1.0 / (n as f64) < 2.0 * error {
        return 1.0;
    }
    let rho = correlation(shown + error, n);
    let inflation = 2.0 * lagged(rho, n) - 1.0;
    let left = (n as f64 - inflation) / (n as f64 - 1.0);
    // Once for the errors that correlated trials show too small, and once as those vary more.
    inflation.sqrt() / left
}

/// Sum of the correlations of a mean's `n` trials: 1 + sum of (1 - k/n) rho^k.
fn lagged(rho: f64, n: usize) -> f64 {
    (0..n).map(|k| (1.0 - k as f64 / n as f64) * rho.powi(k as i32)).sum()
}

/// The correlation of which `n` residuals show the lag-1 correlation `shown`: the mean that they
/// lack makes it smaller, -1/n where there is none (Marriott and Pope 1954).
fn correlation(shown: f64, n: usize) -> f64 {
    let expected = |rho: f64| {
        let row = |t: usize| -> f64 {
            (0..n).map(|j| rho.powi(t.abs_diff(j) as i32)).sum::<f64>() / n as f64
        };
        let rows: Vec<f64> = (0..n).map(row).collect();
        let all = rows.iter().sum::<f64>() / n as f64;
        let neighbours: f64 = rows.windows(2).map(|pair| rho - pair[0] - pair[1] + all).sum();
        neighbours / (n as f64 - n as f64 * all)
    };
    let (mut low, mut high) = (0.0, MOST_CORRELATED);
    if n < 3 || shown <= expected(low) {
        return 0.0;
    }
    for _ in 0..20 {
        let middle = (low + high) / 2.0;
        if expected(middle) < shown { low = middle } else { high = middle }
    }
    low
}

/// Whether any of `sides` differs from any other at one point: the largest statistic of all pairs
/// against labels exchanged among all sides, within blocks where all sides have the same ones. A
/// page that names the best and the last of several has looked at every pair.
pub fn any_differs(sides: &[Blocks]) -> bool {
    let Some(first) = sides.first().filter(|_| sides.len() > 1) else { return false };
    if sides.iter().any(|side| side.len() < MIN_SAMPLES) {
        return false;
    }
    let same_blocks = sides.iter().all(|side| side.keys().eq(first.keys()));
    let mut values: Vec<Vec<f64>> =
        sides.iter().map(|side| side.values().map(|x| log(*x)).collect()).collect();
    let observed = widest(&values, same_blocks);
    let mut random = fastrand::Rng::with_seed(SEED);
    let exchanged = (0..LABELLINGS).filter(|_| {
        exchange(&mut values, same_blocks, &mut random);
        widest(&values, same_blocks) >= observed * (1.0 - 1e-9)
    });
    (exchanged.count() + 1) as f64 / ((LABELLINGS + 1) as f64) < ALPHA
}

fn exchange(values: &mut [Vec<f64>], within_blocks: bool, random: &mut fastrand::Rng) {
    let units: Vec<(usize, usize)> =
        (0..values.len()).flat_map(|s| (0..values[s].len()).map(move |b| (s, b))).collect();
    let pools: Vec<Vec<(usize, usize)>> = match within_blocks {
        true => (0..values[0].len())
            .map(|block| units.iter().copied().filter(|unit| unit.1 == block).collect())
            .collect(),
        false => vec![units],
    };
    for pool in pools {
        let mut drawn: Vec<f64> = pool.iter().map(|(s, b)| values[*s][*b]).collect();
        random.shuffle(&mut drawn);
        pool.iter().zip(drawn).for_each(|((s, b), x)| values[*s][*b] = x);
    }
}

/// The largest difference of two sides' means over the error that all sides share.
fn widest(values: &[Vec<f64>], within_blocks: bool) -> f64 {
    let mean = |side: &Vec<f64>| side.iter().sum::<f64>() / side.len() as f64;
    let means: Vec<f64> = values.iter().map(mean).collect();
    let block = |at: usize| match within_blocks {
        true => values.iter().map(|side| side[at]).sum::<f64>() / values.len() as f64,
        false => means.iter().sum::<f64>() / means.len() as f64,
    };
    let all = means.iter().sum::<f64>() / means.len() as f64;
    let square = |(side, mean): (&Vec<f64>, &f64)| -> f64 {
        side.iter().enumerate().map(|(at, x)| (x - mean - block(at) + all).powi(2)).sum()
    };
    let error = values.iter().zip(&means).map(square).sum::<f64>().sqrt();
    let (low, high) =
        means.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    match high - low {
        nothing if nothing < NOTHING => 0.0,
        _ if error < NOTHING => f64::INFINITY,
        range => range / error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(values: &[f64]) -> Blocks {
        (0..).zip(values.iter().map(|x| x.exp())).collect()
    }

    fn point(base: &[f64], new: &[f64]) -> Point {
        Point { base: blocks(base), new: blocks(new) }
    }

    /// Counted by hand: with all of one side above the other, 2 of C(12, 6) = 924 labellings, or 2 of
    /// 2^6 = 64, are as far apart; however many quiet points there are.
    #[test]
    fn p_is_the_share_of_the_labellings() {
        let quiet = point(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], &[0.5, 0.4, 0.3, 0.2, 0.1, 0.0]);
        let slow = point(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5], &[9.2, 9.1, 9.0, 9.5, 9.3, 9.4]);
        for quiets in [0, 1, 59] {
            let family = [vec![slow.clone()], vec![quiet.clone(); quiets]].concat();
            for (design, want) in [(Design::Unpaired, 2.0 / 924.0), (Design::Paired, 2.0 / 64.0)] {
                let p = corrected(&family, design);
                assert!((p[0] - want).abs() < 1e-9, "{design:?}, {quiets} quiet points: {p:?}");
                assert!(p[1..].iter().all(|p| *p > 0.5), "{p:?}");
            }
        }
    }

    /// Ties make nothing more significant: six equal trials against six others are the same two
    /// labellings; and equal sides are all labellings.
    #[test]
    fn ties_are_counted_as_they_are() {
        let p = corrected(&[point(&[1.0; 6], &[2.0; 6])], Design::Unpaired);
        assert!((p[0] - 2.0 / 924.0).abs() < 1e-9, "{p:?}");
        assert_eq!(corrected(&[point(&[1.0; 6], &[1.0; 6])], Design::Unpaired), [1.0]);
        assert_eq!(corrected(&[point(&[1.0; 6], &[1.0; 6])], Design::Paired), [1.0]);
    }

    #[test]
    fn many_and_uneven_trials_end() {
        let many: Vec<f64> = (0..200).map(|i| f64::from(i * 7919 % 200) / 100.0).collect();
        let few: Vec<f64> = (0..8).map(|i| 3.0 + f64::from(i) / 100.0).collect();
        assert!(corrected(&[point(&many, &few)], Design::Unpaired)[0] < 0.001);
        assert!(corrected(&[point(&many, &many)], Design::Paired)[0] > 0.9);
    }

    /// What a block does to both sides cancels where they are paired, and hides them where not.
    #[test]
    fn pairs_see_through_what_a_block_does_to_both() {
        let base: Vec<f64> = (0..8).map(|i| 0.1 * f64::from(i)).collect();
        let new: Vec<f64> =
            base.iter().enumerate().map(|(i, x)| x + 0.01 + 0.001 * (i % 3) as f64).collect();
        let family = [point(&base, &new)];
        assert!(corrected(&family, Design::Paired)[0] < 0.01);
        assert!(corrected(&family, Design::Unpaired)[0] > 0.5);
    }

    /// A series that wanders is found to; one that does not is left alone.
    #[test]
    fn correlation_from_trial_to_trial_is_estimated() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut wander = |rho: f64| -> Vec<f64> {
            let mut x = 0.0;
            let step = |_| {
                x = rho * x + random.f64() - 0.5;
                x
            };
            residuals(&(0..58).map(step).skip(50).collect::<Vec<_>>())
        };
        let still: Vec<_> = (0..400).map(|_| wander(0.0)).collect();
        let moving: Vec<_> = (0..400).map(|_| wander(0.6)).collect();
        assert!(serial_correction(&still) < 1.1, "{}", serial_correction(&still));
        // 8 trials with rho 0.6: the mean varies 3.06 times as much, and the trials show 0.71 of it.
        let found = serial_correction(&moving);
        assert!((found - 3.06f64.sqrt() / 0.71).abs() < 0.4, "{found}");
    }

    #[test]
    fn several_sides_differ_or_do_not() {
        let mut random = fastrand::Rng::with_seed(9);
        let mut side = |shift: f64| blocks(&[0; 6].map(|_| shift + random.f64()));
        let equal: Vec<Blocks> = (0..5).map(|_| side(0.0)).collect();
        assert!(!any_differs(&equal));
        let mut one_more = equal.clone();
        one_more.push(side(5.0));
        assert!(any_differs(&one_more));
        one_more[0].remove(&3);
        assert!(!any_differs(&one_more), "five trials are too few");
        let apart: Vec<Blocks> = (0..3)
            .map(|s| {
                (10 * s..10 * s + 6)
                    .zip(equal[s as usize].values().map(|x| x * 20f64.powi(s as i32)))
                    .collect()
            })
            .collect();
        assert!(any_differs(&apart), "blocks of several runs");
    }
}
