//! The bytes of swap_map, and the continuation pages that hold the second digit of a count for
//! which a byte has no room. Guards the encoding; which lock protects a byte is the
//! schemes' business. Kernel: include/linux/swap.h of 6.14.

use machine::{Atomic, Machine, Plain, Region};
use std::sync::OnceLock;

/// SWAP_MAP_MAX. A byte of 0 is a free slot; up to this many users are counted without a
/// continuation page: 62, or 2 where a checker has to get beyond it.
pub const fn count_max<M: Machine>() -> u8 {
    if M::EXPLORED { 2 } else { 0x3e }
}
/// SWAP_MAP_BAD: the header, the tail of the last cluster, a cluster under discard.
pub const BAD: u8 = 0x3f;
/// SWAP_HAS_CACHE: a folio or a slot cache holds the slot.
pub const HAS_CACHE: u8 = 0x40;
/// COUNT_CONTINUED: the second digit is not 0.
pub const COUNT_CONTINUED: u8 = 0x80;

/// Slots whose second digits share a page: 4096, or 16 where a checker explores.
const fn page_slots<M: Machine>() -> usize {
    if M::EXPLORED { 16 } else { 4096 }
}
/// SWAP_CONT_MAX: the second digit's largest value.
pub(crate) const DIGIT_MAX: u8 = 0x7f;
/// How many users one unit of the second digit stands for.
const fn base<M: Machine>() -> u32 {
    count_max::<M>() as u32 + 1
}

/// The continuation pages of one device: one digit per slot, allocated on demand.
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
    /// None yet, of a device of `slots` slots.
    pub(crate) fn new(slots: usize) -> Self {
        let none = |_| Page {
            there: Region::named("cont_page", 1, Vec::new(), |_| M::Plain::new(0)),
            digits: OnceLock::new(),
        };
        Self { pages: (0..slots.div_ceil(page_slots::<M>())).map(none).collect() }
    }

    fn page(&self, offset: u32) -> &Page<M> {
        &self.pages[offset as usize / page_slots::<M>()]
    }

    /// The slot's second digit, if it has a page. cont_lock is held.
    pub(crate) fn digit(&self, offset: u32) -> Option<&M::Atomic<u8>> {
        let page = self.page(offset);
        let there = page.there[0].get() != 0;
        page.digits
            .get()
            .filter(|_| there)
            .map(|digits| &digits[offset as usize % page_slots::<M>()])
    }

    /// Makes the page of the slot's second digit. cont_lock is held.
    pub(crate) fn add(&self, offset: u32) {
        let page = self.page(offset);
        page.digits.get_or_init(|| {
            Region::named("cont_digits", page_slots::<M>(), Vec::new(), |_| M::Atomic::new(0))
        });
        page.there[0].set(1);
    }

    /// free_swap_count_continuations().
    pub(crate) fn free(&self) {
        self.pages.iter().for_each(|page| page.there[0].set(0));
    }

    /// Whether pages are still there, at rest.
    pub(crate) fn any(&self) -> bool {
        self.pages.iter().any(|page| page.there[0].peek() != 0)
    }

    /// How many of a slot's users the second digit stands for, at rest.
    pub(crate) fn peek(&self, offset: u32) -> u32 {
        let digits = self.page(offset).digits.get();
        digits.map_or(0, |d| u32::from(d[offset as usize % page_slots::<M>()].peek()) * base::<M>())
    }
}
