//! The charts, one file each. A chart whose data is absent says why instead of
//! showing an empty frame.

mod ablation;
mod bars;
mod butterfly;
mod contention;
mod counters;
mod crossover;
mod fairness;
pub(crate) mod finding;
mod front;
mod heat;
mod history;
mod hold;
mod latency;
mod leading;
pub(crate) mod lines;
pub mod load;
pub mod matrix;
mod panels;
mod predicted;
mod preempted;
mod response;
mod series;
mod speedup;
pub(crate) mod swapoff;
mod swapoff_size;
mod swapoff_slots;
mod swapoff_steps;
mod throughput;
mod transfers;
mod waits;

pub use leading::leading;

use crate::data::{self, Set, spread};
use crate::scene::Scene;
use crate::style::Size;

/// A picture and what its file name ends in, or why there is none.
pub type Outcome = Result<Vec<Picture>, String>;

pub struct Picture {
    /// Told apart from others of the same chart and set; often empty.
    pub part: String,
    pub scene: Scene,
}

/// The meaning of a chart's bars and bands, and the number of trials.
fn interval_note(set: &Set) -> String {
    let trials = || set.groups().map(|(_, g)| g.cells.len());
    let n = match (trials().min(), trials().max()) {
        (_, Some(1)) => return "Points: one trial each, so without an interval.".into(),
        (Some(a), Some(b)) if a != b => format!("{a} to {b}"),
        (Some(a), _) => a.to_string(),
        _ => "0".into(),
    };
    format!("Points: median of n = {n} trials; bands and bars: {}.", spread(trials()))
}

/// The only picture of a chart.
fn one(scene: Scene) -> Outcome {
    Ok(vec![Picture { part: String::new(), scene }])
}

/// A chart of one set.
pub type OfSet = fn(&Set, Size) -> Outcome;

/// Every chart of one set, by file name.
pub const OF_SET: &[(&str, OfSet)] = &[
    ("throughput", throughput::draw),
    ("speedup", speedup::draw),
    ("efficiency", speedup::draw_efficiency),
    ("latency", latency::draw),
    ("response", response::draw),
    ("contention", contention::draw),
    ("butterfly", butterfly::draw),
    ("waits", waits::draw),
    ("counters", counters::draw),
    ("fairness", fairness::draw),
    ("swapoff", swapoff_steps::draw),
    ("ablation", ablation::draw),
    ("transfers", transfers::draw),
    ("series", series::draw),
];

/// A chart of the sets that share a workload.
pub type OfWorkload = fn(&[&Set], Size) -> Outcome;

/// Every chart that needs several sets, by file name.
pub const OF_WORKLOAD: &[(&str, OfWorkload)] = &[
    ("load", load::draw),
    ("predicted", predicted::draw),
    ("front", front::draw),
    ("swapoff-size", swapoff_size::draw),
    ("swapoff-slots", swapoff_slots::draw),
    ("swapoff-barrier", swapoff::draw_barrier),
    ("hold", hold::draw),
    ("preempted", preempted::draw),
];

/// The charts of all sets, by file name.
const OF_ALL: [(&str, OfWorkload); 2] = [("heat", heat::draw), ("history", history::draw)];

/// A chart with its data, waiting for a size.
pub struct Job<'a> {
    /// The chart's name above.
    pub chart: &'static str,
    /// The beginning of its files' names.
    pub stem: String,
    /// The sets that it shows.
    pub sets: Vec<&'a Set<'a>>,
    pub draw: Box<dyn Fn(Size) -> Outcome + Send + Sync + 'a>,
}

/// Every chart of every set and workload, whether or not there is data for it.
pub fn jobs<'a>(sets: &'a [Set<'a>]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    // The loads of a sweep are one picture, not each a dozen.
    let all: Vec<&Set> = sets.iter().collect();
    for set in sets.iter().filter(|set| !load::in_sweep(set, &all)) {
        jobs.extend(OF_SET.iter().map(|(chart, draw)| Job {
            chart,
            stem: format!("{chart}-{}", set.id),
            sets: vec![set],
            draw: Box::new(move |size| draw(set, size)),
        }));
    }
    for (workload, sets) in by_workload(sets) {
        jobs.extend(OF_WORKLOAD.iter().map(|(chart, draw)| {
            let of = sets.clone();
            Job {
                chart,
                stem: format!("{chart}-{}", data::slug(workload)),
                sets: sets.clone(),
                draw: Box::new(move |size| draw(&of, size)),
            }
        }));
    }
    jobs.extend(OF_ALL.map(|(chart, draw)| {
        let (stem, sets, all) = (chart.to_owned(), all.clone(), all.clone());
        Job { chart, stem, sets, draw: Box::new(move |size| draw(&all, size)) }
    }));
    jobs
}

