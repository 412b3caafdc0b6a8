//! The named quantities of a cell: each has one number a cell, a unit and a
//! direction. A cell that cannot tell has no number, never 0.

use std::fmt;
use std::str::FromStr;

use crate::schema::{Cell, Counter, Latency, Site};

/// A quantity of a cell. Written as [`Metric::NAMES`] shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    Throughput,
    Latency { kind: String, at: Percentile },
    Response { kind: String, at: Percentile },
    Failed { kind: String },
    Contended,
    Wait,
    Jain,
    Overlap,
    Steal,
    Counter(String),
    Swapoff,
    SwapoffStep(String),
    Count(String),
}

/// A column of [`Latency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Percentile {
    Min,
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
    Mean,
}

impl Percentile {
    pub const ALL: [(Percentile, &str); 8] = [
        (Percentile::Min, "min"),
        (Percentile::P50, "p50"),
        (Percentile::P90, "p90"),
        (Percentile::P99, "p99"),
        (Percentile::P999, "p99.9"),
        (Percentile::P9999, "p99.99"),
        (Percentile::Max, "max"),
        (Percentile::Mean, "mean"),
    ];

    /// ns
    pub fn of(self, latency: &Latency) -> f64 {
        match self {
            Percentile::Min => latency.min as f64,
            Percentile::P50 => latency.p50 as f64,
            Percentile::P90 => latency.p90 as f64,
            Percentile::P99 => latency.p99 as f64,
            Percentile::P999 => latency.p999 as f64,
            Percentile::P9999 => latency.p9999 as f64,
            Percentile::Max => latency.max as f64,
            Percentile::Mean => latency.mean,
        }
    }

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(at, _)| *at == self).map_or("", |(_, name)| name)
    }
}

impl Metric {
    /// How metrics are written.
    pub const NAMES: &str = "throughput, p99:KIND (min p50 p90 p99 p99.9 p99.99 max mean), \
         p99:KIND.response, failed:KIND, contended, wait, jain, overlap, steal, counter:EVENT, \
         swapoff, swapoff:STEP, count:NAME";

    /// The cell's value, or `None` where it was not measured.
    pub fn of(&self, cell: &Cell) -> Option<f64> {
        match self {
            Metric::Throughput => Some(cell.ops_per_s),
            Metric::Latency { kind, at } => {
                cell.kinds.get(kind)?.latency.as_ref().map(|latency| at.of(latency))
            }
            Metric::Response { kind, at } => {
                cell.kinds.get(kind)?.response.as_ref().map(|latency| at.of(latency))
            }
            Metric::Failed { kind } => {
                let kind = cell.kinds.get(kind)?;
                ratio(kind.failed as f64, kind.count as f64)
            }
            Metric::Contended => contended_share(&cell.sites),
            Metric::Wait if cell.sites.is_empty() => None,
            Metric::Wait => per_op(cell, cell.sites.iter().map(|site| site.wait_total_ns).sum()),
            Metric::Jain => Some(cell.jain),
            Metric::Overlap => Some(cell.overlap),
            Metric::Steal => {
                let stolen = *cell.noise.steal_ns.known()? as f64;
                ratio(stolen, cell.duration_ns as f64 * f64::from(cell.key.threads))
            }
            Metric::Counter(event) => match cell.counters.get(event)? {
                Counter::Value { value, .. } => per_op(cell, *value),
                Counter::Unsupported { .. } => None,
            },
            Metric::Swapoff => mean_of_swapoffs(cell, |_| true),
            Metric::SwapoffStep(step) => mean_of_swapoffs(cell, |name| name == step),
            Metric::Count(name) => per_op(cell, *cell.counts.get(name)?),
        }
    }

    /// Unit of the value.
    pub fn unit(&self) -> &'static str {
        match self {
            Metric::Throughput => "ops/s",
            Metric::Latency { .. } | Metric::Response { .. } => "ns",
            Metric::Swapoff | Metric::SwapoffStep(_) => "ns",
            Metric::Wait => "ns/op",
            Metric::Counter(_) => "events/op",
            Metric::Count(_) => "per op",
            Metric::Jain => "1/threads..1",
            Metric::Failed { .. } | Metric::Contended | Metric::Overlap | Metric::Steal => "0..1",
        }
    }

    /// Whether more of it is better.
    pub fn higher_is_better(&self) -> bool {
        matches!(self, Metric::Throughput | Metric::Jain | Metric::Overlap)
    }

    /// Every metric that at least one of the cells can tell, in a fixed order.
    pub fn all_of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Metric> {
        let mut found = std::collections::BTreeSet::new();
        for cell in cells {
            found.extend(candidates(cell).into_iter().filter(|metric| metric.of(cell).is_some()));
        }
        found.into_iter().collect()
    }
}

