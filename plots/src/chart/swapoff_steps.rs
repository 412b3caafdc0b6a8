//! Where the time of a swapoff goes: a row for each step and a dot for each scheme, on one logarithmic
//! axis of times, so that a step of microseconds is seen beside one of seconds; and below them what one
//! allocation costs, which is where a cheap barrier is paid for.

use results::metric::Percentile;
use results::schema::Cell;
use results::steps::BARRIER;

use super::latency::most_threads;
use super::lines::whisker_across;
use super::swapoff::{by_trial, step, step_names, total};
use super::{Outcome, finding, one};
use crate::axis::{Axis, time};
use crate::data::{Group, Median, Set, spread};
use crate::frame::{Frame, Panel, fit};
use crate::scene::{Anchor, text_width};
use crate::style::{GRID, GRID_MINOR, INK, Look, MUTED, Size, text};

/// The operations that pay for a barrier.
const PAYING: &str = "alloc";

/// A label, and a dot for each scheme that has the figure.
struct Row {
    label: String,
    dots: Vec<(Look, Median)>,
}

pub fn draw(set: &Set, size: Size) -> Outcome {
    let steps = step_names(set);
    if steps.is_empty() {
        return Err("no swapoff was recorded".into());
    }
    let mut rows: Vec<Row> = steps.iter().map(|name| row(set, name, |g| times(g, name))).collect();
    rows.push(row(set, "the whole", |g| Median::of_trials(&by_trial(g, |off| Some(total(off))))));
    let price = row(set, "one allocation, p50", price);
    let priced = !price.dots.is_empty();
    rows.extend(priced.then_some(price));
    let mut note = format!(
        "Dots: median over all swapoffs; bars, by trial: {}.",
        spread(set.tracks.iter().map(|track| track.widest().cells.len()))
    );
    if steps.iter().any(|name| name.contains("RCU")) {
        note += " A grace period is membarrier(2) here. No line stands for the kernel's: no figure of \
                 it on hardware is cited.";
    }
    let mut frame = Frame::new(size, &set.caption(title(set), &note));
    let key: Vec<_> = set.tracks.iter().map(|track| (track.name.as_str(), track.look)).collect();
    frame.key(&key);
    dots(&mut frame, &rows, priced);
    one(frame.scene)
}

/// How large the barrier's share is, where it is largest.
fn title(set: &Set) -> String {
    let share = |group: &Group| {
        let share = |off: &_| Some(step(off, BARRIER)? / total(off));
        Some(Median::of_trials(&by_trial(group, share))?.median)
    };
    let shares = set.tracks.iter().filter_map(|track| share(track.widest()));
    match shares.filter(|share| share.is_finite()).reduce(f64::max) {
        Some(most) => {
            let share = finding::at_most(most);
            let words = format!("the barrier is {share} of a swapoff, at {}", most_threads(set));
            finding::said(set.place.predicted, &words)
        }
        None => format!("swapoff by step, at {}", most_threads(set)),
    }
}

fn row(set: &Set, label: &str, value: impl Fn(&Group) -> Option<Median>) -> Row {
    let dot = |track: &crate::data::Track| Some((track.look, at_least_1(value(track.widest())?)));
    Row { label: label.into(), dots: set.tracks.iter().filter_map(dot).collect() }
}

/// A clock tick of zero has no place on a logarithmic axis; it means "below 1 ns".
fn at_least_1(m: Median) -> Median {
    Median { n: m.n, lo: m.lo.max(1.0), median: m.median.max(1.0), hi: m.hi.max(1.0) }
}

fn times(group: &Group, name: &str) -> Option<Median> {
    Median::of_trials(&by_trial(group, |off| step(off, name)))
}

fn price(group: &Group) -> Option<Median> {
    let p50 = |cell: &Cell| Some(Percentile::P50.of(cell.kinds.get(PAYING)?.latency.as_ref()?));
    Median::of(&group.values(p50))
}

