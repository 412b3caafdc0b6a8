//! One trial: a crew of workers, one interval, and the cell measured in it. Guards the figure: it
//! is compared with the kernel's own counts, and refused where they disagree.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use results::hlog;
use results::schema::{
    Cell, CellKey, Counter, Kind, LEAST_OVERLAP, Latency, Noise, Reading, Step, Swapoff,
};
use results::stats::jain;

use super::crew::Crew;
use super::device::Device;
use super::load::Workload;
use super::lockstat::Tracer;
use super::recorder::{Interval, Off, Report};
use super::release::Release;
use super::swap_area::{self, CLUSTER};
use super::worker::{Role, Spec};
use super::{Args, Error, sys, vmstat};
use probe::Roots;
use probe::noise::Watch;

/// The load runs this long before the interval, ns.
const WARM_UP: u64 = 150_000_000;
/// Deadline of a crew for filling its memory, and again for reporting after the interval.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pages that went out per page that the workers asked for; a trial outside gives no figure.
const ASKED: std::ops::RangeInclusive<f64> = 0.8..=1.25;

/// One point of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub workload: Workload,
    pub threads: u32,
    pub batch: usize,
    /// lock waits are traced, which costs throughput: such trials are a group of their own
    pub traced: bool,
}

impl Point {
    /// A swapoff takes 0.1 s or more, and an interval must hold several of them.
    fn interval(&self, args: &Args) -> Duration {
        args.interval * if self.workload == Workload::Swapoff { 4 } else { 1 }
    }
}

/// Another measurement of the same interval.
pub trait Beside {
    /// The interval begins.
    ///
    /// # Errors
    /// Ends the run, as that of [`Beside::end`] does.
    fn begin(&self) -> Result<(), Error>;

    /// The interval has ended.
    ///
    /// # Errors
    /// Ends the run.
    fn end(&self) -> Result<(), Error>;
}

/// Nothing is measured beside.
impl Beside for () {
    fn begin(&self) -> Result<(), Error> {
        Ok(())
    }

