//! The table of counters per operation. The notes say why a counter is missing.

use std::collections::BTreeSet;

use super::grid::{Grid, Row};
use crate::report::Detail;

/// Ratios that a reader wants: name, dividend, divisor.
const RATIOS: [(&str, &str, &str); 2] = [
    ("instructions/cycle", "instructions", "cycles"),
    ("cache-miss share", "cache-misses", "cache-references"),
];

/// Counters per operation, one column per side; `None` where nothing was counted.
pub(super) fn per_operation(details: &[&Detail]) -> Option<Grid> {
    let first = details.first()?;
    let find = |detail: &Detail, name: &str| {
        let row = detail
            .counters
            .iter()
            .find(|row| row.name == name || row.name.strip_suffix(":u") == Some(name));
        row.and_then(|row| Some((row.per_op?, row.scaled)))
    };
    let all = || details.iter().flat_map(|detail| &detail.counters);
    let names: BTreeSet<&str> =
        all().filter(|row| row.per_op.is_some()).map(|row| row.name.as_str()).collect();
    let value = |found: Option<(f64, f64)>| match found {
        None => "-".into(),
        Some((value, scaled)) if scaled > 1.005 => format!("{} (x{scaled:.2})", figure(value)),
        Some((value, _)) => figure(value),
    };
    let row = |name: &str, cells: Vec<String>| Row::plain([vec![name.to_owned()], cells].concat());
    let mut rows: Vec<Row> = names
        .iter()
        .map(|name| row(name, details.iter().map(|d| value(find(d, name))).collect()))
        .collect();
    for (name, above, below) in RATIOS {
        let ratio = |detail: &&Detail| {
            let (above, below) = find(detail, above).zip(find(detail, below))?;
            (below.0 > 0.0).then(|| (above.0 / below.0, 1.0))
        };
        if details.iter().any(|detail| ratio(detail).is_some()) {
            rows.push(row(name, details.iter().map(|detail| value(ratio(detail))).collect()));
        }
    }
    let mut head = vec!["counter".to_owned()];
    head.extend(details.iter().map(|detail| detail.side.clone()));
    (!rows.is_empty()).then(|| Grid {
        title: String::new(),
        caption: format!("events for each operation, at {} (xN: scaled up)", first.point),
        header: head,
        left: 1,
        rows,
    })
}

/// Three significant digits.
fn figure(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v if v >= 0.001 => format!("{v:.4}"),
        v => format!("{v:.1e}"),
    }
}
