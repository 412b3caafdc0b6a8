//! The struct of a folio, which is freed with the folio and serves the next one. Guards that a look-up
//! without a lock can meet another folio than the one that it has read of, as it can in the kernel (I15).
//! Only a checker follows it: elsewhere a slot's folio is found by its slot.

use crate::cache::{LockedFolio, NoFolio};
use crate::device::Device;
use crate::swap_map::HAS_CACHE;
use machine::{Atomic, Cpu, Fields, Machine, PerCpu, Plain, Region};

/// The entry has no folio.
pub(crate) const NO_PFN: u32 = 0;
/// The entry has a folio whose struct is not followed, so that it serves no other one.
const UNFOLLOWED: u32 = 1;
const FIRST: u32 = 2;
/// Structs that a CPU may begin to use; it takes unfollowed ones after these.
const PER_CPU: u32 = 4;

/// The structs of a device's folios; nothing where no checker looks.
pub(crate) struct Structs<M: Machine>(Option<Followed<M>>);

struct Followed<M: Machine> {
    /// By slot: the PFN of its entry.
    entries: Region<M, M::Atomic<u32>>,
    /// folio->swap, by struct: the folio's first slot, or 0 while the struct is free.
    swap: Region<M, M::Atomic<u32>>,
    lists: PerCpu<M, FreeList<M>>,
}

/// A CPU's list of free pages, as far as it is followed: it takes the page again that it freed last.
struct FreeList<M: Machine> {
    freed: M::Plain<u32>,
    begun: M::Plain<u32>,
}

impl<M: Machine> Fields for FreeList<M> {}

impl<M: Machine> Structs<M> {
    pub(crate) fn new(slots: usize, cpus: usize) -> Self {
        let words = |name, n| Region::named(name, n, Vec::new(), |_| M::Atomic::new(0));
        let none = |_| FreeList { freed: M::Plain::new(0), begun: M::Plain::new(0) };
        Self((M::EXPLORED && slots > 0).then(|| Followed {
            entries: words("pfn", slots),
            swap: words("folio.swap", cpus * PER_CPU as usize),
            lists: PerCpu::new("pcp", cpus, none),
        }))
    }

    fn add(&self, cpu: &M::Cpu, folio: LockedFolio) {
        let Some(followed) = &self.0 else { return };
        let pfn = followed.allocate(cpu);
        if let Some(swap) = followed.swap(pfn) {
            swap.store_release(folio.offset);
        }
        followed.slots(folio).iter().for_each(|entry| entry.store_release(pfn));
    }

    fn remove(&self, cpu: &M::Cpu, folio: LockedFolio) {
        let Some(followed) = &self.0 else { return };
        let pfn = followed.slots(folio)[0].load();
        followed.slots(folio).iter().for_each(|entry| entry.store(NO_PFN));
        if let Some(swap) = followed.swap(pfn) {
            swap.store(0);
            followed.lists.of(cpu.id()).freed.set(pfn);
        }
    }
}

impl<M: Machine> Followed<M> {
    fn slots(&self, folio: LockedFolio) -> &[M::Atomic<u32>] {
        &self.entries[folio.offset as usize..(folio.offset + folio.slots()) as usize]
    }

    fn swap(&self, pfn: u32) -> Option<&M::Atomic<u32>> {
        pfn.checked_sub(FIRST).map(|number| &self.swap[number as usize])
    }

    fn allocate(&self, cpu: &M::Cpu) -> u32 {
        let own = self.lists.of(cpu.id());
        let (freed, begun) = (own.freed.get(), own.begun.get());
        if freed != NO_PFN {
            own.freed.set(NO_PFN);
            return freed;
        }
        if begun == PER_CPU {
            return UNFOLLOWED;
        }
        own.begun.set(begun + 1);
        FIRST + cpu.id() as u32 * PER_CPU + begun
    }
}

impl<M: Machine> Device<M> {
    /// A fresh folio, which is locked, enters the swap cache. ci->lock is held.
    pub(crate) fn cache_folio(&self, cpu: &M::Cpu, offset: u32, order: usize) -> LockedFolio {
        let folio = self.folios.add(offset, order);
        self.structs.add(cpu, folio);
        folio
    }

    /// A locked folio leaves the swap cache, and its struct is free. ci->lock is held.
    pub(crate) fn free_folio(&self, cpu: &M::Cpu, folio: LockedFolio) {
        self.structs.remove(cpu, folio);
        self.folios.remove(folio);
    }

    /// The PFN of the slot's entry, whose table is there; not [`NO_PFN`] if it has a folio.
    pub(crate) fn pfn(&self, offset: u32) -> u32 {
        match &self.structs.0 {
            Some(followed) => followed.entries[offset as usize].load_acquire(),
            None if self.byte(offset).load_acquire() & HAS_CACHE != 0 => UNFOLLOWED,
            None => NO_PFN,
        }
    }

    /// folio_try_get() and folio_trylock() of the struct that the slot's entry named: it may be another
    /// folio's by now.
    ///
    /// # Errors
    /// As [`NoFolio`] says.
    pub(crate) fn trylock_pfn(&self, pfn: u32, offset: u32) -> Result<LockedFolio, NoFolio> {
        let swap = self.structs.0.as_ref().and_then(|followed| followed.swap(pfn));
        let Some(swap) = swap else { return self.folios.trylock(offset) };
        let at = swap.load_acquire();
        if at == 0 {
            return Err(NoFolio::Busy(1));
        }
        let folio = self.folios.trylock(at)?;
        // The lock stands in the slot here, and in the struct in the kernel.
        if swap.load_acquire() != at {
            self.folios.unlock(folio);
            return Err(NoFolio::Busy(1));
        }
        Ok(folio)
    }
}
