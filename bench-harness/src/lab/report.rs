//! Before and after, in words and tables. Guards against reading too much into it: under
//! emulation it leads with structure (who enters the slow path, what swapoff returns), and
//! throughput is never called decided there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use results::schema::{Cell, MachineKind};
use results::stats::{bootstrap_ratio, median, quantile};
use results::store::Loaded;

use super::guest::RETURNS;
use crate::live::{lock_of, scheme, swapped_out};

/// The whole report: tables with a title and remarks.
pub struct Report {
    title: String,
    remarks: Vec<String>,
    tables: Vec<Table>,
}

struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    remark: String,
}

/// How a report is written down.
#[derive(Clone, Copy)]
pub enum Text {
    Markdown,
    /// fixed columns, to be read in a mail
    Mail,
}

/// One kernel of the comparison.
struct Side<'a> {
    name: &'a str,
    cells: &'a [Cell],
}

impl Report {
    /// From the runs of a lab, the first of which is "before".
    pub fn new(runs: &[Loaded], notes: &[String]) -> Report {
        let hardware = runs.iter().all(|run| run.run.machine.kind == MachineKind::Kernel);
        let sides: Vec<Side> = runs
            .iter()
            .map(|run| Side { name: &run.run.machine.name, cells: &run.cells })
            .collect();
        let mut tables = vec![slow_paths(&sides), swapoffs(&sides), operations(&sides)];
        let throughput = throughput(&sides, hardware);
        if hardware {
            tables.insert(0, throughput);
        } else {
            tables.push(throughput);
        }
        let kernels = sides.iter().map(|side| format!("{} ({})", side.name, scheme(side.name)));
        let mut remarks = vec![
            format!("Kernels: {}.", kernels.collect::<Vec<_>>().join("; ")),
            "Between two releases lie other changes too: 6.12 to 6.16 holds four releases of them, \
             so a difference is one of the releases, not of one series."
                .into(),
        ];
        if !hardware {
            remarks.push(
                "emulated: not hardware timing. Counts and results of calls are the kernel's own; \
                 times are QEMU's, and only ratios within this lab run mean anything."
                    .into(),
            );
        }
        remarks.extend(notes.iter().cloned());
        let names: Vec<_> = sides.iter().map(|side| side.name).collect();
        Report { title: format!("swapscale lab: {}", names.join(" against ")), remarks, tables }
    }

    /// The text of the report.
    pub fn write(&self, text: Text) -> String {
        let mut out = match text {
            Text::Markdown => format!("# {}\n\n", self.title),
            Text::Mail => format!("{}\n\n", self.title),
        };
        for remark in &self.remarks {
            out.push_str(&format!("{remark}\n\n"));
        }
        for table in &self.tables {
            out.push_str(&match text {
                Text::Markdown => table.markdown(),
                Text::Mail => table.mail(),
            });
        }
        out
    }
}

impl Table {
    fn new(title: &str, remark: &str, first: &[&str], sides: &[Side], last: &[&str]) -> Table {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let names: Vec<&str> = sides.iter().map(|side| short(side.name)).collect();
        let header = [owned(first), owned(&names), owned(last)].concat();
        Table { title: title.into(), header, rows: Vec::new(), remark: remark.into() }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.header.len()];
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "## {}\n\n{}\n\n{}{}{rows}\n",
            self.title,
            self.remark,
            line(&self.header),
            line(&rule)
        )
    }

    fn mail(&self) -> String {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(column)),
                _ => format!("{cell:>0$}", width(column)),
            });
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        format!("{}\n{}\n{}\n", self.title, self.remark, all().map(line).collect::<String>())
    }
}

/// `6.12.117` of `6.12.117+deb13-cloud-amd64`.
fn short(name: &str) -> &str {
    name.split(['+', '-']).next().unwrap_or(name)
}

/// Entries to the spinlock's slow path for each million pages, by caller: the callers that make
/// up one in a hundred somewhere, and those of the swap allocator's own locks.
fn slow_paths(sides: &[Side]) -> Table {
    let mut table = Table::new(
        "Entries to the spinlock slow path, by caller",
        "Entries per million pages swapped out (entries counted). A kprobe on \
         native_queued_spin_lock_slowpath, all workloads and workers, set-up included.",
        &["caller", "lock"],
        sides,
        &[],
    );
    let counts: Vec<BTreeMap<&str, u64>> = sides.iter().map(|side| by_caller(side.cells)).collect();
    let pages: Vec<u64> = sides.iter().map(|side| pages(side.cells)).collect();
    let totals: Vec<u64> = counts.iter().map(|count| count.values().sum()).collect();
    let mut callers: Vec<&str> = counts
        .iter()
        .flat_map(|count| count.keys().copied())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let of = |caller: &str, side: usize| counts[side].get(caller).copied().unwrap_or(0);
    callers.retain(|caller| {
        let weighty = (0..sides.len()).any(|side| of(caller, side) * 100 >= totals[side].max(1));
        weighty || caller.contains("swap") || lock_of(caller).ends_with("i->lock")
    });
    callers.sort_by_key(|caller| {
        std::cmp::Reverse((0..sides.len()).map(|side| of(caller, side)).sum::<u64>())
    });
    let cell = |count: u64, side: usize| match (totals[side], pages[side]) {
        (0, _) | (_, 0) => "not counted".to_owned(),
        (_, pages) => format!("{:.0} ({count})", count as f64 * 1e6 / pages as f64),
    };
    for caller in callers {
        let counted = (0..sides.len()).map(|side| cell(of(caller, side), side));
        let row = [caller.to_owned(), lock_of(caller).to_owned()];
        table.rows.push(row.into_iter().chain(counted).collect());
    }
    let counted = (0..sides.len()).map(|side| cell(totals[side], side));
    table.rows.push(["all callers".to_owned(), String::new()].into_iter().chain(counted).collect());
    table
}

