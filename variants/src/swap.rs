//! Pages of owners, swapped out and in over any allocator: the workloads see this and no more.
//! Guards the rules of the rest of the kernel: a slot's folio is locked while it changes, and its
//! entry changes under the page-table lock. Follows add_to_swap(), try_to_unmap(), do_swap_page(),
//! zap_pte_range() and copy_nonpresent_pte() of 6.14 in what they do to slots.

use crate::allocator::{Leaves, Steps, SwapAllocator, SwapoffError};
use crate::cache::{LockedFolio, NoFolio};
use crate::entry::SwpEntry;
use crate::owners::{Owners, PTRS_PER_PTE};
use crate::spec::Spec;
use machine::{Cpu, Frame, Machine, Site, fault, vm_bug_on};

static UNMAP: Site = Site::new("ptl", "try_to_unmap_one");
static FAULT: Site = Site::new("ptl", "do_swap_page");
static ZAP: Site = Site::new("ptl", "zap_pte_range");
static FORK: Site = Site::new("ptl", "copy_pte_range");

/// Whether a folio stays in the swap cache once its page has gone out or come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folio {
    /// It stays, and its slots with it.
    Keep,
    /// It leaves: after a swap-out the memory is freed, after a swap-in the slot.
    Drop,
}

/// An allocator and the owners of its slots.
pub struct Swap<M: Machine, A: SwapAllocator<M>> {
    /// The allocator.
    pub alloc: A,
    /// The address spaces whose pages are swapped.
    pub owners: Owners<M>,
}

/// Why a page could not be swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapInError {
    /// get_swap_device() failed: swapoff is at work. The kernel would take the fault again.
    NoDevice,
    /// Another CPU has the folio locked, or is about to add or remove it.
    Busy,
}

