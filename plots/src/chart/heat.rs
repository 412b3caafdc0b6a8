//! Every workload at every number of threads, each scheme against one: the whole answer at first
//! sight. Guards that a cell is coloured by its ratio alone, and that what was not run is blank.

use std::collections::BTreeSet;

use results::metric::Metric;

use super::{Outcome, Picture, load};
use crate::data::{self, Median, Set, Track};
use crate::frame::{Area, Caption, Frame, fit};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{GRID_MINOR, INK, MUTED, PAPER, Size, diverging, text};

/// The scheme that the others are held against, where it was run: the kernel's before the rework.
const BASE: &str = "scanning";
/// Rows that a picture has room for.
const ROWS: usize = 16;

/// Pictures of each machine that ran several workloads, or one under several conditions.
pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let mut machines: Vec<&str> = Vec::new();
    for set in sets {
        if !machines.contains(&&set.place.machine[..]) {
            machines.push(&set.place.machine);
        }
    }
    let mut pictures = Vec::new();
    for machine in machines {
        let of = |set: &&Set| set.place.machine == machine && !load::in_sweep(set, sets);
        let all: Vec<&Set> = sets.iter().copied().filter(of).collect();
        pictures.extend(of_machine(machine, &all, size));
    }
    if pictures.is_empty() {
        return Err("needs two workloads of one machine, with two variants each".into());
    }
    Ok(pictures)
}

/// A scheme beside the base: ratio by row and number of threads.
struct Facet<'a> {
    name: &'a str,
    rows: Vec<Vec<Option<f64>>>,
}

/// All rows of a machine have one base: [`BASE`], or what its first set has first.
fn of_machine(machine: &str, sets: &[&Set], size: Size) -> Vec<Picture> {
    let tracks = || sets.iter().flat_map(|set| &set.tracks);
    let named = tracks().find(|track| track.groups[0].key.variant == BASE);
    let Some(base) = named.or(tracks().next()).map(|track| &track.name[..]) else {
        return Vec::new();
    };
    let has_base = |set: &&Set| set.tracks.len() > 1 && track(set, base).is_some();
    let sets: Vec<&Set> = sets.iter().copied().filter(has_base).collect();
    if sets.len() < 2 {
        return Vec::new();
    }
    let parts = sets.chunks(ROWS).enumerate().map(|(at, sets)| {
        let part = match at {
            0 => data::slug(machine),
            _ => format!("{}-{}", data::slug(machine), at + 1),
        };
        Picture { part, scene: scene(machine, base, sets, size) }
    });
    parts.collect()
}

fn track<'t, 'a>(set: &'t Set<'a>, name: &str) -> Option<&'t Track<'a>> {
    set.tracks.iter().find(|track| track.name == name)
}

fn scene(machine: &str, base: &str, sets: &[&Set], size: Size) -> Scene {
    let threads: BTreeSet<u32> =
        sets.iter().flat_map(|set| set.groups()).map(|(_, group)| group.threads()).collect();
    let mut names: Vec<&str> = Vec::new();
    for track in sets.iter().flat_map(|set| &set.tracks) {
        if track.name != base && !names.contains(&&track.name[..]) {
            names.push(&track.name);
        }
    }
    let row = |set: &Set, name: &str| -> Vec<Option<f64>> {
        let both = track(set, base).zip(track(set, name));
        threads.iter().map(|n| both.and_then(|(from, new)| ratio(from, new, *n))).collect()
    };
    let facet = |name| Facet { name, rows: sets.iter().map(|set| row(set, name)).collect() };
    let facets: Vec<Facet> = names.into_iter().map(facet).collect();
    let mut frame = Frame::new(size, &caption(machine, base, sets, &facets));
    let labels: Vec<&str> = sets.iter().map(|set| &set.work[..]).collect();
    draw_facets(&mut frame, &labels, &threads, &facets);
    frame.scene
}

fn ratio(base: &Track, new: &Track, threads: u32) -> Option<f64> {
    let samples = |track: &Track| {
        let group = track.groups.iter().find(|group| group.threads() == threads)?;
        Some(group.samples(&Metric::Throughput))
    };
    Some(Median::of_ratio(&samples(base)?, &samples(new)?)?.median)
}

fn caption(machine: &str, base: &str, sets: &[&Set], facets: &[Facet]) -> Caption {
    let said = |facet: &Facet| {
        let all = || facet.rows.iter().flatten().flatten().copied();
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        format!("{} {} to {}", facet.name, two(low), two(high))
    };
    // A title has room for two: the scheme after the base, and the newest.
    let ends = facets.first().into_iter().chain(facets.iter().skip(1).last());
    let said: Vec<String> = ends.map(said).collect();
    let predicted = sets.iter().any(|set| set.place.predicted);
    let origin = if predicted { "Predicted: times" } else { "Times" };
    let trials: BTreeSet<usize> =
        sets.iter().flat_map(|set| set.groups()).map(|(_, group)| group.cells.len()).collect();
    let count = [trials.first(), trials.last()].map(|n| n.copied().unwrap_or(0));
    let trials = if count[0] == count[1] {
        results::plural(count[0], "trial")
    } else {
        format!("{} to {} trials", count[0], count[1])
    };
    Caption {
        title: format!("{origin} the throughput of {base}: {}", said.join(", ")),
        subtitle: format!(
            "{} {machine}; ratio of medians of {trials} at the same workload and number of \
             threads. Blue: more. Orange: less. Blank: not run, or refused.",
            sets[0].place.origin()
        ),
        small_print: data::small_print(&data::runs_of(sets), String::new()),
    }
}

