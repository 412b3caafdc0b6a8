//! The lab's report: kernels before and after a change, in words and tables. Guards against reading
//! too much into it: under emulation it leads with structure (which functions enter the slow path,
//! what swapoff returns), and throughput is never called decided there.

use std::collections::{BTreeMap, BTreeSet};

use crate::in_order_of_events;
use crate::kernel::{RETURNS, swapped_out};
use crate::locks::lock_of;
use crate::schema::{Cell, MachineKind, Swapoff};
use crate::stats::{MIN_SAMPLES, bootstrap_ratio, median, quantile};
use crate::store::Loaded;
use crate::tables::document::Document;
use crate::tables::grid::{Grid, Row, header};
use crate::tables::text::digits;

mod acquired;
mod lockups;

pub use acquired::ci_lock_per_page;
pub use lockups::Found;

/// One kernel of the comparison.
struct Side<'a> {
    /// what its kernel calls itself
    release: &'a str,
    /// what the tables call it
    name: &'a str,
    cells: Vec<&'a Cell>,
    /// trials in which probes counted acquisitions, and which say nothing else
    counted: Vec<&'a Cell>,
    /// swapoffs that can lock a CPU up, which say nothing else either
    hunts: Vec<&'a Cell>,
}

/// The beginning of a label of the lab's runs; the name of the kernel's file follows.
pub const LABEL: &str = "lab-";

/// Those of `runs` that the lab made, in their order.
pub fn runs(mut runs: Vec<Loaded>) -> Vec<Loaded> {
    runs.retain(|loaded| loaded.run.label.starts_with(LABEL));
    runs
}

/// The report of a lab's runs, the first of which is "before". `notes` are the remarks of
/// the lab while it ran, one sentence each; the runs do not hold them.
pub fn report(runs: &[Loaded], notes: &[String]) -> Document {
    let hardware = runs.iter().all(|run| run.run.machine.kind == MachineKind::Kernel);
    let sides = sides(runs);
    let mut tables = Vec::new();
    if sides.iter().any(|side| !side.hunts.is_empty()) {
        tables.push(lockups::lockups(&sides));
    }
    if sides.iter().any(|side| !side.cells.is_empty()) {
        tables.extend(measured(&sides, hardware));
    }
    let kernels = sides.iter().map(|side| format!("{} ({})", side.release, scheme(side)));
    let mut remarks = vec![
        format!("Kernels: {}.", kernels.collect::<Vec<_>>().join("; ")),
        "Between two releases lie other changes too: 6.12 to 6.16 holds four releases of them, so \
         a difference is one of the releases, not of one series."
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
    let title = format!("swapscale lab: {}", names.join(" against "));
    Document { title, remarks, tables }
}

/// The tables of trials that measured. Those of time come first where time is the hardware's.
fn measured(sides: &[Side], hardware: bool) -> Vec<Grid> {
    let mut tables = vec![slow_paths(sides), swapoffs(sides, hardware), operations(sides)];
    if sides.iter().any(|side| !side.counted.is_empty()) {
        tables.insert(1, acquired::acquisitions(sides));
    }
    let throughput = throughput(sides, hardware);
    if hardware {
        tables.insert(0, throughput);
    } else {
        tables.push(throughput);
    }
    tables
}

/// Named by their numbers; by the kernels' files where two builds have one release.
fn sides(runs: &[Loaded]) -> Vec<Side<'_>> {
    let number = |at: usize| short(&runs[at].run.machine.name);
    let alone =
        |at: usize| (0..runs.len()).filter(|&other| number(other) == number(at)).count() == 1;
    let side = |at: usize| {
        let Loaded { run, cells, .. } = &runs[at];
        let file = run.label.trim_start_matches(LABEL);
        let name = if alone(at) { number(at) } else { file };
        let (hunts, cells): (Vec<_>, Vec<_>) = cells.iter().partition(|cell| lockups::hunts(cell));
        let (counted, cells) = cells.into_iter().partition(|cell| acquired::counts(cell));
        Side { release: &run.machine.name, name, cells, counted, hunts }
    };
    (0..runs.len()).map(side).collect()
}

