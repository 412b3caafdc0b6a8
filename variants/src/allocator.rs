//! The contract: what may be asked of a variant, and the words it answers in. Names are the
//! kernel's. Guards that a workload, the checker and a test see nothing but this of a variant.

use crate::cache::{LockedFolio, NoFolio, SwapCache};
use crate::count::DupError;
use crate::device::{Base, Device, Stats};
use crate::entry::SwpEntry;
use crate::owners::Owners;
use crate::spec::Spec;
use crate::swap_map::HAS_CACHE;
use machine::{Atomic, Machine, Site};

/// Where a slot's byte is guarded: a place that takes ci->lock, or si->lock in a
/// scheme without cluster locks.
pub struct EntrySite {
    /// The place, in schemes whose ci->lock guards the byte.
    pub ci: Site,
    /// The place, in schemes whose si->lock guards the byte.
    pub si: Site,
}

impl EntrySite {
    /// Both sites of the kernel function `caller`.
    pub const fn new(caller: &'static str) -> Self {
        Self { ci: Site::new("ci->lock", caller), si: Site::new("si->lock", caller) }
    }
}

static DUP: EntrySite = EntrySite::new("__swap_duplicate");
static SWAPPED: EntrySite = EntrySite::new("folio_swapped");

/// A swap allocator: what mm/swapfile.c offers the rest of the kernel.
///
/// A slot's byte counts its users (page-table entries) and carries SWAP_HAS_CACHE
/// while a folio or a slot cache holds it. `alloc` returns a slot that has SWAP_HAS_CACHE
/// and no user; the slot is free again when it has neither.
pub trait SwapAllocator<M: Machine>: Send + Sync + Sized + 'static {
    /// Whether an allocation keeps to its task's mask ([`crate::tiers`]). Slots of a slot cache are on any
    /// device.
    const MASKS: bool = false;

    /// An allocator whose devices are all off.
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self;

    /// Its devices, and the list of those with free slots.
    fn base(&self) -> &Base<M>;

    /// swapon(2); false if the device is on already.
    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool;

    /// swapoff(2): swaps everything in that `owners` have there. Returns how long each step took.
    ///
    /// # Errors
    /// [`SwapoffError::NotOn`] (EINVAL) if the device is off or another swapoff has begun;
    /// [`SwapoffError::Pinned`] (EBUSY) if hibernation needs it;
    /// [`SwapoffError::NoMemory`] (ENOMEM) if an entry cannot be swapped in;
    /// [`SwapoffError::Interrupted`] (EINTR) after [`Spec::unuse_passes`] passes. After the last
    /// two the device is on as before.
    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError>;

    /// folio_alloc_swap(): 2^order aligned slots, the byte of each SWAP_HAS_CACHE. `None` if no
    /// device has them.
    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry>;

    /// swap_free_nr(): takes one user off each of `nr` slots. The caller pins the device.
    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32);

    /// free_swap_and_cache_nr(): as `put`, and slots that only the swap cache holds
    /// are reclaimed. Does nothing and returns false if the device is gone.
    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool;

    /// put_swap_folio(): drops SWAP_HAS_CACHE from all 2^order slots of a folio.
    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize);

    /// Runs `action` under the lock that guards the slot's byte, which is taken at `site`.
    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T;

    /// add_swap_count_continuation(): room for more than 62 users.
    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry);

    /// Checks the invariants that hold at rest, when no CPU is inside the allocator.
    ///
    /// # Errors
    /// The first broken one, in words; I1 .. I12 are those of docs/catalogue.md.
    fn validate(&self) -> Result<(), String>;

    /// Runs what `dev` has queued to kernel workers: discards, reclaim of full clusters.
    fn run_work_of(&self, _cpu: &M::Cpu, _dev: &Device<M>) {}

    /// Runs what all devices have queued to kernel workers.
    fn run_work(&self, cpu: &M::Cpu) {
        for dev in &self.base().devices {
            self.run_work_of(cpu, dev);
        }
    }

    /// swap_duplicate(): one more user; false if the slot is free or its count cannot
    /// grow any more.
    fn dup(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        loop {
            match self.dup_once(cpu, entry) {
                Err(DupError::NeedsPage) => self.add_continuation(cpu, entry),
                result => return result.is_ok(),
            }
        }
    }

    /// __swap_duplicate(): one more user, if its count has room.
    ///
    /// # Errors
    /// As [`DupError`] says.
    fn dup_once(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<(), DupError> {
        in_map::dup(self, cpu, entry)
    }

    /// One more user of each of `nr` slots that follow each other; returns how many slots, from the first
    /// on, took it. A call per slot where the scheme has no such call.
    fn dup_run(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> u32 {
        in_map::dup_run(self, cpu, entry, nr)
    }

    /// swapcache_prepare(): sets SWAP_HAS_CACHE on a used slot; false if set or unused.
    fn prepare_cache(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        self.with_entry(cpu, entry, &DUP, |dev| dev.cache_locked(entry.offset()))
    }

    /// folio_swapped(): whether any of `nr` slots of one cluster has a user.
    fn swapped(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        in_map::swapped(self, cpu, entry, nr)
    }

    /// A fresh folio, locked, enters the swap cache at the slots that `alloc` returned for it.
    fn add_folio(&self, _cpu: &M::Cpu, entry: SwpEntry, order: usize) -> LockedFolio {
        self.folios(entry.dev()).add(entry.offset(), order)
    }

    /// The page of a locked folio is written to its slots.
    fn written(&self, _cpu: &M::Cpu, _entry: SwpEntry, _nr: u32) {}

    /// swap_cache_get_folio(), locked.
    ///
    /// # Errors
    /// As [`NoFolio`] says.
    fn look_up(&self, _cpu: &M::Cpu, entry: SwpEntry) -> Result<LockedFolio, NoFolio> {
        self.folios(entry.dev()).trylock(entry.offset())
    }

    /// A fresh folio, locked, for a slot that has users; `None` if it has none, or a folio already.
    /// `page_in` is what it takes to read the page.
    fn add_for_fault(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        page_in: impl FnOnce(),
    ) -> Option<LockedFolio> {
        let add = || self.folios(entry.dev()).add(entry.offset(), 0);
        in_map::add_for_fault(self, cpu, entry, page_in, add)
    }

    /// A locked folio leaves the swap cache.
    fn remove_folio(&self, cpu: &M::Cpu, dev: usize, folio: LockedFolio, _why: Leaves) {
        self.folios(dev).remove(folio);
        self.put_folio(cpu, SwpEntry::new(dev, folio.offset), folio.order);
    }

    /// pin_hibernation_swap_type(): until it is unpinned, swapoff returns EBUSY. False if the device is not
    /// on, or where hibernation is not modelled.
    fn pin_for_hibernation(&self, _cpu: &M::Cpu, _dev: usize) -> bool {
        false
    }

    /// unpin_hibernation_swap_type().
    fn unpin_for_hibernation(&self, _cpu: &M::Cpu, _dev: usize) {}

    /// swap_alloc_hibernation_slot(): a slot with one user and no folio, for the image, on the system's only
    /// device. `None` where hibernation is not modelled, too.
    fn alloc_hibernation_slot(&self, _cpu: &M::Cpu, _dev: usize) -> Option<SwpEntry> {
        None
    }

    /// swap_free_hibernation_slot(): frees a slot that `alloc_hibernation_slot` returned.
    fn free_hibernation_slot(&self, _cpu: &M::Cpu, _entry: SwpEntry) {}

    /// A locked folio stays in the swap cache.
    fn keep_folio(&self, _cpu: &M::Cpu, dev: usize, folio: LockedFolio) {
        self.folios(dev).unlock(folio);
    }

    /// get_swap_device(): pins the device; false once it is going away.
    fn tryget_device(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.base().devices[dev].users.tryget_live(cpu)
    }

    /// put_swap_device(): undoes a `tryget_device` that returned true.
    fn put_device(&self, cpu: &M::Cpu, dev: usize) {
        self.base().devices[dev].users.put(cpu);
    }

    /// The device's part of the swap cache.
    fn folios(&self, dev: usize) -> &SwapCache<M> {
        &self.base().devices[dev].folios
    }

    /// si->inuse_pages, in slots, without a lock, as try_to_unuse() reads it.
    fn inuse(&self, dev: usize) -> u64 {
        self.base().devices[dev].si().inuse_pages.load()
    }

    /// find_next_to_unuse(): the first slot in use from `from` on.
    fn next_used(&self, dev: usize, from: u32) -> Option<u32> {
        self.base().devices[dev].next_used(from)
    }

    /// Number of users of a slot, and whether it has SWAP_HAS_CACHE; exact at rest.
    fn usage(&self, entry: SwpEntry) -> (u32, bool) {
        self.base().devices[entry.dev()].usage(entry.offset())
    }

    /// What the device looks like; exact at rest.
    fn stats(&self, dev: usize) -> Stats {
        self.base().devices[dev].stats()
    }

    /// get_nr_swap_pages(), in slots; exact at rest.
    fn nr_swap_pages(&self) -> i64 {
        self.base().avail.peek_pages()
    }
}

/// What [`SwapAllocator`]'s methods do where swap_map is the record, for those that have both.
pub(crate) mod in_map {
    use super::*;

    pub fn dup<M: Machine>(
        swap: &impl SwapAllocator<M>,
        cpu: &M::Cpu,
        entry: SwpEntry,
    ) -> Result<(), DupError> {
        swap.with_entry(cpu, entry, &DUP, |dev| dev.dup_locked(cpu, entry.offset()))
    }

    pub fn dup_run<M: Machine>(
        swap: &impl SwapAllocator<M>,
        cpu: &M::Cpu,
        entry: SwpEntry,
        nr: u32,
    ) -> u32 {
        (0..nr).take_while(|i| swap.dup(cpu, entry.plus(*i))).count() as u32
    }

    pub fn swapped<M: Machine>(
        swap: &impl SwapAllocator<M>,
        cpu: &M::Cpu,
        entry: SwpEntry,
        nr: u32,
    ) -> bool {
        let used = |dev: &Device<M>| !dev.all(entry.offset(), nr, HAS_CACHE);
        swap.with_entry(cpu, entry, &SWAPPED, used)
    }

    pub fn add_for_fault<M: Machine>(
        swap: &impl SwapAllocator<M>,
        cpu: &M::Cpu,
        entry: SwpEntry,
        page_in: impl FnOnce(),
        add: impl FnOnce() -> LockedFolio,
    ) -> Option<LockedFolio> {
        swap.prepare_cache(cpu, entry).then(page_in).map(|()| add())
    }
}

/// Why a folio leaves the swap cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Its page was written, and its memory is reclaimed: __remove_mapping().
    Reclaimed,
    /// Its slots have no user any more: delete_from_swap_cache().
    Unused,
    /// The same, after the fault that has read its page.
    Read,
}

