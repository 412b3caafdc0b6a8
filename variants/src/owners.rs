//! Who uses the slots: page tables, each with its page-table lock, and
//! try_to_unuse(), which walks them. Unuse takes no ci->lock of its own accord and
//! ends on a lock-free read of inuse_pages: it is no barrier against allocations.

use crate::swap::{SwapInError, swap_in};
use crate::{SwapAllocator, SwapoffError, SwpEntry};
use machine::{Atomic, Cpu, Fields, Guard, Machine, Region, Site, SpinLock};

/// The page tables of all owners.
pub struct Owners<M: Machine> {
    locks: Region<M, Ptl<M>>,
    ptes: Region<M, M::Atomic<u64>>,
    pages: usize,
    passes: u32,
}

/// The page-table lock, on a line of its own as it is in its struct page.
#[repr(align(64))]
struct Ptl<M: Machine>(SpinLock<M>);

impl<M: Machine> Fields for Ptl<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("lock", 0)]
    }
}

impl<M: Machine> Owners<M> {
    pub fn new(spec: &crate::Spec) -> Self {
        let slots = spec.owners * spec.pages_per_owner;
        Self {
            locks: Region::new("ptl", spec.owners, |_| Ptl(SpinLock::new())),
            ptes: Region::named("pte", slots, Vec::new(), |_| M::Atomic::new(0)),
            pages: spec.pages_per_owner,
            passes: spec.unuse_passes,
        }
    }

    pub fn count(&self) -> usize {
        self.locks.len()
    }

    pub fn pages(&self) -> usize {
        self.pages
    }

    pub fn lock(&self, cpu: &M::Cpu, owner: usize, site: &'static Site) -> Guard<M> {
        self.locks[owner].0.lock(cpu, site)
    }

    pub fn unlock(&self, cpu: &M::Cpu, owner: usize, guard: Guard<M>) {
        self.locks[owner].0.unlock(cpu, guard);
    }

    fn pte(&self, owner: usize, page: usize) -> &M::Atomic<u64> {
        debug_assert!(page < self.pages);
        &self.ptes[owner * self.pages + page]
    }

    /// The entry of a page that is swapped out.
    pub fn get(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).load())
    }

    /// The owner's lock is held.
    pub fn set(&self, owner: usize, page: usize, entry: Option<SwpEntry>) {
        self.pte(owner, page).store(SwpEntry::to_pte(entry));
    }

    /// As `get`, outside the machine's accounting.
    pub fn peek(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).peek())
    }
}

/// try_to_unuse(): swaps in what the owners have on the device, then drops what
/// the swap cache holds, until nothing is in use.
pub(crate) fn try_to_unuse<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    owners: &Owners<M>,
    cpu: &M::Cpu,
    dev: usize,
) -> Result<(), SwapoffError> {
    M::enter("try_to_unuse");
    let mut passes = 0;
    while swap.inuse(dev) != 0 {
        if passes == owners.passes {
            return Err(SwapoffError::Interrupted);
        }
        if passes > 0 {
            // What the last pass left is in others' hands.
            cpu.cond_resched();
        }
        passes += 1;
        for owner in 0..owners.count() {
            unuse_owner(swap, owners, cpu, dev, owner)?;
        }
        M::enter("try_to_unuse");
        drop_cached(swap, cpu, dev);
    }
    // Pairs with smp_wmb() in swap_range_free(): clean-ups are seen before inuse == 0.
    M::mb();
    Ok(())
}

/// unuse_mm(): every page of the owner that is on the device.
fn unuse_owner<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    owners: &Owners<M>,
    cpu: &M::Cpu,
    dev: usize,
    owner: usize,
) -> Result<(), SwapoffError> {
    for page in 0..owners.pages() {
        M::enter("unuse_pte_range");
        let there = |entry: SwpEntry| entry.dev() == dev;
        while owners.get(owner, page).is_some_and(there) {
            match swap_in(swap, owners, cpu, owner, page, false) {
                // Swapped in, or the page went elsewhere.
                Ok(_) => (),
                Err(SwapInError::Busy) => cpu.cond_resched(),
                Err(SwapInError::NoDevice) => return Err(SwapoffError::NoMemory),
            }
        }
    }
    Ok(())
}

/// The swap cache's leftovers: slots without a user whose folio is still there.
fn drop_cached<M: Machine, A: SwapAllocator<M>>(swap: &A, cpu: &M::Cpu, dev: usize) {
    let mut from = 1;
    while swap.inuse(dev) != 0
        && let Some(offset) = swap.next_used(dev, from)
    {
        from = offset + 1;
        if let Some(folio) = swap.folios(dev).lock(offset, cpu) {
            crate::swap::free_swap_or_unlock(swap, cpu, dev, folio);
            from = folio.offset + folio.slots();
        }
    }
}
