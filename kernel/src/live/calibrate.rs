//! What a page costs around the allocator of the running kernel: `swapscale calibrate --kernel`.
//! Guards the prices: a run counts only if its pages really went to the zram device, and the runs of
//! a point are spread over the whole calibration.

use std::collections::BTreeMap;
use std::time::Duration;

use machine::topology::Topology;
use probe::environment;
use results::stats::median;

use super::content::Content;
use super::crew::Crew;
use super::pages::Pass;
use super::recorder::{Interval, Report};
use super::setup::{Needs, Ready};
use super::swap_area::CLUSTER;
use super::worker::{Role, Spec};
use super::{Error, safety, sys, zram};
use crate::prices::{Measured, Prices, What};

/// Pages per call.
const BATCHES: [usize; 3] = [1, 32, 512];
/// Of what is swapped out and in, the batch that gives the price.
const PRICED: usize = 32;
/// Of what is freed: a whole cluster per call, as where a process ends.
const PRICED_FREE: usize = 512;
/// Least share of a worker's pages that must have moved.
const MOVED: f64 = 0.95;
/// Least share of the time in which all processes of a run must be at work.
const TOGETHER: f64 = 0.8;
/// From the order to begin until the common start, ns.
const NOTICE: u64 = 5_000_000;
/// Deadline of the processes of a run for filling their pages, and again for the pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured, and where.
#[derive(Clone, Debug)]
pub struct Args {
    pub content: Content,
    /// runs per point
    pub runs: u32,
    /// pages of each process
    pub pages: usize,
    /// CPUs, one process each
    pub cpus: Vec<usize>,
    /// the command, for the file
    pub command: String,
}

/// Pages of each process, for prices that are kept: 128 MiB.
pub const PAGES: usize = 64 * CLUSTER;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    content: Content,
    what: What,
    batch: usize,
    processes: usize,
}

/// Measures the prices. Calls `each` with the number of the run and of all runs before each run of
/// all points.
///
/// # Errors
/// [`Error`]. All that was made is undone in every case.
pub fn calibrate(args: &Args, mut each: impl FnMut(u32, u32)) -> Result<Prices, Error> {
    if args.runs == 0 {
        return Err(Error::Refused("--runs 0: expected 1 or more".into()));
    }
    let needs = needs(args);
    needs.check()?;
    let topology = Topology::here().map_err(|error| Error::Refused(error.to_string()))?;
    let mut ready = Ready::make(&needs)?;
    let mut points = points(args);
    let mut found = Found::default();
    let mut random = fastrand::Rng::with_seed(1);
    for run in 0..args.runs {
        each(run + 1, args.runs);
        random.shuffle(&mut points);
        for point in &points {
            found.measure(args, &ready, *point, u64::from(run))?;
        }
    }
    let algorithm = zram::algorithm(&ready.device.path);
    ready.made.undo()?;
    found.prices(args, &algorithm, &topology)
}

fn needs(args: &Args) -> Needs<'static> {
    let most = args.cpus.len() as u64;
    let load = most * args.pages as u64 * sys::PAGE as u64;
    Needs {
        // Room beside the load: a full device allocates in another way.
        size: load + load / 2,
        load,
        processes: most,
        swap_device: None,
        words: &safety::Words {
            command: "calibrate --kernel",
            less: "free some, or allow it fewer CPUs (taskset)",
            instead: "",
        },
    }
}

/// The points of the file, and those that are subtracted.
fn points(args: &Args) -> Vec<Point> {
    let most = args.cpus.len();
    let mut points = Vec::new();
    for what in What::ALL {
        for batch in BATCHES {
            let point = |processes| Point { content: args.content, what, batch, processes };
            points.push(point(1));
            points.extend((most > 1).then(|| point(most)));
        }
    }
    let subtracted = [priced(Content::SameFilled, What::Free), scattered(Content::SameFilled)];
    points.extend(subtracted.iter().filter(|_| args.content != Content::SameFilled));
    points
}

