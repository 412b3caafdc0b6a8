//! Disturbances of a measurement from outside: stolen time, preemption, gaps in a worker's time,
//! changes of the clock's frequency. Guards that a figure from a disturbed interval is marked.

use std::time::{Duration, Instant};

use results::schema::{Noise, Reading};

use super::Roots;

/// `/proc/stat` counts in USER_HZ, which is 100 on every architecture with a current Rust target.
const TICK_NS: u64 = 10_000_000;

/// An interval between two timestamps is a gap when it is longer than this, ns, and longer than
/// [`GAP_TIMES`] running means.
const GAP_NS: u64 = 10_000;
/// Running means that a gap exceeds: the timestamps of a contended run are far apart anyway.
const GAP_TIMES: u64 = 16;

/// The host's side of an interval, from before the workers start until after they stop.
pub struct Watch {
    roots: Roots,
    cpus: Vec<usize>,
    steal: Reading<u64>,
    throttles: Reading<u64>,
    khz: Reading<u64>,
}

impl Watch {
    /// Watches `cpus`, to which the workers are pinned.
    pub fn start(roots: &Roots, cpus: &[usize]) -> Self {
        Self {
            steal: steal_ns(roots, cpus),
            throttles: throttles(roots, cpus),
            khz: frequency_khz(roots, cpus),
            roots: roots.clone(),
            cpus: cpus.to_vec(),
        }
    }

    /// The disturbances of the interval, from the host and from `workers`.
    pub fn finish(self, workers: &[WorkerNoise]) -> Noise {
        let switches = workers.iter().map(|w| w.involuntary_switches.clone());
        let gaps = |sum: fn(&mut dyn Iterator<Item = &GapMeter>) -> u64| match workers {
            [_, ..] if workers.iter().all(|w| w.gaps.looked()) => {
                Reading::Known(sum(&mut workers.iter().map(|w| &w.gaps)))
            }
            _ => Reading::unknown("no operation was timed"),
        };
        Noise {
            steal_ns: since(&self.steal, &steal_ns(&self.roots, &self.cpus)),
            involuntary_switches: switches.fold(Reading::Known(0), |a, b| both(a, b, |a, b| a + b)),
            gaps: gaps(|all| all.map(|gaps| gaps.count).sum()),
            gap_max_ns: gaps(|all| all.map(|gaps| gaps.max_ns).max().unwrap_or(0)),
            gap_total_ns: gaps(|all| all.map(|gaps| gaps.total_ns).sum()),
            frequency_drift: both(
                self.khz,
                frequency_khz(&self.roots, &self.cpus),
                |before, after| after as f64 / before.max(1) as f64 - 1.0,
            ),
            throttled: since(&self.throttles, &throttles(&self.roots, &self.cpus)),
        }
    }
}

/// The noise of an interval that was not watched, with the reason `why`.
pub fn unwatched(why: &str) -> Noise {
    Noise {
        steal_ns: Reading::unknown(why),
        involuntary_switches: Reading::unknown(why),
        gaps: Reading::unknown(why),
        gap_max_ns: Reading::unknown(why),
        gap_total_ns: Reading::unknown(why),
        frequency_drift: Reading::unknown(why),
        throttled: Reading::unknown(why),
    }
}

/// A worker's side of an interval. It lives on the worker's thread.
pub struct Worker {
    switches: Reading<u64>,
    /// to be fed with the worker's timestamps
    pub gaps: GapMeter,
}

/// The disturbances that a [`Worker`] saw.
#[derive(Clone, Debug)]
pub struct WorkerNoise {
    /// how often its thread was preempted
    pub involuntary_switches: Reading<u64>,
    /// the gaps in its time
    pub gaps: GapMeter,
}

impl Worker {
    /// Begins an interval on the calling thread.
    pub fn start(roots: &Roots) -> Self {
        Self { switches: involuntary_switches(roots), gaps: GapMeter::default() }
    }

    /// Ends the interval. Must be called on the thread that called [`Worker::start`].
    pub fn finish(self, roots: &Roots) -> WorkerNoise {
        WorkerNoise {
            involuntary_switches: since(&self.switches, &involuntary_switches(roots)),
            gaps: self.gaps,
        }
    }
}

