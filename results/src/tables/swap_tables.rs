//! The table of swap tables: how many were born and freed, and the most at once. Guards that a scheme
//! without them has no figure, and not 0.

use super::grid::{Grid, Row};
use super::text::digits;
use crate::report::Detail;

/// One column per side; `None` where no scheme has swap tables.
pub(super) fn churn(details: &[&Detail]) -> Option<Grid> {
    let first = details.first()?;
    details.iter().find(|detail| detail.tables.is_some())?;
    let names = ["born per second", "freed per second", "at most, pages"];
    let row = |(n, name): (usize, &str)| {
        let value = |detail: &&Detail| detail.tables.map_or("-".into(), |tables| digits(tables[n]));
        let values = details.iter().map(value);
        Row::plain([name.to_owned()].into_iter().chain(values).collect())
    };
    let header = details.iter().map(|detail| detail.side.clone());
    Some(Grid {
        title: String::new(),
        caption: format!("swap tables, one page per cluster in use, at {}", first.point),
        header: ["swap tables".to_owned()].into_iter().chain(header).collect(),
        left: 1,
        rows: names.into_iter().enumerate().map(row).collect(),
    })
}
