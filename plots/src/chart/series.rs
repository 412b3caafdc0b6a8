//! Values over time: clusters on each list, fallbacks. One panel per value, with the first trial
//! of each variant at its largest thread count.

use results::schema::Series;

use super::lines::Curve;
use super::panels::{self, Panel};
use super::{Outcome, Picture};
use crate::axis::{Axis, short, si};
use crate::data::{Median, Set, Track};
use crate::style::Size;

/// Panels of one page.
const MOST: usize = 6;
/// Points of a curve; more are noise in a panel of this width.
const POINTS: usize = 40;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for series in set.tracks.iter().flat_map(all) {
        let name = (&*series.name, &*series.unit);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err("no values over time were recorded".into());
    }
    let threads = super::latency::most_threads(set);
    let note = "The first trial of each variant; one sample, no spread. Points: means of neighbours in time.";
    let caption = set.caption(format!("Over time at {threads}"), note);
    let key: Vec<_> = set.tracks.iter().map(|track| (track.name.as_str(), track.look)).collect();
    let page = |(i, names): (usize, &[(&str, &str)])| {
        let panels: Vec<Panel> = names.iter().map(|name| panel(set, *name)).collect();
        let columns = panels.len().div_ceil(2);
        let part = if i == 0 { String::new() } else { (i + 1).to_string() };
        Picture { part, scene: panels::draw(size, &caption, &key, panels, columns) }
    };
    Ok(names.chunks(MOST).enumerate().map(page).collect())
}

fn all<'a>(track: &'a Track) -> impl Iterator<Item = &'a Series> {
    track.widest().cells[0].series.iter().filter(|s| s.points.len() > 1)
}

fn panel(set: &Set, (name, unit): (&str, &str)) -> Panel {
    let curve = |track: &Track| {
        let series = all(track).find(|s| (&*s.name, &*s.unit) == (name, unit))?;
        let points =
            smooth(&series.points).into_iter().filter_map(|(at, v)| Some((at, Median::of(&[v])?)));
        let (look, points) = (track.look, points.collect());
        Some(Curve { name: track.name.clone(), look, points, hollow: false })
    };
    Panel {
        name: format!("{name}, {unit}"),
        x: |ats| Axis::span("seconds", 0.0, ats.iter().copied().fold(1e-9, f64::max), short),
        y,
        curves: set.tracks.iter().filter_map(curve).collect(),
        marks: false,
    }
}

/// At most [`POINTS`] points, each the mean of its neighbours: seconds, and the value.
fn smooth(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let mean = |part: &[(u64, f64)]| {
        let n = part.len() as f64;
        let at = part.iter().map(|(at, _)| *at as f64 / 1e9).sum::<f64>() / n;
        (at, part.iter().map(|(_, v)| v).sum::<f64>() / n)
    };
    points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

fn y(name: &str, values: &[f64]) -> Axis {
    let (lo, hi) = values.iter().fold((0.0f64, 0.0f64), |(a, b), v| (a.min(*v), b.max(*v)));
    match lo < 0.0 {
        true => Axis::span(name, lo * 1.05, hi * 1.05 + 1e-9, si),
        false => Axis::from_zero(name, values, si),
    }
}
