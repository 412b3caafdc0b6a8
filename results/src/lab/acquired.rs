//! How often a kernel takes ci->lock for a page that goes out and comes back. Guards the model's
//! sections per page: each acquisition is counted, not only those that had to wait.

use std::collections::{BTreeMap, BTreeSet};

use super::{Side, table};
use crate::kernel::{ACQUISITIONS, swapped_out};
use crate::locks::lock_of;
use crate::schema::Cell;
use crate::tables::grid::{Grid, Row};

const CI: &str = "ci->lock";

/// Callers below this many acquisitions per page are left out.
const LEAST: f64 = 0.005;

/// Whether probes counted acquisitions in the trial, which says nothing else then.
pub(super) fn counts(cell: &Cell) -> bool {
    cell.key.params.get("trace").is_some_and(|what| what == ACQUISITIONS)
}

/// Acquisitions per page that went out and came back, by each caller that may take ci->lock in `release`,
/// over all trials that counted them. Empty if none did.
pub fn ci_lock_per_page(cells: &[Cell], release: &str) -> BTreeMap<String, f64> {
    per_page(&cells.iter().filter(|cell| counts(cell)).collect::<Vec<_>>(), release)
}

fn per_page(counted: &[&Cell], release: &str) -> BTreeMap<String, f64> {
    let pages: u64 = counted.iter().map(|cell| swapped_out(&cell.counts)).sum();
    let mut all = BTreeMap::new();
    for (name, count) in counted.iter().flat_map(|cell| &cell.counts) {
        if let Some(caller) = name.strip_prefix("acquired:")
            && lock_of(caller, release).contains(CI)
            && pages > 0
        {
            *all.entry(caller.to_owned()).or_insert(0.0) += *count as f64 / pages as f64;
        }
    }
    all.retain(|_, rate| *rate >= LEAST);
    all
}

/// Acquisitions per page, by caller.
pub(super) fn acquisitions(sides: &[Side]) -> Grid {
    let mut table = table(
        "Acquisitions of ci->lock per page, by caller",
        "Per page that went out and came back: churn on one CPU, a trial of its own with probes on \
         _raw_spin_lock, _raw_spin_lock_irq and _raw_spin_lock_irqsave. A caller that may take \
         another lock too has all its acquisitions here. A lock that is only tried is not counted.",
        &["caller", "lock"],
        sides,
        &[],
    );
    let all: Vec<_> = sides.iter().map(|side| per_page(&side.counted, side.release)).collect();
    let callers: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let mut row = |caller: &str, locks: String, rates: Vec<f64>| {
        let rates =
            rates.into_iter().zip(sides).map(|(rate, side)| match side.counted.is_empty() {
                true => "unknown".into(),
                false => format!("{rate:.2}"),
            });
        table.rows.push(Row::plain([caller.to_owned(), locks].into_iter().chain(rates).collect()));
    };
    for caller in callers {
        let of = |rates: &BTreeMap<String, f64>| rates.get(caller).copied().unwrap_or(0.0);
        row(caller, super::locks(caller, sides), all.iter().map(of).collect());
    }
    row("all of them", String::new(), all.iter().map(|rates| rates.values().sum()).collect());
    table
}

#[cfg(test)]
mod tests {
    use super::super::report;
    use super::*;
    use crate::store::Loaded;

    fn cell(trace: Option<&str>, counts: &[(&str, u64)]) -> Cell {
        let mut cell = crate::example::cell();
        cell.swapoff.clear();
        cell.key.params = trace.map(|what| ("trace".into(), what.into())).into_iter().collect();
        cell.counts = counts.iter().map(|(name, count)| ((*name).into(), *count)).collect();
        cell
    }

    fn lab(release: &str, cells: Vec<Cell>) -> Loaded {
        let mut run = crate::example::run();
        run.machine.name = release.into();
        run.label = format!("lab-{release}");
        Loaded { dir: "".into(), run, cells, notes: Vec::new() }
    }

    #[test]
    fn a_counted_trial_gives_acquisitions_and_nothing_else() {
        let plain = [("pswpout", 100), ("slowpath:folio_alloc_swap", 5)];
        let counted = [
            ("pswpout", 1000),
            ("acquired:folio_alloc_swap", 1000),
            ("acquired:swap_writeout", 1010),
            ("acquired:swap_entry_swapped", 2),
            ("acquired:zs_malloc", 1000),
        ];
        let before = lab("7.0.13", vec![cell(None, &plain)]);
        let counted = cell(Some(crate::kernel::ACQUISITIONS), &counted);
        let after = lab("7.3.4", vec![cell(None, &plain), counted]);
        let report = report(&[before, after], &[]);
        let rows = |title: &str| -> Vec<String> {
            let table = report.tables.iter().find(|table| table.title.starts_with(title));
            table.expect(title).rows.iter().map(|row| row.cells.join(" | ")).collect()
        };
        let expected = [
            "folio_alloc_swap | ci->lock or swap_avail_lock | unknown | 1.00",
            "swap_writeout | ci->lock | unknown | 1.01",
            "all of them |  | unknown | 2.01",
        ];
        assert_eq!(rows("Acquisitions"), expected);
        let operations = "churn | 100 pages out in 1 trials | 100 pages out in 1 trials";
        assert_eq!(rows("Operations"), [operations]);
    }
}
