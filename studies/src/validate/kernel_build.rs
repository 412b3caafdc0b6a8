//! The kernel build of the swap allocator's lock series: W3 on a machine like its author's.
//! The time lost waiting for locks is predicted: Before = After + simulated wait, with After as
//! published. One parameter, how often a job swaps, is fitted at -j24.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::lock::Qspin;
use machine::simulated::{Config, Model};
use machine::topology::Pin;
use machine::{Failure, Simulated, SiteStats};
use rayon::prelude::*;
use results::validation::{Basis, Point, Section};
use serde::Deserialize;
use variants::scanning::Scanning;

use bench_harness::meter::Kind;
use bench_harness::trial::{self, Setting};
use bench_harness::workload::build::{self, Build};

const PUBLISHED: &str = include_str!("kernel-build.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    source: String,
    model: String,
    build: Vec<Row>,
    profile: Profile,
}

/// Seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    jobs: usize,
    system: Times,
    real: Times,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    before: f64,
    after: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    jobs: usize,
    /// Seconds by caller.
    waited: BTreeMap<String, f64>,
}

/// The row that the parameter is fitted on.
const FITTED: usize = 24;
/// Pages swapped out before the window, so that the device is as full and as fragmented as
/// it gets, and in it.
const WARM: u64 = 400_000;
const MEASURED: u64 = 60_000;

impl Row {
    /// The time of all jobs together without waits for locks, ns.
    fn work_ns(&self) -> f64 {
        self.real.after * self.jobs as f64 * 1e9
    }
}

/// Build times, waits and the callers that waited, held against the cover letter.
///
/// # Errors
///
/// A line that names the simulation that failed.
pub fn section() -> Result<Section, String> {
    let data: Experiment = toml::from_str(PUBLISHED).expect("it comes with the program");
    let model = Arc::new(Model::load(&data.model).map_err(|e| e.to_string())?);
    let (fit, pages) = fit(&model, &data).map_err(|e| format!("kernel build: {e}"))?;
    let rows = data.build.par_iter().map(|row| Ok((row, predict(&model, row, &fit, pages)?)));
    let rows: Result<Vec<(&Row, Seen)>, Failure> = rows.collect();
    let mut points = Vec::new();
    for (row, seen) in rows.map_err(|e| format!("kernel build: {e}"))? {
        points.extend(of_row(row, pages * seen.wait_ns / 1e9));
    }
    points.sort_by(|a, b| a.panel.cmp(&b.panel));
    points.extend(profile(&model, &data, &fit, pages).map_err(|e| format!("perf lock: {e}"))?);
    Ok(Section {
        id: "kernel-build".into(),
        title: "A kernel build that swaps: before the lock series = after + simulated lock wait"
            .into(),
        source: data.source,
        x: "jobs".into(),
        y: "seconds, or percent".into(),
        points,
        notes: notes(&fit, pages),
    })
}

fn notes(fit: &Seen, pages: f64) -> Vec<String> {
    let every = (fit.work_ns + fit.wait_ns) / 1e3;
    vec![
        format!(
            "fitted, at -j{FITTED}: {:.1} M pages swapped out in a build, one in {every:.1} us of a job",
            pages / 1e6
        ),
        "taken as published: After, and with it how long a job takes between two pages at each -j"
            .into(),
        "left out: After itself doubles from -j48 to -j96 with no lock wait in its profile (two \
         jobs share a core then), which the model does not explain; ZRAM, reclaim and the page \
         tables' locks; holders that are preempted"
            .into(),
        "perf lock: at -j64, between the published -j48 and -j96; the shares of three callers, \
         in the published order"
            .into(),
    ]
}

/// The cost of one page swapped out to a job, ns.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// All of it but waits for locks.
    work_ns: f64,
    wait_ns: f64,
    /// The think time in `work_ns`.
    think_ns: f64,
    sites: Vec<SiteStats>,
}

/// The think time at which waits at -j24 are as published, and the pages that a build then
/// swaps out.
fn fit(model: &Arc<Model>, data: &Experiment) -> Result<(Seen, f64), Failure> {
    let row = data.build.iter().find(|row| row.jobs == FITTED).expect("the data has the row");
    let wanted = (row.system.before - row.system.after) * 1e9 / row.work_ns();
    let (mut low, mut high, mut seen) = (500.0f64, 256_000.0, Seen::default());
    for _ in 0..9 {
        let think = (low * high).sqrt();
        seen = simulate(model, row.jobs, think)?;
        if seen.wait_ns / seen.work_ns > wanted { low = think } else { high = think }
    }
    let pages = row.work_ns() / seen.work_ns;
    Ok((seen, pages))
}

