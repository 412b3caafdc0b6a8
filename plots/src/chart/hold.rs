//! How long a lock is held against how full the device is: the fuller, the longer a search
//! for free slots. Two pictures a machine and lock, the mean and the longest hold, at the most
//! threads.

use std::collections::BTreeSet;

use results::schema::{Cell, IRQS_OFF, Site};

use super::lines::{self, Curve};
use super::{Outcome, Picture, finding};
use crate::axis::{Axis, short, si, time};
use crate::data::{Median, Set, runs_of, small_print, spread};
use crate::frame::{Caption, Frame};
use crate::scene::Scene;
use crate::style::Size;

/// The parameter of the workload that says it, percent.
const FILL: &str = "fill";

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let machines: BTreeSet<&str> = sets.iter().map(|s| s.place.machine.as_str()).collect();
    let mut pictures = Vec::new();
    for machine in &machines {
        let here: Vec<&Set> =
            sets.iter().copied().filter(|s| s.place.machine == *machine).collect();
        for lock in locks(&here) {
            for (which, held) in [MEAN, LONGEST] {
                let curves = curves(&here, |cell| held(cell, &lock));
                if !curves.is_empty() {
                    let scene = picture(&here, size, (&lock, which), &curves);
                    pictures.push(Picture { part: format!("{machine} {lock} {which}"), scene });
                }
            }
        }
    }
    if pictures.is_empty() {
        let why = sets.iter().find_map(|set| set.place.why_no_sites());
        return Err(why.unwrap_or("needs lock holds of devices filled to several shares").into());
    }
    Ok(pictures)
}

fn locks(sets: &[&Set]) -> BTreeSet<String> {
    let cells = sets.iter().flat_map(|s| &s.tracks).flat_map(|t| &t.widest().cells);
    let sites = cells.flat_map(|c| &c.sites).filter(|site| site.hold_sampled > 0);
    sites.map(class).collect()
}

/// The lock, and whether its sections keep interrupts out: the longest of these is a latency of the
/// whole machine.
fn class(site: &Site) -> String {
    let suffix = if site.kind == IRQS_OFF { " with interrupts off" } else { "" };
    site.lock.clone() + suffix
}

/// A curve for each track name with two shares or more.
fn curves(sets: &[&Set], held: impl Fn(&Cell) -> Option<f64>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for set in sets {
        let fill = set.place.params.get(FILL).and_then(|fill| fill.parse::<f64>().ok());
        let Some(fill) = fill else { continue };
        for track in &set.tracks {
            let held = Median::of(&track.widest().values(&held));
            let Some(held) = held.filter(|s| s.lo > 0.0) else { continue };
            match curves.iter_mut().find(|c| c.name == track.name) {
                Some(curve) => curve.points.push((fill, held)),
                None => curves.push(Curve {
                    name: track.name.clone(),
                    look: track.look,
                    points: vec![(fill, held)],
                    hollow: set.place.predicted,
                }),
            }
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a: &(f64, Median), b| a.0.total_cmp(&b.0));
        curve.points.dedup_by_key(|(fill, _)| *fill);
    }
    curves.retain(|curve| curve.points.len() > 1);
    curves
}

/// A figure of a trial's timed holds of a lock, ns: its name and its formula, which gives `None`
/// where no hold was timed.
type Hold = (&'static str, fn(&Cell, &str) -> Option<f64>);

const MEAN: Hold = ("mean", |cell, lock| {
    let sum = |of: fn(&Site) -> u64| sites(cell, lock).map(of).sum::<u64>() as f64;
    let timed = sum(|site| site.hold_sampled);
    (timed > 0.0).then(|| sum(|site| site.hold_total_ns) / timed)
});

const LONGEST: Hold = ("longest", |cell, lock| {
    let longest = sites(cell, lock).map(|site| site.hold_max_ns).max()?;
    (longest > 0).then_some(longest as f64)
});

fn sites<'a>(cell: &'a Cell, lock: &'a str) -> impl Iterator<Item = &'a Site> {
    cell.sites.iter().filter(move |site| class(site) == lock)
}

/// Whose hold grows most from the emptiest device to the fullest.
fn title(curves: &[Curve], lock: &str, predicted: bool) -> Option<String> {
    let grown = |curve: &Curve| {
        let ((low, a), (high, b)) = (*curve.points.first()?, *curve.points.last()?);
        let name = curve.name.split(' ').next().unwrap_or_default();
        let words = format!(
            "{name} holds {lock} {} at {low} % in use, {} at {high} %",
            time(a.median),
            time(b.median)
        );
        Some(((b.median / a.median).ln().abs(), words))
    };
    let most = curves.iter().filter_map(grown).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(finding::said(predicted, &most.1))
}

fn picture(sets: &[&Set], size: Size, (lock, which): (&str, &str), curves: &[Curve]) -> Scene {
    let (xs, ys) = lines::extents(curves);
    let place = &sets[0].place;
    let timed: u64 = sets
        .iter()
        .flat_map(|set| set.groups())
        .flat_map(|(_, group)| &group.cells)
        .flat_map(|cell| sites(cell, lock))
        .map(|site| site.hold_sampled)
        .sum();
    let note = format!(
        "Points: median over the trials of the {which} of the timed holds ({} in all), the short ones \
         among them; bands and bars: {}.",
        si(timed as f64),
        spread(lines::trials(curves))
    );
    let threads = super::latency::most_threads(sets[0]);
    let caption = Caption {
        title: title(curves, lock, place.predicted).unwrap_or(format!("How long {lock} is held")),
        subtitle: format!("{}, at {threads}, {} {}", place.workload, place.origin(), place.machine),
        small_print: small_print(&runs_of(sets), note),
    };
    let mut frame = Frame::new(size, &caption);
    let (low, high) = xs.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let x = Axis::span("device in use, %", low - 1.0, high + 1.0, short);
    lines::draw(&mut frame, x, lines::y_axis(&format!("{which} hold time"), &ys, time), curves);
    frame.scene
}