impl<M: Machine, A: SwapAllocator<M>> Swap<M, A> {
    /// An allocator and owners of the shape `spec`; all devices are off.
    pub fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self { alloc: A::new(spec, cpu), owners: Owners::new(spec) }
    }

    /// Swaps 2^order pages of `owner` from `page` on out as one folio. False if there is no swap
    /// space. The pages must not be swapped out already. It is not inlined, so that every loop
    /// around it, the engine's and others, runs the same code; in the kernel it is a call as well.
    #[inline(never)]
    pub fn swap_out(
        &self,
        cpu: &M::Cpu,
        owner: usize,
        page: usize,
        order: usize,
        folio: Folio,
    ) -> bool {
        let _frame = Frame::<M>::entered("folio_alloc_swap");
        let Some(entry) = self.alloc.alloc(cpu, order) else { return false };
        vm_bug_on!(
            M,
            entry.offset() % (1 << order) != 0,
            "I18: a large folio's slots are not aligned"
        );
        M::enter("try_to_unmap_one");
        let locked = self.alloc.add_folio(cpu, entry, order);
        let neighbours = &self.alloc.base().neighbours;
        neighbours.page_out(cpu, entry, locked.slots());
        let ptl = self.owners.lock(cpu, owner, page, &UNMAP);
        for i in 0..locked.slots() {
            let each = entry.plus(i);
            assert!(self.alloc.dup(cpu, each), "a fresh slot takes a user");
            self.owners.set(owner, page + i as usize, Some(each));
        }
        self.owners.unlock(cpu, owner, page, ptl);
        match folio {
            Folio::Keep => self.alloc.keep_folio(cpu, entry.dev(), locked),
            Folio::Drop => {
                self.alloc.written(cpu, entry, locked.slots());
                neighbours.written(cpu, entry, locked.slots());
                self.alloc.remove_folio(cpu, entry.dev(), locked, Leaves::Reclaimed);
            }
        }
        true
    }

    /// Swaps one page in. False if the page is not swapped out, or if its device is going away.
    /// [`Folio::Drop`] keeps a folio of which another slot has a user.
    #[inline(never)]
    pub fn swap_in(&self, cpu: &M::Cpu, owner: usize, page: usize, folio: Folio) -> bool {
        loop {
            match swap_in(&self.alloc, &self.owners, cpu, owner, page, folio) {
                Ok(done) => return done,
                Err(SwapInError::NoDevice) => return false,
                Err(SwapInError::Busy) => cpu.cond_resched(),
            }
        }
    }

    /// swap_vma_readahead() and swap_cluster_readahead() for one slot: its page enters the swap cache. The
    /// fault that reads ahead holds a reference on its own device alone, which may be another one.
    pub fn read_ahead(&self, cpu: &M::Cpu, entry: SwpEntry) {
        let _frame = Frame::<M>::entered("__read_swap_cache_async");
        let pins = !fault!(M, "readahead-without-ref");
        if pins && !self.alloc.tryget_device(cpu, entry.dev()) {
            return;
        }
        if let Ok((folio, _)) = lock_folio(&self.alloc, cpu, entry) {
            self.alloc.folios(entry.dev()).unlock(folio);
        }
        if pins {
            self.alloc.put_device(cpu, entry.dev());
        }
    }

    /// Unmaps `nr` pages from `page` on (munmap, exit), one page table after the other. Consecutive
    /// entries are freed by one call. Returns how many of the pages were swapped out.
    pub fn zap(&self, cpu: &M::Cpu, owner: usize, page: usize, nr: usize) -> usize {
        let (mut at, end, mut zapped) = (page, page + nr, 0);
        while at < end {
            let table_end = end.min((at / PTRS_PER_PTE + 1) * PTRS_PER_PTE);
            zapped += self.zap_table(cpu, owner, at, table_end - at);
            at = table_end;
        }
        zapped
    }

    /// zap_pte_range(): the same within a page table.
    fn zap_table(&self, cpu: &M::Cpu, owner: usize, page: usize, nr: usize) -> usize {
        let ptl = self.owners.lock(cpu, owner, page, &ZAP);
        let (mut zapped, mut run) = (0, None::<(SwpEntry, u32)>);
        for at in page..page + nr {
            let Some(entry) = self.owners.get(owner, at) else { continue };
            self.owners.set(owner, at, None);
            zapped += 1;
            run = match run {
                Some((first, n)) if first.plus(n) == entry => Some((first, n + 1)),
                Some((first, n)) => {
                    self.alloc.put_and_reclaim(cpu, first, n);
                    Some((entry, 1))
                }
                None => Some((entry, 1)),
            };
        }
        if let Some((first, n)) = run {
            self.alloc.put_and_reclaim(cpu, first, n);
        }
        self.owners.unlock(cpu, owner, page, ptl);
        zapped
    }

    /// Copies `nr` page-table entries of `parent` from `page` on to the same pages of `child`,
    /// where none may be swapped out. The kernel nests both page-table locks; here they are taken
    /// one after the other, and the new user keeps the slot in between. Returns how many entries
    /// were copied: one whose count cannot grow is left out.
    pub fn fork(&self, cpu: &M::Cpu, parent: usize, child: usize, page: usize, nr: usize) -> usize {
        let mut copied = 0;
        for page in page..page + nr {
            let ptl = self.owners.lock(cpu, parent, page, &FORK);
            let entry = self.owners.get(parent, page).filter(|&e| self.alloc.dup(cpu, e));
            self.owners.unlock(cpu, parent, page, ptl);
            if entry.is_some() {
                let ptl = self.owners.lock(cpu, child, page, &FORK);
                self.owners.set(child, page, entry);
                self.owners.unlock(cpu, child, page, ptl);
                copied += 1;
            }
        }
        copied
    }

    /// The same for page tables that are copied a run of consecutive slots at a time, as proposed with
    /// swap entries at the PMD (2026): one call gives all slots of a run their user.
    pub fn fork_in_runs(
        &self,
        cpu: &M::Cpu,
        parent: usize,
        child: usize,
        page: usize,
        nr: usize,
    ) -> usize {
        let (mut at, end, mut copied) = (page, page + nr, 0);
        while at < end {
            let ptl = self.owners.lock(cpu, parent, at, &FORK);
            let run = self.run_at(parent, at, end);
            let taken = run.map_or(0, |(first, nr)| self.alloc.dup_run(cpu, first, nr));
            self.owners.unlock(cpu, parent, at, ptl);
            if let Some((first, _)) = run.filter(|_| taken > 0) {
                let ptl = self.owners.lock(cpu, child, at, &FORK);
                (0..taken)
                    .for_each(|i| self.owners.set(child, at + i as usize, Some(first.plus(i))));
                self.owners.unlock(cpu, child, at, ptl);
            }
            copied += taken as usize;
            at += run.map_or(1, |(_, nr)| nr as usize);
        }
        copied
    }

    /// The entry of `page` and how many pages from it on, before `end` and in the same page table, are at
    /// consecutive slots. `None` if the page is not swapped out.
    fn run_at(&self, owner: usize, page: usize, end: usize) -> Option<(SwpEntry, u32)> {
        let end = end.min((page / PTRS_PER_PTE + 1) * PTRS_PER_PTE);
        let first = self.owners.get(owner, page)?;
        let follows = |i: &u32| self.owners.get(owner, page + *i as usize) == Some(first.plus(*i));
        let more = (1..(end - page) as u32).take_while(follows).count() as u32;
        Some((first, 1 + more))
    }

    /// swap_cache_get_folio() of a page that is swapped out, as readahead does it: whether it has a folio.
    pub fn look_up(&self, cpu: &M::Cpu, owner: usize, page: usize) -> bool {
        let Some(entry) = self.owners.get(owner, page) else { return false };
        if !self.alloc.tryget_device(cpu, entry.dev()) {
            return false;
        }
        let found = self.alloc.look_up(cpu, entry).map(|folio| {
            self.alloc.folios(entry.dev()).unlock(folio);
        });
        self.alloc.put_device(cpu, entry.dev());
        !matches!(found, Err(NoFolio::Absent))
    }

    /// swapon(2); false if the device is on already.
    pub fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.alloc.swapon(cpu, dev)
    }

    /// swapoff(2), which swaps the owners' pages in. Returns how long each step took.
    ///
    /// # Errors
    /// As [`SwapAllocator::swapoff`].
    pub fn swapoff(&self, cpu: &M::Cpu, dev: usize) -> Result<Steps, SwapoffError> {
        self.alloc.swapoff(cpu, dev, &self.owners)
    }
}

