//! Lock sites: which function takes which lock, how often, and what it waits.
//! The clock is read on contended paths only; hold time is sampled, as the machine says.
//! Everything is CPU-local, merged when the run is over.

use super::order::Held;
use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// One place in the code that takes a lock. A `static`.
#[derive(Debug)]
pub struct Site {
    /// The lock's class, as the kernel names it: "si->lock", "ci->lock".
    pub lock: &'static str,
    /// The kernel function that takes it here.
    pub caller: &'static str,
    /// Index + 1 in every CPU's table; 0 until first used.
    id: AtomicU32,
}

static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

impl Site {
    pub const fn new(lock: &'static str, caller: &'static str) -> Self {
        Self { lock, caller, id: AtomicU32::new(0) }
    }

    #[inline]
    fn index(&'static self) -> usize {
        match self.id.load(Ordering::Relaxed) {
            0 => self.enroll(),
            id => id as usize - 1,
        }
    }

    #[cold]
    fn enroll(&'static self) -> usize {
        let mut sites = SITES.lock().unwrap();
        if self.id.load(Ordering::Relaxed) == 0 {
            sites.push(self);
            assert!(sites.len() <= MAX_SITES, "more than {MAX_SITES} lock sites");
            self.id.store(sites.len() as u32, Ordering::Relaxed);
        }
        self.id.load(Ordering::Relaxed) as usize - 1
    }
}

/// What one site saw. Times in nanoseconds of the machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteStats {
    pub lock: &'static str,
    pub caller: &'static str,
    pub acquired: u64,
    pub contended: u64,
    /// Failed trylocks.
    pub missed: u64,
    pub wait_total: u64,
    pub wait_max: u64,
    /// Acquisitions whose hold time was taken.
    pub hold_sampled: u64,
    pub hold_total: u64,
    pub hold_max: u64,
}

/// How many sites a process may have.
const MAX_SITES: usize = 128;

/// What a CPU keeps to itself: lock nesting, held locks, site counts.
pub struct Local {
    /// Bit n: queue node n is in use.
    nodes: Cell<u32>,
    pub(super) held: RefCell<Vec<Held>>,
    sites: RefCell<Vec<SiteStats>>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            nodes: Cell::new(0),
            held: RefCell::default(),
            sites: RefCell::new(vec![SiteStats::default(); MAX_SITES]),
        }
    }
}

impl Local {
    /// The lowest free queue node: locks need not be released in reverse order.
    pub(super) fn nest(&self) -> usize {
        let level = self.nodes.get().trailing_ones() as usize;
        assert!(level < super::NESTING, "more than {} queued locks nested", super::NESTING);
        self.nodes.set(self.nodes.get() | 1 << level);
        level
    }

    pub(super) fn unnest(&self, level: usize) {
        self.nodes.set(self.nodes.get() & !(1 << level));
    }

    /// Counts an acquisition that waited since `began` (0: it did not). Returns when it
    /// was taken if its hold time is to be taken, which is one in `every`, else 0.
    #[inline]
    pub(super) fn took(
        &self,
        site: &'static Site,
        began: u64,
        every: u64,
        now: impl Fn() -> u64,
    ) -> u64 {
        let stats = &mut self.sites.borrow_mut()[site.index()];
        stats.acquired += 1;
        if began != 0 {
            let wait = now().saturating_sub(began);
            stats.contended += 1;
            stats.wait_total += wait;
            stats.wait_max = stats.wait_max.max(wait);
        }
        if (stats.acquired - 1).is_multiple_of(every) { now().max(1) } else { 0 }
    }

    pub(super) fn missed(&self, site: &'static Site) {
        self.sites.borrow_mut()[site.index()].missed += 1;
    }

    pub(super) fn held_for(&self, site: &'static Site, ns: u64) {
        let stats = &mut self.sites.borrow_mut()[site.index()];
        stats.hold_sampled += 1;
        stats.hold_total += ns;
        stats.hold_max = stats.hold_max.max(ns);
    }

    /// Forgets what was counted: the measured window begins.
    pub fn reset_sites(&self) {
        self.sites.borrow_mut().fill(SiteStats::default());
    }

    /// What this CPU's sites saw since the last reset.
    pub fn sites(&self) -> Vec<SiteStats> {
        let known = SITES.lock().unwrap();
        let stats = self.sites.borrow();
        let used = known.iter().zip(stats.iter()).filter(|(_, s)| s.acquired + s.missed > 0);
        used.map(|(site, s)| SiteStats { lock: site.lock, caller: site.caller, ..s.clone() })
            .collect()
    }
}

impl SiteStats {
    /// Adds another CPU's view of the same sites; sorted by (lock, caller).
    pub fn merge(into: &mut Vec<SiteStats>, more: Vec<SiteStats>) {
        for new in more {
            let same = |s: &&mut SiteStats| (s.lock, s.caller) == (new.lock, new.caller);
            let Some(old) = into.iter_mut().find(same) else {
                into.push(new);
                continue;
            };
            old.acquired += new.acquired;
            old.contended += new.contended;
            old.missed += new.missed;
            old.wait_total += new.wait_total;
            old.wait_max = old.wait_max.max(new.wait_max);
            old.hold_sampled += new.hold_sampled;
            old.hold_total += new.hold_total;
            old.hold_max = old.hold_max.max(new.hold_max);
        }
        into.sort_by_key(|s| (s.lock, s.caller));
    }
}