    fn end(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The conditions that all trials of a run share.
pub struct Setting<'a> {
    pub args: &'a Args,
    pub device: &'a Device,
    pub cgroup: &'a std::path::Path,
    pub release: &'a Release,
    pub beside: &'a dyn Beside,
    /// why lock waits cannot be traced here, if they cannot
    pub no_trace: Option<String>,
}

/// A cell with its histograms, or why there is none.
pub enum Outcome {
    Measured(Box<Cell>, Vec<hlog::Interval>),
    Refused(String),
}

/// Pages of each worker: `fill` percent of the device, divided into whole clusters. `None` where
/// that is less than one cluster per worker.
pub fn pages_per_worker(slots: u64, fill: u32, threads: u32) -> Option<usize> {
    let share = slots * u64::from(fill) / 100 / u64::from(threads.max(1));
    let clusters = share as usize / CLUSTER;
    (clusters > 0).then_some(clusters * CLUSTER)
}

/// Runs one trial. The device is swapped on before and after it.
///
/// # Errors
/// Errors that end the whole run: a worker that fails, a signal, a tracer that cannot start, or a
/// swap that cannot be switched on again. A trial that gives no figure is [`Outcome::Refused`].
pub fn run(setting: &Setting, point: &Point, block: u32, order: u64) -> Result<Outcome, Error> {
    let seed = setting.args.seed ^ u64::from(block) << 32;
    let mut crew = Crew::start(&specs(setting, point, seed)?, PATIENCE)?;
    let cpus: Vec<usize> = setting.args.cpus[..point.threads as usize].to_vec();
    let mut tracer = None;
    if point.traced {
        tracer = Some(Tracer::start(&crew.tasks()).map_err(Error::Refused)?);
    }
    let start = sys::now_ns() + WARM_UP;
    let interval = Interval { start, end: start + point.interval(setting.args).as_nanos() as u64 };
    if let Some(tracer) = &mut tracer {
        tracer.only_in(interval);
    }
    crew.go(interval)?;
    sleep_until(interval.start, &mut tracer)?;
    setting.beside.begin()?;
    let (before, watch) = (Snapshot::read(), Watch::start(&Roots::default(), &cpus));
    sleep_until(interval.end, &mut tracer)?;
    // The counts begin after it and end after it, so both intervals are about as long.
    setting.beside.end()?;
    let after = Snapshot::read();
    let noise = watch.finish(&[]);
    let reports = crew.reports(PATIENCE)?;
    if swap_area::used_slots(&setting.device.path).is_none() {
        sys::swapon(&setting.device.path)
            .map_err(Error::system("cannot switch the swap on again"))?;
    }

    let measured = Measured { setting, point, interval, reports, before, after, noise };
    let (mut cell, histograms) = match measured.cell(block, order, seed) {
        Ok(measured) => measured,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    add_contention(&mut cell, tracer, setting);
    Ok(Outcome::Measured(Box::new(cell), histograms))
}

fn specs(setting: &Setting, point: &Point, seed: u64) -> Result<Vec<Spec>, Error> {
    let args = setting.args;
    let pages =
        pages_per_worker(setting.device.slots, args.fill, point.threads).ok_or_else(|| {
            Error::Refused(format!(
                "--size and --fill leave less than one cluster (2 MiB) for each of {} workers",
                point.threads
            ))
        })?;
    let spec = |index: usize, role: Role| Spec {
        controller: std::process::id(),
        cgroup: setting.cgroup.into(),
        cpu: args.cpus[index % args.cpus.len()],
        peer_cpu: args.cpus[(index + 1) % args.cpus.len()],
        seed: seed.wrapping_add(index as u64 * 0x9e37_79b9),
        role,
    };
    let load = Role::Load { workload: point.workload, pages, batch: point.batch };
    let workers = point.threads as usize;
    let mut specs: Vec<Spec> = (0..workers).map(|index| spec(index, load.clone())).collect();
    if point.workload == Workload::Swapoff {
        specs.push(spec(workers, Role::Swapper { device: setting.device.path.clone() }));
    }
    Ok(specs)
}

/// Sleeps in short pieces, so that a signal ends it and the rings do not overflow.
fn sleep_until(when: u64, tracer: &mut Option<Tracer>) -> Result<(), Error> {
    loop {
        super::check_stop()?;
        if let Some(tracer) = tracer {
            tracer.drain();
        }
        let left = when.saturating_sub(sys::now_ns());
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_nanos(left.min(5_000_000)));
    }
}

/// The kernel's counts at one moment.
struct Snapshot {
    at: u64,
    counts: vmstat::Counts,
}

impl Snapshot {
    fn read() -> Snapshot {
        Snapshot { at: sys::now_ns(), counts: vmstat::Counts::read() }
    }
}

/// All that a trial has measured.
struct Measured<'a> {
    setting: &'a Setting<'a>,
    point: &'a Point,
    interval: Interval,
    reports: Vec<Report>,
    before: Snapshot,
    after: Snapshot,
    /// what disturbed it, as the host's files show it
    noise: Noise,
}

