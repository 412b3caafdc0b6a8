//! Time spent waiting per operation, by lock site, at the largest thread count.

use std::collections::BTreeSet;

use results::plural;
use results::schema::{Cell, Site};

use super::bars::{self, Row};
use super::finding::short_name;
use super::latency::most_threads;
use super::{Outcome, finding};
use crate::axis::{rare, si, time};
use crate::data::{Group, Median, Set, Track, ops, spread};
use crate::frame::Frame;
use crate::style::Size;

/// The sites with the longest waits: as many as leave all variants in one picture, if it
/// can be; the rest is summed up in words.
const SITES: std::ops::RangeInclusive<usize> = 2..=5;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let title = title(set).unwrap_or(format!("Lock contention by site at {}", most_threads(set)));
    let spread = spread(set.tracks.iter().map(|track| track.widest().cells.len()));
    let note = format!("Bars: median over the trials at {}; black: {spread}.", most_threads(set));
    let caption = set.caption(title, &note);
    // Beside the sites each variant has its name and the sum of the rest.
    let room = bars::rows_on_a_page(&Frame::new(size, &caption)) / set.tracks.len();
    let most = room.saturating_sub(2).clamp(*SITES.start(), *SITES.end());
    let blocks: Vec<Vec<Row>> = set
        .tracks
        .iter()
        .filter_map(|track| {
            let group = track.widest();
            let mut rows = sites(group, most, track.look.colour);
            (!rows.is_empty()).then(|| {
                rows.insert(
                    0,
                    Row::Heading { text: track.name.clone(), colour: track.look.colour },
                );
                rows
            })
        })
        .collect();
    if blocks.is_empty() {
        return Err(set.place.why_no_sites().unwrap_or("no lock site was recorded").into());
    }
    bars::pictures(size, &caption, ("waiting per operation", time), &[], blocks)
}

/// The site that is waited for most, of all schemes.
fn title(set: &Set) -> Option<String> {
    let most = |track: &Track| {
        let ((lock, caller), wait) = waits(track.widest()).into_iter().next()?;
        let name = short_name(track);
        let (wait, of) = (wait.median, time(wait.median));
        Some((wait, format!("the longest wait: {of} per operation, {lock} in {caller} ({name})")))
    };
    let (wait, words) = set.tracks.iter().filter_map(most).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (wait > 0.0).then(|| finding::said(set.place.predicted, &words))
}

/// Every site, with what an operation waits there; the longest wait first.
fn waits<'a>(group: &Group<'a>) -> Vec<((&'a str, &'a str), Median)> {
    let names: BTreeSet<(&str, &str)> =
        group.cells.iter().flat_map(|c| &c.sites).map(|s| (&*s.lock, &*s.caller)).collect();
    let wait = |c: &Cell, name: (&str, &str)| {
        let total: u64 = of(c, name).map(|s| s.wait_total_ns).sum();
        (ops(c) > 0.0).then(|| total as f64 / ops(c))
    };
    let mut waits: Vec<_> = names
        .into_iter()
        .filter_map(|name| Some((name, Median::of(&group.values(|c| wait(c, name)))?)))
        .collect();
    waits.sort_by(|a, b| b.1.median.total_cmp(&a.1.median));
    waits
}

fn sites(group: &Group, most: usize, colour: crate::style::Rgb) -> Vec<Row> {
    let waits = waits(group);
    let mut rows: Vec<Row> = waits
        .iter()
        .take(most)
        .map(|(name, s)| Row::Bar {
            label: format!("{}  {}", name.0, name.1),
            parts: vec![(s.median, colour)],
            note: note(group, *name, s.median),
            interval: Some((s.lo, s.hi)),
        })
        .collect();
    if waits.len() > most {
        let rest: f64 = waits[most..].iter().map(|(_, s)| s.median).sum();
        let more = plural(waits.len() - most, "more site");
        let text = format!("{more}: {} per operation", time(rest));
        rows.push(Row::Words { label: String::new(), text });
    }
    rows
}

fn of<'a>(cell: &'a Cell, name: (&str, &str)) -> impl Iterator<Item = &'a Site> {
    cell.sites.iter().filter(move |s| (&*s.lock, &*s.caller) == name)
}

/// How often it was contended, and how long the waits were.
fn note(group: &Group, name: (&str, &str), per_op: f64) -> String {
    let sites: Vec<&Site> = group.cells.iter().flat_map(|c| of(c, name)).collect();
    let contended: u64 = sites.iter().map(|s| s.contended).sum();
    let total: u64 = sites.iter().map(|s| s.wait_total_ns).sum();
    let longest = sites.iter().map(|s| s.wait_max_ns).max().unwrap_or(0);
    if contended == 0 {
        return "never contended".into();
    }
    let acquisitions: Option<u64> = sites.iter().map(|s| s.acquisitions).sum();
    let share = match acquisitions {
        Some(n) if n > 0 => format!("{} contended", rare(contended as f64 / n as f64)),
        _ => format!("{} times contended", si(contended as f64)),
    };
    let average = total as f64 / contended as f64;
    format!("{}, {share}, avg wait {}, max {}", time(per_op), time(average), time(longest as f64))
}
