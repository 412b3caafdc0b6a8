//! Puts the logs of a trial's workers together as one cell. Guards the meaning of its figures: the
//! interval is from the first window's start to the last one's end, and the share of it in which
//! every window was open stands beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use machine::SiteStats;
use results::aggregate::{NOT_COUNTED, SITES};
use results::hlog::Interval;
use results::schema::{Cell, CellKey, Kind as KindResult, Latency, Noise, Series, Step, Swapoff};
use results::stats::jain;

use crate::backing::NONE;
use crate::meter::{Kind, SwapoffSeen};
use crate::over_time::{OverTime, part_shift};
use crate::plan::Point;
use crate::sharing::{self, Places};
use crate::trial::Log;
use probe::counters;
use probe::noise::{Watch, WorkerNoise, unwatched};
use probe::recorder::{Recorder, histogram};

/// The name of a cell, and its place in the run.
#[derive(Clone)]
pub struct Label<'a> {
    pub machine: &'a str,
    pub point: &'a Point,
    pub pin: &'a str,
    /// Workers per CPU, where there are more workers than CPUs.
    pub per_cpu: usize,
    pub block: u32,
    pub seed: u64,
    pub order_in_run: u64,
    /// The planned length of the window.
    pub measure: Duration,
}

impl Label<'_> {
    pub fn key(&self) -> CellKey {
        let Point { variant, lock, threads, params, preempt, sites } = self.point;
        let params = [
            ("size", Some(params.size.to_string())),
            // One device is not said: runs from before the option had one.
            ("devices", params.devices.clone().filter(|d| d.count() > 1).map(|d| d.to_string())),
            ("fill", Some(params.fill.to_string())),
            ("orders", params.orders.as_ref().map(ToString::to_string)),
            ("batch", params.batch.map(|batch| batch.to_string())),
            // Runs from before the option kept none, and do not say so.
            ("kept", params.kept.filter(|kept| *kept > 0).map(|kept| kept.to_string())),
            // Runs from before the option had the bare allocator, and do not say so.
            ("backing", Some(params.backing.to_string()).filter(|name| name != NONE)),
            ("think-ns", Some(params.think_ns.to_string())),
            ("rate", params.rate.map(|rate| rate.to_string())),
        ];
        let params = params.into_iter().chain([
            ("preempt", preempt.map(|preempt| preempt.to_string())),
            ("per-cpu", (self.per_cpu > 1).then(|| self.per_cpu.to_string())),
            (SITES, (!sites).then(|| NOT_COUNTED.to_owned())),
        ]);
        let workload = self.point.params.workload.to_owned();
        let given = params.filter_map(|(name, value)| Some((name.into(), value?)));
        CellKey {
            machine: self.machine.into(),
            variant: variant.to_string(),
            lock: lock.to_string(),
            workload,
            params: given.collect(),
            threads: *threads as u32,
            pin: self.pin.into(),
            block: self.block,
        }
    }
}

/// The interval that the windows span, and the share of it in which all were open. Windows
/// that all opened late, as on a loaded machine, are short of what was planned: that
/// counts as no overlap either.
pub struct Windows {
    pub start: u64,
    pub duration: u64,
    pub overlap: f64,
    pub planned_ns: u64,
}

impl Windows {
    /// Windows as (opened, closed).
    pub fn of(windows: &[(u64, u64)], planned: Duration) -> Self {
        let opened = || windows.iter().map(|w| w.0);
        let closed = || windows.iter().map(|w| w.1);
        let start = opened().min().unwrap_or(0);
        let duration = closed().max().unwrap_or(0).saturating_sub(start).max(1);
        let all = closed().min().unwrap_or(0).saturating_sub(opened().max().unwrap_or(0));
        let whole = u128::from(duration).max(planned.as_nanos());
        let planned_ns = planned.as_nanos() as u64;
        Self { start, duration, overlap: all as f64 / whole as f64, planned_ns }
    }
}

/// The cell and its histograms. `host` watched the host's CPUs, if they were the machine's.
pub fn assemble(
    label: &Label,
    logs: &[Log],
    places: Places,
    host: Option<Watch>,
) -> (Cell, Vec<Interval>) {
    let load: Vec<_> = logs.iter().filter(|l| !l.control).map(|l| (l.opened, l.closed)).collect();
    let windows = Windows::of(&load, label.measure);
    let per_thread: Vec<u64> = logs.iter().map(|log| log.meter.total()).collect();
    let (kinds, histograms) = kinds(logs, &windows);
    let sites: Vec<&[SiteStats]> = logs.iter().map(|log| &log.sites[..]).collect();
    let counters_per_thread = host_logs(logs, |host| host.counters.clone());
    let cell = Cell {
        key: label.key(),
        seed: label.seed,
        duration_ns: windows.duration,
        // A worker of a model cannot be held up from outside.
        asked_ns: host.is_some().then_some(windows.planned_ns),
        order_in_run: label.order_in_run,
        ops_per_s: per_thread.iter().sum::<u64>() as f64 / (windows.duration as f64 / 1e9),
        jain: jain(&per_thread),
        per_thread,
        overlap: windows.overlap,
        precision: None,
        kinds,
        sites: sharing::sites(&sites, places, windows.duration),
        counters: counters::sum(&counters_per_thread),
        counters_per_thread,
        noise: noise(logs, host),
        swapoff: swapoffs(label, logs, windows.start),
        series: own_series(logs, windows.start),
        lines: None,
        line_callers: None,
        hot_lines: None,
        verified: "I1 over all page tables; the variant's invariants at rest".into(),
        counts: counts(logs),
        hlog: None,
    };
    (cell, histograms)
}