/// The same build with the jobs of `row`. Think time is what After leaves beside the swapping.
fn predict(model: &Arc<Model>, row: &Row, fit: &Seen, pages: f64) -> Result<Seen, Failure> {
    let mut seen = fit.clone();
    for _ in 0..2 {
        let swapping = seen.work_ns - seen.think_ns;
        seen = simulate(model, row.jobs, (row.work_ns() / pages - swapping).max(0.0))?;
    }
    Ok(seen)
}

fn of_row(row: &Row, waited: f64) -> [Point; 3] {
    let point = |panel: &str, measured, predicted| Point {
        panel: panel.into(),
        curve: "before".into(),
        x: row.jobs as f64,
        measured,
        predicted,
        basis: if row.jobs == FITTED { Basis::Fitted } else { Basis::Predicted },
    };
    [
        point("lock wait, s", row.system.before - row.system.after, waited),
        point("system time, s", row.system.before, row.system.after + waited),
        point("real time, s", row.real.before, row.real.after + waited / row.jobs as f64),
    ]
}

/// Shares of the waits for si->lock by caller.
fn profile(
    model: &Arc<Model>,
    data: &Experiment,
    fit: &Seen,
    pages: f64,
) -> Result<Vec<Point>, Failure> {
    let jobs = data.profile.jobs;
    let above = data.build.iter().position(|row| row.jobs > jobs).expect("the data has more jobs");
    let (low, high) = (&data.build[above - 1], &data.build[above]);
    let share = (jobs - low.jobs) as f64 / (high.jobs - low.jobs) as f64;
    let work = low.work_ns() + share * (high.work_ns() - low.work_ns());
    let think = (work / pages - (fit.work_ns - fit.think_ns)).max(0.0);
    let sites = simulate(model, jobs, think)?.sites;
    let si_lock = || sites.iter().filter(|site| site.lock == "si->lock");
    let waited = |caller: &str| {
        si_lock().filter(|site| site.caller == caller).map(|site| site.wait_total).sum::<u64>()
    };
    let all_simulated = si_lock().map(|site| site.wait_total).sum::<u64>() as f64;
    let all: f64 = data.profile.waited.values().sum();
    let mut callers: Vec<(&String, &f64)> = data.profile.waited.iter().collect();
    callers.sort_by(|a, b| b.1.total_cmp(a.1));
    let point = |(caller, seconds): (&String, &f64)| Point {
        panel: "share of the waits for si->lock, %".into(),
        curve: caller.clone(),
        x: jobs as f64,
        measured: 100.0 * seconds / all,
        predicted: 100.0 * waited(caller) as f64 / all_simulated,
        basis: Basis::Predicted,
    };
    Ok(callers.into_iter().map(point).collect())
}

/// The build's swapping alone, by `jobs` jobs that think in between.
fn simulate(model: &Arc<Model>, jobs: usize, think_ns: f64) -> Result<Seen, Failure> {
    let pins = Pin::SmtLast.take(&model.topology(), jobs);
    // A step is a page out and a burst freed, some microseconds beside the think time.
    let ns = |pages: u64| (pages as f64 / jobs as f64 * (think_ns + 2_000.0)) as u64;
    let config = Config {
        model: model.clone(),
        pins: pins.map_err(|e| Failure::Unsupported(e.to_string()))?,
        warm_ns: ns(WARM),
        measure_ns: ns(MEASURED),
        seed: 1,
        preemption: None,
    };
    let params = bench_harness::workload::Params { think_ns: think_ns as u64, ..build::defaults() };
    let (sample, measure) = (u32::MAX, Duration::from_nanos(config.measure_ns));
    let setting = Setting { params, threads: jobs, seed: 1, sample, measure, host: None };
    type M = Simulated<Qspin>;
    let logs = trial::run::<M, Scanning<M>, Build<M>>(&config, &setting)?;
    let time: u64 = logs.iter().map(|log| log.closed - log.opened).sum();
    let out = |log: &trial::Log| log.meter.tallies[Kind::Alloc as usize].count();
    let pages = logs.iter().map(out).sum::<u64>().max(1) as f64;
    let sites: Vec<SiteStats> = logs.into_iter().flat_map(|log| log.sites).collect();
    let wait_ns = sites.iter().map(|site| site.wait_total).sum::<u64>() as f64 / pages;
    Ok(Seen { work_ns: time as f64 / pages - wait_ns, wait_ns, think_ns, sites })
}
