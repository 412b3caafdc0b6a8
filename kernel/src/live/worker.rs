//! A worker: one process, pinned, in the run's cgroup, that dies with the controller. It is
//! the same program started anew (`swapscale kernel worker`) and talks JSON lines: a spec
//! in, `ready` out, one interval in, the report out.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::device;
use super::load::{Load, Workload};
use super::sys::{self, now_ns};

/// How the program is asked to be a worker.
pub const ARGV: [&str; 2] = ["kernel", "worker"];

/// What a worker is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// pid of the controller, with which the worker dies
    pub controller: u32,
    /// cgroup to enter before any memory is touched
    pub cgroup: PathBuf,
    /// CPU to run on
    pub cpu: usize,
    /// CPU its forked children run on
    pub peer_cpu: usize,
    /// seed of its random numbers
    pub seed: u64,
    /// what it does
    pub role: Role,
}

/// Load on the allocator, or the one that switches the swap off and on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// keeps `pages` pages of its own going in and out of swap
    Load { workload: Workload, pages: usize, batch: usize },
    /// swapoff and swapon of `device`, again and again
    Swapper { device: PathBuf },
}

/// The interval that counts, in CLOCK_MONOTONIC ns. The load begins before and ends after it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Interval {
    pub start: u64,
    pub end: u64,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Say {
    Ready,
    Report(Report),
    Failed(String),
}

/// What a worker did in the interval.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// pages it asked the kernel to swap out, in calls that lie in the interval
    pub pages_out: u64,
    /// the part of the interval it was at work in, CLOCK_MONOTONIC ns
    pub first: u64,
    pub last: u64,
    /// kind of call, and its latencies as (ns, count)
    pub kinds: Vec<(String, Vec<(u64, u64)>)>,
    /// times it was preempted
    pub involuntary_switches: u64,
    /// of the swapper: every swapoff
    pub swapoffs: Vec<Off>,
}

/// One swapoff(2) by the swapper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Off {
    /// when it began, CLOCK_MONOTONIC ns
    pub at: u64,
    /// slots in use just before
    pub used_slots: u64,
    /// how long it took
    pub ns: u64,
    /// errno, 0 for success
    pub errno: i32,
    /// memory available just before, KiB
    pub available_kib: u64,
}

/// Notes each call that lies in the interval.
pub struct Recorder {
    interval: Interval,
    report: Report,
    kinds: Vec<(&'static str, Histogram<u64>)>,
}

impl Recorder {
    fn new(interval: Interval) -> Recorder {
        Recorder { interval, report: Report::default(), kinds: Vec::new() }
    }

    /// Runs `call` and records its latency under `kind`; `pages` were asked to go out.
    pub fn time<T>(
        &mut self,
        kind: &'static str,
        pages: u64,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let start = now_ns();
        let result = call()?;
        self.add(kind, pages, start, now_ns());
        Ok(result)
    }

    /// The same for what cannot fail and swaps nothing out.
    pub fn watch(&mut self, kind: &'static str, call: impl FnOnce()) {
        let start = now_ns();
        call();
        self.add(kind, 0, start, now_ns());
    }

    fn add(&mut self, kind: &'static str, pages: u64, start: u64, end: u64) {
        if end <= self.interval.start || start >= self.interval.end {
            return;
        }
        if self.report.first == 0 {
            self.report.first = start.max(self.interval.start);
        }
        self.report.last = end.min(self.interval.end);
        if start < self.interval.start || end > self.interval.end {
            return;
        }
        self.report.pages_out += pages;
        self.record(kind, end - start);
    }

    /// Records one latency, whenever it was.
    fn record(&mut self, kind: &'static str, ns: u64) {
        let known = self.kinds.iter().position(|(name, _)| *name == kind).unwrap_or_else(|| {
            let histogram = Histogram::new(3).expect("3 digits are allowed");
            self.kinds.push((kind, histogram));
            self.kinds.len() - 1
        });
        self.kinds[known].1.record(ns).expect("the histogram grows by itself");
    }