fn kinds(logs: &[Log], windows: &Windows) -> (BTreeMap<String, KindResult>, Vec<Interval>) {
    let (mut kinds, mut intervals) = (BTreeMap::new(), Vec::new());
    for kind in Kind::ALL {
        let tallies = || logs.iter().map(|log| &log.meter.tallies[kind as usize]);
        let count: u64 = tallies().map(|tally| tally.count()).sum();
        if count == 0 {
            continue;
        }
        let latency = merged(tallies().filter_map(|tally| tally.latency.as_ref()));
        let response = merged(tallies().filter_map(|tally| tally.response.as_ref()));
        let result = KindResult {
            count,
            failed: tallies().map(|tally| tally.failed).sum(),
            sampled_every: tallies().map(|tally| tally.every).next().unwrap_or(1),
            latency: Latency::of(&latency),
            response: Latency::of(&response),
        };
        kinds.insert(kind.name().to_owned(), result);
        let tags = [kind.name().to_owned(), format!("{}.response", kind.name())];
        let histograms = tags.into_iter().zip([latency, response]);
        intervals.extend(histograms.filter(|(_, h)| !h.is_empty()).map(|(tag, histogram)| {
            Interval { tag, start_ns: 0, duration_ns: windows.duration, histogram }
        }));
        intervals.extend(parts(
            kind,
            tallies().filter_map(|tally| tally.over_time.as_ref()),
            windows,
        ));
    }
    (kinds, intervals)
}

/// The coarse histograms of the window's parts, as `Tag=alloc.parts`.
fn parts<'a>(
    kind: Kind,
    workers: impl Iterator<Item = &'a OverTime>,
    windows: &Windows,
) -> Vec<Interval> {
    let mut all = OverTime::default();
    workers.for_each(|worker| all.add(worker));
    let length = 1u64 << part_shift(windows.planned_ns);
    let tag = format!("{}.parts", kind.name());
    let interval = |(part, histogram): (usize, Histogram<u64>)| Interval {
        tag: tag.clone(),
        start_ns: part as u64 * length,
        duration_ns: length,
        histogram,
    };
    all.histograms().map(interval).collect()
}

fn merged<'a>(parts: impl Iterator<Item = &'a Recorder>) -> Histogram<u64> {
    let mut all = histogram();
    parts.for_each(|part| part.add_to(&mut all));
    all
}

fn host_logs<T>(logs: &[Log], what: impl Fn(&crate::trial::HostLog) -> T) -> Vec<T> {
    logs.iter().filter_map(|log| log.host.as_ref()).map(what).collect()
}

fn noise(logs: &[Log], host: Option<Watch>) -> Noise {
    let workers: Vec<WorkerNoise> = host_logs(logs, |host| host.noise.clone());
    host.map_or_else(|| unwatched("the machine is not this host"), |host| host.finish(&workers))
}

fn swapoffs(label: &Label, logs: &[Log], start: u64) -> Vec<Swapoff> {
    let clusters = label.point.params.size.slots() as u64 / crate::units::CLUSTER;
    let seen = |(at, used, result): &SwapoffSeen| {
        let steps = result.iter().flat_map(|steps| steps.rows());
        Swapoff {
            at_ns: at.saturating_sub(start),
            used_slots: *used,
            clusters,
            steps: steps.map(|(name, ns)| Step { name: name.into(), ns }).collect(),
            result: result.as_ref().map_or_else(|e| e.to_string(), |_| "ok".into()),
        }
    };
    logs.iter().flat_map(|log| &log.meter.swapoffs).map(seen).collect()
}

fn own_series(logs: &[Log], start: u64) -> Vec<Series> {
    let all = logs.iter().flat_map(|log| &log.meter.series);
    let series = all.map(|((name, unit), points)| Series {
        name: name.to_string(),
        unit: unit.to_string(),
        points: points.iter().map(|(at, value)| (at.saturating_sub(start), *value)).collect(),
    });
    series.collect()
}

fn counts(logs: &[Log]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (what, n) in logs.iter().flat_map(|log| &log.meter.counts) {
        *all.entry(what.to_string()).or_default() += n;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_what_all_windows_share() {
        let of = |windows: &[(u64, u64)]| Windows::of(windows, Duration::from_nanos(100));
        let overlap = |windows: &[(u64, u64)]| of(windows).overlap;
        assert_eq!(overlap(&[(10, 110)]), 1.0);
        assert_eq!(overlap(&[(0, 100), (0, 100)]), 1.0);
        assert_eq!(overlap(&[(0, 80), (20, 100)]), 0.6);
        assert_eq!(overlap(&[(0, 50), (50, 100)]), 0.0, "one after the other");
        assert_eq!(overlap(&[(0, 40), (60, 100)]), 0.0, "and never below");
        assert_eq!(overlap(&[(98, 100)]), 0.02, "late for the planned window");
        let late = of(&[(0, 100), (90, 100)]);
        assert_eq!((late.start, late.duration), (0, 100));
    }
}
