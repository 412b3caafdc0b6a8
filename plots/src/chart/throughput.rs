//! Operations per second against threads.

use super::lines::{self, Curve};
use super::{Outcome, one};
use crate::axis::{Axis, si};
use crate::data::Set;
use crate::frame::Frame;
use crate::style::Size;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let curves = curves(set);
    let (xs, ys) = lines::extents(&curves);
    if ys.iter().all(|y| *y == 0.0) {
        return Err("no operation finished".into());
    }
    let title = if set.place.predicted { "Predicted throughput" } else { "Throughput" };
    let mut frame = Frame::new(size, &set.caption(title, &super::spread_note(set)));
    let y = lines::y_axis("operations per second", &ys, si);
    lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    one(frame.scene)
}

/// A curve a variant.
pub fn curves(set: &Set) -> Vec<Curve> {
    let curve = |track: &crate::data::Track| Curve {
        name: track.name.clone(),
        look: track.look,
        points: track
            .groups
            .iter()
            .filter_map(|g| Some((f64::from(g.threads), g.spread(|c| Some(c.ops_per_s))?)))
            .collect(),
        hollow: set.place.predicted,
    };
    set.tracks.iter().map(curve).collect()
}
