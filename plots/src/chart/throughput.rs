//! Operations per second against threads.

use results::metric::Metric;

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
    let mut frame = Frame::new(size, &set.caption(title, &super::interval_note(set)));
    let y = lines::y_axis("operations per second", &ys, si);
    lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    one(frame.scene)
}

/// One curve per variant.
pub fn curves(set: &Set) -> Vec<Curve> {
    set.tracks.iter().map(|track| lines::by_threads(set, track, &Metric::Throughput)).collect()
}
