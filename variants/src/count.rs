//! A slot's users: the count in its swap_map byte and, beyond 62, a second digit in a
//! continuation page. Guards how a count is raised and lowered: always under the lock that
//! protects the byte, and under the device's cont_lock as well where a continuation page, which
//! clusters share, is touched. Kernel: mm/swapfile.c of 6.14, functions as named.

use crate::device::{Device, SWP_CONTINUED};
use crate::swap_map::{BAD, COUNT_CONTINUED, DIGIT_MAX, HAS_CACHE, count_max};
use machine::{Atomic, Machine, Site};

static CONT_INC: Site = Site::new("cont_lock", "swap_count_continued");
static CONT_ADD: Site = Site::new("cont_lock", "add_swap_count_continuation");

/// Why a count could not be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DupError {
    /// ENOENT: the slot is free.
    Unused,
    /// ENOMEM: a continuation page is needed first.
    NeedsPage,
    /// No digit is left: the second is at its largest value.
    Overflow,
}

/// Whether a slot with this byte has a user and no folio.
pub(crate) fn may_cache(byte: u8) -> bool {
    byte != 0 && byte != BAD && byte & HAS_CACHE == 0
}

impl<M: Machine> Device<M> {
    /// __swap_duplicate() for one more user. The byte's lock is held.
    ///
    /// # Errors
    /// As [`DupError`] says.
    pub(crate) fn dup_locked(&self, cpu: &M::Cpu, offset: u32) -> Result<(), DupError> {
        let byte = self.byte(offset);
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

    /// swap_count_continued(), adding: a user beyond 62 is a unit of the second digit.
    fn carry(&self, cpu: &M::Cpu, slot: u32, was: u8) -> Result<(), DupError> {
        let guard = self.si().cont_lock.lock(cpu, &CONT_INC);
        let result = match self.conts.digit(slot) {
            None => Err(DupError::NeedsPage),
            Some(digit) if digit.load() == DIGIT_MAX => Err(DupError::Overflow),
            Some(digit) => {
                digit.store(digit.load() + 1);
                self.byte(slot).store(was & HAS_CACHE | COUNT_CONTINUED);
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
    /// SWP_CONTINUED by a plain read-modify-write under this cluster's lock, while swapoff clears
    /// SWP_WRITEOK under other locks. Here the write is atomic, unless the fault
    /// `flags-plain-rmw` makes it plain again.
    pub fn add_continuation(&self, cpu: &M::Cpu, offset: u32) {
        let guard = self.si().cont_lock.lock(cpu, &CONT_ADD);
        if self.conts.digit(offset).is_none() {
            self.conts.add(offset);
            self.set_flag(SWP_CONTINUED);
        }
        self.si().cont_lock.unlock(cpu, guard);
    }

    /// __swap_duplicate() for the swap cache: false if the slot has no user, or a
    /// folio already. The byte's lock is held.
    pub(crate) fn cache_locked(&self, offset: u32) -> bool {
        let byte = self.byte(offset);
        let was = byte.load();
        let may = may_cache(was);
        if may {
            byte.store(was | HAS_CACHE);
        }
        may
    }

    /// __swap_entry_free_locked() of a user: returns the byte that is left. If that is 0, the map
    /// keeps SWAP_HAS_CACHE until the slot is freed. Panics if the slot has no user.
    pub fn put_locked(&self, cpu: &M::Cpu, offset: u32) -> u8 {
        let byte = self.byte(offset);
        let was = byte.load();
        assert!(was & !HAS_CACHE != 0 && was & !HAS_CACHE != BAD, "swap_free of an unused slot");
        let count = match was & !HAS_CACHE {
            COUNT_CONTINUED => self.borrow(cpu, offset),
            count => count - 1,
        };
        self.park(offset, count | was & HAS_CACHE)
    }

    /// __swap_entry_free_locked() of the swap cache: returns the byte that is left, as
    /// [`Device::put_locked`] does. Panics if the slot has no folio.
    pub fn uncache_locked(&self, offset: u32) -> u8 {
        let was = self.byte(offset).load();
        assert!(was & HAS_CACHE != 0, "put_swap_folio of a slot without a folio");
        self.park(offset, was & !HAS_CACHE)
    }

    /// The folio of `nr` slots leaves: `free` gets those without a user, in runs. The bytes' lock is held.
    pub(crate) fn uncache(&self, offset: u32, nr: u32, mut free: impl FnMut(u32, u32)) {
        if self.all(offset, nr, HAS_CACHE) {
            return free(offset, nr);
        }
        for slot in offset..offset + nr {
            if self.uncache_locked(slot) == 0 {
                free(slot, 1);
            }
        }
    }

    /// swap_is_last_map() and its use: if each of `nr` slots has one user, and all or none are
    /// cached, takes the users off. Returns whether the slots are cached; if they are not, their
    /// bytes stay SWAP_HAS_CACHE and the caller frees them. `None` if it did nothing.
    pub(crate) fn put_last_locked(&self, offset: u32, nr: u32) -> Option<bool> {
        let first = self.byte(offset).load();
        if first & !HAS_CACHE != 1 || !self.all(offset, nr, first) {
            return None;
        }
        self.fill(offset, nr, HAS_CACHE);
        Some(first & HAS_CACHE != 0)
    }

    /// Stores what is left of a byte; 0 is stored as SWAP_HAS_CACHE until the slot is freed.
    pub(crate) fn park(&self, offset: u32, usage: u8) -> u8 {
        self.byte(offset).store(if usage == 0 { HAS_CACHE } else { usage });
        usage
    }
}