/// Finds gaps, in which a worker did not run, between the timestamps that the worker takes anyway.
#[derive(Clone, Debug, Default)]
pub struct GapMeter {
    last: Option<u64>,
    /// the first interval, until the second one shows which of them is the longer
    first: Option<u64>,
    /// 0 before there are two intervals
    mean_ns: u64,
    /// intervals since the window opened
    intervals: u64,
    /// number of gaps
    pub count: u64,
    /// the longest gap, ns
    pub max_ns: u64,
    /// time lost in gaps, ns: what exceeds the running mean
    pub total_ns: u64,
}

impl GapMeter {
    /// The next timestamp, ns.
    #[inline]
    pub fn feed(&mut self, now: u64) {
        let Some(last) = self.last.replace(now) else { return };
        let interval = now.saturating_sub(last);
        self.intervals += 1;
        if self.mean_ns > 0 {
            return self.judge(interval);
        }
        match self.first.take() {
            None => self.first = Some(interval),
            // Either may be the gap: the mean starts at the shorter one.
            Some(first) => {
                self.mean_ns = first.min(interval).max(1);
                self.judge(first);
                self.judge(interval);
            }
        }
    }

    #[inline]
    fn judge(&mut self, interval: u64) {
        if interval > GAP_NS && interval > GAP_TIMES * self.mean_ns {
            self.count += 1;
            self.max_ns = self.max_ns.max(interval);
            self.total_ns += interval - self.mean_ns;
        }
        // A gap moves the mean a little: intervals that stay long are soon no gaps any more.
        let mean = (15 * self.mean_ns + interval.min(GAP_TIMES * self.mean_ns)) / 16;
        self.mean_ns = mean.max(1);
    }

    /// As [`GapMeter::feed`], unless the last timestamp is younger than `least` ns.
    pub fn feed_after(&mut self, least: u64, now: u64) {
        if self.last.is_none_or(|last| now.saturating_sub(last) >= least) {
            self.feed(now);
        }
    }

    /// The window opens: what was counted is forgotten. The mean is kept, so that a gap at the
    /// start of the window stands out.
    pub fn open(&mut self, now: u64) {
        *self = Self { mean_ns: self.mean_ns, last: Some(now), ..Self::default() };
    }

    /// Whether there was more than one interval: a window that only its two ends bound has shown
    /// no gap, and no absence of gaps.
    fn looked(&self) -> bool {
        self.intervals > 1
    }

    /// Takes `now` as the last timestamp: the time before it was a long operation and no gap.
    pub fn skip(&mut self, now: u64) {
        self.last = Some(now);
    }
}

/// The gaps of a thread that only reads the clock for `time`: the time that this machine takes from
/// any worker, even without a lock. For `doctor`, not during a measurement.
pub fn quiet_spin(time: Duration) -> GapMeter {
    let (mut gaps, start) = (GapMeter::default(), Instant::now());
    loop {
        let elapsed = start.elapsed();
        gaps.feed(elapsed.as_nanos() as u64);
        if elapsed >= time {
            return gaps;
        }
    }
}

/// Time since boot in which the hypervisor ran something else on these CPUs, ns.
pub fn steal_ns(roots: &Roots, cpus: &[usize]) -> Reading<u64> {
    roots.proc("stat").and_then(|stat| {
        let ticks = |cpu: usize| -> Option<u64> {
            let name = format!("cpu{cpu}");
            let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
            line.split_whitespace().nth(8)?.parse().ok()
        };
        let missing = |cpu| format!("proc/stat: no steal time of cpu{cpu}");
        let ns = cpus.iter().map(|&cpu| Ok(ticks(cpu).ok_or_else(|| missing(cpu))? * TICK_NS));
        ns.sum()
    })
}

