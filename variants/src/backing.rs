//! What is behind a slot of the layer of `vswap`: nothing yet, or a slot on a device, which it gets when
//! its page is written. Guards that both point to each other: virtual_table changes under the layer's
//! ci->lock, the reverse pointer under the device's ci->lock, which is taken inside the other where a
//! slot gives its backing up. Kernel: mm/swapfile.c and mm/page_io.c of "mm, swap: support physical swap
//! as a vswap backend", RFC v2 3/7 (20260612193738.2183968-4-nphamcs@gmail.com), functions as named.
//!
//! Simplified: no zswap and no page of zeroes, so that a page is either in memory or on a device. A reverse
//! pointer is a word beside the slot's entry, of which it is a part in the kernel; the entry's byte has
//! the bit SWP_RMAP_CACHE_ONLY, inverted, as its lowest one.

use crate::cache::{LockedFolio, NoFolio, Reclaimed};
use crate::cluster::CiFirst;
use crate::count::may_cache;
use crate::device::Device;
use crate::entry::SwpEntry;
use crate::layer::Layer;
use crate::percpu_cluster::Release6_15;
use crate::swap_map::HAS_CACHE;
use crate::{Leaves, SwapAllocator};
use machine::{Atomic, Cpu, Fields, Frame, Machine, PerCpu, Plain, Region, Site, vm_bug_on};

mod site {
    use machine::Site;
    pub static ZERO: Site = Site::new("vswap ci->lock", "swap_writeout");
    pub static DROP_OTHER: Site =
        Site::new("vswap ci->lock", "folio_release_non_phys_swap_backing");
    pub static REALLOC: Site = Site::new("vswap ci->lock", "folio_realloc_swap");
    pub static RELEASE: Site = Site::new("vswap ci->lock", "folio_release_vswap_backing");
    pub static FREE: Site = Site::new("ci->lock", "__swap_cluster_free_phys_backing");
    pub static FLAG: Site = Site::new("vswap ci->lock", "swap_entry_backend_has_flag");
    pub static READ: Site = Site::new("vswap ci->lock", "swap_read_folio");
    pub static BACKED: Site = Site::new("vswap ci->lock", "folio_phys_swap_backed");
    pub static CACHE: Site = Site::new("vswap ci->lock", "__swap_cache_alloc");
    pub static REMOVE: Site = Site::irqs_off("vswap ci->lock", "__remove_mapping");
    pub static DELETE: Site = Site::new("vswap ci->lock", "swap_cache_del_folio");
    pub static RECLAIM: Site = Site::new("ci->lock", "try_to_reclaim_vswap_backing");
    pub static RECLAIM_AGAIN: Site = Site::new("vswap ci->lock", "try_to_reclaim_vswap_backing");
    pub static UNUSE: Site = Site::new("ci->lock", "try_to_unuse");
    pub static UNUSE_AGAIN: Site = Site::new("vswap ci->lock", "try_to_unuse");
}

/// An entry of a device that points to a slot of the layer with users. Without the lowest bit only the
/// swap cache holds that slot (SWP_RMAP_CACHE_ONLY).
const POINTER: u8 = HAS_CACHE | USED;
const USED: u8 = 1;

/// What the devices know of the layer above them.
pub struct Below<M: Machine> {
    pub(crate) layer: Layer<M>,
    /// The slot of the layer that each slot of a device belongs to, by device.
    pub(crate) reverse: Vec<Region<M, M::Atomic<u32>>>,
    /// Each CPU's folio that is getting slots on a device.
    pub(crate) writing: PerCpu<M, Writing<M>>,
    /// As in [`Spec`](crate::Spec).
    pub(crate) swap_max: u64,
}

/// A folio, by its first slot of the layer.
pub(crate) struct Writing<M: Machine> {
    pub(crate) first: M::Plain<u32>,
}

impl<M: Machine> Fields for Writing<M> {}

/// The devices below the layer.
pub(crate) type Devices<M> = CiFirst<M, Release6_15<M, Below<M>>>;

/// The layer and the devices together.
pub(crate) struct Backed<'a, M: Machine>(pub(crate) &'a Devices<M>);

// ---- slots of the layer ----

