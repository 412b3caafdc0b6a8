//! docs/kernel.md and docs/findings/swapoff-enomem.md: the committed lab, the live run, and the model
//! against them. Their figures are read from the tables that `swapscale` prints of these runs.

use std::fmt::Write;

use results::against::{Against, against};
use results::aggregate::axes;
use results::lab;
use results::stats::median;
use results::store::{self, Loaded};
use results::tables::document::Document as Printed;

use super::Document;
use super::fill::claim;
use super::reference::{Reference, digits, root, span};
use super::{live, prices};

const KERNELS: [&str; 3] = ["6.12.118", "6.16.12", "6.18.15"];
const NATIVE: &str = "native/tas";
const SIMULATED: &str = "here/tas, simulated";

fn runs() -> Vec<Loaded> {
    store::load_all(&[root().join("results/reference/kernel")]).expect("the kernel's runs")
}

/// What stands in `row` below the column `column` of the table `title`.
fn cell(printed: &Printed, title: &str, row: &str, column: &str) -> String {
    let at = || format!("{}, {title}: {row}, {column}", printed.title);
    let table = printed.tables.iter().find(|table| table.title == title);
    let table = table.unwrap_or_else(|| panic!("no table of {}", at()));
    let column = table.header.iter().position(|name| name == column);
    let row = table.rows.iter().find(|line| line.cells[0] == row);
    let (row, column) = row.zip(column).unwrap_or_else(|| panic!("nothing at {}", at()));
    row.cells[column].clone()
}

/// The first number of a cell of a table: 36 of `#1 36.0 (28.6..37.5)`.
fn number(cell: &str) -> f64 {
    let words = cell.split_whitespace().filter(|word| !word.starts_with('#'));
    let mut numbers =
        words.filter_map(|word| word.trim_matches(|c| "():%x".contains(c)).parse().ok());
    numbers.next().unwrap_or_else(|| panic!("no number in {cell:?}"))
}

fn whole(cell: &str) -> String {
    digits(number(cell), 0)
}

/// The comparison of one scheme under one workload, as printed.
fn printed(all: &[Against], scheme: &str, workload: &str) -> (Printed, String) {
    let found = all.iter().find(|a| a.scheme == scheme && a.workload.starts_with(workload));
    let found = found.unwrap_or_else(|| panic!("no {scheme} under {workload}"));
    (found.document(), format!("{} of {}", found.scheme, found.workload))
}

/// `0.93 [0.93, 0.94]`: the rate of a column against 1 worker.
fn rate(printed: &Printed, column: &str) -> String {
    let rates = printed.remarks.last().expect("the rates");
    let (_, after) = rates.rsplit_once(&format!("{column}: ")).expect("the column's rate");
    after.split_once(']').expect("an interval").0.to_owned() + "]"
}

pub fn document() -> Document {
    let all = runs();
    let lab = lab::report(&lab::runs(all.clone()), &[]);
    let against = against(&all).expect("a comparison");
    let entries = KERNELS.map(|kernel| {
        let cell =
            cell(&lab, "Entries to the spinlock slow path, by caller", "all callers", kernel);
        cell.split_once('(').expect("(entries)").1.trim_end_matches(')').to_owned()
    });
    let (churn, title) = printed(&against, "percpu-cluster", "churn");
    let order = |kernel: &str, column: &str| {
        let pairs = cell(&churn, &title, &format!("order as {kernel}"), column);
        pairs.trim_end_matches(" pairs").to_owned()
    };
    let (swapoff, swapoff_title) = printed(&against, "percpu-cluster", "swapoff");
    let dup = |column: &str| whole(&cell(&swapoff, &swapoff_title, "__swap_duplicate", column));
    let (before, before_title) = printed(&against, "scanning", "swapoff");
    let frees =
        |column: &str| whole(&cell(&before, &before_title, "swapcache_free_entries", column));
    let throughput =
        lab.tables.iter().find(|table| table.header.last().is_some_and(|h| h == "spread"));
    let spreads = throughput.expect("throughput").rows.iter();
    let spreads: Vec<f64> =
        spreads.filter_map(|row| row.cells.last()?.trim_end_matches('x').parse().ok()).collect();
    let (live, emulated) = ("kernel 6.18.44", "6.18.15, emulated");
    let (model, real) = (waits_of_model(), waits_of_kernel(&all, &churn, &title, live));
    let mut sentences = vec![
        claim("spreads by a factor of {} within one point", [span(&spreads, |x| digits(x, 1))]),
        claim("(three boots each; {}, {} and {} entries in all)", entries),
        claim(
            "the model waits {} times as often per page that goes out ({} % of allocations against \
               {} % of a running 6.18 kernel's, which",
            [digits(model / real, 1), digits(model, 1), digits(real, 1)],
        ),
        claim(
            "does not measurably speed the model up: {} times natively, {} simulated. It speeds the \
               running kernel up {} times",
            [rate(&churn, NATIVE), rate(&churn, SIMULATED), rate(&churn, live)],
        ),
        claim(
            "a little better than chance ({} pairs as the running kernel, {} as the emulated one)",
            [order(live, NATIVE), order(emulated, NATIVE)],
        ),
        claim(
            "`__swap_duplicate` has {} % of the model's waits, and {} and {} % of the kernels'",
            [dup(NATIVE), dup(live), dup(emulated)],
        ),
        claim(
            "`swapcache_free_entries` has {} % of the model's waits ({} simulated) and {} % of the",
            [frees(NATIVE), frees(SIMULATED), frees("6.12.118, emulated")],
        ),
    ];
    sentences.extend(prices::sentences());
    sentences.extend(live::sentences());
    let blocks =
        vec![("lab", slow_paths(&lab)), ("prices", prices::table()), ("live", live::table())];
    Document { path: "docs/kernel.md", sentences, blocks }
}

