//! Small multiples: several measures of the same variants on one page, each on axes of
//! its own, with one key for all.

use super::lines::{self, Curve};
use crate::axis::{Axis, si};
use crate::frame::{Area, Caption, Frame, fit};
use crate::scene::{Anchor, Scene};
use crate::style::{Look, MUTED, Size, text};

/// One panel. The axes are made from the values that are there.
pub struct Panel {
    pub name: String,
    pub x: fn(&[f64]) -> Axis,
    pub y: fn(&str, &[f64]) -> Axis,
    pub curves: Vec<Curve>,
    /// Whether the points are marked: not where they are many.
    pub marks: bool,
}

pub fn draw(
    size: Size,
    caption: &Caption,
    tracks: &[(&str, Look)],
    mut panels: Vec<Panel>,
    columns: usize,
) -> Scene {
    let mut frame = Frame::new(size, caption);
    // Words do not stand between pictures.
    panels.sort_by_key(|panel| flat(&panel.curves).is_some());
    frame.key(tracks);
    let areas = frame.grid(panels.len().div_ceil(columns), columns);
    for (area, panel) in areas.into_iter().zip(panels) {
        fill(&mut frame, area, panel);
    }
    frame.scene
}

fn fill(frame: &mut Frame, area: Area, mut panel: Panel) {
    frame.free = area;
    panel.curves.retain(|curve| !curve.points.is_empty());
    let (xs, ys) = lines::extents(&panel.curves);
    if xs.is_empty() {
        say(frame, area, &panel.name, "not recorded");
        return;
    }
    if let Some(words) = flat(&panel.curves) {
        say(frame, area, &panel.name, &words);
        return;
    }
    let axes = frame.panel((panel.x)(&xs), (panel.y)(&panel.name, &ys), 0.0);
    lines::plot(frame, &axes, &panel.curves, panel.marks);
}

/// What stands in place of curves that are all one value: there is nothing to see in a line.
fn flat(curves: &[Curve]) -> Option<String> {
    let mut values = curves.iter().flat_map(|curve| &curve.points).map(|(_, m)| m.median);
    let first = values.next()?;
    let many = curves.iter().any(|curve| curve.points.len() > 1);
    (many && values.all(|value| value == first)).then(|| format!("{} throughout", si(first)))
}

fn say(frame: &mut Frame, area: Area, name: &str, words: &str) {
    let width = area.right - area.left;
    for (line, below) in [(name, 15.0), (words, 37.0)] {
        let line = fit(line, frame.px(text::LABEL), false, width);
        let at = (area.left, area.top + frame.px(below));
        frame.scene.text(at, line, text::LABEL, MUTED, Anchor::Start);
    }
}
