//! The state that all CPUs of one run share besides the system under test. Guards that runs share
//! nothing: queue nodes, grace periods and learnt lock orders are made anew for each.

use crate::Machine;
use crate::lock::{Local, Nodes, Order, Posted};
use crate::rcu::Rcu;
use std::sync::Arc;

/// The common parts of the CPUs of one run.
pub struct System<M: Machine> {
    cpus: usize,
    /// Queue nodes of the locks that queue.
    pub nodes: Nodes<M>,
    /// Read sections and grace periods.
    pub rcu: Rcu<M>,
    /// The lock order learnt so far, on machines with [`Machine::ASSERTS`].
    pub order: Order,
    posted: Arc<[Arc<Posted>]>,
}

impl<M: Machine> System<M> {
    /// For `workers` CPUs and the one that runs `setup` and `finish`.
    pub fn new(workers: usize) -> Self {
        let cpus = workers + 1;
        Self {
            cpus,
            nodes: Nodes::new(cpus),
            rcu: Rcu::new(cpus),
            order: Order::default(),
            posted: (0..cpus).map(|_| Arc::default()).collect(),
        }
    }

    /// The lock state of CPU `id`.
    pub fn local(&self, id: usize) -> Local {
        Local::new(id, M::SITES, self.posted.clone())
    }

    /// How many CPUs there are, the set-up CPU included: the size of per-CPU data.
    pub fn cpus(&self) -> usize {
        self.cpus
    }
}
