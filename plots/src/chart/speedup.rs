//! Throughput as a multiple of one thread's, and that multiple per thread.

use results::metric::Metric;

use super::lines::{self, Curve};
use super::{Outcome, one};
use crate::axis::{Axis, percent, short};
use crate::data::{Median, Set};
use crate::frame::Frame;
use crate::scene::Anchor;
use crate::style::{MUTED, Size, text};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let curves = curves(set, |ratio, _| ratio)?;
    let (xs, mut ys) = lines::extents(&curves);
    let most = xs.iter().fold(1.0f64, |a, b| a.max(*b));
    let best = ys.iter().fold(1.0f64, |a, b| a.max(*b));
    // The ideal line leaves the picture where it would squeeze the data.
    let ideal = most.min(best * 1.6);
    ys.push(ideal);
    let mut frame =
        Frame::new(size, &set.caption("Speedup over one thread", &super::interval_note(set)));
    let y = lines::y_axis("times the median at 1 thread", &ys, |v| format!("{}×", short(v)));
    let panel = lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    frame.scene.line(steps(ideal).map(|v| panel.at(v, v)).collect(), MUTED, 1.2, &[2.0, 4.0]);
    let middle = panel.at(ideal.powf(0.8), ideal.powf(0.8));
    let at = (middle.0 - frame.px(8.0), middle.1 - frame.px(4.0));
    frame.scene.text(at, "ideal", text::SMALL, MUTED, Anchor::End);
    one(frame.scene)
}

/// Speedup divided by threads: what one more thread is still worth.
pub fn draw_efficiency(set: &Set, size: Size) -> Outcome {
    let curves = curves(set, |ratio, threads| ratio / threads)?;
    let (xs, ys) = lines::extents(&curves);
    let mut frame =
        Frame::new(size, &set.caption("Scaling efficiency", &super::interval_note(set)));
    let y = lines::y_axis("speedup / threads", &ys, percent);
    let panel = lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    let most = xs.iter().fold(1.0f64, |a, b| a.max(*b));
    let ends = vec![panel.at(1.0, 1.0), panel.at(most, 1.0)];
    frame.scene.line(ends, MUTED, 1.2, &[2.0, 4.0]);
    one(frame.scene)
}

/// A straight line is bent on mixed axes: enough points to show it.
fn steps(to: f64) -> impl Iterator<Item = f64> {
    (0..=40).map(move |i| to.powf(f64::from(i) / 40.0))
}

fn curves(set: &Set, value: fn(f64, f64) -> f64) -> Result<Vec<Curve>, String> {
    let curves: Vec<Curve> = set
        .tracks
        .iter()
        .filter_map(|track| {
            let base = track.groups.first().filter(|g| g.threads() == 1)?;
            let points = track
                .groups
                .iter()
                .filter_map(|g| {
                    let mut s = Median::of_ratio(
                        &base.samples(&Metric::Throughput),
                        &g.samples(&Metric::Throughput),
                    )?;
                    if g.threads() == 1 {
                        // Against itself: one by definition.
                        (s.lo, s.hi) = (1.0, 1.0);
                    }
                    let n = f64::from(g.threads());
                    (s.lo, s.median, s.hi) = (value(s.lo, n), value(s.median, n), value(s.hi, n));
                    Some((n, s))
                })
                .collect();
            Some(Curve {
                name: track.name.clone(),
                look: track.look,
                points,
                hollow: set.place.predicted,
            })
        })
        .filter(|c: &Curve| c.points.len() > 1)
        .collect();
    if curves.is_empty() {
        return Err("needs trials at one thread and at more".into());
    }
    Ok(curves)
}