impl Measured<'_> {
    /// The cell with its histograms, or why the trial gives no figure.
    fn cell(
        &self,
        block: u32,
        order: u64,
        seed: u64,
    ) -> Result<(Cell, Vec<hlog::Interval>), String> {
        let key = self.key(block);
        let refuse = |why: String| format!("{} x{}: {why}", key.workload, key.threads);
        let loads = &self.reports[..self.point.threads as usize];
        let duration_ns = self.interval.end - self.interval.start;
        let overlap = overlap(loads, duration_ns);
        if overlap < LEAST_OVERLAP {
            let percent = overlap * 100.0;
            return Err(refuse(format!("workers ran together {percent:.0} % of the time")));
        }
        let per_thread: Vec<u64> = loads.iter().map(|report| report.pages_out).collect();
        let ops_per_s = per_thread.iter().sum::<u64>() as f64 * 1e9 / duration_ns as f64;
        let counts = self.counts();
        let verified =
            self.verify(ops_per_s, results::kernel::swapped_out(&counts)).map_err(refuse)?;
        let histograms = histograms(&self.reports);
        let cell = Cell {
            key,
            seed,
            duration_ns,
            asked_ns: Some(duration_ns),
            order_in_run: order,
            ops_per_s,
            jain: jain(&per_thread),
            per_thread,
            overlap,
            precision: None,
            kinds: self.kinds(&histograms),
            sites: Vec::new(),
            counters: BTreeMap::new(),
            counters_per_thread: Vec::new(),
            noise: self.noise(),
            swapoff: self.swapoffs(),
            series: Vec::new(),
            lines: None,
            line_callers: None,
            hot_lines: None,
            verified,
            counts,
            hlog: None,
        };
        let interval =
            |(tag, histogram)| hlog::Interval { tag, start_ns: 0, duration_ns, histogram };
        Ok((cell, histograms.into_iter().map(interval).collect()))
    }

    /// The kernel's counts over the interval, and the swapoffs by their result.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = self.after.counts.since(&self.before.counts);
        for off in self.reports.iter().flat_map(|report| &report.swapoffs) {
            *counts.entry(format!("swapoff_{}", errno_name(off.errno))).or_insert(0) += 1;
        }
        counts
    }

    fn key(&self, block: u32) -> CellKey {
        let mut params = BTreeMap::from([("fill".into(), self.setting.args.fill.to_string())]);
        if self.point.workload.has_batches() {
            params.insert("batch".into(), self.point.batch.to_string());
        }
        if self.point.traced {
            params.insert("trace".into(), "lock".into());
        }
        CellKey {
            machine: self.setting.release.name.clone(),
            variant: self.setting.release.scheme.into(),
            lock: "kernel".into(),
            workload: self.point.workload.id().into(),
            params,
            threads: self.point.threads,
            pin: self.setting.args.pin.clone(),
            block,
        }
    }

    /// Compares the pages that the workers asked for with the pages that went out. They are
    /// compared as rates, since a busy machine reads the counts a little late.
    fn verify(&self, asked: f64, swapped: u64) -> Result<String, String> {
        let elapsed = (self.after.at - self.before.at) as f64;
        let went = swapped as f64 * 1e9 / elapsed;
        let share = went / asked;
        let text = format!(
            "/proc/vmstat: {went:.0} pages/s swapped out, {:.1} % of what was asked",
            share * 100.0
        );
        match self.point.workload {
            Workload::Swapoff => Ok(format!("{text} (the swap was off part of the time)")),
            _ if ASKED.contains(&share) => Ok(text),
            _ => Err(text),
        }
    }

    fn kinds(&self, histograms: &[(String, Histogram<u64>)]) -> BTreeMap<String, Kind> {
        let failed = self.reports.iter().flat_map(|r| &r.swapoffs).filter(|o| o.errno != 0).count();
        let kind = |(name, histogram): &(String, Histogram<u64>)| {
            let kind = Kind {
                count: histogram.len(),
                failed: if name == "swapoff" { failed as u64 } else { 0 },
                sampled_every: 1,
                latency: Latency::of(histogram),
                response: None,
            };
            (name.clone(), kind)
        };
        histograms.iter().map(kind).collect()
    }

    fn noise(&self) -> Noise {
        let why = "not looked for: these workers sleep in the kernel as part of their work";
        Noise {
            steal_ns: self.noise.steal_ns.clone(),
            involuntary_switches: Reading::Known(
                self.reports.iter().map(|report| report.involuntary_switches).sum(),
            ),
            gaps: Reading::unknown(why),
            gap_max_ns: Reading::unknown(why),
            gap_total_ns: Reading::unknown(why),
            frequency_drift: self.noise.frequency_drift.clone(),
            throttled: self.noise.throttled.clone(),
        }
    }

    fn swapoffs(&self) -> Vec<Swapoff> {
        let one = |off: &Off| Swapoff {
            at_ns: off.at.saturating_sub(self.interval.start),
            used_slots: off.used_slots,
            clusters: (self.setting.device.slots + 1).div_ceil(CLUSTER as u64),
            steps: vec![Step { name: "swapoff".into(), ns: off.ns }],
            result: match off.errno {
                0 => "ok".into(),
                errno => {
                    format!("{} with {} KiB available", errno_name(errno), off.available_kib)
                }
            },
        };
        self.reports.iter().flat_map(|report| &report.swapoffs).map(one).collect()
    }
}

