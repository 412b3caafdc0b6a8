//! Per-CPU slot caches (mm/swap_slots.c, 4.11 .. 6.14): 64 order-0 slots to allocate from and,
//! until 6.13, up to 64 freed ones that are given back in a batch. Guards that a slot is in one
//! cache at most. Cached slots count as in use and carry SWAP_HAS_CACHE, so swapoff empties the
//! caches.

use crate::avail::Avail;
use crate::entry::SwpEntry;
use crate::spec::SlotCacheSpec;
use machine::{Atomic, Cpu, Fields, Machine, PerCpu, Plain, Region, Site, SpinLock};

static ALLOC: Site = Site::new("slot cache alloc_lock", "folio_alloc_swap");
static DRAIN_ALLOC: Site = Site::new("slot cache alloc_lock", "drain_slots_cache_cpu");
static FREE: Site = Site::new("slot cache free_lock", "free_swap_slot");
static DRAIN_FREE: Site = Site::new("slot cache free_lock", "drain_slots_cache_cpu");

/// Most slots of one cache.
const MOST: usize = 64;

/// One CPU's cache.
struct Cache<M: Machine> {
    /// Protects `nr` and `slots`. It is a mutex in the kernel.
    alloc_lock: SpinLock<M>,
    nr: M::Plain<u32>,
    /// Protects `n_ret` and `slots_ret`.
    free_lock: SpinLock<M>,
    n_ret: M::Plain<u32>,
    slots: Slots<M>,
    slots_ret: Slots<M>,
}

/// The slots of one side of a cache, in memory of their own as in the kernel.
type Slots<M> = Region<M, <M as Machine>::Plain<u64>>;

impl<M: Machine> Fields for Cache<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("alloc_lock", std::mem::offset_of!(Self, alloc_lock)),
            ("nr", std::mem::offset_of!(Self, nr)),
            ("free_lock", std::mem::offset_of!(Self, free_lock)),
            ("n_ret", std::mem::offset_of!(Self, n_ret)),
        ]
    }
}

/// swap_slot_cache_active, and how many swapoffs keep the caches disabled.
struct Switch<M: Machine> {
    active: M::Atomic<u32>,
    disabled: M::Atomic<u32>,
}

impl<M: Machine> Fields for Switch<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        use std::mem::offset_of;
        let (active, disabled) = (offset_of!(Self, active), offset_of!(Self, disabled));
        vec![("swap_slot_cache_active", active), ("swap_slot_cache_enabled", disabled)]
    }
}

/// The caches of all CPUs, and the switch that turns them off.
pub struct SlotCaches<M: Machine> {
    caches: PerCpu<M, Cache<M>>,
    switch: Region<M, Switch<M>>,
    size: usize,
    /// Whether there is a return side (until 6.13).
    returns: bool,
    activate: i64,
    deactivate: i64,
}

impl<M: Machine> SlotCaches<M> {
    /// Empty and inactive; `returns`: with a return side.
    pub fn new(spec: &SlotCacheSpec, returns: bool, cpu: &M::Cpu) -> Self {
        let cpus = cpu.system().cpus();
        // The set-up CPU is not one of the machine's.
        let online = cpus as i64 - 1;
        assert!(spec.size <= MOST, "a slot cache has room for {MOST} slots");
        let slots = |name| Region::named(name, spec.size, Vec::new(), |_| M::Plain::new(0));
        Self {
            caches: PerCpu::new("swp_slots", cpus, |_| Cache {
                alloc_lock: SpinLock::new(),
                nr: M::Plain::new(0),
                free_lock: SpinLock::new(),
                n_ret: M::Plain::new(0),
                slots: slots("slots"),
                slots_ret: slots("slots_ret"),
            }),
            switch: Region::new("swap_slots", 1, |_| Switch {
                active: M::Atomic::new(0),
                disabled: M::Atomic::new(0),
            }),
            size: spec.size,
            returns,
            activate: spec.activate as i64 * online,
            deactivate: spec.deactivate as i64 * online,
        }
    }

    /// use_swap_slot_cache.
    fn in_use(&self) -> bool {
        let switch = &self.switch[0];
        switch.active.load() != 0 && switch.disabled.load() == 0
    }

    /// check_cache_active(): whether the caches are in use. Turns them on when more slots are free
    /// than [`SlotCacheSpec::activate`] per CPU. Turns them off and drains them by `free` when
    /// fewer are free than [`SlotCacheSpec::deactivate`] per CPU.
    fn check(&self, cpu: &M::Cpu, avail: &Avail<M>, free: impl Fn(&[SwpEntry])) -> bool {
        let switch = &self.switch[0];
        if switch.disabled.load() != 0 {
            return false;
        }
        let (pages, active) = (avail.nr_swap_pages(), switch.active.load() != 0);
        if !active && pages > self.activate {
            switch.active.store(1);
        } else if active && pages < self.deactivate {
            switch.active.store(0);
            self.empty(cpu, free);
        }
        switch.active.load() != 0
    }

