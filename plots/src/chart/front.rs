//! The measured small end beside the curve predicted for many CPUs: two panels on one scale,
//! each labelled for what it is. One picture for each set of parameters that both have.

use super::lines::{self, Curve};
use super::{Outcome, Picture, crossover, finding, throughput};
use crate::axis::{Axis, si};
use crate::data::{Set, runs_of, small_print, spread};
use crate::frame::{Area, Caption, Frame, fit};
use crate::scene::Scene;
use crate::style::{INK, Size, text};
use results::aggregate::SITES;
use results::metric::Metric;
use std::collections::BTreeMap;

/// The measured panel's share of the width.
const SMALL_END: f64 = 0.27;

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let mut pictures = Vec::new();
    for predicted in sets.iter().filter(|s| s.place.predicted) {
        let params = shared(predicted);
        let same = |s: &&&Set| !s.place.predicted && s.place.params == params;
        let Some(measured) = sets.iter().find(same) else { continue };
        let finished = |set: &Set| throughput::curves(set).into_iter().filter(any).collect();
        let (small, large): (Vec<Curve>, Vec<Curve>) = (finished(measured), finished(predicted));
        if small.is_empty() || large.is_empty() {
            continue;
        }
        let differs = measured.work.split_once(" (").map_or("", |(_, params)| params);
        let machine = predicted.place.machine.as_str();
        let several = sets.iter().any(|s| s.place.predicted && s.place.machine != machine);
        let of_machine = if several { machine } else { "" };
        let part = format!("{of_machine} {}", differs.trim_end_matches(')')).trim().to_owned();
        let scene = picture(size, measured, predicted, &small, &large);
        pictures.push(Picture { part, scene });
    }
    if pictures.is_empty() {
        return Err("needs a measured and a predicted run with the same parameters".into());
    }
    Ok(pictures)
}

/// The parameters that the measured run must have. On a model it makes no difference whether lock sites
/// are counted.
fn shared(predicted: &Set) -> BTreeMap<String, String> {
    let mut params = predicted.place.params.clone();
    params.remove(SITES);
    params
}

/// Whether anything can be drawn of it on a logarithmic scale.
fn any(curve: &Curve) -> bool {
    !curve.points.is_empty() && curve.points.iter().all(|(_, s)| s.lo > 0.0)
}

fn picture(size: Size, measured: &Set, predicted: &Set, small: &[Curve], large: &[Curve]) -> Scene {
    let plain = "Throughput: measured here, predicted beyond";
    let crossovers = crossover::of(predicted);
    let found = finding::against_oldest(predicted, &Metric::Throughput);
    let caption = Caption {
        title: found.map_or(plain.into(), |words| words.throughput(true)),
        subtitle: predicted.place.work_words() + &crossover::sentence(&crossovers),
        small_print: small_print(
            &runs_of(&[measured, predicted]),
            format!(
                "Points: median. Solid: measured; bands and bars: {}. Hollow: predicted; bands and \
                 bars: {}.",
                spread(lines::trials(small)),
                spread(lines::trials(large))
            ),
        ),
    };
    let mut frame = Frame::new(size, &caption);
    let mut ys = lines::extents(small).1;
    ys.extend(lines::extents(large).1);
    let axes = |name, curves| {
        (Axis::log2("threads", &lines::extents(curves).0), lines::y_axis(name, &ys, si))
    };
    let whole = frame.free;
    let split = whole.left + SMALL_END * (whole.right - whole.left);
    let right = split + frame.px(14.0);
    let below = Area { top: whole.top + frame.px(24.0), ..whole };
    frame.free = Area { right: split, ..below };
    let (x, y) = axes("operations per second", small);
    lines::unlabelled(&mut frame, x, y, small, 0.0);
    frame.free = Area { left: right, ..below };
    let (x, mut y) = axes("", large);
    // The scale is the left panel's, and named there.
    y.name.clear();
    let panel = lines::draw(&mut frame, x, y, large);
    crossover::mark(&mut frame, &panel, &crossovers);
    heading(&mut frame, (whole.left, split), format!("measured: {}", cpus(measured)));
    let words = format!("predicted: {}", cpus(predicted));
    heading(&mut frame, (right, whole.right), words);
    frame.scene
}

/// The number of CPUs that a panel goes to, and the machine they are of.
fn cpus(set: &Set) -> String {
    let most = set.groups().map(|(_, g)| g.threads()).max().unwrap_or(0);
    match set.place.predicted {
        true => format!("to {most} CPUs, by the model {}", set.place.machine),
        false => format!("{most} CPUs"),
    }
}

fn heading(frame: &mut Frame, (left, right): (f64, f64), words: String) {
    let words = fit(&words, frame.px(text::LABEL), true, right - left);
    frame.scene.title((left, frame.free.top - frame.px(12.0)), words, text::LABEL, INK);
}
