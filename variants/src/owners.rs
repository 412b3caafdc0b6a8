//! The users of slots: address spaces ("owners"), each with a page table and its lock. Guards
//! page-table entries: one is written only under the lock of its owner.

use crate::entry::SwpEntry;
use crate::spec::Spec;
use machine::{Atomic, Fields, Guard, Machine, Region, Site, SpinLock};

/// The page tables of all owners.
pub struct Owners<M: Machine> {
    locks: Region<M, Ptl<M>>,
    ptes: Region<M, M::Atomic<u64>>,
    /// Pages per owner.
    pages: usize,
    /// Passes of try_to_unuse() before a signal ends it.
    pub(crate) passes: u32,
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
        Self {
            locks: Region::new("ptl", spec.owners, |_| Ptl(SpinLock::new())),
            ptes: Region::named("pte", slots, Vec::new(), |_| M::Atomic::new(0)),
            pages: spec.pages_per_owner,
            passes: spec.unuse_passes,
        }
    }

    /// How many owners there are.
    pub fn count(&self) -> usize {
        self.locks.len()
    }

    /// Pages per owner.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Takes the page-table lock of `owner`.
    pub fn lock(&self, cpu: &M::Cpu, owner: usize, site: &'static Site) -> Guard<M> {
        self.locks[owner].0.lock(cpu, site)
    }

    /// Drops the page-table lock of `owner`.
    pub fn unlock(&self, cpu: &M::Cpu, owner: usize, guard: Guard<M>) {
        self.locks[owner].0.unlock(cpu, guard);
    }

    fn pte(&self, owner: usize, page: usize) -> &M::Atomic<u64> {
        debug_assert!(page < self.pages);
        &self.ptes[owner * self.pages + page]
    }

    /// The entry of a page, if it is swapped out.
    pub fn get(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).load())
    }

    /// Sets the entry of a page. The owner's lock is held.
    pub fn set(&self, owner: usize, page: usize, entry: Option<SwpEntry>) {
        self.pte(owner, page).store(SwpEntry::to_pte(entry));
    }

    /// As [`Owners::get`], outside the machine's accounting.
    pub fn peek(&self, owner: usize, page: usize) -> Option<SwpEntry> {
        SwpEntry::from_pte(self.pte(owner, page).peek())
    }
}
