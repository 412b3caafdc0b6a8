//! A slot's users: the count in its swap_map byte and, beyond 62, a second digit in
//! a continuation page. All under the lock that guards the byte; continuation
//! pages, which clusters share, under the device's cont_lock as well.

use crate::device::{BAD, COUNT_CONTINUED, Device, HAS_CACHE, SWP_CONTINUED, SWP_USED, count_max};
use machine::{Atomic, Machine, Plain, Region, Site, fault, vm_bug_on};
use std::sync::OnceLock;

static CONT_INC: Site = Site::new("cont_lock", "swap_count_continued");
static CONT_ADD: Site = Site::new("cont_lock", "add_swap_count_continuation");

/// Slots whose digits share a page; a checker's are few.
const fn page_slots<M: Machine>() -> usize {
    if M::EXPLORED { 16 } else { 4096 }
}
/// SWAP_CONT_MAX: the second digit's largest value.
const DIGIT_MAX: u8 = 0x7f;
/// What one unit of the second digit is worth.
const fn base<M: Machine>() -> u32 {
    count_max::<M>() as u32 + 1
}

/// The continuation pages of one device: one digit a slot, allocated on demand.
pub(crate) struct Continuations<M: Machine> {
    pages: Vec<Page<M>>,
}

struct Page<M: Machine> {
    /// Whether the page is there; guarded by cont_lock.
    there: Region<M, M::Plain<u8>>,
    /// Its memory, kept for the next time once it has been there.
    digits: OnceLock<Region<M, M::Atomic<u8>>>,
}

impl<M: Machine> Continuations<M> {
    pub fn new(slots: usize) -> Self {
        let none = |_| Page {
            there: Region::named("cont_page", 1, Vec::new(), |_| M::Plain::new(0)),
            digits: OnceLock::new(),
        };
        Self { pages: (0..slots.div_ceil(page_slots::<M>())).map(none).collect() }
    }

    fn page(&self, offset: u32) -> &Page<M> {
        &self.pages[offset as usize / page_slots::<M>()]
    }

    fn digit(&self, offset: u32) -> Option<&M::Atomic<u8>> {
        let page = self.page(offset);
        let there = page.there[0].get() != 0;
        page.digits
            .get()
            .filter(|_| there)
            .map(|digits| &digits[offset as usize % page_slots::<M>()])
    }

    fn add(&self, offset: u32) {
        let page = self.page(offset);
        page.digits.get_or_init(|| {
            Region::named("cont_digits", page_slots::<M>(), Vec::new(), |_| M::Atomic::new(0))
        });
        page.there[0].set(1);
    }

    /// free_swap_count_continuations().
    pub fn free(&self) {
        self.pages.iter().for_each(|page| page.there[0].set(0));
    }

    /// Whether pages are still there, at rest.
    pub fn any(&self) -> bool {
        self.pages.iter().any(|page| page.there[0].peek() != 0)
    }

    /// What the second digit adds to a slot's users, at rest.
    pub fn peek(&self, offset: u32) -> u32 {
        let digits = self.page(offset).digits.get();
        digits.map_or(0, |d| u32::from(d[offset as usize % page_slots::<M>()].peek()) * base::<M>())
    }
}

/// Why a count could not be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DupError {
    /// ENOENT: the slot is free.
    Unused,
    /// ENOMEM: a continuation page is needed first.
    NeedsPage,
    /// No digit left.
    Overflow,
}

impl<M: Machine> Device<M> {
    /// __swap_duplicate() for one more user. The byte's lock is held.
    pub(crate) fn dup_locked(&self, cpu: &M::Cpu, offset: u32) -> Result<(), DupError> {
        let byte = &self.map()[offset as usize];
        let was = byte.load();
        match was & !HAS_CACHE {
            BAD => Err(DupError::Unused),
            0 if was == 0 => Err(DupError::Unused),
            count if count & count_max::<M>() == count_max::<M>() => self.carry(cpu, offset, was),
            _ => {
                byte.store(was + 1);
                Ok(())
            }
        }
    }

    /// swap_count_continued(), adding: 62 users and one more.
    fn carry(&self, cpu: &M::Cpu, slot: u32, was: u8) -> Result<(), DupError> {
        let guard = self.si().cont_lock.lock(cpu, &CONT_INC);
        let result = match self.conts.digit(slot) {
            None => Err(DupError::NeedsPage),
            Some(digit) if digit.load() == DIGIT_MAX => Err(DupError::Overflow),
            Some(digit) => {
                digit.store(digit.load() + 1);
                self.map()[slot as usize].store(was & HAS_CACHE | COUNT_CONTINUED);
                Ok(())
            }
        };
        self.si().cont_lock.unlock(cpu, guard);
        result
    }