/// The variant that models a kernel, as the driver that measured it says.
fn scheme<'a>(side: &Side<'a>) -> &'a str {
    side.cells.iter().chain(&side.hunts).next().map_or("unknown", |cell| &cell.key.variant)
}

/// A table with one column per side.
fn table(title: &str, caption: &str, first: &[&str], sides: &[Side], last: &[&str]) -> Grid {
    let names: Vec<&str> = sides.iter().map(|side| side.name).collect();
    Grid {
        title: title.into(),
        caption: caption.into(),
        header: header(&[first, &names, last].concat()),
        left: 1,
        rows: Vec::new(),
    }
}

/// `6.12.117` of `6.12.117+deb13-cloud-amd64`.
pub(crate) fn short(name: &str) -> &str {
    name.split(['+', '-']).next().unwrap_or(name)
}

/// Entries to the spinlock's slow path for each million pages, by caller: the callers that make
/// up one in a hundred somewhere, and those of the swap allocator's own locks.
fn slow_paths(sides: &[Side]) -> Grid {
    let mut table = table(
        "Entries to the spinlock slow path, by caller",
        "Entries per million pages swapped out (entries counted). A kprobe on \
         native_queued_spin_lock_slowpath, all workloads and workers, set-up included.",
        &["caller", "lock"],
        sides,
        &[],
    );
    let counts: Vec<BTreeMap<&str, u64>> =
        sides.iter().map(|side| by_caller(&side.cells)).collect();
    let pages: Vec<u64> = sides.iter().map(|side| pages(&side.cells)).collect();
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
        weighty || caller.contains("swap") || locks(caller, sides).contains("i->lock")
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
        let row = [caller.to_owned(), locks(caller, sides)];
        table.rows.push(Row::plain(row.into_iter().chain(counted).collect()));
    }
    let counted = (0..sides.len()).map(|side| cell(totals[side], side));
    let row = ["all callers".to_owned(), String::new()];
    table.rows.push(Row::plain(row.into_iter().chain(counted).collect()));
    table
}

/// The locks of a caller in the kernels that it was seen in.
fn locks(caller: &str, sides: &[Side]) -> String {
    let names = ["slowpath:", "acquired:"].map(|count| format!("{count}{caller}"));
    let counted = |cell: &Cell| names.iter().any(|name| cell.counts.contains_key(name));
    let seen = |side: &&Side| side.cells.iter().chain(&side.counted).any(|cell| counted(cell));
    let each: BTreeSet<String> =
        sides.iter().filter(seen).map(|side| lock_of(caller, side.release)).collect();
    each.into_iter().collect::<Vec<_>>().join("; ")
}

fn by_caller<'a>(cells: &[&'a Cell]) -> BTreeMap<&'a str, u64> {
    let mut sum = BTreeMap::new();
    for (name, count) in cells.iter().flat_map(|cell| &cell.counts) {
        if let Some(caller) = name.strip_prefix("slowpath:") {
            *sum.entry(caller).or_insert(0) += count;
        }
    }
    sum
}

/// Pages that went out: a worker that asks while the swap is off gets nothing.
fn pages(cells: &[&Cell]) -> u64 {
    cells.iter().map(|cell| swapped_out(&cell.counts)).sum()
}

