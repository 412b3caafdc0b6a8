//! Fairness: Jain's index against threads, and how far single threads are from
//! their fair share at the largest thread count.

use results::metric::Metric;

use super::lines::{self, Curve};
use super::{Outcome, one};
use crate::axis::{Axis, percent, short};
use crate::data::{Set, Track};
use crate::frame::Frame;
use crate::style::{MUTED, Size};

pub fn draw(set: &Set, size: Size) -> Outcome {
    let curves: Vec<Curve> = set
        .tracks
        .iter()
        .map(|track| lines::by_threads(set, track, &Metric::Jain))
        .map(|mut curve| {
            // One thread is fair to itself.
            curve.points.retain(|(threads, _)| *threads > 1.0);
            curve
        })
        .filter(|c| !c.points.is_empty())
        .collect();
    if curves.is_empty() {
        return Err("needs trials with more than one thread".into());
    }
    let note = format!("{} Right: each dot is a thread of one trial.", super::interval_note(set));
    let mut frame = Frame::new(size, &set.caption("Fairness", &note));
    let page = frame.free;
    frame.free.right = page.left + (page.right - page.left) * 0.62;
    let (xs, mut ys) = lines::extents(&curves);
    ys.push(1.0);
    let (lowest, highest) = ys.iter().fold((1.0f64, 1.0f64), |(a, b), y| (a.min(*y), b.max(*y)));
    let (low, high) = ((lowest - 0.02).max(lowest.min(0.0)), highest.max(1.0005));
    let y = Axis::span("Jain's index (1 is fair)", low, high, short);
    lines::draw(&mut frame, Axis::log2("threads", &xs), y, &curves);
    frame.free = page;
    frame.free.left = page.left + (page.right - page.left) * 0.66;
    shares(&mut frame, set);
    one(frame.scene)
}

/// One column per variant: each thread's operations against the mean of its trial.
fn shares(frame: &mut Frame, set: &Set) {
    let columns: Vec<(&Track, Vec<f64>)> = set
        .tracks
        .iter()
        .filter(|t| t.widest().threads() > 1)
        .map(|t| (t, t.widest().cells.iter().flat_map(|c| fair_shares(&c.per_thread)).collect()))
        .filter(|(_, shares): &(_, Vec<f64>)| !shares.is_empty())
        .collect();
    let all: Vec<f64> = columns.iter().flat_map(|(_, s)| s).copied().chain([1.0]).collect();
    if columns.is_empty() {
        return;
    }
    let y = Axis::from_zero("of the fair share, by thread", &all, percent);
    let n = columns.len() as f64;
    let x = Axis::bare("variant", 0.0, n);
    let panel = frame.panel(x, y, 0.0);
    let (from, to) = (panel.at(0.0, 1.0), panel.at(n, 1.0));
    frame.scene.line(vec![from, to], MUTED, 1.2, &[2.0, 4.0]);
    for (i, (track, shares)) in columns.iter().enumerate() {
        for (k, share) in shares.iter().enumerate() {
            // Median sideways by a fixed rule, so that dots of equal height are seen.
            let aside = 0.25 + 0.5 * ((k as f64 * 0.7549) % 1.0);
            let at = panel.at(i as f64 + aside, *share);
            frame.scene.dot(at, track.look.colour);
        }
        let at = (panel.x_at(i as f64 + 0.5), panel.area.bottom + frame.px(20.0));
        frame.scene.mark((at.0, at.1 - frame.px(6.0)), track.look.marker, track.look.colour, false);
    }
}

/// Operations of each thread over their mean; nothing where none were done.
fn fair_shares(per_thread: &[u64]) -> Vec<f64> {
    let sum: u64 = per_thread.iter().sum();
    if sum == 0 {
        return Vec::new();
    }
    let mean = sum as f64 / per_thread.len() as f64;
    per_thread.iter().map(|n| *n as f64 / mean).collect()
}
