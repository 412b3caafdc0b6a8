//! Where the time of a swapoff goes, step by step, and its barrier by load.

use std::collections::{BTreeMap, BTreeSet};

use results::schema::{Cell, Swapoff};
use results::steps::BARRIER;
use results::{in_order_of_events, plural};

use super::bars::{self, Row};
use super::lines::{self, Curve};
use super::{Outcome, Picture};
use crate::axis::{Axis, time};
use crate::data::{Group, Median, Set, runs_of, small_print, spread};
use crate::frame::{Caption, Frame};
use crate::scene::Scene;
use crate::style::{Dash, Look, Rgb, Size, part};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let steps = step_names(set);
    if steps.is_empty() {
        return Err("no swapoff was recorded".into());
    }
    let legend: Vec<(String, Rgb)> =
        steps.iter().enumerate().map(|(i, s)| (s.to_string(), part(i))).collect();
    let mut blocks = Vec::new();
    for track in &set.tracks {
        let mut rows = vec![Row::Heading { text: track.name.clone(), colour: track.look.colour }];
        let mut shown: Vec<&Group> = vec![&track.groups[0]];
        if track.widest().threads() > track.groups[0].threads() {
            shown.push(track.widest());
        }
        rows.extend(shown.iter().flat_map(|g| bar(g, &steps)));
        if rows.len() > 1 {
            blocks.push(rows);
        }
    }
    let note = format!(
        "Parts: median of each step over all swapoffs; black, of the total: {}. n counts trials.",
        spread(set.groups().map(|(_, group)| group.cells.len()))
    );
    bars::pictures(size, &set.caption("swapoff by step", &note), ("time", time), &legend, blocks)
}

/// A stacked bar, and its numbers in words: the barrier is too short to be seen.
fn bar(group: &Group, steps: &[&str]) -> Vec<Row> {
    let medians: Vec<Option<Median>> = steps
        .iter()
        .map(|name| {
            let step = |s: &Swapoff| {
                s.steps.iter().find(|step| step.name == *name).map(|step| step.ns as f64)
            };
            Median::of_trials(&by_trial(group, step))
        })
        .collect();
    let totals = by_trial(group, |swapoff| Some(total(swapoff)));
    let Some(total) = Median::of_trials(&totals) else { return Vec::new() };
    let words: Vec<String> = steps
        .iter()
        .zip(&medians)
        .filter_map(|(name, s)| Some(format!("{name} {}", time(s.as_ref()?.median))))
        .collect();
    let parts: Vec<(f64, Rgb)> = medians
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((s.as_ref()?.median, part(i))))
        .collect();
    vec![
        Row::Bar {
            label: plural(group.threads() as usize, "thread"),
            parts,
            note: format!("{} (n = {})", time(total.median), total.n),
            interval: Some((total.lo, total.hi)),
        },
        Row::Words { label: String::new(), text: words.join(", ") },
    ]
}

/// Time of the barrier alone, apart for each number of threads at work meanwhile.
pub fn draw_barrier(sets: &[&Set], size: Size) -> Outcome {
    let loads: BTreeSet<u32> =
        sets.iter().flat_map(|s| s.groups()).map(|(_, g)| g.threads()).collect();
    let loads: Vec<u32> = loads.into_iter().collect();
    const DASHES: [Dash; 4] = [&[], &[9.0, 4.0], &[3.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];
    let apart = |name: &str, threads: u32| {
        let load = loads.iter().position(|n| *n == threads).unwrap_or(0);
        (format!("{name} ×{threads}"), DASHES[load % DASHES.len()])
    };
    let barrier = |off: &Swapoff| {
        let step = off.steps.iter().find(|step| step.name == BARRIER)?;
        Some(step.ns as f64)
    };
    each_machine(sets, size, "swapoff's barrier against device size (× threads)", apart, barrier)
}

/// The name and the dashes of a curve, by track and threads.
type Named<'a> = &'a dyn Fn(&str, u32) -> (String, Dash);

fn each_machine(
    sets: &[&Set],
    size: Size,
    title: &str,
    named: impl Fn(&str, u32) -> (String, Dash),
    value: impl Fn(&Swapoff) -> Option<f64>,
) -> Outcome {
    let machines: BTreeSet<&String> = sets.iter().map(|s| &s.place.machine).collect();
    let mut pictures = Vec::new();
    for machine in machines {
        let here: Vec<&Set> =
            sets.iter().copied().filter(|s| s.place.machine == *machine).collect();
        let curves = size_curves(&here, &named, &value);
        if !curves.is_empty() {
            let scene = by_size(&here, size, title, &curves);
            pictures.push(Picture { part: machine.clone(), scene });
        }
    }
    if pictures.is_empty() {
        return Err("needs swapoffs of devices of several sizes".into());
    }
    Ok(pictures)
}

fn by_size(sets: &[&Set], size: Size, title: &str, curves: &[Curve]) -> Scene {
    let (xs, ys) = lines::extents(curves);
    let place = &sets[0].place;
    let note = format!(
        "Points: median over all swapoffs; bands and bars, by trial: {}.",
        spread(lines::trials(curves))
    );
    let caption = Caption {
        title: title.into(),
        subtitle: format!("{}, {} {}", place.workload, place.origin(), place.machine),
        small_print: small_print(&runs_of(sets), note),
    };
    let mut frame = Frame::new(size, &caption);
    let x = Axis::log2("clusters of the device", &xs);
    lines::draw(&mut frame, x, Axis::log10("time (log scale)", &ys, time), curves);
    frame.scene
}

/// Values of each trial by the number of clusters, on their way to a curve.
struct Growing {
    name: String,
    look: Look,
    by_size: BTreeMap<u64, Vec<Vec<f64>>>,
}

/// A curve for each name that has two sizes or more.
fn size_curves(sets: &[&Set], named: Named, value: &dyn Fn(&Swapoff) -> Option<f64>) -> Vec<Curve> {
    let mut all: Vec<Growing> = Vec::new();
    for (track, group) in sets.iter().flat_map(|s| s.groups()) {
        let (name, dash) = named(&track.name, group.threads());
        let at = all.iter().position(|g| g.name == name).unwrap_or_else(|| {
            let look = Look { dash, ..track.look };
            all.push(Growing { name, look, by_size: BTreeMap::new() });
            all.len() - 1
        });
        for cell in &group.cells {
            let mut trial: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for off in finished(cell).filter(|s| s.clusters > 0) {
                let values = value(off).map(|ns| ns.max(1.0));
                trial.entry(off.clusters).or_default().extend(values);
            }
            for (clusters, values) in trial {
                all[at].by_size.entry(clusters).or_default().push(values);
            }
        }
    }
    let curves = all.into_iter().map(|Growing { name, look, by_size }| {
        let point = |(clusters, trials): (u64, Vec<Vec<f64>>)| {
            Some((clusters as f64, Median::of_trials(&trials)?))
        };
        let points = by_size.into_iter().filter_map(point).collect();
        Curve { name, look, points, hollow: sets[0].place.predicted }
    });
    curves.filter(|curve| curve.points.len() > 1).collect()
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
