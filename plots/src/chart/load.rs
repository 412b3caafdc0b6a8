//! Latency against load in open-loop sweeps: response time, for which a caller waits, beside service
//! time, with the knee beyond which callers wait for each other.

use std::collections::BTreeMap;

use results::load::{BEYOND_KNEE, asked, knee};
use results::metric::Percentile;
use results::schema::{Cell, Latency};

use super::latency::kinds;
use super::lines::{self, Curve};
use super::{Outcome, Picture};
use crate::axis::{Axis, si, time};
use crate::data::{Group, Median, Set, Track, runs_of, slug, small_print};
use crate::frame::{Caption, Frame};
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

/// Response and service of each track at its largest number of threads.
fn curves(sweep: &[&Set], kind: &str, at: Percentile) -> Vec<(Curve, Option<f64>)> {
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
        for (name, points, hollow, knee) in
            [("response", response, false, knee), ("service", service, true, None)]
        {
            let mut look = track.look;
            look.dash = if hollow { &[4.0, 4.0] } else { &[] };
            let name = format!("{} {name}", track.name);
            curves.push((Curve { name, look, points, hollow }, knee));
        }
    }
    curves
}

fn picture(
    sweep: &[&Set],
    size: Size,
    (kind, percentile): (&str, &str),
    curves: Vec<(Curve, Option<f64>)>,
) -> crate::scene::Scene {
    let knees: Vec<String> = curves
        .iter()
        .filter(|(curve, _)| !curve.hollow)
        .map(|(curve, knee)| {
            let name = curve.name.trim_end_matches(" response");
            knee.map_or(format!("{name} beyond"), |x| format!("{name} {}/s", si(x)))
        })
        .collect();
    let note = format!(
        "Vertical line: the knee, the last load with at most {BEYOND_KNEE} times the response of \
         low loads ({}). {}",
        knees.join(", "),
        super::interval_note(sweep[0])
    );
    let (curves, knees): (Vec<Curve>, Vec<Option<f64>>) = curves.into_iter().unzip();
    let (xs, ys) = lines::extents(&curves);
    let threads = super::latency::most_threads(sweep[0]);
    let place = crate::data::Place { params: without_rate(sweep[0]), ..sweep[0].place.clone() };
    let caption = Caption {
        title: format!("{percentile} of {kind} against load at {threads}"),
        subtitle: place.conditions(),
        small_print: small_print(&runs_of(sweep), note),
    };
    let mut frame = Frame::new(size, &caption);
    let x = Axis::log10("steps per second asked for (log scale)", &xs, si);
    let panel = lines::draw(&mut frame, x, lines::y_axis("time", &ys, time), &curves);
    for (curve, knee) in curves.iter().zip(knees) {
        let at = knee.and_then(|knee| curve.points.iter().find(|(x, _)| *x == knee));
        if let Some((x, median)) = at {
            let (x, y) = panel.at(*x, median.median);
            frame.scene.line(
                vec![(x, y), (x, panel.area.bottom)],
                curve.look.colour,
                1.4,
                &[2.0, 3.0],
            );
        }
    }
    frame.scene
}

fn without_rate(set: &Set) -> BTreeMap<String, String> {
    let mut params = set.place.params.clone();
    params.remove("rate");
    params
}
