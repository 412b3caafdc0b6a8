//! A comparison in the form of the kernel test robot's mails (LKP): means with standard deviations.
//! Guards that it reads like theirs: a deviation below 2 % is not printed, and what is a percentage
//! changes by points and not by percent.

use super::Format;
use super::mail::{Lines, REPORT};
use crate::aggregate::{at, telling};
use crate::report::{Mean, MeanRow, Report};
use crate::schema::CellKey;
use crate::scheme;

/// A smaller deviation is not printed.
const QUIET: f64 = 0.02;

/// Each comparison of the report as LKP prints one.
pub struct Lkp;

impl Format for Lkp {
    fn render(&self, report: &Report) -> String {
        let mut out = Lines::new(REPORT);
        out.push(&report.subject);
        report.setting.iter().for_each(|line| out.fill(line));
        for (comparison, rows) in report.comparisons.iter().zip(&report.means) {
            table(&mut out, [&comparison.base, &comparison.new], rows);
        }
        out.lines.join("\n") + "\n"
    }
}

fn table(out: &mut Lines, names: [&String; 2], rows: &[MeanRow]) {
    out.lines.push(String::new());
    out.push("commit:");
    names.iter().for_each(|name| out.push(&format!("  {}", scheme::label(name))));
    out.lines.push(String::new());
    let [base, new] = names.map(|name| super::text::cut(name, 16));
    for line in [
        format!("{base:>16} {new:>27}"),
        // A line that begins with three dashes ends a changelog.
        format!(" {} {}", "-".repeat(15), "-".repeat(27)),
        format!("{:>16}{:>12}{:>16}", "%stddev", "%change", "%stddev"),
        format!("{:>14}{:>11}{:>17}", "\\", "|", "\\"),
    ] {
        out.push(&line);
    }
    let keys: Vec<&CellKey> = rows.iter().map(|row| &row.key).collect();
    let axes = telling(&keys);
    rows.iter().for_each(|row| out.push(&printed(row, &axes)));
}

fn printed(row: &MeanRow, axes: &[String]) -> String {
    let share = row.metric.unit() == "0..1";
    let [base, new] = row.sides.map(|side| side.mean * if share { 100.0 } else { 1.0 });
    let change = match share {
        true => format!("{:>+8.1} ", new - base),
        false => format!("{:>+8.1}%", 100.0 * (new / base - 1.0)),
    };
    let figure = |value: f64, side: &Mean| format!("{:>10} {:<6}", number(value), deviation(side));
    let mut name: Vec<String> = axes.iter().map(|axis| at(&row.key, axis)).collect();
    name.retain(|part| !part.is_empty());
    name.push(row.key.threads.to_string());
    let what = format!("{}{}", row.metric, if share { "%" } else { "" });
    name.push(what);
    format!(
        "{} {change}  {} {}",
        figure(base, &row.sides[0]),
        figure(new, &row.sides[1]),
        name.join(".")
    )
}

/// As LKP prints it: decimals for small figures only.
fn number(value: f64) -> String {
    if value.abs() < 1000.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn deviation(side: &Mean) -> String {
    let shown = side.deviation.filter(|deviation| *deviation >= QUIET);
    shown.map_or(String::new(), |deviation| format!("+-{:>3.0}%", 100.0 * deviation))
}
