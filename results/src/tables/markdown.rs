//! Reports and documents for an issue tracker or a README, with GitHub's tables.

use super::Format;
use super::document::Document;
use super::grid::{Grid, alignment};
use super::rows;
use crate::report::Report;

/// The report as Markdown.
pub struct Markdown;

impl Format for Markdown {
    fn render(&self, report: &Report) -> String {
        let mut out = format!("**{}**\n\n", escape(&report.subject));
        for difference in report.comparisons.iter().flat_map(|c| &c.differences) {
            out += &format!("> {}\n\n", escape(&rows::difference(difference)));
        }
        for line in &report.setting {
            out += &format!("- {}\n", escape(line));
        }
        if report.needs_summary() {
            out.extend(rows::summaries(report).iter().map(grid));
        }
        out.extend(rows::verdicts(report).iter().map(grid));
        out += &format!("\n{}\n", escape(&rows::legend(report)));
        for point in rows::points(&report.details) {
            out.extend(rows::of_point(report, &point).iter().map(grid));
        }
        out += "\n";
        for line in rows::overalls(report).iter().chain(&report.notes) {
            out += &format!("- {}\n", escape(line));
        }
        for repeat in &report.repeat {
            out += &format!("\nTo repeat, with swapscale at commit {}:\n", escape(&repeat.commit));
            // Indented, not fenced: a command cannot end an indented block.
            out += &format!("\n    {}\n", repeat.command.replace(['\n', '\r'], " "));
        }
        out
    }
}

impl Document {
    /// The document as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n", escape(&self.title));
        for remark in &self.remarks {
            out += &format!("\n{}\n", escape(remark));
        }
        out.extend(self.tables.iter().map(grid));
        out
    }
}

fn grid(grid: &Grid) -> String {
    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &format!("\n## {}\n", escape(&grid.title));
    }
    out += &format!("\n{}\n", escape(&grid.caption));
    if grid.rows.is_empty() {
        return out;
    }
    let sections = grid.rows.iter().any(|row| !row.section.is_empty());
    let line = |section: &str, cells: &[String]| {
        let first = if sections { format!("| {} ", escape(section)) } else { String::new() };
        let cells: Vec<String> = cells.iter().map(|cell| format!("| {} ", escape(cell))).collect();
        first + &cells.concat() + "|\n"
    };
    out += "\n";
    out += &line("point", &grid.header);
    let mut rule = if sections { String::from("| --- ") } else { String::new() };
    for left in alignment(&grid.header, grid.left) {
        rule += if left { "| --- " } else { "| ---: " };
    }
    out += &(rule + "|\n");
    for row in &grid.rows {
        out += &line(&row.section, &row.cells);
    }
    out
}

/// Text that stays text: nothing of it is markup, a column or HTML.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' => out.extend(['\\', c]),
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
