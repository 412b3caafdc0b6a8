//! The verdict again without the trials that something from outside has hit. Guards a comparison
//! against the one preempted trial that makes it, or hides it.

use serde::Serialize;

use crate::compare::{Comparison, Outcome, Row, Side, compare};
use crate::hit::hit;
use crate::schema::CellKey;

/// A comparison again, without the trials that were hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undisturbed {
    /// name of the base
    pub base: String,
    /// name of the side that is compared with it
    pub new: String,
    /// the points of which a trial was hit
    pub rows: Vec<Without>,
}

/// One point without its trials that were hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Without {
    /// the point, without the axes that tell the sides apart
    pub key: CellKey,
    /// trials that were hit, of base and of new
    pub hit: [usize; 2],
    /// the outcome of all trials
    pub with: Outcome,
    /// what is left; none where nothing is
    pub without: Option<Row>,
}

impl Without {
    /// Whether the verdict stands without the trials that were hit.
    pub fn stands(&self) -> bool {
        self.without.as_ref().is_some_and(|row| row.outcome == self.with)
    }

    /// Whether either verdict sees a difference: none seen with fewer trials is no news.
    pub fn claims(&self) -> bool {
        let seen = |outcome| matches!(outcome, Outcome::Better | Outcome::Worse);
        seen(self.with) || self.without.as_ref().is_some_and(|rest| seen(rest.outcome))
    }
}

/// `all` once more without the trials that were hit; `None` if none was.
pub fn undisturbed(base: &Side, new: &Side, all: &Comparison) -> Option<Undisturbed> {
    let struck: Vec<&Row> = all.rows.iter().filter(|row| row.hit != [0, 0]).collect();
    if struck.is_empty() {
        return None;
    }
    let rest = compare(&without_hit(base), &without_hit(new), &all.metric);
    let rest = rest.map(|comparison| comparison.rows).unwrap_or_default();
    let rows = struck.into_iter().map(|row| Without {
        key: row.key.clone(),
        hit: row.hit,
        with: row.outcome,
        without: rest.iter().find(|rest| rest.key == row.key).cloned(),
    });
    Some(Undisturbed { base: all.base.clone(), new: all.new.clone(), rows: rows.collect() })
}

fn without_hit<'a>(side: &Side<'a>) -> Side<'a> {
    let cells = side.cells.iter().copied().filter(|cell| hit(cell).is_none()).collect();
    Side { cells, ..side.clone() }
}