    fn finish(mut self) -> Report {
        let spread = |(name, histogram): &(&'static str, Histogram<u64>)| {
            let counts = histogram.iter_recorded();
            let counts = counts.map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
            ((*name).to_owned(), counts)
        };
        self.report.kinds = self.kinds.iter().map(spread).collect();
        self.report
    }
}

/// The worker's life. Whatever goes wrong is said, so that the controller can say it on.
pub fn main() -> io::Result<()> {
    let said = match life() {
        Ok(report) => Say::Report(report),
        Err(error) => Say::Failed(error.to_string()),
    };
    say(&said)
}

fn say(what: &Say) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn hear<T: for<'a> Deserialize<'a>>() -> io::Result<T> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn life() -> io::Result<Report> {
    let spec: Spec = hear()?;
    sys::die_with_parent(spec.controller)?;
    super::cgroup::enter(&spec.cgroup)?;
    sys::pin(spec.cpu)?;
    match &spec.role {
        Role::Load { workload, pages, batch } => {
            let mut load = Load::new(*workload, *pages, *batch, spec.seed, spec.peer_cpu)?;
            say(&Say::Ready)?;
            work(hear()?, |recorder| load.step(recorder))
        }
        Role::Swapper { device } => {
            say(&Say::Ready)?;
            swapper(hear()?, device, spec.seed)
        }
    }
}

fn work(
    interval: Interval,
    mut step: impl FnMut(&mut Recorder) -> io::Result<()>,
) -> io::Result<Report> {
    let mut recorder = Recorder::new(interval);
    let mut switches = None;
    while now_ns() < interval.end {
        if switches.is_none() && now_ns() >= interval.start {
            switches = Some(sys::involuntary_switches());
        }
        step(&mut recorder)?;
    }
    let mut report = recorder.finish();
    let before = switches.unwrap_or_else(sys::involuntary_switches);
    report.involuntary_switches = sys::involuntary_switches() - before;
    Ok(report)
}

/// Switches the swap off after a while that differs each time, so that the slots in use do
/// too, and on again. A swapoff that fails leaves it on: the next one follows.
fn swapper(interval: Interval, path: &Path, seed: u64) -> io::Result<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut recorder = Recorder::new(interval);
    std::thread::sleep(Duration::from_nanos(interval.start.saturating_sub(now_ns())));
    while now_ns() < interval.end {
        std::thread::sleep(Duration::from_millis(random.u64(5..200)));
        let used_slots = device::used_slots(path).unwrap_or(0);
        let available_kib = super::safety::available_kib().unwrap_or(0);
        let at = now_ns();
        let result = sys::swapoff(path);
        let ns = now_ns() - at;
        let errno = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        recorder.report.swapoffs.push(Off { at, used_slots, ns, errno, available_kib });
        recorder.record("swapoff", ns);
        if errno == 0 {
            let start = now_ns();
            sys::swapon(path)?;
            recorder.record("swapon", now_ns() - start);
        }
    }
    recorder.report.first = interval.start;
    recorder.report.last = interval.end;
    Ok(recorder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_inside_the_interval_count() {
        let mut recorder = Recorder::new(Interval { start: 100, end: 200 });
        recorder.add("pageout", 16, 90, 110);
        recorder.add("pageout", 16, 110, 150);
        recorder.add("swapin", 0, 150, 160);
        recorder.add("pageout", 16, 190, 210);
        let report = recorder.finish();
        assert_eq!((report.pages_out, report.first, report.last), (16, 100, 200));
        let kinds: Vec<_> = report.kinds.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
        assert_eq!(kinds, [("pageout", vec![(40, 1)]), ("swapin", vec![(10, 1)])]);
    }

    #[test]
    fn what_a_worker_says_is_one_line_each_way() {
        let report = Report { pages_out: 7, ..Report::default() };
        let line = serde_json::to_string(&Say::Report(report)).unwrap();
        assert!(!line.contains('\n'));
        let Say::Report(back) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(back.pages_out, 7);
    }
}
