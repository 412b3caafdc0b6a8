//! A document of remarks and tables, written as Markdown, as a mail or as a page. Guards that
//! the three say the same.

/// A title, what has to be said first, and tables.
pub struct Document {
    pub title: String,
    pub remarks: Vec<String>,
    pub tables: Vec<Table>,
}

/// One table with what a reader must know of it.
pub struct Table {
    pub title: String,
    pub remark: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// How a document is written down.
#[derive(Clone, Copy)]
pub enum Text {
    Markdown,
    /// fixed columns, to be read in a mail
    Mail,
}

/// Lines of running text in a mail are broken before this column.
const WIDTH: usize = 72;

impl Document {
    /// The text of the document.
    pub fn write(&self, text: Text) -> String {
        let mut out = match text {
            Text::Markdown => format!("# {}\n\n", self.title),
            Text::Mail => format!("{}\n\n", wrapped(&self.title)),
        };
        for remark in &self.remarks {
            out += &match text {
                Text::Markdown => format!("{remark}\n\n"),
                Text::Mail => format!("{}\n\n", wrapped(remark)),
            };
        }
        for table in &self.tables {
            out += &match text {
                Text::Markdown => table.markdown(),
                Text::Mail => table.mail(),
            };
        }
        out
    }

    /// The document as one page, with `pictures` (SVG) at its end.
    pub fn page(&self, pictures: &[String]) -> String {
        let title = escaped(&self.title);
        let remarks: String =
            self.remarks.iter().map(|remark| format!("<p>{}</p>\n", escaped(remark))).collect();
        let tables: String = self.tables.iter().map(Table::html).collect();
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

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.header.len()];
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!(
            "## {}\n\n{}\n\n{}{}{rows}\n",
            self.title,
            self.remark,
            line(&self.header),
            line(&rule)
        )
    }

    fn mail(&self) -> String {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(column)),
                _ => format!("{cell:>0$}", width(column)),
            });
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        let rows: String = all().map(line).collect();
        format!("{}\n{}\n{rows}\n", self.title, wrapped(&self.remark))
    }

    fn html(&self) -> String {
        let line = |cells: &[String], tag: &str| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|row| line(row, "td")).collect();
        format!(
            "<h2>{}</h2>\n<p>{}</p>\n<table>\n{}{rows}</table>\n",
            escaped(&self.title),
            escaped(&self.remark),
            line(&self.header, "th")
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `text` in lines that a mail can hold.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.into());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// Three digits, without an exponent.
pub fn digits(x: f64) -> String {
    match x.abs() {
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let rows = vec![vec!["get_swap_pages".to_owned(), "12".into()]];
        let header = vec!["caller".to_owned(), "6.12.1".into()];
        let table = Table { title: "T".into(), remark: "a < b".into(), header, rows };
        let remarks = vec!["word ".repeat(30)];
        Document { title: "D".into(), remarks, tables: vec![table] }
    }

    #[test]
    fn every_form_holds_every_row() {
        let document = document();
        assert!(document.write(Text::Markdown).contains("| get_swap_pages | 12 |"));
        let mail = document.write(Text::Mail);
        assert!(mail.contains("  caller          6.12.1\n  get_swap_pages      12\n"), "{mail}");
        let page = document.page(&["<svg></svg>".into()]);
        assert!(page.contains("<tr><td>get_swap_pages</td><td>12</td></tr>"), "{page}");
        assert!(page.contains("a &lt; b") && page.contains("<svg>"), "{page}");
    }

    #[test]
    fn a_mail_has_no_long_line() {
        let mail = document().write(Text::Mail);
        assert!(mail.lines().all(|line| line.len() <= WIDTH), "{mail}");
    }

    #[test]
    fn digits_keep_three() {
        assert_eq!([0.123, 12.34, 1234.5].map(digits), ["0.12", "12.3", "1234"]);
    }
}
