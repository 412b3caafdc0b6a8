//! What to run: options from flags or a TOML file, checked and spread into points before anything
//! is made or measured. Guards that a run never starts with something that cannot end well.

use std::iter::once;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use machine::simulated::Model;
use machine::topology::{Pin, Topology, TopologyError};
use results::sequential;
use serde::{Deserialize, Serialize};
use variants::registry;

use crate::units::{Budget, CLUSTER, Fill, Orders, Preempt, Rate, Size, Threads, Width};
use crate::workload::{self, Params};
use probe::counters::{Groups, Set, events};
use probe::{Roots, environment};

mod text;

/// A run's options as a user gives them; what is not given has a default. The same names serve as
/// flags, as keys of a plan file and in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Variants, or kernel releases as 6.14 [default: global,scanning,percluster]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    #[serde(deserialize_with = "text::many", skip_serializing_if = "Vec::is_empty")]
    pub variant: Vec<String>,
    /// Locks [default: tas in a guest, qspin on bare metal]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    #[serde(deserialize_with = "text::many", skip_serializing_if = "Vec::is_empty")]
    pub lock: Vec<String>,
    /// Workloads [default: churn,seq,swapoff]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    #[serde(deserialize_with = "text::many", skip_serializing_if = "Vec::is_empty")]
    pub workload: Vec<String>,
    /// native, the name of a model, or kernel [default: native]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Numbers of threads; auto is 1,2,4 .. all CPUs [default: auto]
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    #[serde(
        deserialize_with = "text::many",
        serialize_with = "text::show_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub threads: Vec<Threads>,
    /// Trials of every point, interleaved [default: 6]
    #[arg(long, value_name = "N", conflicts_with = "until")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<u32>,
    /// Goes on until the interval of every point's throughput is this narrow, as 1% on either
    /// side, or the budget is gone
    #[arg(long, value_name = "PCT")]
    #[serde(
        deserialize_with = "text::one",
        serialize_with = "text::show_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Width>,
    /// Measured time of a trial [default: 1, with --until 0.2, or what the budget leaves]
    #[arg(long, value_name = "S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Time for the whole run, as 90s or 4m; decides the seconds of a trial, or with --until
    /// their number [default with --until: 4m]
    #[arg(long, value_name = "TIME")]
    #[serde(
        deserialize_with = "text::one",
        serialize_with = "text::show_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub budget: Option<Budget>,
    /// Seed of the order of trials and of the workloads' random numbers [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// compact, spread, smt-last, or a CPU list as 0,2,4-7 [default: smt-last]
    #[arg(long, value_name = "POLICY")]
    #[serde(
        deserialize_with = "text::one",
        serialize_with = "text::show_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub pin: Option<Pin>,
    /// More threads than CPUs: they share them
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oversubscribe: bool,
    /// Sizes of a swap device, as 64MiB or 10GiB [default: the workload's]
    #[arg(long, value_delimiter = ',', value_name = "SIZE,..")]
    #[serde(
        deserialize_with = "text::many",
        serialize_with = "text::show_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub size: Vec<Size>,
    /// How much of the device is in use: percent, or an amount as 1GiB [default: the workload's]
    #[arg(long, value_delimiter = ',', value_name = "PCT|SIZE,..")]
    #[serde(
        deserialize_with = "text::many",
        serialize_with = "text::show_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub fill: Vec<Fill>,
    /// Allocation orders with their shares, as 0 or 0:.7,2:.1,4:.2 [default: the workload's]
    #[arg(long, value_name = "MIX")]
    #[serde(
        deserialize_with = "text::one",
        serialize_with = "text::show_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub orders: Option<Orders>,
    /// Entries in one call, where the workload leaves it open [default: the workload's]
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    #[serde(deserialize_with = "text::many", skip_serializing_if = "Vec::is_empty")]
    pub batch: Vec<u32>,
    /// Think time between operations, ns [default: 0]
    #[arg(long, value_name = "NS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_ns: Option<u64>,
    /// Open loop: steps a second that each worker is asked for, on a schedule, as 200k; times all
    /// operations and their response from the intended start. Several are a sweep, which shows
    /// latency against load [default: closed loop]
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    #[serde(
        deserialize_with = "text::many",
        serialize_with = "text::show_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub rate: Vec<Rate>,
    /// One operation in so many is timed; 1 times all (a latency run) [default: 128]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u32>,
    /// Hardware counters: core or cache [default: core]
    #[arg(long, value_name = "SET")]
    #[serde(
        deserialize_with = "text::one",
        serialize_with = "text::show_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub counters: Option<Set>,
    /// Refuses trials that something from outside has hit: clock gaps, stolen time, a clock that
    /// changes, heat
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Events to count instead: a TOML file of raw events and tracepoints (docs/counters.md)
    #[arg(long, value_name = "FILE", conflicts_with = "counters")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<PathBuf>,
    /// On a model, how often and how long each CPU is taken away: none, or as 2ms:500us
    #[arg(long, value_delimiter = ',', value_name = "EVERY:FOR,..")]
    #[serde(
        deserialize_with = "text::many",
        serialize_with = "text::show_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub preempt: Vec<Preempt>,
    /// Name of the run [default: run]
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{key} '{value}': expected {expected}")]
    Value { key: &'static str, value: String, expected: String },
    #[error("{0}")]
    Events(String),
    #[error(transparent)]
    Pin(#[from] TopologyError),
}

fn refuse<T>(
    key: &'static str,
    value: impl ToString,
    expected: impl Into<String>,
) -> Result<T, PlanError> {
    Err(PlanError::Value { key, value: value.to_string(), expected: expected.into() })
}

impl Options {
    /// Reads a plan file.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// `path` is for the message.
    pub fn parse(text: &str, path: &Path) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = &text[..at.min(text.len())];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            PlanError::Parse {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                message: error.message().replace('\n', "; "),
            }
        })
    }

    /// These options over those of a plan file: what is given here wins.
    pub fn over(self, file: Options) -> Options {
        fn list<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if mine.is_empty() { theirs } else { mine }
        }
        // Of seconds and budget the later word counts, whichever it is.
        let timed = self.seconds.is_some() || self.budget.is_some();
        let counted = self.trials.is_some() || self.until.is_some();
        Options {
            variant: list(self.variant, file.variant),
            lock: list(self.lock, file.lock),
            workload: list(self.workload, file.workload),
            machine: self.machine.or(file.machine),
            threads: list(self.threads, file.threads),
            // Trials and until are one question, and so are seconds and budget without it.
            trials: if counted { self.trials } else { file.trials },
            until: if counted { self.until } else { file.until },
            seconds: if timed { self.seconds } else { file.seconds },
            budget: if timed { self.budget } else { file.budget },
            seed: self.seed.or(file.seed),
            pin: self.pin.or(file.pin),
            oversubscribe: self.oversubscribe || file.oversubscribe,
            size: list(self.size, file.size),
            fill: list(self.fill, file.fill),
            orders: self.orders.or(file.orders),
            batch: list(self.batch, file.batch),
            think_ns: self.think_ns.or(file.think_ns),
            rate: list(self.rate, file.rate),
            sample: self.sample.or(file.sample),
            counters: self.counters.or(file.counters),
            strict: self.strict || file.strict,
            events: self.events.or(file.events),
            preempt: list(self.preempt, file.preempt),
            label: self.label.or(file.label),
        }
    }

    /// The command line that gives these options.
    pub fn command(&self) -> String {
        let map = serde_json::to_value(self).expect("options are plain data");
        let flags = map.as_object().into_iter().flatten().map(|(key, value)| {
            let words = match value {
                serde_json::Value::Bool(_) => return format!(" --{key}"),
                serde_json::Value::Array(list) => list.iter().map(word).collect(),
                one => vec![word(one)],
            };
            format!(" --{key} {}", quoted(&words.join(",")))
        });
        format!("swapscale run{}", flags.collect::<String>())
    }
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/=+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// One thing to be measured, `trials` times.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub variant: &'static str,
    pub lock: &'static str,
    pub workload: &'static str,
    pub threads: usize,
    pub params: Params,
    /// Of a model's CPUs.
    pub preempt: Option<Preempt>,
}