fn by_caller(cells: &[Cell]) -> BTreeMap<&str, u64> {
    let mut sum = BTreeMap::new();
    for (name, count) in cells.iter().flat_map(|cell| &cell.counts) {
        if let Some(caller) = name.strip_prefix("slowpath:") {
            *sum.entry(caller).or_insert(0) += count;
        }
    }
    sum
}

/// Pages that really went out: a worker that asks while the swap is off gets nothing.
fn pages(cells: &[Cell]) -> u64 {
    cells.iter().map(|cell| swapped_out(&cell.counts)).sum()
}

/// What swapoff under load returned and how long it took.
fn swapoffs(sides: &[Side]) -> Table {
    let mut table = Table::new(
        "swapoff under load",
        "Failure rate with its 95 % interval (Wilson); time and used slots as median (quartiles).",
        &[""],
        sides,
        &[],
    );
    let offs: Vec<Vec<_>> = sides
        .iter()
        .map(|side| side.cells.iter().flat_map(|cell| &cell.swapoff).collect())
        .collect();
    let mut row = |name: &str, value: &dyn Fn(usize) -> String| {
        let values = (0..sides.len()).map(value);
        table.rows.push(std::iter::once(name.to_owned()).chain(values).collect());
    };
    let failed = |side: usize, error: &str| {
        offs[side].iter().filter(|off| off.result.starts_with(error)).count()
    };
    row("swapoff calls", &|side| offs[side].len().to_string());
    row("ok", &|side| failed(side, "ok").to_string());
    row("ENOMEM", &|side| rate(failed(side, "ENOMEM"), offs[side].len()));
    row("other errors", &|side| {
        (offs[side].len() - failed(side, "ok") - failed(side, "ENOMEM")).to_string()
    });
    for function in RETURNS {
        row(&format!("{function}: -ENOMEM"), &|side| returned(sides[side].cells, function));
    }
    let well =
        |side: usize| offs[side].iter().filter(|off| off.result == "ok" && off.used_slots > 0);
    row("time, ms", &|side| {
        let ms = |ns: u64| ns as f64 / 1e6;
        quartiles(well(side).map(|off| ms(off.steps.iter().map(|step| step.ns).sum())))
    });
    row("used slots", &|side| quartiles(well(side).map(|off| off.used_slots as f64)));
    row("time per used slot, us", &|side| {
        quartiles(well(side).map(|off| {
            let ns: u64 = off.steps.iter().map(|step| step.ns).sum();
            ns as f64 / 1e3 / off.used_slots as f64
        }))
    });
    table
}

/// How often a function returned -ENOMEM, of all its returns.
fn returned(cells: &[Cell], function: &str) -> String {
    let prefix = format!("returns:{function}:");
    let counts = cells.iter().flat_map(|cell| &cell.counts);
    let values = counts.filter_map(|(name, count)| Some((name.strip_prefix(&prefix)?, count)));
    let (mut failed, mut all) = (0, 0);
    for (value, count) in values {
        all += count;
        failed += if value == "-12" { *count } else { 0 };
    }
    if all == 0 { "not counted".into() } else { format!("{failed} of {all}") }
}

fn rate(failed: usize, of: usize) -> String {
    match wilson(failed as f64, of as f64) {
        Some((low, high)) => format!("{failed} ({:.0}..{:.0} %)", low * 100.0, high * 100.0),
        None => "no calls".into(),
    }
}

/// Wilson's 95 % interval of a proportion.
fn wilson(hits: f64, of: f64) -> Option<(f64, f64)> {
    const Z: f64 = 1.96;
    if of == 0.0 {
        return None;
    }
    let (p, z2) = (hits / of, Z * Z);
    let middle = p + z2 / (2.0 * of);
    let half = Z * (p * (1.0 - p) / of + z2 / (4.0 * of * of)).sqrt();
    let scale = 1.0 + z2 / of;
    Some((((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)))
}

fn quartiles(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    if values.is_empty() {
        return "none".into();
    }
    values.sort_by(f64::total_cmp);
    let [low, mid, high] = [0.25, 0.5, 0.75].map(|q| quantile(&values, q));
    format!("{} ({}..{})", Digits(mid), Digits(low), Digits(high))
}

/// Three digits, without an exponent.
struct Digits(f64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            x if x >= 100.0 => write!(f, "{:.0}", self.0),
            x if x >= 10.0 => write!(f, "{:.1}", self.0),
            _ => write!(f, "{:.2}", self.0),
        }
    }
}