/// How many times the calling thread has been preempted.
pub fn involuntary_switches(roots: &Roots) -> Reading<u64> {
    roots.proc("thread-self/status").and_then(|status| {
        let value = status.lines().find_map(|l| l.strip_prefix("nonvoluntary_ctxt_switches:"));
        let missing = || "proc/thread-self/status: no nonvoluntary_ctxt_switches".to_owned();
        value.and_then(|v| v.trim().parse().ok()).ok_or_else(missing)
    })
}

/// How many times since boot a core of these CPUs was throttled because it was hot.
pub fn throttles(roots: &Roots, cpus: &[usize]) -> Reading<u64> {
    total(roots, cpus, "thermal_throttle/core_throttle_count")
}

/// Mean of the current frequencies of these CPUs, kHz.
pub fn frequency_khz(roots: &Roots, cpus: &[usize]) -> Reading<u64> {
    let sum = total(roots, cpus, "cpufreq/scaling_cur_freq");
    sum.and_then(|sum| Ok(sum / cpus.len().max(1) as u64))
}

fn total(roots: &Roots, cpus: &[usize], file: &str) -> Reading<u64> {
    cpus.iter().fold(Reading::Known(0), |sum, cpu| {
        let path = format!("devices/system/cpu/cpu{cpu}/{file}");
        let number = |text: String| text.parse().map_err(|_| format!("'{text}' is not a number"));
        both(sum, roots.sys(&path).and_then(number), |a, b| a + b)
    })
}

fn since(before: &Reading<u64>, after: &Reading<u64>) -> Reading<u64> {
    both(before.clone(), after.clone(), |before, after| after.saturating_sub(before))
}

