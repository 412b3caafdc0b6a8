//! The measurements of a worker: each call that lies in the interval, its latency by kind of call.
//! Guards the figure: a call that is only partly in the interval adds no page to it.

use std::io;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::sys::now_ns;

/// The measured interval, CLOCK_MONOTONIC ns. The load begins before it and ends after it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Interval {
    pub start: u64,
    pub end: u64,
}

/// The work of a worker in the interval.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// pages that it asked the kernel to swap out, in calls that lie in the interval
    pub pages_out: u64,
    /// when its first call in the interval began, CLOCK_MONOTONIC ns
    pub first: u64,
    /// when its last call in the interval ended, CLOCK_MONOTONIC ns
    pub last: u64,
    /// kind of call, and its latencies as (ns, count)
    pub kinds: Vec<(String, Vec<(u64, u64)>)>,
    /// how many times it was preempted
    pub involuntary_switches: u64,
    /// every swapoff, of the swapper only
    pub swapoffs: Vec<Off>,
}

/// One swapoff(2) by the swapper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Off {
    /// when it began, CLOCK_MONOTONIC ns
    pub at: u64,
    /// slots in use just before
    pub used_slots: u64,
    /// how long the call took
    pub ns: u64,
    /// errno of the call, 0 for success
    pub errno: i32,
    /// memory available just before, KiB
    pub available_kib: u64,
}

/// Records each call that lies in the interval.
pub struct Recorder {
    interval: Interval,
    report: Report,
    kinds: Vec<(&'static str, Histogram<u64>)>,
}

impl Recorder {
    /// An empty record of `interval`.
    pub fn new(interval: Interval) -> Recorder {
        Recorder { interval, report: Report::default(), kinds: Vec::new() }
    }

    /// Runs `call`, which asks the kernel to swap `pages` out, and records its latency under
    /// `kind`.
    ///
    /// # Errors
    /// That of `call`; a call that fails is not recorded.
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

    /// The same for a call that cannot fail and swaps nothing out.
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

    /// Records one latency, even of a call outside the interval.
    pub fn record(&mut self, kind: &'static str, ns: u64) {
        let known = self.kinds.iter().position(|(name, _)| *name == kind).unwrap_or_else(|| {
            let histogram = Histogram::new(3).expect("3 digits are allowed");
            self.kinds.push((kind, histogram));
            self.kinds.len() - 1
        });
        self.kinds[known].1.record(ns).expect("the histogram grows by itself");
    }

    /// The report, without the swapoffs and the preemptions, which the worker knows.
    pub fn finish(mut self) -> Report {
        let counts = |(name, histogram): &(&'static str, Histogram<u64>)| {
            let latencies = histogram.iter_recorded();
            let latencies = latencies.map(|v| (v.value_iterated_to(), v.count_at_value()));
            ((*name).to_owned(), latencies.collect())
        };
        self.report.kinds = self.kinds.iter().map(counts).collect();
        self.report
    }
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
}