impl<'a, M: Machine> Backed<'a, M> {
    fn below(&self) -> &'a Below<M> {
        &self.0.policy.choice
    }

    pub(crate) fn layer(&self) -> &'a Layer<M> {
        &self.below().layer
    }

    /// Runs `action` under the layer's ci->lock; `None` if the slot's cluster is gone.
    pub(crate) fn try_section<T>(
        &self,
        cpu: &M::Cpu,
        offset: u32,
        site: &'static Site,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> Option<T> {
        let dev = &self.layer().dev;
        let index = dev.cluster_of(offset);
        let guard = self.layer().lock(cpu, index, site)?;
        let result = action(dev);
        dev.unlock_cluster(cpu, index, guard);
        Some(result)
    }

    /// The same for a slot that somebody holds.
    pub(crate) fn section<T>(
        &self,
        cpu: &M::Cpu,
        offset: u32,
        site: &'static Site,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        let result = self.try_section(cpu, offset, site, action);
        result.expect("a slot in use has a cluster in the xarray")
    }

    /// __swap_cluster_free_entries(): slots of a cluster of the layer, which is locked, become free.
    pub(crate) fn free_range(&self, cpu: &M::Cpu, offset: u32, nr: u32) {
        let dev = &self.layer().dev;
        vm_bug_on!(M, !dev.all(offset, nr, HAS_CACHE), "a slot in use is freed");
        self.release(cpu, offset, nr);
        dev.fill(offset, nr, 0);
        dev.set_cgroup(offset, nr, 0);
        dev.clear_shadow(offset, nr);
        self.layer().freed(cpu, dev.cluster_of(offset), nr);
    }

    /// __swap_cache_alloc(), then swap_read_folio(): a fresh folio, locked, for a slot that has users and
    /// no folio. `page_in` is what it takes to read the page.
    pub(crate) fn add(
        &self,
        cpu: &M::Cpu,
        offset: u32,
        page_in: impl FnOnce(),
    ) -> Option<LockedFolio> {
        let look = |dev: &Device<M>| may_cache(dev.byte(offset).load());
        if !self.try_section(cpu, offset, &site::CACHE, look)? {
            return None;
        }
        let folio = self.try_section(cpu, offset, &site::CACHE, |dev| {
            dev.cache_locked(offset).then(|| dev.folios.add(offset, 0))
        })??;
        let phys = self.to_phys(cpu, offset, &site::READ);
        vm_bug_on!(M, phys.is_none(), "the page of a slot without a folio is on no device");
        page_in();
        Some(folio)
    }

    /// The locked folio leaves, and its slots without a user are free. One whose page is nowhere else
    /// stays (AOP_WRITEPAGE_ACTIVATE).
    pub(crate) fn remove(&self, cpu: &M::Cpu, folio: LockedFolio, why: Leaves) {
        let (offset, nr) = (folio.offset, folio.slots());
        if why == Leaves::Reclaimed && self.phys(offset).is_none() {
            self.drop_unused(cpu, folio);
            return;
        }
        let site = if why == Leaves::Reclaimed { &site::REMOVE } else { &site::DELETE };
        self.section(cpu, offset, site, |dev| {
            dev.folios.remove(folio);
            dev.leave_shadow(offset, nr);
            dev.uncache(offset, nr, |first, n| self.free_range(cpu, first, n));
        });
    }

    /// folio_free_swap(): the locked folio leaves if none of its slots has a user; else it is unlocked,
    /// and the answer is false.
    pub(crate) fn drop_unused(&self, cpu: &M::Cpu, folio: LockedFolio) -> bool {
        let unused = !self.maybe_swapped(cpu, folio.offset, folio.slots());
        match unused {
            true => self.remove(cpu, folio, Leaves::Unused),
            false => self.layer().dev.folios.unlock(folio),
        }
        unused
    }

    /// folio_maybe_swapped().
    pub(crate) fn maybe_swapped(&self, cpu: &M::Cpu, offset: u32, nr: u32) -> bool {
        cpu.system().rcu.read(cpu, || !self.layer().dev.all(offset, nr, HAS_CACHE))
    }
}

// ---- their backing ----