/// The results of swapoff under load, and its time.
fn swapoffs(sides: &[Side], hardware: bool) -> Grid {
    let mut table = table(
        "swapoff under load",
        "Failure rate with its 95 % interval (Wilson). Time and used slots of those that emptied the \
         device: median (quartiles). Steps: the share of all their time together, cut by kprobes on \
         functions that swapoff calls; from 6.14 on the barrier ends inside of unuse, unseen, and \
         from 7.0 on inside of block.",
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
        table.rows.push(Row::plain(std::iter::once(name.to_owned()).chain(values).collect()));
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
        row(&format!("{function}: -ENOMEM"), &|side| returned(&sides[side].cells, function));
    }
    let emptied = |side: usize| offs[side].iter().copied().filter(|off| emptied(off));
    let emulated = if hardware { "" } else { " (emulated)" };
    row(&format!("time, ms{emulated}"), &|side| {
        let ms = |ns: u64| ns as f64 / 1e6;
        quartiles(emptied(side).map(|off| ms(off.steps.iter().map(|step| step.ns).sum())))
    });
    row("used slots", &|side| quartiles(emptied(side).map(|off| off.used_slots as f64)));
    row(&format!("time per used slot, us{emulated}"), &|side| {
        quartiles(emptied(side).map(|off| {
            let ns: u64 = off.steps.iter().map(|step| step.ns).sum();
            ns as f64 / 1e3 / off.used_slots as f64
        }))
    });
    let shares: Vec<_> = (0..sides.len()).map(|side| step_shares(emptied(side))).collect();
    let names = shares.iter().map(|shares| shares.iter().map(|(name, _)| name.as_str()));
    for name in in_order_of_events(names) {
        row(&format!("step {name}"), &|side| {
            let share = shares[side].iter().find(|(step, _)| step == name);
            share.map_or("none".into(), |(_, share)| format!("{:.1} %", 100.0 * share))
        });
    }
    table
}

/// Whether a swapoff succeeded and had anything to do.
pub(crate) fn emptied(off: &Swapoff) -> bool {
    off.result == "ok" && off.used_slots > 0
}

/// Each step's share of the time of all swapoffs together, in the order of the steps; nothing
/// where they were not cut into steps.
pub(crate) fn step_shares<'a>(offs: impl Iterator<Item = &'a Swapoff>) -> Vec<(String, f64)> {
    let mut sums: Vec<(String, u64)> = Vec::new();
    for step in offs.filter(|off| off.steps.len() > 1).flat_map(|off| &off.steps) {
        match sums.iter_mut().find(|(name, _)| *name == step.name) {
            Some((_, sum)) => *sum += step.ns,
            None => sums.push((step.name.clone(), step.ns)),
        }
    }
    let total: u64 = sums.iter().map(|(_, ns)| ns).sum();
    let share = |(name, ns)| (name, ns as f64 / total.max(1) as f64);
    sums.into_iter().map(share).collect()
}

/// How often a function returned -ENOMEM, of all its returns.
fn returned(cells: &[&Cell], function: &str) -> String {
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
        Some((low, high)) => {
            let percent = [failed as f64 / of as f64, low, high].map(|share| 100.0 * share);
            format!("{failed}: {:.1} % ({:.1}..{:.1})", percent[0], percent[1], percent[2])
        }
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
    format!("{} ({}..{})", digits(mid), digits(low), digits(high))
}

/// The pages swapped out per workload.
fn operations(sides: &[Side]) -> Grid {
    let mut table = table("Operations", "Over all measured intervals.", &["workload"], sides, &[]);
    let names: BTreeSet<&str> =
        sides.iter().flat_map(|side| &side.cells).map(|cell| cell.key.workload.as_str()).collect();
    for name in names {
        let value = |side: &Side| {
            let of_it = |cell: &&&Cell| cell.key.workload == name;
            let cells: Vec<_> = side.cells.iter().filter(of_it).collect();
            let pages: u64 = cells.iter().map(|cell| swapped_out(&cell.counts)).sum();
            format!("{pages} pages out in {} trials", cells.len())
        };
        let values = sides.iter().map(value);
        table.rows.push(Row::plain(std::iter::once(name.to_owned()).chain(values).collect()));
    }
    table
}