/// The point that gives the price of `what`.
fn priced(content: Content, what: What) -> Point {
    let batch = if what == What::Free { PRICED_FREE } else { PRICED };
    Point { content, what, batch, processes: 1 }
}

/// The point that gives the price of freeing slots in random order: a pass takes its batches so.
fn scattered(content: Content) -> Point {
    Point { content, what: What::Free, batch: 1, processes: 1 }
}

/// The runs so far.
#[derive(Default)]
struct Found {
    /// ns per page, by point
    ns: BTreeMap<Point, Vec<f64>>,
    /// share of the pages' bytes that zram took, one per run of the content of the file
    stored: Vec<f64>,
    /// how many times a process was preempted, in all passes together
    preempted: u64,
    /// runs that do not count, and why
    refused: Vec<String>,
}

impl Found {
    /// One run of one point.
    fn measure(&mut self, args: &Args, ready: &Ready, point: Point, run: u64) -> Result<(), Error> {
        let mut crew = Crew::start(&specs(args, ready, point, run), PATIENCE)?;
        if point.what != What::Out {
            let share = stored(ready, point.processes * args.pages)?;
            if point.content == args.content {
                self.stored.push(share);
            }
        }
        let start = sys::now_ns() + NOTICE;
        crew.go(Interval { start, end: u64::MAX })?;
        let reports = crew.reports(PATIENCE)?;
        self.preempted += reports.iter().map(|report| report.involuntary_switches).sum::<u64>();
        match per_page(&reports, args.pages) {
            Ok(ns) => self.ns.entry(point).or_default().push(ns),
            Err(why) => self.refused.push(why),
        }
        Ok(())
    }

    fn prices(&self, args: &Args, algorithm: &str, topology: &Topology) -> Result<Prices, Error> {
        let content = args.content;
        let same = content == Content::SameFilled;
        let stored = format!("{:.0} %", 100.0 * median(&self.stored));
        let free = |point: fn(Content) -> Point| {
            let whole = self.point(point(content))?;
            let subtracted = self.point(point(Content::SameFilled))?;
            Ok::<_, Error>(if same { whole.free_of_nothing() } else { whole.free(&subtracted) })
        };
        let mut measured = Vec::new();
        for point in self.ns.keys().filter(|point| point.content == content) {
            measured.push(self.point(*point)?);
        }
        measured.sort_by_key(|point| (point.what, point.processes, point.batch));
        Ok(Prices {
            title: format!("zram, {algorithm}: {}", content.pages(&stored)),
            synchronous: true,
            zsmalloc: !same,
            out: self.point(priced(content, What::Out))?.price(),
            in_: self.point(priced(content, What::In))?.price(),
            free: free(|content| priced(content, What::Free))?,
            free_scattered: free(scattered)?,
            conditions: self.conditions(args, algorithm, &stored, topology),
            measured,
        })
    }

    fn point(&self, point: Point) -> Result<Measured, Error> {
        let Point { what, batch, processes, .. } = point;
        let runs = self.ns.get(&point).map_or(&[][..], Vec::as_slice);
        Measured::of(what, batch, processes, runs).ok_or_else(|| {
            let why = self.refused.last().map_or("none was made", String::as_str);
            Error::Refused(format!("no run of {what:?}, batch {batch} counts: {why}"))
        })
    }

    fn conditions(
        &self,
        args: &Args,
        algorithm: &str,
        stored: &str,
        topology: &Topology,
    ) -> BTreeMap<String, String> {
        let here = environment::here(topology, sys::now_ns);
        let changed = if here.dirty.known() == Some(&true) { ", with changes" } else { "" };
        let runs: usize = self.ns.values().map(Vec::len).sum();
        let conditions = [
            ("kernel", super::running().name),
            ("cpu", here.cpu_model.to_string()),
            ("virtualized", here.virtualized.to_string()),
            ("cpus", args.cpus.len().to_string()),
            ("algorithm", algorithm.into()),
            ("pages", format!("{} per process", args.pages)),
            ("stored", format!("{stored} of the pages' bytes")),
            ("refused", format!("{} of {} runs", self.refused.len(), runs + self.refused.len())),
            ("preempted", format!("{} times in all timed passes", self.preempted)),
            ("date", results::store::created_now().to_string()),
            ("commit", format!("{}{changed}", here.commit)),
            ("command", args.command.clone()),
        ];
        conditions.into_iter().map(|(key, value)| (key.into(), value)).collect()
    }
}

