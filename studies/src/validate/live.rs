//! The running kernel against the model at this machine's prices, per page. Guards that both sides
//! mean the same page: which call of the live driver stands for which operation of the model, and
//! that a figure which is missing fails the target.

use std::sync::Arc;

use bench_harness::backing::Backing;
use bench_harness::meter::Kind;
use bench_harness::trial::Log;
use bench_harness::units::{CLUSTER, Fill, Size};
use bench_harness::workload;
use machine::simulated::Model;
use rayon::prelude::*;
use results::schema::Cell;
use results::validation::{Basis, Interval, Point, Section, Spread};

use super::host::TARGET;
use super::simulate::{Load, SEEDS};
use super::verdict::mark;

/// Pages that the live driver's churn moves per call, and that the model's keeps in memory.
pub const BATCH: u32 = 32;
/// Pages per worker, in the model's churn, before the window and in it.
const CHURN: (u64, u64) = (2_000, 20_000);
/// The model's seq fills and frees once before the window, and then at least once whole in it.
const SEQ_ROUNDS: (f64, f64) = (1.0, 2.2);
/// What is compared, by workload.
const COMPARED: [(&str, [Page; 2]); 2] =
    [("churn", [Page::Out, Page::In]), ("seq", [Page::Out, Page::Free])];

/// What was measured on the running kernel, and what it is predicted from.
pub struct Live<'a> {
    /// the live driver's trials of churn, [`BATCH`] pages per call, and of seq
    pub cells: &'a [Cell],
    /// trials that gave no cell, and why
    pub refused: &'a [String],
    /// text of the price file, measured with the content that the live driver writes
    pub prices: &'a str,
    /// calibrated on this machine
    pub model: Model,
    /// of the device, and the percentage of it that is in use
    pub size: Size,
    pub fill: u32,
    /// what was measured, where and under what conditions
    pub source: String,
}

/// What is done to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Out,
    In,
    Free,
}

/// One load, on both sides.
struct Pair<'a> {
    workload: &'static str,
    pages: [Page; 2],
    processes: u32,
    cells: Vec<&'a Cell>,
}

/// Simulates each load that has cells, and compares. `each` is called before every load with its
/// number and that of all, and ends the comparison where it fails.
///
/// # Errors
///
/// A line that says which price cannot be used, why a simulated run failed, or that no trial counts.
pub fn section(
    live: &Live,
    mut each: impl FnMut(usize, usize) -> Result<(), String>,
) -> Result<Section, String> {
    let pairs = pairs(live.cells);
    let mut points = Vec::new();
    for (n, pair) in pairs.iter().enumerate() {
        each(n + 1, pairs.len())?;
        points.extend(pair.points(live)?);
    }
    if points.is_empty() {
        let why = live.refused.last().map_or("none was made", String::as_str);
        return Err(format!("no trial of the running kernel counts: {why}"));
    }
    Ok(Section {
        id: "live".into(),
        title: "The running kernel and the model at this machine's prices".into(),
        source: live.source.clone(),
        x: "processes".into(),
        y: "ns per page".into(),
        steps: Vec::new(),
        notes: notes(live, &points),
        points,
    })
}

fn pairs(cells: &[Cell]) -> Vec<Pair<'_>> {
    let mut processes: Vec<u32> = cells.iter().map(|cell| cell.key.threads).collect();
    processes.sort_unstable();
    processes.dedup();
    let pair = |(workload, pages), processes| {
        let of = |cell: &&Cell| (&*cell.key.workload, cell.key.threads) == (workload, processes);
        Pair { workload, pages, processes, cells: cells.iter().filter(of).collect() }
    };
    let all = COMPARED.into_iter().flat_map(|of| processes.iter().map(move |n| pair(of, *n)));
    all.filter(|pair: &Pair| !pair.cells.is_empty()).collect()
}

