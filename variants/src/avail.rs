//! Which devices have free slots: swap_avail_head (a plist by priority), the counters
//! nr_swap_pages and total_swap_pages, and the walk of get_swap_pages() over the list. Guards the
//! list: swap_avail_lock is held for every change, and every misuse panics. The kernels
//! before 7.x have one list per NUMA node; here there is one, as in 7.x.

use crate::spec::Spec;
use machine::{Atomic, Cpu, Fields, Guard, Machine, Plain, Region, Site, SpinLock, fault};

/// A cache line of its own, as each of the kernel's globals has.
#[repr(align(64))]
struct Line<T>(T);

struct Globals<M: Machine> {
    swap_lock: Line<SpinLock<M>>,
    swap_avail_lock: Line<SpinLock<M>>,
    /// atomic_long_t: a signed number.
    nr_swap_pages: Line<M::Atomic<u64>>,
    total_swap_pages: Line<M::Atomic<u64>>,
}

impl<M: Machine> Fields for Globals<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("swap_lock", std::mem::offset_of!(Self, swap_lock)),
            ("swap_avail_lock", std::mem::offset_of!(Self, swap_avail_lock)),
            ("nr_swap_pages", std::mem::offset_of!(Self, nr_swap_pages)),
            ("total_swap_pages", std::mem::offset_of!(Self, total_swap_pages)),
        ]
    }
}

/// A plist node, by indices; linked to itself when it is on no list.
struct Node<M: Machine> {
    next: M::Plain<u32>,
    prev: M::Plain<u32>,
}

impl<M: Machine> Fields for Node<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("avail.next", std::mem::offset_of!(Self, next)),
            ("avail.prev", std::mem::offset_of!(Self, prev)),
        ]
    }
}

/// The avail list and the counters of free slots.
pub struct Avail<M: Machine> {
    globals: Region<M, Globals<M>>,
    /// One per device and, last, the head. swap_avail_lock protects them.
    nodes: Region<M, Node<M>>,
    priorities: Vec<i16>,
}

impl<M: Machine> Avail<M> {
    /// An empty list for the devices of `spec`; no slot is free.
    pub fn new(spec: &Spec) -> Self {
        let globals = Region::new("swap", 1, |_| Globals {
            swap_lock: Line(SpinLock::new()),
            swap_avail_lock: Line(SpinLock::new()),
            nr_swap_pages: Line(M::Atomic::new(0)),
            total_swap_pages: Line(M::Atomic::new(0)),
        });
        let itself = |i: usize| M::Plain::new(i as u32);
        let nodes = Region::new("swap_avail_head", spec.devices.len() + 1, |i| Node {
            next: itself(i),
            prev: itself(i),
        });
        let priorities = spec.devices.iter().map(|device| device.priority).collect();
        Self { globals, nodes, priorities }
    }

    /// swap_lock: protects which devices are on.
    pub fn swap_lock(&self) -> &SpinLock<M> {
        &self.globals[0].swap_lock.0
    }

    /// Takes swap_avail_lock.
    pub fn lock(&self, cpu: &M::Cpu, site: &'static Site) -> Guard<M> {
        self.globals[0].swap_avail_lock.0.lock(cpu, site)
    }

    /// Drops swap_avail_lock.
    pub fn unlock(&self, cpu: &M::Cpu, guard: Guard<M>) {
        self.globals[0].swap_avail_lock.0.unlock(cpu, guard);
    }

    /// get_nr_swap_pages(), in slots: can be negative while allocations are under way.
    pub fn nr_swap_pages(&self) -> i64 {
        self.globals[0].nr_swap_pages.0.load() as i64
    }

    /// Adds to nr_swap_pages; a negative number of `pages` takes off.
    pub fn add_pages(&self, pages: i64) {
        self.globals[0].nr_swap_pages.0.fetch_add_relaxed(pages as u64);
    }

    /// Adds to nr_swap_pages and total_swap_pages when a device comes or (negative) goes.
    /// swap_lock is held.
    pub fn add_total(&self, pages: i64) {
        self.add_pages(pages);
        let total = &self.globals[0].total_swap_pages.0;
        total.store(total.load().wrapping_add(pages as u64));
    }

    /// vm_swap_full(): more than half of all slots are in use, so the swap cache gives slots back.
    pub fn full(&self) -> bool {
        let total = self.globals[0].total_swap_pages.0.load() as i64;
        self.nr_swap_pages() * 2 < total
    }

    /// nr_swap_pages, in slots, at rest.
    pub fn peek_pages(&self) -> i64 {
        self.globals[0].nr_swap_pages.0.peek() as i64
    }