/// Options that have been checked, and what follows from them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As given, with the defaults that do not depend on the workload written out.
    pub options: Options,
    /// The simulated machine; None is this host.
    pub model: Option<Arc<Model>>,
    pub topology: Topology,
    pub points: Vec<Point>,
    /// With `until` at most so many.
    pub trials: u32,
    pub until: Option<Until>,
    /// Trials that something from outside has hit are refused.
    pub strict: bool,
    pub seed: u64,
    /// Before each trial's window, and the window itself.
    pub warm: Duration,
    pub measure: Duration,
    /// CPUs in the order workers take them; with more workers than CPUs it starts again.
    pub cpus: Vec<usize>,
    /// The policy that gave this order.
    pub pin: String,
    /// One operation in so many is timed.
    pub sample: u32,
    pub counters: Groups,
}

/// When a run without a number of trials ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Until {
    /// Half of each point's interval, as a share of its median.
    pub width: f64,
    pub budget: Duration,
}

/// What the defaults and the limits depend on.
pub struct Host<'a> {
    pub topology: &'a Topology,
    /// In a guest a waiter's CPU may be taken away: the lock's default differs.
    pub guest: bool,
    /// The model whose CPUs these are, where they are not this host's.
    pub model: Option<Arc<Model>>,
}

impl<'a> Host<'a> {
    pub fn here(topology: &'a Topology) -> Self {
        let virtualized = environment::virtualized(&Roots::default());
        let guest = virtualized.known().is_none_or(|name| name != "none");
        Self { topology, guest, model: None }
    }
}