fn specs(args: &Args, ready: &Ready, point: Point, run: u64) -> Vec<Spec> {
    let Point { content, what, batch, processes } = point;
    let spec = |(index, &cpu): (usize, &usize)| Spec {
        controller: std::process::id(),
        cgroup: ready.cgroup.clone(),
        cpu,
        peer_cpu: cpu,
        seed: run << 32 | index as u64,
        role: Role::Pass(Pass { content, what, batch, pages: args.pages }),
    };
    args.cpus[..processes].iter().enumerate().map(spec).collect()
}

/// The share of the bytes of `pages` swapped-out pages that the device took.
fn stored(ready: &Ready, pages: usize) -> Result<f64, Error> {
    let path = ready.device.path.display();
    let stored = zram::stored(&ready.device.path);
    let stored = stored.map_err(Error::system(format!("cannot see what {path} holds")))?;
    if (stored.pages as f64) < MOVED * pages as f64 {
        return Err(Error::Refused(format!(
            "{path} holds {} of {pages} pages that were swapped out: is zswap in front of it?",
            stored.pages
        )));
    }
    Ok(stored.bytes as f64 / (stored.pages as usize * sys::PAGE) as f64)
}

/// The time per page of one run, ns, as the mean over its processes; or why the run does not count.
fn per_page(reports: &[Report], pages: usize) -> Result<f64, String> {
    if let Some(moved) = reports
        .iter()
        .map(|report| report.pages_out)
        .find(|moved| (*moved as f64) < MOVED * pages as f64)
    {
        return Err(format!("{moved} of {pages} pages moved"));
    }
    let firsts = || reports.iter().map(|report| report.first);
    let lasts = || reports.iter().map(|report| report.last);
    let all = lasts().max().unwrap_or(0) - firsts().min().unwrap_or(0);
    let shared = lasts().min().unwrap_or(0).saturating_sub(firsts().max().unwrap_or(0));
    let together = shared as f64 / all.max(1) as f64;
    if together < TOGETHER {
        return Err(format!("processes ran together {:.0} % of the time", 100.0 * together));
    }
    let each = reports.iter().map(|r| (r.last - r.first) as f64 / r.pages_out as f64);
    Ok(each.sum::<f64>() / reports.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(content: Content, cpus: usize) -> Args {
        let cpus = (0..cpus).collect();
        Args { content, runs: 1, pages: 512, cpus, command: String::new() }
    }

    #[test]
    fn each_point_is_there_once_and_so_is_what_is_subtracted() {
        for (content, cpus, count) in [
            (Content::Compressible, 2, 20),
            (Content::Compressible, 1, 11),
            (Content::SameFilled, 2, 18),
        ] {
            let points = points(&args(content, cpus));
            let once: std::collections::BTreeSet<_> = points.iter().collect();
            assert_eq!((points.len(), once.len()), (count, count));
            for what in What::ALL {
                assert!(points.contains(&priced(content, what)));
            }
            assert!(points.contains(&priced(Content::SameFilled, What::Free)));
        }
    }

    #[test]
    fn a_run_counts_only_if_pages_moved_and_processes_met() {
        let report =
            |first, last, pages_out| Report { first, last, pages_out, ..Report::default() };
        assert_eq!(per_page(&[report(0, 1000, 100), report(0, 900, 90)], 100).ok(), None);
        assert_eq!(per_page(&[report(0, 1000, 100), report(0, 900, 100)], 100), Ok(9.5));
        let apart = per_page(&[report(0, 1000, 100), report(500, 1500, 100)], 100);
        assert!(apart.unwrap_err().contains("33 %"));
        let stayed = per_page(&[report(0, 1000, 94)], 100);
        assert!(stayed.unwrap_err().contains("94 of 100"));
    }
}
