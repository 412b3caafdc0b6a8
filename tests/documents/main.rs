//! Figures in the documents are those of the committed runs. Guards that a run can't be replaced, and
//! a figure can't be typed, without the other following. `UPDATE_DOCS=1` writes the figures.

mod costs;
mod fill;
mod holder_preempted;
mod predictions;
mod reference;
mod swapoff;

use fill::{Claim, block, gaps, same};
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
                gaps(text, claim.sentence)?.into_iter().map(|at| &text[at]).collect();
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

/// One file each. A document that is not here may have no figure of a run.
fn documents() -> [Document; 4] {
    [costs::document(), holder_preempted::document(), predictions::document(), swapoff::document()]
}

#[test]
fn figures_are_those_of_the_committed_runs() {
    let mut wrong = String::new();
    for document in documents() {
        let path = root().join(document.path);
        let now = text(&path);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let filled =
                document.filled(&now).unwrap_or_else(|why| panic!("{}: {why}", document.path));
            std::fs::write(&path, filled).expect("a document can be written");
            continue;
        }
        let found = document.differences(&now).unwrap_or_else(|why| vec![why]);
        wrong.extend(found.iter().map(|one| format!("{}: {one}\n", document.path)));
    }
    assert!(wrong.is_empty(), "run with UPDATE_DOCS=1, and read what it changed:\n{wrong}");
}
