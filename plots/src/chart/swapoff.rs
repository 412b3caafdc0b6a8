//! A swapoff's barrier against the size of its device, by load; and what all charts of swapoff ask of one.

use std::collections::{BTreeMap, BTreeSet};

use results::in_order_of_events;
use results::schema::{Cell, Swapoff};
use results::steps::BARRIER;

use super::lines::{self, Curve};
use super::{Outcome, Picture, finding};
use crate::axis::{Axis, time};
use crate::data::{Group, Median, Set, runs_of, small_print, spread};
use crate::frame::{Caption, Frame};
use crate::scene::Scene;
use crate::style::{Dash, Look, Size};

/// Dashes of the loads, the fewest threads first.
const DASHES: [Dash; 4] = [&[], &[9.0, 4.0], &[3.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];
const LOADS: [&str; 4] = ["Solid", "Dashed", "Dotted", "Dashes and dots"];

/// Time of the barrier alone, apart for each number of threads at work meanwhile.
pub fn draw_barrier(sets: &[&Set], size: Size) -> Outcome {
    let machines: BTreeSet<&String> = sets.iter().map(|s| &s.place.machine).collect();
    let mut pictures = Vec::new();
    for machine in machines {
        let here: Vec<&Set> =
            sets.iter().copied().filter(|s| s.place.machine == *machine).collect();
        let curves = by_size(&here);
        if !curves.is_empty() {
            pictures.push(Picture { part: machine.clone(), scene: scene(&here, size, &curves) });
        }
    }
    if pictures.is_empty() {
        return Err("needs swapoffs of devices of several sizes".into());
    }
    Ok(pictures)
}

fn loads(sets: &[&Set]) -> Vec<u32> {
    let all: BTreeSet<u32> =
        sets.iter().flat_map(|s| s.groups()).map(|(_, g)| g.threads()).collect();
    all.into_iter().collect()
}

fn scene(sets: &[&Set], size: Size, curves: &[Curve]) -> Scene {
    let (xs, ys) = lines::extents(curves);
    let place = &sets[0].place;
    let note = format!(
        "Points: median over all swapoffs; bands and bars, by trial: {}.",
        spread(lines::trials(curves))
    );
    let meaning = LOADS
        .iter()
        .zip(loads(sets))
        .map(|(line, threads)| format!("{line}: {}.", results::plural(threads as usize, "thread")));
    let meaning = meaning.collect::<Vec<_>>().join(" ");
    let caption = Caption {
        title: title(place.predicted, curves),
        subtitle: format!("{}, {} {}. {meaning}", place.workload, place.origin(), place.machine),
        small_print: small_print(&runs_of(sets), note),
    };
    let mut frame = Frame::new(size, &caption);
    let x = Axis::log2("clusters of the device", &xs);
    let y = Axis::log10("time of the barrier alone (log scale)", &ys, time);
    lines::draw(&mut frame, x, y, curves);
    frame.scene
}

/// What the size of the device costs the scheme that depends on it most.
fn title(predicted: bool, curves: &[Curve]) -> String {
    let ends = |curve: &Curve| {
        let ((small, a), (large, b)) = (*curve.points.first()?, *curve.points.last()?);
        let [a, b] = [a.median, b.median];
        let name = curve.name.split(' ').next().unwrap_or_default();
        let words = format!(
            "the barrier of {name} takes {} with {small} clusters, {} with {large}",
            time(a),
            time(b)
        );
        Some((b / a, words))
    };
    let steepest = curves.iter().filter_map(ends).max_by(|a, b| a.0.total_cmp(&b.0));
    steepest.map_or(String::new(), |(_, words)| finding::said(predicted, &words))
}

/// Times of the barrier of each trial by the number of clusters, on their way to a curve.
struct Growing {
    name: String,
    threads: u32,
    look: Look,
    by_size: BTreeMap<u64, Vec<Vec<f64>>>,
}

/// A curve for each track and load that has two sizes or more.
fn by_size(sets: &[&Set]) -> Vec<Curve> {
    let loads = loads(sets);
    let mut all: Vec<Growing> = Vec::new();
    for (track, group) in sets.iter().flat_map(|s| s.groups()) {
        let (name, threads) = (&track.name, group.threads());
        let known = |g: &Growing| g.name == *name && g.threads == threads;
        let at = all.iter().position(known).unwrap_or_else(|| {
            let load = loads.iter().position(|n| *n == threads).unwrap_or(0);
            let look = Look { dash: DASHES[load % DASHES.len()], ..track.look };
            all.push(Growing { name: name.clone(), threads, look, by_size: BTreeMap::new() });
            all.len() - 1
        });
        for cell in &group.cells {
            let mut trial: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for off in finished(cell).filter(|s| s.clusters > 0) {
                let values = step(off, BARRIER).map(|ns| ns.max(1.0));
                trial.entry(off.clusters).or_default().extend(values);
            }
            for (clusters, values) in trial {
                all[at].by_size.entry(clusters).or_default().push(values);
            }
        }
    }
    let curves = all.into_iter().map(|Growing { name, look, by_size, .. }| {
        let point = |(clusters, trials): (u64, Vec<Vec<f64>>)| {
            Some((clusters as f64, Median::of_trials(&trials)?))
        };
        let points = by_size.into_iter().filter_map(point).collect();
        Curve { name, look, points, hollow: sets[0].place.predicted }
    });
    curves.filter(|curve| curve.points.len() > 1).collect()
}

/// How long a step of it took.
pub(super) fn step(swapoff: &Swapoff, name: &str) -> Option<f64> {
    swapoff.steps.iter().find(|step| step.name == name).map(|step| step.ns as f64)
}

pub(super) fn swapoffs<'a>(group: &'a Group) -> impl Iterator<Item = &'a Swapoff> {
    group.cells.iter().flat_map(|cell| finished(cell))
}

fn finished(cell: &Cell) -> impl Iterator<Item = &Swapoff> {
    cell.swapoff.iter().filter(|s| s.result == "ok")
}

/// A value of each swapoff, apart by trial.
pub(crate) fn by_trial(group: &Group, value: impl Fn(&Swapoff) -> Option<f64>) -> Vec<Vec<f64>> {
    group.cells.iter().map(|cell| finished(cell).filter_map(&value).collect()).collect()
}

pub(crate) fn total(swapoff: &Swapoff) -> f64 {
    swapoff.steps.iter().map(|s| s.ns as f64).sum()
}

/// The steps in the order in which a swapoff makes them.
pub(crate) fn step_names<'a>(set: &'a Set) -> Vec<&'a str> {
    let steps = |s: &'a Swapoff| s.steps.iter().map(|step| step.name.as_str());
    in_order_of_events(set.groups().flat_map(|(_, group)| swapoffs(group)).map(steps))
}
