//! Latency against load in open-loop sweeps: service time on the left, and on the right response time,
//! for which a caller waits, with the knee beyond which callers wait for each other. Each has a scale of
//! its own: they are orders of magnitude apart.

use std::collections::BTreeMap;

use results::load::{BEYOND_KNEE, asked, knee};
use results::metric::Percentile;
use results::schema::{Cell, Latency};

use super::latency::kinds;
use super::lines::{self, Curve};
use super::{Outcome, Picture};
use crate::axis::{Axis, si, time};
use crate::data::{Group, Median, Set, Track, runs_of, slug, small_print};
use crate::frame::{Area, Caption, Frame};
use crate::style::Size;

const PERCENTILES: [Percentile; 2] = [Percentile::P50, Percentile::P99];

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let mut pictures = Vec::new();
    for (place, sweep) in sweeps(sets) {
        let mut names: Vec<String> = sweep.iter().flat_map(|set| kinds(set)).collect();
        names.sort();
        names.dedup();
        for (kind, percentile) in names.iter().flat_map(|k| PERCENTILES.iter().map(move |p| (k, p)))
        {
            let curves = curves(&sweep, kind, *percentile);
            if !curves.is_empty() {
                let scene = picture(&sweep, size, (kind, percentile.name()), curves);
                let part = format!("{}-{kind}-{}", slug(&place), percentile.name());
                pictures.push(Picture { part, scene });
            }
        }
    }
    if pictures.is_empty() {
        return Err("needs an open-loop sweep: several values of --rate".into());
    }
    Ok(pictures)
}

/// Whether the set is one load of a sweep among these, so that this chart shows it.
pub fn in_sweep(set: &Set, sets: &[&Set]) -> bool {
    sweeps(sets).iter().any(|(_, sweep)| sweep.iter().any(|of| std::ptr::eq(*of, set)))
}

/// Sets that differ in their rate alone, by rising rate, with what they are called.
fn sweeps<'s, 'a>(sets: &[&'s Set<'a>]) -> Vec<(String, Vec<&'s Set<'a>>)> {
    let mut found: BTreeMap<String, Vec<(f64, &Set)>> = BTreeMap::new();
    for set in sets {
        let mut params = set.place.params.clone();
        let Some(rate) = params.remove("rate").and_then(|rate| rate.parse().ok()) else { continue };
        let place = (&set.place.workload, &set.place.machine, &set.place.pin, params);
        found.entry(format!("{place:?}")).or_default().push((rate, set));
    }
    let sorted = found.into_values().map(|mut sweep| {
        sweep.sort_by(|a, b| a.0.total_cmp(&b.0));
        sweep.into_iter().map(|(_, set)| set).collect::<Vec<_>>()
    });
    sorted
        .filter(|sweep| sweep.len() > 2)
        .map(|sweep| (sweep[0].place.machine.clone(), sweep))
        .collect()
}

/// A track's times against load, and its knee where the loads reach it.
struct Times {
    response: Curve,
    service: Curve,
    knee: Option<f64>,
}

/// Of each track at its largest number of threads.
fn curves(sweep: &[&Set], kind: &str, at: Percentile) -> Vec<Times> {
    let names = sweep.iter().flat_map(|set| &set.tracks);
    let mut tracks: Vec<&Track> = Vec::new();
    names.for_each(|t| {
        if !tracks.iter().any(|known| known.name == t.name) {
            tracks.push(t);
        }
    });
    let mut curves = Vec::new();
    for track in tracks {
        let groups: Vec<&Group> = sweep
            .iter()
            .filter_map(|set| set.tracks.iter().find(|t| t.name == track.name))
            .map(Track::widest)
            .collect();
        let points = |of: for<'c> fn(&'c Cell, &str) -> Option<&'c Latency>| -> Vec<_> {
            let point = |group: &&Group| {
                let value = |cell: &Cell| Some(at.of(of(cell, kind)?).max(1.0));
                Some((asked(&group.cells.first()?.key)?, Median::of(&group.values(value))?))
            };
            groups.iter().filter_map(point).collect()
        };
        let response = points(|cell, kind| cell.kinds.get(kind)?.response.as_ref());
        let service = points(|cell, kind| cell.kinds.get(kind)?.latency.as_ref());
        if response.is_empty() {
            continue;
        }
        let medians: Vec<_> =
            response.iter().map(|(x, s): &(f64, Median)| (*x, s.median)).collect();
        let knee = knee(&medians);
        let curve =
            |points| Curve { name: track.name.clone(), look: track.look, points, hollow: false };
        curves.push(Times { response: curve(response), service: curve(service), knee });
    }
    curves
}

fn picture(
    sweep: &[&Set],
    size: Size,
    (kind, percentile): (&str, &str),
    all: Vec<Times>,
) -> crate::scene::Scene {
    let threads = super::latency::most_threads(sweep[0]);
    let place = crate::data::Place { params: without_rate(sweep[0]), ..sweep[0].place.clone() };
    let note = format!(
        "Vertical line: the knee, the last load with at most {BEYOND_KNEE} times the response of \
         low loads. {}",
        super::interval_note(sweep[0])
    );
    let caption = Caption {
        title: title(&all, kind),
        subtitle: format!("{percentile} of {kind} at {threads}: {}", place.conditions()),
        small_print: small_print(&runs_of(sweep), note),
    };
    let mut frame = Frame::new(size, &caption);
    let (knees, (response, service)): (Vec<_>, (Vec<_>, Vec<_>)) =
        all.into_iter().map(|times| (times.knee, (times.response, times.service))).unzip();
    let whole = frame.free;
    // The names stand right of both.
    let room = frame.room_for(response.iter().map(|curve: &Curve| curve.name.as_str()));
    let width = (whole.right - whole.left - room - frame.px(24.0)) / 2.0;
    frame.free.right = whole.left + width;
    if service.iter().any(|curve: &Curve| !curve.points.is_empty()) {
        let (xs, ys) = lines::extents(&service);
        let y = lines::y_axis("service time", &ys, time);
        lines::unlabelled(&mut frame, Axis::log10("asked for, 1/s", &xs, si), y, &service, 0.0);
    }
    frame.free = Area { left: whole.left + width + frame.px(24.0), ..whole };
    let (xs, ys) = lines::extents(&response);
    let y = lines::y_axis("response time", &ys, time);
    let panel = lines::draw(&mut frame, Axis::log10("asked for, 1/s", &xs, si), y, &response);
    for (curve, knee) in response.iter().zip(knees) {
        let at = knee.and_then(|knee| curve.points.iter().find(|(x, _)| *x == knee));
        if let Some((x, median)) = at {
            let (x, y) = panel.at(*x, median.median);
            let line = vec![(x, y), (x, panel.area.bottom)];
            frame.scene.line(line, curve.look.colour, 1.4, &[2.0, 3.0]);
        }
    }
    frame.scene
}

/// Up to which load each scheme answers without a queue.
fn title(all: &[Times], kind: &str) -> String {
    let knee = |times: &Times| {
        let name = times.response.name.split(' ').next().unwrap_or_default();
        let knee = times.knee.map_or("all loads".into(), |x| format!("{}/s", si(x)));
        format!("{knee} ({name})")
    };
    let knees: Vec<String> = all.iter().map(knee).collect();
    format!("Callers of {kind} queue beyond {}", knees.join(", "))
}

fn without_rate(set: &Set) -> BTreeMap<String, String> {
    let mut params = set.place.params.clone();
    params.remove("rate");
    params
}
