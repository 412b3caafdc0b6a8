//! A report's words: what was compared, where, under which conditions, and the reasons to doubt
//! it.

use std::collections::{BTreeMap, BTreeSet};

use super::all_cells;
use super::choice::Pair;
use crate::aggregate::{self, counts_sites, groups, varying};
use crate::compare::Side;
use crate::disturbed::{Undisturbed, Without};
use crate::hit::hit;
use crate::metric::Metric;
use crate::plural;
use crate::schema::{Cell, Counter, LEAST_OVERLAP, MachineKind, Reading};
use crate::stats::median;
use crate::store::Loaded;
use crate::tables::text::{digits, duration};

/// A subject longer than a mail is wide counts the workloads, and then the sides, instead of naming
/// them; a pair is always named.
const SUBJECT_WIDTH: usize = 72;
/// Points that are named whose verdict rests on trials that were hit.
const MAX_FRAGILE: usize = 3;

pub(super) fn subject(sides: &[Side], pairs: &[Pair], metric: &Metric) -> String {
    let workloads: BTreeSet<&str> =
        all_cells(sides).map(|cell| cell.key.workload.as_str()).collect();
    let count = plural(workloads.len(), "workload");
    let workloads = workloads.into_iter().collect::<Vec<_>>().join(", ");
    let figures = if super::all_predicted(sides) { "predicted " } else { "" };
    let line =
        |of: &str, who: &str| format!("{figures}{metric} of {of}, {}: {who}", threads(sides));
    let [long, short] = compared(sides, pairs);
    let mut lines = vec![
        line(&workloads, &long),
        line(&count, &long),
        format!("{figures}{metric} of {workloads}: {long}"),
        format!("{figures}{metric} of {count}: {long}"),
    ];
    let fits = |line: &&String| line.len() <= SUBJECT_WIDTH;
    if pairs.len() > 1 {
        lines.push(line(&workloads, &short));
    }
    let last = if pairs.len() == 1 { &long } else { &short };
    lines.iter().find(fits).cloned().unwrap_or_else(|| line(&count, last))
}

/// Who is compared, in names and in numbers.
fn compared(sides: &[Side], pairs: &[Pair]) -> [String; 2] {
    let Some(((base, _), rest)) = pairs.split_first() else {
        return [sides[0].name.clone(), sides[0].name.clone()];
    };
    let others = |n: usize| format!("{} against {}", plural(n, "other"), base.name);
    if rest.iter().all(|(other, _)| std::ptr::eq(*other, *base)) {
        let names: Vec<&str> = pairs.iter().map(|(_, new)| new.name.as_str()).collect();
        [format!("{} against {}", names.join(", "), base.name), others(names.len())]
    } else {
        let each = format!("{}, each against the one before it", plural(sides.len(), "variant"));
        [each.clone(), each]
    }
}

fn threads(sides: &[Side]) -> String {
    let counts: BTreeSet<u32> = all_cells(sides).map(|cell| cell.key.threads).collect();
    match (counts.first(), counts.last()) {
        (Some(low), Some(high)) if low == high => plural(*low as usize, "thread"),
        (Some(low), Some(high)) => format!("{low}..{high} threads"),
        _ => "no cells".into(),
    }
}

/// Machine, kernel and conditions, one line each.
pub(super) fn setting(sides: &[Side]) -> [String; 3] {
    let run = &sides[0].loaded.run;
    let env = &run.environment;
    let doubt = match run.machine.kind {
        MachineKind::Emulated => ": EMULATED, not hardware timing,",
        _ if run.machine.predicted => ": PREDICTED by a model, computed",
        _ => "",
    };
    let model = short(&env.cpu_model);
    let model = ["(R)", "(TM)"].iter().fold(model, |model, mark| model.replace(mark, ""));
    [
        format!(
            "Machine: {}{doubt} on {model}, {} CPUs{}, {}",
            run.machine.name,
            short(&env.cpus_online),
            if env.smt.known() == Some(&true) { " with SMT" } else { "" },
            match env.virtualized.known().map(String::as_str) {
                Some("none") => "bare metal",
                Some(hypervisor) => hypervisor,
                None => "hypervisor unknown",
            }
        ),
        format!(
            "Kernel: {}, governor {}, turbo {}, THP {}",
            short(&env.kernel).split_whitespace().next().unwrap_or("unknown"),
            short(&env.governor),
            on_off(&env.turbo),
            short(&env.thp),
        ),
        conditions(sides),
    ]
}

