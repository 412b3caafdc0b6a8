//! Values over time: clusters on each list, fallbacks. One picture a value, the
//! first trial of each variant at its largest thread count.

use results::schema::Series;

use super::{Outcome, Picture};
use crate::axis::{Axis, si};
use crate::data::{Set, Track};
use crate::frame::Frame;
use crate::scene::Scene;
use crate::style::Size;

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
    Ok(names
        .into_iter()
        .map(|name| Picture { part: name.0.into(), scene: picture(set, size, name) })
        .collect())
}

fn all<'a>(track: &'a Track) -> impl Iterator<Item = &'a Series> {
    track.widest().cells[0].series.iter().filter(|s| s.points.len() > 1)
}

fn picture(set: &Set, size: Size, (name, unit): (&str, &str)) -> Scene {
    let found: Vec<(&Track, &Series)> = set
        .tracks
        .iter()
        .filter_map(|t| Some((t, all(t).find(|s| (&*s.name, &*s.unit) == (name, unit))?)))
        .collect();
    let points = || found.iter().flat_map(|(_, s)| &s.points);
    let end = points().map(|(at, _)| *at as f64 / 1e9).fold(1e-9, f64::max);
    let values: Vec<f64> = points().map(|(_, v)| *v).collect();
    let threads = super::latency::most_threads(set);
    let note = "The first trial of each variant; one sample, no spread.";
    let caption = set.caption(format!("{name} over time at {threads}"), note);
    let mut frame = Frame::new(size, &caption);
    let room = frame.room_for(found.iter().map(|(t, _)| t.name.as_str()));
    let y = if values.iter().any(|v| *v < 0.0) {
        let (lo, hi) = values.iter().fold((0.0f64, 0.0f64), |(a, b), v| (a.min(*v), b.max(*v)));
        Axis::span(unit, lo * 1.05, hi * 1.05 + 1e-9, si)
    } else {
        Axis::from_zero(unit, &values, si)
    };
    let panel = frame.panel(Axis::span("seconds", 0.0, end, crate::axis::short), y, room);
    let mut ends = Vec::new();
    for (track, series) in &found {
        let path: Vec<_> =
            series.points.iter().map(|(at, v)| panel.at(*at as f64 / 1e9, *v)).collect();
        ends.push((track.name.as_str(), path[path.len() - 1], track.look));
        frame.scene.line(path, track.look.colour, 1.8, track.look.dash);
    }
    frame.end_labels(&panel, &ends);
    frame.scene
}