impl<M: Machine> Backed<'_, M> {
    /// The slot's entry in virtual_table. Its folio's lock, or its ci->lock, is held.
    fn phys(&self, offset: u32) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.layer().virtual_table[offset as usize].load())
    }

    fn set_phys(&self, offset: u32, phys: Option<SwpEntry>) {
        self.layer().virtual_table[offset as usize].store(SwpEntry::to_pte(phys));
    }

    /// vswap_to_phys().
    fn to_phys(&self, cpu: &M::Cpu, offset: u32, site: &'static Site) -> Option<SwpEntry> {
        self.try_section(cpu, offset, site, |_| self.phys(offset)).flatten()
    }

    /// swap_entry_backend_has_flag(): a look at the flags of the device that backs the slot.
    pub(crate) fn backend_flags(&self, cpu: &M::Cpu, offset: u32) -> u64 {
        let Some(phys) = self.to_phys(cpu, offset, &site::FLAG) else { return 0 };
        if !self.0.tryget_device(cpu, phys.dev()) {
            return 0;
        }
        let flags = self.0.base.devices[phys.dev()].si().flags.load();
        self.0.put_device(cpu, phys.dev());
        flags
    }

    /// folio_phys_swap_backed().
    pub(crate) fn is_backed(&self, cpu: &M::Cpu, folio: LockedFolio) -> bool {
        let slots = folio.offset..folio.offset + folio.slots();
        let all = |_: &_| slots.clone().all(|slot| self.phys(slot).is_some());
        self.section(cpu, folio.offset, &site::BACKED, all)
    }

    /// swap_writeout() of a locked folio: its page gets slots on a device, if it has none yet and a device
    /// has some.
    pub(crate) fn write_out(&self, cpu: &M::Cpu, offset: u32, order: usize) {
        let nr = 1 << order;
        self.section(cpu, offset, &site::ZERO, |dev| {
            (offset..offset + nr).for_each(|slot| dev.byte(slot).store(dev.byte(slot).load()));
        });
        // What zswap has of an older version of the page would go here.
        self.section(cpu, offset, &site::DROP_OTHER, |_| self.phys(offset));
        if self.to_phys(cpu, offset, &site::REALLOC).is_some() {
            return;
        }
        let Some(phys) = self.alloc_phys(cpu, offset, order) else { return };
        self.section(cpu, offset, &site::REALLOC, |_| {
            (0..nr).for_each(|i| self.set_phys(offset + i, Some(phys.plus(i))));
        });
    }

    /// Slots on a device, which point to those of the layer from `offset` on. The cgroup pays for them
    /// here, and not for those of the layer.
    fn alloc_phys(&self, cpu: &M::Cpu, offset: u32, order: usize) -> Option<SwpEntry> {
        self.below().writing.of(cpu.id()).first.set(offset);
        let phys = self.0.alloc(cpu, order)?;
        if self.0.inuse(phys.dev()) > self.below().swap_max {
            self.free_phys(cpu, phys, 1 << order);
            return None;
        }
        Some(phys)
    }

    /// __vswap_release_backing(): slots of a cluster of the layer, which is locked, give up what backs
    /// them. Neighbours on a device go together.
    fn release(&self, cpu: &M::Cpu, offset: u32, nr: u32) {
        let mut run = None::<(SwpEntry, u32)>;
        for slot in offset..offset + nr {
            let phys = self.phys(slot);
            self.set_phys(slot, None);
            run = match (run, phys) {
                (Some((first, n)), Some(phys)) if self.follows(first, n, phys) => {
                    Some((first, n + 1))
                }
                (run, phys) => {
                    run.inspect(|&(first, n)| self.free_phys(cpu, first, n));
                    phys.map(|phys| (phys, 1))
                }
            };
        }
        run.inspect(|&(first, n)| self.free_phys(cpu, first, n));
    }

    /// Whether `phys` is the slot behind a run, in the same cluster.
    fn follows(&self, first: SwpEntry, n: u32, phys: SwpEntry) -> bool {
        let dev = &self.0.base.devices[first.dev()];
        first.plus(n) == phys && dev.cluster_of(first.offset()) == dev.cluster_of(phys.offset())
    }

    /// __swap_cluster_free_phys_backing(): inside the layer's ci->lock, except where nothing points to
    /// the slots yet.
    fn free_phys(&self, cpu: &M::Cpu, first: SwpEntry, nr: u32) {
        let (dev, offset) = (&self.0.base.devices[first.dev()], first.offset());
        let index = dev.cluster_of(offset);
        let guard = dev.lock_cluster(cpu, index, &site::FREE);
        self.0.free_range(cpu, dev, index, offset, nr);
        dev.unlock_cluster(cpu, index, guard);
    }
}

// ---- from a device to the layer ----