impl Pair<'_> {
    fn points(&self, live: &Live) -> Result<Vec<Point>, String> {
        let (load, variant) = (self.load(live)?, &self.cells[0].key.variant);
        let logs = |&seed: &u64| load.logs(variant, seed, 1).map_err(|e| e.to_string());
        let seeds = SEEDS.par_iter().map(logs).collect::<Result<Vec<_>, _>>()?;
        let mut points = Vec::new();
        for page in self.pages {
            let trials: Vec<f64> =
                self.cells.iter().filter_map(|cell| page.measured(cell)).collect();
            let of_seeds: Option<Vec<f64>> =
                seeds.iter().map(|logs| page.predicted(logs, &load.params.backing)).collect();
            let missing = || format!("{}: no page {} was simulated", self.workload, page.name());
            let (predicted, interval) = Interval::of(&of_seeds.ok_or_else(missing)?);
            if trials.is_empty() {
                continue;
            }
            let (measured, spread) = Spread::of(&trials);
            points.push(Point {
                panel: self.workload.into(),
                curve: page.name().into(),
                x: f64::from(self.processes),
                measured,
                predicted,
                basis: Basis::Predicted,
                spread: Some(spread),
                interval: Some(interval),
            });
        }
        Ok(points)
    }

    /// The same load on the model.
    fn load(&self, live: &Live) -> Result<Load, String> {
        let mut backing = Backing::parse("the measured prices", live.prices)?;
        if let Some(zsmalloc) = &mut backing.prices.zsmalloc {
            // Pages of one word are all of one size when they are compressed.
            zsmalloc.classes = 1;
        }
        let entry = workload::find(self.workload).expect("it is in the list");
        let mut params = entry.defaults();
        (params.size, params.fill) = (live.size, Fill::Percent(live.fill));
        params.kept = params.kept.map(|_| BATCH);
        let workers = u64::from(self.processes);
        let in_use = params.fill.of(params.size.slots()) as f64;
        let (warm, measured) = match self.workload {
            "seq" => ((SEQ_ROUNDS.0 * in_use) as u64, (SEQ_ROUNDS.1 * in_use) as u64),
            _ => (CHURN.0 * workers, CHURN.1 * workers),
        };
        let prices = &backing.prices;
        let back = if self.workload == "seq" { prices.free_ns } else { prices.in_ns };
        let page_ns = (prices.out_ns + back) as f64;
        params.backing = backing;
        Ok(Load {
            model: Arc::new(live.model.clone()),
            workload: self.workload.into(),
            threads: self.processes as usize,
            params,
            warm,
            measured,
            page_ns,
        })
    }
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Page::Out => "out",
            Page::In => "in",
            Page::Free => "free",
        }
    }

    /// The median over the calls of a live trial, ns per page.
    fn measured(self, cell: &Cell) -> Option<f64> {
        let batch = cell.key.params.get("batch");
        let batch = batch.map_or(Some(CLUSTER as f64), |batch| batch.parse().ok())?;
        let (call, pages) = match self {
            Page::Out => ("pageout", batch),
            Page::In => ("swapin", 1.0),
            Page::Free => ("free", CLUSTER as f64),
        };
        Some(cell.kinds.get(call)?.latency.as_ref()?.p50 as f64 / pages)
    }

    /// The mean over the operations of all workers, ns per page, with the time that the page takes
    /// outside all locks, which no operation contains. None where the window has no such operation.
    fn predicted(self, logs: &[Log], backing: &Backing) -> Option<f64> {
        let count =
            |what| logs.iter().filter_map(move |log| log.meter.counts.get(what)).sum::<u64>();
        match self {
            Page::Out => Some(mean(logs, Kind::Alloc)? + backing.prices.out_ns as f64),
            Page::In => Some(mean(logs, Kind::Free)? + backing.prices.in_ns as f64),
            Page::Free => {
                let slots = count("free.slots");
                (slots > 0).then(|| count("free.ns") as f64 / slots as f64)
            }
        }
    }
}

/// The mean latency of the operations of one kind, ns.
fn mean(logs: &[Log], kind: Kind) -> Option<f64> {
    let recorders = logs.iter().filter_map(|log| log.meter.tallies[kind as usize].latency.as_ref());
    let (mut time, mut operations) = (0, 0);
    for (ns, count) in recorders.flat_map(|recorder| recorder.counts()) {
        time += ns * count;
        operations += count;
    }
    (operations > 0).then(|| time as f64 / operations as f64)
}

