//! Where the time of a swapoff goes, step by step, and how it grows with the device.

use std::collections::{BTreeMap, BTreeSet};

use super::bars::{self, Row};
use super::lines::{self, Curve};
use super::{Outcome, Picture};
use crate::axis::{Axis, time};
use crate::data::{Group, Set, Spread, runs_of, small_print};
use crate::frame::{Caption, Frame};
use crate::scene::Scene;
use crate::style::{Rgb, Size, part};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let steps = step_names(set);
    if steps.is_empty() {
        return Err("no swapoff was recorded".into());
    }
    let legend: Vec<(String, Rgb)> =
        steps.iter().enumerate().map(|(i, s)| (s.clone(), part(i))).collect();
    let mut blocks = Vec::new();
    for track in &set.tracks {
        let mut rows = vec![Row::Heading { text: track.name.clone(), colour: track.look.colour }];
        let mut shown: Vec<&Group> = vec![&track.groups[0]];
        if track.widest().threads > track.groups[0].threads {
            shown.push(track.widest());
        }
        rows.extend(shown.iter().flat_map(|g| bar(g, &steps)));
        if rows.len() > 1 {
            blocks.push(rows);
        }
    }
    let note = "Parts: median of each step over all swapoffs; black: 95 % interval of the total.";
    bars::pictures(size, &set.caption("swapoff by step", note), ("time", time), &legend, blocks)
}

/// A stacked bar, and its numbers in words: the barrier is too short to be seen.
fn bar(group: &Group, steps: &[String]) -> Vec<Row> {
    let medians: Vec<Option<Spread>> = steps
        .iter()
        .map(|name| {
            let step = |s: &results::schema::Swapoff| {
                s.steps.iter().find(|step| step.name == *name).map(|step| step.ns as f64)
            };
            Spread::of(&swapoffs(group).filter_map(step).collect::<Vec<f64>>())
        })
        .collect();
    let Some(total) = Spread::of(&swapoffs(group).map(total).collect::<Vec<f64>>()) else {
        return Vec::new();
    };
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
    let unit = if group.threads == 1 { "thread" } else { "threads" };
    vec![
        Row::Bar {
            label: format!("{} {unit}", group.threads),
            parts,
            note: format!("{} (n = {})", time(total.median), total.n),
            interval: Some((total.lo, total.hi)),
        },
        Row::Words { label: String::new(), text: words.join(", ") },
    ]
}

/// Total time against the number of clusters, over all sets of a workload; one
/// picture a machine.
pub fn draw_size(sets: &[&Set], size: Size) -> Outcome {
    let machines: BTreeSet<&String> = sets.iter().map(|s| &s.place.machine).collect();
    let mut pictures = Vec::new();
    for machine in machines {
        let here: Vec<&Set> =
            sets.iter().copied().filter(|s| s.place.machine == *machine).collect();
        let curves = size_curves(&here);
        if !curves.is_empty() {
            pictures.push(Picture { part: machine.clone(), scene: by_size(&here, size, &curves) });
        }
    }
    if pictures.is_empty() {
        return Err("needs swapoffs of devices of several sizes".into());
    }
    Ok(pictures)
}

fn by_size(sets: &[&Set], size: Size, curves: &[Curve]) -> Scene {
    let (xs, ys) = lines::extents(curves);
    let place = &sets[0].place;
    let note = "Points: median over all swapoffs; bands and bars: its 95 % interval.";
    let caption = Caption {
        title: "swapoff against device size".into(),
        subtitle: format!("{}, {} {}", place.workload, place.origin(), place.machine),
        small_print: small_print(&runs_of(sets), note.into()),
    };
    let mut frame = Frame::new(size, &caption);
    let x = Axis::log2("clusters of the device", &xs);
    lines::draw(&mut frame, x, Axis::log10("time (log scale)", &ys, time), curves);
    frame.scene
}

/// A curve for each track name that has two sizes or more.
fn size_curves(sets: &[&Set]) -> Vec<Curve> {
    let mut totals: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    let tracks = || sets.iter().flat_map(|s| &s.tracks);
    for track in tracks() {
        let by_size = totals.entry(&track.name).or_default();
        for swapoff in track.groups.iter().flat_map(swapoffs).filter(|s| s.clusters > 0) {
            by_size.entry(swapoff.clusters).or_default().push(total(swapoff).max(1.0));
        }
    }
    totals
        .into_iter()
        .filter(|(_, by_size)| by_size.len() > 1)
        .map(|(name, by_size)| {
            let track = tracks().find(|t| t.name == name).expect("taken from the tracks");
            let spread = |(clusters, totals): (&u64, &Vec<f64>)| {
                Some((*clusters as f64, Spread::of(totals)?))
            };
            let points = by_size.iter().filter_map(spread).collect();
            Curve { name: name.into(), look: track.look, points, hollow: sets[0].place.predicted }
        })
        .collect()
}

fn swapoffs<'a>(group: &'a Group) -> impl Iterator<Item = &'a results::schema::Swapoff> {
    group.cells.iter().flat_map(|c| &c.swapoff).filter(|s| s.result == "ok")
}

fn total(swapoff: &results::schema::Swapoff) -> f64 {
    swapoff.steps.iter().map(|s| s.ns as f64).sum()
}

/// The steps in the order in which a swapoff makes them.
fn step_names(set: &Set) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for step in set.groups().flat_map(|(_, g)| swapoffs(g)).flat_map(|s| &s.steps) {
        if seen.insert(&step.name) {
            names.push(step.name.clone());
        }
    }
    names
}