    /// The first half of get_swap_pages(): takes room for up to `goal` entries of `size` slots off
    /// nr_swap_pages. Test and subtraction are one section of swap_avail_lock; before 5.12 the test
    /// was outside. Returns the lock, still held, and for how many entries there is room; `None`
    /// if for none.
    pub fn reserve(
        &self,
        cpu: &M::Cpu,
        site: &'static Site,
        goal: usize,
        size: i64,
    ) -> Option<(Guard<M>, usize)> {
        let before = fault!(M, "nr-tested-outside-avail-lock").then(|| self.nr_swap_pages());
        let guard = self.lock(cpu, site);
        let pages = before.unwrap_or_else(|| self.nr_swap_pages());
        let wanted = goal.min(usize::try_from(pages / size).unwrap_or(0));
        if wanted == 0 {
            self.unlock(cpu, guard);
            return None;
        }
        self.add_pages(-(wanted as i64 * size));
        Some((guard, wanted))
    }

    fn head(&self) -> usize {
        self.nodes.len() - 1
    }

    fn after(&self, node: usize) -> Option<usize> {
        let next = self.nodes[node].next.get() as usize;
        (next != self.head()).then_some(next)
    }

    fn linked(&self, dev: usize) -> bool {
        self.nodes[dev].next.get() as usize != dev
    }

    /// plist_add(), behind devices of equal priority.
    pub fn add(&self, cpu: &M::Cpu, dev: usize) {
        cpu.note("avail list: plist_add()", dev as u64);
        self.insert(dev);
    }

    fn insert(&self, dev: usize) {
        assert!(!self.linked(dev), "I9: plist_add of a device that is on the avail list");
        let goes_first = |other: usize| self.priorities[other] < self.priorities[dev];
        let mut place = self.after(self.head());
        while let Some(other) = place.filter(|&other| !goes_first(other)) {
            place = self.after(other);
        }
        let next = place.unwrap_or(self.head());
        let prev = self.nodes[next].prev.get() as usize;
        self.link(prev, dev);
        self.link(dev, next);
    }

    fn link(&self, left: usize, right: usize) {
        self.nodes[left].next.set(right as u32);
        self.nodes[right].prev.set(left as u32);
    }

    /// plist_del(), which leaves the node linked to itself.
    pub fn del(&self, cpu: &M::Cpu, dev: usize) {
        cpu.note("avail list: plist_del()", dev as u64);
        self.remove(dev);
    }

    fn remove(&self, dev: usize) {
        let node = &self.nodes[dev];
        self.link(node.prev.get() as usize, node.next.get() as usize);
        self.link(dev, dev);
    }

    /// plist_requeue(): a device goes behind its peers of equal priority. Without one after it
    /// nothing is written (lib/plist.c).
    fn requeue(&self, dev: usize) {
        assert!(self.linked(dev), "I9: plist_requeue of a device that is on no list");
        let peer = |next: usize| self.priorities[next] == self.priorities[dev];
        if self.after(dev).is_some_and(peer) {
            self.remove(dev);
            self.insert(dev);
        }
    }

    /// The walk of get_swap_pages(): calls `visit` for one device after another, with
    /// swap_avail_lock (`guard`) dropped, until it returns true. Each visited device goes behind
    /// its peers of equal priority first.
    pub fn walk(
        &self,
        cpu: &M::Cpu,
        site: &'static Site,
        guard: Guard<M>,
        visit: impl FnMut(usize) -> bool,
    ) {
        self.walk_where(cpu, site, guard, |_| true, visit);
    }

    /// The same past the devices that `may_use` refuses, which keep their place.
    pub fn walk_where(
        &self,
        cpu: &M::Cpu,
        site: &'static Site,
        mut guard: Guard<M>,
        may_use: impl Fn(usize) -> bool,
        mut visit: impl FnMut(usize) -> bool,
    ) {
        let mut place = self.after(self.head());
        while let Some(dev) = place {
            let next = self.after(dev);
            if !may_use(dev) {
                place = next;
                continue;
            }
            self.requeue(dev);
            cpu.note("avail list: the walk is here", dev as u64);
            self.unlock(cpu, guard);
            if visit(dev) {
                return;
            }
            guard = self.lock(cpu, site);
            let gone = next.is_some_and(|next| !self.linked(next));
            let restart = gone && !fault!(M, "next-unlinked");
            place = if restart { self.after(self.head()) } else { next };
        }
        self.unlock(cpu, guard);
    }

    /// Whether the device is on the list, at rest.
    pub fn peek(&self, dev: usize) -> bool {
        self.nodes[dev].next.peek() as usize != dev
    }
}