/// The share of the interval in which every worker was at work.
fn overlap(loads: &[Report], duration_ns: u64) -> f64 {
    let first = loads.iter().map(|report| report.first).max().unwrap_or(0);
    let last = loads.iter().map(|report| report.last).min().unwrap_or(0);
    last.saturating_sub(first) as f64 / duration_ns as f64
}

/// One histogram per kind of call, over all workers.
fn histograms(reports: &[Report]) -> Vec<(String, Histogram<u64>)> {
    let mut merged: BTreeMap<&str, Histogram<u64>> = BTreeMap::new();
    for (name, counts) in reports.iter().flat_map(|report| &report.kinds) {
        let histogram =
            merged.entry(name).or_insert_with(|| Histogram::new(3).expect("3 digits are allowed"));
        for &(value, count) in counts {
            histogram.record_n(value, count).expect("the histogram grows by itself");
        }
    }
    merged.into_iter().map(|(name, histogram)| (name.to_owned(), histogram)).collect()
}

/// What a swapoff returned, as results name it.
pub(crate) fn errno_name(errno: i32) -> String {
    match errno {
        0 => "ok".into(),
        libc::ENOMEM => "ENOMEM".into(),
        libc::EINTR => "EINTR".into(),
        libc::EBUSY => "EBUSY".into(),
        libc::EINVAL => "EINVAL".into(),
        other => format!("errno{other}"),
    }
}

/// Adds the lock sites of a traced trial, or the reason why there are none.
fn add_contention(cell: &mut Cell, tracer: Option<Tracer>, setting: &Setting) {
    let counter = match (tracer, &setting.no_trace) {
        (Some(tracer), _) => {
            let contention = tracer.finish();
            cell.sites = contention.sites;
            cell.counts.insert("trace_records_lost".into(), contention.lost);
            let value = cell.sites.iter().map(|site| site.contended).sum();
            Counter::Value { value, scaled: 1.0 }
        }
        (None, Some(why)) => Counter::Unsupported { unsupported: why.clone() },
        (None, None) => Counter::Unsupported {
            unsupported: "not traced in this trial, for its cost: see the cells with trace=lock"
                .into(),
        },
    };
    cell.counters.insert("lock:contention_begin".into(), counter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_whole_clusters_or_nothing() {
        assert_eq!(pages_per_worker(262_143, 25, 2), Some(32_256));
        assert_eq!(pages_per_worker(1024, 50, 1), Some(512));
        assert_eq!(pages_per_worker(1024, 50, 2), None);
    }

    #[test]
    fn overlap_is_what_all_workers_share() {
        let report = |first, last| Report { first, last, ..Report::default() };
        assert_eq!(overlap(&[report(100, 1100), report(150, 1050)], 1000), 0.9);
        assert_eq!(overlap(&[report(100, 1100), report(0, 0)], 1000), 0.0);
    }

    #[test]
    fn histograms_of_all_workers_are_added() {
        let report =
            |ns| Report { kinds: vec![("pageout".into(), vec![(ns, 2)])], ..Report::default() };
        let merged = histograms(&[report(10), report(20)]);
        assert_eq!(merged.len(), 1);
        assert_eq!((merged[0].1.len(), merged[0].1.max()), (4, 20));
    }
}
