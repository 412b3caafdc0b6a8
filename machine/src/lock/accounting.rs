//! The accounts of lock sites, per CPU: acquisitions, waits, hold times, and which CPU held the
//! lock during a wait. Guards that the accounting does not distort what it measures: everything is
//! CPU-local and put together when the run is over; the clock is read on contended paths only; hold
//! times, times between acquisitions and looks at the holder are sampled, 1 in [`Machine::SAMPLE`].
//! An acquisition that is neither contended nor sampled costs a decrement and two stores to lines of
//! its own. All else is behind one branch, in functions that are not inlined.

use super::intervals::Intervals;
use super::posted::{self, Posted};
use super::sites::{self, Key, MAX_SITES, Site};
use crate::Machine;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// The account of one site on one CPU. Times in nanoseconds of the machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteStats {
    /// [`Site::lock`].
    pub lock: &'static str,
    /// [`Site::caller`].
    pub caller: &'static str,
    /// [`Site::irqs_off`].
    pub irqs_off: bool,
    /// Acquisitions, by lock or trylock.
    pub acquired: u64,
    /// Acquisitions that had to wait.
    pub contended: u64,
    /// Failed trylocks.
    pub missed: u64,
    /// Sum of all waits.
    pub wait_total: u64,
    /// The longest wait.
    pub wait_max: u64,
    /// Acquisitions whose hold time was measured.
    pub hold_sampled: u64,
    /// Sum of the measured hold times.
    pub hold_total: u64,
    /// The longest measured hold time.
    pub hold_max: u64,
    /// Waits that looked for the holder and the other waiters.
    pub looked: u64,
    /// Other waiters that those looks found, in all.
    pub queue_total: u64,
    /// The most other waiters that one look found.
    pub queue_max: u64,
    /// (waits, ns) by the CPU that held the lock when the wait began.
    pub waited_for: Vec<(u64, u64)>,
    /// Times from an acquisition here to this CPU's next one here.
    pub again: Intervals,
    /// When the last sampled acquisition was; 0 before the first.
    last: u64,
    /// The number of the acquisition that ends the countdown; the first one has number 0.
    due: u64,
}

impl SiteStats {
    /// Sets all counts to 0, keeps the memory.
    fn reset(&mut self) {
        let (mut waited_for, mut again) =
            (std::mem::take(&mut self.waited_for), std::mem::take(&mut self.again));
        waited_for.fill((0, 0));
        again.reset();
        *self = Self { waited_for, again, ..Self::default() };
    }

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

/// Whether acquisition `n` of a site is in the sample: 1 in `SAMPLE`, chosen by multiples of the
/// golden ratio, so that no batch size of an allocator keeps in step with them.
#[inline]
fn in_sample<M: Machine>(n: u64) -> bool {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) <= u64::MAX / M::SAMPLE
}

/// How many acquisitions after `n`, which is in the sample, the next of the sample comes. The gaps
/// between such multiples of the golden ratio are Fibonacci numbers: V. T. Sós, "On the distribution
/// mod 1 of the sequence n alpha", 1958.
fn gap<M: Machine>(n: u64) -> u64 {
    let (mut gap, mut next) = (1, 2);
    while !in_sample::<M>(n + gap) {
        (gap, next) = (next, gap + next);
    }
    gap
}

/// A wait that has begun.
#[derive(Clone, Copy, Default)]
struct Wait {
    began: u64,
    seen: Option<posted::Seen>,
}

/// The part of an acquisition that its guard keeps: the [`Key`]'s word, so that a guard fits in two
/// registers.
#[derive(Clone, Copy, Default)]
pub(super) struct Hold(u32);

impl Hold {
    /// Set if the acquisition is in the sample. No key has it: there are few places.
    const TIMED: u32 = 1 << 31;

    #[inline]
    fn key(self) -> Key {
        Key(self.0 & !Self::TIMED)
    }
}

