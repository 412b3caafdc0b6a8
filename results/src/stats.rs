//! Medians, intervals and significance. Everything random is seeded: the same
//! samples always give the same interval, so a table can be recomputed to the digit.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;
use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// With fewer samples per side nothing is called significant, and no interval is given: the smallest
/// p-value of 5 pairs is 2 in 2^5, above [`ALPHA`], and the widest interval that 5 samples can give
/// (from the least to the largest) covers their median in 94 of 100 cases.
pub const MIN_SAMPLES: usize = 6;
/// The level of every test and, as 1 - ALPHA, of every interval.
pub const ALPHA: f64 = 0.05;
/// Bootstrap resamples: enough for the second digit of an interval's ends.
pub const RESAMPLES: usize = 4_000;
/// With more samples per side the normal approximation is as good.
const EXACT_UP_TO: usize = 20;
pub(crate) const SEED: u64 = 0x5eed;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// lower end
    pub lo: f64,
    /// upper end
    pub hi: f64,
}

impl Interval {
    /// Whether `x` lies in it, ends included.
    pub fn contains(&self, x: f64) -> bool {
        self.lo <= x && x <= self.hi
    }
}

/// Samples of one quantity, summed up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// number of samples
    pub n: usize,
    /// median of the samples
    pub median: f64,
    /// first and third quartile
    pub quartiles: Interval,
    /// median absolute deviation from the median, unscaled
    pub mad: f64,
    /// smallest sample
    pub min: f64,
    /// largest sample
    pub max: f64,
    /// 95 % bootstrap interval of the median; none for fewer than [`MIN_SAMPLES`], which have a range
    /// (`min`, `max`) and no interval
    pub interval: Option<Interval>,
}

impl Estimate {
    /// `None` for no samples or a NaN among them.
    pub fn of(samples: &[f64]) -> Option<Estimate> {
        if samples.is_empty() || samples.iter().any(|x| x.is_nan()) {
            return None;
        }
        let sorted = sorted(samples);
        let center = quantile(&sorted, 0.5);
        let deviations: Vec<f64> = samples.iter().map(|x| (x - center).abs()).collect();
        Some(Estimate {
            n: samples.len(),
            median: center,
            quartiles: Interval { lo: quantile(&sorted, 0.25), hi: quantile(&sorted, 0.75) },
            mad: median(&deviations),
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            interval: (samples.len() >= MIN_SAMPLES).then(|| bootstrap_median(samples)),
        })
    }
}

/// Half of the 95 % interval of the mean of samples that are alike and independent, as a share of
/// the mean (Student's t). None of fewer than three, or of a mean of 0.
pub fn half_width(samples: &[f64]) -> Option<f64> {
    let n = samples.len();
    let mean = samples.mean();
    if n < 3 || mean <= 0.0 {
        return None;
    }
    let t = StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("there are degrees of freedom");
    Some(t.inverse_cdf(1.0 - ALPHA / 2.0) * samples.std_dev() / (n as f64).sqrt() / mean)
}

/// Quantile of sorted samples, linear between them (Hyndman and Fan's type 7).
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Median; the samples must not be empty.
pub fn median(samples: &[f64]) -> f64 {
    quantile(&sorted(samples), 0.5)
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Percentile bootstrap of the median.
pub fn bootstrap_median(samples: &[f64]) -> Interval {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut resampler = Resampler::new(samples);
    interval_of((0..RESAMPLES).map(|_| resampler.median(&mut random)).collect())
}

/// Percentile bootstrap of median(new) / median(base). Samples must be positive.
pub fn bootstrap_ratio(base: &[f64], new: &[f64]) -> Interval {
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut base, mut new) = (Resampler::new(base), Resampler::new(new));
    let ratio = |_| new.median(&mut random) / base.median(&mut random);
    interval_of((0..RESAMPLES).map(ratio).collect())
}

/// The same where `base[i]` and `new[i]` are of one block: whole blocks are drawn, so that what a
/// block does to both sides cancels. The sides are equally long.
pub fn bootstrap_ratio_paired(base: &[f64], new: &[f64]) -> Interval {
    let mut random = fastrand::Rng::with_seed(SEED);
    let n = base.len();
    let order = |side: &[f64]| {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| side[a].total_cmp(&side[b]));
        order
    };
    let orders = [order(base), order(new)];
    let mut drawn = vec![0; n];
    let ratio = |_| {
        drawn.fill(0);
        (0..n).for_each(|_| drawn[random.usize(..n)] += 1);
        let of = |side: &[f64], order: &[usize]| {
            let at = |rank| {
                let mut below = 0;
                let reached = |&&block: &&usize| {
                    below += drawn[block];
                    below > rank
                };
                side[order.iter().find(reached).copied().unwrap_or(order[n - 1])]
            };
            (at((n - 1) / 2) + at(n / 2)) / 2.0
        };
        of(new, &orders[1]) / of(base, &orders[0])
    };
    interval_of((0..RESAMPLES).map(ratio).collect())
}

