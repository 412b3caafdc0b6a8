//! What the swap table changes below a scheme (7.0 on): one word per slot is the only record, in a table
//! per cluster (table_life.rs); a locked folio owns its slots from the allocation on; counts beyond 14 are
//! in a second table. Guards that a record changes under its ci->lock alone, and that a look-up without it
//! finds the slot's own folio (I15). Kernel: mm/swapfile.c, mm/swap_state.c and mm/memcontrol.c of 7.3,
//! functions as named.
//!
//! Simplified: an entry's state is a byte of its eight, with swap_map's names for the same states (cached
//! is SWAP_HAS_CACHE, a shadow is a count without it).

use crate::allocator::Leaves;
use crate::cache::{LockedFolio, NoFolio};
use crate::cluster::{CiFirst, Policy};
use crate::count::{DupError, may_cache};
use crate::device::Device;
use crate::entry::SwpEntry;
use crate::folio_struct::NO_PFN;
use crate::swap_map::{BAD, COUNT_CONTINUED, HAS_CACHE};
use machine::{Atomic, Cpu, Machine, Plain, Region, fault, vm_bug_on};
use std::ops::Range;
use std::sync::OnceLock;

/// Which sections of ci->lock a release has for what was elsewhere before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections {
    /// The cgroup's id of each slot is written after the allocation (7.2).
    pub memcg: bool,
    /// The zero flag is set or cleared when the page is written (7.2).
    pub zero_flag: bool,
    /// folio_swapped() takes ci->lock, and swap_writeout() asks it too; a folio's memory is there before it
    /// is looked whether its slot wants one (until 7.1).
    pub counts_locked: bool,
}

impl Sections {
    /// 7.0 and 7.1.
    pub const EARLY: Self = Self { memcg: false, zero_flag: false, counts_locked: true };
    /// 7.2 and 7.3.
    pub const LATE: Self = Self { memcg: true, zero_flag: true, counts_locked: false };
}

/// The largest count that an entry holds by itself: 14 (7.2, x86-64), or 2 where a checker has to get
/// beyond it.
const fn count_max<M: Machine>() -> u8 {
    if M::EXPLORED { 2 } else { 14 }
}

/// The cgroup of a CPU's task: every task is in one of its own.
pub(crate) fn cgroup_of<M: Machine>(cpu: &M::Cpu) -> u8 {
    1 + (cpu.id() % 255) as u8
}

mod site {
    use machine::Site;
    pub static CHARGE: Site = Site::new("ci->lock", "__mem_cgroup_try_charge_swap");
    pub static ZERO: Site = Site::new("ci->lock", "swap_writeout");
    pub static DUP: Site = Site::new("ci->lock", "swap_dup_entries_cluster");
    pub static EXTEND: Site = Site::new("ci->lock", "swap_extend_table_alloc");
    pub static REMOVE: Site = Site::irqs_off("ci->lock", "__remove_mapping");
    pub static DELETE: Site = Site::new("ci->lock", "swap_cache_del_folio");
    pub static PUT: Site = Site::new("ci->lock", "swap_put_entries_cluster");
    pub static CACHE: Site = Site::new("ci->lock", "__swap_cache_alloc");
    pub static CACHE_EARLY: Site = Site::new("ci->lock", "__swap_cache_prepare_and_add");
}

/// The counts of a cluster's slots beyond what their entries hold.
pub(crate) struct Extended<M: Machine> {
    /// By cluster; memory that was there once is kept.
    counts: Vec<OnceLock<Region<M, M::Atomic<u32>>>>,
    cluster_slots: usize,
}

impl<M: Machine> Extended<M> {
    pub(crate) fn new(clusters: usize, cluster_slots: usize) -> Self {
        let counts = (0..clusters).map(|_| OnceLock::new()).collect();
        Self { counts, cluster_slots }
    }

    fn of(&self, cluster: usize) -> &Region<M, M::Atomic<u32>> {
        let none = |_| M::Atomic::new(0);
        let table = || Region::named("extend_table", self.cluster_slots, Vec::new(), none);
        self.counts[cluster].get_or_init(table)
    }

    /// Users of a slot whose entry says to look here, at rest.
    pub(crate) fn peek(&self, cluster: usize, slot: usize) -> u32 {
        self.counts[cluster].get().map_or(0, |counts| counts[slot].peek())
    }
}

impl<M: Machine> Device<M> {
    /// The slot's count beyond its entry. ci->lock is held.
    fn extended(&self, offset: u32) -> &M::Atomic<u32> {
        let index = self.cluster_of(offset);
        &self.extends.of(index)[(offset - self.start_of(index)) as usize]
    }

    /// The slot's entry. ci->lock is held, and the table is there, since the slot is in use.
    fn entry(&self, offset: u32) -> &M::Atomic<u8> {
        let absent = || self.peek_table(self.cluster_of(offset)) == Some(false);
        vm_bug_on!(M, absent(), "I13: a slot in use has no table");
        self.byte(offset)
    }