impl<M: Machine> Backed<'_, M> {
    /// Slots of a device become those of the folio that this CPU writes. ci->lock is held.
    pub(crate) fn point(below: &Below<M>, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        let above = below.writing.of(cpu.id()).first.get();
        dev.fill(offset, nr, POINTER);
        let words = &below.reverse[dev.index][offset as usize..(offset + nr) as usize];
        (above..).zip(words).for_each(|(slot, word)| word.store(slot));
    }

    /// vswap_mark_cache_only() and vswap_clear_cache_only(): whether the slot of the layer has users, as
    /// its backing says. The layer's ci->lock is held, and not the device's.
    pub(crate) fn set_used(&self, offset: u32, used: bool) {
        let Some(phys) = self.phys(offset) else { return };
        let entry = self.0.base.devices[phys.dev()].byte(phys.offset());
        if used {
            entry.fetch_or(USED)
        } else {
            entry.fetch_and(!USED)
        };
    }

    /// The slot of the layer that a slot of a device points to, if its entry is `wanted`.
    fn above(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        site: &'static Site,
        wanted: impl Fn(u8) -> bool,
    ) -> Option<u32> {
        let index = dev.cluster_of(offset);
        let guard = dev.lock_cluster(cpu, index, site);
        let points = wanted(dev.byte(offset).load());
        let above = points.then(|| self.below().reverse[dev.index][offset as usize].load());
        dev.unlock_cluster(cpu, index, guard);
        above
    }

    /// Whether the folio, now that it is locked, is still the one that the slot of a device backs.
    fn still_backed_by(
        &self,
        cpu: &M::Cpu,
        folio: LockedFolio,
        (above, phys): (u32, SwpEntry),
        site: &'static Site,
    ) -> bool {
        let first = self.to_phys(cpu, folio.offset, site);
        first.is_some_and(|first| first.plus(above - folio.offset) == phys)
    }

    /// try_to_reclaim_vswap_backing(): frees a slot of a device that only the swap cache holds.
    pub(crate) fn reclaim(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        let _frame = Frame::<M>::entered("try_to_reclaim_vswap_backing");
        let cache_only = |entry| entry == HAS_CACHE;
        let Some(above) = self.above(cpu, dev, offset, &site::RECLAIM, cache_only) else {
            return Reclaimed::Nothing;
        };
        let folio = match self.layer().look_up(cpu, above) {
            Ok(folio) => folio,
            Err(NoFolio::Absent) => return Reclaimed::Nothing,
            Err(NoFolio::Busy(_)) => return Reclaimed::Kept(offset + 1),
        };
        let phys = SwpEntry::new(dev.index, offset);
        if !self.still_backed_by(cpu, folio, (above, phys), &site::RECLAIM_AGAIN) {
            self.layer().dev.folios.unlock(folio);
            return Reclaimed::Kept(offset + 1);
        }
        let next = offset + folio.offset + folio.slots() - above;
        match self.drop_unused(cpu, folio) {
            true => Reclaimed::Freed(next),
            false => Reclaimed::Kept(next),
        }
    }

    /// The part of try_to_unuse() for a slot of a device: its page comes into the swap cache, and no page
    /// table is looked at.
    pub(crate) fn bring_in(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32) {
        let any = |entry| entry != 0;
        let Some(above) = self.above(cpu, dev, offset, &site::UNUSE, any) else { return };
        let neighbours = &self.0.base.neighbours;
        let phys = SwpEntry::new(dev.index, offset);
        let cached = self.layer().dev.folios.lock(above, cpu);
        let folio = cached.or_else(|| self.add(cpu, above, || neighbours.page_in(cpu, phys)));
        neighbours.spend_owed(cpu);
        let Some(folio) = folio else { return };
        if self.still_backed_by(cpu, folio, (above, phys), &site::UNUSE_AGAIN) {
            self.section(cpu, folio.offset, &site::RELEASE, |_| {
                self.release(cpu, folio.offset, folio.slots());
            });
        }
        self.drop_unused(cpu, folio);
    }

    /// What holds at rest between the layer and the devices.
    ///
    /// # Errors
    /// The first broken one, in words.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let (layer, devices) = (self.layer(), &self.0.base.devices);
        let records = layer.dev.bytes_at_rest(0, layer.virtual_table.len() as u32);
        let mut backed = 0;
        for (above, (record, word)) in (0..).zip(records.zip(&*layer.virtual_table)) {
            let Some(phys) = SwpEntry::from_pte(word.peek()) else { continue };
            backed += 1;
            let dev = &devices[phys.dev()];
            let back = self.below().reverse[phys.dev()][phys.offset() as usize].peek();
            let used = self.0.usage(phys) == (1, true);
            if back != above || used == (record.peek() == HAS_CACHE) {
                let state = record.peek();
                return Err(format!(
                    "slot {above} of the layer (state {state}) is behind {phys:?} (used: {used}), \
                     which points to slot {back}; {} slots of that device are in use",
                    dev.stats().inuse
                ));
            }
        }
        let inuse: u64 = devices.iter().map(|dev| dev.stats().inuse).sum();
        if inuse != backed {
            return Err(format!("I4: {inuse} slots of devices are in use, {backed} back a slot"));
        }
        Ok(())
    }
}