/// The accounts of one CPU.
pub(super) struct Accounting {
    cpu: usize,
    /// By site, the acquisitions until the next one that reads the clock; 1 for index 0, which stands
    /// for a site that has no index yet. In a box, as a coroutine's start takes no large values.
    left: Box<[Cell<u32>; MAX_SITES]>,
    sites: RefCell<Vec<SiteStats>>,
    /// The wait under way. It is here so that an acquisition without one does not write it.
    wait: Cell<Wait>,
    mine: Arc<Posted>,
    posted: Arc<[Arc<Posted>]>,
}

impl Accounting {
    /// Of CPU `cpu`; with `on` false it has no tables and must not be used.
    pub(super) fn new(cpu: usize, on: bool, posted: Arc<[Arc<Posted>]>) -> Self {
        let sites = if on { MAX_SITES } else { 0 };
        Self {
            cpu,
            left: Box::new([const { Cell::new(1) }; MAX_SITES]),
            sites: RefCell::new(vec![SiteStats::default(); sites]),
            wait: Cell::default(),
            mine: posted[cpu].clone(),
            posted,
        }
    }

    /// A wait for the lock at `address` begins; one in `SAMPLE` looks for the holder.
    #[cold]
    pub(super) fn waits<M: Machine>(
        &self,
        site: &'static Site,
        address: usize,
        now: impl Fn() -> u64,
    ) {
        self.mine.waits_for(address);
        let (key, began) = (site.key(), now());
        let looks = self.sites.borrow()[key.index()].contended.is_multiple_of(M::SAMPLE);
        let seen = looks.then(|| posted::look(&self.posted, self.cpu, key.place(), address, began));
        self.wait.set(Wait { began, seen });
    }

    /// Counts an acquisition and the wait before it.
    #[inline(always)]
    pub(super) fn took<M: Machine>(
        &self,
        site: &'static Site,
        address: usize,
        waited: bool,
        now: impl Fn() -> u64,
    ) -> Hold {
        let key = site.key_so_far();
        let left = &self.left[key.index()];
        left.set(left.get().wrapping_sub(1));
        let seldom = waited || left.get() == 0;
        let hold = if seldom { self.seldom::<M>(site, waited, now) } else { Hold(key.0) };
        self.mine.acquired::<M>(hold.key().place(), address);
        hold
    }

    /// An acquisition that waited, or ended a countdown, or is its site's first.
    #[cold]
    fn seldom<M: Machine>(&self, site: &'static Site, waited: bool, now: impl Fn() -> u64) -> Hold {
        let key = site.key();
        let left = &self.left[key.index()];
        if self.left[0].replace(1) == 0 {
            left.set(left.get() - 1);
        }
        if waited {
            self.waited(key, &now);
        }
        let timed = left.get() == 0 && self.counted_down::<M>(key, now);
        Hold(key.0 | if timed { Hold::TIMED } else { 0 })
    }

    fn waited(&self, key: Key, now: impl Fn() -> u64) {
        self.mine.waits_for(0);
        let (stats, cpus) = (&mut self.sites.borrow_mut()[key.index()], self.posted.len());
        stats.waited(self.wait.get(), now(), cpus);
    }

    /// An acquisition that is in the sample, or the one after it; says whether it is the former.
    fn counted_down<M: Machine>(&self, key: Key, now: impl Fn() -> u64) -> bool {
        let (now, stats) = (now().max(1), &mut self.sites.borrow_mut()[key.index()]);
        let n = stats.due;
        let (begins, ends) = (in_sample::<M>(n), in_sample::<M>(n.wrapping_sub(1)));
        if ends && stats.last != 0 {
            stats.again.record(now.saturating_sub(stats.last));
        }
        if begins {
            stats.last = now;
        }
        stats.due = if begins { n + 1 } else { n - 1 + gap::<M>(n - 1) };
        self.left[key.index()].set((stats.due - n) as u32);
        begins
    }

