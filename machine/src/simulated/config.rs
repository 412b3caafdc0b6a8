//! Where and for how long a simulated run goes. Guards that every worker has a CPU of its own that
//! the model has.

use super::model::Model;
use super::precision::Precision;
use crate::Failure;
use crate::topology::Pin;
use std::sync::Arc;

/// Where and for how long a simulated run goes. Times are virtual.
#[derive(Clone, Debug)]
pub struct Config {
    /// The machine.
    pub model: Arc<Model>,
    /// The model's CPU of each worker, none twice.
    pub pins: Vec<usize>,
    /// How long the load is on before anything counts, nanoseconds.
    pub warm_ns: u64,
    /// How long operations count, nanoseconds; u64::MAX: no clock, everything is measured.
    pub measure_ns: u64,
    /// The same seed gives the same run.
    pub seed: u64,
    /// None: no CPU is ever taken away.
    pub preemption: Option<Preemption>,
    /// Decides when the window opens and closes, instead of `warm_ns` and `measure_ns`.
    pub precision: Option<Precision>,
    /// Whether locks account for their sites. It takes no virtual time.
    pub sites: bool,
}

/// Each CPU is taken away for `for_ns`, at random times `every_ns` apart on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Nanoseconds between two preemptions of a CPU, on average.
    pub every_ns: u64,
    /// Nanoseconds that one lasts.
    pub for_ns: u64,
}

impl Config {
    /// `workers` as close together as possible, without a clock, for tests.
    ///
    /// # Panics
    ///
    /// If the model has fewer CPUs.
    pub fn untimed(model: Model, workers: usize) -> Self {
        let pins = Pin::Compact.take(&model.topology(), workers).expect("the model has the CPUs");
        let model = Arc::new(model);
        Self {
            model,
            pins,
            warm_ns: 0,
            measure_ns: u64::MAX,
            seed: 1,
            preemption: None,
            precision: None,
            sites: true,
        }
    }

    /// Whether the model has the CPUs of `pins`, each named once.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let order = Pin::List(self.pins.clone()).order(&self.model.topology());
        order.map(|_| ()).map_err(|e| Failure::Unsupported(format!("{}: {e}", self.model.name)))
    }
}
