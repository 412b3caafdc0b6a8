//! Prediction against measurement: throughput of the same workload from the
//! simulator and from hardware, on one pair of axes.

use results::metric::Metric;

use super::lines;
use super::{Outcome, one};
use crate::axis::{Axis, si};
use crate::data::{Set, runs_of, small_print, spread};
use crate::frame::{Caption, Frame};
use crate::style::Size;

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    if !sets.iter().any(|s| s.place.predicted) || sets.iter().all(|s| s.place.predicted) {
        return Err("needs a measured and a predicted run of the workload".into());
    }
    let mut curves = Vec::new();
    for set in sets {
        for track in &set.tracks {
            let mut curve = lines::by_threads(set, track, &Metric::Throughput);
            curve.points.retain(|(_, s)| s.lo > 0.0);
            curve.look.dash = if set.place.predicted { &[5.0, 5.0] } else { &[] };
            curve.name = format!("{} · {}", track.name, set.place.machine);
            if !curve.points.is_empty() {
                curves.push(curve);
            }
        }
    }
    if curves.is_empty() {
        return Err("no operation finished".into());
    }
    let (xs, ys) = lines::extents(&curves);
    let note = format!(
        "Solid: measured; dashed and hollow: predicted. Points: median; bands and bars: {}.",
        spread(lines::trials(&curves))
    );
    let caption = Caption {
        title: "Predicted and measured throughput".into(),
        subtitle: sets[0].place.workload.clone(),
        small_print: small_print(&runs_of(sets), note),
    };
    let mut frame = Frame::new(size, &caption);
    let y = lines::y_axis("operations per second", &ys, si);
    lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    one(frame.scene)
}
