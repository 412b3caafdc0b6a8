//! One table before it is drawn: what a report and a document have in common. Guards that every
//! format draws the same cells; a grid knows neither what its figures mean nor how wide a line is.

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
