//! Reports and documents as they are pasted into patch discussion: plain ASCII, sentences in 72
//! columns, spaces only. No line starts with `---`, which ends a changelog, or with `#`, which git
//! drops (Documentation/process/submitting-patches.rst, Linux 7.3).

use super::Format;
use super::document::Document;
use super::grid::{Grid, columns};
use super::rows;
use super::text::{ascii, cut, wrap, wrap_command};
use crate::report::Report;

/// Columns of a mail.
pub const WIDTH: usize = 72;

/// The report as a mail. No line is wider than [`WIDTH`].
pub struct Mail;

impl Format for Mail {
    fn render(&self, report: &Report) -> String {
        let mut out = Lines::new(REPORT);
        out.push(&report.subject);
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            out.fill(&rows::difference(difference));
        }
        out.blank();
        report.setting.iter().for_each(|line| out.fill(line));
        if report.needs_summary() {
            out.grid(&rows::summary(report));
        }
        rows::verdicts(report).iter().for_each(|grid| out.grid(grid));
        out.blank();
        out.fill(&rows::legend(report));
        for point in rows::points(&report.details) {
            rows::of_point(report, &point).iter().for_each(|grid| out.grid(grid));
        }
        out.blank();
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
struct Style {
    /// columns of a sentence's lines
    fill: usize,
    /// before the second line of a sentence, and each after it
    indent: &'static str,
    /// whether words and tables that are wider than [`WIDTH`] are made to fit
    squeeze: bool,
}

/// A column stays free for the space that [`Lines::push`] may put before a line.
const REPORT: Style = Style { fill: WIDTH - 1, indent: "  ", squeeze: true };
const DOCUMENT: Style = Style { fill: WIDTH, indent: "", squeeze: false };

struct Lines {
    style: Style,
    lines: Vec<String>,
}

impl Lines {
    fn new(style: Style) -> Lines {
        Lines { style, lines: Vec::new() }
    }

    /// One line, cut where it is too long. A name may begin it with anything.
    fn push(&mut self, line: &str) {
        let line = ascii(line);
        let line = line.trim_end();
        let unsafe_start = line.starts_with("---") || line.starts_with('#');
        let indent = if unsafe_start { " " } else { "" };
        let line = format!("{indent}{line}");
        self.lines.push(if self.style.squeeze { cut(&line, WIDTH) } else { line });
    }

    /// A sentence, over as many lines as it takes.
    fn fill(&mut self, text: &str) {
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
            squeezed(grid)
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

/// Columns that a narrow table is printed without, those that say the least first.
const SPARED: [&[&str]; 4] = [&[], &["+-", "timed", "type"], &["avg wait"], &["lock"]];

/// Header and rows in columns, as wide as fits: wide gaps, then narrow ones, then without the
/// columns that can be spared, then with the names cut.
fn squeezed(grid: &Grid) -> Vec<String> {
    let mut rows = ascii_rows(grid);
    let fits = |lines: &[String]| lines.iter().all(|line| line.len() <= WIDTH);
    let mut lines = columns(&rows, grid.left, 2);
    for spared in SPARED {
        if fits(&lines) {
            return lines;
        }
        // One function may take several locks: then only the lock tells its rows apart.
        if !spared.contains(&"lock") || all_differ(column(&rows, "caller")) {
            rows = without(&rows, spared);
        }
        lines = columns(&rows, grid.left, 1);
    }
    if !fits(&lines) {
        let widest = lines.iter().map(String::len).max().unwrap_or_default();
        let longest = column(&rows, "caller").iter().map(|name| name.len()).max();
        let room = longest.unwrap_or_default().saturating_sub(widest - WIDTH).max(12);
        let caller = rows[0].iter().position(|name| name == "caller");
        for row in &mut rows {
            row[..grid.left].iter_mut().for_each(|cell| *cell = cut(cell, 12));
            caller.iter().for_each(|&at| row[at] = cut(&row[at], room));
        }
        lines = columns(&rows, grid.left, 1);
    }
    lines
}

fn column<'a>(rows: &'a [Vec<String>], name: &str) -> Vec<&'a str> {
    let at = rows[0].iter().position(|header| header == name);
    at.map_or(Vec::new(), |at| rows.iter().map(|row| row[at].as_str()).collect())
}

fn all_differ(mut names: Vec<&str>) -> bool {
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

fn without(rows: &[Vec<String>], spared: &[&str]) -> Vec<Vec<String>> {
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|at| !spared.contains(&rows[0][*at].as_str())).collect();
    rows.iter().map(|row| kept.iter().map(|&at| row[at].clone()).collect()).collect()
}