/// Contended acquisitions per 100 allocations of churn on two threads.
fn waits_of_model() -> f64 {
    let point = "variant=percpu-cluster workload=churn threads=2";
    100.0
        * Reference::of("kernel/native").of_trials(point, |cell| {
            let waits: u64 = cell.sites.iter().map(|site| site.contended).sum();
            Some(waits as f64 / cell.kinds["alloc"].count as f64)
        })
}

/// Waits for the swap allocator's locks per 100 pages that went out, of the traced trial.
fn waits_of_kernel(runs: &[Loaded], churn: &Printed, title: &str, column: &str) -> f64 {
    let waits = number(&cell(churn, title, "contended, in all", column));
    let live = runs.iter().find(|run| run.run.label == "live").expect("the live run");
    let traced = live.cells.iter().find(|cell| {
        let axes = axes(&cell.key);
        let on = |name: &str, at: &str| axes.iter().any(|(axis, is)| *axis == name && is == at);
        on("workload", "churn") && on("threads", "2") && on("trace", "lock")
    });
    let pages: u64 = traced.expect("a traced trial").per_thread.iter().sum();
    100.0 * waits / pages as f64
}

fn slow_paths(lab: &Printed) -> String {
    let mut table =
        format!("| | {} |\n| --- | ---: | ---: | ---: |\n", ["6.12", "6.16", "6.18"].join(" | "));
    for (what, callers) in [
        (
            "`swapcache_free_entries` (si->lock), `get_swap_pages` (si->lock or swap_avail_lock)",
            &["swapcache_free_entries", "get_swap_pages"][..],
        ),
        ("`folio_alloc_swap` (ci->lock or swap_avail_lock)", &["folio_alloc_swap"]),
        ("`add_to_avail_list` (swap_avail_lock)", &["add_to_avail_list"]),
    ] {
        let entries = KERNELS.map(|kernel| {
            let title = "Entries to the spinlock slow path, by caller";
            let of = |caller: &&str| number(&cell(lab, title, caller, kernel));
            digits(callers.iter().map(of).sum(), 0)
        });
        writeln!(table, "| {what} | {} |", entries.join(" | ")).expect("a string takes it");
    }
    table
}

pub fn enomem() -> Document {
    let all = runs();
    let emulated = lab::report(&lab::runs(all.clone()), &[]);
    let live: Vec<Loaded> = all.into_iter().filter(|run| run.run.label == "live").collect();
    let here = lab::report(&live, &[]);
    let swapoffs =
        |lab: &Printed, row: &str, kernel: &str| cell(lab, "swapoff under load", row, kernel);
    let mut calls = "| kernel | where | swapoff calls | ENOMEM | 95 % interval |\n\
                     | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let [debian, vm] = ["QEMU, emulated", "a virtual machine, 2 CPUs, 24 GiB"];
    let rows = KERNELS.map(|kernel| (&emulated, kernel, " (Debian)", debian));
    for (lab, kernel, from, place) in rows.into_iter().chain([(&here, "6.18.44", "", vm)]) {
        let failed = swapoffs(lab, "ENOMEM", kernel);
        let (count, rate) = failed.split_once(": ").expect("count: rate");
        let interval = rate.split_once('(').expect("(interval)").1.trim_end_matches(')');
        let all = swapoffs(lab, "swapoff calls", kernel);
        writeln!(calls, "| {kernel}{from} | {place} | {all} | {count} | {interval} % |")
            .expect("a string takes it");
    }
    let mut returns = format!("| | {} |\n| --- | --- | --- | --- |\n", KERNELS.join(" | "));
    let of = |row: &str| KERNELS.map(|kernel| swapoffs(&emulated, row, kernel));
    let failed = of("ENOMEM").map(|cell| cell.split_once(':').expect("count").0.to_owned());
    let failed: Vec<String> = failed
        .iter()
        .zip(of("swapoff calls"))
        .map(|(failed, all)| format!("{failed} of {all}"))
        .collect();
    for (what, cells) in [
        ("swapoff: ENOMEM", failed),
        ("`unuse_pte_range()`: -ENOMEM", of("unuse_pte_range: -ENOMEM").into()),
        ("`__vm_enough_memory()`: -ENOMEM", of("__vm_enough_memory: -ENOMEM").into()),
    ] {
        writeln!(returns, "| {what} | {} |", cells.join(" | ")).expect("a string takes it");
    }
    let offs = |threads: u32| {
        let cells = live[0].cells.iter().filter(move |cell| cell.key.threads == threads);
        cells.flat_map(|cell| &cell.swapoff)
    };
    let failed = |threads| {
        let failed = offs(threads).filter(|off| off.result.starts_with("ENOMEM")).count();
        format!("{failed} of {}", offs(threads).count())
    };
    let time = |failed: bool| {
        let of = offs(1).chain(offs(2)).filter(|off| off.result.starts_with("ENOMEM") == failed);
        let times = of.map(|off| off.steps.iter().map(|step| step.ns).sum::<u64>() as f64 / 1e6);
        digits(median(&times.collect::<Vec<_>>()), 0)
    };
    let sentences = vec![
        claim("the live driver: {} calls with one worker and {} with two", [failed(1), failed(2)]),
        claim(
            "A call that failed took {} ms (live, median); one that succeeded took {} ms",
            [time(true), time(false)],
        ),
    ];
    let blocks = vec![("calls", calls), ("returns", returns)];
    Document { path: "docs/findings/swapoff-enomem.md", sentences, blocks }
}
