//! How often swapoff met an allocation that did not end, with folios of 64 KiB in swap and without.
//! Guards the rate: it stands beside its control, with its interval and the number of calls.

use super::{Side, rate, table};
use crate::kernel::{FOLIOS, HUNT, STUCK, STUCK_NS};
use crate::schema::Cell;
use crate::tables::grid::{Grid, Row};
use crate::tables::text::digits;

/// Whether the cell is one of a hunt, which counts swapoffs and nothing else.
pub(super) fn hunts(cell: &Cell) -> bool {
    cell.key.workload == HUNT
}

/// What a hunt has found on one kernel, with folios in swap or without.
pub struct Found {
    /// swapoffs
    pub swapoffs: usize,
    /// swapoffs during which a call of the allocator was stuck
    pub stuck: usize,
    /// the longest such call that came back, ns
    pub longest_ns: Option<u64>,
    /// reports of the watchdog
    pub lockups: u64,
    /// guests that had to be killed: the call never came back
    pub lost: u64,
}

impl Found {
    /// Sums the cells whose folios are `folios`: `64K` or `none`.
    pub fn of<'a>(cells: impl Iterator<Item = &'a Cell>, folios: &str) -> Found {
        let mut found = Found { swapoffs: 0, stuck: 0, longest_ns: None, lockups: 0, lost: 0 };
        for cell in cells.filter(|cell| cell.key.params.get(FOLIOS).is_some_and(|is| is == folios))
        {
            let count = |name: &str| cell.counts.get(name).copied().unwrap_or(0);
            found.swapoffs += cell.swapoff.len();
            found.stuck += count("stuck_swapoffs") as usize;
            found.lockups += count("soft_lockups");
            found.lost += count("no_end");
            let latency = cell.kinds.get(STUCK).and_then(|kind| kind.latency.as_ref());
            // The time of a call that was lost is the lab's patience.
            if count("no_end") == 0 {
                found.longest_ns = found.longest_ns.max(latency.map(|latency| latency.max));
            }
        }
        found
    }

    /// `8 of 10: 80.0 % (49.0..94.3)`: the rate with its 95 % interval (Wilson).
    pub fn rate(&self) -> String {
        let rate = rate(self.stuck, self.swapoffs);
        rate.replacen(':', &format!(" of {}:", self.swapoffs), 1)
    }

    /// `3.70`, s; `none`, or `no end` where a call never came back.
    pub fn longest(&self) -> String {
        match (self.lost, self.longest_ns) {
            (1.., _) => "no end".into(),
            (_, Some(ns)) => digits(ns as f64 / 1e9),
            (_, None) => "none".into(),
        }
    }
}

/// The hunt's table.
pub(super) fn lockups(sides: &[Side]) -> Grid {
    let mut table = table(
        "Allocations that were stuck in a swapoff",
        &format!(
            "Swapoffs during which one call of folio_alloc_swap() took more than {} ms, by probes \
             at its ends: count, and rate with its 95 % interval (Wilson). Nothing stops a CPU. The \
             watchdog's threshold is 1 s: it reports after 2 s. A call without an end locks the \
             guest up until the lab kills it.",
            STUCK_NS / 1_000_000
        ),
        &[""],
        sides,
        &[],
    );
    for (folios, name) in [("64K", "with 64K folios in swap"), ("none", "without, the control")] {
        let of = |side: &Side| Found::of(side.hunts.iter().copied(), folios);
        let found: Vec<Found> = sides.iter().map(of).collect();
        let mut row = |what: &str, value: &dyn Fn(&Found) -> String| {
            let first = format!("{name}: {what}");
            table
                .rows
                .push(Row::plain(std::iter::once(first).chain(found.iter().map(value)).collect()));
        };
        row("swapoffs that were hit", &Found::rate);
        row("longest call, s", &Found::longest);
        row("soft lockups reported", &|found| found.lockups.to_string());
        row("guests lost", &|found| found.lost.to_string());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::report;
    use super::*;
    use crate::schema::{Kind, Latency};
    use crate::store::Loaded;

    fn cell(folios: &str, stuck: u64, longest_ns: u64, lost: u64) -> Cell {
        let mut cell = crate::example::cell();
        cell.key.workload = HUNT.into();
        cell.key.params = [(FOLIOS.into(), folios.into())].into();
        let off = cell.swapoff[0].clone();
        cell.swapoff = vec![off; 4];
        cell.counts = [("stuck_swapoffs", stuck), ("soft_lockups", stuck), ("no_end", lost)]
            .map(|(name, count)| (name.to_owned(), count))
            .into();
        let latency = cell.kinds["alloc"].latency.clone().expect("an example");
        let latency = (stuck > 0).then_some(Latency { max: longest_ns, ..latency });
        let kind = Kind { count: stuck, latency, ..cell.kinds["alloc"].clone() };
        cell.kinds = [(STUCK.to_owned(), kind)].into();
        cell
    }

    fn lab(release: &str, cells: Vec<Cell>) -> Loaded {
        let mut run = crate::example::run();
        run.machine.name = release.into();
        run.label = format!("lab-{release}");
        Loaded { dir: "".into(), run, cells, notes: Vec::new() }
    }

    #[test]
    fn a_hunt_is_reported_beside_its_control_and_alone() {
        let old = lab("6.12.118", vec![cell("64K", 1, 80_000_000_000, 1)]);
        let hits = vec![cell("64K", 3, 3_700_000_000, 0), cell("none", 0, 0, 0)];
        let report = report(&[old, lab("6.18.15", hits)], &[]);
        let [table] = &report.tables[..] else { panic!("{} tables", report.tables.len()) };
        let rows: Vec<String> = table.rows.iter().map(|row| row.cells.join(" | ")).collect();
        let expected = [
            "with 64K folios in swap: swapoffs that were hit \
             | 1 of 4: 25.0 % (4.6..69.9) | 3 of 4: 75.0 % (30.1..95.4)",
            "with 64K folios in swap: longest call, s | no end | 3.70",
            "with 64K folios in swap: soft lockups reported | 1 | 3",
            "with 64K folios in swap: guests lost | 1 | 0",
            "without, the control: swapoffs that were hit | no calls | 0 of 4: 0.0 % (0.0..49.0)",
        ];
        assert_eq!(rows[..5], expected);
    }
}
