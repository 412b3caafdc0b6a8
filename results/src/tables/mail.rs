//! Reports and documents as they are pasted into patch discussion: plain ASCII, sentences in 72
//! columns, spaces only. No line starts with `---`, which ends a changelog, or with `#`, which git
//! drops (Documentation/process/submitting-patches.rst, Linux 7.3).

use super::Format;
use super::document::Document;
use super::grid::{Grid, columns, fitted};
use super::rows;
use super::text::{ascii, cut, wrap, wrap_command};
use crate::report::Report;

/// Columns of a mail.
pub const WIDTH: usize = 72;

/// The whole report as a mail: see [`super::Brief`] for what is pasted. No line is wider than [`WIDTH`].
pub struct Mail;

impl Format for Mail {
    fn render(&self, report: &Report) -> String {
        let mut out = Lines::new(REPORT);
        out.fill(&report.subject);
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            out.fill(&rows::difference(difference));
        }
        out.blank();
        report.setting.iter().for_each(|line| out.fill(line));
        if report.needs_summary() {
            rows::summaries(report).iter().for_each(|grid| out.grid(grid));
        }
        rows::verdicts(report).iter().for_each(|grid| out.grid(grid));
        out.blank();
        out.fill(&rows::legend(report));
        for point in rows::points(&report.details) {
            rows::of_point(report, &point).iter().for_each(|grid| out.grid(grid));
        }
        out.blank();
        rows::overalls(report).iter().for_each(|line| out.fill(line));
        report.notes.iter().for_each(|note| out.fill(note));
        for repeat in &report.repeat {
            out.blank();
            out.push(&format!("To repeat, with swapscale at commit {}:", repeat.commit));
            out.blank();
            out.lines.extend(wrap_command(&ascii(&repeat.command), WIDTH));
        }
        out.text()
    }
}

impl Document {
    /// The document as a mail. Its sentences keep to [`WIDTH`]; its tables are as wide as they are.
    pub fn mail(&self) -> String {
        let mut out = Lines::new(DOCUMENT);
        for paragraph in std::iter::once(&self.title).chain(&self.remarks) {
            out.fill(paragraph);
            out.blank();
        }
        // A grid opens with a blank line of its own.
        out.lines.pop();
        self.tables.iter().for_each(|grid| out.grid(grid));
        out.blank();
        out.text()
    }
}

/// How a mail is set.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// columns of a sentence's lines
    fill: usize,
    /// before the second line of a sentence, and each after it
    indent: &'static str,
    /// whether words and tables that are wider than [`WIDTH`] are made to fit
    squeeze: bool,
}

/// A column stays free for the space that [`Lines::push`] may put before a line.
pub(super) const REPORT: Style = Style { fill: WIDTH - 1, indent: "  ", squeeze: true };
const DOCUMENT: Style = Style { fill: WIDTH, indent: "", squeeze: false };

pub(super) struct Lines {
    style: Style,
    pub(super) lines: Vec<String>,
}

impl Lines {
    pub(super) fn new(style: Style) -> Lines {
        Lines { style, lines: Vec::new() }
    }

    /// One line, cut where it is too long. A name may begin it with anything.
    pub(super) fn push(&mut self, line: &str) {
        let line = ascii(line);
        let line = line.trim_end();
        let unsafe_start = line.starts_with("---") || line.starts_with('#');
        let indent = if unsafe_start { " " } else { "" };
        let line = format!("{indent}{line}");
        self.lines.push(if self.style.squeeze { cut(&line, WIDTH) } else { line });
    }

    /// A sentence, over as many lines as it takes.
    pub(super) fn fill(&mut self, text: &str) {
        let Style { fill, indent, squeeze } = self.style;
        let text = ascii(text);
        let longest = if squeeze { fill - indent.len() } else { usize::MAX };
        let words: Vec<String> = text.split_whitespace().map(|word| cut(word, longest)).collect();
        wrap(&words.join(" "), fill, indent).iter().for_each(|line| self.push(line));
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }

    fn grid(&mut self, grid: &Grid) {
        self.blank();
        if !grid.title.is_empty() {
            self.push(&grid.title);
        }
        self.fill(&grid.caption);
        if grid.rows.is_empty() {
            return;
        }
        if grid.title.is_empty() {
            self.blank();
        }
        let table = if self.style.squeeze {
            fitted(ascii_rows(grid), grid.left, WIDTH)
        } else {
            columns(&ascii_rows(grid), grid.left, 2)
        };
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

    fn text(self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// Header and rows.
fn ascii_rows(grid: &Grid) -> Vec<Vec<String>> {
    let rows = std::iter::once(&grid.header).chain(grid.rows.iter().map(|row| &row.cells));
    rows.map(|cells| cells.iter().map(|cell| ascii(cell)).collect()).collect()
}
