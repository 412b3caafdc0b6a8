//! The Universal Scalability Law (Gunther 2007): throughput of n threads is
//! `lambda n / (1 + sigma (n - 1) + kappa n (n - 1))`, with sigma the share that
//! is serial (contention) and kappa the cost of keeping n caches coherent.
//!
//! Written as time per operation, `n / X(n)` is linear in 1, n - 1 and n (n - 1):
//! least squares of its *relative* error has an exact solution, and the bounds
//! sigma, kappa >= 0 leave four sub-models to try. No iteration, no start values.

use serde::Serialize;

use crate::stats::{Interval, MIN_SAMPLES, RESAMPLES, interval_of, median};

/// A fit whose relative error (root mean square over the thread counts) is
/// larger than this does not fit.
pub const FITS_BELOW: f64 = 0.10;
/// Three parameters need more than three points to be wrong about.
pub const MIN_POINTS: usize = 4;
const SEED: u64 = 0x05a1;

/// Trials at one thread count: operations per second.
pub type Point = (u32, Vec<f64>);

/// The law fitted to medians of throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// throughput of one thread, operations per second
    pub lambda: f64,
    /// contention
    pub sigma: f64,
    /// coherence
    pub kappa: f64,
    /// root mean square of the relative error at the medians
    pub error: f64,
}

impl Fit {
    /// Throughput the law gives for `n` threads.
    pub fn at(&self, n: f64) -> f64 {
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// The thread count of highest throughput; none where it grows for ever.
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0).then(|| ((1.0 - self.sigma) / self.kappa).max(1.0).sqrt())
    }

    /// Whether the law describes the data at all.
    pub fn fits(&self) -> bool {
        self.error <= FITS_BELOW
    }
}

/// Bootstrap intervals of a fit: trials are drawn anew at each thread count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// 95 % interval of sigma
    pub sigma: Interval,
    /// 95 % interval of kappa
    pub kappa: Interval,
    /// throughput at each of the thread counts asked for
    pub throughput: Vec<(f64, Interval)>,
}

/// Fit the medians; `None` with fewer than [`MIN_POINTS`] thread counts, or where
/// no operation was finished.
pub fn fit(points: &[Point]) -> Option<Fit> {
    let medians: Vec<(f64, f64)> = points
        .iter()
        .filter(|(_, trials)| !trials.is_empty())
        .map(|(n, trials)| (f64::from(*n), median(trials)))
        .collect();
    if medians.len() < MIN_POINTS || medians.iter().any(|&(_, x)| x <= 0.0) {
        return None;
    }
    const SUBMODELS: [&[usize]; 4] = [&[0, 1, 2], &[0, 1], &[0, 2], &[0]];
    SUBMODELS
        .iter()
        .filter_map(|terms| least_squares(&medians, terms))
        .filter(|fit| fit.lambda.is_finite() && fit.sigma >= 0.0 && fit.kappa >= 0.0)
        .min_by(|a, b| a.error.total_cmp(&b.error))
}

/// Bootstrap band at `threads`; `None` where there is no fit, or a single trial to draw from:
/// drawn again it is the same, which would look like certainty.
pub fn band(points: &[Point], threads: &[f64]) -> Option<Band> {
    if points.iter().any(|(_, trials)| trials.len() < MIN_SAMPLES) {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let fits: Option<Vec<Fit>> = (0..RESAMPLES / 4)
        .map(|_| {
            let drawn: Vec<Point> = points
                .iter()
                .map(|(n, trials)| {
                    (*n, trials.iter().map(|_| *pick(trials, &mut random)).collect())
                })
                .collect();
            fit(&drawn)
        })
        .collect();
    let fits = fits?;
    let interval = |value: &dyn Fn(&Fit) -> f64| interval_of(fits.iter().map(value).collect());
    Some(Band {
        sigma: interval(&|fit| fit.sigma),
        kappa: interval(&|fit| fit.kappa),
        throughput: threads.iter().map(|&n| (n, interval(&|fit| fit.at(n)))).collect(),
    })
}

fn pick<'a>(trials: &'a [f64], random: &mut fastrand::Rng) -> &'a f64 {
    &trials[random.usize(..trials.len())]
}

