//! What a user gives: options from flags or from a TOML file, which of two words counts, and the
//! command line that repeats them. Guards that flags, plan files and `run.json` share one set of
//! names and one spelling of every value.

use std::path::{Path, PathBuf};

use machine::topology::Pin;
use serde::{Deserialize, Serialize};
use serde_with::{As, DisplayFromStr};

use super::error::PlanError;
use super::text;
use crate::units::{Budget, Devices, Events, Fill, Orders, Preempt, Rate, Size, Threads, Width};
use probe::counters::Set;

/// A run's options as a user gives them; [`super::defaults`] has the values of those that are not
/// given. The same names serve as flags, as keys of a plan file and in `run.json`.
// The attributes say by type how an option is written: nothing for one that is not given, a list
// or a scalar where several values may be, and a value of our own as on the command line.
#[serde_with::apply(
    bool => #[serde(skip_serializing_if = "std::ops::Not::not")],
    Option => #[serde(skip_serializing_if = "Option::is_none")],
    Vec => #[serde(deserialize_with = "text::many", skip_serializing_if = "Vec::is_empty")],
    Vec<Threads> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Vec<Size> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Vec<Devices> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Vec<Fill> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Vec<Rate> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Vec<Preempt> => #[serde(serialize_with = "As::<Vec<DisplayFromStr>>::serialize")],
    Option<Width> => #[serde(with = "text::one")],
    Option<Budget> => #[serde(with = "text::one")],
    Option<Events> => #[serde(with = "text::one")],
    Option<Pin> => #[serde(with = "text::one")],
    Option<Orders> => #[serde(with = "text::one")],
    Option<Set> => #[serde(with = "text::one")],
)]
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Variants, or kernel releases as 6.14
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub variant: Vec<String>,
    /// Locks
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub lock: Vec<String>,
    /// Workloads
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub workload: Vec<String>,
    /// native, the name of a model, or kernel
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Numbers of threads; auto is 1,2,4 .. all CPUs
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    pub threads: Vec<Threads>,
    /// Trials of every point, interleaved
    #[arg(long, value_name = "N", conflicts_with = "until")]
    pub trials: Option<u32>,
    /// Repeat trials until the confidence interval of every point's throughput is this narrow (1%
    /// is 1 % on either side of the median), or the budget is gone
    #[arg(long, value_name = "PCT")]
    pub until: Option<Width>,
    /// Measured time of a trial, unless --budget decides it
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Time for the whole run, as 90s or 4m; decides the seconds of a trial, or with --until the
    /// number of trials
    #[arg(long, value_name = "TIME")]
    pub budget: Option<Budget>,
    /// On a model, how well each trial must know its throughput, instead of --seconds: its window
    /// closes once batch means give a 95 % interval this narrow (2% is 2 % on either side)
    #[arg(long, value_name = "PCT", conflicts_with = "seconds")]
    pub precision: Option<Width>,
    /// With --precision, the simulator's events after which a trial ends however wide its interval
    /// is; 20M unless it is given
    #[arg(long, value_name = "N")]
    pub most_events: Option<Events>,
    /// Seed of the order of trials and of the workloads' random numbers
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// compact, spread, smt-last, or a CPU list as 0,2,4-7
    #[arg(long, value_name = "POLICY")]
    pub pin: Option<Pin>,
    /// Allow more threads than CPUs: they share them
    #[arg(long)]
    pub oversubscribe: bool,
    /// Sizes of a swap device, as 64MiB or 10GiB
    #[arg(long, value_delimiter = ',', value_name = "SIZE,..")]
    pub size: Vec<Size>,
    /// Swap devices, each of --size: 8 are of one priority, 2+6 two that are used before the other six
    #[arg(long, value_delimiter = ',', value_name = "N[+N..],..")]
    pub devices: Vec<Devices>,
    /// How much of the devices is in use: percent, or an amount as 1GiB
    #[arg(long, value_delimiter = ',', value_name = "PCT|SIZE,..")]
    pub fill: Vec<Fill>,
    /// Allocation orders with their shares, as 0 or 0:.7,2:.1,4:.2
    #[arg(long, value_name = "MIX")]
    pub orders: Option<Orders>,
    /// Entries in one call, where the workload leaves it open
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    pub batch: Vec<u32>,
    /// Pages that a worker of churn keeps in memory before it swaps them out again
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    pub kept: Vec<u32>,
    /// What is charged for pages beside and under the locks: none is the bare allocator, zram and
    /// others are price files (`swapscale list`), or a file of `calibrate --kernel`
    #[arg(long, value_delimiter = ',', value_name = "NAME|FILE,..")]
    pub backing: Vec<String>,
    /// Think time between operations, ns
    #[arg(long, value_name = "NS")]
    pub think_ns: Option<u64>,
    /// Open loop: steps per second that each worker is asked for, on a schedule, as 200k; times all
    /// operations and their response from the intended start. Several are a sweep, which shows
    /// latency against load
    #[arg(long, value_delimiter = ',', value_name = "R,..")]
    pub rate: Vec<Rate>,
    /// Time every Nth operation on average; 1 times each one (a latency run)
    #[arg(long, value_name = "N")]
    pub sample: Option<u32>,
    /// Do not count lock sites: natively for a throughput without what counting costs, on a model for a
    /// run that ends sooner. The run then has nothing on lock contention, and its cells compare with
    /// none of a run that counts
    #[arg(long)]
    pub no_sites: bool,
    /// Hardware counters: core or cache
    #[arg(long, value_name = "SET")]
    pub counters: Option<Set>,
    /// Refuse trials that were disturbed from outside: clock gaps, stolen time, a clock that
    /// changes, heat
    #[arg(long)]
    pub strict: bool,
    /// Events to count instead: a TOML file of raw events and tracepoints (docs/counters.md)
    #[arg(long, value_name = "FILE", conflicts_with = "counters", value_parser = text::path)]
    pub events: Option<PathBuf>,
    /// On a model, how often and how long each CPU is taken away: none, or as 2ms:500us
    #[arg(long, value_delimiter = ',', value_name = "EVERY:FOR,..")]
    pub preempt: Vec<Preempt>,
    /// Name of the run
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
}

