//! The report's main table as CSV (RFC 4180), for a spreadsheet: the comparisons
//! where there are any, else the summary. Figures are not rounded to a unit.

use super::Format;
use crate::compare::Comparison;
use crate::report::{Report, Summary};
use crate::schema::CellKey;
use crate::stats::Interval;

/// The report as CSV.
pub struct Csv;

impl Format for Csv {
    fn render(&self, report: &Report) -> String {
        let rows = match report.comparisons.is_empty() {
            true => summary(&report.summary),
            false => comparisons(&report.comparisons),
        };
        rows.iter().map(|row| line(row)).collect()
    }
}

const KEY: [&str; 7] = ["machine", "variant", "lock", "workload", "params", "threads", "pin"];

fn key(key: &CellKey) -> [String; 7] {
    let params: Vec<String> =
        key.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    [
        key.machine.clone(),
        key.variant.clone(),
        key.lock.clone(),
        key.workload.clone(),
        params.join(" "),
        key.threads.to_string(),
        key.pin.clone(),
    ]
}

fn header(before: &[&str], after: &[&str]) -> Vec<String> {
    [before, &KEY, after].concat().into_iter().map(str::to_owned).collect()
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    interval.map_or([String::new(), String::new()], |i| [i.lo.to_string(), i.hi.to_string()])
}

fn summary(rows: &[Summary]) -> Vec<Vec<String>> {
    let figures =
        ["runs", "ops_per_s", "lo", "hi", "kind", "p50_ns", "p99_ns", "jain", "contended"];
    let mut table = vec![header(&["side"], &figures)];
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in rows {
        let mut cells = vec![row.side.clone()];
        cells.extend(key(&row.key));
        cells.extend([row.throughput.n.to_string(), row.throughput.median.to_string()]);
        cells.extend(ends(row.throughput.interval));
        cells.push(row.kind.clone().unwrap_or_default());
        cells.extend([optional(row.p50), optional(row.p99)]);
        cells.extend([row.jain.to_string(), optional(row.contended)]);
        table.push(cells);
    }
    table
}

fn comparisons(comparisons: &[Comparison]) -> Vec<Vec<String>> {
    let figures = [
        "unit",
        "base_median",
        "new_median",
        "ratio",
        "ratio_lo",
        "ratio_hi",
        "p",
        "p_family",
        "outcome",
        "base_runs",
        "new_runs",
    ];
    let mut table = vec![header(&["base", "new", "metric"], &figures)];
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for comparison in comparisons {
        for row in &comparison.rows {
            let mut cells = vec![
                comparison.base.clone(),
                comparison.new.clone(),
                comparison.metric.to_string(),
            ];
            cells.extend(key(&row.key));
            cells.push(comparison.unit.to_owned());
            cells.extend([row.base.median, row.new.median, row.ratio].map(|x| x.to_string()));
            cells.extend(ends(row.interval));
            cells.extend([optional(row.p), optional(row.p_family)]);
            cells.push(row.outcome.name().to_owned());
            cells.extend([row.base.n.to_string(), row.new.n.to_string()]);
            table.push(cells);
        }
    }
    table
}

fn line(cells: &[String]) -> String {
    let quoted: Vec<String> = cells
        .iter()
        .map(|cell| match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        })
        .collect();
    quoted.join(",") + "\n"
}
