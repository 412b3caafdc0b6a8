//! Medians, intervals and significance. Everything random is seeded: the same
//! samples always give the same interval, so a table can be recomputed to the digit.

use serde::Serialize;
use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

/// With fewer samples per side nothing is called significant: the smallest p that 5 + 5 samples
/// can give, 0.008, does not survive a correction over seven comparisons.
pub const MIN_SAMPLES: usize = 6;
/// The level of every test and, as 1 - ALPHA, of every interval.
pub const ALPHA: f64 = 0.05;
/// Bootstrap resamples: enough for the second digit of an interval's ends.
pub const RESAMPLES: usize = 4_000;
/// With more samples per side the normal approximation is as good, and the number of orders no
/// longer fits a float.
const EXACT_UP_TO: usize = 20;
const SEED: u64 = 0x5eed;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// bootstrap interval of the median; none for a single sample
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
            interval: (samples.len() > 1).then(|| bootstrap_median(samples)),
        })
    }
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

/// Two-sided Mann-Whitney p-value; `None` where a side has fewer than
/// [`MIN_SAMPLES`] or a NaN.
pub fn mann_whitney(base: &[f64], new: &[f64]) -> Option<f64> {
    if base.len().min(new.len()) < MIN_SAMPLES {
        return None;
    }
    let all = sorted(&[base, new].concat());
    let ties = all.windows(2).any(|pair| pair[0] == pair[1]);
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    let (u, approximate) = mannwhitneyu(base, new, method, Alternative::TwoSided).ok()?;
    let exact = !ties && base.len().max(new.len()) <= EXACT_UP_TO;
    Some(if exact { exact_p(u as usize, base.len(), new.len()) } else { approximate })
}

/// The smallest p-value that `m` and `n` samples can give: all of one side above the
/// other. Where it is not below [`ALPHA`], no data of that size can show a difference.
pub fn smallest_p(m: usize, n: usize) -> f64 {
    // 2 of C(m + n, m) orders.
    2.0 / (1..=m).map(|i| (n + i) as f64 / i as f64).product::<f64>()
}

/// Share of the C(m + n, m) orders whose U is as far from its mean as `u`, without
/// ties (Mann and Whitney 1947). Own, as statrs 0.19 returns 1 - p where m <= n.
/// The orders by U are the coefficients of the Gaussian binomial, built factor by
/// factor: times (1 - q^(n + i)), over (1 - q^i).
fn exact_p(u: usize, m: usize, n: usize) -> f64 {
    let mut orders = vec![0.0; m * n + 1];
    orders[0] = 1.0;
    for i in 1..=m {
        for at in (n + i..orders.len()).rev() {
            orders[at] -= orders[at - (n + i)];
        }
        for at in i..orders.len() {
            orders[at] += orders[at - i];
        }
    }
    let far = u.max(m * n - u);
    let tail: f64 = orders[far..].iter().sum();
    (2.0 * tail / orders.iter().sum::<f64>()).min(1.0)
}

/// Holm's step-down correction: `adjusted[i]` may be held against [`ALPHA`] with
/// all the others at once.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut floor: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        floor = floor.max((p[index] * (p.len() - rank) as f64).min(1.0));
        adjusted[index] = floor;
    }
    adjusted
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
        assert!(close(Some(smallest_p(6, 6)), 2.0 / 924.0));
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

    #[test]
    fn holm_steps_down() {
        let adjusted = holm(&[0.01, 0.04, 0.03]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), vec![1.0, 1.0]);
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