impl Options {
    /// Reads a plan file; `-` is standard input.
    ///
    /// # Errors
    ///
    /// [`PlanError::Read`] where the file cannot be read, and the errors of [`Options::parse`].
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let (text, path) = if path == Path::new("-") {
            (std::io::read_to_string(std::io::stdin()), Path::new("standard input"))
        } else {
            (std::fs::read_to_string(path), path)
        };
        let text = text.map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a plan file; `path` is for the message.
    ///
    /// # Errors
    ///
    /// [`PlanError::Parse`], with line and column, where the text is no TOML, has a key that is no
    /// option, or a value that its option does not take.
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

    /// These options over others, of a plan file or of the defaults: what is given here wins.
    pub fn over(self, other: Options) -> Options {
        fn list<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if mine.is_empty() { theirs } else { mine }
        }
        // Trials and until are one question, and so are seconds, budget and precision: whichever of
        // them is given here answers it.
        let timed = self.seconds.is_some() || self.budget.is_some() || self.precision.is_some();
        let counted = self.trials.is_some() || self.until.is_some();
        Options {
            variant: list(self.variant, other.variant),
            lock: list(self.lock, other.lock),
            workload: list(self.workload, other.workload),
            machine: self.machine.or(other.machine),
            threads: list(self.threads, other.threads),
            trials: if counted { self.trials } else { other.trials },
            until: if counted { self.until } else { other.until },
            seconds: if timed { self.seconds } else { other.seconds },
            budget: if timed { self.budget } else { other.budget },
            precision: if timed { self.precision } else { other.precision },
            most_events: self.most_events.or(other.most_events),
            seed: self.seed.or(other.seed),
            pin: self.pin.or(other.pin),
            oversubscribe: self.oversubscribe || other.oversubscribe,
            size: list(self.size, other.size),
            devices: list(self.devices, other.devices),
            fill: list(self.fill, other.fill),
            orders: self.orders.or(other.orders),
            batch: list(self.batch, other.batch),
            kept: list(self.kept, other.kept),
            backing: list(self.backing, other.backing),
            think_ns: self.think_ns.or(other.think_ns),
            rate: list(self.rate, other.rate),
            sample: self.sample.or(other.sample),
            no_sites: self.no_sites || other.no_sites,
            counters: self.counters.or(other.counters),
            strict: self.strict || other.strict,
            events: self.events.or(other.events),
            preempt: list(self.preempt, other.preempt),
            label: self.label.or(other.label),
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

/// As a shell takes it. The crate shlex would quote every list too, since it quotes commas.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/=+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