/// What was done at all.
fn operations(sides: &[Side]) -> Table {
    let mut table =
        Table::new("Operations", "Over all measured intervals.", &["workload"], sides, &[]);
    let names: BTreeSet<&str> =
        sides.iter().flat_map(|side| side.cells).map(|cell| cell.key.workload.as_str()).collect();
    for name in names {
        let value = |side: &Side| {
            let cells: Vec<&Cell> =
                side.cells.iter().filter(|cell| cell.key.workload == name).collect();
            let pages: u64 = cells.iter().map(|cell| swapped_out(&cell.counts)).sum();
            format!("{pages} pages out in {} trials", cells.len())
        };
        table.rows.push(std::iter::once(name.to_owned()).chain(sides.iter().map(value)).collect());
    }
    table
}

/// Each later kernel against the first, by point.
fn throughput(sides: &[Side], hardware: bool) -> Table {
    let mut table = Table::new(
        "Throughput against the first kernel",
        "Median of pages swapped out per second as a ratio to the first kernel, with the 95 % \
         interval of the ratio (bootstrap) and the spread within a point (largest/smallest).",
        &["point"],
        sides.get(1..).unwrap_or_default(),
        &["spread"],
    );
    let Some((base, others)) = sides.split_first() else { return table };
    // In W6 the swap is off part of the time: its rate is no throughput.
    let steady = base.cells.iter().filter(|cell| cell.swapoff.is_empty());
    let points: BTreeSet<String> = steady.map(point).collect();
    for name in points {
        let samples = |side: &Side| -> Vec<f64> {
            let cells = side.cells.iter().filter(|cell| point(cell) == name);
            cells.map(|cell| cell.ops_per_s).collect()
        };
        let before = samples(base);
        let mut spread: f64 = widest(&before);
        let ratios = others.iter().map(|side| {
            let after = samples(side);
            spread = spread.max(widest(&after));
            ratio(&before, &after, hardware)
        });
        let ratios: Vec<String> = ratios.collect();
        let row = std::iter::once(name).chain(ratios).chain([format!("{spread:.1}x")]);
        table.rows.push(row.collect());
    }
    table
}

fn point(cell: &Cell) -> String {
    let key = &cell.key;
    let batch = key.params.get("batch").map_or(String::new(), |batch| format!(" batch {batch}"));
    format!("{}{batch} x{}", key.workload, key.threads)
}

fn widest(samples: &[f64]) -> f64 {
    let highest = samples.iter().copied().fold(f64::NAN, f64::max);
    highest / samples.iter().copied().fold(f64::NAN, f64::min)
}

fn ratio(before: &[f64], after: &[f64], hardware: bool) -> String {
    if before.len() < 2 || after.len() < 2 {
        return "not decidable (too few trials)".into();
    }
    let interval = bootstrap_ratio(before, after);
    let middle = median(after) / median(before);
    let text = format!("{middle:.2} [{:.2}, {:.2}]", interval.lo, interval.hi);
    if hardware && !interval.contains(1.0) { text } else { format!("{text} not decidable") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_keeps_inside_zero_and_one() {
        let (low, high) = wilson(4.0, 18.0).unwrap();
        assert!((low - 0.090).abs() < 0.002 && (high - 0.452).abs() < 0.002, "{low} {high}");
        assert_eq!(wilson(0.0, 6.0).unwrap().0, 0.0);
        assert!(wilson(0.0, 0.0).is_none());
    }

    #[test]
    fn under_emulation_nothing_is_decided() {
        let (slow, fast) = ([10.0, 11.0, 12.0, 10.5], [30.0, 31.0, 29.0, 30.5]);
        assert!(ratio(&slow, &fast, false).ends_with("not decidable"));
        assert!(!ratio(&slow, &fast, true).contains("not decidable"));
        assert!(ratio(&slow, &slow, true).ends_with("not decidable"));
    }

    #[test]
    fn returns_are_counted_over_all_cells() {
        let mut cell = results::example::cell();
        assert_eq!(returned(std::slice::from_ref(&cell), RETURNS[0]), "not counted");
        cell.counts = [("returns:unuse_pte_range:-12".into(), 2)].into();
        cell.counts.insert("returns:unuse_pte_range:0".into(), 40);
        assert_eq!(returned(&[cell.clone(), cell], "unuse_pte_range"), "4 of 84");
    }

    #[test]
    fn both_texts_hold_every_row() {
        let side = [Side { name: "6.12.1+deb", cells: &[] }];
        let mut table = Table::new("T", "remark", &["caller"], &side, &[]);
        table.rows.push(vec!["get_swap_pages".into(), "12".into()]);
        assert!(table.markdown().contains("| get_swap_pages | 12 |"));
        assert!(table.mail().contains("  caller          6.12.1\n  get_swap_pages      12\n"));
    }
}
