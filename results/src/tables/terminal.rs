//! The report on a terminal of 80 columns: the summary, then the comparisons, and what they come to.
//! Plain ASCII without colour unless asked.

use std::io::IsTerminal;

use super::Format;
use super::grid::{Grid, columns, fitted};
use super::rows;
use super::text::{ascii, wrap};
use crate::compare::Outcome;
use crate::report::Report;

/// The abilities of the terminal. Piped output and NO_COLOR are plain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// green and red lines
    pub colour: bool,
}

/// Widest names that still leave the figures on a line of 80.
const LABEL_COLUMN: usize = 16;
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";
/// Columns of a terminal that nobody has made wider.
pub const WIDTH: usize = 80;

impl Terminal {
    /// Colour where standard output is a terminal and NO_COLOR is not set.
    pub fn here() -> Terminal {
        // An empty NO_COLOR is none (no-color.org).
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Terminal { colour: !plain && std::io::stdout().is_terminal() }
    }
}

impl Format for Terminal {
    fn render(&self, report: &Report) -> String {
        let mut out = String::new();
        let mut say = |colour: Option<&str>, text: &str| {
            for line in wrap(&ascii(text), WIDTH, "  ") {
                out += &(colour.map_or_else(|| line.clone(), |colour| self.paint(colour, &line))
                    + "\n");
            }
        };
        say(Some(BOLD), &report.subject);
        rows::others(report).iter().for_each(|line| say(None, line));
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            say(difference.loud.then_some(RED), &rows::difference(difference));
        }
        report.setting.iter().for_each(|line| say(None, line));
        out.extend(rows::summaries(report).iter().map(|grid| self.grid(grid)));
        out.extend(rows::verdicts(report).iter().map(|grid| self.grid(grid)));
        out += "\n";
        let legend = rows::legend(report);
        let lines = std::iter::once(&legend).chain(&report.notes);
        for line in lines.flat_map(|text| wrap(&ascii(text), WIDTH, "  ")) {
            out += &(line + "\n");
        }
        for line in rows::overalls(report) {
            out += "\n";
            out += &(wrap(&ascii(&line), WIDTH, "  ").join("\n") + "\n");
        }
        out
    }
}

impl Terminal {
    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn grid(self, grid: &Grid) -> String {
        let mut out = format!("\n{}\n", wrap(&ascii(&grid.caption), WIDTH, "  ").join("\n"));
        let column = labels_fit(grid);
        let lines = fitted(table(grid, column), grid.left + usize::from(column), WIDTH);
        out += &(self.paint(BOLD, &lines[0]) + "\n");
        let mut section = "";
        for (row, line) in grid.rows.iter().zip(&lines[1..]) {
            if !column && row.section != section {
                section = &row.section;
                out += &(wrap(&format!(" {}:", ascii(section)), WIDTH, "   ").join("\n") + "\n");
            }
            out += &match row.outcome {
                Some(Outcome::Better) => self.paint(GREEN, line),
                Some(Outcome::Worse) => self.paint(RED, line),
                _ => line.clone(),
            };
            out += "\n";
        }
        out
    }
}

/// Whether short sections can be a column: a long one is a line above its rows.
fn labels_fit(grid: &Grid) -> bool {
    let widest = grid.rows.iter().map(|row| row.section.len()).max().unwrap_or(0);
    let lines = || columns(&table(grid, true), grid.left + 1, 2);
    (1..=LABEL_COLUMN).contains(&widest) && lines().iter().all(|line| line.len() <= WIDTH)
}

/// Header and rows, with the sections in front where they are a `column`.
fn table(grid: &Grid, column: bool) -> Vec<Vec<String>> {
    let line = |section: &str, cells: &[String]| {
        let label = column.then(|| section.to_owned());
        label.into_iter().chain(cells.iter().cloned()).map(|cell| ascii(&cell)).collect()
    };
    let rows = grid.rows.iter().map(|row| line(&row.section, &row.cells));
    std::iter::once(line("", &grid.header)).chain(rows).collect()
}
