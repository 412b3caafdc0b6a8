//! Slots of hibernation's image, over a swap table. Guards that swapoff leaves a pinned device alone, and
//! that a slot whose page readahead has brought into the swap cache is freed with its folio, and not
//! before (I16). Kernel: mm/swapfile.c of 7.3, functions as named.
//!
//! Simplified: the slot is allocated with a folio, which leaves it at once. It may be on any device, while
//! the kernel's is on the pinned one.

use crate::allocator::{Leaves, SwapAllocator};
use crate::cache::LockedFolio;
use crate::cluster::{CiFirst, SwapoffHooks};
use crate::device::{Device, SWP_HIBERNATION};
use crate::entry::SwpEntry;
use machine::{Atomic, Frame, Machine, Plain, Site, fault};

static PIN: Site = Site::new("swap_lock", "pin_hibernation_swap_type");
static UNPIN: Site = Site::new("swap_lock", "unpin_hibernation_swap_type");
static FREE: Site = Site::new("ci->lock", "swap_free_hibernation_slot");

impl<M: Machine, P: SwapoffHooks<M>> CiFirst<M, P> {
    /// False if the device is not on, or pinned already.
    pub(crate) fn pin(&self, cpu: &M::Cpu, dev: &Device<M>) -> bool {
        let swap_lock = self.base.avail.swap_lock();
        let guard = swap_lock.lock(cpu, &PIN);
        let may = dev.si().active.get() != 0 && !self.is_pinned(dev);
        if may && !fault!(M, "hibernation-not-pinned") {
            dev.set_flag(SWP_HIBERNATION);
        }
        swap_lock.unlock(cpu, guard);
        may
    }

    pub(crate) fn unpin(&self, cpu: &M::Cpu, dev: &Device<M>) {
        let swap_lock = self.base.avail.swap_lock();
        let guard = swap_lock.lock(cpu, &UNPIN);
        dev.clear_flag(SWP_HIBERNATION);
        swap_lock.unlock(cpu, guard);
    }

    /// swap_lock is held.
    pub(crate) fn is_pinned(&self, dev: &Device<M>) -> bool {
        P::RELEASE.table.is_some() && dev.si().flags.load() & SWP_HIBERNATION != 0
    }

    pub(crate) fn slot_of_image(&self, cpu: &M::Cpu) -> Option<SwpEntry> {
        let _frame = Frame::<M>::entered("swap_alloc_hibernation_slot");
        let entry = self.alloc(cpu, 0)?;
        assert!(self.dup(cpu, entry), "a fresh slot takes a user");
        let folio = LockedFolio { offset: entry.offset(), order: 0 };
        self.remove_folio(cpu, entry.dev(), folio, Leaves::Reclaimed);
        Some(entry)
    }

    pub(crate) fn free_slot_of_image(&self, cpu: &M::Cpu, entry: SwpEntry) {
        let offset = entry.offset();
        let cached = self.section(cpu, entry, &FREE, |dev| {
            let cached = dev.put_in_table(offset) != 0;
            if !cached || fault!(M, "hibernation-frees-cached") {
                self.free_range(cpu, dev, dev.cluster_of(offset), offset, 1);
            }
            cached
        });
        if cached {
            self.try_to_reclaim(cpu, self.dev(entry), offset);
        }
    }
}
