//! Service time next to response time in open-loop runs: a caller's wait begins when the operation
//! was due, not when a worker started it.

use super::latency::{draw_curves, kinds, most_threads, percentiles};
use super::lines::Curve;
use super::{Outcome, Picture};
use crate::data::Set;
use crate::style::Size;

pub fn draw(set: &Set, size: Size) -> Outcome {
    let mut pictures = Vec::new();
    for kind in kinds(set) {
        let mut curves = Vec::new();
        for track in &set.tracks {
            let group = track.widest();
            let response = percentiles(group, |c| c.kinds.get(&kind)?.response.as_ref());
            if response.is_empty() {
                continue;
            }
            let service = percentiles(group, |c| c.kinds.get(&kind)?.latency.as_ref());
            for (name, points, hollow) in
                [("response", response, false), ("service", service, true)]
            {
                let name = format!("{} {name}", track.name);
                let mut look = track.look;
                look.dash = if hollow { &[4.0, 4.0] } else { &[] };
                curves.push(Curve { name, look, points, hollow });
            }
        }
        if !curves.is_empty() {
            let title = format!("Response and service time of {kind} at {}", most_threads(set));
            pictures.push(Picture { part: kind, scene: draw_curves(set, size, &title, &curves) });
        }
    }
    if pictures.is_empty() {
        return Err("no open-loop run, so no response times".into());
    }
    Ok(pictures)
}