/// The target and the ratios first, then what they mean.
fn notes(live: &Live, points: &[Point]) -> Vec<String> {
    let mut notes = vec![target(points)];
    notes.extend(ratios(points));
    notes.extend(second(points));
    notes.extend([
        "measured: the median over the calls of a trial, per page, and the median of the trials; a \
         fault is timed by itself, and frees its slot too"
            .into(),
        "model: the mean of the allocator's operation with its neighbours' locks, and the rest of \
         the price; the prices are of one process, and contain the kernel's own allocator, which \
         the model adds once more to out and in"
            .into(),
        "all pages of one word are of one size: in the model they share one size class of zsmalloc"
            .into(),
        "in seq the model's workers free at the same time; the kernel's processes do not wait for \
         each other, so one of them mostly frees while the other swaps out"
            .into(),
    ]);
    if !live.refused.is_empty() {
        let all = live.refused.len() + live.cells.len();
        notes.push(format!("{} of {all} trials gave no figure", live.refused.len()));
    }
    notes
}

fn ratio(point: &Point) -> f64 {
    point.predicted / point.measured
}

/// `PASS one process within 30 %`, or `MISS`: every figure of one process, and none is missing.
fn target(points: &[Point]) -> String {
    let one: Vec<&Point> = points.iter().filter(|p| p.x == 1.0).collect();
    let within = one.iter().filter(|p| p.error().abs() <= TARGET).count();
    let wanted = COMPARED.iter().map(|(_, pages)| pages.len()).sum::<usize>();
    let verdict = mark(within == wanted);
    let mut line =
        format!("{verdict} one process within {:.0} %: {within} of {wanted}", 100.0 * TARGET);
    if let Some(far) = one.iter().max_by(|a, b| a.error().abs().total_cmp(&b.error().abs())) {
        line += &format!("; the farthest is {} {} at {:.2}", far.panel, far.curve, ratio(far));
    }
    line
}

/// Model over kernel, a line per workload and number of processes.
fn ratios(points: &[Point]) -> Vec<String> {
    let line = |of: &[Point]| {
        let processes = if of[0].x == 1.0 { "process" } else { "processes" };
        let ratios: Vec<String> =
            of.iter().map(|point| format!("{:.2} {}", ratio(point), point.curve)).collect();
        format!("model / kernel, {}, {} {processes}: {}", of[0].panel, of[0].x, ratios.join(", "))
    };
    points.chunk_by(|a, b| (&a.panel, a.x) == (&b.panel, b.x)).map(line).collect()
}

