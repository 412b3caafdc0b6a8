//! A byte for each slot, as far from the next one as the kernel's records are from each other. Guards that
//! what a scan or a fill touches is as many cache lines as there. Where bytes lie side by side, the
//! machine's own scan and fill are used.

use machine::{Atomic, Machine, Region};

pub(crate) struct SlotBytes<M: Machine> {
    all: Region<M, M::Atomic<u8>>,
    /// Bit length of (bytes per slot) - 1.
    shift: u32,
}

impl<M: Machine> SlotBytes<M> {
    /// 0 for each of `slots` slots, in records of so many bytes.
    pub fn new(name: &'static str, slots: usize, record: u32) -> Self {
        let all = Region::named(name, slots * record as usize, Vec::new(), |_| M::Atomic::new(0));
        Self { all, shift: record.trailing_zeros() }
    }

    #[inline]
    fn place(&self, slot: u32) -> usize {
        (slot as usize) << self.shift
    }

    #[inline]
    pub fn of(&self, slot: u32) -> &M::Atomic<u8> {
        &self.all[self.place(slot)]
    }

    /// How many slots there are.
    pub fn slots(&self) -> u32 {
        (self.all.len() >> self.shift) as u32
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.all)
    }

    /// The first slot of `from..end` whose byte is `wanted`, or `end`.
    pub fn scan(&self, from: u32, end: u32, wanted: impl Fn(u8) -> bool) -> u32 {
        if self.shift == 0 {
            return M::scan(&self.all, from as usize, end as usize, wanted) as u32;
        }
        (from..end).find(|&slot| wanted(self.of(slot).load())).unwrap_or(end)
    }

    /// Stores `byte` for the slots `from..end`.
    pub fn fill(&self, from: u32, end: u32, byte: u8) {
        if self.shift == 0 {
            return M::fill(&self.all, from as usize, end as usize, byte);
        }
        (from..end).for_each(|slot| self.of(slot).store(byte));
    }

    /// clear_page(): all bytes of the records of `from..end` are 0.
    pub fn clear(&self, from: u32, end: u32) {
        M::fill(&self.all, self.place(from), self.place(end), 0);
    }
}
