//! The types a run directory holds, as they stand on disk: `Run` is `run.json`,
//! `Cell` is one line of `cells.jsonl`. The order of the fields is the order in
//! the file, maps are sorted, floats keep six significant digits: two equal runs
//! differ in no byte. `docs/results-schema.md` is generated from this file.
//!
//! Readers tolerate fields they do not know, so that a field can be added without
//! a new version. A change of meaning, or a field taken away, raises [`SCHEMA`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

pub use crate::distance::{Distance, UNSEEN};

/// The version written, and the newest that can be read.
pub const SCHEMA: u32 = 1;

/// Least share of a trial's interval in which every thread must run, 0..1. A cell below it says
/// nothing about contention: the engine refuses it, and no chart shows it.
pub const LEAST_OVERLAP: f64 = 0.95;

/// [`Site::kind`] of a spinlock that is taken with interrupts off.
pub const IRQS_OFF: &str = "spinlock_irq";

/// `run.json`: what was run, where, and how to repeat it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// schema version of the whole directory
    pub schema: u32,
    /// name of the run's directory: `<utc-time>-<random>-<host>-<label>`, in older runs without
    /// the random part
    pub id: String,
    /// start of the run, UTC, RFC 3339
    pub created_utc: String,
    /// what the user called the run
    pub label: String,
    /// the command line that repeats this run
    pub command: String,
    /// the plan as the engine resolved it: every default written out
    pub plan: serde_json::Value,
    /// of two runs whose trials took turns, the same in both (`--baseline`)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_turns: Option<String>,
    /// text of the plan's events file, if it names one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// the machine the variants ran on
    pub machine: MachineId,
    /// the host the program ran on
    pub environment: Environment,
    /// what measuring itself costs, calibrated before the first cell
    pub probe: ProbeCost,
}

/// A machine in the sense of the Machine trait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineId {
    /// how it comes about: `native`, `simulated`, `kernel` or `emulated`
    pub kind: MachineKind,
    /// `native`, a model's name, or the kernel's release
    pub name: String,
    /// true where figures come from a model, not from hardware
    pub predicted: bool,
}

/// The kinds of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineKind {
    /// this host, variants in this process
    Native,
    /// a model of a host
    Simulated,
    /// the running kernel's own allocator
    Kernel,
    /// a kernel in an emulator: no hardware timing
    Emulated,
}

impl MachineKind {
    /// How its figures came about, to be set before the machine's name.
    pub fn origin(self) -> &'static str {
        match self {
            MachineKind::Native | MachineKind::Kernel => "measured on",
            MachineKind::Simulated => "predicted for",
            MachineKind::Emulated => "emulated, not hardware timing, on",
        }
    }
}

/// Something read from the host: the value itself, or `{"unknown": "why"}`.
/// A value that could not be had is never 0 or empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reading<T> {
    /// not to be had
    Unknown {
        /// the reason
        unknown: String,
    },
    /// the value
    Known(T),
}

impl<T> Reading<T> {
    /// A reading that failed, with its reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Reading::Unknown { unknown: reason.into() }
    }

    /// The value put through `f`, whose error is a reason.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Result<U, String>) -> Reading<U> {
        match self {
            Reading::Known(value) => match f(value) {
                Ok(value) => Reading::Known(value),
                Err(unknown) => Reading::Unknown { unknown },
            },
            Reading::Unknown { unknown } => Reading::Unknown { unknown },
        }
    }

    /// The value, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Reading::Known(value) => Some(value),
            Reading::Unknown { .. } => None,
        }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Reading<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reading::Known(value) => value.fmt(f),
            Reading::Unknown { unknown } => write!(f, "unknown ({unknown})"),
        }
    }
}

