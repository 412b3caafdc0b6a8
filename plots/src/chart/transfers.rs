//! Cache lines that moved most, per operation and by distance: by field with the hottest
//! single lines, and by lock caller (simulated machines).

use std::collections::BTreeSet;

use results::traffic::{self, Moved, Traffic, nearness};

use super::bars::{self, Row};
use super::latency::most_threads;
use super::{Outcome, Picture};
use crate::axis::{short, time};
use crate::data::{Set, Track};
use crate::style::{Rgb, Size, part};

/// Fields or callers shown; a variant has dozens.
const SHOWN: usize = 5;
/// Single lines named.
const HOTTEST: usize = 3;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let traffic = |t: &Track| traffic::of(t.widest().cells.iter().copied());
    let all: Vec<(&Track, Traffic)> =
        set.tracks.iter().filter_map(|t| Some((t, traffic(t)?))).collect();
    if all.is_empty() {
        return Err("this machine cannot tell which lines moved".into());
    }
    let mut pictures = Vec::new();
    for (by, what) in [("", "field"), ("callers", "lock caller")] {
        let moved = |t: &Traffic| if by.is_empty() { t.fields.clone() } else { t.callers.clone() };
        let legend = legend(all.iter().flat_map(|(_, t)| moved(t)));
        let block = |(track, traffic): &(&Track, Traffic)| {
            let heading = Row::Heading { text: track.name.clone(), colour: track.look.colour };
            let rows = rows(moved(traffic), &legend);
            let hottest = by.is_empty().then(|| hottest(traffic));
            std::iter::once(heading).chain(rows).chain(hottest).collect()
        };
        let title = format!("Cache line transfers by {what} at {}", most_threads(set));
        let caption = set.caption(title, "Bars: mean over the trials.");
        let blocks = all.iter().map(block).collect();
        let axis = ("transfers per operation", short as fn(f64) -> String);
        let pages = bars::pictures(size, &caption, axis, &legend, blocks)?;
        pictures.extend(
            pages.into_iter().map(|page| Picture {
                part: [by, &page.part]
                    .into_iter()
                    .filter(|p| !p.is_empty())
                    .collect::<Vec<_>>()
                    .join("-"),
                ..page
            }),
        );
    }
    Ok(pictures)
}

/// A colour for each distance that occurs.
fn legend(all: impl Iterator<Item = Moved>) -> Vec<(String, Rgb)> {
    let distances: BTreeSet<String> = all.flat_map(|m| m.transfers).map(|(d, _)| d).collect();
    let mut distances: Vec<String> = distances.into_iter().collect();
    distances.sort_by_key(|d| nearness(d));
    distances.into_iter().enumerate().map(|(i, d)| (d, part(i))).collect()
}

fn rows(mut all: Vec<Moved>, legend: &[(String, Rgb)]) -> Vec<Row> {
    all.sort_by(|a, b| b.misses().total_cmp(&a.misses()));
    let row = |moved: Moved| {
        let of = |d: &String| moved.transfers.iter().find(|(known, _)| known == d).map(|(_, n)| *n);
        let parts = legend.iter().filter_map(|(d, colour)| Some((of(d)?, *colour))).collect();
        let (misses, lost) = (short(moved.misses()), short(moved.invalidations));
        let note =
            format!("{misses} transfers, {lost} invalidations, wait {}", time(moved.wait_ns));
        Row::Bar { label: moved.name, parts, note, interval: None }
    };
    all.into_iter().take(SHOWN).map(row).collect()
}

fn hottest(traffic: &Traffic) -> Row {
    let line = |(name, n): &(String, f64)| format!("{name} {}", short(*n));
    let lines: Vec<String> = traffic.hottest.iter().take(HOTTEST).map(line).collect();
    Row::Words { label: "hottest lines".into(), text: lines.join(", ") }
}
