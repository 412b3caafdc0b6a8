//! A CPU's own lock state: the queue nodes that it uses, the locks that it holds, and its accounts
//! of lock sites. Guards that none of it is shared: no other CPU reads it during a run.

use super::accounting::{Accounting, SiteStats};
use super::order::Held;
use super::posted::Posted;
use std::cell::Cell;
use std::sync::Arc;

/// How many queued locks a CPU may hold or wait for at once, as in the kernel's queued spinlock
/// (`MAX_NODES`: task, softirq, hardirq, NMI).
pub const NESTING: usize = 4;

/// One CPU's lock state.
pub struct Local {
    /// Bit n: queue node n is in use.
    nodes: Cell<u32>,
    pub(super) held: Held,
    pub(super) accounting: Accounting,
}

impl Local {
    pub(crate) fn new(cpu: usize, sites: bool, posted: Arc<[Arc<Posted>]>) -> Self {
        let accounting = Accounting::new(cpu, sites, posted);
        Self { nodes: Cell::new(0), held: Held::default(), accounting }
    }

    /// The lowest free queue node: locks need not be released in reverse order.
    pub(super) fn nest(&self) -> usize {
        let level = self.nodes.get().trailing_ones() as usize;
        assert!(level < NESTING, "more than {NESTING} queued locks nested");
        self.nodes.set(self.nodes.get() | 1 << level);
        level
    }

    pub(super) fn unnest(&self, level: usize) {
        self.nodes.set(self.nodes.get() & !(1 << level));
    }

    /// might_sleep(): `what` is about to sleep.
    ///
    /// # Panics
    ///
    /// If this CPU holds a spinlock, on machines with
    /// [`ASSERTS`](crate::Machine::ASSERTS); others do not know.
    #[inline]
    pub fn might_sleep(&self, what: &str) {
        self.held.might_sleep(what);
    }

    /// Sets all counts to 0: the measured window begins.
    pub fn reset_sites(&self) {
        self.accounting.reset();
    }

    /// The sites that this CPU used since the last reset. Empty on a machine without
    /// [`SITES`](crate::Machine::SITES).
    pub fn sites(&self) -> Vec<SiteStats> {
        self.accounting.stats()
    }
}