/// The host, as far as it can bend a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// host name
    pub host: Reading<String>,
    /// model name of CPU 0
    pub cpu_model: Reading<String>,
    /// CPUs online
    pub cpus_online: Reading<u32>,
    /// physical packages
    pub packages: Reading<u32>,
    /// true where two online CPUs share a core
    pub smt: Reading<bool>,
    /// NUMA nodes with CPUs
    pub numa_nodes: Reading<u32>,
    /// kernel release and version, as uname(2) gives them
    pub kernel: Reading<String>,
    /// cpufreq governor of the CPUs in use; where they differ, with the number of CPUs of each
    pub governor: Reading<String>,
    /// true where the clock may boost
    pub turbo: Reading<bool>,
    /// transparent huge pages: always, madvise or never
    pub thp: Reading<String>,
    /// hypervisor's name, or `none` on bare metal
    pub virtualized: Reading<String>,
    /// memory, KiB
    pub mem_total_kib: Reading<u64>,
    /// compiler that built the program
    pub rustc: Reading<String>,
    /// commit the program was built from
    pub commit: Reading<String>,
    /// true where the tree had uncommitted changes
    pub dirty: Reading<bool>,
    /// time stamp counter: its flags and rate
    pub tsc: Reading<String>,
    /// smallest non-zero step of the clock used, ns
    #[serde(serialize_with = "six_reading")]
    pub clock_ns: Reading<f64>,
    /// digest of what tells this machine from others: machine-id, CPU model, microcode, DMI product,
    /// Slurm node
    #[serde(default = "not_recorded")]
    pub identity: Reading<String>,
    /// the kernel's random id of this boot
    #[serde(default = "not_recorded")]
    pub boot_id: Reading<String>,
    /// anything else a reader should know, one sentence each
    pub notes: Vec<String>,
}

/// Calibrated cost of the probes; subtract nothing, compare with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeCost {
    /// one clock read, ns
    #[serde(serialize_with = "six_reading")]
    pub clock_read_ns: Reading<f64>,
    /// one latency recorded in its histogram, ns
    #[serde(serialize_with = "six_reading")]
    pub record_ns: Reading<f64>,
}

/// One line of `cells.jsonl`: one trial of one point of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// which point and which trial
    pub key: CellKey,
    /// seed of the workload's random numbers
    pub seed: u64,
    /// measured interval, ns (virtual ns on a simulated machine)
    pub duration_ns: u64,
    /// interval that the plan asked for, ns; absent where time is virtual, and in older runs
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_ns: Option<u64>,
    /// position in the run, from 0: trials are interleaved
    pub order_in_run: u64,
    /// operations each thread finished in the interval, without the failed ones
    pub per_thread: Vec<u64>,
    /// operations of all threads per second of the interval
    #[serde(serialize_with = "six")]
    pub ops_per_s: f64,
    /// Jain's fairness index of `per_thread`, 1/threads..1
    #[serde(serialize_with = "six")]
    pub jain: f64,
    /// share of the interval in which every thread was running, 0..1
    #[serde(serialize_with = "six")]
    pub overlap: f64,
    /// how well the interval knows `ops_per_s`, where that decided its length (`--precision`); the
    /// interval is one stretch of virtual time in which all threads were at work
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// by operation kind (alloc, free, swapoff, ...)
    pub kinds: BTreeMap<String, Kind>,
    /// lock sites, as `perf lock contention` shows them
    pub sites: Vec<Site>,
    /// hardware and software counters by perf's event name
    pub counters: BTreeMap<String, Counter>,
    /// the same of each thread, in their order; empty where they have none
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counters_per_thread: Vec<BTreeMap<String, Counter>>,
    /// what disturbed the interval
    pub noise: Noise,
    /// swapoffs in the interval, the first 64 of them
    pub swapoff: Vec<Swapoff>,
    /// values over time
    pub series: Vec<Series>,
    /// traffic of cache lines by field; null on a machine that cannot tell
    pub lines: Option<Vec<Line>>,
    /// the same traffic by the function that last took a lock; null as above
    pub line_callers: Option<Vec<LineCaller>>,
    /// the single lines fetched most often, the hottest first; null as above
    pub hot_lines: Option<Vec<HotLine>>,
    /// what was checked after the interval, in words
    pub verified: String,
    /// other counts of the workload and the variant (fallback, reclaimed, ...)
    pub counts: BTreeMap<String, u64>,
    /// file of this cell's histograms in the run's directory, if any
    pub hlog: Option<String>,
}

/// The identity of a cell. `block` is the trial; cells that differ in it alone are samples of one
/// group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// the machine's name
    pub machine: String,
    /// id of the variant
    pub variant: String,
    /// id of the lock
    pub lock: String,
    /// id of the workload
    pub workload: String,
    /// the workload's parameters, and any other axis
    pub params: BTreeMap<String, String>,
    /// worker threads; `per-cpu` in `params` where several share a CPU
    pub threads: u32,
    /// pinning policy, or the list of CPUs
    pub pin: String,
    /// trial number, from 0
    pub block: u32,
}

/// What one trial knows of its own throughput, by batch means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// batches that the interval was cut into: of equal length, or a workload's rounds
    pub batches: u32,
    /// half of the 95 % interval of `ops_per_s`, as a share of it; null of too few batches
    #[serde(serialize_with = "six_option")]
    pub half_width: Option<f64>,
}

