//! `first-fit`: a toy. One lock per device, no clusters, no caches: the first free slots of the map
//! are taken. Guards everything by si->lock.

use machine::{Atomic, Machine, Site};
use variants::device::{Base, Device, SWP_WRITEOK};
use variants::swap_map::HAS_CACHE;
use variants::swapoff::{Swapoff, swapoff, swapon};
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

static ALLOC: Site = Site::new("si->lock", "toy_alloc");
static SWITCH: Site = Site::new("si->lock", "toy_switch");
static PUT: EntrySite = EntrySite::new("toy_put");
static FREE: EntrySite = EntrySite::new("toy_free_folio");

/// The allocator: it has nothing but its devices.
pub struct FirstFit<M: Machine> {
    base: Base<M>,
}

impl<M: Machine> FirstFit<M> {
    /// Turns SWP_WRITEOK on or off; false if it was so already.
    fn switch(&self, cpu: &M::Cpu, dev: &Device<M>, on: bool) -> bool {
        let guard = dev.si().lock.lock(cpu, &SWITCH);
        let changes = dev.writeok() != on;
        if changes {
            let flags = dev.si().flags.load();
            dev.si().flags.store(flags ^ SWP_WRITEOK);
            let pages = dev.pages() as i64;
            self.base.avail.add_total(if on { pages } else { -pages });
        }
        dev.si().lock.unlock(cpu, guard);
        changes
    }

    /// Frees a slot if `left`, the byte that is left of it, is 0. si->lock is held.
    fn free_if_unused(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, left: u8) {
        if left == 0 {
            self.base.clean_up(cpu, dev, offset, 1);
            dev.fill(offset, 1, 0);
            self.count(dev, -1);
        }
    }

    /// Adds to inuse_pages, which unuse reads without the lock, and takes off nr_swap_pages.
    fn count(&self, dev: &Device<M>, slots: i64) {
        M::wmb();
        self.base.avail.add_pages(-slots);
        dev.si().inuse_pages.fetch_add_relaxed(slots as u64);
    }
}

impl<M: Machine> SwapAllocator<M> for FirstFit<M> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self { base: Base::new(spec, cpu) }
    }

    fn base(&self) -> &Base<M> {
        &self.base
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        swapon(self, cpu, dev)
    }

    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        swapoff(self, cpu, dev, owners)
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        self.base.devices.iter().find_map(|dev| {
            if !dev.users.tryget_live(cpu) {
                return None;
            }
            let guard = dev.si().lock.lock(cpu, &ALLOC);
            let window = dev.window(0, dev.max(), order, || false).filter(|_| dev.writeok());
            if let Some(found) = &window {
                dev.fill(found.offset, 1 << order, HAS_CACHE);
                self.count(dev, 1 << order);
            }
            dev.si().lock.unlock(cpu, guard);
            dev.users.put(cpu);
            window.map(|found| SwpEntry::new(dev.index, found.offset))
        })
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        self.with_entry(cpu, entry, &PUT, |dev| {
            for slot in entry.offset()..entry.offset() + nr {
                self.free_if_unused(cpu, dev, slot, dev.put_locked(cpu, slot));
            }
        });
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let live = self.tryget_device(cpu, entry.dev());
        if live {
            self.put(cpu, entry, nr);
            self.put_device(cpu, entry.dev());
        }
        live
    }

    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        self.with_entry(cpu, entry, &FREE, |dev| {
            dev.leave_shadow(entry.offset(), 1 << order);
            for slot in entry.offset()..entry.offset() + (1 << order) {
                self.free_if_unused(cpu, dev, slot, dev.uncache_locked(slot));
            }
        });
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        let dev = &self.base.devices[entry.dev()];
        let guard = dev.si().lock.lock(cpu, &site.si);
        let result = action(dev);
        dev.si().lock.unlock(cpu, guard);
        result
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.with_entry(cpu, entry, &PUT, |dev| dev.add_continuation(cpu, entry.offset()));
    }

    /// I4: inuse_pages is the number of used bytes.
    fn validate(&self) -> Result<(), String> {
        for dev in self.base.devices.iter().filter(|dev| dev.stats().pages > 0) {
            let (stats, used) = (dev.stats(), |&slot: &u32| dev.usage(slot) != (0, false));
            let in_use = (1..=stats.pages as u32).filter(used).count() as u64;
            if in_use != stats.inuse {
                return Err(format!("I4: inuse_pages {}, {in_use} slots in use", stats.inuse));
            }
        }
        Ok(())
    }
}

/// An allocation is one si->lock section with the SWP_WRITEOK test inside: when `block` has dropped
/// si->lock, none is under way, so there is no barrier. Nor are there caches, workers or scanners.
impl<M: Machine> Swapoff<M> for FirstFit<M> {
    fn block(&self, cpu: &M::Cpu, dev: &Device<M>) -> Result<(), SwapoffError> {
        let on = dev.users.tryget_live(cpu) && {
            let on = self.switch(cpu, dev, false);
            dev.users.put(cpu);
            on
        };
        if on { Ok(()) } else { Err(SwapoffError::NotOn) }
    }

    fn reinsert(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.enable(cpu, dev);
    }

    fn enable(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.switch(cpu, dev, true);
    }

    fn reset(&self, dev: &Device<M>) {
        dev.si().inuse_pages.store(0);
    }
}