fn draw_facets(frame: &mut Frame, labels: &[&str], threads: &BTreeSet<u32>, facets: &[Facet]) {
    let small = text::SMALL + 1.0;
    let Area { left, top, right, bottom } = frame.free;
    let widest = labels.iter().map(|l| text_width(l, frame.px(small), false)).fold(0.0, f64::max);
    let gap = frame.px(14.0);
    let first = left + widest.min(0.25 * (right - left)) + frame.px(8.0);
    let column = (right - first - gap * (facets.len() - 1) as f64)
        / (facets.len() * threads.len()).max(1) as f64;
    let head = top + frame.px(44.0);
    let row = ((bottom - head) / labels.len().max(1) as f64).min(frame.px(34.0));
    let middle = |y: f64| y + row / 2.0 + 0.35 * frame.px(small);
    let base: Vec<f64> = (0..labels.len()).map(|at| head + row * at as f64).collect();
    let rows: Vec<(f64, f64)> = base.iter().map(|y| (*y, middle(*y))).collect();
    for ((_, middle), label) in rows.iter().zip(labels) {
        let label = fit(label, frame.px(small), false, first - left - frame.px(8.0));
        frame.scene.text((first - frame.px(8.0), *middle), label, small, INK, Anchor::End);
    }
    for (at, facet) in facets.iter().enumerate() {
        let x = first + (column * threads.len() as f64 + gap) * at as f64;
        let width = column * threads.len() as f64;
        let name = fit(facet.name, frame.px(small), true, width);
        frame.scene.title((x, top + frame.px(18.0)), name, small, INK);
        let columns: Vec<f64> = (0..threads.len()).map(|n| x + column * n as f64).collect();
        heads(frame, threads, &columns, column, head - frame.px(6.0));
        for ((y, middle), cells) in rows.iter().zip(&facet.rows) {
            for (x, ratio) in columns.iter().zip(cells) {
                let Some(ratio) = ratio else { continue };
                let (colour, opacity) = diverging(*ratio);
                let inset = frame.px(1.0);
                let (left, right) = (x + inset, x + column - inset);
                let (top, bottom) = (y + inset, y + row - inset);
                let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
                frame.scene.area(corners.clone(), GRID_MINOR, 1.0);
                frame.scene.area(corners, colour, opacity);
                let at = (x + column / 2.0, *middle);
                let words = two(*ratio);
                if text_width(&words, frame.px(text::SMALL), false) < column {
                    let ink = if opacity > 0.6 { PAPER } else { INK };
                    frame.scene.text(at, words, text::SMALL, ink, Anchor::Middle);
                }
            }
        }
    }
}

/// Two significant digits.
fn two(v: f64) -> String {
    let digits = if v >= 9.95 {
        0
    } else if v >= 0.995 {
        1
    } else {
        2
    };
    format!("{v:.digits$}")
}

/// Numbers of threads over their columns, those that have room.
fn heads(frame: &mut Frame, threads: &BTreeSet<u32>, columns: &[f64], width: f64, y: f64) {
    let mut free = f64::NEG_INFINITY;
    for (n, x) in threads.iter().zip(columns) {
        let (middle, words) = (x + width / 2.0, n.to_string());
        let half = text_width(&words, frame.px(text::SMALL), false) / 2.0;
        if middle - half > free {
            frame.scene.text((middle, y), words, text::SMALL, MUTED, Anchor::Middle);
            free = middle + half + frame.px(3.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::style::README;

    /// scanning-ref stands before scanning, and seventeen workloads need a second picture.
    #[test]
    fn the_base_is_the_scheme_and_not_one_of_a_longer_name() {
        let at = |fill: usize| {
            let fill = [("fill".to_owned(), fill.to_string())];
            ("churn", std::collections::BTreeMap::from(fill))
        };
        let plan = Plan {
            variants: vec!["scanning-ref", "scanning", "percluster"],
            workloads: (0..ROWS + 1).map(at).collect(),
            ..Plan::default()
        };
        let runs = [common::simulated(&plan)];
        let sets = data::sets(&runs);
        let all: Vec<&Set> = sets.iter().collect();
        let pictures = draw(&all, README).unwrap();
        let parts: Vec<&str> = pictures.iter().map(|picture| &picture.part[..]).collect();
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert_eq!(parts[1], format!("{}-2", parts[0]));
        let svg = pictures[0].scene.svg().unwrap();
        assert!(svg.contains("the throughput of 6.12 scanning:"), "the title names the base");
        pictures.iter().for_each(|p| crate::chart::tests::assert_readable(&p.scene, &p.part));
        assert!(draw(&all[..1], README).is_err(), "one workload is no overview");
    }
}
