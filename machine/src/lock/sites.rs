//! Lock sites: which function takes which lock, how often, what it waits and for whom.
//! The clock is read on contended paths only; hold times, the time until a CPU takes a
//! lock again, and looks at who holds it are sampled, 1 in [`Machine::SAMPLE`].
//! Everything is CPU-local, put together when the run is over. An acquisition that is
//! neither contended nor sampled costs a count and two stores to lines of its own.

use super::intervals::Intervals;
use super::order::Held;
use super::posted::{self, Posted};
use crate::Machine;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// One place in the code that takes a lock. A `static`.
#[derive(Debug)]
pub struct Site {
    /// The lock's class, as the kernel names it: "si->lock", "ci->lock".
    pub lock: &'static str,
    /// The kernel function that takes it here.
    pub caller: &'static str,
    /// 0 until first used; then its [`Key`].
    key: AtomicU32,
}

static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

/// Index + 1 in every CPU's table, and above that the place of the lock's class.
#[derive(Clone, Copy, Default)]
pub(super) struct Key(u32);

impl Key {
    #[inline]
    fn index(self) -> usize {
        (self.0 as usize).wrapping_sub(1) % MAX_SITES
    }

    #[inline]
    fn place(self) -> usize {
        self.0 as usize >> 16
    }
}

impl Site {
    pub const fn new(lock: &'static str, caller: &'static str) -> Self {
        Self { lock, caller, key: AtomicU32::new(0) }
    }

    #[inline]
    fn key(&'static self) -> Key {
        match self.key.load(Ordering::Relaxed) {
            0 => self.enroll(),
            key => Key(key),
        }
    }

    #[cold]
    fn enroll(&'static self) -> Key {
        let mut sites = SITES.lock().unwrap();
        if self.key.load(Ordering::Relaxed) == 0 {
            let mut classes: Vec<&str> = Vec::new();
            for site in sites.iter().copied().chain([self]) {
                if !classes.contains(&site.lock) {
                    classes.push(site.lock);
                }
            }
            let class = classes.iter().position(|class| *class == self.lock);
            sites.push(self);
            assert!(sites.len() <= MAX_SITES, "more than {MAX_SITES} lock sites");
            let place = posted::place(class.expect("it is among them"));
            let key = sites.len() | place << 16;
            self.key.store(key as u32, Ordering::Relaxed);
        }
        Key(self.key.load(Ordering::Relaxed))
    }
}

/// What one site saw on one CPU. Times in nanoseconds of the machine's clock.
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
    /// Waits that looked around, and how many others they found waiting.
    pub looked: u64,
    pub queue_total: u64,
    pub queue_max: u64,
    /// (waits, ns) by the CPU that held the lock when the wait began.
    pub waited_for: Vec<(u64, u64)>,
    /// From an acquisition here to this CPU's next one.
    pub again: Intervals,
    /// When the last sampled acquisition was; 0 before.
    last: u64,
}

impl SiteStats {
    /// Forgets what was counted, keeps the memory.
    fn reset(&mut self) {
        let (mut waited_for, mut again) =
            (std::mem::take(&mut self.waited_for), std::mem::take(&mut self.again));
        waited_for.fill((0, 0));
        again.reset();
        *self = Self { waited_for, again, ..Self::default() };
    }
}

/// How many sites a process may have.
const MAX_SITES: usize = 128;

/// Whether acquisition `n` of a site is in the sample: 1 in `SAMPLE`, by the golden ratio, whose
/// multiples fall in step with no batch that an allocator works in.
#[inline]
fn in_sample<M: Machine>(n: u64) -> bool {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) <= u64::MAX / M::SAMPLE
}

/// A wait that has begun.
#[derive(Clone, Copy, Default)]
pub(super) struct Wait {
    /// 0: no wait.
    began: u64,
    seen: Option<posted::Seen>,
}

/// What a guard keeps of its acquisition.
#[derive(Clone, Copy, Default)]
pub(super) struct Hold {
    key: Key,
    /// When it was, if it is in the sample; else 0.
    since: u64,
}

/// What a CPU keeps to itself: lock nesting, held locks, site counts.
pub struct Local {
    id: usize,
    /// Bit n: queue node n is in use.
    nodes: Cell<u32>,
    pub(super) held: RefCell<Vec<Held>>,
    /// Acquisitions by site. In a box, as a coroutine's start takes no large values.
    acquired: Box<[Cell<u64>; MAX_SITES]>,
    sites: RefCell<Vec<SiteStats>>,
    mine: Arc<Posted>,
    posted: Arc<[Arc<Posted>]>,
}

impl Local {
    pub(crate) fn new(id: usize, sites: bool, posted: Arc<[Arc<Posted>]>) -> Self {
        let sites = if sites { MAX_SITES } else { 0 };
        Self {
            id,
            nodes: Cell::new(0),
            held: RefCell::default(),
            acquired: Box::new([const { Cell::new(0) }; MAX_SITES]),
            sites: RefCell::new(vec![SiteStats::default(); sites]),
            mine: posted[id].clone(),
            posted,
        }
    }

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