fn by_workload<'a>(sets: &'a [Set<'a>]) -> Vec<(&'a str, Vec<&'a Set<'a>>)> {
    let mut found: Vec<(&str, Vec<&Set>)> = Vec::new();
    for set in sets {
        match found.iter_mut().find(|(w, _)| *w == set.place.workload) {
            Some((_, members)) => members.push(set),
            None => found.push((&set.place.workload, vec![set])),
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::scene::{Anchor, Shape, text_width};
    use crate::style::{README, SLIDE};

    /// Left, top, right and bottom of a text's ink.
    fn ink(shape: &Shape) -> Option<(f64, f64, f64, f64, &str)> {
        let Shape::Text { x, y, text, size, bold, anchor, .. } = shape else { return None };
        // SVG viewers set text a little narrower than it is measured.
        let width = text_width(text, *size, *bold) * 0.95;
        let left = match anchor {
            Anchor::Start => *x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        Some((left, y - 0.6 * size, left + width, y + 0.1 * size, text))
    }

    pub(crate) fn assert_readable(scene: &Scene, chart: &str) {
        let texts: Vec<_> = scene.shapes.iter().filter_map(ink).collect();
        for (i, a) in texts.iter().enumerate() {
            let inside = a.0 >= 0.0 && a.1 >= 0.0 && a.2 <= scene.size.width;
            assert!(inside && a.3 <= scene.size.height, "{chart}: {a:?} leaves the page");
            for b in &texts[i + 1..] {
                let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
                assert!(apart, "{chart}: {a:?} and {b:?} overlap");
            }
        }
    }

    fn assert_all_readable(plan: &Plan) -> usize {
        let runs = [common::native(plan), common::simulated(plan)];
        let sets = data::sets(&runs);
        let mut drawn = 0;
        for size in [README, SLIDE] {
            for set in &sets {
                for (name, chart) in OF_SET {
                    for picture in chart(set, size).unwrap_or_default() {
                        assert_readable(&picture.scene, &format!("{name}-{}", set.id));
                        drawn += 1;
                    }
                }
            }
            let all: Vec<&Set> = sets.iter().collect();
            for (name, chart) in OF_ALL {
                for picture in chart(&all, size).unwrap_or_default() {
                    assert_readable(&picture.scene, name);
                    drawn += 1;
                }
            }
            let alike: Vec<&Set> = sets.iter().filter(|s| s.place.workload == "swapoff").collect();
            for (name, chart) in OF_WORKLOAD {
                for picture in chart(&alike, size).unwrap_or_default() {
                    assert_readable(&picture.scene, name);
                    drawn += 1;
                }
            }
        }
        drawn
    }

    fn plan() -> Plan<'static> {
        let mut plan = Plan { trials: 3, ..Plan::default() };
        plan.workloads.truncate(3);
        plan
    }

    #[test]
    fn no_text_overlaps_or_leaves_the_page() {
        assert!(assert_all_readable(&plan()) > 60);
    }

    #[test]
    fn two_threads_and_one_trial_are_readable() {
        let small = Plan { threads: vec![1, 2], trials: 1, ..plan() };
        assert!(assert_all_readable(&small) > 40);
    }

    #[test]
    fn a_sweep_of_loads_is_readable_and_marks_its_knees() {
        let at = |rate: &str| {
            let rate = [("rate".to_string(), rate.to_string()), ("fill".into(), "75".into())];
            ("churn", std::collections::BTreeMap::from(rate))
        };
        let rates = ["50000", "100000", "200000", "400000", "800000"];
        let plan = Plan {
            variants: vec!["global", "scanning", "percluster"],
            threads: vec![2],
            workloads: rates.map(at).into(),
            ..Plan::default()
        };
        let run = [common::simulated(&plan)];
        let sets = data::sets(&run);
        let all: Vec<&Set> = sets.iter().collect();
        assert!(sets.iter().all(|set| load::in_sweep(set, &all)));
        for size in [README, SLIDE] {
            let pictures = load::draw(&all, size).unwrap();
            assert_eq!(pictures.len(), 4, "p50 and p99 of two kinds");
            pictures.iter().for_each(|p| assert_readable(&p.scene, &p.part));
        }
        assert!(load::draw(&all[..2], README).is_err(), "two loads are no sweep");
    }

    /// A file that somebody edited, or a clock that jumped: every chart is drawn, or says why not.
    #[test]
    fn absurd_numbers_draw_without_a_panic() {
        for absurd in [-5.0, 0.0, 1.7e308, f64::MIN_POSITIVE] {
            let mut runs = [common::native(&plan()), common::simulated(&plan())];
            for (i, cell) in runs.iter_mut().flat_map(|run| &mut run.cells).enumerate() {
                if i % 3 > 0 {
                    continue;
                }
                (cell.ops_per_s, cell.jain) = (absurd, absurd);
                let largest = if absurd > 1.0 { u64::MAX / 1_000_000 } else { 0 };
                for off in cell.swapoff.iter_mut().flat_map(|off| &mut off.steps) {
                    off.ns = largest;
                }
                for latency in cell.kinds.values_mut().filter_map(|kind| kind.latency.as_mut()) {
                    (latency.p50, latency.p99, latency.max) = (largest, largest, largest);
                }
            }
            let sets = data::sets(&runs);
            for job in jobs(&sets) {
                for size in [README, SLIDE] {
                    drop((job.draw)(size));
                }
            }
        }
    }

    #[test]
    fn one_variant_on_one_thread_is_readable() {
        let least = Plan { variants: vec!["global"], threads: vec![1], trials: 1, ..plan() };
        assert!(assert_all_readable(&least) > 10);
    }

    #[test]
    fn many_variants_with_long_names_are_readable() {
        let names: Vec<String> =
            (0..11).map(|i| format!("a-rather-long-name-of-a-variant-{i}")).collect();
        // One of a release, so that the others have something to stand beside.
        let variants = names.iter().map(|n| n.as_str()).chain(["scanning"]).collect();
        let many = Plan { variants, threads: vec![1, 48, 384], trials: 2, ..plan() };
        assert!(assert_all_readable(&many) > 60);
    }

    #[test]
    fn swapoffs_of_kernels_are_on_one_picture_and_called_emulated() {
        let mut runs = [common::native(&plan()), common::native(&plan())];
        let releases = ["6.12.118+deb13-cloud-amd64", "6.18.15+deb13-cloud-amd64"];
        for (run, release) in runs.iter_mut().zip(releases) {
            run.run.machine.kind = results::schema::MachineKind::Emulated;
            for (i, cell) in run.cells.iter_mut().enumerate() {
                cell.key.machine = release.into();
                for off in &mut cell.swapoff {
                    off.used_slots = 1000 + 100 * i as u64;
                    off.result = if i % 5 == 0 { "ENOMEM" } else { "ok" }.into();
                }
            }
        }
        let sets = data::sets(&runs);
        let alike: Vec<&Set> = sets.iter().filter(|s| s.place.workload == "swapoff").collect();
        for size in [README, SLIDE] {
            let pictures = swapoff_slots::draw(&alike, size).unwrap();
            let parts: Vec<_> = pictures.iter().map(|picture| &*picture.part).collect();
            assert_eq!(parts, ["emulated"]);
            assert_readable(&pictures[0].scene, "swapoff-slots");
            let scene = &pictures[0].scene;
            let hue = crate::style::of_variant("scanning", 0, None, 0).colour.darker();
            let of_scheme = |shape: &Shape| match shape {
                Shape::Text { text, colour, .. } => text == "6.12.118 (scanning)" && *colour == hue,
                _ => false,
            };
            assert!(scene.shapes.iter().any(of_scheme), "a kernel has the hue of its scheme");
            let texts: Vec<_> = scene.shapes.iter().filter_map(ink).collect();
            let said = |words: &str| texts.iter().any(|text| text.4.contains(words));
            assert!(
                said("not hardware timing") && said("it failed") && said("6.18.15 ("),
                "{texts:?}"
            );
        }
    }

    #[test]
    fn a_matrix_of_four_machines_is_readable() {
        use matrix::{Cell, Matrix, Row, Section};
        let cells = |value: f64| {
            let share =
                |i: usize| Cell::Share { value, least: value / 2.0, most: value * 1.2 * i as f64 };
            vec![share(1), share(1), Cell::Word("not cut".into()), share(1)]
        };
        let row = |i: usize| Row {
            label: format!("a_rather_long_function_name_{i}"),
            cells: cells(0.8 / (i + 1) as f64),
        };
        let section = |name: &str| Section { name: name.into(), rows: (0..9).map(row).collect() };
        let matrix = Matrix {
            title: "percpu-cluster against the kernel".into(),
            subtitle: "churn, 16 pages a call; contended, in all: ".to_owned()
                + &"some words ".repeat(12),
            small_print: vec!["word ".repeat(60), "more ".repeat(60)],
            columns: [
                "native, tas",
                "simulated here, tas",
                "kernel 6.18.44",
                "kernel 6.18.15, emulated",
            ]
            .map(str::to_owned)
            .into(),
            sections: vec![section("Call sites"), section("Steps")],
        };
        for size in [README, SLIDE] {
            assert_readable(&matrix::draw(&matrix, size), "matrix");
        }
    }
}
