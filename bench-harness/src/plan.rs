//! What to run: options, checked and spread out into points before anything is made or measured.
//! Guards that a run never starts with something that cannot end well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use machine::simulated::Model;
use machine::topology::Topology;

use crate::backing::{Backing, NONE};
use crate::units::{Budget, Rate, Threads};
use crate::workload::Params;
use probe::counters::{Groups, events};
use probe::{Roots, environment};

pub mod defaults;
mod error;
mod memory;
mod options;
mod points;
mod text;
mod window;

use defaults::Place;
use error::refuse;

pub use error::PlanError;
pub use options::Options;
pub use points::Point;
pub use window::{Precision, Until};

/// Options that have been checked, and what follows from them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As given, with those defaults written out that no cell shows.
    pub options: Options,
    /// The simulated machine; None is this host.
    pub model: Option<Arc<Model>>,
    pub topology: Topology,
    pub points: Vec<Point>,
    /// The number of trials, with `until` the largest number.
    pub trials: u32,
    pub until: Option<Until>,
    /// Trials that were disturbed from outside are refused.
    pub strict: bool,
    pub seed: u64,
    /// How long workers run before the window opens.
    pub warm: Duration,
    /// The length of the window, unless `precision` decides it.
    pub measure: Duration,
    pub precision: Option<Precision>,
    /// CPUs in the order workers take them; with more workers than CPUs it starts again.
    pub cpus: Vec<usize>,
    /// The policy that gave this order.
    pub pin: String,
    /// One operation in `sample` is timed, on average.
    pub sample: u32,
    pub counters: Groups,
    /// The text of the events file, if there is one.
    pub events: Option<String>,
    /// The run's name.
    pub label: String,
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

    fn place(&self, until: bool) -> Place {
        match self.model {
            Some(_) => Place::Model,
            None => Place::Native { guest: self.guest, until },
        }
    }
}

const MOST_CELLS: usize = 1_000_000;
/// A bound beside the budget: the interval shrinks as the root of the trials.
const MOST_TRIALS_UNTIL: u32 = 2_000;
const FILLED: &str = "the table of defaults has it";

impl Plan {
    /// Checks what is `given` and fills in what it leaves open.
    ///
    /// # Errors
    ///
    /// A [`PlanError`] that names the first option whose value the host or the other options do
    /// not allow.
    pub fn new(given: Options, host: &Host) -> Result<Plan, PlanError> {
        let default = defaults::options(host.place(given.until.is_some()));
        let options = given.clone().over(default.clone());
        let pin = options.pin.clone().expect(FILLED);
        let cpus = pin.order(host.topology)?;
        let until = window::until(&given, &default, host.model.is_some())?;
        let precision = window::precision(&given, host.model.is_some())?;
        let trials = match until {
            Some(_) => MOST_TRIALS_UNTIL,
            None => options.trials.expect(FILLED),
        };
        let sample = options.sample.expect(FILLED);
        if trials == 0 || sample == 0 {
            let key = if trials == 0 { "trials" } else { "sample" };
            return refuse(key, 0, "a number from 1");
        }
        let points = points::points(&options, cpus.len(), host.model.is_some())?;
        if let Some(width) = given.precision {
            window::may_end_early(width, &points)?;
        }
        let cells = points.len().saturating_mul(trials as usize);
        if cells > MOST_CELLS {
            return refuse("trials", trials, format!("at most {MOST_CELLS} cells, not {cells}"));
        }
        let (counters, events) = counters(&options)?;
        let measure = match until {
            Some(until) => window::window_until(&given, &default, points.len(), until)?,
            None => window::window(&given, &default, cells, host.model.is_some())?,
        };
        Ok(Plan {
            model: host.model.clone(),
            topology: host.topology.clone(),
            points,
            trials,
            until,
            strict: options.strict,
            seed: options.seed.expect(FILLED),
            warm: (measure / 5).min(Duration::from_millis(100)),
            measure,
            precision,
            cpus,
            pin: pin.to_string(),
            sample,
            counters,
            events,
            label: options.label.clone().expect(FILLED),
            options: written_out(given, options, until, precision),
        })
    }

    /// Checks that the host has the memory that the largest trial takes; on a model the largest of
    /// those that run side by side.
    ///
    /// # Errors
    ///
    /// [`PlanError::Memory`] where it has not.
    pub fn fits(&self) -> Result<(), PlanError> {
        let threads = rayon::current_num_threads;
        let (copies, at_once) = match (&self.model, self.precision) {
            (None, _) => (1, 1),
            (Some(_), None) => (memory::MODEL, threads()),
            (Some(_), Some(_)) => (memory::MODEL + memory::KEPT, threads()),
        };
        memory::fits(&self.points, copies, at_once, &Roots::default())
    }

    /// The options of one trial: `point` with the random numbers of `block`, and nothing left to a
    /// default.
    pub fn alone(&self, point: &Point, block: u32) -> Options {
        let Params { workload, size, devices, fill, orders, batch, kept, backing, think_ns, rate } =
            point.params.clone();
        Options {
            variant: vec![point.variant.into()],
            lock: vec![point.lock.into()],
            workload: vec![workload.into()],
            threads: vec![Threads::Count(point.threads)],
            trials: Some(1),
            seconds: self.precision.is_none().then_some(self.measure.as_secs_f64()),
            budget: None,
            seed: Some(self.seed.wrapping_add(u64::from(block))),
            size: vec![size],
            // Left out where it is the default, as the backing is: an older build does not know it.
            devices: devices.into_iter().filter(|devices| devices.count() > 1).collect(),
            fill: vec![fill],
            orders,
            batch: batch.into_iter().collect(),
            kept: kept.into_iter().collect(),
            backing: [backing.name].into_iter().filter(|name| name != NONE).collect(),
            think_ns: Some(think_ns),
            rate: rate.into_iter().map(Rate).collect(),
            preempt: point.preempt.into_iter().collect(),
            ..self.options.clone()
        }
    }

    /// What each backing of the plan charges, in words: a price file may be the user's own.
    pub fn backings(&self) -> BTreeSet<String> {
        let priced = self.points.iter().map(|point| &point.params.backing);
        priced.filter(|backing| backing.name != NONE).map(Backing::words).collect()
    }

    /// The machine's name as cells have it.
    pub fn machine(&self) -> &str {
        self.model.as_ref().map_or("native", |model| &model.name)
    }

    /// The CPU of each of `threads` workers; with more of them than CPUs it starts again.
    pub fn pins(&self, threads: usize) -> Vec<usize> {
        self.cpus.iter().copied().cycle().take(threads).collect()
    }
}

/// A user's events with their text, or a named set.
fn counters(options: &Options) -> Result<(Groups, Option<String>), PlanError> {
    let Some(file) = &options.events else {
        return Ok((options.counters.expect(FILLED).groups(), None));
    };
    let named = |why: String| PlanError::Events(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    let groups = events::parse(&text, &Roots::default()).map_err(named)?;
    Ok((groups, Some(text)))
}

/// The options as `run.json` has them. Defaults that each cell or the run itself shows are left
/// out: machine, window, backing, think time and label.
fn written_out(
    given: Options,
    filled: Options,
    until: Option<Until>,
    precision: Option<Precision>,
) -> Options {
    Options {
        most_events: precision.map(|precision| precision.most_events),
        machine: given.machine,
        seconds: given.seconds,
        budget: until.map(|until| Budget(until.budget)).or(given.budget),
        backing: given.backing,
        think_ns: given.think_ns,
        counters: if given.events.is_some() { given.counters } else { filled.counters },
        label: given.label,
        ..filled
    }
}

#[cfg(test)]
mod tests;
