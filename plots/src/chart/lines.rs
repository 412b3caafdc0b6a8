//! Curves with the intervals of their points: what most charts against threads are made of.

use results::metric::Metric;

use crate::axis::Axis;
use crate::data::{Median, Set, Track};
use crate::frame::{Frame, Panel};
use crate::style::{Look, Rgb};

/// One labelled curve.
pub struct Curve {
    pub name: String,
    pub look: Look,
    /// Rising x.
    pub points: Vec<(f64, Median)>,
    /// Hollow markers and dashes: figures that come from a model.
    pub hollow: bool,
}

/// A metric of a track of `set` against threads; points without a value are left out.
pub fn by_threads(set: &Set, track: &Track, metric: &Metric) -> Curve {
    let points = track.groups.iter().filter_map(|group| {
        Some((f64::from(group.threads()), Median::of(&group.samples(metric))?))
    });
    Curve {
        name: track.name.clone(),
        look: track.look,
        points: points.collect(),
        hollow: set.place.predicted,
    }
}

/// The number of trials of each point.
pub fn trials(curves: &[Curve]) -> impl Iterator<Item = usize> {
    curves.iter().flat_map(|c| &c.points).map(|(_, s)| s.n)
}

/// All x values, and all y values with the ends of their intervals.
pub fn extents(curves: &[Curve]) -> (Vec<f64>, Vec<f64>) {
    let points = || curves.iter().flat_map(|c| &c.points);
    let xs = points().map(|(x, _)| *x).collect();
    let ys = points().flat_map(|(_, s)| [s.lo, s.median, s.hi]).collect();
    (xs, ys)
}

/// Zero-based where the values are of one size, logarithmic where they are not.
pub fn y_axis(name: &str, ys: &[f64], format: fn(f64) -> String) -> Axis {
    let (min, max) = ys.iter().fold((f64::MAX, f64::MIN), |(a, b), y| (a.min(*y), b.max(*y)));
    if min > 0.0 && max / min > 8.0 {
        Axis::log10(&format!("{name} (log scale)"), ys, format)
    } else {
        Axis::from_zero(name, ys, format)
    }
}

/// Draws axes and curves with labels at their ends; curves of one name have one label.
pub fn draw(frame: &mut Frame, x: Axis, y: Axis, curves: &[Curve]) -> Panel {
    let room = frame.room_for(curves.iter().map(|c| c.name.as_str()));
    let panel = unlabelled(frame, x, y, curves, room);
    let again = |i: usize| curves[..i].iter().any(|known| known.name == curves[i].name);
    let ends: Vec<_> = curves
        .iter()
        .enumerate()
        .filter(|(i, _)| !again(*i))
        .filter_map(|(_, c)| {
            let (x, s) = c.points.last()?;
            Some((c.name.as_str(), panel.at(*x, s.median), c.look))
        })
        .collect();
    frame.end_labels(&panel, &ends);
    panel
}

/// Draws axes and curves and leaves `room` pixels beside them; bands below all lines.
pub fn unlabelled(frame: &mut Frame, x: Axis, y: Axis, curves: &[Curve], room: f64) -> Panel {
    let panel = frame.panel(x, y, room);
    plot(frame, &panel, curves, true);
    panel
}

/// Draws curves alone, with their points unless they are many; bands below all lines.
pub fn plot(frame: &mut Frame, panel: &Panel, curves: &[Curve], marks: bool) {
    for curve in curves {
        let upper = curve.points.iter().map(|(x, s)| panel.at(*x, s.hi));
        let lower = curve.points.iter().rev().map(|(x, s)| panel.at(*x, s.lo));
        if curve.points.len() > 1 {
            frame.scene.area(upper.chain(lower).collect(), curve.look.colour, 0.16);
        }
    }
    for curve in curves {
        let path: Vec<_> = curve.points.iter().map(|(x, s)| panel.at(*x, s.median)).collect();
        whiskers(frame, panel, curve);
        if path.len() > 1 {
            frame.scene.line(path.clone(), curve.look.colour, 2.2, curve.look.dash);
        }
        for at in path.into_iter().filter(|_| marks) {
            frame.scene.mark(at, curve.look.marker, curve.look.colour, curve.hollow);
        }
    }
}

/// Interval bars at each point; the band alone hides how few points there are.
pub fn whiskers(frame: &mut Frame, panel: &Panel, curve: &Curve) {
    for (x, s) in &curve.points {
        let ((px, top), (_, bottom)) = (panel.at(*x, s.hi), panel.at(*x, s.lo));
        whisker(frame, px, [top, bottom], curve.look.colour);
    }
}

/// An interval bar from `top` to `bottom`; none where it would be smaller than a mark.
pub fn whisker(frame: &mut Frame, x: f64, [top, bottom]: [f64; 2], colour: Rgb) {
    if bottom - top < frame.px(2.0) {
        return;
    }
    let half = frame.px(4.0);
    for (a, b) in [
        ((x, top), (x, bottom)),
        ((x - half, top), (x + half, top)),
        ((x - half, bottom), (x + half, bottom)),
    ] {
        frame.scene.line(vec![a, b], colour, 1.2, &[]);
    }
}

/// An interval bar from `left` to `right`; none where it would be smaller than a mark.
pub fn whisker_across(frame: &mut Frame, y: f64, [left, right]: [f64; 2], colour: Rgb) {
    if right - left < frame.px(2.0) {
        return;
    }
    let half = frame.px(3.0);
    for (a, b) in [
        ((left, y), (right, y)),
        ((left, y - half), (left, y + half)),
        ((right, y - half), (right, y + half)),
    ] {
        frame.scene.line(vec![a, b], colour, 1.2, &[]);
    }
}