/// Weighted least squares of n / X(n) on the terms 1, n - 1, n (n - 1) named.
fn least_squares(medians: &[(f64, f64)], terms: &[usize]) -> Option<Fit> {
    let k = terms.len();
    let mut normal = [[0.0; 4]; 3];
    for &(n, x) in medians {
        // Divided by n / X, so that each point counts by its relative error.
        let all = [x / n, (n - 1.0) * x / n, (n - 1.0) * x];
        for row in 0..k {
            for column in 0..k {
                normal[row][column] += all[terms[row]] * all[terms[column]];
            }
            normal[row][3] += all[terms[row]];
        }
    }
    let solved = solve(&mut normal, k)?;
    let mut coefficient = [0.0; 3];
    for (index, &term) in terms.iter().enumerate() {
        coefficient[term] = solved[index];
    }
    let [a, b, c] = coefficient;
    if a <= 0.0 {
        return None;
    }
    let mut fit = Fit { lambda: 1.0 / a, sigma: b / a, kappa: c / a, error: 0.0 };
    let square = |&(n, x): &(f64, f64)| (x / fit.at(n) - 1.0).powi(2);
    fit.error = (medians.iter().map(square).sum::<f64>() / medians.len() as f64).sqrt();
    Some(fit)
}

/// Gaussian elimination with pivots; the right side is column 3.
fn solve(m: &mut [[f64; 4]; 3], k: usize) -> Option<[f64; 3]> {
    for column in 0..k {
        let pivot =
            (column..k).max_by(|&a, &b| m[a][column].abs().total_cmp(&m[b][column].abs()))?;
        m.swap(column, pivot);
        if m[column][column].abs() < f64::MIN_POSITIVE {
            return None;
        }
        for row in 0..k {
            if row != column {
                let factor = m[row][column] / m[column][column];
                let above = m[column];
                for (value, above) in m[row].iter_mut().zip(above) {
                    *value -= factor * above;
                }
            }
        }
    }
    let mut solution = [0.0; 3];
    for row in 0..k {
        solution[row] = m[row][3] / m[row][row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(truth: Fit, noise: impl Fn(usize, usize) -> f64) -> Vec<Point> {
        let threads = [1, 2, 4, 8, 16, 32, 64];
        let trial = |at: usize, n: u32, trial| truth.at(f64::from(n)) * noise(at, trial);
        threads
            .iter()
            .enumerate()
            .map(|(at, &n)| (n, (0..6).map(|t| trial(at, n, t)).collect()))
            .collect()
    }

    const TRUTH: Fit = Fit { lambda: 8e6, sigma: 0.06, kappa: 0.0004, error: 0.0 };

    #[test]
    fn a_law_without_noise_is_found_exactly() {
        let fit = fit(&points(TRUTH, |_, _| 1.0)).unwrap();
        assert!((fit.lambda / TRUTH.lambda - 1.0).abs() < 1e-6);
        assert!((fit.sigma - TRUTH.sigma).abs() < 1e-6, "{fit:?}");
        assert!((fit.kappa - TRUTH.kappa).abs() < 1e-8, "{fit:?}");
        assert!(fit.fits() && (fit.peak().unwrap() - 48.476).abs() < 0.01, "{:?}", fit.peak());
    }

    #[test]
    fn single_trials_have_no_band() {
        let points: Vec<Point> =
            [1u32, 2, 4, 8, 16].iter().map(|&n| (n, vec![f64::from(n) * 1e6])).collect();
        assert!(fit(&points).is_some());
        assert!(band(&points, &[1.0, 100.0]).is_none());
    }

    #[test]
    fn a_noisy_law_lies_in_its_band() {
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<f64> = (0..42).map(|_| 0.97 + 0.06 * random.f64()).collect();
        let points = points(TRUTH, |at, trial| noise[at * 6 + trial]);
        let band = band(&points, &[1.0, 100.0]).unwrap();
        assert!(band.sigma.contains(TRUTH.sigma), "{band:?}");
        assert!(band.kappa.contains(TRUTH.kappa), "{band:?}");
        assert!(band.throughput[1].1.contains(TRUTH.at(100.0)), "{band:?}");
    }

    #[test]
    fn perfect_scaling_has_no_peak_and_no_negative_cost() {
        let super_linear = |at: usize, _| 1.0 + at as f64 * 0.01;
        let linear = Fit { sigma: 0.0, kappa: 0.0, ..TRUTH };
        let fit = fit(&points(linear, super_linear)).unwrap();
        assert_eq!((fit.sigma, fit.kappa, fit.peak()), (0.0, 0.0, None));
        assert!(fit.fits());
    }

    #[test]
    fn a_saw_tooth_does_not_fit() {
        let saw = |at: usize, _| if at.is_multiple_of(2) { 1.0 } else { 0.4 };
        assert!(!fit(&points(TRUTH, saw)).unwrap().fits());
    }

    #[test]
    fn three_points_are_too_few() {
        assert_eq!(fit(&points(TRUTH, |_, _| 1.0)[..3]), None);
    }
}