    /// __swap_duplicate() for one more user. ci->lock is held.
    ///
    /// # Errors
    /// As [`DupError`] says.
    pub(crate) fn dup_in_table(&self, offset: u32) -> Result<(), DupError> {
        let entry = self.entry(offset);
        let was = entry.load();
        match was & !HAS_CACHE {
            BAD => return Err(DupError::Unused),
            0 if was == 0 => return Err(DupError::Unused),
            COUNT_CONTINUED => {
                let count = self.extended(offset);
                count.store(count.load() + 1);
            }
            count if count == count_max::<M>() => {
                if self.clusters().tabled(self.cluster_of(offset)).extend.get() == 0 {
                    return Err(DupError::NeedsPage);
                }
                self.extended(offset).store(u32::from(count) + 1);
                entry.store(was & HAS_CACHE | COUNT_CONTINUED);
            }
            _ => entry.store(was + 1),
        }
        Ok(())
    }

    /// One more user of each slot of a range, by `dup`: a `section` per cluster, and one more after each
    /// `extend`, which waits for memory. Returns how many slots, from the first on, took it.
    pub(crate) fn dup_by_cluster(
        &self,
        range: Range<u32>,
        dup: impl Fn(&Self, u32) -> Result<(), DupError>,
        section: impl Fn(u32, &mut dyn FnMut(&Self) -> Result<(), DupError>) -> Result<(), DupError>,
        extend: impl Fn(u32),
    ) -> u32 {
        let mut next = range.start;
        while next < range.end {
            let (from, end) = (next, range.end.min(self.start_of(self.cluster_of(next) + 1)));
            let mut all = |dev: &Self| {
                (from..end).try_for_each(|slot| dup(dev, slot).inspect(|()| next += 1))
            };
            match section(from, &mut all) {
                Ok(()) => {}
                Err(DupError::NeedsPage) => extend(next),
                Err(_) => break,
            }
        }
        next - range.start
    }

    /// swap_extend_table_alloc(), after the allocation: attaches the table if it is wanted still. ci->lock
    /// is held.
    pub(crate) fn attach_extend(&self, offset: u32) {
        let index = self.cluster_of(offset);
        let (extend, count) =
            (&self.clusters().tabled(index).extend, self.byte(offset).load() & !HAS_CACHE);
        if fault!(M, "extend-not-rechecked") {
            // A fresh table, in the place of one that another CPU may have attached meanwhile.
            self.extends.of(index).iter().for_each(|count| count.store(0));
        } else if extend.get() != 0 || count != count_max::<M>() {
            return;
        }
        self.extends.of(index);
        extend.set(1);
    }

    /// One user less: the state that is left. ci->lock is held. Panics if the slot has no user.
    pub(crate) fn put_in_table(&self, offset: u32) -> u8 {
        let entry = self.entry(offset);
        let was = entry.load();
        assert!(was & !HAS_CACHE != 0 && was & !HAS_CACHE != BAD, "swap_free of an unused slot");
        let count = match was & !HAS_CACHE {
            COUNT_CONTINUED => {
                let counted = self.extended(offset).load();
                vm_bug_on!(M, counted == 0, "extend_table has lost the count of a slot");
                let left = counted - 1;
                if left > u32::from(count_max::<M>()) {
                    self.extended(offset).store(left);
                    return was;
                }
                self.extended(offset).store(0);
                self.try_free_extend(self.cluster_of(offset));
                count_max::<M>()
            }
            count => count - 1,
        };
        self.park(offset, count | was & HAS_CACHE)
    }

    /// swap_extend_table_try_free(): a look at every count of the cluster.
    fn try_free_extend(&self, index: usize) {
        let counts = self.extends.of(index);
        if counts.iter().all(|count| count.load() == 0) {
            self.clusters().tabled(index).extend.set(0);
        }
    }

