//! The named quantities of a cell: each has one number per cell, a unit and a direction. A cell
//! that cannot tell has no number, never 0. A metric is one row of the table at the end of this
//! file, and everything that must know it is made from the table.

use std::fmt;
use std::str::FromStr;

use crate::schema::{Cell, Counter, Kind, Latency, Site};

/// A column of [`Latency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Percentile {
    /// shortest
    Min,
    /// median
    P50,
    /// 90th percentile
    P90,
    /// 99th percentile
    P99,
    /// 99.9th percentile
    P999,
    /// 99.99th percentile
    P9999,
    /// longest
    Max,
    /// arithmetic mean
    Mean,
}

impl Percentile {
    /// Every column and how it is written.
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

    /// Its value in `latency`, ns.
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

    /// How it is written.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(at, _)| *at == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Percentile> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(at, _)| *at)
    }
}

/// Makes `Metric` of a table. A row is: the variant, how it is written, `[unit, which is better]`,
/// and the formula, `None` where the cell was not measured for it. Plain rows are one metric each;
/// timed ones one per kind of operation and percentile, written `p99:KIND` and what follows it;
/// named ones one per name of something in the cell, which `from` lists.
macro_rules! metrics {
    (
        plain { $(
            $(#[$plain_doc:meta])*
            $plain:ident $plain_name:literal [$plain_unit:literal, $plain_better:ident]
                |$plain_cell:ident| $plain_of:expr;
        )* }
        timed { $(
            $(#[$timed_doc:meta])*
            $timed:ident $suffix:literal [$timed_unit:literal, $timed_better:ident]
                |$timed_kind:ident| $timed_of:expr;
        )* }
        named { $(
            $(#[$named_doc:meta])*
            $named:ident $named_name:literal $what:literal [$named_unit:literal, $named_better:ident]
                |$named_cell:ident, $name:ident| $named_of:expr, from |$from:ident| $names:expr;
        )* }
    ) => {
        /// A quantity of a cell. Written as [`Metric::NAMES`] shows.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $( $(#[$plain_doc])* $plain, )*
            $(
                $(#[$timed_doc])*
                $timed {
                    /// kind of operation
                    kind: String,
                    /// which of its figures
                    at: Percentile,
                },
            )*
            $( $(#[$named_doc])* $named(String), )*
        }

        impl Metric {
            /// How metrics are written.
            pub const NAMES: &str = concat!(
                $( $plain_name, ", ", )*
                $( "p99:KIND", $suffix, ", ", )*
                $( $named_name, ":", $what, ", ", )*
                "and for p99 also min, p50, p90, p99.9, p99.99, max and mean"
            );

            /// The cell's value, or `None` where it was not measured.
            pub fn of(&self, cell: &Cell) -> Option<f64> {
                match self {
                    $( Metric::$plain => { let $plain_cell = cell; $plain_of } )*
                    $( Metric::$timed { kind, at } => {
                        let $timed_kind = cell.kinds.get(kind)?;
                        let latency: Option<&Latency> = $timed_of;
                        latency.map(|latency| at.of(latency))
                    } )*
                    $( Metric::$named($name) => { let $named_cell = cell; $named_of } )*
                }
            }

            /// Unit of the value.
            pub fn unit(&self) -> &'static str {
                match self {
                    $( Metric::$plain => $plain_unit, )*
                    $( Metric::$timed { .. } => $timed_unit, )*
                    $( Metric::$named(_) => $named_unit, )*
                }
            }

            /// Whether more of it is better.
            pub fn higher_is_better(&self) -> bool {
                match self {
                    $( Metric::$plain => metrics!(@ $plain_better), )*
                    $( Metric::$timed { .. } => metrics!(@ $timed_better), )*
                    $( Metric::$named(_) => metrics!(@ $named_better), )*
                }
            }

            /// Every metric that at least one of the cells can tell, in the order of the table.
            pub fn all_of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Metric> {
                let mut found = std::collections::BTreeSet::new();
                for cell in cells {
                    let known = Metric::candidates(cell).into_iter();
                    found.extend(known.filter(|metric| metric.of(cell).is_some()));
                }
                found.into_iter().collect()
            }

            /// The metrics that the names in a cell suggest.
            fn candidates(cell: &Cell) -> Vec<Metric> {
                let mut metrics = vec![$( Metric::$plain, )*];
                for (kind, (at, _)) in cell.kinds.keys().flat_map(|kind| Percentile::ALL.map(|at| (kind, at))) {
                    metrics.extend([$( Metric::$timed { kind: kind.clone(), at }, )*]);
                }
                $(
                    let $from = cell;
                    metrics.extend($names.map(|name| Metric::$named(name.clone())));
                )*
                metrics
            }
        }

        impl fmt::Display for Metric {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( Metric::$plain => f.write_str($plain_name), )*
                    $( Metric::$timed { kind, at } => write!(f, "{}:{kind}{}", at.name(), $suffix), )*
                    $( Metric::$named(name) => write!(f, "{}:{name}", $named_name), )*
                }
            }
        }

        impl FromStr for Metric {
            type Err = String;

            fn from_str(text: &str) -> Result<Metric, String> {
                match text.split_once(':') {
                    $( None if text == $plain_name => return Ok(Metric::$plain), )*
                    $( Some(($named_name, name)) => return Ok(Metric::$named(name.into())), )*
                    Some((at, kind)) => if let Some(at) = Percentile::named(at) {
                        $( if let Some(kind) = kind.strip_suffix($suffix) {
                            return Ok(Metric::$timed { kind: kind.into(), at });
                        } )*
                    },
                    None => {}
                }
                Err(format!("unknown metric {text:?}; known: {}", Metric::NAMES))
            }
        }
    };
    (@ more) => { true };
    (@ less) => { false };
}

metrics! {
    plain {
        /// operations of all threads
        Throughput "throughput" ["ops/s", more] |cell| Some(cell.ops_per_s);
        /// contended acquisitions among all
        Contended "contended" ["0..1", less] |cell| contended_share(&cell.sites);
        /// time that all threads waited for locks
        Wait "wait" ["ns/op", less] |cell| {
            let waits = (!cell.sites.is_empty()).then(|| cell.sites.iter())?;
            per_op(cell, waits.map(|site| site.wait_total_ns).sum())
        };
        /// devices that allocations came to in swap_avail_head: from 6.15 on the slow path, before it
        /// each refill of a slot cache
        SlowPath "slow-path" ["per alloc", less] |cell| slow_path(cell);
        /// swap tables that were born, each when its cluster left the free list (7.0 on)
        TablesBorn "tables-born" ["1/s", less] |cell| per_second(cell, "tables_born");
        /// swap tables that were freed
        TablesFreed "tables-freed" ["1/s", less] |cell| per_second(cell, "tables_freed");
        /// the most swap tables that there were at once: each is a page of memory
        TablesMost "tables-most" ["tables", less]
            |cell| cell.counts.get("tables_most").map(|&most| most as f64);
        /// Jain's fairness index over the threads
        Jain "jain" ["1/threads..1", more] |cell| Some(cell.jain);
        /// share of the interval in which every thread ran
        Overlap "overlap" ["0..1", more] |cell| Some(cell.overlap);
        /// share of the threads' time that the hypervisor took
        Steal "steal" ["0..1", less] |cell| {
            let stolen = *cell.noise.steal_ns.known()? as f64;
            ratio(stolen, cell.duration_ns as f64 * f64::from(cell.key.threads))
        };
        /// one swapoff, the mean of the trial's
        Swapoff "swapoff" ["ns", less] |cell| mean_of_swapoffs(cell, |_| true);
    }
    // A suffix that ends in another one stands before it; every text ends in the empty one.
    timed {
        /// time from the intended start, in open-loop runs
        Response ".response" ["ns", less] |kind| kind.response.as_ref();
        /// service time
        Latency "" ["ns", less] |kind| kind.latency.as_ref();
    }
    named {
        /// failed operations among all of a kind
        Failed "failed" "KIND" ["0..1", less]
            |cell, kind| failed_share(cell.kinds.get(kind)?), from |cell| cell.kinds.keys();
        /// hardware or software events
        Counter "counter" "EVENT" ["events/op", less]
            |cell, event| match cell.counters.get(event)? {
                Counter::Value { value, .. } => per_op(cell, *value),
                Counter::Unsupported { .. } => None,
            }, from |cell| cell.counters.keys();
        /// one step of a swapoff, the mean of the trial's
        SwapoffStep "swapoff" "STEP" ["ns", less]
            |cell, step| mean_of_swapoffs(cell, |name| name == step),
            from |cell| cell.swapoff.iter().flat_map(|off| &off.steps).map(|step| &step.name);
        /// other counts of the workload and the variant
        Count "count" "NAME" ["per op", less]
            |cell, name| per_op(cell, *cell.counts.get(name)?), from |cell| cell.counts.keys();
    }
}

fn failed_share(kind: &Kind) -> Option<f64> {
    ratio(kind.failed as f64, kind.count as f64)
}

fn contended_share(sites: &[Site]) -> Option<f64> {
    let taken: Option<u64> = sites.iter().map(|site| site.acquisitions).sum();
    ratio(sites.iter().map(|site| site.contended).sum::<u64>() as f64, taken? as f64)
}

/// swap_avail_lock is taken once per device that the walk of an allocation comes to (swap_alloc_slow(),
/// before 6.15 get_swap_pages()), and where a device enters or leaves the list.
fn slow_path(cell: &Cell) -> Option<f64> {
    let taken = |site: &Site| match (site.lock.as_str(), site.caller.as_str()) {
        ("swap_avail_lock", "add_to_avail_list" | "del_from_avail_list") => Some(0),
        ("swap_avail_lock", _) => site.acquisitions,
        _ => site.acquisitions.map(|_| 0),
    };
    let taken: u64 = cell.sites.iter().map(taken).sum::<Option<u64>>()?;
    let allocs = cell.kinds.iter().filter(|(kind, _)| kind.starts_with("alloc"));
    ratio(taken as f64, allocs.map(|(_, kind)| kind.count).sum::<u64>() as f64)
        .filter(|_| !cell.sites.is_empty())
}

fn mean_of_swapoffs(cell: &Cell, counts: impl Fn(&str) -> bool) -> Option<f64> {
    let steps = cell.swapoff.iter().flat_map(|swapoff| &swapoff.steps);
    let chosen: Vec<u64> = steps.filter(|step| counts(&step.name)).map(|step| step.ns).collect();
    if chosen.is_empty() {
        return None;
    }
    ratio(chosen.iter().sum::<u64>() as f64, cell.swapoff.len() as f64)
}

fn per_second(cell: &Cell, count: &str) -> Option<f64> {
    ratio(*cell.counts.get(count)? as f64, cell.duration_ns as f64 / 1e9)
}

fn per_op(cell: &Cell, events: u64) -> Option<f64> {
    ratio(events as f64, cell.per_thread.iter().sum::<u64>() as f64)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
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
    fn the_slow_path_is_counted_by_its_lock() {
        let mut cell = example::cell();
        let allocs = cell.kinds["alloc"].count as f64;
        assert_eq!(Metric::SlowPath.of(&cell), Some(0.0), "no walk");
        let mut site = cell.sites[0].clone();
        (site.lock, site.acquisitions) = ("swap_avail_lock".into(), Some(50));
        for caller in ["swap_alloc_slow", "add_to_avail_list"] {
            cell.sites.push(Site { caller: caller.into(), ..site.clone() });
        }
        assert_eq!(Metric::SlowPath.of(&cell), Some(50.0 / allocs));
        cell.sites[0].acquisitions = None;
        assert_eq!(Metric::SlowPath.of(&cell), None, "a kernel that reports waits alone");
        cell.sites.clear();
        assert_eq!(Metric::SlowPath.of(&cell), None, "sites were not counted");
    }

    /// A table with a row more of each shape: the rows are all that a new metric takes.
    mod toy {
        use super::super::*;

        metrics! {
            plain {
                Throughput "throughput" ["ops/s", more] |cell| Some(cell.ops_per_s);
                Toy "toy" ["trials", more] |cell| Some(f64::from(cell.key.block) + 1.0);
            }
            timed {
                ToyTime ".toy" ["ns", less] |kind| kind.latency.as_ref();
            }
            named {
                ToyCount "toys" "TOY" ["per op", less]
                    |cell, name| cell.counts.get(name).map(|n| *n as f64),
                    from |cell| cell.counts.keys();
            }
        }

        #[test]
        fn a_row_is_a_metric() {
            let cell = crate::example::cell();
            let all = Metric::all_of([&cell]);
            for (text, value, unit, better) in [
                ("toy", 1.0, "trials", true),
                ("p50:alloc.toy", 88.0, "ns", false),
                ("toys:fallback", 12.0, "per op", false),
            ] {
                let metric: Metric = text.parse().unwrap();
                assert_eq!(metric.to_string(), text);
                assert_eq!(metric.of(&cell), Some(value));
                assert_eq!((metric.unit(), metric.higher_is_better()), (unit, better));
                assert!(all.contains(&metric), "{text} is not in {all:?}");
            }
            for name in ["toy,", "p99:KIND.toy", "toys:TOY"] {
                assert!(Metric::NAMES.contains(name), "{}", Metric::NAMES);
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known() {
        assert!("p98:alloc".parse::<Metric>().unwrap_err().contains("p99:KIND"));
        assert!("throughput:x".parse::<Metric>().is_err());
    }
}