/// Each later kernel against the first, by point.
fn throughput(sides: &[Side], hardware: bool) -> Grid {
    let mut table = table(
        "Throughput against the first kernel",
        "Median of pages swapped out per second as a ratio to the first kernel, with the 95 % \
         interval [..] of the ratio (bootstrap), or the range (..) of fewer than 6 trials, and the \
         spread within a point (largest/smallest).",
        &["point"],
        sides.get(1..).unwrap_or_default(),
        &["spread"],
    );
    let Some((base, others)) = sides.split_first() else { return table };
    // In W6 the swap is off part of the time: its rate is no throughput.
    let steady = base.cells.iter().filter(|cell| cell.swapoff.is_empty());
    let points: BTreeSet<String> = steady.map(|cell| point(cell)).collect();
    for name in points {
        let samples = |side: &Side| -> Vec<f64> {
            let cells = side.cells.iter().filter(|cell| point(cell) == name);
            cells.map(|cell| cell.ops_per_s).collect()
        };
        let before = samples(base);
        let mut range: f64 = widest(&before);
        let ratios = others.iter().map(|side| {
            let after = samples(side);
            range = range.max(widest(&after));
            ratio(&before, &after, hardware)
        });
        let ratios: Vec<String> = ratios.collect();
        let row = std::iter::once(name).chain(ratios).chain([format!("{range:.1}x")]);
        table.rows.push(Row::plain(row.collect()));
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

/// The ratio of two points with its interval, and whether that decides anything.
pub(crate) fn ratio(before: &[f64], after: &[f64], hardware: bool) -> String {
    let least = before.len().min(after.len());
    if least < 2 {
        return "not decidable (too few trials)".into();
    }
    let middle = median(after) / median(before);
    if least < MIN_SAMPLES {
        let of = |samples: &[f64], pick: fn(f64, f64) -> f64| {
            samples.iter().copied().fold(f64::NAN, pick)
        };
        let (lo, hi) = (
            of(after, f64::min) / of(before, f64::max),
            of(after, f64::max) / of(before, f64::min),
        );
        return format!("{middle:.2} ({lo:.2} .. {hi:.2}) not decidable");
    }
    let interval = bootstrap_ratio(before, after);
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
        let slow = [10.0, 11.0, 12.0, 10.5, 10.8, 11.2];
        let fast = [30.0, 31.0, 29.0, 30.5, 30.2, 30.9];
        assert!(ratio(&slow, &fast, false).ends_with("not decidable"));
        assert!(!ratio(&slow, &fast, true).contains("not decidable"));
        assert!(ratio(&slow, &slow, true).ends_with("not decidable"));
        // Five trials have a range, and decide nothing.
        assert_eq!(ratio(&slow[..5], &fast, true), "2.81 (2.42 .. 3.10) not decidable");
    }

    #[test]
    fn returns_are_counted_over_all_cells() {
        let mut cell = crate::example::cell();
        assert_eq!(returned(&[&cell], RETURNS[0]), "not counted");
        cell.counts = [("returns:unuse_pte_range:-12".into(), 2)].into();
        cell.counts.insert("returns:unuse_pte_range:0".into(), 40);
        assert_eq!(returned(&[&cell, &cell], "unuse_pte_range"), "4 of 84");
    }

    #[test]
    fn two_builds_of_one_release_are_told_apart() {
        let run = |label: &str, release: &str| {
            let mut run = crate::example::run();
            (run.label, run.machine.name) = (label.into(), release.into());
            Loaded { dir: "".into(), run, cells: Vec::new(), notes: Vec::new() }
        };
        let same = [run("lab-bzImage-1", "6.19.0-rc1"), run("lab-bzImage-2", "6.19.0-rc1")];
        let names = |runs: &[Loaded]| -> Vec<String> {
            sides(runs).iter().map(|side| side.name.to_owned()).collect()
        };
        assert_eq!(names(&same), ["bzImage-1", "bzImage-2"]);
        let packaged = [run("lab-6.12.1+deb", "6.12.1+deb"), run("lab-6.18.1+deb", "6.18.1+deb")];
        assert_eq!(names(&packaged), ["6.12.1", "6.18.1"]);
    }
}