fn conditions(sides: &[Side]) -> String {
    let differ = varying(all_cells(sides).map(|cell| &cell.key));
    let of_run = |run: &Loaded| -> String {
        let of: Vec<&Side> = sides.iter().filter(|side| std::ptr::eq(side.loaded, run)).collect();
        let cells = || of.iter().flat_map(|side| side.cells.iter().copied());
        format!("{} {}", trials(&of), windows(cells()))
    };
    let mut runs: Vec<(&str, String)> = Vec::new();
    for side in sides {
        runs.push((side.name.as_str(), of_run(side.loaded)));
    }
    // What is not the same in all runs is said of each.
    let alike = runs.iter().all(|(_, words)| *words == runs[0].1);
    let trials = match alike {
        true => runs.first().map_or(String::new(), |(_, words)| words.clone()),
        false => {
            let each = runs.iter().map(|(name, words)| format!("{name}: {words}"));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    let constant = all_cells(sides).next().map(|cell| {
        aggregate::label(&cell.key, |axis| {
            !differ.contains(axis) && !["machine", "variant", "threads"].contains(&axis)
        })
    });
    format!("Conditions: {trials}, {}", constant.unwrap_or_default())
}

/// The number of trials of each point.
fn trials(sides: &[&Side]) -> String {
    let groups = sides.iter().flat_map(|side| groups(side.cells.iter().copied()));
    let trials: BTreeSet<usize> = groups.map(|group| group.cells.len()).collect();
    match (trials.first(), trials.last()) {
        (Some(low), Some(high)) if low == high => plural(*low, "trial"),
        (Some(low), Some(high)) => format!("{low}..{high} trials"),
        _ => "no trials".into(),
    }
}

/// How long trials are, or how well they know their own throughput where that ends them.
fn windows<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> String {
    let known: Vec<_> = cells.clone().filter_map(|cell| cell.precision.as_ref()).collect();
    if known.is_empty() {
        return format!("of {} s", seconds(cells));
    }
    let widths: Vec<f64> = known.iter().filter_map(|known| known.half_width).collect();
    let reached = widths.iter().copied().reduce(f64::max).map(|worst| {
        let [median, worst] = [median(&widths), worst].map(|width| digits(100.0 * width));
        format!("+-{median} % in the median, +-{worst} % at worst")
    });
    let unknown = known.len() - widths.len();
    let unknown = (unknown > 0).then(|| format!("unknown of {unknown} with fewer than 3 batches"));
    let both: Vec<String> = reached.into_iter().chain(unknown).collect();
    format!("that end by precision ({})", both.join("; "))
}

/// Median length of a trial, to three digits: a model's takes half a millisecond.
fn seconds<'a>(cells: impl Iterator<Item = &'a Cell>) -> f64 {
    let durations: Vec<f64> = cells.map(|cell| cell.duration_ns as f64).collect();
    let seconds = if durations.is_empty() { 0.0 } else { median(&durations) / 1e9 };
    format!("{seconds:.2e}").parse().expect("what it has just written")
}

/// The verdicts that rest on trials which something from outside has hit.
pub(super) fn fragile(again: &Undisturbed) -> Option<String> {
    let fallen: Vec<&Without> =
        again.rows.iter().filter(|row| !row.stands() && row.claims()).collect();
    let words = |row: &&Without| {
        let without = row.without.as_ref().map_or("none left", |rest| rest.outcome.name());
        let point = aggregate::label(&row.key, |_| true);
        format!("{point} ({}, without them {without})", row.with.name())
    };
    let first: Vec<String> = fallen.iter().take(MAX_FRAGILE).map(words).collect();
    let more = fallen.len().saturating_sub(MAX_FRAGILE);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!fallen.is_empty()).then(|| {
        format!(
            "{} against {}: the verdict does not stand without the trials hit from outside at {}{more}",
            again.new,
            again.base,
            first.join("; ")
        )
    })
}

pub(super) fn short<T: std::fmt::Display>(reading: &Reading<T>) -> String {
    reading.known().map_or("unknown".into(), T::to_string)
}