/// 95 % interval of the median of all samples in `trials`, by a bootstrap of whole trials: samples of
/// one trial are no independent witnesses of each other. None for fewer than [`MIN_SAMPLES`] trials.
pub fn bootstrap_clusters(trials: &[Vec<f64>]) -> Option<Interval> {
    let trials: Vec<&Vec<f64>> = trials.iter().filter(|trial| !trial.is_empty()).collect();
    if trials.len() < MIN_SAMPLES {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let draw = |_| {
        let drawn = (0..trials.len()).flat_map(|_| trials[random.usize(..trials.len())]);
        median(&drawn.copied().collect::<Vec<_>>())
    };
    // The samples of a trial make the middle steady: fewer draws do.
    Some(interval_of((0..RESAMPLES / 8).map(draw).collect()))
}

/// Draws samples with replacement and finds the draw's median without sorting it:
/// how often each of the sorted samples was drawn is enough.
struct Resampler {
    sorted: Vec<f64>,
    drawn: Vec<u32>,
}

impl Resampler {
    fn new(samples: &[f64]) -> Resampler {
        Resampler { sorted: sorted(samples), drawn: vec![0; samples.len()] }
    }

    fn median(&mut self, random: &mut fastrand::Rng) -> f64 {
        let n = self.sorted.len();
        self.drawn.fill(0);
        for _ in 0..n {
            self.drawn[random.usize(..n)] += 1;
        }
        (self.of_rank((n - 1) / 2) + self.of_rank(n / 2)) / 2.0
    }

    /// The value at `rank`, from 0, among the drawn.
    fn of_rank(&self, rank: usize) -> f64 {
        let mut below = 0;
        let at = self.drawn.iter().position(|&count| {
            below += count as usize;
            below > rank
        });
        self.sorted[at.unwrap_or(self.sorted.len() - 1)]
    }
}

/// The middle 95 % of bootstrapped values.
pub fn interval_of(values: Vec<f64>) -> Interval {
    let sorted = sorted(&values);
    Interval { lo: quantile(&sorted, ALPHA / 2.0), hi: quantile(&sorted, 1.0 - ALPHA / 2.0) }
}

/// Two-sided Mann-Whitney p-value; `None` where a side has fewer than [`MIN_SAMPLES`] or a NaN. With
/// up to 20 samples per side it is exact, with ties too: the share of the orders whose rank sum is
/// as far from its mean.
pub fn mann_whitney(base: &[f64], new: &[f64]) -> Option<f64> {
    let nan = base.iter().chain(new).any(|x| x.is_nan());
    if nan || base.len().min(new.len()) < MIN_SAMPLES {
        return None;
    }
    if base.len().max(new.len()) <= EXACT_UP_TO {
        return Some(exact_p(base, new));
    }
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    mannwhitneyu(base, new, method, Alternative::TwoSided).ok().map(|(_, p)| p)
}

/// Two-sided p-value of the signed ranks of `new[i]` against `base[i]` (Wilcoxon), exact with ties
/// too; `None` for fewer than [`MIN_SAMPLES`] pairs. Equal pairs have rank and no sign.
pub fn signed_rank(differences: &[f64]) -> Option<f64> {
    if differences.len() < MIN_SAMPLES || differences.iter().any(|x| x.is_nan()) {
        return None;
    }
    let sizes: Vec<f64> = differences.iter().map(|x| x.abs()).collect();
    let ranked = twice_the_ranks(&sizes).into_iter().zip(differences);
    let signed: Vec<(usize, f64)> =
        ranked.filter(|(_, x)| **x != 0.0).map(|(r, x)| (r, *x)).collect();
    let all: usize = signed.iter().map(|(rank, _)| rank).sum();
    let above: usize = signed.iter().filter(|(_, x)| *x > 0.0).map(|(rank, _)| rank).sum();
    let mut ways = vec![0.0; all + 1];
    ways[0] = 1.0;
    for (rank, _) in &signed {
        for sum in (*rank..=all).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    // Both ends of the sums are alike, so the far ends are those beyond `above` and its mirror.
    let far = above.min(all - above);
    Some((2.0 * ways[..=far].iter().sum::<f64>() / ways.iter().sum::<f64>()).min(1.0))
}

/// Twice the rank of each sample, ties sharing the mean of their ranks: whole numbers.
fn twice_the_ranks(samples: &[f64]) -> Vec<usize> {
    let rank = |x: &f64| {
        let below = samples.iter().filter(|y| *y < x).count();
        let alike = samples.iter().filter(|y| *y == x).count();
        2 * below + alike + 1
    };
    samples.iter().map(rank).collect()
}

/// Share of the C(m + n, m) ways to choose `base` among all samples whose rank sum is as far from its
/// mean (Mann and Whitney 1947), counted over the ranks as they are, ties and all.
fn exact_p(base: &[f64], new: &[f64]) -> f64 {
    let ranks = twice_the_ranks(&[base, new].concat());
    let (m, all) = (base.len(), ranks.iter().sum::<usize>());
    // ways[k][s]: choices of k samples with rank sum s.
    let mut ways = vec![vec![0.0f64; all + 1]; m + 1];
    ways[0][0] = 1.0;
    for rank in &ranks {
        for k in (1..=m).rev() {
            let (fewer, more) = ways.split_at_mut(k);
            for sum in *rank..=all {
                more[0][sum] += fewer[k - 1][sum - rank];
            }
        }
    }
    let (sum, size) = (ranks[..m].iter().sum::<usize>(), ranks.len());
    // Distances from the mean rank sum all m / size, times size: whole numbers.
    let distance = |sum: usize| (sum * size).abs_diff(all * m);
    let far = (0..=all).filter(|at| distance(*at) >= distance(sum)).map(|at| ways[m][at]);
    (far.sum::<f64>() / ways[m].iter().sum::<f64>()).min(1.0)
}

/// Jain's fairness index, (sum x)^2 / (n sum x^2): 1 when all got the same, 1/n
/// when one got all. Threads that all did nothing were treated alike: 1.
pub fn jain(per_thread: &[u64]) -> f64 {
    let sum: f64 = per_thread.iter().map(|&x| x as f64).sum();
    let squares: f64 = per_thread.iter().map(|&x| (x as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (per_thread.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_of_the_interval_of_a_mean() {
        // Student's t with 2 degrees of freedom is 4.3027 at 97.5 %.
        let half = half_width(&[9.0, 10.0, 11.0]).unwrap();
        assert!((half - 4.3027 / 3f64.sqrt() / 10.0).abs() < 1e-4, "{half}");
        assert_eq!(half_width(&[5.0; 4]), Some(0.0));
        assert_eq!((half_width(&[1.0, 2.0]), half_width(&[0.0; 3])), (None, None));
    }

    #[test]
    fn quartiles_and_mad_of_a_known_series() {
        let estimate = Estimate::of(&[7.0, 1.0, 3.0, 5.0, 9.0]).unwrap();
        assert_eq!((estimate.median, estimate.mad), (5.0, 2.0));
        assert_eq!(estimate.quartiles, Interval { lo: 3.0, hi: 7.0 });
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[1.0]).unwrap().interval, None);
    }

    /// p-values computed by hand from the number of orders: all of one side above
    /// the other is 2 orders in C(12, 6) = 924; one exchange of neighbours is 4.
    #[test]
    fn mann_whitney_is_exact_for_small_samples() {
        let low = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let high = [7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
        let close = |p: Option<f64>, want: f64| (p.unwrap() - want).abs() < 1e-9;
        assert!(close(mann_whitney(&low, &high), 2.0 / 924.0));
        assert!(close(mann_whitney(&high, &low), 2.0 / 924.0));
        let crossed = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0];
        let rest = [6.0, 8.0, 9.0, 10.0, 11.0, 12.0];
        assert!(close(mann_whitney(&crossed, &rest), 4.0 / 924.0));
        let seven = [7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0];
        assert!(close(mann_whitney(&low, &seven), 2.0 / 1716.0));
    }

    #[test]
    fn mann_whitney_needs_samples_and_bears_ties() {
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(mann_whitney(&five, &[9.0; 20]), None);
        assert_eq!(mann_whitney(&[2.0; 6], &[2.0; 6]), Some(1.0));
    }

    /// More samples than can be enumerated, C(208, 8) orders, must not hang.
    #[test]
    fn mann_whitney_of_uneven_sides_ends() {
        let many: Vec<f64> = (0..200).map(f64::from).collect();
        let few: Vec<f64> = (0..8).map(|x| f64::from(x) + 300.5).collect();
        assert!(mann_whitney(&many, &few).unwrap() < 1e-4);
    }

    /// Counted by hand. Six equal samples against six others are 2 orders in 924, as without ties;
    /// signs of six pairs are 2 in 64; one pair that is equal leaves 2 in 32.
    #[test]
    fn ties_and_pairs_are_exact() {
        let close = |p: Option<f64>, want: f64| (p.unwrap() - want).abs() < 1e-9;
        assert!(close(mann_whitney(&[1.0; 6], &[2.0; 6]), 2.0 / 924.0));
        // One of base is as high as new: 2 of 924 further out than the 2 x 6 of that kind.
        let one_up = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0];
        assert!(close(mann_whitney(&one_up, &[2.0; 6]), 2.0 * 7.0 / 924.0));
        assert!(close(signed_rank(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2.0 / 64.0));
        assert!(close(signed_rank(&[-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 4.0 / 64.0));
        assert!(close(signed_rank(&[0.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2.0 / 32.0));
        assert_eq!((signed_rank(&[0.0; 6]), signed_rank(&[1.0; 5])), (Some(1.0), None));
    }

    #[test]
    fn fewer_than_six_samples_have_a_range_and_no_interval() {
        let few = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((few.interval, few.min, few.max), (None, 1.0, 5.0));
        assert!(Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap().interval.is_some());
        assert_eq!(bootstrap_clusters(&vec![vec![1.0; 99]; 5]), None);
    }

    /// Each trial is alike in itself, so 64 times the samples are no narrower than one per trial.
    #[test]
    fn samples_of_one_trial_narrow_nothing() {
        let trials = |each: usize| (0..8).map(|t| vec![f64::from(t); each]).collect::<Vec<_>>();
        let width = |i: Interval| i.hi - i.lo;
        let (one, many) = (bootstrap_clusters(&trials(1)), bootstrap_clusters(&trials(64)));
        assert_eq!(width(one.unwrap()), width(many.unwrap()));
        assert!(width(bootstrap_median(&trials(64).concat())) < width(many.unwrap()));
    }

    #[test]
    fn jain_at_its_ends() {
        assert_eq!(jain(&[5, 5, 5, 5]), 1.0);
        assert_eq!(jain(&[9, 0, 0]), 1.0 / 3.0);
        assert_eq!(jain(&[0, 0]), 1.0);
    }

    /// The resampler meets the medians that sorting its draws would give.
    #[test]
    fn a_draw_has_the_median_of_its_samples() {
        let samples = [5.0, 1.0, 4.0, 2.0];
        let mut resampler = Resampler::new(&samples);
        let mut random = fastrand::Rng::with_seed(1);
        let mut same = fastrand::Rng::with_seed(1);
        for _ in 0..50 {
            let draw: Vec<f64> = (0..4).map(|_| resampler.sorted[same.usize(..4)]).collect();
            assert_eq!(resampler.median(&mut random), median(&draw));
        }
    }

    /// Every draw of blocks has the factor between the sides, however far the blocks lie apart.
    #[test]
    fn a_factor_in_every_block_has_no_width() {
        let base = [1.0, 50.0, 7.0, 300.0, 20.0, 4.0, 90.0];
        let paired = bootstrap_ratio_paired(&base, &base.map(|x| 2.0 * x));
        assert_eq!((paired.lo, paired.hi), (2.0, 2.0));
        let free = bootstrap_ratio(&base, &base.map(|x| 2.0 * x));
        assert!(free.hi > 10.0 * free.lo, "{free:?}");
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_median_and_repeats(
            samples in prop::collection::vec(1.0f64..1e9, 2..20)
        ) {
            let interval = bootstrap_median(&samples);
            prop_assert!(interval.contains(median(&samples)));
            prop_assert_eq!(interval, bootstrap_median(&samples));
        }

        #[test]
        fn a_common_factor_moves_the_ratio_alone(
            samples in prop::collection::vec(1.0f64..1e6, 6..12), factor in 0.5f64..2.0
        ) {
            let scaled: Vec<f64> = samples.iter().map(|x| x * factor).collect();
            let interval = bootstrap_ratio(&samples, &scaled);
            prop_assert!(interval.lo <= factor * 1.000001 && factor <= interval.hi * 1.000001);
        }
    }
}
