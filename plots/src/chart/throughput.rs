//! Operations per second against threads, with a ring where a scheme overtakes the one before it.

use results::metric::Metric;

use super::lines::{self, Curve};
use super::{Outcome, crossover, finding, one};
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
    let plain = if set.place.predicted { "Predicted throughput" } else { "Throughput" };
    let found = finding::against_oldest(set, &Metric::Throughput);
    let title = found.map_or(plain.into(), |words| words.throughput(set.place.predicted));
    let mut caption = set.caption(title, &super::interval_note(set));
    let crossovers = crossover::of(set);
    caption.subtitle += &crossover::sentence(&crossovers);
    let mut frame = Frame::new(size, &caption);
    let y = lines::y_axis("operations per second", &ys, si);
    let panel = lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    crossover::mark(&mut frame, &panel, &crossovers);
    one(frame.scene)
}

/// One curve per variant.
pub fn curves(set: &Set) -> Vec<Curve> {
    set.tracks.iter().map(|track| lines::by_threads(set, track, &Metric::Throughput)).collect()
}