fn on_off(reading: &Reading<bool>) -> &'static str {
    match reading.known() {
        Some(true) => "on",
        Some(false) => "off",
        None => "unknown",
    }
}

/// Disturbances and doubts, over all cells.
pub(super) fn notes(sides: &[Side]) -> Vec<String> {
    let mut notes = vec![noise(sides)];
    notes.extend(uncounted(sides));
    for side in sides {
        notes.extend(side.loaded.notes.iter().cloned());
        if side.loaded.run.machine.predicted {
            notes.push(format!("{}: figures are predicted by a model, not measured", side.name));
        }
        if side.loaded.run.machine.kind == MachineKind::Emulated {
            notes.push(format!(
                "{}: emulated, not hardware timing: times decide nothing",
                side.name
            ));
        }
    }
    let apart = all_cells(sides).filter(|cell| cell.overlap < LEAST_OVERLAP).count();
    if apart > 0 {
        let apart = plural(apart, "cell");
        let least = 100.0 * LEAST_OVERLAP;
        notes
            .push(format!("in {apart} the threads ran together for under {least:.0}% of the time"));
    }
    notes
}

/// Counters, and lock sites, that a cell lacks, one line per reason.
fn uncounted(sides: &[Side]) -> impl Iterator<Item = String> {
    let mut reasons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, counter) in all_cells(sides).flat_map(|cell| &cell.counters) {
        if let Counter::Unsupported { unsupported } = counter {
            reasons.entry(unsupported).or_default().insert(name);
        }
    }
    if all_cells(sides).any(|cell| !counts_sites(&cell.key)) {
        reasons.entry("run without --no-sites").or_default().insert("lock sites");
    }
    reasons.into_iter().map(|(reason, names)| {
        format!("Not counted: {}: {reason}", names.into_iter().collect::<Vec<_>>().join(", "))
    })
}

fn noise(sides: &[Side]) -> String {
    let steal: Option<Vec<f64>> = all_cells(sides).map(|cell| Metric::Steal.of(cell)).collect();
    let steal = match steal.filter(|values| !values.is_empty()) {
        Some(values) => {
            let worst = values.iter().copied().fold(0.0, f64::max);
            format!("steal {:.2}% (worst cell {:.2}%)", median(&values) * 100.0, worst * 100.0)
        }
        None => "steal unknown".into(),
    };
    let switches = all_cells(sides).map(|cell| cell.noise.involuntary_switches.known().copied());
    let switches = match switches.sum::<Option<u64>>() {
        Some(count) => format!("{count} involuntary switches"),
        None => "involuntary switches unknown".into(),
    };
    let gaps: Vec<u64> =
        all_cells(sides).filter_map(|cell| cell.noise.gap_max_ns.known().copied()).collect();
    let gap = match gaps.iter().max() {
        Some(&longest) => {
            format!("longest clock gap {}", duration(longest as f64))
        }
        None => "clock gaps unknown".into(),
    };
    format!("Noise: {steal}, {switches}, {gap}{}", hits(sides))
}

/// How many trials were hit, and one of them.
fn hits(sides: &[Side]) -> String {
    let hit: Vec<String> = all_cells(sides).filter_map(hit).collect();
    let all = all_cells(sides).count();
    hit.first().map_or(String::new(), |first| {
        format!("; {} of {all} trials were hit from outside (first: {first})", hit.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::schema::Precision;

    #[test]
    fn a_trial_that_does_not_know_itself_is_counted() {
        let with = |half_widths: &[Option<f64>]| {
            let cell = |&half_width: &Option<f64>| Cell {
                precision: Some(Precision { batches: 16, half_width }),
                ..example::cell()
            };
            let cells: Vec<Cell> = half_widths.iter().map(cell).collect();
            windows(cells.iter())
        };
        let known = "that end by precision (+-2.00 % in the median, +-3.00 % at worst";
        assert_eq!(with(&[Some(0.01), Some(0.02), Some(0.03)]), format!("{known})"));
        let one = format!("{known}; unknown of 1 with fewer than 3 batches)");
        assert_eq!(with(&[Some(0.01), None, Some(0.02), Some(0.03)]), one);
        let all = "that end by precision (unknown of 2 with fewer than 3 batches)";
        assert_eq!(with(&[None, None]), all);
        assert!(windows([example::cell()].iter()).starts_with("of "));
    }
}
