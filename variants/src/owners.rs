//! The users of slots: address spaces ("owners") with their page tables. A page table maps
//! [`PTRS_PER_PTE`] pages and has a lock of its own (CONFIG_SPLIT_PTE_PTLOCKS). Guards page-table
//! entries: one is written only under the lock of its page table.

use crate::entry::SwpEntry;
use crate::spec::Spec;
use machine::{Atomic, Fields, Guard, Machine, Region, Site, SpinLock};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Entries of a page table on x86-64: 2 MiB of an address space.
pub const PTRS_PER_PTE: usize = 512;

/// The page tables of all owners.
pub struct Owners<M: Machine> {
    /// Those of an owner follow one another.
    locks: Region<M, Ptl<M>>,
    /// Page tables per owner.
    tables: usize,
    owners: usize,
    ptes: Region<M, M::Atomic<u64>>,
    /// Pages per owner.
    pages: usize,
    /// Passes of try_to_unuse() before a signal ends it.
    pub(crate) passes: u32,
    /// What the next unuse meets; no memory of the modelled machine.
    meets: AtomicU8,
}

/// What ends an unuse early, if it meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UnuseMeets {
    /// Nothing.
    Nothing,
    /// A signal, before its first pass.
    Signal,
    /// No memory for a page of any owner but the first.
    NoMemory,
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
    /// The owners of `spec`, none of whose pages is swapped out.
    pub fn new(spec: &Spec) -> Self {
        let slots = spec.owners * spec.pages_per_owner;
        let tables = spec.pages_per_owner.div_ceil(PTRS_PER_PTE);
        Self {
            locks: Region::new("ptl", spec.owners * tables, |_| Ptl(SpinLock::new())),
            tables,
            owners: spec.owners,
            ptes: Region::named("pte", slots, Vec::new(), |_| M::Atomic::new(0)),
            pages: spec.pages_per_owner,
            passes: spec.unuse_passes,
            meets: AtomicU8::new(UnuseMeets::Nothing as u8),
        }
    }

    /// For checkers: what every unuse meets from now on.
    pub fn let_unuse_meet(&self, what: UnuseMeets) {
        self.meets.store(what as u8, Relaxed);
    }

    /// Whether an unuse meets it now.
    pub(crate) fn unuse_meets(&self, what: UnuseMeets) -> bool {
        M::EXPLORED && self.meets.load(Relaxed) == what as u8
    }

    /// How many owners there are.
    pub fn count(&self) -> usize {
        self.owners
    }

    /// Pages per owner.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// pte_offset_map_lock(): takes the lock of the page table that maps `page` of `owner`.
    // Without the hint it is a call where lock sites are accounted and none where they are not, which
    // costs more than the accounts do.
    #[inline]
    pub fn lock(&self, cpu: &M::Cpu, owner: usize, page: usize, site: &'static Site) -> Guard<M> {
        self.table(owner, page).lock(cpu, site)
    }

    /// Drops the lock of the page table that maps `page` of `owner`.
    pub fn unlock(&self, cpu: &M::Cpu, owner: usize, page: usize, guard: Guard<M>) {
        self.table(owner, page).unlock(cpu, guard);
    }

    fn table(&self, owner: usize, page: usize) -> &SpinLock<M> {
        &self.locks[owner * self.tables + page / PTRS_PER_PTE].0
    }

    fn pte(&self, owner: usize, page: usize) -> &M::Atomic<u64> {
        debug_assert!(page < self.pages);
        &self.ptes[owner * self.pages + page]
    }

    /// The entry of a page, if it is swapped out.
    pub fn get(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).load())
    }

    /// Sets the entry of a page. The lock of its page table is held.
    pub fn set(&self, owner: usize, page: usize, entry: Option<SwpEntry>) {
        self.pte(owner, page).store(SwpEntry::to_pte(entry));
    }

    /// As [`Owners::get`], outside the machine's accounting.
    pub fn peek(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).peek())
    }
}