    /// swap_count_continued(), subtracting: borrows from the second digit.
    fn borrow(&self, cpu: &M::Cpu, slot: u32) -> u8 {
        let guard = self.si().cont_lock.lock(cpu, &CONT_INC);
        let digit = self.conts.digit(slot).expect("a continued count has a page");
        let left = digit.load() - 1;
        digit.store(left);
        self.si().cont_lock.unlock(cpu, guard);
        count_max::<M>() | if left > 0 { COUNT_CONTINUED } else { 0 }
    }

    /// add_swap_count_continuation(): a page for the slot's second digit. 6.14 sets
    /// SWP_CONTINUED by a plain read-modify-write under this cluster's lock while
    /// swapoff clears SWP_WRITEOK under others; here it is atomic unless the fault
    /// `flags-plain-rmw` puts that back.
    pub fn add_continuation(&self, cpu: &M::Cpu, offset: u32) {
        let guard = self.si().cont_lock.lock(cpu, &CONT_ADD);
        if self.conts.digit(offset).is_none() {
            self.conts.add(offset);
            self.set_flag(SWP_CONTINUED);
        }
        self.si().cont_lock.unlock(cpu, guard);
    }

    pub(crate) fn set_flag(&self, flag: u64) {
        let flags = &self.si().flags;
        if fault!(M, "flags-plain-rmw") {
            flags.store(flags.load() | flag);
        } else if flags.load() & flag == 0 {
            flags.fetch_or(flag);
        }
    }

    pub(crate) fn clear_flag(&self, flag: u64) {
        let flags = &self.si().flags;
        if fault!(M, "flags-plain-rmw") {
            flags.store(flags.load() & !flag);
        } else {
            flags.fetch_and(!flag);
        }
    }

    /// S8 and T9: continuation pages go if SWP_CONTINUED says that there are some.
    pub(crate) fn free_continuations(&self) {
        if self.si().flags.load() & SWP_CONTINUED != 0 {
            self.conts.free();
        }
        vm_bug_on!(M, self.writeok(), "I2: SWP_WRITEOK is set while swapoff frees");
    }

    /// alloc_swap_info(): takes the device's struct if it is not in use.
    pub(crate) fn claim(&self) -> bool {
        let free = self.si().flags.load() == 0;
        if free {
            self.si().flags.store(SWP_USED);
        }
        free
    }

    /// __swap_duplicate() for the swap cache: false if the slot has no user, or a
    /// folio already. The byte's lock is held.
    pub(crate) fn cache_locked(&self, offset: u32) -> bool {
        let byte = &self.map()[offset as usize];
        let was = byte.load();
        let may = was != 0 && was != BAD && was & HAS_CACHE == 0;
        if may {
            byte.store(was | HAS_CACHE);
        }
        may
    }

    /// __swap_entry_free_locked() of a user: the byte that is left. When that is 0
    /// the byte is parked at SWAP_HAS_CACHE until the slot is freed.
    pub fn put_locked(&self, cpu: &M::Cpu, offset: u32) -> u8 {
        let byte = &self.map()[offset as usize];
        let was = byte.load();
        assert!(was & !HAS_CACHE != 0 && was & !HAS_CACHE != BAD, "swap_free of an unused slot");
        let count = match was & !HAS_CACHE {
            COUNT_CONTINUED => self.borrow(cpu, offset),
            count => count - 1,
        };
        self.park(offset, count | was & HAS_CACHE)
    }

    /// __swap_entry_free_locked() of the swap cache: the byte that is left.
    pub fn uncache_locked(&self, offset: u32) -> u8 {
        let was = self.map()[offset as usize].load();
        assert!(was & HAS_CACHE != 0, "put_swap_folio of a slot without a folio");
        self.park(offset, was & !HAS_CACHE)
    }

    /// swap_is_last_map() and its use: if each of `nr` slots has one user and all or
    /// none are cached, takes the users off and parks the bytes. Then says whether
    /// they are cached, and if not, the caller is to free them.
    pub(crate) fn put_last_locked(&self, offset: u32, nr: u32) -> Option<bool> {
        let first = self.map()[offset as usize].load();
        if first & !HAS_CACHE != 1 || !self.all(offset, nr, first) {
            return None;
        }
        self.fill(offset, nr, HAS_CACHE);
        Some(first & HAS_CACHE != 0)
    }

    fn park(&self, offset: u32, usage: u8) -> u8 {
        self.map()[offset as usize].store(if usage == 0 { HAS_CACHE } else { usage });
        usage
    }
}
