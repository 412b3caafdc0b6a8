//! The report page: one HTML file with everything in it. The data goes in as JSON,
//! the page's own script draws it; names from a run are only ever set as text.

mod content;
mod histograms;
mod pairs;
mod pictures;
mod verdict;

use std::path::Path;

use results::store::Loaded;
use serde_json::Value;

use crate::chart::{self, Job};
use crate::data::Set;
use crate::{PlotError, data, style};

const CSS: &str = include_str!("page.css");
const SCRIPTS: [&str; 11] = [
    include_str!("scale.js"),
    include_str!("element.js"),
    include_str!("state.js"),
    include_str!("chart.js"),
    include_str!("picture.js"),
    include_str!("verdict.js"),
    include_str!("heat.js"),
    include_str!("race.js"),
    include_str!("sections.js"),
    include_str!("table.js"),
    include_str!("page.js"),
];

/// A race diagram from the checker: plain text in columns, and its steps where they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Race {
    pub title: String,
    /// What it shows, in a sentence; may be empty.
    pub about: String,
    pub text: String,
    /// What `check --json` calls `timeline`: lanes, rows, and the state after each.
    pub timeline: Option<Value>,
    /// The timeline of the same acts where nothing is broken.
    pub counterpart: Option<Value>,
}

/// Writes the page for `runs` to the file `out`.
pub fn page(runs: &[Loaded], races: &[Race], out: &Path) -> Result<(), PlotError> {
    crate::each_once(runs)?;
    let sets = data::sets(runs);
    if sets.is_empty() {
        return Err(PlotError::Empty);
    }
    let by_run = data::sets_by_run(runs);
    let text = whole(runs, races, jobs(&sets, &by_run));
    std::fs::write(out, text).map_err(|e| PlotError::write(out, e))
}

/// The pictures of one set are of one run, as the page's own charts are; those of several are the files'.
fn jobs<'a>(pooled: &'a [Set<'a>], by_run: &'a [Set<'a>]) -> Vec<Job<'a>> {
    let of_set = |job: &Job| chart::OF_SET.iter().any(|(name, _)| *name == job.chart);
    let own = chart::jobs(by_run).into_iter().filter(of_set);
    own.chain(chart::jobs(pooled).into_iter().filter(|job| !of_set(job))).collect()
}

/// Bytes of a page. Data beyond it are not left out; pictures of charts are.
const BUDGET: usize = 2_000_000;

/// The page, with as many of the pictures that `jobs` draw as the budget allows.
fn whole(runs: &[Loaded], races: &[Race], jobs: Vec<Job>) -> String {
    let sets = data::sets_by_run(runs);
    let mut data = content::json(runs, &sets, races);
    let left = BUDGET.saturating_sub(html(&data.to_string()).len());
    data["pictures"] = pictures::of(&sets, jobs, left);
    html(&data.to_string())
}

/// Nothing may be loaded from anywhere: the policy makes the browser refuse it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

fn html(json: &str) -> String {
    let scripts: String = SCRIPTS.iter().map(|s| format!("<script>\n{s}</script>\n")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>swapscale report</title>\n<style>\n{}{CSS}</style>\n</head>\n<body>\n\
         <noscript>This page draws its charts with JavaScript.</noscript>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n{scripts}</body>\n</html>\n",
        colours(),
        embedded(json),
    )
}

/// JSON that cannot end the element it stands in.
fn embedded(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// The series colours, from where the pictures have theirs.
fn colours() -> String {
    let named = style::named();
    let list = |of: fn(&style::Hue) -> style::Rgb| -> String {
        named.iter().map(|(name, hue)| format!("{name}:{};", of(hue).hex())).collect()
    };
    format!(":root{{{}}}\n:root.dark{{{}}}\n", list(|hue| hue.light), list(|hue| hue.dark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Picture;
    use crate::common::{self, Plan};
    use crate::scene::Scene;

    /// New charts take what is left of the page, however many and large they are.
    #[test]
    fn new_charts_do_not_outgrow_the_page() {
        let runs = [common::native(&Plan::default())];
        let sets = data::sets(&runs);
        let draw = |size| {
            let mut scene = Scene::new(size);
            let points = (0..5_000).map(|i| (f64::from(i % 900), f64::from(i % 560))).collect();
            scene.line(points, style::INK, 1.0, &[]);
            Ok(vec![Picture { part: String::new(), scene }])
        };
        let toy = |n: usize| Job {
            chart: "toy",
            stem: format!("toy-{n}"),
            sets: vec![&sets[0]],
            draw: Box::new(draw),
        };
        let page = |races: &[Race], toys| {
            let jobs = chart::jobs(&sets).into_iter().chain((0..toys).map(toy)).collect();
            whole(&runs, races, jobs)
        };
        let before = page(&[], 0).len();
        assert!(page(&[], 1).len() > before + 20_000, "a new chart is on the page");
        let many = page(&[], 100);
        assert!(many.len() < before + BUDGET / 3 && many.contains("toy-99"), "it names the rest");
        let title = "a".repeat(BUDGET - before - 30_000);
        let full = [Race { title, ..Race::default() }];
        assert!(page(&full, 3).len() < BUDGET, "of a full page the pictures take what is left");
    }

    #[test]
    fn data_cannot_end_its_element() {
        let json = serde_json::json!({ "name": "</script><!--" }).to_string();
        let safe = embedded(&json);
        assert!(!safe.contains('<'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap()["name"],
            "</script><!--"
        );
    }
}
