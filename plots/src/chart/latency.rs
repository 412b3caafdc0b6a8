//! Service time by percentile, on a scale of nines, at the largest thread count.

use std::collections::BTreeSet;

use results::metric::{Metric, Percentile};
use results::plural;
use results::schema::{Cell, Latency};

use super::lines::{self, Curve};
use super::{Outcome, Picture, finding};
use crate::axis::{Axis, time};
use crate::data::{Group, Median, Set};
use crate::frame::Frame;
use crate::style::Size;

/// A percentile is shown only with this many operations beyond it.
const LEAST_BEYOND: f64 = 10.0;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let mut pictures = Vec::new();
    for kind in kinds(set) {
        let curves: Vec<Curve> = set
            .tracks
            .iter()
            .map(|track| Curve {
                name: track.name.clone(),
                look: track.look,
                points: percentiles(track.widest(), |c| c.kinds.get(&kind)?.latency.as_ref()),
                hollow: set.place.predicted,
            })
            .filter(|c| !c.points.is_empty())
            .collect();
        if curves.is_empty() {
            continue;
        }
        let threads = most_threads(set);
        let p99 = Metric::Latency { kind: kind.clone(), at: Percentile::P99 };
        let found = finding::against_oldest(set, &p99);
        let title = found.map_or(format!("Latency of {kind} at {threads}"), |words| {
            words.time(set.place.predicted, &format!("the p99 of {kind}"))
        });
        pictures.push(Picture { part: kind, scene: draw_curves(set, size, &title, &curves) });
    }
    if pictures.is_empty() {
        return Err("no operation's latency was recorded".into());
    }
    Ok(pictures)
}

/// "64 threads": where all tracks end.
pub fn most_threads(set: &Set) -> String {
    let all: BTreeSet<u32> = set.tracks.iter().map(|t| t.widest().threads()).collect();
    match all.iter().rev().collect::<Vec<_>>()[..] {
        [n] => plural(*n as usize, "thread"),
        _ => "each variant's most threads".into(),
    }
}

pub fn draw_curves(set: &Set, size: Size, title: &str, curves: &[Curve]) -> crate::scene::Scene {
    let (xs, ys) = lines::extents(curves);
    let mut frame = Frame::new(size, &set.caption(title, &super::interval_note(set)));
    let x = Axis::nines("percentile", &xs);
    lines::draw(&mut frame, x, Axis::log10("time (log scale)", &ys, time), curves);
    frame.scene
}

/// Each kind of operation that any cell timed.
pub fn kinds(set: &Set) -> BTreeSet<String> {
    let cells = set.groups().flat_map(|(_, g)| &g.cells);
    cells.flat_map(|c| c.kinds.keys().cloned()).collect()
}

/// The percentiles of a group, each with its median over the trials.
pub fn percentiles<'a>(
    group: &'a Group,
    latency: impl Fn(&'a Cell) -> Option<&'a Latency>,
) -> Vec<(f64, Median)> {
    let trials: Vec<&Latency> = group.cells.iter().filter_map(|c| latency(c)).collect();
    let points = [
        (0.5, Percentile::P50),
        (0.9, Percentile::P90),
        (0.99, Percentile::P99),
        (0.999, Percentile::P999),
        (0.9999, Percentile::P9999),
    ];
    points
        .iter()
        .filter_map(|(q, at)| {
            let enough = trials.iter().filter(|l| l.n as f64 * (1.0 - q) >= LEAST_BEYOND);
            // A clock tick of zero has no place on a logarithmic axis; it means "below 1 ns".
            let values: Vec<f64> = enough.map(|l| at.of(l).max(1.0)).collect();
            Some((*q, Median::of(&values)?))
        })
        .collect()
}