fn both<T>(a: Reading<u64>, b: Reading<u64>, f: impl Fn(u64, u64) -> T) -> Reading<T> {
    match (a, b) {
        (Reading::Known(a), Reading::Known(b)) => Reading::Known(f(a, b)),
        (Reading::Unknown { unknown }, _) | (_, Reading::Unknown { unknown }) => {
            Reading::Unknown { unknown }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const STAT: &str = "cpu  9 0 9 9 9 0 9 99 0 0\ncpu0 1 2 3 4 5 6 7 30 0 0\n\
                        cpu1 1 2 3 4 5 6 7 5 0 0\ncpu10 1 2 3 4 5 6 7 100 0 0\n";

    #[test]
    fn steal_counts_the_workers_cpus_only() {
        let host = Fixture::new(&[("proc/stat", STAT)]);
        assert_eq!(steal_ns(&host.roots, &[0, 1]), Reading::Known(350_000_000));
        let missing = steal_ns(&host.roots, &[1, 7]).to_string();
        assert!(missing.contains("no steal time of cpu7"), "{missing}");
        let nothing = steal_ns(&Fixture::new(&[]).roots, &[0]).to_string();
        assert!(nothing.contains("proc/stat: ENOENT"), "{nothing}");
    }

    #[test]
    fn an_interval_is_what_came_in_between() {
        let throttle = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
        let status = "proc/thread-self/status";
        let switches =
            |n: u64| format!("voluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t{n}\n");
        let host = Fixture::new(&[("proc/stat", STAT), (throttle, "4"), (status, &switches(2))]);
        let watch = Watch::start(&host.roots, &[0]);
        let mut workers = [Worker::start(&host.roots), Worker::start(&host.roots)];
        host.put("proc/stat", &STAT.replace("30 0 0", "33 0 0"));
        host.put(throttle, "7");
        host.put(status, &switches(7));
        [0, 100, 200, 50_000, 50_100].into_iter().for_each(|now| workers[1].gaps.feed(now));
        let seen = workers.map(|w| w.finish(&host.roots));
        let nothing_timed = Watch::start(&host.roots, &[0]).finish(&seen);
        assert_eq!(nothing_timed.gaps, Reading::unknown("no operation was timed"));
        assert!(nothing_timed.gap_max_ns.known().or(nothing_timed.gap_total_ns.known()).is_none());
        let noise = watch.finish(&seen[1..]);
        assert_eq!(noise.steal_ns, Reading::Known(30_000_000));
        assert_eq!(noise.involuntary_switches, Reading::Known(5));
        assert_eq!((noise.gaps, noise.gap_max_ns), (Reading::Known(1), Reading::Known(49_800)));
        assert_eq!(noise.gap_total_ns, Reading::Known(49_700));
        assert_eq!(noise.throttled, Reading::Known(3));
        assert!(noise.frequency_drift.to_string().contains("ENOENT"), "no cpufreq, no drift of 0");
    }

    #[test]
    fn a_gap_stands_out_from_its_neighbours() {
        let gaps = |intervals: &[u64]| {
            let (mut meter, mut now) = (GapMeter::default(), 0);
            meter.feed(now);
            for interval in intervals {
                now += interval;
                meter.feed(now);
            }
            (meter.count, meter.max_ns)
        };
        assert_eq!(gaps(&[100, 90, 312_000, 100, 11_000, 100]), (2, 312_000));
        assert_eq!(gaps(&[312_000, 100, 90]), (1, 312_000), "the first interval is no mean");
        assert_eq!(gaps(&[100, 312_000]), (1, 312_000), "nor is it the second");
        assert_eq!(gaps(&[312_000]), (0, 0), "one interval has nothing to stand out from");
        assert_eq!(gaps(&[100, 90, 9_000, 100]), (0, 0), "below 10 us");
        assert_eq!(gaps(&[60_000, 70_000, 64_000, 200_000]), (0, 0), "64 contended operations");
        assert_eq!(gaps(&[60_000, 70_000, 64_000, 2_000_000]), (1, 2_000_000));
        let alternating: Vec<u64> = (0..2000).map(|n| [200, 12_000][n % 2]).collect();
        assert!(gaps(&alternating).0 < 50, "two kinds of operations in turn");
        let mut swapoff = GapMeter::default();
        [0, 100, 200].into_iter().for_each(|now| swapoff.feed(now));
        swapoff.skip(90_000_000);
        swapoff.feed(90_000_100);
        assert_eq!(swapoff.count, 0, "a long operation is no gap");
    }

    /// A stop that begins or ends a window lies between one of its ends and a timestamp.
    #[test]
    fn a_window_sees_gaps_at_both_of_its_ends() {
        let mut meter = GapMeter::default();
        [0, 300_000, 600_000, 900_000].into_iter().for_each(|now| meter.feed(now));
        meter.open(1_000_000);
        assert_eq!((meter.count, meter.looked()), (0, false));
        meter.feed(51_000_000);
        meter.feed(51_300_000);
        meter.feed(951_300_000);
        assert_eq!((meter.count, meter.max_ns), (2, 900_000_000));
        assert!(meter.looked());
    }

    #[test]
    fn a_look_beside_the_timed_operations_is_left_out_where_those_are_frequent() {
        let mut meter = GapMeter::default();
        for now in (0..100).map(|n| 20_000 * n) {
            meter.feed(now);
            meter.feed_after(30_000, now + 100);
        }
        assert_eq!(meter.intervals, 99);
        meter.feed_after(30_000, 99 * 20_000 + 5_000_000);
        assert_eq!((meter.count, meter.max_ns), (1, 5_000_000));
    }

    #[test]
    fn frequency_is_a_mean() {
        let cpu = |n: usize| format!("sys/devices/system/cpu/cpu{n}/cpufreq/scaling_cur_freq");
        let host = Fixture::new(&[(&cpu(0), "2000000"), (&cpu(1), "3000000"), (&cpu(2), "fast")]);
        assert_eq!(frequency_khz(&host.roots, &[0, 1]), Reading::Known(2_500_000));
        let watch = Watch::start(&host.roots, &[0]);
        host.put(&cpu(0), "1800000");
        let drift = *watch.finish(&[]).frequency_drift.known().unwrap();
        assert!((drift + 0.1).abs() < 1e-9, "{drift}");
        assert!(frequency_khz(&host.roots, &[0, 2]).to_string().contains("'fast' is not a number"));
    }

    #[test]
    fn this_machine_reads() {
        let roots = Roots::default();
        assert!(involuntary_switches(&roots).known().is_some());
        assert!(quiet_spin(Duration::from_millis(2)).last.is_some());
    }
}
