//! One table before it is drawn: what a report and a document have in common. Guards that every
//! format draws the same cells; a grid knows neither what its figures mean nor how wide a line is.

use super::text::cut;
use crate::compare::Outcome;

/// One table.
pub struct Grid {
    /// heading above the caption; may be empty
    pub title: String,
    /// what a reader must know of the figures, in sentences
    pub caption: String,
    /// names of the columns
    pub header: Vec<String>,
    /// number of columns, from the first, that are aligned to the left
    pub left: usize,
    /// as many cells per row as the header has
    pub rows: Vec<Row>,
}

/// One line of a table.
pub struct Row {
    /// heading that a run of rows shares; may be empty
    pub section: String,
    /// the figures as text
    pub cells: Vec<String>,
    /// verdict of a comparison, for formats that have colours
    pub outcome: Option<Outcome>,
}

impl Row {
    /// A row without a section and a verdict.
    pub fn plain(cells: Vec<String>) -> Row {
        Row { section: String::new(), cells, outcome: None }
    }
}

/// Names of columns as a grid holds them.
pub fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Whether each column is aligned to the left: the first `left`, and those that close a line with
/// names, the way perf prints callers.
pub(crate) fn alignment(header: &[String], left: usize) -> Vec<bool> {
    let is_name = |name: &String| ["caller", "lock", "where"].contains(&name.as_str());
    let closing = header.iter().rposition(|name| !is_name(name)).map_or(0, |last| last + 1);
    (0..header.len()).map(|column| column < left || column >= closing).collect()
}

/// `rows`, the first of which is the header, as lines with `gap` spaces before each column. See
/// [`alignment`] for `left`.
pub(crate) fn columns(rows: &[Vec<String>], left: usize, gap: u16) -> Vec<String> {
    use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.clone());
    }
    for (column, left) in table.column_iter_mut().zip(alignment(&rows[0], left)) {
        column.set_padding((gap, 0));
        if !left {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Columns that a narrow table is printed without, those that say the least first.
const SPARED: [&[&str]; 4] = [&[], &["+-", "timed", "type"], &["avg wait"], &["lock"]];

/// Header and rows in columns, as wide as fits into `width`: wide gaps, then narrow ones, then without
/// the columns that can be spared, then with the names cut. All is ASCII.
pub(crate) fn fitted(mut rows: Vec<Vec<String>>, left: usize, width: usize) -> Vec<String> {
    let fits = |lines: &[String]| lines.iter().all(|line| line.len() <= width);
    let mut lines = columns(&rows, left, 2);
    for spared in SPARED {
        if fits(&lines) {
            return lines;
        }
        // One function may take several locks: then only the lock tells its rows apart.
        if !spared.contains(&"lock") || all_differ(column(&rows, "caller")) {
            rows = without(&rows, spared);
        }
        lines = columns(&rows, left, 1);
    }
    if !fits(&lines) {
        let widest = lines.iter().map(String::len).max().unwrap_or_default();
        let longest = column(&rows, "caller").iter().map(|name| name.len()).max();
        let room = longest.unwrap_or_default().saturating_sub(widest - width).max(12);
        let caller = rows[0].iter().position(|name| name == "caller");
        for row in &mut rows {
            row[..left].iter_mut().for_each(|cell| *cell = cut(cell, 12));
            caller.iter().for_each(|&at| row[at] = cut(&row[at], room));
        }
        lines = columns(&rows, left, 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_left_where_they_close_the_line() {
        let left = |names: &[&str], left| alignment(&header(names), left);
        assert_eq!(left(&["waits", "caller", "lock"], 0), [false, true, true]);
        assert_eq!(left(&["caller", "lock", "6.12"], 1), [true, false, false]);
    }
}