/// The metrics that the names in a cell suggest.
fn candidates(cell: &Cell) -> Vec<Metric> {
    use Metric::*;
    let mut metrics = vec![Throughput, Contended, Wait, Jain, Overlap, Steal, Swapoff];
    for kind in cell.kinds.keys() {
        metrics.push(Failed { kind: kind.clone() });
        for (at, _) in Percentile::ALL {
            metrics.push(Latency { kind: kind.clone(), at });
            metrics.push(Response { kind: kind.clone(), at });
        }
    }
    metrics.extend(cell.counters.keys().cloned().map(Counter));
    metrics.extend(cell.counts.keys().cloned().map(Count));
    let steps = cell.swapoff.iter().flat_map(|swapoff| &swapoff.steps);
    metrics.extend(steps.map(|step| SwapoffStep(step.name.clone())));
    metrics
}

fn contended_share(sites: &[Site]) -> Option<f64> {
    let taken: Option<u64> = sites.iter().map(|site| site.acquisitions).sum();
    ratio(sites.iter().map(|site| site.contended).sum::<u64>() as f64, taken? as f64)
}

fn mean_of_swapoffs(cell: &Cell, counts: impl Fn(&str) -> bool) -> Option<f64> {
    let steps = cell.swapoff.iter().flat_map(|swapoff| &swapoff.steps);
    let chosen: Vec<u64> = steps.filter(|step| counts(&step.name)).map(|step| step.ns).collect();
    if chosen.is_empty() {
        return None;
    }
    ratio(chosen.iter().sum::<u64>() as f64, cell.swapoff.len() as f64)
}

fn per_op(cell: &Cell, events: u64) -> Option<f64> {
    ratio(events as f64, cell.per_thread.iter().sum::<u64>() as f64)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Throughput => f.write_str("throughput"),
            Metric::Latency { kind, at } => write!(f, "{}:{kind}", at.name()),
            Metric::Response { kind, at } => write!(f, "{}:{kind}.response", at.name()),
            Metric::Failed { kind } => write!(f, "failed:{kind}"),
            Metric::Contended => f.write_str("contended"),
            Metric::Wait => f.write_str("wait"),
            Metric::Jain => f.write_str("jain"),
            Metric::Overlap => f.write_str("overlap"),
            Metric::Steal => f.write_str("steal"),
            Metric::Counter(event) => write!(f, "counter:{event}"),
            Metric::Swapoff => f.write_str("swapoff"),
            Metric::SwapoffStep(step) => write!(f, "swapoff:{step}"),
            Metric::Count(name) => write!(f, "count:{name}"),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Metric, String> {
        let (name, of) = text.split_once(':').map_or((text, None), |(name, of)| (name, Some(of)));
        let percentile = Percentile::ALL.iter().find(|(_, known)| *known == name);
        Ok(match (name, of.map(str::to_owned), percentile) {
            ("throughput", None, _) => Metric::Throughput,
            ("contended", None, _) => Metric::Contended,
            ("wait", None, _) => Metric::Wait,
            ("jain", None, _) => Metric::Jain,
            ("overlap", None, _) => Metric::Overlap,
            ("steal", None, _) => Metric::Steal,
            ("swapoff", None, _) => Metric::Swapoff,
            ("swapoff", Some(step), _) => Metric::SwapoffStep(step),
            ("failed", Some(kind), _) => Metric::Failed { kind },
            ("counter", Some(event), _) => Metric::Counter(event),
            ("count", Some(name), _) => Metric::Count(name),
            (_, Some(kind), Some(&(at, _))) => match kind.strip_suffix(".response") {
                Some(kind) => Metric::Response { kind: kind.to_owned(), at },
                None => Metric::Latency { kind, at },
            },
            _ => return Err(format!("unknown metric {text:?}; known: {}", Metric::NAMES)),
        })
    }
}

impl serde::Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn every_metric_of_a_cell_reads_back_from_its_name() {
        let cell = example::cell();
        let all = Metric::all_of([&cell]);
        assert!(all.len() > 20, "{all:?}");
        for metric in all {
            assert_eq!(metric.to_string().parse::<Metric>(), Ok(metric.clone()));
        }
    }

    #[test]
    fn what_was_not_measured_has_no_value() {
        let cell = example::cell();
        let value = |name: &str| name.parse::<Metric>().unwrap().of(&cell);
        assert_eq!(value("counter:cycles"), None, "unsupported is not 0");
        assert_eq!(value("p99:alloc.response"), None);
        assert_eq!(value("p99:dup"), None);
        assert_eq!(value("swapoff:wait"), None);
        assert_eq!(value("counter:context-switches"), Some(14.0 / 8_200_000.0));
        assert_eq!(value("contended"), Some(5_800.0 / 64_100.0));
        assert_eq!(value("steal"), Some(0.005));
        assert_eq!(value("swapoff"), Some(340_913_000.0));
        assert_eq!(value("swapoff:drain"), Some(52_000.0));
    }

    #[test]
    fn a_site_that_sees_only_contention_has_no_share() {
        let mut cell = example::cell();
        cell.sites[0].acquisitions = None;
        assert_eq!(Metric::Contended.of(&cell), None);
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        assert!("p98:alloc".parse::<Metric>().unwrap_err().contains("p99:KIND"));
        assert!("throughput:x".parse::<Metric>().is_err());
    }
}
