//! Cache-line traffic of a simulated machine, summed over the trials of a point and divided by
//! their operations. One source for tables, charts and the page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::schema::{Cell, Distance};

/// Coherence traffic per operation, the most waited for first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// by field of a structure
    pub fields: Vec<Moved>,
    /// by the function that last took a lock
    pub callers: Vec<Moved>,
    /// single lines and how often they are fetched, the hottest first
    pub hottest: Vec<(String, f64)>,
}

/// The traffic of one field or one caller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// as the kernel writes it: `si->lock`
    pub name: String,
    /// coherence misses per operation by distance, the nearest first
    pub transfers: Vec<(String, f64)>,
    /// time lost waiting for the lines, ns per operation
    pub wait_ns: f64,
    /// copies lost to writers, per operation
    pub invalidations: f64,
}

impl Moved {
    /// Coherence misses per operation.
    pub fn misses(&self) -> f64 {
        self.transfers.iter().map(|(_, n)| n).sum()
    }
}

/// Sums over cells: misses by distance, ns waited, copies lost.
type Sums = BTreeMap<String, (BTreeMap<String, u64>, u64, u64)>;

/// The traffic of the trials of one point; `None` where the machine cannot tell, or no
/// operation finished.
pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Option<Traffic> {
    let (mut fields, mut callers) = (Sums::new(), Sums::new());
    let mut hottest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ops = 0;
    for cell in cells {
        ops += cell.per_thread.iter().sum::<u64>();
        for l in cell.lines.as_ref()? {
            let name = if l.field.is_empty() { l.region.clone() } else { kernel_name(l) };
            add(&mut fields, name, (&l.transfers, l.wait_ns, l.invalidations));
        }
        for c in cell.line_callers.iter().flatten() {
            add(&mut callers, c.caller.clone(), (&c.transfers, c.wait_ns, c.invalidations));
        }
        for line in cell.hot_lines.iter().flatten() {
            *hottest.entry(&line.name).or_default() += line.transfers;
        }
    }
    let per_op = |n: u64| n as f64 / ops as f64;
    let mut hottest: Vec<(&str, u64)> = hottest.into_iter().collect();
    hottest.sort_by_key(|(_, n)| Reverse(*n));
    (ops > 0).then(|| Traffic {
        fields: moved(fields, per_op),
        callers: moved(callers, per_op),
        hottest: hottest.into_iter().map(|(name, n)| (name.to_owned(), per_op(n))).collect(),
    })
}

fn kernel_name(line: &crate::schema::Line) -> String {
    format!("{}->{}", line.region, line.field)
}

fn add(sums: &mut Sums, name: String, more: (&BTreeMap<String, u64>, u64, u64)) {
    let (transfers, waited, lost) = sums.entry(name).or_default();
    for (distance, n) in more.0 {
        *transfers.entry(distance.clone()).or_default() += n;
    }
    *waited += more.1;
    *lost += more.2;
}

fn moved(sums: Sums, per_op: impl Fn(u64) -> f64) -> Vec<Moved> {
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, waited, _))| Reverse(*waited));
    let one = |(name, (transfers, waited, lost)): (String, (BTreeMap<String, u64>, u64, u64))| {
        let mut transfers: Vec<_> = transfers.into_iter().map(|(d, n)| (d, per_op(n))).collect();
        transfers.sort_by_key(|(distance, _)| nearness(distance));
        Moved { name, transfers, wait_ns: per_op(waited), invalidations: per_op(lost) }
    };
    sums.into_iter().map(one).collect()
}

/// Where a cache line came from, near to far; for names not listed, the last place.
pub fn nearness(distance: &str) -> usize {
    let known = Distance::ALL.iter().position(|d| d.name() == distance);
    known.unwrap_or(Distance::ALL.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn trials_are_summed_and_divided_by_their_operations() {
        let mut second = example::cell();
        second.lines.as_mut().unwrap()[0].wait_ns = 0;
        let traffic = of([&example::cell(), &second]).unwrap();
        let ops = 2.0 * 8_200_000.0;
        let field = &traffic.fields[0];
        assert_eq!((field.name.as_str(), field.wait_ns), ("cluster_info->lock", 9_600.0 / ops));
        assert_eq!(field.transfers[0], ("same-l3".to_owned(), 240.0 / ops), "the nearest first");
        assert_eq!(field.misses(), (240.0 + 14.0) / ops);
        assert_eq!(traffic.callers[0].name, "swapcache_free_entries");
        assert_eq!(traffic.hottest, [("ci[17].lock".to_owned(), 62.0 / ops)]);
    }

    #[test]
    fn a_machine_that_cannot_tell_has_none() {
        let mut cell = example::cell();
        cell.lines = None;
        assert_eq!(of([&cell]), None);
        let mut idle = example::cell();
        idle.per_thread = vec![0, 0];
        assert_eq!(of([&idle]), None, "nothing an operation without operations");
    }
}
