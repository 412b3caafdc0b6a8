//! The report as it is pasted into patch discussion: plain ASCII, 72 columns,
//! spaces only. No line starts with `---`, which ends a changelog, or with `#`,
//! which git drops (Documentation/process/submitting-patches.rst, Linux 7.3).

use super::Format;
use super::rows::{self, Grid, LEGEND};
use super::text::{ascii, columns, cut, wrap, wrap_command};
use crate::report::Report;

/// Columns of a mail.
pub const WIDTH: usize = 72;

pub struct Mail;

impl Format for Mail {
    fn render(&self, report: &Report) -> String {
        let mut out = Lines::default();
        out.push(&report.subject);
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            out.fill(&rows::difference(difference));
        }
        out.blank();
        report.setting.iter().for_each(|line| out.fill(line));
        if report.comparisons.is_empty() {
            out.grid(&rows::summary(report));
        }
        rows::comparisons(report).iter().for_each(|grid| out.grid(grid));
        for again in &report.undisturbed {
            out.grid(&rows::undisturbed(again));
        }
        for grid in rows::loads(report).iter().chain(&rows::narrow(report)) {
            out.grid(grid);
        }
        if !report.comparisons.is_empty() {
            out.blank();
            out.fill(LEGEND);
        }
        for point in rows::points(&report.details) {
            rows::of_point(report, &point).iter().for_each(|grid| out.grid(grid));
        }
        out.blank();
        report.notes.iter().for_each(|note| out.fill(note));
        for repeat in &report.repeat {
            out.blank();
            out.push(&format!("To repeat, with swapscale at commit {}:", repeat.commit));
            out.blank();
            out.0.extend(wrap_command(&ascii(&repeat.command), WIDTH));
        }
        out.0.join("\n") + "\n"
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    /// One line, cut where it is too long. A name may begin it with anything.
    fn push(&mut self, line: &str) {
        let line = ascii(line);
        let line = line.trim_end();
        let unsafe_start = line.starts_with("---") || line.starts_with('#');
        let indent = if unsafe_start { " " } else { "" };
        self.0.push(cut(&format!("{indent}{line}"), WIDTH));
    }

    /// A sentence, over as many lines as it takes.
    fn fill(&mut self, text: &str) {
        wrap(&ascii(text), WIDTH - 1, "  ").iter().for_each(|line| self.push(line));
    }

    fn blank(&mut self) {
        self.0.push(String::new());
    }

    fn grid(&mut self, grid: &Grid) {
        self.blank();
        self.fill(&grid.caption);
        if grid.rows.is_empty() {
            return;
        }
        self.blank();
        let table = laid_out(grid);
        self.push(&table[0]);
        let mut section = "";
        for (row, line) in grid.rows.iter().zip(&table[1..]) {
            if row.section != section {
                section = &row.section;
                self.push(&format!(" {section}:"));
            }
            self.push(line);
        }
    }
}

/// Header and rows in columns, as wide as fits: wide gaps, then narrow ones, then
/// without the columns that can be spared, then with the names cut.
fn laid_out(grid: &Grid) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = vec![grid.header.clone()];
    rows.extend(grid.rows.iter().map(|row| row.cells.clone()));
    rows.iter_mut().flatten().for_each(|cell| *cell = ascii(cell));
    let fits = |lines: &[String]| lines.iter().all(|line| line.len() <= WIDTH);
    let mut lines = columns(&rows, grid.left, 2);
    if !fits(&lines) {
        lines = columns(&rows, grid.left, 1);
    }
    if !fits(&lines) {
        let spared = |at: &usize| !["+-", "lock", "timed"].contains(&grid.header[*at].as_str());
        let kept: Vec<usize> = (0..grid.header.len()).filter(spared).collect();
        rows = rows.iter().map(|row| kept.iter().map(|&at| row[at].clone()).collect()).collect();
        lines = columns(&rows, grid.left, 1);
    }
    if !fits(&lines) {
        rows.iter_mut().for_each(|row| {
            row[..grid.left].iter_mut().for_each(|cell| *cell = cut(cell, 12));
        });
        lines = columns(&rows, grid.left, 1);
    }
    lines
}
