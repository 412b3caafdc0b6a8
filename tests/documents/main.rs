//! Figures in the documents are those of the committed runs. Guards that a run cannot be replaced
//! without the documents, and that a figure is computed and not typed. Each document has a file and a
//! test here. `UPDATE_DOCS=1` writes the figures.

mod costs;
mod fill;
mod given;
mod holder_preempted;
mod kernel;
mod live;
mod overhead;
mod predictions;
mod prices;
mod reference;
mod results;
mod simulator;
mod steal_loop;
mod swapoff;

use fill::{Claim, block, place, same};
use reference::{root, text};

/// A document, and what it takes from committed runs.
pub struct Document {
    pub path: &'static str,
    pub sentences: Vec<Claim>,
    /// Lines between `<!-- from: MARK -->` and `<!-- end -->`, by mark.
    pub blocks: Vec<(&'static str, String)>,
}

impl Document {
    /// `text` with the figures as they should be.
    fn filled(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for claim in &self.sentences {
            text = fill::sentence(&text, claim)?;
        }
        for (mark, lines) in &self.blocks {
            text.replace_range(block(&text, mark)?, lines);
        }
        Ok(text)
    }

    /// What differs between the document and the runs, one line per sentence or table.
    fn differences(&self, text: &str) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for claim in &self.sentences {
            let is: Vec<&str> =
                place(text, claim.sentence)?.gaps.into_iter().map(|at| &text[at]).collect();
            if !is.iter().zip(&claim.figures).all(|(is, figure)| same(is, figure)) {
                all.push(format!(
                    "{:?}: {is:?}, the runs have {:?}",
                    claim.sentence, claim.figures
                ));
            }
        }
        for (mark, lines) in &self.blocks {
            let is = &text[block(text, mark)?];
            if is != lines {
                all.push(format!("{mark}:\n{is}the runs have\n{lines}"));
            }
        }
        Ok(all)
    }
}

/// Compares the document with the runs, or writes it.
fn holds(document: &Document) {
    let path = root().join(document.path);
    let now = text(&path);
    let name = document.path;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let filled = document.filled(&now).unwrap_or_else(|why| panic!("{name}: {why}"));
        return std::fs::write(&path, filled).expect("a document can be written");
    }
    let wrong = document.differences(&now).unwrap_or_else(|why| vec![why]).join("\n");
    assert!(wrong.is_empty(), "{name}: run with UPDATE_DOCS=1, and read what it changes:\n{wrong}");
}

/// All that take figures from runs.
fn documents() -> Vec<Document> {
    vec![
        costs::document(),
        holder_preempted::document(),
        kernel::document(),
        kernel::enomem(),
        overhead::measuring(),
        overhead::readme(),
        predictions::document(),
        results::document(),
        simulator::document(),
        steal_loop::document(),
        swapoff::document(),
    ]
}

#[test]
fn costs() {
    holds(&costs::document());
}

#[test]
fn holder_preempted() {
    holds(&holder_preempted::document());
}

#[test]
fn kernel() {
    holds(&kernel::document());
    holds(&kernel::enomem());
}

#[test]
fn overhead() {
    holds(&overhead::measuring());
    holds(&overhead::readme());
}

#[test]
fn predictions() {
    holds(&predictions::document());
}

#[test]
fn results() {
    holds(&results::document());
}

#[test]
fn simulator() {
    holds(&simulator::document());
}

#[test]
fn steal_loop() {
    holds(&steal_loop::document());
    steal_loop::console();
}

#[test]
fn swapoff() {
    holds(&swapoff::document());
}

/// `tests/x.rs: name` in the table of docs/measuring.md names a test that there is.
#[test]
fn tests_that_the_documents_name_are_there() {
    let measuring = text(&root().join("docs/measuring.md"));
    let words = measuring.split('`').filter_map(|word| word.split_once(".rs: "));
    let mut named = 0;
    for (file, test) in words {
        let source = text(&root().join(format!("{file}.rs")));
        assert!(
            source.contains(&format!("fn {test}(")),
            "docs/measuring.md: {file}.rs has no {test}"
        );
        named += 1;
    }
    assert!(named > 40, "docs/measuring.md has lost its table of faults");
}