/// One operation in so many is timed where the plan does not say.
pub const SAMPLE: u32 = 256;
/// Beside its window a trial has a set-up, a warm-up and an end.
const BESIDE_WINDOW: Duration = Duration::from_millis(250);
const SHORTEST_WINDOW: Duration = Duration::from_millis(50);
const LONGEST_WINDOW_OF_BUDGET: Duration = Duration::from_secs(2);
const MOST_CELLS: usize = 1_000_000;
/// A bound beside the budget: the interval shrinks as the root of the trials.
const MOST_TRIALS_UNTIL: u32 = 2_000;

impl Plan {
    /// Checks `options` and fills in what they leave open.
    pub fn new(mut options: Options, host: &Host) -> Result<Plan, PlanError> {
        let default = |list: &mut Vec<String>, names: &[&str]| {
            if list.is_empty() {
                *list = names.iter().map(|name| name.to_string()).collect();
            }
        };
        default(&mut options.variant, &["global", "scanning", "percluster"]);
        default(&mut options.lock, if host.guest { &["tas"] } else { &["qspin"] });
        default(&mut options.workload, &["churn", "seq", "swapoff"]);
        if options.threads.is_empty() {
            options.threads = vec![Threads::Auto];
        }
        let pin = options.pin.get_or_insert(Pin::SmtLast).clone();
        let cpus = pin.order(host.topology)?;
        let until = until(&mut options, host.model.is_some())?;
        let trials = match until {
            Some(_) => MOST_TRIALS_UNTIL,
            None => *options.trials.get_or_insert(6),
        };
        let sample = *options.sample.get_or_insert(SAMPLE);
        if trials == 0 || sample == 0 {
            let key = if trials == 0 { "trials" } else { "sample" };
            return refuse(key, 0, "a number from 1");
        }
        let points = points(&options, cpus.len(), host.model.is_some())?;
        let cells = points.len().saturating_mul(trials as usize);
        if cells > MOST_CELLS {
            return refuse("trials", trials, format!("at most {MOST_CELLS} cells, not {cells}"));
        }
        let measure = match until {
            Some(until) => window_until(&options, points.len(), until)?,
            None => window(&options, cells, host.model.is_some())?,
        };
        Ok(Plan {
            model: host.model.clone(),
            topology: host.topology.clone(),
            points,
            trials,
            until,
            strict: options.strict,
            seed: *options.seed.get_or_insert(1),
            warm: (measure / 5).min(Duration::from_millis(100)),
            measure,
            cpus,
            pin: pin.to_string(),
            sample,
            counters: counters(&mut options)?,
            options,
        })
    }
}

/// A user's events, or a named set.
fn counters(options: &mut Options) -> Result<Groups, PlanError> {
    match &options.events {
        Some(file) => events::read(file, &Roots::default()).map_err(PlanError::Events),
        None => Ok(options.counters.get_or_insert(Set::Core).groups()),
    }
}

impl Plan {
    /// The machine's name as cells have it.
    pub fn machine(&self) -> &str {
        self.model.as_ref().map_or("native", |model| &model.name)
    }

    /// The CPU of each of `threads` workers; with more of them than CPUs it starts again.
    pub fn pins(&self, threads: usize) -> Vec<usize> {
        self.cpus.iter().copied().cycle().take(threads).collect()
    }
}

