//! Small multiples: several measures of the same variants on one page, each on axes of
//! its own, with one key for all.

use super::lines::{self, Curve};
use crate::axis::Axis;
use crate::frame::{Area, Caption, Frame};
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
    panels: Vec<Panel>,
    columns: usize,
) -> Scene {
    let mut frame = Frame::new(size, caption);
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
        let (x, y) = (area.left, area.top + frame.px(15.0));
        frame.scene.text((x, y), &panel.name, text::LABEL, MUTED, Anchor::Start);
        let y = y + frame.px(22.0);
        frame.scene.text((x, y), "not recorded", text::LABEL, MUTED, Anchor::Start);
        return;
    }
    let axes = frame.panel((panel.x)(&xs), (panel.y)(&panel.name, &ys), 0.0);
    lines::plot(frame, &axes, &panel.curves, panel.marks);
}