    /// Counts a failed trylock.
    #[cold]
    pub(super) fn missed(&self, site: &'static Site) {
        self.sites.borrow_mut()[site.key().index()].missed += 1;
    }

    /// The lock of `hold` is about to be given up.
    #[inline]
    pub(super) fn releases<M: Machine>(&self, hold: Hold, now: impl Fn() -> u64) {
        // A simulated CPU runs ahead of the others: at their time the lock is still held.
        let until = if M::VIRTUAL { now() } else { 0 };
        self.mine.released::<M>(hold.key().place(), until);
        if hold.0 & Hold::TIMED != 0 {
            self.hold_ended(hold.key(), now);
        }
    }

    #[cold]
    fn hold_ended(&self, key: Key, now: impl Fn() -> u64) {
        let stats = &mut self.sites.borrow_mut()[key.index()];
        // It is the last one in the sample: a CPU holds at most one lock of a class.
        let ns = now().saturating_sub(stats.last);
        stats.hold_sampled += 1;
        stats.hold_total += ns;
        stats.hold_max = stats.hold_max.max(ns);
    }

    pub(super) fn reset(&self) {
        self.left.iter().for_each(|left| left.set(1));
        self.sites.borrow_mut().iter_mut().for_each(SiteStats::reset);
    }

    pub(super) fn stats(&self) -> Vec<SiteStats> {
        let known = sites::known();
        let stats = self.sites.borrow();
        let all = known.iter().zip(stats.iter().zip(&*self.left).skip(1));
        let all = all.map(|(site, (s, left))| SiteStats {
            lock: site.lock,
            caller: site.caller,
            irqs_off: site.irqs_off,
            acquired: s.due + 1 - u64::from(left.get()),
            ..s.clone()
        });
        all.filter(|s| s.acquired + s.missed > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Tas;
    use crate::simulated::Simulated;
    use crate::{Cpu, Native, SpinLock, native};

    /// Every place in a batch is sampled as often as its share.
    #[test]
    fn the_sample_is_in_step_with_no_batch() {
        for batch in [2u64, 7, 32, 64, 512] {
            let mut places = vec![0u64; batch as usize];
            type M = Native<Tas, true>;
            let n = batch * M::SAMPLE * 200;
            (0..n).filter(|n| in_sample::<M>(*n)).for_each(|n| {
                places[(n % batch) as usize] += 1;
            });
            let (least, most) = (places.iter().min().unwrap(), places.iter().max().unwrap());
            assert!(*least > 150 && *most < 250, "batch {batch}: {least} to {most} of 200");
        }
        assert!((0..100).all(in_sample::<Simulated<Tas>>), "the simulator samples every one");
    }

    /// Each acquisition counts, and the countdown meets those of the sample and the ones after them.
    #[test]
    fn the_countdown_meets_the_sample() {
        type M = Native<Tas, true>;
        static SITE: Site = Site::new("countdown->lock", "countdown");
        for all in [1, 2, 3, 129, 10_000] {
            let worker = move |lock: &SpinLock<M>, cpu: &<M as Machine>::Cpu| {
                let take = |times| (0..times).for_each(|_| lock.unlock(cpu, lock.lock(cpu, &SITE)));
                take(77);
                cpu.local().reset_sites();
                take(all);
                cpu.local().sites().remove(0)
            };
            let config = native::Config::untimed(1);
            let stats = M::run(&config, |_| SpinLock::new(), worker, |_, _| {}).unwrap().workers;
            let sampled = |n: u64| (0..n).filter(|n| in_sample::<M>(*n)).count() as u64;
            assert_eq!((stats[0].acquired, stats[0].missed), (all, 0));
            assert_eq!(stats[0].hold_sampled, sampled(all), "of {all}");
            assert_eq!(stats[0].again.count(), sampled(all - 1), "of {all}");
        }
    }
}
