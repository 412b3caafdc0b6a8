//! Trials put together: cells that differ in their trial number alone are samples
//! of one group. Also how a group is called: by the axes in which groups differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::metric::Metric;
use crate::schema::{Cell, CellKey};
use crate::stats::Estimate;

/// The parameter that says how many threads share a CPU.
pub const PER_CPU: &str = "per-cpu";
/// The parameter of cells whose lock sites were not counted, and its value: without the accounts an
/// operation takes less time, so these are points of their own.
pub const SITES: &str = "sites";
/// See [`SITES`].
pub const NOT_COUNTED: &str = "off";
/// Why a report has no lock sites of such cells.
pub const WHY_NO_SITES: &str = "lock sites were not counted: run without --no-sites";

/// The trials of one point of the plan.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// the point; `block` is 0 and means nothing
    pub key: CellKey,
    /// its trials
    pub cells: Vec<&'a Cell>,
}

impl Group<'_> {
    /// Worker threads of each trial.
    pub fn threads(&self) -> u32 {
        self.key.threads
    }

    /// Threads that share a CPU; 1 where each has its own.
    pub fn per_cpu(&self) -> u32 {
        let first = self.cells.first().and_then(|cell| cell.key.params.get(PER_CPU));
        first.and_then(|n| n.parse().ok()).unwrap_or(1)
    }

    /// One value per trial; trials that cannot tell are left out.
    pub fn samples(&self, metric: &Metric) -> Vec<f64> {
        self.values(|cell| metric.of(cell))
    }

    /// What `value` makes of each trial, without those for which it is `None`.
    pub fn values(&self, value: impl Fn(&Cell) -> Option<f64>) -> Vec<f64> {
        self.cells.iter().filter_map(|cell| value(cell)).collect()
    }

    /// Median, quartiles and interval over the trials.
    pub fn estimate(&self, metric: &Metric) -> Option<Estimate> {
        Estimate::of(&self.samples(metric))
    }
}

/// Whether the lock sites of a point were counted.
pub fn counts_sites(key: &CellKey) -> bool {
    !key.params.contains_key(SITES)
}

/// The cells by point, sorted by key.
pub fn groups<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Group<'a>> {
    groups_by(cells, |key| CellKey { block: 0, ..key.clone() })
}

/// The cells by what `point` makes of their keys, sorted by that.
pub fn groups_by<'a>(
    cells: impl IntoIterator<Item = &'a Cell>,
    point: impl Fn(&CellKey) -> CellKey,
) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<CellKey, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        groups.entry(point(&cell.key)).or_default().push(cell);
    }
    groups.into_iter().map(|(key, cells)| Group { key, cells }).collect()
}

/// The axes of a key and where it stands on each, in the order of reading.
pub fn axes(key: &CellKey) -> Vec<(&str, String)> {
    let mut axes = vec![
        ("machine", key.machine.clone()),
        ("variant", key.variant.clone()),
        ("lock", key.lock.clone()),
        ("workload", key.workload.clone()),
    ];
    axes.extend(key.params.iter().map(|(name, value)| (name.as_str(), value.clone())));
    axes.push(("pin", key.pin.clone()));
    axes.push(("threads", key.threads.to_string()));
    axes
}

/// Names of the axes on which the keys do not all stand alike.
pub fn varying<'a>(keys: impl IntoIterator<Item = &'a CellKey>) -> BTreeSet<String> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut count = 0;
    let mut present: BTreeMap<String, usize> = BTreeMap::new();
    for key in keys {
        count += 1;
        for (name, value) in axes(key) {
            values.entry(name.to_owned()).or_default().insert(value);
            *present.entry(name.to_owned()).or_default() += 1;
        }
    }
    // A parameter that some keys lack tells them apart too.
    values.retain(|name, seen| seen.len() > 1 || present[name] < count);
    values.into_keys().collect()
}