/// What `--until` asks for; the budget has a default then, so that every run ends.
fn until(options: &mut Options, simulated: bool) -> Result<Option<Until>, PlanError> {
    let Some(width) = options.until else { return Ok(None) };
    if simulated {
        return refuse("until", width, "a number of trials on a model, whose time is virtual");
    }
    if let Some(trials) = options.trials {
        return refuse("trials", trials, "no number of trials beside until");
    }
    let Budget(budget) = *options.budget.get_or_insert(Budget(Duration::from_secs(240)));
    Ok(Some(Until { width: width.share(), budget }))
}

/// The length of a trial's window where the budget decides their number: it must do for the
/// first look at the intervals.
fn window_until(options: &Options, points: usize, until: Until) -> Result<Duration, PlanError> {
    let measure = seconds(options.seconds.unwrap_or(0.2))?;
    let cells = points as u32 * sequential::looks().next().expect("there is a first") as u32;
    let need = (measure + measure / 5 + BESIDE_WINDOW) * cells;
    if need > until.budget {
        let need = need.as_secs_f64().ceil();
        let expected = format!("at least {need}s for {cells} cells, the first look with --until");
        return refuse("budget", Budget(until.budget), expected);
    }
    Ok(measure)
}

fn seconds(seconds: f64) -> Result<Duration, PlanError> {
    match seconds {
        0.0001..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => refuse("seconds", seconds, "0.0001 to 86400"),
    }
}

/// The length of a trial's window; on a model it is virtual time, of which little is enough.
fn window(options: &Options, cells: usize, simulated: bool) -> Result<Duration, PlanError> {
    let Some(Budget(budget)) = options.budget else {
        return seconds(options.seconds.unwrap_or(if simulated { 0.005 } else { 1.0 }));
    };
    if let Some(seconds) = options.seconds {
        return refuse("seconds", seconds, "not both seconds and budget, except with until");
    }
    if simulated {
        return refuse("budget", Budget(budget), "seconds of virtual time on a model");
    }
    let share = budget / cells as u32;
    let least = BESIDE_WINDOW + SHORTEST_WINDOW;
    if share < least {
        let need = (least * cells as u32).as_secs_f64().ceil();
        return refuse("budget", Budget(budget), format!("at least {need}s for {cells} cells"));
    }
    Ok((share - BESIDE_WINDOW).min(LONGEST_WINDOW_OF_BUDGET))
}

/// The product of all axes, each value once.
fn points(options: &Options, cpus: usize, model: bool) -> Result<Vec<Point>, PlanError> {
    let variants = registry::VARIANTS.iter();
    let variants = variants.flat_map(|v| once(v.name).chain(v.releases.iter().copied()));
    let variants = named("variant", &options.variant, variants, |name| {
        registry::find(name).map(|variant| variant.name)
    })?;
    let locks = machine::lock::KINDS.iter().map(|(name, _)| *name);
    let locks =
        named("lock", &options.lock, locks.clone(), |name| locks.clone().find(|l| *l == name))?;
    let workloads = workload::LIST.iter().map(|entry| entry.id);
    let workloads = named("workload", &options.workload, workloads, |id| {
        workload::find(id).map(|entry| entry.id)
    })?;
    let threads = threads(options, cpus, model)?;
    let preempts = preempts(options, model)?;
    used(options, &workloads)?;
    let mut points = Vec::new();
    for id in &workloads {
        let entry = workload::find(id).expect("just looked up");
        let params = params(options, entry)?;
        for (variant, lock) in variants.iter().flat_map(|v| locks.iter().map(move |l| (*v, *l))) {
            let all = threads.iter().flat_map(|t| params.iter().map(move |p| (*t, p)));
            let all = all.flat_map(|(t, p)| preempts.iter().map(move |preempt| (t, p, *preempt)));
            points.extend(all.map(|(threads, params, preempt)| Point {
                variant,
                lock,
                workload: entry.id,
                threads,
                params: params.clone(),
                preempt,
            }));
        }
    }
    Ok(points)
}

/// Refuses orders and batches that no workload of the plan has a use for.
fn used(options: &Options, workloads: &[&str]) -> Result<(), PlanError> {
    let who = |has: fn(&Params) -> bool| {
        let all = workload::LIST.iter().filter(|entry| has(&(entry.defaults)()));
        all.map(|entry| entry.id).collect::<Vec<_>>()
    };
    let check = |key, given: Option<String>, has: fn(&Params) -> bool| match given {
        Some(value) if !who(has).iter().any(|id| workloads.contains(id)) => {
            refuse(key, value, format!("a workload that has a use for it: {}", who(has).join(", ")))
        }
        _ => Ok(()),
    };
    check("orders", options.orders.as_ref().map(ToString::to_string), |p| p.orders.is_some())?;
    check("batch", options.batch.first().map(ToString::to_string), |p| p.batch.is_some())
}