/// Draws all rows on one axis; the last stands apart where it is no step.
fn dots(frame: &mut Frame, rows: &[Row], priced: bool) {
    let all: Vec<f64> =
        rows.iter().flat_map(|row| &row.dots).flat_map(|(_, m)| [m.lo, m.median, m.hi]).collect();
    let x = Axis::log10("time (log scale)", &all, time);
    let marks: Vec<f64> =
        x.ticks().iter().filter(|tick| tick.label.is_some()).map(|tick| tick.value).collect();
    let wide = |row: &Row| text_width(&row.label, frame.px(text::LABEL), false);
    let room = (frame.free.right - frame.free.left) * 0.36;
    let labels = rows.iter().map(wide).fold(0.0, f64::max).min(room);
    let left = frame.free.left;
    frame.free.left += labels + frame.px(4.0);
    // No name stands above the panel.
    frame.free.top -= frame.px(22.0);
    let panel = frame.panel(x, Axis::bare("", 0.0, rows.len() as f64), 0.0);
    let area = panel.area;
    let height = (area.bottom - area.top) / rows.len() as f64;
    for (i, row) in rows.iter().enumerate() {
        let (top, middle) = (area.top + height * i as f64, area.top + height * (i as f64 + 0.5));
        if i % 2 == 0 {
            frame.scene.bar((area.left, top), (area.right, top + height), GRID_MINOR);
        }
        let size = text::LABEL.min(0.8 * height / frame.px(1.0));
        let label = fit(&row.label, frame.px(size), false, labels);
        let at = (left + labels, middle + 0.35 * frame.px(size));
        let ink = if priced && i + 1 == rows.len() { MUTED } else { INK };
        frame.scene.text(at, label, size, ink, Anchor::End);
    }
    for mark in marks {
        let x = panel.x_at(mark);
        frame.scene.line(vec![(x, area.top), (x, area.bottom)], GRID, 1.0, &[]);
    }
    if priced {
        let y = area.bottom - height;
        frame.scene.line(vec![(left, y), (area.right, y)], MUTED, 1.2, &[]);
    }
    for (i, row) in rows.iter().enumerate() {
        draw_row(frame, &panel, row, area.top + height * (i as f64 + 0.5), height);
    }
}

/// The dots of a row under each other, so that equal ones are all seen, and their range in words.
fn draw_row(frame: &mut Frame, panel: &Panel, row: &Row, middle: f64, height: f64) {
    let n = row.dots.len() as f64;
    let step = (height / (n + 1.0)).min(frame.px(9.0));
    for (i, (look, m)) in row.dots.iter().enumerate() {
        let y = middle + step * (i as f64 - (n - 1.0) / 2.0);
        whisker_across(frame, y, [panel.x_at(m.lo), panel.x_at(m.hi)], look.colour);
        frame.scene.mark((panel.x_at(m.median), y), look.marker, look.colour, false);
    }
    let medians = || row.dots.iter().map(|(_, m)| m.median);
    let (low, high) = (medians().fold(f64::MAX, f64::min), medians().fold(0.0, f64::max));
    let words = match (time(low), time(high)) {
        _ if row.dots.is_empty() => return,
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    let size = text::SMALL.min(0.8 * height / frame.px(1.0));
    let base = middle + 0.35 * frame.px(size);
    let ends = |of: fn(&Median) -> f64| row.dots.iter().map(move |(_, m)| of(m));
    let right = panel.x_at(ends(|m| m.hi).fold(0.0, f64::max)) + frame.px(12.0);
    let (x, anchor) = match right + text_width(&words, frame.px(size), false) < panel.area.right {
        true => (right, Anchor::Start),
        false => {
            (panel.x_at(ends(|m| m.lo).fold(f64::MAX, f64::min)) - frame.px(12.0), Anchor::End)
        }
    };
    frame.scene.text((x, base), words, size, MUTED, anchor);
}