    /// A wait for the lock at `address` begins; one in `SAMPLE` looks around.
    #[cold]
    pub(super) fn waits<M: Machine>(
        &self,
        site: &'static Site,
        address: usize,
        now: impl Fn() -> u64,
    ) -> Wait {
        self.mine.waits_for(address);
        let looks = self.sites.borrow()[site.key().index()].contended.is_multiple_of(M::SAMPLE);
        let began = now().max(1);
        let seen = looks.then(|| posted::look(&self.posted, self.id, address, began));
        Wait { began, seen }
    }

    /// Counts an acquisition and the wait before it.
    #[inline(always)]
    pub(super) fn took<M: Machine>(
        &self,
        site: &'static Site,
        address: usize,
        wait: Wait,
        now: impl Fn() -> u64,
    ) -> Hold {
        let key = site.key();
        if wait.began != 0 {
            self.waited(key, wait, &now);
        }
        let acquired = &self.acquired[key.index()];
        let n = acquired.get();
        acquired.set(n + 1);
        let (begins, ends) = (in_sample::<M>(n), in_sample::<M>(n.wrapping_sub(1)));
        let since = if begins | ends { self.sampled(key, begins, ends, now) } else { 0 };
        self.mine.acquired::<M>(key.place(), address);
        Hold { key, since }
    }

    #[cold]
    fn waited(&self, key: Key, wait: Wait, now: impl Fn() -> u64) {
        self.mine.waits_for(0);
        self.sites.borrow_mut()[key.index()].waited(wait, now(), self.posted.len());
    }

    /// An acquisition that is in the sample, or the one after it.
    #[cold]
    fn sampled(&self, key: Key, begins: bool, ends: bool, now: impl Fn() -> u64) -> u64 {
        let (now, stats) = (now().max(1), &mut self.sites.borrow_mut()[key.index()]);
        if ends && stats.last != 0 {
            stats.again.record(now.saturating_sub(stats.last));
        }
        if begins {
            stats.last = now;
            return now;
        }
        0
    }

    #[cold]
    pub(super) fn missed(&self, site: &'static Site) {
        self.sites.borrow_mut()[site.key().index()].missed += 1;
    }

    #[inline]
    pub(super) fn releases<M: Machine>(&self, hold: Hold, now: impl Fn() -> u64) {
        // A simulated CPU runs ahead of others' time: they must not see yet that it is over.
        let until = if M::VIRTUAL { now() } else { 0 };
        self.mine.released::<M>(hold.key.place(), until);
        if hold.since != 0 {
            self.hold_ended(hold, now);
        }
    }

    #[cold]
    fn hold_ended(&self, hold: Hold, now: impl Fn() -> u64) {
        let ns = now().saturating_sub(hold.since);
        let stats = &mut self.sites.borrow_mut()[hold.key.index()];
        stats.hold_sampled += 1;
        stats.hold_total += ns;
        stats.hold_max = stats.hold_max.max(ns);
    }

    /// Forgets what was counted: the measured window begins.
    pub fn reset_sites(&self) {
        self.acquired.iter().for_each(|acquired| acquired.set(0));
        self.sites.borrow_mut().iter_mut().for_each(SiteStats::reset);
    }

    /// What this CPU's sites saw since the last reset.
    pub fn sites(&self) -> Vec<SiteStats> {
        let known = SITES.lock().unwrap();
        let stats = self.sites.borrow();
        let all = known.iter().zip(stats.iter()).zip(&*self.acquired);
        let used = all.filter(|((_, s), acquired)| acquired.get() + s.missed > 0);
        used.map(|((site, s), acquired)| SiteStats {
            lock: site.lock,
            caller: site.caller,
            acquired: acquired.get(),
            ..s.clone()
        })
        .collect()
    }
}

impl SiteStats {
    fn waited(&mut self, wait: Wait, now: u64, cpus: usize) {
        let ns = now.saturating_sub(wait.began);
        self.contended += 1;
        self.wait_total += ns;
        self.wait_max = self.wait_max.max(ns);
        let Some(seen) = wait.seen else { return };
        self.looked += 1;
        self.queue_total += seen.waiting;
        self.queue_max = self.queue_max.max(seen.waiting);
        if let Some(holder) = seen.holder {
            self.waited_for.resize(cpus, (0, 0));
            let (waits, total) = &mut self.waited_for[holder];
            (*waits, *total) = (*waits + 1, *total + ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Native;
    use crate::lock::Tas;
    use crate::simulated::Simulated;

    /// Every place in a batch is sampled as often as its share.
    #[test]
    fn the_sample_is_in_step_with_no_batch() {
        for batch in [2u64, 7, 32, 64, 512] {
            let mut places = vec![0u64; batch as usize];
            let n = batch * 64 * 200;
            (0..n).filter(|n| in_sample::<Native<Tas, true>>(*n)).for_each(|n| {
                places[(n % batch) as usize] += 1;
            });
            let (least, most) = (places.iter().min().unwrap(), places.iter().max().unwrap());
            assert!(*least > 150 && *most < 250, "batch {batch}: {least} to {most} of 200");
        }
        assert!((0..100).all(in_sample::<Simulated<Tas>>), "a model times all");
    }
}