/// The ids that `names` stand for, each once, in the order given.
fn named(
    key: &'static str,
    names: &[String],
    known: impl Iterator<Item = &'static str>,
    id: impl Fn(&str) -> Option<&'static str>,
) -> Result<Vec<&'static str>, PlanError> {
    let mut found = Vec::new();
    for name in names {
        let Some(id) = id(name) else {
            let all = known.collect::<Vec<_>>().join(", ");
            return refuse(key, name, format!("one of {all}"));
        };
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// What is done to a model's CPUs; the host's are taken away by whom they are shared with.
fn preempts(options: &Options, model: bool) -> Result<Vec<Option<Preempt>>, PlanError> {
    let mut all: Vec<Option<Preempt>> = Vec::new();
    for preempt in options.preempt.iter().map(|preempt| preempt.some()) {
        if !all.contains(&preempt) {
            all.push(preempt);
        }
    }
    if !model && all.iter().any(Option::is_some) {
        let given = options.preempt.iter().map(Preempt::to_string).collect::<Vec<_>>().join(",");
        return refuse("preempt", given, "a model in --machine; natively --oversubscribe does it");
    }
    Ok(if all.is_empty() { vec![None] } else { all })
}

fn threads(options: &Options, cpus: usize, model: bool) -> Result<Vec<usize>, PlanError> {
    let mut all: Vec<usize> = options.threads.iter().flat_map(|t| t.expand(cpus)).collect();
    all.sort_unstable();
    all.dedup();
    match all.last() {
        Some(&most) if most > cpus && model => {
            refuse("threads", most, format!("at most {cpus}, the model's CPUs: none is shared"))
        }
        Some(&most) if most > cpus && !options.oversubscribe => {
            refuse("threads", most, format!("at most {cpus}, the CPUs here, or --oversubscribe"))
        }
        Some(&most) if most > 4096 => refuse("threads", most, "at most 4096"),
        _ => Ok(all),
    }
}

fn params(options: &Options, workload: &workload::Entry) -> Result<Vec<Params>, PlanError> {
    let default = (workload.defaults)();
    fn or<T: Clone>(list: &[T], one: T) -> Vec<T> {
        if list.is_empty() { vec![one] } else { list.to_vec() }
    }
    let fills = or(&options.fill, default.fill);
    // What a workload has no use for is no axis of it.
    let batches: Vec<_> = match default.batch {
        Some(batch) => or(&options.batch, batch).into_iter().map(Some).collect(),
        None => vec![None],
    };
    if let Some(batch) = options.batch.iter().find(|batch| !(1..=CLUSTER as u32).contains(*batch)) {
        return refuse("batch", batch, format!("1 to {CLUSTER} entries"));
    }
    let sizes = or(&options.size, default.size);
    let smallest = sizes.iter().min_by_key(|size| size.bytes()).expect("never empty");
    if let Some(fill) = fills.iter().find(|fill| fill.of(smallest.slots()) > smallest.slots()) {
        return refuse("fill", fill, format!("at most the size of the device, {smallest}"));
    }
    let rates: Vec<_> = options.rate.iter().map(|rate| Some(rate.0)).collect();
    let rates = if rates.is_empty() { vec![None] } else { rates };
    let first = Params {
        orders: default.orders.clone().map(|mix| options.orders.clone().unwrap_or(mix)),
        think_ns: options.think_ns.unwrap_or(default.think_ns),
        ..default
    };
    let mut all = spread(vec![first], &sizes, |params, size| params.size = size);
    all = spread(all, &fills, |params, fill| params.fill = fill);
    all = spread(all, &batches, |params, batch| params.batch = batch);
    Ok(spread(all, &rates, |params, rate| params.rate = rate))
}

/// Each of `all` with each of `values`, no two the same.
fn spread<T: Copy>(all: Vec<Params>, values: &[T], set: fn(&mut Params, T)) -> Vec<Params> {
    let mut more: Vec<Params> = Vec::new();
    for (params, value) in all.iter().flat_map(|p| values.iter().map(move |v| (p, *v))) {
        let mut params = params.clone();
        set(&mut params, value);
        if !more.contains(&params) {
            more.push(params);
        }
    }
    more
}

#[cfg(test)]
mod tests;
