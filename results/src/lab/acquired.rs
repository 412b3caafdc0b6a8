//! How often a kernel takes ci->lock for a page that goes out and comes back. Guards the model's
//! sections per page: each acquisition is counted, not only those that had to wait.

use std::collections::BTreeSet;

use super::{Side, table};
use crate::kernel::swapped_out;
use crate::locks::lock_of;
use crate::schema::Cell;
use crate::tables::grid::{Grid, Row};

const CI: &str = "ci->lock";

/// Callers below this many acquisitions per page are left out.
const LEAST: f64 = 0.005;

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
    let callers: BTreeSet<&str> = sides.iter().flat_map(callers).collect();
    let mut rows: Vec<(String, String, Vec<Option<f64>>)> = Vec::new();
    for caller in callers {
        let of = |side: &Side| takes_ci(caller, side).then(|| per_page(side, caller)).flatten();
        let rates: Vec<Option<f64>> = sides.iter().map(of).collect();
        if rates.iter().flatten().any(|rate| *rate >= LEAST) {
            rows.push((caller.into(), super::locks(caller, sides), rates));
        }
    }
    let sums = (0..sides.len()).map(|side| {
        let rates: Vec<f64> = rows.iter().filter_map(|(.., rates)| rates[side]).collect();
        (!rates.is_empty()).then(|| rates.iter().sum())
    });
    let all = ("all of them".to_owned(), String::new(), sums.collect());
    for (caller, lock, rates) in rows.into_iter().chain([all]) {
        let rates = rates.into_iter().zip(sides).map(|(rate, side)| match rate {
            Some(rate) => format!("{rate:.2}"),
            None if side.counted.is_empty() => "unknown".into(),
            None => "0.00".into(),
        });
        table.rows.push(Row::plain([caller, lock].into_iter().chain(rates).collect()));
    }
    table
}

fn takes_ci(caller: &str, side: &Side) -> bool {
    lock_of(caller, side.release).contains(CI)
}

fn callers<'a>(side: &Side<'a>) -> impl Iterator<Item = &'a str> {
    let names = side.counted.iter().flat_map(|cell| cell.counts.keys());
    names.filter_map(|name| name.strip_prefix("acquired:"))
}

/// Over all trials together.
fn per_page(side: &Side, caller: &str) -> Option<f64> {
    let name = format!("acquired:{caller}");
    let sum = |of: &dyn Fn(&Cell) -> u64| -> u64 { side.counted.iter().map(|cell| of(cell)).sum() };
    let pages = sum(&|cell| swapped_out(&cell.counts));
    let taken = sum(&|cell| cell.counts.get(&name).copied().unwrap_or(0));
    (pages > 0).then(|| taken as f64 / pages as f64)
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
