//! Charts that the page does not draw itself, as it gets them: the same shapes that
//! become SVG and PNG, with colours that follow the page's theme. A chart that is
//! added to the list of charts is on the page with no word here.

use std::fmt::Write;

use rayon::prelude::*;
use results::store::Loaded;
use serde_json::{Value, json};

use super::content;
use crate::chart::Job;
use crate::data::Set;
use crate::scene::{self, Anchor, Scene, Shape};
use crate::style::{self, Dash, Rgb, Shade};

/// Charts that the page draws itself, with hover and scales; and `waits`, which has one
/// picture per variant and number of threads: too many for a page.
const OWN: [&str; 15] = [
    "heat",
    "throughput",
    "speedup",
    "efficiency",
    "latency",
    "response",
    "contention",
    "counters",
    "fairness",
    "swapoff",
    "swapoff-size",
    "transfers",
    "series",
    "predicted",
    "waits",
];

/// Bytes of pictures, even where the page has room for more: it is read, not archived.
const MOST: usize = super::BUDGET / 4;

/// The pictures of every other chart of `jobs`, in at most `left` bytes of the page, with the
/// sets that each shows; and the names of those that did not fit.
pub fn of(sets: &[Set], jobs: Vec<Job>, left: usize) -> Value {
    let jobs: Vec<Job> = jobs.into_iter().filter(|j| !OWN.contains(&j.chart)).collect();
    let drawn: Vec<(String, Value)> =
        jobs.par_iter().flat_map_iter(|job| drawn(job, sets)).collect();
    let (mut kept, mut left_out, mut bytes) = (Vec::new(), Vec::new(), 0);
    // Every name may have to be among those left out.
    let names: usize = drawn.iter().map(|(stem, _)| stem.len() + "\"\",".len()).sum();
    let mut on_page = names + 64;
    for (stem, mut picture) in drawn {
        bytes += picture.to_string().len();
        content::shorten(&mut picture);
        let size = super::embedded(&picture.to_string()).len() + ",".len();
        if bytes <= MOST && on_page + size <= left {
            on_page += size;
            kept.push(picture);
        } else {
            left_out.push(stem);
        }
    }
    json!({ "kept": kept, "left_out": left_out })
}

fn drawn(job: &Job, sets: &[Set]) -> Vec<(String, Value)> {
    let shown = |run: &&Loaded, of: &Set| of.runs.iter().any(|known| std::ptr::eq(*known, *run));
    let here = |set: &Set| {
        let same = |of: &&&Set| of.place == set.place && set.runs.iter().any(|run| shown(run, of));
        job.sets.iter().any(|of| same(&of))
    };
    let of: Vec<usize> = (0..sets.len()).filter(|&n| here(&sets[n])).collect();
    let pictures = (job.draw)(style::README).unwrap_or_default();
    pictures.iter().map(|p| (job.stem.clone(), picture(job.chart, &p.scene, &of))).collect()
}

fn picture(chart: &str, scene: &Scene, sets: &[usize]) -> Value {
    let shapes: Vec<Value> = scene.shapes.iter().map(shape).collect();
    json!({ "chart": chart, "sets": sets, "size": [scene.size.width, scene.size.height], "shapes": shapes })
}

/// `[path, fill, stroke, width, dash, opacity]` or `[text, x, y, size, colour, bold, anchor]`,
/// the longer of the two.
fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Line { points, colour, width, dash } => {
            json!([path(points, false), null, css(*colour), round(*width), dashes(dash), 1])
        }
        Shape::Area { points, colour, opacity } => {
            json!([path(points, true), css(*colour), null, 0, null, opacity])
        }
        Shape::Mark { x, y, marker, colour, radius, hollow } => {
            let outline = path(&scene::outline(*marker, (*x, *y), *radius), true);
            match hollow {
                true => json!([outline, css(style::PAPER), css(*colour), 2, null, 1]),
                false => json!([outline, css(*colour), css(style::PAPER), 1, null, 1]),
            }
        }
        Shape::Text { x, y, text, size, colour, bold, anchor } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let size = round(size / scene::SVG_TEXT);
            json!([text, round(*x), round(*y), size, css(*colour), bold, anchor])
        }
    }
}

fn path(points: &[(f64, f64)], closed: bool) -> String {
    let mut path = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let step = if i == 0 { 'M' } else { 'L' };
        write!(path, "{step}{} {}", round(*x), round(*y)).expect("a string takes all");
    }
    path + if closed { "Z" } else { "" }
}

fn dashes(dash: Dash) -> Option<String> {
    let lengths: Vec<String> = dash.iter().map(f64::to_string).collect();
    (!lengths.is_empty()).then(|| lengths.join(" "))
}

fn round(v: f64) -> f64 {
    (v * 10.0).round() / 10.0
}

/// A colour of the style by its name on the page, so that it follows the theme.
pub(super) fn css(colour: Rgb) -> String {
    match style::shade(colour) {
        Some(Shade { name, mixed: None, .. }) => format!("var({name})"),
        Some(Shade { name, mixed: Some((percent, ground)), .. }) => {
            format!("color-mix(in srgb, var({name}) {percent}%, var({ground}))")
        }
        None => colour.hex(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart;
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn charts_that_the_page_does_not_draw_are_on_it_as_pictures() {
        let of_sets = chart::OF_SET.iter().map(|(name, _)| name);
        let names: Vec<_> = of_sets
            .chain(chart::OF_WORKLOAD.iter().map(|(name, _)| name))
            .chain([&"heat"])
            .collect();
        assert!(OWN.iter().all(|own| names.contains(&own)), "{names:?}");
        let runs = [common::native(&Plan::default())];
        let sets = data::sets(&runs);
        let pictures = of(&sets, chart::jobs(&sets), usize::MAX);
        let kept = pictures["kept"].as_array().unwrap();
        assert!(kept.iter().any(|p| p["sets"] == json!([0])), "the ablation of the first set");
        assert_eq!(pictures["left_out"], json!([]));
        assert!(pictures.to_string().len() < MOST);
    }

    #[test]
    fn all_colours_of_the_charts_follow_the_theme() {
        let runs = [common::native(&Plan::default())];
        let sets = data::sets(&runs);
        let text = of(&sets, chart::jobs(&sets), usize::MAX).to_string();
        assert!(text.contains("var(--h0)") && !text.contains("\"#"), "a fixed colour");
    }
}