/// do_swap_page() for one page: into the swap cache, out of the page table. Ok(false) if the page
/// is not swapped out, or no longer.
///
/// # Errors
/// As [`SwapInError`] says.
pub(crate) fn swap_in<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    owners: &Owners<M>,
    cpu: &M::Cpu,
    owner: usize,
    page: usize,
    folio: Folio,
) -> Result<bool, SwapInError> {
    let _frame = Frame::<M>::entered("do_swap_page");
    let Some(entry) = owners.get(owner, page) else { return Ok(false) };
    let dev = entry.dev();
    if !swap.tryget_device(cpu, dev) {
        cpu.note("swap-in: get_swap_device() fails", dev as u64);
        return Err(SwapInError::NoDevice);
    }
    let result = lock_folio(swap, cpu, entry).map(|(locked, leaves)| {
        let ptl = owners.lock(cpu, owner, page, &FAULT);
        let mine = owners.get(owner, page) == Some(entry);
        if mine {
            owners.set(owner, page, None);
            swap.put(cpu, entry, 1);
        }
        owners.unlock(cpu, owner, page, ptl);
        match folio {
            Folio::Keep => swap.keep_folio(cpu, dev, locked),
            Folio::Drop => free_swap_or_unlock(swap, cpu, dev, locked, leaves),
        }
        mine
    });
    swap.put_device(cpu, dev);
    result
}

/// swap_cache_get_folio(), or a new folio after swapcache_prepare(); locked, and how it will leave when
/// its slots have no user any more.
///
/// # Errors
/// [`SwapInError::Busy`] if another CPU has the folio locked, or has added it since.
fn lock_folio<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    cpu: &M::Cpu,
    entry: SwpEntry,
) -> Result<(LockedFolio, Leaves), SwapInError> {
    match swap.look_up(cpu, entry) {
        Ok(folio) => Ok((folio, Leaves::Unused)),
        Err(NoFolio::Busy(_)) => Err(SwapInError::Busy),
        Err(NoFolio::Absent) => {
            let page_in = || swap.base().neighbours.page_in(cpu, entry);
            let folio = swap.add_for_fault(cpu, entry, page_in).ok_or(SwapInError::Busy)?;
            Ok((folio, Leaves::Read))
        }
    }
}

/// folio_free_swap(): takes the folio out of the swap cache if none of its slots has a user.
/// Otherwise unlocks it.
pub(crate) fn free_swap_or_unlock<M: Machine, A: SwapAllocator<M>>(
    swap: &A,
    cpu: &M::Cpu,
    dev: usize,
    folio: LockedFolio,
    leaves: Leaves,
) {
    if swap.swapped(cpu, SwpEntry::new(dev, folio.offset), folio.slots()) {
        swap.folios(dev).unlock(folio);
    } else {
        swap.remove_folio(cpu, dev, folio, leaves);
    }
}
