//! Slots of hibernation's image, over a swap table. Guards that a slot whose page readahead has brought into
//! the swap cache is freed with its folio, and not before (I16). Kernel: mm/swapfile.c of 7.3, functions
//! as named.
//!
//! Simplified: the slot is allocated with a folio, which leaves it at once. It may be on any device, and
//! the device is not pinned: swapoff returns EBUSY in the kernel, and must not be called here.

use crate::allocator::{Leaves, SwapAllocator};
use crate::cache::LockedFolio;
use crate::cluster::{CiFirst, SwapoffHooks};
use crate::entry::SwpEntry;
use machine::{Machine, Site, fault};

static FREE: Site = Site::new("ci->lock", "swap_free_hibernation_slot");

impl<M: Machine, P: SwapoffHooks<M>> CiFirst<M, P> {
    pub(crate) fn slot_of_image(&self, cpu: &M::Cpu) -> Option<SwpEntry> {
        M::enter("swap_alloc_hibernation_slot");
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