    /// swap_put_entries_cluster(): takes a user off each slot of a range. `free` gets those that nobody
    /// holds any more, in runs, and `cached` those that the swap cache alone holds. ci->lock is held.
    pub(crate) fn put_run(
        &self,
        range: Range<u32>,
        mut free: impl FnMut(u32, u32),
        mut cached: impl FnMut(u32),
    ) {
        let mut first = range.start;
        for slot in range.clone() {
            match self.put_in_table(slot) {
                0 => continue,
                HAS_CACHE => cached(slot),
                _ => (),
            }
            if first < slot {
                free(first, slot - first);
            }
            first = slot + 1;
        }
        if first < range.end {
            free(first, range.end - first);
        }
    }
}

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// swap_dup_entries_cluster() for one slot.
    ///
    /// # Errors
    /// As [`DupError`] says.
    pub(crate) fn dup_in_table(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<(), DupError> {
        self.section(cpu, entry, &site::DUP, |dev| dev.dup_in_table(entry.offset()))
    }

    /// swap_dup_entries_cluster(), of `nr` slots. Returns how many took a user.
    pub(crate) fn dup_run_in_table(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> u32 {
        let at = |offset| SwpEntry::new(entry.dev(), offset);
        self.dev(entry).dup_by_cluster(
            entry.offset()..entry.offset() + nr,
            Device::dup_in_table,
            |offset, dup| self.section(cpu, at(offset), &site::DUP, dup),
            |offset| self.extend(cpu, at(offset)),
        )
    }

    /// __mem_cgroup_try_charge_swap(): the slots' cgroup.
    pub(crate) fn record_cgroup(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let id = cgroup_of::<M>(cpu);
        self.section(cpu, entry, &site::CHARGE, |dev| dev.set_cgroup(entry.offset(), nr, id));
    }

    /// swap_writeout(): whether the page is all zeroes.
    pub(crate) fn set_zero_flag(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        self.section(cpu, entry, &site::ZERO, |dev| {
            for offset in entry.offset()..entry.offset() + nr {
                let record = dev.byte(offset);
                record.store(record.load());
            }
        });
    }

    /// __remove_mapping(), with interrupts off in the kernel, and swap_cache_del_folio(): the locked folio
    /// leaves, and its slots without a user are free.
    pub(crate) fn remove_from_table(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        folio: LockedFolio,
        why: Leaves,
    ) {
        let entry = SwpEntry::new(dev.index, folio.offset);
        let (offset, nr) = (folio.offset, folio.slots());
        let site = if why == Leaves::Reclaimed { &site::REMOVE } else { &site::DELETE };
        self.section(cpu, entry, site, |dev| {
            let used = || why != Leaves::Reclaimed && !dev.all(offset, nr, HAS_CACHE);
            vm_bug_on!(M, used(), "the folio of a slot with a user is dropped unwritten");
            dev.free_folio(cpu, folio);
            dev.leave_shadow(offset, nr);
            self.uncache(cpu, dev, offset, nr);
        });
    }

    /// __swap_cache_alloc(): a fresh folio for a slot that has users and no folio. Two sections: a look
    /// before its memory is allocated (7.2), and the entry. `page_in` follows.
    pub(crate) fn add_to_table(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        page_in: impl FnOnce(),
    ) -> Option<LockedFolio> {
        let offset = entry.offset();
        let early = fault!(M, "charge-before-cache").then(|| self.dev(entry).cgroup(offset));
        let look = |dev: &Device<M>| may_cache(dev.byte(offset).load());
        let site = match P::RELEASE.table {
            Some(Sections { counts_locked: true, .. }) => &site::CACHE_EARLY,
            _ if !self.section(cpu, entry, &site::CACHE, look) => return None,
            _ => &site::CACHE,
        };
        let folio = self.section(cpu, entry, site, |dev| {
            if !dev.cache_locked(offset) {
                return None;
            }
            let wrong = || early.is_some_and(|charged| charged != dev.cgroup(offset));
            vm_bug_on!(M, wrong(), "a page is charged to another cgroup than that of its slot");
            Some(dev.cache_folio(cpu, offset, 0))
        });
        folio.inspect(|_| page_in())
    }

    /// swap_cache_get_folio(), locked. The entry is read again: the folio may have left the slot since.
    ///
    /// # Errors
    /// As [`NoFolio`] says.
    pub(crate) fn look_up(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<LockedFolio, NoFolio> {
        let (dev, offset) = (self.dev(entry), entry.offset());
        cpu.system().rcu.read(cpu, || {
            let index = dev.cluster_of(offset);
            let table = &dev.clusters().tabled(index).table;
            let pfn = || match table.load_acquire() {
                0 => NO_PFN,
                _ => {
                    dev.pages.read(index);
                    dev.pfn(offset)
                }
            };
            let read = pfn();
            if read == NO_PFN {
                return Err(NoFolio::Absent);
            }
            let folio = dev.trylock_pfn(read, offset)?;
            if !fault!(M, "lookup-not-rechecked") && pfn() != read {
                dev.folios.unlock(folio);
                return Err(NoFolio::Busy(1));
            }
            let (slot, own) = (folio.offset, offset & !(folio.slots() - 1));
            assert!(
                slot == own,
                "I15: a look-up of slot {offset} returns the folio of slot {slot}"
            );
            Ok(folio)
        })
    }

    /// folio_maybe_swapped(): whether any slot of a locked folio has a user. The folio lock alone keeps a
    /// count from going from 0 to 1.
    pub(crate) fn maybe_swapped(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let dev = self.dev(entry);
        cpu.system().rcu.read(cpu, || !dev.all(entry.offset(), nr, HAS_CACHE))
    }

    /// swap_extend_table_alloc().
    pub(crate) fn extend(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.section(cpu, entry, &site::EXTEND, |dev| dev.attach_extend(entry.offset()));
    }

    /// swap_put_entries_cluster(), once per cluster: one section takes a user off each slot and frees those
    /// that nobody holds in runs. True if the swap cache alone holds one of them now.
    pub(crate) fn put_many_in_table(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        offset: u32,
        nr: u32,
    ) -> bool {
        let (mut from, end, mut cached) = (offset, offset + nr, false);
        while from < end {
            let index = dev.cluster_of(from);
            let to = end.min(dev.end_of(index));
            let guard = dev.lock_cluster(cpu, index, &site::PUT);
            let free = |first, n| self.free_range(cpu, dev, index, first, n);
            dev.put_run(from..to, free, |_| cached = true);
            dev.unlock_cluster(cpu, index, guard);
            from = to;
        }
        cached
    }
}
