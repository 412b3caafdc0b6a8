//! Open-loop sweeps: latency against the load that was asked for, and the knee beyond which
//! callers wait for each other. Guards the word "knee": one rule for tables and charts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::aggregate::groups;
use crate::compare::Side;
use crate::metric::{Metric, Percentile};
use crate::schema::CellKey;
use crate::stats::Estimate;

/// Beyond the knee the response takes more than this many times as long as at low loads.
pub const BEYOND_KNEE: f64 = 2.0;
/// Fewer loads are no sweep.
const SWEEP: usize = 3;

/// Steps per second that all workers of a point are asked for; `None` in a closed loop.
pub fn asked(key: &CellKey) -> Option<f64> {
    Some(key.params.get("rate")?.parse::<f64>().ok()? * f64::from(key.threads))
}

/// The point without its load, which all loads of a sweep share.
pub fn curve_key(key: &CellKey) -> CellKey {
    let mut key = CellKey { block: 0, ..key.clone() };
    key.params.remove("rate");
    key
}

/// The last load that leaves the response where low loads have it, of (load, response) by rising
/// load; `None` where the highest does so too, or in too few points. Low is the (lower) median of
/// the lowest third, and what counts is the last load, not the first to stand out: one load that
/// was disturbed is no knee.
pub fn knee(curve: &[(f64, f64)]) -> Option<f64> {
    let mut low: Vec<f64> = curve[..curve.len() / SWEEP].iter().map(|point| point.1).collect();
    low.sort_by(f64::total_cmp);
    let most = BEYOND_KNEE * low[low.len().checked_sub(1)? / 2];
    let last = curve.iter().rposition(|point| point.1 <= most)?;
    (last + 1 < curve.len()).then(|| curve[last].0)
}

/// One load of an open-loop point; latencies of its most frequent operation, ns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// name of the side
    pub side: String,
    /// the point, with its load; `block` is 0
    pub key: CellKey,
    /// steps per second that were asked for, all workers
    pub asked: f64,
    /// operations per second; a step may be several
    pub done: Estimate,
    /// most frequent kind of operation
    pub kind: String,
    /// service time at p50 and p99, ns
    pub service: [Estimate; 2],
    /// response time at p50 and p99, ns
    pub response: [Estimate; 2],
    /// whether the knee of p50, of p99 is here
    pub knee: [bool; 2],
}

const AT: [Percentile; 2] = [Percentile::P50, Percentile::P99];

/// The loads of a side, by point and then by rising load.
pub fn loads(side: &Side, kind: impl Fn(&crate::aggregate::Group) -> Option<String>) -> Vec<Load> {
    let mut curves: BTreeMap<CellKey, Vec<Load>> = BTreeMap::new();
    for group in groups(side.cells.iter().copied()) {
        let Some((asked, kind)) = asked(&group.key).zip(kind(&group)) else { continue };
        let at = |metric: fn(String, Percentile) -> Metric| {
            let [p50, p99] = AT.map(|at| group.estimate(&metric(kind.clone(), at)));
            Some([p50?, p99?])
        };
        let service = at(|kind, at| Metric::Latency { kind, at });
        let response = at(|kind, at| Metric::Response { kind, at });
        let (Some(service), Some(response)) = (service, response) else { continue };
        let Some(done) = group.estimate(&Metric::Throughput) else { continue };
        curves.entry(curve_key(&group.key)).or_default().push(Load {
            side: side.name.clone(),
            key: group.key.clone(),
            asked,
            done,
            kind,
            service,
            response,
            knee: [false; 2],
        });
    }
    let marked = curves.into_values().flat_map(|mut curve| {
        curve.sort_by(|a, b| a.asked.total_cmp(&b.asked));
        for at in 0..AT.len() {
            let points: Vec<_> = curve.iter().map(|l| (l.asked, l.response[at].median)).collect();
            let knee = knee(&points);
            curve.iter_mut().for_each(|load| load.knee[at] = knee == Some(load.asked));
        }
        curve
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_last_load_that_costs_no_wait() {
        let flat = [(1.0, 300.0), (2.0, 310.0), (3.0, 330.0)];
        assert_eq!(knee(&flat), None, "the sweep does not reach it");
        assert_eq!(knee(&[flat.as_slice(), &[(4.0, 700.0), (5.0, 9e6)]].concat()), Some(3.0));
        let disturbed = [(1.0, 300.0), (2.0, 9e6), (3.0, 350.0)];
        assert_eq!(knee(&disturbed), None, "a single load stands out, and the next does not");
        let then = [(4.0, 310.0), (5.0, 9e6), (6.0, 9e7)];
        assert_eq!(knee(&[disturbed.as_slice(), &then].concat()), Some(4.0));
        let quiet = [(1.0, 900.0), (2.0, 300.0), (3.0, 350.0), (4.0, 310.0), (5.0, 320.0)];
        let loud = [(6.0, 9e5), (7.0, 340.0), (8.0, 9e6), (9.0, 8e6)];
        let whole = [quiet.as_slice(), &loud].concat();
        assert_eq!(knee(&whole), Some(7.0), "neither the lowest load nor the sixth misleads");
        assert_eq!(knee(&[(1.0, 300.0), (2.0, 9e6)]), None, "two loads are no sweep");
        assert_eq!(knee(&[]), None);
    }
}
