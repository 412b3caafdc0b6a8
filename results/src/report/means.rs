//! Means and standard deviations of a comparison's points, which is how LKP reports. Everything else
//! here is medians, which one slow trial does not move.

use serde::Serialize;
use statrs::statistics::Statistics;

use super::choice::Pair;
use crate::compare::{Comparison, trials};
use crate::family::Blocks;
use crate::metric::Metric;
use crate::schema::CellKey;

/// One metric at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeanRow {
    /// the point, without the axes that tell the sides apart
    pub key: CellKey,
    /// what is measured
    pub metric: Metric,
    /// of base and of new
    pub sides: [Mean; 2],
}

/// The mean of a point's trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// arithmetic
    pub mean: f64,
    /// standard deviation as a share of the mean; none of one trial, or of a mean of 0
    pub deviation: Option<f64>,
}

/// The rows of `comparison`, each followed by the share of acquisitions that were contended.
pub(super) fn means((base, new): Pair, comparison: &Comparison) -> Vec<MeanRow> {
    let of = |metric: &Metric| {
        let comparison = Comparison { metric: metric.clone(), ..comparison.clone() };
        trials(base, new, &comparison)
    };
    let metrics = [comparison.metric.clone(), Metric::Contended];
    let points = metrics.map(|metric| (of(&metric), metric));
    let mut rows = Vec::new();
    for (at, row) in comparison.rows.iter().enumerate() {
        for (points, metric) in &points {
            let sides = [&points[at].base, &points[at].new];
            if let [Some(base), Some(new)] = sides.map(mean) {
                let (key, metric) = (row.key.clone(), metric.clone());
                rows.push(MeanRow { key, metric, sides: [base, new] });
            }
        }
    }
    rows
}

fn mean(trials: &Blocks) -> Option<Mean> {
    let mean = (!trials.is_empty()).then(|| trials.values().mean())?;
    let known = trials.len() > 1 && mean > 0.0;
    Some(Mean { mean, deviation: known.then(|| trials.values().std_dev() / mean) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_of_the_mean() {
        let of = |samples: &[f64]| mean(&(0..).zip(samples.iter().copied()).collect());
        let two = of(&[9.0, 11.0]).unwrap();
        assert_eq!((two.mean, two.deviation), (10.0, Some(2f64.sqrt() / 10.0)));
        assert_eq!(of(&[3.0]).unwrap().deviation, None);
        assert_eq!(of(&[]), None);
    }
}
