//! The report on a terminal: the summary with the shapes of the histograms, then
//! the comparisons. Plain ASCII without colour unless asked.

use std::io::IsTerminal;

use super::Format;
use super::grid::{Grid, columns};
use super::rows;
use super::text::{ascii, wrap};
use crate::compare::Outcome;
use crate::report::Report;

/// The abilities of the terminal. Piped output and NO_COLOR are plain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// green and red lines, and histograms' shapes in block characters
    pub colour: bool,
}

/// Widest names that still leave the figures on a line of 80.
const LABEL_COLUMN: usize = 16;
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";
/// Columns of the legend.
const LEGEND_WIDTH: usize = 100;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

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
        let mut out = self.paint(BOLD, &ascii(&report.subject)) + "\n";
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            let text = ascii(&rows::difference(difference)) + "\n";
            out += &if difference.loud { self.paint(RED, &text) } else { text };
        }
        for line in &report.setting {
            out += &(ascii(line) + "\n");
        }
        let mut summary = rows::summary(report);
        if self.colour && report.summary.iter().any(|row| !row.shape.is_empty()) {
            summary.header.push("shape".into());
            for (row, figures) in summary.rows.iter_mut().zip(&report.summary) {
                row.cells.push(sparkline(&figures.shape));
            }
        }
        out += &self.grid(&summary);
        out.extend(rows::verdicts(report).iter().map(|grid| self.grid(grid)));
        out += "\n";
        for line in wrap(&ascii(&rows::legend(report)), LEGEND_WIDTH, "") {
            out += &(line + "\n");
        }
        for note in &report.notes {
            out += &(ascii(note) + "\n");
        }
        out
    }
}

impl Terminal {
    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn grid(self, grid: &Grid) -> String {
        let mut out = format!("\n{}\n", ascii(&grid.caption));
        let widest = grid.rows.iter().map(|row| row.section.len()).max().unwrap_or(0);
        // Short sections are a column; a long one is a line above its rows.
        let column = (1..=LABEL_COLUMN).contains(&widest);
        let line = |section: &str, cells: &[String]| {
            let label = column.then(|| ascii(section));
            label.into_iter().chain(cells.iter().cloned()).collect::<Vec<_>>()
        };
        let mut table = vec![line("", &grid.header)];
        table.extend(grid.rows.iter().map(|row| line(&row.section, &row.cells)));
        let lines = columns(&table, grid.left + usize::from(column), 2);
        out += &(self.paint(BOLD, &lines[0]) + "\n");
        let mut section = "";
        for (row, line) in grid.rows.iter().zip(&lines[1..]) {
            if !column && row.section != section {
                section = &row.section;
                out += &format!(" {}:\n", ascii(section));
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

/// A histogram in block characters; any count at all shows.
fn sparkline(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let block = |&count: &u64| match count {
        0 => ' ',
        count => BLOCKS[(count as f64 / most * 7.0).round() as usize],
    };
    counts.iter().map(block).collect()
}