/// How long each step of one swapoff took, in nanoseconds of the machine's clock; `None` for
/// a step that the scheme does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// The device leaves the avail list and SWP_WRITEOK is cleared.
    pub block: u64,
    /// wait_for_allocation(): no allocation is under way any more (6.14 on).
    pub barrier: Option<u64>,
    /// The slot caches are emptied (until 6.14).
    pub drain: Option<u64>,
    /// try_to_unuse().
    pub unuse: u64,
    /// synchronize_rcu() after percpu_ref_kill(). Here it is membarrier(2) or its
    /// model, as the step's name says: the kernel's grace period takes milliseconds.
    pub grace: u64,
    /// Waiting for the last reference.
    pub users: u64,
    /// flush_work(), and the flush of per-CPU clusters (6.15 on).
    pub flush: u64,
    /// The one-jiffy poll until no CPU is SCANNING (until 6.13).
    pub scanning: Option<u64>,
    /// The arrays are given up.
    pub free: u64,
}

impl Steps {
    /// (name, nanoseconds) of the steps that the scheme has, in the order they happen.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("block", Some(self.block)),
            ("barrier", self.barrier),
            ("drain", self.drain),
            ("unuse", Some(self.unuse)),
            ("membarrier for RCU", Some(self.grace)),
            ("users", Some(self.users)),
            ("flush", Some(self.flush)),
            ("scanning", self.scanning),
            ("free", Some(self.free)),
        ];
        all.into_iter().filter_map(|(name, ns)| Some((name, ns?)))
    }

    /// All steps together, in nanoseconds.
    pub fn total(&self) -> u64 {
        self.rows().map(|(_, ns)| ns).sum()
    }
}

/// Why a device is not off after swapoff(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapoffError {
    /// EINVAL.
    #[error("the device is not on")]
    NotOn,
    /// EBUSY: hibernation has its image on the device.
    #[error("hibernation holds the device")]
    Pinned,
    /// ENOMEM: unuse met an entry that it could not swap in.
    #[error("unuse could not swap an entry in")]
    NoMemory,
    /// EINTR.
    #[error("unuse was interrupted")]
    Interrupted,
}
