//! A document of remarks and tables, written as a mail, as Markdown or as an HTML page. Guards
//! that the three hold the same rows; the first two share their writers with the reports of runs.

use super::grid::{Grid, Row};

/// A title, remarks that a reader needs before the figures, and tables.
pub struct Document {
    /// one line
    pub title: String,
    /// one paragraph each
    pub remarks: Vec<String>,
    /// each with a title
    pub tables: Vec<Grid>,
}

impl Document {
    /// The document as one HTML page, with `pictures` (SVG) at its end.
    pub fn page(&self, pictures: &[String]) -> String {
        let title = escaped(&self.title);
        let remarks: String =
            self.remarks.iter().map(|remark| format!("<p>{}</p>\n", escaped(remark))).collect();
        let tables: String = self.tables.iter().map(table).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
             {remarks}{tables}{}\n</body>\n</html>\n",
            pictures.concat()
        )
    }
}

const CSS: &str = "body{font:16px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;\
    color:#1c1c1c;background:#fff}table{border-collapse:collapse;margin:1em 0}\
    th,td{padding:.2em .9em .2em 0;border-bottom:1px solid #ddd;text-align:right;\
    font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}\
    svg{max-width:100%;height:auto;display:block;margin:1.5em 0}";

fn table(grid: &Grid) -> String {
    let line = |cells: &[String], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let row = |row: &Row| line(&row.cells, "td");
    format!(
        "<h2>{}</h2>\n<p>{}</p>\n<table>\n{}{}</table>\n",
        escaped(&grid.title),
        escaped(&grid.caption),
        line(&grid.header, "th"),
        grid.rows.iter().map(row).collect::<String>()
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::grid::header;
    use super::*;

    fn document() -> Document {
        let row = |cells: [&str; 3]| Row::plain(header(&cells));
        let table = Grid {
            title: "T".into(),
            caption: "a < b".into(),
            header: header(&["caller", "lock", "6.12.1"]),
            left: 1,
            rows: vec![
                row(["get_swap_pages", "si->lock", "12"]),
                row(["  of others", "a rather long name of a lock, as long as half a line", "1"]),
            ],
        };
        let remarks = vec!["word ".repeat(30)];
        Document { title: "D".into(), remarks, tables: vec![table] }
    }

    #[test]
    fn every_form_holds_every_row() {
        let document = document();
        assert!(document.markdown().contains("| get\\_swap\\_pages | si-&gt;lock | 12 |"));
        let mail = document.mail();
        let row = |line: &str| mail.lines().any(|l| l.starts_with(line) && l.ends_with("12"));
        assert!(row("  get_swap_pages  ") && mail.contains("\n    of others  "), "{mail}");
        let page = document.page(&["<svg></svg>".into()]);
        assert!(page.contains("<tr><td>get_swap_pages</td><td>si-&gt;lock</td><td>12</td></tr>"));
        assert!(page.contains("a &lt; b") && page.contains("<svg>"), "{page}");
    }

    /// A document is archived: its tables are as wide as they are, and lose nothing.
    #[test]
    fn a_mail_wraps_its_sentences_and_no_table() {
        let mail = document().mail();
        let (sentences, table) = mail.split_once("\nT\n").unwrap();
        assert!(sentences.lines().all(|line| line.len() <= 72), "{mail}");
        assert!(table.lines().any(|line| line.len() > 72), "{mail}");
    }
}