/// The fewest axes of reading, of those that differ, that tell the keys apart together with their
/// threads: what follows from the rest is left out.
pub fn telling(keys: &[&CellKey]) -> Vec<String> {
    let differ = varying(keys.iter().copied());
    let mut kept: Vec<String> = Vec::new();
    for (axis, _) in keys.iter().flat_map(|key| axes(key)) {
        if axis != "threads" && differ.contains(axis) && !kept.iter().any(|known| known == axis) {
            kept.push(axis.to_owned());
        }
    }
    let points = |axes: &[String]| {
        let point = |key: &&CellKey| (key.threads, axes.iter().map(|axis| at(key, axis)).collect());
        keys.iter().map(point).collect::<BTreeSet<(u32, Vec<String>)>>().len()
    };
    let all = points(&kept);
    for axis in kept.clone().into_iter().rev() {
        let rest: Vec<String> = kept.iter().filter(|known| **known != axis).cloned().collect();
        if points(&rest) == all {
            kept = rest;
        }
    }
    kept
}

/// Where `key` stands on an axis; nothing where it is not on it.
pub fn at(key: &CellKey, axis: &str) -> String {
    let found = axes(key).into_iter().find(|(name, _)| *name == axis);
    found.map_or(String::new(), |(_, value)| value)
}

/// What `key` is called on the axes that `wanted` picks: `tas churn fill=75 2 threads`.
pub fn label(key: &CellKey, wanted: impl Fn(&str) -> bool) -> String {
    let words: Vec<String> = axes(key)
        .into_iter()
        .filter(|(name, value)| wanted(name) && !value.is_empty())
        .map(|(name, value)| match name {
            "machine" | "variant" | "lock" | "workload" => value,
            "threads" if value == "1" => "1 thread".to_owned(),
            "threads" => format!("{value} threads"),
            _ => format!("{name}={value}"),
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn cells() -> Vec<Cell> {
        let mut cells = Vec::new();
        for threads in [2, 16, 1] {
            for block in 0..3 {
                let mut cell = example::cell();
                cell.key.threads = threads;
                cell.key.block = block;
                cell.ops_per_s = f64::from(threads * 100 + block);
                cells.push(cell);
            }
        }
        cells
    }

    #[test]
    fn trials_are_samples_of_one_group() {
        let cells = cells();
        let groups = groups(&cells);
        let threads: Vec<u32> = groups.iter().map(|group| group.key.threads).collect();
        assert_eq!(threads, [1, 2, 16], "by number, not by name");
        let estimate = groups[2].estimate(&Metric::Throughput).unwrap();
        assert_eq!((estimate.n, estimate.median), (3, 1601.0));
        assert_eq!(groups[0].estimate(&Metric::Counter("cycles".into())), None);
    }

    #[test]
    fn labels_name_what_differs() {
        let mut cells = cells();
        cells[0].key.params.insert("order".into(), "4".into());
        let differ = varying(cells.iter().map(|cell| &cell.key));
        assert_eq!(differ, BTreeSet::from(["order".into(), "threads".into()]));
        let label = |cell: &Cell| label(&cell.key, |axis| differ.contains(axis));
        assert_eq!(label(&cells[0]), "order=4 2 threads");
        assert_eq!(label(&cells[8]), "1 thread");
    }

    #[test]
    fn what_follows_from_the_rest_tells_nothing() {
        let mut cells = cells();
        let workloads = [("churn", "60", "0"), ("mthp", "60", "4"), ("mthp", "90", "4")];
        for (cell, (workload, fill, orders)) in cells.iter_mut().zip(workloads) {
            cell.key.workload = workload.into();
            cell.key.params.insert("fill".into(), fill.into());
            cell.key.params.insert("orders".into(), orders.into());
            cell.key.block = 0;
        }
        let keys: Vec<&CellKey> = cells[..3].iter().map(|cell| &cell.key).collect();
        assert_eq!(telling(&keys), ["workload", "fill"]);
        assert!(telling(&keys[..1]).is_empty());
    }
}