/// How much more a page takes with several processes than with one, on both sides.
fn second(points: &[Point]) -> Vec<String> {
    let alone = |p: &Point| {
        points.iter().find(|one| (&one.panel, &one.curve, one.x) == (&p.panel, &p.curve, 1.0))
    };
    let line = |several: &Point| {
        let one = alone(several)?;
        Some(format!(
            "{} processes instead of 1, {} {}: {:.2} times in the kernel, {:.2} times in the model",
            several.x,
            several.panel,
            several.curve,
            several.measured / one.measured,
            several.predicted / one.predicted
        ))
    };
    let mut lines: Vec<String> = points.iter().filter(|p| p.x > 1.0).filter_map(line).collect();
    if !lines.is_empty() {
        lines.push(
            "the model's part of that is waits for locks and moves of cache lines; memory, the \
             hypervisor and other programs are in the kernel's alone"
                .into(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::example;

    const PRICES: &str = "title = 't'\nsynchronous = true\nzsmalloc = true\n\
        [out]\nns = 8500\nsource = 's'\n[in]\nns = 5800\nsource = 's'\n[free]\nns = 430\nsource = 's'\n\
        [free-scattered]\nns = 430\nsource = 's'\n";

    fn point(panel: &str, curve: &str, x: f64, measured: f64, predicted: f64) -> Point {
        let (panel, curve) = (panel.into(), curve.into());
        let basis = Basis::Predicted;
        Point { panel, curve, x, measured, predicted, basis, spread: None, interval: None }
    }

    fn points() -> Vec<Point> {
        vec![
            point("churn", "out", 1.0, 100.0, 129.0),
            point("churn", "in", 1.0, 100.0, 75.0),
            point("churn", "out", 2.0, 200.0, 143.0),
            point("seq", "out", 1.0, 100.0, 100.0),
            point("seq", "free", 1.0, 100.0, 90.0),
        ]
    }

    /// A trial of the live driver: a call of `calls` takes that long, ns.
    fn cell(workload: &str, batch: Option<u32>, processes: u32, calls: &[(&str, u64)]) -> Cell {
        let mut cell = example::cell();
        let kind = cell.kinds["alloc"].clone();
        cell.kinds.clear();
        for (call, ns) in calls {
            let mut kind = kind.clone();
            kind.latency.as_mut().unwrap().p50 = *ns;
            cell.kinds.insert((*call).into(), kind);
        }
        (cell.key.workload, cell.key.variant) = (workload.into(), "percpu-cluster".into());
        cell.key.params =
            batch.map(|batch| ("batch".into(), batch.to_string())).into_iter().collect();
        cell.key.threads = processes;
        cell
    }

    fn live<'a>(cells: &'a [Cell], refused: &'a [String]) -> Live<'a> {
        Live {
            cells,
            refused,
            prices: PRICES,
            model: Model::load("x86-2").unwrap(),
            size: Size::mib(8),
            fill: 50,
            source: "somewhere".into(),
        }
    }

    #[test]
    fn one_process_passes_within_30_percent_and_more_processes_do_not_count() {
        let mut points = points();
        let line = target(&points);
        assert!(line.starts_with("PASS one process within 30 %: 4 of 4"), "{line}");
        assert!(line.ends_with("the farthest is churn out at 1.29"), "{line}");
        points[1].predicted = 69.0;
        let line = target(&points);
        assert!(line.starts_with("MISS one process within 30 %: 3 of 4"), "{line}");
        assert!(line.ends_with("churn in at 0.69"), "{line}");
    }

    #[test]
    fn a_missing_figure_is_a_miss() {
        assert!(target(&points()[..4]).starts_with("MISS one process within 30 %: 3 of 4"));
        assert_eq!(target(&[]), "MISS one process within 30 %: 0 of 4");
    }

    #[test]
    fn ratios_are_model_over_kernel() {
        let lines = ratios(&points());
        assert_eq!(lines[0], "model / kernel, churn, 1 process: 1.29 out, 0.75 in");
        assert_eq!(lines[1], "model / kernel, churn, 2 processes: 0.71 out");
        let second = second(&points());
        assert!(second[0].contains("churn out: 2.00 times in the kernel, 1.11 times in the model"));
        assert_eq!(second.len(), 2, "{second:?}");
    }

    #[test]
    fn a_call_is_divided_by_its_pages() {
        let churn = cell("churn", Some(32), 1, &[("pageout", 3200), ("swapin", 70)]);
        assert_eq!(Page::Out.measured(&churn), Some(100.0));
        assert_eq!(Page::In.measured(&churn), Some(70.0));
        assert_eq!(Page::Free.measured(&churn), None);
        let seq = cell("seq", None, 1, &[("pageout", 51_200), ("free", 5_120)]);
        assert_eq!(Page::Out.measured(&seq), Some(100.0));
        assert_eq!(Page::Free.measured(&seq), Some(10.0));
    }

    /// What the model adds to the price of a page is its allocator, which takes less than that price.
    #[test]
    fn the_models_page_is_its_price_and_a_little() {
        let cells = [
            cell("churn", Some(32), 1, &[("pageout", 32 * 8500), ("swapin", 5800)]),
            cell("churn", Some(32), 2, &[("pageout", 32 * 8500), ("swapin", 5800)]),
            cell("seq", None, 1, &[("pageout", 512 * 8500), ("free", 512 * 430)]),
        ];
        let mut loads = 0;
        let section = section(&live(&cells, &[]), |_, all| {
            loads += 1;
            assert_eq!(all, 3);
            Ok(())
        });
        let section = section.unwrap();
        assert_eq!((loads, section.points.len()), (3, 6));
        for point in &section.points {
            let ratio = ratio(point);
            assert!((1.0..2.0).contains(&ratio), "{} {}: {ratio}", point.panel, point.curve);
        }
        assert!(section.table().contains("one process within 30 %"));
    }

    #[test]
    fn without_a_trial_it_says_why_and_a_stop_ends_it() {
        let refused = ["churn x1: workers ran together 3 % of the time".to_owned()];
        let error = section(&live(&[], &refused), |_, _| Ok(())).unwrap_err();
        assert!(error.contains("no trial") && error.contains("ran together 3 %"), "{error}");
        let cells = [cell("seq", None, 1, &[("pageout", 512)])];
        let error = section(&live(&cells, &[]), |_, _| Err("stopped".into())).unwrap_err();
        assert_eq!(error, "stopped");
    }
}
