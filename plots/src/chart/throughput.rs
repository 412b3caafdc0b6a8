//! Operations per second against threads.

use super::lines::{self, Curve};
use super::{Outcome, one};
use crate::axis::{Axis, si};
use crate::data::Set;
use crate::frame::Frame;
use crate::style::Size;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let curves: Vec<Curve> = set
        .tracks
        .iter()
        .map(|track| Curve {
            name: track.name.clone(),
            look: track.look,
            points: track
                .groups
                .iter()
                .filter_map(|g| Some((f64::from(g.threads), g.spread(|c| Some(c.ops_per_s))?)))
                .collect(),
            hollow: set.place.predicted,
        })
        .collect();
    let (xs, ys) = lines::extents(&curves);
    if ys.iter().all(|y| *y == 0.0) {
        return Err("no operation finished".into());
    }
    let mut frame = Frame::new(size, &set.caption("Throughput", &super::spread_note(set)));
    let y = lines::y_axis("operations per second", &ys, si);
    lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    one(frame.scene)
}