/// The outcome of one kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// operations finished, the failed ones among them
    pub count: u64,
    /// operations that failed (device full, device gone)
    pub failed: u64,
    /// mean sampling period of the timed operations; 1 = each was timed
    pub sampled_every: u32,
    /// service time: from the start of the operation to its end
    pub latency: Option<Latency>,
    /// response time: from the intended start, in open-loop runs only
    pub response: Option<Latency>,
}

impl Kind {
    /// Whether each operation was timed, so that the `max` of [`Latency`] is the longest of all. Of
    /// a sample it is the longest of those that were timed, and not more.
    pub fn each_timed(&self) -> bool {
        self.sampled_every == 1
    }
}

/// Summary of a histogram. All but `n` in ns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// operations timed
    pub n: u64,
    /// shortest, ns
    pub min: u64,
    /// median, ns
    pub p50: u64,
    /// 90th percentile, ns
    pub p90: u64,
    /// 99th percentile, ns
    pub p99: u64,
    /// 99.9th percentile, ns
    pub p999: u64,
    /// 99.99th percentile, ns
    pub p9999: u64,
    /// longest of those that were timed, ns: of all, only where `sampled_every` is 1
    pub max: u64,
    /// arithmetic mean, ns
    #[serde(serialize_with = "six")]
    pub mean: f64,
}

/// One place that takes a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// the lock, by its kernel name (si->lock, ci->lock, ...)
    pub lock: String,
    /// its type, as perf lock prints it (spinlock, mutex, ...); spinlock_irq where interrupts are off
    /// while it is held, which perf does not tell
    pub kind: String,
    /// the function that takes it
    pub caller: String,
    /// times it was taken there; null where only the contended ones are seen
    pub acquisitions: Option<u64>,
    /// times it was not free at once
    pub contended: u64,
    /// sum of the waits, ns
    pub wait_total_ns: u64,
    /// longest wait, ns
    pub wait_max_ns: u64,
    /// holds that were timed
    pub hold_sampled: u64,
    /// sum of the timed holds, ns
    pub hold_total_ns: u64,
    /// longest timed hold, ns
    pub hold_max_ns: u64,
    /// how the threads shared it; null where only waits are seen
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
}

/// How the threads share one lock site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sharing {
    /// times each thread took it there
    pub per_thread: Vec<u64>,
    /// waits that looked up the holder and the other waiters
    pub looked: u64,
    /// others that they found waiting, summed
    pub queue_total: u64,
    /// most others that one found waiting
    pub queue_max: u64,
    /// how far the holder was that a wait found, by distance: `same-cpu`, `sibling`,
    /// `same-l3`, `same-package`, `other-package`; `unseen` where it was between two
    pub handover: BTreeMap<String, u64>,
    /// waits that looked, ns, by waiter (row) and the holder it found (column), where
    /// there were any; of many threads neighbours are put together, 16 rows at most
    pub waited_for: Vec<Vec<u64>>,
    /// time between two acquisitions of the same thread; null where none was timed
    pub again: Option<Again>,
    /// lock working set: different threads in 1000 acquisitions in a row, from `again`
    #[serde(serialize_with = "six_option")]
    pub lwss: Option<f64>,
}

/// Time from one acquisition of a thread to its next at the same site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Again {
    /// pairs timed
    pub n: u64,
    /// median, ns; as `p99` to a quarter of an octave
    pub p50: u64,
    /// 99th percentile, ns
    pub p99: u64,
    /// longest, ns
    pub max: u64,
}

/// A counter's value, or `{"unsupported": "why"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Counter {
    /// counted
    Value {
        /// events in the interval, all threads
        value: u64,
        /// factor the raw count was multiplied by; 1 = it counted all the time
        #[serde(serialize_with = "six")]
        scaled: f64,
    },
    /// not to be had
    Unsupported {
        /// errno and what it means here
        unsupported: String,
    },
}

/// Disturbances from outside, over the interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// time the hypervisor took from the CPUs used, ns
    pub steal_ns: Reading<u64>,
    /// times a worker was preempted
    pub involuntary_switches: Reading<u64>,
    /// gaps in a worker's clock longer than 10 us
    pub gaps: Reading<u64>,
    /// longest gap, ns
    pub gap_max_ns: Reading<u64>,
    /// all gaps of all workers together, ns
    #[serde(default = "not_recorded")]
    pub gap_total_ns: Reading<u64>,
    /// change of the CPUs' mean clock from the start to the end of the trial; 0.05 = 5 % up
    #[serde(default = "not_recorded", serialize_with = "six_reading")]
    pub frequency_drift: Reading<f64>,
    /// times a core that was used was slowed for heat
    #[serde(default = "not_recorded")]
    pub throttled: Reading<u64>,
}

