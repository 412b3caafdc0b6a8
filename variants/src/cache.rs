//! The swap cache's stand-in: which slots have a folio, of which order, and the folio's lock.
//! Guards that a folio is added, looked at and removed by the CPU that has locked it. A folio has
//! no data here, but for a word under a checker that whoever locks it touches: an unlock that does not
//! order is a data race then.

use crate::slot_bytes::SlotBytes;
use machine::{Atomic, Cpu, Machine, Plain, Region};

/// A slot's word: 0 is no folio. The low bits are the folio's order; the lock bit counts in the
/// word of the folio's first slot only.
const PRESENT: u8 = 0x80;
const LOCKED: u8 = 0x40;
const ORDER: u8 = 0x0f;

/// The folios of one device by slot.
pub struct SwapCache<M: Machine> {
    words: SlotBytes<M>,
    /// By the folio's first slot, what its page holds; nothing where no checker looks.
    pages: Option<Region<M, M::Plain<u8>>>,
}

/// A locked folio: its first slot and its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a locked folio must be unlocked or removed"]
pub struct LockedFolio {
    /// Its first slot.
    pub offset: u32,
    /// It has 2^order slots.
    pub order: usize,
}

/// Why there is no locked folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFolio {
    /// The slot has no folio.
    Absent,
    /// Another CPU has it locked; it covers this many slots.
    Busy(u32),
}

/// The result of an attempt to reclaim a slot (__try_to_reclaim_swap()).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reclaimed {
    /// There is no folio.
    Nothing,
    /// The folio is in use; its slots end here.
    Kept(u32),
    /// Its slots, which end here, are free.
    Freed(u32),
}

impl Reclaimed {
    /// The slot at which a scan that tried `offset` goes on.
    pub fn next(self, offset: u32) -> u32 {
        match self {
            Self::Nothing => offset + 1,
            Self::Kept(next) | Self::Freed(next) => next,
        }
    }
}

impl LockedFolio {
    /// How many slots it has.
    pub fn slots(self) -> u32 {
        1 << self.order
    }
}

impl<M: Machine> SwapCache<M> {
    /// Without a folio, for a device of `slots` slots, whose words are `stride` bytes from each other.
    pub fn new(slots: usize, stride: u32) -> Self {
        let page = |_| M::Plain::new(0);
        let pages = || Region::named("folio.page", slots, Vec::new(), page);
        Self { words: SlotBytes::new("swap_cache", slots, stride), pages: M::EXPLORED.then(pages) }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.words.size()
    }

    /// add_to_swap_cache() of a fresh folio, which is locked.
    pub fn add(&self, offset: u32, order: usize) -> LockedFolio {
        let folio = LockedFolio { offset, order };
        let word = PRESENT | order as u8;
        self.words.fill(offset + 1, offset + folio.slots(), word);
        self.write_page(folio);
        self.words.of(offset).store_release(word | LOCKED);
        folio
    }

    /// folio_trylock() of the slot's folio.
    ///
    /// # Errors
    /// [`NoFolio::Absent`] if there is none, [`NoFolio::Busy`] if another CPU has it locked.
    pub fn trylock(&self, offset: u32) -> Result<LockedFolio, NoFolio> {
        let word = self.words.of(offset).load_acquire();
        if word & PRESENT == 0 {
            return Err(NoFolio::Absent);
        }
        let order = usize::from(word & ORDER);
        let folio = LockedFolio { offset: offset & !((1 << order) - 1), order };
        let free = PRESENT | order as u8;
        match self.words.of(folio.offset).cmpxchg(free, free | LOCKED) {
            Ok(_) => {
                self.read_page(folio);
                Ok(folio)
            }
            Err(_) => Err(NoFolio::Busy(folio.slots())),
        }
    }

    /// Whether the slot has no folio now.
    pub fn is_absent(&self, offset: u32) -> bool {
        self.words.of(offset).load_acquire() & PRESENT == 0
    }

    /// folio_lock(): waits for the lock; `None` if there is no folio, or no folio any more.
    pub fn lock(&self, offset: u32, cpu: &M::Cpu) -> Option<LockedFolio> {
        loop {
            match self.trylock(offset) {
                Ok(folio) => return Some(folio),
                Err(NoFolio::Absent) => return None,
                Err(NoFolio::Busy(_)) => cpu.cond_resched(),
            }
        }
    }

    /// folio_unlock().
    pub fn unlock(&self, folio: LockedFolio) {
        self.write_page(folio);
        self.words.of(folio.offset).store_release(PRESENT | folio.order as u8);
    }

    /// __delete_from_swap_cache(): takes the locked folio out.
    pub fn remove(&self, folio: LockedFolio) {
        self.words.fill(folio.offset + 1, folio.offset + folio.slots(), 0);
        self.words.of(folio.offset).store_release(0);
    }

    fn read_page(&self, folio: LockedFolio) {
        if let Some(pages) = &self.pages {
            pages[folio.offset as usize].get();
        }
    }

    fn write_page(&self, folio: LockedFolio) {
        if let Some(pages) = &self.pages {
            pages[folio.offset as usize].set(1);
        }
    }

    /// The order of the slot's folio, at rest.
    pub fn peek(&self, offset: u32) -> Option<usize> {
        let word = self.words.of(offset).peek();
        (word != 0).then_some(usize::from(word & ORDER))
    }

    /// Whether the slot is the first one of a locked folio, at rest.
    pub(crate) fn peek_locked(&self, offset: u32) -> bool {
        self.words.of(offset).peek() & LOCKED != 0
    }
}
