//! try_to_unuse(): swaps everything in that is on a device. Guards what swapoff relies on: unuse
//! ends on a lock-free read of inuse_pages and takes no ci->lock of its own accord, so it is no
//! barrier against allocations. Kernel: mm/swapfile.c of 6.14, functions as named.

use crate::allocator::{Leaves, SwapAllocator, SwapoffError};
use crate::entry::SwpEntry;
use crate::owners::{Owners, UnuseMeets};
use crate::swap::{Folio, SwapInError, free_swap_or_unlock, swap_in};
use crate::swap_map::HAS_CACHE;
use machine::{Cpu, Frame, Machine, fault};

/// try_to_unuse(): swaps in what the owners have on the device, then drops what
/// the swap cache holds, until nothing is in use.
///
/// # Errors
/// [`SwapoffError::NoMemory`] if an entry cannot be swapped in, [`SwapoffError::Interrupted`] after
/// the passes of [`crate::Spec::unuse_passes`].
pub(crate) fn try_to_unuse<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    owners: &Owners<M>,
    cpu: &M::Cpu,
    dev: usize,
) -> Result<(), SwapoffError> {
    until_unused(swap, owners, cpu, dev, || {
        for owner in 0..owners.count() {
            unuse_owner(swap, owners, cpu, dev, owner)?;
        }
        M::enter("try_to_unuse");
        drop_cached(swap, cpu, dev);
        Ok(())
    })
}

/// Goes through `pass` until nothing on the device is in use.
///
/// # Errors
/// That of `pass`; [`SwapoffError::Interrupted`] after the passes of [`crate::Spec::unuse_passes`].
pub(crate) fn until_unused<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    owners: &Owners<M>,
    cpu: &M::Cpu,
    dev: usize,
    pass: impl Fn() -> Result<(), SwapoffError>,
) -> Result<(), SwapoffError> {
    let _frame = Frame::<M>::entered("try_to_unuse");
    let mut passes = 0;
    while swap.inuse(dev) != 0 {
        if passes == owners.passes || owners.unuse_meets(UnuseMeets::Signal) {
            return Err(SwapoffError::Interrupted);
        }
        if passes > 0 {
            // The slots that the last pass left are held by other CPUs.
            cpu.cond_resched();
        }
        passes += 1;
        pass()?;
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
        let _frame = Frame::<M>::entered("unuse_pte_range");
        let there = |entry: &SwpEntry| entry.dev() == dev;
        while let Some(entry) = owners.get(owner, page).filter(there) {
            if owner > 0 && owners.unuse_meets(UnuseMeets::NoMemory) {
                return Err(SwapoffError::NoMemory);
            }
            match swap_in(swap, owners, cpu, owner, page, Folio::Drop) {
                // It is swapped in, or another CPU has moved the page elsewhere.
                Ok(_) => swap.base().neighbours.spend_owed(cpu),
                Err(SwapInError::Busy)
                    if fault!(M, "unuse-gives-up") && is_leaving(swap, entry) =>
                {
                    return Err(SwapoffError::NoMemory);
                }
                Err(SwapInError::Busy) => cpu.cond_resched(),
                Err(SwapInError::NoDevice) => return Err(SwapoffError::NoMemory),
            }
        }
    }
    Ok(())
}

/// Whether another CPU has brought the slot's page in and is about to free the slot: nobody uses it, its
/// folio is gone, and SWAP_HAS_CACHE is still there.
fn is_leaving<M: Machine, A: SwapAllocator<M>>(swap: &A, entry: SwpEntry) -> bool {
    let (dev, offset) = (&swap.base().devices[entry.dev()], entry.offset());
    swap.folios(entry.dev()).is_absent(offset) && dev.all(offset, 1, HAS_CACHE)
}

/// Frees what the swap cache still holds: slots without a user whose folio is there.
fn drop_cached<M: Machine, A: SwapAllocator<M>>(swap: &A, cpu: &M::Cpu, dev: usize) {
    let mut from = 1;
    while swap.inuse(dev) != 0
        && let Some(offset) = swap.next_used(dev, from)
    {
        from = offset + 1;
        let early =
            fault!(M, "unlocked-count") && !swap.swapped(cpu, SwpEntry::new(dev, offset), 1);
        if let Some(folio) = swap.folios(dev).lock(offset, cpu) {
            if early {
                swap.remove_folio(cpu, dev, folio, Leaves::Unused);
            } else {
                free_swap_or_unlock(swap, cpu, dev, folio, Leaves::Unused);
            }
            from = folio.offset + folio.slots();
        }
    }
}