/// A reading that older programs did not record.
fn not_recorded<T>() -> Reading<T> {
    Reading::unknown("not recorded")
}

/// One swapoff and its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swapoff {
    /// start, ns from the start of the interval
    pub at_ns: u64,
    /// slots in use when it began
    pub used_slots: u64,
    /// clusters of the device
    pub clusters: u64,
    /// what it did, in order
    pub steps: Vec<Step>,
    /// `ok`, or the error
    pub result: String,
}

/// One step of a swapoff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// barrier, unuse, drain, free, ...
    pub name: String,
    /// time it took, ns
    pub ns: u64,
}

/// A value over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// what is shown
    pub name: String,
    /// unit of the values
    pub unit: String,
    /// (ns from the start of the interval, value)
    #[serde(serialize_with = "six_points")]
    pub points: Vec<(u64, f64)>,
}

/// Coherence traffic of a field, in all elements of its array (simulated machines).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// array or structure the field lies in
    pub region: String,
    /// the field; empty where the array has none
    pub field: String,
    /// times its line was fetched (coherence misses), by distance; none: not listed
    pub transfers: BTreeMap<String, u64>,
    /// time CPUs waited for it, ns
    pub wait_ns: u64,
    /// copies it lost to writers
    pub invalidations: u64,
}

/// Coherence traffic after a function took a lock and before another did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineCaller {
    /// the function
    pub caller: String,
    /// lines it fetched (coherence misses), by distance; none: not listed
    pub transfers: BTreeMap<String, u64>,
    /// time it waited for them, ns
    pub wait_ns: u64,
    /// copies that others lost to it
    pub invalidations: u64,
}

/// One cache line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HotLine {
    /// the field of it that moved most, with the element's index: `ci[17].count`, `si->lock`
    pub name: String,
    /// times it was fetched
    pub transfers: u64,
}

/// `x` to six significant digits: more is noise, and a diff must not show noise.
pub fn round_six(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

fn six<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if !x.is_finite() {
        return Err(serde::ser::Error::custom(format!("{x} is not a number a result can hold")));
    }
    serializer.serialize_f64(round_six(*x))
}

/// A float in the fixed format, to be put in a sequence.
struct Six(f64);

impl Serialize for Six {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        six(&self.0, serializer)
    }
}

fn six_reading<S: Serializer>(reading: &Reading<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match reading {
        Reading::Known(value) => six(value, serializer),
        unknown => unknown.serialize(serializer),
    }
}

fn six_option<S: Serializer>(x: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match x {
        Some(x) => six(x, serializer),
        None => serializer.serialize_none(),
    }
}

fn six_points<S: Serializer>(points: &[(u64, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(points.iter().map(|&(at, value)| (at, Six(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_six_digits_and_reject_what_json_cannot_hold() {
        assert_eq!(round_six(1234567.891), 1234570.0);
        assert_eq!(round_six(0.000123456789), 0.000123457);
        let latency = Latency {
            n: 1,
            min: 1,
            p50: 1,
            p90: 1,
            p99: 1,
            p999: 1,
            p9999: 1,
            max: 1,
            mean: f64::NAN,
        };
        assert!(serde_json::to_string(&latency).is_err());
    }

    #[test]
    fn an_unknown_reading_keeps_its_reason() {
        let known: Reading<f64> = serde_json::from_str("20.0").unwrap();
        assert_eq!(known, Reading::Known(20.0));
        let text = r#"{"unknown":"ENOENT: no cpufreq"}"#;
        let unknown: Reading<String> = serde_json::from_str(text).unwrap();
        assert_eq!(unknown.known(), None);
        assert_eq!(serde_json::to_string(&unknown).unwrap(), text);
    }

    #[test]
    fn a_counter_is_a_value_or_a_reason() {
        let counter: Counter = serde_json::from_str(r#"{"unsupported":"ENOENT"}"#).unwrap();
        assert_eq!(counter, Counter::Unsupported { unsupported: "ENOENT".into() });
        let text = r#"{"value":7,"scaled":1.0}"#;
        let counter: Counter = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&counter).unwrap(), text);
    }

    #[test]
    fn points_are_rounded_too() {
        let series =
            Series { name: "a".into(), unit: "slots".into(), points: vec![(5, 1.23456789)] };
        assert!(serde_json::to_string(&series).unwrap().contains("[[5,1.23457]]"));
    }
}
