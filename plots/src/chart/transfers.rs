//! Cache lines that moved most, per operation and by distance (simulated machines).

use std::collections::{BTreeMap, BTreeSet};

use results::schema::Line;

use super::Outcome;
use super::bars::{self, Row};
use super::latency::most_threads;
use crate::axis::{short, time};
use crate::data::{Group, Set, nearness, ops};
use crate::style::{Rgb, Size, part};

/// The lines that moved most; a variant has dozens.
const LINES: usize = 5;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let cells = || set.tracks.iter().flat_map(|t| &t.widest().cells);
    let distances: BTreeSet<&String> =
        cells().flat_map(|c| c.lines.iter().flatten()).flat_map(|l| l.transfers.keys()).collect();
    if distances.is_empty() {
        return Err("this machine cannot tell which lines moved".into());
    }
    let mut distances: Vec<&String> = distances.into_iter().collect();
    distances.sort_by_key(|d| nearness(d));
    let legend: Vec<(String, Rgb)> =
        distances.iter().enumerate().map(|(i, d)| ((*d).clone(), part(i))).collect();
    let blocks = set
        .tracks
        .iter()
        .map(|track| {
            let heading = Row::Heading { text: track.name.clone(), colour: track.look.colour };
            std::iter::once(heading).chain(lines(track.widest(), &legend)).collect()
        })
        .collect();
    let title = format!("Cache line transfers at {}", most_threads(set));
    let caption = set.caption(title, "Bars: mean over the trials.");
    bars::pictures(size, &caption, ("transfers per operation", short), &legend, blocks)
}

fn lines(group: &Group, legend: &[(String, Rgb)]) -> Vec<Row> {
    let done: f64 = group.cells.iter().map(|c| ops(c)).sum();
    if done == 0.0 {
        return vec![Row::Words { label: String::new(), text: "no operation finished".into() }];
    }
    let mut by_name: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in group.cells.iter().flat_map(|c| c.lines.iter().flatten()) {
        by_name.entry(format!("{} {}", line.region, line.field)).or_default().push(line);
    }
    let sum = |lines: &[&Line]| lines.iter().flat_map(|l| l.transfers.values()).sum::<u64>();
    let mut named: Vec<_> = by_name.into_iter().collect();
    named.sort_by_key(|(_, lines)| std::cmp::Reverse(sum(lines)));
    named
        .into_iter()
        .take(LINES)
        .map(|(label, lines)| {
            let moved = |d: &String| lines.iter().filter_map(|l| l.transfers.get(d)).sum::<u64>();
            let wait = lines.iter().map(|l| l.wait_ns).sum::<u64>() as f64 / done;
            let lost = lines.iter().map(|l| l.invalidations).sum::<u64>() as f64 / done;
            let parts = legend.iter().map(|(d, c)| (moved(d) as f64 / done, *c)).collect();
            let per_op = short(sum(&lines) as f64 / done);
            let note = format!("{per_op}, {} invalidations, wait {}", short(lost), time(wait));
            Row::Bar { label, parts, note, interval: None }
        })
        .collect()
}
