//! A diagram as text for a mail: one column per CPU, as wide as its words need. Guards that no line is
//! longer than a mail allows, and that an identifier is cut only where no column can hold it.

use crate::diagram::{Diagram, Row};
use std::fmt::Write;

/// Columns of text: the most that survives quoting in a mail.
pub(crate) const WIDTH: usize = 72;
/// For the number of a row.
const MARGIN: usize = 4;
/// Between two columns.
const GAP: usize = 1;
/// A step is further in than its function, and a continuation line than its first.
const INDENT: usize = 2;

/// Where a text may go on in the next line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    /// Behind a space.
    Words,
    /// Also behind a flag's `|`.
    Flags,
    /// Also inside a name: behind `_`, `.` and `]`.
    Names,
}

/// The text of `diagram`.
pub(crate) fn ascii(diagram: &Diagram) -> String {
    let columns = Columns::new(diagram);
    let mut out = String::new();
    columns.titles(&mut out, diagram);
    for (n, row) in diagram.rows.iter().enumerate() {
        if let Some(function) = row.heading() {
            columns.put(&mut out, "", row.lane, &function, 0);
        }
        columns.put(&mut out, &(n + 1).to_string(), row.lane, &row.text, INDENT);
    }
    out.push('\n');
    for text in diagram.remark().iter().chain([&format!("=> {}", diagram.violation)]) {
        for line in wrap(text, WIDTH - MARGIN, Break::Words) {
            let _ = writeln!(out, "{:MARGIN$}{line}", "");
        }
    }
    out
}

/// The column of each lane: where it begins, and how wide it is.
struct Columns {
    columns: Vec<(usize, usize)>,
    breaks: Break,
}

impl Columns {
    fn new(diagram: &Diagram) -> Self {
        let lanes = diagram.lanes.len();
        let room = (WIDTH - MARGIN).saturating_sub(GAP * lanes.saturating_sub(1));
        let least = |lane, breaks| {
            let of_text = |(text, indent): (String, usize)| {
                let longest = pieces(&text, breaks).iter().map(|p| p.0.len()).max().unwrap_or(0);
                // Behind the first piece all pieces may be in a line that is further in.
                longest + indent + INDENT
            };
            texts(diagram, lane).map(of_text).max().unwrap_or(0)
        };
        let need = |breaks| (0..lanes).map(|lane| least(lane, breaks)).collect::<Vec<_>>();
        let fits = |breaks: &Break| need(*breaks).iter().sum::<usize>() <= room;
        let breaks = [Break::Words, Break::Flags].into_iter().find(fits).unwrap_or(Break::Names);
        let mut widths = need(breaks);
        let wanted: Vec<usize> = (0..lanes)
            .map(|lane| texts(diagram, lane).map(|(t, i)| t.len() + i).max().unwrap_or(0))
            .collect();
        let mut left = room.saturating_sub(widths.iter().sum());
        // What is left goes to the narrowest one that wants more.
        let missing = |widths: &[usize]| {
            let lanes = (0..lanes).filter(|&lane| widths[lane] < wanted[lane]);
            lanes.min_by_key(|&lane| widths[lane])
        };
        while let Some(lane) = missing(&widths).filter(|_| left > 0) {
            widths[lane] += 1;
            left -= 1;
        }
        let columns = widths.iter().scan(0, |at, &width| {
            *at += width + GAP;
            Some((*at - width - GAP, width))
        });
        Self { columns: columns.collect(), breaks }
    }

    /// Writes the column titles side by side, underlined.
    fn titles(&self, out: &mut String, diagram: &Diagram) {
        let titles = diagram.lanes.iter().zip(&self.columns);
        let cells: Vec<_> =
            titles.map(|(lane, &(_, width))| wrap(&lane.title(), width, self.breaks)).collect();
        let mut line = |cell: &dyn Fn(&Vec<String>) -> String| {
            let mut text = " ".repeat(MARGIN);
            for (lines, &(at, _)) in cells.iter().zip(&self.columns) {
                let _ = write!(text, "{:1$}", "", (MARGIN + at).saturating_sub(text.len()));
                text.push_str(&cell(lines));
            }
            let _ = writeln!(out, "{}", text.trim_end());
        };
        for n in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            line(&|lines| lines.get(n).cloned().unwrap_or_default());
        }
        line(&|lines| "-".repeat(lines.iter().map(String::len).max().unwrap_or(0)));
    }

    /// Writes `text` into the column of `lane`.
    fn put(&self, out: &mut String, number: &str, lane: usize, text: &str, indent: usize) {
        let (at, width) = self.columns[lane];
        for (n, line) in wrap(text, width - indent, self.breaks).iter().enumerate() {
            let (number, deeper) = if n == 0 { (number, 0) } else { ("", INDENT) };
            let at = at + indent + deeper;
            let _ = writeln!(out, "{}", format!("{number:>3} {:at$}{line}", "").trim_end());
        }
    }
}

/// All texts of a lane, each with its indent.
fn texts(diagram: &Diagram, lane: usize) -> impl Iterator<Item = (String, usize)> {
    let own = diagram.rows.iter().filter(move |row| row.lane == lane);
    let of_row = |row: &Row| [row.heading().map(|f| (f, 0)), Some((row.text.clone(), INDENT))];
    // A title stands beside the next one, and needs a space more.
    [(diagram.lanes[lane].title(), 1)].into_iter().chain(own.flat_map(of_row).flatten())
}

/// The parts of a text that stay whole, each with whether a space follows.
fn pieces(text: &str, breaks: Break) -> Vec<(&str, bool)> {
    let ends = |c: char| match c {
        '|' => breaks != Break::Words,
        '_' | '.' | ']' => breaks == Break::Names,
        _ => false,
    };
    let mut pieces = Vec::new();
    for word in text.split(' ') {
        pieces.extend(word.split_inclusive(ends).map(|piece| (piece, false)));
        pieces.last_mut().into_iter().for_each(|last| last.1 = true);
    }
    pieces
}

/// `text` in lines of at most `width` characters. Continuation lines leave room for an indent.
pub(crate) fn wrap_words(text: &str, width: usize) -> Vec<String> {
    wrap(text, width, Break::Words)
}

fn wrap(text: &str, width: usize, breaks: Break) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut space = false;
    for (piece, spaced) in pieces(text, breaks) {
        let room = width.saturating_sub(if lines.len() > 1 { INDENT } else { 0 });
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + usize::from(space) + piece.len() > room {
            lines.push(piece.into());
        } else {
            if space && !line.is_empty() {
                line.push(' ');
            }
            line.push_str(piece);
        }
        space = spaced;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_not_lost_and_names_stay_whole() {
        let text = "cluster_alloc_range finds map[3]: USED|WRITEOK|CONTINUED while swapoff runs";
        for width in [22, 30, 70] {
            let lines = wrap(text, width, Break::Words);
            assert!(lines.iter().all(|line| line.len() <= width), "{lines:?}");
            assert!(lines.iter().any(|line| line.contains("cluster_alloc_range")), "{lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }

    #[test]
    fn a_name_is_cut_only_behind_one_of_its_parts() {
        let lines = wrap("percpu_swap_cluster[1].offset", 16, Break::Names);
        assert_eq!(lines, ["percpu_swap_", "cluster[1].", "offset"]);
    }
}