    /// The cached half of folio_alloc_swap(): a slot of this CPU's cache. An empty cache is filled
    /// by `refill` first, which returns how many entries it wrote. `None` if the caches are off
    /// or there is no slot.
    pub fn alloc(
        &self,
        cpu: &M::Cpu,
        avail: &Avail<M>,
        refill: impl Fn(&mut [Option<SwpEntry>]) -> usize,
        free: impl Fn(&[SwpEntry]),
    ) -> Option<SwpEntry> {
        if !self.check(cpu, avail, free) {
            return None;
        }
        let cache = self.caches.of(cpu.id());
        let guard = cache.alloc_lock.lock(cpu, &ALLOC);
        if cache.nr.get() == 0 && self.in_use() {
            let mut fresh = [None; MOST];
            let got = refill(&mut fresh[..self.size]);
            // Slots are taken from the end, so the first one of the batch is stored last.
            for (i, entry) in fresh[..got].iter().rev().enumerate() {
                cache.slots[i].set(SwpEntry::to_pte(*entry));
            }
            cache.nr.set(got as u32);
        }
        let nr = cache.nr.get();
        let entry = (nr > 0).then(|| {
            cache.nr.set(nr - 1);
            cache.slots[nr as usize - 1].get()
        });
        cache.alloc_lock.unlock(cpu, guard);
        entry.and_then(SwpEntry::from_pte)
    }

    /// free_swap_slot(): keeps the slot for a batch; a full cache is given back by `free` first.
    /// False if the caches are off: the caller frees the slot itself.
    pub fn keep_freed(&self, cpu: &M::Cpu, entry: SwpEntry, free: impl Fn(&[SwpEntry])) -> bool {
        if !self.in_use() {
            return false;
        }
        let cache = self.caches.of(cpu.id());
        let guard = cache.free_lock.lock(cpu, &FREE);
        // Tested again under the lock: swapoff drains after it has cleared the switch.
        let kept = self.in_use();
        if kept {
            if cache.n_ret.get() as usize >= self.size {
                Self::give_back(&cache.n_ret, &cache.slots_ret, &free);
            }
            let n = cache.n_ret.get();
            cache.slots_ret[n as usize].set(SwpEntry::to_pte(Some(entry)));
            cache.n_ret.set(n + 1);
        }
        cache.free_lock.unlock(cpu, guard);
        kept
    }

    /// disable_swap_slots_cache_lock(): no slot hides in a cache until `enable`.
    pub fn disable(&self, cpu: &M::Cpu, free: impl Fn(&[SwpEntry])) {
        self.switch[0].disabled.fetch_add(1);
        self.empty(cpu, free);
    }

    /// reenable_swap_slots_cache_unlock(): undoes one [`SlotCaches::disable`].
    pub fn enable(&self) {
        self.switch[0].disabled.fetch_sub(1);
    }

    /// drain_slots_cache_cpu() of every CPU.
    fn empty(&self, cpu: &M::Cpu, free: impl Fn(&[SwpEntry])) {
        for cache in self.caches.iter() {
            let guard = cache.alloc_lock.lock(cpu, &DRAIN_ALLOC);
            Self::give_back(&cache.nr, &cache.slots, &free);
            cache.alloc_lock.unlock(cpu, guard);
            if self.returns {
                let guard = cache.free_lock.lock(cpu, &DRAIN_FREE);
                Self::give_back(&cache.n_ret, &cache.slots_ret, &free);
                cache.free_lock.unlock(cpu, guard);
            }
        }
    }

    /// Frees all `nr` entries of one side of a cache.
    fn give_back(nr: &M::Plain<u32>, slots: &[M::Plain<u64>], free: impl Fn(&[SwpEntry])) {
        let held = &slots[..nr.get() as usize];
        let entries: Vec<_> = held.iter().filter_map(|s| SwpEntry::from_pte(s.get())).collect();
        if !entries.is_empty() {
            free(&entries);
            nr.set(0);
        }
    }

    /// How many calls of [`SlotCaches::disable`] are not undone, at rest.
    pub fn peek_disabled(&self) -> u32 {
        self.switch[0].disabled.peek()
    }

    /// The slots in all caches, at rest.
    pub fn peek(&self) -> Vec<SwpEntry> {
        let of = |nr: &M::Plain<u32>, slots: &[M::Plain<u64>]| -> Vec<SwpEntry> {
            let held = &slots[..nr.peek() as usize];
            held.iter().filter_map(|s| SwpEntry::from_pte(s.peek())).collect()
        };
        let cache = |c: &Cache<M>| [of(&c.nr, &c.slots), of(&c.n_ret, &c.slots_ret)].concat();
        self.caches.iter().flat_map(cache).collect()
    }
}
