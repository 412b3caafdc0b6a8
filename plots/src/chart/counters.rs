//! Hardware and software counters per operation, at the largest thread count. Each
//! counter has its own scale; one that could not be had says why and has no bar.

use std::collections::BTreeSet;

use results::metric::Metric;
use results::schema::Counter;

use super::Outcome;
use super::bars::{self, Row};
use super::latency::most_threads;
use crate::axis::{percent, short};
use crate::data::{Median, Set, Track, spread, unsupported};
use crate::style::{INK, MUTED, Size};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let names: BTreeSet<&String> =
        set.tracks.iter().flat_map(|t| &t.widest().cells).flat_map(|c| c.counters.keys()).collect();
    if names.is_empty() {
        return Err("no counter was recorded".into());
    }
    let mut blocks: Vec<Vec<Row>> = names.iter().map(|name| block(set, name)).collect();
    // Counters without a value stand together at the end.
    blocks.sort_by_key(|rows| rows.len() == 1);
    let title = format!("Counters per operation at {}", most_threads(set));
    let note = format!(
        "Bars: median over the trials, against the largest of the same counter; black: {}.",
        spread(set.tracks.iter().map(|track| track.widest().cells.len()))
    );
    bars::pictures(size, &set.caption(title, &note), ("of the largest", percent), &[], blocks)
}

fn block(set: &Set, name: &str) -> Vec<Row> {
    let values: Vec<(&Track, Result<Median, String>)> =
        set.tracks.iter().map(|t| (t, per_op(t, name))).collect();
    let largest =
        values.iter().filter_map(|(_, v)| v.as_ref().ok()).fold(0.0f64, |top, s| top.max(s.hi));
    let reasons: BTreeSet<&String> = values.iter().filter_map(|(_, v)| v.as_ref().err()).collect();
    if let (true, [reason]) =
        (values.iter().all(|(_, v)| v.is_err()), &reasons.iter().collect::<Vec<_>>()[..])
    {
        return vec![Row::Words { label: name.into(), text: unsupported(reason) }];
    }
    let mut rows = vec![Row::Heading { text: name.into(), colour: INK }];
    rows.extend(values.into_iter().map(|(track, value)| match value {
        Ok(s) => {
            let scale = |v: f64| if largest > 0.0 { v / largest } else { 0.0 };
            Row::Bar {
                label: track.name.clone(),
                parts: vec![(scale(s.median), track.look.colour)],
                note: format!("{} per op", short(s.median)),
                interval: Some((scale(s.lo), scale(s.hi))),
            }
        }
        Err(reason) => Row::Words { label: track.name.clone(), text: unsupported(&reason) },
    }));
    if rows.len() == 1 {
        rows.push(Row::Heading { text: "not recorded".into(), colour: MUTED });
    }
    rows
}

/// Events per operation, or why they are not known.
fn per_op(track: &Track, name: &str) -> Result<Median, String> {
    let metric = Metric::Counter(name.into());
    let group = track.widest();
    Median::of(&group.samples(&metric)).ok_or_else(|| {
        let reason = group.cells.iter().find_map(|c| match c.counters.get(name)? {
            Counter::Unsupported { unsupported } => Some(unsupported.clone()),
            Counter::Value { .. } => Some("no operation finished".into()),
        });
        reason.unwrap_or_else(|| "not asked for in this run".into())
    })
}
